"""The best of some values, by modAL's names.

They stand for :func:`al_sklearn.strategies.selectors.top_k`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from al_sklearn._core.checks import check_n_instances
from al_sklearn._core.random import RandomState, as_generator
from al_sklearn._core.types import Array
from al_sklearn.modal._sampling import Chosen, best

__all__ = [
    "multi_argmax",
    "multi_argmin",
    "shuffled_argmax",
    "shuffled_argmin",
    "weighted_random",
]


def multi_argmax(values: ArrayLike, n_instances: int = 1) -> Chosen:
    """Positions and values of the largest values, ties by position.

    Parameters
    ----------
    values : array-like of shape (n,)
    n_instances : int, default=1

    Returns
    -------
    indices : int64 array of shape (n_instances,)
        Largest first.
    values : float array of shape (n_instances,)
    """
    return best(values, n_instances)


def multi_argmin(values: ArrayLike, n_instances: int = 1) -> Chosen:
    """Positions and values of the smallest values, ties by position.

    Parameters
    ----------
    values : array-like of shape (n,)
    n_instances : int, default=1

    Returns
    -------
    indices : int64 array of shape (n_instances,)
        Smallest first.
    values : float array of shape (n_instances,)
    """
    return best(values, n_instances, smallest=True)


def shuffled_argmax(
    values: ArrayLike, n_instances: int = 1, random_state: RandomState = None
) -> Chosen:
    """Positions and values of the largest values, ties at random.

    Parameters
    ----------
    values : array-like of shape (n,)
    n_instances : int, default=1
    random_state : int, Generator or None, default=None

    Returns
    -------
    indices : int64 array of shape (n_instances,)
        Largest first.
    values : float array of shape (n_instances,)
    """
    return best(values, n_instances, True, random_state)


def shuffled_argmin(
    values: ArrayLike, n_instances: int = 1, random_state: RandomState = None
) -> Chosen:
    """Positions and values of the smallest values, ties at random.

    Parameters
    ----------
    values : array-like of shape (n,)
    n_instances : int, default=1
    random_state : int, Generator or None, default=None

    Returns
    -------
    indices : int64 array of shape (n_instances,)
        Smallest first.
    values : float array of shape (n_instances,)
    """
    return best(values, n_instances, True, random_state, smallest=True)


def weighted_random(
    weights: ArrayLike, n_instances: int = 1, random_state: RandomState = None
) -> Array:
    """Draw positions without replacement, with probabilities proportional to weights.

    Parameters
    ----------
    weights : array-like of shape (n,)
        Not negative; at least ``n_instances`` of them above 0.
    n_instances : int, default=1
    random_state : int, Generator or None, default=None

    Returns
    -------
    int64 array of shape (n_instances,)

    Raises
    ------
    ValueError
        For too many instances, or weights that are negative or too often 0.
    """
    weights = np.asarray(weights, dtype=np.float64)
    n_instances = check_n_instances(n_instances, len(weights))
    # NaN is not at least 0 either. Rows of weight 0 are never drawn.
    if not (weights >= 0).all() or np.count_nonzero(weights) < n_instances:
        raise ValueError(
            f"weights must not be negative, and at least {n_instances} of them above 0."
        )
    shares = weights / weights.sum()
    rng = as_generator(random_state)
    return rng.choice(len(weights), size=n_instances, replace=False, p=shares)
