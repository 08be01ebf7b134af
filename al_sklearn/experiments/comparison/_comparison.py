"""Several strategies against random sampling, seed by seed, in parallel."""

from __future__ import annotations

import os
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import cache, partial
from itertools import product
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, effective_n_jobs
from sklearn.base import BaseEstimator, MetaEstimatorMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metadata_routing import MetadataRouter
from sklearn.utils.validation import check_is_fitted

from al_sklearn._core.checks import unknown_name
from al_sklearn._core.progress import tqdm
from al_sklearn._core.random import RandomState
from al_sklearn._core.registry import users_entries
from al_sklearn._core.threads import limit_threads, threads_per_job
from al_sklearn._core.types import Array, Function, Options
from al_sklearn.config import current
from al_sklearn.datasets import hdf5_by_name
from al_sklearn.experiments.comparison._ceiling import (
    ceiling_curves,
    ceiling_of,
    missing_ceilings,
)
from al_sklearn.experiments.comparison._failures import (
    failures_of,
    raise_if_hopeless,
    warn_of,
)
from al_sklearn.experiments.comparison._growth import is_decided, seeds_at_looks
from al_sklearn.experiments.comparison._mending import whole_rounds
from al_sklearn.experiments.comparison._names import name_strategies
from al_sklearn.experiments.comparison._order import (
    in_turn,
    longest_first,
    shared_search,
)
from al_sklearn.experiments.comparison._progress_bar import ProgressBar
from al_sklearn.experiments.comparison._results import (
    ComparisonResults,
    Views,
    few_seeds,
)
from al_sklearn.experiments.comparison._retraining import Retraining, read_retrained
from al_sklearn.experiments.comparison._workers import (
    Failed,
    Settings,
    Told,
    interruptible,
    retrain_one,
    run_strategy,
    train_first,
)
from al_sklearn.experiments.hard_pools import PoolTransform
from al_sklearn.experiments.plots import bought_thumbnails
from al_sklearn.experiments.protocol import (
    LATER_OPTIONS,
    PROTOCOL_CONSTRAINTS,
    Splits,
    Validation,
    check_protocol,
    check_rows,
    check_test_set,
    check_validation,
    is_done,
    known_classes,
    make_problem,
    route_fit_options,
    router_of,
    with_validation,
)
from al_sklearn.experiments.statistics import CEILING
from al_sklearn.experiments.store import (
    FIRST,
    RunStore,
    check_checkpoints,
    tidy_table,
    write_estimator,
)
from al_sklearn.experiments.tracking import (
    Callback,
    check_callbacks,
)
from al_sklearn.loop import Loop, Problem, Round, Streams, entropy_of
from al_sklearn.loop.labelling_rate import LabellingRate
from al_sklearn.loop.stopping import StoppingCriterion
from al_sklearn.rows import (
    code_of,
    data_differences,
    describe,
    fingerprint,
    n_rows,
    versions,
)
from al_sklearn.tasks import Classification, Metric, scorers_of


class StrategyComparison(Views, MetaEstimatorMixin, BaseEstimator):
    """Compare query strategies honestly.

    Paired by seed, in parallel, and able to go on after a kill.

    Every strategy starts each seed from the same split, the same initial set, the same
    trained first model and the same test set. Random sampling always runs.

    Parameters
    ----------
    estimator : classifier
        Cloned for every training; it may be a ``Pipeline``. Every ``random_state`` in
        it is set, seed by seed.
    strategies : list of str or callable, or dict of name to str or callable
        What is compared. A list takes the strategies' own names.
    n_initial : int or float, default=20
        Images labelled from the start, or their share of the pool; with
        ``initial="per_class"`` of each class.
    n_instances : int, float or LabellingRate, default=20
        Images bought in each round, or their share of the pool, or a rule from
        :mod:`al_sklearn.loop.labelling_rate`. The last batch is what is left.
    n_rounds : int or None, default=10
        Batches bought after the initial set, at most. None needs a ``budget`` or a
        stopping criterion.
    n_seeds : int, default=5
        Repetitions. Fewer than five give a warning: they cannot tell a strategy from
        luck. :func:`al_sklearn.experiments.plan_comparison` says how many it takes.
    looks : sequence of int, optional
        Seeds at which the results are looked at, named beforehand, as ``(5, 10, 20)``,
        in the place of ``n_seeds``. The comparison ends at the first look at which
        every strategy is told from random sampling by accuracy, at the last otherwise.
        The looks share one error of 5 % (O'Brien and Fleming's spending, by Lan and
        DeMets), for every metric: adjusted p-values have that in them.
    n_jobs : int, default=None
        Workers of joblib, of whatever backend is chosen by ``joblib.parallel_config``.
    threads_per_job : int, default=None
        Threads of torch and BLAS in each worker. By default those torch has now, shared
        among the workers; a run that is resumed keeps what it began with.
    store : path, default=None
        Folder that keeps every finished round. A run that was killed goes on from it,
        and ends with the same numbers.
    resume : bool, default=True
        False refuses a folder that holds a run already.
    on_error : {"record", "raise"}, default="record"
        What an error of one strategy does: ``"record"`` ends that strategy's rounds of
        that seed, warns, keeps the error in the store and in ``failures_``, and goes on
        with the others; tables leave the strategy out and say so. The same call again
        tries it again: mended, or left out of ``strategies``. Where random sampling
        fails, or every other strategy on every seed, the error is raised all the same.
    on_change : {"raise", "record"}, default="raise"
        What a resumed run does where the contents of data, or code of one's own
        (strategies, estimators, metrics that no installed package holds), are others
        than when it began: it names what differs and refuses, or goes on with a
        warning, and says so in its notes and its report.
    initial : {"stratified", "random", "per_class"}, or a strategy, default="stratified"
        As in :class:`ActiveLearningExperiment`.
    min_per_class : int, optional
        The initial set, stratified or random, has at least so many of each class.
    test_size : float or int, default=0.25
        Held out of X anew for each seed, stratified, where ``fit`` gets no ``X_test``.
    training : str, default="from_scratch"
        As in :class:`ActiveLearningExperiment`.
    scoring : str, callable, list or dict of these, or None, default=None
        Each a further column, as in :class:`ActiveLearningExperiment`.
    stopping : StoppingCriterion or None, default=None
        Ends each strategy's rounds early, as in :class:`ActiveLearningExperiment`; its
        curve ends there, and the statistics compare what curves share and say so.
    callbacks : list of Callback or None, default=None
        Told of every round of every strategy and seed, in the worker that runs it;
        those of :mod:`al_sklearn.experiments.tracking` write each to a run of its own.
    splits : path or list of path, optional
        Another run's folder, or its ``splits.npz``: each seed has that seed's test set,
        validation set and initial set (``n_initial``, ``initial`` and ``test_size``
        then say nothing). With that run's ``pool`` and ``random_state`` the pool is
        that run's too. Or index sets, of any format that
        :func:`al_sklearn.datasets.read_index_sets` knows: a file, a folder in TorchAL's
        layout, a folder of these, or a list; seed after seed takes the next of them,
        and the first again behind the last.
    budget : int or float, optional
        Labels in all, at most, or their share of the pool; the initial and the
        validation set count. With ``n_rounds=None`` the rounds go on until it is spent.
    validation_size : int or float, optional
        Images labelled for validation, or their share of the pool, drawn at random, the
        same for all strategies of a seed. They count as labelled, and no weights are
        learnt from them. A net gets them as its validation data (early stopping, the
        best checkpoint), :class:`al_sklearn.TunedClassifier` and whatever else has a
        ``fit(X, y, X_val=, y_val=)`` as that, the last step of a pipeline likewise; a
        column ``validation_accuracy`` is what stopping criteria and labelling rates may
        look at.
    first_params, later_params : dict, optional
        Parameters of the estimator for the first training, and for those after it, as
        ``{"max_epochs": 50}`` and ``{"max_epochs": 5}``; names as for ``set_params``,
        at any depth.
    test_each_epoch : bool, default=False
        Measure a network on the test set after each epoch, too: a column ``test_acc``
        of the epochs, to be looked at. Nothing is decided by it, and no number moves.
    pool : PoolTransform or list of them, optional
        Makes the pool hard on purpose: wrong labels, rare classes, near-duplicates,
        images of no class; see :mod:`al_sklearn.experiments.hard_pools`.
    ceiling : bool, default=False
        Train once a seed on all labels there are: rows named ``ceiling``, a line in the
        pictures and a sentence beside the tables, outside of ranks and tests. It may be
        asked for later: a finished run is not trained again for it.
    checkpoints : bool, default=False
        Keep each round's model beside its record in the store: a torch network's
        weights as safetensors (extra ``checkpoints``), other models by joblib.
        :func:`al_sklearn.experiments.load_checkpoint` reads them.
    random_state : int, Generator, RandomState or None, default=0
        What all seeds grow from.
    verbose : int, default=1
        0 is silent; 1 shows a progress bar over rounds with the time left.

    Attributes
    ----------
    results_ : DataFrame
        Tidy: one row for each strategy, seed and round, with the columns of
        :attr:`ActiveLearningExperiment.history_`. Round 0 is the shared first model,
        repeated for each strategy. With ``ceiling=True`` a row of that name a seed.
    epochs_ : DataFrame
        One row for each epoch of each round, of models that keep them: losses and
        accuracies. Round 0 is repeated for each strategy.
    queries_ : dict of (strategy, seed) to list of int64 arrays
        The initial set and each round's batch, as positions in X.
    strategies_ : dict of str to callable
        What was compared, by name, random sampling among them.
    classes_ : array of shape (C,)
        All labels.
    failures_ : dict of (strategy, seed) to dict
        The strategies that failed: ``round``, ``error``, ``message``, ``traceback``.
    thumbnails_ : dict of str to uint8 array
        Images bought in the first rounds, for the report.

    See Also
    --------
    ActiveLearningExperiment : One strategy, one seed, as a scikit-learn classifier.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from al_sklearn.experiments import StrategyComparison
    >>> X, y = load_digits(return_X_y=True)
    >>> model = LogisticRegression(max_iter=1000)
    >>> comparison = StrategyComparison(model, ["margin"], n_rounds=3, verbose=0)
    >>> comparison = comparison.fit(X / 16, y)
    >>> sorted(comparison.summary().index)
    ['margin', 'random_sampling']
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **PROTOCOL_CONSTRAINTS,
        "strategies": [list, tuple, dict],
        "n_seeds": [Interval(Integral, 1, None, closed="left")],
        "looks": [list, tuple, None],
        "n_jobs": [Integral, None],
        "threads_per_job": [Interval(Integral, 1, None, closed="left"), None],
        "store": [str, os.PathLike, None],
        "resume": ["boolean"],
        "on_error": [StrOptions({"record", "raise"})],
        "on_change": [StrOptions({"raise", "record"})],
        "ceiling": ["boolean"],
        "checkpoints": ["boolean"],
    }

    def __init__(
        self,
        estimator: Any,
        strategies: Iterable[str | Function] | Mapping[str, str | Function],
        *,
        n_initial: float = 20,
        n_instances: float | LabellingRate = 20,
        n_rounds: int | None = 10,
        n_seeds: int = 5,
        looks: Sequence[int] | None = None,
        n_jobs: int | None = None,
        threads_per_job: int | None = None,
        store: str | os.PathLike[str] | None = None,
        resume: bool = True,
        on_error: str = "record",
        on_change: str = "raise",
        initial: str | Function = "stratified",
        min_per_class: int | None = None,
        test_size: float = 0.25,
        training: str = "from_scratch",
        scoring: Any = None,
        stopping: StoppingCriterion | None = None,
        callbacks: Sequence[Callback] | None = None,
        splits: Splits | None = None,
        budget: float | None = None,
        validation_size: float | None = None,
        first_params: Mapping[str, Any] | None = None,
        later_params: Mapping[str, Any] | None = None,
        test_each_epoch: bool = False,
        pool: PoolTransform | list[PoolTransform] | None = None,
        ceiling: bool = False,
        checkpoints: bool = False,
        random_state: RandomState = 0,
        verbose: int = 1,
    ):
        self.estimator = estimator
        self.strategies = strategies
        self.n_initial = n_initial
        self.n_instances = n_instances
        self.n_rounds = n_rounds
        self.n_seeds = n_seeds
        self.looks = looks
        self.n_jobs = n_jobs
        self.threads_per_job = threads_per_job
        self.store = store
        self.resume = resume
        self.on_error = on_error
        self.on_change = on_change
        self.initial = initial
        self.min_per_class = min_per_class
        self.test_size = test_size
        self.training = training
        self.scoring = scoring
        self.stopping = stopping
        self.callbacks = callbacks
        self.splits = splits
        self.budget = budget
        self.validation_size = validation_size
        self.first_params = first_params
        self.later_params = later_params
        self.test_each_epoch = test_each_epoch
        self.pool = pool
        self.ceiling = ceiling
        self.checkpoints = checkpoints
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: Any,
        y: Any,
        X_test: Any = None,
        y_test: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        **fit_params: Any,
    ) -> StrategyComparison:
        """Run all strategies on all seeds.

        Parameters
        ----------
        X : rows
            The pool (and the test set, where none is given); any kind that
            :mod:`al_sklearn.pool` knows.
        y : array of shape (n,)
            Labels; each model sees those of the images that were asked for.
        X_test, y_test : rows and labels, optional
            Where each model is measured.
        X_val, y_val : rows and labels, optional
            The validation set, where the data bring one: what ``validation_size`` would
            draw from the pool. Its labels count.
        **fit_params
            As of :meth:`ActiveLearningExperiment.fit`: ``sample_weight``, ``groups``
            and whatever else the estimator's ``fit`` takes.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For data that do not fit together, an unknown strategy, two strategies of
            one name, looks that do not increase, or more images asked for than there
            are.
        StoreError
            For a store that holds another run, or the same on other data or code (the
            message names what differs).
        StoreExistsError
            For one that holds a run where ``resume`` is False, or something else.
        StoreLockedError
            When another process is writing to the store; the message says which.
        KeyboardInterrupt
            After Ctrl-C, also where an estimator swallows it: finished rounds are in
            the store, and the same call goes on from them.
        """
        # All that can be wrong is found before the first model is trained or a file
        # written.
        self.strategies_ = name_strategies(self.strategies)
        check_protocol(self)
        looks = seeds_at_looks(self)
        if self.checkpoints:
            check_checkpoints(self.estimator, self.store)
        X, y, X_test, y_test, self.classes_ = self._check_data(X, y, X_test, y_test)
        validation = check_validation(X_val, y_val, self, self.classes_)
        if looks[-1] < 5:
            # The caller's line is beyond scikit-learn's wrapper of fit.
            warnings.warn(few_seeds(looks[-1]), stacklevel=3)
        with ExitStack() as stack:
            if self.store is None:
                folder = stack.enter_context(
                    tempfile.TemporaryDirectory(prefix="al_sklearn-")
                )
                store = RunStore(os.path.join(folder, "run"), durable=False)
            else:
                store = RunStore(self.store)
            # Before the store is looked at: who began it last may still be writing.
            stack.enter_context(store.lock())
            stored = store.config() if store.exists() else {}
            begun = stored.get("configuration", {})
            # Somebody who asked for any seed goes on with the one that was drawn.
            entropy = begun.get("random_state") if self.random_state is None else None
            entropy = entropy_of(self.random_state) if entropy is None else entropy
            # The number of threads decides the order of sums, and so the last bits.
            threads = self.threads_per_job or begun.get("threads_per_job")
            threads = threads or threads_per_job(effective_n_jobs(self.n_jobs))
            options = route_fit_options(self, fit_params, n_rows(X))
            problems = self._problems(
                entropy, threads, X, y, X_test, y_test, validation, options
            )
            known = stored.get("data", {})
            data = self._fingerprints(X, y, X_test, y_test, validation, options, known)
            config = self._config(data, entropy, threads)
            counts = [problem.pool_counts for problem in problems]
            config["pool"] = {"class_counts": counts}
            # Behind the problems: another run's folder is refused by its index sets
            # too.
            changed = store.open(
                config,
                _splits(problems),
                resume=self.resume,
                on_change=self.on_change,
            )
            if self.checkpoints:
                write_estimator(store.folder, self.estimator, store.durable)
            # Once, however many looks there are.
            note_start = cache(partial(store.add_start, config, changed))
            n_told = 0
            for n_seeds in looks:
                # Seeds of earlier looks are there already, and are not run again.
                self._run(problems[:n_seeds], store, threads, n_told, note_start)
                n_told = n_seeds
                found = self._collect(store, n_seeds)
                failed = {name for name, _ in self.failures_}
                compared = self.results_[~self.results_["strategy"].isin(failed)]
                # The last look ends it, whatever it shows.
                if n_seeds == looks[-1] or is_decided(compared):
                    break
            if not self.failures_:
                # Of a run that is not whole, rounds may still come.
                store.finish(found)
            self.thumbnails_ = store.thumbnails()
            if not self.thumbnails_:
                first = problems[0]
                # What is of no class is shown as any: it has no column.
                codes = np.searchsorted(self.classes_, first.y)
                codes = np.minimum(codes, len(self.classes_) - 1)
                self.thumbnails_ = bought_thumbnails(first.X, codes, self.queries_)
                store.write_thumbnails(self.thumbnails_)
            self._results = ComparisonResults(
                self.results_,
                self.classes_,
                self.thumbnails_,
                store.config(),
                self.failures_,
                store.starts(),
                self._rounds,
            )
            self._results.retrained = read_retrained(store, self.classes_)
        return self

    def retrain(
        self,
        X: Any,
        y: Any,
        X_test: Any = None,
        y_test: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        *,
        estimators: Mapping[str, Any] | None = None,
        n_repeats: int = 5,
        rounds: str = "last",
        only: Iterable[str] | None = None,
        **fit_params: Any,
    ) -> pd.DataFrame:
        """Train fresh models on the sets that the strategies bought.

        This is done several times, and for other models too.

        Two questions: how much of a difference is the luck of one training, and does a
        set that one model has chosen serve another (transfer)?

        Parameters
        ----------
        X, y, X_test, y_test, X_val, y_val
            What ``fit`` was given.
        estimators : dict of str to classifier, optional
            Who is trained, by name. By default the comparison's own, as ``"same"``,
            with what ``first_params`` and ``later_params`` say of a training from fresh
            weights in that round.
        n_repeats : int, default=5
            Trainings of each set, from weights and data orders of their own.
        rounds : {"last", "all"}, default="last"
            Each strategy's final set, or that of every round.
        only : iterable of str, optional
            The strategies whose sets are trained; all by default.
        **fit_params
            What ``fit`` was given.

        Returns
        -------
        DataFrame
            One row a training: ``estimator``, ``strategy``, ``seed``, ``round``,
            ``repeat``, ``n_labelled``, and the metrics. With a store, each is kept
            under ``retrained``, and one that is there is not trained again.

        Raises
        ------
        ValueError
            For other data than those of ``fit``.
        """
        stored = self._finished().config
        if rounds not in ("last", "all"):
            raise ValueError(f"rounds must be 'last' or 'all', got {rounds!r}.")
        if n_repeats < 1:
            raise ValueError(f"n_repeats must be at least 1, got {n_repeats}.")
        chosen = list(self.strategies_) if only is None else list(only)
        for name in chosen:
            if name not in self.strategies_:
                raise unknown_name("strategy of this run", name, self.strategies_)
        X, y, X_test, y_test, _ = self._check_data(X, y, X_test, y_test)
        validation = check_validation(X_val, y_val, self, self.classes_)
        configuration = stored["configuration"]
        entropy = configuration["random_state"]
        threads = configuration["threads_per_job"]
        # A set of positions means nothing in other data.
        options = route_fit_options(self, fit_params, n_rows(X))
        given = self._fingerprints(
            X, y, X_test, y_test, validation, options, stored["data"]
        )
        found = data_differences(stored["data"], given)
        if found:
            raise ValueError(
                f"These are not the data that fit was given: {'; '.join(found)}."
            )
        store = None if self.store is None else RunStore(self.store)
        jobs = []
        problems = self._problems(
            entropy, threads, X, y, X_test, y_test, validation, options
        )
        # By what was run: looks may have ended it before the last seed.
        for name, seed in sorted(self.queries_, key=lambda run: run[1]):
            if name not in chosen or (name, seed) in self.failures_:
                # What it bought is not all it was to buy.
                continue
            problem, batches = problems[seed], self.queries_[name, seed]
            last = len(batches) - 1
            for number in range(0 if rounds == "all" else last, last + 1):
                bought = np.concatenate(batches[: number + 1])
                trained = estimators or {"same": problem.estimator_of(number)}
                jobs += [
                    Retraining(label, estimator, name, number, repeat, problem, bought)
                    for label, estimator in trained.items()
                    for repeat in range(n_repeats)
                ]
        settings = self._settings(threads)
        with limit_threads(threads):
            answers = Parallel(n_jobs=self.n_jobs, return_as="generator")(
                delayed(retrain_one)(job, store, settings) for job in jobs
            )
            table = pd.DataFrame(
                tqdm(
                    answers, total=len(jobs), unit="training", disable=not self.verbose
                )
            )
        # A run without a folder has them nowhere else for its report.
        self._results.retrained = (
            table if store is None else read_retrained(store, self.classes_)
        )
        return table

    def get_metadata_routing(self) -> MetadataRouter:
        """Say where metadata goes, as ``sample_weight``: to the estimator's ``fit``.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRouter
        """
        return router_of(self)

    def _check_data(
        self, X: Any, y: Any, X_test: Any, y_test: Any
    ) -> tuple[Any, Array, Any, Any, Array]:
        X = check_rows(X, self.estimator)
        y = Classification.check_labels(y, n_rows(X))
        classes = known_classes(y, self.pool)
        if X_test is not None or y_test is not None:
            X_test, y_test = check_test_set(X_test, y_test, classes, self.estimator)
        return X, y, X_test, y_test, classes

    @property
    def epochs_(self) -> pd.DataFrame:
        """One row for each epoch of each round, of models that keep them."""
        return self._finished().epochs

    def _finished(self) -> ComparisonResults:
        check_is_fitted(
            self, "_results", msg="This %(name)s has no results yet; call fit first."
        )
        return self._results

    def _problems(
        self,
        entropy: int,
        threads: int,
        X: Any,
        y: Any,
        X_test: Any,
        y_test: Any,
        validation: Validation | None,
        options: Options,
    ) -> list[Problem]:
        """Draw what the strategies of each seed share."""
        if effective_n_jobs(self.n_jobs) != 1:
            # An open HDF5 file can go to no other process.
            X, X_test = hdf5_by_name(X), hdf5_by_name(X_test)
        # A cold start's last bits depend on the threads too.
        with limit_threads(threads):
            problems = [
                make_problem(
                    self,
                    X,
                    y,
                    self.classes_,
                    X_test,
                    y_test,
                    Streams(entropy, seed),
                    options,
                )
                for seed in range(seeds_at_looks(self)[-1])
            ]
        return with_validation(problems, validation, self.budget)

    def _fingerprints(
        self,
        X: Any,
        y: Any,
        X_test: Any,
        y_test: Any,
        validation: Validation | None,
        options: Options,
        known: Options,
    ) -> Options:
        """Return what the data are known by, looked at closer where files changed."""
        # Hashes, not the data: a folder of plain files stays small and can be handed
        # on.
        parts = {"X": X, "y": y}
        if X_test is not None:
            parts |= {"X_test": X_test, "y_test": y_test}
        if validation is not None:
            parts |= {"X_val": validation.X, "y_val": validation.y}
        found: Options = {
            name: fingerprint(part, known.get(name)) for name, part in parts.items()
        }
        # Other weights make other models.
        found |= {f"fit_{name}": _known_by(value) for name, value in options.items()}
        return {**found, "classes": describe(self.classes_.tolist())}

    def _code(self) -> Options:
        """Return what the code of one's own is known by, strategy by strategy."""
        shared = [self.estimator, self.scoring, self.initial, self.stopping, self.pool]
        shared += [self.n_instances, self.first_params, self.later_params]
        own = {name: code_of(one) for name, one in self.strategies_.items()}
        return {"": code_of(*shared), **own}

    def _config(self, data: Options, entropy: int, threads: int) -> Options:
        protocol = (
            "n_initial",
            "n_instances",
            "n_rounds",
            "initial",
            "training",
        )
        configuration = {name: _plain(getattr(self, name)) for name in protocol}
        # Seeds up to the last look are the configuration, however many are run.
        configuration |= {
            "n_seeds": seeds_at_looks(self)[-1],
            "test_size": describe(self.test_size) if "X_test" not in data else None,
            "scoring": describe(self.scoring),
            "random_state": entropy,
            "threads_per_job": threads,
            "estimator": describe(self.estimator),
            "strategies": {
                name: describe(strategy) for name, strategy in self.strategies_.items()
            },
        }
        for name in (*LATER_OPTIONS, "looks"):
            if getattr(self, name) is not None:
                configuration[name] = _plain(getattr(self, name))
        # Whoever reads the run has not registered them: which way is better, for one.
        facts = [
            metric.facts()
            for metric in scorers_of(self.scoring).values()
            if isinstance(metric, Metric)
        ]
        return {
            "configuration": configuration,
            "data": data,
            "code": self._code(),
            "versions": versions(),
            "metrics": facts,
        }

    def _settings(self, threads: int) -> Settings:
        return Settings(
            threads,
            asdict(current()),
            self.checkpoints,
            main=os.getpid(),
            registered=users_entries(),
            run=uuid.uuid4().hex,
            on_error=self.on_error,
        )

    def _run(
        self,
        problems: list[Problem],
        store: RunStore,
        threads: int,
        n_told: int,
        note_start: Callable[[], None],
    ) -> None:
        """Train the first models, then run every strategy of every seed from there.

        Callbacks have been told of the first ``n_told`` seeds already.
        """
        runs = [
            (name, seed) for seed in range(len(problems)) for name in self.strategies_
        ]
        # joblib's backend decides what -1 means, perhaps on other machines.
        n_jobs = effective_n_jobs(self.n_jobs)
        told = Told(check_callbacks(self.callbacks), store)
        done = whole_rounds(store, problems, self.strategies_)
        begun = [done[FIRST, seed] for seed in range(len(problems))]
        left = [
            run
            for run in runs
            if not is_done(problems[run[1]], [*begun[run[1]], *done[run]])
        ]
        if left or not all(begun):
            note_start()
        for run in left:
            store.forget_failure(*run)
        # A run of fresh weights that has begun needs no model of the round before.
        needs_model = {
            seed
            for name, seed in left
            if self.training != "from_scratch" or not done[name, seed]
        }
        untrained = {seed for seed, records in enumerate(begun) if not records}
        first = sorted(untrained | needs_model)
        n_batches = sum(problem.n_batches for problem in problems)
        alone = (FIRST, CEILING) if self.ceiling else (FIRST,)
        watched = [*product(alone, range(len(problems))), *runs]
        total = len(alone) * len(problems) + len(self.strategies_) * n_batches
        bar = ProgressBar(store, watched, total, disable=not self.verbose)
        # Each task is a whole run of rounds: in batches, two long ones could wait for
        # each other.
        settings = self._settings(threads)
        with (
            interruptible(settings, store),
            bar,
            limit_threads(threads),
            Parallel(n_jobs=self.n_jobs, batch_size=1, pre_dispatch=n_jobs) as parallel,
        ):
            search = shared_search(self.estimator)
            # What the first seed finds is what all others use: it goes before them.
            before = _is_zero if search else None
            models: dict[int, Any] = {}
            for seeds in in_turn(first, before):
                trained = parallel(
                    delayed(train_first)(problems[seed], store, settings)
                    for seed in seeds
                )
                models |= zip(seeds, trained, strict=True)
            if self.ceiling:
                parallel(
                    delayed(train_first)(
                        ceiling_of(problems[seed]), store, settings, CEILING
                    )
                    for seed in missing_ceilings(store, len(problems))
                )
            # Read back, not returned: a resumed run meets the very same bytes.
            begun = [store.read(FIRST, seed) for seed in range(len(problems))]
            # And so do its rounds, where each strategy has a search for each size.
            pioneer = _is_of_seed_zero if search == "once_per_size" else None
            failed: list[Failed | None] = []
            for part in in_turn(left, pioneer):
                failed += parallel(
                    delayed(run_strategy)(
                        problems[seed],
                        self.strategies_[name],
                        name,
                        models.get(seed),
                        [*begun[seed], *done[name, seed]],
                        store,
                        settings,
                        told,
                    )
                    for name, seed in (
                        part if n_jobs == 1 else longest_first(part, store)
                    )
                )
        self.failures_ = failures_of(store, runs)
        raise_if_hopeless(failed, runs)
        warn_of(self.failures_)
        finished = [run for run in runs if run not in left and run[1] >= n_told]
        for name, seed in finished if told.listeners else []:
            # What was finished before may have been killed before it was told.
            with told.about(
                Loop(problems[seed], self.strategies_[name], name),
                [*begun[seed], *done[name, seed]],
            ):
                pass

    def _collect(
        self, store: RunStore, n_seeds: int
    ) -> dict[tuple[str, int], list[Round]]:
        """Make the tables of so many seeds, and return their rounds."""
        runs = product((FIRST, *self.strategies_), range(n_seeds))
        found = {run: store.read(*run) for run in runs}
        curves = {
            (name, seed): [*found[FIRST, seed], *records]
            for (name, seed), records in found.items()
            if name != FIRST
        }
        self.queries_ = {
            run: [record.indices for record in records]
            for run, records in curves.items()
        }
        metrics = {
            run: [record.metrics for record in records]
            for run, records in curves.items()
        }
        # The folder may be gone when somebody asks for epochs.
        self._rounds: Callable[[], Mapping[tuple[str, int], Any]]
        self._rounds = partial(dict, metrics)
        metrics = metrics | ceiling_curves(store, n_seeds)
        self.results_ = tidy_table(metrics, self.classes_)
        # Statistics read the looks off the table, wherever it is taken.
        self.results_.attrs["looks"] = None if self.looks is None else [*self.looks]
        return found


def _plain(value: Any) -> Any:
    """Describe a setting; the whole of a pool is not one image of it."""
    # 1 == 1.0 in JSON as in Python, and a run of the one is no run of the other.
    whole = isinstance(value, float) and value == 1
    return "1.0" if whole else describe(value)


def _is_zero(seed: int) -> bool:
    return seed == 0


def _is_of_seed_zero(run: tuple[str, int]) -> bool:
    return run[1] == 0


def _known_by(value: Any) -> Any:
    """What an argument of ``fit`` is known by: weights by a hash, not one by one."""
    is_plain = isinstance(value, (str, Mapping)) or not hasattr(value, "__len__")
    return describe(value) if is_plain else fingerprint(np.asarray(value))


def _splits(problems: list[Problem]) -> dict[str, Array]:
    splits: dict[str, Array] = {}
    for seed, problem in enumerate(problems):
        splits |= {
            f"train_{seed}": problem.train,
            f"test_{seed}": problem.test,
            f"initial_{seed}": problem.initial,
        }
        if len(problem.validation):
            splits[f"validation_{seed}"] = problem.validation
    return splits
