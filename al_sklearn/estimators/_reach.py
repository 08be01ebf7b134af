"""What wrappers have in common.

A fitted classifier inside, whose features are theirs too.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import Any

from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet

from al_sklearn import inference
from al_sklearn._core.types import Array, Function
from al_sklearn.estimators._data import ImageDataset, labels_of


def unshared(function: Function, *args: Any) -> Any:
    """Call a function of :mod:`al_sklearn.inference` without keeping its result.

    It is not kept for the rest of the query.

    The wrapper's own result is kept already; it is called with one chunk of X after the
    other, and all of them would stay in memory.
    """
    # In an empty context there is no query to share with.
    return Context().run(function, *args)


def inner_net(estimator: Any) -> tuple[str, Any] | None:
    """Return the prefix of the skorch net's parameters and the net itself, or None.

    The net is the object itself or the last step of a pipeline (``"step__"``).
    """
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        found = inner_net(last)
        return None if found is None else (f"{name}__{found[0]}", found[1])
    return ("", estimator) if isinstance(estimator, NeuralNet) else None


def add_callback(estimator: Any, name: str, callback: Any) -> None:
    """Add a callback to the net inside, if there is one that takes callbacks."""
    found = inner_net(estimator)
    if found is None or found[1].callbacks == "disable":
        return
    prefix, net = found
    callbacks = [*(net.callbacks or []), (name, callback)]
    estimator.set_params(**{f"{prefix}callbacks": callbacks})


def with_module(net: Any, module: Any) -> Any:
    """Return a fitted net with another network; all else is shared."""
    # Not copy.copy, which would pickle the network and the optimizer.
    other = object.__new__(type(net))
    vars(other).update(vars(net), module_=module)
    return other


class Wrapper(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """A classifier made of another one, of its kind by scikit-learn's tags."""

    estimator: Any
    classes_: Array
    predict_proba: Callable[..., Array]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags

    def _check_gives_proba(self) -> None:
        if not hasattr(self.estimator, "predict_proba"):
            raise TypeError(
                f"{type(self).__name__} needs a classifier with predict_proba, got "
                f"{self.estimator!r}."
            )

    def _copy_shape(self, fitted: Any) -> None:
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(fitted, name):
                setattr(self, name, getattr(fitted, name))

    def predict(self, X: Any) -> Array:
        """Return the class of the largest probability, (n,)."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the accuracy of ``predict``.

        Parameters
        ----------
        X : any kind of rows
        y : array-like of shape (n,), optional
            Labels; None when X is a torch Dataset that holds them.
        sample_weight : array-like of shape (n,), optional

        Returns
        -------
        float
        """
        y = labels_of(ImageDataset(X)) if y is None else y
        return super().score(X, y, sample_weight)


def _fitted_or_not(wrapper: Any) -> Any:
    return getattr(wrapper, "estimator_", wrapper.estimator)


class OneInside(Wrapper):
    """A wrapper around one fitted classifier, ``estimator_``, that gives what it gives.

    ``fit`` of the class below sets ``estimator_``.
    """

    estimator_: Any

    def embed(self, X: Any, layer: str | None = None) -> Array:
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
    def predict_loss(self, X: Any) -> Array:
        """Return the losses that the classifier inside predicts, (n,)."""
        check_is_fitted(self, "estimator_")
        return unshared(inference.predict_loss, self.estimator_, X)
