"""What all labels give: a line to look up to, outside of ranks and tests."""

from __future__ import annotations

from typing import Final

import pandas as pd

from al_sklearn._core.types import Array

# What rows of a table are called that were trained on everything there is.
CEILING: Final = "ceiling"


def without_ceiling(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of strategies: no strategy bought what the ceiling knows.

    Parameters
    ----------
    results : DataFrame
        A tidy table.

    Returns
    -------
    DataFrame
        The table itself where it has no such rows.
    """
    if "strategy" not in results.columns:
        return results
    others = results["strategy"] != CEILING
    return results if others.all() else results[others]


def ceiling_values(results: pd.DataFrame, metric: str = "accuracy") -> pd.Series:
    """Return what all labels give, by seed; empty where nobody trained on them.

    Parameters
    ----------
    results : DataFrame
        A tidy table.
    metric : str, default="accuracy"
        A column.

    Returns
    -------
    Series
        Indexed by seed.

    Examples
    --------
    >>> import pandas as pd
    >>> from al_sklearn.experiments.statistics import ceiling_values
    >>> rows = [("margin", 0, 40, 0.8), ("ceiling", 0, 1000, 0.95)]
    >>> columns = ["strategy", "seed", "n_labelled", "accuracy"]
    >>> ceiling_values(pd.DataFrame(rows, columns=columns)).tolist()
    [0.95]
    """
    rows = results[results["strategy"] == CEILING]
    return rows.set_index("seed")[metric].dropna()


def ceiling_note(results: pd.DataFrame, metric: str = "accuracy") -> list[str]:
    """Say in a sentence what all labels give; none where nobody trained on them."""
    values: Array = ceiling_values(results, metric).to_numpy()
    if len(values) == 0:
        return []
    labels = results.loc[results["strategy"] == CEILING, "n_labelled"].mean()
    seeds = "1 seed" if len(values) == 1 else f"mean of {len(values)} seeds"
    return [
        f"Ceiling: with all {labels:,.0f} labels the model reaches {metric} "
        f"{values.mean():.4f} ({seeds}); it is outside of ranks and tests."
    ]
