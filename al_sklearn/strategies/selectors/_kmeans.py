"""k-means by a library, seeded by fast k-means++, and one point a cluster.

The k-means++ is our own.
"""

from __future__ import annotations

import importlib
import warnings
from types import ModuleType
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from al_sklearn._core.checks import check_n_instances
from al_sklearn._core.random import as_generator, as_seed
from al_sklearn._core.types import Chosen, Floats32, Ints
from al_sklearn.strategies._engine.distances import (
    as_rows,
    tile_rows,
    tiles,
)
from al_sklearn.strategies._engine.given import filled, tie_rank
from al_sklearn.strategies._engine.host_rows import host_rows
from al_sklearn.strategies.selectors._kmeans_plusplus import kmeans_plusplus

# From seeds as good as k-means++'s, ten iterations end within 1 % of the inertia of
# some two hundred, measured on 50,000 x 128 features in 100 clusters, at a twentieth of
# the price.
_MAX_ITER = 10
_TIE = 1e-5


def kmeans(
    rows: Floats32, n_clusters: int, *, random_state: Any = None
) -> tuple[Ints, Floats32]:
    """k-means clusters: the cluster of every row, (n,), and the centres, (k, d).

    `rows` is the caller's to give away: scikit-learn centres it in place and puts it
    back up to rounding. There are fewer than `n_clusters` clusters where there are
    fewer different rows.
    """
    rng = as_generator(random_state)
    seeds, scores = kmeans_plusplus(rows, min(n_clusters, len(rows)), random_state=rng)
    # The rest are duplicates, which would make empty clusters.
    centres = rows[seeds[scores > 0]]
    if len(centres) == 1:
        return np.zeros(len(rows), dtype=np.int64), centres
    faiss = _faiss()
    if faiss is not None:
        search = faiss.Kmeans(
            rows.shape[1],
            len(centres),
            niter=_MAX_ITER,
            seed=as_seed(rng),
            min_points_per_centroid=1,
            # All of them: by default faiss looks at 256 a cluster.
            max_points_per_centroid=len(rows),
        )
        search.train(rows, init_centroids=centres)
        return search.index.search(rows, 1)[1][:, 0].astype(np.int64), search.centroids
    # Lloyd rather than mini-batches: measured on 50,000 x 128 and 100 … 500 clusters,
    # from these seeds it is as fast up to two times slower, and its inertia is 1 %
    # lower.
    return lloyd(rows, centres, rng, copy_x=False)


def lloyd(
    rows: Floats32,
    centres: Floats32,
    rng: np.random.Generator,
    *,
    weights: Floats32 | None = None,
    copy_x: bool = True,
) -> tuple[Ints, Floats32]:
    """Scikit-learn's k-means from these centres: labels, and the centres it ends at."""
    search = KMeans(
        len(centres),
        init=centres,
        n_init=1,
        max_iter=_MAX_ITER,
        random_state=as_seed(rng),
        copy_x=copy_x,
    )
    with warnings.catch_warnings():
        # Rows that float32 can hardly tell apart may end in fewer clusters: that is no
        # news to the caller.
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(rows, sample_weight=weights)
    return search.labels_.astype(np.int64), search.cluster_centers_


def _faiss() -> ModuleType | None:
    """Return faiss where it is installed."""
    try:
        return importlib.import_module("faiss")
    except ImportError:
        return None


def kmeans_sampling(
    features: Any,
    n_instances: int,
    *,
    random_tie_break: bool = False,
    random_state: Any = None,
) -> Chosen:
    """Choose the point nearest the centre of each of `n_instances` k-means clusters.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (n, d)
        Any real dtype, any device, any strides; a memory map is read tile by tile.
    n_instances : int
        How many to choose, 1 … n; also the number of clusters.
    random_tie_break : bool, default=False
        Points equally near a centre are taken by position; with True at random.
    random_state : int, Generator, RandomState or None, default=None
        Seeds the clusters; the same state gives the same answer.

    Returns
    -------
    indices : ndarray of int64, shape (n_instances,)
        Positions in `features`, unique, that of the largest cluster first. Where there
        are fewer different points than `n_instances`, duplicates follow by position (or
        at random).
    scores : ndarray of float64, shape (n_instances,)
        Share of the points in its cluster; 0 for duplicates.

    Raises
    ------
    ValueError
        For NaN or infinite values, or `n_instances` outside 1 … n.

    Notes
    -----
    k-means is faiss' where that is installed, else scikit-learn's, from the seeds of
    :func:`kmeans_plusplus`, with at most 10 iterations. It holds one float32 copy of
    the features. A cluster gives one of its own points, so that no point is chosen
    twice.

    Examples
    --------
    >>> import numpy as np
    >>> from al_sklearn.strategies.selectors import kmeans_sampling
    >>> points = np.array([[0.0], [1.0], [2.0], [9.0]])
    >>> indices, scores = kmeans_sampling(points, 2, random_state=0)
    >>> indices.tolist(), scores.tolist()
    ([1, 3], [0.75, 0.25])
    """
    X = as_rows(features, "features")
    n_instances = check_n_instances(n_instances, len(X))
    rng = as_generator(random_state)
    rank = tie_rank(len(X), random_tie_break, rng)
    rows = host_rows(X, normalize=False)
    labels, centres = kmeans(rows, n_instances, random_state=rng)
    return nearest_to_centres(rows, labels, centres, n_instances, rank)


def nearest_to_centres(
    rows: Floats32, labels: Ints, centres: Floats32, n_instances: int, rank: Ints
) -> Chosen:
    """From each cluster the member nearest its centre, largest cluster first.

    Then the rest by `rank`.
    """
    nearest, sizes = most_central(rows, labels, centres, rank, tie=_TIE)
    shares = sizes[:n_instances] / len(rows)
    return filled(nearest[:n_instances], shares, rank, n_instances)


def most_central(
    rows: Floats32,
    labels: Ints,
    centres: Floats32,
    rank: Ints,
    *,
    tie: float,
    floor: float = 0.0,
) -> tuple[Ints, Ints]:
    """From each cluster the member nearest its centre, and the size of the cluster.

    The largest cluster comes first. Both members of a cluster of two are as far from
    its centre: squared distances that differ by less than the share `tie`, or by
    `floor`, are equal, so that features in another precision give the same batch, and
    `rank` decides.
    """
    distances = np.empty(len(rows))
    for tile in tiles(len(rows), tile_rows(rows.shape[1])):
        differences = rows[tile].astype(np.float64) - centres[labels[tile]]
        distances[tile] = np.square(differences).sum(axis=1)
    least = np.full(len(centres), np.inf)
    np.minimum.at(least, labels, distances)
    near = np.flatnonzero(distances <= least[labels] * (1 + tie) + floor)
    order = near[np.lexsort((rank[near], labels[near]))]
    cluster = labels[order]
    is_first = np.r_[True, cluster[1:] != cluster[:-1]]
    nearest = order[is_first]
    sizes = np.bincount(labels)[labels[nearest]]
    by_size = np.argsort(-sizes, kind="stable")
    return nearest[by_size], sizes[by_size]
