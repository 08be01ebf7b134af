"""What a comparison has found, with or without the data it was found on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from al_sklearn._core.progress import tqdm
from al_sklearn._core.types import Array, Options
from al_sklearn.experiments import plots, statistics
from al_sklearn.experiments.comparison._ceiling import ceiling_curves
from al_sklearn.experiments.comparison._failures import Failures, failures_of
from al_sklearn.experiments.comparison._retraining import read_retrained
from al_sklearn.experiments.report import ReportData, latex_table, write_report
from al_sklearn.experiments.statistics import BASELINE
from al_sklearn.experiments.store import (
    FIRST,
    RunStore,
    epoch_table,
    failure_notes,
    notes_on_starts,
    tidy_table,
)
from al_sklearn.tasks import know_metrics


class Views:
    """The tables, the plot and the report of whoever has results of a comparison."""

    def _finished(self) -> ComparisonResults:
        """Return the results, or say that there are none yet."""
        raise NotImplementedError

    def summary(
        self, metric: str = "accuracy", *, level: float = 1.0, confidence: float = 0.95
    ) -> pd.DataFrame:
        """One row a strategy, with the columns of a summary.

        See :func:`al_sklearn.experiments.statistics.summarize` for the columns.

        Parameters
        ----------
        metric : str, default="accuracy"
            A column of the results.
        level : float, default=1.0
            Of the label saving: the share of random sampling's final metric that has to
            be reached.
        confidence : float, default=0.95
            Of all intervals.

        Returns
        -------
        DataFrame
            Indexed by strategy, best AUBC first; ``attrs["notes"]`` holds what should
            be said beside it.
        """
        found = self._finished().compared()
        table = statistics.summarize(
            found.table, metric, baseline=BASELINE, level=level, confidence=confidence
        )
        ceiling = statistics.ceiling_note(found.table, metric)
        # Few seeds are said first: everything else depends on them.
        table.attrs["notes"] = [*found.notes, *table.attrs["notes"], *ceiling]
        return table

    def pairwise(
        self, metric: str = "accuracy", *, confidence: float = 0.95
    ) -> pd.DataFrame:
        """Every strategy against every other.

        See :func:`al_sklearn.experiments.statistics.compare_pairs`.

        Parameters
        ----------
        metric : str, default="accuracy"
            A column of the results.
        confidence : float, default=0.95
            Of the intervals.

        Returns
        -------
        DataFrame
            One row a pair.
        """
        table = self._finished().compared().table
        return statistics.compare_pairs(table, metric, confidence=confidence)

    def to_latex(self, metric: str = "accuracy", *, label: str | None = None) -> str:
        r"""Write the summary as a LaTeX table, with the numbers that the report shows.

        See :func:`al_sklearn.experiments.report.latex_table`.

        Parameters
        ----------
        metric : str, default="accuracy"
            A column of the results.
        label : str, optional
            For ``\ref``.

        Returns
        -------
        str
        """
        return latex_table(self.summary(metric), metric, label=label)

    def plot(
        self, metric: str = "accuracy", *, ax: Any = None, confidence: float = 0.95
    ) -> Any:
        """Draw learning curves with bands.

        See :func:`al_sklearn.experiments.plots.learning_curves`.

        Parameters
        ----------
        metric : str, default="accuracy"
            A column of the results.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.
        confidence : float, default=0.95
            Of the bands.

        Returns
        -------
        matplotlib Axes
        """
        table = self._finished().compared().table
        return plots.learning_curves(table, metric, ax=ax, confidence=confidence)

    def report(
        self,
        path: str | os.PathLike[str],
        *,
        metric: str = "accuracy",
        class_names: Iterable[Any] | None = None,
        title: str | None = None,
        data: ReportData | None = None,
        command: str | None = None,
    ) -> Path:
        """Write one HTML file that somebody who did not run the comparison can read.

        Parameters
        ----------
        path : path
            The file; it needs nothing beside it.
        metric : str, default="accuracy"
            What is compared.
        class_names : iterable of str, optional
            Readable names, in the order of ``classes_``.
        title : str, optional
            Heading of the page.
        data : ReportData, optional
            What some pictures need beside the results: the pool's classes, coordinates,
            predictions.
        command : str, optional
            How the run was made, if not by this call.

        Returns
        -------
        pathlib.Path
        """
        return write_report(
            self._finished().compared(),
            path,
            metric=metric,
            class_names=class_names,
            title=title,
            data=data,
            command=command,
        )


@dataclass
class ComparisonResults(Views):
    """The tables, the plot and the report of a comparison.

    Parameters
    ----------
    table : DataFrame
        One row for each strategy, seed and round.
    classes : array of shape (C,)
        All labels.
    thumbnails : dict of str to array
        Images that were bought, by ``strategy/round/images`` and
        ``strategy/round/classes``.
    config : dict
        ``configuration``, ``data``, ``versions`` and ``pool`` of the run.
    failures : dict of (str, int) to dict, optional
        By strategy and seed: the round in which it failed, and its error.
    starts : list of dict, optional
        Each start of the run: when, on which versions, and what had changed.
    read_epochs : callable, optional
        Gives the rounds that :attr:`epochs` is made of.
    retrained : DataFrame, optional
        What :meth:`StrategyComparison.retrain` has found; no rows by default.
    """

    table: pd.DataFrame
    classes: Array
    thumbnails: dict[str, Array]
    config: Options
    failures: Failures = field(default_factory=dict)
    starts: list[Options] = field(default_factory=list)
    read_epochs: Callable[[], Mapping[tuple[str, int], Any]] | None = field(
        default=None, repr=False, compare=False
    )
    retrained: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One row an epoch of every round, as :func:`epoch_table` has them.

        Read from the rounds when it is first asked for: a thousand runs are read
        without. No rows where models keep no epochs.
        """
        return epoch_table({} if self.read_epochs is None else self.read_epochs())

    @property
    def pool_counts(self) -> pd.DataFrame | None:
        """Images of each class that could be bought, one row a seed.

        There is one column a class; None where ``config`` does not say.

        Counted by the labels that were given, those for validation among them; images
        of no class are left out.
        """
        kept = self.config.get("pool")
        if kept is None:
            return None
        return pd.DataFrame(
            kept["class_counts"], columns=list(self.classes)
        ).rename_axis("seed")

    @property
    def notes(self) -> list[str]:
        """What should be said beside every table."""
        n_seeds = self.table["seed"].nunique()
        found = [few_seeds(n_seeds)] if n_seeds < 5 else []
        named = self.config.get("configuration", {}).get("n_seeds")
        # With looks the table's own note says so.
        if named and n_seeds > named and not self.table.attrs.get("looks"):
            found.append(statistics.added_note(named, n_seeds))
        return [
            *found,
            *failure_notes(self.failures),
            *notes_on_starts(self.starts),
        ]

    def compared(self) -> ComparisonResults:
        """Return these results without the strategies that failed on a seed.

        Their curves end where they failed: held against the others they would say of an
        error that it saves labels or wastes them. Notes name them.
        """
        failed = {name for name, _ in self.failures}
        if not failed:
            return self
        thumbnails = {
            # Keys are strategy/seed/round, and a strategy's name may hold slashes.
            key: images
            for key, images in self.thumbnails.items()
            if key.rsplit("/", 2)[0] not in failed
        }
        kept = self.table[~self.table["strategy"].isin(failed)]
        return replace(self, table=kept, thumbnails=thumbnails)

    def _finished(self) -> ComparisonResults:
        return self


def load_results(folder: str | os.PathLike[str]) -> ComparisonResults:
    """Read what a comparison's store holds, finished or not.

    Neither the data nor the models are needed.

    Parameters
    ----------
    folder : path
        The ``store`` of a :class:`StrategyComparison`.

    Returns
    -------
    ComparisonResults
        With the tables, the plot and the report of the rounds that are there.

    Raises
    ------
    FileNotFoundError
        When the folder holds no run.
    """
    store = RunStore(folder)
    config = store.config()
    classes = np.asarray(config["data"]["classes"])
    curves = curves_of(store, config)
    n_seeds = config["configuration"]["n_seeds"]
    table = tidy_table(curves | ceiling_curves(store, n_seeds), classes)
    # Statistics read the looks off the table, wherever it is taken.
    table.attrs["looks"] = config["configuration"].get("looks")
    return ComparisonResults(
        table,
        classes,
        store.thumbnails(),
        config,
        failures_of(store, curves),
        store.starts(),
        partial(rounds_of, store, config),
        read_retrained(store, classes),
    )


def load_runs(
    folder: str | os.PathLike[str], *, verbose: int = 0
) -> dict[str, ComparisonResults]:
    """Read every run below a folder.

    Parameters
    ----------
    folder : path
        Runs may lie at any depth; what is inside a run is not searched.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    dict of str to ComparisonResults
        By path below ``folder``, sorted; ``"."`` where the folder is a run itself. A
        finished run is read from one file, so a thousand take seconds.

    Raises
    ------
    FileNotFoundError
        When there is none.
    """
    root = Path(folder)
    found = runs_below(root)
    if not found:
        raise FileNotFoundError(
            f"{root} holds no run: there is no config.json in it or below."
        )
    bar = tqdm(found, unit="run", disable=not verbose)
    return {path.relative_to(root).as_posix(): load_results(path) for path in bar}


def runs_below(folder: Path) -> list[Path]:
    """Return the runs in a folder, however deep, sorted.

    What is inside a run is its own, what is hidden nobody's.
    """
    found = []
    for here, names, files in os.walk(folder):
        # What is below a run is its own, and may be thousands of files.
        if "config.json" in files:
            found.append(Path(here))
            names.clear()
        names[:] = [name for name in names if not name.startswith(".")]
    return sorted(found)


def curves_of(
    store: RunStore, config: Mapping[str, Any]
) -> dict[tuple[str, int], list[Options]]:
    """Read the metrics of all finished rounds, by strategy and seed.

    The first, shared one comes with each of both.
    """
    strategies, seeds = (
        config["configuration"]["strategies"],
        range(config["configuration"]["n_seeds"]),
    )
    know_metrics(config.get("metrics", []))
    # Read once a seed: all its strategies begin with it.
    first = {seed: store.metrics(FIRST, seed) for seed in seeds}
    return {
        (name, seed): [*first[seed], *store.metrics(name, seed)]
        for name in strategies
        for seed in seeds
    }


def rounds_of(
    store: RunStore, config: Mapping[str, Any]
) -> dict[tuple[str, int], list[Options]]:
    """Read the whole records of all rounds, in the order of :func:`curves_of`."""
    seeds = range(config["configuration"]["n_seeds"])
    first = {seed: store.read(FIRST, seed) for seed in seeds}
    return {
        (name, seed): [
            record.metrics for record in [*first[seed], *store.read(name, seed)]
        ]
        for name in config["configuration"]["strategies"]
        for seed in seeds
    }


def few_seeds(n_seeds: int) -> str:
    """Say why fewer than five seeds are too few."""
    seeds = "1 seed" if n_seeds == 1 else f"{n_seeds} seeds"
    return (
        f"{seeds} cannot tell a strategy from luck: use at least 5, and 10 or more to "
        "tell strategies apart."
    )
