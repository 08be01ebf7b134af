"""How many images of each class were labelled, round after round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from al_sklearn._core.types import Array
from al_sklearn.experiments.plots._axes import (
    count_labels,
    dress,
    legend_columns,
    several_axes,
)
from al_sklearn.experiments.plots._colours import COLOURS, strategy_styles
from al_sklearn.experiments.plots._names import short_names, shorten
from al_sklearn.experiments.plots._runs import tables


def class_counts(
    results: Any,
    classes: Sequence[Any],
    *,
    class_names: Sequence[Any] | None = None,
    ax: Any = None,
    n_columns: int = 3,
) -> Array:
    """Draw how many images of each class are labelled after each round.

    The initial set counts, what is labelled for validation does not. Means over seeds,
    an axes a strategy, a line a class.

    Parameters
    ----------
    results : DataFrame, results of a store, or fitted comparison
        One run, with the columns ``bought_<class>``.
    classes : sequence
        The labels, as in the names of the columns.
    class_names : sequence of str, optional
        Readable names.
    ax : array of matplotlib Axes, optional
        Where to draw, one a strategy; a new figure by default.
    n_columns : int, default=3
        Axes in a row of a new figure.

    Returns
    -------
    array of matplotlib Axes
    """
    (table,) = tables(results).values()
    columns = [f"bought_{label}" for label in classes]
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise ValueError(f"The table lacks {missing[0]!r}.")
    names = [str(name) for name in (classes if class_names is None else class_names)]
    if len(names) != len(columns):
        raise ValueError(
            f"class_names must name the {len(columns)} classes, got {len(names)} names."
        )
    ordered = table.sort_values("round", kind="stable")
    so_far = ordered.assign(
        **ordered.groupby(["strategy", "seed"], sort=False)[columns].cumsum()
    )
    # Runs that were stopped have no later rounds: each mean is of those that are there.
    means = so_far.groupby(["strategy", "round"], sort=False)[
        ["n_labelled", *columns]
    ].mean()
    strategies = list(strategy_styles(table["strategy"]))
    axes = several_axes(ax, len(strategies), n_columns, (3.4, 2.8), sharey=True)
    shown = short_names(strategies, 34)
    colours = _colours(len(columns))
    for one, strategy in zip(axes, strategies, strict=True):
        dress(one)
        own = means.loc[strategy].sort_index()
        for column, name, colour in zip(columns, names, colours, strict=True):
            one.plot(
                own["n_labelled"],
                own[column],
                color=colour,
                linewidth=1.3,
                marker="o",
                markersize=2.4,
                label=shorten(name),
            )
        one.set_title(shown[strategy], loc="left", fontsize=10)
        one.set_xlabel("labels", fontsize=9)
        count_labels(one)
    axes[0].set_ylabel("labels of the class", fontsize=9)
    figure = axes[0].figure
    handles, labels = axes[0].get_legend_handles_labels()
    if ax is not None:
        axes[0].legend(handles, labels, frameon=False, fontsize=7)
        return axes
    width, height = figure.get_size_inches()
    per_row = legend_columns(labels, width, 8)
    figure.set_size_inches(width, height + 0.18 * ((len(labels) - 1) // per_row))
    figure.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=per_row,
        frameon=False,
        fontsize=8,
    )
    return axes


def _colours(n: int) -> list[Any]:
    if n <= len(COLOURS):
        return list(COLOURS[:n])
    # More than anybody can tell apart: neighbours in the order of the classes are
    # alike.
    from matplotlib import colormaps

    return list(colormaps["viridis"](np.linspace(0, 0.95, n)))
