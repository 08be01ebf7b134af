"""Fitting somebody's estimator from a seed of one's own.

What ensembles, searches and calibrations share.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from al_sklearn._core.interrupts import end_with_main, not_swallowed
from al_sklearn._core.random import (
    RandomState,
    as_seed,
    preserve_global_rng,
    seeds_for,
)
from al_sklearn._core.threads import limit_threads
from al_sklearn.inference import fitting


def draw_seeds(random_state: RandomState, n: int) -> list[int]:
    """Draw ``n`` seeds that differ, for parts that must not move each other's numbers.

    The first ones are the same, however many are drawn.
    """
    sequence = np.random.SeedSequence(as_seed(random_state))
    # 31 bits: what scikit-learn takes for a seed.
    return [int(seed >> 1) for seed in sequence.generate_state(n)]


def fit_seeded(
    estimator: Any,
    X: Any,
    y: Any,
    seed: int,
    *,
    X_val: Any = None,
    y_val: Any = None,
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
        What each ``random_state`` is drawn from, and what the global generators are
        seeded with, which nets of plain skorch draw from.
    X_val, y_val : rows and labels, optional
        Lent to a net's early stopping, and to whatever else takes a validation set.
    only_open : bool, default=False
        Whether a ``random_state`` that was given stays.
    threads : int, optional
        Threads of torch and BLAS meanwhile.

    Returns
    -------
    estimator
        Fitted.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, also where the estimator swallows it: half a training is none.
    """
    end_with_main()
    estimator.set_params(**seeds_for(estimator, seed, only_open))
    # The turn first: the number of threads is one for the whole process, too.
    with not_swallowed(), preserve_global_rng(seed), limit_threads(threads):
        fitting.fit(estimator, X, y, X_val, y_val, **fit_params)
        return estimator
