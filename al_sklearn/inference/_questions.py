"""What is known of a classifier before it is asked for anything."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from al_sklearn._core.types import Array
from al_sklearn.inference._adapter import adapter_of
from al_sklearn.rows import RowView, concat_rows, is_data_set, n_rows


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


def labelled_rows(classifier: Any, X_labelled: Any = None) -> Any:
    """Return the rows that are labelled, or will be with this batch.

    Parameters
    ----------
    classifier : estimator, Pipeline, ActiveLearner, Committee or None
    X_labelled : rows, optional
        What is labelled already; ``classifier.X_training`` by default.

    Returns
    -------
    rows, or None where there are none
        What is labelled, and then what an earlier part of the same batch has taken,
        whose labels nobody knows yet.
    """
    parts = labelled_parts(classifier, X_labelled)
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else concat_rows(*parts)


def labelled_parts(classifier: Any, X_labelled: Any = None) -> list[Any]:
    """Return what :func:`labelled_rows` joins, each as it is.

    The classifier reads both, also where one is flat and the other is images.

    Parameters
    ----------
    classifier, X_labelled
        As in :func:`labelled_rows`.

    Returns
    -------
    parts : list of up to two kinds of rows, neither empty
    """
    rows, _ = labelled_data(classifier, X_labelled)
    taken = readable(classifier, getattr(classifier, "X_taken", None))
    return [part for part in (rows, taken) if part is not None and n_rows(part) > 0]


def validation_data(
    classifier: Any,
    X_val: Any = None,
    y_val: Any = None,
) -> tuple[Any, Any]:
    """Return the rows and labels kept for validation.

    What was passed, else what the learner holds, as in a round of an experiment with a
    validation set, else (None, None).
    """
    if X_val is None and y_val is None:
        X_val = getattr(classifier, "X_val", None)
        y_val = getattr(classifier, "y_val", None)
    return readable(classifier, X_val), y_val


def takes_nan(classifier: Any) -> bool:
    """Whether a classifier takes rows with NaN, by its tags and by what it is made of.

    Scikit-learn's tag of a ``Pipeline``, a ``ColumnTransformer``, a search or a
    calibration does not look inside: an imputer in front is not seen.

    Parameters
    ----------
    classifier : estimator, Pipeline, ActiveLearner, Committee or None
        A learner with ``force_all_finite=False`` takes what it was told to.

    Examples
    --------
    >>> from sklearn.impute import SimpleImputer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from al_sklearn.inference import takes_nan
    >>> model = LogisticRegression()
    >>> takes_nan(model), takes_nan(make_pipeline(SimpleImputer(), model))
    (False, True)
    """
    if getattr(classifier, "force_all_finite", True) is False:
        return True
    return classifier is not None and _takes(classifier, "allow_nan")


def takes_sparse(classifier: Any) -> bool:
    """Whether a classifier takes sparse rows; see :func:`takes_nan`."""
    return classifier is not None and _takes(classifier, "sparse")


# Steps of these hand on what is missing, and zeros that are not stored; what others
# make of it, an imputer or a function, has neither.
_HANDING_ON = (
    "sklearn.preprocessing._data",
    "sklearn.feature_selection.",
    "sklearn.feature_extraction.",
)


def _takes_steps(pipeline: Pipeline, tag: str) -> bool:
    for _, step in pipeline.steps:
        if step is None or isinstance(step, str):
            continue
        if not _takes(step, tag):
            return False
        if not type(step).__module__.startswith(_HANDING_ON):
            return True
    return True


def _takes(part: Any, tag: str) -> bool:
    # What does nothing hands on whatever comes.
    if part is None or isinstance(part, str):
        return True
    try:
        tags = get_tags(part)
    # Whatever has no tags, or cannot say them yet, says for itself when it is fitted.
    except (AttributeError, TypeError, ValueError):
        tags = None
    if tags is not None and (getattr(tags.input_tags, tag) or tags.no_validation):
        return True
    if isinstance(part, Pipeline):
        return _takes_steps(part, tag)
    for name, of_all in (
        # Some columns may be imputed, and others have nothing missing.
        ("transformers", any),
        ("transformer_list", all),
        ("learner_list", all),
        ("estimators", all),
    ):
        inside = getattr(part, name, None)
        if isinstance(inside, (list, tuple)) and inside:
            return of_all(
                _takes(one[1] if isinstance(one, tuple) else one, tag) for one in inside
            )
    inner = getattr(part, "estimator", None)
    if hasattr(inner, "fit"):
        return _takes(inner, tag)
    return tags is None
