"""Several classifiers that differ by their seed."""

from __future__ import annotations

from typing import Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from sklearn.base import clone
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from al_sklearn import inference
from al_sklearn._core.checks import check_count
from al_sklearn._core.progress import tqdm
from al_sklearn._core.random import as_generator
from al_sklearn._core.threads import threads_per_job
from al_sklearn._core.types import Array
from al_sklearn.datasets import hdf5_by_name
from al_sklearn.estimators._fitting import draw_seeds, fit_seeded
from al_sklearn.estimators._reach import Wrapper, unshared


class Members(Wrapper):
    """What every ensemble does with its fitted members, ``estimators_``.

    ``fit`` sets them and ``classes_``.
    """

    estimators_: list[Any]

    def _prepare(self, X: Any) -> Any:
        """Return what the members are given for X."""
        return X

    def sample_proba(
        self, X: Any, n_samples: int | None = None, random_state: Any = None
    ) -> Array:
        """Return the probabilities of each member.

        Samples of what the ensemble believes.

        Parameters
        ----------
        X : images or features
            What the members take.
        n_samples : int, optional
            Number of members, drawn without replacement; all by default, and where
            there are not more.
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
            When ``n_samples`` is below 1.
        """
        check_is_fitted(self, "estimators_")
        X = self._prepare(X)
        members = self.estimators_
        if n_samples is not None and n_samples < 1:
            raise ValueError(f"n_samples must be at least 1, got {n_samples}.")
        if n_samples is not None and n_samples < len(members):
            chosen = as_generator(random_state).choice(
                len(members), n_samples, replace=False
            )
            members = [members[i] for i in np.sort(chosen)]
        samples: Array | None = None
        for i, member in enumerate(members):
            proba = inference.proba_array(member.predict_proba(X))
            if samples is None:
                samples = np.zeros(
                    (len(members), len(proba), len(self.classes_)), dtype=proba.dtype
                )
            samples[i][:, np.searchsorted(self.classes_, member.classes_)] = proba
        assert samples is not None
        return samples

    def predict_proba(self, X: Any) -> Array:
        """Return the mean of the members' probabilities, (n, n_classes)."""
        return self.sample_proba(X).mean(axis=0)

    def embed(self, X: Any, layer: str | None = None) -> Array:
        """Return the members' embeddings side by side.

        Parameters
        ----------
        X : images or features
            What the members take.
        layer : str, optional
            Name of a layer of each member; nets only.

        Returns
        -------
        ndarray of shape (n, sum of their sizes)
        """
        check_is_fitted(self, "estimators_")
        X = self._prepare(X)
        return np.concatenate(
            [unshared(inference.embed, one, X, layer) for one in self.estimators_],
            axis=1,
        )

    @available_if(
        lambda self: all(
            map(inference.gives_loss, getattr(self, "estimators_", [self.estimator]))
        )
    )
    def predict_loss(self, X: Any) -> Array:
        """Return the mean of the losses that the members predict, (n,).

        Parameters
        ----------
        X : images or features
            What the members take.
        """
        check_is_fitted(self, "estimators_")
        X = self._prepare(X)
        return np.mean(
            [unshared(inference.predict_loss, one, X) for one in self.estimators_],
            axis=0,
        )


class DeepEnsemble(Members):
    """Several copies of a classifier, each trained on all the data.

    Each copy has a seed of its own.

    The spread of their answers is the uncertainty that ``bald``, ``max_entropy`` and
    the other committee measures use; the mean of their probabilities is the prediction.

    Parameters
    ----------
    estimator : classifier with ``predict_proba``
        An :class:`ImageClassifier`, any other skorch net, or any scikit-learn
        classifier or pipeline; cloned for each member. Every parameter named
        ``random_state``, at any depth, is set to the member's seed.
    n_members : int, default=5
        Number of members.
    n_jobs : int, optional
        Members fitted at the same time, through joblib; torch's threads are shared out
        among them. Inside an experiment, where joblib takes threads, they are fitted
        one after the other. The members are the same whatever it is, up to rounding.
    random_state : int, Generator, RandomState or None, default=None
        Source of the members' seeds.
    verbose : int, default=0
        1 shows a progress bar over the members.

    Attributes
    ----------
    estimators_ : list of classifiers
        The fitted members.
    classes_ : array of shape (n_classes,)
        All classes of the members, sorted.

    References
    ----------
    Lakshminarayanan, Pritzel, Blundell. Simple and Scalable Predictive Uncertainty
    Estimation using Deep Ensembles. NeurIPS 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> tree = DecisionTreeClassifier(max_features=1)
    >>> ensemble = DeepEnsemble(tree, n_members=3, random_state=0).fit(X, y)
    >>> ensemble.sample_proba(X).shape
    (3, 150, 3)
    """

    def __init__(
        self,
        estimator: Any,
        n_members: int = 5,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ):
        self.estimator = estimator
        self.n_members = n_members
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        **fit_params: Any,
    ) -> DeepEnsemble:
        """Fit every member on all the data.

        Parameters
        ----------
        X, y, **fit_params
            Handed to each member's ``fit``.
        X_val, y_val : rows and labels, optional
            Validation data of every member that takes some, as for early stopping.

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
        check_count("n_members", self.n_members)
        self._check_gives_proba()
        seeds = draw_seeds(self.random_state, self.n_members)
        # No more than there are members: idle ones' share of the cores would be lost.
        n_jobs = min(effective_n_jobs(self.n_jobs), int(self.n_members))
        threads = threads_per_job(n_jobs) if n_jobs > 1 else None
        if n_jobs > 1:
            # An open HDF5 file can go to no other process.
            X = hdf5_by_name(X)
        fitted = Parallel(n_jobs=n_jobs, return_as="generator")(
            delayed(fit_seeded)(
                clone(self.estimator),
                X,
                y,
                seed,
                X_val=X_val,
                y_val=y_val,
                threads=threads,
                **fit_params,
            )
            for seed in seeds
        )
        bar = tqdm(
            fitted,
            total=len(seeds),
            desc="members",
            unit="member",
            disable=not self.verbose,
        )
        self.estimators_ = list(bar)
        classes = [member.classes_ for member in self.estimators_]
        self.classes_ = np.unique(np.concatenate(classes))
        self._copy_shape(self.estimators_[0])
        return self
