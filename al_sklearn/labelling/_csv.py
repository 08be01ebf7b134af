"""A query as a CSV file for any labelling tool or spreadsheet, and the answers back."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from al_sklearn._core.cells import as_written, harmless_table
from al_sklearn._core.files import creating
from al_sklearn._core.types import Array


def write_requests(
    folder: str | os.PathLike[str],
    indices: Sequence[int] | Array,
    scores: Sequence[float] | Array | None = None,
    names: Sequence[str] | None = None,
) -> Path:
    """Write what a query asks for to the next ``cycle_0001.csv`` of a folder.

    Nothing is ever overwritten, and the file is there whole or not at all. Names that a
    spreadsheet would take for a formula have a quote before them.

    Parameters
    ----------
    folder : path
        Made when it does not exist.
    indices : int sequence of shape (b,)
        Positions in the pool, most useful first.
    scores : float sequence of shape (b,), optional
        As the strategy gave them.
    names : str sequence of shape (b,), optional
        What people should look at: file names, addresses.

    Returns
    -------
    Path
        The file: columns ``index``, ``name``, ``score`` and an empty ``label`` to fill
        in.

    Raises
    ------
    ValueError
        When indices repeat, or scores or names have another length.
    """
    indices = np.asarray(indices, dtype=np.int64)
    if indices.ndim != 1 or len(np.unique(indices)) != len(indices):
        raise ValueError("indices must be one-dimensional, each position once.")
    table = pd.DataFrame({"index": indices})
    for column, values in (("name", names), ("score", scores)):
        if values is not None and len(values) != len(indices):
            raise ValueError(
                f"There are {len(indices)} indices, but {len(values)} {column}s."
            )
        table[column] = "" if values is None else list(values)
    table["label"] = ""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    cycles = [
        int(match[1])
        for path in folder.iterdir()
        if (match := re.fullmatch(r"cycle_(\d+)\.csv", path.name))
    ]
    cycle = max(cycles, default=0) + 1
    while True:
        path = folder / f"cycle_{cycle:04d}.csv"
        try:
            # Another process that took the same number first keeps it.
            with creating(path) as file:
                harmless_table(table).to_csv(file, index=False)
        except FileExistsError:
            cycle += 1
        else:
            return path


def read_labels(
    path: str | os.PathLike[str], n_pool: int | None = None
) -> tuple[Array, Array]:
    """Read the labels that people filled in; rows still without one are left out.

    Parameters
    ----------
    path : path
        A CSV file with columns ``index`` and ``label``.
    n_pool : int, optional
        Size of the pool, to check the positions against.

    Returns
    -------
    indices : int64 array of shape (m,)
    labels : str array of shape (m,)
        As they were written, without surrounding blanks; a quote that keeps a cell from
        being a formula is none of the label.

    Raises
    ------
    ValueError
        For missing columns, positions that are no integers, repeat, or lie outside the
        pool; the line is named.
    """
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    missing = {"index", "label"} - set(table.columns)
    if missing:
        raise ValueError(
            f"{path} lacks the column {sorted(missing)[0]!r}; it has "
            f"{', '.join(table.columns)}."
        )
    labels = table["label"].str.strip().map(as_written)
    answered = table[labels != ""]
    lines = answered.index + 2  # the header is line 1
    for line, value in zip(lines, answered["index"], strict=True):
        if not re.fullmatch(r"\s*\d+\s*", value):
            raise ValueError(
                f"{path}, line {line}: {value!r} is no position in the pool."
            )
        if n_pool is not None and int(value) >= n_pool:
            raise ValueError(
                f"{path}, line {line}: position {value} is outside the pool of "
                f"{n_pool}."
            )
    indices = answered["index"].astype(np.int64).to_numpy()
    repeated = answered["index"].astype(np.int64).duplicated().to_numpy()
    if repeated.any():
        raise ValueError(
            f"{path}, line {lines[repeated][0]}: position {indices[repeated][0]} is "
            "labelled twice."
        )
    return indices, labels[answered.index].to_numpy(dtype=str)
