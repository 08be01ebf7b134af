"""Cells of CSV files that no spreadsheet runs, and that come back as they were.

A spreadsheet takes text that begins with ``= + - @`` for a formula, and a formula may
read other cells and call other programs. A quote before it makes it text.
"""

from __future__ import annotations

import re
from typing import Any, Final

# Tabs and line ends are dropped before spreadsheets look; Japanese ones read the wide
# signs too. Quotes before them: what was text with a quote gets one more, so that
# taking one away gives back each.
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
# A number with a sign is one in every program.
_NUMBER: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)


def harmless(text: str) -> str:
    """Return text as it may stand in a cell.

    Examples
    --------
    >>> harmless("=1+1"), harmless("cat"), harmless("-1")
    ("'=1+1", 'cat', '-1')
    """
    return f"'{text}" if _is_formula(text) else text


def as_written(text: str) -> str:
    """Return what :func:`harmless` was given.

    Examples
    --------
    >>> as_written("'=1+1"), as_written("'quoted'")
    ('=1+1', "'quoted'")
    """
    return text[1:] if text.startswith("'") and _is_formula(text[1:]) else text


def harmless_table(table: Any) -> Any:
    """Return a DataFrame whose texts, names of columns and index are harmless."""
    made = table.copy()
    for name, values in table.items():
        # Numbers, dates and truth values are no text.
        if getattr(values.dtype, "kind", "O") in "OUS":
            made[name] = values.map(_cell)
    if getattr(made.index.dtype, "kind", "O") in "OUS":
        made.index = made.index.map(_cell)
    return made.rename(columns=_cell)


def _cell(value: Any) -> Any:
    return harmless(value) if isinstance(value, str) else value


def _is_formula(text: str) -> bool:
    return _FORMULA.match(text) is not None and _NUMBER.fullmatch(text) is None
