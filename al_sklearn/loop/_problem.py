"""What all strategies of one seed share: data, sets and rules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from skorch import NeuralNet

from al_sklearn._core.types import Array, Options
from al_sklearn.loop._streams import Streams
from al_sklearn.loop.labelling_rate import LabellingRate
from al_sklearn.loop.stopping import StoppingCriterion
from al_sklearn.rows import n_rows, take_rows
from al_sklearn.tasks import Classification, Scorers, Task

# Enough to see one prediction in a thousand change.
_N_STOP: Final = 1000
_MAPPED: Final = "_mapped"


def _nothing() -> Array:
    return np.empty(0, dtype=np.int64)


@dataclass
class Problem:
    """What all strategies of one seed share.

    Parameters
    ----------
    estimator : classifier
        Unfitted; never changed.
    X : rows
        All that the caller gave.
    y : array of shape (n,) or None
        The labels that are known beforehand: all in an experiment, none where people
        label.
    task : Task
        What the labels are.
    train : int64 array
        Positions of X that may be labelled.
    initial : int64 array
        Those labelled from the start.
    X_test, y_test : rows and labels, or None
        Never trained on; without them nothing but time is measured.
    n_instances : int or LabellingRate
        Images a round.
    n_rounds : int
        Rounds after the initial set, at most.
    training : {"from_scratch", "fine_tune", "only_new", "incremental"}
        How a round's model comes from the one before, as in
        :mod:`al_sklearn.learners.training`.
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
    random_ties : bool
        Whether strategies that can break ties at random do, unless the user has bound
        ``random_tie_break``. By position a committee of three would buy the first
        classes of a pool in class order.
    test_each_epoch : bool
        Whether a network is measured on the test set after each epoch, to be looked at:
        nothing is decided by it.
    fit_options, row_options : dict
        Further arguments of the estimator's ``fit``, and those with one value a row of
        X, as ``sample_weight`` and ``groups`` have, which go with their rows.
    """

    estimator: Any
    X: Any
    y: Any
    task: Task
    train: Array
    initial: Array
    X_test: Any
    y_test: Any
    n_instances: int | LabellingRate
    n_rounds: int
    training: str
    scoring: Scorers
    streams: Streams
    stopping: StoppingCriterion | None = None
    test: Array = field(default_factory=_nothing)
    validation: Array = field(default_factory=_nothing)
    budget: int | None = None
    truth: Array | None = None
    outside: Array | None = None
    first_params: Mapping[str, Any] | None = None
    later_params: Mapping[str, Any] | None = None
    random_ties: bool = True
    test_each_epoch: bool = False
    fit_options: Mapping[str, Any] = field(default_factory=dict)
    row_options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        estimator: Any,
        X: Any,
        classes: Any,
        *,
        X_test: Any = None,
        y_test: Any = None,
        n_instances: int | LabellingRate = 20,
        training: str = "from_scratch",
        random_state: int = 0,
        **further: Any,
    ) -> Problem:
        """Make a problem whose labels nobody knows yet.

        Parameters
        ----------
        estimator : classifier
        X : rows
            All of them may be asked for.
        classes : sequence of str or int, or Task
            The labels there can be.
        X_test, y_test : rows and labels, optional
        n_instances, training : as of :class:`Problem`
        random_state : int, default=0
        **further
            Of :class:`Problem`.

        Returns
        -------
        Problem
        """
        n = n_rows(X)
        known = isinstance(classes, Task)
        given: Options = {
            "y": None,
            "task": classes if known else Classification(np.unique(classes)),
            "train": np.arange(n, dtype=np.int64),
            "initial": _nothing(),
            # As many as there are images: people stop when they will.
            "n_rounds": n,
            "scoring": {},
            "streams": Streams(random_state),
        }
        return cls(
            estimator=estimator,
            X=X,
            X_test=X_test,
            y_test=None if y_test is None else np.asarray(y_test),
            n_instances=n_instances,
            training=training,
            **given | further,
        )

    def __getstate__(self) -> Options:
        # On its way to a worker joblib turns large arrays into memmaps: which of them
        # were some before?
        state = {field.name: getattr(self, field.name) for field in fields(self)}
        mapped = [name for name in state if isinstance(state[name], np.memmap)]
        return state | {_MAPPED: mapped}

    def __setstate__(self, state: Options) -> None:
        """Take memmaps that were arrays as arrays again.

        They are in memory: read as the files that memmaps are, in pieces, rounds would
        take longer, and sums in pieces have other last bits than in the main process.
        """
        mapped = state.pop(_MAPPED)
        for name, value in state.items():
            if isinstance(value, np.memmap) and name not in mapped:
                value = np.asarray(value)
            setattr(self, name, value)

    @property
    def classes(self) -> Array:
        """The sorted labels, where the task has some."""
        return self.task.classes

    @property
    def ends_early(self) -> bool:
        """Whether runs of this problem may differ in length.

        If so, each says why it ended.
        """
        return self.stopping is not None or isinstance(self.n_instances, LabellingRate)

    @cached_property
    def stop_set(self) -> Array:
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
        # Validation is drawn from the pool, and paid for like the rest.
        n = len(self.train) + len(self.validation)
        return n if self.budget is None else min(n, self.budget)

    @property
    def n_batches(self) -> int:
        """Batches there can be; fewer where a criterion stops or a rate asks much."""
        # A rate may ask for one image at a time.
        smallest = self.n_instances if isinstance(self.n_instances, int) else 1
        left = self.most - len(self.initial) - len(self.validation)
        return min(self.n_rounds, math.ceil(left / smallest))

    def n_paid(self, labelled: Array) -> int:
        """Count the labels paid for, those for validation among them."""
        return len(labelled) + len(self.validation)

    def learnable(self, positions: Array) -> Array:
        """Those of the positions that have a class."""
        if self.outside is None:
            return positions
        return positions[~self.outside[positions]]

    def fit_options_of(self, positions: Array) -> Options:
        """Return the further arguments of ``fit`` for rows to learn from."""
        of_rows = {
            name: take_rows(values, positions)
            for name, values in self.row_options.items()
        }
        return {**self.fit_options, **of_rows}

    def params_of(self, number: int) -> Options:
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
        """Known labels of each kind that could be bought, validation's among them."""
        positions = np.concatenate([self.train, self.validation])
        return self.task.count(self.known_labels(self.learnable(positions)))

    def known_labels(self, positions: Array) -> Array:
        """Return labels that are known beforehand.

        Raises
        ------
        ValueError
            Where nobody has told them.
        """
        if self.y is None:
            raise ValueError("The labels of this problem are not known beforehand.")
        return self.y[positions]

    def next_batch(self, history: Sequence[Mapping[str, Any]]) -> int:
        """Return how many images come next, after rounds with these metrics."""
        n_labelled = history[-1]["n_labelled"] if history else len(self.validation)
        wanted = self.n_instances
        if isinstance(wanted, LabellingRate):
            budgets = [metrics["n_labelled"] for metrics in history]
            name = wanted.metric
            values = [metrics[name] for metrics in history] if name is not None else []
            wanted = wanted.next_batch(budgets, values)
        counts = [self.most - n_labelled, wanted]
        left = None
        if self.stopping is not None:
            left = self.stopping.labels_left(n_labelled)
        # A budget that is spent stops the rounds; a batch of none would be an error.
        return min(counts) if left is None else min(*counts, max(1, left))

    @property
    def test_rows(self) -> Any:
        """The test images, as the caller gave them."""
        return self._unspoilt(self.X_test)

    @property
    def validation_set(self) -> tuple[Any, Any]:
        """The validation images and their labels; None twice where there are none."""
        if len(self.validation) == 0:
            return None, None
        rows = self._unspoilt(self._for_validation)
        return rows, self.known_labels(self.validation)

    @cached_property
    def _for_validation(self) -> Any:
        rows = take_rows(self.X, self.validation)
        if not isinstance(rows, (list, tuple)):
            return rows
        # skorch would take a list for the inputs of several branches of a network.
        entries = np.empty(len(rows), dtype=object)
        for position, entry in enumerate(rows):
            entries[position] = entry
        return entries

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
    def test_codes(self) -> Array:
        """The test images' labels, as the task's metrics want them."""
        return self.task.encode(self.y_test)
