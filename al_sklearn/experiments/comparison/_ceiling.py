"""What all labels give, once a seed: the line that strategies may reach."""

from __future__ import annotations

from dataclasses import replace

from al_sklearn._core.types import Options
from al_sklearn.experiments.statistics import CEILING
from al_sklearn.experiments.store import RunStore
from al_sklearn.loop import Problem


def ceiling_of(problem: Problem) -> Problem:
    """Return the problem of a seed whose first training is on all there is to buy."""
    # Nothing is left to buy, so nothing can stop before its time.
    return replace(
        problem, initial=problem.train, n_rounds=0, budget=None, stopping=None
    )


def missing_ceilings(store: RunStore, n_seeds: int) -> list[int]:
    """Return the seeds whose ceiling the store does not have, or not whole."""
    missing = []
    for seed in range(n_seeds):
        rounds, why = store.whole(CEILING, seed)
        if why:
            store.set_rounds_aside(CEILING, seed, 0, why)
        if not rounds:
            missing.append(seed)
    return missing


def ceiling_curves(
    store: RunStore, n_seeds: int
) -> dict[tuple[str, int], list[Options]]:
    """Read the ceilings that a store has, as curves of one point."""
    found = {
        (CEILING, seed): [record.metrics for record in store.read(CEILING, seed)]
        for seed in range(n_seeds)
    }
    return {run: rounds for run, rounds in found.items() if rounds}
