"""The tables of what is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from al_sklearn.experiments.statistics import (
    ceiling_values,
    flat_table,
    without_ceiling,
)


def tables(results: Any) -> dict[str, pd.DataFrame]:
    """Return the strategies' rows of one run, named "", or of several by their names.

    A run is a table, or what holds one: the results of a store, a fitted comparison.
    """
    return {name: without_ceiling(table) for name, table in _whole(results).items()}


def ceilings(results: Any, metric: str) -> dict[str, pd.Series]:
    """Return what all labels give, by seed, of those runs that know it."""
    found = {}
    for name, table in _whole(results).items():
        if metric in table.columns and "strategy" in table.columns:
            values = ceiling_values(table, metric)
            if len(values):
                found[name] = values
    return found


def _whole(results: Any) -> dict[str, pd.DataFrame]:
    runs = results if isinstance(results, Mapping) else {"": results}
    if not runs:
        raise ValueError("There are no runs to draw.")
    found = {}
    for name, run in runs.items():
        # By what it has, not by its class: results of a store and comparisons alike.
        table = getattr(run, "table", getattr(run, "results_", run))
        if not isinstance(table, pd.DataFrame):
            raise TypeError(
                "A run is a tidy table, what load_results gives, or a fitted "
                f"comparison; got {type(run).__name__}."
            )
        # Joined tables number their rows anew in each part.
        found[str(name)] = flat_table(table)
    return found
