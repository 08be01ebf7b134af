"""The report's pictures: which a run allows, and what each says in words.

Each is also given as text for ``<img src=…>``.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from al_sklearn._core.optional import require
from al_sklearn._core.types import Array
from al_sklearn.experiments import plots, statistics
from al_sklearn.experiments.report._charts import (
    Chart,
    gain_chart,
    learning_chart,
    profile_chart,
)
from al_sklearn.experiments.report._tables import last_rounds

# Beyond these a picture has more in it than anybody reads.
_MOST_CLASSES: Final = 20
_MOST_BARS: Final = 120
_COLUMNS: Final = 5


@dataclass
class ReportData:
    """What only the data and the models can give.

    Every part adds its pictures to the report.

    Parameters
    ----------
    pool : sequence of float, optional
        Images of each class in the pool, or their shares; by default what the store has
        counted, the mean over seeds.
    coordinates : array of shape (n, 2), optional
        From :func:`al_sklearn.experiments.plots.pool_coordinates`: a map of the pool,
        drawn with ``queries``.
    queries : mapping of str to list of int arrays, optional
        For each strategy the initial set and each round's batch, as positions in X.
    positions : int array of shape (n,), optional
        Positions in X of the rows of ``coordinates``; all of X by default.
    y : array of shape (n,), optional
        Classes of the rows of ``coordinates``.
    test_codes : int array of shape (n_test,), optional
        Positions, among the sorted classes, of the test images' labels; with ``proba``.
    proba : mapping of str to array of shape (n_test, C), optional
        Probabilities of the test images by each strategy's last model: calibration and
        PR curves.
    """

    pool: Sequence[float] | None = None
    coordinates: Any = None
    queries: Mapping[str, Sequence[Any]] | None = None
    positions: Any = None
    y: Any = None
    test_codes: Any = None
    proba: Mapping[str, Any] | None = None


@dataclass
class _Picture:
    """One picture: what stands over and under it, and how it is drawn."""

    title: str
    caption: str
    alt: str
    size: tuple[float, float]
    draw: Callable[[Any], Any]
    # Rows and columns of axes.
    grid: tuple[int, int] = (1, 1)
    n_axes: int = 1
    # Thousands of dots are smaller as pixels.
    pixels: bool = False


@dataclass
class _Curves:
    """A picture that answers: what stands over and under it, and its curves."""

    title: str
    caption: str
    alt: str
    chart: Chart


def figures(
    table: pd.DataFrame,
    classes: Array,
    names: Sequence[str],
    metric: str,
    word: str,
    summary: pd.DataFrame,
    data: ReportData,
    epochs: pd.DataFrame | None = None,
) -> list[dict[str, Any]]:
    """Draw what the run allows.

    Parameters
    ----------
    table : DataFrame
        One row for each strategy, seed and round.
    classes : array of shape (C,)
        The labels.
    names : sequence of str
        Their readable names.
    metric, word : str
        The column that is compared, and what people call it.
    summary : DataFrame
        One row a strategy.
    data : ReportData
        What else is known.
    epochs : DataFrame, optional
        One row an epoch.

    Returns
    -------
    list of dict
        ``title``, ``caption`` and ``alt`` of each picture, and its ``chart``, or the
        ``src`` of an image and whether that is ``pixels``.
    """
    shown = [str(name) for name in names]
    # What is counted is strategies; the pictures know what to make of the ceiling.
    strategies = statistics.without_ceiling(table)
    drawn = [
        *_curves(table, strategies, metric, word, summary),
        *_pairs(strategies, metric, word, summary),
        *_classes(table, strategies, classes, shown, data),
        *_epochs(epochs),
        *_from_data(shown, data),
    ]
    return [_shown(one) for one in drawn]


def _shown(one: _Picture | _Curves) -> dict[str, Any]:
    said = {"title": one.title, "caption": one.caption, "alt": one.alt}
    if isinstance(one, _Curves):
        return {**said, "chart": one.chart}
    return {**said, "chart": None, "src": _source(one), "pixels": one.pixels}


def _curves(
    whole: pd.DataFrame,
    table: pd.DataFrame,
    metric: str,
    word: str,
    summary: pd.DataFrame,
) -> list[_Curves]:
    # The caption must not speak of bands that are not there.
    several = table["seed"].nunique() > 1
    band = (
        "Each line is a mean over seeds; the band is its 95 % interval."
        if several
        else "One seed: no interval."
    )
    ends = ", ".join(f"{name} {value:.3f}" for name, value in summary["final"].items())
    found = [
        _Curves(
            "Learning curves",
            f"{band} Random sampling is grey and dashed; a cross is a seed that a "
            "stopping criterion ended.",
            f"Line chart of {word} over the number of labels. In the end: {ends}.",
            learning_chart(whole, metric),
        )
    ]
    if {"query_seconds", "training_seconds"} <= set(table.columns):
        found.append(
            _Curves(
                "Learning curves over computing time",
                "The same over the seconds of queries and training, on the machine "
                "that ran it. Labels usually cost "
                "more than seconds.",
                f"Line chart of {word} over the seconds used, a line for each "
                "strategy.",
                learning_chart(whole, metric, "seconds"),
            )
        )
    if table["strategy"].nunique() > 1:
        gains = ", ".join(
            f"{name} {value:+.3f}"
            for name, value in summary["difference"].items()
            if name != "random_sampling"
        )
        found.append(
            _Curves(
                "Gain over random sampling",
                "Differences within each seed. Where a band is clear of zero, luck "
                "hardly explains it.",
                f"Line chart of the difference in {word} to random sampling over the "
                "number of labels. "
                f"On average over the budget: {gains}.",
                gain_chart(whole, metric),
            )
        )
    return found


def _pairs(
    table: pd.DataFrame, metric: str, word: str, summary: pd.DataFrame
) -> list[_Picture | _Curves]:
    n_strategies = table["strategy"].nunique()
    # Nothing to test with one seed, nobody to beat alone.
    if table["seed"].nunique() < 2 or n_strategies < 2:
        return []
    order = ", ".join(str(name) for name in summary.index)
    found: list[_Picture | _Curves] = [
        _Picture(
            "Who beats whom",
            "Share of checkpoints at which the row is significantly better than the "
            "column (paired t-test at 5 %). "
            "Under it, where there is room, stands the smallest of its p-values after "
            "Holm's adjustment. The last row "
            "is each column's mean: its penalty, lower is better.",
            f"Matrix of {n_strategies} by {n_strategies} strategies; the table of "
            "every pair has the numbers.",
            (
                max(7.6, 2.6 + 0.2 * n_strategies),
                1.9 + (0.5 if n_strategies <= 10 else 0.26) * n_strategies,
            ),
            lambda ax: plots.pairwise_matrix(table, metric, ax=ax),
        ),
        _Curves(
            "How often near the best",
            "In which share of the seeds a strategy's area under the curve is within "
            "a gap of that seed's best. A line "
            "further up and to the left is better.",
            f"Step chart, a line for each strategy. By mean area, best first: {order}.",
            profile_chart(table, metric),
        ),
    ]
    if (
        "dataset" in table.columns
        and table["dataset"].nunique() > 1
        and n_strategies > 2
    ):
        scores = statistics.task_scores(table, metric)
        found.append(
            _Picture(
                "Mean ranks over data sets",
                "A bar joins strategies that cannot be told apart (Nemenyi's test at "
                "5 %).",
                f"Critical difference diagram of {word} over {len(scores)} data sets.",
                (7.6, 2.0 + 0.3 * n_strategies),
                lambda ax: plots.critical_difference(scores, ax=ax),
            )
        )
    return found


def _classes(
    whole: pd.DataFrame,
    table: pd.DataFrame,
    classes: Array,
    names: list[str],
    data: ReportData,
) -> list[_Picture]:
    found = []
    n = len(classes)
    if n <= _MOST_CLASSES and all(
        f"accuracy_{label}" in table.columns for label in classes
    ):
        # Five small charts across are as wide as a page.
        columns = min(_COLUMNS, n)
        rows = math.ceil(n / columns)
        ends = last_rounds(table)[[f"accuracy_{label}" for label in classes]].mean()
        found.append(
            _Picture(
                "Accuracy of each class",
                "Means over seeds. A strategy can gain on the whole and lose a class.",
                "A small line chart for each class, accuracy over labels. Mean of all "
                "strategies in the end: "
                + ", ".join(
                    f"{name} {value:.2f}"
                    for name, value in zip(names, ends, strict=True)
                )
                + ".",
                (
                    max(7.6, 2.0 * columns),
                    2.1 * rows + 0.5 + 0.2 * (table["strategy"].nunique() // 3),
                ),
                lambda ax: _class_curves(whole, classes, names, ax),
                (rows, columns),
                n,
            )
        )
    shown = list(table["strategy"].unique())
    # Every strategy has a bar in every class.
    bars = n * len(shown)
    known = all(f"bought_{label}" in table.columns for label in classes)
    if known and (table["round"] > 0).any() and bars <= _MOST_BARS:
        against = (
            "The black line is what buying blindly would give."
            if data.pool is not None
            else "What a strategy buys more often than random sampling does, it finds "
            "harder."
        )
        found.append(
            _Picture(
                "What was bought",
                against,
                "Bar chart of the images bought of each class, a bar for each "
                "strategy.",
                (max(7.6, 0.08 * bars + 1), 3.8 + 0.19 * (len(shown) // 3)),
                lambda ax: plots.bought_histogram(
                    table, list(classes), class_names=names, pool=data.pool, ax=ax
                ),
            )
        )
    return found


def _epochs(epochs: pd.DataFrame | None) -> list[_Picture]:
    if epochs is None or epochs.empty:
        return []
    groups = plots.epoch_groups(epochs)
    columns = min(2, len(groups))
    rows = math.ceil(len(groups) / columns)
    seed = epochs["seed"].iloc[0]
    return [
        _Picture(
            "Every epoch",
            "How each round was learnt: full lines are of the labels trained on, "
            "dashed ones of those for validation, dotted ones of the test set. Seed "
            f"{seed}; a light line stands where a round begins.",
            f"Line charts over the epochs of all rounds: {', '.join(groups)}.",
            (max(7.6, 4.4 * columns), 3.2 * rows + 0.6),
            lambda ax: plots.epoch_curves(epochs, seed=seed, ax=ax),
            (rows, columns),
            len(groups),
        )
    ]


def _class_curves(
    table: pd.DataFrame, classes: Array, names: list[str], ax: Any
) -> None:
    axes = np.atleast_1d(
        plots.class_curves(table, list(classes), class_names=names, ax=ax)
    )
    axes[0].figure.supxlabel("labels", fontsize=10)
    axes[0].figure.supylabel("accuracy of the class", fontsize=10)
    for one in axes:
        legend = one.get_legend()
        if legend is not None:
            # Over the pictures, where it covers no curve.
            legend.remove()
            one.figure.legend(
                *one.get_legend_handles_labels(),
                loc="outside upper left",
                ncols=plots.legend_columns(
                    one.get_legend_handles_labels()[1], one.figure.get_size_inches()[0]
                ),
                frameon=False,
                fontsize=8,
            )


def _from_data(names: list[str], data: ReportData) -> list[_Picture]:
    found = []
    if data.coordinates is not None and data.queries:
        # Names may be anything hashable; captions are text.
        queries = {str(name): batches for name, batches in data.queries.items()}
        columns = min(3, len(queries))
        rows = math.ceil(len(queries) / columns)
        coloured = (
            "coloured by class"
            if data.y is not None
            else "in the colours of what is known"
        )
        found.append(
            _Picture(
                "Map of the pool",
                "Images that look alike lie together. Small: never labelled. "
                "Outlined: labelled "
                "before the last round. Stars: bought in the last round. One seed, "
                f"{coloured}. Distances between far "
                "groups mean little.",
                "Scatter plots of the pool in two dimensions, one for each of "
                f"{', '.join(queries)}.",
                (3.5 * columns, 3.4 * rows),
                lambda ax: plots.pool_map(
                    data.coordinates,
                    queries,
                    positions=data.positions,
                    y=data.y,
                    class_names=names,
                    ax=ax,
                ),
                (rows, columns),
                len(queries),
                pixels=True,
            )
        )
    if data.proba and data.test_codes is not None:
        models = {str(name): proba for name, proba in data.proba.items()}
        found.append(
            _Picture(
                "Calibration",
                "Accuracy against confidence: on the dashed line a model is as sure "
                "as it is right. The area of a dot "
                "is the share of the images in its bin.",
                f"Reliability diagram of the last models of {', '.join(models)}.",
                (8.4, 4.6),
                lambda ax: plots.calibration(data.test_codes, models, ax=ax),
            )
        )
        if len(names) <= _MOST_CLASSES:
            found += [
                _pr_picture(name, data.test_codes, proba, names)
                for name, proba in models.items()
            ]
    return found


def _pr_picture(name: str, codes: Any, proba: Any, names: list[str]) -> _Picture:
    return _Picture(
        f"Precision and recall: {name}",
        "Each class against the rest, by the last model of one seed.",
        f"Precision over recall for {len(names)} classes and all together.",
        (7.6, 4.2),
        lambda ax: plots.pr_curves(codes, proba, class_names=names, ax=ax),
    )


def _source(picture: _Picture) -> str:
    matplotlib = require("matplotlib", "A report's picture", "al-sklearn[plots]")
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    # Vectors stay sharp; thousands of dots would be megabytes of them.
    kind = "png" if picture.pixels else "svg"
    # With a salt of its own, the same run gives the same file.
    with matplotlib.rc_context({"svg.hashsalt": "al_sklearn"}):
        figure = Figure(figsize=picture.size, layout="constrained")
        axes = figure.subplots(*picture.grid, squeeze=False).ravel()
        for unused in axes[picture.n_axes :]:
            unused.set_visible(False)
        picture.draw(axes[0] if picture.grid == (1, 1) else axes[: picture.n_axes])
        if picture.grid == (1, 1):
            # The HTML around it has the heading.
            axes[0].set_title("", loc="left")
        figure.savefig(
            buffer,
            format=kind,
            dpi=110,
            metadata={"Date": None} if kind == "svg" else None,
        )
    text = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/{'png' if picture.pixels else 'svg+xml'};base64,{text}"
