"""What wrappers have in common.

A fitted classifier inside, whose features are theirs too.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from al_sklearn import inference


def unshared(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function of :mod:`al_sklearn.inference` without keeping its result.

    It is not kept for the rest of the query.

    The wrapper's own result is kept already; it is called with one chunk of X after the
    other, and all of them would stay in memory.
    """
    # In an empty context there is no query to share with.
    return Context().run(function, *args)


class Wrapper(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """A classifier made of another one, of its kind by scikit-learn's tags."""

    estimator: Any

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags

    def _copy_shape(self, fitted: Any) -> None:
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(fitted, name):
                setattr(self, name, getattr(fitted, name))


def _fitted_or_not(wrapper: Any) -> Any:
    return getattr(wrapper, "estimator_", wrapper.estimator)


class OneInside(Wrapper):
    """A wrapper around one fitted classifier, ``estimator_``, that gives what it gives.

    ``fit`` of the class below sets ``estimator_``.
    """

    estimator_: Any

    def embed(self, X: Any, layer: str | None = None) -> np.ndarray:
        """Return the features of the classifier inside.

        See :func:`al_sklearn.inference.embed`.

        Parameters
        ----------
        X : any kind of rows, n of them
        layer : str, optional
            Name of a layer; nets only.

        Returns
        -------
        ndarray of shape (n, d)
        """
        check_is_fitted(self, "estimator_")
        return unshared(inference.embed, self.estimator_, X, layer)

    @available_if(lambda self: inference.gives_loss(_fitted_or_not(self)))
    def predict_loss(self, X: Any) -> np.ndarray:
        """Return the losses that the classifier inside predicts, (n,)."""
        check_is_fitted(self, "estimator_")
        return unshared(inference.predict_loss, self.estimator_, X)
