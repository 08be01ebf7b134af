"""How far confidence is from accuracy."""

from __future__ import annotations

import numpy as np
import pandas as pd

from al_sklearn._core.types import Array


def reliability_curve(y_true: Array, proba: Array, n_bins: int = 15) -> pd.DataFrame:
    """Mean confidence and accuracy in equal-width bins of the confidence.

    Parameters
    ----------
    y_true : int array of shape (n,)
        Columns of the true classes.
    proba : float array of shape (n, C)
        Probabilities.
    n_bins : int, default=15
        Bins ``((k - 1) / n_bins, k / n_bins]``.

    Returns
    -------
    DataFrame
        One row a bin: ``low``, ``high``, ``n``, ``confidence``, ``accuracy`` (NaN
        without images).

    References
    ----------
    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    confidence, right, bins = _binned(y_true, proba, n_bins)
    n = np.bincount(bins, minlength=n_bins)
    # An empty bin has no mean.
    there = n > 0
    means = {}
    for name, values in (("confidence", confidence), ("accuracy", right)):
        total = np.bincount(bins, weights=values, minlength=n_bins)
        means[name] = np.divide(total, n, out=np.full(n_bins, np.nan), where=there)
    edges = np.arange(n_bins + 1) / n_bins
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "n": n, **means})


def expected_calibration_error(y_true: Array, proba: Array, n_bins: int = 15) -> float:
    """Mean distance between confidence and accuracy over bins.

    The bins of the confidence are of equal width.

    Parameters
    ----------
    y_true : int array of shape (n,)
        Columns of the true classes.
    proba : float array of shape (n, C)
        Probabilities.
    n_bins : int, default=15
        Bins ``((k - 1) / n_bins, k / n_bins]``; one without images counts nothing.

    Returns
    -------
    float
        Between 0 and 1.

    References
    ----------
    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    confidence, right, bins = _binned(y_true, proba, n_bins)
    # n times each bin's gap is the sum of right minus confidence in it.
    gap = np.bincount(bins, weights=right - confidence, minlength=n_bins)
    return float(np.abs(gap).sum() / len(confidence))


def _binned(y_true: Array, proba: Array, n_bins: int) -> tuple[Array, Array, Array]:
    """Confidence, whether it was right, and the bin, of each image."""
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, got {n_bins}.")
    confidence = np.asarray(proba).max(axis=1).astype(np.float64)
    right = np.asarray(proba).argmax(axis=1) == np.asarray(y_true)
    return (
        confidence,
        right,
        # Closed above: 1 belongs to the last bin, and 0 to the first.
        np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1),
    )
