"""Sets that somebody else has drawn: another run's, or partitions in files."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from al_sklearn._core.types import Array
from al_sklearn.rows import is_splits_file, read_index_sets, read_splits, torchal_files

_SUFFIXES: Final = (".npz", ".json", ".csv", ".txt")

#: A run's folder or file, a file or folder of index sets, or several of them.
Splits = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def given_splits(splits: Splits, seed: int, n: int, has_test: bool) -> dict[str, Array]:
    """Return what a seed begins with: train, test, initial and perhaps validation.

    Parameters
    ----------
    splits : path or list of path
        A run's folder or its ``splits.npz``, whose seed of that number is taken. Or
        index sets: a file, a folder in TorchAL's layout, a folder of such folders or
        files, or a list of any of these; seed ``i`` begins with set ``i`` of ``k``, and
        seed ``k`` with the first again, so that 25 seeds train each of five initial
        sets five times.
    seed, n : int
        The seed's number, and how many images X has.
    has_test : bool
        Whether a test set of its own is given.

    Raises
    ------
    ValueError
        When the sets do not fit the data, or another's test set would be mixed up.
    """
    found = read_given(splits)
    if isinstance(found, dict):
        file = _file_of(splits)
        if seed not in found:
            raise ValueError(
                f"{file} has {len(found)} seeds; this run wants number {seed}, counted "
                "from 0."
            )
        sets = found[seed]
    else:
        file, sets = found[seed % len(found)]
    largest = max(int(positions.max(initial=-1)) for positions in sets.values())
    if largest >= n:
        raise ValueError(f"{file} speaks of image {largest}; X has {n} images.")
    if not isinstance(found, dict):
        sets = _as_splits(sets, n, file)
    if has_test == bool(len(sets["test"])):
        wanted = (
            "no X_test: its test sets are part of X"
            if has_test
            else "X_test and y_test: it has no test set"
        )
        whose = f"The run of {file} had" if isinstance(found, dict) else f"{file} wants"
        raise ValueError(f"{whose} {wanted}.")
    return sets


def read_given(
    splits: Splits,
) -> dict[int, dict[str, Array]] | list[tuple[Path, dict[str, Array]]]:
    """Read a run's splits, by seed, or a list of index sets and where they are from.

    Raises
    ------
    ValueError, FileNotFoundError
        When there are none, or they are no sets.
    """
    if not isinstance(splits, (str, os.PathLike)):
        paths = [Path(part) for part in splits]
        if not paths:
            raise ValueError("splits=[] names no file.")
        return [(path, read_index_sets(path)) for path in paths]
    path = Path(splits)
    if path.is_dir():
        if (path / "splits.npz").is_file():
            return read_splits(path / "splits.npz")
        if torchal_files(path):
            return [(path, read_index_sets(path))]
        parts = sorted(filter(_is_partition, path.iterdir()), key=_natural)
        if not parts:
            raise FileNotFoundError(
                f"{path} holds no splits.npz of a run, no index sets, and no folders "
                "of them."
            )
        return [(part, read_index_sets(part)) for part in parts]
    if is_splits_file(path):
        return read_splits(path)
    return [(path, read_index_sets(path))]


def _as_splits(sets: dict[str, Array], n: int, file: Path) -> dict[str, Array]:
    """Bring index sets to the names of a run's."""
    if "labelled" not in sets or len(sets["labelled"]) == 0:
        raise ValueError(
            f"{file} does not say what is labelled from the start; it has "
            f"{', '.join(sets)}. A set called labelled (TorchAL's lSet) does."
        )
    nothing = np.empty(0, dtype=np.int64)
    found = {
        "initial": sets["labelled"],
        "test": sets.get("test", nothing),
    }
    if "validation" in sets:
        found["validation"] = sets["validation"]
    rest = sets.get("unlabelled")
    if rest is None:
        # Whatever has no other use can be bought.
        taken = np.concatenate(list(found.values()))
        rest = np.setdiff1d(np.arange(n, dtype=np.int64), taken)
    train = np.sort(np.concatenate([found["initial"], rest]))
    return {"train": train, **found}


def _file_of(splits: Any) -> Path:
    path = Path(splits)
    return path / "splits.npz" if path.is_dir() else path


def _is_partition(path: Path) -> bool:
    if path.is_dir():
        return bool(torchal_files(path))
    return path.suffix in _SUFFIXES


def _natural(path: Path) -> list[tuple[int, str]]:
    """Order partition_2 before partition_10."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
