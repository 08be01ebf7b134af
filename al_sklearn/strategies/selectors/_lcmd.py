"""LCMD: the farthest point of the largest cluster, again and again.

The largest cluster has the largest sum of squared distances.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from al_sklearn._core.checks import check_n_instances
from al_sklearn._core.types import Chosen, Floats, Ints
from al_sklearn.strategies._engine.distances import (
    Array,
    Space,
    as_rows,
    distances_to_mean,
    exact_float32,
    near_mean,
    tile_rows,
    tiles,
)
from al_sklearn.strategies._engine.given import (
    check_positive,
    filled,
    labelled_like,
    tie_rank,
)
from al_sklearn.strategies._engine.top_k import highest


def lcmd(
    features: Any,
    n_instances: int,
    *,
    labelled: Any = None,
    random_tie_break: bool = False,
    random_state: Any = None,
    chunk_rows: int | None = None,
) -> Chosen:
    """Choose one by one the point farthest from its centre in the largest cluster.

    A cluster is the points nearest to one labelled or chosen point, its centre; its
    size is the sum of their squared distances to it.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (n, d)
        The candidates, any real dtype, any device, any strides; a memory map is read
        tile by tile.
    n_instances : int
        How many to choose, 1 … n.
    labelled : ndarray or torch.Tensor of shape (l, d), optional
        The first centres. Without any, the first choice is the point nearest the mean
        of the features.
    random_tie_break : bool, default=False
        Points exactly equally far are taken by position; with True at random.
    random_state : int, Generator, RandomState or None, default=None
        Used with `random_tie_break` alone.
    chunk_rows : int, optional
        Rows looked at together. It changes memory and speed, never the result.

    Returns
    -------
    indices : ndarray of int64, shape (n_instances,)
        Positions in `features` in the order chosen, unique. Once only points at
        distance 0 are left, they follow by position (or at random).
    scores : ndarray of float64, shape (n_instances,)
        Distance of each to its centre when it was chosen. Where nothing was labelled,
        the first has the score of the second (0 where it is alone).

    Raises
    ------
    ValueError
        For NaN or infinite values, shapes that do not fit, or `n_instances` outside 1 …
        n.

    See Also
    --------
    k_center : the farthest of all points, whatever its cluster.

    Notes
    -----
    LCMD-TP of [1]_, on features as they are. O(n d) a choice: float32 finds the points
    that the new centre may take over, float64 decides. Between equally near centres a
    point keeps the earlier one, between equally large clusters the one of the earlier
    centre comes first.

    References
    ----------
    .. [1] D. Holzmüller, V. Zaverkin, J. Kästner and I. Steinwart. A framework and
           benchmark for deep batch active
       learning for regression. JMLR 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from al_sklearn.strategies.selectors import lcmd
    >>> points = np.array([[-4.0], [1.0], [2.0], [9.0], [13.0]])
    >>> indices, scores = lcmd(points, 2, labelled=[[0.0], [10.0]])
    >>> indices.tolist(), scores.tolist()
    ([0, 4], [4.0, 3.0])
    """
    X = as_rows(features, "features")
    n_instances = check_n_instances(n_instances, len(X))
    L = labelled_like(X, labelled)
    check_positive(chunk_rows=chunk_rows)
    rank = tie_rank(len(X), random_tie_break, random_state)
    with exact_float32():
        clusters = _Clusters(X, rank, chunk_rows)
        return clusters.choose(n_instances, L)


class _Clusters:
    """For each row its nearest centre and the squared distance to it."""

    def __init__(self, X: Array, rank: Ints, chunk_rows: int | None) -> None:
        self.X, self.rank = X, rank
        self.space = Space(X)
        self.step = chunk_rows or tile_rows(self.space.width)
        self.distances = np.full(len(X), np.inf)
        self.centre_of = np.zeros(len(X), dtype=np.int64)
        self.n_centres = 0

    def choose(self, n_instances: int, L: Array | None) -> Chosen:
        """The greedy selection."""
        chosen: list[int] = []
        scores: list[float] = []
        if L is not None:
            for tile in tiles(len(L), tile_rows(self.space.width)):
                self._add(L, np.arange(tile.start, tile.stop))
        while len(chosen) < n_instances:
            if self.n_centres == 0:
                index, score = self._nearest_to_mean(), np.inf
            else:
                # Chosen points are at distance 0 and add nothing.
                sizes = np.bincount(
                    self.centre_of, weights=self.distances, minlength=self.n_centres
                )
                # Sums tie up to rounding.
                is_largest = sizes >= sizes.max() * (1 - 1e-12)
                largest = int(is_largest.argmax())
                if sizes[largest] <= 0:
                    break
                far = np.where(self.centre_of == largest, self.distances, -1.0)
                index = int(highest(far, 1, rank=self.rank)[0])
                score = self.distances[index]
            chosen.append(index)
            scores.append(score)
            self._add(self.X, np.array([index]))
        indices, values = filled(chosen, scores, self.rank, n_instances)
        # The first of all had no centre to be far from.
        if np.isinf(values[0]):
            values[0] = values[1] if len(values) > 1 else 0.0
        return indices, np.sqrt(values * self.space.unit)

    def _add(self, array: Array, indices: Ints) -> None:
        """Let rows of `array` become centres.

        Each row of the pool goes to the nearest, the earliest of several.
        """
        centres = self.space.rows((array,), indices)
        (centres64,) = self.space.rows64((array,), indices)
        excess = torch.from_numpy(self.space.excess(centres)).to(centres.norms.device)
        for tile in tiles(len(self.X), self.step):
            rows = self.space.rows((self.X,), tile)
            lower = self.space.lower(rows, centres)
            best = torch.from_numpy(self.distances[tile]).to(lower.device)
            if len(indices) > 1:
                # No centre can be the nearest that is above the least upper bound.
                own = torch.from_numpy(self.space.excess(rows)).to(lower.device)
                best = torch.minimum(best, (lower + excess).amin(dim=1) + own)
                is_open = lower <= best[:, None]
            else:
                is_open = lower < best[:, None]
            i, j = (part.cpu().numpy() for part in is_open.nonzero().T)
            for part in tiles(len(i), self.step):
                self._take_over(tile.start, i[part], j[part], centres64)
        self.n_centres += len(indices)

    def _take_over(
        self,
        start: int,
        i: Ints,
        j: Ints,
        centres64: Floats,
    ) -> None:
        """Decide in float64, of pairs in order of rows and then centres."""
        rows64 = self.space.rows64((self.X,), start + i)
        values = self.space.distance(rows64, (centres64[j],))
        order = np.lexsort((j, values, i))
        row = i[order]
        # Nearest first within each row, and of equals the earliest centre.
        first = order[np.r_[True, row[1:] != row[:-1]]]
        rows, nearest = start + i[first], values[first]
        is_nearer = nearest < self.distances[rows]
        self.distances[rows[is_nearer]] = nearest[is_nearer]
        self.centre_of[rows[is_nearer]] = self.n_centres + j[first][is_nearer]

    def _nearest_to_mean(self) -> int:
        # Not `self.step`: the order of a sum decides its last digits.
        step = tile_rows(self.space.width)
        is_nearest = near_mean(distances_to_mean(self.space, self.X, step))
        return int(highest(is_nearest.astype(np.float64), 1, rank=self.rank)[0])
