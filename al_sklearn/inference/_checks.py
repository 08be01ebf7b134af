"""What a classifier gave is looked at before anybody reckons with it."""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np

from al_sklearn._core.optional import is_a
from al_sklearn._core.types import Array

# Accelerated builds of forests sum in float32 and are off by some thousandths; a loss
# of meaning, as of logits, is off by more.
_MOST_OFF: Final = 1e-2


def proba_array(proba: Any) -> Any:
    """Return what ``predict_proba`` gave as one array, whatever it came as.

    A DataFrame, lists, a sparse matrix, a tensor. A list of arrays, one an output of
    several, stays as it is.

    Examples
    --------
    >>> import pandas as pd
    >>> from al_sklearn.inference import proba_array
    >>> proba_array(pd.DataFrame({"cat": [0.25], "dog": [0.75]}))
    array([[0.25, 0.75]])
    """
    if isinstance(proba, (list, tuple)) and len(proba) and np.ndim(proba[0]) > 1:
        return proba
    if hasattr(proba, "toarray"):
        return proba.toarray()
    if hasattr(proba, "detach"):
        proba = proba.detach().cpu()
    array = np.asarray(proba)
    # Columns of several types make a frame an array of objects.
    return array.astype(np.float64) if array.dtype.kind == "O" else array


def check_proba(proba: Any, n: int, estimator: Any) -> Array:
    """Return probabilities as floats after checking shape, finiteness and row sums."""
    name = type(estimator).__name__
    proba = np.asarray(proba_array(proba))
    if proba.ndim < 2 or proba.shape[-2] != n:
        raise ValueError(
            f"{name} gave probabilities of shape {proba.shape} for {n} rows; (…, {n}, "
            "n_classes) is needed."
        )
    if proba.dtype.kind != "f":
        proba = proba.astype(np.float64)
    sums = proba.sum(axis=-1, dtype=np.float64)
    if np.isnan(sums).any():
        raise ValueError(
            f"{name} gave probabilities with NaN, first for row "
            f"{int(np.isnan(sums).nonzero()[-1][0])}."
        )
    # Half precision rounds each of many classes at the third digit; others sum to 1
    # within what a softmax of float32 over thousands of classes loses.
    tolerance = 1e-2 if proba.dtype.itemsize < 4 else 1e-3
    off = np.abs(sums - 1)
    worst = off.max(initial=0)
    slack = max(tolerance, _MOST_OFF)
    if worst > slack:
        hint = "give probabilities, not scores or logits"
        if is_a(estimator, "skorch.net.NeuralNet"):
            hint = (
                "a network needs criterion=CrossEntropyLoss for logits, or a "
                "predict_nonlinearity"
            )
        raise ValueError(
            f"The probabilities of {name} do not sum to 1 (one row sums to "
            f"{sums.flat[off.argmax()]:.4g}); {hint}."
        )
    if proba.size == 0:
        return proba
    low = proba.min()
    high = proba.max()
    if low < -tolerance or high > 1 + slack:
        raise ValueError(
            f"The probabilities of {name} lie outside 0 … 1: from {low:.4g} to "
            f"{high:.4g}."
        )
    if worst > tolerance:
        warnings.warn(
            f"The probabilities of {name} do not quite sum to 1 (one row sums to "
            f"{sums.flat[off.argmax()]:.4g}); every row is divided by its sum.",
            stacklevel=2,
        )
        proba = proba / sums[..., None].astype(proba.dtype)
    if low < 0 or high > 1:
        # Rounding in somebody's mean: a utility must not turn negative by it.
        proba = np.clip(proba, 0, 1)
    return proba


def check_embeddings(embeddings: Any, n: int, estimator: Any) -> Array:
    """Return dense finite embeddings of shape (n, d)."""
    if hasattr(embeddings, "toarray"):
        embeddings = embeddings.toarray()
    if embeddings.ndim != 2 or len(embeddings) != n:
        raise ValueError(
            f"{type(estimator).__name__} gave embeddings of shape {embeddings.shape} "
            f"for {n} rows; ({n}, d) is needed."
        )
    # A sum is NaN or infinite when a value is: no mask as large as the array.
    finite = np.isfinite(embeddings.sum(axis=1, dtype=np.float64))
    if not finite.all():
        raise ValueError(
            "The embeddings contain NaN or infinity, first in row "
            f"{int((~finite).argmax())}."
        )
    # A view, so that making it read-only does not reach the caller's X.
    return embeddings[:]


def check_each(values: Any, n: int, estimator: Any) -> Array:
    """Return one value a row, (n,)."""
    values = np.asarray(values)
    if values.size != n:
        raise ValueError(
            f"{type(estimator).__name__} gave values of shape {values.shape} for {n} "
            f"rows; ({n},) is needed."
        )
    # A column is as good.
    return values.reshape(n)
