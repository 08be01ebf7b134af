"""Strategies two by two: paired tests on the AUBC, adjusted, and who wins how often."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import special, stats

from al_sklearn._core.types import Array
from al_sklearn.experiments.statistics._curves import by_dataset, read_curves
from al_sklearn.experiments.statistics._intervals import (
    Interval,
    mean_interval,
    wilson_interval,
)


def holm(p_values: Any) -> Array:
    """Holm's adjustment of p-values for how many there are.

    NaN stays NaN and counts for nothing.

    Raises
    ------
    ValueError
        When they are no list of numbers from 0 to 1.

    References
    ----------
    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
    Journal of Statistics 6, 1979.
    """
    p = np.asarray(p_values, dtype=np.float64)
    outside = (p < 0) | (p > 1)
    if p.ndim != 1 or outside.any():
        raise ValueError(
            f"p-values are a list of numbers from 0 to 1, got {p_values!r}."
        )
    adjusted = np.full(p.shape, np.nan)
    # What could not be tested is no test, and makes the others no stricter.
    there = np.flatnonzero(~np.isnan(p))
    order = there[np.argsort(p[there], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    # Step down: an adjusted value may never be below that of a smaller p-value.
    raised = np.maximum.accumulate(p[order] * factors)
    adjusted[order] = np.minimum(1, raised)
    return adjusted


def t_test(differences: Array) -> float:
    """Two-sided p-value of the one-sample t-test against 0.

    1 where all differences are 0, 0 where all are the same other number, NaN with fewer
    than two or with NaN.
    """
    x = np.asarray(differences, dtype=np.float64)
    n = len(x)
    if n < 2 or np.isnan(x).any():
        return np.nan
    if not np.any(x):
        return 1.0
    # By hand: scipy's t-test checks its input for longer than it computes, and a
    # penalty matrix takes thousands.
    deviation = x.std(ddof=1)
    # No spread and not 0: the t statistic is infinite. A spread may also vanish in
    # rounding.
    if np.ptp(x) == 0 or deviation == 0:
        return 0.0
    error = deviation / np.sqrt(n)
    t = abs(x.mean()) / error
    return float(2 * special.stdtr(n - 1, -t))


def paired_p_values(differences: Any) -> tuple[float, float]:
    """Two-sided p-values of paired differences.

    Wilcoxon's signed-rank test and the t-test.

    Parameters
    ----------
    differences : array of shape (n_seeds,)
        One difference a seed.

    Returns
    -------
    p_wilcoxon, p_t : float
        1 where all differences are 0; NaN with one seed. Wilcoxon's can not be under
        ``2 ** (1 - n_seeds)``: 0.0625 with five seeds.

    References
    ----------
    Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1, 1945.
    """
    x = np.asarray(differences, dtype=np.float64)
    p_t = t_test(x)
    if np.isnan(p_t):
        return np.nan, np.nan
    if not np.any(x):
        return 1.0, 1.0
    return float(stats.wilcoxon(x).pvalue), p_t


def compare_pairs(
    results: pd.DataFrame, metric: str = "accuracy", *, confidence: float = 0.95
) -> pd.DataFrame:
    """Every strategy against every other, on the AUBC, seed by seed.

    Parameters
    ----------
    results : DataFrame
        A tidy table.
    metric : str, default="accuracy"
        The column that is compared.
    confidence : float, default=0.95
        Of the intervals.

    Returns
    -------
    DataFrame
        One row a pair, the better one first: ``strategy``, ``other``, ``difference``
        (AUBC of the first minus the second's, over the budgets that the two share),
        ``low``, ``high`` (t interval), ``wins`` (seeds in which the first is better),
        ``n_seeds``, ``p_value``, ``p_holm`` (paired t-test, adjusted over all pairs,
        and over the looks where ``results.attrs["looks"]`` names some),
        ``p_wilcoxon``, ``p_wilcoxon_holm``.
    """
    curves = read_curves(results, metric)
    sign = curves.sign
    areas = pd.DataFrame(curves.areas())
    # The better first, so that differences read as gains.
    scores = (sign * areas).mean()
    names = scores.sort_values(ascending=False, kind="stable").index
    rows = []
    for first, second in combinations(names, 2):
        difference = curves.differences(first, second)
        p_wilcoxon, p_t = paired_p_values(difference)
        wins = int((sign * difference > 0).sum())
        interval = mean_interval(difference, confidence)
        rows.append(
            (
                first,
                second,
                *interval,
                wins,
                len(difference),
                p_t,
                p_wilcoxon,
            )
        )
    columns = [
        "strategy",
        "other",
        "difference",
        "low",
        "high",
        "wins",
        "n_seeds",
        "p_value",
        "p_wilcoxon",
    ]
    table = pd.DataFrame(rows, columns=columns)
    table.insert(8, "p_holm", holm(curves.counted(table["p_value"])))
    table["p_wilcoxon_holm"] = holm(curves.counted(table["p_wilcoxon"]))
    table.attrs["notes"] = curves.notes
    return table


def win_rate(wins: float, n: int, confidence: float = 0.95) -> Interval:
    """Share of wins with Wilson's interval.

    Parameters
    ----------
    wins : float
        From 0 to ``n``; a tie may count half.
    n : int
        Comparisons, at least 1.
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
    if n < 1 or not 0 <= wins <= n:
        raise ValueError(
            f"wins must be from 0 to n and n at least 1, got wins={wins}, n={n}."
        )
    return wilson_interval(wins / n, n, confidence)


def win_rates(
    results: pd.DataFrame,
    metric: str = "accuracy",
    *,
    baseline: str = "random_sampling",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """How often each strategy's AUBC is better than the baseline's.

    Parameters
    ----------
    results : DataFrame
        A tidy table; with a column ``dataset``, the seeds of all data sets count
        together.
    metric : str, default="accuracy"
        The column that is compared.
    baseline : str, default="random_sampling"
        Who is to be beaten.
    confidence : float, default=0.95
        Of Wilson's interval. Seeds of one data set are alike: over few data sets it is
        too narrow.

    Returns
    -------
    DataFrame
        Indexed by ``strategy``: ``wins``, ``ties``, ``losses``, ``n``, ``win_rate`` (a
        tie counts half), ``low``, ``high``.
    """
    counts: dict[str, Array] = {}
    for _, part in by_dataset(results):
        curves = read_curves(part, metric)
        curves.check_baseline(baseline)
        for name in curves.by_strategy:
            if name != baseline:
                better = curves.sign * curves.differences(name, baseline)
                # Wins, ties and losses.
                found = np.array([(np.sign(better) == s).sum() for s in (1, 0, -1)])
                # Data sets are added up seed by seed, as one long row of comparisons.
                counts[name] = counts.get(name, 0) + found
    rows = []
    for name, (wins, ties, losses) in counts.items():
        n = int(wins + ties + losses)
        # A tie is half a win.
        rate = win_rate(wins + ties / 2, n, confidence)
        rows.append(
            (
                name,
                wins,
                ties,
                losses,
                n,
                *rate,
            )
        )
    columns = [
        "strategy",
        "wins",
        "ties",
        "losses",
        "n",
        "win_rate",
        "low",
        "high",
    ]
    return pd.DataFrame(rows, columns=columns).set_index("strategy")
