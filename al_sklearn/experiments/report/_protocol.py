"""How a run was made: its ends, its model, and the call."""

from __future__ import annotations

from typing import Any

import pandas as pd

from al_sklearn._core.types import Options


def run_ends(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a run: labels ``first`` and ``last``, ``batches``, ``stopped``."""
    runs = table.groupby(["strategy", "seed"])
    # The rounds of each run: with stopping or an adaptive rate, budgets differ from run
    # to run.
    found = runs.agg(
        first=("n_labelled", "min"),
        last=("n_labelled", "max"),
        batches=("round", "max"),
    )
    if "stopped" in table.columns:
        found["stopped"] = runs["stopped"].last().astype(bool)
    return found


def estimator_name(estimator: Any) -> str:
    """Return an estimator's short name; a pipeline's steps by theirs."""
    if not isinstance(estimator, dict) or "class" not in estimator:
        return str(estimator)
    # Names are whole in the configuration below; here the last part is read.
    kind = str(estimator["class"]).rpartition(".")[2]
    steps = estimator.get("steps")
    if kind == "Pipeline" and isinstance(steps, list):
        return " → ".join(
            estimator_name(step[1])
            for step in steps
            if isinstance(step, list) and len(step) == 2
        )
    module = estimator.get("module")
    return f"{kind} ({module.rpartition('.')[2]})" if isinstance(module, str) else kind


def call_text(configuration: Options) -> str:
    """Return the comparison as somebody would write it.

    What is not plain is in the whole configuration.
    """
    # Looks end with the number of seeds.
    without = {"estimator", "n_seeds"} if "looks" in configuration else {"estimator"}
    options = "".join(
        f"    {name}={value!r},\n"
        for name, value in configuration.items()
        # What else there is stands in the whole configuration.
        if name not in without
        and (name == "looks" or isinstance(value, (bool, int, float, str)))
    )
    strategies = [str(name) for name in configuration.get("strategies", ())]
    parts = [
        f"{name.partition(' ')[0]}(…)"
        for name in estimator_name(configuration.get("estimator")).split(" → ")
    ]
    kind = parts[0] if len(parts) == 1 else f"make_pipeline({', '.join(parts)})"
    return f"StrategyComparison(\n    {kind},\n    {strategies!r},\n{options})"
