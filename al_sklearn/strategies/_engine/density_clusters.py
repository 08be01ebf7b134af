"""Clusters and outliers by density: HDBSCAN and GLOSH, through the hdbscan package."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from al_sklearn._core.checks import renamed
from al_sklearn._core.types import Floats, Ints
from al_sklearn.exceptions import ParameterError
from al_sklearn.strategies._engine.distances import as_rows

# rows from which on processes of hdbscan's own gain more than they take to start
_MANY = 20_000
# columns from which on a tree rules so little out that large leaves, which are quick to
# go over, gain
_WIDE = 16
_SMALLEST = 2  # no cluster has fewer members


@renamed(embeddings="features")
def density_clusters(
    features: Any, min_cluster_size: int = 50, *, min_samples: int | None = None
) -> tuple[Ints, Floats]:
    """Clusters by density, and how far each row is from being in one.

    The method is that of Campello et al., TKDD 2015.

    Parameters
    ----------
    features : array or tensor of shape (n, d)
    min_cluster_size : int, default=50
        Fewest members of a cluster. While no cluster appears it is halved, until 2.
    min_samples : int, optional
        Neighbours that the density is estimated from; ``min_cluster_size``, as it is
        halved, by default.

    Returns
    -------
    labels : int64 array of shape (n,)
        The cluster of each row; -1 for noise.
    outlier_scores : float64 array of shape (n,)
        GLOSH, from 0 (inside) to 1; -inf where it is not defined, as among duplicates
        at no distance.

    Raises
    ------
    ValueError
        For another shape, NaN or infinity, or sizes that are too small.
    """
    import hdbscan  # here, for it takes a second

    rows = as_rows(features, "features")
    values = np.asarray(
        rows if isinstance(rows, np.ndarray) else rows.cpu(), dtype=np.float64
    )
    if not values.flags.writeable:  # which hdbscan does not take
        values = values.copy()
    if min_cluster_size < _SMALLEST:
        raise ParameterError(
            f"min_cluster_size must be at least {_SMALLEST}, got {min_cluster_size}.",
            "min_cluster_size",
        )
    if min_samples is not None and min_samples < 1:
        raise ParameterError(
            f"min_samples must be at least 1, got {min_samples}.", "min_samples"
        )
    if not np.isfinite(values.sum(axis=1)).all():
        raise ValueError("The features contain NaN or infinity.")
    n = len(values)
    if n <= _SMALLEST:  # too few to be told apart
        return np.full(n, -1), np.zeros(n)
    size = min(min_cluster_size, n)
    # As many of its processes as this one may have threads: one in a worker of a
    # comparison. Few rows are not worth it.
    n_jobs = torch.get_num_threads() if n >= _MANY else 1
    leaf_size = 160 if values.shape[1] >= _WIDE else 40
    while True:
        clusterer = hdbscan.HDBSCAN(
            min_cluster_size=size,
            min_samples=min(min_samples or size, n - 1),
            leaf_size=leaf_size,
            core_dist_n_jobs=n_jobs,
        ).fit(values)
        labels = np.asarray(clusterer.labels_, dtype=np.int64)
        if labels.max() >= 0 or size == _SMALLEST:
            break
        size = max(size // 2, _SMALLEST)
    scores = np.array(clusterer.outlier_scores_, dtype=np.float64)
    scores[np.isnan(scores)] = -np.inf
    return labels, scores


@renamed(embeddings="features")
def glosh(
    features: Any, min_cluster_size: int = 50, *, min_samples: int | None = None
) -> Floats:
    """How far each row is from being in a cluster.

    GLOSH of HDBSCAN (Campello et al., TKDD 2015).

    Parameters
    ----------
    features : array or tensor of shape (n, d)
    min_cluster_size : int, default=50
        Fewest members of a cluster. While no cluster appears it is halved, until 2.
    min_samples : int, optional
        Neighbours that the density is estimated from; ``min_cluster_size``, as it is
        halved, by default.

    Returns
    -------
    utilities : float64 array of shape (n,)
        From 0 (inside) to 1; -inf where it is not defined, as among duplicates at no
        distance.

    Raises
    ------
    ValueError
        For another shape, NaN or infinity, or sizes that are too small.
    """
    return density_clusters(features, min_cluster_size, min_samples=min_samples)[1]
