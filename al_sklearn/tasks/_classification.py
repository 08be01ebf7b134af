"""One label an image out of several: the first task, and the default."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from al_sklearn._core.checks import check_same_length
from al_sklearn._core.types import Array
from al_sklearn.rows import RowView, plain_labels
from al_sklearn.tasks._calibration import expected_calibration_error
from al_sklearn.tasks._metrics import Metric, own_metrics
from al_sklearn.tasks._task import Predictions, Task


def _confusion(y_true: Array, proba: Array) -> Array:
    """Count true and predicted classes, (C, C)."""
    n_classes = proba.shape[1]
    # One number a pair: bincount counts them in one pass.
    pairs = y_true * n_classes + proba.argmax(axis=1)
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def _class_accuracy(y_true: Array, proba: Array) -> Array:
    confusion = _confusion(y_true, proba)
    true = confusion.sum(axis=1)
    nothing = np.full(len(true), np.nan)
    return np.divide(np.diag(confusion), true, out=nothing, where=true > 0)


def _accuracy(y_true: Array, proba: Array) -> float:
    return float(np.diag(_confusion(y_true, proba)).sum() / len(y_true))


def _balanced_accuracy(y_true: Array, proba: Array) -> float:
    """Mean over the classes that are there."""
    # A class without test images is NaN.
    return float(np.nanmean(_class_accuracy(y_true, proba)))


def _macro_f1(y_true: Array, proba: Array) -> float:
    """Mean over the classes that are there or are predicted."""
    confusion = _confusion(y_true, proba)
    true_and_guessed = confusion.sum(axis=1) + confusion.sum(axis=0)
    seen = true_and_guessed > 0
    return float((2 * np.diag(confusion)[seen] / true_and_guessed[seen]).mean())


def _nll(y_true: Array, proba: Array) -> float:
    p_true = proba[np.arange(len(proba)), y_true]
    # As scikit-learn's log_loss: a sure mistake is not infinite, but costs the
    # logarithm of the precision in which the probabilities were made, 15.9 nats of
    # float32 and 36.0 of float64. What float32 cannot tell from 0 is known no better.
    eps = np.finfo(p_true.dtype if p_true.dtype.kind == "f" else np.float64).eps
    p_true = np.clip(p_true.astype(np.float64), eps, 1 - eps)
    return float(-np.log(p_true).mean())


def _check_missing(labels: Array, name: str) -> None:
    # pandas' NA cannot be compared with anything, not even to find it.
    if labels.dtype == object and any(label is pd.NA for label in labels.tolist()):
        raise ValueError(
            f"{name} contains missing labels (pandas.NA); give one class for each row."
        )


def _check_writable(labels: Array, name: str) -> None:
    """Refuse names that no file can hold, before a run that ends with a table."""
    if labels.dtype.kind not in "UO":
        return
    texts = {label for label in labels.tolist() if isinstance(label, str)}
    for label in sorted(texts):
        try:
            label.encode()
        except UnicodeEncodeError:
            raise ValueError(
                f"{name} holds a label that is not UTF-8, {label!a}: no table can "
                "be written with it. Give it another name."
            ) from None


METRICS = own_metrics(
    Metric("accuracy", function=_accuracy, is_share=True),
    Metric(
        "balanced_accuracy",
        "balanced accuracy",
        function=_balanced_accuracy,
        is_share=True,
    ),
    Metric("macro_f1", "macro F1", function=_macro_f1, is_share=True),
    Metric(
        "nll",
        "negative log-likelihood",
        unit="nats",
        lower_is_better=True,
        function=_nll,
        needs_proba=True,
    ),
    # A share, but of so few percent that it is shown as it is.
    Metric(
        "ece",
        "expected calibration error",
        lower_is_better=True,
        function=expected_calibration_error,
        needs_proba=True,
    ),
)
own_metrics(
    Metric("batch_accuracy", "accuracy on the batch just bought", is_share=True),
    Metric("validation_accuracy", "validation accuracy", is_share=True),
)


class Classification(Task):
    """One label an image, out of several.

    Parameters
    ----------
    classes : array of shape (C,)
        The sorted labels that there are.

    Examples
    --------
    >>> import numpy as np
    >>> from al_sklearn.tasks import Classification
    >>> task = Classification(np.array(["cat", "dog"]))
    >>> task.encode(np.array(["dog", "cat", "dog"])).tolist()
    [1, 0, 1]
    >>> task.count(np.array(["dog", "cat", "dog"]))
    [1, 2]
    """

    name = "classification"
    metrics = METRICS
    lists: ClassVar = {"class_accuracy": "accuracy", "bought": "bought"}

    def __init__(self, classes: Array):
        self.classes = classes

    @staticmethod
    def check_labels(y: Any, n: int, name: str = "y") -> Array:
        """Return labels as a 1-D array of ``n`` classes."""
        labels = column_or_1d(plain_labels(y), warn=True)
        _check_missing(labels, name)
        assert_all_finite(labels, input_name=name)
        try:
            check_classification_targets(labels)
            np.unique(labels)
        except TypeError as error:
            kinds = ", ".join(sorted({type(label).__name__ for label in labels}))
            raise ValueError(
                f"{name} must hold labels of one kind, got {kinds}."
            ) from error
        _check_writable(labels, name)
        check_same_length(n, len(labels))
        return labels

    def check_known(self, y: Array) -> None:
        """Raise a ``ValueError`` for labels that are none of the classes."""
        if y.ndim != 1:
            raise ValueError(f"Labels must be 1-D, got the shape {y.shape}.")
        # As Python compares: to numpy "3" is 3, and all labels would become text.
        known = set(self.classes.tolist())
        unknown = [label for label in y.tolist() if label not in known]
        if len(unknown):
            shown = list(dict.fromkeys(unknown))[:5]
            raise ValueError(
                f"{shown} are none of the classes; there are {self.classes.tolist()}."
            )

    def encode(self, y: Array) -> Array:
        """Return the column of each label."""
        return np.searchsorted(self.classes, y)

    def strata(self, y: Array) -> Array:
        """Return the column of each label."""
        return self.encode(y)

    def same(self, y: Array, predictions: Predictions) -> Array:
        """Return whether each label is the one predicted, bool (n,)."""
        return self.classes[predictions.values.argmax(axis=1)] == y

    def count(self, y: Array) -> list[int]:
        """Count the labels of each class."""
        return np.bincount(self.encode(y), minlength=len(self.classes)).tolist()

    def predict(self, model: Any, X: Any, inference: Any) -> Predictions:
        """Return probabilities with a column for each class, shape (n, C).

        A model without probabilities has 1 for what it predicts, 0 elsewhere.
        """
        if hasattr(model, "predict_proba"):
            proba = inference.predict_proba(model, X)
            known = inference.classes_of(model)
            return Predictions(align_columns(proba, known, self.classes), True)
        # What is looked at row by row is read whole by an estimator's own predict.
        rows = X.rows() if isinstance(X, RowView) else X
        return Predictions(
            np.eye(len(self.classes))[self.encode(model.predict(rows))], False
        )

    def as_estimator(self, predictions: Predictions) -> Predicted:
        """Return a classifier that has predicted already."""
        return Predicted(self.classes, predictions.values)

    def measure_lists(
        self, y_true: Array, predictions: Predictions
    ) -> dict[str, list[float]]:
        """Return the accuracy in each class; NaN for one without test images."""
        per_class = _class_accuracy(y_true, predictions.values)
        return {"class_accuracy": per_class.tolist()}


def align_columns(proba: Array, known: Array, classes: Array) -> Array:
    """Return probabilities with one column for each of ``classes``.

    0 where the model has not met the class.

    Columns of what is no class of the task, which a net may have outputs for, are left
    out.
    """
    if proba.shape[1] != len(known):
        raise ValueError(
            f"The model gives probabilities of {proba.shape[1]} columns for "
            f"{len(known)} classes, {known.tolist()}; a "
            "net with other outputs than there are classes needs classes=, which says "
            "what each is."
        )
    if len(known) == len(classes) and np.array_equal(known, classes):
        return proba
    ours = np.isin(known, classes)
    # Columns of no class of the task are dropped; rows then sum to less than 1.
    aligned = np.zeros((len(proba), len(classes)), dtype=proba.dtype)
    aligned[:, np.searchsorted(classes, known[ours])] = proba[:, ours]
    return aligned


class Predicted(ClassifierMixin, BaseEstimator):
    """A classifier that has already predicted, for scikit-learn's scorers.

    The scorers then need no second pass.
    """

    def __init__(self, classes: Array, proba: Array):
        self.classes = classes
        self.proba = proba
        self.classes_ = classes

    def predict(self, X: Any) -> Array:
        """Return the most probable classes, whatever X is."""
        return self.classes[self.proba.argmax(axis=1)]

    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities, whatever X is."""
        return self.proba

    def __sklearn_is_fitted__(self) -> bool:
        return True
