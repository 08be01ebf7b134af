"""`Committee` and `CommitteeRegressor`.

Several learners that vote, fitted in parallel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import modAL.models
import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from sklearn.metrics import accuracy_score, r2_score

from al_sklearn._core.random import RandomState, as_generator
from al_sklearn._core.types import Array, Options
from al_sklearn.datasets import hdf5_by_name
from al_sklearn.inference import join_votes
from al_sklearn.learners._active import ActiveLearner
from al_sklearn.learners._base import LearnerBase
from al_sklearn.learners._bootstrap import draw_with_classes
from al_sklearn.learners._checks import check_labelled, check_scale
from al_sklearn.learners._labelled import Labelled, extend_each, split_weights
from al_sklearn.learners.disagreement import max_std_sampling, vote_entropy_sampling
from al_sklearn.learners.training import (
    NEW_LABELS,
    check_forgets,
    mode_to_refit,
    mode_to_teach,
    train,
)
from al_sklearn.rows import concat_columns, concat_rows, n_rows
from al_sklearn.strategies import get_strategy


class CommitteeBase(LearnerBase):
    """What both committees share: members that are taught together."""

    learner_list: Sequence[ActiveLearner]
    on_transformed: bool
    n_jobs: int | None

    def _store(
        self,
        learner_list: Sequence[ActiveLearner],
        query_strategy: str | Callable,
        on_transformed: bool,
        n_jobs: int | None,
        random_state: RandomState,
    ) -> None:
        if not isinstance(learner_list, (list, tuple)) or len(learner_list) == 0:
            raise TypeError(
                "learner_list must be a list of at least one ActiveLearner, got "
                f"{learner_list!r}."
            )
        for learner in learner_list:
            if not isinstance(learner, ActiveLearner):
                raise TypeError(
                    "learner_list must hold al_sklearn.ActiveLearner objects, got "
                    f"{type(learner).__name__}: write "
                    "ActiveLearner(estimator)."
                )
        if len({id(learner) for learner in learner_list}) != len(learner_list):
            raise ValueError(
                "A learner comes twice in learner_list: each member must be an object "
                "of its own."
            )
        # An unknown name is an error now, not at the first query.
        get_strategy(query_strategy)
        self.learner_list = learner_list
        self.query_strategy = query_strategy
        self.on_transformed = on_transformed
        self.n_jobs = n_jobs
        self.random_state = random_state

    def __iter__(self) -> Iterator[ActiveLearner]:
        return iter(self.learner_list)

    def __len__(self) -> int:
        return len(self.learner_list)

    def _members(self) -> Options:
        return {
            f"learner_{i}": learner.estimator
            for i, learner in enumerate(self.learner_list)
        }

    def get_params(self, deep: bool = True) -> Options:
        """Return the parameters; with ``deep`` those of the members too.

        A member's are named as ``learner_0__estimator__C``.

        Parameters
        ----------
        deep : bool, default=True

        Returns
        -------
        dict
        """
        # scikit-learn's own get_params would not look into a list.
        params = super().get_params(deep=False)
        if deep:
            for i, learner in enumerate(self.learner_list):
                params[f"learner_{i}"] = learner
                params.update(
                    (f"learner_{i}__{name}", value)
                    for name, value in learner.get_params().items()
                )
        return params

    def set_params(self, **params: Any) -> Any:
        """Set parameters by the names that :meth:`get_params` gives.

        Parameters
        ----------
        **params

        Returns
        -------
        self
        """
        of_members: Options = {}
        own: Options = {}
        names = set(self._members())
        for name, value in params.items():
            is_member = name.partition("__")[0] in names
            (of_members if is_member else own)[name] = value
        super().set_params(**own)
        # A member itself before its parameters: those are then set on the new one.
        for name in sorted(of_members, key=len):
            member, _, rest = name.partition("__")
            i = int(member.removeprefix("learner_"))
            if rest:
                self.learner_list[i].set_params(**{rest: of_members[name]})
            else:
                # Clones share the list with whom they were cloned from.
                learners = list(self.learner_list)
                learners[i] = of_members[name]
                self.learner_list = learners
        return self

    @property
    def X_training(self) -> Any:
        """Rows that the members know.

        One object where all share it, else those of the members one after the other.
        """
        return self._shared("X_training")

    @property
    def y_training(self) -> Any:
        """Labels of ``X_training``."""
        return self._shared("y_training")

    def _shared(self, name: str) -> Any:
        known = [
            learner for learner in self.learner_list if learner.X_training is not None
        ]
        if not known:
            return None
        # Members that were taught together hold the very same objects: nothing is
        # joined, nothing copied.
        distinct = {
            (id(learner.X_training), id(learner.y_training)): learner
            for learner in known
        }
        parts = [getattr(learner, name) for learner in distinct.values()]
        joined = parts[0]
        for part in parts[1:]:
            joined = concat_rows(joined, part)
        return joined

    def transform_without_estimating(self, X: Any) -> Any:
        """Transform rows as the last steps of the members' estimators see them.

        The members' results are side by side.

        Parameters
        ----------
        X : any kind of rows

        Returns
        -------
        rows
        """
        parts = [
            learner.transform_without_estimating(X) for learner in self.learner_list
        ]
        # Without a pipeline every part is X itself: once is enough for any distance.
        return X if all(part is X for part in parts) else concat_columns(parts)

    def _train(
        self,
        data: Sequence[Labelled],
        fit_kwargs: Sequence[Options],
        mode: str | None = None,
        bootstrap: bool = False,
    ) -> None:
        """Fit every member on its rows, in parallel.

        All of them share X, and only estimators come back.
        """
        n_members = len(self.learner_list)
        # What joblib says, not n_jobs: parallel_config may ask for workers, too.
        n_jobs = effective_n_jobs(self.n_jobs)
        rows: list[Array | None] = [None] * n_members
        seeds: list[int | None] = [None] * n_members
        if self.random_state is not None or n_jobs != 1:
            # Workers begin with equal global generators: without a seed each, nets
            # would start from equal weights.
            stream = (
                self._generator()
                if self.random_state is not None
                else as_generator(None)
            )
            seeds = [int(seed) for seed in stream.integers(2**31 - 1, size=n_members)]
        if n_jobs != 1:
            # An open HDF5 file can go to no other process.
            data = [replace(part, X=hdf5_by_name(part.X)) for part in data]
        if bootstrap:
            rows = [
                draw_with_classes(
                    partial(self._bootstrap_of, learner, len(part)),
                    learner.estimator,
                    part.y,
                    f"Member {number} ({type(learner.estimator).__name__})",
                )
                for number, (learner, part) in enumerate(
                    zip(self.learner_list, data, strict=True)
                )
            ]
        estimators = Parallel(n_jobs=self.n_jobs)(
            delayed(train)(
                learner.estimator,
                part,
                training=mode,
                bootstrap=indices,
                seed=seed,
                fit_kwargs=kwargs,
            )
            for learner, part, indices, seed, kwargs in zip(
                self.learner_list, data, rows, seeds, fit_kwargs, strict=True
            )
        )
        for learner, estimator in zip(self.learner_list, estimators, strict=True):
            learner.estimator = estimator

    def _bootstrap_of(self, learner: ActiveLearner, n: int) -> Array:
        # A member that has a seed of its own draws its own sample.
        if learner.random_state is not None or self.random_state is None:
            return learner._bootstrap(n)
        return self._generator().integers(n, size=n)

    def _split(
        self, fit_kwargs: Options, n_new: int
    ) -> tuple[list[dict[str, Array]], list[Options]]:
        weights, others = [], []
        for kwargs in self._routed("fit", fit_kwargs).values():
            of_new, of_all, rest = split_weights(kwargs, n_new, n_new)
            weights.append({**of_new, **of_all})
            others.append(rest)
        return weights, others

    def fit(self, X: Any, y: Any, bootstrap: bool = False, **fit_kwargs: Any) -> Any:
        """Forget what the members were taught and fit each of them on ``X`` and ``y``.

        Parameters
        ----------
        X, y : any kind of rows
            Stored once, shared by all members, never copied.
        bootstrap : bool, default=False
            Whether each member is fitted on a bootstrap sample of its own.
        **fit_kwargs
            Passed on to ``fit`` of the estimators.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            When lengths differ, X is empty, or values are missing.
        """
        self._check(X, y)
        # Fitted again, it draws the same again.
        self._stream = None
        weights, others = self._split(fit_kwargs, n_rows(X))
        data = [Labelled(X, y, part) for part in weights]
        self._train(data, others, bootstrap=bootstrap)
        self._assign(data)
        return self

    def teach(
        self,
        X: Any,
        y: Any,
        bootstrap: bool = False,
        only_new: bool = False,
        training: str | None = None,
        refit: bool = True,
        store: bool = True,
        **fit_kwargs: Any,
    ) -> Any:
        """Add labelled rows to what each member knows and train all of them again.

        Parameters
        ----------
        X, y : any kind of rows
            The new rows and their labels.
        bootstrap : bool, default=False
            Whether each member is trained on a bootstrap sample of its own.
        only_new, training, refit, store
            As for :meth:`ActiveLearner.teach`.
        **fit_kwargs
            Passed on to ``fit`` of the estimators; ``sample_weight`` has one value for
            each new row.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As for :meth:`ActiveLearner.teach`.
        """
        mode = mode_to_teach(training, only_new, refit, bootstrap, store)
        self._check(X, y)
        for learner in self.learner_list:
            check_scale(learner.estimator, learner.X_training, X)
        weights, others = self._split(fit_kwargs, n_rows(X))
        new = [Labelled(X, y, part) for part in weights]
        for learner in self.learner_list:
            if learner.X_training is None:
                check_forgets(learner, learner.estimator, mode)
        everything = extend_each([learner._known for learner in self.learner_list], new)
        if refit:
            # Stored after it: a member that fails leaves all of them as they were.
            taught = everything
            if mode in NEW_LABELS:
                pairs = zip(everything, new, strict=True)
                taught = [known.as_last(part) for known, part in pairs]
            self._train(taught, others, mode, bootstrap)
        if store:
            self._assign(everything)
        return self

    def refit(
        self, bootstrap: bool = False, training: str | None = None, **fit_kwargs: Any
    ) -> Any:
        """Train every member again on what it knows.

        Parameters
        ----------
        bootstrap : bool, default=False
            Whether each is trained on a bootstrap sample of its own rows.
        training : {None, "from_scratch", "fine_tune"}, default=None
            As for :meth:`ActiveLearner.refit`.
        **fit_kwargs
            Passed on to ``fit`` of the estimators.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            When a member knows nothing yet, or ``training`` wants new rows.
        """
        mode = mode_to_refit(training)
        data = [learner._known for learner in self.learner_list]
        if any(part.X is None for part in data):
            raise ValueError("Nothing is known yet: call fit or teach first.")
        self._train(
            data, list(self._routed("fit", fit_kwargs).values()), mode, bootstrap
        )
        return self

    def rebag(self, **fit_kwargs: Any) -> Any:
        """Refit every member on a bootstrap sample of the rows that it knows.

        Parameters
        ----------
        **fit_kwargs
            Passed on to ``fit`` of the estimators.

        Returns
        -------
        self
        """
        return self.refit(bootstrap=True, **fit_kwargs)

    def relabel(
        self, indices: Any, y: Any, refit: bool = True, **fit_kwargs: Any
    ) -> Any:
        """Correct labels that all members were taught.

        See :meth:`ActiveLearner.relabel`.

        Parameters
        ----------
        indices : int array of shape (m,)
            Positions in ``X_training``.
        y : labels of shape (m, ...)
        refit : bool, default=True
        **fit_kwargs
            Passed on to ``fit`` of the estimators.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As for :meth:`ActiveLearner.relabel`, and when the members were not taught
            together.
        """
        return self._change(lambda known: known.relabel(indices, y), refit, fit_kwargs)

    def forget(self, indices: Any, refit: bool = True, **fit_kwargs: Any) -> Any:
        """Withdraw rows that all members were taught; see :meth:`ActiveLearner.forget`.

        Parameters
        ----------
        indices : int array of shape (m,)
            Positions in ``X_training``.
        refit : bool, default=True
        **fit_kwargs
            Passed on to ``fit`` of the estimators.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As for :meth:`ActiveLearner.forget`, and when the members were not taught
            together.
        """
        return self._change(lambda known: known.forget(indices), refit, fit_kwargs)

    # The steps of modAL's teach, under its names; see ActiveLearner's.

    def _add_training_data(self, X: Any, y: Any) -> None:
        """Let every member store labelled rows without training."""
        CommitteeBase.teach(self, X, y, refit=False)

    def _fit_to_known(self, bootstrap: bool = False, **fit_kwargs: Any) -> None:
        """Train every member on all rows that it knows."""
        CommitteeBase.refit(self, bootstrap, **fit_kwargs)

    def _fit_on_new(
        self, X: Any, y: Any, bootstrap: bool = False, **fit_kwargs: Any
    ) -> None:
        """Train every member on these rows alone, which are not stored."""
        CommitteeBase.teach(
            self, X, y, bootstrap, only_new=True, store=False, **fit_kwargs
        )

    def _change(
        self,
        change: Callable[[Labelled], Labelled],
        refit: bool,
        fit_kwargs: Options,
    ) -> Any:
        known = [learner._known for learner in self.learner_list]
        # Equal rows are not enough: positions must mean the same row in all of them.
        if len({(id(part.X), id(part.y)) for part in known}) != 1:
            raise ValueError(
                "The members were not taught the same rows: change each learner by "
                "itself."
            )
        changed = [change(part) for part in known]
        # Shared again, so that X_training stays one object.
        self._assign(
            [Labelled(changed[0].X, changed[0].y, part.weights) for part in changed]
        )
        return self.refit(**fit_kwargs) if refit else self

    def _check(self, X: Any, y: Any) -> None:
        check_labelled(
            X, y, all(learner.force_all_finite for learner in self.learner_list)
        )

    def _assign(self, data: Sequence[Labelled]) -> None:
        for learner, part in zip(self.learner_list, data, strict=True):
            learner._known = part

    def vote(self, X: Any, **predict_kwargs: Any) -> Array:
        """Predictions of every member.

        Parameters
        ----------
        X : any kind of rows
        **predict_kwargs
            Passed on to ``predict`` of the estimators.

        Returns
        -------
        array of shape (n, n_members)
            Of the type of the labels: strings stay strings.
        """
        votes = []
        for learner in self.learner_list:
            vote = np.asarray(learner.predict(X, **predict_kwargs))
            # Regressors taught a column give a column.
            votes.append(vote.reshape(len(vote)) if vote.size == len(vote) else vote)
        return np.stack(votes, axis=1)


class Committee(CommitteeBase, modAL.models.Committee):
    """Classifiers that vote; where they disagree, a label is wanted.

    A drop-in for ``modAL.models.Committee``, of which it is a subclass.

    Parameters
    ----------
    learner_list : list of ActiveLearner
        The members. Those taught together share their rows; nothing is copied per
        member.
    query_strategy : callable or str, default=vote_entropy_sampling
        As for :class:`ActiveLearner`; it is given the committee.
    on_transformed : bool, default=False
        Whether ranked batch sampling measures distances after the members' own
        transformations.
    n_jobs : int or None, default=None
        Members fitted at a time, through joblib. None means 1, or what
        ``joblib.parallel_config`` says. Inside an experiment, where joblib takes
        threads, they are fitted one after the other.
    random_state : int, Generator, RandomState, SeedSequence or None, default=None
        Gives every member a seed of its own, for its bootstrap sample, for each
        ``random_state`` of its estimator that is None, and for estimators that draw
        from the global generators, as plain skorch nets do. The generators are put back
        after the fit. With a threading backend the global generators are shared, and
        only estimators with a ``random_state`` are repeatable.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Every class that a member knows, sorted.
    n_classes_ : int
    X_training, y_training : any kind of rows or None
        What the members were taught.

    Raises
    ------
    TypeError, ValueError
        When ``learner_list`` is empty, holds something else, or holds a learner twice.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from al_sklearn import ActiveLearner, Committee
    >>> X, y = load_iris(return_X_y=True)
    >>> committee = Committee(
    ...     [ActiveLearner(LogisticRegression()), ActiveLearner(GaussianNB())]
    ... )
    >>> indices, rows = committee.fit(X[::10], y[::10]).query(X, n_instances=3)
    >>> committee.teach(rows, y[indices]).score(X, y) > 0.9
    True
    """

    def __init__(
        self,
        learner_list: Sequence[ActiveLearner],
        query_strategy: str | Callable = vote_entropy_sampling,
        on_transformed: bool = False,
        n_jobs: int | None = None,
        random_state: RandomState = None,
    ):
        self._store(learner_list, query_strategy, on_transformed, n_jobs, random_state)

    @property
    def classes_(self) -> Array:
        """Every class that a member knows, sorted."""
        known = [np.asarray(learner.classes_) for learner in self.learner_list]
        return np.unique(np.concatenate(known))

    def _set_classes(self) -> None:
        """Do nothing, for subclasses that call modAL's: ``classes_`` is never old."""

    @property
    def n_classes_(self) -> int:
        """Number of classes."""
        return len(self.classes_)

    def predict(self, X: Any, **predict_proba_kwargs: Any) -> Array:
        """Predict the class with the highest mean probability.

        Parameters
        ----------
        X : any kind of rows
        **predict_proba_kwargs
            Passed on to ``predict_proba`` of the estimators.

        Returns
        -------
        array of shape (n,)
        """
        proba = self.predict_proba(X, **predict_proba_kwargs)
        return self.classes_[proba.argmax(axis=1)]

    def predict_proba(self, X: Any, **predict_proba_kwargs: Any) -> Array:
        """Mean of the members' probabilities.

        Parameters
        ----------
        X : any kind of rows
        **predict_proba_kwargs
            Passed on to ``predict_proba`` of the estimators.

        Returns
        -------
        array of shape (n, n_classes)
        """
        return self.vote_proba(X, **predict_proba_kwargs).mean(axis=1)

    def vote_proba(self, X: Any, **predict_proba_kwargs: Any) -> Array:
        """Probabilities from every member.

        Parameters
        ----------
        X : any kind of rows
        **predict_proba_kwargs
            Passed on to ``predict_proba`` of the estimators.

        Returns
        -------
        array of shape (n, n_members, n_classes)
            Columns follow ``classes_``; a class that a member does not know has
            probability 0 there. What a plain skorch net gives to classes that no member
            knows goes to the others in proportion.
        """
        return join_votes(
            self.learner_list,
            lambda member: member.predict_proba(X, **predict_proba_kwargs),
            n_rows(X),
            self.classes_,
        )

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy of :meth:`predict`.

        Parameters
        ----------
        X, y : any kind of rows
        sample_weight : array of shape (n,), optional

        Returns
        -------
        float
        """
        return accuracy_score(y, self.predict(X), sample_weight=sample_weight)


class CommitteeRegressor(CommitteeBase, modAL.models.CommitteeRegressor):
    """Regressors whose spread says where a value is wanted.

    A drop-in for ``modAL.models.CommitteeRegressor``, of which it is a subclass.

    Parameters
    ----------
    learner_list : list of ActiveLearner
        The members.
    query_strategy : callable or str, default=max_std_sampling
        As for :class:`ActiveLearner`; it is given the committee.
    on_transformed, n_jobs, random_state
        As for :class:`Committee`.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.tree import DecisionTreeRegressor
    >>> from al_sklearn import ActiveLearner, CommitteeRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> members = [ActiveLearner(DecisionTreeRegressor()) for _ in range(3)]
    >>> committee = CommitteeRegressor(members, random_state=0)
    >>> committee = committee.fit(X[:50], y[:50], bootstrap=True)
    >>> indices, rows = committee.query(X, n_instances=2)
    >>> mean, std = committee.predict(rows, return_std=True)
    >>> bool((std > 0).all())
    True
    """

    def __init__(
        self,
        learner_list: Sequence[ActiveLearner],
        query_strategy: str | Callable = max_std_sampling,
        on_transformed: bool = False,
        n_jobs: int | None = None,
        random_state: RandomState = None,
    ):
        self._store(learner_list, query_strategy, on_transformed, n_jobs, random_state)

    def predict(self, X: Any, return_std: bool = False, **predict_kwargs: Any) -> Any:
        """Mean of the members' predictions.

        Parameters
        ----------
        X : any kind of rows
        return_std : bool, default=False
            Whether the standard deviation over the members is returned too.
        **predict_kwargs
            Passed on to ``predict`` of the estimators.

        Returns
        -------
        mean : array of shape (n,)
        std : array of shape (n,)
            Only with ``return_std=True``.
        """
        votes = self.vote(X, **predict_kwargs)
        mean = votes.mean(axis=1)
        return (mean, votes.std(axis=1)) if return_std else mean

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R² of :meth:`predict`.

        Parameters
        ----------
        X, y : any kind of rows
        sample_weight : array of shape (n,), optional

        Returns
        -------
        float
        """
        return r2_score(y, self.predict(X), sample_weight=sample_weight)
