"""Which run begins first."""

from __future__ import annotations

import math
from collections.abc import Iterator

from al_sklearn.experiments.store import RunStore


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
