"""Upper bounds of distances to labelled rows, tightened only while high."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch

from al_sklearn._core.types import Floats, Ints
from al_sklearn.strategies._engine.distances import Array, Space, tile_rows, tiles

_FIRST = 128  # labelled rows that every candidate meets
# at most so many are met before it is looked at again which candidates are still high
_STEP = 1024
# candidates that meet all labelled rows, to guess how high the choices will be
_SAMPLE = 1024


class LabelledBounds:
    """For each row at least its distance to the nearest labelled row.

    The closer, the more of those it has met.

    A choice by distance needs good bounds where they are large alone: a row that is
    near some of the labelled ones can stay with what these say.

    Parameters
    ----------
    space : Space
        How far apart rows are.
    X, L : ndarray or torch.Tensor of shape (n, d) and (l, d)
        The candidates and the labelled rows.
    upper : ndarray of float64, shape (n,)
        The bounds, lowered in place.
    keys : callable
        What the rows at some positions are chosen by, as their bounds are now: the
        highest first.
    step : int
        Rows of `X` looked at together.
    """

    def __init__(
        self,
        space: Space,
        X: Array,
        L: Array,
        upper: Floats,
        keys: Callable[[Ints], Floats],
        step: int,
    ) -> None:
        self.space, self.X, self.L = space, X, L
        self.upper, self.keys, self.step = upper, keys, step
        # How many of `segments` a row has met, in their order.
        self.met = np.zeros(len(X), dtype=np.int32)
        # Labelled rows are converted once for many tiles of the pool, and are never all
        # in memory twice.
        self.groups = tiles(len(L), 4 * tile_rows(space.width))
        self.segments = [_segments(group.stop - group.start) for group in self.groups]
        self.n_segments = sum(map(len, self.segments))

    def start(self, n_instances: int) -> None:
        """Bound all rows, the `n_instances` highest as closely as possible.

        Those are bound as closely as all labelled rows do.
        """
        n = len(self.X)
        above = -np.inf
        if n > 8 * _SAMPLE and len(self.L) > 2 * _FIRST:
            sample = np.arange(0, n, n // _SAMPLE)
            self._tighten(sample, -np.inf)
            expected = n_instances * len(sample) / n
            rank = int(expected + 2 * expected**0.5 + 1)
            if rank < len(sample) // 2:
                above = float(np.partition(self.keys(sample), -rank)[-rank])
        self._tighten(np.arange(n), above)

    def tighten(self, above: float) -> None:
        """Let rows meet labelled ones until all are met or the key is low.

        A key is low when it is below `above`.
        """
        self._tighten(np.arange(len(self.X)), above)

    def are_met(self, rows: Ints) -> bool:
        """Whether these rows have met all labelled ones."""
        return bool((self.met[rows] == self.n_segments).all())

    def _tighten(self, rows: Ints, above: float) -> None:
        first = 0
        for group, segments in zip(self.groups, self.segments, strict=True):
            last = first + len(segments)
            met = self.met[rows]
            # Where nothing was met yet there is no bound to look at.
            is_high = (met == 0) | (self.keys(rows) >= above)
            todo = rows[(met < last) & is_high]
            if len(todo):
                self._meet(todo, group, segments, first, above)
            first = last

    def _meet(
        self,
        todo: Ints,
        group: slice,
        segments: list[slice],
        first: int,
        above: float,
    ) -> None:
        # Mixed, so that the first few stand for all: labelled rows may come sorted.
        order = np.random.default_rng(0).permutation(group.stop - group.start)
        labelled = self.space.rows((self.L,), group)
        labelled = labelled[torch.from_numpy(order).to(self.space.device)]
        for tile in tiles(len(todo), self.step):
            some = todo[tile]
            start, stop = int(some[0]), int(some[-1]) + 1
            # In a row: a view instead of a copy.
            is_slice = stop - start == len(some)
            key = slice(start, stop) if is_slice else some
            rows = self.space.rows((self.X,), key)
            for number, segment in enumerate(segments, first):
                met = self.met[some]
                is_high = (met == 0) | (self.keys(some) >= above)
                open_ = np.flatnonzero((met == number) & is_high)
                if len(open_) == 0:
                    continue
                at = some[open_]
                those = rows
                if len(open_) < len(some):
                    those = rows[torch.from_numpy(open_).to(self.space.device)]
                nearest = self.space.nearest_upper(those, labelled[segment])
                self.upper[at] = np.minimum(self.upper[at], nearest.cpu().numpy())
                self.met[at] = number + 1


def _segments(n: int) -> list[slice]:
    """0 … n in slices, each as long as all before it together, up to a limit."""
    edges = [0]
    while (last := edges[-1]) < n:
        length = min(max(last, _FIRST), _STEP)
        edges.append(min(n, last + length))
    return [slice(a, b) for a, b in pairwise(edges)]
