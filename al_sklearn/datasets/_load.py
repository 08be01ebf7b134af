"""``load_dataset``: a name in, training and test images out."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from al_sklearn._errors import unknown_name
from al_sklearn.datasets._idx import read_idx
from al_sklearn.pool import n_rows

_FASHION_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
# Where Debian's package dataset-fashion-mnist puts its files.
_DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")
_IMAGE_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True)
class ImageData:
    """Images and labels for training and testing.

    Attributes
    ----------
    name : str
    X_train : images
        What the pool is made of: uint8 (n, H, W) or (n, H, W, C), or a list of file paths.
    y_train : ndarray of shape (n,)
        Labels: positions in ``class_names``, or names for folders.
    X_test, y_test : the same, or None
        ``None`` where the data set brings no test set.
    class_names : tuple of str
    """

    name: str
    X_train: Any
    y_train: np.ndarray
    X_test: Any
    y_test: np.ndarray | None
    class_names: tuple[str, ...]

    def __repr__(self) -> str:
        test = "no test set" if self.X_test is None else f"{n_rows(self.X_test):,} to test"
        return f"ImageData({self.name!r}: {n_rows(self.X_train):,} to train, {test}, {len(self.class_names)} classes)"


def load_dataset(name: str, data_dir: str | os.PathLike[str] | None = None, *, download: bool = False) -> ImageData:
    """Load a data set by name.

    Parameters
    ----------
    name : {"digits", "fashion-mnist", "mnist", "folder"}
        ``digits`` are scikit-learn's 1,797 8x8 images and need no files. ``fashion-mnist`` and ``mnist`` are read from
        gzipped or plain idx files, directly in ``data_dir`` or in torchvision's layout below it. ``folder`` is any
        folder of class folders of images, or one with ``train`` and ``test`` folders of these; its X are file paths,
        read when they are needed.
    data_dir : path, optional
        Where the files are. For ``fashion-mnist`` the folder of Debian's package ``dataset-fashion-mnist`` by default.
    download : bool, default=False
        Let torchvision fetch the files into ``data_dir`` when they are not there.

    Returns
    -------
    ImageData

    Raises
    ------
    ValueError
        For an unknown name (those that exist are listed), a damaged file, or images and labels that do not match.
    FileNotFoundError
        When files are missing; which, and what to do.

    Examples
    --------
    >>> load_dataset("digits")
    ImageData('digits': 1,437 to train, 360 to test, 10 classes)
    """
    if name not in _LOADERS:
        raise unknown_name("data set", name, _LOADERS)
    return _LOADERS[name](None if data_dir is None else Path(data_dir), download)


def dataset_names() -> list[str]:
    """Return the names that :func:`load_dataset` knows."""
    return sorted(_LOADERS)


def _digits(data_dir: Path | None, download: bool) -> ImageData:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    X_train, X_test, y_train, y_test = train_test_split(
        images, bunch.target, test_size=360, stratify=bunch.target, random_state=0
    )
    return ImageData("digits", X_train, y_train, X_test, y_test, tuple(map(str, range(10))))


def _fashion_mnist(data_dir: Path | None, download: bool) -> ImageData:
    if data_dir is None and not download:
        data_dir = _DEBIAN_FASHION
    return _mnist_like("fashion-mnist", "FashionMNIST", data_dir, download, _FASHION_NAMES)


def _mnist(data_dir: Path | None, download: bool) -> ImageData:
    return _mnist_like("mnist", "MNIST", data_dir, download, tuple(map(str, range(10))))


def _mnist_like(
    name: str, torchvision_name: str, data_dir: Path | None, download: bool, class_names: tuple[str, ...]
) -> ImageData:
    if data_dir is None:
        raise FileNotFoundError(f"{name} is read from files: give data_dir, the folder they are in or may be put in.")
    if download:
        import torchvision

        for train in (True, False):
            getattr(torchvision.datasets, torchvision_name)(str(data_dir), train=train, download=True)
    parts = []
    for split in ("train", "t10k"):
        images = read_idx(_find(name, data_dir, torchvision_name, f"{split}-images-idx3-ubyte"))
        labels = read_idx(_find(name, data_dir, torchvision_name, f"{split}-labels-idx1-ubyte"))
        if images.ndim != 3 or labels.shape != (len(images),):
            raise ValueError(
                f"{name} in {data_dir} ({split}): images of shape {images.shape} do not match labels of shape "
                f"{labels.shape}."
            )
        parts += [images, labels.astype(np.int64)]
    return ImageData(name, parts[0], parts[1], parts[2], parts[3], class_names)


def _find(name: str, data_dir: Path, torchvision_name: str, file: str) -> Path:
    for folder in (data_dir, data_dir / torchvision_name / "raw", data_dir / "raw"):
        for suffix in (".gz", ""):
            if (folder / (file + suffix)).is_file():
                return folder / (file + suffix)
    raise FileNotFoundError(
        f"{name}: no {file} or {file}.gz in {data_dir}, nor in {torchvision_name}/raw below it; give the folder "
        "with the files as data_dir (Debian's package dataset-fashion-mnist brings those of fashion-mnist), or "
        "download=True."
    )


def _folder(data_dir: Path | None, download: bool) -> ImageData:
    if data_dir is None or not data_dir.is_dir():
        raise FileNotFoundError(f"folder: data_dir must be a folder of class folders of images, got {data_dir}.")
    if download:
        raise ValueError("A folder of images cannot be downloaded: leave out download.")
    train = data_dir / "train"
    if train.is_dir() and (data_dir / "test").is_dir():
        X_train, y_train = _files_by_class(train)
        X_test, y_test = _files_by_class(data_dir / "test")
        unknown = sorted(set(y_test) - set(y_train))
        if unknown:
            raise ValueError(
                f"{data_dir}: the test folder has classes that the train folder lacks: {', '.join(unknown)}."
            )
        return ImageData(data_dir.name, X_train, y_train, X_test, y_test, tuple(sorted(set(y_train))))
    X, y = _files_by_class(data_dir)
    return ImageData(data_dir.name, X, y, None, None, tuple(sorted(set(y))))


def _files_by_class(folder: Path) -> tuple[list[str], np.ndarray]:
    """Paths of the images below each class folder, in a fixed order, with the folders' names as labels."""
    paths, labels = [], []
    for class_folder in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = sorted(path for path in class_folder.rglob("*") if path.suffix.lower() in _IMAGE_SUFFIXES)
        paths += [str(path) for path in files]
        labels += [class_folder.name] * len(files)
    if not paths:
        raise FileNotFoundError(
            f"{folder} holds no class folders with images ({', '.join(sorted(_IMAGE_SUFFIXES))}); one folder a class "
            "is needed."
        )
    return paths, np.array(labels)


_LOADERS: dict[str, Callable[[Path | None, bool], ImageData]] = {
    "digits": _digits,
    "fashion-mnist": _fashion_mnist,
    "folder": _folder,
    "mnist": _mnist,
}
