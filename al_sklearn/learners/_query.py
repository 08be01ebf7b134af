"""Ask a strategy, once, and understand its answer."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any

import numpy as np

from al_sklearn._core.checks import check_n_instances
from al_sklearn._core.random import as_seed
from al_sklearn._core.types import Array, Options
from al_sklearn.rows import n_rows, take_rows
from al_sklearn.strategies import get_strategy, strategy_name, takes_random_state


def query(
    learner: Any,
    X_pool: Any,
    args: tuple,
    kwargs: Options,
    return_metrics: bool,
    at_most: bool = False,
) -> tuple[Array, Any] | tuple[Array, Any, Array | None]:
    """Run ``learner.query_strategy`` once over ``X_pool`` and take its rows."""
    n_pool = n_rows(X_pool)
    # Said here, whatever a strategy of somebody else would make of it.
    if n_pool == 0:
        raise ValueError("The pool is empty: there is nothing left to query.")
    strategy = get_strategy(learner.query_strategy)
    wanted = kwargs.get("n_instances", args[0] if args else None)
    if at_most and isinstance(wanted, (int, np.integer)) and wanted > n_pool:
        # The last batch: what is left.
        wanted = n_pool
        if args:
            args = (n_pool, *args[1:])
        else:
            kwargs = {**kwargs, "n_instances": n_pool}
    if "n_instances" in kwargs:
        check_n_instances(kwargs["n_instances"], n_pool)
    # Without a seed of its own the learner leaves the draw to the strategy.
    if (
        learner.random_state is not None
        and "random_state" not in kwargs
        and takes_random_state(strategy)
    ):
        kwargs = {**kwargs, "random_state": as_seed(learner._generator())}
    # No `except` here: an error of the strategy, or Ctrl-C, is the caller's to see.
    indices, scores = split_answer(strategy(learner, X_pool, *args, **kwargs), n_pool)
    # How many a strategy of one's own gives that was told no number is its own to say.
    given = wanted if isinstance(wanted, Integral) else len(indices)
    check_choice(strategy_name(strategy), indices, int(given))
    rows = take_rows(X_pool, indices)
    if not return_metrics:
        return indices, rows
    if scores is None:
        warnings.warn(
            "This query strategy returns no scores: the metrics are None.", stacklevel=3
        )
    return indices, rows, scores


def check_choice(name: str, chosen: Array, n_instances: int) -> None:
    """Raise a ``ValueError`` unless a strategy chose as many rows as asked.

    The rows must all be different.

    Parameters
    ----------
    name : str
        The strategy's.
    chosen : int array
    n_instances : int
    """
    different = len(np.unique(chosen))
    if len(chosen) != n_instances or different != n_instances:
        raise ValueError(
            f"The strategy {name!r} was asked for {n_instances} different images and "
            f"gave {len(chosen)} ({different} different)."
        )


def split_answer(answer: Any, n_pool: int) -> tuple[Array, Array | None]:
    """Split what a strategy returned into positions and scores.

    The type of the answer decides, never its length alone:

    - a ``tuple`` of two, unless both are plain integers, is ``(indices, scores)``;
      where the second has not one number for each index it is taken as the rows
      themselves, which modAL before 0.4 returned, and there are no scores;
    - everything else, a list, an array, one integer, a tuple of integers, is indices.

    Parameters
    ----------
    answer : object
        What the strategy returned.
    n_pool : int
        Number of rows in the pool.

    Returns
    -------
    indices : int64 array of shape (n_instances,)
    scores : float array of shape (n_instances,) or None

    Raises
    ------
    TypeError
        When the indices are not integers.
    ValueError
        When they are not one-dimensional or outside the pool, or the scores do not
        match them in number.
    """
    scores = None
    # Two plain integers in a tuple are two indices.
    if (
        isinstance(answer, tuple)
        and len(answer) == 2
        and not all(isinstance(part, Integral) for part in answer)
    ):
        answer, scores = answer
    raw = _to_numpy(answer)
    indices = np.atleast_1d(raw) if raw.size else np.empty(0, dtype=np.int64)
    # A mask or floats would be read as positions that nobody meant.
    if indices.dtype.kind not in "iu":
        raise TypeError(
            "A query strategy must return integer positions in the pool, alone or as "
            "(indices, scores); "
            f"got {type(answer).__name__} of dtype {raw.dtype}."
        )
    if indices.ndim != 1:
        raise ValueError(
            "A query strategy must return one-dimensional indices, got shape "
            f"{indices.shape}."
        )
    if len(indices) and (indices.min() < 0 or indices.max() >= n_pool):
        raise ValueError(
            f"A query strategy must return positions from 0 to {n_pool - 1}, got "
            f"{indices.min()} … {indices.max()}."
        )
    return indices.astype(np.int64), _scores(
        scores, len(indices), scalar_index=raw.ndim == 0
    )


def _scores(scores: Any, n: int, scalar_index: bool) -> Array | None:
    if (
        scores is None
        or hasattr(scores, "iloc")
        or hasattr(scores, "tocsr")
        or isinstance(scores, dict)
    ):
        return None
    values = _to_numpy(scores)
    if values.dtype.kind not in "iuf":
        return None
    if values.size == n:
        # Of shape (n, 1), too.
        values = values.reshape(n)
        return values if values.dtype.kind == "f" else values.astype(np.float64)
    if values.ndim > 1 or scalar_index:
        return None
    raise ValueError(
        f"A query strategy must return one score for each index, got {values.size} "
        f"for {n}."
    )


def _to_numpy(values: Any) -> Array:
    # A tensor on a GPU cannot be read by numpy.
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
