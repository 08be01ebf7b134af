"""Index sets as files: which positions are labelled and which are not.

Further sets are those for validation and for testing.

The one place that reads, writes and checks them, for data sets and for experiments.
"""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from al_sklearn._core.cells import as_written, harmless
from al_sklearn._core.files import replacing
from al_sklearn._core.types import Array, Options
from al_sklearn.rows._numpy_files import read_numpy

# How TorchAL and those that follow it name their files.
TORCHAL_FILES: Final = {
    "lSet": "labelled",
    "uSet": "unlabelled",
    "valSet": "validation",
    "testSet": "test",
}
# What a round has bought, among its labelled ones: written, and not read again.
_ACTIVE: Final = {"bought": "activeSet"}
_SPLIT_PARTS = ("train", "test", "initial")
_SUFFIXES = (".npz", ".json", ".txt", ".csv", ".npy")


def check_index_sets(
    sets: Mapping[str, Any],
    n: int | None = None,
    *,
    nested: Mapping[str, str] | None = None,
    where: str = "The index sets",
) -> dict[str, Array]:
    """Check that index sets are sets, and share no position.

    Parameters
    ----------
    sets : dict of int sequences
        Positions by name.
    n : int, optional
        Number of images, to check the positions against.
    nested : dict, optional
        ``{"initial": "train"}`` says that one set is part of another instead.
    where : str
        What the messages begin with.

    Returns
    -------
    dict of int64 arrays
        In the order that they were given.

    Raises
    ------
    ValueError
        When a position is no integer, negative, not below ``n``, twice in a set, or in
        two sets.
    """
    nested = nested or {}
    arrays = {
        str(name): _positions(values, f"{where}: {name!r}", n)
        for name, values in sets.items()
    }
    for inner, outer in nested.items():
        strange = np.setdiff1d(arrays[inner], arrays[outer])
        if strange.size:
            raise ValueError(
                f"{where}: {inner!r} is no part of {outer!r}; position {strange[0]} "
                "is not in it."
            )
    # A nested set shares all its positions with the one around it, and that is meant.
    free = {name: array for name, array in arrays.items() if name not in nested}
    shared = _repeated(*free.values())
    if shared.size:
        names = [name for name, array in free.items() if shared[0] in array]
        raise ValueError(
            f"{where}: {' and '.join(map(repr, names))} share positions "
            f"({shared.size} in all, {shared[0]} is the "
            "first); each position belongs to one of them."
        )
    return arrays


def read_index_sets(
    path: str | os.PathLike[str],
    n: int | None = None,
) -> dict[str, Array]:
    """Read index sets.

    Parameters
    ----------
    path : path
        ``.npz`` (an array a set), ``.json`` (a list a set), ``.csv`` (columns ``index``
        and ``set``), ``.txt`` (a position a line, below lines ``# name``; without
        these, one set with the file's name), ``.npy`` (one set with the file's name),
        or a folder of ``.npy`` files. TorchAL's ``lSet``, ``uSet``, ``valSet`` and
        ``testSet``, also as it ships them (``lSet_CIFAR10.npy``), become ``labelled``,
        ``unlabelled``, ``validation`` and ``test``.
    n : int, optional
        Number of images, to check the positions against.

    Returns
    -------
    dict of int64 arrays
        In the order of the file: that of labelled positions is the order they came in.

    Raises
    ------
    ValueError
        When sets share a position, or one is no set of positions; when a file is
        damaged, or needs pickle (it is said how to convert it).
    FileNotFoundError
        When there is no such file, or a folder has none of TorchAL's.

    Examples
    --------
    >>> import tempfile
    >>> sets = {"labelled": [4, 1], "test": [0]}
    >>> path = write_index_sets(tempfile.mkdtemp() + "/sets.json", sets)
    >>> read_index_sets(path)
    {'labelled': array([4, 1]), 'test': array([0])}
    """
    path = Path(path)
    if path.is_dir():
        sets = {name: read_numpy(file) for name, file in torchal_files(path).items()}
        if not sets:
            raise FileNotFoundError(
                f"{path} has none of "
                f"{', '.join(f'{file}.npy' for file in TORCHAL_FILES)}, nor "
                "one named as lSet_CIFAR10.npy."
            )
    else:
        if path.suffix not in _SUFFIXES:
            raise ValueError(
                f"{path}: index sets are read from {', '.join(_SUFFIXES)} or a folder "
                "of .npy files."
            )
        if not path.is_file():
            raise FileNotFoundError(f"There is no file of index sets {path}.")
        sets = _READERS[path.suffix](path)
    return check_index_sets(sets, n, nested=_nested(sets), where=str(path))


def _nested(sets: Mapping[str, Any]) -> dict[str, str] | None:
    # What was bought last is part of what is labelled.
    return {"bought": "labelled"} if {"bought", "labelled"} <= set(sets) else None


def torchal_files(folder: Path) -> dict[str, Path]:
    """Find TorchAL's files in a folder: ``lSet.npy``, or as shipped.

    They are shipped as ``lSet_CIFAR10.npy``.

    Raises
    ------
    ValueError
        When two files could be the same set.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("*.npy")):
        name = TORCHAL_FILES.get(path.stem.partition("_")[0])
        if name is None:
            continue
        if name in found:
            raise ValueError(
                f"{folder} has two files of {name} positions: {found[name].name} and "
                f"{path.name}; name one folder a partition."
            )
        found[name] = path
    # What is labelled first, as everywhere.
    return {name: found[name] for name in TORCHAL_FILES.values() if name in found}


def read_splits(path: str | os.PathLike[str]) -> dict[int, dict[str, Array]]:
    """Read the ``splits.npz`` of a run.

    What each seed trained on, began with and was tested on.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict of dicts
        By seed: ``train``, ``test`` (empty where the run had a test set of its own),
        ``initial``, part of ``train``, and ``validation`` where there was one.

    Raises
    ------
    ValueError
        When an image is in training and test set at once, an initial set is not part of
        its training set, or the file is damaged or no run's.
    """
    content = _from_npz(Path(path))
    endings = {key.rpartition("_")[2] for key in content}
    splits = {}
    for seed in sorted(int(ending) for ending in endings if ending.isdecimal()):
        missing = [part for part in _SPLIT_PARTS if f"{part}_{seed}" not in content]
        if missing:
            raise ValueError(
                f"{path} has no {missing[0]}_{seed}: it is no whole splits.npz of a "
                "run."
            )
        sets = {part: content[f"{part}_{seed}"] for part in _SPLIT_PARTS}
        if f"validation_{seed}" in content:
            sets["validation"] = content[f"validation_{seed}"]
        splits[seed] = check_index_sets(
            sets, nested={"initial": "train"}, where=f"{path}, seed {seed}"
        )
    if not splits:
        raise ValueError(
            f"{path} is no splits.npz of a run; it has {', '.join(content)}."
        )
    return splits


def is_splits_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file is the ``splits.npz`` of a run, as far as its names say."""
    path = Path(path)
    if path.suffix != ".npz" or not path.is_file():
        return False
    try:
        with np.load(path, allow_pickle=False) as file:
            return "train_0" in file.files
    # What is wrong with it, the reader says.
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def write_index_sets(
    path: str | os.PathLike[str],
    sets: Mapping[str, Any],
    n: int | None = None,
) -> Path:
    """Write index sets, whole or not at all; :func:`read_index_sets` reads them.

    Parameters
    ----------
    path : path
        ``.npz``, ``.json``, ``.csv`` or ``.txt``; a name without suffix is a folder in
        TorchAL's layout.
    sets : dict of int sequences
        ``bought`` may be part of ``labelled``: what a round added to it.
    n : int, optional
        Number of images, to check the positions against.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        When sets share a position, or TorchAL has no name for one.
    """
    path = Path(path)
    arrays = check_index_sets(sets, n, nested=_nested(sets))
    if not path.suffix:
        return _write_torchal(path, arrays)
    if path.suffix not in _SUFFIXES or path.suffix == ".npy":
        raise ValueError(
            f"{path}: index sets are written as .npz, .json, .csv, .txt, or a folder "
            "without suffix."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        if path.suffix == ".npz":
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        else:
            lists = {name: values.tolist() for name, values in arrays.items()}
            file.write(_TEXTS[path.suffix](lists).encode())
    return path


def _as_text(lists: dict[str, list[int]]) -> str:
    lines = []
    for name, positions in lists.items():
        lines += [f"# {name}", *map(str, positions)]
    return "".join(f"{line}\n" for line in lines)


def _as_csv(lists: dict[str, list[int]]) -> str:
    # The writer ends its lines itself, alike on every system.
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(("index", "set"))
    for name, positions in lists.items():
        writer.writerows((i, harmless(name)) for i in positions)
    return buffer.getvalue()


_TEXTS: dict[str, Any] = {".json": json.dumps, ".txt": _as_text, ".csv": _as_csv}


def _write_torchal(folder: Path, arrays: Mapping[str, Array]) -> Path:
    names = {name: file for file, name in TORCHAL_FILES.items()} | _ACTIVE
    unknown = sorted(set(arrays) - set(names))
    if unknown:
        raise ValueError(
            f"TorchAL's layout has {', '.join(names)}; it has no file for "
            f"{unknown[0]!r}."
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, positions in arrays.items():
        with replacing(folder / f"{names[name]}.npy") as file:
            np.save(file, positions, allow_pickle=False)
    return folder


def _from_npz(path: Path) -> Options:
    content = read_numpy(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds one array: name it .npy.")
    return content


def _from_npy(path: Path) -> Options:
    name = TORCHAL_FILES.get(path.stem.partition("_")[0], path.stem)
    return {name: read_numpy(path)}


def _from_json(path: Path) -> Options:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{path} is no whole JSON file ({error}).") from error
    if isinstance(content, list):
        # One set, called like its file.
        return {path.stem: content}
    values = content.values() if isinstance(content, dict) else [None]
    if not all(isinstance(value, list) for value in values):
        raise ValueError(
            f'{path} must hold a list of positions for each name, as {{"labelled": '
            "[4, 1]}."
        )
    return content


def _from_text(path: Path) -> Options:
    sets: dict[str, list[int]] = {}
    name = path.stem
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    for number, line in enumerate(lines, start=1):
        if line.lstrip().startswith("#"):
            name = line.lstrip("# \t").strip()
            if name in sets:
                raise ValueError(
                    f"{path}, line {number}: the set {name!r} comes twice."
                )
            sets[name] = []
            continue
        for word in line.replace(",", " ").split():
            sets.setdefault(name, []).append(_integer(word, path, number))
    return sets


def _from_csv(path: Path) -> Options:
    sets: dict[str, list[int]] = {}
    # Spreadsheets begin a file of UTF-8 with a mark, which is no part of a name.
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        missing = {"index", "set"} - set(rows.fieldnames or ())
        if missing:
            raise ValueError(
                f"{path} lacks the column {min(missing)!r}; it has "
                f"{', '.join(rows.fieldnames or ())}."
            )
        for row in rows:
            # A line that ends early has None in its place.
            position = _integer(row["index"] or "", path, rows.line_num)
            sets.setdefault(as_written(row["set"] or ""), []).append(position)
    return sets


_READERS = {
    ".npz": _from_npz,
    ".npy": _from_npy,
    ".json": _from_json,
    ".txt": _from_text,
    ".csv": _from_csv,
}


def _integer(word: str, path: Path, line: int) -> int:
    # Not int(): it takes signs, underscores and what spreadsheets make of 3.0 badly.
    if not word.strip().isdecimal():
        raise ValueError(
            f"{path}, line {line}: {word!r} is no position; they are whole numbers "
            "from 0."
        )
    return int(word)


def _positions(values: Any, what: str, n: int | None) -> Array:
    array = np.asarray(values)
    if array.size == 0:
        # numpy makes floats of an empty list.
        return np.empty(0, dtype=np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(
            f"{what} must be a list of positions, it is {array.dtype} of shape "
            f"{array.shape}."
        )
    array = array.astype(np.int64)
    low = array.min()
    high = array.max()
    if low < 0 or (n is not None and high >= n):
        limit = "0 on" if n is None else f"0 to {n - 1}"
        raise ValueError(
            f"{what} has positions from {low} to {high}; allowed is {limit}."
        )
    twice = _repeated(array)
    if twice.size:
        raise ValueError(f"{what} has position {twice[0]} twice.")
    return array


def _repeated(*parts: Array) -> Array:
    """Positions that come more than once in all parts together."""
    positions = np.concatenate([np.empty(0, np.int64), *parts])
    values, counts = np.unique(positions, return_counts=True)
    return values[counts > 1]
