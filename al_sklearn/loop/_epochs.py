"""Every epoch of a round's training, where the model keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from sklearn.pipeline import Pipeline
from skorch import NeuralNet
from skorch.callbacks import Callback

from al_sklearn._core.random import preserve_global_rng
from al_sklearn._core.types import Options
from al_sklearn.loop._problem import Problem

# Of a history's numbers those that say nothing of the model: what the others are
# counted by, and seconds, which no second run would have again.
_NO_SIGNAL: Final = {"epoch", "dur", "train_batch_count", "valid_batch_count"}
# What wrappers call the model that they have trained.
_INNER: Final = ("best_estimator_", "estimator_")
TEST_ACCURACY: Final = "test_acc"

Rows = Sequence[Mapping[str, Any]]


def epoch_rows(model: Any) -> Rows:
    """Return what a model remembers of its epochs, all trainings of it together.

    Parameters
    ----------
    model : estimator or None
        skorch's networks keep a ``history``, scikit-learn's a ``loss_curve_``; of a
        pipeline the last step does, of a wrapper the model in it, of an ensemble the
        members, whose mean counts.
    """
    if isinstance(model, Pipeline):
        return epoch_rows(model[-1])
    if isinstance(model, NeuralNet):
        return list(model.history) if model.initialized_ else []
    if hasattr(model, "loss_curve_"):
        # Kept where scikit-learn's network holds something out.
        scores = getattr(model, "validation_scores_", None) or []
        rows = [{"train_loss": loss} for loss in model.loss_curve_]
        return [
            row | ({"valid_acc": scores[i]} if i < len(scores) else {})
            for i, row in enumerate(rows)
        ]
    for name in _INNER:
        if hasattr(model, name):
            return epoch_rows(getattr(model, name))
    return _mean_of_members(getattr(model, "estimators_", None))


def epochs_of(model: Any, before: Rows) -> Options:
    """Return the epochs of a model's last training, as a round's record keeps them.

    Parameters
    ----------
    model : estimator
    before : sequence of dict
        What :func:`epoch_rows` gave of it before that training. Where it still begins
        with that, it went on, and what comes behind is the training's own.

    Returns
    -------
    dict
        ``epochs``, a list of numbers by column, and ``epochs_lower``, the columns that
        are better when lower; empty where the model keeps no epochs.
    """
    rows = epoch_rows(model)
    went_on = len(before) and list(rows[: len(before)]) == list(before)
    columns = _columns(rows[len(before) :] if went_on else rows)
    if not columns:
        return {}
    better = _directions(model)
    return {
        "epochs": columns,
        "epochs_lower": [
            name for name in columns if better.get(name, name.endswith("loss"))
        ],
    }


@contextmanager
def watched(model: Any, problem: Problem) -> Iterator[None]:
    """Have a network measured on the test set after each epoch, where that is asked.

    No number of the training changes: weights and generators are as they would be.
    """
    net = model[-1] if isinstance(model, Pipeline) else model
    wanted = problem.test_each_epoch and problem.y_test is not None
    if not (wanted and isinstance(net, NeuralNet)):
        yield
        return
    scores = _TestAccuracy()
    scores.of_ = (model, problem)
    watch = ("test_each_epoch", scores)
    given = net.callbacks
    if net.initialized_:
        # One that goes on keeps the callbacks it has. Before those that may end it.
        net.callbacks_.insert(0, watch)
    elif given != "disable":
        net.callbacks = [*(given or []), watch]
    try:
        yield
    finally:
        # The test set must not be copied and kept with every copy of the model.
        net.callbacks = given
        if net.initialized_:
            net.callbacks_ = [pair for pair in net.callbacks_ if pair[0] != watch[0]]


class _TestAccuracy(Callback):
    name = TEST_ACCURACY
    lower_is_better = False

    # No parameters: a model that holds a net that holds this has no end of them.
    of_: tuple[Any, Problem] | None = None
    rows_: Any = None

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        if self.of_ is None:
            # A clone that something in the training has made.
            return
        model, problem = self.of_
        # The steps before the net are fitted by now, and stay for this training.
        self.rows_ = problem.test_rows
        if isinstance(model, Pipeline) and len(model.steps) > 1:
            self.rows_ = model[:-1].transform(self.rows_)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if self.of_ is None:
            return
        # A loader with workers draws a seed for them.
        with preserve_global_rng():
            right = net.predict(self.rows_) == np.asarray(self.of_[1].y_test)
        net.history.record(TEST_ACCURACY, float(np.mean(right)))


def _mean_of_members(members: Any) -> Rows:
    """Join the epochs of an ensemble's members; none where they keep none."""
    # A forest has a thousand trees, and no tree has epochs: the first speaks for all.
    try:
        has_some = bool(epoch_rows(members[0]))
    except (TypeError, IndexError, KeyError):
        return []
    if not has_some:
        return []
    histories = [_columns(epoch_rows(member)) for member in members]
    length = max(len(values) for columns in histories for values in columns.values())
    rows: list[dict[str, float]] = []
    for epoch in range(length):
        # Members stop early each for itself: the mean of those still training.
        there = {
            name: [
                columns[name][epoch]
                for columns in histories
                if epoch < len(columns.get(name, ()))
            ]
            for name in histories[0]
        }
        rows.append({name: float(np.mean(v)) for name, v in there.items() if v})
    return rows


def _columns(rows: Rows) -> dict[str, list[float]]:
    """Turn a history into lists of numbers by column; NaN where an epoch has none."""
    names: dict[str, None] = {}
    for row in rows:
        for name, value in row.items():
            number = isinstance(value, (int, float, np.number))
            # Flags as valid_loss_best are no numbers, whatever Python says.
            if number and not isinstance(value, bool) and name not in _NO_SIGNAL:
                names[name] = None
    return {name: [float(row.get(name, np.nan)) for row in rows] for name in names}


def _directions(model: Any) -> dict[str, bool]:
    """Whether less is better, of the columns that a network's callbacks write."""
    net = model[-1] if isinstance(model, Pipeline) else model
    found = {}
    for _, callback in getattr(net, "callbacks_", ()):
        name = getattr(callback, "name_", None) or getattr(callback, "name", None)
        lower = getattr(callback, "lower_is_better", None)
        if name is not None and lower is not None:
            found[str(name)] = bool(lower)
    return found
