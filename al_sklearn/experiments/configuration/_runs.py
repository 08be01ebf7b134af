"""Running what an experiment file asks for.

Data, comparisons, tables, pictures and reports.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from al_sklearn._core.cells import harmless_table
from al_sklearn._core.files import replacing
from al_sklearn._core.home import with_home, without_home
from al_sklearn._core.sealed import sealed, unsealed
from al_sklearn._core.streams import say_line
from al_sklearn._core.types import Array, Options
from al_sklearn.datasets import ImageData, has_standin, load_dataset, make_standin
from al_sklearn.exceptions import ParameterError, StoreExistsError
from al_sklearn.experiments.comparison import ProgressLines, StrategyComparison
from al_sklearn.experiments.configuration._file import ExperimentFile, Run
from al_sklearn.experiments.configuration._plugins import run_plugin
from al_sklearn.experiments.configuration._problems import Key, Where
from al_sklearn.experiments.protocol import known_classes, read_given
from al_sklearn.experiments.report import FACTS, ReportFacts
from al_sklearn.experiments.store import RunStore
from al_sklearn.experiments.tracking import Tracker
from al_sklearn.rows import are_files, take_rows

# Hidden, so that a store may be begun beside it.
RECORD: Final = ".experiment.json"
STANDIN: Final = ".standin"
# What a run has written before its first round.
_OF_A_START: Final = ("config.json", "starts.jsonl", "splits.npz", FACTS)


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
    say: Callable[[str], None] = say_line,
    command: str | None = None,
    on_change: str | None = None,
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
    say : callable, optional
        Is told what is run, line by line; by default each is printed.
    command : str, optional
        What asks for it, for the reports; a run that is resumed keeps the one that
        began it.
    on_change : {"raise", "record"}, optional
        What a resumed run does where data or code have changed, in place of what the
        file says.

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
        section = json.dumps(run.data(), sort_keys=True)
        if section not in loaded:
            # One at a time: a grid over data sets does not hold them all.
            with _said_where(small, run, ("data",)):
                loaded = {section: _load(run, output, quick, say)}
        data = loaded[section]
        # Without a grid the name is empty, and the folder the experiment's own.
        folder = output / run.name
        more = {} if on_change is None else {"on_change": on_change}
        comparison = run.comparison(
            store=folder, verbose=0 if lines else verbose, resume=resume, **more
        )
        if comparison.splits is not None:
            # Read once more by the run itself: here an error has the key.
            with _said_where(small, run, ("comparison", "splits")):
                read_given(comparison.splits)
        with _said_where(small, run):
            names = _names(
                data, known_classes(np.asarray(data.y_train), comparison.pool)
            )
        for callback in comparison.callbacks or ():
            # Readable names in their tags, where the user has given none.
            if isinstance(callback, Tracker) and callback.class_names is None:
                callback.class_names = names
        title = ": ".join(filter(None, [experiment.title, run.name]))
        # Before the run, so that one that is not finished has a report too.
        facts = ReportFacts(f"{title} (quick)" if quick else title, command, names)
        _note_begun(output, run.name)
        facts.write(folder)
        of = f"[{number}/{len(small.runs)}] {run.name}: " if run.name else ""
        say(f"{of}{data!r}; {_sizes(comparison, len(run.strategies()))}")
        bars: Any = contextlib.nullcontext()
        if lines and verbose:
            bars = ProgressLines(comparison, folder, say)
        with _said_where(small, run), warnings.catch_warnings(), bars:
            _check_images(comparison.estimator, data)
            # The one is said beside the table; of so few images the other is no news.
            known = ".*use at least 5" + "|The number of unique classes" * quick
            warnings.filterwarnings("ignore", message=known, category=UserWarning)
            comparison.fit(
                data.X_train,
                data.y_train,
                data.X_test,
                data.y_test,
                data.X_val,
                data.y_val,
            )
        harmless_table(comparison.summary()).to_csv(folder / "summary.csv")
        harmless_table(comparison.results_).to_csv(folder / "results.csv", index=False)
        if report:
            write_report(comparison, folder, facts)
        outcomes.append(Outcome(run, folder, comparison, data))
    if len(outcomes) > 1:
        parts = [
            outcome.comparison.summary().reset_index().assign(run=outcome.run.name)
            for outcome in outcomes
        ]
        harmless_table(pd.concat(parts)).to_csv(output / "summary.csv", index=False)
    return outcomes


class Record(NamedTuple):
    """Which experiment a folder holds, and whether in small and with reports."""

    experiment: ExperimentFile
    quick: bool
    report: bool


def read_record(folder: Path, *, trust: bool = False) -> Record:
    """Read which experiment a folder holds.

    Parameters
    ----------
    folder : Path
    trust : bool, default=False
        Import and call whatever the record names. Folders are passed on: without it
        only what cannot do harm is made; see
        :class:`~al_sklearn.experiments.configuration.ExperimentFile`.

    Raises
    ------
    FileNotFoundError
        When it holds none that can be resumed.
    ValueError
        When what it says of it is damaged, or names what may not be run without trust.
    """
    path = Path(folder) / RECORD
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} holds no experiment to resume: al-sklearn run and al-sklearn "
            "compare make such folders."
        )
    record = with_home(_read(path))
    return Record(
        ExperimentFile(
            record["experiment"],
            record["name"],
            beside=record.get("beside"),
            trust=trust,
        ),
        bool(record["quick"]),
        bool(record["report"]),
    )


def data_of(folder: Path, *, trust: bool = False) -> ImageData:
    """Load the data of a run that an experiment file or the command line began.

    Raises
    ------
    FileNotFoundError
        When the folder holds no such run.
    """
    folder = Path(folder).resolve()
    # A grid keeps what it was asked for in the folder around its runs.
    for output in (folder, *folder.parents):
        if (output / RECORD).is_file():
            record = read_record(output, trust=trust)
            small = record.experiment.quick() if record.quick else record.experiment
            for run in small.runs:
                if (output / run.name).resolve() == folder:
                    return _load(run, output, record.quick, lambda line: None)
    raise FileNotFoundError(
        f"{folder} does not say what its data were: al-sklearn run and al-sklearn "
        "compare make such folders. In Python, plots.pool_map draws any data."
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
    path = output / RECORD
    begun = _read(path) if path.is_file() else {}
    if begun and resume:
        if begun["quick"] != quick:
            raise ValueError(
                f"{output} holds a run {'without' if quick else 'with'} --quick; name "
                "another folder."
            )
        return begun.get("command")
    if begun:
        folders = _begun_folders(output, begun)
        if any(any(folder.rglob("round_*.json")) for folder in folders):
            raise StoreExistsError(
                f"{output} holds a run already: al-sklearn resume {output}"
                f"{' --trust' if experiment.needs_trust else ''} goes on with it; else "
                "name another folder."
            )
        # What was wrong with it is put right by now: nobody should have to tidy up
        # first.
        for folder in folders:
            _clear(folder, output)
    if output.exists() and not output.is_dir():
        raise NotADirectoryError(f"{output} is a file; name a folder.")
    output.mkdir(parents=True, exist_ok=True)
    if not all(part.name.startswith(".") for part in output.iterdir()):
        raise StoreExistsError(
            f"{output} is not empty, and holds no run of this command; name another "
            "folder."
        )
    # Written before anything is run: whatever stops it, the folder can be resumed.
    record = {
        "experiment": experiment.spec,
        "name": experiment.name,
        "beside": experiment.beside,
        "quick": quick,
        "report": report,
        "command": command,
        "begun": [],
    }
    _write(path, record)
    return command


def _write(path: Path, record: Options) -> None:
    with replacing(path) as file:
        # Folders are passed on: who made it is nobody's business.
        file.write(sealed(without_home(record), indent=1).encode())


def _read(path: Path) -> Options:
    try:
        record = unsealed(path.read_text(encoding="utf-8"), nan=False)
        if not {"experiment", "name", "quick", "report", "begun"} <= record.keys():
            raise ValueError("keys are missing")
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}); begin the run anew in another folder."
        ) from error
    return record


def _note_begun(output: Path, name: str) -> None:
    """Note that the folder of a run is begun, where it holds none yet.

    What lies there later is this experiment's own; whatever else lies below ``output``
    is somebody else's.
    """
    folder = output / name
    record = _read(output / RECORD)
    is_there = any((folder / part).exists() for part in _OF_A_START)
    if not is_there and name not in record["begun"]:
        record["begun"].append(name)
        _write(output / RECORD, record)


def _begun_folders(output: Path, record: Options) -> list[Path]:
    """Return the folders that an experiment began, all of them below its own."""
    root = output.resolve()
    folders = [output / name for name in record["begun"]]
    return [folder for folder in folders if folder.resolve().is_relative_to(root)]


def _clear(folder: Path, output: Path) -> None:
    """Take away what a run of ours has left that never finished a round.

    Nothing else: a folder in which somebody has put another run stays as it is.
    """
    if not folder.is_dir():
        return
    store = RunStore(folder)
    # Another process may have just begun it.
    with store.lock():
        if store.exists():
            try:
                store.config()
            except ValueError:
                # Not written by this version, so not by this experiment.
                return
        for name in _OF_A_START:
            (folder / name).unlink(missing_ok=True)
    (folder / ".lock").unlink(missing_ok=True)
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
    if comparison.looks is not None:
        seeds = f"looks at {', '.join(map(str, comparison.looks))} seeds"
    first, batch = comparison.n_initial, comparison.n_instances
    labels = f"{first} + {comparison.n_rounds} × {batch} labels"
    if comparison.n_rounds is None:
        labels = f"{first} labels and {batch} a round until it is told to stop"
    return f"{strategies}, {seeds}, {labels}"


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
    data.check_labelled("A comparison")
    data = _limited(data, run, quick)
    return _flat(data) if section["flat"] else data


def _limited(data: ImageData, run: Run, quick: bool) -> ImageData:
    """Draw so many images, with the classes' shares kept."""
    section = run.data()
    pool_size, test_size = section["pool_size"], section["test_size"]
    seed = run.spec.get("comparison", {}).get("random_state", 0) or 0

    def drawn(y: Array, size: int, key: str, kind: str) -> Array:
        if size > len(y) and not quick:
            raise ParameterError(
                f"{key} {size} is more than the {len(y)} {kind} images.", f"data.{key}"
            )
        return _subset(y, min(size, len(y)), seed)

    # A run was refused before, where the data have no labels.
    assert data.y_train is not None
    if pool_size is not None:
        chosen = drawn(data.y_train, pool_size, "pool_size", "training")
        X, y = take_rows(data.X_train, chosen), data.y_train[chosen]
        if len(np.unique(y)) < 2:
            raise ParameterError(
                f"pool_size must leave two classes to learn; {pool_size} leaves one.",
                "data.pool_size",
            )
        data = replace(data, X_train=X, y_train=y)
        if data.y_val is not None:
            # What is validated on must be among what can be learnt.
            known = np.flatnonzero(np.isin(data.y_val, y))
            X_val = take_rows(data.X_val, known) if len(known) else None
            y_val = data.y_val[known] if len(known) else None
            data = replace(data, X_val=X_val, y_val=y_val)
    if data.y_test is not None and (pool_size, test_size) != (None, None):
        size = len(data.y_test) if test_size is None else test_size
        chosen = drawn(data.y_test, size, "test_size", "test")
        assert data.y_train is not None
        # What the pool does not have can be neither learnt nor measured.
        chosen = chosen[np.isin(data.y_test[chosen], data.y_train)]
        X, y = take_rows(data.X_test, chosen), data.y_test[chosen]
        data = replace(data, X_test=X, y_test=y)
    return data


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

    sets = {name: rows(getattr(data, name)) for name in ("X_train", "X_val", "X_test")}
    return replace(data, **sets)


def _subset(y: Array, size: int, seed: int) -> Array:
    """Return the positions of so many images, increasing."""
    from sklearn.model_selection import train_test_split

    if size == len(y):
        return np.arange(size)
    counts = np.unique(y, return_counts=True)[1]
    # scikit-learn stratifies where each side has all classes, each with two images.
    possible = min(size, len(y) - size) >= len(counts) and counts.min() > 1
    chosen, _ = train_test_split(
        np.arange(len(y)),
        train_size=size,
        stratify=y if possible else None,
        random_state=seed,
    )
    return np.sort(chosen)


def _check_images(estimator: Any, data: ImageData) -> None:
    """Image files differ in size: say so before a network is trained."""
    if not are_files(data.X_train):
        return
    parameters = estimator.get_params()
    sizes = [name for name in parameters if name.endswith(("image_size", "resize"))]
    # One that resizes is enough; what has no such parameter takes files as they are.
    if sizes and not any(parameters[name] for name in sizes):
        raise ValueError(
            "Image files of a folder differ in size: give the side they are resized "
            "to, as --image-size 64, or image_size of the estimator."
        )


def _names(data: ImageData, classes: Array) -> list[str] | None:
    """Readable names; the labels of folders are names already."""
    if data.y_train is None or data.y_train.dtype.kind not in "iu":
        return None
    return [data.class_names[label] for label in classes]
