"""What every learner shares: scikit-learn's conventions for its estimators.

A learner has one estimator or several.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal, overload

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.validation import check_is_fitted

from al_sklearn._core.random import RandomState, as_generator
from al_sklearn._core.types import Array, Options
from al_sklearn.inference import takes_nan, takes_sparse
from al_sklearn.learners import _query
from al_sklearn.learners._checks import check_words

# modAL's constructors take data and **fit_kwargs; neither is a parameter that a clone
# should carry.
_DATA = ("X_training", "y_training")
# Members of one committee are of one kind: the first tells.
_FIRST_TAGS = (
    "estimator_type",
    "classifier_tags",
    "regressor_tags",
    "target_tags",
    "input_tags",
)


class LearnerBase(BaseEstimator):
    """Parameters, tags, routing, randomness and ``query`` of every learner.

    They are for one estimator or a committee.

    A subclass has ``query_strategy``, ``random_state`` and ``_members()``.
    """

    query_strategy: str | Callable
    random_state: RandomState
    _stream: tuple[RandomState, np.random.Generator] | None = None
    # What a loop keeps for validation, for strategies that train clones or look at it.
    X_val: Any = None
    y_val: Any = None

    @classmethod
    def _get_param_names(cls) -> list[str]:
        # scikit-learn refuses constructors with **kwargs; ours has them because modAL's
        # has.
        parameters = inspect.signature(cls.__init__).parameters
        variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        names = {name for name, one in parameters.items() if one.kind not in variadic}
        return sorted(names - {"self", *_DATA})

    def _members(self) -> Options:
        """Estimators by the name under which metadata is routed to them."""
        raise NotImplementedError

    def _generator(self) -> np.random.Generator:
        """Return the stream of ``random_state``.

        It moves on with each use and starts again when the seed changes.
        """
        # By identity: equal seeds set anew begin anew.
        if self._stream is None or self._stream[0] is not self.random_state:
            self._stream = (self.random_state, as_generator(self.random_state))
        return self._stream[1]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        of_members = [
            get_tags(member)
            for member in self._members().values()
            if hasattr(member, "__sklearn_tags__")
        ]
        if of_members:
            for name in _FIRST_TAGS:
                setattr(tags, name, getattr(of_members[0], name))
            # What one member cannot take, the committee cannot.
            members = self._members().values()
            tags.input_tags.sparse = all(map(takes_sparse, members))
            tags.input_tags.allow_nan = all(map(takes_nan, members))
            tags.array_api_support = all(one.array_api_support for one in of_members)
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return all(_is_fitted(member) for member in self._members().values())

    @property
    def n_features_in_(self) -> int:
        """Number of features that the estimator was fitted on."""
        return self._fitted(next(iter(self._members().values())), "n_features_in_")

    @property
    def feature_names_in_(self) -> Array:
        """Names of those features, where fitted on a DataFrame with string columns."""
        return self._fitted(next(iter(self._members().values())), "feature_names_in_")

    def _fitted(self, estimator: Any, attribute: str) -> Any:
        try:
            return getattr(estimator, attribute)
        except AttributeError:
            # NotFittedError is an AttributeError too, so hasattr and getattr with a
            # default see what they expect.
            raise NotFittedError(
                f"{type(self).__name__} has no {attribute}: its "
                f"{type(estimator).__name__} is not fitted yet, or does "
                "not have it. Call fit or teach first."
            ) from None

    def get_metadata_routing(self) -> MetadataRouter:
        """Say where metadata such as ``sample_weight`` goes.

        To the estimator's method of the same name.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRouter
        """
        mapping = MethodMapping()
        for method in ("fit", "predict", "predict_proba", "score"):
            mapping.add(caller=method, callee=method)
        return MetadataRouter(owner=self).add(method_mapping=mapping, **self._members())

    def _routed(self, method: str, kwargs: Options) -> dict[str, Options]:
        """Arguments of ``method`` for each member.

        All of them for all when routing is off, as in modAL.
        """
        if method == "fit":
            check_words(self, kwargs, next(iter(self._members().values())))
        # Routing would refuse what nobody requested, as modAL never did.
        if not kwargs or not get_config()["enable_metadata_routing"]:
            return dict.fromkeys(self._members(), kwargs)
        routed = process_routing(self, method, **kwargs)
        return {name: dict(routed[name][method]) for name in self._members()}

    @overload
    def query(
        self,
        X_pool: Any,
        *query_args: Any,
        return_metrics: Literal[False] = ...,
        at_most: bool = ...,
        **query_kwargs: Any,
    ) -> tuple[Array, Any]: ...

    @overload
    def query(
        self,
        X_pool: Any,
        *query_args: Any,
        return_metrics: Literal[True],
        at_most: bool = ...,
        **query_kwargs: Any,
    ) -> tuple[Array, Any, Array | None]: ...

    def query(
        self,
        X_pool: Any,
        *query_args: Any,
        return_metrics: bool = False,
        at_most: bool = False,
        **query_kwargs: Any,
    ) -> tuple[Array, Any] | tuple[Array, Any, Array | None]:
        """Choose the rows of a pool whose labels would help most.

        Parameters
        ----------
        X_pool : any kind of rows
            The unlabelled rows. Read by the strategy as it needs them; only the rows
            chosen are taken out.
        *query_args
            Passed on to the query strategy; the first is ``n_instances``.
        return_metrics : bool, default=False
            Whether the scores of the rows chosen are returned too.
        at_most : bool, default=False
            Whether a pool smaller than ``n_instances`` gives what is left of it, as in
            the last round of a live loop; an empty one stays an error.
        **query_kwargs
            Passed on to the query strategy. Where it takes ``random_state``, the
            learner's own, if set, is passed.

        Returns
        -------
        indices : int64 array of shape (n_instances,)
            Positions in ``X_pool`` (never pandas labels).
        rows : kind of X_pool
            The rows at those positions; a pandas index is kept.
        scores : float array of shape (n_instances,) or None
            Only with ``return_metrics=True``; None, with a warning, where the strategy
            returns none.

        Raises
        ------
        ValueError
            When the pool is empty, or smaller than ``n_instances`` without ``at_most``,
            or the answer of the strategy is not as many different positions in it as
            were asked for.

        Notes
        -----
        The strategy is called exactly once. It may return indices or ``(indices,
        scores)``: a ``tuple`` of two is read as the latter, unless both are plain
        integers; a list or an array is always indices, whatever its length.
        """
        return _query.query(
            self, X_pool, query_args, query_kwargs, return_metrics, at_most
        )


def _is_fitted(estimator: Any) -> bool:
    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError):
        return False
    return True
