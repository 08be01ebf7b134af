"""Which run begins first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from al_sklearn.estimators import TunedClassifier
from al_sklearn.experiments.store import RunStore

Task = TypeVar("Task")


def shared_search(estimator: Any) -> str:
    """Say whether trainings share a search for hyper-parameters, and how.

    Whoever trains first makes that search, and which worker that is would be chance.

    Returns
    -------
    str
        ``"once"`` or ``"once_per_size"``, as :class:`TunedClassifier` has it; empty
        where each training is its own.
    """
    parts = [estimator, *estimator.get_params(deep=True).values()]
    found = {
        part.tune
        for part in parts
        if isinstance(part, TunedClassifier) and part.store is not None
    }
    # The one that shares more, where there are two.
    return next((one for one in ("once_per_size", "once") if one in found), "")


def in_turn(
    tasks: Sequence[Task], before: Callable[[Task], bool] | None
) -> list[list[Task]]:
    """Return tasks in parts that are done one after the other.

    Those of which ``before`` is true go first; None is for all at once.
    """
    if before is None:
        return [list(tasks)] if tasks else []
    parts = (
        [task for task in tasks if before(task)],
        [task for task in tasks if not before(task)],
    )
    return [part for part in parts if part]


def longest_first(
    runs: list[tuple[str, int]], store: RunStore
) -> Iterator[tuple[str, int]]:
    """Yield runs as workers become free.

    One of each strategy, then those whose rounds take the longest.

    A long run that begins last keeps one worker busy while the others have nothing left
    to do.
    """
    # Seed by seed in the order given, where nothing is known of the durations.
    left = list(runs)
    begun: dict[str, tuple[str, int]] = {}

    def seconds(run: tuple[str, int]) -> float:
        # Nothing yet of a run that has begun: its rounds are long.
        metrics = store.last(*begun.get(run[0], run))
        return (
            math.inf
            if metrics is None
            else metrics["query_seconds"] + metrics["training_seconds"]
        )

    while left:
        candidates: dict[str, tuple[str, int]] = {}
        for run in left:
            candidates.setdefault(run[0], run)
        # The first of equals.
        run = max(
            candidates.values(), key=lambda run: (run[0] not in begun, seconds(run))
        )
        left.remove(run)
        begun.setdefault(run[0], run)
        yield run
