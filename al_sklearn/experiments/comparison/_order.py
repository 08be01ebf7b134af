"""Which runs are over, and which of the others begins first."""

from __future__ import annotations

import math
from collections.abc import Iterator

from al_sklearn.experiments.store import RunStore
from al_sklearn.loop import Problem, Round


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


def is_done(problem: Problem, records: list[Round]) -> bool:
    """Whether these rounds, the first among them, are all there will be."""
    if not records:
        return False
    n_labelled = len(problem.validation) + sum(
        len(record.indices) for record in records
    )
    return bool(records[-1].metrics.get("stopped")) or problem.is_over(
        len(records) - 1, n_labelled
    )
