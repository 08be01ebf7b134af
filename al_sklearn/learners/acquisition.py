"""Acquisition functions of Bayesian optimisation, and strategies made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr
from sklearn.exceptions import NotFittedError

from al_sklearn._core.random import RandomState
from al_sklearn._core.types import Array
from al_sklearn.rows import n_rows
from al_sklearn.strategies.selectors import top_k

__all__ = [
    "EI",
    "PI",
    "UCB",
    "max_EI",
    "max_PI",
    "max_UCB",
    "optimizer_EI",
    "optimizer_PI",
    "optimizer_UCB",
]


def PI(mean: ArrayLike, std: ArrayLike, max_val: float, tradeoff: float) -> Array:
    """Probability of improvement (Kushner 1964).

    Parameters
    ----------
    mean, std : array-like of shape (n,)
        Prediction and its standard deviation; 0 is a value that is certain.
    max_val : float
        Highest value known.
    tradeoff : float
        Improvement asked for at least.

    Returns
    -------
    array of shape (n,)
        From 0 to 1; where ``std`` is 0, 1 for an improvement and 0 for none.
    """
    gain, std, z = _gain(mean, std, max_val, tradeoff)
    return np.where(std == 0, gain > 0, ndtr(z))


def EI(mean: ArrayLike, std: ArrayLike, max_val: float, tradeoff: float) -> Array:
    """Expected improvement (Močkus 1975).

    Parameters
    ----------
    mean, std : array-like of shape (n,)
        Prediction and its standard deviation; 0 is a value that is certain.
    max_val : float
        Highest value known.
    tradeoff : float
        Improvement asked for at least.

    Returns
    -------
    array of shape (n,)
        Where ``std`` is 0, the improvement itself or 0.
    """
    gain, std, z = _gain(mean, std, max_val, tradeoff)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    # What is certain has no tail that could be better still.
    return np.where(std == 0, np.maximum(gain, 0), gain * ndtr(z) + std * density)


def UCB(mean: ArrayLike, std: ArrayLike, beta: float) -> Array:
    """Upper confidence bound.

    Parameters
    ----------
    mean, std : array-like of shape (n,)
        Prediction and its standard deviation.
    beta : float
        How many standard deviations are added to the mean.

    Returns
    -------
    array of shape (n,)
    """
    return np.asarray(mean) + beta * np.asarray(std)


def _gain(
    mean: ArrayLike, std: ArrayLike, max_val: float, tradeoff: float
) -> tuple[Array, Array, Array]:
    """Return the gain, its standard deviation, and the one in units of the other."""
    gain = np.asarray(mean, dtype=np.float64) - max_val - tradeoff
    std = np.asarray(std, dtype=np.float64)
    # Divided by 1 where nothing is uncertain: what is known already gives no NaN.
    return gain, std, gain / np.where(std == 0, 1, std)


def _predict(optimizer: Any, X: Any) -> tuple[Array, Array]:
    try:
        mean, std = optimizer.predict(X, return_std=True)
    except NotFittedError:
        # Nothing known: every place is as good, and nowhere is certain.
        return np.zeros(n_rows(X)), np.ones(n_rows(X))
    return np.asarray(mean).reshape(-1), np.asarray(std).reshape(-1)


def optimizer_PI(optimizer: Any, X: Any, tradeoff: float = 0) -> Array:
    """Probability of improvement over ``optimizer.y_max``.

    Parameters
    ----------
    optimizer : BayesianOptimizer
    X : any kind of rows
    tradeoff : float, default=0
        Improvement asked for at least.

    Returns
    -------
    array of shape (n,)
    """
    return PI(*_predict(optimizer, X), optimizer.y_max, tradeoff)


def optimizer_EI(optimizer: Any, X: Any, tradeoff: float = 0) -> Array:
    """Expected improvement over ``optimizer.y_max``.

    Parameters
    ----------
    optimizer : BayesianOptimizer
    X : any kind of rows
    tradeoff : float, default=0
        Improvement asked for at least.

    Returns
    -------
    array of shape (n,)
    """
    return EI(*_predict(optimizer, X), optimizer.y_max, tradeoff)


def optimizer_UCB(optimizer: Any, X: Any, beta: float = 1) -> Array:
    """Upper confidence bound of the optimizer's prediction.

    Parameters
    ----------
    optimizer : BayesianOptimizer
    X : any kind of rows
    beta : float, default=1
        How many standard deviations are added to the mean.

    Returns
    -------
    array of shape (n,)
    """
    return UCB(*_predict(optimizer, X), beta)


def max_PI(
    optimizer: Any,
    X: Any,
    tradeoff: float = 0,
    n_instances: int = 1,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> tuple[Array, Array]:
    """Choose the rows with the highest probability of improvement.

    Parameters
    ----------
    optimizer : BayesianOptimizer
    X : any kind of rows
    tradeoff : float, default=0
        Improvement asked for at least.
    n_instances : int, default=1
    random_tie_break : bool, default=False
        Whether ties are broken at random instead of by position.
    random_state : int, Generator or None, default=None
        For ``random_tie_break``.

    Returns
    -------
    indices : int64 array of shape (n_instances,)
        Best first.
    scores : float array of shape (n_instances,)
    """
    utilities = optimizer_PI(optimizer, X, tradeoff)
    return top_k(
        utilities,
        n_instances,
        random_tie_break=random_tie_break,
        random_state=random_state,
    )


def max_EI(
    optimizer: Any,
    X: Any,
    tradeoff: float = 0,
    n_instances: int = 1,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> tuple[Array, Array]:
    """Choose the rows with the highest expected improvement.

    The default of :class:`BayesianOptimizer`.

    Parameters
    ----------
    optimizer : BayesianOptimizer
    X : any kind of rows
    tradeoff : float, default=0
        Improvement asked for at least.
    n_instances : int, default=1
    random_tie_break : bool, default=False
        Whether ties are broken at random instead of by position.
    random_state : int, Generator or None, default=None
        For ``random_tie_break``.

    Returns
    -------
    indices : int64 array of shape (n_instances,)
        Best first.
    scores : float array of shape (n_instances,)
    """
    utilities = optimizer_EI(optimizer, X, tradeoff)
    return top_k(
        utilities,
        n_instances,
        random_tie_break=random_tie_break,
        random_state=random_state,
    )


def max_UCB(
    optimizer: Any,
    X: Any,
    beta: float = 1,
    n_instances: int = 1,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> tuple[Array, Array]:
    """Choose the rows with the highest upper confidence bound.

    Parameters
    ----------
    optimizer : BayesianOptimizer
    X : any kind of rows
    beta : float, default=1
        How many standard deviations are added to the mean.
    n_instances : int, default=1
    random_tie_break : bool, default=False
        Whether ties are broken at random instead of by position.
    random_state : int, Generator or None, default=None
        For ``random_tie_break``.

    Returns
    -------
    indices : int64 array of shape (n_instances,)
        Best first.
    scores : float array of shape (n_instances,)
    """
    utilities = optimizer_UCB(optimizer, X, beta)
    return top_k(
        utilities,
        n_instances,
        random_tie_break=random_tie_break,
        random_state=random_state,
    )
