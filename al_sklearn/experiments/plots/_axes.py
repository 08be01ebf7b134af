"""Axes of one look."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from al_sklearn._core.optional import require
from al_sklearn._core.types import Array
from al_sklearn.tasks import get_metric


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
    """Write what a picture shows over its left edge."""
    ax.set_title(text, loc="left", fontsize=11, **options)


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
