"""Images that are arrays in files: HDF5, .npy, .npz and Zarr."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from al_sklearn._core.optional import require
from al_sklearn.datasets._base import (
    DataSource,
    ImageData,
    labels_and_names,
    register_dataset,
)
from al_sklearn.datasets._lazy import Hdf5Rows
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
            The file, or the folder of a Zarr group or of ``.npy`` files.
        images, labels : str, optional
            Names of the training images and their labels.
        test_images, test_labels : str, optional
            The same of the test set.
        """
        if data_dir is None or not data_dir.exists():
            raise FileNotFoundError(
                f"{self.kind}: data_dir must be the file itself, got {data_dir}."
            )
        names, read, class_names = self._open(data_dir, labels)
        chosen = _choose(data_dir, names, images, labels, test_images, test_labels)
        # Images lazily, labels whole: these are looked at all at once, and are small.
        X_train, X_test = read(chosen[0]), read(chosen[2]) if chosen[2] else None
        parts = [
            _whole(data_dir, name, read) for name in (chosen[1], chosen[3]) if name
        ]
        arrays, found_names = labels_and_names(*parts)
        if (
            class_names
            and arrays[0].dtype.kind == "i"
            and len(class_names) < len(found_names)
        ):
            raise ValueError(
                f"{data_dir}: {len(class_names)} class names for labels up to "
                f"{len(found_names) - 1}."
            )
        return ImageData(
            data_dir.stem,
            X_train,
            arrays[0],
            X_test,
            arrays[1] if X_test is not None else None,
            class_names or found_names,
        )

    def _open(
        self, path: Path, labels: str | None
    ) -> tuple[list[str], Callable[[str], Any], tuple[str, ...]]:
        """Return the arrays' names, a function that reads one, and class names.

        The function reads lazily where that can be.
        """
        raise NotImplementedError


@register_dataset("hdf5")
class Hdf5(_Arrays):
    """Any HDF5 file of images and labels; the images stay in the file."""

    kind = "hdf5"

    def _open(
        self, path: Path, labels: str | None
    ) -> tuple[list[str], Callable[[str], Any], tuple[str, ...]]:
        h5py = require("h5py", "Reading HDF5")
        names: list[str] = []
        try:
            with h5py.File(path, "r") as file:
                # Names alone: opening every array would read its index.
                file.visititems(
                    lambda name, item: (
                        names.append(name) if isinstance(item, h5py.Dataset) else None
                    )
                )
                class_names = _texts(file.attrs.get("class_names", ()))
        except (OSError, RuntimeError, KeyError) as error:
            raise ValueError(
                f"{path} is no whole HDF5 file ({error}): make or fetch it again."
            ) from error
        # The file is closed again: an open handle does not survive a fork or a pickle.
        return names, lambda name: Hdf5Rows(path, name), class_names


@register_dataset("zarr")
class Zarr(_Arrays):
    """Any Zarr group of images and labels; the images stay in it."""

    kind = "zarr"

    def _open(
        self, path: Path, labels: str | None
    ) -> tuple[list[str], Callable[[str], Any], tuple[str, ...]]:
        zarr = require("zarr", "Reading Zarr")
        try:
            group = zarr.open_group(str(path), mode="r")
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{path} is no Zarr group ({error}): give the folder that holds the "
                "arrays."
            ) from error
        return (
            sorted(group.array_keys()),
            group.__getitem__,
            _texts(group.attrs.get("class_names", ())),
        )


@register_dataset("npz")
class Npz(_Arrays):
    """Any .npz file of images and labels; it is read whole."""

    kind = "npz"

    def _open(
        self, path: Path, labels: str | None
    ) -> tuple[list[str], Callable[[str], Any], tuple[str, ...]]:
        content = read_numpy(path)
        if not isinstance(content, Mapping):
            raise ValueError(
                f"{path} is no .npz file, it holds one array: load it as 'npy'."
            )
        class_names = _texts(content["class_names"]) if "class_names" in content else ()
        return list(content), content.__getitem__, class_names


@register_dataset("npy")
class Npy(_Arrays):
    """Any .npy file of images with one of labels, or a folder of such files.

    The images stay on disk.
    """

    kind = "npy"

    def _open(
        self, path: Path, labels: str | None
    ) -> tuple[list[str], Callable[[str], Any], tuple[str, ...]]:
        folder = path if path.is_dir() else path.parent
        # Sorted: the order of a folder differs between file systems.
        files = {file.stem: file for file in sorted(folder.glob("*.npy"))}
        class_file = folder / "class_names.txt"
        class_names = (
            tuple(class_file.read_text(encoding="utf-8").splitlines())
            if class_file.is_file()
            else ()
        )
        return (
            list(files),
            lambda name: read_numpy(files[name], mmap_mode="r"),
            class_names,
        )

    def load(
        self,
        data_dir: Path | None,
        *,
        images: str | None = None,
        labels: str | None = None,
        test_images: str | None = None,
        test_labels: str | None = None,
    ) -> ImageData:
        """Read a folder's files by their names without ``.npy``.

        Or the images' file, and ``labels`` beside it.
        """
        given = (images, labels, test_images, test_labels)
        images, labels, test_images, test_labels = (
            None if n is None else n.removesuffix(".npy") for n in given
        )
        if data_dir is not None and data_dir.is_file() and images is None:
            if labels is None:
                raise ValueError(
                    f"npy: {data_dir.name} holds the images; name the file beside it "
                    "with labels=."
                )
            images = data_dir.stem
        return super().load(
            data_dir,
            images=images,
            labels=labels,
            test_images=test_images,
            test_labels=test_labels,
        )


def _whole(path: Path, name: str, read: Callable[[str], Any]) -> np.ndarray:
    try:
        return np.asarray(read(name)[:])
    except (OSError, RuntimeError) as error:  # Zarr's codecs raise the latter
        raise ValueError(
            f"{path}: {name!r} is damaged ({error}): make or fetch it again."
        ) from error


def _choose(
    path: Path,
    names: list[str],
    images: str | None,
    labels: str | None,
    test_images: str | None,
    test_labels: str | None,
) -> tuple[str, str, str | None, str | None]:
    if (test_images is None) != (test_labels is None):
        raise ValueError("A test set has test_images and test_labels; give both.")
    listed = ", ".join(names) or "no arrays"
    for name in (images, labels, test_images, test_labels):
        if name is not None and name not in names:
            raise ValueError(f"{path} has no {name!r}; it has {listed}.")
    if images is not None and labels is not None:
        return images, labels, test_images, test_labels
    # The first pair that fits; of names the caller gave, only the other half is sought.
    for usual in _USUAL:
        X, y = images or usual[0], labels or usual[1]
        if X in names and y in names:
            # A test set is taken whole or not at all.
            both = test_images is None and usual[2] in names and usual[3] in names
            return X, y, *((usual[2], usual[3]) if both else (test_images, test_labels))
    raise ValueError(
        f"{path} has {listed}: say which are what with images=, labels=, "
        "test_images=, test_labels=."
    )


def _texts(values: Any) -> tuple[str, ...]:
    # HDF5 gives text as bytes, Zarr as text.
    return tuple(
        value.decode() if isinstance(value, bytes) else str(value)
        for value in np.asarray(values).tolist()
    )
