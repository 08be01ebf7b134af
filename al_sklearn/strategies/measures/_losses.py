"""Measures of a loss: its true value, and its gradient in the input."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from al_sklearn._core.types import Floats
from al_sklearn.strategies._engine.arrays import check


def true_loss(proba: Any, labels: ArrayLike) -> Floats:
    """Cross-entropy -ln p of the true class: an oracle, for upper bounds.

    Parameters
    ----------
    proba : array or tensor of shape (n, C)
        Class probabilities.
    labels : int array of shape (n,)
        Column of the true class of each row, 0 … C-1.

    Returns
    -------
    utilities : ndarray of float64, shape (n,)
        From 0 to infinity, where the true class has probability 0.

    Raises
    ------
    ValueError
        For NaN, or labels that are no columns.
    """
    proba = check(proba, 2, "proba")
    values = proba.detach().cpu().numpy() if hasattr(proba, "detach") else proba
    columns = np.asarray(labels.cpu() if hasattr(labels, "cpu") else labels)
    if columns.shape != (len(values),) or columns.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be {len(values)} integers, one per row, got {columns.dtype} "
            f"{columns.shape}"
        )
    if len(columns) and not (columns.min() >= 0 and columns.max() < values.shape[1]):
        raise ValueError(
            f"labels must be from 0 to {values.shape[1] - 1}, got {columns.min()} … "
            f"{columns.max()}"
        )
    chosen = values[np.arange(len(values)), columns].astype(np.float64)
    if np.isnan(chosen).any():
        raise ValueError(
            "The probabilities contain NaN, first in row "
            f"{int(np.isnan(chosen).argmax())}."
        )
    with np.errstate(divide="ignore"):
        return np.maximum(-np.log(chosen), 0)


def input_gradient(gradients: Any) -> Any:
    """Size of the gradient of the loss in each image, Σ|∂CE(x, ŷ)/∂x|.

    The loss summed over images, not averaged.

    Parameters
    ----------
    gradients : array or tensor of shape (n, …)
        Gradient of the loss in each input.

    Returns
    -------
    utilities : array or tensor of shape (n,)

    Raises
    ------
    ValueError
        For NaN.
    """
    if hasattr(gradients, "detach"):
        sizes = gradients.detach().abs().flatten(1).double().sum(dim=1)
    else:
        array = np.asarray(gradients)
        sizes = np.abs(array).reshape(len(array), -1).sum(axis=1, dtype=np.float64)
    if bool((sizes != sizes).any()):
        raise ValueError("The gradients contain NaN.")
    return sizes
