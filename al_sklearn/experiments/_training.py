"""How a model is trained on what is labelled: from fresh weights or on from the ones before, with a validation set."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from skorch import NeuralNet
from skorch.dataset import Dataset
from skorch.helper import predefined_split

from al_sklearn.pool import take_rows


def warm_start_parameter(estimator: Any) -> str:
    """Return the parameter that lets ``fit`` go on from the weights there are.

    Raises
    ------
    ValueError
        When the estimator has none.
    """
    if isinstance(estimator, Pipeline):
        return f"{estimator.steps[-1][0]}__{warm_start_parameter(estimator.steps[-1][1])}"
    if "warm_start" not in estimator.get_params(deep=False):
        raise ValueError(
            f"{type(estimator).__name__} has no warm_start, so its training cannot go on from the round before; use "
            "training='from_scratch'."
        )
    return "warm_start"


def check_training(estimator: Any, training: str) -> None:
    """Raise a ``ValueError`` unless the estimator can be trained that way."""
    if training == "fine_tune" or (training == "only_new" and not hasattr(estimator, "partial_fit")):
        warm_start_parameter(estimator)


def fit(model: Any, X: Any, y: np.ndarray, X_val: Any = None, y_val: np.ndarray | None = None) -> None:
    """Fit a model; one that can use a validation set gets it.

    A net gets it as its validation data (``train_split``), what has a ``fit(X, y, X_val=, y_val=)`` as that, a pipeline
    hands it on to its last step, transformed. Others are fitted without.
    """
    if X_val is None or y_val is None or not takes_validation(model):
        model.fit(X, y)
    elif isinstance(model, Pipeline):
        before = model[:-1]
        X = before.fit_transform(X, y)
        # With memory=, the steps that were fitted are copies.
        model.steps[:-1] = before.steps
        fit(model.steps[-1][1], X, y, before.transform(X_val), y_val)
    else:
        with _validation(model, X_val, y_val, np.unique(y)) as options:
            model.fit(X, y, **options)


def partial_fit(
    model: Any, X: Any, y: np.ndarray, classes: np.ndarray, X_val: Any = None, y_val: np.ndarray | None = None
) -> None:
    """Go on training on new images alone; see :func:`fit`."""
    if X_val is None or y_val is None or not isinstance(model, NeuralNet):
        model.partial_fit(X, y, classes=classes)
    else:
        with _validation(model, X_val, y_val, classes):
            model.partial_fit(X, y, classes=classes)


def takes_validation(estimator: Any) -> bool:
    """Whether :func:`fit` has a use for a validation set."""
    if isinstance(estimator, Pipeline):
        return len(estimator.steps) > 1 and takes_validation(estimator.steps[-1][1])
    return isinstance(estimator, NeuralNet) or "X_val" in inspect.signature(estimator.fit).parameters


@contextmanager
def _validation(model: Any, X_val: Any, y_val: np.ndarray, classes: np.ndarray) -> Iterator[dict[str, Any]]:
    """Lend a model its validation set for one training; what it has never met it cannot be told to predict."""
    known = np.flatnonzero(np.isin(y_val, classes))
    if len(known) == 0:
        yield {}
        return
    if len(known) < len(y_val):
        X_val, y_val = take_rows(X_val, known), y_val[known]
    if not isinstance(model, NeuralNet):
        yield {"X_val": X_val, "y_val": y_val}
        return
    before = model.train_split
    model.set_params(train_split=predefined_split(Dataset(X_val, y_val)))
    try:
        yield {}
    finally:
        # The images would be copied and stored with every copy of the model.
        model.set_params(train_split=before)
