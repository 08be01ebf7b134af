"""k-center greedy, lazy and exact.

The farthest point from everything chosen so far, again and again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from al_sklearn._core.checks import check_n_instances, renamed
from al_sklearn._core.types import Bools, Chosen, Floats, Ints
from al_sklearn.strategies._engine.distances import (
    Array,
    Space,
    as_rows,
    exact_float32,
)
from al_sklearn.strategies._engine.given import (
    as_weights,
    check_positive,
    labelled_like,
    space_of,
    tie_rank,
)
from al_sklearn.strategies._engine.greedy import Greedy


@renamed(weights="utilities")
def k_center(
    features: Any,
    n_instances: int,
    *,
    labelled: Any = None,
    metric: str = "euclidean",
    utilities: ArrayLike | torch.Tensor | None = None,
    random_tie_break: bool = False,
    random_state: Any = None,
    chunk_rows: int | None = None,
) -> Chosen:
    """Choose points one by one, each the farthest from all labelled and chosen ones.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (n, d)
        The candidates, any real dtype, any device, any strides; a memory map is read
        tile by tile.
    n_instances : int
        How many to choose, 1 … n.
    labelled : ndarray or torch.Tensor of shape (l, d), optional
        What is covered already. Without any, the first choice is the point nearest the
        mean of the features (among those of positive weight).
    metric : {"euclidean", "manhattan", "cosine"}, default="euclidean"
        Cosine is 1 - cos; a row of zeros is at distance 1 from all but its like.
    utilities : array-like of shape (n,), optional
        Each point's distance is multiplied by its weight (>= 0) before the farthest is
        sought.
    random_tie_break : bool, default=False
        Points exactly equally far are taken by position; with True at random.
    random_state : int, Generator, RandomState or None, default=None
        Used with `random_tie_break` alone.
    chunk_rows : int, optional
        Rows looked at together; by default some 8 MiB of them. It changes memory and
        speed, never the result.

    Returns
    -------
    indices : ndarray of int64, shape (n_instances,)
        Positions in `features` in the order chosen, unique; points at distance 0 come
        last, by position.
    scores : ndarray of float64, shape (n_instances,)
        (Weighted) distance of each at the moment it was chosen; they never increase.
        Where nothing was labelled, the first has the score of the second: the farthest
        that any point then lies from it.

    Raises
    ------
    ValueError
        For NaN or infinite values, shapes that do not fit, an unknown metric, negative
        utilities.

    Notes
    -----
    The same choices as the textbook loop in float64, in O((n + l + b) d) memory at most
    and without going over the pool for each choice [1]_. Distances to the nearest
    centre only shrink as centres are added, so an old one is an upper bound. Blocked
    GEMMs bound the distances to `labelled`, to all of them only where the bound by some
    of them is still high; then the thousand candidates of largest bound are brought up
    to date and the greedy runs among them until the best falls below the largest bound
    outside. Float32 filters, float64 decides.

    References
    ----------
    .. [1] O. Sener and S. Savarese. Active learning for convolutional neural networks:
           a core-set approach. ICLR
    2018.

    Examples
    --------
    >>> import numpy as np
    >>> from al_sklearn.strategies.selectors import k_center
    >>> points = np.array([[0.0], [1.0], [5.0], [9.0]])
    >>> indices, scores = k_center(points, 2, labelled=[[0.0]])
    >>> indices.tolist(), scores.tolist()
    ([3, 2], [9.0, 4.0])
    """
    X = as_rows(features, "features")
    n_instances = check_n_instances(n_instances, len(X))
    space = space_of(metric)
    L = labelled_like(X, labelled)
    w = None if utilities is None else as_weights(utilities, len(X))
    check_positive(chunk_rows=chunk_rows)
    rank = tie_rank(len(X), random_tie_break, random_state)
    with exact_float32():
        farthest = _Farthest(space(X), X, L, rank, chunk_rows, w)
        return farthest.choose(n_instances)


class _Farthest(Greedy):
    """The key is the (weighted) distance."""

    def __init__(
        self,
        space: Space,
        X: Array,
        L: Array | None,
        rank: Ints,
        chunk_rows: int | None,
        weights: Floats | None,
    ) -> None:
        # Squared distances are compared, so weights are squared as well: the square
        # root keeps the order.
        self.factor = weights
        if weights is not None and space.squared:
            self.factor = weights**2
        super().__init__(space, X, L, rank, chunk_rows)

    def key(self, distances: Floats, rows: Ints | None) -> Floats:
        if self.factor is None:
            return distances
        factor = self.factor if rows is None else self.factor[rows]
        # Nothing met yet and no weight: infinity times 0.
        with np.errstate(invalid="ignore"):
            return distances * factor

    def may_come_first(self) -> Bools | None:
        # Where nothing weighs anything, all rows are as good as each other.
        if self.factor is None or not self.factor.any():
            return None
        return self.factor > 0

    def choose(self, n_instances: int) -> Chosen:
        indices, keys = super().choose(n_instances)
        if self.L is None and len(self.X) > 1:
            # As far as the one that comes next, whether that is wanted or not.
            super().choose(max(n_instances, 2))
            keys[0] = self.keys[1]
        keys *= self.space.unit
        return indices, np.sqrt(keys) if self.space.squared else keys
