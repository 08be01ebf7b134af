"""What is wrong with an experiment file, and where."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

Key = tuple[str | int, ...]


class ExperimentFileError(ValueError):
    """An experiment file says something that cannot be; the message names the keys and what is allowed."""


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

    def __init__(self, name: str, lines: Mapping[Key, int]):
        self._name = name
        self._lines = lines
        self._found: dict[str, None] = {}

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Take note of a :class:`Problem` and go on behind the block."""
        try:
            yield
        except Problem as problem:
            self.add(problem.key, problem.text)

    def add(self, key: Key, text: str) -> None:
        """Take note of what is wrong at a key; the same thing twice (in two runs of a grid) is said once."""
        line = next((self._lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in self._lines), None)
        where = self._name if line is None else f"{self._name}, line {line}"
        self._found[f"{where}: {written(key)}{text}"] = None

    def raise_if_any(self) -> None:
        """Raise an :class:`ExperimentFileError` with all that was found."""
        if self._found:
            raise ExperimentFileError("\n".join(self._found))


def written(key: Key) -> str:
    """Write a key as people do: ``strategies[2].coreset.metric`` and a space."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return f"{text} " if text else ""


def unknown_key(key: Key, allowed: Collection[str]) -> Problem:
    """Say that a key does not exist, what comes close, and which do."""
    close = difflib.get_close_matches(str(key[-1]), list(allowed), n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return Problem(key, f"is no key here.{hint} Allowed: {', '.join(sorted(allowed)) or 'none'}.")
