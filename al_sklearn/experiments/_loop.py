"""The rounds of one strategy: ask, reveal, train, measure."""

from __future__ import annotations

import contextlib
import copy
import inspect
import random
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import torch
from sklearn.base import clone
from sklearn.metrics import get_scorer
from sklearn.pipeline import Pipeline

from al_sklearn._random import preserve_global_rng
from al_sklearn.experiments._metrics import METRICS, Predicted, align_columns, evaluate
from al_sklearn.experiments._streams import Streams, seeded_clone
from al_sklearn.experiments.labelling_rate import LabellingRate
from al_sklearn.experiments.stopping import StoppingCriterion
from al_sklearn.inference import classes_of, predict_proba
from al_sklearn.learners import ActiveLearner
from al_sklearn.pool import RowView, take_rows, view_rows
from al_sklearn.strategies import follows_contract, takes_random_state

if sys.platform != "win32":
    import resource

# numpy's, torch's and Python's global generators are one for all threads of a process, and networks draw from them:
# under a threading backend the loops take turns. Workers in processes of their own never wait.
_global_generators = threading.RLock()

TRAINING: Final = ("from_scratch", "fine_tune", "only_new")
# Enough to see one prediction in a thousand change.
_N_STOP: Final = 1000
_USED_UP: Final = "pool used up"


@dataclass
class Problem:
    """What all strategies of one seed share.

    Parameters
    ----------
    estimator : classifier
        Unfitted; never changed.
    X, y : rows and labels
        All that the caller gave; ``y`` is an array.
    classes : array of shape (C,)
        The sorted labels.
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
    scoring : str, callable or None
        A further metric, ``score``.
    streams : Streams
        The seed's randomness.
    stopping : StoppingCriterion or None
        Ends the rounds early; each loop has its own clone.
    """

    estimator: Any
    X: Any
    y: np.ndarray
    classes: np.ndarray
    train: np.ndarray
    initial: np.ndarray
    X_test: Any
    y_test: np.ndarray
    n_instances: int | LabellingRate
    n_rounds: int
    training: str
    scoring: str | Callable[..., float] | None
    streams: Streams
    stopping: StoppingCriterion | None = None

    @property
    def ends_early(self) -> bool:
        """Whether runs of this problem may differ in length, so that each says why it ended."""
        return self.stopping is not None or isinstance(self.n_instances, LabellingRate)

    @cached_property
    def stop_set(self) -> np.ndarray:
        """Positions of the images whose predictions are watched, the same for all strategies of the seed."""
        generator = self.streams.generator("stopping")
        return np.sort(generator.permutation(self.train)[:_N_STOP])

    def is_over(self, n_rounds: int, n_labelled: int) -> bool:
        """Whether the rounds or the pool are used up."""
        return n_rounds >= self.n_rounds or n_labelled >= len(self.train)

    def next_batch(self, history: Sequence[Mapping[str, Any]]) -> int:
        """Return how many images come next, after rounds with these metrics."""
        n_labelled = history[-1]["n_labelled"]
        counts = [len(self.train) - n_labelled]
        if isinstance(self.n_instances, LabellingRate):
            name = self.n_instances.metric
            values = [metrics[name] for metrics in history] if name is not None else []
            counts.append(self.n_instances.next_batch([metrics["n_labelled"] for metrics in history], values))
        else:
            counts.append(self.n_instances)
        left = self.stopping.labels_left(n_labelled) if self.stopping is not None else None
        return min(counts) if left is None else min(*counts, max(1, left))

    @cached_property
    def test_rows(self) -> Any:
        """The test images, as the caller gave them.

        joblib hands large arrays to its workers as memmaps, which are read in pieces; in one piece, as in the main
        process, the last bits of every sum are the same.
        """
        return np.asarray(self.X_test) if isinstance(self.X_test, np.memmap) else self.X_test

    @cached_property
    def test_codes(self) -> np.ndarray:
        """Columns of the test images' true classes."""
        return np.searchsorted(self.classes, self.y_test)


@dataclass
class Round:
    """What one round did: which images, and how good the model is that has learnt from them.

    Parameters
    ----------
    round : int
        0 is the initial set.
    indices, scores : arrays
        The images bought, as positions in X, and what the strategy said of them (NaN for the initial set).
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

    @property
    def unlabelled(self) -> np.ndarray:
        """Positions that can still be asked for, increasing."""
        return np.setdiff1d(self.problem.train, self.labelled, assume_unique=True)

    @property
    def finished(self) -> bool:
        """Whether the rounds or the pool are used up, or a criterion has said stop."""
        return bool(self.stopped) or self.problem.is_over(self.round, len(self.labelled))

    def begin(self) -> Round:
        """Train the first model, on the initial set, and measure it."""
        initial = self.problem.initial
        with _global_generators:
            return self._learn(initial, np.full(len(initial), np.nan), {"query_seconds": 0.0, "batch_accuracy": np.nan})

    def share(self, model: Any, first: Round) -> None:
        """Start from a first model, and its round, that was trained once for all strategies of the seed."""
        # A copy: a strategy must not, but could, change it for the others, and fine-tuning goes on from it.
        self.model = copy.deepcopy(model)
        self.labelled = self.problem.initial.copy()
        self.round = 0
        self._recall(first.metrics)

    def replay(self, records: Sequence[Round]) -> None:
        """Bring a loop that shares the first model to where these rounds (1, 2, …) have left it."""
        for i, record in enumerate(records):
            self.labelled = np.concatenate([self.labelled, record.indices])
            self.round += 1
            self._recall(record.metrics)
            # From scratch, only the last model matters; else each has grown out of the one before.
            if self.problem.training != "from_scratch" or i == len(records) - 1:
                with _global_generators:
                    self.model = self._train(record.indices)

    def step(self) -> Round:
        """Ask for a batch, reveal its labels, train and measure."""
        with _global_generators:
            return self._step()

    def _step(self) -> Round:
        problem = self.problem
        started = time.perf_counter()
        indices, scores = self.query(problem.next_batch(self._history))
        query_seconds = time.perf_counter() - started
        before, _ = _proba(self.model, take_rows(problem.X, indices), problem.classes)
        right = problem.classes[before.argmax(axis=1)] == problem.y[indices]
        return self._learn(indices, scores, {"query_seconds": query_seconds, "batch_accuracy": float(right.mean())})

    def query(self, n_instances: int) -> tuple[np.ndarray, np.ndarray]:
        """Let the strategy choose among the unlabelled; positions in X and scores."""
        problem, unlabelled = self.problem, self.unlabelled
        learner: Any = ActiveLearner(self.model, query_strategy=self.strategy)
        # Ours read rows as they need them; others expect an array.
        ours = follows_contract(self.strategy)
        pool = view_rows(problem.X, unlabelled) if ours else take_rows(problem.X, unlabelled)
        learner.X_training = take_rows(problem.X, self.labelled)
        learner.y_training = problem.y[self.labelled]
        seed = problem.streams.integer("acquisition", self.name, self.round + 1)
        options = {"random_state": seed} if self._takes_random_state else {}
        with preserve_global_rng(), contextlib.nullcontext() if ours else warnings.catch_warnings():
            if not ours:
                warnings.filterwarnings("ignore", "This query strategy returns no scores")
            _seed_global(seed)
            if "y_true" in self._parameters:
                chosen, scores = self.strategy(self.model, pool, n_instances, **self._truth(unlabelled), **options)
            else:
                answer: Any = learner.query(pool, n_instances=n_instances, return_metrics=True, **options)
                chosen, _, scores = answer
        if len(chosen) != n_instances or len(np.unique(chosen)) != n_instances:
            raise ValueError(
                f"The strategy {self.name!r} was asked for {n_instances} different images and gave {len(chosen)} "
                f"({len(np.unique(chosen))} different)."
            )
        if scores is None:
            scores = np.full(n_instances, np.nan)
        return unlabelled[chosen], np.asarray(scores, dtype=np.float64)

    def _truth(self, unlabelled: np.ndarray) -> dict[str, Any]:
        """What an oracle, a strategy with a parameter ``y_true``, sees: upper bounds are bought with true labels."""
        problem = self.problem
        known = {
            "y_true": problem.y[unlabelled],
            "X_test": problem.test_rows,
            "y_test": problem.y_test,
            "X_labelled": take_rows(problem.X, self.labelled),
            "y_labelled": problem.y[self.labelled],
        }
        return {name: value for name, value in known.items() if name in self._parameters}

    def _learn(self, batch: np.ndarray, scores: np.ndarray, metrics: dict[str, Any]) -> Round:
        problem = self.problem
        self.round += 1
        self.labelled = np.concatenate([self.labelled, batch])
        started = time.perf_counter()
        self.model = self._train(batch)
        training_seconds = time.perf_counter() - started
        proba, calibrated = _proba(self.model, problem.test_rows, problem.classes)
        measured = evaluate(problem.test_codes, proba, calibrated)
        if problem.scoring is not None:
            predicted = Predicted(problem.classes, proba)
            measured["score"] = float(get_scorer(problem.scoring)(predicted, problem.test_rows, problem.y_test))
        codes = np.searchsorted(problem.classes, problem.y[batch])
        record = {"round": self.round, "n_labelled": len(self.labelled), **measured, **metrics}
        record["bought"] = np.bincount(codes, minlength=len(problem.classes)).tolist()
        record["training_seconds"] = training_seconds
        record["peak_memory_mb"] = _peak_memory_mb()
        self._history.append(record)
        if problem.ends_early:
            self._check_stop(record)
        return Round(self.round, batch, scores, record)

    def _check_stop(self, record: dict[str, Any]) -> None:
        """Ask the criterion; what it says and what it remembers goes into the round's record."""
        problem = self.problem
        stop = False
        if self._criterion is not None:
            watched = problem.stop_set if self._criterion.needs_stop_set else np.empty(0, dtype=np.int64)
            # Measures of predictions must not move the generators that training draws from.
            with preserve_global_rng():
                stop = self._criterion.update(
                    self.model,
                    take_rows(problem.X, watched),
                    labelled=np.isin(watched, self.labelled),
                    n_labelled=len(self.labelled),
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
        """Take a finished round's record for the history, and go on from what the criterion knew then."""
        self._history.append(metrics)
        self.stopped = metrics.get("stopped", "")
        if self._criterion is not None:
            self._criterion.set_state(metrics["stopping"])

    def _train(self, batch: np.ndarray) -> Any:
        problem, streams = self.problem, self.problem.streams
        model = self.model
        fresh = model is None or problem.training == "from_scratch"
        if fresh:
            model = seeded_clone(problem.estimator, streams.integer("weights", self.round))
        rows = batch if problem.training == "only_new" else self.labelled
        X, y = take_rows(problem.X, rows), problem.y[rows]
        with preserve_global_rng():
            _seed_global(streams.integer("order", self.round))
            if problem.training == "from_scratch":
                model.fit(X, y)
            elif problem.training == "only_new" and hasattr(model, "partial_fit"):
                model.partial_fit(X, y, classes=problem.classes)
            else:
                if fresh:
                    model.set_params(**{warm_start_parameter(model): True})
                model.fit(X, y)
        return model


def parameters_of(strategy: Any) -> frozenset[str]:
    """Names of a strategy's parameters; none where it does not say."""
    try:
        return frozenset(inspect.signature(strategy).parameters)
    except (TypeError, ValueError):
        # None, or a function written in C.
        return frozenset()


def warm_start_parameter(estimator: Any) -> str:
    """Return the parameter that lets ``fit`` go on from the weights there are.

    Raises
    ------
    ValueError
        When the estimator has none.
    """
    if isinstance(estimator, Pipeline):
        return f"{estimator.steps[-1][0]}__{warm_start_parameter(estimator.steps[-1][1])}"
    if "warm_start" not in estimator.get_params(deep=False):
        raise ValueError(
            f"{type(estimator).__name__} has no warm_start, so its training cannot go on from the round before; use "
            "training='from_scratch'."
        )
    return "warm_start"


def check_training(estimator: Any, training: str) -> None:
    """Raise a ``ValueError`` unless the estimator can be trained that way."""
    if training == "fine_tune" or (training == "only_new" and not hasattr(estimator, "partial_fit")):
        warm_start_parameter(estimator)


def tidy_row(record: Round, classes: np.ndarray) -> dict[str, Any]:
    """Return a round as one row of the table: lists over classes become columns."""
    metrics = record.metrics
    row = {"round": metrics["round"], "n_labelled": metrics["n_labelled"]}
    row |= {name: metrics[name] for name in (*METRICS, "score", "batch_accuracy") if name in metrics}
    row |= {f"accuracy_{name}": value for name, value in zip(classes, metrics["class_accuracy"], strict=True)}
    row |= {f"bought_{name}": value for name, value in zip(classes, metrics["bought"], strict=True)}
    row |= {name: metrics[name] for name in ("query_seconds", "training_seconds", "peak_memory_mb")}
    return row | ({"stopped": metrics["stopped"]} if "stopped" in metrics else {})


def _proba(model: Any, X: Any, classes: np.ndarray) -> tuple[np.ndarray, bool]:
    """Probabilities with a column for each class; (predicted classes, False) where the model gives none."""
    if hasattr(model, "predict_proba"):
        return align_columns(predict_proba(model, X), classes_of(model), classes), True
    predicted = np.searchsorted(classes, model.predict(X.rows() if isinstance(X, RowView) else X))
    return np.eye(len(classes))[predicted], False


def _seed_global(seed: int) -> None:
    """Seed the generators of those who know no ``random_state``: plain networks, other packages' strategies."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - inside preserve_global_rng
    torch.manual_seed(seed)


def _peak_memory_mb() -> float:
    """Largest resident memory that this process has had, in MiB; NaN where the system does not say."""
    if sys.platform == "win32":
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
