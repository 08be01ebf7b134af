"""LCMD: the farthest point of the largest cluster, again and again.

The largest cluster has the largest sum of squared distances.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from al_sklearn._core.checks import check_n_instances
from al_sklearn._core.random import tie_generator
from al_sklearn.exceptions import ParameterError
from al_sklearn.strategies._engine.distances import (
    Array,
    Space,
    as_rows,
    exact_float32,
    tile_rows,
    tiles,
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
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
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
    L = (
        None
        if labelled is None or len(labelled) == 0
        else as_rows(labelled, "labelled")
    )
    if L is not None and L.shape[1] != X.shape[1]:
        raise ValueError(
            f"labelled has {L.shape[1]} columns and features {X.shape[1]}: they must "
            "be the same"
        )
    if chunk_rows is not None and chunk_rows < 1:
        raise ParameterError(
            f"chunk_rows must be at least 1; got {chunk_rows}", "chunk_rows"
        )
    rank = (
        tie_generator(random_state).permutation(len(X))
        if random_tie_break
        else np.arange(len(X))
    )
    with exact_float32():
        clusters = _Clusters(X, rank, chunk_rows)
        return clusters.choose(n_instances, L)


class _Clusters:
    """For each row its nearest centre and the squared distance to it."""

    def __init__(
        self, X: Array, rank: NDArray[np.int64], chunk_rows: int | None
    ) -> None:
        self.X, self.rank = X, rank
        self.space = Space(X)
        self.step = chunk_rows or tile_rows(self.space.width)
        self.distances = np.full(len(X), np.inf)
        self.centre_of = np.zeros(len(X), dtype=np.int64)
        self.n_centres = 0

    def choose(
        self, n_instances: int, L: Array | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The greedy selection."""
        chosen: list[int] = []
        scores: list[float] = []
        is_free = np.ones(len(self.X), dtype=bool)
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
                largest = int(
                    (sizes >= sizes.max() * (1 - 1e-12)).argmax()
                )  # sums tie up to rounding
                if sizes[largest] <= 0:
                    break
                far = np.where(self.centre_of == largest, self.distances, -1.0)
                index = int(highest(far, 1, rank=self.rank)[0])
                score = self.distances[index]
            chosen.append(index)
            scores.append(score)
            is_free[index] = False
            self._add(self.X, np.array([index]))
        free = np.flatnonzero(is_free)
        rest = free[np.argsort(self.rank[free])][: n_instances - len(chosen)]
        values = np.concatenate([scores, np.zeros(len(rest))])
        if np.isinf(values[0]):
            values[0] = values[1] if len(values) > 1 else 0.0
        return np.concatenate([np.array(chosen, dtype=np.int64), rest]), np.sqrt(
            values * self.space.unit
        )

    def _add(self, array: Array, indices: NDArray[np.int64]) -> None:
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
        i: NDArray[np.int64],
        j: NDArray[np.int64],
        centres64: NDArray[np.float64],
    ) -> None:
        """Decide in float64, of pairs in order of rows and then centres."""
        rows64 = self.space.rows64((self.X,), start + i)
        values = self.space.distance(rows64, (centres64[j],))
        order = np.lexsort((j, values, i))
        first = order[np.r_[True, i[order][1:] != i[order][:-1]]]
        rows, nearest = start + i[first], values[first]
        is_nearer = nearest < self.distances[rows]
        self.distances[rows[is_nearer]] = nearest[is_nearer]
        self.centre_of[rows[is_nearer]] = self.n_centres + j[first][is_nearer]

    def _nearest_to_mean(self) -> int:
        total: Any = 0.0
        step = tile_rows(
            self.space.width
        )  # not `self.step`: the order of a sum decides its last digits
        for tile in tiles(len(self.X), step):
            total = total + self.space.rows64((self.X,), tile)[0].sum(axis=0)
        mean = (total / len(self.X))[None]
        distances = np.concatenate(
            [
                self.space.distance(self.space.rows64((self.X,), tile), (mean,))
                for tile in tiles(len(self.X), step)
            ]
        )
        if not np.isfinite(distances).all():
            raise ValueError("the features contain NaN, infinity or values too large")
        # Rows that differ by less than the rounding of the mean tie.
        is_nearest = distances <= distances.min() * (1 + 1e-9)
        return int(highest(is_nearest.astype(np.float64), 1, rank=self.rank)[0])
