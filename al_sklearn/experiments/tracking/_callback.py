"""What an experiment tells while it runs, and to whom."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from al_sklearn._core.random import preserve_global_rng
from al_sklearn._core.types import Array
from al_sklearn.experiments.protocol import is_done
from al_sklearn.inference import classes_of, embed, predict_proba
from al_sklearn.loop import Loop, Round
from al_sklearn.rows import take_rows
from al_sklearn.tasks import align_columns


@dataclass
class ExperimentState:
    """One strategy on one seed, as a callback sees it.

    Parameters
    ----------
    run_id : str
        Of the whole run, a comparison or a single experiment; the same when it is
        resumed.
    name : str
        Of this part of it, for example ``"margin/seed_000"``; nobody else in the run
        has it.
    strategy : str
        Name of the query strategy.
    seed : int
        Number of the repetition.
    parameters : mapping of str to object
        The configuration, in plain JSON.
    loop : Loop
        Its rounds; read only.
    records : list of Round
        The rounds that are finished. At ``on_experiment_begin`` those of earlier
        processes, and the first.
    """

    run_id: str
    name: str
    strategy: str
    seed: int
    parameters: Mapping[str, Any]
    loop: Loop
    records: list[Round] = field(default_factory=list)

    @property
    def classes(self) -> Array:
        """The sorted labels, shape (C,)."""
        return self.loop.problem.classes

    @property
    def model(self) -> Any:
        """The last round's model; None where an earlier process finished that round."""
        return self.loop.model

    @property
    def finished(self) -> bool:
        """Whether all its rounds are there."""
        return is_done(self.loop.problem, self.records)

    @property
    def test_codes(self) -> Array:
        """Positions in ``classes`` of the test images' labels, shape (n_test,)."""
        return self.loop.problem.test_codes

    def bought_codes(self, record: Round) -> Array:
        """Positions in ``classes`` of the labels that a round bought, shape (b,)."""
        return np.searchsorted(self.classes, self.loop.problem.y[record.indices])

    def test_proba(self) -> Array | None:
        """Probabilities of the test images by the last model, shape (n_test, C).

        None where there are none.
        """
        model, problem = self.model, self.loop.problem
        if model is None or not hasattr(model, "predict_proba"):
            return None
        # A dropout net may draw: being watched must not change the run.
        with preserve_global_rng():
            return align_columns(
                predict_proba(model, problem.test_rows),
                classes_of(model),
                problem.classes,
            )

    def watched(self, n: int) -> Array:
        """Positions in X of at most ``n`` images, the same in every round.

        They are the same for every strategy of the seed, too.
        """
        return self._shuffled[:n]

    @cached_property
    def _shuffled(self) -> Array:
        stop_set = self.loop.problem.stop_set
        # A fixed seed of its own: the same images in every round, strategy and process.
        return stop_set[np.random.default_rng(0).permutation(len(stop_set))]

    def embeddings(self, positions: Array) -> Array | None:
        """What the last model makes of images of X, shape (n, d).

        None where there is no model.
        """
        if self.model is None:
            return None
        images = take_rows(self.loop.problem.X, positions)
        # As above: a watched run draws what an unwatched one does.
        with preserve_global_rng():
            return np.asarray(embed(self.model, images))

    def labels_of(self, positions: Array) -> Array:
        """Return the labels of images of X."""
        return self.loop.problem.y[positions]


class Callback:
    """Listens to experiments. Subclass it and fill the methods you need.

    An experiment is one strategy on one seed: a :class:`StrategyComparison` has many,
    each with a copy of the callback, in whatever process it runs. A callback that
    raises is switched off with a warning; the experiment goes on.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from al_sklearn.experiments import ActiveLearningExperiment
    >>> from al_sklearn.experiments.tracking import Callback
    >>> class Tell(Callback):
    ...     def on_round_end(self, experiment, record):
    ...         print(experiment.strategy, record.metrics["n_labelled"])
    >>> X, y = load_digits(return_X_y=True)
    >>> model = LogisticRegression(max_iter=1000)
    >>> experiment = ActiveLearningExperiment(
    ...     model, "margin", n_rounds=2, random_state=0, callbacks=[Tell()]
    ... )
    >>> experiment = experiment.fit(X / 16, y)
    margin 20
    margin 40
    margin 60
    """

    def on_experiment_begin(self, experiment: ExperimentState) -> None:
        """Take note of the rounds that are there already, in ``experiment.records``.

        Parameters
        ----------
        experiment : ExperimentState
        """

    def on_round_end(self, experiment: ExperimentState, record: Round) -> None:
        """Take note of a round that has just been trained, measured and stored.

        0 is the initial set.

        In a comparison round 0 is shared by all strategies of a seed: each experiment
        is told of it once.

        Parameters
        ----------
        experiment : ExperimentState
        record : Round
            ``round``, ``indices``, ``scores``, and ``metrics``.
        """

    def on_experiment_end(self, experiment: ExperimentState) -> None:
        """Close what is open; called after an error and a Ctrl-C too.

        Parameters
        ----------
        experiment : ExperimentState
        """


class Callbacks:
    """Tells several callbacks about one experiment.

    Used as a context manager around it.

    Parameters
    ----------
    callbacks : sequence of Callback
    experiment : ExperimentState
    """

    def __init__(self, callbacks: Sequence[Callback], experiment: ExperimentState):
        # Copies: under a threading backend several experiments run at once.
        self._callbacks = [copy.copy(callback) for callback in callbacks]
        self.experiment = experiment

    def __enter__(self) -> Callbacks:
        self._tell("on_experiment_begin", self.experiment)
        return self

    def __exit__(self, *error: object) -> None:
        self._tell("on_experiment_end", self.experiment)

    def round_end(self, record: Round) -> None:
        """Say that a round is finished."""
        # A resumed experiment knows the first round already and is told of it again.
        if record.round not in [known.round for known in self.experiment.records]:
            self.experiment.records.append(record)
        self._tell("on_round_end", self.experiment, record)

    def _tell(self, event: str, *arguments: Any) -> None:
        # A copy: one that fails is taken out while we go through them.
        for callback in list(self._callbacks):
            try:
                getattr(callback, event)(*arguments)
            except Exception as error:  # noqa: BLE001 - whatever a tracker may raise
                # A full disk or a server that is away must not cost the rounds: said
                # once, then off.
                self._callbacks.remove(callback)
                warnings.warn(
                    f"{type(callback).__name__} failed and is switched off for "
                    f"{self.experiment.name}; the experiment "
                    f"goes on. {type(error).__name__}: {error}",
                    RuntimeWarning,
                    stacklevel=3,
                )


def check_callbacks(callbacks: Any) -> list[Callback]:
    """Return the callbacks as a list.

    Raises
    ------
    TypeError
        When something else is among them.
    """
    given = list(callbacks) if callbacks is not None else []
    for callback in given:
        if not isinstance(callback, Callback):
            raise TypeError(
                "callbacks holds instances of "
                f"al_sklearn.experiments.tracking.Callback, got {callback!r}."
            )
    return given
