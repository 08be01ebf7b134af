"""The pairwise penalty matrix of the BADGE paper, and the tests that it counts."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from al_sklearn._core.types import Array
from al_sklearn.experiments.statistics._curves import Curves, differences, read_curves
from al_sklearn.experiments.statistics._pairs import holm, t_test
from al_sklearn.experiments.statistics._saving import target_of


def penalty_tests(
    results: pd.DataFrame,
    metric: str = "accuracy",
    *,
    baseline: str = "random_sampling",
) -> pd.DataFrame:
    """Every pair of strategies at every checkpoint.

    The tests behind :func:`pairwise_penalty`.

    Parameters
    ----------
    results : DataFrame
        A tidy table.
    metric : str, default="accuracy"
        The column that is compared.
    baseline : str, default="random_sampling"
        Decides how long the race lasts.

    Returns
    -------
    DataFrame
        One row for each pair and checkpoint: ``strategy``, ``other``, ``n_labelled``,
        ``difference`` (mean over seeds, in the unit of the metric), ``n_seeds`` (those
        in which both are still running there), ``p_value`` (two-sided one-sample t-test
        on the differences paired by seed), ``p_holm`` (adjusted over all rows, and over
        the looks where ``results.attrs["looks"]`` names some).
    """
    curves = read_curves(results, metric)
    curves.check_baseline(baseline)
    checkpoints = _checkpoints(curves, baseline)
    rows = []
    for n_labelled in checkpoints:
        for first, second in combinations(curves.by_strategy, 2):
            # A seed that has stopped by then has no say: it would be compared with its
            # past.
            difference = _differences(curves, first, second, n_labelled)
            mean = float(difference.mean()) if len(difference) else np.nan
            rows.append(
                (
                    first,
                    second,
                    n_labelled,
                    mean,
                    len(difference),
                    t_test(difference),
                )
            )
    table = pd.DataFrame(
        rows,
        columns=[
            "strategy",
            "other",
            "n_labelled",
            "difference",
            "n_seeds",
            "p_value",
        ],
    )
    table["p_holm"] = holm(curves.counted(table["p_value"]))
    table.attrs["notes"] = list(curves.notes)
    if not checkpoints:
        table.attrs["notes"].append(
            f"No checkpoint: {baseline} begins at 99 % of its final {metric} or "
            "above; nobody wins or loses."
        )
    return table


def pairwise_penalty(
    results: pd.DataFrame,
    metric: str = "accuracy",
    *,
    baseline: str = "random_sampling",
    alpha: float = 0.05,
    adjusted: bool = False,
) -> pd.DataFrame:
    """Pairwise penalty matrix: how often each strategy loses to each other.

    Only significant losses count.

    Checkpoints are the baseline's first budget ``n`` and ``n + 2 ** (k - 1) * b``
    labels (``b`` its first batch), as long as the baseline is below 99 % of its final
    metric. At each, every ordered pair takes a two-sided one-sample t-test on the
    differences paired by seed; a significant loss adds ``1 / checkpoints``.

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
    adjusted : bool, default=False
        Count what is significant after Holm's adjustment over all pairs and
        checkpoints; the paper does not.

    Returns
    -------
    DataFrame
        Entry (i, j) is the share of checkpoints at which i beats j (NaN where no test
        was possible, as with one seed or without a checkpoint); the last row,
        ``penalty``, is the mean of each column: lower is better.
        ``attrs["n_labelled"]`` holds the checkpoints.

    See Also
    --------
    penalty_tests : The tests, with p-values as they are and adjusted.

    References
    ----------
    Ash et al., "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower
    Bounds", ICLR 2020, section 4.
    """
    tests = penalty_tests(results, metric, baseline=baseline)
    curves = read_curves(results, metric)
    names = list(curves.by_strategy)
    # NaN until tested: no test is not "nobody loses".
    matrix = pd.DataFrame(
        np.where(np.eye(len(names), dtype=bool), 0.0, np.nan),
        index=names,
        columns=names,
    )
    # Checkpoints without a test count for neither.
    p_value = "p_holm" if adjusted else "p_value"
    possible = tests.dropna(subset=[p_value])
    for (first, second), part in possible.groupby(["strategy", "other"], sort=False):
        sure = part[p_value] < alpha
        better = curves.sign * part["difference"]
        won = sure & (better > 0)
        lost = sure & (better < 0)
        matrix.loc[first, second] = won.mean()
        matrix.loc[second, first] = lost.mean()
    matrix.loc["penalty"] = matrix.mean(axis=0, skipna=False)
    matrix.attrs["n_labelled"] = sorted(set(tests["n_labelled"]))
    matrix.attrs["notes"] = tests.attrs["notes"]
    return matrix


def _checkpoints(curves: Curves, baseline: str) -> list[float]:
    grid, values = curves.whole(baseline)
    mean = curves.sign * values.mean(axis=0)
    # 99 % as in the BADGE paper: beyond it all strategies are alike and would dilute
    # the shares.
    target = target_of(mean[-1], 0.99)
    budgets = [float(grid[0])]
    if len(grid) > 1:
        own = curves.by_strategy[baseline]
        batches = [np.diff(curve.n_labelled[:2]) for curve in own]
        # The smallest first batch: adaptive rates begin differently from seed to seed.
        step = float(np.concatenate(batches).min())
        # Doubling, as in the paper: early budgets, where strategies differ, weigh more.
        while grid[0] + step <= grid[-1]:
            budgets.append(float(grid[0] + step))
            step *= 2
    # The race is over at the first that reaches the target, though a later one may fall
    # below it again.
    running = np.interp(budgets, grid, mean) < target
    n_checkpoints = len(budgets) if running.all() else int(running.argmin())
    return budgets[:n_checkpoints]


def _differences(curves: Curves, first: str, second: str, n_labelled: float) -> Array:
    """The first's metric minus the second's at a budget, by seed.

    Only the seeds in which both have reached it are used.
    """
    ours, theirs = curves.by_strategy[first], curves.by_strategy[second]
    pairs = zip(ours, theirs, strict=True)
    values = [
        (a.at(n_labelled), b.at(n_labelled))
        for a, b in pairs
        if a.has(n_labelled) and b.has(n_labelled)
    ]
    # Two columns even of no seed.
    table = np.reshape(values, (-1, 2))
    return differences(table[:, 0], table[:, 1])
