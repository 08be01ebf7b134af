"""Tables of files and labels: CSV and Parquet, in and out."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from al_sklearn._core.cells import as_written, harmless_table
from al_sklearn._core.checks import check_same_length
from al_sklearn._core.files import replacing
from al_sklearn._core.optional import require
from al_sklearn._core.types import Array
from al_sklearn.datasets._base import (
    DataSource,
    ImageData,
    existing,
    labels_and_names,
    register_dataset,
)
from al_sklearn.datasets._parts import (
    TEST,
    TRAIN,
    UNLABELLED,
    VAL,
    part_for_testing,
    part_of,
)
from al_sklearn.rows import readable_name

if TYPE_CHECKING:
    import pandas as pd


class _Table(DataSource):
    kind: str
    # Whether cells that spreadsheets would run have a quote before them.
    quotes_formulas = False

    def load(
        self,
        data_dir: Path | None,
        *,
        path_column: str = "path",
        label_column: str | None = "label",
        split_column: str | None = None,
        root: str | os.PathLike[str] | None = None,
    ) -> ImageData:
        """Read a table with one row for each image.

        Parameters
        ----------
        data_dir : Path
            The file.
        path_column : str, default="path"
            Column of the images' paths.
        label_column : str, default="label"
            Column of the labels; images whose cell is empty become ``X_unlabelled``.
            None, or empty, where there is none; a table of paths alone needs none.
        split_column : str, optional
            Column that says ``train``, ``val`` (``valid``, ``validation``) or ``test``,
            in any case. Where nothing is for testing, what is for validation is the
            test set.
        root : path, optional
            What relative paths begin at; the table's folder by default.
        """
        must_be = f"{self.kind}: data_dir must be the file itself"
        data_dir = existing(data_dir, must_be, Path.is_file)

        def choose(found: list[str]) -> list[str]:
            wanted = [path_column, label_column, split_column]
            # Nothing but paths: that they are not labelled yet is plain.
            if label_column == "label" and {*found} <= {path_column, split_column}:
                wanted.remove(label_column)
            names = [name for name in wanted if name]
            _check_columns(data_dir, names, found)
            return names

        table = self._read(data_dir, choose)
        # Rows that are too short are missing their ends; people leave spaces.
        table = table.fillna("").astype(str).map(str.strip)
        if self.quotes_formulas:
            table = table.map(as_written)
        empty = table == ""
        if empty[path_column].any():
            raise ValueError(
                f"{data_dir}: row {_first(empty[path_column])} has no {path_column!r}."
            )
        start = data_dir.parent if root is None else root
        # os.path.join leaves absolute paths as they are.
        files = table[path_column].map(lambda path: os.path.join(start, path))
        labelled = np.zeros(len(table), dtype=bool)
        names = np.full(len(table), "")
        if label_column in table:
            labelled = ~empty[label_column].to_numpy()
            names = table[label_column].to_numpy(dtype=str)
        parts = np.full(len(table), TRAIN, dtype=object)
        if split_column:
            parts = _parts(data_dir, table[split_column], split_column)
            labelled &= parts != UNLABELLED
        useless = np.isin(parts, (TEST, VAL)) & ~labelled
        if labelled.any() and useless.any():
            row = _first(useless)
            raise ValueError(
                f"{data_dir}: row {row} is a {parts[row - 1]} image without label."
            )
        # All at once: numbers in training and text in the test set are other classes.
        labels = _numbers(names, labelled)
        return _data(data_dir, files, labels, labelled, parts)

    def _read(
        self, path: Path, choose: Callable[[list[str]], list[str]]
    ) -> pd.DataFrame:
        """Read columns as text; ``choose`` says which, of those there are."""
        raise NotImplementedError


def _parts(path: Path, column: Any, name: str) -> Array:
    """Return which part of the data set each row says it is."""
    parts = column.map(part_of)
    known = (TRAIN, VAL, TEST, UNLABELLED)
    strange = ~parts.isin(known)
    if strange.any():
        raise ValueError(
            f"{path}: {name!r} must say {', '.join(known[:-1])} or {known[-1]}, row "
            f"{_first(strange)} says {column[strange].iloc[0]!r}."
        )
    return parts.to_numpy(dtype=object)


def _data(
    path: Path, files: Any, labels: Array, labelled: Array, parts: Array
) -> ImageData:
    """Put the rows of a table into the parts of a data set."""
    if not labelled.any():
        return ImageData(path.stem, None, None, X_unlabelled=files.tolist())
    there = {str(part) for part in np.unique(parts[labelled].astype(str))}
    test = part_for_testing(there, path)
    validation = VAL if test == TEST and VAL in there else None
    wanted = (TRAIN, test, validation)
    masks = [labelled & (parts == part) for part in wanted]
    if not masks[0].any():
        raise ValueError(f"{path}: no row has a label for training.")
    found, class_names = labels_and_names(*[labels[mask] for mask in masks])
    sets = [
        (files[mask].tolist(), y) if mask.any() else (None, None)
        for mask, y in zip(masks, found, strict=True)
    ]
    (X_train, y_train), (X_test, y_test), (X_val, y_val) = sets
    return ImageData(
        path.stem,
        X_train,
        y_train,
        X_test,
        y_test,
        class_names,
        files[~labelled].tolist() or None,
        X_val=X_val,
        y_val=y_val,
    )


@register_dataset("csv")
class Csv(_Table):
    """Any CSV file of paths and labels."""

    kind = "csv"
    quotes_formulas = True

    def _read(
        self, path: Path, choose: Callable[[list[str]], list[str]]
    ) -> pd.DataFrame:
        import pandas as pd

        # As text, and row by row: pandas would read the class "NA" as missing and "007"
        # as 7, and take the first column of rows that are too long for their names.
        rows = []
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, strict=True)
                header = next(reader, [])
                for row in reader:
                    if any(cell.strip() for cell in row[len(header) :]):
                        raise ValueError(
                            f"{path}, line {reader.line_num}: {len(row)} cells, but "
                            f"{len(header)} columns have names."
                        )
                    if row:
                        missing = [""] * (len(header) - len(row))
                        rows.append([*row, *missing][: len(header)])
        # By kind: ours, above, is a ValueError as well.
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no CSV file in UTF-8 ({error}).") from error
        names = [name.strip() for name in header]
        if not names:
            raise ValueError(f"{path} is no CSV file of named columns: it is empty.")
        chosen = choose(names)
        twice = [name for name in chosen if names.count(name) > 1]
        if twice:
            raise ValueError(f"{path} has more than one column {twice[0]!r}.")
        return pd.DataFrame(rows, columns=names, dtype=str)[chosen]


@register_dataset("parquet")
class Parquet(_Table):
    """Any Parquet file of paths and labels."""

    kind = "parquet"

    def _read(
        self, path: Path, choose: Callable[[list[str]], list[str]]
    ) -> pd.DataFrame:
        import pandas as pd

        pyarrow = require("pyarrow", "Reading Parquet")
        parquet = require("pyarrow.parquet", "Reading Parquet")
        try:
            with parquet.ParquetFile(path) as file:
                columns = choose(file.schema_arrow.names)
                # Others may hold the images themselves.
                table = file.read(columns=columns)
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(f"{path} is no whole Parquet file ({error}).") from error
        # Column by column: whole numbers with gaps would become 1.0 in pandas.
        return pd.DataFrame(
            {name: map(_text, table[name].to_pylist()) for name in columns}
        )


def write_table(
    path: str | os.PathLike[str],
    files: Sequence[str | os.PathLike[str]],
    labels: Any = None,
    *,
    splits: Sequence[str] | None = None,
    root: str | os.PathLike[str] | None = None,
) -> Path:
    """Write files and labels as a table of images.

    ``load_dataset("csv", path)`` or ``load_dataset("parquet", path)`` reads it. Text
    that a spreadsheet would take for a formula has a quote before it in a CSV file.

    Parameters
    ----------
    path : path
        ``.csv`` or ``.parquet``; an existing file is replaced.
    files : sequence of paths, length n
    labels : array-like of shape (n,), optional
        None leaves all cells empty.
    splits : sequence of str, length n, optional
        ``train`` or ``test`` for each file, in a column ``split``.
    root : path, optional
        Write paths relative to it; else they are written as they are.

    Returns
    -------
    Path
    """
    import pandas as pd

    path = Path(path)
    names = [
        os.fspath(file) if root is None else os.path.relpath(file, root)
        for file in files
    ]
    for name in names:
        if readable_name(name) != name:
            raise ValueError(
                f"{readable_name(name)} has a name that is not UTF-8, which a table "
                "cannot hold: rename the file."
            )
    columns = {"path": names, "label": [""] * len(names) if labels is None else labels}
    if splits is not None:
        columns["split"] = splits
    for values in columns.values():
        check_same_length(len(names), len(values))
    # As text: pandas would write whole numbers beside an empty cell as 1.0.
    table = pd.DataFrame({name: map(_text, values) for name, values in columns.items()})
    if path.suffix not in (".csv", ".parquet"):
        raise ValueError(f"A table is written as .csv or .parquet, got {path}.")
    if path.suffix == ".parquet":
        require("pyarrow", "Writing Parquet")
    with replacing(path) as file:
        if path.suffix == ".csv":
            harmless_table(table).to_csv(file, index=False)
        else:
            table.to_parquet(file, index=False)
    return path


def _first(mask: Any) -> int:
    # Counted from 1, and without the header: as a reader of the table counts.
    return int(mask.argmax()) + 1


def _text(value: Any) -> str:
    # NaN alone differs from itself.
    return "" if value is None or value != value else str(value)


def _check_columns(path: Path, wanted: list[str], found: list[str]) -> None:
    for name in wanted:
        if name not in found:
            raise ValueError(
                f"{path} has no column {name!r}; it has {', '.join(map(str, found))}. "
                "Name the right ones as path_column, label_column (None where there is "
                "none) and split_column."
            )


def _numbers(labels: Array, labelled: Array) -> Array:
    """Labels as whole numbers where each of them is written as one.

    Numbers longer than 64 bits hold stay text.
    """
    values = np.unique(labels[labelled]).tolist()
    if all(
        # 18 digits always fit into 64 bits; "007" and "-0" are names, not numbers.
        len(value) < 19
        and value.removeprefix("-").isdecimal()
        and str(int(value)) == value
        for value in values
    ):
        # Empty cells become 0 here and are left out by whoever knows which they are.
        return np.where(labelled, labels, "0").astype(np.int64)
    return labels
