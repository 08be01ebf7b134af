"""What is wrong with an experiment file, and where."""

from __future__ import annotations

import difflib
import json
import reprlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from al_sklearn.exceptions import ExperimentFileError

Key = tuple[str | int, ...]
# Where each key stands: a line, or the flag that has put it in.
Lines = Mapping[Key, int | str]
Places = dict[Key, int | str]
T = TypeVar("T")

# Whoever gave much knows what it was.
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, 80, 80


class Where(str):
    """A note on an error that says where in an experiment file it comes from.

    It goes before the error's sentence.
    """


class Problem(Exception):
    """What is wrong at one key, or at several.

    Attributes
    ----------
    key : tuple
        The first of the keys.
    found : list of (key, text)
        All of them, each with what is wrong.
    """

    def __init__(self, key: Key, text: str):
        super().__init__(text)
        self.key = key
        self.found = [(key, text)]


def each(calls: Iterable[Callable[[], T]]) -> list[T]:
    """Return what every call gives, or raise all problems of all of them together.

    Raises
    ------
    Problem
        With everything that is wrong.
    """
    given, problems = [], []
    for call in calls:
        try:
            given.append(call())
        except Problem as problem:
            problems.append(problem)
    raise_all(problems)
    return given


def raise_all(problems: Collection[Problem]) -> None:
    """Raise several problems as one, if there are any."""
    if problems:
        # One exception for all, so that the nearest handler above gets everything.
        first, *others = problems
        first.found = [*first.found, *(one for p in others for one in p.found)]
        raise first


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
        # In the order of the findings; the same thing in two runs of a grid is one.
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
            self.add(problem)

    def add(self, *problems: Problem) -> None:
        """Take note of problems, at the places of their keys."""
        for key, text in (one for problem in problems for one in problem.found):
            self._found[said_of(self._name, self._lines, key, text)] = None

    def raise_if_any(self) -> None:
        """Raise an :class:`ExperimentFileError` with all that was found."""
        if self._found:
            raise ExperimentFileError("\n".join(self._found))


def overlaid(lines: Lines, above: Lines) -> Places:
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
    # A key that is missing has no line: the nearest one above it has.
    line = next(
        (lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in lines), None
    )
    if line is None:
        return name
    return f"{name}, line {line}" if isinstance(line, int) else f"{name}, {line}"


def said_of(name: str, lines: Lines, key: Key, text: str) -> str:
    """Say what is wrong at a key, after where it stands.

    A flag that is given again and again is known by itself: nobody has counted which
    of all strategies it says, so the key goes on from there.
    """
    where = place(name, lines, key)
    flags = [
        n
        for n in range(len(key), 0, -1)
        if isinstance(lines.get(key[:n]), str) and isinstance(key[n - 1], int)
    ]
    if not flags:
        return f"{where}: {written(key)}{text}"
    rest = written(key[flags[0] :])
    return f"{where}: {rest}{text}" if rest else f"{where} {text}"


def shown(value: Any) -> str:
    """Show what was given: words of YAML as they are written there, long things cut."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return _SHORT.repr(value)


def written(key: Key) -> str:
    """Write a key as people do: ``strategies[2].coreset.metric`` and a space."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in key]
    return f"{''.join(parts).removeprefix('.')} " if parts else ""


def did_you_mean(given: Any, names: Iterable[Any], cutoff: float = 0.6) -> str:
    """Return a sentence with the name that comes close, and a space before it."""
    close = difflib.get_close_matches(
        str(given), list(map(str, names)), n=1, cutoff=cutoff
    )
    return f" Did you mean {close[0]!r}?" if close else ""


def unknown_key(key: Key, allowed: Collection[str]) -> Problem:
    """Say that a key does not exist, what comes close, and which do."""
    hint = did_you_mean(key[-1], allowed)
    known = ", ".join(sorted(allowed)) or "none"
    return Problem(key, f"is no key here.{hint} Allowed: {known}.")
