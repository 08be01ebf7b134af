"""Cluster-Margin: a round-robin over clusters that hold the smallest margins.

The clusters are by average linkage.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.cluster.hierarchy import fcluster, linkage

from al_sklearn._core.checks import check_n_instances, renamed
from al_sklearn._core.random import as_generator
from al_sklearn._core.types import Chosen, Ints
from al_sklearn.exceptions import ParameterError
from al_sklearn.strategies._engine.distances import (
    Space,
    as_rows,
    exact_float32,
    tile_rows,
    tiles,
)
from al_sklearn.strategies._engine.top_k import top_k


def average_linkage(
    features: Any,
    n_clusters: int,
    *,
    rows: ArrayLike | None = None,
    max_points: int = 4096,
    random_state: Any = None,
) -> Ints:
    """Cluster points by average linkage of Euclidean distances.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (n, d)
        Any real dtype, any device.
    n_clusters : int
        How many clusters, at least 1; fewer where distances tie.
    rows : int array of shape (m,), optional
        Positions whose cluster is wanted; all by default.
    max_points : int, default=4096
        Above so many points that number is drawn at random and clustered, and every
        other point joins the nearest of them: the linkage needs all their distances at
        once.
    random_state : int, Generator, RandomState or None
        Used above `max_points` alone.

    Returns
    -------
    clusters : ndarray of int64, shape (m,) or (n,)
        Cluster of each, from 0.

    Raises
    ------
    ValueError
        For NaN or infinite values, or fewer than one cluster or two points.
    """
    X = as_rows(features, "features")
    if n_clusters < 1 or max_points < 2:
        raise ParameterError(
            "n_clusters must be at least 1 and max_points at least 2, got "
            f"{n_clusters} and {max_points}.",
            "n_clusters",
            "max_points",
        )
    wanted = np.arange(len(X)) if rows is None else np.asarray(rows, dtype=np.int64)
    n = len(X)
    sample = np.arange(n)
    if n > max_points:
        sample = np.sort(
            as_generator(random_state).choice(n, max_points, replace=False)
        )
    with exact_float32():
        space = Space(X)
        centres = space.rows((X,), sample)  # looks for NaN
        if len(sample) == 1:
            return np.zeros(len(wanted), dtype=np.int64)
        (values,) = space.rows64((X,), sample)
        tree = linkage(values, "average")
        # scipy counts clusters from 1.
        clusters = fcluster(tree, n_clusters, "maxclust").astype(np.int64) - 1
        if len(sample) == n:
            return clusters[wanted]
        nearest = np.empty(len(wanted), dtype=np.int64)
        for tile in tiles(len(wanted), tile_rows(space.width)):
            lower = space.lower(space.rows((X,), wanted[tile]), centres)
            nearest[tile] = lower.argmin(dim=1).cpu().numpy()
        # What was clustered itself needs no nearest.
        position = np.searchsorted(sample, wanted)
        is_sampled = sample[np.minimum(position, len(sample) - 1)] == wanted
        return clusters[np.where(is_sampled, position, nearest)]


@renamed(scores="utilities")
def cluster_round_robin(
    utilities: ArrayLike,
    clusters: ArrayLike,
    n_instances: int,
    *,
    random_state: Any = None,
) -> Chosen:
    """Take a random point from every cluster in turn, until enough [1]_.

    The smallest cluster comes first.

    Parameters
    ----------
    utilities : array-like of shape (n,)
        Utilities of the candidates: they order clusters of equal size, best point
        first.
    clusters : int array of shape (n,)
        Cluster of each candidate.
    n_instances : int
        How many, 1 … n.
    random_state : int, Generator, RandomState or None

    Returns
    -------
    indices : ndarray of int64, shape (n_instances,)
        Unique positions in the order taken.
    scores : ndarray of float64, shape (n_instances,)
        ``utilities[indices]``.

    Raises
    ------
    ValueError
        For shapes that do not fit or `n_instances` outside 1 … n.

    References
    ----------
    .. [1] G. Citovsky, G. DeSalvo, C. Gentile, L. Karydas, A. Rajagopalan, A.
           Rostamizadeh and S. Kumar. Batch active
       learning at scale. NeurIPS 2021.
    """
    values, groups = np.asarray(utilities, dtype=np.float64), np.asarray(clusters)
    if values.ndim != 1 or groups.shape != values.shape:
        raise ValueError(
            "utilities and clusters must be one number per candidate, got "
            f"{values.shape} and {groups.shape}"
        )
    n_instances = check_n_instances(n_instances, len(values))
    # Clusters may be called anything, -1 among them.
    ids = np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(ids)
    best = np.full(len(sizes), -np.inf)
    np.maximum.at(best, ids, values)
    # Small clusters first: a batch that ends within a round leaves out large ones.
    turn = np.empty(len(sizes), dtype=np.int64)
    turn[np.lexsort((-best, sizes))] = np.arange(len(sizes))
    # In which round each is taken: its place in its cluster, in random order.
    shuffled = np.lexsort((as_generator(random_state).permutation(len(values)), ids))
    round_ = np.empty(len(values), dtype=np.int64)
    round_[shuffled] = np.arange(len(values)) - np.repeat(
        np.cumsum(sizes) - sizes, sizes
    )
    indices = np.lexsort((turn[ids], round_))[:n_instances].astype(np.int64)
    return indices, values[indices]


@renamed(scores="utilities")
def cluster_margin(
    features: Any,
    utilities: Any,
    n_instances: int,
    *,
    clusters: ArrayLike | None = None,
    n_clusters: int | None = None,
    factor: float = 10,
    max_points: int = 4096,
    random_tie_break: bool = False,
    random_state: Any = None,
) -> Chosen:
    """Choose among the points of smallest margin by a round-robin over their clusters.

    Cluster-Margin [1]_.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (n, d)
        What is clustered by average linkage; not looked at where `clusters` are given.
    utilities : array-like or torch.Tensor of shape (n,)
        Higher = ask first: 1 - margin.
    n_instances : int
        How many, 1 … n.
    clusters : int array of shape (n,), optional
        Clusters that were made before, once for all rounds: see
        :func:`average_linkage`.
    n_clusters : int, optional
        How many clusters to make; `n_instances` by default.
    factor : float, default=10
        How many candidates are kept for each instance asked for, at least 1.
    max_points : int, default=4096
        As in :func:`average_linkage`.
    random_tie_break : bool, default=False
        Ties among the utilities by position; with True at random.
    random_state : int, Generator, RandomState or None

    Returns
    -------
    indices : ndarray of int64, shape (n_instances,)
        Unique positions in the order taken.
    scores : ndarray of float64, shape (n_instances,)
        ``utilities[indices]``.

    Raises
    ------
    ValueError
        For NaN, shapes that do not fit, or options out of range.

    References
    ----------
    .. [1] G. Citovsky et al. Batch active learning at scale. NeurIPS 2021.
    """
    n = len(utilities)
    n_instances = check_n_instances(n_instances, n)
    if not (np.isfinite(factor) and factor >= 1):
        raise ParameterError(
            f"factor must be a number of at least 1, got {factor!r}.", "factor"
        )
    rng = as_generator(random_state)
    n_kept = min(int(np.ceil(factor * n_instances)), n)
    kept, best = top_k(
        utilities, n_kept, random_tie_break=random_tie_break, random_state=rng
    )
    # Clustered as a whole even where few are kept: clusters of the pool, not of them.
    if clusters is None:
        if len(features) != n:
            raise ValueError(
                f"features have {len(features)} rows and utilities {n}: they must be "
                "the same points"
            )
        groups = average_linkage(
            features,
            n_clusters or n_instances,
            rows=kept,
            max_points=max_points,
            random_state=rng,
        )
    else:
        groups = np.asarray(clusters)
        if groups.shape != (n,):
            raise ValueError(
                f"clusters must have shape ({n},), one per candidate; got "
                f"{groups.shape}"
            )
        groups = groups[kept]
    chosen, values = cluster_round_robin(best, groups, n_instances, random_state=rng)
    return kept[chosen], values
