"""Intervals over seeds: t, bootstrap, Wilson."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from scipy import special, stats

from al_sklearn._core.types import Array

# Fewer rows have too few different samples: of four there are 35, and the rarest have
# 1 chance in 256 each, more than a tail of an expanded interval.
LEAST_ROWS: Final = 5
# Hesterberg's advice: with 2,000 the outer percentiles of five rows, one in a thousand,
# would stand on two samples.
N_RESAMPLES: Final = 10_000


def check_confidence(confidence: float) -> None:
    """Raise a ``ValueError`` where a confidence is no share."""
    if not 0 < confidence < 1:
        raise ValueError(
            f"confidence is a share between 0 and 1, as 0.95; got {confidence!r}."
        )


class Interval(NamedTuple):
    """An estimate and the bounds of its confidence interval."""

    estimate: float
    low: float
    high: float


def mean_interval(values: Any, confidence: float = 0.95) -> Interval:
    """Mean and its t interval, ``mean ± t · s / √n`` with ``ddof=1``.

    The bounds are NaN for one value, and for two that are equal.
    """
    check_confidence(confidence)
    x = np.asarray(values, dtype=np.float64)
    if len(x) == 0:
        raise ValueError("There is no value to take the mean of.")
    mean = float(x.mean())
    # One value has no spread, and two that happen to be equal say nothing of one: an
    # interval of no width would be a claim.
    equal = len(x) == 2 and abs(x[1] - x[0]) <= 1e-12 * abs(x).max()
    if len(x) < 2 or equal:
        return Interval(mean, np.nan, np.nan)
    t = stats.t.ppf((1 + confidence) / 2, len(x) - 1)
    half = float(t * x.std(ddof=1) / np.sqrt(len(x)))
    return Interval(mean, mean - half, mean + half)


def bootstrap_interval(
    values: Any,
    statistic: Callable[[Array], Any] | None = None,
    *,
    confidence: float = 0.95,
    n_resamples: int = N_RESAMPLES,
    random_state: int = 0,
) -> Interval:
    """Expanded percentile bootstrap over the rows (seeds) of ``values``.

    A sample of few rows varies less than what it was drawn from, and its spread is
    itself unsure: the plain percentiles of a "95 %" interval cover 77 to 85 % at three
    to five rows. The expanded ones stand at ``Φ(-√(n / (n - 1)) · t)``.

    Parameters
    ----------
    values : array of shape (n_seeds, ...)
        One row a seed.
    statistic : callable, optional
        Takes rows, gives a number; the mean by default.
    confidence, n_resamples, random_state
        Of the interval, how many samples, and their seed.

    Returns
    -------
    Interval
        The statistic of the values themselves, and the percentiles; NaN bounds below
        five rows, of which no bootstrap can say enough.

    References
    ----------
    Hesterberg, "What Teachers Should Know About the Bootstrap: Resampling in the
    Undergraduate Statistics Curriculum", The American Statistician 69, 2015, section
    3.3.
    """
    check_confidence(confidence)
    rows = np.asarray(values)
    if len(rows) == 0:
        raise ValueError("There is no row to draw from.")
    estimate = float(rows.mean() if statistic is None else statistic(rows))
    if len(rows) < LEAST_ROWS:
        return Interval(estimate, np.nan, np.nan)
    if statistic is None:
        # The mean is one product with the samples' weights, instead of thousands of
        # selections of rows.
        weights = resampling_weights(len(rows), n_resamples, random_state)
        means = rows.reshape(len(rows), -1).mean(axis=1)
        drawn = weights @ means
    else:
        # Drawn one by one: a statistic of all seeds has no weights, and its samples
        # need not be in memory together.
        generator = np.random.default_rng(random_state)
        drawn = np.empty(n_resamples)
        for i in range(n_resamples):
            pick = generator.integers(len(rows), size=len(rows))
            drawn[i] = statistic(rows[pick])
    return Interval(estimate, *percentiles(drawn, len(rows), confidence))


@lru_cache(maxsize=8)
def resampling_weights(n: int, n_resamples: int, random_state: int) -> Array:
    """Return bootstrap samples as weights of shape (n_resamples, n).

    Weights times rows are the samples' means. Kept for the next strategy, and not to be
    written to.
    """
    # One drawing for all strategies: their intervals move together, as their seeds do.
    generator = np.random.default_rng(random_state)
    drawn = generator.integers(n, size=(n_resamples, n))
    # Counted in one go: every sample has numbers of its own.
    own = drawn + n * np.arange(n_resamples)[:, None]
    counts = np.bincount(own.ravel(), minlength=n * n_resamples)
    weights = counts.reshape(n_resamples, n) / n
    weights.flags.writeable = False
    return weights


def percentiles(drawn: Array, n: int, confidence: float) -> tuple[float, float]:
    """Expanded percentiles of a statistic of samples of ``n`` rows.

    They stand on drawn values, because ``-inf`` cannot be interpolated; NaN where one
    is NaN.
    """
    # A sample in which the statistic is not defined could lie anywhere.
    if np.isnan(drawn).any():
        return np.nan, np.nan
    # Of a mean these are mean ± t · s / √n, as a t interval: the root makes up for the
    # samples' variance, which divides by n, and t for what is not known of it.
    reach = np.sqrt(n / (n - 1)) * special.stdtrit(n - 1, (1 + confidence) / 2)
    tail = special.ndtr(-reach)
    # Outwards to the next drawn value: the interval is rather too wide than too narrow.
    low = np.quantile(drawn, tail, method="lower")
    high = np.quantile(drawn, 1 - tail, method="higher")
    return float(low), float(high)


def wilson_interval(share: float, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a share of ``n`` trials.

    Parameters
    ----------
    share : float
        Between 0 and 1; not necessarily a multiple of ``1 / n``, as where ties count
        half.
    n : int
        Trials, at least 1.
    confidence : float, default=0.95
        Of the interval.

    Returns
    -------
    Interval

    References
    ----------
    Wilson, "Probable inference, the law of succession, and statistical inference", JASA
    22, 1927.
    """
    check_confidence(confidence)
    if n < 1 or not 0 <= share <= 1:
        raise ValueError(
            f"A share of n trials is from 0 to 1 and n at least 1, got share={share}, "
            f"n={n}."
        )
    # special's function: a distribution takes longer to make than this to compute.
    z = float(special.ndtri((1 + confidence) / 2))
    # As if z² / 2 more trials had been won and as many lost.
    shrink = 1 + z**2 / n
    centre = (share + z**2 / (2 * n)) / shrink
    variance = share * (1 - share) / n
    spread = np.sqrt(variance + z**2 / (4 * n**2))
    half = z / shrink * spread
    low = float(centre - half)
    high = float(centre + half)
    # Rounding must not say that 0 of n may be less than 0, nor all more than all.
    low = 0.0 if share == 0 else low
    high = 1.0 if share == 1 else high
    return Interval(float(share), low, high)
