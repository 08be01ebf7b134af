"""One HTML file that tells what a comparison found to somebody who did not run it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from al_sklearn.experiments.plots import png_data_uri
from al_sklearn.experiments.report._figures import ReportData, figures
from al_sklearn.experiments.report._headline import headline
from al_sklearn.experiments.report._protocol import (
    call_text,
    protocol_lines,
    settings_lines,
)
from al_sklearn.experiments.report._results import Results
from al_sklearn.experiments.report._tables import (
    other_metrics,
    pair_rows,
    saving_rows,
    summary_rows,
)
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
    names = [
        str(name)
        for name in (class_names if class_names is not None else results.classes)
    ]
    if len(names) != len(results.classes):
        raise ValueError(
            f"class_names must name the {len(results.classes)} classes, got "
            f"{len(names)} names."
        )
    data = data if data is not None else ReportData()
    # Seeds differ where pools were made hard: the mean of what each could buy.
    if data.pool is None and "pool" in results.config:
        data = replace(
            data, pool=np.mean(results.config["pool"]["class_counts"], axis=0)
        )
    summary = results.summary(metric)
    n_seeds = int(summary["n_seeds"].iloc[0])
    # Names of classes and strategies are anybody's: escaped, and a missing value is an
    # error, not a gap.
    environment = Environment(
        loader=PackageLoader("al_sklearn.experiments.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    text = environment.get_template("report.html.j2").render(
        title=title or "Which query strategy saves labels?",
        headline=[*unfinished_note(results), *headline(summary, metric)],
        notes=list(dict.fromkeys([*results.notes, *summary.attrs.get("notes", [])])),
        protocol=protocol_lines(results),
        metric=get_metric(metric).word,
        summary=summary_rows(summary, metric),
        savings=saving_rows(results.table, metric, list(summary.index)),
        pairs=pair_rows(results.pairwise(metric), metric),
        others=other_metrics(results.table, list(summary.index)),
        figures=figures(
            results.table,
            results.classes,
            names,
            metric,
            get_metric(metric).word,
            summary,
            data,
        ),
        galleries=galleries_of(results.thumbnails, list(summary.index), names),
        versions=results.config.get("versions", {}),
        settings=settings_lines(results.config["configuration"]),
        call=call_text(results.config["configuration"]),
        command=command,
        n_seeds=n_seeds,
        in_points=get_metric(metric).is_share,
        smallest_p=f"{2.0 ** (1 - n_seeds):.3g}",
        fingerprint=results.config["data"].get("X", {}).get("hash", ""),
    )
    target.write_text(text, encoding="utf-8")
    return target


def unfinished_note(results: Results) -> list[str]:
    """Say that rounds are still to come.

    A curve that has just begun looks like one that ended low.
    """
    n_rounds = results.config["configuration"].get("n_rounds")
    ends = (
        results.table.sort_values("n_labelled")
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


def galleries_of(
    thumbnails: dict[str, np.ndarray], strategies: list[str], names: list[str]
) -> list[dict[str, Any]]:
    galleries = []
    for strategy in strategies:
        rounds = []
        number = 1
        while (key := f"{strategy}/{number}/images") in thumbnails:
            codes = thumbnails[f"{strategy}/{number}/classes"]
            images = [
                {"src": png_data_uri(image), "name": names[code]}
                for image, code in zip(thumbnails[key], codes, strict=True)
            ]
            rounds.append({"number": number, "images": images})
            number += 1
        if rounds:
            galleries.append({"name": strategy, "rounds": rounds})
    return galleries
