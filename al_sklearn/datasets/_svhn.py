"""SVHN: house numbers cropped to single digits, in files of MATLAB."""

from __future__ import annotations

import string
import zlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from al_sklearn._core.types import Array
from al_sklearn.datasets._base import DataSource, ImageData, register_dataset
from al_sklearn.datasets._download import Remote, fetch
from al_sklearn.datasets._published import Labelled, check_from_one, given


def read_mat(path: Path, *keys: str) -> tuple[Array, ...]:
    """Read arrays from a ``.mat`` file.

    Raises
    ------
    ValueError
        When the file is damaged, or lacks one of the arrays.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    # What scipy's reader raises on files cut short or no .mat at all.
    damaged = (
        MatReadError,
        OSError,
        TypeError,
        ValueError,
        LookupError,
        NotImplementedError,
        zlib.error,
    )
    try:
        content = loadmat(path, variable_names=keys)
    except damaged as error:
        raise ValueError(
            f"{path} is no whole .mat file ({error}): delete it, and fetch it again."
        ) from error
    for key in keys:
        if key not in content:
            raise ValueError(
                f"{path} lacks {key!r}: is it the file of another data set?"
            )
    return tuple(content[key] for key in keys)


@register_dataset("svhn")
class Svhn(DataSource):
    """73,257 + 26,032 digits of house numbers, 32x32 colour.

    With ``extra=True`` there are 531,131 easier ones besides.
    """

    remotes: ClassVar[dict[str, Remote]] = {
        split: Remote(
            (f"http://ufldl.stanford.edu/housenumbers/{split}_32x32.mat",),
            f"md5:{checksum}",
        )
        for split, checksum in (
            ("train", "e26dedcc434d2e4c54c9b2d4a06d8373"),
            ("test", "eb5a983be6a315427106f1b164d9cef3"),
            ("extra", "a93ce644f1a588dc4d68dda5feec44a7"),
        )
    }

    def load(self, data_dir: Path | None, *, extra: bool = False) -> ImageData:
        """Read the files into memory.

        With ``extra`` its images follow those of the training set (1.9 GB in all).
        """
        folder = given("svhn", data_dir)
        # Behind the others: positions in the training set mean the same with and
        # without them.
        splits = ("train", "extra") if extra else ("train",)
        parts = [_split(folder, split) for split in splits]
        X_train, y_train = (np.concatenate(part) for part in zip(*parts, strict=True))
        return ImageData(
            "svhn", X_train, y_train, *_split(folder, "test"), tuple(string.digits)
        )

    def download(self, data_dir: Path, *, extra: bool = False, **options: Any) -> None:
        """Fetch the files that are missing."""
        for split, remote in self.remotes.items():
            if extra or split != "extra":
                fetch(remote, data_dir / remote.name)


def _split(data_dir: Path, split: str) -> Labelled:
    """Return images (n, 32, 32, 3) and labels of a file."""
    path = data_dir / f"{split}_32x32.mat"
    if not path.is_file():
        raise FileNotFoundError(
            f"svhn: no {path.name} in {data_dir}; give the folder with the files as "
            "data_dir, or download=True."
        )
    images, labels = read_mat(path, "X", "y")
    # A column: Matlab knows no arrays of one axis.
    labels = labels.astype(np.int64).reshape(-1)
    if images.shape != (32, 32, 3, len(labels)):
        raise ValueError(
            f"{path} should hold images (32, 32, 3, n) and n labels, it holds "
            f"{images.shape} and {len(labels)}."
        )
    # Before 10 becomes 0, which would hide an 11.
    check_from_one(path, labels, 10)
    # The digit 0 has the label 10 in these files.
    return np.ascontiguousarray(images.transpose(3, 0, 1, 2)), labels % 10
