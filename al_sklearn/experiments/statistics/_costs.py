"""What labels and trainings cost together, and what a goal costs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from al_sklearn.experiments.statistics._ceiling import without_ceiling
from al_sklearn.experiments.statistics._curves import labels_needed, read_curves


def with_costs(
    results: pd.DataFrame, label_cost: float = 1.0, training_cost: float = 0.0
) -> pd.DataFrame:
    """Return a table with a column ``cost``: of all labels and trainings so far.

    Parameters
    ----------
    results : DataFrame
        A tidy table with ``n_labelled`` and ``round``.
    label_cost, training_cost : float
        Of one label, and of one training; round 0 is the first.

    Returns
    -------
    DataFrame

    Examples
    --------
    >>> import pandas as pd
    >>> from al_sklearn.experiments.statistics import with_costs
    >>> table = pd.DataFrame({"round": [0, 1], "n_labelled": [20, 40]})
    >>> with_costs(table, 0.5, 10)["cost"].tolist()
    [20.0, 40.0]
    """
    for name, cost in (("label_cost", label_cost), ("training_cost", training_cost)):
        if not 0 <= cost < np.inf:
            raise ValueError(f"{name} must be a number from 0, got {cost!r}.")
    missing = {"round", "n_labelled"} - set(results.columns)
    if missing:
        raise ValueError(f"Costs need {sorted(missing)}, which the table lacks.")
    costs = label_cost * results["n_labelled"] + training_cost * (results["round"] + 1)
    return results.assign(cost=costs)


def cost_table(
    results: pd.DataFrame,
    target: float,
    metric: str = "accuracy",
    *,
    ratios: Iterable[float] = (0, 1, 10, 100),
) -> pd.DataFrame:
    """What a goal costs, in labels, for several prices of a training.

    Small batches need fewer labels and more trainings: which batch is cheapest depends
    on what a training costs.

    Parameters
    ----------
    results : DataFrame
        A tidy table, with ``round``.
    target : float
        The value of the metric to be reached.
    metric : str, default="accuracy"
    ratios : iterable of float
        The cost of one training, in labels.

    Returns
    -------
    DataFrame
        A row a strategy and a column a ratio: the mean over seeds; NaN where a seed
        never reaches the goal.
    """
    curves = read_curves(results, metric)
    prices = list(ratios)
    rows: dict[str, list[float]] = {}
    table = without_ceiling(results)
    for name, own in curves.by_strategy.items():
        costs = np.empty((len(own), len(prices)))
        for i, (seed, curve) in enumerate(zip(curves.seeds, own, strict=True)):
            # Of a loss the goal is reached from above.
            labels = labels_needed(
                curve.n_labelled, curves.sign * curve.values, curves.sign * target
            )
            part = table[(table["strategy"] == name) & (table["seed"] == seed)]
            budgets = np.sort(part["n_labelled"].to_numpy())
            # The round that first has so many labels has been trained, too.
            trainings = 1 + np.searchsorted(budgets, labels - 1e-9)
            for j, price in enumerate(prices):
                costs[i, j] = labels + price * trainings
        rows[name] = costs.mean(axis=0).tolist()
    found = pd.DataFrame.from_dict(rows, orient="index", columns=prices)
    return found.rename_axis("strategy").rename_axis(columns="cost of a training")
