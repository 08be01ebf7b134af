"""The report's tables, row by row."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from al_sklearn.experiments import statistics
from al_sklearn.experiments.report._words import (
    ALPHA,
    interval_text,
    p_text,
    saving_text,
    seconds_text,
    signed_text,
    value_text,
)
from al_sklearn.experiments.statistics import BASELINE
from al_sklearn.experiments.store import measured_columns
from al_sklearn.tasks import get_metric


def summary_rows(summary: pd.DataFrame, metric: str) -> list[dict[str, Any]]:
    sign = get_metric(metric).sign
    rows = []
    for name, row in summary.iterrows():
        is_baseline = name == BASELINE
        sure = row["p_holm"] < ALPHA
        # The same rule as the headline's, so that table and sentence agree.
        verdict = "baseline" if is_baseline else "unclear"
        if sure and not is_baseline:
            verdict = "better" if sign * row["difference"] > 0 else "worse"
        rows.append(
            {
                "name": name,
                "verdict": verdict,
                "kind": verdict,
                "final": interval_text(
                    row["final"], row["final_low"], row["final_high"], metric
                ),
                "aubc": value_text(row["aubc"], metric),
                "rank": f"{row['rank']:.1f}",
                "difference": "–"
                if is_baseline
                else signed_text(
                    row["difference"],
                    row["difference_low"],
                    row["difference_high"],
                    metric,
                ),
                "wins": "–"
                if is_baseline
                else f"{row['wins']:.0f} of {row['n_seeds']:.0f}",
                "saving": "–"
                if is_baseline
                else saving_text(
                    row["label_saving"],
                    row["label_saving_low"],
                    row["label_saving_high"],
                ),
                "p": "–" if is_baseline else p_text(row["p_holm"]),
                "query_seconds": seconds_text(row.get("query_seconds", math.nan)),
            }
        )
    return rows


def saving_rows(table: pd.DataFrame, metric: str, order: list[str]) -> dict[str, Any]:
    savings = statistics.saving_table(table, metric)
    levels = list(dict.fromkeys(savings["level"]))
    # One target a level: it depends on random sampling alone.
    targets = [
        savings.loc[savings["level"] == level, "target"].iloc[0] for level in levels
    ]
    parts = {
        str(name): part.to_dict("records") for name, part in savings.groupby("strategy")
    }
    rows = [
        {
            "name": name,
            "cells": [
                saving_text(row["label_saving"], row["low"], row["high"])
                for row in parts[name]
            ],
        }
        for name in order
        if name in parts
    ]
    heads = [
        f"{level * 100:.0f} % ({value_text(target, metric)})"
        for level, target in zip(levels, targets, strict=True)
    ]
    return {"heads": heads, "rows": rows}


def pair_rows(pairs: pd.DataFrame, metric: str) -> list[dict[str, str]]:
    rows = []
    for row in pairs.to_dict("records"):
        rows.append(
            {
                "pair": f"{row['strategy']} − {row['other']}",
                "difference": signed_text(
                    row["difference"], row["low"], row["high"], metric
                ),
                "wins": f"{row['wins']} of {row['n_seeds']}",
                "p": p_text(row["p_value"]),
                "p_holm": p_text(row["p_holm"]),
                "p_wilcoxon": p_text(row["p_wilcoxon_holm"]),
                # Over all pairs: the more are compared, the surer a difference must be.
                "kind": "sure" if row["p_holm"] < ALPHA else "unsure",
            }
        )
    return rows


def other_metrics(table: pd.DataFrame, order: list[str]) -> dict[str, Any]:
    metrics = [name for name in measured_columns(table) if table[name].notna().all()]
    # Every metric, also those nobody compared by: a gain in one may be a loss in
    # another.
    means = last_rounds(table).groupby("strategy")[metrics].mean().loc[order]
    return {
        "heads": [get_metric(name).word for name in metrics],
        "rows": [
            {"name": name, "cells": [value_text(row[m], m) for m in metrics]}
            for name, row in means.iterrows()
        ],
    }


def last_rounds(table: pd.DataFrame) -> pd.DataFrame:
    """Return each run's last row: runs that were stopped end in rounds of their own."""
    ends = table.groupby(["strategy", "seed"])["round"].transform("max")
    return table[table["round"] == ends]
