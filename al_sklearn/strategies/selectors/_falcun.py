"""FALCUN's selection: uncertain points drawn at random, away from those drawn.

The distance to what is drawn already is one of probabilities.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from al_sklearn._core.checks import check_n_instances, unknown_name
from al_sklearn._core.random import as_generator, tie_generator
from al_sklearn._core.types import Chosen, Floats, Ints
from al_sklearn.exceptions import ParameterError
from al_sklearn.strategies import measures
from al_sklearn.strategies._engine.distances import as_rows, tiles
from al_sklearn.strategies._engine.given import drawn_by_weight

# What the probability of a draw is a power of.
_COMBINES = ("sum", "distance")
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
    combine: Literal["sum", "distance"] = "sum",
    random_tie_break: bool = False,
    random_state: Any = None,
) -> Chosen:
    """Draw points with probability proportional to (minmax(dist) + u)ᵞ [1]_.

    Here u = 1 - (p₍₁₎ - p₍₂₎) is the uncertainty, and dist what is left of it: it
    begins as u and shrinks to the L1 distance of the probabilities to the nearest
    drawn.

    Parameters
    ----------
    proba : ndarray or torch.Tensor of shape (n, C)
        Class probabilities.
    n_instances : int
        How many, 1 … n.
    gamma : float, default=10
        From 0 (uniformly at random) to very large (always the largest sum or dist).
    combine : {"sum", "distance"}, default="sum"
        "sum" is what the authors published their experiments with: dist, brought to 0 …
        1 over what is not drawn yet, plus u. "distance" is their ablation, distᵞ alone:
        points that little is known of but that resemble no other are drawn more.
    random_tie_break : bool, default=False
        Once every point left has dist 0, they follow by position; with True at random,
        as the authors do.
    random_state : int, Generator, RandomState or None

    Returns
    -------
    indices : ndarray of int64, shape (n_instances,)
        Unique positions in the order drawn.
    scores : ndarray of float64, shape (n_instances,)
        The sum, or dist, of each when it was drawn; 0 once every dist is 0.

    Raises
    ------
    ValueError
        For NaN, a negative gamma, an unknown `combine`, or `n_instances` outside 1 … n.

    Notes
    -----
    A sum's scale moves with every draw, and all weights with it: each draw goes over
    the pool, O(n C). By "distance" dist only shrinks, so that an old one is an upper
    bound: proposals are drawn from old weights and accepted with probability true /
    old, which draws exactly from the true ones without going over the pool for each.

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
    if combine not in _COMBINES:
        raise unknown_name("combine", combine, _COMBINES)
    if hasattr(P, "cpu"):
        P = P.cpu().numpy()
    rng = as_generator(random_state)
    draw = (_SumDraw if combine == "sum" else _DistanceDraw)(P, gamma, rng)
    draw.until(n_instances)
    rest = np.flatnonzero(draw.free)
    if random_tie_break:
        rest = tie_generator(rng).permutation(rest)
    rest = rest[: n_instances - len(draw.chosen)]
    indices = np.concatenate([np.array(draw.chosen, dtype=np.int64), rest])
    return indices, np.concatenate([draw.scores, np.zeros(len(rest))])


def _distances(P: NDArray[Any], rows: Ints | slice, others: Ints) -> Floats:
    """L1 distances of some rows to others, (m, k), in float64."""
    here, there = (P[key].astype(np.float64) for key in (rows, others))
    return cdist(here, there, "cityblock")


def _uncertainty(P: NDArray[Any]) -> Floats:
    # Rounding may leave a margin a little above 1.
    return np.maximum(np.asarray(measures.margin(P), dtype=np.float64), 0)


class _SumDraw:
    """One draw by (minmax(dist) + u)ᵞ: every weight is made anew for each."""

    def __init__(self, P: NDArray[Any], gamma: float, rng: np.random.Generator) -> None:
        self.P, self.gamma, self.rng = P, gamma, rng
        self.uncertainty = _uncertainty(P)
        self.dist = self.uncertainty.copy()
        self.free = np.ones(len(P), dtype=bool)
        self.chosen: list[int] = []
        self.scores: list[float] = []

    def until(self, n_instances: int) -> None:
        """Draw until there are so many, or nothing is left but what has dist 0."""
        while len(self.chosen) < n_instances:
            left = np.flatnonzero(self.free)
            dist = self.dist[left]
            low, high = dist.min(), dist.max()
            if high == 0 and self.gamma > 0:
                return
            # Where all are as far, the uncertainty alone decides.
            scaled = (dist - low) / (high - low if high > low else 1.0)
            sums = scaled + self.uncertainty[left]
            # Relative to the largest: no power then underflows while it matters. All
            # are 0 where gamma is 0 and everything is certain: 0⁰ = 1, all alike.
            weights = (sums / (sums.max() or 1.0)) ** self.gamma
            place = drawn_by_weight(weights, 1, self.rng)[0]
            self._take(int(left[place]), float(sums[place]))

    def _take(self, index: int, score: float) -> None:
        self.chosen.append(index)
        self.scores.append(score)
        self.free[index] = False
        for tile in tiles(len(self.P), _TILE_ROWS):
            to_drawn = _distances(self.P, tile, np.array([index]))[:, 0]
            np.minimum(self.dist[tile], to_drawn, out=self.dist[tile])


class _DistanceDraw:
    """State of one draw by distᵞ: a bound of dist, the picks known, and the weight.

    For each row it holds an upper bound of dist, how many picks that knows, and its
    weight.
    """

    def __init__(self, P: NDArray[Any], gamma: float, rng: np.random.Generator) -> None:
        self.P, self.gamma, self.rng = P, gamma, rng
        self.dist = _uncertainty(P)
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
        nearest = _distances(self.P, rows, recent).min(axis=1)
        return np.minimum(self.dist[rows], nearest)

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
            to_drawn = _distances(self.P, some, some[i : i + 1])[:, 0]
            exact = np.minimum(exact, to_drawn)
            if len(self.chosen) == until:
                break
        self.dist[some] = exact
        self.seen[some] = len(self.chosen)
        self.weights[some] = np.where(self.free[some], self._weights_of(exact), 0.0)
        return n_accepted / n_tried
