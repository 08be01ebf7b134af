"""What modAL's query functions have in common.

A utility for every row, and the best of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import NotFittedError

from al_sklearn._core.random import RandomState
from al_sklearn._core.types import Array
from al_sklearn.rows import n_rows
from al_sklearn.strategies.selectors import top_k

Measure = Callable[..., np.ndarray]
# Positions, int64, and the utility of each.
Chosen = tuple[np.ndarray, np.ndarray]

_DOC = """{summary}

    Parameters
    ----------
    classifier : {kind}
    X : any kind of rows
        The pool.
    n_instances : int, default=1
        How many to choose.
    random_tie_break : bool, default=False
        Whether ties are broken at random instead of by position.
    random_state : int, Generator or None, default=None
        For ``random_tie_break``.
    **options
        Passed on to :func:`{measure}`.

    Returns
    -------
    indices : int64 array of shape (n_instances,)
        {order} first.
    metrics : float array of shape (n_instances,)
        What :func:`{measure}` says of each.
    """


def sampling(
    name: str,
    measure: Measure,
    summary: str,
    *,
    smallest: bool = False,
    kind: str = "fitted classifier or ActiveLearner",
) -> Callable[..., Chosen]:
    """Make the query function of a measure.

    Parameters
    ----------
    name : str
        modAL's name of it.
    measure : callable
        ``measure(classifier, X, **options)`` gives one number a row.
    summary : str
        First line of the docstring.
    smallest : bool, default=False
        Whether small numbers are asked for first.
    kind : str
        What the first parameter is.

    Returns
    -------
    callable
        A query strategy.
    """

    def query(
        classifier: Any,
        X: Any,
        # By position, as in modAL; what it does not have comes by name.
        n_instances: int = 1,
        random_tie_break: bool = False,
        *,
        random_state: RandomState = None,
        **options: Any,
    ) -> Chosen:
        return best(
            measure(classifier, X, **options),
            n_instances,
            random_tie_break,
            random_state,
            smallest,
        )

    query.__name__ = query.__qualname__ = name
    # Functions are pickled by the module that holds their name.
    query.__module__ = measure.__module__
    query.__doc__ = _DOC.format(
        summary=summary,
        kind=kind,
        measure=measure.__name__,
        order="Smallest" if smallest else "Largest",
    )
    return query


def best(
    utilities: ArrayLike,
    n_instances: int,
    # By position unless asked otherwise, of votes too: code written for modAL chooses
    # what it chose there.
    random_tie_break: bool = False,
    random_state: RandomState = None,
    smallest: bool = False,
) -> Chosen:
    """Positions and values of the largest utilities, or of the smallest."""
    # In float64: the smallest of unsigned integers would turn largest by the sign.
    sought = -np.asarray(utilities, dtype=np.float64) if smallest else utilities
    indices, values = top_k(
        sought,
        n_instances,
        random_tie_break=random_tie_break,
        random_state=random_state,
    )
    return indices, -values if smallest else values


def cold_start(value: float) -> Callable[[Measure], Measure]:
    """Make a measure give every row ``value`` while nothing is fitted, like modAL."""

    def decorate(measure: Measure) -> Measure:
        @functools.wraps(measure)
        def measured(classifier: Any, X: Any, **options: Any) -> Array:
            try:
                return measure(classifier, X, **options)
            except NotFittedError:
                # This error alone: whatever else goes wrong is the user's to see.
                return np.full(n_rows(X), value)

        return measured

    return decorate
