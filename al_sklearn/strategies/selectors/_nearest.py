"""Neighbours of labelled points, and distance to the mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from al_sklearn._core.checks import check_n_instances
from al_sklearn._core.random import as_generator
from al_sklearn._core.types import Chosen, Floats, Ints
from al_sklearn.strategies._engine.distances import (
    Array,
    Rows,
    Rows64,
    Space,
    as_rows,
    exact_float32,
    tile_rows,
    tiles,
)
from al_sklearn.strategies._engine.given import (
    check_positive,
    labelled_like,
    on_host,
    space_of,
)

_SEEDS = 64  # seeds that meet the pool together


def k_nearest(
    features: Any,
    n_instances: int,
    *,
    labelled: Any,
    utilities: ArrayLike | None = None,
    n_neighbors: int = 5,
    metric: str = "euclidean",
    random_tie_break: bool = False,
    random_state: Any = None,
    chunk_rows: int | None = None,
) -> Chosen:
    """Choose the nearest candidates of the most uncertain labelled points.

    The labelled points take turns, most uncertain first; each gives its `n_neighbors`
    nearest candidates that are not chosen yet, and when all have had their turn it
    starts again.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (n, d)
        The candidates, any real dtype, any device, any strides; a memory map is read
        tile by tile.
    n_instances : int
        How many to choose, 1 … n.
    labelled : ndarray or torch.Tensor of shape (l, d)
        The seeds.
    utilities : array-like of shape (l,), optional
        Uncertainty of the seeds, higher = first; by default they come by position.
    n_neighbors : int, default=5
        How many each seed gives in a turn.
    metric : {"euclidean", "manhattan", "cosine"}, default="euclidean"
        Cosine is 1 - cos; a row of zeros is at distance 1 from all but its like.
    random_tie_break : bool, default=False
        Seeds of equal utility and candidates equally near are taken by position; with
        True at random.
    random_state : int, Generator, RandomState or None, default=None
        Used with `random_tie_break` alone.
    chunk_rows : int, optional
        Rows looked at together. It changes memory and speed, never the result.

    Returns
    -------
    indices : ndarray of int64, shape (n_instances,)
        Positions in `features`, unique, by seed and then from the nearest on.
    scores : ndarray of float64, shape (n_instances,)
        Utility of the seed that gave each (0 without `utilities`).

    Raises
    ------
    ValueError
        Without seeds, for NaN or infinite values, shapes that do not fit, or an unknown
        metric.

    Notes
    -----
    Float32 finds the candidates that may be among the nearest, float64 decides; equal
    rows are equally near.

    Examples
    --------
    >>> import numpy as np
    >>> from al_sklearn.strategies.selectors import k_nearest
    >>> points = np.array([[0.0], [1.0], [2.0], [9.0], [10.0]])
    >>> indices, scores = k_nearest(
    ...     points, 3, labelled=[[0.2], [9.4]], utilities=[0.1, 0.7], n_neighbors=2
    ... )
    >>> indices.tolist()
    [3, 4, 0]
    """
    X = as_rows(features, "features")
    n_instances = check_n_instances(n_instances, len(X))
    space = space_of(metric)
    L = labelled_like(X, labelled)
    if L is None:
        raise ValueError(
            "k_nearest looks for the neighbours of labelled rows, and there are none"
        )
    u = np.zeros(len(L)) if utilities is None else on_host(utilities)
    if u.shape != (len(L),) or np.isnan(u).any():
        raise ValueError(
            f"utilities must be {len(L)} numbers, one per labelled row; got shape "
            f"{u.shape}"
        )
    check_positive(n_neighbors=n_neighbors, chunk_rows=chunk_rows)
    rng = as_generator(random_state)
    rank, turns = np.arange(len(X)), np.arange(len(L))
    if random_tie_break:
        rank, turns = rng.permutation(rank), rng.permutation(turns)
    # The most uncertain first; equal ones in turn.
    seeds = np.lexsort((turns, -u))
    with exact_float32():
        search = _Search(space(X), X, L, rank, chunk_rows)
        indices, givers = search.choose(seeds, n_instances, n_neighbors)
    return indices, u[givers]


class _Search:
    """Nearest free candidates of a few seeds at a time."""

    def __init__(
        self,
        space: Space,
        X: Array,
        L: Array,
        rank: Ints,
        chunk_rows: int | None,
    ) -> None:
        self.space, self.X, self.L, self.rank = space, X, L, rank
        self.step = chunk_rows or tile_rows(space.width)
        self.is_free = np.ones(len(X), dtype=bool)

    def choose(
        self, seeds: Ints, n_instances: int, n_neighbors: int
    ) -> tuple[Ints, Ints]:
        """Candidates in the order given, and the seed that gave each."""
        chosen: list[int] = []
        givers: list[int] = []
        turn = 0
        while len(chosen) < n_instances:
            n_turns = -(-(n_instances - len(chosen)) // n_neighbors)
            block = seeds[turn : turn + min(_SEEDS, n_turns)]
            # Some of a seed's nearest may be given by a seed before it in the block:
            # look for more than it gives.
            lists = self._nearest(block, 4 * n_neighbors)
            for seed, candidates in zip(block.tolist(), lists, strict=True):
                wanted = min(n_neighbors, n_instances - len(chosen))
                found = candidates[self.is_free[candidates]][:wanted]
                if len(found) < min(wanted, self.is_free.sum()):
                    found = self._nearest(np.array([seed]), wanted)[0][:wanted]
                chosen.extend(found.tolist())
                givers.extend([seed] * len(found))
                self.is_free[found] = False
            turn = 0 if turn + len(block) >= len(seeds) else turn + len(block)
        return np.array(chosen, dtype=np.int64), np.array(givers, dtype=np.int64)

    def _nearest(self, block: Ints, k: int) -> list[Ints]:
        """At least the `k` nearest free candidates of each seed, nearest first.

        There are fewer where fewer are free.
        """
        free = np.flatnonzero(self.is_free)
        k = min(k, len(free))
        seeds = self.space.rows((self.L,), block)
        seeds64 = self.space.rows64((self.L,), block)
        # First the k-th least upper bound of each seed, then whatever could be nearer
        # than that.
        least = torch.full((len(block), 0), np.inf, dtype=torch.float64)
        for tile in tiles(len(free), self.step):
            rows = self.space.rows((self.X,), free[tile])
            excess = torch.from_numpy(self.space.excess(rows))
            upper = self._lower(rows, seeds) + excess[:, None]
            least = torch.cat([least, upper.T], dim=1)
            least = least.topk(min(k, least.shape[1]), dim=1, largest=False).values
        limit = least[:, -1] + torch.from_numpy(self.space.excess(seeds))
        found: list[list[Ints]] = [[] for _ in block]
        distances: list[list[Floats]] = [[] for _ in block]
        for tile in tiles(len(free), self.step):
            lower = self._lower(self.space.rows((self.X,), free[tile]), seeds)
            for s, is_near in enumerate((lower <= limit).T.numpy()):
                near = free[tile][np.flatnonzero(is_near)]
                if len(near):
                    one: Rows64 = tuple(r[s][None] for r in seeds64)
                    near64 = self.space.rows64((self.X,), near)
                    found[s].append(near)
                    distances[s].append(self.space.distance(near64, one))
        lists = []
        for near_, far in zip(found, distances, strict=True):
            positions = np.concatenate(near_)
            order = np.lexsort((self.rank[positions], np.concatenate(far)))
            lists.append(positions[order])
        return lists

    def _lower(self, rows: Rows, seeds: Rows) -> torch.Tensor:
        return self.space.lower(rows, seeds).double().cpu()
