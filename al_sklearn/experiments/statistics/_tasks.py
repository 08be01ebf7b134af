"""Several data sets: mean ranks, critical difference, performance profile.

Data sets are what a critical difference ranks over: the seeds of one data set, or two
runs on it, share its images, and more of them say nothing about the next data set.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from al_sklearn._core.types import Array, Options
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
        each seed, which a profile or mean ranks may show and no test may count.

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


def mean_ranks(scores: pd.DataFrame) -> pd.Series:
    """Mean rank of each strategy over the rows; ties share theirs.

    Parameters
    ----------
    scores : DataFrame of shape (n_tasks, n_strategies)
        Higher is better.

    Returns
    -------
    Series
        By strategy, best first; 1 is best.

    Raises
    ------
    ValueError
        When a score is NaN.

    Examples
    --------
    >>> import pandas as pd
    >>> from al_sklearn.experiments.statistics import mean_ranks
    >>> mean_ranks(pd.DataFrame({"a": [0.7, 0.8], "b": [0.9, 0.8]})).to_dict()
    {'b': 1.25, 'a': 1.75}
    """
    values = _scores(scores, "Ranks need")
    each = stats.rankdata(-values, axis=1)
    ranks = pd.Series(each.mean(axis=0), index=scores.columns)
    return ranks.sort_values(kind="stable")


def n_datasets(scores: pd.DataFrame) -> int:
    """Count the data sets in a table of scores.

    Its rows, unless the index says otherwise: rows of one data set are one, and seeds
    are none.

    Parameters
    ----------
    scores : DataFrame of shape (n_tasks, n_strategies)
        As :func:`task_scores` makes it, or of your own.

    Returns
    -------
    int
    """
    if "dataset" in scores.index.names:
        return int(scores.index.get_level_values("dataset").nunique())
    # Seeds without a word of their data set are of one.
    if "seed" in scores.index.names:
        return 1
    return int(scores.index.nunique())


def friedman_nemenyi(scores: pd.DataFrame, alpha: float = 0.05) -> Options:
    """Friedman's test over data sets, and the critical difference of mean ranks.

    The critical difference is Nemenyi's.

    Parameters
    ----------
    scores : DataFrame of shape (n_datasets, n_strategies)
        Higher is better, for example from :func:`task_scores`: one row a data set. Ties
        share their mean rank.
    alpha : float, default=0.05
        Level of the critical difference.

    Returns
    -------
    dict
        ``ranks`` (Series of mean ranks, 1 is best), ``statistic``, ``p_value``,
        ``critical_difference`` (two strategies differ where their mean ranks are
        further apart than that), ``groups`` (lists of strategies that do not differ, as
        a critical-difference diagram joins them), ``n_datasets``, ``alpha``.

    Raises
    ------
    ValueError
        When rows are seeds, or several of one data set; with fewer than two data sets
        or three strategies; when a score is NaN.

    References
    ----------
    Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7,
    2006.
    """
    n, k = scores.shape
    n_different = n_datasets(scores)
    if n_different < n:
        raise ValueError(
            f"The {n} rows are of {n_different} data "
            f"{'set' if n_different == 1 else 'sets'}: seeds of one data set, or runs "
            "on it, are one row, as task_scores(by='dataset') makes it. mean_ranks has "
            "their ranks without a test."
        )
    # With two strategies Friedman's test is a sign test, and Nemenyi's difference has
    # no table.
    if n < 2 or k < 3:
        raise ValueError(
            f"Friedman's test needs at least 2 data sets and 3 strategies, got {n} "
            f"and {k}."
        )
    values = _scores(scores, "Friedman's test needs")
    ranks = mean_ranks(scores)
    # Where every data set ties everybody, there is no variance to test with, and no
    # difference either.
    statistic, p_value = 0.0, 1.0
    if np.ptp(values, axis=1).any():
        test = stats.friedmanchisquare(*values.T)
        statistic, p_value = float(test.statistic), float(test.pvalue)
    error = np.sqrt(k * (k + 1) / (6 * n))
    difference = float(_nemenyi(alpha, k) * error)
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
    values = _scores(scores, "A performance profile needs")
    # A distance and not a ratio: metrics may be 0 or negative.
    behind = values.max(axis=1)[:, None] - values
    given = np.unique(behind) if gaps is None else gaps
    at = np.asarray(given, dtype=np.float64)
    within = behind[None, :, :] <= at[:, None, None]
    shares = within.mean(axis=1)
    return pd.DataFrame(shares, index=pd.Index(at, name="gap"), columns=scores.columns)


@lru_cache(maxsize=64)
def _nemenyi(alpha: float, k: int) -> float:
    """Critical value of ``k`` strategies, which scipy integrates for a while."""
    # The infinite degrees of freedom and the square root of 2 are Nemenyi's, after
    # Demšar, section 3.2.2.
    return float(stats.studentized_range.ppf(1 - alpha, k, np.inf) / np.sqrt(2))


def _scores(scores: pd.DataFrame, who: str) -> Array:
    """Return the numbers, all of which have to be there."""
    values = scores.to_numpy(dtype=np.float64)
    if np.isnan(values).any():
        raise ValueError(
            f"{who} a score of every strategy on every data set; some are NaN."
        )
    return values


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
