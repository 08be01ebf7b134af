"""Read everything that a run holds, and say what of it is whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from al_sklearn._core.sealed import unsealed
from al_sklearn._core.types import Array, Options
from al_sklearn.experiments.store._checkpoints import SUFFIXES, wrong_with_model
from al_sklearn.experiments.store._failures import FAILED
from al_sklearn.experiments.store._rounds import read_owned
from al_sklearn.experiments.store._store import CEILING, FIRST, RunStore, first_number
from al_sklearn.loop import Round


class Finding(NamedTuple):
    """A file of a run, and what is wrong with it; nothing where it is whole."""

    path: Path
    wrong: str


def verify_run(folder: str | os.PathLike[str]) -> list[Finding]:
    """Read every file of a run, and hold it against its checksum and the others.

    Nothing is changed, and no model is unpickled.

    Parameters
    ----------
    folder : path
        The ``store`` of a comparison.

    Returns
    -------
    list of Finding
        A file each, in the order in which a run writes them. What was set aside, and
        files that are not the run's, are not looked at.

    Raises
    ------
    FileNotFoundError
        When the folder holds no run.

    Examples
    --------
    >>> import tempfile
    >>> from al_sklearn.experiments.store import verify_run
    >>> try:
    ...     verify_run(tempfile.mkdtemp())
    ... except FileNotFoundError:
    ...     print("no run")
    no run
    """
    store = RunStore(folder)
    path = store.folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} holds no run: there is no config.json in it."
        )
    config, finding = _read(path, store.config)
    # Whose the others are, and which there should be, stands in it.
    if config is None:
        return [finding]
    splits, of_splits = _read(store.folder / "splits.npz", store.splits)
    findings = [finding, of_splits]
    for name, read in (
        ("starts.jsonl", store.starts),
        ("metrics.jsonl", lambda: store.metrics(FIRST, 0)),
        ("thumbnails.npz", store.read_thumbnails),
    ):
        if (store.folder / name).exists():
            findings.append(_read(store.folder / name, read)[1])
    for name in (".report.json", ".experiment.json"):
        path = store.folder / name
        if path.exists():
            findings.append(_read(path, partial(_unsealed, path))[1])
    findings += _rounds(store, config, splits or {})
    for path in sorted((store.folder / "retrained").rglob("*.json")):
        whose = [store.run, *path.relative_to(store.folder).parts]
        findings.append(_read(path, partial(read_owned, path, whose))[1])
    return findings


def _unsealed(path: Path) -> Any:
    return unsealed(path.read_text())


def _read(path: Path, read: Callable[[], Any]) -> tuple[Any, Finding]:
    try:
        return read(), Finding(path, "")
    except (ValueError, OSError) as error:
        return None, Finding(path, str(error))


def _rounds(
    store: RunStore, config: Options, splits: dict[str, Array]
) -> Iterator[Finding]:
    configuration = config["configuration"]
    for name in (FIRST, CEILING, *configuration["strategies"]):
        for seed in range(configuration["n_seeds"]):
            yield from _run(store, name, seed, splits)


def _run(
    store: RunStore, name: str, seed: int, splits: dict[str, Array]
) -> Iterator[Finding]:
    """Find what is wrong with the rounds of one strategy and seed."""
    free = set(splits.get(f"train_{seed}", np.empty(0)).tolist())
    checked = bool(free)
    if first_number(name):
        free -= set(splits.get(f"initial_{seed}", np.empty(0)).tolist())
    number = first_number(name)
    for path in store.round_paths(name, seed):
        wrong = ""
        if path != store.round_path(name, seed, number):
            wrong = f"round {number}, which comes before it, is missing"
        record, finding = _read(path, partial(store.read_one, path, name, seed))
        if isinstance(record, Round) and checked and not finding.wrong:
            bought = record.indices.tolist()
            strange = [row for row in bought if row not in free]
            if strange or len(set(bought)) != len(bought):
                what = strange[0] if strange else "of the batch"
                wrong = wrong or f"image {what} is not in the pool, or was bought twice"
            free -= set(bought)
        yield Finding(path, finding.wrong or wrong)
        for suffix in SUFFIXES:
            model = path.with_suffix(suffix)
            if model.exists():
                yield Finding(model, wrong_with_model(model))
        number += 1
    path = store.round_path(name, seed, 0).with_name(FAILED)
    if path.exists():
        yield _read(path, lambda: store.failure(name, seed))[1]
