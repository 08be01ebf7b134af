"""MNIST, and what has its format: Fashion-MNIST, EMNIST."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import numpy as np

from al_sklearn._core.checks import unknown_name
from al_sklearn.datasets._base import DataSource, ImageData, register_dataset
from al_sklearn.datasets._download import Remote, extract, fetch
from al_sklearn.datasets._idx import read_idx

_DIGITS = tuple(string.digits)
_FASHION = (
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
# EMNIST merges the capital and the small letter where they look alike.
_UNMERGED = tuple("abdefghnqrt")
_LETTERS = tuple(string.ascii_uppercase)
_EMNIST = {
    "balanced": _DIGITS + _LETTERS + _UNMERGED,
    "byclass": _DIGITS + _LETTERS + tuple(string.ascii_lowercase),
    "bymerge": _DIGITS + _LETTERS + _UNMERGED,
    "digits": _DIGITS,
    "letters": tuple(string.ascii_lowercase),
    "mnist": _DIGITS,
}
_FILES = tuple(
    f"{split}-{kind}"
    for split in ("train", "t10k")
    for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
)


class _Idx(DataSource):
    """Four idx files: images and labels for training and testing."""

    folder: str  # torchvision's, below data_dir
    class_names: tuple[str, ...]
    remotes: dict[str, Remote]

    def load(self, data_dir: Path | None) -> ImageData:
        """Read the four files."""
        name = self.folder.lower() if self.folder == "MNIST" else "fashion-mnist"
        return _read(name, data_dir, self.folder, _FILES, self.class_names)

    def download(self, data_dir: Path, **options: Any) -> None:
        """Fetch the files that are missing into torchvision's layout."""
        for file, remote in self.remotes.items():
            if _find(data_dir, self.folder, file.removesuffix(".gz")) is None:
                fetch(remote, data_dir / self.folder / "raw" / file)


def _remotes(mirrors: tuple[str, ...], checksums: tuple[str, ...]) -> dict[str, Remote]:
    return {
        f"{file}.gz": Remote(
            tuple(f"{mirror}{file}.gz" for mirror in mirrors), f"md5:{checksum}"
        )
        for file, checksum in zip(_FILES, checksums, strict=True)
    }


@register_dataset("mnist")
class Mnist(_Idx):
    """60,000 + 10,000 handwritten digits, 28x28 grey."""

    folder = "MNIST"
    class_names = _DIGITS
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

    # Where Debian's package dataset-fashion-mnist puts them.
    data_dir = Path("/usr/share/datasets/fashion-mnist")
    folder = "FashionMNIST"
    class_names = _FASHION
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
class Emnist(DataSource):
    """Handwritten letters and digits, 28x28 grey, in six splits.

    The split ``balanced`` has 47 classes.
    """

    remote = Remote(
        ("https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",),
        "md5:58c8d27c78d21e728a6bc7b3cc06412e",
    )

    def load(self, data_dir: Path | None, *, split: str = "balanced") -> ImageData:
        """Read one of the splits balanced, byclass, bymerge, digits, letters, mnist."""
        files = self._files(split)
        return _read(
            f"emnist ({split})",
            data_dir,
            "EMNIST",
            files,
            _EMNIST[split],
            split == "letters",
        )

    def download(
        self, data_dir: Path, *, split: str = "balanced", **options: Any
    ) -> None:
        """Fetch the archive, which has all splits."""
        if any(_find(data_dir, "EMNIST", file) is None for file in self._files(split)):
            raw = data_dir / "EMNIST" / "raw"
            extract(fetch(self.remote, raw / "gzip.zip"), raw)

    @staticmethod
    def _files(split: str) -> tuple[str, ...]:
        if split not in _EMNIST:
            raise unknown_name("split of EMNIST", split, _EMNIST)
        return tuple(
            f"emnist-{split}-{file.replace('t10k', 'test')}" for file in _FILES
        )


def _read(
    name: str,
    data_dir: Path | None,
    folder: str,
    files: tuple[str, ...],
    class_names: tuple[str, ...],
    from_one: bool = False,
) -> ImageData:
    if data_dir is None:
        raise FileNotFoundError(
            f"{name} is read from files: give data_dir, the folder they are in or may "
            "be put in."
        )
    paths = [_find(data_dir, folder, file) for file in files]
    for file, path in zip(files, paths, strict=True):
        if path is None:
            debian = (
                " (Debian's package dataset-fashion-mnist brings these)"
                if folder == "FashionMNIST"
                else ""
            )
            raise FileNotFoundError(
                f"{name}: no {file} or {file}.gz in {data_dir}, nor in {folder}/raw "
                "below it; give the folder with the "
                f"files as data_dir{debian}, or download=True."
            )
    parts = []
    for images_path, labels_path in (paths[:2], paths[2:]):
        images, labels = read_idx(images_path), read_idx(labels_path).astype(np.int64)  # type: ignore[arg-type]
        if images.ndim != 3 or labels.shape != (len(images),):
            raise ValueError(
                f"{name}: images of shape {images.shape} in {images_path} do not "
                f"match labels of shape {labels.shape} "
                f"in {labels_path}."
            )
        # EMNIST's letters alone begin at 1.
        labels -= int(from_one)
        if labels.size and not 0 <= labels.min() <= labels.max() < len(class_names):
            raise ValueError(
                f"{labels_path} has labels from {labels.min()} to {labels.max()}, but "
                f"{name} has "
                f"{len(class_names)} classes: is it the file of another data set?"
            )
        # EMNIST's images are stored column by column.
        parts += [
            np.ascontiguousarray(images.transpose(0, 2, 1))
            if folder == "EMNIST"
            else images,
            labels,
        ]
    return ImageData(
        name.partition(" ")[0], parts[0], parts[1], parts[2], parts[3], class_names
    )


def _find(data_dir: Path, folder: str, file: str) -> Path | None:
    raw = data_dir / folder / "raw"
    for place in (data_dir, raw, data_dir / "raw", data_dir / "gzip", raw / "gzip"):
        for suffix in (".gz", ""):
            if (place / (file + suffix)).is_file():
                return place / (file + suffix)
    return None
