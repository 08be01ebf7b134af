"""Greedy choices that depend on the distance to all chosen before, lazy and exact.

What k-center and others share.
"""

from __future__ import annotations

import numpy as np
import torch

from al_sklearn._core.types import Bools, Chosen, Floats, Ints
from al_sklearn.strategies._engine.distances import (
    Array,
    Rows,
    Rows64,
    Space,
    distances_to_mean,
    near_mean,
    nearest_chosen,
    nearest_exact,
    tile_rows,
    tiles,
)
from al_sklearn.strategies._engine.labelled_bounds import LabelledBounds
from al_sklearn.strategies._engine.top_k import highest

# Values of the candidates that are kept up to date together: 8 MiB of float64.
_BLOCK_VALUES = 2**20
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
    rank : ndarray of int64, shape (n,)
        Which of equal keys comes first, lowest first.
    chunk_rows : int or None
        Rows looked at together; a tile by default.
    """

    def __init__(
        self,
        space: Space,
        X: Array,
        L: Array | None,
        rank: Ints,
        chunk_rows: int | None = None,
    ) -> None:
        self.space, self.X, self.L, self.rank = space, X, L, rank
        self.step = chunk_rows or tile_rows(space.width)
        n = len(X)
        self.upper = np.full(n, np.inf)  # at least the distance to the nearest centre
        # The distance itself, to all labelled and the first `seen` chosen ones.
        self.exact = np.full(n, np.inf)
        self.seen = np.full(n, -1)  # -1: `exact` does not know the labelled ones either
        self.chosen: list[int] = []
        self.keys: list[float] = []
        self.free = np.ones(n, dtype=bool)
        self.labelled = None
        if L is not None:
            self.labelled = LabelledBounds(
                space, X, L, self.upper, self._keys_of, self.step
            )

    def _keys_of(self, rows: Ints) -> Floats:
        return self.key(self.upper[rows], rows)

    # What a subclass says

    def key(self, distances: Floats, rows: Ints | None) -> Floats:
        """Keys of these rows (None: all) if so far from the nearest centre."""
        raise NotImplementedError

    def growth(self, outside: Bools) -> float:
        """How much higher an outside key may be after one more choice.

        This is at the same distance.
        """
        return 0.0

    def may_come_first(self) -> Bools | None:
        """Which rows may be chosen first where nothing is labelled; None for all."""
        return None

    def choose(self, n_instances: int) -> Chosen:
        """Positions in the order chosen, and the key of each at the time."""
        if not self.chosen:
            if self.labelled is not None:
                self.labelled.start(n_instances)
            else:
                self._start_at_mean()
        while len(self.chosen) < n_instances:
            self._choose_some(n_instances)
        indices = np.array(self.chosen[:n_instances], dtype=np.int64)
        return indices, np.array(self.keys[:n_instances])

    def _start_at_mean(self) -> None:
        """Choose the row nearest the mean, and bound all distances by the one to it."""
        distances = distances_to_mean(self.space, self.X, self.step)
        allowed = self.may_come_first()
        if allowed is not None:
            distances[~allowed] = np.inf
        is_nearest = near_mean(distances).astype(np.float64)
        first = int(highest(is_nearest, 1, rank=self.rank)[0])
        self._take(first, 0.0)
        centre = self.space.rows((self.X,), np.array([first]))
        for tile in tiles(len(self.X), self.step):
            rows = self.space.rows((self.X,), tile)
            self.upper[tile] = self.space.nearest_upper(rows, centre).cpu().numpy()
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
        # So that the first of several highest is the right one.
        block = block[np.argsort(self.rank[block])]
        ranks = self.rank[block]
        outside_key, outside_rank, growth = -np.inf, 0, 0.0
        if outside is not None:
            outside_key = float(keys[outside])
            outside_rank = int(self.rank[outside])
            others = self.free.copy()
            others[block] = False
            growth = self.growth(others)

        rows = self.space.rows((self.X,), block)
        rows64 = self.space.rows64((self.X,), block)
        self._refresh(block, rows, rows64)

        lower = self.space.lower(rows, rows).cpu().numpy()
        excess = self.space.excess(rows)
        exact = self.exact[block]
        upper = exact.copy()
        key = self.key(upper, block).copy()
        # A choice since `exact` may be nearer: `upper` only bounds.
        is_loose = np.zeros(len(block), dtype=bool)
        # Choices in this block that `exact` knows.
        known = np.zeros(len(block), dtype=np.int64)
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
                    others64 = tuple(r[recent] for r in rows64)
                    nearest = self.space.distance(one, others64).min()
                    exact[best] = min(exact[best], nearest)
                known[best] = len(picks)
                is_loose[best] = False
                upper[best] = exact[best]
                only = slice(best, best + 1)
                key[only] = self.key(exact[only], block[only])
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

    def _most_promising(self, n_instances: int) -> tuple[Ints, int | None, Floats]:
        """The free rows of highest key, bounded by all labelled ones.

        The first that is not among them; all keys.
        """
        n_free = len(self.X) - len(self.chosen)
        wanted = max(_FEWEST, 4 * (n_instances - len(self.chosen)))
        room = max(_FEWEST, min(1024, _BLOCK_VALUES // self.space.width))
        size = min(n_free, wanted, room)
        while True:
            keys = np.where(self.free, self.key(self.upper, None), -np.inf)
            order = highest(keys, min(n_free, size + 1), rank=self.rank)
            if self.labelled is None or self.labelled.are_met(order[:size]):
                outside = int(order[size]) if len(order) > size else None
                return order[:size], outside, keys
            n_high = min(n_free, 8 * size)
            self.labelled.tighten(float(np.partition(keys, -n_high)[-n_high]))

    def _refresh(self, block: Ints, rows: Rows, rows64: Rows64) -> None:
        """Make `exact` know all centres for the rows of the block."""
        new = np.flatnonzero(self.seen[block] < 0)
        if len(new) and self.L is not None:
            L = self.L
            best = self.exact[block[new]]
            new64 = tuple(r[new] for r in rows64)
            new_rows = rows[torch.from_numpy(new).to(self.space.device)]
            for group in tiles(len(L), 4 * tile_rows(self.space.width)):

                def fetch(columns: Ints, start: int = group.start) -> Rows64:
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
        first = max(0, int(self.seen[block].min()))
        recent = np.array(self.chosen[first:], dtype=np.int64)
        best = self.exact[block]
        nearest_chosen(self.space, (self.X,), rows, rows64, recent, best)
        self.exact[block] = best
        self.seen[block] = len(self.chosen)
        self.upper[block] = self.exact[block]
