"""Greedy choices that depend on the distance to all chosen before, lazy and exact.

What k-center and others share.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from al_sklearn.strategies._engine.distances import (
    Array,
    Rows,
    Rows64,
    Space,
    nearest_chosen,
    nearest_exact,
    tile_rows,
    tiles,
)
from al_sklearn.strategies._engine.labelled_bounds import LabelledBounds
from al_sklearn.strategies._engine.top_k import highest

_BLOCK_VALUES = (
    2**20
)  # values of the candidates that are kept up to date together: 8 MiB of float64
_FEWEST = 64  # candidates that are kept up to date together at least
_ROUNDING = 1e-12  # of keys that grew since they were computed


class Greedy:
    """State of one selection: bounds of distances to the centres, and their age.

    For each row it holds an upper bound of its distance to the centres, and how fresh
    that is.

    Centres are the labelled rows and those chosen so far. The row of highest key is
    chosen, again and again; a subclass says what the key is: it must not fall where the
    distance grows.

    Parameters
    ----------
    space : Space
        How far apart rows are.
    X : ndarray or torch.Tensor of shape (n, d)
        The candidates.
    L : ndarray or torch.Tensor of shape (l, d), or None
        The labelled rows; without any, the row nearest the mean is chosen first, with
        key 0.
    rank : ndarray of int64, shape (n,), or None
        Which of equal keys comes first; positions by default.
    chunk_rows : int or None
        Rows looked at together; a tile by default.
    """

    def __init__(
        self,
        space: Space,
        X: Array,
        L: Array | None,
        rank: NDArray[np.int64] | None,
        chunk_rows: int | None = None,
    ) -> None:
        self.space, self.X, self.L, self.rank = space, X, L, rank
        self.step = chunk_rows or tile_rows(space.width)
        n = len(X)
        self.upper = np.full(n, np.inf)  # at least the distance to the nearest centre
        self.exact = np.full(
            n, np.inf
        )  # the distance itself, to all labelled and the first `seen` chosen ones
        self.seen = np.full(n, -1)  # -1: `exact` does not know the labelled ones either
        self.chosen: list[int] = []
        self.keys: list[float] = []
        self.free = np.ones(n, dtype=bool)
        self.labelled = None
        if L is not None:
            self.labelled = LabelledBounds(
                space,
                X,
                L,
                self.upper,
                lambda rows: self.key(self.upper[rows], rows),
                self.step,
            )

    # What a subclass says

    def key(
        self, distances: NDArray[np.float64], rows: NDArray[np.int64] | None
    ) -> NDArray[np.float64]:
        """Keys of these rows (None: all) if so far from the nearest centre."""
        raise NotImplementedError

    def growth(self, outside: NDArray[np.bool_]) -> float:
        """How much higher an outside key may be after one more choice.

        This is at the same distance.
        """
        return 0.0

    def may_come_first(self) -> NDArray[np.bool_] | None:
        """Which rows may be chosen first where nothing is labelled; None for all."""
        return None

    def choose(self, n_instances: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Positions in the order chosen, and the key of each at the time."""
        if not self.chosen:
            if self.labelled is not None:
                self.labelled.start(n_instances)
            else:
                self._start_at_mean()
        while len(self.chosen) < n_instances:
            self._choose_some(n_instances)
        return np.array(self.chosen[:n_instances], dtype=np.int64), np.array(
            self.keys[:n_instances]
        )

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
        allowed = self.may_come_first()
        if allowed is not None:
            distances[~allowed] = np.inf
        # A sum is rounded: rows that differ by less than that tie, and the tile size
        # must not decide between them.
        distances = np.where(distances <= distances.min() * (1 + 1e-9), -1.0, -2.0)
        first = int(highest(distances, 1, rank=self.rank)[0])
        self._take(first, 0.0)
        centre = self.space.rows((self.X,), np.array([first]))
        for tile in tiles(n, self.step):
            self.upper[tile] = (
                self.space.nearest_upper(self.space.rows((self.X,), tile), centre)
                .cpu()
                .numpy()
            )
        self.upper[first] = 0.0
        self.seen[:] = 0  # there are no labelled ones to know

    def _take(self, index: int, key: float) -> None:
        self.chosen.append(index)
        self.keys.append(key)
        self.free[index] = False

    def _choose_some(self, n_instances: int) -> None:
        """Bring the candidates of highest key up to date.

        Choose among them while nothing outside can win.
        """
        block, outside, keys = self._most_promising(n_instances)
        outside_key = float(keys[outside]) if outside is not None else -np.inf
        outside_rank = (
            int(self._ranks(np.array([outside]))[0]) if outside is not None else 0
        )
        block = block[
            np.argsort(self._ranks(block))
        ]  # so that the first of several highest is the right one
        ranks = self._ranks(block)
        others = self.free.copy()
        others[block] = False
        growth = self.growth(others) if outside is not None else 0.0

        rows = self.space.rows((self.X,), block)
        rows64 = self.space.rows64((self.X,), block)
        self._refresh(block, rows, rows64)

        lower = self.space.lower(rows, rows).cpu().numpy()
        excess = self.space.excess(rows)
        exact = self.exact[block]
        upper = exact.copy()
        key = self.key(upper, block).copy()
        is_loose = np.zeros(
            len(block), dtype=bool
        )  # a choice since `exact` may be nearer: `upper` only bounds
        known = np.zeros(
            len(block), dtype=np.int64
        )  # choices in this block that `exact` knows
        picks: list[int] = []
        already = len(self.chosen)
        while already + len(picks) < n_instances and len(picks) < len(block):
            best = int(key.argmax())
            limit = outside_key
            if picks and growth:
                limit += len(picks) * growth + _ROUNDING
            if key[best] < limit or (key[best] == limit and ranks[best] > outside_rank):
                break
            if is_loose[best]:
                recent = np.array(picks[known[best] :])
                recent = recent[lower[recent, best] < exact[best]]
                if len(recent):
                    one: Rows64 = tuple(r[best][None] for r in rows64)
                    nearest = self.space.distance(
                        one, tuple(r[recent] for r in rows64)
                    ).min()
                    exact[best] = min(exact[best], nearest)
                known[best] = len(picks)
                is_loose[best] = False
                upper[best] = exact[best]
                key[best] = self.key(exact[best : best + 1], block[best : best + 1])[0]
                continue
            self._take(int(block[best]), float(key[best]))
            picks.append(best)
            is_loose |= lower[best] < upper
            np.minimum(upper, lower[best] + (excess + excess[best]), out=upper)
            key = self.key(upper, block).copy()
            key[picks] = -np.inf
        self.upper[block] = upper
        self.exact[block] = exact
        self.seen[block] = already + np.where(is_loose, known, len(picks))

    def _most_promising(
        self, n_instances: int
    ) -> tuple[NDArray[np.int64], int | None, NDArray[np.float64]]:
        """The free rows of highest key, bounded by all labelled ones.

        The first that is not among them; all keys.
        """
        n_free = len(self.X) - len(self.chosen)
        wanted = max(_FEWEST, 4 * (n_instances - len(self.chosen)))
        size = min(
            n_free, wanted, max(_FEWEST, min(1024, _BLOCK_VALUES // self.space.width))
        )
        while True:
            keys = np.where(self.free, self.key(self.upper, None), -np.inf)
            order = highest(keys, min(n_free, size + 1), rank=self.rank)
            if self.labelled is None or self.labelled.are_met(order[:size]):
                return (
                    order[:size],
                    int(order[size]) if len(order) > size else None,
                    keys,
                )
            n_high = min(n_free, 8 * size)
            self.labelled.tighten(float(np.partition(keys, -n_high)[-n_high]))

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

                def fetch(
                    columns: NDArray[np.int64], start: int = group.start
                ) -> Rows64:
                    return self.space.rows64((L,), columns + start)

                nearest_exact(
                    self.space,
                    new_rows,
                    new64,
                    self.space.rows((L,), group),
                    fetch,
                    best,
                )
            self.exact[block[new]] = best
        recent = np.array(
            self.chosen[max(0, int(self.seen[block].min())) :], dtype=np.int64
        )
        best = self.exact[block]
        nearest_chosen(self.space, (self.X,), rows, rows64, recent, best)
        self.exact[block] = best
        self.seen[block] = len(self.chosen)
        self.upper[block] = self.exact[block]
