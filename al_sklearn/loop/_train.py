"""Train: a round's model, by the mode that the problem names."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone

from al_sklearn._core.random import seed_all, seeded_clone
from al_sklearn._core.types import Array
from al_sklearn.inference import classes_of
from al_sklearn.learners.training import (
    NEW_LABELS,
    Labelled,
    goes_on,
    learns_in_parts,
    name_classes,
    train,
)
from al_sklearn.loop._epochs import watched
from al_sklearn.loop._labels import Labels
from al_sklearn.loop._problem import Problem
from al_sklearn.rows import take_rows


def train_round(
    problem: Problem, model: Any, number: int, new: Array, labels: Labels
) -> Any:
    """Return the model of a round; the caller puts the global generators back.

    Parameters
    ----------
    problem : Problem
    model : estimator or None
        That of the round before; a mode that goes on changes it.
    number : int
        The round.
    new : int64 array
        Positions labelled since the round before.
    labels : Labels
        Those and all others.
    """
    only_new = problem.training in NEW_LABELS
    rows = problem.learnable(new if only_new else labels.pool.labelled)
    if len(rows) == 0:
        # Nothing of this batch can be learnt from.
        return model
    data = Labelled(take_rows(problem.X, rows), labels.of(rows))
    begins = _begins_again(problem, model, data.y)
    model = _fresh(problem, number) if begins else _so_far(problem, model, number)
    # After the weights are drawn: their stream and the order's never shift each other.
    seed_all(problem.streams.integer("order", number))
    with watched(model, problem):
        return train(
            model,
            data,
            # A clone is from scratch already, whatever its warm_start.
            training=None if problem.training == "from_scratch" else problem.training,
            classes=problem.task.classes,
            validation=problem.validation_set,
            fit_kwargs=problem.fit_options_of(rows),
        )


def _begins_again(problem: Problem, model: Any, y: Array) -> bool:
    training = problem.training
    if model is None or training == "from_scratch":
        return True
    in_parts = training == "incremental" and learns_in_parts(problem.estimator)
    # Without warm_start a fit forgets by itself.
    forgets = training == "only_new" and not _is_warm(model)
    if forgets or in_parts or goes_on(model, y):
        return False
    if training == "incremental":
        raise ValueError(
            f"{type(model).__name__} cannot go on from classes "
            f"{classes_of(model).tolist()} with a batch of {np.unique(y).tolist()}; "
            "training='incremental' needs a partial_fit then."
        )
    # On other classes than it has, it begins again.
    return True


def _is_warm(model: Any) -> bool:
    parameters = model.get_params(deep=True).items()
    return any(name.endswith("warm_start") and value for name, value in parameters)


def _fresh(problem: Problem, number: int) -> Any:
    weights = problem.streams.integer("weights", number)
    model = seeded_clone(problem.estimator_of(number), weights)
    grows = problem.training != "from_scratch"
    name_classes(model, problem.task.classes, grows)
    return model


def _so_far(problem: Problem, model: Any, number: int) -> Any:
    # Clones: an estimator among them is the caller's. Its seeds are the streams'.
    params = {
        name: clone(value, safe=False)
        for name, value in problem.params_of(number).items()
        if not name.endswith("random_state")
    }
    return model.set_params(**params) if params else model
