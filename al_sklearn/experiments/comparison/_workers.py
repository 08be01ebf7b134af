"""What a worker does: a first model, or one strategy of one seed."""

from __future__ import annotations

import gc
import os
import pickle
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

from al_sklearn._core.interrupts import end_with_main, is_orphan
from al_sklearn._core.registry import enter
from al_sklearn._core.threads import limit_threads
from al_sklearn._core.types import Function, Options
from al_sklearn.config import config_context
from al_sklearn.experiments.comparison._retraining import Retraining
from al_sklearn.experiments.protocol import first_round, next_round
from al_sklearn.experiments.store import FIRST, RunStore, failure_of
from al_sklearn.experiments.tracking import (
    Callback,
    Callbacks,
    ExperimentState,
    new_run_id,
    run_id_of,
)
from al_sklearn.loop import Loop, Problem, Round


class Settings(NamedTuple):
    """What a worker is told with every task."""

    threads: int
    config: Options
    checkpoints: bool
    # The process that wants the results.
    main: int
    # What its user has registered.
    registered: list[bytes]
    # Which call of fit this is, and what it does with a strategy that fails.
    run: str
    on_error: str


class Failed(NamedTuple):
    """A strategy that failed on a seed, and its error."""

    strategy: str
    seed: int
    error: Exception


# Calls of fit in this process that are over, by an error or Ctrl-C, while threads that
# worked for them may still be in the middle of a training.
_over: set[str] = set()


@contextmanager
def interruptible(settings: Settings, store: RunStore) -> Iterator[None]:
    """Let whatever ends a run early end its threads too, and say how to go on.

    Worker processes are ended by joblib; threads cannot be, and write nothing more.
    """
    try:
        yield
    except BaseException as error:
        _over.add(settings.run)
        # Ctrl-C, and a worker that was killed: nothing is wrong with the run itself.
        if store.durable and isinstance(error, (KeyboardInterrupt, BrokenExecutor)):
            error.add_note(
                f"Finished rounds are kept in {store.folder}: the same again goes on "
                "from them."
            )
        raise


@contextmanager
def in_worker(settings: Settings) -> Iterator[None]:
    """Give a worker its threads and the settings of whoever called ``fit``.

    It inherits neither.
    """
    end_with_main()
    if os.getpid() != settings.main and not gc.get_freeze_count():
        # Between two tasks loky collects garbage, a fifth of a second through all that
        # torch has imported.
        gc.freeze()
    if os.getpid() != settings.main:
        enter(settings.registered)
    with limit_threads(settings.threads), config_context(**settings.config):
        yield


def train_first(
    problem: Problem, store: RunStore, settings: Settings, name: str = FIRST
) -> Any:
    """Train on a seed's initial set, and keep that round under a name of nobody's."""
    with in_worker(settings):
        loop = Loop(problem, None, name)
        record = first_round(loop)
        if settings.run not in _over:
            store.write(
                name,
                problem.streams.seed,
                record,
                loop.model if settings.checkpoints else None,
            )
        return loop.model


def run_strategy(
    problem: Problem,
    strategy: Function,
    name: str,
    model: Any,
    records: list[Round],
    store: RunStore,
    settings: Settings,
    told: Told,
) -> Failed | None:
    """Run one strategy on one seed from where it stands.

    Every finished round goes to the store. Return how it failed, where it did and that
    ends no more than itself.
    """
    seed = problem.streams.seed
    # Remembered before the first round: a killed parent shows as another one.
    parent = os.getppid()
    own_error: Exception | None = None
    number = 0

    def is_over() -> bool:
        # Whoever wanted this has ended, or was killed: the rest is for whoever resumes.
        in_worker = os.getpid() != settings.main
        return settings.run in _over or (in_worker and is_orphan(parent))

    with in_worker(settings):
        loop = Loop(problem, strategy, name)
        # The seed's first model is trained once, for all strategies alike.
        loop.share(model, records[0])
        loop.replay(records[1:])
        # What is told again after a resume is only what listeners may have missed.
        fresh = len(records) == 1
        try:
            with (
                told.about(loop, [] if fresh else records) as listeners,
                store.writer() as write_behind,
            ):
                if fresh:
                    listeners.round_end(records[0])
                while not loop.finished:
                    number = loop.round + 1
                    try:
                        record = next_round(loop)
                    except Exception as error:
                        own_error = error
                        raise
                    if is_over():
                        return None
                    if told.listeners or settings.checkpoints:
                        # Nobody hears of a round that a kill could still take, and the
                        # next one changes the model.
                        kept = loop.model if settings.checkpoints else None
                        store.write(name, seed, record, kept)
                    else:
                        write_behind(name, seed, record)
                    listeners.round_end(record)
        except Exception as error:
            # What the store or a callback says is no fault of the strategy's.
            if error is not own_error or settings.on_error == "raise" or is_over():
                raise
            store.fail(name, seed, failure_of(error, number))
            return Failed(name, seed, _portable(error))
    return None


def _portable(error: Exception) -> Exception:
    """Return an error that gets through to the main process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001  what an error holds may be anything
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def retrain_one(job: Retraining, store: RunStore | None, settings: Settings) -> Options:
    with in_worker(settings):
        return job.run(store)


class Told:
    """Makes the callbacks of each strategy and seed, in whatever process it runs."""

    def __init__(self, listeners: list[Callback], store: RunStore):
        self.listeners = listeners
        self._run_id = (
            ""
            if not listeners
            else run_id_of(store.folder)
            if store.durable
            else new_run_id()
        )
        self._parameters = store.config()["configuration"] if listeners else {}

    def about(self, loop: Loop, records: list[Round]) -> Callbacks:
        """Return the callbacks of one strategy and seed, with its rounds so far."""
        seed = loop.problem.streams.seed
        name = f"{loop.name}/seed_{seed:03d}"
        state = ExperimentState(
            self._run_id, name, loop.name, seed, self._parameters, loop, list(records)
        )
        return Callbacks(self.listeners, state)
