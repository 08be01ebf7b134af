"""Rows that are slow to compute, kept on disk.

Computed chunk by chunk, resumed where a kill left off.

A cache of ``n_rows`` rows is one folder, named by a key that says everything the rows
depend on (:func:`cache_key`)::

    FOLDER/KEY/rows.npy        an ordinary .npy file of shape (n_rows, *row_shape)
    FOLDER/KEY/finished.bin    one byte a chunk: 1 once its rows are on the disk
    FOLDER/KEY/about.json      shape, dtype and rows a chunk; written last, so a folder
    without it is not begun

A process killed at any moment loses the chunk it was working on. Where there is
``flock``, a second process that wants the same rows waits and then reads them;
elsewhere it computes the same rows into the same places.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike
from tqdm.auto import tqdm

from al_sklearn._core.files import locked, replacing

_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=+-]{0,119}")


def cache_key(**parts: Any) -> str:
    """Return a name for rows from everything that they depend on.

    Data, weights, layer, transform.

    Parameters
    ----------
    **parts : plain JSON values
        Anything ``json.dumps`` takes; the order does not matter.

    Returns
    -------
    key : str
        32 hexadecimal digits.

    Examples
    --------
    >>> cache_key(data="5f1c", layer="fc") == cache_key(layer="fc", data="5f1c")
    True
    """
    text = json.dumps(parts, sort_keys=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def open_or_compute(
    folder: str | os.PathLike[str],
    key: str,
    *,
    n_rows: int,
    row_shape: tuple[int, ...],
    dtype: DTypeLike,
    compute_chunk: Callable[[int, int], np.ndarray],
    chunk_rows: int = 4096,
    progress: str | None = None,
) -> np.ndarray:
    """Open cached rows, computing first the chunks that are not there yet.

    Parameters
    ----------
    folder : path
        Where caches lie; made when it does not exist.
    key : str
        Name of this cache inside ``folder``; see :func:`cache_key`.
    n_rows : int
    row_shape : tuple of int
        Shape of one row, such as ``(1280,)``.
    dtype : numpy dtype
    compute_chunk : callable
        ``compute_chunk(start, stop)`` returns rows start … stop - 1, (stop - start,
        *row_shape), in a type that ``dtype`` holds without a change of kind. Called
        with increasing ``start``, only for missing chunks.
    chunk_rows : int, default=4096
        Rows computed and written at a time: what a kill can lose. A cache that was
        begun keeps its own.
    progress : str, optional
        Words before a progress bar; None shows none.

    Returns
    -------
    rows : read-only memmap of shape (n_rows, *row_shape)
        An ordinary empty array when there are no values, which cannot be mapped.

    Raises
    ------
    ValueError
        When the cache of that key has another shape or dtype or is damaged, or a
        computed chunk has another shape.
    """
    if not _KEY.fullmatch(key):
        raise ValueError(
            "A key is 1 to 120 letters, digits and _.=+- and names a folder; got "
            f"{key!r}."
        )
    if n_rows < 0 or chunk_rows < 1:
        raise ValueError(
            f"n_rows must be at least 0 and chunk_rows at least 1, got {n_rows} and "
            f"{chunk_rows}."
        )
    shape, dtype = (n_rows, *row_shape), np.dtype(dtype)
    if 0 in shape:
        empty = np.empty(shape, dtype)
        empty.flags.writeable = False
        return empty
    cache = _Cache(Path(folder) / key, shape, dtype)
    if not cache.complete():
        with locked(cache.folder / ".lock"):
            # Another process may have finished it meanwhile: then nothing is left to
            # do.
            cache.begin(chunk_rows)
            cache.fill(compute_chunk, progress)
    return cache.open()


class _Cache:
    """The files of one cache."""

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: np.dtype):
        self.folder, self.shape, self.dtype = folder, shape, dtype
        self._about, self._rows, self._finished = (
            folder / name for name in ("about.json", "rows.npy", "finished.bin")
        )

    def complete(self) -> bool:
        return self._about.exists() and all(self._check())

    def begin(self, chunk_rows: int) -> None:
        if self._about.exists():
            return
        with replacing(self._rows) as file:
            header = {
                "descr": np.lib.format.dtype_to_descr(self.dtype),
                "fortran_order": False,
                "shape": self.shape,
            }
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(
                file.tell()
                + int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
            )
        with replacing(self._finished) as file:
            file.write(bytes(-(-self.shape[0] // chunk_rows)))
        about = {
            "shape": list(self.shape),
            "dtype": str(self.dtype),
            "chunk_rows": chunk_rows,
        }
        with replacing(self._about) as file:
            file.write(json.dumps(about).encode())

    def fill(
        self, compute_chunk: Callable[[int, int], np.ndarray], progress: str | None
    ) -> None:
        finished = self._check()
        if all(finished):
            return
        n, chunk_rows = (
            self.shape[0],
            json.loads(self._about.read_bytes())["chunk_rows"],
        )
        starts = np.arange(0, n, chunk_rows)
        sizes = np.minimum(starts + chunk_rows, n) - starts
        done = np.frombuffer(finished, dtype=np.uint8).astype(bool)
        row_bytes = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        offset = self._rows.stat().st_size - n * row_bytes
        # Written, not mapped: a full disk is then an error that can be read, not a
        # crash of the process.
        with (
            self._rows.open("r+b") as rows,
            self._finished.open("r+b") as record,
            tqdm(
                total=n,
                initial=int(sizes[done].sum()),
                desc=progress,
                unit="row",
                disable=progress is None,
            ) as bar,
        ):
            for chunk in np.flatnonzero(~done).tolist():
                start, size = int(starts[chunk]), int(sizes[chunk])
                values = np.asarray(compute_chunk(start, start + size))
                if values.shape != (size, *self.shape[1:]):
                    raise ValueError(
                        f"Rows {start} … {start + size - 1} must have shape "
                        f"{(size, *self.shape[1:])}, "
                        f"got {values.shape}."
                    )
                rows.seek(offset + start * row_bytes)
                rows.write(
                    values.astype(
                        self.dtype, order="C", casting="same_kind", copy=False
                    ).tobytes()
                )
                _sync(rows)
                # Only now, so that a chunk is never called finished before its rows are
                # on the disk.
                record.seek(chunk)
                record.write(b"\x01")
                _sync(record)
                bar.update(size)

    def open(self) -> np.ndarray:
        return np.load(self._rows, mmap_mode="r", allow_pickle=False)

    def _check(self) -> bytes:
        """Return the finished chunks, one byte each, after checking the files.

        The files must be what the caller wants.
        """
        try:
            about = json.loads(self._about.read_bytes())
            rows, finished = self.open(), self._finished.read_bytes()
            whole = len(finished) == -(-about["shape"][0] // about["chunk_rows"])
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(
                f"The cache in {self.folder} is damaged ({error}); delete that folder."
            ) from error
        if not whole:
            raise ValueError(
                f"The cache in {self.folder} is damaged (its record is cut); delete "
                "that folder."
            )
        if (rows.shape, rows.dtype) != (self.shape, self.dtype):
            raise ValueError(
                f"The cache in {self.folder} holds {rows.dtype} rows of shape "
                f"{rows.shape}, not {self.dtype} rows of "
                f"shape {self.shape}: a key must say everything that the rows depend "
                "on."
            )
        return finished


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
