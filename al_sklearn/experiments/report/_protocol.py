"""How a run was made, in words and as a call."""

from __future__ import annotations

from typing import Any

from al_sklearn.experiments.report._results import Results
from al_sklearn.experiments.report._words import range_text


def protocol_lines(results: Results) -> list[tuple[str, str]]:
    """Say in words how the run was made.

    What an older store does not know is left out.
    """
    setting, data = results.config["configuration"], results.config["data"]
    table = results.table
    # In the order in which a reader would ask.
    found = [
        (
            "Model",
            f"{_estimator(setting.get('estimator'))}{_training(setting.get('training'))}",
        )
    ]
    X = data.get("X", {})
    if "rows" in X:
        shape = X.get("shape")
        rows = f"{X['rows']:,}" + (
            f" of shape {' × '.join(map(str, shape[1:]))}"
            if shape and len(shape) > 1
            else ""
        )
        found.append(
            (
                "Images" if results.thumbnails else "Rows",
                f"{rows}, {len(results.classes)} classes",
            )
        )
    held_out = setting.get("test_size")
    if "X_test" in data:
        found.append(("Test set", f"{data['X_test']['rows']:,}, given"))
    elif held_out is not None:
        share = (
            f"{held_out * 100:.0f} %" if isinstance(held_out, float) else str(held_out)
        )
        found.append(("Test set", f"{share}, held out anew for each seed"))
    runs = table.groupby(["strategy", "seed"])
    first, last = runs["n_labelled"].min(), runs["n_labelled"].max()
    # The rounds of each run: with stopping or an adaptive rate, budgets differ from run
    # to run.
    batches = runs["round"].max()
    initial = (
        f" ({setting['initial']})" if isinstance(setting.get("initial"), str) else ""
    )
    up_to = (
        f"and {range_text(batches)} {'batch' if batches.max() == 1 else 'batches'}, "
        f"up to {range_text(last)} labels"
    )
    found.append(
        ("Budget", f"{range_text(first)} labels to begin with{initial}, {up_to}")
    )
    if "stopped" in table.columns:
        n_stopped = int(runs["stopped"].last().astype(bool).sum())
        found.append(("Ended early", f"{n_stopped} of {len(last)} runs"))
    n_seeds = table["seed"].nunique()
    found.append(
        (
            "Seeds",
            f"{n_seeds}; in each, all strategies share split, initial set and first "
            "model",
        )
    )
    if setting.get("threads_per_job"):
        found.append(("Threads", f"{setting['threads_per_job']} for each job"))
    return found


def _estimator(estimator: Any) -> str:
    """Return an estimator's short name; a pipeline's steps by theirs."""
    if not isinstance(estimator, dict) or "class" not in estimator:
        return str(estimator)
    # Names are whole in the configuration below; here the last part is read.
    kind = str(estimator["class"]).rpartition(".")[2]
    steps = estimator.get("steps")
    if kind == "Pipeline" and isinstance(steps, list):
        return " → ".join(
            _estimator(step[1])
            for step in steps
            if isinstance(step, list) and len(step) == 2
        )
    module = estimator.get("module")
    return f"{kind} ({module.rpartition('.')[2]})" if isinstance(module, str) else kind


def _training(training: Any) -> str:
    how = {
        "from_scratch": "fresh weights every round",
        "fine_tune": "each round goes on from the weights before, on all labels",
        "only_new": "each round is trained on its new batch alone",
        "incremental": "each round goes on from the weights before, on the new batch",
    }
    return f", {how.get(training, training)}" if isinstance(training, str) else ""


def settings_lines(configuration: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Return the whole configuration, one line a value: ``estimator.max_epochs``."""
    # An empty one is a value: {} is said as it is.
    if isinstance(configuration, dict) and configuration:
        return [
            line
            for key, value in configuration.items()
            for line in settings_lines(value, f"{prefix}.{key}" if prefix else str(key))
        ]
    return [(prefix, str(configuration))]


def call_text(configuration: dict[str, Any]) -> str:
    """Return the comparison as somebody would write it.

    What is not plain is in the whole configuration.
    """
    plain = {
        name: value
        for name, value in configuration.items()
        if name not in ("estimator", "strategies")
        # What else there is stands in the whole configuration.
        and isinstance(value, (bool, int, float, str))
    }
    options = "".join(f"    {name}={value!r},\n" for name, value in plain.items())
    strategies = [str(name) for name in configuration.get("strategies", ())]
    parts = [
        f"{name.partition(' ')[0]}(…)"
        for name in _estimator(configuration.get("estimator")).split(" → ")
    ]
    kind = parts[0] if len(parts) == 1 else f"make_pipeline({', '.join(parts)})"
    return f"StrategyComparison(\n    {kind},\n    {strategies!r},\n{options})"
