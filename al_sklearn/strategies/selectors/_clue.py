"""CLUE's selection: the point nearest the centre of each weighted cluster.

The clusters are those of weighted k-means.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.cluster import kmeans_plusplus as library_kmeans_plusplus

from al_sklearn._core.checks import check_n_instances, renamed
from al_sklearn._core.random import as_generator, as_seed
from al_sklearn._core.types import Chosen, Floats, Floats32, Ints
from al_sklearn.strategies._engine.distances import as_rows
from al_sklearn.strategies._engine.given import as_weights, filled, tie_rank
from al_sklearn.strategies._engine.host_rows import host_rows
from al_sklearn.strategies.selectors._kmeans import lloyd, nearest_to_centres

_SEED_ROWS = 2**14  # rows at least, and
_SEED_ROWS_PER_CLUSTER = 32  # per cluster, among which the seeds are drawn


@renamed(weights="utilities")
def weighted_kmeans(
    features: Any,
    n_instances: int,
    *,
    utilities: ArrayLike,
    random_tie_break: bool = False,
    random_state: Any = None,
) -> Chosen:
    """Choose the point nearest each centre of weighted k-means: CLUE [1]_.

    There are `n_instances` clusters.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (n, d)
        Any real dtype, any device.
    n_instances : int
        How many to choose, 1 … n; also the number of clusters.
    utilities : array-like or torch.Tensor of shape (n,)
        How much each point pulls its centre, >= 0: its uncertainty. Points of weight 0
        belong to no cluster; where all are 0, all count the same.
    random_tie_break : bool, default=False
        Points equally near a centre and of equal weight are taken by position; with
        True at random.
    random_state : int, Generator, RandomState or None
        Seeds the clusters; the same state gives the same answer.

    Returns
    -------
    indices : ndarray of int64, shape (n_instances,)
        Unique positions, that of the largest cluster first. Where there are fewer
        different points of positive weight than `n_instances`, the others of largest
        weight follow.
    scores : ndarray of float64, shape (n_instances,)
        Share of the points that are in its cluster; 0 for those that follow.

    Raises
    ------
    ValueError
        For NaN or infinite values, negative utilities, or `n_instances` outside 1 … n.

    Notes
    -----
    k-means is scikit-learn's, from weighted k-means++ seeds among a random part of the
    pool, at most 10 iterations.

    References
    ----------
    .. [1] V. Prabhu, A. Chandrasekaran, K. Saenko and J. Hoffman. Active domain
           adaptation via clustering
       uncertainty-weighted embeddings. ICCV 2021.

    Examples
    --------
    >>> import numpy as np
    >>> points = np.array([[0.0], [1.0], [2.0], [9.0]])
    >>> indices, scores = weighted_kmeans(
    ...     points, 1, utilities=[0, 0, 0.1, 0.9], random_state=0
    ... )
    >>> indices.tolist()
    [3]
    """
    X = as_rows(features, "features")
    n_instances = check_n_instances(n_instances, len(X))
    w = as_weights(utilities, len(X))
    rng = as_generator(random_state)
    tie = tie_rank(len(X), random_tie_break, rng)
    rank = np.empty(len(X), dtype=np.int64)
    rank[np.lexsort((tie, -w))] = np.arange(len(X))
    members = np.flatnonzero(w) if w.any() else np.arange(len(X))
    w = w if w.any() else np.ones(len(X))

    rows = host_rows(X, normalize=False)
    rows = rows if len(members) == len(X) else rows[members]
    labels, centres = _cluster(rows, w[members] / w.max(), n_instances, rng)
    n_clusters = min(n_instances, len(members))
    chosen, scores = nearest_to_centres(
        rows, labels, centres, n_clusters, rank[members]
    )
    # Shares of all points, not of those that weigh something.
    scores = scores * (len(members) / len(X))
    return filled(members[chosen], scores, rank, n_instances)


def _cluster(
    rows: Floats32,
    weights: Floats,
    n_clusters: int,
    rng: np.random.Generator,
) -> tuple[Ints, Floats32]:
    """Label every row and give the centres.

    Fewer than asked for where there are fewer different rows.
    """
    n_seen = max(_SEED_ROWS, _SEED_ROWS_PER_CLUSTER * n_clusters)
    seen = np.arange(len(rows))
    if len(rows) > n_seen:
        seen = np.sort(rng.choice(len(rows), n_seen, replace=False))
    # Float32 rows want float32 weights, and a tiny one must not vanish beside the
    # largest.
    weights32 = np.maximum(weights, 1e-30).astype(np.float32)
    seeds, _ = library_kmeans_plusplus(
        rows[seen],
        min(n_clusters, len(seen)),
        sample_weight=weights32[seen],
        random_state=as_seed(rng),
    )
    centres = np.unique(seeds, axis=0)
    if len(centres) == 1:
        return np.zeros(len(rows), dtype=np.int64), centres
    return lloyd(rows, centres, rng, weights=weights32)
