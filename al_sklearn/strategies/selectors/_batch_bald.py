"""BatchBALD: the batch whose labels, jointly, say most about the parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from al_sklearn._core.checks import check_n_instances, renamed
from al_sklearn._core.random import RandomState, as_generator, tie_generator
from al_sklearn._core.types import Chosen, Floats, Ints
from al_sklearn.exceptions import ParameterError
from al_sklearn.strategies._engine import arrays as blocks
from al_sklearn.strategies._engine.distances import tiles
from al_sklearn.strategies._engine.particles import Particles
from al_sklearn.strategies.measures import bald

_BLOCK = 256  # candidates whose gains are computed at a time
_GROUPS = (
    128,
    512,
    2048,
)  # merged configurations that bound the gains of all, then of those that these leave
# nats: once drawn configurations promise no more than this, there is nothing left to
# tell apart
_NOTHING = 1e-4
_FINALISTS = 256  # different candidates at most that float64 decides among


@renamed(k="n_instances")
def batch_bald(
    samples: Any,
    n_instances: int,
    *,
    n_configurations: int = 10_000,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Choose greedily the batch with the largest joint mutual information.

    The information is that of the batch's labels about the parameters.

    Parameters
    ----------
    samples : array or tensor of shape (T, n, C)
        Class probabilities under T posterior samples, each one function for the whole
        pool. A tensor may be on any device.
    n_instances : int
        How many, 1 … n.
    n_configurations : int, default=10000
        The joint entropy of the labels is exact while no more configurations of those
        chosen are possible; then it is estimated from so many drawn ones (rounded up to
        a multiple of T).
    random_tie_break : bool, default=False
        Candidates that gain the same come in order of position; with True in random
        order.
    random_state : int, Generator or None
        Draws the configurations, and ties with ``random_tie_break``.

    Returns
    -------
    indices : int64 array of shape (n_instances,)
        In the order in which they were chosen.
    gains : float64 array of shape (n_instances,)
        How much information, in nats, each added to those before it.

    Raises
    ------
    ValueError
        For another shape, NaN, n_instances outside 1 … n, or no configurations.

    Notes
    -----
    The gain of candidate i after labels y_S is E H(y_i | y_S) - E_t H(y_i | t) (Kirsch,
    van Amersfoort & Gal, NeurIPS 2019). When the configurations of y_S grow too many,
    equally many are drawn from each posterior sample and kept: each later choice adds
    one label to each. The pool is never scored as a whole by these: exact gains never
    grow, so that an old one bounds the new; and entropies given a few merged
    configurations bound, by their concavity, those given the drawn ones. What a float32
    product leaves undecided is decided in float64, so that the choices are those of the
    full greedy algorithm with the same configurations.
    """
    samples = blocks.check(samples, 3, "samples")
    n_instances = check_n_instances(n_instances, samples.shape[1])
    if n_configurations < 1:
        raise ParameterError(
            f"n_configurations must be at least 1, got {n_configurations}.",
            "n_configurations",
        )
    greedy = _Greedy(
        samples, n_configurations, as_generator(random_state), random_tie_break
    )
    chosen, gains = np.empty(n_instances, dtype=np.int64), np.empty(n_instances)
    for i in range(n_instances):
        chosen[i], gains[i] = greedy.choose()
        if i < n_instances - 1:
            greedy.condition(chosen[i])
    return chosen, gains


class _Greedy:
    """What is chosen, as particles, and bounds on what every candidate would add."""

    def __init__(
        self,
        samples: Any,
        n_configurations: int,
        generator: np.random.Generator,
        random_ties: bool,
    ):
        self.samples, self.n_configurations = samples, n_configurations
        self.generator = generator
        self.ties = tie_generator(generator) if random_ties else None
        n_samples, n, n_classes = samples.shape
        uniform = np.full((1, n_samples), 1 / n_samples)
        self.particles, self.drawn = Particles(np.ones(1), uniform), False
        # Given the sample itself: the mean entropy over T certain posteriors.
        each = Particles(uniform[0], np.eye(n_samples))
        self.conditional = each.mean_entropy(samples, dtype=torch.float32)
        blocks.check_finite(self.conditional)
        self.each = each
        self.nothing = blocks.rows_that_agree(samples)
        self.upper = np.full(n, np.inf)
        self.upper[self.nothing] = 0
        self.chosen: list[int] = []
        # Rounding of a float32 product of T positive terms, and of the logarithms and
        # sums after it.
        self.margin = (4 * n_samples**0.5 + 32) * 2.0**-24 * (1 + np.log(n_classes))
        self.last_gain = np.inf
        self.alone: Floats | None = None
        self.n_scored = 0  # gains computed, for those who want to know how lazy it was

    def choose(self) -> tuple[int, float]:
        """The candidate of the largest gain, and the gain."""
        if self.drawn and self.last_gain < _NOTHING:
            return self._nothing_left()
        # Drawn gains may grow, exact ones never do.
        if self.drawn:
            self.upper = np.full(len(self.upper), np.inf)
        self.upper[self.chosen] = -np.inf
        gains = np.full(len(self.upper), -np.inf)
        levels = [groups for groups in _GROUPS if 2 * groups < len(self.particles)]
        if levels and self.drawn:
            self._bound(np.arange(len(gains)), levels.pop(0))
        # All at once where that costs no more than the bounds.
        step = _BLOCK if len(self.particles) > _GROUPS[0] else len(gains)
        while True:
            best = gains.max()
            may_win = self.upper > best - 2 * self.margin
            rest = np.flatnonzero(may_win & (gains == -np.inf))
            if len(rest) == 0:
                break
            if levels and best > -np.inf:
                self._bound(rest, levels.pop(0))
                continue
            order = np.argsort(-self.upper[rest], kind="stable")
            # In order of position: rows side by side are read without a copy.
            some = np.sort(rest[order[:step]])
            gains[some] = self._gains(some, torch.float32)
            self.n_scored += len(some)
        known = gains > -np.inf
        self.upper[known] = gains[known] + self.margin
        finalists = np.flatnonzero(gains >= best - 2 * self.margin)
        index, self.last_gain = self._decide(finalists, gains)
        self.chosen.append(index)
        return index, self.last_gain

    def _nothing_left(self) -> tuple[int, float]:
        """The labels of those chosen already tell the samples apart.

        What is most informative alone comes next.
        """
        if self.alone is None:
            self.alone = np.asarray(bald(self.samples).tolist())
        self.alone[self.chosen] = -np.inf
        best = np.flatnonzero(self.alone == self.alone.max())
        index = int(best[0] if self.ties is None else self.ties.choice(best))
        self.chosen.append(index)
        return index, 0.0

    def condition(self, index: int) -> None:
        """Take the label of a candidate as given.

        Every configuration is continued by it.
        """
        proba = self._proba(index)
        n_samples, n_classes = proba.shape
        if not self.drawn and len(self.particles) * n_classes <= self.n_configurations:
            self.particles = self.particles.split(proba)
            return
        if not self.drawn:
            self.drawn = True
            per_sample = -(-self.n_configurations // n_samples)
            self.truth = np.repeat(np.arange(n_samples), per_sample)
            m = len(self.truth)
            self.particles = Particles(
                np.full(m, 1 / m), np.full((m, n_samples), 1 / n_samples)
            )
            for earlier in self.chosen[:-1]:
                self._draw_labels(self._proba(earlier))
        self._draw_labels(proba)

    def _draw_labels(self, proba: Floats) -> None:
        """One label for each configuration, from its posterior sample.

        The sample is the one that the configuration is drawn under.
        """
        cumulative = np.cumsum(proba, axis=1)[self.truth]
        drawn = self.generator.random(len(self.truth)) * cumulative[:, -1]
        labels = (cumulative > drawn[:, None]).argmax(axis=1)
        self.particles = self.particles.given(proba.T[labels])

    def _bound(self, rows: Ints, n_groups: int) -> None:
        """Lower what the gains of these rows are known not to be above."""
        merged = self.particles.merged(_groups(self.particles.posteriors, n_groups))
        entropies = merged.mean_entropy(self.samples, rows, torch.float32)
        upper = entropies - self.conditional[rows] + self.margin
        upper[self.nothing[rows]] = 0
        upper[self.upper[rows] == -np.inf] = -np.inf
        self.upper[rows] = np.minimum(self.upper[rows], upper)

    def _gains(self, rows: Ints, dtype: Any) -> Floats:
        given = (
            self.conditional[rows]
            if dtype == torch.float32
            else self.each.mean_entropy(self.samples, rows, dtype)
        )
        gains = self.particles.mean_entropy(self.samples, rows, dtype) - given
        gains[self.nothing[rows]] = 0
        return gains

    def _decide(self, finalists: Ints, gains: Floats) -> tuple[int, float]:
        """The best of a few, in float64.

        Those with the same probabilities gain the same to the last bit.
        """
        rows = self.samples[:, finalists]
        rows = rows.cpu().numpy() if blocks.is_tensor(rows) else rows
        flat = np.ascontiguousarray(rows.swapaxes(0, 1)).reshape(len(finalists), -1)
        _, first, inverse = np.unique(
            flat, axis=0, return_index=True, return_inverse=True
        )
        highest = np.argsort(-gains[finalists[first]], kind="stable")[:_FINALISTS]
        exact = np.full(len(first), -np.inf)
        exact[highest] = self._gains(finalists[first[highest]], torch.float64)
        exact = exact[inverse.reshape(-1)]
        best = finalists[exact == exact.max()]
        index = int(best[0] if self.ties is None else self.ties.choice(best))
        return index, float(exact.max())

    def _proba(self, index: int) -> Floats:
        proba = self.samples[:, index]
        proba = proba.cpu().numpy() if blocks.is_tensor(proba) else proba
        return proba.astype(np.float64)


def _groups(posteriors: Floats, n_groups: int) -> Ints:
    """Configurations with similar posteriors.

    Two rounds of k-means, from configurations spread by their mode.
    """
    points = posteriors.astype(np.float32)
    if len(points) <= n_groups:
        return np.arange(len(points))
    order = np.lexsort((points.max(axis=1), points.argmax(axis=1)))
    centres = points[order[np.linspace(0, len(points) - 1, n_groups).astype(int)]]
    groups = np.empty(len(points), dtype=np.int64)
    closeness = np.empty((1024, n_groups), np.float32)
    for i in range(2):
        half_norms = 0.5 * np.square(centres).sum(axis=1)
        for tile in tiles(len(points), len(closeness)):
            out = closeness[: tile.stop - tile.start, : len(centres)]
            here = np.matmul(points[tile], centres.T, out=out)
            here -= half_norms
            groups[tile] = here.argmax(axis=1)
        if i == 0:
            order = np.argsort(groups, kind="stable")
            starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
            centres = np.add.reduceat(points[order], starts, axis=0)
            centres /= np.diff(starts, append=len(points))[:, None]
    return groups
