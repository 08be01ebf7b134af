"""Who beats whom: penalty matrix, critical difference, performance profile."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from al_sklearn.experiments import statistics
from al_sklearn.experiments.plots._axes import (
    heading,
    legend_beside,
    one_axes,
    undress,
)
from al_sklearn.experiments.plots._colours import (
    GREY,
    INK,
    strategy_styles,
    text_colour,
)
from al_sklearn.experiments.plots._names import short_names
from al_sklearn.experiments.plots._runs import tables
from al_sklearn.tasks import get_metric

# Strategies whose matrix has numbers in a figure of its own, and inches that a share,
# and a p-value under it, need.
_MOST_NUMBERS: Final = 16
_NUMBER_WIDTH: Final = 0.34
_P_WIDTH: Final = 0.56
# Ranks that are written on the line of a critical difference diagram, at most.
_MOST_RANKS: Final = 15


def pairwise_matrix(
    results: Any,
    metric: str = "accuracy",
    *,
    ax: Any = None,
    baseline: str = "random_sampling",
) -> Any:
    """Draw the pairwise penalty matrix: how often the row beats the column.

    Parameters
    ----------
    results : DataFrame, results of a store, or fitted comparison
        One run.
    metric : str, default="accuracy"
        A column.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.
    baseline : str, default="random_sampling"
        Decides how long the race lasts.

    Returns
    -------
    matplotlib Axes
        Under a share that is not 0 stands the smallest of its p-values after Holm's
        adjustment. Where the cells are too small for numbers, a colour bar stands for
        them.
    """
    (table,) = tables(results).values()
    matrix = statistics.pairwise_penalty(table, metric, baseline=baseline)
    adjusted = _smallest_p(table, metric, baseline)
    values = matrix.to_numpy()
    k = values.shape[1]
    # Inches for two lines of small text, or for a coloured square.
    cell = (0.95, 0.52) if k <= _MOST_NUMBERS else (0.3, 0.26)
    ax = one_axes(ax, (max(7.4, 2.4 + cell[0] * k), 1.4 + cell[1] * (k + 1)))
    image = ax.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    # About what the names leave, in inches.
    figure = ax.get_figure(root=True)
    axes_width = ax.get_window_extent().width / figure.dpi
    width = min(axes_width, figure.get_size_inches()[0] - 2.4) / k
    if width < _NUMBER_WIDTH:
        ax.figure.colorbar(image, ax=ax, label="share of checkpoints", shrink=0.6)
    for i, row in enumerate(values):
        for j, value in enumerate(row if width >= _NUMBER_WIDTH else ()):
            # A strategy against itself, and where no test was possible.
            text = "–" if np.isnan(value) or i == j else f"{value:.2f}"
            p = adjusted.get((matrix.index[i], matrix.columns[j]), np.nan)
            if value > 0 and not np.isnan(p) and width >= _P_WIDTH:
                text += (
                    "\np < .001" if p < 0.001 else f"\np = {p:.3f}".replace("0.", ".")
                )
            ax.text(
                j,
                i,
                text,
                ha="center",
                va="center",
                fontsize=8,
                color="white" if value > 0.55 else INK,
            )
    undress(ax)
    slanted = {"rotation": 30, "ha": "right"} if width >= _P_WIDTH else {"rotation": 90}
    shown = list(short_names(matrix.columns).values())
    ax.set_xticks(range(k), shown, **slanted)
    ax.set_yticks(range(values.shape[0]), [*shown, "penalty"])
    ax.axhline(values.shape[0] - 1.5, color="white", linewidth=3)
    ax.tick_params(length=0)
    heading(ax, "Share of checkpoints at which the row beats the column")
    return ax


def critical_difference(
    scores: pd.DataFrame, *, alpha: float = 0.05, ax: Any = None
) -> Any:
    """Draw mean ranks over data sets.

    A bar joins strategies that Nemenyi's test does not tell apart. Of one data set,
    whose seeds or runs say nothing about the next one, there are mean ranks alone: no
    test, and no critical difference.

    Parameters
    ----------
    scores : DataFrame of shape (n_tasks, n_strategies)
        Higher is better; from :func:`al_sklearn.experiments.statistics.task_scores`.
        Rows of one data set, by the index, count as one: their mean.
    alpha : float, default=0.05
        Level of the critical difference.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib Axes

    References
    ----------
    Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7,
    2006.
    """
    n_datasets = statistics.n_datasets(scores)
    found = None
    if n_datasets > 1:
        if n_datasets < len(scores):
            # A row that is named twice is of one data set as well.
            level = "dataset" if "dataset" in scores.index.names else 0
            # Rounded as the areas are: means of the same numbers must tie.
            scores = scores.groupby(level=level, sort=False).mean().round(12)
        found = statistics.friedman_nemenyi(scores, alpha)
    ranks = statistics.mean_ranks(scores)
    # The colours of all other pictures.
    styles, shown = strategy_styles(scores.columns), short_names(scores.columns)
    k = len(ranks)
    # The better half hangs left, as in Demšar's diagrams.
    n_left = (k + 1) // 2
    bars = found["groups"] if found else []
    # Below the bars, however many there are.
    first_name = 0.55 + 0.32 * len(bars)
    depth = first_name + 0.42 * (n_left - 1)
    ax = undress(one_axes(ax, (7.5, 1.3 + 0.42 * (depth + 0.8))))
    ax.set_xlim(0.55 - 0.32 * k, k + 0.45 + 0.32 * k)
    ax.set_ylim(depth + 0.35, -1.0)
    ax.plot([1, k], [0, 0], color=INK, linewidth=1.1)
    for rank in range(1, k + 1, -(-k // _MOST_RANKS)):
        ax.plot([rank, rank], [-0.1, 0], color=INK, linewidth=1.1)
        ax.text(rank, -0.16, str(rank), ha="center", va="bottom", fontsize=9)
    for i, (key, rank) in enumerate(ranks.items()):
        name = str(key)
        left = i < n_left
        y = first_name + 0.42 * (i if left else k - 1 - i)
        edge = 0.9 if left else k + 0.1
        colour = styles[name]["color"]
        ax.plot([rank, rank, edge], [0, y, y], color=colour, linewidth=1.3)
        ax.text(
            edge + (-0.05 if left else 0.05),
            y,
            f"{shown[name]}  {rank:.2f}" if left else f"{rank:.2f}  {shown[name]}",
            ha="right" if left else "left",
            va="center",
            fontsize=9,
            color=text_colour(colour),
        )
    for i, group in enumerate(bars):
        ends = [ranks[group[0]] - 0.04, ranks[group[-1]] + 0.04]
        ax.plot(
            ends, [0.3 + 0.32 * i] * 2, color=INK, linewidth=3.6, solid_capstyle="round"
        )
    if found is None:
        heading(ax, f"Mean rank over {_tasks_of(scores)}, 1 is best", pad=10)
        return ax
    _draw_ruler(ax, found["critical_difference"])
    p = "p < .001" if found["p_value"] < 0.001 else f"p = {found['p_value']:.3f}"
    heading(
        ax,
        f"Mean rank over {n_datasets} data sets, 1 is best (Friedman {p})",
        pad=10,
    )
    return ax


def performance_profile(
    scores: pd.DataFrame, *, metric: str = "accuracy", ax: Any = None
) -> Any:
    """Draw in which share of the tasks each strategy is within a gap of the best.

    Parameters
    ----------
    scores : DataFrame of shape (n_tasks, n_strategies)
        Higher is better; from :func:`al_sklearn.experiments.statistics.task_scores`.
    metric : str, default="accuracy"
        What the scores are of, for the axis.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib Axes
    """
    profile = statistics.performance_profile(scores)
    ax = one_axes(ax, (8.4, max(4.4, 0.24 * len(scores.columns) + 1.0)))
    shown = short_names(scores.columns, 32)
    gaps = profile.index.to_numpy(dtype=np.float64)
    # Beyond the last step, so that it can be seen; all equal leaves no gap at all.
    end = gaps[-1] * 1.05 if gaps[-1] > 0 else 1.0
    for name, style in strategy_styles(scores.columns).items():
        shares = profile[name].to_numpy()
        ax.step(
            [*gaps, end],
            # Steps are drawn to the edge.
            [*shares, shares[-1]],
            where="post",
            linewidth=1.8,
            label=shown[name],
            **style,
        )
    ax.set(
        xlim=(0, end),
        ylim=(0, 1.03),
        xlabel=f"behind the best of the task (AUBC of {get_metric(metric).word})",
        ylabel="share of tasks",
    )
    legend_beside(ax)
    heading(ax, f"Performance profile over {len(scores)} tasks: higher is better")
    return ax


def _draw_ruler(ax: Any, difference: float) -> None:
    """Draw the critical difference over the axis of ranks."""
    ax.plot(
        [1, 1 + difference],
        [-0.72, -0.72],
        color=GREY,
        linewidth=1.6,
        marker="|",
        markersize=7,
    )
    ax.text(
        1 + difference + 0.08,
        -0.72,
        f"critical difference {difference:.2f}",
        va="center",
        fontsize=9,
        color=GREY,
    )


def _tasks_of(scores: pd.DataFrame) -> str:
    """Say what the rows of one data set are."""
    n = len(scores)
    if n == 1:
        return "1 data set"
    what = "seeds" if "seed" in scores.index.names else "runs"
    return f"{n} {what} of one data set"


def _smallest_p(table: pd.DataFrame, metric: str, baseline: str) -> dict[Any, float]:
    """Smallest adjusted p-value with which the first of a pair beats the second."""
    tests = statistics.penalty_tests(table, metric, baseline=baseline)
    won = get_metric(metric).sign * tests["difference"] > 0
    winner = tests["strategy"].where(won, tests["other"])
    loser = tests["other"].where(won, tests["strategy"])
    # A pair is tested at every checkpoint: the surest of them is shown.
    return tests["p_holm"].groupby([winner, loser]).min().to_dict()
