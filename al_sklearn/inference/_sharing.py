"""Within one query each result is computed once, however many measures ask for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from al_sklearn._core.types import Array
from al_sklearn.inference._adapter import Adapter
from al_sklearn.rows import RowView, kept, n_rows

# What is said of a row whatever rows are beside it.
_ROW_WISE = frozenset({"predict_proba", "embed", "input_gradient", "predict_loss"})

_memory: ContextVar[dict[tuple, tuple] | None] = ContextVar(
    "al_sklearn_shared", default=None
)


@contextmanager
def shared() -> Iterator[None]:
    """Compute each capability of one (classifier, X) only once inside ``with``.

    Strategies open it for each query; nested blocks share the outermost one's results.
    The results are read-only.
    """
    if _memory.get() is not None:
        yield
        return
    token = _memory.set({})
    try:
        yield
    finally:
        _memory.reset(token)


def once(
    name: str,
    estimator: Any,
    X: Any,
    options: tuple,
    compute: Callable[[], Any],
) -> Any:
    """Return what was computed in this query, or compute it."""
    memory = _memory.get()
    if memory is None:
        return compute()
    key = (name, id(estimator), id(X), options)
    if key not in memory:
        whole = None
        if isinstance(X, RowView) and name in _ROW_WISE:
            whole = memory.get((name, id(estimator), id(X.base), options))
        # Known of all rows, it is known of some.
        result = compute() if whole is None else whole[2][X.indices]
        is_tuple = isinstance(result, tuple)
        result = tuple(map(_read_only, result)) if is_tuple else _read_only(result)
        # The objects are kept with the result: an id is theirs only as long as they
        # live.
        memory[key] = (estimator, X, result)
    return memory[key][2]


def of_rows(
    name: str,
    adapter: Adapter,
    X: Any,
    *options: Any,
    check: Callable[[Any, int, Any], Any] | None = None,
) -> Any:
    """What the adapter's method of that name says of the rows, in pieces and kept.

    ``check(result, n, estimator)`` looks at the whole of it.
    """
    estimator = adapter.estimator

    def piece(rows: Any) -> Any:
        # A query changes nothing, whatever an estimator's own method leaves behind.
        with adapter.modes_kept():
            result = getattr(adapter, name)(rows, *options)
        # A pair, and what is sparse, is for the check to take apart.
        is_whole = isinstance(result, tuple) or hasattr(result, "toarray")
        return result if is_whole else np.asarray(result)

    def compute() -> Any:
        found = kept(name, estimator, X, options, piece)
        return found if check is None else check(found, n_rows(X), estimator)

    return once(name, estimator, X, options, compute)


def one_seed(estimator: Any, n_samples: int | None, seed: int) -> int:
    """Return the seed of this query's posterior samples: that of the first to ask.

    Every X of one query is then seen by the same functions.
    """
    memory = _memory.get()
    if memory is None:
        return seed
    key = ("seed", id(estimator), n_samples)
    return memory.setdefault(key, (estimator, None, seed))[2]


def _read_only(array: Array) -> Array:
    # A view: the array itself may belong to the classifier.
    view = array.view()
    view.flags.writeable = False
    return view
