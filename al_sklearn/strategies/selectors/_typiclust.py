"""TypiClust: the most typical point of each cluster that nobody has labelled yet."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from al_sklearn._core.checks import check_n_instances
from al_sklearn._core.random import as_generator
from al_sklearn._core.types import Chosen, Floats, Floats32, Ints
from al_sklearn.strategies._engine.distances import as_rows
from al_sklearn.strategies._engine.given import check_positive, labelled_like, tie_rank
from al_sklearn.strategies._engine.host_rows import host_rows
from al_sklearn.strategies.selectors._kmeans import kmeans

# Mean distances below this are rounding: duplicates are all equally, and finitely,
# typical.
_LEAST_DISTANCE = 1e-6


def typiclust(
    features: Any,
    n_instances: int,
    *,
    labelled: Any = None,
    max_clusters: int = 500,
    min_cluster_size: int = 5,
    n_neighbors: int = 20,
    random_tie_break: bool = False,
    random_state: Any = None,
) -> Chosen:
    """Choose the most typical point of each cluster, least labelled first.

    The clusters in which least is labelled come first.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (n, d)
        The candidates, any real dtype, any device, any strides; a memory map is read
        tile by tile. Rows are normalised to length 1.
    n_instances : int
        How many to choose, 1 … n.
    labelled : ndarray or torch.Tensor of shape (l, d), optional
        What is labelled already; it is clustered together with the candidates.
    max_clusters : int, default=500
        At most so many clusters; there are ``min(l + n_instances, max_clusters)``.
    min_cluster_size : int, default=5
        Clusters of so many points or fewer give none, as long as larger ones can.
    n_neighbors : int, default=20
        Typicality is one over the mean distance to so many nearest candidates of the
        cluster (to half of them where the cluster is small).
    random_tie_break : bool, default=False
        Points equally typical are taken by position; with True at random.
    random_state : int, Generator, RandomState or None, default=None
        Seeds the clusters; the same state gives the same answer.

    Returns
    -------
    indices : ndarray of int64, shape (n_instances,)
        Positions in `features` in the order chosen, unique.
    scores : ndarray of float64, shape (n_instances,)
        Typicality of each when it was chosen; 0 for the last point of a cluster.

    Raises
    ------
    ValueError
        For NaN or infinite values, shapes that do not fit, or `n_instances` outside 1 …
        n.

    See Also
    --------
    kmeans_sampling : the same k-means, without density.

    Notes
    -----
    The definition of [1]_. Clusters come in order of fewest labelled points, then of
    most points, each gives one point, and then they come again without what they gave.
    k-means is faiss' where installed, else scikit-learn's, from the seeds of
    :func:`kmeans_plusplus` with at most 10 iterations; almost all the time goes there.
    It holds one float32 copy of the features.

    References
    ----------
    .. [1] G. Hacohen, A. Dekel and D. Weinshall. Active learning on a budget: opposite
           strategies suit high and low
       budgets. ICML 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from al_sklearn.strategies.selectors import typiclust
    >>> angles = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 2.0, 2.1, 2.2, 2.3, 2.4, 2.5])
    >>> typiclust(np.c_[np.cos(angles), np.sin(angles)], 2, random_state=0)[0].tolist()
    [1, 7]
    """
    X = as_rows(features, "features")
    n_instances = check_n_instances(n_instances, len(X))
    L = labelled_like(X, labelled)
    check_positive(max_clusters=max_clusters, n_neighbors=n_neighbors)
    rng = as_generator(random_state)
    rank = tie_rank(len(X), random_tie_break, rng)
    rows = host_rows(X, L, normalize=True)
    n_labelled = len(rows) - len(X)
    n_clusters = min(n_labelled + n_instances, max_clusters)
    labels, _ = kmeans(rows, n_clusters, random_state=rng)
    return most_typical(rows, labels, rank, n_instances, min_cluster_size, n_neighbors)


def most_typical(
    rows: Floats32,
    labels: Ints,
    rank: Ints,
    n_instances: int,
    min_cluster_size: int = 5,
    n_neighbors: int = 20,
) -> Chosen:
    """TypiClust's choice once there are clusters.

    The first ``len(rank)`` rows are the candidates.
    """
    n = len(rank)
    sizes = np.bincount(labels)
    n_labelled = np.bincount(labels[n:], minlength=len(sizes))
    first = np.full(len(sizes), len(labels))
    np.minimum.at(first, labels, np.arange(len(labels)))
    order = np.lexsort((first, -sizes, n_labelled))  # not by label: those are drawn
    by_cluster = np.argsort(labels[:n], kind="stable")
    ends = np.cumsum(np.bincount(labels[:n], minlength=len(sizes)))
    members = np.split(by_cluster, ends[:-1])
    is_large = sizes[order] > min_cluster_size
    indices: list[int] = []
    scores: list[float] = []
    for group in (order[is_large], order[~is_large]):
        clusters = [
            _Cluster(rows, members[c], rank, n_neighbors)
            for c in group.tolist()
            if n_labelled[c] < sizes[c]
        ]
        while clusters and len(indices) < n_instances:
            for cluster in clusters[: n_instances - len(indices)]:
                index, typicality = cluster.pop()
                indices.append(index)
                scores.append(typicality)
            # In the same order, round after round.
            clusters = [cluster for cluster in clusters if cluster.n_left]
    return np.array(indices, dtype=np.int64), np.array(scores)


class _Cluster:
    """The candidates of a cluster, and the nearest neighbours of each."""

    def __init__(
        self,
        rows: Floats32,
        members: Ints,
        rank: Ints,
        n_neighbors: int,
    ) -> None:
        self.rows, self.members = rows, members
        self.rank, self.n_neighbors = rank, n_neighbors
        self.is_left = np.ones(len(members), dtype=bool)
        self.n_left = len(members)
        self.distances: Floats | None = None
        self.neighbors: Ints

    def pop(self) -> tuple[int, float]:
        """Take the most typical of those that are left."""
        typicality = self._typicality()
        # What differs by the rounding of rows to float32 alone ties.
        is_best = typicality >= typicality.max() * (1 - 1e-6)
        best = np.flatnonzero(is_best)
        chosen = int(best[self.rank[self.members[best]].argmin()])
        self.is_left[chosen] = False
        self.n_left -= 1
        return int(self.members[chosen]), float(typicality[chosen])

    def _typicality(self) -> Floats:
        """One over the mean distance to the nearest that are left.

        -1 for those that are gone.
        """
        if self.n_left == 1:
            return np.where(self.is_left, 0.0, -1.0)
        k = max(1, min(self.n_neighbors, self.n_left // 2))
        mean = self._mean_distance(k)
        if mean is None:
            # Most clusters are asked once; one that is asked again will be asked on.
            is_first = self.distances is None
            self._find_neighbors(k if is_first else min(2 * k, self.n_left - 1))
            mean = self._mean_distance(k)
            assert mean is not None
        return np.where(self.is_left, 1 / np.maximum(mean, _LEAST_DISTANCE), -1.0)

    def _mean_distance(self, k: int) -> Floats | None:
        """None where too few of the neighbours known are left."""
        if self.distances is None:
            return None
        counts = np.cumsum(self.is_left[self.neighbors], axis=1)
        if counts[self.is_left, -1].min() < k:
            return None
        is_among = self.is_left[self.neighbors] & (counts <= k)
        return np.where(is_among, self.distances, 0).sum(axis=1) / k

    def _find_neighbors(self, n_neighbors: int) -> None:
        self.members = self.members[self.is_left]
        self.is_left = np.ones(len(self.members), dtype=bool)
        search = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute")
        search.fit(self.rows[self.members].astype(np.float64))
        self.distances, self.neighbors = search.kneighbors()
