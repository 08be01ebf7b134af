"""What a worker does: a first model, or one strategy of one seed."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from al_sklearn._core.registry import enter
from al_sklearn._core.threads import limit_threads
from al_sklearn._core.types import Function, Options
from al_sklearn.config import config_context
from al_sklearn.experiments.comparison._retraining import Retraining
from al_sklearn.experiments.protocol import first_round, next_round
from al_sklearn.experiments.store import FIRST, RunStore
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


@contextmanager
def in_worker(settings: Settings) -> Iterator[None]:
    """Give a worker its threads and the settings of whoever called ``fit``.

    It inherits neither.
    """
    if os.getpid() != settings.main and not gc.get_freeze_count():
        # Between two tasks loky collects garbage, a fifth of a second through all that
        # torch has imported.
        gc.freeze()
    if os.getpid() != settings.main:
        enter(settings.registered)
    with limit_threads(settings.threads), config_context(**settings.config):
        yield


def train_first(problem: Problem, store: RunStore, settings: Settings) -> Any:
    with in_worker(settings):
        loop = Loop(problem, None, FIRST)
        record = first_round(loop)
        store.write(
            FIRST,
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
) -> None:
    """Run one strategy on one seed from where it stands.

    Every finished round goes to the store.
    """
    # Remembered before the first round: a killed parent shows as another one.
    parent = os.getppid()
    with in_worker(settings):
        loop = Loop(problem, strategy, name)
        # The seed's first model is trained once, for all strategies alike.
        loop.share(model, records[0])
        loop.replay(records[1:])
        # What is told again after a resume is only what listeners may have missed.
        fresh = len(records) == 1
        with (
            told.about(loop, [] if fresh else records) as listeners,
            store.writer() as write_behind,
        ):
            if fresh:
                listeners.round_end(records[0])
            while not loop.finished:
                record = next_round(loop)
                if told.listeners or settings.checkpoints:
                    # Nobody hears of a round that a kill could still take, and the next
                    # one changes the model.
                    store.write(
                        name,
                        problem.streams.seed,
                        record,
                        loop.model if settings.checkpoints else None,
                    )
                else:
                    write_behind(name, problem.streams.seed, record)
                listeners.round_end(record)
                if os.getpid() != settings.main and os.getppid() != parent:
                    # The process that wanted this was killed: leave the rest to whoever
                    # resumes it.
                    return


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
