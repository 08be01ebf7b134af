"""Measure: how good a round's model is, and what the round cost."""

from __future__ import annotations

import sys
from typing import Any

from al_sklearn import inference
from al_sklearn._core.types import Array, Options
from al_sklearn.inference.fitting import learns_from_validation
from al_sklearn.loop._labels import Labels
from al_sklearn.loop._problem import Problem
from al_sklearn.rows import take_rows
from al_sklearn.tasks import Predictions

if sys.platform != "win32":
    import resource


def measure(model: Any, problem: Problem) -> Options:
    """Measure a model on the problem's test set; nothing where there is none."""
    if problem.y_test is None:
        return {}
    predictions = predict(model, problem.test_rows, problem)
    return problem.task.measure(
        problem.y_test, predictions, problem.test_rows, problem.scoring
    )


def predict(model: Any, X: Any, problem: Problem) -> Predictions:
    """Ask a model about rows, in the task's plain form."""
    return problem.task.predict(model, X, inference)


def agreement(model: Any, problem: Problem, y: Array, rows: Any) -> float:
    """Share of these rows whose given label the model predicts; NaN of none."""
    if model is None or len(y) == 0:
        return float("nan")
    return float(problem.task.same(y, predict(model, rows, problem)).mean())


def batch_agreement(model: Any, problem: Problem, new: Array, labels: Labels) -> float:
    """Agreement of the model before a round with what the round was told."""
    known = problem.learnable(new)
    if model is None or len(known) == 0:
        return float("nan")
    return agreement(model, problem, labels.of(known), take_rows(problem.X, known))


def measure_round(
    model: Any,
    problem: Problem,
    new: Array,
    labels: Labels,
    before: Options,
) -> Options:
    """Return what is known of a round, but for its seconds of training.

    ``before`` is what was known of it before it was trained.
    """
    # In the order of the tables: metrics, then costs.
    record = {**measure(model, problem), **before}
    X_val, y_val = problem.validation_set
    # What has learnt from them in the end is as good on them as in training.
    if X_val is not None and not learns_from_validation(model):
        record["validation_accuracy"] = agreement(model, problem, y_val, X_val)
    known = problem.learnable(new)
    record["bought"] = problem.task.count(labels.of(known))
    if problem.outside is not None:
        record["bought_outside"] = int(problem.outside[new].sum())
    if problem.truth is not None:
        wrong = labels.of(new) != problem.truth[new]
        record["bought_wrong"] = int(wrong.sum())
    return record


def peak_memory_mb() -> float:
    """Largest resident memory that this process has had, in MiB.

    NaN where the system does not say.
    """
    if sys.platform == "win32":
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, Linux kibibytes.
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
