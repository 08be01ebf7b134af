"""What a resumed run goes on from: rounds that are whole and can be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from al_sklearn.experiments.protocol import first_wrong
from al_sklearn.experiments.store import FIRST, RunStore
from al_sklearn.loop import Problem, Round

Runs = dict[tuple[str, int], list[Round]]


def whole_rounds(
    store: RunStore, problems: Sequence[Problem], strategies: Iterable[str]
) -> Runs:
    """Read the finished rounds of all runs, the first ones under ``FIRST``.

    Where one is damaged, missing, or cannot be (images that are not in the pool, bought
    before, more or fewer than were asked for), it and all that came after it are set
    aside, and made anew. Where that is a seed's first, its strategies begin again.
    """
    found: Runs = {}
    for seed, problem in enumerate(problems):
        first = _whole(store, problem, FIRST, seed, [])
        found[FIRST, seed] = first
        for name in strategies:
            found[name, seed] = _whole(store, problem, name, seed, first)
    return found


def _whole(
    store: RunStore, problem: Problem, name: str, seed: int, first: list[Round]
) -> list[Round]:
    rounds, why = store.whole(name, seed)
    if name != FIRST and not first and (rounds or why):
        # They have grown out of a first model that nobody has any more.
        rounds, why = [], f"{name}, seed {seed}: the seed's first round is not there."
    else:
        wrong = first_wrong(problem, [*first, *rounds])
        if wrong is not None:
            place, reason = wrong
            rounds = rounds[: place - len(first)]
            number = place if name != FIRST else 0
            why = f"Round {number} of {name!r}, seed {seed}, cannot be: {reason}."
    if why:
        number = len(rounds) + (name != FIRST)
        store.set_rounds_aside(name, seed, number, why)
    return rounds
