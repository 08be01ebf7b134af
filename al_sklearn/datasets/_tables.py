"""Tables of files and labels: CSV and Parquet, in and out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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

if TYPE_CHECKING:
    import pandas as pd

_TEST_NAMES = ("test", "val", "valid", "validation")


class _Table(DataSource):
    kind: str

    def load(
        self,
        data_dir: Path | None,
        *,
        path_column: str = "path",
        label_column: str = "label",
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
        split_column : str, optional
            Column that says ``train`` or ``test`` (or ``val``).
        root : path, optional
            What relative paths begin at; the table's folder by default.
        """
        must_be = f"{self.kind}: data_dir must be the file itself"
        data_dir = existing(data_dir, must_be, Path.is_file)
        columns = [path_column, label_column]
        if split_column:
            columns.append(split_column)
        table = self._read(data_dir, columns)
        # Rows that are too short are missing their ends; people leave spaces.
        table = table.fillna("").astype(str).map(str.strip)
        empty = table == ""
        if empty[path_column].any():
            raise ValueError(
                f"{data_dir}: row {_first(empty[path_column])} has no {path_column!r}."
            )
        start = data_dir.parent if root is None else root
        # os.path.join leaves absolute paths as they are.
        files = table[path_column].map(lambda path: os.path.join(start, path))
        labelled = ~empty[label_column].to_numpy()
        test = np.zeros(len(table), dtype=bool)
        if split_column:
            split = table[split_column].str.lower()
            strange = ~split.isin(("train", *_TEST_NAMES))
            if strange.any():
                raise ValueError(
                    f"{data_dir}: {split_column!r} must say train, "
                    f"{', '.join(_TEST_NAMES[:-1])} or {_TEST_NAMES[-1]}, row "
                    f"{_first(strange)} says {table[split_column][strange].iloc[0]!r}."
                )
            test = (split != "train").to_numpy()
            useless = test & ~labelled
            if useless.any():
                raise ValueError(
                    f"{data_dir}: row {_first(useless)} is a test image without label."
                )
        # All at once: numbers in training and text in the test set are other classes.
        labels = _numbers(table[label_column].to_numpy(dtype=str), labelled)
        train = labelled & ~test
        if not train.any():
            raise ValueError(
                f"{data_dir}: no row has a label for training in {label_column!r}."
            )
        (y_train, y_test), class_names = labels_and_names(labels[train], labels[test])
        return ImageData(
            data_dir.stem,
            files[train].tolist(),
            y_train,
            files[test].tolist() or None,
            y_test if test.any() else None,
            class_names,
            files[~labelled].tolist() or None,
        )

    def _read(self, path: Path, columns: list[str]) -> pd.DataFrame:
        raise NotImplementedError


@register_dataset("csv")
class Csv(_Table):
    """Any CSV file of paths and labels."""

    kind = "csv"

    def _read(self, path: Path, columns: list[str]) -> pd.DataFrame:
        import pandas as pd

        try:
            # As text: pandas would read the class "NA" as missing, and "007" as 7.
            header = pd.read_csv(path, nrows=0, dtype=str)
            _check_columns(path, columns, list(header.columns))
            return pd.read_csv(path, usecols=columns, dtype=str, keep_default_na=False)
        # pandas' own errors of its reader are ValueErrors, as ours above is: by kind.
        except (
            pd.errors.ParserError,
            pd.errors.EmptyDataError,
            UnicodeDecodeError,
        ) as error:
            raise ValueError(f"{path} is no CSV file in UTF-8 ({error}).") from error


@register_dataset("parquet")
class Parquet(_Table):
    """Any Parquet file of paths and labels."""

    kind = "parquet"

    def _read(self, path: Path, columns: list[str]) -> pd.DataFrame:
        import pandas as pd

        pyarrow = require("pyarrow", "Reading Parquet")
        parquet = require("pyarrow.parquet", "Reading Parquet")
        try:
            with parquet.ParquetFile(path) as file:
                _check_columns(path, columns, file.schema_arrow.names)
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

    ``load_dataset("csv", path)`` or ``load_dataset("parquet", path)`` reads it.

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
        write = table.to_csv if path.suffix == ".csv" else table.to_parquet
        write(file, index=False)
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
                "Name the right ones as path_column, label_column and split_column."
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
