"""Strategies that failed: read, told, and raised where nothing is left to compare."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence

from al_sklearn._core.types import Options
from al_sklearn.experiments.comparison._workers import Failed
from al_sklearn.experiments.statistics import BASELINE
from al_sklearn.experiments.store import RunStore, failure_notes

Failures = dict[tuple[str, int], Options]


def failures_of(store: RunStore, runs: Iterable[tuple[str, int]]) -> Failures:
    """Read which strategies failed on which seed."""
    found = {run: store.failure(*run) for run in runs}
    return {run: failure for run, failure in found.items() if failure is not None}


def raise_if_hopeless(
    failed: Sequence[Failed | None], runs: Sequence[tuple[str, int]]
) -> None:
    """Raise the first error where random sampling failed, or all else everywhere.

    Without them there is nothing to hold against each other.
    """
    errors = {(one.strategy, one.seed): one.error for one in failed if one is not None}
    others = [run for run in runs if run[0] != BASELINE]
    baseline = [run for run in errors if run[0] == BASELINE]
    if baseline:
        raise errors[baseline[0]]
    if others and all(run in errors for run in others):
        raise errors[others[0]]


def warn_of(failures: Mapping[tuple[str, int], Options]) -> None:
    """Warn of the strategies that failed, one sentence each."""
    for note in failure_notes(failures):
        # The caller's line is beyond fit and scikit-learn's wrapper of it.
        warnings.warn(note, stacklevel=5)
