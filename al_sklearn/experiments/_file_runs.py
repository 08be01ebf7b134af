"""Running what an experiment file asks for: data, comparisons, tables, pictures and reports."""

from __future__ import annotations

import json
import runpy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from al_sklearn._files import replacing
from al_sklearn.datasets import ImageData, load_dataset
from al_sklearn.datasets._standins import has_standin, make_standin
from al_sklearn.experiments._comparison import StrategyComparison
from al_sklearn.experiments._file import ExperimentFile, ExperimentFileError, Run
from al_sklearn.pool import n_rows, take_rows

# Hidden, so that a store may be begun beside it.
RECORD: Final = ".experiment.json"
STANDIN: Final = ".standin"


@dataclass(frozen=True)
class Outcome:
    """A finished comparison of a file."""

    run: Run
    folder: Path
    comparison: StrategyComparison
    data: ImageData


def run_experiment(
    experiment: ExperimentFile,
    output: Path,
    *,
    quick: bool = False,
    resume: bool = False,
    report: bool = True,
    verbose: int = 1,
    say: Callable[[str], None] = print,
) -> list[Outcome]:
    """Run every comparison of a file, each in its own folder below ``output`` where there is a grid.

    Parameters
    ----------
    experiment : ExperimentFile
    output : Path
    quick : bool, default=False
        Run it in small, with stand-ins where the files of the data are missing.
    resume : bool, default=False
        Go on with what the folder holds.
    report : bool, default=True
        Write ``report.html`` and ``learning_curves.png`` beside each store.
    verbose : int, default=1
        0 shows no progress bar.
    say : callable, default=print
        Is told what is run, line by line.

    Returns
    -------
    list of Outcome

    Raises
    ------
    FileExistsError
        When the folder holds a run, and ``resume`` is False.
    ValueError
        When it holds another experiment.
    """
    small = experiment.quick() if quick else experiment
    output = Path(output)
    _begin(experiment, output, quick, resume, report)
    loaded: dict[str, ImageData] = {}
    outcomes = []
    for number, run in enumerate(small.runs, start=1):
        of = f"[{number}/{len(small.runs)}] {run.name}: " if run.name else ""
        section = json.dumps(run.data(), sort_keys=True)
        if section not in loaded:
            # One at a time: a grid over data sets does not hold them all.
            loaded = {section: _load(run, output, quick, say)}
        data = loaded[section]
        folder = output / run.name if run.name else output
        comparison = run.comparison(store=folder, verbose=verbose, resume=resume)
        _check_images(comparison.estimator, data)
        n_seeds = comparison.n_seeds
        say(
            f"{of}{data!r}; {len(run.strategies())} strategies, {n_seeds} seeds, {comparison.n_initial} + "
            f"{comparison.n_rounds} × {comparison.n_instances} labels"
        )
        with warnings.catch_warnings():
            # Said beside the table instead.
            warnings.filterwarnings("ignore", message=".*use at least 5", category=UserWarning)
            comparison.fit(data.X_train, data.y_train, data.X_test, data.y_test)
        summary = comparison.summary()
        summary.to_csv(folder / "summary.csv")
        comparison.results_.to_csv(folder / "results.csv", index=False)
        title = experiment.title + (f": {run.name}" if run.name else "") + (" (quick)" if quick else "")
        if report:
            write_report(comparison, folder, title, _names(data, comparison.classes_))
        outcomes.append(Outcome(run, folder, comparison, data))
    if len(small.runs) > 1:
        parts = [outcome.comparison.summary().reset_index().assign(run=outcome.run.name) for outcome in outcomes]
        pd.concat(parts).to_csv(output / "summary.csv", index=False)
    return outcomes


def read_record(folder: Path) -> tuple[ExperimentFile, bool, bool]:
    """Read which experiment a folder holds, whether it ran in small, and whether it writes reports.

    Raises
    ------
    FileNotFoundError
        When it holds none that can be resumed.
    """
    path = Path(folder) / RECORD
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} holds no experiment to resume: al-sklearn run and al-sklearn compare make such folders."
        )
    record = json.loads(path.read_text())
    return ExperimentFile(record["experiment"], record["name"]), bool(record["quick"]), bool(record["report"])


def write_report(results: Any, folder: Path, title: str, class_names: list[str] | None = None) -> Path:
    """Write ``learning_curves.png`` and ``report.html`` beside a store.

    Raises
    ------
    ImportError
        When matplotlib is missing; the results are kept.
    """
    try:
        axes = results.plot()
    except ImportError as error:
        raise ImportError(
            f"{error} The results are kept in {folder}; --no-report leaves out picture and report."
        ) from error
    axes.figure.savefig(folder / "learning_curves.png", dpi=150, bbox_inches="tight")
    import matplotlib.pyplot as plt

    plt.close(axes.figure)
    return Path(results.report(folder / "report.html", class_names=class_names, title=title))


def _begin(experiment: ExperimentFile, output: Path, quick: bool, resume: bool, report: bool) -> None:
    path = output / RECORD
    record = {"experiment": experiment.spec, "name": experiment.name, "quick": quick, "report": report}
    if path.is_file():
        if not resume:
            raise FileExistsError(
                f"{output} holds a run already: al-sklearn resume {output} goes on with it; else name another folder."
            )
        if json.loads(path.read_text())["quick"] != quick:
            raise ValueError(f"{output} holds a run {'without' if quick else 'with'} --quick; name another folder.")
        return
    if output.is_dir() and any(part for part in output.iterdir() if not part.name.startswith(".")):
        raise FileExistsError(f"{output} is not empty, and holds no run of this command; name another folder.")
    output.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(json.dumps(record, indent=1).encode())


def _load(run: Run, output: Path, quick: bool, say: Callable[[str], None]) -> ImageData:
    section = run.data()
    if section["import"] is not None:
        runpy.run_path(section["import"])
    name, folder = section["name"], section["dir"]
    options = dict(section["options"])
    # For a hundred images nobody waits for gigabytes.
    stands_in = quick and has_standin(name)
    download = section["download"] and not stands_in
    try:
        data = load_dataset(name, folder, download=download, on_corrupt=section["on_corrupt"], **options)
    except FileNotFoundError:
        if not stands_in:
            raise
        say(
            f"The files of {name} are not there: --quick takes stand-ins in their format, made of scikit-learn's "
            f"digits. Its numbers say nothing of {name}."
        )
        data = load_dataset(name, make_standin(name, output / STANDIN / name, **options), **options)
    seed = run.spec.get("comparison", {}).get("random_state", 0) or 0
    data = _limited(data, section["pool_size"], section["test_size"], seed, quick)
    return _flat(data) if section["flat"] else data


def _limited(data: ImageData, pool_size: int | None, test_size: int | None, seed: int, quick: bool) -> ImageData:
    """Draw so many images, with the classes' shares kept."""
    X, y, X_test, y_test = data.X_train, data.y_train, data.X_test, data.y_test
    if pool_size is not None:
        chosen = _subset(y, min(pool_size, len(y)) if quick else pool_size, seed, "pool_size", "training")
        X, y = take_rows(X, chosen), y[chosen]
    if test_size is not None and X_test is not None and y_test is not None:
        chosen = _subset(y_test, min(test_size, len(y_test)) if quick else test_size, seed, "test_size", "test")
        # What the pool does not have can be neither learnt nor measured.
        chosen = chosen[np.isin(y_test[chosen], y)]
        X_test, y_test = take_rows(X_test, chosen), y_test[chosen]
    return ImageData(data.name, X, y, X_test, y_test, data.class_names)


def _flat(data: ImageData) -> ImageData:
    """Make each image a row of numbers, as scikit-learn's classifiers want it."""

    def rows(X: Any) -> Any:
        if X is None:
            return None
        if not isinstance(X, np.ndarray):
            raise ValueError(f"data.flat needs images in memory, {data.name} has {type(X).__name__}.")
        scale = 255 if X.dtype == np.uint8 else 1
        return X.reshape(len(X), -1).astype(np.float32) / np.float32(scale)

    return ImageData(data.name, rows(data.X_train), data.y_train, rows(data.X_test), data.y_test, data.class_names)


def _subset(y: np.ndarray, size: int, seed: int, name: str, kind: str) -> np.ndarray:
    from sklearn.model_selection import train_test_split

    if size > len(y):
        raise ExperimentFileError(f"{name} {size} is more than the {len(y)} {kind} images.")
    if size == len(y):
        return np.arange(len(y))
    n_classes, smallest = len(np.unique(y)), np.unique(y, return_counts=True)[1].min()
    stratify = y if min(size, len(y) - size) >= n_classes and smallest > 1 else None
    chosen, _ = train_test_split(np.arange(len(y)), train_size=size, stratify=stratify, random_state=seed)
    return np.sort(chosen)


def _check_images(estimator: Any, data: ImageData) -> None:
    """Image files differ in size: say so before a network is trained."""
    if isinstance(data.X_train, list) and n_rows(data.X_train):
        sizes = [value for name, value in estimator.get_params().items() if name.endswith(("image_size", "resize"))]
        if sizes and not any(sizes):
            raise ValueError(
                "Image files of a folder differ in size: give the side they are resized to, as --image-size 64, or "
                "image_size of the estimator."
            )


def _names(data: ImageData, classes: np.ndarray) -> list[str] | None:
    """Readable names; the labels of folders are names already."""
    return [data.class_names[label] for label in classes] if data.y_train.dtype.kind in "iu" else None
