"""Folders of class folders: one's own, and ImageNet's."""

from __future__ import annotations

import csv
import os
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from al_sklearn._core.types import Array
from al_sklearn.datasets._base import (
    DataSource,
    ImageData,
    existing,
    register_dataset,
)
from al_sklearn.datasets._parts import TRAIN, UNLABELLED, part_for_testing, part_of
from al_sklearn.rows import (
    Walk,
    image_suffixes,
    is_image,
    is_junk,
    readable_name,
)


@register_dataset("folder")
class Folder(DataSource):
    """Any folder of class folders of images, or of train, val and test folders.

    Train, val and test folders hold class folders in turn; images that are in no class
    folder have no label.
    """

    def load(self, data_dir: Path | None, *, nested: bool = False) -> ImageData:
        """List the files; labels are the folders' names.

        Parameters
        ----------
        data_dir : Path
            Holds class folders; or folders named train, val (valid, validation) and
            test, in any case, of class folders; or images alone, whose classes nobody
            knows. Where there is no test folder, the images for validation are the test
            set.
        nested : bool, default=False
            Whether class folders may hold folders alone, whose images are all of the
            class.
        """
        must_be = "folder: data_dir must be a folder of class folders of images"
        data_dir = existing(data_dir, must_be, Path.is_dir)
        walk = Walk()
        walk.enter(data_dir)
        folders, loose = walk.look(data_dir)
        parts, others = _parts(data_dir, folders, walk)
        unlabelled = [str(data_dir / name) for name in loose]
        found: dict[str, _Listed] = {}
        if set(parts) - {UNLABELLED}:
            for part, folder in parts.items():
                found[part] = _listed(folder, walk, nested, alone=part == UNLABELLED)
            _check_parts(data_dir, parts, found)
            if others:
                warnings.warn(
                    f"{data_dir}: {_counted(len(others), 'folder')} beside its parts "
                    f"for training and testing left out ({_few(others)})."
                )
        else:
            listed = _by_class(data_dir, others, walk, nested)
            found[TRAIN] = listed
            if UNLABELLED in parts:
                found[UNLABELLED] = _listed(parts[UNLABELLED], walk, nested, alone=True)
        if loose and any(listed.paths for listed in found.values()):
            _say_loose(data_dir, len(loose))
        for listed in found.values():
            unlabelled += listed.unlabelled
        walk.say(data_dir)
        return _data(data_dir, found, unlabelled)


class _Listed(NamedTuple):
    """What a folder of class folders holds: paths, their labels, and paths without."""

    paths: list[str]
    labels: list[str]
    unlabelled: list[str]


def _parts(
    data_dir: Path, folders: list[str], walk: Walk
) -> tuple[dict[str, Path], list[str]]:
    """Return the folders that are parts of a data set, by part, and all others."""
    named: dict[str, list[str]] = {}
    for name in folders:
        named.setdefault(part_of(name) or "", []).append(name)
    others = named.pop("", [])
    paths = {}
    for part, names in named.items():
        if len(names) > 1:
            raise ValueError(
                f"{data_dir}: the folders {' and '.join(names)} would both be the part "
                f"{part!r}: join them, or give another name to one."
            )
        paths[part] = _inner(data_dir / names[0])
    # A class may be called train. Parts hold folders, classes hold images; where no
    # other folder has images, parts they are.
    splits = {part: path for part, path in paths.items() if part != UNLABELLED}
    have_folders = any(Walk().look(path)[0] for path in splits.values())
    classes = splits and not have_folders
    if classes and any(_has_images(data_dir / name) for name in others):
        others = sorted([*others, *(path.name for path in splits.values())])
        paths = {part: path for part, path in paths.items() if part == UNLABELLED}
    return paths, others


def _has_images(folder: Path) -> bool:
    return len(Walk().images_below(str(folder))) > 0


def _inner(folder: Path) -> Path:
    """Return the folder of its own name that archives put inside a folder, if any."""
    while True:
        folders, images = Walk().look(folder)
        again = len(folders) == 1 and not images and part_of(folders[0]) is not None
        if not again or part_of(folders[0]) != part_of(folder.name):
            return folder
        folder = folder / folders[0]


def _listed(folder: Path, walk: Walk, nested: bool, *, alone: bool) -> _Listed:
    """List a part of a data set; with ``alone`` no folder in it is a class."""
    walk.enter(folder)
    if alone:
        return _Listed([], [], walk.images_below(str(folder)))
    folders, loose = walk.look(folder)
    listed = _by_class(folder, folders, walk, nested)
    listed.unlabelled.extend(str(folder / name) for name in loose)
    return listed


def _by_class(folder: Path, names: list[str], walk: Walk, nested: bool) -> _Listed:
    """List the images below each class folder, in a fixed order."""
    # All of them before any is looked into: a link in one to another adds nothing.
    for name in names:
        twin = walk.enter(folder / name)
        if twin is not None:
            raise ValueError(
                f"{folder / name} and {twin} are one folder: its images would be in "
                "two places at once."
            )
    listed = _Listed([], [], [])
    empty = []
    for name in names:
        path = os.path.join(folder, name)
        # One look at each folder: a Path for each file would take minutes over a
        # million.
        files = walk.images_below(path)
        if not files:
            empty.append(name)
        elif not nested:
            _check_holds_images(path)
        listed.paths.extend(files)
        listed.labels.extend([readable_name(name)] * len(files))
    if listed.paths and empty:
        warnings.warn(
            f"{folder}: {_counted(len(empty), 'folder')} without images left out "
            f"({_few(empty)})."
        )
    return listed


def _check_holds_images(path: str) -> None:
    """Refuse a class folder that holds folders alone: these may be the classes."""
    with os.scandir(path) as entries:
        if any(entry.is_file() and not is_junk(entry.name) for entry in entries):
            return
    folders, _ = Walk().look(path)
    raise ValueError(
        f"{path} holds no image, only {_counted(len(folders), 'folder')} "
        f"({_few(folders)}): if these are the classes, give {path} itself as data_dir; "
        "if all their images are of one class, say nested=True."
    )


def _check_parts(
    data_dir: Path, parts: dict[str, Path], found: dict[str, _Listed]
) -> None:
    labelled = {part for part, listed in found.items() if listed.paths}
    if labelled and TRAIN not in labelled:
        first = parts[min(labelled)]
        raise ValueError(
            f"{data_dir} has {first.name} but no class folders for training: give "
            f"{first} itself as data_dir to learn from it."
        )
    for part, listed in found.items():
        n = len(listed.unlabelled)
        if labelled and n and part != UNLABELLED:
            _say_loose(parts[part], n)
        unknown = {*listed.labels} - {*found[TRAIN].labels} if labelled else set()
        if unknown:
            raise ValueError(
                f"{data_dir}: the {parts[part].name} folder has classes that the train "
                f"folder lacks: {', '.join(sorted(unknown))}."
            )


def _say_loose(folder: Path, n: int) -> None:
    warnings.warn(
        f"{folder}: {_counted(n, 'image')} in no class folder, without label: "
        "X_unlabelled."
    )


def _data(
    data_dir: Path, found: dict[str, _Listed], unlabelled: list[str]
) -> ImageData:
    full = {part: listed for part, listed in found.items() if listed.paths}
    # Resolved: "." has no name.
    name = data_dir.resolve().name
    if not full and not unlabelled:
        raise _no_classes(data_dir)
    if not full:
        return ImageData(name, None, None, X_unlabelled=unlabelled)
    test = part_for_testing(full, data_dir)
    val = "val" if test == "test" and "val" in full else None

    def part(which: str | None) -> tuple[list[str] | None, Array | None]:
        if which is None:
            return None, None
        return full[which].paths, np.array(full[which].labels)

    (X_train, y_train), (X_test, y_test) = part(TRAIN), part(test)
    X_val, y_val = part(val)
    return ImageData(
        name,
        X_train,
        y_train,
        X_test,
        y_test,
        X_unlabelled=unlabelled or None,
        X_val=X_val,
        y_val=y_val,
    )


def _no_classes(folder: Path) -> FileNotFoundError:
    return FileNotFoundError(
        f"{folder} holds no class folders with images ({', '.join(image_suffixes())}); "
        "one folder a class is needed."
    )


def _counted(n: int, what: str) -> str:
    return f"{n} {what if n == 1 else what + 's'}"


def _few(names: list[str]) -> str:
    """Some of the names, for a sentence."""
    shown = ", ".join(map(readable_name, names[:5]))
    return shown if len(names) <= 5 else f"{shown} …"


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
    walk = Walk()
    walk.enter(folder)
    listed = _by_class(folder, walk.look(folder)[0], walk, nested=True)
    if not listed.paths:
        raise _no_classes(folder)
    walk.say(folder)
    return listed.paths, np.array(listed.labels)


def _validation(folder: Path, roots: tuple[Path, ...]) -> tuple[list[str], Array]:
    if Walk().look(folder)[0]:
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
