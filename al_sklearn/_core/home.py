"""Paths that are handed on without the name of who has the home folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

# Where a folder's name begins; in the middle of a word it is a sign like any other.
_TILDE: Final = re.compile(r"(?<![\w.~-])~(?=[/\\]|\Z)")


def without_home(value: Any) -> Any:
    """Return plain JSON in which the home folder is ``~``.

    Parameters
    ----------
    value : None, bool, int, float, str, list, tuple or dict of these
    """
    if isinstance(value, str):
        return _tilde(value)
    if isinstance(value, Mapping):
        return {without_home(key): without_home(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_home(item) for item in value]
    return value


def with_home(value: Any) -> Any:
    """Return plain JSON in which ``~`` is the home folder of whoever reads it.

    Parameters
    ----------
    value : as for :func:`without_home`
    """
    if isinstance(value, str):
        home = _home()
        return _TILDE.sub(lambda _: home, value) if home else value
    if isinstance(value, Mapping):
        return {key: with_home(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_home(item) for item in value]
    return value


def _tilde(text: str) -> str:
    home = _home()
    if not home:
        return text
    # As a whole: /home/ann is no part of /home/anna, and none of /mnt/home/ann.
    return _pattern(home).sub("~", text)


def _home() -> str:
    try:
        home = Path.home()
    # Of an account that has none.
    except RuntimeError:
        return ""
    # A service's may be the root of the disk, which is nobody's name.
    return "" if home == Path(home.anchor) else str(home)


@cache
def _pattern(home: str) -> re.Pattern[str]:
    # Windows writes its paths in either way.
    either = re.escape(home).replace(r"\\", r"[\\/]")
    return re.compile(rf"(?<![\w.~-]){either}(?![\w.-])")
