"""The rounds of one strategy: ask, reveal, train, measure."""

from __future__ import annotations

import contextlib
import copy
import inspect
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from skorch import NeuralNet

from al_sklearn import inference
from al_sklearn._core.random import preserve_global_rng, seed_all, seeded_clone
from al_sklearn.inference import classes_of
from al_sklearn.learners import ActiveLearner
from al_sklearn.learners._query import split_answer
from al_sklearn.loop._streams import Streams
from al_sklearn.loop._training import (
    fit,
    goes_on,
    learns_in_parts,
    name_classes,
    partial_fit,
    warm_start_parameter,
)
from al_sklearn.loop._without_labels import without_labels
from al_sklearn.loop.labelling_rate import LabellingRate
from al_sklearn.loop.stopping import StoppingCriterion
from al_sklearn.rows import take_rows, view_rows
from al_sklearn.strategies import follows_contract, takes_random_state
from al_sklearn.tasks import Metric, Predictions, Scorers, Task, know_metrics

if sys.platform != "win32":
    import resource

TRAINING: Final = ("from_scratch", "fine_tune", "only_new")
# Enough to see one prediction in a thousand change.
_N_STOP: Final = 1000
_USED_UP: Final = "pool used up"
_MAPPED: Final = "_mapped"


@dataclass
class Problem:
    """What all strategies of one seed share.

    Parameters
    ----------
    estimator : classifier
        Unfitted; never changed.
    X, y : rows and labels
        All that the caller gave; ``y`` is an array.
    task : Task
        What the labels are.
    train : int64 array
        Positions of X that may be labelled.
    initial : int64 array
        Those labelled from the start.
    X_test, y_test : rows and labels
        Never trained on.
    n_instances : int or LabellingRate
        Images a round.
    n_rounds : int
        Rounds after the initial set, at most.
    training : {"from_scratch", "fine_tune", "only_new"}
        How a round's model comes from the one before.
    scoring : dict of str to Metric or scorer
        What is measured beside the task's own metrics, by column.
    streams : Streams
        The seed's randomness.
    stopping : StoppingCriterion or None
        Ends the rounds early; each loop has its own clone.
    test : int64 array
        Positions of X that were held out; empty where the test set came from elsewhere.
    validation : int64 array
        Positions labelled for validation: they count, and no model learns its weights
        from them.
    budget : int or None
        Labels in all, at most; those for validation count.
    truth : array or None
        The right labels, where some of ``y`` are wrong on purpose.
    outside : bool array or None
        Images of no class: they can be bought, and nobody learns from them.
    first_params, later_params : dict or None
        Parameters of the estimator in the first training and in the later ones.
    """

    estimator: Any
    X: Any
    y: np.ndarray
    task: Task
    train: np.ndarray
    initial: np.ndarray
    X_test: Any
    y_test: np.ndarray
    n_instances: int | LabellingRate
    n_rounds: int
    training: str
    scoring: Scorers
    streams: Streams
    stopping: StoppingCriterion | None = None
    test: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    validation: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    budget: int | None = None
    truth: np.ndarray | None = None
    outside: np.ndarray | None = None
    first_params: Mapping[str, Any] | None = None
    later_params: Mapping[str, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # On its way to a worker joblib turns large arrays into memmaps: which of them
        # were some before?
        state = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            **state,
            _MAPPED: {
                name for name, value in state.items() if isinstance(value, np.memmap)
            },
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take memmaps that were arrays as arrays again.

        They are in memory: read as the files that memmaps are, in pieces, rounds would
        take longer, and sums in pieces have other last bits than in the main process.
        """
        mapped = state.pop(_MAPPED)
        for name, value in state.items():
            setattr(
                self,
                name,
                np.asarray(value)
                if isinstance(value, np.memmap) and name not in mapped
                else value,
            )

    @property
    def classes(self) -> np.ndarray:
        """The sorted labels, where the task has some."""
        return self.task.classes  # type: ignore[attr-defined]

    @property
    def ends_early(self) -> bool:
        """Whether runs of this problem may differ in length.

        If so, each says why it ended.
        """
        return self.stopping is not None or isinstance(self.n_instances, LabellingRate)

    @cached_property
    def stop_set(self) -> np.ndarray:
        """Positions of the images whose predictions are watched.

        They are the same for all strategies of the seed.
        """
        generator = self.streams.generator("stopping")
        return np.sort(generator.permutation(self.train)[:_N_STOP])

    def is_over(self, n_rounds: int, n_labelled: int) -> bool:
        """Whether the rounds, the budget or the pool are used up.

        ``n_labelled`` counts those for validation.
        """
        return n_rounds >= self.n_rounds or n_labelled >= self.most

    @property
    def most(self) -> int:
        """Labels there can be, those for validation among them."""
        n = len(self.train) + len(self.validation)
        return n if self.budget is None else min(n, self.budget)

    @property
    def n_batches(self) -> int:
        """Batches there can be; fewer where a criterion stops or a rate asks much."""
        smallest = self.n_instances if isinstance(self.n_instances, int) else 1
        return min(
            self.n_rounds,
            -(-(self.most - len(self.initial) - len(self.validation)) // smallest),
        )

    def n_paid(self, labelled: np.ndarray) -> int:
        """Count the labels paid for, those for validation among them."""
        return len(labelled) + len(self.validation)

    def learnable(self, positions: np.ndarray) -> np.ndarray:
        """Those of the positions that have a class."""
        return (
            positions if self.outside is None else positions[~self.outside[positions]]
        )

    def params_of(self, number: int) -> dict[str, Any]:
        """Return what the estimator's parameters are set to in a round."""
        first = dict(self.first_params or {})
        if number == 0 or not (first or self.later_params):
            return first
        # A model that goes on from the first round still has that one's.
        usual = self.estimator.get_params(deep=True)
        return {name: usual[name] for name in first} | dict(self.later_params or {})

    def estimator_of(self, number: int) -> Any:
        """Return the estimator, unfitted, as a round trains it from fresh weights."""
        params = self.params_of(number if self.training == "from_scratch" else 0)
        # An estimator among the parameters is the caller's: whoever trains clones.
        return clone(self.estimator).set_params(**params) if params else self.estimator

    @property
    def pool_counts(self) -> list[int]:
        """Images of each class that could be labelled, validation's among them."""
        return self.sizes(np.concatenate([self.train, self.validation]))

    def sizes(self, positions: np.ndarray) -> list[int]:
        """Count the labels of each kind, as they were given."""
        return self.task.count(self.y[self.learnable(positions)])

    def next_batch(self, history: Sequence[Mapping[str, Any]]) -> int:
        """Return how many images come next, after rounds with these metrics."""
        n_labelled = history[-1]["n_labelled"]
        counts = [self.most - n_labelled]
        if isinstance(self.n_instances, LabellingRate):
            name = self.n_instances.metric
            values = [metrics[name] for metrics in history] if name is not None else []
            counts.append(
                self.n_instances.next_batch(
                    [metrics["n_labelled"] for metrics in history], values
                )
            )
        else:
            counts.append(self.n_instances)
        left = (
            self.stopping.labels_left(n_labelled) if self.stopping is not None else None
        )
        return min(counts) if left is None else min(*counts, max(1, left))

    @property
    def test_rows(self) -> Any:
        """The test images, as the caller gave them."""
        return self._unspoilt(self.X_test)

    @property
    def validation_rows(self) -> Any:
        """The validation images; None where there are none."""
        return self._unspoilt(self._for_validation) if len(self.validation) else None

    @cached_property
    def _for_validation(self) -> Any:
        return take_rows(self.X, self.validation)

    def _unspoilt(self, rows: Any) -> Any:
        """Return rows that are used again, safe from steps that work in place.

        A step with copy=False would spoil them otherwise.
        """
        writes, may_lock = self._in_place
        if isinstance(rows, np.ndarray) and may_lock:
            # Such a step copies what it cannot write to.
            rows = rows.view()
            rows.flags.writeable = False
        elif writes and (hasattr(rows, "iloc") or sp.issparse(rows)):
            rows = rows.copy()
        return rows

    @cached_property
    def _in_place(self) -> tuple[bool, bool]:
        """Whether the estimator says that it writes to what it is given.

        Also whether arrays can be locked for it.
        """
        parameters = self.estimator.get_params(deep=True)
        writes = any(
            name.rpartition("__")[2] == "copy" and value is False
            for name, value in parameters.items()
        )
        # Networks write to nothing, and torch warns of arrays that it could not write
        # to.
        has_net = any(
            isinstance(part, NeuralNet)
            for part in (self.estimator, *parameters.values())
        )
        return writes, isinstance(self.estimator, Pipeline) or not has_net

    @cached_property
    def test_codes(self) -> np.ndarray:
        """The test images' labels, as the task's metrics want them."""
        return self.task.encode(self.y_test)


@dataclass
class Round:
    """What one round did: which images, and how good the model is with them.

    The model has learnt from those images.

    Parameters
    ----------
    round : int
        0 is the initial set.
    indices, scores : arrays
        The images bought, as positions in X, and what the strategy said of them (NaN
        for the initial set).
    metrics : dict
        Plain numbers and lists, as the store writes them.
    """

    round: int
    indices: np.ndarray
    scores: np.ndarray
    metrics: dict[str, Any] = field(default_factory=dict)


class Loop:
    """The state of one strategy's run over one problem.

    Parameters
    ----------
    problem : Problem
        What is learnt.
    strategy : callable or None
        Who asks; None where only the first model is wanted.
    name : str
        The strategy's name, which its acquisition stream depends on.
    """

    def __init__(self, problem: Problem, strategy: Any, name: str):
        self.problem = problem
        self.strategy = strategy
        self.name = name
        self.round = -1
        self.model: Any = None
        self.labelled = np.empty(0, dtype=np.int64)
        self.stopped = ""
        self._history: list[dict[str, Any]] = []
        self._criterion = None if problem.stopping is None else clone(problem.stopping)
        self._takes_random_state = strategy is not None and takes_random_state(strategy)
        self._parameters = parameters_of(strategy)
        # A worker has not run the lines that registered them: stopping rules look up
        # there which way is better.
        known = (part for part in problem.scoring.values() if isinstance(part, Metric))
        know_metrics(known)

    @property
    def unlabelled(self) -> np.ndarray:
        """Positions that can still be asked for, increasing."""
        return np.setdiff1d(self.problem.train, self.labelled, assume_unique=True)

    @property
    def n_labelled(self) -> int:
        """How many labels have been paid for."""
        return self.problem.n_paid(self.labelled)

    @property
    def finished(self) -> bool:
        """Whether rounds, budget or pool are used up, or a criterion has said stop."""
        return bool(self.stopped) or self.problem.is_over(self.round, self.n_labelled)

    def begin(self) -> Round:
        """Train the first model, on the initial set, and measure it."""
        initial = self.problem.initial
        with self._where_it_was(), preserve_global_rng():
            return self._learn(
                initial,
                np.full(len(initial), np.nan),
                {"query_seconds": 0.0, "batch_accuracy": np.nan},
            )

    def share(self, model: Any, first: Round) -> None:
        """Start from a first model, and its round, trained for all strategies.

        It was trained once for all strategies of the seed.
        """
        # A copy: a strategy must not, but could, change it for the others, and
        # fine-tuning goes on from it.
        self.model = copy.deepcopy(model)
        self.labelled = self.problem.initial.copy()
        self.round = 0
        self._recall(first.metrics)

    def replay(self, records: Sequence[Round]) -> None:
        """Bring a loop that shares the first model to where these rounds left it.

        The rounds are 1, 2, ….
        """
        for i, record in enumerate(records):
            self.labelled = np.concatenate([self.labelled, record.indices])
            self.round += 1
            self._recall(record.metrics)
            # From scratch, only the last model matters; else each has grown out of the
            # one before.
            if self.problem.training != "from_scratch" or i == len(records) - 1:
                with preserve_global_rng():
                    self.model = self._train(record.indices)

    def step(self) -> Round:
        """Ask for a batch, reveal its labels, train and measure."""
        # What a model draws when it predicts comes from the stream of the query or
        # training before it.
        with self._where_it_was(), preserve_global_rng():
            return self._step()

    @contextlib.contextmanager
    def _where_it_was(self) -> Iterator[None]:
        """Let an error say in which round it was, of which strategy and seed."""
        where = (
            f"In round {self.round + 1} of {self.name!r}, seed "
            f"{self.problem.streams.seed}."
        )
        try:
            yield
        except Exception as error:
            error.add_note(where)
            raise

    def _step(self) -> Round:
        problem = self.problem
        started = time.perf_counter()
        indices, scores = self.query(problem.next_batch(self._history))
        query_seconds = time.perf_counter() - started
        batch_accuracy = self._accuracy(problem.learnable(indices))
        return self._learn(
            indices,
            scores,
            {"query_seconds": query_seconds, "batch_accuracy": batch_accuracy},
        )

    def _accuracy(self, positions: np.ndarray, rows: Any = None) -> float:
        """Share of these images whose given label the model predicts; NaN of none."""
        problem = self.problem
        if len(positions) == 0:
            return float("nan")
        rows = take_rows(problem.X, positions) if rows is None else rows
        predictions = predict(self.model, rows, problem.task)
        return float(problem.task.same(problem.y[positions], predictions).mean())

    def query(self, n_instances: int) -> tuple[np.ndarray, np.ndarray]:
        """Let the strategy choose among the unlabelled; positions in X and scores."""
        problem, unlabelled = self.problem, self.unlabelled
        learner: Any = ActiveLearner(self.model, query_strategy=self.strategy)
        # Ours read rows as they need them; others expect an array.
        ours = follows_contract(self.strategy)
        pool = (
            view_rows(problem.X, unlabelled)
            if ours
            else without_labels(take_rows(problem.X, unlabelled))
        )
        known = problem.learnable(self.labelled)
        learner.X_training = take_rows(problem.X, known)
        learner.y_training = problem.y[known]
        seed = problem.streams.integer("acquisition", self.name, self.round + 1)
        options = {"random_state": seed} if self._takes_random_state else {}
        with contextlib.nullcontext() if ours else warnings.catch_warnings():
            if not ours:
                warnings.filterwarnings(
                    "ignore", "This query strategy returns no scores"
                )
            seed_all(seed)
            if "y_true" in self._parameters:
                truth = self._truth(unlabelled)
                chosen, scores = split_answer(
                    self.strategy(self.model, pool, n_instances, **truth, **options),
                    len(unlabelled),
                )
            else:
                answer: Any = learner.query(
                    pool, n_instances=n_instances, return_metrics=True, **options
                )
                chosen, _, scores = answer
        check_choice(self.name, chosen, n_instances)
        if scores is None:
            scores = np.full(n_instances, np.nan)
        return unlabelled[chosen], np.asarray(scores, dtype=np.float64)

    def _truth(self, unlabelled: np.ndarray) -> dict[str, Any]:
        """What an oracle, a strategy with a parameter ``y_true``, sees.

        Upper bounds are bought with true labels.
        """
        problem = self.problem
        labelled = problem.learnable(self.labelled)
        known = {
            "y_true": (problem.y if problem.truth is None else problem.truth)[
                unlabelled
            ],
            "X_test": problem.test_rows,
            "y_test": problem.y_test,
            "X_labelled": take_rows(problem.X, labelled),
            "y_labelled": problem.y[labelled],
        }
        return {
            name: value for name, value in known.items() if name in self._parameters
        }

    def _learn(
        self, batch: np.ndarray, scores: np.ndarray, metrics: dict[str, Any]
    ) -> Round:
        problem = self.problem
        self.round += 1
        self.labelled = np.concatenate([self.labelled, batch])
        started = time.perf_counter()
        self.model = self._train(batch)
        training_seconds = time.perf_counter() - started
        record = {
            "round": self.round,
            "n_labelled": self.n_labelled,
            **measure(self.model, problem),
            **metrics,
        }
        if len(problem.validation):
            record["validation_accuracy"] = self._accuracy(
                problem.validation, problem.validation_rows
            )
        record["bought"] = problem.sizes(batch)
        if problem.outside is not None:
            record["bought_outside"] = int(problem.outside[batch].sum())
        if problem.truth is not None:
            record["bought_wrong"] = int(
                (problem.y[batch] != problem.truth[batch]).sum()
            )
        record["training_seconds"] = training_seconds
        record["peak_memory_mb"] = _peak_memory_mb()
        self._history.append(record)
        if problem.ends_early:
            self._check_stop(record)
        return Round(self.round, batch, scores, record)

    def _check_stop(self, record: dict[str, Any]) -> None:
        """Ask the criterion, and put what it says in the round's record.

        What it remembers goes there too.
        """
        problem = self.problem
        stop = False
        if self._criterion is not None:
            watched = (
                problem.stop_set
                if self._criterion.needs_stop_set
                else np.empty(0, dtype=np.int64)
            )
            # Measures of predictions must not move the generators that training draws
            # from.
            with preserve_global_rng():
                stop = self._criterion.update(
                    self.model,
                    take_rows(problem.X, watched),
                    labelled=np.isin(watched, self.labelled),
                    n_labelled=self.n_labelled,
                    metrics=record,
                )
            record["stopping"] = self._criterion.get_state()
        if self.round < problem.n_rounds:
            if len(self.labelled) >= len(problem.train):
                self.stopped = _USED_UP
            elif stop and self._criterion is not None:
                self.stopped = self._criterion.reason
        record["stopped"] = self.stopped

    def _recall(self, metrics: dict[str, Any]) -> None:
        """Take a finished round's record for the history, and go on from there.

        It goes on from what the criterion knew then.
        """
        self._history.append(metrics)
        self.stopped = metrics.get("stopped", "")
        if self._criterion is not None:
            self._criterion.set_state(metrics["stopping"])

    def _train(self, batch: np.ndarray) -> Any:
        """Train on what is labelled; the caller puts the global generators back."""
        problem = self.problem
        rows = problem.learnable(
            batch if problem.training == "only_new" else self.labelled
        )
        if len(rows) == 0:
            # Nothing of this batch can be learnt from.
            return self.model
        X, y = take_rows(problem.X, rows), problem.y[rows]
        validation = problem.validation_rows, problem.y[problem.validation]
        in_parts = problem.training == "only_new" and learns_in_parts(problem.estimator)
        fresh = self.model is None or problem.training == "from_scratch"
        if not fresh and not in_parts and not goes_on(self.model, y):
            if problem.training == "only_new":
                raise ValueError(
                    f"{type(self.model).__name__} cannot go on from classes "
                    f"{classes_of(self.model).tolist()} with a "
                    f"batch of {np.unique(y).tolist()}; training='only_new' needs a "
                    "partial_fit then."
                )
            # On all labels it begins again where a class is new.
            fresh = True
        model = self._fresh_model() if fresh else self._model_so_far()
        seed_all(problem.streams.integer("order", self.round))
        if in_parts:
            partial_fit(model, X, y, problem.classes, *validation, first=fresh)
        else:
            fit(model, X, y, *validation)
        return model

    def _fresh_model(self) -> Any:
        problem = self.problem
        model = seeded_clone(
            problem.estimator_of(self.round),
            problem.streams.integer("weights", self.round),
        )
        grows = problem.training != "from_scratch"
        name_classes(model, problem.classes, grows)
        if grows and not (problem.training == "only_new" and learns_in_parts(model)):
            model.set_params(**{warm_start_parameter(model): True})
        return model

    def _model_so_far(self) -> Any:
        params = self.problem.params_of(self.round)
        # Clones: an estimator among them is the caller's. Its seeds are the streams'.
        params = {
            name: clone(value, safe=False)
            for name, value in params.items()
            if not name.endswith("random_state")
        }
        return self.model.set_params(**params) if params else self.model


def check_choice(name: str, chosen: np.ndarray, n_instances: int) -> None:
    """Raise a ``ValueError`` unless a strategy chose as many images as asked.

    The images must all be different.
    """
    different = len(np.unique(chosen))
    if len(chosen) != n_instances or different != n_instances:
        raise ValueError(
            f"The strategy {name!r} was asked for {n_instances} different images and "
            f"gave {len(chosen)} "
            f"({different} different)."
        )


def measure(model: Any, problem: Problem) -> dict[str, Any]:
    """Measure a model on the problem's test set."""
    predictions = predict(model, problem.test_rows, problem.task)
    return problem.task.measure(
        problem.y_test, predictions, problem.test_rows, problem.scoring
    )


def predict(model: Any, X: Any, task: Task) -> Predictions:
    """Ask a model about rows, in the task's plain form."""
    return task.predict(model, X, inference)


def parameters_of(strategy: Any) -> frozenset[str]:
    """Names of a strategy's parameters; none where it does not say."""
    try:
        return frozenset(inspect.signature(strategy).parameters)
    except (TypeError, ValueError):
        # None, or a function written in C.
        return frozenset()


def _peak_memory_mb() -> float:
    """Largest resident memory that this process has had, in MiB.

    NaN where the system does not say.
    """
    if sys.platform == "win32":
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
