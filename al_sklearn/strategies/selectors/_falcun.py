"""FALCUN's selection: uncertain points drawn at random, away from those drawn.

The distance to what is drawn already is one of probabilities.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from al_sklearn._core.checks import check_n_instances
from al_sklearn._core.random import as_generator, tie_generator
from al_sklearn._core.types import Chosen, Floats, Ints
from al_sklearn.exceptions import ParameterError
from al_sklearn.strategies import measures
from al_sklearn.strategies._engine.distances import as_rows, tiles
from al_sklearn.strategies._engine.given import drawn_by_weight

# Their distances to as many picks as lie between two looks: 4 MiB of float64.
_TILE_ROWS = 4096
# Proposals drawn together at most: those after the last accepted one are thrown away.
_PROPOSALS = 256
_MOST_BETWEEN = 128  # at most so many picks between two looks at the pool
_LEAST_RATE = 0.05  # or as soon as fewer proposals than this are accepted


def falcun(
    proba: Any,
    n_instances: int,
    *,
    gamma: float = 10.0,
    random_tie_break: bool = False,
    random_state: Any = None,
) -> Chosen:
    """Draw points with probability proportional to distᵞ [1]_.

    Here dist is what is left of the uncertainty.

    It begins as 1 - (p₍₁₎ - p₍₂₎) and shrinks to the L1 distance of the probabilities
    to the nearest drawn.

    Parameters
    ----------
    proba : ndarray or torch.Tensor of shape (n, C)
        Class probabilities.
    n_instances : int
        How many, 1 … n.
    gamma : float, default=10
        From 0 (uniformly at random) to very large (always the largest dist).
    random_tie_break : bool, default=False
        Once every point left has dist 0, they follow by position; with True at random.
    random_state : int, Generator, RandomState or None

    Returns
    -------
    indices : ndarray of int64, shape (n_instances,)
        Unique positions in the order drawn.
    scores : ndarray of float64, shape (n_instances,)
        dist of each when it was drawn.

    Raises
    ------
    ValueError
        For NaN, a negative gamma, or `n_instances` outside 1 … n.

    Notes
    -----
    dist only shrinks, so that an old one is an upper bound: proposals are drawn from
    old weights and accepted with probability true / old, which draws exactly from the
    true ones without going over the pool for each.

    References
    ----------
    .. [1] S. Gilhuber, A. Beer, Y. Ma and T. Seidl. FALCUN: a simple and efficient deep
           active learning strategy.
       ECML PKDD 2024.
    """
    P = as_rows(proba, "proba")
    n_instances = check_n_instances(n_instances, len(P))
    if not (np.isfinite(gamma) and gamma >= 0):
        raise ParameterError(
            f"gamma must be a number of at least 0, got {gamma!r}.", "gamma"
        )
    if hasattr(P, "cpu"):
        P = P.cpu().numpy()
    rng = as_generator(random_state)
    draw = _Draw(P, gamma, rng)
    draw.until(n_instances)
    rest = np.flatnonzero(draw.free)
    if random_tie_break:
        rest = tie_generator(rng).permutation(rest)
    rest = rest[: n_instances - len(draw.chosen)]
    indices = np.concatenate([np.array(draw.chosen, dtype=np.int64), rest])
    return indices, np.concatenate([draw.scores, np.zeros(len(rest))])


class _Draw:
    """State of one draw: a bound of dist, the picks known, and the weight.

    For each row it holds an upper bound of dist, how many picks that knows, and its
    weight.
    """

    def __init__(self, P: NDArray[Any], gamma: float, rng: np.random.Generator) -> None:
        self.P, self.gamma, self.rng = P, gamma, rng
        # Rounding may leave a margin a little above 1.
        self.dist = np.maximum(np.asarray(measures.margin(P), dtype=np.float64), 0)
        self.seen = np.zeros(len(P), dtype=np.int64)
        self.free = np.ones(len(P), dtype=bool)
        self.chosen: list[int] = []
        self.scores: list[float] = []
        self._scale()

    def _scale(self) -> None:
        """Weights relative to the largest dist.

        No power then underflows while it matters.
        """
        largest = self.dist[self.free].max(initial=0.0)
        self.scale = largest if largest > 0 else 1.0
        self.weights = np.where(self.free, self._weights_of(self.dist), 0.0)

    def _weights_of(self, dist: Any) -> Any:
        return (dist / self.scale) ** self.gamma

    def until(self, n_instances: int) -> None:
        """Draw until there are so many, or nothing is left but what has dist 0."""
        # More and more rarely: at first every pick changes much, later few do.
        last, between = 0, 1
        rate = 1.0
        while len(self.chosen) < n_instances:
            if len(self.chosen) - last >= between or rate < _LEAST_RATE:
                self._refresh()
                last, rate = len(self.chosen), 1.0
                between = min(2 * between, _MOST_BETWEEN)
            if not self.weights.any():
                self._scale()
                if not self.weights.any() or (
                    self.gamma > 0 and not self.dist[self.free].any()
                ):
                    return
            until = max(last + between, len(self.chosen) + 1)
            rate = self._propose(min(n_instances, until))

    def _refresh(self) -> None:
        """Bring every row up to date that holds a share of the weight worth looking at.

        Others stay bounds.
        """
        rows = np.flatnonzero(self.weights > 1e-3 * self.weights.mean())
        for tile in tiles(len(rows), _TILE_ROWS):
            some = rows[tile]
            self.dist[some] = self._exact(some)
            self.weights[some] = self._weights_of(self.dist[some])
        self.seen[rows] = len(self.chosen)
        self.weights[~self.free] = 0.0
        if self.weights.max() < 0.5**self.gamma:
            self._scale()

    def _exact(self, rows: Ints) -> Floats:
        first = int(self.seen[rows].min())
        recent = np.array(self.chosen[first:], dtype=np.int64)
        if len(recent) == 0:
            return self.dist[rows]
        return np.minimum(self.dist[rows], self._distances(rows, recent).min(axis=1))

    def _distances(self, rows: Ints, others: Ints) -> Floats:
        here, there = (self.P[key].astype(np.float64) for key in (rows, others))
        return cdist(here, there, "cityblock")

    def _propose(self, until: int) -> float:
        """Draw proposals from the weights, accept each with probability true / old.

        Return the share accepted.
        """
        size = min(_PROPOSALS, 8 + 2 * (until - len(self.chosen)))
        proposals = drawn_by_weight(self.weights, size, self.rng)
        some, place = np.unique(proposals, return_inverse=True)
        thresholds = self.rng.random(size) * self.weights[some][place]
        exact = self._exact(some)
        n_tried = n_accepted = 0
        for i, threshold in zip(place, thresholds, strict=True):
            n_tried += 1
            weight = self._weights_of(exact[i])
            if not self.free[some[i]] or threshold >= weight:
                continue
            self.chosen.append(int(some[i]))
            self.scores.append(float(exact[i]))
            self.free[some[i]] = False
            n_accepted += 1
            to_drawn = self._distances(some, some[i : i + 1])[:, 0]
            exact = np.minimum(exact, to_drawn)
            if len(self.chosen) == until:
                break
        self.dist[some] = exact
        self.seen[some] = len(self.chosen)
        self.weights[some] = np.where(self.free[some], self._weights_of(exact), 0.0)
        return n_accepted / n_tried
