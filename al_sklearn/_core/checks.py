"""Error messages that say what was given and what is allowed, written once."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable
from numbers import Integral
from typing import ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")


def renamed(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Refuse old spellings of a function's parameters, by the new ones; a decorator.

    Parameters
    ----------
    **names : str
        ``old="new"``.

    Examples
    --------
    >>> @renamed(k="n_instances")
    ... def choose(n_instances):
    ...     return n_instances
    >>> choose(k=3)
    Traceback (most recent call last):
        ...
    TypeError: choose() has no parameter 'k': it is called 'n_instances'.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            for old in names.keys() & kwargs.keys():
                raise TypeError(
                    f"{function.__name__}() has no parameter {old!r}: it is called "
                    f"{names[old]!r}."
                )
            return function(*args, **kwargs)

        return checked

    return decorate


def unknown_name(kind: str, name: object, allowed: Iterable[str]) -> ValueError:
    """Build the error for a name that does not exist; the caller raises it.

    Parameters
    ----------
    kind : str
        What the name should have named: ``"strategy"``, ``"data set"``, ``"network"`` …
    name : object
        What was given.
    allowed : iterable of str
        The names that exist.
    """
    names = sorted(allowed)
    # One only: the list of all stands behind it.
    close = difflib.get_close_matches(str(name), names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return ValueError(f"Unknown {kind} {name!r}.{hint} Available: {', '.join(names)}.")


def check_n_instances(n_instances: int, n_pool: int) -> int:
    """Return ``n_instances`` as an int between 1 and the size of the pool.

    Raises
    ------
    ValueError
        When the pool is empty, or ``n_instances`` is not an integer in 1 … ``n_pool``.
    """
    if n_pool == 0:
        raise ValueError("The pool is empty: there is nothing left to query.")
    # True is an int to Python, and a slip to everybody else.
    truth = isinstance(n_instances, (bool, np.bool_))
    if truth or not isinstance(n_instances, Integral):
        raise ValueError(
            f"n_instances must be an integer from 1 to {n_pool}, got {n_instances!r}."
        )
    if not 1 <= n_instances <= n_pool:
        raise ValueError(
            f"n_instances must be from 1 to {n_pool} (the size of the pool), got "
            f"{n_instances}."
        )
    return int(n_instances)


def check_count(name: str, value: object, least: int = 1) -> None:
    """Raise a ``ValueError`` unless a parameter is an integer of at least ``least``."""
    # True is an int to Python, and a slip to everybody else.
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < least:  # type: ignore[operator]
        raise ValueError(
            f"{name} must be an integer of at least {least}, got {value!r}."
        )


def check_same_length(n_rows: int, n_labels: int) -> None:
    """Raise a ``ValueError`` unless there is one label for each image."""
    if n_rows != n_labels:
        raise ValueError(
            f"X and y must have the same length, got {n_rows} images and {n_labels} "
            "labels."
        )
