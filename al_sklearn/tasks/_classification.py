"""What is measured of a model on a test set, from one set of probabilities."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from al_sklearn.tasks._calibration import expected_calibration_error

LOWER_IS_BETTER: Final = frozenset({"nll", "ece"})
METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "nll", "ece")


def evaluate(
    y_true: np.ndarray, proba: np.ndarray, calibrated: bool = True
) -> dict[str, Any]:
    """Measure probabilities against true classes.

    Parameters
    ----------
    y_true : int array of shape (n,)
        Positions of the true classes in the columns of ``proba``.
    proba : float array of shape (n, C)
        Probabilities; a class that the model does not know has 0.
    calibrated : bool, default=True
        False where ``proba`` is only the predicted class: NLL and ECE are then NaN.

    Returns
    -------
    dict
        accuracy, balanced_accuracy (mean over the classes that are there), macro_f1
        (over the classes that are there or are predicted), nll (nats, as scikit-learn's
        ``log_loss``), ece (15 bins), and ``class_accuracy``, a list of C with NaN for a
        class without test images.
    """
    n, n_classes = proba.shape
    predicted = proba.argmax(axis=1)
    confusion = np.bincount(
        y_true * n_classes + predicted, minlength=n_classes**2
    ).reshape(n_classes, n_classes)
    right = np.diag(confusion)
    true, guessed = confusion.sum(axis=1), confusion.sum(axis=0)
    class_accuracy = np.divide(
        right, true, out=np.full(n_classes, np.nan), where=true > 0
    )
    seen = (true + guessed) > 0
    nll = ece = float("nan")
    if calibrated:
        p_true = proba[np.arange(n), y_true].astype(np.float64)
        nll = float(-np.log(np.clip(p_true, np.finfo(np.float64).eps, 1.0)).mean())
        ece = expected_calibration_error(y_true, proba)
    return {
        "accuracy": float(right.sum() / n),
        "balanced_accuracy": float(np.nanmean(class_accuracy)),
        "macro_f1": float((2 * right[seen] / (true + guessed)[seen]).mean()),
        "nll": nll,
        "ece": ece,
        "class_accuracy": class_accuracy.tolist(),
    }


def align_columns(
    proba: np.ndarray, known: np.ndarray, classes: np.ndarray
) -> np.ndarray:
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
    aligned = np.zeros((len(proba), len(classes)), dtype=proba.dtype)
    aligned[:, np.searchsorted(classes, known[ours])] = proba[:, ours]
    return aligned


class Predicted(ClassifierMixin, BaseEstimator):
    """A classifier that has already predicted, for scikit-learn's scorers.

    The scorers then need no second pass.
    """

    def __init__(self, classes: np.ndarray, proba: np.ndarray):
        self.classes = classes
        self.proba = proba
        self.classes_ = classes

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable classes, whatever X is."""
        return self.classes[self.proba.argmax(axis=1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities, whatever X is."""
        return self.proba

    def __sklearn_is_fitted__(self) -> bool:
        return True
