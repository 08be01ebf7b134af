"""Rows of any kind as vectors between which distances are measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.metrics import pairwise_distances_chunked

from al_sklearn._core.types import Array


def as_features(X: Any) -> Any:
    """Return X as (n, d): images flattened, a CSR matrix as it is.

    Raises
    ------
    ValueError
        When X is not numbers.
    """
    if sp.issparse(X):
        # The kind whose rows are taken by position.
        return X.tocsr()
    array = np.asarray(X.detach().cpu() if hasattr(X, "detach") else X)
    if array.dtype.kind not in "fiub":
        raise ValueError(
            f"Distances need numbers, got {type(X).__name__} of {array.dtype}: give "
            "features, or a Pipeline with "
            "on_transformed=True."
        )
    return array.reshape(len(array), -1)


def features_for(classifier: Any, X: Any) -> Any:
    """Rows as vectors, as the classifier's pipeline transforms them where it should."""
    if getattr(classifier, "on_transformed", False):
        X = classifier.transform_without_estimating(X)
    return as_features(X)


def mean_over_pool(
    features: Any,
    metric: str | Callable,
    of_distance: Callable[[Array], Array],
    n_jobs: int | None = None,
) -> Array:
    """Mean over all rows of a function of the distance to them, in chunks.

    There is one for every row.
    """
    chunks = pairwise_distances_chunked(
        features,
        reduce_func=lambda distances, _start: of_distance(distances).mean(axis=1),
        metric=metric,
        n_jobs=n_jobs,
        # MiB: a block of distances stays in the cache, and is nothing beside a pool.
        working_memory=16,
    )
    return np.concatenate(list(chunks))
