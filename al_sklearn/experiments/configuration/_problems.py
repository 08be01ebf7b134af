"""What is wrong with an experiment file, and where."""

from __future__ import annotations

import difflib
import json
import reprlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

Key = tuple[str | int, ...]
# Where each key stands: a line, or the flag that has put it in.
Lines = Mapping[Key, int | str]

# Whoever gave much knows what it was.
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, 80, 80


class ExperimentFileError(ValueError):
    """An experiment file says something that cannot be.

    The message names the keys and what is allowed.
    """


class Rule(NamedTuple):
    """What a plain value must be: a test of it, and the words for it."""

    accepts: Callable[[Any], bool]
    allowed: str


class Where(str):
    """A note on an error that says where in an experiment file it comes from.

    It goes before the error's sentence.
    """


class Problem(Exception):
    """One thing that is wrong at one key."""

    def __init__(self, key: Key, text: str):
        super().__init__(text)
        self.key = key
        self.text = text


class Problems:
    """Collects what is wrong, so that a person sees all of it at once.

    Parameters
    ----------
    name : str
        Of the file.
    lines : dict
        Where each key stands.
    """

    def __init__(self, name: str, lines: Lines):
        self._name = name
        self._lines = lines
        self._found: dict[str, None] = {}

    @contextmanager
    def at(self, lines: Lines) -> Iterator[None]:
        """Let keys stand elsewhere within the block.

        Those that a grid has put in stand in the grid.
        """
        before = self._lines
        self._lines = overlaid(before, lines)
        try:
            yield
        finally:
            self._lines = before

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Take note of a :class:`Problem` and go on behind the block."""
        try:
            yield
        except Problem as problem:
            self.add(problem.key, problem.text)

    def add(self, key: Key, text: str) -> None:
        """Take note of what is wrong at a key.

        The same thing twice (in two runs of a grid) is said once.
        """
        self._found[f"{place(self._name, self._lines, key)}: {written(key)}{text}"] = (
            None
        )

    def raise_if_any(self) -> None:
        """Raise an :class:`ExperimentFileError` with all that was found."""
        if self._found:
            raise ExperimentFileError("\n".join(self._found))


def overlaid(lines: Lines, above: Lines) -> dict[Key, int | str]:
    """Return where keys stand once others were put in over them.

    What those replace stands nowhere any more.
    """
    kept = {
        key: line
        for key, line in lines.items()
        if not any(key[:n] in above for n in range(1, len(key)))
    }
    return {**kept, **above}


def place(name: str, lines: Lines, key: Key) -> str:
    """Say where a key, or the part of it that is there, stands."""
    line = next(
        (lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in lines), None
    )
    if line is None:
        return name
    return f"{name}, line {line}" if isinstance(line, int) else f"{name}, {line}"


def shown(value: Any) -> str:
    """Show what was given: words of YAML as they are written there, long things cut."""
    return (
        json.dumps(value)
        if value is None or isinstance(value, bool)
        else _SHORT.repr(value)
    )


def written(key: Key) -> str:
    """Write a key as people do: ``strategies[2].coreset.metric`` and a space."""
    text = ""
    for part in key:
        text += (
            f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
        )
    return f"{text} " if text else ""


def unknown_key(key: Key, allowed: Collection[str]) -> Problem:
    """Say that a key does not exist, what comes close, and which do."""
    close = difflib.get_close_matches(str(key[-1]), list(allowed), n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return Problem(
        key, f"is no key here.{hint} Allowed: {', '.join(sorted(allowed)) or 'none'}."
    )
