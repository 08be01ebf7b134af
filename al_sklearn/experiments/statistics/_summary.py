"""One row a strategy."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from scipy import stats

from al_sklearn._core.types import Array, Options
from al_sklearn.experiments.statistics._curves import flat_table, read_curves
from al_sklearn.experiments.statistics._intervals import (
    LEAST_ROWS,
    N_RESAMPLES,
    Interval,
    mean_interval,
    percentiles,
    resampling_weights,
)
from al_sklearn.experiments.statistics._pairs import holm, paired_p_values
from al_sklearn.experiments.statistics._power import detectable_effect
from al_sklearn.experiments.statistics._saving import saving_of

# Level of what is found, as everywhere here.
_ALPHA: Final = 0.05


def summarize(
    results: pd.DataFrame,
    metric: str = "accuracy",
    *,
    baseline: str = "random_sampling",
    level: float = 1.0,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """One row a strategy: what it reaches, what it saves, whether that is luck.

    Parameters
    ----------
    results : DataFrame
        A tidy table; ``attrs["looks"]`` are looks named beforehand.
    metric : str, default="accuracy"
        The column that is compared.
    baseline : str, default="random_sampling"
        The strategy that the others are held against.
    level : float, default=1.0
        Of the label saving: the share of the baseline's final metric that has to be
        reached.
    confidence : float, default=0.95
        Of all intervals.

    Returns
    -------
    DataFrame
        Indexed by ``strategy``, best AUBC first, with the columns ``final``,
        ``final_low``, ``final_high`` (the metric after the last round, t interval),
        ``aubc``, ``aubc_low``, ``aubc_high`` (over the budgets that all strategies
        share, t interval), ``rank`` (mean rank by AUBC over seeds, 1 is
        best), ``difference``, ``difference_low``, ``difference_high`` (AUBC minus the
        baseline's, seed by seed, t interval), ``wins`` (seeds with an AUBC better than
        the baseline's), ``n_seeds``, ``label_saving``, ``label_saving_low``,
        ``label_saving_high`` (expanded percentiles, NaN below five seeds), ``labels``
        (used in the end, mean over seeds), ``n_stopped`` (seeds that a criterion
        ended), ``p_value``, ``p_holm`` (paired t-test on the AUBC, and Holm-adjusted;
        with looks the adjusted value is that of all looks, so that it too is held
        against 0.05), ``p_wilcoxon``, ``p_wilcoxon_holm``, ``detectable`` (the
        difference that the t-test would have found four times in five with these seeds,
        this deviation and Holm's strictest step at 0.05: what is smaller may be there
        unseen), and, where the table has them, ``query_seconds`` (mean of a query: a
        run's first row, where it says 0, was none) and ``training_seconds`` (mean of a
        training). ``attrs["notes"]`` says what was cut or left out,
        ``attrs["alpha"]`` the level of a single p-value: 0.05, or less at a look.
    """
    results = flat_table(results)
    curves = read_curves(results, metric)
    curves.check_baseline(baseline)
    sign = curves.sign
    areas = curves.areas()
    # Ranked within each seed, then averaged: seeds of hard splits weigh as much as easy
    # ones.
    scores = sign * np.stack(list(areas.values()))
    ranks = stats.rankdata(-scores, axis=0).mean(axis=1)
    # Holm's first step: every strategy but the baseline is tested.
    strictest = curves.level(_ALPHA / max(1, len(areas) - 1))
    rows: dict[str, Options] = {}
    for name, rank in zip(areas, ranks, strict=True):
        difference = curves.differences(name, baseline)
        saving = saving_of(curves, name, baseline, level, confidence)
        # The baseline is not tested against itself, and must not count in Holm's
        # adjustment.
        untested = name == baseline
        p_wilcoxon, p_value = (
            (np.nan, np.nan) if untested else paired_p_values(difference)
        )
        rows[name] = {
            **_spread("final", mean_interval(curves.last(name), confidence)),
            **_spread("aubc", mean_interval(areas[name], confidence)),
            "rank": float(rank),
            **_spread("difference", mean_interval(difference, confidence)),
            "wins": int((sign * difference > 0).sum()),
            "n_seeds": len(difference),
            **_spread("label_saving", saving),
            "labels": float(curves.labels(name).mean()),
            "n_stopped": curves.n_stopped(name),
            "p_value": p_value,
            "p_holm": np.nan,
            "p_wilcoxon": p_wilcoxon,
            "p_wilcoxon_holm": np.nan,
            "detectable": _detectable(difference, strictest),
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("strategy")
    # Differences of 0 to itself have no interval to speak of.
    table.loc[
        baseline,
        [
            "difference_low",
            "difference_high",
            "label_saving_low",
            "label_saving_high",
            "detectable",
        ],
    ] = np.nan
    table["p_holm"] = holm(curves.counted(table["p_value"]))
    table["p_wilcoxon_holm"] = holm(curves.counted(table["p_wilcoxon"]))
    for seconds in ("query_seconds", "training_seconds"):
        if seconds in results.columns:
            spent = _spent(results, seconds)
            table[seconds] = spent.groupby(results["strategy"]).mean()
    # from_dict makes columns of mixed rows float.
    table = table.astype({"wins": int, "n_seeds": int, "n_stopped": int})
    table = table.sort_values("aubc", ascending=sign < 0, kind="stable")
    table.attrs["notes"] = curves.notes
    table.attrs["alpha"] = curves.level(_ALPHA)
    return table


def gap_closed(
    results: pd.DataFrame,
    metric: str = "accuracy",
    *,
    baseline: str = "random_sampling",
    oracle: str = "oracle_batch",
    confidence: float = 0.95,
    n_resamples: int = N_RESAMPLES,
    random_state: int = 0,
) -> pd.DataFrame:
    """How much of the way from random sampling to an oracle a strategy goes.

    The oracle knows the labels.

    ``(AUBC_S - AUBC_random) / (AUBC_oracle - AUBC_random)`` of the means over seeds: 0
    is as good as random, 1 as good as the oracle.

    Parameters
    ----------
    results : DataFrame
        A tidy table in which both were run.
    metric : str, default="accuracy"
        The column that is compared.
    baseline, oracle : str
        Where the way begins and where it ends.
    confidence, n_resamples, random_state
        Of the bootstrap (expanded percentiles), which draws all strategies' seeds
        together.

    Returns
    -------
    DataFrame
        Indexed by ``strategy``: ``gap_closed``, ``low``, ``high``, ``difference`` (of
        the AUBC to the baseline's). NaN where the oracle is not better than the
        baseline: there is no gap to close then. The bounds are NaN where that happens
        in a bootstrap sample, and below five seeds.
    """
    curves = read_curves(results, metric)
    for name in (baseline, oracle):
        curves.check_baseline(name)
    areas = {name: curves.sign * area for name, area in curves.areas().items()}
    # In pairs, as everything between strategies: the oracle had the same seed.
    gap = areas[oracle] - areas[baseline]
    n_seeds = len(gap)
    weights = resampling_weights(n_seeds, n_resamples, random_state)
    rows = []
    for name, area in areas.items():
        if name == baseline:
            continue
        gain = area - areas[baseline]
        low = high = np.nan
        if n_seeds >= LEAST_ROWS:
            drawn = _ratio(weights @ gain, weights @ gap)
            low, high = percentiles(drawn, n_seeds, confidence)
        ratio = float(_ratio(gain.mean(), gap.mean()))
        difference = float(curves.sign * gain.mean())
        rows.append(
            (
                name,
                ratio,
                low,
                high,
                difference,
            )
        )
    columns = [
        "strategy",
        "gap_closed",
        "low",
        "high",
        "difference",
    ]
    table = pd.DataFrame(rows, columns=columns).set_index("strategy")
    table.attrs["notes"] = curves.notes
    return table


def _spent(results: pd.DataFrame, column: str) -> pd.Series:
    """Seconds of each round; NaN for the query of a run's first.

    Nobody chose the labels of that round.
    """
    seconds = results[column]
    if column != "query_seconds":
        return seconds
    # A run's first row is its initial set, for which nobody was asked.
    runs = results.groupby(["strategy", "seed"])
    first = results["n_labelled"] == runs["n_labelled"].transform("min")
    return seconds.mask(first & (seconds == 0))


def _detectable(difference: Array, alpha: float) -> float:
    """The mean difference that these seeds would have found four times in five."""
    # One seed, or no look yet: nothing is tested.
    if len(difference) < 2 or np.isnan(alpha):
        return np.nan
    spread = float(difference.std(ddof=1))
    return float(detectable_effect(spread, len(difference), alpha))


def _spread(name: str, interval: Interval) -> dict[str, float]:
    """Name an estimate and its bounds."""
    estimate, low, high = interval
    return {name: estimate, f"{name}_low": low, f"{name}_high": high}


def _ratio(gain: Any, gap: Any) -> Array:
    gain, gap = np.asarray(gain), np.asarray(gap)
    # No gap, no share of it: a quotient would be noise over noise.
    ratio = np.full(gap.shape, np.nan)
    return np.divide(
        gain,
        gap,
        out=ratio,
        where=gap > 0,
    )
