"""What the loaders of published data sets share: where files lie, ranges of labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from al_sklearn._core.types import Array
from al_sklearn.datasets._base import DataSource
from al_sklearn.datasets._download import Remote, compare_checksums, fetch_archive

# Images and their labels.
Labelled = tuple[np.ndarray, np.ndarray]


def given(name: str, data_dir: Path | None) -> Path:
    """Return ``data_dir``, which a data set of files must be given."""
    if data_dir is None:
        raise FileNotFoundError(
            f"{name} is read from files: give data_dir, the folder they are in or may "
            "be put in."
        )
    return data_dir


def range_outside(labels: Array, first: int, n_classes: int) -> str:
    """Return the labels' range in words where it leaves the classes', else nothing.

    No checksum is compared in an ordinary load, and a damaged file, or that of another
    data set, may still hold an array of the right shape.
    """
    # Of no labels there is no smallest.
    if not labels.size or first <= labels.min() <= labels.max() < first + n_classes:
        return ""
    return f"{labels.min()} to {labels.max()}"


def check_from_one(path: Path, labels: Array, n_classes: int) -> None:
    """Check labels that are counted from 1, as Matlab does.

    Raises
    ------
    ValueError
        When one of them is outside; the file is named.
    """
    if found := range_outside(labels, 1, n_classes):
        raise ValueError(
            f"{path} should have labels from 1 to {n_classes}, it has {found}."
        )


class Archive(DataSource):
    """Base of a data set that one archive brings, in a folder of its own.

    Attributes
    ----------
    name : str
        For errors.
    folder : str
        What the archive unpacks to.
    needed : tuple of str
        The files below it that a load cannot do without.
    checksums : dict of str
        Of the files, by their names.
    """

    name: str
    folder: str
    needed: tuple[str, ...]
    remote: Remote
    checksums: ClassVar[dict[str, str]]

    def verify(self, data_dir: Path) -> None:
        """Compare the files with their checksums.

        Nothing else would tell that a pixel has changed.
        """
        compare_checksums(self._folder(data_dir), self.checksums)

    def download(self, data_dir: Path, **options: Any) -> None:
        """Fetch and unpack the archive, unless its files are there."""
        # In either place: unpacked by us, or by the caller without the folder.
        for folder in (data_dir / self.folder, data_dir):
            if all((folder / file).is_file() for file in self.needed):
                return
        fetch_archive(self.remote, data_dir)

    def _whole_folder(self, data_dir: Path | None) -> Path:
        """Return the folder of the files, all of which are there."""
        folder = self._folder(given(self.name, data_dir))
        for file in self.needed:
            if not (folder / file).is_file():
                raise FileNotFoundError(
                    f"{self.name}: no {file} in {folder}; give the folder with "
                    f"{self.folder} as data_dir, or download=True."
                )
        return folder

    def _folder(self, data_dir: Path) -> Path:
        below = data_dir / self.folder
        return below if below.is_dir() else data_dir
