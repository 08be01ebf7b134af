"""Ranked batch sampling: uncertain rows unlike the labelled ones and each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics import pairwise_distances
from sklearn.metrics.pairwise import pairwise_distances_argmin_min

from al_sklearn._core.checks import check_n_instances
from al_sklearn._core.types import Array
from al_sklearn.modal._features import as_features, features_for, mean_over_pool
from al_sklearn.modal._sampling import Chosen
from al_sklearn.modal.uncertainty import classifier_uncertainty
from al_sklearn.rows import n_rows, take_rows

__all__ = [
    "ranked_batch",
    "select_cold_start_instance",
    "select_instance",
    "uncertainty_batch_sampling",
]

Metric = str | Callable


def select_cold_start_instance(
    X: Any, metric: Metric = "euclidean", n_jobs: int | None = None
) -> tuple[int, Any]:
    """Choose the row with the smallest mean distance to all others.

    It is for the time when nothing is labelled yet.

    Parameters
    ----------
    X : any kind of rows of numbers
        Images too.
    metric : str or callable, default="euclidean"
    n_jobs : int or None, default=None

    Returns
    -------
    position : int
    row : kind of X
        With its first axis.
    """
    features = as_features(X)
    means = mean_over_pool(features, metric, lambda distances: distances, n_jobs)
    position = int(np.argmin(means))
    return position, take_rows(X, [position])


def select_instance(
    X_training: Any,
    X_pool: Any,
    X_uncertainty: Array,
    mask: Array,
    metric: Metric = "euclidean",
    n_jobs: int | None = None,
) -> tuple[int, Any, Array]:
    """Choose the next row of a ranked batch; see :func:`ranked_batch`.

    Parameters
    ----------
    X_training : any kind of rows of numbers
        What is labelled, or chosen before.
    X_pool : any kind of rows of numbers
    X_uncertainty : array of shape (n_pool,)
    mask : bool array of shape (n_pool,)
        False where a row was chosen before.
    metric : str or callable, default="euclidean"
    n_jobs : int or None, default=None

    Returns
    -------
    position : int
        In ``X_pool``.
    row : kind of X_pool
        With its first axis.
    mask : bool array of shape (n_pool,)
        A new one, False at ``position`` too.
    """
    mask = np.asarray(mask, dtype=bool)
    nearest = _distance_to(as_features(X_pool), as_features(X_training), metric, n_jobs)
    position = _next(nearest, np.asarray(X_uncertainty), mask, n_rows(X_training))
    # The caller keeps the mask that was given, as in modAL.
    mask = mask.copy()
    mask[position] = False
    return position, take_rows(X_pool, [position]), mask


def ranked_batch(
    classifier: Any,
    unlabeled: Any,
    uncertainty_scores: Array,
    n_instances: int,
    metric: Metric = "euclidean",
    n_jobs: int | None = None,
) -> Chosen:
    """Rank a batch by uncertainty and by distance to what is already there.

    That is what is labelled or ranked before (Cardoso et al. 2017).

    Parameters
    ----------
    classifier : ActiveLearner or Committee
        Its ``X_training``, None for a cold start, and ``on_transformed``.
    unlabeled : any kind of rows of numbers, n of them
        The pool. Images are compared pixel by pixel, or as the classifier's pipeline
        transforms them if ``on_transformed``.
    uncertainty_scores : array of shape (n,)
    n_instances : int
        All rows when there are fewer.
    metric : str or callable, default="euclidean"
        As :func:`sklearn.metrics.pairwise_distances` takes it.
    n_jobs : int or None, default=None
        Jobs for the distances.

    Returns
    -------
    indices : int64 array of shape (n_instances,)
        In the order of their rank.
    scores : float array of shape (n_instances,)
        Uncertainty of each.

    References
    ----------
    Cardoso et al., *Ranked batch-mode active learning*, Information Sciences 379, 2017.

    Notes
    -----
    With u rows left and l labelled or ranked, the score of a row is a (1 - s) + (1 - a)
    uncertainty, where a = u / (u + l) and s is 1 / (1 + distance to the nearest of the
    l). O(n d) for each row ranked: distances are updated, not made again.
    """
    pool = features_for(classifier, unlabeled)
    n_pool = pool.shape[0]
    uncertainty = np.asarray(uncertainty_scores)
    # The default of 20 may be more than a small pool has left.
    n_instances = check_n_instances(min(n_instances, n_pool), n_pool)
    mask = np.ones(n_pool, dtype=bool)
    ranking: list[int] = []
    if classifier.X_training is None:
        # Nothing to be far from yet: the batch begins in the middle of the pool.
        ranking.append(select_cold_start_instance(pool, metric, n_jobs)[0])
        mask[ranking] = False
        known = pool[ranking]
    else:
        known = features_for(classifier, classifier.X_training)
    nearest = _distance_to(pool, known, metric, n_jobs)
    n_labelled = known.shape[0]
    while len(ranking) < n_instances:
        position = _next(nearest, uncertainty, mask, n_labelled)
        ranking.append(position)
        mask[position] = False
        n_labelled += 1
        # Only the row just ranked can be nearer than what was there before.
        nearest = np.minimum(
            nearest, _distance_to(pool, pool[[position]], metric, n_jobs)
        )
    indices = np.array(ranking, dtype=np.int64)
    return indices, uncertainty[indices]


def uncertainty_batch_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 20,
    metric: Metric = "euclidean",
    n_jobs: int | None = None,
    **uncertainty_measure_kwargs: Any,
) -> Chosen:
    """Ranked batch sampling by least confidence; see :func:`ranked_batch`.

    Parameters
    ----------
    classifier : ActiveLearner or Committee
    X : any kind of rows of numbers
        The pool.
    n_instances : int, default=20
    metric : str or callable, default="euclidean"
    n_jobs : int or None, default=None
    **uncertainty_measure_kwargs
        Passed on to ``predict_proba``.

    Returns
    -------
    indices : int64 array of shape (n_instances,)
        In the order of their rank.
    scores : float array of shape (n_instances,)
        Uncertainty of each.
    """
    uncertainty = classifier_uncertainty(classifier, X, **uncertainty_measure_kwargs)
    return ranked_batch(classifier, X, uncertainty, n_instances, metric, n_jobs)


def _distance_to(pool: Any, others: Any, metric: Metric, n_jobs: int | None) -> Array:
    """Distance of every row of the pool to the nearest of ``others``."""
    if n_jobs is None or n_jobs == 1:
        # In chunks; the whole matrix is made only where jobs were asked for.
        return pairwise_distances_argmin_min(pool, others, metric=metric)[1]
    return pairwise_distances(pool, others, metric=metric, n_jobs=n_jobs).min(axis=1)


def _next(nearest: Array, uncertainty: Array, mask: Array, n_labelled: int) -> int:
    left = np.flatnonzero(mask)
    # The less is labelled, the more distance counts (Cardoso et al., equation 4).
    alpha = len(left) / (len(left) + n_labelled)
    scores = alpha * (1 - 1 / (1 + nearest[left])) + (1 - alpha) * uncertainty[left]
    return int(left[np.argmax(scores)])
