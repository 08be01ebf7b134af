"""The kinds of classifiers that the library knows, but for nets."""

from __future__ import annotations

from typing import Any

import numpy as np

from al_sklearn._core.random import as_generator
from al_sklearn._core.types import Array, Function
from al_sklearn.inference._adapter import (
    Adapter,
    Factors,
    TwoArrays,
    adapter_of,
    own_first,
    register_adapter,
)
from al_sklearn.inference._checks import proba_array
from al_sklearn.rows import n_rows


@register_adapter(lambda classifier: hasattr(classifier, "best_estimator_"))
def search(classifier: Any) -> Adapter:
    """A fitted search predicts with the best it has found."""
    return adapter_of(classifier.best_estimator_)


@register_adapter(
    lambda classifier: (
        hasattr(classifier, "query_strategy") and hasattr(classifier, "estimator")
    )
)
def learner(classifier: Any) -> Adapter:
    """A learner predicts with its estimator, an experiment with the fitted one."""
    return adapter_of(getattr(classifier, "estimator_", classifier.estimator))


@register_adapter("skorch.net.NeuralNet")
def net(classifier: Any) -> Adapter:
    """A skorch net; what runs it needs torch, which whoever has a net has imported."""
    from al_sklearn.inference._net import Net

    return Net(classifier)


@register_adapter("sklearn.linear_model.LogisticRegression")
class Linear(Adapter):
    """Logistic regression."""

    @own_first
    def last_layer(self, X: Any) -> TwoArrays:
        weights = np.array(self.estimator.coef_)
        bias = np.broadcast_to(self.estimator.intercept_, len(weights)).copy()
        if len(weights) > 1:
            return weights, bias
        # Two classes have one logit: that of the first is 0.
        weights = np.concatenate([0 * weights, weights])
        return weights, np.concatenate([0 * bias, bias])


def _of_last(capability: str) -> Function:
    """Ask the last step for it, of what the steps before make of X."""

    def asked(self: Steps, X: Any, *options: Any) -> Any:
        return getattr(self.last, capability)(self.transformed(X), *options)

    asked.__name__ = capability
    return asked


@register_adapter("sklearn.pipeline.Pipeline")
class Steps(Adapter):
    """A pipeline: what its last step gives, of what the others make of X."""

    @property
    def last(self) -> Adapter:
        return adapter_of(self.estimator[-1])

    def transformed(self, X: Any) -> Any:
        # A pipeline of no steps cannot be asked.
        if len(self.estimator) == 1:
            return X
        return self.estimator[:-1].transform(X)

    def gives(self, capability: str) -> bool:
        if capability == "proba_and_embed":
            # Its own predict_proba is what the user sees, to the last bit.
            return False
        # The transform itself is an embedding.
        return capability == "embed" or self.last.gives(capability)

    def takes_arrays_alone(self) -> bool:
        return adapter_of(self.estimator[0]).takes_arrays_alone()

    def learns_features(self) -> bool:
        return self.last.learns_features()

    def networks(self) -> list[Any]:
        return self.last.networks()

    sample_proba = own_first(_of_last("sample_proba"))
    embed = own_first(_of_last("embed"))
    gradient_factors = own_first(_of_last("gradient_factors"))
    last_layer = own_first(_of_last("last_layer"))
    input_gradient = own_first(_of_last("input_gradient"))
    predict_loss = _of_last("predict_loss")

    def sample_weights(self, n_samples: int | None) -> Array | None:
        return self.last.sample_weights(n_samples)

    feature_dropout = _of_last("feature_dropout")
    network_inputs = _of_last("network_inputs")


@register_adapter(lambda classifier: hasattr(classifier, "vote_proba"))
class Members(Adapter):
    """A committee of learners."""

    @property
    def members(self) -> list[Adapter]:
        return [adapter_of(member) for member in self.estimator.learner_list]

    def gives(self, capability: str) -> bool:
        if capability != "embed":
            return super().gives(capability)
        has_own = hasattr(self.estimator, "embed")
        return has_own or all(member.gives("embed") for member in self.members)

    def check_fitted(self) -> None:
        for member in self.members:
            member.check_fitted()

    def takes_arrays_alone(self) -> bool:
        return all(member.takes_arrays_alone() for member in self.members)

    def learns_features(self) -> bool:
        return any(member.learns_features() for member in self.members)

    def networks(self) -> list[Any]:
        return [part for member in self.members for part in member.networks()]

    def _all_give_proba(self) -> bool:
        learners = self.estimator.learner_list
        return all(hasattr(member, "predict_proba") for member in learners)

    def predict_proba(self, X: Any) -> Any:
        if not self._all_give_proba():
            raise self.cannot("predict_proba")
        return super().predict_proba(X)

    @own_first
    def sample_proba(self, X: Any, n_samples: int | None, seed: int) -> Array:
        if not self._all_give_proba():
            raise self.cannot("sample_proba", "all its members need predict_proba.")
        with self.modes_kept():
            votes = np.asarray(self.estimator.vote_proba(X))
        votes = np.moveaxis(votes, 1, 0)
        return votes[_pick(len(votes), n_samples, seed)]

    @own_first
    def embed(self, X: Any, layer: str | None = None) -> Any:
        if layer is not None or not self.gives("embed"):
            return super().embed(X, layer)
        return np.concatenate([member.embed(X) for member in self.members], axis=1)

    def feature_dropout(self, X: Any, n_samples: int, factors: Factors) -> Array:
        # The members' embeddings are joined: none predicts from all of them.
        raise self.cannot("feature_dropout")


class _Ensemble(Adapter):
    """Fitted estimators that vote, each a posterior sample."""

    @own_first
    def sample_proba(self, X: Any, n_samples: int | None, seed: int) -> Array:
        X = self.readable(X)
        chosen = _pick(len(self.estimator.estimators_), n_samples, seed)
        return np.stack([self.of_member(i, X) for i in chosen])

    def readable(self, X: Any) -> Any:
        """X as its members read it, made once for all of them."""
        return X

    def seen_by(self, i: int, X: Any) -> Any:
        """X as one of its members saw it."""
        return X

    def of_member(self, i: int, X: Any) -> Array:
        """Probabilities of one member, in the columns of the ensemble."""
        member = self.estimator.estimators_[i]
        if not hasattr(member, "predict_proba"):
            instead = "all members of the ensemble need predict_proba."
            raise Adapter(member).cannot("sample_proba", instead)
        n_classes = len(self.estimator.classes_)
        proba = np.zeros((n_rows(X), n_classes))
        # The member's own classes are positions among those of the ensemble.
        columns = np.asarray(member.classes_, dtype=np.int64)
        proba[:, columns] = proba_array(member.predict_proba(self.seen_by(i, X)))
        return proba


@register_adapter("sklearn.ensemble.VotingClassifier")
class Voting(_Ensemble):
    """Estimators that vote, each as much as it weighs; what weighs 0 is no member."""

    @own_first
    def sample_proba(self, X: Any, n_samples: int | None, seed: int) -> Array:
        weights = self._weights()
        members = np.flatnonzero(weights)
        chosen = members[_pick(len(members), n_samples, seed)]
        if len(chosen) < len(members) and np.ptp(weights[members]) > 0:
            # By their weights, so that each sample counts the same.
            chances = weights[members] / weights.sum()
            drawn = as_generator(seed).choice(
                members, size=len(chosen), replace=False, p=chances
            )
            chosen = np.sort(drawn)
        return np.stack([self.of_member(i, X) for i in chosen])

    def sample_weights(self, n_samples: int | None) -> Array | None:
        if hasattr(self.estimator, "sample_proba"):
            # Whoever says what the samples are makes them count as they should.
            return None
        weights = self._weights()
        weights = weights[weights > 0]
        drawn = n_samples is not None and n_samples < len(weights)
        if drawn or (weights == weights[:1]).all():
            return None
        return weights / weights.sum()

    def _weights(self) -> Array:
        given = self.estimator.weights
        if given is None:
            return np.ones(len(self.estimator.estimators_))
        # What was dropped has a weight, and is not among the fitted ones.
        pairs = zip(self.estimator.estimators, given, strict=True)
        return np.array([weight for (_, part), weight in pairs if part != "drop"])


@register_adapter("sklearn.ensemble.RandomForestClassifier")
@register_adapter("sklearn.ensemble.ExtraTreesClassifier")
class Forest(_Ensemble):
    """A forest of trees."""

    def readable(self, X: Any) -> Any:
        # Trees compute in float32: converted once, not once a tree.
        is_sparse = hasattr(X, "tocsr")
        return (X if is_sparse else np.asarray(X)).astype(np.float32, copy=False)


@register_adapter("sklearn.ensemble.BaggingClassifier")
class Bagging(_Ensemble):
    """Members that each saw some of the columns."""

    def readable(self, X: Any) -> Any:
        # Columns of other sparse kinds and of frames are not taken by position.
        return X.tocsr() if hasattr(X, "tocsr") else np.asarray(X)

    def seen_by(self, i: int, X: Any) -> Any:
        return X[:, self.estimator.estimators_features_[i]]


def _pick(n_members: int, n_samples: int | None, seed: int) -> Array:
    """Positions of the members that are the samples, increasing."""
    if n_samples is None or n_samples >= n_members:
        return np.arange(n_members)
    return np.sort(as_generator(seed).choice(n_members, size=n_samples, replace=False))
