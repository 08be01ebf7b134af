"""The report's tables beside the summary and the pairs."""

from __future__ import annotations

import pandas as pd

from al_sklearn.experiments.store import measured_columns


def last_means(table: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    """Return the mean of every metric after the last round, a row a strategy.

    Also of those that nobody compared by: a gain in one may be a loss in another.
    """
    metrics = [name for name in measured_columns(table) if table[name].notna().all()]
    return last_rounds(table).groupby("strategy")[metrics].mean().loc[order]


def last_rounds(table: pd.DataFrame) -> pd.DataFrame:
    """Return each run's last row: runs that were stopped end in rounds of their own."""
    ends = table.groupby(["strategy", "seed"])["round"].transform("max")
    return table[table["round"] == ends]
