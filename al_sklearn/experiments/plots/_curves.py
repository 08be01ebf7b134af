"""Learning curves: means over seeds with bands, over labels or seconds.

They can also be by class.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.isotonic import isotonic_regression

from al_sklearn._core.checks import unknown_name
from al_sklearn._core.types import Array, Options
from al_sklearn.experiments import statistics
from al_sklearn.experiments.plots._axes import (
    count_labels,
    dress,
    heading,
    keep_to_shares,
    legend_columns,
    one_axes,
    same_axes,
    several_axes,
)
from al_sklearn.experiments.plots._colours import (
    COLOURS,
    DASHES,
    GREY,
    INK,
    strategy_styles,
    text_colour,
)
from al_sklearn.experiments.plots._names import (
    baseline_name,
    short_names,
    shorten,
    title,
)
from al_sklearn.experiments.plots._runs import ceilings, tables
from al_sklearn.tasks import get_metric

# Thin and dark: nobody's line, which all may reach.
_CEILING_LOOK: Final = {"color": INK, "linestyle": (0, (1, 2)), "linewidth": 1.2}
_AXES: Final = {
    "n_labelled": "labels",
    "seconds": "seconds of queries and training",
    "cost": "cost of labels and trainings",
}


def learning_curves(
    results: Any,
    metric: str = "accuracy",
    *,
    x: str = "n_labelled",
    by: str = "strategy",
    label_cost: float = 1.0,
    training_cost: float = 0.0,
    ax: Any = None,
    baseline: str = "random_sampling",
    confidence: float = 0.95,
) -> Any:
    """Draw the mean metric over the labels, seconds or costs so far, with a band.

    The band is ``mean ± t · s / √n`` over seeds.

    Parameters
    ----------
    results : DataFrame, results of a store, fitted comparison, or dict of str to these
        One run, or several by name: then each strategy keeps its colour, and each run
        has its dash.
    metric : str, default="accuracy"
        A column.
    x : {"n_labelled", "seconds", "cost"}, default="n_labelled"
        The horizontal axis. Seconds are those of queries and training so far, the mean
        over seeds; a cost is ``label_cost`` for each label and ``training_cost`` for
        each training so far.
    by : {"strategy", "setting"}, default="strategy"
        Whose the colours are. Of several runs, as of a grid over weight decays,
        ``"setting"`` gives each run its own, and its whole name; strategies have dashes
        then.
    label_cost, training_cost : float, default=1.0, 0.0
        Of ``x="cost"``, in any unit of money or time.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.
    baseline : str, default="random_sampling"
        Drawn grey and dashed.
    confidence : float, default=0.95
        Of the bands.

    Returns
    -------
    matplotlib Axes

    Notes
    -----
    A line ends where the first of its seeds ends; a cross marks each seed that a
    criterion stopped. Names stand where the lines end; on axes of a figure without a
    layout (``layout="constrained"``) there would be no room for them, and a legend has
    them.
    """
    if x not in _AXES:
        raise unknown_name("horizontal axis", x, _AXES)
    if by not in ("strategy", "setting"):
        raise ValueError(f"by must be 'strategy' or 'setting', got {by!r}.")
    runs = tables(results)
    lines = {run: list(table["strategy"].unique()) for run, table in runs.items()}
    names = list(dict.fromkeys(chain(*lines.values())))
    # The baseline first, so that the others lie over it.
    names.sort(key=lambda name: name != baseline)
    styles = _styles(list(runs), names, by, baseline)
    n_lines = sum(map(len, lines.values()))
    ax = one_axes(ax, _size(n_lines))
    ends: dict[str, tuple[float, float, str]] = {}
    counts = []

    def called(name: str, run: str) -> str:
        if by == "setting":
            return run if len(names) == 1 else f"{run}: {name}"
        return name if len(runs) == 1 else f"{name} ({run})"

    drawn = [called(name, run) for run in lines for name in lines[run]]
    # A setting is told from the next by any of its letters: it is not cut.
    whole = max(map(len, drawn)) if by == "setting" else 40
    shown = short_names(drawn, whole)
    for run, table in runs.items():
        curves = statistics.read_curves(table, metric)
        # Read as a metric, so that seeds are paired and left out alike.
        spent = None
        if x == "seconds":
            spent = statistics.read_curves(with_seconds(table), x)
        elif x == "cost":
            costs = statistics.with_costs(table, label_cost, training_cost)
            spent = statistics.read_curves(costs, x)
        counts.append(len(curves.seeds))
        for name in names:
            if name not in curves.by_strategy:
                continue
            grid = statistics.shared_budgets(curves.by_strategy[name])
            at = grid if spent is None else spent.at(name, grid).mean(axis=0)
            style = styles[run, name]
            label = shown[called(name, run)]
            band = _band(curves.at(name, grid), confidence, metric)
            _draw(ax, at, band, style, label, n_lines)
            # Over seconds a stop is at each seed's own time, off the mean curve.
            if spent is None:
                _mark_stops(ax, curves.by_strategy[name], style["color"])
            ends[label] = (at[-1], band[0][-1], style["color"])
    _draw_ceilings(ax, ceilings(results, metric), ends)
    # Before the names are placed: they are spaced on the final axis.
    keep_to_shares(ax, metric)
    _label_ends(ax, ends)
    ax.set_xlabel(_AXES[x])
    if x == "n_labelled":
        count_labels(ax)
    ax.set_ylabel(get_metric(metric).label)
    seeds = (min(counts), max(counts))
    heading(ax, title(get_metric(metric).title, seeds, confidence))
    return ax


def _styles(
    runs: list[str], names: list[str], by: str, baseline: str
) -> dict[tuple[str, str], Options]:
    """Return the look of each run's line of each strategy."""
    if by == "setting":
        # In the order given: settings are steps of something.
        return {
            (run, name): {
                "color": COLOURS[i % len(COLOURS)],
                # A second round of the colours, and a second strategy, by dashes.
                "linestyle": DASHES[(i // len(COLOURS) + j) % len(DASHES)],
            }
            for i, run in enumerate(runs)
            for j, name in enumerate(names)
        }
    own = strategy_styles(names, baseline)
    styles = {(run, name): dict(own[name]) for run in runs for name in names}
    for i, run in enumerate(runs if len(runs) > 1 else []):
        # Of several runs the dash says which, the colour which strategy.
        for name in names:
            styles[run, name]["linestyle"] = DASHES[i % len(DASHES)]
    return styles


def gain_over_baseline(
    results: Any,
    metric: str = "accuracy",
    *,
    ax: Any = None,
    baseline: str = "random_sampling",
    confidence: float = 0.95,
) -> Any:
    """Draw each strategy's difference to the baseline, with a band over seeds.

    The differences are taken seed by seed.

    Parameters
    ----------
    results : DataFrame, results of a store, or fitted comparison
        One run.
    metric, ax, baseline, confidence
        As in :func:`learning_curves`.

    Returns
    -------
    matplotlib Axes
    """
    (table,) = tables(results).values()
    curves = statistics.read_curves(table, metric)
    curves.check_baseline(baseline)
    n_lines = len(curves.by_strategy)
    ax = one_axes(ax, _size(n_lines))
    # The baseline itself: a gain of nothing.
    ax.axhline(0, color=GREY, linestyle="--", linewidth=1.2)
    random = curves.by_strategy[baseline]
    end = 0.0
    ends = {}
    shown = short_names(curves.by_strategy, 40)
    for name, style in strategy_styles(curves.by_strategy, baseline).items():
        if name == baseline:
            continue
        grid = statistics.shared_budgets([*curves.by_strategy[name], *random])
        gain = curves.at(name, grid) - curves.at(baseline, grid)
        # A difference of shares lies between -1 and 1.
        band = _band(gain, confidence, metric, least=-1.0)
        _draw(ax, grid, band, style, shown[name], n_lines)
        ends[shown[name]] = (grid[-1], band[0][-1], style["color"])
        end = max(end, grid[-1])
    ends[shown[baseline]] = (end or ax.get_xlim()[1], 0.0, GREY)
    for values in ceilings(results, metric).values():
        # How much there was to gain, at each budget.
        seeds = [seed for seed in curves.seeds if seed in values.index]
        if not seeds:
            continue
        rows = [curves.seeds.index(seed) for seed in seeds]
        grid = statistics.shared_budgets(random)
        room = values[seeds].to_numpy()[:, None] - curves.at(baseline, grid)[rows]
        ax.plot(grid, room.mean(axis=0), label=statistics.CEILING, **_CEILING_LOOK)
        ends[statistics.CEILING] = (grid[-1], room.mean(axis=0)[-1], INK)
    _label_ends(ax, ends)
    ax.set_xlabel("labels")
    count_labels(ax)
    whose = "random" if baseline == "random_sampling" else shorten(baseline)
    ax.set_ylabel(f"{get_metric(metric).title} minus {whose}'s, same seed")
    what = f"Gain over {baseline_name(baseline)}"
    heading(ax, title(what, len(curves.seeds), confidence))
    return ax


def class_curves(
    results: Any,
    classes: Sequence[Any],
    *,
    class_names: Sequence[Any] | None = None,
    ax: Any = None,
    baseline: str = "random_sampling",
    confidence: float = 0.95,
    n_columns: int = 5,
) -> Array:
    """Draw the accuracy of each class over the labels used, an axes a class.

    Parameters
    ----------
    results : DataFrame, results of a store, or fitted comparison
        One run, with the columns ``accuracy_<class>``.
    classes : sequence
        The labels, as in the names of the columns.
    class_names : sequence of str, optional
        Readable names.
    ax : array of matplotlib Axes, optional
        Where to draw, one a class; a new figure by default.
    baseline, confidence
        As in :func:`learning_curves`.
    n_columns : int, default=5
        Axes in a row of a new figure.

    Returns
    -------
    array of matplotlib Axes
        All over the same labels and accuracies.
    """
    (table,) = tables(results).values()
    names = [str(name) for name in (classes if class_names is None else class_names)]
    axes = several_axes(ax, len(names), n_columns, (2.3, 1.9), sharex=True, sharey=True)
    styles = strategy_styles(table["strategy"], baseline)
    shown = short_names(styles, 40)
    for one, label, name in zip(axes, classes, names, strict=True):
        dress(one)
        one.set_title(shorten(name), loc="left", fontsize=9)
        # A rare class may be missing from every test set.
        if table[f"accuracy_{label}"].isna().all():
            one.text(
                0.5,
                0.5,
                "no test images",
                transform=one.transAxes,
                ha="center",
                color=GREY,
                fontsize=9,
            )
            continue
        curves = statistics.read_curves(table, f"accuracy_{label}")
        for strategy, style in styles.items():
            grid = statistics.shared_budgets(curves.by_strategy[strategy])
            band = _band(curves.at(strategy, grid), confidence, "accuracy")
            # Finer lines than in a picture of its own.
            _draw(one, grid, band, style, shown[strategy], len(styles), size=1.2)
        for values in ceilings(results, f"accuracy_{label}").values():
            one.axhline(values.mean(), label=statistics.CEILING, **_CEILING_LOOK)
        count_labels(one)
        one.tick_params(labelsize=8)
    # Once all are drawn. Panels that a caller gave may have axes of their own: side by
    # side they would be compared, and not be comparable.
    same_axes(axes)
    for one in axes:
        keep_to_shares(one, "accuracy")
    figure = axes[0].figure
    handles, labels = next(
        (h, n) for h, n in (one.get_legend_handles_labels() for one in axes) if h
    )
    if ax is None:
        width, height = figure.get_size_inches()
        columns = legend_columns(labels, width, 9)
        # Room for the rows of the legend beyond the first.
        figure.set_size_inches(width, height + 0.2 * ((len(labels) - 1) // columns))
        figure.legend(
            handles,
            labels,
            loc="outside upper left",
            ncols=columns,
            frameon=False,
            fontsize=9,
        )
        figure.supxlabel("labels", fontsize=10)
        figure.supylabel("accuracy of the class", fontsize=10)
    else:
        axes[0].legend(handles, labels, frameon=False, fontsize=8)
    return axes


def _draw_ceilings(
    ax: Any,
    values_of: dict[str, pd.Series],
    ends: dict[str, tuple[float, float, str]],
) -> None:
    """Draw what all labels give as a level line, with its name where lines end."""
    right = max(x for x, _, _ in ends.values())
    for run, values in values_of.items():
        name = statistics.CEILING
        label = name if len(values_of) == 1 else shorten(f"{name} ({run})", 40)
        ax.axhline(values.mean(), label=label, **_CEILING_LOOK)
        ends[label] = (right, float(values.mean()), INK)


def with_seconds(table: pd.DataFrame) -> pd.DataFrame:
    """Add a column ``seconds``: those of queries and training so far.

    Parameters
    ----------
    table : DataFrame
        One row for each strategy, seed and round.

    Raises
    ------
    ValueError
        When it has no seconds.
    """
    missing = {"query_seconds", "training_seconds"} - set(table.columns)
    if missing:
        raise ValueError(
            f"Curves over seconds need {sorted(missing)}; the table has "
            f"{list(table.columns)}."
        )
    # Sums run in the order of the rounds, whatever order the rows have.
    ordered = table.sort_values("n_labelled", kind="stable")
    spent = ordered["query_seconds"] + ordered["training_seconds"]
    return ordered.assign(
        seconds=spent.groupby([ordered["strategy"], ordered["seed"]]).cumsum()
    )


def _band(
    curves: Array, confidence: float, metric: str, least: float = 0.0
) -> tuple[Array, Array | None, Array | None]:
    """Return mean, and the ends of its interval where several seeds have one.

    Of a metric that is a share they end at ``least`` and 1: nothing lies beyond.
    """
    n = len(curves)
    mean = curves.mean(axis=0)
    # One seed has no spread to draw.
    if n < 2:
        return mean, None, None
    t = stats.t.ppf((1 + confidence) / 2, n - 1)
    half = t * curves.std(axis=0, ddof=1) / np.sqrt(n)
    low, high = mean - half, mean + half
    if get_metric(metric).is_share:
        return mean, np.clip(low, least, 1), np.clip(high, least, 1)
    return mean, low, high


def _draw(
    ax: Any,
    x: Array,
    band: tuple[Array, Array | None, Array | None],
    style: Options,
    label: str,
    n_lines: int,
    size: float = 1.8,
) -> None:
    """Draw one of so many lines, and its band where there is one."""
    mean, low, high = band
    if low is not None:
        ax.fill_between(
            x,
            low,
            high,
            color=style["color"],
            # Many that lie over each other must not become a wall.
            alpha=min(0.12, 0.9 / n_lines),
            linewidth=0,
        )
    ax.plot(
        x,
        mean,
        marker="o",
        markersize=1.6 * size,
        linewidth=size,
        label=label,
        **style,
    )


def _size(n_lines: int) -> tuple[float, float]:
    """Return a figure's size in inches, with room for a name for each line."""
    return 7.5, max(4.6, 0.24 * n_lines + 0.8)


def _mark_stops(ax: Any, curves: list[statistics.Curve], colour: str) -> None:
    at = np.array(
        [(curve.n_labelled[-1], curve.values[-1]) for curve in curves if curve.stopped]
    )
    if len(at):
        ax.scatter(
            *at.T, marker="x", s=26, linewidths=1.1, color=colour, alpha=0.8, zorder=3
        )


def _label_ends(ax: Any, ends: dict[str, tuple[float, float, str]]) -> None:
    """Write each name where its line ends, moved apart where they would overlap."""
    figure = ax.get_figure(root=True)
    if figure.get_layout_engine() is None:
        # Nobody makes room beside the axes.
        ax.legend(frameon=False, fontsize=8)
        return
    low, high = ax.get_ylim()
    height = ax.get_window_extent().height / figure.dpi
    # A line of text, in the unit of the axis.
    gap = (high - low) * 0.19 / height
    order = sorted(ends, key=lambda name: ends[name][1])
    steps = gap * np.arange(len(order))
    # Least moved, squared, with a gap between neighbours: an isotonic regression once
    # the gaps are taken out.
    at = (
        isotonic_regression(np.array([ends[name][1] for name in order]) - steps) + steps
    )
    # The topmost name stays inside; the axis makes room below.
    at -= max(0.0, at[-1] - high)
    ax.set_ylim(min(low, at[0]), high)
    for name, y in zip(order, at, strict=True):
        x, value, colour = ends[name]
        ax.annotate(
            name,
            xy=(x, value),
            xytext=(1.035, y),
            textcoords=ax.get_yaxis_transform(),
            color=text_colour(colour),
            fontsize=9,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.6,
                "alpha": 0.6,
                "shrinkA": 2,
                "shrinkB": 3,
                "relpos": (0, 0.5),
            },
        )
