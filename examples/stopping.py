"""Where each stopping criterion ends, and what it costs: digits, margin, 10 seeds; the
tables of docs/stopping.md.

Every criterion sees the same runs: the seed decides split, initial set and model, and
margin buys the same images.
"""

from __future__ import annotations

import argparse

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from al_sklearn.experiments import ActiveLearningExperiment
from al_sklearn.experiments.labelling_rate import AdaptiveRate
from al_sklearn.experiments.statistics import mean_interval
from al_sklearn.experiments.stopping import (
    Budget,
    ClassificationChange,
    NoGain,
    OverallUncertainty,
    StabilizingPredictions,
    StoppingCriterion,
    TargetMetric,
)

CRITERIA: tuple[StoppingCriterion | None, ...] = (
    None,
    Budget(200),
    TargetMetric(0.95),
    NoGain(3),
    StabilizingPredictions(),
    StabilizingPredictions(0.98),
    ClassificationChange(0.01, n_rounds=2),
    OverallUncertainty(0.25),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    X, y = load_digits(return_X_y=True)
    X = X / 16
    model = LogisticRegression(max_iter=500)
    options = {"n_initial": 20, "n_instances": 20, "n_rounds": 30}
    rows = []
    for criterion in CRITERIA:
        labels, accuracy = [], []
        for seed in range(arguments.seeds):
            made = ActiveLearningExperiment(
                model, "margin", stopping=criterion, random_state=seed, **options
            ).fit(X, y)
            labels.append(made.history_["n_labelled"].iloc[-1])
            accuracy.append(made.history_["accuracy"].iloc[-1])
        rows.append(
            (repr(criterion) if criterion else "all 30 rounds", *_row(labels, accuracy))
        )
    print(_table(rows, ["criterion", "labels", "accuracy"]))
    rows = []
    for name, rate in [
        ("20 a round", 20),
        ("adaptive", AdaptiveRate(20, gain=0.02, max_instances=100)),
    ]:
        labels, accuracy, rounds = [], [], []
        for seed in range(arguments.seeds):
            stopping = Budget(400)
            own = {**options, "n_instances": rate, "stopping": stopping}
            made = ActiveLearningExperiment(
                model, "margin", random_state=seed, **own
            ).fit(X, y)
            labels.append(made.history_["n_labelled"].iloc[-1])
            accuracy.append(made.history_["accuracy"].iloc[-1])
            rounds.append(len(made.history_) - 1)
        rows.append((name, *_row(labels, accuracy), f"{np.mean(rounds):.1f}"))
    print(_table(rows, ["labelling rate", "labels", "accuracy", "rounds"]))


def _row(labels: list[int], accuracy: list[float]) -> tuple[str, str]:
    score = mean_interval(accuracy)
    spread = (
        f"{min(labels)} to {max(labels)}"
        if min(labels) < max(labels)
        else f"{labels[0]}"
    )
    return (
        f"{np.mean(labels):.0f} ({spread})",
        f"{score.estimate:.3f} ± {score.high - score.estimate:.3f}",
    )


def _table(rows: list[tuple[str, ...]], columns: list[str]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    main()
