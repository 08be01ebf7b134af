"""Rounds as columns of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from al_sklearn._core.types import Array, Options

_FIRST: Final = ("round", "n_labelled")
# Columns that a round has where there is something to say.
_SOMETIMES: Final = (
    "validation_accuracy",
    "batch_accuracy",
    "bought_outside",
    "bought_wrong",
)
_COSTS: Final = ("query_seconds", "training_seconds", "peak_memory_mb")
_OTHERS: Final = {"strategy", "seed", *_FIRST, *_SOMETIMES, *_COSTS, "stopped"}


def tidy_columns(rounds: Sequence[Mapping[str, Any]], classes: Array) -> Options:
    """Return the metrics of rounds as columns of a table.

    Lists over classes become a column a class.

    Parameters
    ----------
    rounds : sequence of dict
        The metrics of each round, as the loop makes and the store keeps them.
    classes : array of shape (C,)
        All labels.

    Returns
    -------
    dict of str to sequence
        Columns by name; where only some rounds have a metric, the others have NaN.
    """
    there = {
        name: None
        for metrics in rounds
        for name, value in metrics.items()
        if not isinstance(value, (list, dict))
    }
    # Metrics are whatever else is a number, in the order in which they were measured.
    measured = [name for name in there if name not in _OTHERS]

    def column(name: str) -> list[Any]:
        return [metrics.get(name, float("nan")) for metrics in rounds]

    columns: Options = {name: column(name) for name in _FIRST}
    columns |= {
        name: column(name) for name in (*measured, *_SOMETIMES) if name in there
    }
    for name, prefix in (("class_accuracy", "accuracy"), ("bought", "bought")):
        # Two axes even of no rounds.
        values = np.array([metrics[name] for metrics in rounds]).reshape(
            len(rounds), len(classes)
        )
        columns |= {
            f"{prefix}_{label}": values[:, i] for i, label in enumerate(classes)
        }
    columns |= {name: column(name) for name in _COSTS}
    return columns | ({"stopped": column("stopped")} if "stopped" in there else {})


def tidy_table(
    curves: Mapping[tuple[str, int], Sequence[Mapping[str, Any]]], classes: Array
) -> pd.DataFrame:
    """Return one row for each round of each strategy and seed.

    Parameters
    ----------
    curves : dict of (str, int) to list of dict
        The metrics of every round, the first, shared one among them, by strategy and
        seed.
    classes : array of shape (C,)
        All labels.
    """
    columns: Options = {
        "strategy": [name for (name, _), rounds in curves.items() for _ in rounds],
        "seed": [seed for (_, seed), rounds in curves.items() for _ in rounds],
    }
    return pd.DataFrame(
        columns
        | tidy_columns(
            [metrics for rounds in curves.values() for metrics in rounds], classes
        )
    )


def measured_columns(table: pd.DataFrame) -> list[str]:
    """Return which columns of a table are metrics of the test set, in their order.

    Those of single classes are not among them.
    """
    return [
        name
        for name in table.select_dtypes("number").columns
        if name not in _OTHERS and not name.startswith(("accuracy_", "bought_"))
    ]
