"""Tables of functions by name, to which users add.

The same function again replaces itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from al_sklearn._core.checks import unknown_name


def same_function(a: Callable[..., Any], b: Callable[..., Any]) -> bool:
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

    def add(self, function: Callable[..., Any], name: str | None = None) -> None:
        """Enter a function under its own name, or another.

        Raises
        ------
        ValueError
            When another function has that name.
        """
        name = name or function.__name__
        if name in self and not same_function(self[name], function):
            raise ValueError(
                f"The {self.kind} name {name!r} is taken by "
                f"{self[name].__module__}.{self[name].__qualname__}."
            )
        self[name] = function

    def find(self, given: str | Callable[..., Any]) -> Callable[..., Any]:
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
