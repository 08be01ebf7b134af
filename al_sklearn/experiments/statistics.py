"""Honest numbers about learning curves, as functions on plain arrays and on tidy tables.

A tidy table has one row a round, with the columns ``strategy``, ``seed``, ``n_labelled`` and one for each metric:
``StrategyComparison.results_`` is one. Strategies are compared seed by seed, because those of one seed share the
split, the initial set and the first model.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

LOWER_IS_BETTER: Final = frozenset({"nll", "ece"})
SAVING_LEVELS: Final = (0.9, 0.95, 0.99, 1.0)

__all__ = [
    "Interval",
    "aubc",
    "bootstrap_interval",
    "compare_pairs",
    "expected_calibration_error",
    "friedman_nemenyi",
    "holm",
    "label_saving",
    "labels_needed",
    "mean_interval",
    "paired_curves",
    "paired_p_values",
    "pairwise_penalty",
    "performance_profile",
    "saving_table",
    "summarize",
    "win_rate",
]


class Interval(NamedTuple):
    """An estimate and the bounds of its confidence interval."""

    estimate: float
    low: float
    high: float


def expected_calibration_error(y_true: np.ndarray, proba: np.ndarray, n_bins: int = 15) -> float:
    """Mean distance between confidence and accuracy over equal-width bins of the confidence.

    Parameters
    ----------
    y_true : int array of shape (n,)
        Columns of the true classes.
    proba : float array of shape (n, C)
        Probabilities.
    n_bins : int, default=15
        Bins ``((k - 1) / n_bins, k / n_bins]``; one without images counts nothing.

    Returns
    -------
    float
        Between 0 and 1.

    References
    ----------
    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    confidence = proba.max(axis=1).astype(np.float64)
    right = proba.argmax(axis=1) == y_true
    bins = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    gap = np.bincount(bins, weights=right - confidence, minlength=n_bins)
    return float(np.abs(gap).sum() / len(confidence))


def aubc(n_labelled: Any, metric: Any) -> Any:
    """Area under a metric over the budget, by trapezoids, divided by the range of the budget.

    Parameters
    ----------
    n_labelled : array of shape (R,)
        Labels used, increasing.
    metric : array of shape (..., R)
        The metric at each budget.

    Returns
    -------
    float or array of shape (...)
        In the unit of the metric; the metric itself where there is only one budget.
    """
    x, y = np.asarray(n_labelled, dtype=np.float64), np.asarray(metric, dtype=np.float64)
    if len(x) == 1:
        return y[..., 0]
    if np.any(np.diff(x) <= 0):
        raise ValueError(f"n_labelled must increase from round to round, got {x.tolist()}.")
    return np.trapezoid(y, x, axis=-1) / (x[-1] - x[0])


def labels_needed(n_labelled: Any, metric: Any, target: Any) -> Any:
    """Labels needed to reach a target, on the curve made monotone and joined by straight lines.

    Parameters
    ----------
    n_labelled : array of shape (R,)
        Labels used, increasing.
    metric : array of shape (..., R)
        A metric that is better when higher. The curve is replaced by its running maximum.
    target : float or array of shape (...)
        The value to be reached.

    Returns
    -------
    float or array of shape (...)
        The first budget at which the curve reaches the target; NaN where it never does.
    """
    x = np.asarray(n_labelled, dtype=np.float64)
    y = np.maximum.accumulate(np.asarray(metric, dtype=np.float64), axis=-1)
    goal = np.asarray(target, dtype=np.float64)[..., None]
    reached = y >= goal
    right = reached.argmax(axis=-1)[..., None]
    left = np.maximum(right - 1, 0)
    y_right, y_left = np.take_along_axis(y, right, -1), np.take_along_axis(y, left, -1)
    rise = y_right - y_left
    share = np.divide(goal - y_left, rise, out=np.zeros_like(rise), where=(rise > 0) & (right > 0))
    needed = np.where(right > 0, x[left] + share * (x[right] - x[left]), x[0])
    return np.where(reached.any(axis=-1), needed[..., 0], np.nan)[()]


def label_saving(
    n_labelled: Any,
    curves: Any,
    random_curves: Any,
    level: float = 1.0,
    *,
    higher_is_better: bool = True,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
) -> Interval:
    """Share of labels saved where a strategy reaches ``level`` times random sampling's final metric.

    ``1 - N_S(a) / N_random(a)`` on the mean curves over seeds, made monotone; the interval is a bootstrap over
    seeds that draws the two strategies' curves of a seed together.

    Parameters
    ----------
    n_labelled : array of shape (R,)
        Labels used, increasing.
    curves, random_curves : arrays of shape (n_seeds, R)
        The metric of the strategy and of random sampling, one row a seed, the same seeds.
    level : float, default=1.0
        The share of random's final metric that has to be reached.
    higher_is_better : bool, default=True
        False for a loss, where the target is random's final value divided by ``level``.
    confidence : float, default=0.95
        Of the interval.
    n_resamples : int, default=2000
        Bootstrap samples.
    random_state : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    Interval
        Positive where labels are saved. ``-inf`` says that the target was not reached within the budget; the
        bounds are NaN with one seed.
    """
    ours, theirs = np.asarray(curves, dtype=np.float64), np.asarray(random_curves, dtype=np.float64)
    if ours.shape != theirs.shape:
        raise ValueError(f"Curves are paired by seed and round, got shapes {ours.shape} and {theirs.shape}.")
    if not higher_is_better:
        ours, theirs, level = -ours, -theirs, 1 / level

    def saving(mean_ours: np.ndarray, mean_theirs: np.ndarray) -> np.ndarray:
        target = mean_theirs[..., -1] * level
        share = labels_needed(n_labelled, mean_ours, target) / labels_needed(n_labelled, mean_theirs, target)
        return np.where(np.isnan(share), -np.inf, 1 - share)

    estimate = float(saving(ours.mean(axis=0), theirs.mean(axis=0)))
    n_seeds = len(ours)
    if n_seeds < 2:
        return Interval(estimate, np.nan, np.nan)
    drawn = np.random.default_rng(random_state).integers(n_seeds, size=(n_resamples, n_seeds))
    weights = np.stack([np.bincount(row, minlength=n_seeds) for row in drawn]) / n_seeds
    low, high = _quantiles(saving(weights @ ours, weights @ theirs), confidence)
    return Interval(estimate, low, high)


def mean_interval(values: Any, confidence: float = 0.95) -> Interval:
    """Mean and its t interval, ``mean ± t · s / √n`` with ``ddof=1``; the bounds are NaN for one value."""
    x = np.asarray(values, dtype=np.float64)
    mean = float(x.mean())
    if len(x) < 2:
        return Interval(mean, np.nan, np.nan)
    half = float(stats.t.ppf((1 + confidence) / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    return Interval(mean, mean - half, mean + half)


def bootstrap_interval(
    values: Any,
    statistic: Callable[[np.ndarray], Any] = np.mean,
    *,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
) -> Interval:
    """Percentile bootstrap over the rows (seeds) of ``values``.

    Parameters
    ----------
    values : array of shape (n_seeds, ...)
        One row a seed.
    statistic : callable, default=numpy.mean
        Takes rows, gives a number.
    confidence, n_resamples, random_state
        Of the interval, how many samples, and their seed.

    Returns
    -------
    Interval
        The statistic of the values themselves, and the percentiles.
    """
    rows = np.asarray(values)
    generator = np.random.default_rng(random_state)
    if len(rows) < 2:
        return Interval(float(statistic(rows)), np.nan, np.nan)
    drawn = [statistic(rows[generator.integers(len(rows), size=len(rows))]) for _ in range(n_resamples)]
    low, high = _quantiles(np.asarray(drawn, dtype=np.float64), confidence)
    return Interval(float(statistic(rows)), low, high)


def holm(p_values: Any) -> np.ndarray:
    """Holm's adjustment of p-values for how many there are; NaN stays NaN and counts for nothing.

    References
    ----------
    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    there = np.flatnonzero(~np.isnan(p))
    order = there[np.argsort(p[there], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * factors))
    return adjusted


def paired_p_values(differences: Any) -> tuple[float, float]:
    """Two-sided p-values of paired differences: Wilcoxon's signed-rank test and the t-test.

    Parameters
    ----------
    differences : array of shape (n_seeds,)
        One difference a seed.

    Returns
    -------
    p_wilcoxon, p_t : float
        1 where all differences are 0; NaN with one seed. Wilcoxon's can not be under ``2 ** (1 - n_seeds)``:
        0.0625 with five seeds.
    """
    x = np.asarray(differences, dtype=np.float64)
    if len(x) < 2 or np.isnan(x).any():
        return np.nan, np.nan
    if not np.any(x):
        return 1.0, 1.0
    if np.ptp(x) == 0:
        p_t = 0.0
    else:
        with warnings.catch_warnings():
            # Differences that are all but equal: scipy warns of cancellation, and the p-value is as good as 0.
            warnings.simplefilter("ignore", RuntimeWarning)
            p_t = float(stats.ttest_1samp(x, 0.0).pvalue)
    return float(stats.wilcoxon(x).pvalue), p_t


def paired_curves(results: pd.DataFrame, metric: str = "accuracy") -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Turn a tidy table into arrays that are paired by seed.

    Parameters
    ----------
    results : DataFrame
        Columns ``strategy``, ``seed``, ``n_labelled`` and ``metric``.
    metric : str, default="accuracy"
        A column.

    Returns
    -------
    n_labelled : float array of shape (R,)
        The budgets, increasing.
    curves : dict of str to array of shape (n_seeds, R)
        For each strategy, in order of appearance, the metric of the seeds that every strategy has finished.

    Raises
    ------
    ValueError
        When a column is missing, or no seed is finished by every strategy.
    """
    missing = {"strategy", "seed", "n_labelled", metric} - set(results.columns)
    if missing:
        raise ValueError(f"The table lacks {sorted(missing)}; it has {list(results.columns)}.")
    names = list(dict.fromkeys(results["strategy"]))
    table = results.pivot(index=["strategy", "seed"], columns="n_labelled", values=metric)
    there = results.assign(there=1).pivot(index=["strategy", "seed"], columns="n_labelled", values="there")
    finished = there.notna().all(axis=1).unstack("seed", fill_value=False).all(axis=0)
    seeds = finished.index[finished]
    if len(seeds) == 0:
        raise ValueError("No seed is finished by every strategy: there is nothing to compare yet.")
    curves = {name: table.loc[name].loc[seeds].to_numpy(dtype=np.float64) for name in names}
    return table.columns.to_numpy(dtype=np.float64), curves


def summarize(
    results: pd.DataFrame,
    metric: str = "accuracy",
    *,
    baseline: str = "random_sampling",
    level: float = 1.0,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """One row a strategy: what it reaches, what it saves, and whether that is more than luck.

    Parameters
    ----------
    results : DataFrame
        A tidy table.
    metric : str, default="accuracy"
        The column that is compared.
    baseline : str, default="random_sampling"
        The strategy that the others are held against.
    level : float, default=1.0
        Of the label saving: the share of the baseline's final metric that has to be reached.
    confidence : float, default=0.95
        Of all intervals.

    Returns
    -------
    DataFrame
        Indexed by ``strategy``, best AUBC first, with the columns ``final``, ``final_low``, ``final_high`` (the
        metric after the last round), ``aubc``, ``aubc_low``, ``aubc_high``, ``rank`` (mean rank by AUBC over
        seeds, 1 is best), ``difference``, ``difference_low``, ``difference_high`` (AUBC minus the baseline's, seed
        by seed, t interval), ``wins`` (seeds with an AUBC better than the baseline's), ``n_seeds``,
        ``label_saving``, ``label_saving_low``, ``label_saving_high`` (bootstrap), ``p_value``, ``p_holm`` (paired
        t-test on the AUBC, and Holm-adjusted), ``p_wilcoxon``, ``p_wilcoxon_holm``, and, where the table has them,
        ``query_seconds`` and ``training_seconds`` (mean of a round).
    """
    n_labelled, curves = paired_curves(results, metric)
    if baseline not in curves:
        raise ValueError(f"The baseline {baseline!r} is not in the table; it has {list(curves)}.")
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    areas = {name: np.asarray(aubc(n_labelled, curve)) for name, curve in curves.items()}
    ranks = stats.rankdata(-sign * np.stack(list(areas.values())), axis=0).mean(axis=1)
    rows: dict[str, dict[str, float]] = {}
    for (name, curve), rank in zip(curves.items(), ranks, strict=True):
        row: dict[str, float] = {}
        row["final"], row["final_low"], row["final_high"] = mean_interval(curve[:, -1], confidence)
        row["aubc"], row["aubc_low"], row["aubc_high"] = mean_interval(areas[name], confidence)
        row["rank"] = float(rank)
        difference = areas[name] - areas[baseline]
        is_baseline = name == baseline
        gain = mean_interval(difference, confidence)
        row["difference"], row["difference_low"], row["difference_high"] = gain
        row["wins"] = int((sign * difference > 0).sum())
        row["n_seeds"] = len(difference)
        saving = label_saving(
            n_labelled, curve, curves[baseline], level, higher_is_better=sign > 0, confidence=confidence
        )
        row["label_saving"], row["label_saving_low"], row["label_saving_high"] = saving
        row["p_wilcoxon"], row["p_value"] = (np.nan, np.nan) if is_baseline else paired_p_values(difference)
        rows[name] = row
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("strategy")
    table.loc[baseline, ["difference_low", "difference_high", "label_saving_low", "label_saving_high"]] = np.nan
    table["p_holm"] = holm(table["p_value"])
    table["p_wilcoxon_holm"] = holm(table["p_wilcoxon"])
    last = ["p_value", "p_holm", "p_wilcoxon", "p_wilcoxon_holm"]
    for seconds in ("query_seconds", "training_seconds"):
        if seconds in results.columns:
            table[seconds] = results.groupby("strategy")[seconds].mean()
            last.append(seconds)
    table = table[[column for column in table.columns if column not in last] + last]
    table = table.astype({"wins": int, "n_seeds": int})
    return table.sort_values("aubc", ascending=sign < 0, kind="stable")


def saving_table(
    results: pd.DataFrame,
    metric: str = "accuracy",
    *,
    baseline: str = "random_sampling",
    levels: Sequence[float] = SAVING_LEVELS,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Label saving at several shares of the baseline's final metric.

    Returns
    -------
    DataFrame
        Columns ``strategy``, ``level``, ``target`` (the metric to be reached), ``label_saving``, ``low``, ``high``.
    """
    n_labelled, curves = paired_curves(results, metric)
    higher = metric not in LOWER_IS_BETTER
    final = float(curves[baseline][:, -1].mean())
    rows = []
    for name, curve in curves.items():
        if name == baseline:
            continue
        for level in levels:
            saving = label_saving(
                n_labelled, curve, curves[baseline], level, higher_is_better=higher, confidence=confidence
            )
            rows.append((name, level, final * level if higher else final / level, *saving))
    return pd.DataFrame(rows, columns=["strategy", "level", "target", "label_saving", "low", "high"])


def compare_pairs(results: pd.DataFrame, metric: str = "accuracy", *, confidence: float = 0.95) -> pd.DataFrame:
    """Every strategy against every other, on the AUBC, seed by seed.

    Returns
    -------
    DataFrame
        One row a pair, the better one first: ``strategy``, ``other``, ``difference`` (AUBC of the first minus the
        second's),
        ``low``, ``high`` (t interval), ``wins`` (seeds in which the first is better), ``n_seeds``, ``p_value``,
        ``p_holm`` (paired t-test, adjusted over all pairs), ``p_wilcoxon``, ``p_wilcoxon_holm``.
    """
    n_labelled, curves = paired_curves(results, metric)
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    areas = {name: np.asarray(aubc(n_labelled, curve)) for name, curve in curves.items()}
    names = sorted(areas, key=lambda name: -sign * areas[name].mean())
    rows = []
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            difference = areas[first] - areas[second]
            p_wilcoxon, p_t = paired_p_values(difference)
            wins = int((sign * difference > 0).sum())
            interval = mean_interval(difference, confidence)
            rows.append((first, second, *interval, wins, len(difference), p_t, p_wilcoxon))
    columns = ["strategy", "other", "difference", "low", "high", "wins", "n_seeds", "p_value", "p_wilcoxon"]
    table = pd.DataFrame(rows, columns=columns)
    table.insert(8, "p_holm", holm(table["p_value"]))
    table["p_wilcoxon_holm"] = holm(table["p_wilcoxon"])
    return table


def pairwise_penalty(
    results: pd.DataFrame,
    metric: str = "accuracy",
    *,
    baseline: str = "random_sampling",
    alpha: float = 0.05,
) -> pd.DataFrame:
    """Pairwise penalty matrix: how often each strategy loses significantly to each other.

    Checkpoints are the first budget and the budgets after 1, 2, 4, 8 … batches, as long as the baseline is below
    99 % of its final metric. At each, every ordered pair takes a two-sided one-sample t-test on the differences
    paired by seed; a significant loss adds ``1 / checkpoints``.

    Parameters
    ----------
    results : DataFrame
        A tidy table.
    metric : str, default="accuracy"
        The column that is compared.
    baseline : str, default="random_sampling"
        Decides how long the race lasts.
    alpha : float, default=0.05
        Level of the tests.

    Returns
    -------
    DataFrame
        Entry (i, j) is the share of checkpoints at which i beats j; the last row, ``penalty``, is the mean of each
        column: lower is better. ``attrs["n_labelled"]`` holds the checkpoints.

    References
    ----------
    Ash et al., "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds", ICLR 2020, section 4.
    """
    n_labelled, curves = paired_curves(results, metric)
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    random = curves[baseline].mean(axis=0)
    final = random[-1]
    racing = random < 0.99 * final if sign > 0 else random > final / 0.99
    rounds = [0, *(2**k for k in range(len(n_labelled).bit_length()))]
    checkpoints = [r for r in rounds if r < len(n_labelled) and racing[r]]
    names = list(curves)
    matrix = np.zeros((len(names), len(names)))
    for r in checkpoints:
        at = np.stack([sign * curves[name][:, r] for name in names])
        difference = at[:, None, :] - at[None, :, :]
        n_seeds = difference.shape[-1]
        mean = difference.mean(axis=-1)
        if n_seeds > 1:
            error = difference.std(axis=-1, ddof=1) / np.sqrt(n_seeds)
            matrix += mean > stats.t.ppf(1 - alpha / 2, n_seeds - 1) * error
    table = pd.DataFrame(matrix / max(1, len(checkpoints)), index=names, columns=names)
    table.loc["penalty"] = table.mean(axis=0)
    table.attrs["n_labelled"] = [float(n_labelled[r]) for r in checkpoints]
    return table


def win_rate(wins: int, n: int, confidence: float = 0.95) -> Interval:
    """Share of wins with Wilson's interval.

    References
    ----------
    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.
    """
    if not 0 <= wins <= n or n == 0:
        raise ValueError(f"wins must be from 0 to n and n at least 1, got wins={wins}, n={n}.")
    interval = stats.binomtest(wins, n).proportion_ci(confidence, method="wilson")
    return Interval(wins / n, float(interval.low), float(interval.high))


def friedman_nemenyi(scores: pd.DataFrame, alpha: float = 0.05) -> dict[str, Any]:
    """Friedman's test over several data sets, and Nemenyi's critical difference of mean ranks.

    Parameters
    ----------
    scores : DataFrame of shape (n_datasets, n_strategies)
        Higher is better, for example the mean AUBC.
    alpha : float, default=0.05
        Level of the critical difference.

    Returns
    -------
    dict
        ``ranks`` (Series of mean ranks, 1 is best), ``statistic``, ``p_value``, ``critical_difference``: two
        strategies differ where their mean ranks are further apart than that.

    References
    ----------
    Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7, 2006.
    """
    n, k = scores.shape
    if n < 2 or k < 3:
        raise ValueError(f"Friedman's test needs at least 2 data sets and 3 strategies, got {n} and {k}.")
    ranks = stats.rankdata(-scores.to_numpy(dtype=np.float64), axis=1).mean(axis=0)
    test = stats.friedmanchisquare(*scores.to_numpy(dtype=np.float64).T)
    q = stats.studentized_range.ppf(1 - alpha, k, np.inf) / np.sqrt(2)
    return {
        "ranks": pd.Series(ranks, index=scores.columns).sort_values(),
        "statistic": float(test.statistic),
        "p_value": float(test.pvalue),
        "critical_difference": float(q * np.sqrt(k * (k + 1) / (6 * n))),
    }


def performance_profile(scores: pd.DataFrame, gaps: Any) -> pd.DataFrame:
    """Share of tasks in which each strategy is within a gap of the best.

    Parameters
    ----------
    scores : DataFrame of shape (n_tasks, n_strategies)
        Higher is better.
    gaps : array of shape (g,)
        Distances from the best, in the unit of the scores.

    Returns
    -------
    DataFrame of shape (g, n_strategies)
        Indexed by ``gap``.

    References
    ----------
    Dolan and Moré, "Benchmarking optimization software with performance profiles", Math. Program. 91, 2002.
    """
    behind = scores.max(axis=1).to_numpy()[:, None] - scores.to_numpy()
    shares = (behind[None, :, :] <= np.asarray(gaps, dtype=np.float64)[:, None, None]).mean(axis=1)
    return pd.DataFrame(shares, index=pd.Index(np.asarray(gaps), name="gap"), columns=scores.columns)


def _quantiles(drawn: np.ndarray, confidence: float) -> tuple[float, float]:
    """Percentiles that stand on drawn values, because ``-inf`` cannot be interpolated."""
    ordered = np.sort(drawn)
    tail = (1 - confidence) / 2
    low = ordered[int(np.floor(tail * (len(ordered) - 1)))]
    high = ordered[int(np.ceil((1 - tail) * (len(ordered) - 1)))]
    return float(low), float(high)
