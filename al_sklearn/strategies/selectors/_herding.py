"""MaxHerding and UHerding: greedy maximisation of a smooth coverage.

The coverage is that of the pool, and weighted in UHerding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from al_sklearn._core.checks import check_n_instances, renamed
from al_sklearn._core.random import as_generator
from al_sklearn._core.types import Chosen, Floats, Floats32, Ints
from al_sklearn.exceptions import ParameterError
from al_sklearn.strategies._engine.distances import (
    as_rows,
    device_of,
    exact_float32,
    tiles,
)
from al_sklearn.strategies._engine.given import (
    as_weights,
    check_positive,
    filled,
    labelled_like,
    tie_rank,
)
from al_sklearn.strategies._engine.host_rows import host_rows
from al_sklearn.strategies._engine.products import inner_products
from al_sklearn.strategies._engine.top_k import highest

_TILE = 512  # rows and columns of a tile of the kernel: 2 MiB of float64
# What is known of a gain: what it once was; a bound from float32; all.
_STALE, _BOUND, _EXACT = range(3)
# bounds from float32 that are higher than this by their slack alone tell too little
_USEFUL = 1.05
_FEW = 4  # gains made exact together
_BLOCK = 16  # candidates brought up to date together, at first
_LEAST_SAMPLE = 2000
_TIE = 1e-9  # gains that differ by so small a share tie
_ROUNDING = 1e-12  # gains below this share of the largest possible are 0


@renamed(weights="utilities")
def max_herding(
    features: Any,
    n_instances: int,
    *,
    labelled: Any = None,
    utilities: Any = None,
    bandwidth: float = 1.0,
    n_reference: int | None = None,
    random_tie_break: bool = False,
    random_state: Any = None,
    chunk_rows: int | None = None,
) -> Chosen:
    """Choose points one by one, each adding most to the kernel coverage of the pool.

    The coverage of a point x' is its largest kernel value ``exp(-|x - x'|² /
    bandwidth²)`` to a labelled or chosen point x; that of the pool is the (weighted)
    mean over its points.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (n, d)
        The candidates, any real dtype, any device, any strides; a memory map is read
        tile by tile. Rows are normalised to length 1.
    n_instances : int
        How many to choose, 1 … n.
    labelled : ndarray or torch.Tensor of shape (l, d), optional
        What is labelled already.
    utilities : array-like of shape (n,), optional
        How much each candidate's coverage counts (>= 0): UHerding's uncertainty. Where
        all are 0, equally.
    bandwidth : float, default=1.0
        Width of the kernel, in distance of normalised rows. See :func:`least_distance`
        for UHerding's.
    n_reference : int, optional
        The mean is taken over a random sample of so many candidates, drawn by utility
        where there are utilities; all can be chosen. By default all of them up to
        2,000, or to four times `n_instances`.
    random_tie_break : bool, default=False
        Points of equal gain are taken by utility and then by position; with True at
        random.
    random_state : int, Generator, RandomState or None, default=None
        Of the sample, and of ties.
    chunk_rows : int, optional
        Rows looked at together. It changes memory and speed, never the result beyond
        rounding in float64.

    Returns
    -------
    indices : ndarray of int64, shape (n_instances,)
        Positions in `features` in the order chosen, unique.
    scores : ndarray of float64, shape (n_instances,)
        Gain in (weighted) mean coverage of each; they never increase.

    Raises
    ------
    ValueError
        For NaN or infinite values, negative utilities, a bandwidth that is not
        positive, or shapes that do not fit.

    Notes
    -----
    The greedy choice of [1]_ (and, with utilities and bandwidth, of [2]_), in float64,
    and lazy: coverage only grows, so that the gain of a candidate when it was last
    looked at is an upper bound, and after the first choices few are looked at again. No
    kernel matrix is held. The weighted sample is drawn with probabilities in proportion
    to the utilities (certain ones included) and weighted by their inverse, so that its
    sums are unbiased.

    References
    ----------
    .. [1] W. Bae, J. Noh and D. J. Sutherland. Generalized coverage for more robust
           low-budget active learning.
       ECCV 2024.
    .. [2] W. Bae, G. L. Oliveira and D. J. Sutherland. Uncertainty herding: one active
           learning method for all label
       budgets. ICLR 2025.

    Examples
    --------
    >>> import numpy as np
    >>> from al_sklearn.strategies.selectors import max_herding
    >>> angles = np.array([0.0, 0.1, 0.2, 1.5, 3.0, 3.1])
    >>> max_herding(np.c_[np.cos(angles), np.sin(angles)], 3)[0].tolist()
    [2, 4, 3]
    """
    X = as_rows(features, "features")
    n_instances = check_n_instances(n_instances, len(X))
    L = labelled_like(X, labelled)
    if not (bandwidth > 0 and np.isfinite(bandwidth)):
        raise ParameterError(
            f"bandwidth must be a positive number, got {bandwidth!r}", "bandwidth"
        )
    check_positive(n_reference=n_reference, chunk_rows=chunk_rows)
    w = np.ones(len(X)) if utilities is None else as_weights(utilities, len(X))
    if not w.any():
        w = np.ones(len(X))
    rng = as_generator(random_state)
    reference, shares = draw_reference(
        w, n_reference or max(_LEAST_SAMPLE, 4 * n_instances), rng
    )
    # Ties go to the larger weight: it decides alone once nothing that is left adds any
    # coverage.
    second = tie_rank(len(X), random_tie_break, rng)
    rank = np.empty(len(X), dtype=np.int64)
    rank[np.lexsort((second, -w))] = np.arange(len(X))
    rows = host_rows(X, L, normalize=True)
    step = chunk_rows or _TILE
    with exact_float32():
        coverage = _Coverage(
            rows, len(X), reference, shares, bandwidth, device_of(X), step
        )
        return coverage.choose(n_instances, rank)


def draw_reference(
    weights: Floats, size: int, rng: np.random.Generator
) -> tuple[Ints, Floats]:
    """Positions of a sample by weight, and what each stands for in a mean.

    The sample is without replacement, and the mean is one over all.

    Systematic sampling: position i is drawn with probability min(1, c · weight), c such
    that `size` are drawn, and counts weight / probability / n. All are drawn, with
    their own weight, where there are no more than `size`.
    """
    n = len(weights)
    if n <= size:
        return np.arange(n), weights / n
    probability = np.zeros(n)
    is_certain = np.zeros(n, dtype=bool)
    while True:
        rest = np.where(is_certain, 0, weights)
        n_left = size - is_certain.sum()
        share = rest * (n_left / rest.sum()) if rest.any() else 0
        probability = np.where(is_certain, 1, share)
        is_more = (probability >= 1) & ~is_certain
        if not is_more.any():
            break
        is_certain |= is_more
    order = rng.permutation(n)
    cumulated = np.cumsum(probability[order])
    # One draw for all, a step apart; the last must not pass the rounded total.
    ticks = rng.random() + np.arange(size)
    ticks = np.minimum(ticks, np.nextafter(cumulated[-1], 0))
    drawn = np.searchsorted(cumulated, ticks, side="right")
    positions = np.unique(order[drawn])
    return positions, weights[positions] / probability[positions] / n


class _Coverage:
    """How well each reference point is covered, and what each candidate would add."""

    def __init__(
        self,
        rows: Floats32,
        n: int,
        reference: Ints,
        shares: Floats,
        bandwidth: float,
        device: torch.device,
        step: int,
    ) -> None:
        self.rows = torch.from_numpy(rows).to(device)
        self.n, self.step = n, step
        self.scale = 2 / bandwidth**2
        norms = [
            self.rows[tile].double().square_().sum(dim=1, keepdim=True).sqrt_()
            for tile in tiles(len(rows), step)
        ]
        self.inverse_norms = 1 / torch.cat(norms)
        positions = torch.from_numpy(reference).to(device)
        scales = self.inverse_norms[positions] * self.scale
        self.reference = self.rows[positions] * scales
        self.shares = torch.from_numpy(shares).to(device)
        self.least = _ROUNDING * float(shares.sum())
        # For bounds in float32: the exponent may be off by so much, and the kernel by
        # that factor. Sums of a tile are off by less than 2^-15 of them.
        error = self.scale * (rows.shape[1] + 16) * 2.0**-23 + 2.0**-20
        self.inflation = float(np.exp(min(error, 1.0)) * (1 + 2.0**-20))
        # Of their sum: weights themselves may be too small or too large for float32.
        self.total = float(shares.sum())
        self.reference32 = self.reference.float()
        self.shares32 = (self.shares / self.total).float()
        self.offset32 = self.shares32.new_tensor([error - self.scale])
        self.best = torch.zeros(len(reference), dtype=torch.float64, device=device)
        # What is labelled covers already; its rows come after the candidates'.
        for tile in tiles(len(rows) - n, step):
            labelled = slice(n + tile.start, n + tile.stop)
            for part in tiles(len(reference), _TILE):
                best = self.best[part]
                kernel = self._kernel(labelled, self.reference[part])
                torch.maximum(best, kernel.amax(dim=0), out=best)

    def _kernel(
        self, rows: slice | torch.Tensor, reference: torch.Tensor
    ) -> torch.Tensor:
        # |a - b|² = 2 - 2 a·b for rows of length 1. Those of float32 are not to its
        # last digits, which a narrow kernel would see; the reference is, and scaled.
        products = torch.mm(self.rows[rows].double(), reference.T)
        return products.mul_(self.inverse_norms[rows]).sub_(self.scale).exp_()

    def choose(self, n_instances: int, rank: Ints) -> Chosen:
        """Greedy choices, then by `rank` what adds nothing."""
        gains = np.full(self.n, np.inf)
        state = np.full(self.n, _STALE, dtype=np.int8)
        chosen: list[int] = []
        scores: list[float] = []
        while len(chosen) < n_instances:
            top = self._refresh(gains, state)
            if top <= self.least:
                break
            # What differs by rounding alone ties.
            is_top = gains >= self._tied(top)
            index = int(highest(is_top.astype(np.float64), 1, rank=rank)[0])
            chosen.append(index)
            scores.append(float(gains[index]))
            kernel = self._kernel(slice(index, index + 1), self.reference)[0]
            if bool((kernel > self.best).any()):
                torch.maximum(self.best, kernel, out=self.best)
                state[:] = _STALE
            gains[index], state[index] = -1.0, _EXACT
        indices, values = filled(chosen, scores, rank, n_instances)
        # Rounding must not let a gain rise above the one before it.
        return indices, np.minimum.accumulate(values)

    def _refresh(self, gains: Floats, state: NDArray[np.int8]) -> float:
        """Make exact, in place, what is or ties with the highest gain; return it.

        Coverage only grows, so that an old gain is an upper bound, and so is one from
        float32: what is below the highest exact one can wait.
        """
        by_bounds = self.inflation < _USEFUL
        size, few = self.n if np.isinf(gains).all() else _BLOCK, _FEW
        while True:
            top = gains.max(where=state == _EXACT, initial=-1.0)
            open_ = np.flatnonzero((state != _EXACT) & (gains >= self._tied(top)))
            if len(open_) == 0:
                return float(top)
            # After the first choices nearly all are stale, and where gains are flat
            # many bounds are on top: in larger and larger blocks they are soon seen to.
            if by_bounds and state[open_[gains[open_].argmax()]] == _STALE:
                some = _highest(open_[state[open_] == _STALE], gains, size)
                gains[some] = np.minimum(self._upper(some), gains[some])
                state[some] = _BOUND
                size *= 2
            else:
                some = _highest(open_, gains, few if by_bounds else size)
                gains[some] = self._gains(some)
                state[some] = _EXACT
                few *= 2
                size = size if by_bounds else 2 * size

    def _tied(self, top: float) -> float:
        """From where on gains tie with the highest.

        Rounding could be all there is between them.
        """
        # Not among duplicates alone: where two reference points cover each other and
        # nothing else is left for either to cover, of one share and covered alike,
        # each adds what the other does. A small sample is made of such pairs.
        return top - max(_TIE * top, self.least)

    def _gains(self, candidates: Ints) -> Floats:
        """What each of some candidates would add to the weighted coverage."""
        out = np.empty(len(candidates))
        positions = torch.from_numpy(candidates).to(self.rows.device)
        for tile in tiles(len(candidates), self.step):
            total = self.shares.new_zeros(tile.stop - tile.start)
            for part in tiles(len(self.reference), _TILE):
                kernel = self._kernel(positions[tile], self.reference[part])
                gain = kernel.sub_(self.best[part]).clamp_(min=0)
                total += gain.mv(self.shares[part])
            out[tile] = total.cpu().numpy()
        return out

    def _upper(self, candidates: Ints) -> Floats:
        """Bounds that no gain is above, from float32."""
        out = np.empty(len(candidates))
        low = (self.best * (1 - 2.0**-20)).float()
        everything = len(candidates) == self.n
        positions = torch.from_numpy(candidates).to(self.rows.device)
        for tile in tiles(len(candidates), self.step):
            rows = self.rows[tile] if everything else self.rows[positions[tile]]
            total = self.shares.new_zeros(tile.stop - tile.start)
            for part in tiles(len(self.reference), _TILE):
                exponents = inner_products(rows, self.reference32[part], self.offset32)
                kernel = exponents.exp_().clamp_(max=self.inflation)
                gain = kernel.sub_(low[part]).clamp_(min=0)
                total += gain.mv(self.shares32[part]).double()
            out[tile] = total.cpu().numpy()
        return out * (self.total * (1 + 2.0**-14))


def _highest(candidates: Ints, gains: Floats, size: int) -> Ints:
    """Those of the highest gains, at most `size` of them, in order of position."""
    if len(candidates) <= size:
        return candidates
    order = np.argpartition(gains[candidates], len(candidates) - size)
    return np.sort(candidates[order[-size:]])
