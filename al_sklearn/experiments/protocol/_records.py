"""Finished rounds, checked against what a run could have done."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from al_sklearn.loop import Problem, Round
from al_sklearn.rows import n_rows


def first_wrong(problem: Problem, records: Sequence[Round]) -> tuple[int, str] | None:
    """Find the first round that cannot be.

    Parameters
    ----------
    problem : Problem
        The seed's.
    records : sequence of Round
        From round 0 on, without a gap.

    Returns
    -------
    (int, str) or None
        Its place among the records, and what is wrong with it; None where all can be.
    """
    free = np.zeros(n_rows(problem.X), dtype=bool)
    free[problem.train] = True
    bought = np.zeros_like(free)
    n_bought = 0
    for place, record in enumerate(records):
        history = [known.metrics for known in records[:place]]
        wanted = len(problem.initial)
        if place:
            # As the loop asks: what is left of the budget and of the pool may be less.
            left = problem.most - history[-1]["n_labelled"]
            wanted = min(problem.next_batch(history), left, int(free.sum()))
        why = _wrong(problem, record, place, wanted, free, bought)
        n_bought += len(record.indices)
        if not why:
            n_paid = n_bought + len(problem.validation)
            if record.metrics["n_labelled"] != n_paid:
                why = (
                    f"it says that {record.metrics['n_labelled']} are labelled, and "
                    f"{n_paid} are"
                )
        if why:
            return place, why
        free[record.indices] = False
        bought[record.indices] = True
    return None


def _wrong(
    problem: Problem,
    record: Round,
    place: int,
    wanted: int,
    free: np.ndarray,
    bought: np.ndarray,
) -> str:
    """Say what is wrong with a round; nothing where nothing is."""
    indices = record.indices
    if place == 0:
        same = np.array_equal(indices, problem.initial)
        return "" if same else "it begins with other images than this run"
    if len(indices) != wanted:
        return f"it bought {len(indices)} images where {wanted} were asked for"
    if len(record.scores) != len(indices):
        return f"it has {len(record.scores)} scores of {len(indices)} images"
    outside = indices[(indices < 0) | (indices >= len(free))]
    if len(outside):
        return f"it bought image {outside[0]} of {len(free)}"
    again = indices[bought[indices]]
    if len(again):
        return f"it bought image {again[0]}, which had been bought before"
    strange = indices[~free[indices]]
    if len(strange):
        return f"it bought image {strange[0]}, which is not in the pool"
    values, counts = np.unique(indices, return_counts=True)
    if (counts > 1).any():
        return f"it bought image {values[counts > 1][0]} twice"
    return ""
