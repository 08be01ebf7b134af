"""One HTML file that tells what a comparison found to somebody who did not run it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from al_sklearn._core.home import without_home
from al_sklearn.experiments import statistics
from al_sklearn.experiments.plots import bought_rounds
from al_sklearn.experiments.report._figures import ReportData, figures
from al_sklearn.experiments.report._headline import headline
from al_sklearn.experiments.report._protocol import (
    call_text,
    estimator_name,
    run_ends,
)
from al_sklearn.experiments.report._results import Results
from al_sklearn.experiments.report._tables import last_means
from al_sklearn.experiments.report._templates import template
from al_sklearn.experiments.report._words import ALPHA, verdicts
from al_sklearn.experiments.store import flat
from al_sklearn.tasks import get_metric


def write_report(
    results: Results,
    path: str | os.PathLike[str],
    *,
    metric: str = "accuracy",
    class_names: Iterable[Any] | None = None,
    title: str | None = None,
    data: ReportData | None = None,
    command: str | None = None,
) -> Path:
    """Write the report of a comparison.

    Parameters
    ----------
    results : Results
        What was found.
    path : path
        The file; it needs nothing beside it, and nothing from the network.
    metric : str, default="accuracy"
        What is compared.
    class_names : iterable of str, optional
        Readable names, in the order of the classes.
    title : str, optional
        Heading of the page.
    data : ReportData, optional
        What only the data and the models can give: a map of the pool, probabilities;
        the classes of the pool, where the store does not know them.
    command : str, optional
        What the run was made with, to be shown.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        When there is not one name for each class.
    """
    given = results.classes if class_names is None else class_names
    names = [str(name) for name in given]
    if len(names) != len(results.classes):
        raise ValueError(
            f"class_names must name the {len(results.classes)} classes, got "
            f"{len(names)} names."
        )
    data = data if data is not None else ReportData()
    # Seeds differ where pools were made hard: the mean of what each could buy.
    if data.pool is None and "pool" in results.config:
        counts = results.config["pool"]["class_counts"]
        data = replace(data, pool=np.mean(counts, axis=0))
    # All labels bought nothing: no strategy, and no run that is not finished.
    table = statistics.without_ceiling(results.table)
    summary = results.summary(metric)
    order = list(summary.index)
    known = get_metric(metric)
    savings = statistics.saving_table(results.table, metric)
    others = last_means(table, order)
    rows = summary.assign(verdict=verdicts(summary, metric)).reset_index()
    configuration = without_home(results.config["configuration"])
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    text = template("report.html.j2").render(
        title=without_home(title or "Which query strategy saves labels?"),
        headline=[*unfinished_note(results), *headline(summary, metric)],
        notes=without_home(
            list(dict.fromkeys([*results.notes, *summary.attrs.get("notes", [])]))
        ),
        data=results.config["data"],
        configuration=configuration,
        model=estimator_name(configuration.get("estimator")),
        runs=run_ends(table),
        n_table_seeds=table["seed"].nunique(),
        metric=metric,
        word=known.word,
        order=order,
        names=names,
        alpha=ALPHA,
        nan=math.nan,
        summary=rows.to_dict("records"),
        # One target a level: it depends on random sampling alone.
        levels=savings.drop_duplicates("level").to_dict("records"),
        savings={
            name: part.to_dict("records") for name, part in savings.groupby("strategy")
        },
        pairs=results.pairwise(metric).to_dict("records"),
        spread=_spread(results.retrained, metric),
        others=others,
        words={str(name): get_metric(str(name)).word for name in others},
        figures=figures(
            results.table,
            results.classes,
            names,
            metric,
            known.word,
            summary,
            data,
            results.epochs,
        ),
        thumbnails=results.thumbnails,
        galleries=bought_rounds(results.thumbnails),
        versions=results.config.get("versions", {}),
        settings=flat(configuration),
        call=call_text(configuration),
        command=without_home(command),
        n_seeds=int(summary["n_seeds"].iloc[0]),
        in_points=known.is_share,
    )
    target.write_text(text, encoding="utf-8")
    return target


def _spread(retrained: pd.DataFrame, metric: str) -> list[dict[str, Any]]:
    """Return the rows of what was trained again; none where nothing was."""
    # A metric that was asked for later is not in what was trained before.
    if metric not in retrained.columns:
        return []
    spread = statistics.training_spread(retrained, metric)
    rows = spread.to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


def unfinished_note(results: Results) -> list[str]:
    """Say that rounds are still to come.

    A curve that has just begun looks like one that ended low.
    """
    n_rounds = results.config["configuration"].get("n_rounds")
    ends = (
        statistics.without_ceiling(results.table)
        .sort_values("n_labelled")
        .groupby(["strategy", "seed"], sort=False)
        .last()
    )
    open_ = ends["n_labelled"] < ends["n_labelled"].max()
    if "stopped" in ends:
        open_ &= ~ends["stopped"].fillna("").astype(bool)
    if isinstance(n_rounds, int):
        open_ &= ends["round"] < n_rounds
    # A run that spent its budget ends where the longest does, without a word in
    # stopped.
    n_open = int(open_.sum())
    if not n_open:
        return []
    whose = (
        "1 strategy and seed has"
        if n_open == 1
        else f"{n_open} of {len(ends)} strategies and seeds have"
    )
    return [
        f"This run is not finished: {whose} rounds to come. What follows is of the "
        "rounds that are there."
    ]
