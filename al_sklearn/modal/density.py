"""Information density: how much of the pool is like a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from modAL.density import cosine_similarity, euclidean_similarity, similarize_distance

from al_sklearn._core.types import Array
from al_sklearn.modal._features import as_features, mean_over_pool

# modAL's own similarities work as they are; its density makes an n x n matrix.
__all__ = [
    "cosine_similarity",
    "euclidean_similarity",
    "information_density",
    "similarize_distance",
]


def information_density(X: Any, metric: str | Callable = "euclidean") -> Array:
    """Mean similarity of every row to all rows, 1 / (1 + distance).

    See Settles & Craven 2008.

    Parameters
    ----------
    X : array, sparse matrix, tensor or DataFrame of shape (n, ...)
        Images are compared pixel by pixel. Distances are made in chunks, never n x n at
        once.
    metric : str or callable, default="euclidean"
        As :func:`sklearn.metrics.pairwise_distances` takes it.

    Returns
    -------
    array of shape (n,)
        From 0 to 1.
    """
    return mean_over_pool(as_features(X), metric, lambda distances: 1 / (1 + distances))
