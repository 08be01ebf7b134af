"""Axes of one look."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from al_sklearn._core.optional import require
from al_sklearn._core.types import Array
from al_sklearn.tasks import get_metric

# Inches that the numbers and the name of an axis take, and from which on a title is as
# large as in a picture of its own.
_NUMBERS: Final = 0.8
_WIDE: Final = 3.5


def pyplot() -> Any:
    """Import matplotlib, which is only needed for pictures."""
    return require("matplotlib.pyplot", "A picture", "al-sklearn[plots]")


def one_axes(ax: Any, size: tuple[float, float] = (7.5, 4.6)) -> Any:
    """Return the axes, or a new figure's, with light lines behind the data."""
    if ax is None:
        _, ax = pyplot().subplots(figsize=size, layout="constrained")
    return dress(ax)


def dress(ax: Any) -> Any:
    """Take away what is no data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#e3e5e8", linewidth=0.8)
    # Grid lines through points would look like data.
    ax.set_axisbelow(True)
    return ax


def heading(ax: Any, text: str, **options: Any) -> None:
    """Write what a picture shows over its left edge, in as many lines as it takes.

    So are the names of its axes: a column of a paper is 3.3 inches wide.
    """
    width, height = _room(ax)
    size = 11 if width >= _WIDE else 9
    ax.set_title(broken(text, width, size), loc="left", fontsize=size, **options)
    for name, room in ((ax.xaxis.label, width), (ax.yaxis.label, height)):
        name.set_text(broken(name.get_text(), room, name.get_fontsize()))


def broken(text: str, width: float, size: float) -> str:
    """Break a line between words where it is wider than there is room.

    Parameters
    ----------
    text : str
    width : float
        Inches.
    size : float
        Of the letters, in points.
    """
    from matplotlib.textpath import TextPath

    def fits(line: str) -> bool:
        return float(TextPath((0, 0), line, size=size).get_extents().width) <= room

    room = 72 * width
    # What fits stays as it is, its own breaks too.
    if not text or "\n" in text or fits(text):
        return text
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and not fits(longer):
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def _room(ax: Any) -> tuple[float, float]:
    """Return inches from the axes' left edge to where the next begin, and its height.

    A layout moves axes only when they are drawn: its share of the figure is known
    before, and about what the numbers on the other axis take.
    """
    width, height = ax.get_figure(root=True).get_size_inches()
    place = ax.get_subplotspec()
    rows, columns = (1, 1) if place is None else place.get_gridspec().get_geometry()
    return width / columns - _NUMBERS, height / rows - _NUMBERS


def legend_beside(ax: Any, **options: Any) -> None:
    """Put the legend to the right: inside there is no corner without a line."""
    ax.legend(
        frameon=False,
        fontsize=9,
        loc="upper left",
        bbox_to_anchor=(1, 1),
        **options,
    )


def undress(ax: Any) -> Any:
    """Take away axes, ticks and grid: for images and maps."""
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    return ax


def several_axes(
    ax: Any, n: int, n_columns: int, cell: tuple[float, float], **options: Any
) -> Array:
    """Return ``n`` axes: those given, or a new figure's, ``n_columns`` in a row.

    A new figure gives each axes a size in inches.
    """
    if ax is not None:
        # object: numpy would look into axes for numbers.
        given = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
        if len(given) < n:
            raise ValueError(f"{n} axes are needed, got {len(given)}.")
        return given[:n]
    n_columns = min(n, n_columns)
    n_rows = -(-n // n_columns)
    # Room for the names of the axes once, and not for each cell.
    size = (cell[0] * n_columns + 0.4, cell[1] * n_rows + 0.5)
    _, axes = pyplot().subplots(
        n_rows, n_columns, figsize=size, layout="constrained", squeeze=False, **options
    )
    for unused in axes.ravel()[n:]:
        unused.set_visible(False)
    return axes.ravel()[:n]


def same_axes(axes: Iterable[Any]) -> None:
    """Give axes the same ends, so that what is drawn in them can be compared."""
    shown = [one for one in axes if one.lines or one.collections]
    for get, set_ in (("get_xlim", "set_xlim"), ("get_ylim", "set_ylim")):
        ends = np.array([getattr(one, get)() for one in shown]).reshape(-1, 2)
        if len(ends):
            for one in axes:
                getattr(one, set_)(ends[:, 0].min(), ends[:, 1].max())


def legend_columns(names: Iterable[str], width: float, font_size: float = 8) -> int:
    """Return how many columns of a legend with these names fit a width.

    Parameters
    ----------
    names : iterable of str
        The entries.
    width : float
        Inches.
    font_size : float, default=8
        Points.

    Returns
    -------
    int
        At least 1, at most one for each entry.
    """
    shown = list(names)
    # A letter is about 0.6 of its size wide; the line before it and the gaps are five
    # letters.
    entry = (max(map(len, shown), default=0) + 5) * 0.6 * font_size / 72
    return int(np.clip(width / entry, 1, max(1, len(shown))))


def count_labels(ax: Any) -> None:
    """Have whole numbers on the horizontal axis: there is no half label."""
    from matplotlib.ticker import MaxNLocator

    # Steps that people count in.
    ax.xaxis.set_major_locator(
        MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True)
    )


def keep_to_shares(ax: Any, metric: str) -> None:
    """End the vertical axis at 0 and 1 for a metric that is a share.

    It does so whatever a wide band says.
    """
    if get_metric(metric).is_share:
        # A little beyond both ends, so that lines along them are whole.
        low, high = ax.get_ylim()
        ax.set_ylim(max(low, -0.02), min(high, 1.02))
