"""Folders of class folders: one's own, and ImageNet's."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np

from al_sklearn._core.types import Array
from al_sklearn.datasets._base import (
    DataSource,
    ImageData,
    existing,
    register_dataset,
)

IMAGE_SUFFIXES = (
    ".bmp",
    ".gif",
    ".jpeg",
    ".jpg",
    ".png",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)


@register_dataset("folder")
class Folder(DataSource):
    """Any folder of class folders of images, or of train and test folders.

    Train and test folders hold class folders in turn.
    """

    def load(self, data_dir: Path | None) -> ImageData:
        """List the files; labels are the folders' names."""
        must_be = "folder: data_dir must be a folder of class folders of images"
        data_dir = existing(data_dir, must_be, Path.is_dir)
        # Resolved: "." has no name.
        name = data_dir.resolve().name
        train, test = data_dir / "train", data_dir / "test"
        # One of them alone may be a class.
        if not (train.is_dir() and test.is_dir()):
            return ImageData(name, *files_by_class(data_dir))
        X_train, y_train = files_by_class(train)
        X_test, y_test = files_by_class(test)
        if unknown := sorted({*y_test.tolist()} - {*y_train.tolist()}):
            raise ValueError(
                f"{data_dir}: the test folder has classes that the train folder "
                f"lacks: {', '.join(unknown)}."
            )
        return ImageData(name, X_train, y_train, X_test, y_test)


@register_dataset("imagenet")
class ImageNet(DataSource):
    """ImageNet and what is laid out like it.

    Train and val folders of synsets, as files.
    """

    def load(self, data_dir: Path | None) -> ImageData:
        """List the files of ``train`` and ``val``.

        Labels follow the sorted synsets, names are words where known.

        ``val`` has class folders too, or all its images in one folder and their synsets
        in ``LOC_val_solution.csv``. Words are read from ``LOC_synset_mapping.txt`` or
        ``words.txt``.
        """
        must_be = "imagenet: data_dir must be a folder with train and val below it"
        data_dir = existing(data_dir, must_be, Path.is_dir)
        # Kaggle's archive puts it four folders down.
        roots = (data_dir, data_dir / "ILSVRC" / "Data" / "CLS-LOC")
        root = next((root for root in roots if (root / "train").is_dir()), None)
        if root is None:
            raise FileNotFoundError(
                f"imagenet: no folder train in {data_dir}, nor in ILSVRC/Data/CLS-LOC "
                "below it."
            )
        X_train, y_train = files_by_class(root / "train")
        X_test, y_test = None, None
        synsets, codes = np.unique(y_train, return_inverse=True)
        if (root / "val").is_dir():
            X_test, names = _validation(root / "val", (data_dir, root))
            unknown = np.setdiff1d(names, synsets)
            if len(unknown):
                raise ValueError(
                    f"{root / 'val'} has {len(unknown)} synsets that the train folder "
                    f"lacks; the first is {unknown[0]}."
                )
            # In the training set's order: the test set may lack some of its classes.
            y_test = np.searchsorted(synsets, names).astype(np.int64)
        words = _words((data_dir, root))
        class_names = tuple(words.get(synset, synset) for synset in synsets.tolist())
        return ImageData(
            "imagenet", X_train, codes.astype(np.int64), X_test, y_test, class_names
        )


def files_by_class(folder: Path) -> tuple[list[str], Array]:
    """Return the images below each class folder, in a fixed order, and labels.

    The labels are the folders' names.

    Raises
    ------
    FileNotFoundError
        When there are none.
    """
    paths: list[str] = []
    labels: list[str] = []
    # One look at each folder: a Path for each file would take minutes over a million.
    for class_folder in _subfolders(folder):
        files = [
            os.path.join(parent, file)
            for parent, _, files in os.walk(folder / class_folder, followlinks=True)
            for file in files
            if is_image(file)
        ]
        # In one order on every file system: splits are positions.
        paths += sorted(files)
        labels += [class_folder] * len(files)
    if not paths:
        raise FileNotFoundError(
            f"{folder} holds no class folders with images "
            f"({', '.join(IMAGE_SUFFIXES)}); one folder a class is needed."
        )
    return paths, np.array(labels)


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir())


def is_image(file: str) -> bool:
    """Whether a file's name says that it is an image.

    ``._x.jpg``, which macOS leaves behind, is none.
    """
    return file.lower().endswith(IMAGE_SUFFIXES) and not file.startswith("._")


def _validation(folder: Path, roots: tuple[Path, ...]) -> tuple[list[str], Array]:
    if _subfolders(folder):
        return files_by_class(folder)
    solution = _first_file(roots, "LOC_val_solution.csv")
    if solution is None:
        raise FileNotFoundError(
            f"imagenet: the images in {folder} are not in class folders, and there is "
            f"no LOC_val_solution.csv in {roots[0]} to say what they show; sort them "
            "into class folders, or put that file there."
        )
    with solution.open(newline="") as file:
        # PredictionString is synset and box, for each object; all objects of an image
        # are of one synset.
        known = {
            row["ImageId"]: row["PredictionString"].split()[0]
            for row in csv.DictReader(file)
        }
    files = sorted(filter(is_image, os.listdir(folder)))
    # Without their suffixes: the solution names images, not files.
    labels = [known.get(file.rpartition(".")[0]) for file in files]
    if None in labels or not files:
        missing = files[labels.index(None)] if files else "any image"
        raise ValueError(f"{solution} says nothing of {missing} in {folder}.")
    return [str(folder / file) for file in files], np.array(labels)


def _words(roots: tuple[Path, ...]) -> dict[str, str]:
    """Words for synsets: the first of those that mean the same."""
    path = _first_file(roots, "LOC_synset_mapping.txt", "words.txt")
    if path is None:
        return {}
    # Kaggle's file has a space behind the synset, WordNet's a tab.
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = [line.split(maxsplit=1) for line in lines]
    return {
        pair[0]: pair[1].partition(",")[0].strip() for pair in pairs if len(pair) == 2
    }


def _first_file(roots: tuple[Path, ...], *names: str) -> Path | None:
    paths = (root / name for root in roots for name in names)
    return next(filter(Path.is_file, paths), None)
