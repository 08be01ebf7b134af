"""MNIST, and what has its format: Fashion-MNIST, EMNIST."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from al_sklearn._core.checks import unknown_name
from al_sklearn._core.types import Array
from al_sklearn.datasets._base import DataSource, ImageData, register_dataset
from al_sklearn.datasets._download import Remote, fetch, fetch_archive
from al_sklearn.datasets._idx import read_idx
from al_sklearn.datasets._published import given, range_outside

_DIGITS = tuple(string.digits)
_LETTERS = tuple(string.ascii_uppercase)
# EMNIST merges the capital and the small letter where they look alike; these do not.
_UNMERGED = tuple("abdefghnqrt")
EMNIST_CLASSES = {
    "balanced": _DIGITS + _LETTERS + _UNMERGED,
    "byclass": _DIGITS + _LETTERS + tuple(string.ascii_lowercase),
    "bymerge": _DIGITS + _LETTERS + _UNMERGED,
    "digits": _DIGITS,
    "letters": tuple(string.ascii_lowercase),
    "mnist": _DIGITS,
}
# Images and labels to train with, then to test with.
IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


class _Idx(DataSource):
    """Four idx files: images and labels for training and testing."""

    name: str
    folder: str  # torchvision's, below data_dir
    class_names: tuple[str, ...]
    remotes: ClassVar[dict[str, Remote]]
    hint = ""

    def load(self, data_dir: Path | None) -> ImageData:
        """Read the four files."""
        return self._read(self.name, data_dir, IDX_FILES, self.class_names)

    def download(self, data_dir: Path, **options: Any) -> None:
        """Fetch the files that are missing into torchvision's layout."""
        for file, remote in self.remotes.items():
            path = data_dir / self.folder / "raw" / file
            # One that is there as it comes is compared; unpacked ones are taken as they
            # are.
            if path.is_file() or self._find(data_dir, file.removesuffix(".gz")) is None:
                fetch(remote, path)

    def _find(self, data_dir: Path, file: str) -> Any:
        raw = data_dir / self.folder / "raw"
        # The caller's, torchvision's, and those that EMNIST's archive unpacks to.
        for place in (data_dir, raw, data_dir / "raw", data_dir / "gzip", raw / "gzip"):
            for path in (place / f"{file}.gz", place / file):
                if path.is_file():
                    return path
        return None

    def _read(
        self,
        name: str,
        data_dir: Path | None,
        files: tuple[str, ...],
        class_names: tuple[str, ...],
        *,
        first: int = 0,
    ) -> ImageData:
        folder = given(name, data_dir)
        paths = [self._find(folder, file) for file in files]
        if None in paths:
            file = files[paths.index(None)]
            raise FileNotFoundError(
                f"{name}: no {file} or {file}.gz in {folder}, nor in {self.folder}/raw "
                f"below it; give the folder with the files as data_dir{self.hint}, or "
                "download=True."
            )
        parts: list[Any] = []
        for images_path, labels_path in (paths[:2], paths[2:]):
            images = read_idx(images_path)
            labels = read_idx(labels_path).astype(np.int64)
            if images.ndim != 3 or labels.shape != (len(images),):
                raise ValueError(
                    f"{name}: images of shape {images.shape} in {images_path} do not "
                    f"match labels of shape {labels.shape} in {labels_path}."
                )
            labels -= first
            if found := range_outside(labels, 0, len(class_names)):
                raise ValueError(
                    f"{labels_path} has labels from {found}, but {name} has "
                    f"{len(class_names)} classes: is it the file of another data set?"
                )
            parts += [self._upright(images), labels]
        X_train, y_train, X_test, y_test = parts
        # Without the split, which is no part of the data set's name.
        short = name.partition(" ")[0]
        return ImageData(short, X_train, y_train, X_test, y_test, class_names)

    def _upright(self, images: Array) -> Array:
        return images


def _remotes(mirrors: tuple[str, ...], checksums: tuple[str, ...]) -> dict[str, Remote]:
    return {
        f"{file}.gz": Remote(
            tuple(f"{mirror}{file}.gz" for mirror in mirrors), f"md5:{checksum}"
        )
        for file, checksum in zip(IDX_FILES, checksums, strict=True)
    }


@register_dataset("mnist")
class Mnist(_Idx):
    """60,000 + 10,000 handwritten digits, 28x28 grey."""

    name = "mnist"
    folder = "MNIST"
    class_names = _DIGITS
    # As torchvision has it: a copy first, the author's own site where that fails.
    remotes = _remotes(
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "http://yann.lecun.com/exdb/mnist/",
        ),
        (
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
    )


@register_dataset("fashion-mnist")
class FashionMnist(_Idx):
    """60,000 + 10,000 pictures of clothes in ten classes, 28x28 grey."""

    name = "fashion-mnist"
    # Where Debian's package dataset-fashion-mnist puts them.
    data_dir = Path("/usr/share/datasets/fashion-mnist")
    hint = " (Debian's package dataset-fashion-mnist brings these)"
    folder = "FashionMNIST"
    class_names = (
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
    remotes = _remotes(
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        (
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
    )


@register_dataset("emnist")
class Emnist(_Idx):
    """Handwritten letters and digits, 28x28 grey, in six splits.

    The split ``balanced`` has 47 classes.
    """

    folder = "EMNIST"
    remote = Remote(
        ("https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",),
        "md5:58c8d27c78d21e728a6bc7b3cc06412e",
    )

    def load(self, data_dir: Path | None, *, split: str = "balanced") -> ImageData:
        """Read one of the splits balanced, byclass, bymerge, digits, letters, mnist."""
        return self._read(
            f"emnist ({split})",
            data_dir,
            emnist_files(split),
            EMNIST_CLASSES[split],
            # The letters alone begin at 1.
            first=int(split == "letters"),
        )

    def download(
        self, data_dir: Path, *, split: str = "balanced", **options: Any
    ) -> None:
        """Fetch the archive, which has all splits."""
        if any(self._find(data_dir, file) is None for file in emnist_files(split)):
            fetch_archive(self.remote, data_dir / self.folder / "raw")

    def _upright(self, images: Array) -> Array:
        # EMNIST was converted in Matlab: its images are stored column by column.
        return np.ascontiguousarray(images.swapaxes(1, 2))


def emnist_files(split: str) -> tuple[str, ...]:
    """Return the names of a split's four files.

    Raises
    ------
    ValueError
        For an unknown split; those that exist are listed.
    """
    if split not in EMNIST_CLASSES:
        raise unknown_name("split of EMNIST", split, EMNIST_CLASSES)
    return tuple(f"emnist-{split}-{file.replace('t10k', 'test')}" for file in IDX_FILES)
