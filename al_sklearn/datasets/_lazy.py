"""Rows of an HDF5 file that are read when asked for, in any process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from al_sklearn._core.optional import is_a, require
from al_sklearn._core.types import Array, Options
from al_sklearn.rows import RowView

# Steps of a name, those of soft links among them; more lead in a circle.
_MOST_LINKS: Final = 100


def not_whole(path: Path, error: Exception) -> ValueError:
    """Build the error for a file that HDF5 cannot open."""
    return ValueError(
        f"{path} is no whole HDF5 file ({error}): make or fetch it again."
    )


def _elsewhere(path: Any, key: str, where: str) -> ValueError:
    return ValueError(
        f"{path}: {key!r} leads to {where}, another file; give external=True if you "
        "know who wrote this one."
    )


def refuse_links(file: Any, key: str) -> None:
    """Raise where a name leads through a link to another file, before it is opened.

    Parameters
    ----------
    file : h5py.File
    key : str
        Of a dataset or group; it need not be there.

    Raises
    ------
    ValueError
        For a link to another file, or links that never end.
    """
    h5py = require("h5py", "Reading HDF5")
    place, left = file, [part for part in key.split("/") if part]
    for _ in range(_MOST_LINKS):
        if not left or not isinstance(place, h5py.Group):
            return
        part, *left = left
        link = place.get(part, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise _elsewhere(file.filename, key, link.filename)
        if isinstance(link, h5py.SoftLink):
            # From the root, or from where it stands.
            place = file if link.path.startswith("/") else place
            left = [*(part for part in link.path.split("/") if part), *left]
        elif link is None:
            return
        else:
            place = place[part]
    raise ValueError(f"{file.filename}: {key!r} leads through too many links.")


def _refuse_sources(data: Any, path: Path) -> None:
    """Raise where a dataset's values lie in other files."""
    h5py = require("h5py", "Reading HDF5")
    if not isinstance(data, h5py.Dataset):
        return
    for name, *_ in data.external or ():
        raise _elsewhere(path, data.name, name)
    if data.is_virtual:
        for source in data.virtual_sources():
            # A dot is the file itself.
            if source.file_name != ".":
                raise _elsewhere(path, data.name, source.file_name)


class Hdf5Rows:
    """A dataset of an HDF5 file as an X.

    Opened anew in each process, so that it can be pickled and forked.

    h5py's own object can do neither: a file that two processes read through one handle
    gives wrong bytes.

    Parameters
    ----------
    path : path
    key : str
        Name of the dataset in the file.
    channels : sequence of int, optional
        Positions on the last axis to keep, in this order.
    external : bool, default=False
        Follow links to other files, and read values that lie in other files. A file
        may name any other that its reader can read; who wrote it decides which.

    Raises
    ------
    ValueError
        When the file is damaged, has no such dataset, or leads to other files and
        ``external`` is False.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        key: str,
        channels: Sequence[int] | None = None,
        external: bool = False,
    ):
        self.external = external
        self.path = Path(path).resolve()
        self.key = key
        self.channels = None if channels is None else list(channels)
        self._opened: tuple[int, Any] | None = None
        data = self._data()
        self.shape = tuple(data.shape)
        if self.channels is not None:
            self.shape = (*data.shape[:-1], len(self.channels))
        self.dtype = data.dtype
        self.chunks = data.chunks

    @property
    def filename(self) -> str:
        """The file, as a memory map says it."""
        return str(self.path)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        """Read rows by a slice, a mask, positions in any order, or one of them."""
        data = self._data()
        try:
            if isinstance(key, (int, np.integer)):
                # Through a range: it counts from the end, and refuses what is outside.
                rows = data[range(len(self))[key]]
            # HDF5 knows no steps backwards.
            elif isinstance(key, slice) and (key.step is None or key.step > 0):
                rows = data[key]
            else:
                rows = self._positions(data, np.arange(len(self))[key])
        except OSError as error:
            raise ValueError(
                f"{self.path}: {self.key!r} is damaged ({error}): make or fetch the "
                "file again."
            ) from error
        return rows if self.channels is None else rows[..., self.channels]

    def _positions(self, data: Any, positions: Array) -> Array:
        # HDF5 reads increasing positions, each once.
        unique, inverse = np.unique(positions, return_inverse=True)
        rows = np.empty((len(unique), *data.shape[1:]), data.dtype)
        # One read for each run of neighbours: h5py takes long over thousands of single
        # positions.
        ends = np.flatnonzero(np.diff(unique) != 1) + 1
        for start, stop in zip([0, *ends], [*ends, len(unique)], strict=True):
            if stop > start:
                data.read_direct(
                    rows, np.s_[unique[start] : unique[stop - 1] + 1], np.s_[start:stop]
                )
        # Already in order: no second copy.
        return rows if np.array_equal(unique, positions) else rows[inverse]

    def _data(self) -> Any:
        # A handle that was open at a fork would be read by two at once.
        process = os.getpid()
        if self._opened is None or self._opened[0] != process:
            h5py = require("h5py", "Reading HDF5")
            try:
                file = h5py.File(self.path, "r")
            except FileNotFoundError:
                raise
            except OSError as error:
                raise not_whole(self.path, error) from error
            if not self.external:
                refuse_links(file, self.key)
            # A soft link that leads nowhere is there, and what it names is not.
            if file.get(self.key) is None:
                raise ValueError(
                    f"{self.path} has no {self.key!r}; it has {', '.join(file)}."
                )
            data = file[self.key]
            if not self.external:
                _refuse_sources(data, self.path)
            self._opened = process, data
        return self._opened[1]

    def __getstate__(self) -> Options:
        # The path travels; the file is opened where it is read.
        return {**vars(self), "_opened": None}

    def __repr__(self) -> str:
        return f"Hdf5Rows({str(self.path)!r}, {self.key!r}: {self.shape} {self.dtype})"


def hdf5_by_name(X: Any) -> Any:
    """Return rows that other processes can read: HDF5 by its file's name.

    Parameters
    ----------
    X : any kind of rows
        An open h5py dataset, or a view of one, is replaced by :class:`Hdf5Rows`; all
        else comes back as it is.

    Raises
    ------
    ValueError
        When the file cannot be opened a second time: it is open for writing, or lies in
        memory.

    Examples
    --------
    >>> hdf5_by_name([1, 2])
    [1, 2]
    """
    if isinstance(X, RowView):
        base = hdf5_by_name(X.base)
        return X if base is X.base else RowView(base, X.indices)
    if not is_a(X, "h5py.Dataset"):
        return X
    try:
        return Hdf5Rows(X.file.filename, X.name)
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(
            f"Other processes cannot read the HDF5 dataset {X.name!r} by its file's "
            f"name, {X.file.filename!r} ({error}): close it and open it with mode 'r', "
            "or work in one process (n_jobs=1, num_workers=0)."
        ) from error
