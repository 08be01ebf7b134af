"""Images that are arrays in files: HDF5, .npy, .npz and Zarr."""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from al_sklearn._core.optional import require
from al_sklearn._core.types import Array
from al_sklearn.datasets._base import (
    DataSource,
    ImageData,
    existing,
    labels_and_names,
    register_dataset,
    texts,
)
from al_sklearn.datasets._lazy import Hdf5Rows, not_whole
from al_sklearn.rows import read_numpy

# Images, labels, test images, test labels, as files usually name them.
_USUAL = (
    ("X_train", "y_train", "X_test", "y_test"),
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("images", "labels", "test_images", "test_labels"),
    ("X", "y", "X_test", "y_test"),
    ("x", "y", "x_test", "y_test"),
    ("data", "labels", "test_data", "test_labels"),
)


# Names of the arrays, what reads one (lazily where that can be), and class names.
_Opened = tuple[list[str], Callable[[str], Any], tuple[str, ...]]
# Images, labels, test images, test labels.
_Names = tuple[str | None, ...]


class _Arrays(DataSource):
    kind: str

    def load(
        self,
        data_dir: Path | None,
        *,
        images: str | None = None,
        labels: str | None = None,
        test_images: str | None = None,
        test_labels: str | None = None,
    ) -> ImageData:
        """Read arrays by their names in the file.

        Without names, those that are usual are looked for.

        Parameters
        ----------
        data_dir : Path
            The file, or the folder of a Zarr group or of ``.npy`` files. Those have
            names without ``.npy``; of one such file, which holds the images, ``labels``
            is the file beside it.
        images, labels : str, optional
            Names of the training images and their labels.
        test_images, test_labels : str, optional
            The same of the test set.
        """
        given = images, labels, test_images, test_labels
        return self._load(data_dir, given, self._open)

    def _load(
        self, data_dir: Path | None, given: _Names, open_: Callable[[Path], _Opened]
    ) -> ImageData:
        must_be = f"{self.kind}: data_dir must be the file itself"
        data_dir = existing(data_dir, must_be, Path.exists)
        given = self._names(data_dir, given)
        names, read, class_names = open_(data_dir)
        X, y, X_test, y_test = _choose(data_dir, names, given)
        # Images lazily, labels whole: these are looked at all at once, and are small.
        parts = [_whole(data_dir, name, read) for name in (y, y_test) if name]
        arrays, found_names = labels_and_names(*parts)
        # Names as labels need none besides: theirs may be of other classes.
        n_names, n_classes = len(class_names), len(found_names)
        if arrays[0].dtype.kind == "i" and 0 < n_names < n_classes:
            raise ValueError(
                f"{data_dir}: {n_names} class names for labels up to {n_classes - 1}."
            )
        return ImageData(
            data_dir.stem,
            read(X),
            arrays[0],
            read(X_test) if X_test else None,
            arrays[1] if X_test else None,
            class_names or found_names,
        )

    def _names(self, path: Path, given: _Names) -> _Names:
        """Return the names that the caller gave as they are in the file."""
        return given

    def _open(self, path: Path) -> _Opened:
        raise NotImplementedError


@register_dataset("hdf5")
class Hdf5(_Arrays):
    """Any HDF5 file of images and labels; the images stay in the file."""

    kind = "hdf5"

    def load(
        self,
        data_dir: Path | None,
        *,
        images: str | None = None,
        labels: str | None = None,
        test_images: str | None = None,
        test_labels: str | None = None,
        external: bool = False,
    ) -> ImageData:
        """Read arrays by their names in the file.

        Without names, those that are usual are looked for.

        Parameters
        ----------
        data_dir : Path
            The file.
        images, labels : str, optional
            Names of the training images and their labels.
        test_images, test_labels : str, optional
            The same of the test set.
        external : bool, default=False
            Follow links to other files, and read values that lie in other files.
        """
        given = images, labels, test_images, test_labels
        return self._load(data_dir, given, functools.partial(_open_hdf5, external))


def _open_hdf5(external: bool, path: Path) -> _Opened:
    h5py = require("h5py", "Reading HDF5")
    names: list[str] = []

    def note(name: str, link: Any) -> None:
        # A link to another file cannot be looked into without opening that file; groups
        # are seen too, and hold no images themselves.
        leads_out = isinstance(link, h5py.ExternalLink)
        is_here = isinstance(link, h5py.HardLink)
        if leads_out or (is_here and isinstance(file[name], h5py.Dataset)):
            names.append(name)

    try:
        with h5py.File(path, "r") as file:
            file.visititems_links(note)
            class_names = texts(file.attrs.get("class_names", ()))
    except (OSError, RuntimeError, KeyError) as error:
        raise not_whole(path, error) from error
    # The file is closed again: an open handle does not survive a fork or a pickle.
    return names, lambda name: Hdf5Rows(path, name, external=external), class_names


@register_dataset("zarr")
class Zarr(_Arrays):
    """Any Zarr group of images and labels; the images stay in it."""

    kind = "zarr"

    def _open(self, path: Path) -> _Opened:
        zarr = require("zarr", "Reading Zarr")
        try:
            group = zarr.open_group(str(path), mode="r")
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{path} is no Zarr group ({error}): give the folder that holds the "
                "arrays."
            ) from error
        class_names = texts(group.attrs.get("class_names", ()))
        return sorted(group.array_keys()), group.__getitem__, class_names


@register_dataset("npz")
class Npz(_Arrays):
    """Any .npz file of images and labels; it is read whole."""

    kind = "npz"

    def _open(self, path: Path) -> _Opened:
        content = read_numpy(path)
        if not isinstance(content, Mapping):
            raise ValueError(
                f"{path} is no .npz file, it holds one array: load it as 'npy'."
            )
        class_names = texts(content["class_names"]) if "class_names" in content else ()
        return list(content), content.__getitem__, class_names


@register_dataset("npy")
class Npy(_Arrays):
    """Any .npy file of images with one of labels, or a folder of such files.

    The images stay on disk.
    """

    kind = "npy"

    def _open(self, path: Path) -> _Opened:
        folder = path if path.is_dir() else path.parent
        # Sorted: the order of a folder differs between file systems.
        files = {file.stem: file for file in sorted(folder.glob("*.npy"))}
        class_file = folder / "class_names.txt"
        class_names: tuple[str, ...] = ()
        if class_file.is_file():
            class_names = tuple(class_file.read_text(encoding="utf-8").splitlines())
        # Mapped: images of which rows are read when they are asked for.
        return (
            list(files),
            lambda name: read_numpy(files[name], mmap_mode="r"),
            class_names,
        )

    def _names(self, path: Path, given: _Names) -> _Names:
        images, *others = (name and name.removesuffix(".npy") for name in given)
        if images is None and path.is_file():
            if others[0] is None:
                raise ValueError(
                    f"npy: {path.name} holds the images; name the file beside it with "
                    "labels=."
                )
            images = path.stem
        return images, *others


def _whole(path: Path, name: str, read: Callable[[str], Any]) -> Array:
    try:
        return np.asarray(read(name)[:])
    except (OSError, RuntimeError) as error:  # Zarr's codecs raise the latter
        raise ValueError(
            f"{path}: {name!r} is damaged ({error}): make or fetch it again."
        ) from error


def _choose(path: Path, names: list[str], given: _Names) -> tuple[Any, ...]:
    """Return the names of the arrays to read, None for a test set that is not there."""
    images, labels, *test = given
    if test.count(None) == 1:
        raise ValueError("A test set has test_images and test_labels; give both.")
    listed = ", ".join(names) or "no arrays"
    for name in given:
        if name is not None and name not in names:
            raise ValueError(f"{path} has no {name!r}; it has {listed}.")
    if images is not None and labels is not None:
        return given
    # The first pair that fits; of names the caller gave, only the other half is sought.
    for usual in _USUAL:
        X, y = images or usual[0], labels or usual[1]
        if X in names and y in names:
            # A test set is taken whole or not at all.
            if test[0] is None and {*usual[2:]} <= {*names}:
                test = [*usual[2:]]
            return X, y, *test
    raise ValueError(
        f"{path} has {listed}: say which are what with images=, labels=, "
        "test_images=, test_labels=."
    )
