"""Expected error reduction: rows whose labels make a classifier surest of the rest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError

from al_sklearn import inference
from al_sklearn._core.checks import check_n_instances
from al_sklearn._core.random import (
    RandomState,
    as_generator,
    as_seed,
    preserve_global_rng,
    seed_all,
    seeded_clone,
)
from al_sklearn.inference import fitting
from al_sklearn.modal._sampling import Chosen, best
from al_sklearn.rows import concat_rows, n_rows, take_rows
from al_sklearn.strategies import measures

__all__ = ["expected_error_reduction"]

_LOSSES = {"binary": measures.least_confidence, "log": measures.entropy}


def expected_error_reduction(
    learner: Any,
    X: Any,
    loss: str = "binary",
    p_subsample: float = 1.0,
    n_instances: int = 1,
    random_tie_break: bool = False,
    *,
    random_state: RandomState = None,
) -> Chosen:
    """Choose the rows that, once labelled, leave the smallest expected error.

    The error is that expected on the rest (Roy & McCallum 2001).

    Parameters
    ----------
    learner : ActiveLearner
        While it is not fitted, every row is as good.
    X : any kind of rows, n of them
        The pool.
    loss : {"binary", "log"}, default="binary"
        Error of a row: one minus the largest probability, or the entropy.
    p_subsample : float, default=1.0
        Share of the pool that is tried, from 0 to 1, at least ``n_instances``; the
        others are not chosen.
    n_instances : int, default=1
    random_tie_break : bool, default=False
        Whether ties are broken at random instead of by position.
    random_state : int, Generator or None, default=None
        For the subsample, the fits and ``random_tie_break``.

    Returns
    -------
    indices : int64 array of shape (n_instances,)
        Smallest expected error first.
    metrics : float array of shape (n_instances,)
        Expected error, summed over the rest of the pool.

    Raises
    ------
    ValueError
        For another loss, or a share outside 0 to 1.

    Notes
    -----
    A clone of the estimator is fitted n_classes times for every row tried: for small
    pools and fast estimators.
    """
    if loss not in _LOSSES:
        raise ValueError(f"loss must be one of {', '.join(_LOSSES)}, got {loss!r}.")
    if not 0 <= p_subsample <= 1:
        raise ValueError(f"p_subsample must be from 0 to 1, got {p_subsample!r}.")
    n = n_rows(X)
    n_instances = check_n_instances(n_instances, n)
    rng = as_generator(random_state)
    try:
        proba = np.asarray(learner.predict_proba(X))
    except NotFittedError:
        # As in modAL: before anything is known, every row is as good.
        return best(np.zeros(n), n_instances, random_tie_break, rng)
    n_tried = max(n_instances, math.ceil(p_subsample * n))
    tried = np.sort(rng.choice(n, size=n_tried, replace=False))
    seed = as_seed(rng)
    estimator = seeded_clone(learner.estimator, seed, only_open=True)
    validation = inference.validation_data(learner)
    errors = np.zeros(n_tried)
    with preserve_global_rng():
        for i, position in enumerate(tried):
            X_new = concat_rows(learner.X_training, take_rows(X, [position]))
            for column, label in enumerate(learner.classes_):
                y_new = concat_rows(learner.y_training, np.array([label]))
                # The same noise for all: they differ by the row and its label alone.
                seed_all(seed)
                fitting.fit(estimator, X_new, y_new, *validation)
                known = estimator.predict_proba(X)
                row_errors = _LOSSES[loss](np.asarray(known))
                # The row itself would be labelled: its own error is no longer expected.
                others = row_errors.sum() - row_errors[position]
                errors[i] += proba[position, column] * others
    chosen, values = best(errors, n_instances, random_tie_break, rng, smallest=True)
    return tried[chosen], values
