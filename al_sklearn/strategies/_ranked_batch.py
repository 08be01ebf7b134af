"""Cardoso's ranked batch: far from what is labelled and chosen while little is labelled, uncertain later."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

from al_sklearn._errors import check_n_instances, unknown_name
from al_sklearn._random import as_generator
from al_sklearn.strategies._blocks import (
    Array,
    CosineSpace,
    Rows64,
    Space,
    as_rows,
    exact_float32,
    nearest_chosen,
    nearest_exact,
    tile_rows,
    tiles,
)
from al_sklearn.strategies._k_center import _SPACES, k_center

_BLOCK = 64  # candidates whose distances are brought up to date together
_FEW = 32  # choices up to which their distances to all choices are computed outright


def ranked_batch(
    features: Any,
    utilities: ArrayLike,
    n_instances: int,
    *,
    labelled: Any = None,
    metric: str = "euclidean",
    random_tie_break: bool = False,
    random_state: Any = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Choose points one by one by α (1 - similarity) + (1 - α) utility [1]_.

    Similarity is 1 / (1 + distance to the nearest labelled or chosen point), α = |U| / (|U| + |L|) with those chosen
    before counted as labelled.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (n, d)
        The candidates, any real dtype, any device.
    utilities : array-like or torch.Tensor of shape (n,)
        Uncertainty, from 0 to 1: 1 - max p.
    n_instances : int
        How many, 1 … n.
    labelled : ndarray or torch.Tensor of shape (l, d), optional
        What is labelled already. Without any, the first choice is the point nearest the mean of the features.
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
        Score of each when it was chosen; 1 for a first one that nothing was labelled before.

    Raises
    ------
    ValueError
        For NaN or infinite values, shapes that do not fit, or an unknown metric.

    Notes
    -----
    Distances only shrink as points are chosen, so that an old one gives an upper bound of the score: only candidates
    whose bound comes out on top are brought up to date. The choices are those of the textbook loop in float64.

    References
    ----------
    .. [1] T. N. C. Cardoso, R. M. Silva, S. Canuto, M. M. Moro and M. A. Gonçalves. Ranked batch-mode active learning.
       Information Sciences 379, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> ranked_batch(np.array([[0.0], [1.0], [9.0]]), [0.0, 0.9, 0.0], 2, labelled=[[0.0]])[0].tolist()
    [2, 1]
    """
    X = as_rows(features, "features")
    n_instances = check_n_instances(n_instances, len(X))
    if metric not in _SPACES:
        raise unknown_name("metric", metric, _SPACES)
    U = np.array(utilities.detach().cpu() if hasattr(utilities, "detach") else utilities, dtype=np.float64)
    if U.shape != (len(X),) or not np.isfinite(U).all():
        raise ValueError(f"utilities must be {len(X)} finite numbers, one per row of features; got shape {U.shape}")
    L = None if labelled is None or len(labelled) == 0 else as_rows(labelled, "labelled")
    if L is not None and L.shape[1] != X.shape[1]:
        raise ValueError(f"labelled has {L.shape[1]} columns and features {X.shape[1]}: they must be the same")
    rng = as_generator(random_state)
    rank = rng.permutation(len(X)) if random_tie_break else None
    with exact_float32():
        ranking = _Ranking(_SPACES[metric](X), X, L, U, rank)
        if L is None:
            first = k_center(X, 1, metric=metric, random_tie_break=random_tie_break, random_state=rng)[0]
            ranking.take(int(first[0]), 1.0)
        while len(ranking.chosen) < n_instances:
            ranking.choose()
    return np.array(ranking.chosen, dtype=np.int64), np.array(ranking.scores)


class _Ranking:
    """State of one selection: dissimilarity of each row to what it has seen, an upper bound of the true one."""

    def __init__(
        self,
        space: Space,
        X: Array,
        L: Array | None,
        utilities: NDArray[np.float64],
        rank: NDArray[np.int64] | None,  # in place of positions
    ) -> None:
        self.space, self.X, self.utilities, self.rank = space, X, utilities, rank
        self.n_labelled = 0 if L is None else len(L)
        self.nearest = np.full(len(X), np.inf)
        self.seen = np.zeros(len(X), dtype=np.int64)
        self.chosen: list[int] = []
        self.scores: list[float] = []
        if L is not None:
            self._meet(L)
        self.dissimilarity = self._dissimilarity(self.nearest)

    def _meet(self, L: Array) -> None:
        """Distances to the nearest labelled row."""
        for group in tiles(len(L), 4 * tile_rows(self.space.width)):
            centres = self.space.rows((L,), group)
            (values,) = self.space.rows64((L,), group)

            def fetch(columns: NDArray[np.int64], values: NDArray[np.float64] = values) -> Rows64:
                return (values[columns],)

            for tile in tiles(len(self.X), tile_rows(self.space.width)):
                rows, rows64 = self.space.rows((self.X,), tile), self.space.rows64((self.X,), tile)
                best = self.nearest[tile]
                nearest_exact(self.space, rows, rows64, centres, fetch, best)
                self.nearest[tile] = best

    def _dissimilarity(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """1 - 1 / (1 + distance)."""
        scaled = distances * self.space.unit
        return 1 - 1 / (1 + (np.sqrt(scaled) if self.space.squared else scaled))

    def take(self, index: int, score: float) -> None:
        """Choose a row, for good."""
        self.chosen.append(index)
        self.scores.append(score)
        self.utilities[index] = -np.inf

    def choose(self) -> None:
        """Choose the best: the first whose score is up to date and that nothing's bound exceeds."""
        n, known = len(self.X), len(self.chosen)
        alpha = (n - known) / (n + self.n_labelled)
        # alpha < 1: something is labelled or chosen by now.
        bounds = alpha * self.dissimilarity + (1 - alpha) * self.utilities
        while True:
            best = int(bounds.argmax())
            if self.rank is not None:
                tied = np.flatnonzero(bounds == bounds[best])
                best = int(tied[self.rank[tied].argmin()])
            if self.seen[best] == known:
                self.take(best, float(bounds[best]))
                return
            block = np.argpartition(bounds, max(n - _BLOCK, 0))[-_BLOCK:]
            block = block[(self.seen[block] < known) & (bounds[block] > -np.inf)]
            # Of more ties than a block holds, the one that is due may not be in it.
            block = block if best in block else np.append(block, best)
            self._refresh(block)
            bounds[block] = alpha * self.dissimilarity[block] + (1 - alpha) * self.utilities[block]

    def _refresh(self, block: NDArray[np.int64]) -> None:
        """Distances of a few rows to what was chosen since they were last looked at."""
        recent = np.array(self.chosen[int(self.seen[block].min()) :], dtype=np.int64)
        rows64, best = self.space.rows64((self.X,), block), self.nearest[block]
        if len(recent) <= _FEW:
            # Float64 throughout: with so few distances there is nothing for bounds to save.
            (values,) = self.space.rows64((self.X,), recent)
            kind = "sqeuclidean" if isinstance(self.space, CosineSpace) or self.space.squared else "cityblock"
            np.minimum(best, cdist(rows64[0], values, kind).min(axis=1), out=best)
        else:
            nearest_chosen(self.space, (self.X,), self.space.rows((self.X,), block), rows64, recent, best)
        self.nearest[block] = best
        self.dissimilarity[block] = self._dissimilarity(best)
        self.seen[block] = len(self.chosen)
