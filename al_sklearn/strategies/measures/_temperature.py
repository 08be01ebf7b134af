"""Probabilities at a temperature, and the temperature that labels ask for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar


def at_temperature(proba: Any, temperature: float) -> NDArray[np.float64]:
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
        raise ValueError(f"temperature must be positive, got {temperature!r}")
    logits = (
        np.log(np.maximum(np.asarray(proba, dtype=np.float64), _LEAST_PROBABILITY))
        / temperature
    )
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits


# Below what float32 softmax can tell from 0; a forest's exact zeros must not make one
# mistake infinitely bad.
_LEAST_PROBABILITY = 1e-6


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
    proba, y = np.asarray(proba)[known], y[known]

    def loss(log_temperature: float) -> float:
        likelihood = at_temperature(proba, float(np.exp(log_temperature)))[
            np.arange(len(y)), y
        ]
        return float(-np.log(np.maximum(likelihood, 1e-300)).mean())

    bounds = (np.log(0.05), np.log(20.0))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))
