"""Curves that answer to a pointer and to the keyboard, with their numbers as a table.

A chart is drawn into a square that the page stretches to whatever room there is; names
and numbers stand beside it as text, so that they stay readable on a telephone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd

from al_sklearn._core.optional import require
from al_sklearn._core.types import Array
from al_sklearn.experiments import plots, statistics
from al_sklearn.experiments.report._words import (
    interval_text,
    seconds_text,
    signed_text,
    value_text,
)
from al_sklearn.experiments.statistics import BASELINE
from al_sklearn.tasks import get_metric

# Sides of the square.
_SIDE: Final = 1000
# Room above the highest and below the lowest curve, as a share of what lies between.
_ROOM: Final = 0.04
# The paper of the page's dark colours; templates/report.css has the same.
_DARK_PAPER: Final = "#17191c"
# How dashes of strategy_styles are written for SVG, in pixels.
_DASHES: Final[Mapping[Any, str]] = {
    "-": "",
    "--": "6 4",
    "-.": "8 3 2 3",
    ":": "2 4",
}


@dataclass
class Line:
    """One strategy of a chart.

    Attributes
    ----------
    name : str
    light, dark, dash : str
        Its colour on light and on dark paper, and its dashes.
    curve, band, dots : str
        Paths of SVG; the band is empty where there is none.
    crosses : list of (left, top)
        Where a criterion stopped a seed, in percent.
    cells : list of Cell or None
        One for each column of the table; None where the curve is not there.
    last : str
        Its last value.
    """

    name: str
    light: str
    dark: str
    dash: str
    curve: str
    band: str
    dots: str
    crosses: list[tuple[str, str]]
    cells: list[Cell | None]
    last: str


@dataclass
class Cell:
    """One number of the table, and where it is drawn, in percent."""

    left: str
    top: str
    text: str


@dataclass
class Tick:
    """A number on an axis, in percent from the left or from the top."""

    at: str
    text: str


@dataclass
class Chart:
    """Curves of strategies over one axis."""

    x_label: str
    y_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    columns: list[str]
    column_word: str
    """What the columns count."""
    lines: list[Line]
    zero: str = ""
    """Where nothing is gained, in the square; empty where there is no such line."""


@dataclass
class _Series:
    """A strategy's numbers before they have places."""

    name: str
    x: Array
    mean: Array
    low: Array
    high: Array
    texts: list[str]
    # Which columns of the table they belong to.
    at: list[float]
    stops: list[tuple[float, float]] = field(default_factory=list)
    steps: bool = False


def learning_chart(table: pd.DataFrame, metric: str, x: str = "n_labelled") -> Chart:
    """Draw the mean metric over labels or seconds, with 95 % intervals.

    Parameters
    ----------
    table : DataFrame
        One row for each strategy, seed and round.
    metric : str
        A column.
    x : {"n_labelled", "seconds"}
    """
    curves = statistics.read_curves(table, metric)
    seconds = None
    if x == "seconds":
        # Read as a metric, so that seeds are paired and left out alike.
        in_seconds = plots.with_seconds(table)
        seconds = statistics.read_curves(in_seconds, "seconds")
    found = []
    for name, own in curves.by_strategy.items():
        grid = statistics.shared_budgets(own)
        values = curves.at(name, grid)
        mean, low, high = _intervals(values, metric)
        at = grid if seconds is None else seconds.at(name, grid).mean(axis=0)
        texts = [
            interval_text(*numbers, metric)
            for numbers in zip(mean, low, high, strict=True)
        ]
        stops = []
        if seconds is None:
            stops = [(c.n_labelled[-1], c.values[-1]) for c in own if c.stopped]
        else:
            texts = [
                f"{text} after {seconds_text(spent)}"
                for text, spent in zip(texts, at.tolist(), strict=True)
            ]
        found.append(_Series(name, at, mean, low, high, texts, grid.tolist(), stops))
    ceiling = statistics.ceiling_values(table, metric)
    if len(ceiling):
        # A level line, as far as the longest curve goes.
        longest = max(found, key=lambda one: one.x[-1])
        level = np.full(len(longest.x), ceiling.mean())
        found.append(_without_band(longest, level, metric))
    return _chart(
        found,
        "labels" if seconds is None else "seconds of queries and training",
        get_metric(metric).label,
        metric,
        whole=seconds is None,
    )


def gain_chart(table: pd.DataFrame, metric: str) -> Chart:
    """Draw each strategy's difference to random sampling, seed by seed."""
    curves = statistics.read_curves(table, metric)
    curves.check_baseline(BASELINE)
    random = curves.by_strategy[BASELINE]
    found = []
    for name, own in curves.by_strategy.items():
        if name == BASELINE:
            continue
        grid = statistics.shared_budgets([*own, *random])
        gain = curves.at(name, grid) - curves.at(BASELINE, grid)
        mean, low, high = _intervals(gain)
        texts = [
            signed_text(*numbers, metric)
            for numbers in zip(mean, low, high, strict=True)
        ]
        found.append(_Series(name, grid, mean, low, high, texts, grid.tolist()))
    values = statistics.ceiling_values(table, metric)
    rows = [i for i, seed in enumerate(curves.seeds) if seed in values.index]
    if rows and found:
        # How much there was to gain, at each budget.
        longest = max(found, key=lambda one: one.x[-1])
        most = values[[curves.seeds[i] for i in rows]].to_numpy()[:, None]
        room = (most - curves.at(BASELINE, longest.x)[rows]).mean(axis=0)
        found.append(_without_band(longest, room, metric, signed=True))
    known = get_metric(metric)
    label = f"{known.title} minus random’s, same seed"
    return _chart(found, "labels", label, metric, zero=True, signed=True)


def _without_band(
    along: _Series, values: Array, metric: str, signed: bool = False
) -> _Series:
    """Return what all labels give, at the places of another line."""
    nothing = np.full(len(values), math.nan)
    texts = [
        signed_text(value, math.nan, math.nan, metric)
        if signed
        else value_text(value, metric)
        for value in values.tolist()
    ]
    return _Series(
        statistics.CEILING, along.x, values, nothing, nothing, texts, along.at
    )


def profile_chart(table: pd.DataFrame, metric: str) -> Chart:
    """Draw in which share of the seeds a strategy is within a gap of the best."""
    scores = statistics.task_scores(table, metric, by="seed")
    profile = statistics.performance_profile(scores)
    gaps = profile.index.to_numpy(dtype=np.float64)
    # Beyond the last step, so that it can be seen; all equal leaves no gap at all.
    end = gaps[-1] * 1.05 if gaps[-1] > 0 else 1.0
    found = []
    for name in profile.columns:
        shares = profile[name].to_numpy(dtype=np.float64)
        x, y = np.append(gaps, end), np.append(shares, shares[-1])
        texts = [f"{share * 100:.0f} %" for share in y]
        found.append(_Series(str(name), x, y, y, y, texts, x.tolist(), steps=True))
    word = get_metric(metric).word
    label = f"behind the best of the seed (AUBC of {word})"
    return _chart(found, label, "Share of seeds", "accuracy", whole=False, x_as=metric)


def _intervals(values: Array, metric: str | None = None) -> tuple[Array, Array, Array]:
    """Return mean and 95 % interval of each column; a share ends at 0 and 1."""
    found = [statistics.mean_interval(column) for column in values.T]
    mean, low, high = np.array(found, dtype=np.float64).reshape(-1, 3).T
    if metric is not None and get_metric(metric).is_share:
        low, high = np.clip(low, 0, 1), np.clip(high, 0, 1)
    return mean, low, high


def _chart(
    series: Sequence[_Series],
    x_label: str,
    y_label: str,
    metric: str,
    *,
    whole: bool = True,
    zero: bool = False,
    signed: bool = False,
    x_as: str | None = None,
) -> Chart:
    left, right = _span(np.concatenate([one.x for one in series]))
    heights = [part for one in series for part in (one.mean, one.low, one.high)]
    stops = [y for one in series for _, y in one.stops]
    low, high = _span(np.concatenate([*heights, stops, [0.0] if zero else []]))
    room = (high - low) * _ROOM
    low, high = low - room, high + room

    def across(x: float) -> float:
        return (x - left) / (right - left)

    def down(y: float) -> float:
        return (high - y) / (high - low)

    columns = sorted({at for one in series for at in one.at})
    styles = plots.strategy_styles([BASELINE, *(one.name for one in series)])
    # As they end, best first: the order in which a reader looks for a name.
    ends = sorted(series, key=lambda one: (-_number(one.mean[-1]), one.name))
    sign = get_metric(metric).sign
    lines = [
        _line(one, styles[one.name], columns, across, down)
        for one in (ends if sign > 0 else reversed(ends))
    ]
    scale, unit = (100, " %") if get_metric(metric).is_share else (1, "")
    unit = "" if signed else unit
    x_scale, x_unit = 1, ""
    if x_as is not None and get_metric(x_as).is_share:
        x_scale, x_unit = 100, " points"
    return Chart(
        x_label,
        f"{y_label}, in points" if signed and scale == 100 else y_label,
        [
            Tick(_percent(across(x / x_scale)), f"{_short(x)}{x_unit}")
            for x in _ticks(left * x_scale, right * x_scale, 6, whole)
        ],
        [
            Tick(_percent(down(y / scale)), f"{_short(y)}{unit}")
            for y in _ticks(low * scale, high * scale, 5)
        ],
        # Gaps have as many digits as sums of seeds; two of a point tell them apart.
        [
            f"{_short(round(at * x_scale, 2 if x_unit else 6))}{x_unit}"
            for at in columns
        ],
        x_label if x_as is not None else "labels",
        lines,
        f"{down(0.0) * _SIDE:.1f}" if zero else "",
    )


def _line(
    one: _Series,
    style: Mapping[str, Any],
    columns: Sequence[float],
    across: Callable[[float], float],
    down: Callable[[float], float],
) -> Line:
    places = [
        (across(x), down(y))
        for x, y in zip(one.x, one.mean, strict=True)
        if math.isfinite(y)
    ]
    texts = dict(zip(one.at, zip(one.x, one.mean, one.texts, strict=True), strict=True))
    cells: list[Cell | None] = []
    for at in columns:
        x, y, text = texts.get(at, (math.nan, math.nan, ""))
        there = math.isfinite(y)
        cells.append(
            Cell(_percent(across(x)), _percent(down(y)), text) if there else None
        )
    band = ""
    sure = np.isfinite(one.low) & np.isfinite(one.high) & (one.low < one.high)
    if sure.any():
        known = np.isfinite(one.low)
        upper = [
            (across(x), down(y))
            for x, y in zip(one.x[known], one.high[known], strict=True)
        ]
        lower = [
            (across(x), down(y))
            for x, y in zip(one.x[known], one.low[known], strict=True)
        ]
        band = f"{_path([*upper, *reversed(lower)])}Z"
    dash = style["linestyle"]
    pattern = _DASHES.get(dash) if isinstance(dash, str) else None
    if pattern is None:
        pattern = " ".join(f"{2 * length:g}" for length in dash[1])
    colour = style["color"]
    curve = _stairs(places) if one.steps else _path(places)
    last = [text for text, y in zip(one.texts, one.mean, strict=True) if y == y]
    return Line(
        one.name,
        colour,
        plots.readable_colour(colour, _DARK_PAPER),
        pattern,
        curve,
        band,
        # A line of no length with round ends is a dot, however the square is stretched.
        "" if one.steps else "".join(f"M{_at(*place)}h0" for place in places),
        [(_percent(across(x)), _percent(down(y))) for x, y in one.stops],
        cells,
        last[-1] if last else value_text(math.nan, "accuracy"),
    )


def _span(values: Array) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    # One value alone has room on both sides.
    if low == high:
        half = abs(low) / 2 or 0.5
        return low - half, high + half
    return low, high


def _ticks(low: float, high: float, n: int, whole: bool = False) -> list[float]:
    ticker = require("matplotlib.ticker", "A report's picture", "al-sklearn[plots]")
    # Steps that people count in; there is no half label.
    locator = ticker.MaxNLocator(nbins=n, steps=[1, 2, 5, 10], integer=whole)
    return [float(x) for x in locator.tick_values(low, high) if low <= x <= high]


def _short(value: float) -> str:
    # Twelve digits: sums of tenths are no tenths. A hyphen is shorter than a minus.
    return f"{round(value, 10):,.6g}".replace("-", "−")


def _number(value: float) -> float:
    return value if math.isfinite(value) else -math.inf


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def _at(across: float, down: float) -> str:
    return f"{across * _SIDE:.1f} {down * _SIDE:.1f}"


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(_at(*place) for place in places) if places else ""


def _stairs(places: Sequence[tuple[float, float]]) -> str:
    if not places:
        return ""
    path = f"M{_at(*places[0])}"
    for across, down in places[1:]:
        path += f"H{across * _SIDE:.1f}V{down * _SIDE:.1f}"
    return path
