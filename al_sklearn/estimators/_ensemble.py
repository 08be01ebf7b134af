"""Several classifiers that differ by their seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from joblib import Parallel, cpu_count, delayed, effective_n_jobs
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from al_sklearn._random import as_generator, as_seed, preserve_global_rng


class DeepEnsemble(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Several copies of a classifier, each trained on all the data from a seed of its own.

    The spread of their answers is the uncertainty that ``bald``, ``max_entropy`` and the other committee measures
    use; the mean of their probabilities is the prediction.

    Parameters
    ----------
    estimator : classifier with ``predict_proba``
        An :class:`ImageClassifier`, any other skorch net, or any scikit-learn classifier or pipeline; cloned for
        each member. Every parameter named ``random_state``, at any depth, is set to the member's seed.
    n_members : int, default=5
        Number of members.
    n_jobs : int, optional
        Members fitted at the same time, through joblib; the processor's threads are shared out among them.
    random_state : int, Generator, RandomState or None, default=None
        Source of the members' seeds.

    Attributes
    ----------
    estimators_ : list of classifiers
        The fitted members.
    classes_ : array of shape (n_classes,)
        All classes of the members, sorted.

    References
    ----------
    Lakshminarayanan, Pritzel, Blundell. Simple and Scalable Predictive Uncertainty Estimation using Deep
    Ensembles. NeurIPS 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> ensemble = DeepEnsemble(DecisionTreeClassifier(max_features=1), n_members=3, random_state=0).fit(X, y)
    >>> ensemble.sample_proba(X).shape
    (3, 150, 3)
    """

    def __init__(self, estimator: Any, n_members: int = 5, n_jobs: int | None = None, random_state: Any = None):
        self.estimator = estimator
        self.n_members = n_members
        self.n_jobs = n_jobs
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags

    def fit(self, X: Any, y: Any = None, **fit_params: Any) -> DeepEnsemble:
        """Fit every member on all the data.

        Parameters
        ----------
        X, y, **fit_params
            Handed to each member's ``fit``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            When ``n_members`` is not at least 1.
        TypeError
            When the estimator has no ``predict_proba``.
        """
        if not isinstance(self.n_members, (int, np.integer)) or self.n_members < 1:
            raise ValueError(f"n_members must be an integer of at least 1, got {self.n_members!r}.")
        if not hasattr(self.estimator, "predict_proba"):
            raise TypeError(f"DeepEnsemble needs a classifier with predict_proba, got {self.estimator!r}.")
        seeds = np.random.SeedSequence(as_seed(self.random_state)).generate_state(self.n_members)
        n_jobs = min(effective_n_jobs(self.n_jobs), int(self.n_members))
        threads = max(1, cpu_count() // n_jobs) if n_jobs > 1 else None
        self.estimators_ = Parallel(n_jobs=n_jobs)(
            delayed(_fit_member)(clone(self.estimator), X, y, int(seed >> 1), threads, fit_params) for seed in seeds
        )
        self.classes_ = np.unique(np.concatenate([member.classes_ for member in self.estimators_]))
        first = self.estimators_[0]
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(first, name):
                setattr(self, name, getattr(first, name))
        return self

    def sample_proba(self, X: Any, n_samples: int | None = None, random_state: Any = None) -> np.ndarray:
        """Return the probabilities of each member: samples of what the ensemble believes.

        Parameters
        ----------
        X : images or features
            What the members take.
        n_samples : int, optional
            Number of members, drawn without replacement; all by default.
        random_state : int, Generator, RandomState or None
            Which members, when not all.

        Returns
        -------
        ndarray of shape (n_samples, n, n_classes)
            Columns follow ``classes_``.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            When ``n_samples`` is not from 1 to the number of members.
        """
        check_is_fitted(self, "estimators_")
        members = self.estimators_
        if n_samples is not None and not 1 <= n_samples <= len(members):
            raise ValueError(f"n_samples must be from 1 to {len(members)} (the number of members), got {n_samples}.")
        if n_samples is not None and n_samples < len(members):
            chosen = as_generator(random_state).choice(len(members), n_samples, replace=False)
            members = [members[i] for i in np.sort(chosen)]
        samples: np.ndarray | None = None
        for i, member in enumerate(members):
            proba = member.predict_proba(X)
            if samples is None:
                samples = np.zeros((len(members), len(proba), len(self.classes_)), dtype=proba.dtype)
            samples[i][:, np.searchsorted(self.classes_, member.classes_)] = proba
        assert samples is not None
        return samples

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the mean of the members' probabilities, (n, n_classes)."""
        return self.sample_proba(X).mean(axis=0)

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of the largest mean probability, (n,)."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def embed(self, X: Any) -> np.ndarray:
        """Return the members' embeddings side by side, (n, sum of their sizes)."""
        from al_sklearn.inference import embed

        check_is_fitted(self, "estimators_")
        return np.concatenate([embed(member, X) for member in self.estimators_], axis=1)


def _fit_member(member: Any, X: Any, y: Any, seed: int, threads: int | None, fit_params: dict[str, Any]) -> Any:
    named = [name for name in member.get_params(deep=True) if name.rpartition("__")[2] == "random_state"]
    member.set_params(**dict.fromkeys(named, seed))
    with _threads(threads), preserve_global_rng():
        # Nets of plain skorch have no random_state: they draw from torch's global generator.
        torch.manual_seed(seed)
        return member.fit(X, y, **fit_params)


@contextmanager
def _threads(threads: int | None) -> Iterator[None]:
    """Limit torch and BLAS: members that fight over the cores are slower together than one after the other."""
    if threads is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before)
