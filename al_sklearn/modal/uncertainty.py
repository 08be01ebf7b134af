"""Uncertainty of a classifier, and uncertainty sampling."""

from __future__ import annotations

from typing import Any

import numpy as np

from al_sklearn._core.types import Array
from al_sklearn.modal._sampling import cold_start, sampling
from al_sklearn.strategies import measures

__all__ = [
    "classifier_entropy",
    "classifier_margin",
    "classifier_uncertainty",
    "entropy_sampling",
    "margin_sampling",
    "uncertainty_sampling",
]


# What modAL gives while nothing is fitted: the most that least confidence can be, and
# 0 for the others, so that ties decide.
@cold_start(1.0)
def classifier_uncertainty(
    classifier: Any, X: Any, **predict_proba_kwargs: Any
) -> Array:
    """One minus the largest probability.

    Parameters
    ----------
    classifier : classifier or learner
        1 for every row while it is not fitted.
    X : any kind of rows
    **predict_proba_kwargs
        Passed on to ``predict_proba``.

    Returns
    -------
    array of shape (n,)
    """
    return measures.least_confidence(
        classifier.predict_proba(X, **predict_proba_kwargs)
    )


@cold_start(0.0)
def classifier_margin(classifier: Any, X: Any, **predict_proba_kwargs: Any) -> Array:
    """Difference of the two largest probabilities.

    Small where the classifier is unsure.

    Parameters
    ----------
    classifier : classifier or learner
        0 for every row while it is not fitted.
    X : any kind of rows
    **predict_proba_kwargs
        Passed on to ``predict_proba``.

    Returns
    -------
    array of shape (n,)
        0 for a classifier that knows one class only.
    """
    proba = np.asarray(classifier.predict_proba(X, **predict_proba_kwargs))
    # One class leaves no second: nothing is known, as with equal probabilities.
    return np.zeros(len(proba)) if proba.shape[1] == 1 else 1 - measures.margin(proba)


@cold_start(0.0)
def classifier_entropy(classifier: Any, X: Any, **predict_proba_kwargs: Any) -> Array:
    """Entropy of the probabilities, in nats.

    Parameters
    ----------
    classifier : classifier or learner
        0 for every row while it is not fitted.
    X : any kind of rows
    **predict_proba_kwargs
        Passed on to ``predict_proba``.

    Returns
    -------
    array of shape (n,)
    """
    return measures.entropy(classifier.predict_proba(X, **predict_proba_kwargs))


uncertainty_sampling = sampling(
    "uncertainty_sampling",
    classifier_uncertainty,
    "Choose the rows whose most likely class is least likely.",
)
margin_sampling = sampling(
    "margin_sampling",
    classifier_margin,
    "Choose the rows whose two most likely classes are closest.",
    smallest=True,
)
entropy_sampling = sampling(
    "entropy_sampling",
    classifier_entropy,
    "Choose the rows whose probabilities have the largest entropy.",
)
