"""Candidates by a test of the prediction, then k-means among them.

What DropQuery and ALFA-Mix share.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from al_sklearn._core.checks import check_n_instances, renamed
from al_sklearn._core.random import as_generator
from al_sklearn._core.types import Chosen
from al_sklearn.strategies._engine.distances import as_rows, take_rows
from al_sklearn.strategies._engine.given import tie_rank
from al_sklearn.strategies._engine.host_rows import host_rows
from al_sklearn.strategies._engine.top_k import top_k
from al_sklearn.strategies.selectors._kmeans import kmeans, most_central

# squared distances to a centre, itself float32, that differ by a smaller share are
# equal
_TIE = 1e-4


@renamed(scores="utilities")
def candidates_kmeans(
    features: Any,
    candidates: ArrayLike,
    utilities: ArrayLike,
    n_instances: int,
    *,
    normalize: bool = False,
    random_tie_break: bool = False,
    random_state: Any = None,
) -> Chosen:
    """Cluster the candidates by k-means and take the one nearest each centre.

    Fill up with the best of the others.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (n, d)
        Any real dtype, any device.
    candidates : bool array of shape (n,)
        Which points are candidates.
    utilities : array-like of shape (n,)
        Utilities, higher = ask first: where there are fewer candidates than
        `n_instances`, all of them are taken and the others of highest score follow.
    n_instances : int
        How many, 1 … n.
    normalize : bool, default=False
        Bring the features to length 1 before clustering.
    random_tie_break : bool, default=False
        Ties by position; with True at random.
    random_state : int, Generator, RandomState or None
        Seeds the clusters.

    Returns
    -------
    indices : ndarray of int64, shape (n_instances,)
        Unique positions: the candidate of the largest cluster first.
    scores : ndarray of float64, shape (n_instances,)
        ``utilities[indices]``.

    Raises
    ------
    ValueError
        For NaN, shapes that do not fit, or `n_instances` outside 1 … n.
    """
    X = as_rows(features, "features")
    n_instances = check_n_instances(n_instances, len(X))
    is_candidate = np.asarray(candidates, dtype=bool)
    values = np.asarray(utilities, dtype=np.float64)
    if is_candidate.shape != (len(X),) or values.shape != (len(X),):
        raise ValueError(
            f"candidates {is_candidate.shape} and utilities {values.shape} must be one "
            f"per row of features ({len(X)})"
        )
    rng = as_generator(random_state)
    rank = tie_rank(len(X), random_tie_break, rng)
    some = np.flatnonzero(is_candidate)
    if len(some) > n_instances:
        rows = host_rows(take_rows(X, some), normalize=normalize)
        labels, centres = kmeans(rows, n_instances, random_state=rng)
        nearest, _ = most_central(
            rows, labels, centres, rank[some], tie=_TIE, floor=_TIE**2
        )
        indices = some[nearest]
        # Fewer different candidates than clusters.
        if len(indices) < n_instances:
            left = np.setdiff1d(some, indices)
            left = left[np.lexsort((rank[left], -values[left]))]
            left = left[: n_instances - len(indices)]
            indices = np.concatenate([indices, left])
        return indices, values[indices]
    indices = some[np.lexsort((rank[some], -values[some]))]
    if len(some) < n_instances:
        others = np.flatnonzero(~is_candidate)
        best = top_k(
            values[others],
            n_instances - len(some),
            random_tie_break=random_tie_break,
            random_state=rng,
        )[0]
        indices = np.concatenate([indices, others[best]])
    return indices, values[indices]
