"""How many labels a strategy saves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from al_sklearn._core.types import Array
from al_sklearn.experiments.statistics._curves import Curves, labels_needed, read_curves
from al_sklearn.experiments.statistics._intervals import (
    LEAST_ROWS,
    N_RESAMPLES,
    Interval,
    check_confidence,
    percentiles,
    resampling_weights,
)

SAVING_LEVELS: Final = (0.9, 0.95, 0.99, 1.0)


def label_saving(
    n_labelled: Any,
    curves: Any,
    random_curves: Any,
    level: float = 1.0,
    *,
    random_n_labelled: Any = None,
    higher_is_better: bool = True,
    confidence: float = 0.95,
    n_resamples: int = N_RESAMPLES,
    random_state: int = 0,
) -> Interval:
    """Share of labels saved where a strategy reaches random sampling's final metric.

    The metric to be reached is ``level`` times random sampling's.

    ``1 - N_S(a) / N_random(a)`` on the mean curves over seeds, made monotone; the
    interval is an expanded percentile bootstrap over seeds that draws the two
    strategies' curves of a seed together.

    Parameters
    ----------
    n_labelled : array of shape (R,)
        Labels used, increasing.
    curves, random_curves : arrays of shape (n_seeds, R)
        The metric of the strategy and of random sampling, one row a seed, the same
        seeds.
    level : float, default=1.0
        The share of random's final metric that has to be reached.
    random_n_labelled : array, optional
        Random's budgets, where they are others.
    higher_is_better : bool, default=True
        False for a loss, where the target is random's final value divided by ``level``.
    confidence : float, default=0.95
        Of the interval.
    n_resamples : int, default=10000
        Bootstrap samples.
    random_state : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    Interval
        Positive where labels are saved. ``-inf`` says that the target was not reached
        within the budget; the bounds are NaN below five seeds, which no bootstrap can
        speak for.

    Notes
    -----
    The estimate flatters: the noise of a curve that is made monotone reaches a target
    early, and where random sampling's end was unlucky it is easy to reach.
    Where nothing is saved, the mean of what is reached is 4 to 8 % at three and five
    seeds and 3 to 4 % at thirty, the median about 0 (``docs/verification.md``).

    See Also
    --------
    bootstrap_interval : How the interval is made, and why.
    """
    if not 0 < level <= 1:
        raise ValueError(
            "level is a share of random sampling's final metric, above 0 and at most "
            f"1, got {level!r}."
        )
    check_confidence(confidence)
    ours = np.asarray(curves, dtype=np.float64)
    theirs = np.asarray(random_curves, dtype=np.float64)
    same_budgets = random_n_labelled is None
    if len(ours) != len(theirs) or (same_budgets and ours.shape != theirs.shape):
        raise ValueError(
            f"Curves are paired by seed and round, got shapes {ours.shape} and "
            f"{theirs.shape}."
        )
    if np.isnan(ours).any() or np.isnan(theirs).any():
        raise ValueError("The curves hold NaN: leave such seeds out of both.")
    # Turned over, so that one running maximum serves both directions.
    if not higher_is_better:
        ours, theirs = -ours, -theirs
    random_budgets = n_labelled if same_budgets else random_n_labelled

    def saving(mean_ours: Array, mean_theirs: Array) -> Array:
        target = target_of(mean_theirs[..., -1], level)
        needed = np.asarray(labels_needed(n_labelled, mean_ours, target))
        random_needed = np.asarray(labels_needed(random_budgets, mean_theirs, target))
        # Where random needs no label at all there is nothing to save.
        share = np.divide(
            needed,
            random_needed,
            out=np.where(needed == 0, 1.0, np.inf),
            where=(random_needed > 0) | np.isnan(needed),
        )
        return np.where(np.isnan(share), -np.inf, 1 - share)

    estimate = float(saving(ours.mean(axis=0), theirs.mean(axis=0)))
    n_seeds = len(ours)
    if n_seeds < LEAST_ROWS:
        return Interval(estimate, np.nan, np.nan)
    # One set of weights for both: a seed's two curves share their split and first
    # model.
    weights = resampling_weights(n_seeds, n_resamples, random_state)
    drawn = saving(weights @ ours, weights @ theirs)
    return Interval(estimate, *percentiles(drawn, n_seeds, confidence))


def target_of(final: Any, level: float) -> Any:
    """``level`` times a final value, of a metric that is better when higher.

    Divided where the value is negative.
    """
    # A level below 1 must be easier to reach; times 0.9 a negative value would be
    # harder.
    value = np.asarray(final)
    easier = np.where(value >= 0, value * level, value / level)
    return easier[()]


def saving_of(
    curves: Curves, name: str, baseline: str, level: float, confidence: float
) -> Interval:
    """Label saving of a strategy of a table, from whole curves."""
    grid, own = curves.whole(name)
    random_grid, random = curves.whole(baseline)
    return label_saving(
        grid,
        own,
        random,
        level,
        random_n_labelled=random_grid,
        higher_is_better=curves.sign > 0,
        confidence=confidence,
    )


def saving_table(
    results: pd.DataFrame,
    metric: str = "accuracy",
    *,
    baseline: str = "random_sampling",
    levels: Sequence[float] = SAVING_LEVELS,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Label saving at several shares of the baseline's final metric.

    Parameters
    ----------
    results : DataFrame
        A tidy table.
    metric : str, default="accuracy"
        The column that is compared.
    baseline : str, default="random_sampling"
        Whose final metric is to be reached.
    levels : sequence of float, default=(0.9, 0.95, 0.99, 1.0)
        Shares of it.
    confidence : float, default=0.95
        Of the intervals (expanded percentiles over seeds; none below five).

    Returns
    -------
    DataFrame
        Columns ``strategy``, ``level``, ``target`` (the metric to be reached),
        ``label_saving``, ``low``, ``high`` (``-inf``: not reached), ``labels`` and
        ``baseline_labels`` (what each of the two mean curves needs; NaN where it is not
        reached).
    """
    curves = read_curves(results, metric)
    curves.check_baseline(baseline)
    random_grid, random = curves.whole(baseline)
    random_mean = curves.sign * random.mean(axis=0)
    rows = []
    for name in curves.by_strategy:
        if name == baseline:
            continue
        grid, own = curves.whole(name)
        for level in levels:
            # Of the mean curve, as the saving itself: a target a seed would be another
            # question.
            target = target_of(random_mean[-1], level)
            own_mean = curves.sign * own.mean(axis=0)
            labels = float(labels_needed(grid, own_mean, target))
            baseline_labels = float(labels_needed(random_grid, random_mean, target))
            saving = saving_of(curves, name, baseline, level, confidence)
            rows.append(
                (
                    name,
                    level,
                    float(curves.sign * target),
                    *saving,
                    labels,
                    baseline_labels,
                )
            )
    columns = [
        "strategy",
        "level",
        "target",
        "label_saving",
        "low",
        "high",
        "labels",
        "baseline_labels",
    ]
    table = pd.DataFrame(rows, columns=columns)
    table.attrs["notes"] = curves.notes
    return table
