"""The tables of what is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from al_sklearn.experiments import statistics


def tables(results: Any) -> dict[str, pd.DataFrame]:
    """Return the tidy tables of one run, named "", or of several by their names.

    A run is a table, or what holds one: the results of a store, a fitted comparison.
    """
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
        found[str(name)] = statistics.flat_table(table)
    return found
