"""Stanford Dogs: photos of 120 breeds, with its own lists for training and testing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from al_sklearn._core.types import Array
from al_sklearn.datasets._base import DataSource, ImageData, register_dataset
from al_sklearn.datasets._download import Remote, fetch_archive
from al_sklearn.datasets._svhn import read_mat

_SITE = "http://vision.stanford.edu/aditya86/ImageNetDogs/"
# Archive -> one thing that it unpacks to, and its SHA-256.
_ARCHIVES = {
    "lists.tar": (
        "train_list.mat",
        "34b47cacd9a98b5d150e084f24d29391c084c55272295ec65c85651bc35f4d6c",
    ),
    "annotation.tar": (
        "Annotation",
        "662ed36f707be6b195c2fda392d8e153e83af28cedc8e2134a649f198def30fd",
    ),
    "images.tar": (
        "Images",
        "a443fc2f9a851aa1a7b8e4fa4af94b8459fce2c9f5a2f4dd4669cf9673a4ec58",
    ),
}


@register_dataset("stanford-dogs")
class StanfordDogs(DataSource):
    """12,000 + 8,580 photos of dogs of 120 breeds, as files."""

    def load(self, data_dir: Path | None) -> ImageData:
        """Read ``train_list.mat`` and ``test_list.mat``.

        The images are the files below ``Images``.
        """
        if data_dir is None or not (data_dir / "Images").is_dir():
            raise FileNotFoundError(
                f"stanford-dogs: no folder Images in {data_dir}; give the folder with "
                "Images, train_list.mat and test_list.mat as data_dir, or "
                "download=True."
            )
        X_train, y_train, train_breeds = _listed(data_dir, "train")
        X_test, y_test, test_breeds = _listed(data_dir, "test")
        breeds = train_breeds | test_breeds
        # Lists that were cut down may lack a breed: its number is its name then, so
        # that the labels of the others stay what they are.
        names = tuple(breeds.get(i, str(i)) for i in range(max(breeds) + 1))
        return ImageData("stanford-dogs", X_train, y_train, X_test, y_test, names)

    def download(self, data_dir: Path, **options: Any) -> None:
        """Fetch and unpack the archives whose contents are missing."""
        for archive, (inside, checksum) in _ARCHIVES.items():
            if not (data_dir / inside).exists():
                remote = Remote((_SITE + archive,), f"sha256:{checksum}")
                fetch_archive(remote, data_dir)


def _listed(data_dir: Path, split: str) -> tuple[list[str], Array, dict[int, str]]:
    """Files, labels from 0, and each label's breed, of a list of the data set.

    The lists are ``train_list.mat`` and ``test_list.mat``.
    """
    path = data_dir / f"{split}_list.mat"
    if not path.is_file():
        raise FileNotFoundError(
            f"stanford-dogs: no {path.name} in {data_dir}; it is in lists.tar."
        )
    files, labels = read_mat(path, "file_list", "labels")
    # A cell array comes as an array of arrays of one str each.
    names = [str(np.ravel(cell)[0]) for cell in files.flat]
    # Matlab counts from 1, and in floating point.
    codes = labels.astype(np.int64).reshape(-1) - 1
    if len(names) != len(codes) or (codes < 0).any():
        raise ValueError(
            f"{path} should hold as many labels from 1 as files, it holds "
            f"{len(names)} and {len(codes)}."
        )
    breeds = {}
    for name, code in zip(names, codes.tolist(), strict=True):
        # n02085620-Chihuahua/n02085620_5927.jpg; some breeds have hyphens of their own.
        folder = name.partition("/")[0]
        breeds[code] = folder.partition("-")[2].replace("_", " ") or folder
    return [os.path.join(data_dir, "Images", name) for name in names], codes, breeds
