"""Running what an experiment file asks for.

Data, comparisons, tables, pictures and reports.
"""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from al_sklearn._core.files import replacing
from al_sklearn.datasets import ImageData, has_standin, load_dataset, make_standin
from al_sklearn.exceptions import ParameterError, StoreExistsError
from al_sklearn.experiments.comparison import ProgressLines, StrategyComparison
from al_sklearn.experiments.configuration._file import ExperimentFile, Run
from al_sklearn.experiments.configuration._plugins import run_plugin
from al_sklearn.experiments.configuration._problems import Key, Where
from al_sklearn.experiments.protocol import known_classes
from al_sklearn.experiments.report import FACTS, ReportFacts
from al_sklearn.experiments.store import RunStore
from al_sklearn.rows import n_rows, read_splits, take_rows

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
    lines: bool = False,
    say: Callable[[str], None] = print,
    command: str | None = None,
) -> list[Outcome]:
    """Run every comparison of a file, each in its own folder if there is a grid.

    The folders lie below ``output``.

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
        0 shows no progress.
    lines : bool, default=False
        Progress as a line a minute, for a log, and not as a bar.
    say : callable, default=print
        Is told what is run, line by line.
    command : str, optional
        What asks for it, for the reports; a run that is resumed keeps the one that
        began it.

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
    command = _begin(experiment, output, quick, resume, report, command)
    loaded: dict[str, ImageData] = {}
    outcomes = []
    for number, run in enumerate(small.runs, start=1):
        of = f"[{number}/{len(small.runs)}] {run.name}: " if run.name else ""
        section = json.dumps(run.data(), sort_keys=True)
        if section not in loaded:
            # One at a time: a grid over data sets does not hold them all.
            with _said_where(small, run, ("data",)):
                loaded = {section: _load(run, output, quick, say)}
        data = loaded[section]
        folder = output / run.name if run.name else output
        comparison = run.comparison(
            store=folder, verbose=0 if lines else verbose, resume=resume
        )
        title = (
            experiment.title
            + (f": {run.name}" if run.name else "")
            + (" (quick)" if quick else "")
        )
        if comparison.splits is not None:
            # Read once more by the run itself: here an error has the key.
            with _said_where(small, run, ("comparison", "splits")):
                splits = Path(comparison.splits)
                read_splits(splits / "splits.npz" if splits.is_dir() else splits)
        with _said_where(small, run):
            names = _names(
                data, known_classes(np.asarray(data.y_train), comparison.pool)
            )
        # Before the run, so that one that is not finished has a report too.
        facts = ReportFacts(title, command, names)
        facts.write(folder)
        say(f"{of}{data!r}; {_sizes(comparison, len(run.strategies()))}")
        with _said_where(small, run), warnings.catch_warnings():
            _check_images(comparison.estimator, data)
            # Said beside the table instead.
            warnings.filterwarnings(
                "ignore", message=".*use at least 5", category=UserWarning
            )
            if quick:
                # Of so few images, of course.
                warnings.filterwarnings(
                    "ignore",
                    message="The number of unique classes",
                    category=UserWarning,
                )
            with (
                ProgressLines(comparison, folder, say)
                if lines and verbose
                else contextlib.nullcontext()
            ):
                comparison.fit(data.X_train, data.y_train, data.X_test, data.y_test)
        summary = comparison.summary()
        summary.to_csv(folder / "summary.csv")
        comparison.results_.to_csv(folder / "results.csv", index=False)
        if report:
            write_report(comparison, folder, facts)
        outcomes.append(Outcome(run, folder, comparison, data))
    if len(small.runs) > 1:
        parts = [
            outcome.comparison.summary().reset_index().assign(run=outcome.run.name)
            for outcome in outcomes
        ]
        pd.concat(parts).to_csv(output / "summary.csv", index=False)
    return outcomes


class Record(NamedTuple):
    """Which experiment a folder holds, and whether in small and with reports."""

    experiment: ExperimentFile
    quick: bool
    report: bool


def read_record(folder: Path) -> Record:
    """Read which experiment a folder holds.

    Raises
    ------
    FileNotFoundError
        When it holds none that can be resumed.
    ValueError
        When what it says of it is damaged.
    """
    path = Path(folder) / RECORD
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} holds no experiment to resume: al-sklearn run and al-sklearn "
            "compare make such folders."
        )
    record = _read(path)
    return Record(
        ExperimentFile(record["experiment"], record["name"]),
        bool(record["quick"]),
        bool(record["report"]),
    )


def write_report(results: Any, folder: Path, facts: ReportFacts) -> Path:
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
            f"{error} The results are kept in {folder}; --no-report leaves out "
            "picture and report."
        ) from error
    axes.figure.savefig(folder / "learning_curves.png", dpi=150, bbox_inches="tight")
    import matplotlib.pyplot as plt

    plt.close(axes.figure)
    return facts.report(results, folder / "report.html")


def _begin(
    experiment: ExperimentFile,
    output: Path,
    quick: bool,
    resume: bool,
    report: bool,
    command: str | None,
) -> str | None:
    """Make the folder, or see whether it holds the same.

    Return the command that began it.
    """
    # Written before anything is run: whatever stops it, the folder can be resumed.
    path = output / RECORD
    record = {
        "experiment": experiment.spec,
        "name": experiment.name,
        "quick": quick,
        "report": report,
    }
    record["command"] = command
    if path.is_file():
        if not resume and any(output.rglob("round_*.json")):
            raise StoreExistsError(
                f"{output} holds a run already: al-sklearn resume {output} goes on "
                "with it; else name another folder."
            )
        if resume:
            begun = _read(path)
            if begun["quick"] != quick:
                raise ValueError(
                    f"{output} holds a run {'without' if quick else 'with'} --quick; "
                    "name another folder."
                )
            return begun.get("command")
        # What was wrong with it is put right by now: nobody should have to tidy up
        # first.
        _clear(output)
    if output.exists() and not output.is_dir():
        raise NotADirectoryError(f"{output} is a file; name a folder.")
    if output.is_dir() and any(
        part for part in output.iterdir() if not part.name.startswith(".")
    ):
        raise StoreExistsError(
            f"{output} is not empty, and holds no run of this command; name another "
            "folder."
        )
    output.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(json.dumps(record, indent=1).encode())
    return command


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text())
        if not {"experiment", "name", "quick", "report"} <= record.keys():
            raise ValueError("keys are missing")
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"{path} is damaged ({error}); begin the run anew in another folder."
        ) from error
    return record


def _clear(output: Path) -> None:
    """Take away what runs leave that never finished a round.

    What is of others stays.
    """
    # From below, so that folders are empty once their runs are gone.
    for here, _, files in os.walk(output, topdown=False):
        if not {"config.json", FACTS} & set(files):
            continue
        folder = Path(here)
        # Another process may have just begun it.
        with RunStore(folder).lock():
            for name in ("config.json", "splits.npz", FACTS, ".lock"):
                (folder / name).unlink(missing_ok=True)
        if folder != output and not any(folder.iterdir()):
            folder.rmdir()


@contextlib.contextmanager
def _said_where(
    experiment: ExperimentFile, run: Run, default: Key = ()
) -> Iterator[None]:
    """Add to an error the key that it comes from, where that can be told."""
    try:
        yield
    except (ValueError, TypeError, OSError) as error:
        where = experiment.blame(error, run, default)
        if where:
            error.add_note(Where(where))
        raise


def _sizes(comparison: StrategyComparison, n_strategies: int) -> str:
    strategies = "1 strategy" if n_strategies == 1 else f"{n_strategies} strategies"
    seeds = "1 seed" if comparison.n_seeds == 1 else f"{comparison.n_seeds} seeds"
    batch = comparison.n_instances
    if comparison.n_rounds is None:
        return (
            f"{strategies}, {seeds}, {comparison.n_initial} labels and {batch} a "
            "round until it is told to stop"
        )
    return (
        f"{strategies}, {seeds}, {comparison.n_initial} + {comparison.n_rounds} × "
        f"{batch} labels"
    )


def _load(run: Run, output: Path, quick: bool, say: Callable[[str], None]) -> ImageData:
    section = run.data()
    if section["import"] is not None:
        run_plugin(section["import"])
    name, folder = section["name"], section["dir"]
    options = dict(section["options"])
    # For sixty images nobody waits for gigabytes.
    stands_in = quick and has_standin(name)
    download = section["download"] and not stands_in
    try:
        data = load_dataset(
            name, folder, download=download, on_corrupt=section["on_corrupt"], **options
        )
    except FileNotFoundError:
        if not stands_in:
            raise
        say(
            f"The files of {name} are not there: --quick takes stand-ins in their "
            "format, made of scikit-learn's "
            f"digits. Its numbers say nothing of {name}."
        )
        data = load_dataset(
            name, make_standin(name, output / STANDIN / name, **options), **options
        )
    seed = run.spec.get("comparison", {}).get("random_state", 0) or 0
    data = _limited(data, section["pool_size"], section["test_size"], seed, quick)
    return _flat(data) if section["flat"] else data


def _limited(
    data: ImageData,
    pool_size: int | None,
    test_size: int | None,
    seed: int,
    quick: bool,
) -> ImageData:
    """Draw so many images, with the classes' shares kept."""
    X, y, X_test, y_test = data.X_train, data.y_train, data.X_test, data.y_test
    if pool_size is not None:
        chosen = _subset(
            y,
            min(pool_size, len(y)) if quick else pool_size,
            seed,
            "pool_size",
            "training",
        )
        X, y = take_rows(X, chosen), y[chosen]
        if len(np.unique(y)) < 2:
            raise ParameterError(
                f"pool_size must leave two classes to learn; {pool_size} leaves one.",
                "data.pool_size",
            )
    if (
        X_test is not None
        and y_test is not None
        and (pool_size is not None or test_size is not None)
    ):
        size = len(y_test) if test_size is None else test_size
        chosen = _subset(
            y_test, min(size, len(y_test)) if quick else size, seed, "test_size", "test"
        )
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
            raise ValueError(
                f"data.flat needs images in memory, {data.name} has {type(X).__name__}."
            )
        # Bytes become shares, as the networks see them; other numbers stay.
        scale = 255 if X.dtype == np.uint8 else 1
        return X.reshape(len(X), -1).astype(np.float32) / np.float32(scale)

    return ImageData(
        data.name,
        rows(data.X_train),
        data.y_train,
        rows(data.X_test),
        data.y_test,
        data.class_names,
    )


def _subset(y: np.ndarray, size: int, seed: int, name: str, kind: str) -> np.ndarray:
    from sklearn.model_selection import train_test_split

    if size > len(y):
        raise ParameterError(
            f"{name} {size} is more than the {len(y)} {kind} images.", f"data.{name}"
        )
    if size == len(y):
        return np.arange(len(y))
    n_classes, smallest = len(np.unique(y)), np.unique(y, return_counts=True)[1].min()
    # scikit-learn stratifies where each side has all classes, each with two images.
    stratify = y if min(size, len(y) - size) >= n_classes and smallest > 1 else None
    chosen, _ = train_test_split(
        np.arange(len(y)), train_size=size, stratify=stratify, random_state=seed
    )
    return np.sort(chosen)


def _check_images(estimator: Any, data: ImageData) -> None:
    """Image files differ in size: say so before a network is trained."""
    if isinstance(data.X_train, list) and n_rows(data.X_train):
        sizes = [
            value
            for name, value in estimator.get_params().items()
            if name.endswith(("image_size", "resize"))
        ]
        if sizes and not any(sizes):
            raise ValueError(
                "Image files of a folder differ in size: give the side they are "
                "resized to, as --image-size 64, or "
                "image_size of the estimator."
            )


def _names(data: ImageData, classes: np.ndarray) -> list[str] | None:
    """Readable names; the labels of folders are names already."""
    return (
        [data.class_names[label] for label in classes]
        if data.y_train.dtype.kind in "iu"
        else None
    )
