"""Strategies for classifiers that give several labels to each row."""

from __future__ import annotations

from typing import Any

import numpy as np

from al_sklearn._core.random import RandomState
from al_sklearn._core.types import Array
from al_sklearn.modal._sampling import Chosen, best, sampling
from al_sklearn.rows import n_rows

__all__ = [
    "SVM_binary_minimum",
    "avg_confidence",
    "avg_score",
    "max_loss",
    "max_score",
    "mean_max_loss",
    "min_confidence",
]


def _binary_minimum(classifier: Any, X: Any) -> Array:
    """Distance to the nearest of the binary decision boundaries."""
    estimator = getattr(classifier, "estimator", classifier)
    # A learner and a bare OneVsRestClassifier both have an `estimator`: only fitted
    # ones have `estimators_`.
    fitted = estimator if hasattr(estimator, "estimators_") else classifier
    decisions = [svm.decision_function(X) for svm in fitted.estimators_]
    return np.abs(decisions).min(axis=0)


def SVM_binary_minimum(
    classifier: Any,
    # modAL's name of it, here alone.
    X_pool: Any,
    n_instances: int = 1,
    random_tie_break: bool = False,
    *,
    random_state: RandomState = None,
) -> Chosen:
    """Choose the rows nearest to the boundary of any of the binary SVMs (Brinker 2006).

    Parameters
    ----------
    classifier : ActiveLearner around, or a fitted, OneVsRestClassifier of SVMs
    X_pool : rows that the SVMs take
    n_instances : int, default=1
    random_tie_break : bool, default=False
        Whether ties are broken at random instead of by position.
    random_state : int, Generator or None, default=None
        For ``random_tie_break``.

    Returns
    -------
    indices : int64 array of shape (n_instances,)
        Nearest first.
    metrics : float array of shape (n_instances,)
        Distance to the boundary.
    """
    return best(
        _binary_minimum(classifier, X_pool),
        n_instances,
        random_tie_break,
        random_state,
        smallest=True,
    )


def _signs(classifier: Any, X: Any) -> Array:
    """Predicted labels as -1 and 1, (n, n_labels)."""
    return 2 * np.asarray(classifier.predict(X)) - 1


def _max_loss(classifier: Any, X: Any) -> Array:
    """Hinge loss if only the most certain label were right (Li et al. 2004)."""
    signs = _signs(classifier, X)
    certain = np.asarray(classifier.predict_proba(X)).argmax(axis=1)
    right = np.full(signs.shape, -1)
    right[np.arange(n_rows(X)), certain] = 1
    return np.maximum(1 - right * signs, 0).sum(axis=1)


def _mean_max_loss(classifier: Any, X: Any) -> Array:
    """Mean over the labels of the hinge loss if only that label were right.

    See Li et al. 2004.
    """
    signs = _signs(classifier, X)
    # One row a label: that label right, all others wrong.
    right = 2 * np.eye(signs.shape[1]) - 1
    return np.maximum(1 - signs @ right, 0).mean(axis=1)


def _min_confidence(classifier: Any, X: Any) -> Array:
    """Smallest probability of a label."""
    return np.asarray(classifier.predict_proba(X)).min(axis=1)


def _avg_confidence(classifier: Any, X: Any) -> Array:
    """Mean probability of the labels."""
    return np.asarray(classifier.predict_proba(X)).mean(axis=1)


def _scores(classifier: Any, X: Any) -> Array:
    # modAL's scale: half of the sign.
    signs = np.asarray(classifier.predict(X)) - 0.5
    return np.asarray(classifier.predict_proba(X)) * signs


def _max_score(classifier: Any, X: Any) -> Array:
    """Largest probability, signed by the prediction."""
    return _scores(classifier, X).max(axis=1)


def _avg_score(classifier: Any, X: Any) -> Array:
    """Mean probability, signed by the prediction."""
    return _scores(classifier, X).mean(axis=1)


_MULTILABEL = "fitted multilabel classifier, or ActiveLearner around it"
max_loss = sampling(
    "max_loss",
    _max_loss,
    "Choose the rows with the largest loss of the most certain label.",
    kind=_MULTILABEL,
)
mean_max_loss = sampling(
    "mean_max_loss",
    _mean_max_loss,
    "Choose the rows with the largest mean loss over the labels.",
    kind=_MULTILABEL,
)
min_confidence = sampling(
    "min_confidence",
    _min_confidence,
    "Choose the rows with the smallest probability of a label (Esuli & Sebastiani "
    "2009).",
    smallest=True,
    kind=_MULTILABEL,
)
avg_confidence = sampling(
    "avg_confidence",
    _avg_confidence,
    "Choose the rows with the largest mean probability (Esuli & Sebastiani 2009).",
    kind=_MULTILABEL,
)
max_score = sampling(
    "max_score",
    _max_score,
    "Choose the rows with the largest signed probability.",
    kind=_MULTILABEL,
)
avg_score = sampling(
    "avg_score",
    _avg_score,
    "Choose the rows with the largest mean signed probability.",
    kind=_MULTILABEL,
)
