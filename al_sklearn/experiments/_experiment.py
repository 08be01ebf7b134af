"""Active learning with known labels, as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    MetaEstimatorMixin,
    _fit_context,
)
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    check_is_fitted,
)

from al_sklearn import inference
from al_sklearn._core.progress import tqdm
from al_sklearn._core.random import RandomState
from al_sklearn._core.types import Array, Function
from al_sklearn.experiments.hard_pools import PoolTransform
from al_sklearn.experiments.protocol import (
    PROTOCOL_CONSTRAINTS,
    Splits,
    check_protocol,
    check_rows,
    check_test_set,
    first_round,
    known_classes,
    make_problem,
    next_round,
    reads_lazily,
    route_fit_options,
    router_of,
)
from al_sklearn.experiments.store import epoch_table, tidy_columns
from al_sklearn.experiments.tracking import (
    Callback,
    Callbacks,
    ExperimentState,
    check_callbacks,
    new_run_id,
)
from al_sklearn.inference import classes_of
from al_sklearn.loop import Loop, Round, Streams, entropy_of
from al_sklearn.loop.labelling_rate import LabellingRate
from al_sklearn.loop.stopping import StoppingCriterion
from al_sklearn.rows import describe, n_rows
from al_sklearn.strategies import get_strategy, strategy_name
from al_sklearn.tasks import Classification, Metric, align_columns, scorers_of


def _has_predict_proba(experiment: ActiveLearningExperiment) -> bool:
    return hasattr(
        getattr(experiment, "estimator_", experiment.estimator), "predict_proba"
    )


class ActiveLearningExperiment(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Hide the labels, let a strategy ask for them, and keep the last model.

    It asks round by round.

    Parameters
    ----------
    estimator : classifier
        Cloned; it may be a ``Pipeline``. Every ``random_state`` in it is set from this
        experiment's.
    query_strategy : str or callable, default="random_sampling"
        A name from :func:`al_sklearn.strategies.catalogue`, or a function
        ``(classifier, X, n_instances)``.
    n_initial : int or float, default=20
        Images labelled from the start, or their share of the pool; with
        ``initial="per_class"`` of each class.
    n_instances : int, float or LabellingRate, default=20
        Images bought in each round, or their share of the pool, or a rule from
        :mod:`al_sklearn.loop.labelling_rate`. The last batch is what is left.
    n_rounds : int or None, default=10
        Batches bought after the initial set, at most. None needs a ``budget`` or a
        stopping criterion.
    initial : {"stratified", "random", "per_class"}, or a strategy, default="stratified"
        The initial set follows the classes' shares (at least one image a class where
        that is possible), is drawn at random, has ``n_initial`` of each class, or is
        chosen by a strategy that needs no labels, as ``"typiclust"``, from the images,
        or from what a pipeline's transformers make of them.
    min_per_class : int, optional
        The initial set, stratified or random, has at least so many of each class.
    test_size : float or int, default=0.25
        Held out of X, stratified, where ``fit`` gets no ``X_test``.
    training : str, default="from_scratch"
        Each round's model: from fresh weights on all labels (``"from_scratch"``); from
        the weights before on all labels (``"fine_tune"``, the estimator needs
        ``warm_start``); from the weights before on the new batch (``"incremental"``, by
        ``partial_fit``, else ``warm_start``); or by ``fit`` on the new batch alone
        (``"only_new"``, which forgets the rest). What goes on has an output
        for every class from the beginning where it is a net, or learns by
        ``partial_fit``; others begin again, on all labels, where a class is new. In a
        pipeline whose last step has ``partial_fit`` the steps before it stay, with the
        new batch alone, as the first round fitted them.
    scoring : str, callable, list or dict of these, or None, default=None
        Scikit-learn's scorers, or metrics of :func:`al_sklearn.tasks.metrics`: each a
        further column of its name (a function's ``__name__``, a dict's key, ``score``
        where it has none). :meth:`score` returns the first; accuracy by default.
    stopping : StoppingCriterion or None, default=None
        Ends the rounds early, by a rule from :mod:`al_sklearn.loop.stopping`. Those
        that look at metrics see the test set's: a rule for practice looks at
        predictions, or at a validation set.
    callbacks : list of Callback or None, default=None
        Told of every round, as those of :mod:`al_sklearn.experiments.tracking` are.
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
    random_state : int, Generator, RandomState or None, default=None
        Of split, initial set, weights, data order and acquisition, a stream each.
    verbose : int, default=0
        1 shows a progress bar with the time left.

    Attributes
    ----------
    estimator_ : classifier
        The last round's model.
    classes_ : array of shape (C,)
        All labels; a model that has not met one of them yet gives it probability 0.
    history_ : DataFrame
        One row a round: ``round``, ``n_labelled``, ``accuracy``, ``balanced_accuracy``,
        ``macro_f1``, ``nll``, ``ece``, (those of ``scoring``,
        ``validation_accuracy``,)
        ``batch_accuracy`` (of the model before on the batch just bought),
        (``bought_outside``, ``bought_wrong``: images of no class, images with a wrong
        label,) ``accuracy_<class>``, ``bought_<class>``, ``query_seconds``,
        ``training_seconds``, ``peak_memory_mb`` (of the process, so far), and, where
        runs may end early, ``stopped`` (why, in the last row; else empty).
    epochs_ : DataFrame
        One row for each epoch of each round, of models that keep them: ``round``,
        ``epoch``, ``train_loss``, ``train_acc``, ``valid_loss``, ``valid_acc``, and
        what else a network's history has.
    stopped_ : str
        Why the rounds ended early; empty where they did not.
    labelled_indices_ : int64 array
        Positions in X, in the order in which they were labelled; without those for
        validation.
    validation_indices_ : int64 array
        Positions labelled for validation.
    queries_ : list of int64 arrays
        The initial set and each round's batch.
    test_indices_ : int64 array
        Positions held out of X; empty where a test set was given.
    n_features_in_ : int
        Values in a row of X; where X is an array.
    feature_names_in_ : array of str
        Where X is a DataFrame with string columns.

    Notes
    -----
    X is an array of images or features, a sparse matrix, a DataFrame, a tensor, a list
    of files, a memmap, an HDF5 data set, a torch ``Dataset``: it is never copied, and a
    strategy of ours reads it as it needs it.

    As the last step of a ``Pipeline``, the test set goes through the steps before by
    ``transform_input``, as in the example.

    Examples
    --------
    >>> import sklearn
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import Pipeline
    >>> from sklearn.preprocessing import MinMaxScaler
    >>> from al_sklearn.experiments import ActiveLearningExperiment
    >>> X, y = load_digits(return_X_y=True)
    >>> experiment = ActiveLearningExperiment(
    ...     LogisticRegression(max_iter=1000), "margin", n_rounds=3, random_state=0
    ... )
    >>> with sklearn.config_context(enable_metadata_routing=True):
    ...     experiment = experiment.set_fit_request(X_test=True, y_test=True)
    ...     steps = [("scale", MinMaxScaler()), ("learn", experiment)]
    ...     pipeline = Pipeline(steps, transform_input=["X_test"])
    ...     pipeline = pipeline.fit(
    ...         X[:1300], y[:1300], X_test=X[1300:], y_test=y[1300:]
    ...     )
    >>> pipeline[-1].history_["n_labelled"].tolist()
    [20, 40, 60, 80]
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **PROTOCOL_CONSTRAINTS,
        "query_strategy": [str, callable],
    }

    def __init__(
        self,
        estimator: Any,
        query_strategy: str | Function = "random_sampling",
        *,
        n_initial: float = 20,
        n_instances: float | LabellingRate = 20,
        n_rounds: int | None = 10,
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
        random_state: RandomState = None,
        verbose: int = 0,
    ):
        self.estimator = estimator
        self.query_strategy = query_strategy
        self.n_initial = n_initial
        self.n_instances = n_instances
        self.n_rounds = n_rounds
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
        self.random_state = random_state
        self.verbose = verbose

    # The estimator inside is cloned and fitted by the loop, which lets it check its own
    # parameters.
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: Any,
        y: Any,
        X_test: Any = None,
        y_test: Any = None,
        **fit_params: Any,
    ) -> ActiveLearningExperiment:
        """Run the experiment.

        Parameters
        ----------
        X : rows
            The pool (and the test set, where none is given).
        y : array of shape (n,)
            Labels; the model sees those of the images that were asked for.
        X_test, y_test : rows and labels, optional
            Where each round's model is measured.
        **fit_params
            Handed to the estimator's ``fit``, or, where metadata routing is on, those
            that it requests. What has one value a row of X, as ``sample_weight`` and
            ``groups``, goes with its rows.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For data that do not fit together, an unknown strategy, or more images asked
            for than there are.
        """
        # All that can be wrong is found before the first training.
        strategy = get_strategy(self.query_strategy)
        check_protocol(self)
        X, y = self._check_training_data(X, y)
        self.classes_ = known_classes(y, self.pool)
        streams = Streams(entropy_of(self.random_state))
        has_test = X_test is not None or y_test is not None
        if has_test:
            X_test, y_test = check_test_set(
                X_test, y_test, self.classes_, self.estimator
            )
        options = route_fit_options(self, fit_params, n_rows(X))
        problem = make_problem(
            self, X, y, self.classes_, X_test, y_test, streams, options
        )
        self.test_indices_ = problem.test
        loop = Loop(problem, strategy, strategy_name(strategy))
        listeners = check_callbacks(self.callbacks)
        # Hashing arrays among them takes time that only listeners need.
        parameters = describe(self.get_params(deep=False)) if listeners else {}
        state = ExperimentState(
            new_run_id(), loop.name, loop.name, streams.seed, parameters, loop
        )
        with Callbacks(listeners, state) as told:
            records = self._run(loop, told)
        self.estimator_ = loop.model
        self.labelled_indices_ = loop.labelled
        self.validation_indices_ = problem.validation
        self.stopped_ = loop.stopped
        self.queries_ = [record.indices for record in records]
        metrics = [record.metrics for record in records]
        self.epochs_ = epoch_table({(loop.name, streams.seed): metrics})
        self.history_ = pd.DataFrame(tidy_columns(metrics, self.classes_))
        return self

    def predict(self, X: Any) -> Array:
        """Predict with the last round's model.

        Parameters
        ----------
        X : rows

        Returns
        -------
        array of shape (n,)
        """
        X = self._check_rows(X)
        return self.estimator_.predict(X)

    @available_if(_has_predict_proba)
    def predict_proba(self, X: Any) -> Array:
        """Class probabilities by the last round's model.

        Parameters
        ----------
        X : rows

        Returns
        -------
        array of shape (n, C)
            Columns follow ``classes_``.
        """
        X = self._check_rows(X)
        proba = inference.proba_array(self.estimator_.predict_proba(X))
        return align_columns(proba, classes_of(self.estimator_), self.classes_)

    def score(self, X: Any, y: Any) -> float:
        """Score the last round's model: by ``scoring``, accuracy by default.

        More is better, as everywhere in scikit-learn: of a metric that is better when
        lower it is the negative.

        Parameters
        ----------
        X : rows
        y : array of shape (n,)

        Returns
        -------
        float
        """
        check_is_fitted(self)
        scorers = list(scorers_of(self.scoring).values())
        if not scorers:
            return float(np.mean(self.predict(X) == np.asarray(y)))
        # Itself, not its model, which may not have met every class.
        if not isinstance(scorers[0], Metric):
            return float(scorers[0](self, X, y))
        task = Classification(self.classes_)
        predictions = task.predict(self, X, inference)
        value = scorers[0](task.encode(np.asarray(y)), predictions.values)
        # GridSearchCV and its like take more for better.
        return scorers[0].sign * value

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        own = get_tags(self.estimator)
        tags.estimator_type = own.estimator_type
        tags.classifier_tags = own.classifier_tags
        tags.input_tags = own.input_tags
        # Its own tags do not look inside pipelines and searches.
        tags.input_tags.allow_nan = inference.takes_nan(self.estimator)
        tags.input_tags.sparse = inference.takes_sparse(self.estimator)
        # One label an image is what is bought.
        tags.classifier_tags.multi_label = False
        tags.target_tags.required = True
        tags.array_api_support = False
        return tags

    def get_metadata_routing(self) -> MetadataRouter:
        """Say where metadata goes, as ``sample_weight``: to the estimator's ``fit``.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRouter
        """
        return router_of(self)

    def _check_training_data(self, X: Any, y: Any) -> tuple[Any, Array]:
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is "
                "None: it hides the labels itself."
            )
        if not reads_lazily(X):
            _check_feature_names(self, X, reset=True)
            # After the check: lists have become arrays.
            X = check_rows(X, self.estimator)
            _check_n_features(self, X, reset=True)
            if X.ndim > 2:
                self.n_features_in_ = int(np.prod(X.shape[1:]))
        elif len(getattr(X, "shape", ())) > 1:
            self.n_features_in_ = int(np.prod(X.shape[1:]))
        if n_rows(X) == 0:
            raise ValueError("X is empty: there are no images to learn from.")
        return X, Classification.check_labels(y, n_rows(X))

    def _check_rows(self, X: Any) -> Any:
        check_is_fitted(self)
        if not reads_lazily(X):
            _check_feature_names(self, X, reset=False)
            # Images were counted flat at fit; what the estimator takes of other shapes
            # is its own to say.
            if len(getattr(X, "shape", ())) == 2:
                _check_n_features(self, X, reset=False)
        return X

    def _run(self, loop: Loop, told: Callbacks) -> list[Round]:
        total = loop.problem.n_batches + 1
        with tqdm(
            total=total, desc=loop.name, unit="round", disable=not self.verbose
        ) as bar:
            records = [first_round(loop)]
            told.round_end(records[-1])
            bar.update()
            while not loop.finished:
                records.append(next_round(loop))
                told.round_end(records[-1])
                bar.update()
        return records
