"""When to stop buying labels: criteria for an experiment and for a live learner.

A criterion is told after each round what there is to know, and answers whether to stop.

It holds plain parameters and, between updates, a state of plain data: ``clone`` makes
one without a memory, ``reset`` forgets, ``get_state`` gives what a JSON file can keep
and ``set_state`` goes on from it.

Examples
--------
By hand, with a learner; ``y_pool`` stands for the people who label. The stop set needs
no labels.

>>> import numpy as np
>>> from sklearn.datasets import load_digits
>>> from sklearn.linear_model import LogisticRegression
>>> from al_sklearn import ActiveLearner
>>> from al_sklearn.loop.labelling_rate import AdaptiveRate
>>> from al_sklearn.loop.stopping import Budget, StabilizingPredictions
>>> X, y = load_digits(return_X_y=True)
>>> X = X / 16
>>> X_stop, X_check, y_check = X[:500], X[1400:], y[1400:]
>>> X_pool, y_pool = X[20:1400], y[20:1400]
>>> learner = ActiveLearner(
...     LogisticRegression(max_iter=500),
...     "margin",
...     X_training=X[:20],
...     y_training=y[:20],
... )
>>> stop, rate = Budget(600) | StabilizingPredictions(), AdaptiveRate(max_instances=40)
>>> labels, scores = [20], []
>>> while not stop.update(learner, X_stop):
...     scores.append(learner.score(X_check, y_check))
...     n_instances = rate.next_batch(labels, scores)
...     indices, rows = learner.query(X_pool, n_instances=n_instances)
...     learner = learner.teach(rows, y_pool[indices])
...     X_pool, y_pool = np.delete(X_pool, indices, axis=0), np.delete(y_pool, indices)
...     labels.append(labels[-1] + len(indices))
>>> stop.reason
'StabilizingPredictions()'
"""

from __future__ import annotations

import base64
import copy
import math
import zlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from numbers import Integral, Real
from typing import Any, ClassVar, Final

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval

from al_sklearn._core.types import Array, Options
from al_sklearn.inference import predict_proba
from al_sklearn.rows import n_rows
from al_sklearn.tasks import get_metric

__all__ = [
    "AllOf",
    "AnyOf",
    "Budget",
    "ClassificationChange",
    "NoGain",
    "Observation",
    "OverallUncertainty",
    "StabilizingPredictions",
    "StoppingCriterion",
    "TargetMetric",
    "cohen_kappa",
]


# What counts rounds or labels.
_FROM_1: Final = Interval(Integral, 1, None, closed="left")
_SHARE: Final = Interval(Real, 0, 1, closed="both")


def cohen_kappa(first: Any, second: Any) -> float:
    """Agreement of two lists of classes, beyond what chance would give.

    Parameters
    ----------
    first, second : arrays of shape (n,)
        Labels of any type.

    Returns
    -------
    float
        At most 1. It is 1 where the two agree everywhere, also on a single class, where
        the usual formula is 0 / 0.

    References
    ----------
    Cohen, "A coefficient of agreement for nominal scales", Educational and
    Psychological Measurement 20, 1960.
    """
    a, b = np.asarray(first), np.asarray(second)
    if a.shape != b.shape or a.ndim != 1 or len(a) == 0:
        raise ValueError(
            "Two lists of classes of the same length are compared, got shapes "
            f"{a.shape} and {b.shape}."
        )
    observed = float(np.mean(a == b))
    if observed == 1:
        # Else 0 / 0 where there is one class alone.
        return 1.0
    labels, codes = np.unique(np.concatenate([a, b]), return_inverse=True)
    share_a, share_b = (
        np.bincount(part, minlength=len(labels)) / len(a) for part in np.split(codes, 2)
    )
    expected = float(share_a @ share_b)
    return (observed - expected) / (1 - expected)


class Observation:
    """What there is to know after a round.

    Each prediction is made once, however many criteria look at it.

    Parameters
    ----------
    model : fitted classifier, ActiveLearner or Committee, optional
    X_stop : rows, optional
        The stop set: the same images in every round.
    labelled : bool array of shape (n_stop,), optional
        Which of them have been labelled since.
    n_labelled : int, optional
        Labels used so far.
    metrics : mapping of str to float, optional
        What was measured.
    """

    def __init__(
        self,
        model: Any = None,
        X_stop: Any = None,
        labelled: Any = None,
        n_labelled: int | None = None,
        metrics: Mapping[str, Any] | None = None,
    ):
        self.model = model
        self.X_stop = X_stop
        self.n_labelled = n_labelled
        self.metrics = {} if metrics is None else metrics
        # A learner knows how many labels it holds.
        if n_labelled is None and getattr(model, "X_training", None) is not None:
            self.n_labelled = n_rows(model.X_training)
        self.unlabelled: Any = slice(None)
        if labelled is not None:
            self.unlabelled = ~np.asarray(labelled, dtype=bool)

    @cached_property
    def proba(self) -> Array:
        """Probabilities of the stop set, (n_stop, C)."""
        self._check_stop_set()
        return predict_proba(self.model, self.X_stop)

    @cached_property
    def predictions(self) -> Array:
        """Predicted classes of the stop set, (n_stop,)."""
        self._check_stop_set()
        return np.asarray(self.model.predict(self.X_stop))

    def metric(self, name: str) -> float:
        """Return a metric by name.

        Raises
        ------
        ValueError
            When it was not given.
        """
        if name not in self.metrics:
            raise ValueError(
                f"The criterion reads the metric {name!r}; metrics= has "
                f"{sorted(self.metrics)}."
            )
        return float(self.metrics[name])

    def _check_stop_set(self) -> None:
        if self.model is None or self.X_stop is None:
            raise ValueError(
                "The criterion looks at predictions: give update a model and a stop "
                "set, X_stop=."
            )
        if n_rows(self.X_stop) == 0:
            raise ValueError("The stop set is empty.")


class StoppingCriterion(BaseEstimator):
    """Base of all criteria; one of your own has a :meth:`decide`.

    It keeps what it must remember in ``memory``.

    Criteria are combined by ``|`` (stop when any says so) and ``&`` (when all say so in
    the same round).
    """

    #: Whether the criterion looks at predictions for a stop set.
    needs_stop_set: bool = False
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {}

    def update(
        self,
        model: Any = None,
        X_stop: Any = None,
        *,
        labelled: Any = None,
        n_labelled: int | None = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> bool:
        """Take note of a finished round.

        Parameters
        ----------
        model : fitted classifier, ActiveLearner or Committee, optional
            What the round has trained; needed by criteria that look at predictions.
        X_stop : rows, optional
            The stop set: images that need no labels, the same in every round, as a
            random thousand of the pool.
        labelled : bool array of shape (n_stop,), optional
            Which of them have been labelled since: criteria about the unlabelled leave
            them out.
        n_labelled : int, optional
            Labels used so far; by default those that an ``ActiveLearner`` holds.
        metrics : mapping of str to float, optional
            What was measured, for example ``{"accuracy": learner.score(X_validation,
            y_validation)}``.

        Returns
        -------
        bool
            Whether to stop.

        Raises
        ------
        ValueError
            When a parameter is out of range, or something that the criterion reads was
            not given.
        """
        return self.observe(Observation(model, X_stop, labelled, n_labelled, metrics))

    def observe(self, observation: Observation) -> bool:
        """Take note of a finished round, like :meth:`update`, by its observation.

        The observation is an :class:`Observation`.
        """
        # Not in __init__, which only stores: parameters may be set later.
        self._validate_params()
        stop = bool(self.decide(observation))
        self.memory["reason"] = self.describe() if stop else ""
        return stop

    def decide(self, observation: Observation) -> bool:
        """Say whether to stop; called once a round."""
        raise NotImplementedError(f"{type(self).__name__} has no decide().")

    def describe(self) -> str:
        """Say in a line what made it stop."""
        return " ".join(repr(self).split())

    @property
    def memory(self) -> Options:
        """What is remembered from round to round: plain data that JSON can hold."""
        # Not made in __init__: constructors only store, and clones start without.
        return self.__dict__.setdefault("_memory", {})

    @property
    def reason(self) -> str:
        """Why the last update said stop; empty where it did not."""
        return self.memory.get("reason", "")

    def reset(self) -> StoppingCriterion:
        """Forget all rounds."""
        self.memory.clear()
        return self

    def get_state(self) -> Options:
        """Return what is remembered, as plain data for a JSON file."""
        return copy.deepcopy(self.memory)

    def set_state(self, state: Mapping[str, Any]) -> StoppingCriterion:
        """Go on from what :meth:`get_state` gave."""
        self.reset()
        self.memory.update(copy.deepcopy(dict(state)))
        return self

    def labels_left(self, n_labelled: int) -> int | None:
        """Return how many labels may still be bought.

        None where the criterion does not count them.
        """
        return None

    def __or__(self, other: StoppingCriterion) -> AnyOf:
        return AnyOf([*_parts(self, AnyOf), *_parts(other, AnyOf)])

    def __and__(self, other: StoppingCriterion) -> AllOf:
        return AllOf([*_parts(self, AllOf), *_parts(other, AllOf)])


class Budget(StoppingCriterion):
    """Stop when the labels are spent.

    An experiment makes its last batch smaller to end exactly there.

    Parameters
    ----------
    n_labels : int
        Labels in all, the initial set among them.

    Examples
    --------
    >>> from al_sklearn.loop.stopping import Budget
    >>> Budget(500).update(n_labelled=480), Budget(500).update(n_labelled=500)
    (False, True)
    """

    _parameter_constraints: ClassVar = {"n_labels": [_FROM_1]}

    def __init__(self, n_labels: int):
        self.n_labels = n_labels

    def decide(self, observation: Observation) -> bool:
        """Say whether the labels are spent."""
        if observation.n_labelled is None:
            raise ValueError(
                "Budget counts labels: give update n_labelled=, or an ActiveLearner "
                "that holds them."
            )
        return observation.n_labelled >= self.n_labels

    def labels_left(self, n_labelled: int) -> int:
        """Return how many labels may still be bought."""
        return max(0, self.n_labels - n_labelled)


class TargetMetric(StoppingCriterion):
    """Stop when a metric reaches a target.

    Parameters
    ----------
    target : float
        The value to be reached.
    metric : str, default="accuracy"
        Its name in ``metrics``; the table of metrics says which way is better.

    Notes
    -----
    In an experiment the metrics are those of the round, measured on the test set: right
    for asking how many labels a target costs, too kind as a rule for practice, where
    the metric has to come from a validation set that was paid for.
    """

    _parameter_constraints: ClassVar = {
        "target": [Real],
        "metric": [str],
    }

    def __init__(self, target: float, metric: str = "accuracy"):
        self.target = target
        self.metric = metric

    def decide(self, observation: Observation) -> bool:
        """Say whether the target is reached; NaN is not."""
        sign = get_metric(self.metric).sign
        return sign * observation.metric(self.metric) >= sign * self.target


class NoGain(StoppingCriterion):
    """Stop when the best of the last rounds is no better than the best before them.

    Parameters
    ----------
    n_rounds : int, default=5
        Rounds without a gain.
    min_gain : float, default=0.0
        What is not more than this is no gain.
    metric : str, default="accuracy"
        Its name in ``metrics``; the table of metrics says which way is better. Rounds
        in which it is NaN do not count.

    Notes
    -----
    On where the metric should come from see :class:`TargetMetric`.
    """

    _parameter_constraints: ClassVar = {
        "n_rounds": [_FROM_1],
        "min_gain": [Interval(Real, 0, None, closed="left")],
        "metric": [str],
    }

    def __init__(
        self, n_rounds: int = 5, min_gain: float = 0.0, metric: str = "accuracy"
    ):
        self.n_rounds = n_rounds
        self.min_gain = min_gain
        self.metric = metric

    def decide(self, observation: Observation) -> bool:
        """Say whether the last rounds brought nothing."""
        value = observation.metric(self.metric)
        values = self.memory.setdefault("values", [])
        if math.isnan(value):
            return False
        values.append(get_metric(self.metric).sign * value)
        # The best before, not the last before: a lucky round must be beaten.
        before, last = values[: -self.n_rounds], values[-self.n_rounds :]
        # Sure of nothing until there was a round before.
        return bool(before) and max(last) - max(before) <= self.min_gain


class StabilizingPredictions(StoppingCriterion):
    """Stop when the models of successive rounds agree on a stop set.

    Parameters
    ----------
    threshold : float, default=0.99
        The mean of the last Cohen's kappas must reach it.
    window : int, default=3
        How many of them.

    References
    ----------
    Bloodgood and Vijay-Shanker, "A method for stopping active learning based on
    stabilizing predictions and the need for user-adjustable stopping", CoNLL 2009.
    """

    needs_stop_set = True
    _parameter_constraints: ClassVar = {
        "threshold": [Interval(Real, -1, 1, closed="both")],
        "window": [_FROM_1],
    }

    def __init__(self, threshold: float = 0.99, window: int = 3):
        self.threshold = threshold
        self.window = window

    def decide(self, observation: Observation) -> bool:
        """Say whether the predictions have settled."""
        before = _remember_predictions(self.memory, observation)
        if before is None:
            # The first round has nothing to agree with.
            self.memory["kappas"] = []
            return False
        kappas = [*self.memory["kappas"], cohen_kappa(before, observation.predictions)][
            -self.window :
        ]
        self.memory["kappas"] = kappas
        # Summed exactly: three kappas of .99 have a mean of .99.
        return (
            len(kappas) == self.window
            and math.fsum(kappas) / self.window >= self.threshold
        )


class ClassificationChange(StoppingCriterion):
    """Stop when the stop set's predicted classes stay the same between rounds.

    The stop set's images are unlabelled.

    Parameters
    ----------
    max_change : float, default=0.0
        Share of them that may change.
    n_rounds : int, default=1
        Successive rounds in which no more do.

    Notes
    -----
    The paper looks at the unlabelled pool; so does this where the stop set is the pool
    and ``labelled=`` says what has left it, as an experiment does with its stop set.

    References
    ----------
    Zhu, Wang and Hovy, "Multi-criteria-based strategy to stop active learning for data
    annotation", COLING 2008.
    """

    needs_stop_set = True
    _parameter_constraints: ClassVar = {
        "max_change": [_SHARE],
        "n_rounds": [_FROM_1],
    }

    def __init__(self, max_change: float = 0.0, n_rounds: int = 1):
        self.max_change = max_change
        self.n_rounds = n_rounds

    def decide(self, observation: Observation) -> bool:
        """Say whether few enough predictions changed."""
        before = _remember_predictions(self.memory, observation)
        calm = False
        if before is not None:
            changed = (before != observation.predictions)[observation.unlabelled]
            # An empty stop set of unlabelled images cannot change any more.
            calm = len(changed) == 0 or float(changed.mean()) <= self.max_change
        rounds = self.memory.get("calm_rounds", 0) + 1 if calm else 0
        self.memory["calm_rounds"] = rounds
        return rounds >= self.n_rounds


class OverallUncertainty(StoppingCriterion):
    """Stop when the model is sure of the unlabelled images of the stop set.

    Parameters
    ----------
    threshold : float, default=0.05
        Their mean entropy, as a share of the largest possible (the logarithm of the
        number of classes), must not be above it.

    References
    ----------
    Zhu, Wang and Hovy, "Multi-criteria-based strategy to stop active learning for data
    annotation", COLING 2008.
    """

    needs_stop_set = True
    _parameter_constraints: ClassVar = {"threshold": [_SHARE]}

    def __init__(self, threshold: float = 0.05):
        self.threshold = threshold

    def decide(self, observation: Observation) -> bool:
        """Say whether the mean entropy is low enough."""
        proba = observation.proba[observation.unlabelled].astype(np.float64)
        if proba.shape[1] < 2:
            # One class known: the model cannot be unsure, and knows nothing.
            return False
        # 0 log 0 = 0.
        logs = np.log(proba, out=np.zeros_like(proba), where=proba > 0)
        entropy = -(proba * logs).sum(axis=1) / np.log(proba.shape[1])
        return len(entropy) == 0 or float(entropy.mean()) <= self.threshold


class _Combined(StoppingCriterion):
    _parameter_constraints: ClassVar = {"criteria": [list, tuple]}
    criteria: Sequence[StoppingCriterion]

    @property
    def needs_stop_set(self) -> bool:  # type: ignore[override]
        """Whether one of the criteria looks at predictions."""
        return any(criterion.needs_stop_set for criterion in self.criteria)

    def _observe_each(self, observation: Observation) -> list[bool]:
        """Tell every criterion, whatever the others say.

        Each has to remember each round.
        """
        wrong = [
            part for part in self.criteria if not isinstance(part, StoppingCriterion)
        ]
        if wrong or not self.criteria:
            raise ValueError(
                "criteria must be one or more stopping criteria, got "
                f"{self.criteria!r}."
            )
        return [criterion.observe(observation) for criterion in self.criteria]

    def reset(self) -> StoppingCriterion:
        """Forget all rounds."""
        for criterion in self.criteria:
            criterion.reset()
        return super().reset()

    def get_state(self) -> Options:
        """Return what is remembered by each."""
        return {
            **super().get_state(),
            "criteria": [criterion.get_state() for criterion in self.criteria],
        }

    def set_state(self, state: Mapping[str, Any]) -> StoppingCriterion:
        """Go on from what :meth:`get_state` gave."""
        # Each part has its own state.
        own = {key: value for key, value in state.items() if key != "criteria"}
        super().set_state(own)
        for criterion, part in zip(self.criteria, state["criteria"], strict=True):
            criterion.set_state(part)
        return self


class AnyOf(_Combined):
    """Stop when any of several criteria says so.

    Parameters
    ----------
    criteria : list of StoppingCriterion
    """

    def __init__(self, criteria: Sequence[StoppingCriterion]):
        self.criteria = criteria

    def decide(self, observation: Observation) -> bool:
        """Say whether any says stop."""
        return any(self._observe_each(observation))

    def describe(self) -> str:
        """Name those that said stop."""
        return " | ".join(
            criterion.reason for criterion in self.criteria if criterion.reason
        )

    def labels_left(self, n_labelled: int) -> int | None:
        """Return the smallest number that one of them allows."""
        counts = [criterion.labels_left(n_labelled) for criterion in self.criteria]
        return min((count for count in counts if count is not None), default=None)


class AllOf(_Combined):
    """Stop when several criteria say so in the same round.

    Parameters
    ----------
    criteria : list of StoppingCriterion
    """

    def __init__(self, criteria: Sequence[StoppingCriterion]):
        self.criteria = criteria

    def decide(self, observation: Observation) -> bool:
        """Say whether all say stop."""
        return all(self._observe_each(observation))

    def describe(self) -> str:
        """Name them all."""
        return " & ".join(criterion.reason for criterion in self.criteria)


def _parts(
    criterion: StoppingCriterion, kind: type[_Combined]
) -> Sequence[StoppingCriterion]:
    return criterion.criteria if isinstance(criterion, kind) else [criterion]


def _remember_predictions(memory: Options, observation: Observation) -> Array | None:
    """Keep this round's predictions, and return those of the round before."""
    now = observation.predictions
    kept = memory.get("predictions")
    before = None
    if kept is not None:
        codes = np.frombuffer(
            zlib.decompress(base64.b64decode(kept["codes"])), dtype="<u4"
        )
        before = np.asarray(kept["labels"])[codes]
        if len(before) != len(now):
            raise ValueError(
                f"The stop set must stay the same: it had {len(before)} images, now "
                f"{len(now)}."
            )
    # A thousand labels in every round would fill the store: codes, packed.
    labels, codes = np.unique(now, return_inverse=True)
    packed = base64.b64encode(zlib.compress(codes.astype("<u4").tobytes())).decode()
    memory["predictions"] = {"labels": labels.tolist(), "codes": packed}
    return before
