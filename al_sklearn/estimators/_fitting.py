"""Fitting somebody's estimator from a seed of one's own.

What ensembles, searches and calibrations share.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from al_sklearn._core.random import preserve_global_rng

# The global generators are one for all threads of a process, and networks draw from
# them: threads take turns.
_turn = threading.RLock()


def random_state_names(estimator: Any, only_open: bool = False) -> list[str]:
    """Names of the parameters called ``random_state``, at any depth, sorted.

    Parameters
    ----------
    estimator : estimator
    only_open : bool, default=False
        Whether to leave out those that have been given a value.
    """
    parameters = estimator.get_params(deep=True)
    named = sorted(
        name for name in parameters if name.rpartition("__")[2] == "random_state"
    )
    return [name for name in named if not only_open or parameters[name] is None]


def fit_seeded(
    estimator: Any,
    X: Any,
    y: Any,
    seed: int,
    *,
    only_open: bool = False,
    threads: int | None = None,
    **fit_params: Any,
) -> Any:
    """Fit an estimator from one seed, whatever it draws from.

    The global generators stay as they are.

    Parameters
    ----------
    estimator : estimator
        Changed: its ``random_state`` parameters are set, and it is fitted.
    X, y, **fit_params
        Handed to ``fit``.
    seed : int
        Set at every ``random_state``, and at the global generators, which nets of plain
        skorch draw from.
    only_open : bool, default=False
        Whether a ``random_state`` that was given stays.
    threads : int, optional
        Threads of torch and BLAS meanwhile.

    Returns
    -------
    estimator
        Fitted.
    """
    estimator.set_params(
        **dict.fromkeys(random_state_names(estimator, only_open), seed)
    )
    with _turn, thread_limit(threads), preserve_global_rng():
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - what scikit-learn draws from without a random_state
        torch.manual_seed(seed)
        return estimator.fit(X, y, **fit_params)


@contextmanager
def thread_limit(threads: int | None) -> Iterator[None]:
    """Limit the threads of torch and BLAS.

    Workers that fight over the cores are slower together than one after the other.
    """
    if threads is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before)
