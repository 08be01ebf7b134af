"""The rounds of one strategy: ask, tell, train and measure."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from sklearn.base import clone

from al_sklearn._core.interrupts import not_swallowed
from al_sklearn._core.on_behalf import on_behalf_of
from al_sklearn._core.random import preserve_global_rng
from al_sklearn._core.types import Array, Options
from al_sklearn.learners import ActiveLearner, check_choice
from al_sklearn.loop._ask import choose
from al_sklearn.loop._epochs import epoch_rows, epochs_of
from al_sklearn.loop._labels import Labels
from al_sklearn.loop._measure import batch_agreement, measure_round, peak_memory_mb
from al_sklearn.loop._problem import Problem
from al_sklearn.loop._rounds import Answers, Batch, Contradiction, Round
from al_sklearn.loop._train import train_round
from al_sklearn.rows import take_rows
from al_sklearn.tasks import Metric, know_metrics

_USED_UP: Final = "pool used up"


class Loop:
    """One strategy's rounds over one problem, whoever answers.

    It asks, is told, trains and measures, and reads or writes no file: whoever drives
    it, an experiment with known labels or people with a page, keeps what has to last.

    Parameters
    ----------
    problem : Problem
        What is learnt; :meth:`Problem.of` makes one whose labels nobody knows.
    strategy : callable or None
        Who asks; None where only the first model is wanted.
    name : str, default="strategy"
        The strategy's name, which its acquisition stream depends on.

    Attributes
    ----------
    learner : ActiveLearner
        The model and the labels that it has learnt from.
    model : estimator or None
        The last round's.
    round : int
        The last round; -1 before the first training.
    stopped : str
        Why it ended early; empty where it did not.

    Examples
    --------
    Somebody labels a batch, but for two images: one cannot be labelled, one is left
    for later.

    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from al_sklearn.loop import Answers, Loop, Problem
    >>> from al_sklearn.strategies import margin
    >>> X, y = load_digits(return_X_y=True)
    >>> problem = Problem.of(LogisticRegression(max_iter=500), X / 16, range(10))
    >>> loop = Loop(problem, margin)
    >>> loop.tell(Answers(range(40), y[:40]))
    >>> loop.train().metrics["n_labelled"]
    40
    >>> batch = loop.ask(5)
    >>> done = batch.positions[:3]
    >>> loop.tell(Answers(done, y[done], skipped=batch.positions[3:4]))
    >>> bool(loop.pending[0] == batch.positions[4]), loop.train().metrics["n_labelled"]
    (True, 43)
    """

    def __init__(self, problem: Problem, strategy: Any, name: str = "strategy"):
        self.problem = problem
        self.strategy = strategy
        self.name = name
        self.round = -1
        self.stopped = ""
        self.model: Any = None
        asks = "random_sampling" if strategy is None else strategy
        self.learner: Any = ActiveLearner(problem.estimator, asks)
        self._labels = Labels(problem)
        self._history: list[Options] = []
        self._scores: dict[int, float] = {}
        self._query_seconds = 0.0
        self._n_asked = 0
        self._turning = False
        self._criterion = None if problem.stopping is None else clone(problem.stopping)
        # A worker has not run the lines that registered them: stopping rules look up
        # there which way is better.
        known = (part for part in problem.scoring.values() if isinstance(part, Metric))
        know_metrics(known)

    @property
    def labelled(self) -> Array:
        """Positions that have a label, in the order in which they were told."""
        return self._labels.pool.labelled

    @property
    def unlabelled(self) -> Array:
        """Positions that can still be asked for, increasing."""
        return self._labels.pool.unlabelled

    @property
    def pending(self) -> Array:
        """Positions that were asked for and not answered, increasing."""
        return self._labels.pool.pending

    @property
    def unsure(self) -> Array:
        """Pending positions that somebody could not decide, increasing."""
        return np.array(sorted(self._labels.unsure), dtype=np.int64)

    @property
    def contradictions(self) -> list[Contradiction]:
        """Rows that were told two labels, in the order in which it was noticed."""
        return self._labels.contradictions

    @property
    def n_labelled(self) -> int:
        """How many labels have been paid for."""
        return self.problem.n_paid(self.labelled)

    @property
    def finished(self) -> bool:
        """Whether rounds, budget or pool are used up, or a criterion has said stop."""
        over = self.problem.is_over(self.round, self.n_labelled)
        return bool(self.stopped) or over or self._used_up

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the global generators for a whole round, and put them back after it.

        What a model draws when it predicts then comes from the stream of the query or
        the training before it. Each method takes a turn by itself outside of one.
        """
        if self._turning:
            yield
            return
        # What a model or a strategy swallows of Ctrl-C makes no round.
        with (
            self._where_it_was(),
            not_swallowed(),
            preserve_global_rng(),
            on_behalf_of(self.name),
        ):
            self._turning = True
            try:
                yield
            finally:
                self._turning = False

    def ask(self, n_instances: int | None = None) -> Batch:
        """Let the strategy choose among what is unlabelled and not pending.

        Parameters
        ----------
        n_instances : int, optional
            By default what the problem says comes next, or what is left.

        Returns
        -------
        Batch
            Its rows are pending until they are told, or skipped.

        Raises
        ------
        ValueError
            When nothing is left to ask for, or the strategy does not choose as many.
        """
        unlabelled = self.unlabelled
        if len(unlabelled) == 0:
            raise ValueError(
                f"Nothing is left to ask for: {len(self.pending)} rows are pending, "
                "the others labelled, skipped or held out."
            )
        if n_instances is None:
            # What is pending will be paid for.
            left = self.problem.most - self.n_labelled - len(self.pending)
            if left < 1:
                raise ValueError(
                    f"The budget is spent: {self.n_labelled} rows are labelled and "
                    f"{len(self.pending)} pending."
                )
            wanted = self.problem.next_batch(self._history)
            n_instances = min(wanted, left, len(unlabelled))
        keys: tuple[int | str, ...] = (self.name, self.round + 1)
        if self._n_asked:
            # Asked again before anything was learnt: other rows, and another draw.
            keys = (*keys, self._n_asked)
        with self.turn():
            started = time.perf_counter()
            self._show_labels()
            with not_swallowed():
                positions, scores = choose(
                    self.learner,
                    self.problem,
                    unlabelled,
                    self.labelled,
                    n_instances,
                    self.problem.streams.integer("acquisition", *keys),
                )
            check_choice(self.name, positions, n_instances)
            seconds = time.perf_counter() - started
        self._labels.ask(positions)
        self._scores |= zip(positions.tolist(), scores.tolist(), strict=True)
        self._query_seconds += seconds
        self._n_asked += 1
        return Batch(self.round + 1, positions, scores, self.name, seconds)

    def tell(self, answers: Answers) -> None:
        """Take in answers: some, all, late ones, or labels that nobody asked for.

        What is missing stays pending. What is skipped is not asked for again, and what
        somebody was unsure of stays pending, unless it has a label already. The last of
        two labels for a row counts, and :attr:`contradictions` keeps both; the next
        training that sees all labels learns the second.

        Parameters
        ----------
        answers : Answers

        Raises
        ------
        ValueError
            For rows that there are not or that are held out, and for labels that the
            task does not know. Nothing is taken in then.
        TypeError
            For anything but :class:`Answers`.
        """
        if not isinstance(answers, Answers):
            raise TypeError(f"answers must be Answers, got {type(answers).__name__}.")
        self._labels.tell(answers, self.round + 1)

    def train(self) -> Round:
        """Train on what has been told, and measure; this ends a round.

        Returns
        -------
        Round
            Its indices are the rows told since the round before.

        Raises
        ------
        ValueError
            When nothing has been labelled.
        """
        problem, labels = self.problem, self._labels
        if len(self.labelled) == 0:
            raise ValueError("Nothing has been labelled yet: tell some labels first.")
        with self.turn():
            new = labels.new
            costs = {
                "query_seconds": self._query_seconds,
                # Of the model before: how well it knew what it asked for.
                "batch_accuracy": batch_agreement(self.model, problem, new, labels),
            }
            number = self.round + 1
            epochs_before = epoch_rows(self.model)
            started = time.perf_counter()
            self.model = train_round(problem, self.model, number, new, labels)
            # After it: a training that failed is no round, and what is new stays so.
            self.round = number
            labels.end_round()
            training_seconds = time.perf_counter() - started
            record: Options = {
                "round": self.round,
                "n_labelled": self.n_labelled,
            }
            record |= measure_round(self.model, problem, new, labels, costs)
            record["training_seconds"] = training_seconds
            record["peak_memory_mb"] = peak_memory_mb()
            record |= epochs_of(self.model, epochs_before)
            self._history.append(record)
            if problem.ends_early:
                self._check_stop(record)
        scores = [self._scores.pop(position, np.nan) for position in new.tolist()]
        self._query_seconds, self._n_asked = 0.0, 0
        return Round(self.round, new, np.array(scores, dtype=np.float64), record)

    def share(self, model: Any, first: Round) -> None:
        """Start from a first model, and its round, trained for all strategies.

        It was trained once for all strategies of the seed; the labels are known
        beforehand.
        """
        # A copy: a strategy must not, but could, change it for the others, and
        # fine-tuning goes on from it.
        self.model = copy.deepcopy(model)
        self._retell(first)

    def replay(self, records: Sequence[Round]) -> None:
        """Bring a loop that shares the first model to where these rounds left it.

        The rounds are 1, 2, ….
        """
        for i, record in enumerate(records):
            new = self._retell(record)
            # From scratch, only the last model matters; else each has grown out of the
            # one before.
            if self.problem.training != "from_scratch" or i == len(records) - 1:
                with preserve_global_rng(), on_behalf_of(self.name):
                    self.model = train_round(
                        self.problem, self.model, self.round, new, self._labels
                    )

    def _retell(self, record: Round) -> Array:
        """Take in a finished round's labels and record, and go on from there."""
        labels = self.problem.known_labels(record.indices)
        self.tell(Answers(record.indices, labels))
        self.round = record.round
        metrics = record.metrics
        self._history.append(metrics)
        self.stopped = metrics.get("stopped", "")
        if self._criterion is not None:
            # It goes on from what it knew then.
            self._criterion.set_state(metrics["stopping"])
        new = self._labels.new
        self._labels.end_round()
        return new

    @property
    def _used_up(self) -> bool:
        counts = self._labels.pool.counts()
        return counts["unlabelled"] + counts["pending"] == 0

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

    def _show_labels(self) -> None:
        """Give the learner the model and what can be learnt from, by position.

        Rows are taken from X anew: joined to those of the rounds before they would be
        read again all the same, and other kinds of rows than arrays could not be.
        """
        known = self.problem.learnable(self.labelled)
        if self.model is not None:
            self.learner.estimator = self.model
        if len(known):
            self.learner.X_training = take_rows(self.problem.X, known)
            self.learner.y_training = self._labels.of(known)
        # Strategies that train clones train them as rounds are trained.
        self.learner.X_val, self.learner.y_val = self.problem.validation_set

    def _check_stop(self, record: Options) -> None:
        """Ask the criterion, and put what it says in the round's record.

        What it remembers goes there too.
        """
        problem = self.problem
        stop = False
        if self._criterion is not None:
            watched = problem.stop_set
            if not self._criterion.needs_stop_set:
                watched = watched[:0]
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
            if self._used_up:
                self.stopped = _USED_UP
            elif stop and self._criterion is not None:
                self.stopped = self._criterion.reason
        record["stopped"] = self.stopped
