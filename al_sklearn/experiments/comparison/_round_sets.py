"""A round of a run as index sets that others can begin with."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np

from al_sklearn._core.checks import unknown_name
from al_sklearn._core.types import Array
from al_sklearn.experiments.statistics import BASELINE
from al_sklearn.experiments.store import FIRST, RunStore
from al_sklearn.rows import read_splits


def round_sets(
    folder: str | os.PathLike[str],
    strategy: str = BASELINE,
    *,
    seed: int = 0,
    round_number: int = -1,
) -> dict[str, Array]:
    """Return what was labelled after a round of a run, and what was not.

    Parameters
    ----------
    folder : path
        The ``store`` of a comparison, finished or not.
    strategy : str, default="random_sampling"
        Whose round.
    seed : int, default=0
        Of which repetition.
    round_number : int, default=-1
        0 is the initial set; the last by default.

    Returns
    -------
    dict of int64 arrays
        ``labelled`` in the order in which it was bought, ``unlabelled``, ``bought``
        (the round's own, part of ``labelled``), and ``validation`` and ``test`` where
        the run held them out of X. :func:`al_sklearn.datasets.write_index_sets` writes
        them, in TorchAL's layout too, and ``splits=`` of another run begins with them.

    Raises
    ------
    FileNotFoundError
        When the folder holds no run.
    ValueError
        For an unknown strategy, or a seed or round that is not there.
    """
    store = RunStore(folder)
    configuration = store.config()["configuration"]
    names = list(configuration["strategies"])
    if strategy not in names:
        raise unknown_name("strategy of this run", strategy, names)
    splits = read_splits(store.folder / "splits.npz")
    if seed not in splits:
        raise ValueError(f"The run has the seeds 0 to {len(splits) - 1}, got {seed}.")
    records = [*store.read(FIRST, seed), *store.read(strategy, seed)]
    last = round_number if round_number >= 0 else len(records) + round_number
    if not 0 <= last < len(records):
        raise ValueError(
            f"{strategy}, seed {seed}, has the rounds 0 to {len(records) - 1}, got "
            f"round_number={round_number}."
        )
    sets = splits[seed]
    labelled = np.concatenate([record.indices for record in records[: last + 1]])
    found = {
        "labelled": labelled,
        "unlabelled": np.setdiff1d(sets["train"], labelled),
    }
    if last:
        found["bought"] = records[last].indices
    for name in ("validation", "test"):
        if len(sets.get(name, ())):
            found[name] = sets[name]
    return found


def bought_positions(
    folder: str | os.PathLike[str],
    strategies: Iterable[str] | None = None,
    *,
    seed: int = 0,
) -> dict[str, list[Array]]:
    """Return the initial set and each round's batch of a run, by strategy.

    Parameters
    ----------
    folder : path
        The ``store`` of a comparison, finished or not.
    strategies : iterable of str, optional
        Only these; all by default.
    seed : int, default=0

    Returns
    -------
    dict of str to list of int64 arrays
        As ``queries_`` of an experiment, for
        :func:`al_sklearn.experiments.plots.pool_map`.
    """
    store = RunStore(folder)
    wanted = None if strategies is None else set(strategies)
    first = [record.indices for record in store.read(FIRST, seed)]
    return {
        name: [*first, *(record.indices for record in store.read(name, seed))]
        for name in store.config()["configuration"]["strategies"]
        if wanted is None or name in wanted
    }
