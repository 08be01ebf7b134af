"""What a comparison has found, with or without the data it was found on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from al_sklearn.experiments import statistics
from al_sklearn.experiments.report import ReportData, write_report
from al_sklearn.experiments.statistics import BASELINE
from al_sklearn.experiments.store import FIRST, RunStore, tidy_table
from al_sklearn.tasks import know_metrics


@dataclass
class ComparisonResults:
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
    """

    table: pd.DataFrame
    classes: np.ndarray
    thumbnails: dict[str, np.ndarray]
    config: dict[str, Any]

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
        return [few_seeds(n_seeds)] if n_seeds < 5 else []

    def summary(
        self, metric: str = "accuracy", *, level: float = 1.0, confidence: float = 0.95
    ) -> pd.DataFrame:
        """One row a strategy, with the columns of a summary.

        The columns are those of :func:`al_sklearn.experiments.statistics.summarize`.
        """
        table = statistics.summarize(
            self.table, metric, baseline=BASELINE, level=level, confidence=confidence
        )
        table.attrs["notes"] = [*self.notes, *table.attrs["notes"]]
        return table

    def pairwise(
        self, metric: str = "accuracy", *, confidence: float = 0.95
    ) -> pd.DataFrame:
        """One row a pair, with the columns of a comparison of pairs.

        The columns are those of
        :func:`al_sklearn.experiments.statistics.compare_pairs`.
        """
        return statistics.compare_pairs(self.table, metric, confidence=confidence)

    def plot(
        self, metric: str = "accuracy", *, ax: Any = None, confidence: float = 0.95
    ) -> Any:
        """Learning curves; see :func:`al_sklearn.experiments.plots.learning_curves`."""
        from al_sklearn.experiments import plots

        return plots.learning_curves(self.table, metric, ax=ax, confidence=confidence)

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
        """Write one HTML file; see :meth:`StrategyComparison.report`."""
        return write_report(
            self,
            path,
            metric=metric,
            class_names=class_names,
            title=title,
            data=data,
            command=command,
        )


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
    return ComparisonResults(
        tidy_table(curves_of(store, config), classes),
        classes,
        store.thumbnails(),
        config,
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
) -> dict[tuple[str, int], list[dict[str, Any]]]:
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


def few_seeds(n_seeds: int) -> str:
    """Say why fewer than five seeds are too few."""
    seeds = "1 seed" if n_seeds == 1 else f"{n_seeds} seeds"
    return (
        f"{seeds} cannot tell a strategy from luck: use at least 5, and 10 or more to "
        "tell strategies apart."
    )
