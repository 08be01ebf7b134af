"""Probabilities at a temperature, and the temperature that labels ask for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from al_sklearn._core.types import Floats
from al_sklearn.exceptions import ParameterError

# Below what float32 softmax can tell from 0; a forest's exact zeros must not make one
# mistake infinitely bad.
_LEAST_PROBABILITY = 1e-6
# A handful of labels, all predicted right, would drive the temperature to 0 and every
# probability to 0 or 1.
_RANGE = (0.05, 20.0)


def at_temperature(proba: Any, temperature: float) -> Floats:
    """Probabilities softened (temperature above 1) or sharpened.

    ``p^(1 / temperature)``, rows summing to 1.

    Parameters
    ----------
    proba : array-like of shape (n, C)
    temperature : float
        Positive.

    Returns
    -------
    proba : ndarray of float64, shape (n, C)
    """
    if not temperature > 0:
        raise ParameterError(
            f"temperature must be positive, got {temperature!r}", "temperature"
        )
    logits = (
        np.log(np.maximum(np.asarray(proba, dtype=np.float64), _LEAST_PROBABILITY))
        / temperature
    )
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits


def calibrated_temperature(proba: Any, y: Any) -> float:
    """Temperature at which the probabilities explain held-out labels best.

    Least mean negative log-likelihood.

    Parameters
    ----------
    proba : array-like of shape (n, C)
        Probabilities for data that the classifier was not trained on.
    y : int array of shape (n,)
        Column of the true class of each row; -1 for a class without a column.

    Returns
    -------
    temperature : float
        From 0.05 to 20; 1 where no row has a true class.
    """
    y = np.asarray(y)
    known = np.flatnonzero(y >= 0)
    if len(known) == 0:
        return 1.0
    proba = np.asarray(proba, dtype=np.float64)[known]
    return fit_temperature(np.log(np.maximum(proba, _LEAST_PROBABILITY)), y[known])


def fit_temperature(logits: Floats, y: NDArray[np.integer]) -> float:
    """Temperature that makes labels most probable under softmax(logits / T).

    Parameters
    ----------
    logits : float64 array of shape (n, C)
        Or logarithms of probabilities.
    y : int array of shape (n,)
        Column of the label of each row.

    Returns
    -------
    temperature : float
        From 0.05 to 20.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger. On Calibration of Modern Neural Networks. ICML 2017.

    Examples
    --------
    >>> logits = np.log([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1]])
    >>> round(fit_temperature(logits, np.array([0, 0, 1])), 3)  # too sure
    3.17
    """
    right = logits[np.arange(len(y)), y]

    def loss(log_beta: float) -> float:
        beta = np.exp(log_beta)
        return float(np.mean(logsumexp(beta * logits, axis=1) - beta * right))

    # Convex in 1/T, so that there is one minimum.
    bounds = (-np.log(_RANGE[1]), -np.log(_RANGE[0]))
    best = minimize_scalar(
        loss, bounds=bounds, method="bounded", options={"xatol": 1e-8}
    )
    return float(np.exp(-best.x))
