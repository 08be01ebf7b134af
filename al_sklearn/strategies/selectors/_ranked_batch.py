"""Cardoso's ranked batch: far from the labelled at first, uncertain later.

Points are far from what is labelled and chosen while little is labelled.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from al_sklearn._core.checks import check_n_instances
from al_sklearn._core.types import Bools, Chosen, Floats, Ints
from al_sklearn.strategies._engine.distances import (
    Array,
    Space,
    as_rows,
    exact_float32,
)
from al_sklearn.strategies._engine.given import (
    labelled_like,
    on_host,
    space_of,
    tie_rank,
)
from al_sklearn.strategies._engine.greedy import Greedy


def ranked_batch(
    features: Any,
    utilities: ArrayLike,
    n_instances: int,
    *,
    labelled: Any = None,
    metric: Literal["euclidean", "cosine", "manhattan"] = "euclidean",
    random_tie_break: bool = False,
    random_state: Any = None,
) -> Chosen:
    """Choose points one by one by α (1 - similarity) + (1 - α) utility [1]_.

    Similarity is 1 / (1 + distance to the nearest labelled or chosen point), α = |U| /
    (|U| + |L|) with those chosen before counted as labelled.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (n, d)
        The candidates, any real dtype, any device.
    utilities : array-like or torch.Tensor of shape (n,)
        Uncertainty, from 0 to 1: 1 - max p.
    n_instances : int
        How many, 1 … n.
    labelled : ndarray or torch.Tensor of shape (l, d), optional
        What is labelled already. Without any, the first choice is the point nearest the
        mean of the features.
    metric : {"euclidean", "manhattan", "cosine"}, default="euclidean"
    random_tie_break : bool, default=False
        Ties by position; with True at random.
    random_state : int, Generator, RandomState or None
        Used with `random_tie_break` alone.

    Returns
    -------
    indices : ndarray of int64, shape (n_instances,)
        Unique positions in the order chosen.
    scores : ndarray of float64, shape (n_instances,)
        Score of each when it was chosen; 1 for a first one that nothing was labelled
        before.

    Raises
    ------
    ValueError
        For NaN or infinite values, shapes that do not fit, or an unknown metric.

    Notes
    -----
    Distances only shrink as points are chosen, so that an old one gives an upper bound
    of the score: only candidates whose bound comes out on top are brought up to date,
    some hundreds together. The choices are those of the textbook loop in float64.

    References
    ----------
    .. [1] T. N. C. Cardoso, R. M. Silva, S. Canuto, M. M. Moro and M. A. Gonçalves.
           Ranked batch-mode active learning.
       Information Sciences 379, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> points = np.array([[0.0], [1.0], [9.0]])
    >>> ranked_batch(points, [0.0, 0.9, 0.0], 2, labelled=[[0.0]])[0].tolist()
    [2, 1]
    """
    X = as_rows(features, "features")
    n_instances = check_n_instances(n_instances, len(X))
    space = space_of(metric)
    U = on_host(utilities)
    # Infinity times a weight of 0 would be no number.
    if U.shape != (len(X),) or not np.isfinite(U).all():
        raise ValueError(
            f"utilities must be {len(X)} finite numbers, one per row of features; got "
            f"shape {U.shape}"
        )
    L = labelled_like(X, labelled)
    rank = tie_rank(len(X), random_tie_break, random_state)
    with exact_float32():
        ranking = _Ranking(space(X), X, L, rank, U)
        indices, scores = ranking.choose(n_instances)
    # Nothing to be similar to: the first is as dissimilar as can be.
    if L is None:
        scores[0] = 1
    return indices, scores


class _Ranking(Greedy):
    """The key is Cardoso's score; α falls by the same with each choice."""

    def __init__(
        self,
        space: Space,
        X: Array,
        L: Array | None,
        rank: Ints,
        utilities: Floats,
    ) -> None:
        self.utilities = utilities
        self.n_points = len(X) + (0 if L is None else len(L))
        super().__init__(space, X, L, rank)

    def key(self, distances: Floats, rows: Ints | None) -> Floats:
        utilities = self.utilities if rows is None else self.utilities[rows]
        # α < 1: something is labelled or chosen by now.
        alpha = (len(self.X) - len(self.chosen)) / self.n_points
        return alpha * self._dissimilarity(distances) + (1 - alpha) * utilities

    def _dissimilarity(self, distances: Floats) -> Floats:
        """1 - 1 / (1 + distance)."""
        scaled = distances * self.space.unit
        if self.space.squared:
            scaled = np.sqrt(scaled)
        return 1 - 1 / (1 + scaled)

    def growth(self, outside: Bools) -> float:
        # α falls by 1 / n a choice: so much of utility less dissimilarity is gained.
        rise = self.utilities[outside] - self._dissimilarity(self.upper[outside])
        return float(rise.max()) / self.n_points
