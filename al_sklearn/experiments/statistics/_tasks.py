"""Several data sets: mean ranks, critical difference, performance profile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from al_sklearn._core.types import Options
from al_sklearn.experiments.statistics._curves import by_dataset, read_curves, rounded


def task_scores(
    results: pd.DataFrame, metric: str = "accuracy", *, by: str = "dataset"
) -> pd.DataFrame:
    """AUBC of each strategy on each data set, or on each seed of each data set.

    Parameters
    ----------
    results : DataFrame
        A tidy table with a column ``dataset`` (without one, it is one data set).
    metric : str, default="accuracy"
        The column that is compared.
    by : {"dataset", "seed"}, default="dataset"
        Mean over the seeds of each data set, as Friedman's test wants it, or a row for
        each seed.

    Returns
    -------
    DataFrame of shape (n_tasks, n_strategies)
        AUBC over the budgets that all strategies share; of a loss its negative, so that
        higher is better.

    Raises
    ------
    ValueError
        When a strategy was not run on every data set.
    """
    if by not in ("dataset", "seed"):
        raise ValueError(f"by must be 'dataset' or 'seed', got {by!r}.")
    rows: dict[Any, pd.Series] = {}
    for dataset, part in by_dataset(results):
        curves = read_curves(part, metric)
        areas = curves.sign * pd.DataFrame(curves.areas(), index=curves.seeds)
        if by == "dataset":
            # Rounded: two strategies that chose the same images must tie in the ranks.
            rows[dataset] = areas.mean().map(rounded)
        else:
            rows |= {(dataset, seed): row for seed, row in areas.iterrows()}
    # Names of data sets may be tuples; they stay one column.
    index = pd.Index(list(rows), name="dataset", tupleize_cols=False)
    if by == "seed":
        index = pd.MultiIndex.from_tuples(list(rows), names=["dataset", "seed"])
    scores = pd.DataFrame(list(rows.values())).set_index(index)
    missing = scores.columns[scores.isna().any()]
    if len(missing):
        raise ValueError(
            f"{', '.join(missing)}: not run on every data set, so they cannot be "
            "ranked over all."
        )
    return scores.rename_axis(columns="strategy")


def friedman_nemenyi(scores: pd.DataFrame, alpha: float = 0.05) -> Options:
    """Friedman's test over data sets, and the critical difference of mean ranks.

    The critical difference is Nemenyi's.

    Parameters
    ----------
    scores : DataFrame of shape (n_datasets, n_strategies)
        Higher is better, for example from :func:`task_scores`. Ties share their mean
        rank.
    alpha : float, default=0.05
        Level of the critical difference.

    Returns
    -------
    dict
        ``ranks`` (Series of mean ranks, 1 is best), ``statistic``, ``p_value``,
        ``critical_difference`` (two strategies differ where their mean ranks are
        further apart than that), ``groups`` (lists of strategies that do not differ, as
        a critical-difference diagram joins them), ``n_datasets``, ``alpha``.

    References
    ----------
    Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7,
    2006.
    """
    values = scores.to_numpy(dtype=np.float64)
    n, k = values.shape
    # With two strategies Friedman's test is a sign test, and Nemenyi's difference has
    # no table.
    if n < 2 or k < 3:
        raise ValueError(
            f"Friedman's test needs at least 2 data sets and 3 strategies, got {n} "
            f"and {k}."
        )
    if np.isnan(values).any():
        raise ValueError(
            "Friedman's test needs a score of every strategy on every data set; some "
            "are NaN."
        )
    each = stats.rankdata(-values, axis=1)
    # Where every data set ties everybody, there is no variance to test with, and no
    # difference either.
    statistic, p_value = 0.0, 1.0
    if np.ptp(each) > 0:
        test = stats.friedmanchisquare(*values.T)
        statistic, p_value = float(test.statistic), float(test.pvalue)
    ranks = pd.Series(each.mean(axis=0), index=scores.columns)
    ranks = ranks.sort_values(kind="stable")
    # The infinite degrees of freedom and the square root of 2 are Nemenyi's, after
    # Demšar, section 3.2.2.
    q = stats.studentized_range.ppf(1 - alpha, k, np.inf) / np.sqrt(2)
    error = np.sqrt(k * (k + 1) / (6 * n))
    difference = float(q * error)
    return {
        "ranks": ranks,
        "statistic": statistic,
        "p_value": p_value,
        "critical_difference": difference,
        "groups": _groups(ranks, difference),
        "n_datasets": n,
        "alpha": alpha,
    }


def performance_profile(scores: pd.DataFrame, gaps: Any = None) -> pd.DataFrame:
    """Share of tasks in which each strategy is within a gap of the best.

    Parameters
    ----------
    scores : DataFrame of shape (n_tasks, n_strategies)
        Higher is better.
    gaps : array of shape (g,), optional
        Distances from the best, in the unit of the scores; by default every distance
        that occurs.

    Returns
    -------
    DataFrame of shape (g, n_strategies)
        Indexed by ``gap``.

    References
    ----------
    Dolan and Moré, "Benchmarking optimization software with performance profiles",
    Math. Program. 91, 2002.
    """
    values = scores.to_numpy(dtype=np.float64)
    if np.isnan(values).any():
        raise ValueError(
            "A performance profile needs a score of every strategy on every task; "
            "some are NaN."
        )
    # A distance and not a ratio: metrics may be 0 or negative.
    behind = values.max(axis=1)[:, None] - values
    given = np.unique(behind) if gaps is None else gaps
    at = np.asarray(given, dtype=np.float64)
    within = behind[None, :, :] <= at[:, None, None]
    shares = within.mean(axis=1)
    return pd.DataFrame(shares, index=pd.Index(at, name="gap"), columns=scores.columns)


def _groups(ranks: pd.Series, difference: float) -> list[list[str]]:
    """Longest runs of strategies, by rank, that do not differ critically.

    The ends of a run are within the critical difference.
    """
    names, values = list(ranks.index), ranks.to_numpy()
    groups: list[list[str]] = []
    covered = 0
    for i in range(len(names)):
        # right: exactly the critical difference is not more than it.
        reach = values[i] + difference
        end = int(np.searchsorted(values, reach, side="right"))
        # A bar inside a longer one says nothing new.
        if end - i > 1 and end > covered:
            groups.append(names[i:end])
            covered = end
    return groups
