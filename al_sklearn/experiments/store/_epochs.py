"""Epochs of rounds as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from al_sklearn._core.types import Options

# What a round's record has of its epochs, beside its metrics.
EPOCHS: Final = ("epochs", "epochs_lower")


def without_epochs(metrics: Mapping[str, Any]) -> Options:
    """Return a round's metrics alone, which are a hundredth of what its epochs are."""
    return {name: value for name, value in metrics.items() if name not in EPOCHS}


def epoch_table(
    curves: Mapping[tuple[str, int], Iterable[Mapping[str, Any]]],
) -> pd.DataFrame:
    """Return one row for each epoch of each round of each strategy and seed.

    Parameters
    ----------
    curves : dict of (str, int) to iterable of dict
        Metrics of rounds by strategy and seed.

    Returns
    -------
    DataFrame
        ``strategy``, ``seed``, ``round``, ``n_labelled``, ``epoch`` (from 1 in each
        round), and what the model kept: ``train_loss``, ``train_acc``, ``valid_loss``,
        ``valid_acc``, ``test_acc`` where it was asked for, and whatever else a
        network's history has. No rows where models keep no epochs.
        ``attrs["lower_is_better"]`` names the columns of which less is better.
    """
    rows = []
    lower: dict[str, None] = {}
    for (strategy, seed), rounds in curves.items():
        for metrics in rounds:
            lower |= dict.fromkeys(metrics.get("epochs_lower", ()))
            columns = metrics.get("epochs", {})
            lengths = {len(values) for values in columns.values()}
            for i in range(max(lengths, default=0)):
                row = {
                    "strategy": strategy,
                    "seed": seed,
                    "round": metrics["round"],
                    "n_labelled": metrics["n_labelled"],
                    "epoch": i + 1,
                }
                for name, values in columns.items():
                    # JSON has no NaN: null is what it was written as.
                    row[name] = np.nan if values[i] is None else values[i]
                rows.append(row)
    fixed = ["strategy", "seed", "round", "n_labelled", "epoch"]
    table = pd.DataFrame(rows) if rows else pd.DataFrame(columns=fixed)
    table.attrs["lower_is_better"] = list(lower)
    return table
