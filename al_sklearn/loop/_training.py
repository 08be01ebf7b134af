"""How a model is trained on what is labelled.

From fresh weights or on from the ones before, with a validation set.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.ensemble import BaseEnsemble, HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from skorch import NeuralNet, NeuralNetClassifier
from skorch.dataset import Dataset
from skorch.helper import predefined_split

from al_sklearn.inference import classes_of
from al_sklearn.rows import take_rows, with_labels


def warm_start_parameter(estimator: Any) -> str:
    """Return the parameter that lets ``fit`` go on from the weights there are.

    Raises
    ------
    ValueError
        When the estimator has none.
    """
    if isinstance(estimator, Pipeline):
        return (
            f"{estimator.steps[-1][0]}__{warm_start_parameter(estimator.steps[-1][1])}"
        )
    if "warm_start" not in estimator.get_params(deep=False):
        raise ValueError(
            f"{type(estimator).__name__} has no warm_start, so its training cannot go "
            "on from the round before; use "
            "training='from_scratch'."
        )
    if isinstance(estimator, (BaseEnsemble, HistGradientBoostingClassifier)):
        raise ValueError(
            f"The warm_start of {type(estimator).__name__} only adds members: those "
            "there are would never learn the "
            "new labels; use training='from_scratch'."
        )
    return "warm_start"


def check_training(estimator: Any, training: str) -> None:
    """Raise a ``ValueError`` unless the estimator can be trained that way."""
    if training == "fine_tune" or (
        training == "only_new" and not learns_in_parts(estimator)
    ):
        warm_start_parameter(estimator)


def learns_in_parts(estimator: Any) -> bool:
    """Whether an estimator, or the last step of a pipeline, has a ``partial_fit``."""
    return hasattr(
        estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator,
        "partial_fit",
    )


def name_classes(model: Any, classes: np.ndarray, goes_on: bool) -> None:
    """Tell the nets in a model all classes there are, where the user has not.

    It reaches nets however deep they are.

    A net whose module has its outputs from the user needs it always; one that finds out
    how many it needs only where training ``goes_on``: it cannot grow outputs for
    classes met late.
    """
    for part in [model, *model.get_params(deep=True).values()]:
        if (
            isinstance(part, NeuralNetClassifier)
            and part.classes is None
            and (goes_on or _is_plain(part))
        ):
            part.set_params(classes=classes)


def goes_on(model: Any, y: np.ndarray) -> bool:
    """Whether ``fit`` can go on from the weights there are, with these labels.

    Networks know all classes, by :func:`name_classes`; for others the classes must be
    those that they have.
    """
    last = model.steps[-1][1] if isinstance(model, Pipeline) else model
    if any(
        isinstance(part, NeuralNet)
        for part in [last, *last.get_params(deep=True).values()]
    ):
        return True
    return np.array_equal(classes_of(model), np.unique(y))


def fit(
    model: Any,
    X: Any,
    y: np.ndarray,
    X_val: Any = None,
    y_val: np.ndarray | None = None,
) -> None:
    """Fit a model; one that can use a validation set gets it.

    A net gets it as its validation data (``train_split``), what has a ``fit(X, y,
    X_val=, y_val=)`` as that, a pipeline hands it on to its last step, transformed.
    Others are fitted without.
    """
    if X_val is None or y_val is None or not takes_validation(model):
        model.fit(*with_labels(model, X, y))
    elif isinstance(model, Pipeline) and len(model.steps) == 1:
        fit(model.steps[-1][1], X, y, X_val, y_val)
    elif isinstance(model, Pipeline):
        before = model[:-1]
        X = before.fit_transform(X, y)
        # With memory=, the steps that were fitted are copies.
        model.steps[:-1] = before.steps
        fit(model.steps[-1][1], X, y, before.transform(X_val), y_val)
    else:
        with _validation(model, X_val, y_val, np.unique(y)) as options:
            model.fit(*with_labels(model, X, y), **options)


def partial_fit(
    model: Any,
    X: Any,
    y: np.ndarray,
    classes: np.ndarray,
    X_val: Any = None,
    y_val: np.ndarray | None = None,
    *,
    first: bool = True,
) -> None:
    """Go on training on new images alone; see :func:`fit`.

    The steps of a pipeline but the last are fitted the ``first`` time only: fitted on
    each batch, they would move the space that the last one's weights live in.
    """
    if isinstance(model, Pipeline) and len(model.steps) == 1:
        partial_fit(model.steps[-1][1], X, y, classes, X_val, y_val)
    elif isinstance(model, Pipeline):
        before = model[:-1]
        X = before.fit_transform(X, y) if first else before.transform(X)
        # With memory=, the steps that were fitted are copies.
        model.steps[:-1] = before.steps
        X_val = None if X_val is None else before.transform(X_val)
        partial_fit(model.steps[-1][1], X, y, classes, X_val, y_val)
    elif X_val is None or y_val is None or not isinstance(model, NeuralNet):
        model.partial_fit(*with_labels(model, X, y), classes=classes)
    else:
        with _validation(model, X_val, y_val, classes):
            model.partial_fit(*with_labels(model, X, y), classes=classes)


def takes_validation(estimator: Any) -> bool:
    """Whether :func:`fit` has a use for a validation set."""
    if isinstance(estimator, Pipeline):
        return takes_validation(estimator.steps[-1][1])
    return (
        isinstance(estimator, NeuralNet)
        or "X_val" in inspect.signature(estimator.fit).parameters
    )


def _is_plain(net: NeuralNetClassifier) -> bool:
    """Whether it is skorch's own, or a subclass that reads data as that does."""
    return type(net).get_dataset is NeuralNet.get_dataset


@contextmanager
def _validation(
    model: Any, X_val: Any, y_val: np.ndarray, classes: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Lend a model its validation set for one training.

    What it has never met it cannot be told to predict.
    """
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
    pairs, _ = with_labels(model, X_val, y_val)
    model.set_params(
        train_split=predefined_split(Dataset(X_val, y_val) if pairs is X_val else pairs)
    )
    try:
        yield {}
    finally:
        # The images would be copied and stored with every copy of the model.
        model.set_params(train_split=before)
