"""What is known of a classifier before it is asked for anything."""

from __future__ import annotations

from typing import Any

import numpy as np

from al_sklearn._core.types import Array
from al_sklearn.inference._adapter import adapter_of
from al_sklearn.rows import RowView, is_data_set, n_rows


def gives(classifier: Any, capability: str) -> bool:
    """Whether a classifier, fitted or not, can be asked for a capability.

    Parameters
    ----------
    classifier : estimator, Pipeline, ActiveLearner, Committee or None
    capability : str
        Name of a function of this module: ``"predict_loss"``, ``"embed"`` …

    Examples
    --------
    >>> from sklearn.svm import LinearSVC
    >>> from al_sklearn.inference import gives
    >>> gives(LinearSVC(), "predict_proba")
    False
    """
    return adapter_of(classifier).gives(capability)


def gives_loss(classifier: Any) -> bool:
    """Whether :func:`predict_loss` can be asked of a classifier, fitted or not."""
    return gives(classifier, "predict_loss")


def learns_features(classifier: Any) -> bool:
    """Whether its embedding is learnt from labels, so that a clone's is another."""
    return adapter_of(classifier).learns_features()


def unwrap(classifier: Any) -> Any:
    """Return the estimator that predicts inside learners, experiments and searches."""
    return adapter_of(classifier).estimator


def readable(classifier: Any, X: Any) -> Any:
    """X as the classifier can read it.

    Items of a torch data set in one array, for what takes arrays alone.

    Parameters
    ----------
    classifier : estimator, Pipeline, ActiveLearner, Committee or None
        Those of scikit-learn, a Pipeline that begins with one, a Committee of them, and
        ``None`` take arrays alone.
    X : any kind of rows, n of them
        Of a data set's pairs (row, label) the row.

    Returns
    -------
    X : the same, or ndarray of shape (n, …)
    """
    base = X.base if isinstance(X, RowView) else X
    if not is_data_set(base) or n_rows(X) == 0:
        return X
    if not adapter_of(classifier).takes_arrays_alone():
        return X
    rows = X if base is X else X.rows()
    items = []
    for i in range(n_rows(X)):
        item = rows[i]
        # Of a pair the row alone: the label inside is not asked for here.
        first = item[0] if isinstance(item, (tuple, list)) else item
        items.append(np.asarray(first))
    return np.stack(items)


def classes_of(classifier: Any) -> Array:
    """Return the class labels, in the order of the columns of the probabilities."""
    adapter = adapter_of(classifier)
    adapter.check_fitted()
    # The estimator inside first: its columns are those of the probabilities.
    for candidate in (adapter.estimator, classifier):
        if getattr(candidate, "classes_", None) is not None:
            return np.asarray(candidate.classes_)
    raise adapter.cannot("classes")


def columns_of(classifier: Any, n_columns: int) -> Array:
    """Return the class label of each column of the classifier's probabilities.

    Those of :func:`classes_of`, but for a plain skorch net that was fitted without some
    class: it infers its classes from the labels it saw, and still has an output for
    each integer.

    Parameters
    ----------
    classifier : estimator, Pipeline, ActiveLearner or Committee
        Fitted.
    n_columns : int
        Of its probabilities.

    Returns
    -------
    labels : ndarray of shape (n_columns,)

    Raises
    ------
    ValueError
        When the classes do not say which label a column is of.
    """
    classes = classes_of(classifier)
    if len(classes) == n_columns:
        return classes
    are_integers = classes.dtype.kind in "iu"
    if are_integers and classes.min() >= 0 and classes.max() < n_columns:
        return np.arange(n_columns, dtype=classes.dtype)
    name = type(adapter_of(classifier).estimator).__name__
    raise ValueError(
        f"{name} gives {n_columns} columns of probabilities for the {len(classes)} "
        f"classes {classes}."
    )


def labelled_data(
    classifier: Any,
    X_labelled: Any = None,
    y_labelled: Any = None,
) -> tuple[Any, Any]:
    """Return the labelled rows and labels.

    What was passed, else what the learner was taught, else (None, None).
    """
    if X_labelled is None:
        X_labelled = getattr(classifier, "X_training", None)
        if y_labelled is None:
            y_labelled = getattr(classifier, "y_training", None)
    return readable(classifier, X_labelled), y_labelled
