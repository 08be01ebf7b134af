"""k-center greedy, lazy and exact: the farthest point from everything chosen so far, again and again."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from al_sklearn._errors import check_n_instances, unknown_name
from al_sklearn._random import as_generator
from al_sklearn.strategies._blocks import (
    Array,
    CityBlockSpace,
    CosineSpace,
    Rows,
    Rows64,
    Space,
    as_rows,
    exact_float32,
    nearest_chosen,
    nearest_exact,
    tile_rows,
    tiles,
)
from al_sklearn.strategies._labelled_bounds import LabelledBounds
from al_sklearn.strategies._top_k import highest

_SPACES: dict[str, type[Space]] = {"euclidean": Space, "manhattan": CityBlockSpace, "cosine": CosineSpace}
_BLOCK_VALUES = 2**20  # values of the candidates that are kept up to date together: 8 MiB of float64


def k_center(
    features: Any,
    n_instances: int,
    *,
    labelled: Any = None,
    metric: str = "euclidean",
    weights: ArrayLike | torch.Tensor | None = None,
    random_tie_break: bool = False,
    random_state: Any = None,
    chunk_rows: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Choose points one by one, each the farthest from all labelled and chosen ones.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (n, d)
        The candidates, any real dtype, any device, any strides; a memory map is read tile by tile.
    n_instances : int
        How many to choose, 1 … n.
    labelled : ndarray or torch.Tensor of shape (l, d), optional
        What is covered already. Without any, the first choice is the point nearest the mean of the features (among
        those of positive weight).
    metric : {"euclidean", "manhattan", "cosine"}, default="euclidean"
        Cosine is 1 - cos; a row of zeros is at distance 1 from all but its like.
    weights : array-like of shape (n,), optional
        Each point's distance is multiplied by its weight (>= 0) before the farthest is sought.
    random_tie_break : bool, default=False
        Points exactly equally far are taken by position; with True at random.
    random_state : int, Generator, RandomState or None, default=None
        Used with `random_tie_break` alone.
    chunk_rows : int, optional
        Rows looked at together; by default some 8 MiB of them. It changes memory and speed, never the result.

    Returns
    -------
    indices : ndarray of int64, shape (n_instances,)
        Positions in `features` in the order chosen, unique; points at distance 0 come last, by position.
    scores : ndarray of float64, shape (n_instances,)
        (Weighted) distance of each at the moment it was chosen; they never increase. Where nothing was labelled, the
        first has the score of the second: the farthest that any point then lies from it.

    Raises
    ------
    ValueError
        For NaN or infinite values, shapes that do not fit, an unknown metric, negative weights.

    Notes
    -----
    The same choices as the textbook loop in float64, in O((n + l + b) d) memory at most and without going over the
    pool for each choice [1]_. Distances to the nearest centre only shrink as centres are added, so an old one is an
    upper bound. Blocked GEMMs bound the distances to `labelled`, to all of them only where the bound by some of them
    is still high; then the thousand candidates of largest bound are brought up to date and the greedy runs among them
    until the best falls below the largest bound outside. Float32 filters, float64 decides.

    References
    ----------
    .. [1] O. Sener and S. Savarese. Active learning for convolutional neural networks: a core-set approach. ICLR
    2018.

    Examples
    --------
    >>> import numpy as np
    >>> from al_sklearn.strategies.selectors import k_center
    >>> indices, scores = k_center(np.array([[0.0], [1.0], [5.0], [9.0]]), 2, labelled=[[0.0]])
    >>> indices.tolist(), scores.tolist()
    ([3, 2], [9.0, 4.0])
    """
    X = as_rows(features, "features")
    n_instances = check_n_instances(n_instances, len(X))
    if metric not in _SPACES:
        raise unknown_name("metric", metric, _SPACES)
    L = None if labelled is None or len(labelled) == 0 else as_rows(labelled, "labelled")
    if L is not None and L.shape[1] != X.shape[1]:
        raise ValueError(f"labelled has {L.shape[1]} columns and features {X.shape[1]}: they must be the same")
    w = None if weights is None else _as_weights(weights, len(X))
    if chunk_rows is not None and chunk_rows < 1:
        raise ValueError(f"chunk_rows must be at least 1; got {chunk_rows}")
    rank = as_generator(random_state).permutation(len(X)) if random_tie_break else None
    with exact_float32():
        greedy = _Greedy(_SPACES[metric](X), X, L, w, rank, chunk_rows)
        return greedy.choose(n_instances)


def _as_weights(weights: ArrayLike | torch.Tensor, n: int) -> NDArray[np.float64]:
    if isinstance(weights, torch.Tensor):
        weights = weights.detach().cpu()
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != (n,):
        raise ValueError(f"weights must have shape ({n},), one per row of features; got {w.shape}")
    if not (np.isfinite(w).all() and w.min() >= 0):
        raise ValueError("weights must be finite and not negative")
    return w


class _Greedy:
    """State of one selection: for each row an upper bound of its distance to the centres, and how fresh it is."""

    def __init__(
        self,
        space: Space,
        X: Array,
        L: Array | None,
        weights: NDArray[np.float64] | None,
        rank: NDArray[np.int64] | None,
        chunk_rows: int | None,
    ) -> None:
        self.space, self.X, self.L, self.rank = space, X, L, rank
        self.step = chunk_rows or tile_rows(space.width)
        self.weights = weights
        # Squared distances are compared, so weights are squared as well: the square root keeps the order.
        self.factor = None if weights is None else (weights**2 if space.squared else weights)
        n = len(X)
        self.upper = np.full(n, np.inf)  # at least the distance to the nearest centre
        self.exact = np.full(n, np.inf)  # the distance itself, to all labelled and the first `seen` chosen ones
        self.seen = np.full(n, -1)  # -1: `exact` does not know the labelled ones either
        self.chosen: list[int] = []
        self.keys: list[float] = []
        self.free = np.ones(n, dtype=bool)
        self.labelled = None if L is None else LabelledBounds(space, X, L, self.upper, self.factor, self.step)

    def choose(self, n_instances: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The greedy selection."""
        if self.labelled is not None:
            self.labelled.start(n_instances)
        else:
            self._start_at_mean()
        while len(self.chosen) < n_instances:
            self._choose_some(n_instances)
        if self.L is None:
            self.keys[0] = self.keys[1] if n_instances > 1 else self._farthest_from_first()
        indices = np.array(self.chosen[:n_instances], dtype=np.int64)
        keys = np.array(self.keys[:n_instances]) * self.space.unit
        return indices, np.sqrt(keys) if self.space.squared else keys

    def _keys(self) -> NDArray[np.float64]:
        """Bound of each row's (weighted) distance; -1 where it is chosen."""
        keys = self.upper if self.factor is None else self.upper * self.factor
        return np.where(self.free, keys, -1.0)

    def _start_at_mean(self) -> None:
        """Choose the row nearest the mean, and bound all distances by the one to it."""
        n = len(self.X)
        total: Any = 0.0
        for tile in tiles(n, self.step):
            (values,) = self.space.rows64((self.X,), tile)
            total = total + values.sum(axis=0)
        mean = (total / n)[None]
        distances = np.empty(n)
        for tile in tiles(n, self.step):
            (values,) = self.space.rows64((self.X,), tile)
            distances[tile] = self.space.distance((values,), (mean,))
        if not np.isfinite(distances).all():
            raise ValueError("the features contain NaN, infinity or values too large")
        if self.weights is not None and self.weights.any():
            distances[self.weights == 0] = np.inf
        # A sum is rounded: rows that differ by less than that tie, and the tile size must not decide between them.
        distances = np.where(distances <= distances.min() * (1 + 1e-9), -1.0, -2.0)
        first = int(highest(distances, 1, rank=self.rank)[0])
        self._take(first, 0.0)
        centre = self.space.rows((self.X,), np.array([first]))
        for tile in tiles(n, self.step):
            self.upper[tile] = self.space.nearest_upper(self.space.rows((self.X,), tile), centre).cpu().numpy()
        self.upper[first] = 0.0
        self.seen[:] = 0  # there are no labelled ones to know

    def _farthest_from_first(self) -> float:
        """Key of the choice that would come next."""
        if len(self.X) == 1:
            return 0.0
        while len(self.chosen) < 2:
            self._choose_some(2)
        return self.keys[1]

    def _take(self, index: int, key: float) -> None:
        self.chosen.append(index)
        self.keys.append(key)
        self.free[index] = False

    def _choose_some(self, n_instances: int) -> None:
        """Bring the candidates of largest bound up to date; choose among them while nothing outside can win."""
        n_free = len(self.X) - len(self.chosen)
        size = min(n_free, max(64, min(1024, _BLOCK_VALUES // self.space.width)))
        keys = self._keys()
        order = highest(keys, min(n_free, size + 1), rank=self.rank)
        while self.labelled is not None and not self.labelled.are_met(order[:size]):
            n_high = min(n_free, 8 * size)
            self.labelled.tighten(float(np.partition(keys, -n_high)[-n_high]))
            keys = self._keys()
            order = highest(keys, min(n_free, size + 1), rank=self.rank)
        block, outside = order[:size], order[size:]
        outside_key = float(keys[outside[0]]) if len(outside) else -1.0
        outside_rank = self._ranks(outside)[0] if len(outside) else 0
        block = block[np.argsort(self._ranks(block))]  # so that the first of several largest is the right one
        ranks = self._ranks(block)

        rows = self.space.rows((self.X,), block)
        rows64 = self.space.rows64((self.X,), block)
        self._refresh(block, rows, rows64)

        factor = None if self.factor is None else self.factor[block]
        lower = self.space.lower(rows, rows).cpu().numpy()
        excess = self.space.excess(rows)
        exact = self.exact[block]
        upper = exact.copy()
        key = upper * factor if factor is not None else upper.copy()
        is_loose = np.zeros(len(block), dtype=bool)  # a choice since `exact` may be nearer: `upper` only bounds
        known = np.zeros(len(block), dtype=np.int64)  # choices in this block that `exact` knows
        picks: list[int] = []
        already = len(self.chosen)
        while already + len(picks) < n_instances and len(picks) < len(block):
            best = int(key.argmax())
            if key[best] < outside_key or (key[best] == outside_key and ranks[best] > outside_rank):
                break
            if is_loose[best]:
                recent = np.array(picks[known[best] :])
                recent = recent[lower[recent, best] < exact[best]]
                if len(recent):
                    one: Rows64 = tuple(r[best][None] for r in rows64)
                    nearest = self.space.distance(one, tuple(r[recent] for r in rows64)).min()
                    exact[best] = min(exact[best], nearest)
                known[best] = len(picks)
                is_loose[best] = False
                upper[best] = exact[best]
                key[best] = exact[best] if factor is None else exact[best] * factor[best]
                continue
            self._take(int(block[best]), float(key[best]))
            picks.append(best)
            is_loose |= lower[best] < upper
            np.minimum(upper, lower[best] + (excess + excess[best]), out=upper)
            key = upper.copy() if factor is None else upper * factor
            key[picks] = -2.0
        self.upper[block] = upper
        self.exact[block] = exact
        self.seen[block] = already + np.where(is_loose, known, len(picks))

    def _ranks(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        return indices if self.rank is None else self.rank[indices]

    def _refresh(self, block: NDArray[np.int64], rows: Rows, rows64: Rows64) -> None:
        """Make `exact` know all centres for the rows of the block."""
        new = np.flatnonzero(self.seen[block] < 0)
        if len(new) and self.L is not None:
            L = self.L
            best = self.exact[block[new]]
            new64 = tuple(r[new] for r in rows64)
            new_rows = rows[torch.from_numpy(new).to(rows.norms.device)]
            for group in tiles(len(L), 4 * tile_rows(self.space.width)):

                def fetch(columns: NDArray[np.int64], start: int = group.start) -> Rows64:
                    return self.space.rows64((L,), columns + start)

                nearest_exact(self.space, new_rows, new64, self.space.rows((L,), group), fetch, best)
            self.exact[block[new]] = best
        recent = np.array(self.chosen[max(0, int(self.seen[block].min())) :], dtype=np.int64)
        best = self.exact[block]
        nearest_chosen(self.space, (self.X,), rows, rows64, recent, best)
        self.exact[block] = best
        self.seen[block] = len(self.chosen)
        self.upper[block] = self.exact[block]
