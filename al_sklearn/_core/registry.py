"""Tables of functions by name, to which users add.

The same function again replaces itself.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, Final

import cloudpickle

from al_sklearn._core.checks import unknown_name
from al_sklearn._core.types import Function

# Every table that users add to, and what says in which module an entry was made.
_TABLES: Final[dict[str, tuple[dict[Any, Any], Callable[[Any], Any]]]] = {}


def share_table(
    name: str, table: dict[Any, Any], made: Callable[[Any], Any] = lambda entry: entry
) -> None:
    """Let workers know what users put in a table; ``made`` finds an entry's code."""
    _TABLES[name] = table, made


def users_entries() -> list[bytes]:
    """Pickle what users have put in the tables, for :func:`enter`.

    A worker runs neither the script nor the notebook's cell that registered it.
    """
    found = []
    for name, (table, made) in _TABLES.items():
        for key, entry in table.items():
            if made(entry).__module__.partition(".")[0] == "al_sklearn":
                continue
            try:
                # By value where it cannot be imported.
                found.append(cloudpickle.dumps((name, key, entry)))
            except (pickle.PicklingError, TypeError, AttributeError):
                # Perhaps nobody needs it there; if so, its name is unknown.
                continue
    return found


def enter(entries: list[bytes]) -> None:
    """Put what another process registered in the tables, unless it is there."""
    for pickled in entries:
        name, key, entry = pickle.loads(pickled)
        _TABLES[name][0].setdefault(key, entry)


def same_function(a: Function, b: Function) -> bool:
    """Whether two functions are one, defined twice: a notebook's cell run again."""
    places = [(f.__module__, getattr(f, "__qualname__", None)) for f in (a, b)]
    return places[0] == places[1]


class Registry(dict[str, Callable[..., Any]]):
    """Functions of one kind by name.

    Parameters
    ----------
    kind : str
        What its functions are, for errors: ``"measure"``, ``"selector"`` …
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def add(self, function: Function, name: str | None = None) -> None:
        """Enter a function under its own name, or another.

        Raises
        ------
        ValueError
            When another function has that name, or it is none.
        """
        name = name or function.__name__
        # Names are written in files, and a lambda's or a blank one is none.
        if not isinstance(name, str) or not name.isprintable() or not name.strip():
            raise ValueError(f"A {self.kind} needs a printable name, got {name!r}.")
        if name == "<lambda>":
            raise ValueError(f"A {self.kind} needs a name: def it, not a lambda.")
        if name in self and not same_function(self[name], function):
            raise ValueError(
                f"The {self.kind} name {name!r} is taken by "
                f"{self[name].__module__}.{self[name].__qualname__}."
            )
        self[name] = function

    def find(self, given: str | Function) -> Function:
        """Return the function of that name; a function is returned as it is.

        Raises
        ------
        ValueError
            When there is none of that name; those that exist are listed.
        TypeError
            When it is neither a name nor callable.
        """
        if callable(given):
            return given
        if not isinstance(given, str):
            raise TypeError(
                f"A {self.kind} is a name or a function, got {type(given).__name__}."
            )
        if given not in self:
            raise unknown_name(self.kind, given, self)
        return self[given]
