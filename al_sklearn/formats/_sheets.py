"""Tables as people make them: any separator, any encoding, notes beside the table."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import NamedTuple

from al_sklearn.formats._files import decode, read_bytes, refuse

_SEPARATORS = ",;\t|"
# Cells longer than the csv module's 128 KiB are outlines written as text.
_LONGEST_CELL = 2**24


class Row(NamedTuple):
    """Cells of a row, and the line of the file that it begins on."""

    line: int
    cells: list[str]


def read_sheet(path: Path) -> list[Row]:
    """Return the rows that are not empty, with the lines they begin on.

    Raises
    ------
    LabelFileError
        For a quote that is never closed, or bytes that are no text.
    """
    text = decode(read_bytes(path), path, fallback="cp1252")
    separator = _separator(text)
    rows: list[Row] = []
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=separator, strict=True
        )
        begin = 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append(Row(begin, cells))
            begin = reader.line_num + 1
    except csv.Error as error:
        raise refuse(path, f"line {begin}", f"no CSV: {error}.") from None
    finally:
        csv.field_size_limit(before)
    return rows


def _separator(text: str) -> str:
    """The sign that the first lines have most of, outside quotes, a comma in doubt."""
    head = text[:20_000].splitlines()[:20]
    if head and head[0].lower().startswith("sep=") and len(head[0]) == 5:
        return head[0][4]
    outside = ["".join(line.split('"')[::2]) for line in head]

    def count(sign: str) -> int:
        return sum(line.count(sign) for line in outside)

    return max(_SEPARATORS, key=count) if any(map(count, _SEPARATORS)) else ","


def header_of(
    path: Path, rows: list[Row], asked: dict[str, tuple[str, ...]], needed: set[str]
) -> tuple[int, dict[str, int]] | None:
    """Find the row that names the columns; notes may stand before it.

    Parameters
    ----------
    path : Path
    rows : list of Row
    asked : dict of str to tuple of str
        Words that a column may be called by, in lower case.
    needed : set of str
        Columns that there must be.

    Returns
    -------
    (index of the row, place of each column), or None where no row names them.

    Raises
    ------
    LabelFileError
        For two columns of one name.
    """
    for i, row in enumerate(rows[:20]):
        names = [cell.strip().lower() for cell in row.cells]
        places: dict[str, int] = {}
        for column, words in asked.items():
            found = [j for j, name in enumerate(names) if name in words]
            same = [j for j in found if names[j] == names[found[0]]] if found else []
            if len(same) > 1:
                raise refuse(
                    path,
                    f"line {row.line}",
                    f"two columns are called {names[same[0]]!r}.",
                )
            if found:
                places[column] = min(found, key=lambda j: words.index(names[j]))
        if needed <= set(places):
            return i, places
    return None
