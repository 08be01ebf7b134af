"""Selectors that spread a batch over the range of the scores.

Buckets, both ends, bins of equal count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from al_sklearn._core.checks import check_n_instances, renamed
from al_sklearn._core.random import as_generator
from al_sklearn._core.types import Chosen, Floats, Ints
from al_sklearn.exceptions import ParameterError
from al_sklearn.strategies._engine.given import on_host, tie_rank
from al_sklearn.strategies._engine.top_k import top_k


def apportion(shares: Sequence[float], n: int) -> list[int]:
    """Whole numbers in proportion to the shares, that sum to ``n``.

    The largest remainders are rounded up, the earlier first.
    """
    weights = np.asarray(shares, dtype=np.float64)
    exact = weights / weights.sum() * n
    # Thirds of three must give ones, however they were rounded.
    whole = np.floor(exact + 1e-9).astype(int)
    whole[np.argsort(whole - exact, kind="stable")[: n - whole.sum()]] += 1
    return whole.tolist()


def _fit(quotas: Sequence[int] | Ints, sizes: Ints) -> Ints:
    """Cut each quota to the size of its bucket.

    What is left over goes to the first buckets that have room.
    """
    fitted = np.minimum(quotas, sizes)
    left = int(np.sum(quotas) - fitted.sum())
    for i in range(len(fitted)):
        more = min(left, int(sizes[i] - fitted[i]))
        fitted[i] += more
        left -= more
    return fitted


def _as_utilities(utilities: Any) -> Floats:
    """One finite float64 for each candidate."""
    values = on_host(utilities)
    if values.ndim != 1:
        raise ValueError(
            "utilities must be one-dimensional, one per candidate; got shape "
            f"{values.shape}"
        )
    if not np.isfinite(values).all():
        n_wrong = np.count_nonzero(~np.isfinite(values))
        raise ValueError(
            f"utilities contain {n_wrong} NaN or infinite of {len(values)}"
        )
    return values


@renamed(scores="utilities")
def bucketed(
    utilities: ArrayLike,
    n_instances: int,
    *,
    percentiles: Sequence[float] = (30, 70),
    shares: Sequence[float] = (0.6, 0.3, 0.1),
    random_state: Any = None,
) -> Chosen:
    """Cut the ranking at percentiles and draw a share from each bucket.

    The draw inside each bucket is random.

    Parameters
    ----------
    utilities : array-like or torch.Tensor of shape (n,)
        Utilities, higher = ask first.
    n_instances : int
        How many, 1 … n.
    percentiles : sequence of float, default=(30, 70)
        Cuts, counted from the most useful: the first bucket is the most useful 30 %.
        Candidates that tie with a cut are above it, all of them, so that ties are drawn
        from fairly.
    shares : sequence of float, default=(0.6, 0.3, 0.1)
        Shares of the batch, one more than there are cuts; they need not sum to 1.
    random_state : int, Generator, RandomState or None

    Returns
    -------
    indices : ndarray of int64, shape (n_instances,)
        Unique positions, bucket by bucket from the most useful; inside a bucket in the
        order drawn. What a bucket is too small for is drawn from the others, the most
        useful first.
    scores : ndarray of float64, shape (n_instances,)
        ``utilities[indices]``.

    Raises
    ------
    ValueError
        For cuts that do not rise inside 0 … 100, shares that do not fit them, NaN, or
        `n_instances` outside 1 … n.

    Examples
    --------
    >>> import numpy as np
    >>> indices, _ = bucketed(np.arange(100.0), 10, random_state=0)
    >>> int((indices >= 70).sum()), int((indices < 30).sum())
    (6, 1)
    """
    values = _as_utilities(utilities)
    n_instances = check_n_instances(n_instances, len(values))
    cuts = np.asarray(percentiles, dtype=np.float64)
    if cuts.ndim != 1 or not (np.diff(np.concatenate([[0], cuts, [100]])) > 0).all():
        raise ValueError(
            f"percentiles must rise between 0 and 100, got {percentiles!r}."
        )
    if (
        len(shares) != len(cuts) + 1
        or not min(shares) >= 0
        or not 0 < sum(shares) < np.inf
    ):
        raise ParameterError(
            f"shares must be {len(cuts) + 1} numbers >= 0, not all 0: one more than "
            f"percentiles; got {shares!r}.",
            "shares",
        )
    rng = as_generator(random_state)
    # Of the negative: percentiles count from the most useful, and ties with a cut are
    # on its left.
    bucket = np.searchsorted(np.percentile(-values, cuts), -values, side="left")
    sizes = np.bincount(bucket, minlength=len(shares))
    quotas = _fit(apportion(shares, n_instances), sizes)
    drawn = [
        rng.choice(np.flatnonzero(bucket == i), k, replace=False)
        for i, k in enumerate(quotas)
        if k
    ]
    indices = np.concatenate(drawn).astype(np.int64)
    return indices, values[indices]


@renamed(scores="utilities")
def both_ends(
    utilities: ArrayLike,
    n_instances: int,
    *,
    random_tie_break: bool = False,
    random_state: Any = None,
) -> Chosen:
    """Half the batch from the highest utilities, half from the lowest.

    The odd one from the highest.

    Parameters
    ----------
    utilities : array-like or torch.Tensor of shape (n,)
        Utilities, higher = ask first.
    n_instances : int
        How many, 1 … n.
    random_tie_break : bool, default=False
        Ties at random instead of by position.
    random_state : int, Generator, RandomState or None
        Used with `random_tie_break` alone.

    Returns
    -------
    indices : ndarray of int64, shape (n_instances,)
        Unique positions: the highest in falling order, then the lowest in rising order.
    scores : ndarray of float64, shape (n_instances,)
        ``utilities[indices]``.

    Raises
    ------
    ValueError
        For NaN or infinite utilities, or `n_instances` outside 1 … n.
    """
    values = _as_utilities(utilities)
    n_instances = check_n_instances(n_instances, len(values))
    # One generator for both ends, each of which spawns a stream of its own.
    rng = as_generator(random_state) if random_tie_break else None
    high = top_k(
        values,
        n_instances - n_instances // 2,
        random_tie_break=random_tie_break,
        random_state=rng,
    )[0]
    indices = high
    if n_instances > 1:
        # Without the highest: where all are equal the two ends would meet.
        rest = np.delete(np.arange(len(values)), high)
        low = top_k(
            -values[rest],
            n_instances // 2,
            random_tie_break=random_tie_break,
            random_state=rng,
        )[0]
        indices = np.concatenate([high, rest[low]])
    return indices, values[indices]


def _spread(n: int, k: int) -> Ints:
    """Of ``k`` places ``n`` <= k that are spread over all of them."""
    return ((np.arange(n) + 0.5) * k / max(n, 1)).astype(np.int64)


@renamed(scores="utilities")
def binned(
    utilities: ArrayLike,
    n_instances: int,
    *,
    n_bins: int = 10,
    random_tie_break: bool = False,
    random_state: Any = None,
) -> Chosen:
    """Sort into bins of equal count and draw the same number at random from each.

    Parameters
    ----------
    utilities : array-like or torch.Tensor of shape (n,)
        Utilities, higher = ask first.
    n_instances : int
        How many, 1 … n. Where it is no multiple of `n_bins`, the bins that give one
        more, or the only ones that give any, are spread over all of them.
    n_bins : int, default=10
        Number of bins; never more than candidates.
    random_tie_break : bool, default=False
        Sort ties at random instead of by position.
    random_state : int, Generator, RandomState or None

    Returns
    -------
    indices : ndarray of int64, shape (n_instances,)
        Unique positions, bin by bin from the most useful; inside a bin in the order
        drawn.
    scores : ndarray of float64, shape (n_instances,)
        ``utilities[indices]``.

    Raises
    ------
    ValueError
        For fewer than one bin, NaN or infinite utilities, or `n_instances` outside
        1 … n.
    """
    values = _as_utilities(utilities)
    n_instances = check_n_instances(n_instances, len(values))
    if n_bins < 1:
        raise ParameterError(f"n_bins must be at least 1, got {n_bins}.", "n_bins")
    rng = as_generator(random_state)
    tie = tie_rank(len(values), random_tie_break, rng)
    bins = np.array_split(np.lexsort((tie, -values)), min(n_bins, len(values)))
    quotas = np.full(len(bins), n_instances // len(bins))
    # Not the first bins: those are the most useful, and the batch is of all alike.
    quotas[_spread(n_instances % len(bins), len(bins))] += 1
    quotas = _fit(quotas, np.array([len(rows) for rows in bins]))
    pairs = zip(bins, quotas, strict=True)
    drawn = [rng.choice(rows, k, replace=False) for rows, k in pairs]
    indices = np.concatenate(drawn)
    return indices.astype(np.int64), values[indices]
