"""What was bought: by class, and the images themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from al_sklearn._core.types import Array, Options
from al_sklearn.experiments.plots._axes import (
    heading,
    legend_columns,
    one_axes,
    several_axes,
    undress,
)
from al_sklearn.experiments.plots._colours import GREY, INK, strategy_styles
from al_sklearn.experiments.plots._names import short_names, shorten
from al_sklearn.experiments.plots._runs import tables

_GAP = 2


def bought_histogram(
    results: Any,
    classes: Sequence[Any],
    *,
    class_names: Sequence[Any] | None = None,
    pool: Sequence[float] | None = None,
    ax: Any = None,
) -> Any:
    """Draw how many images of each class every strategy has bought.

    The mean is over seeds.

    Parameters
    ----------
    results : DataFrame, results of a store, or fitted comparison
        One run, with the columns ``bought_<class>``.
    classes : sequence
        The labels, as in the names of the columns.
    class_names : sequence of str, optional
        Readable names.
    pool : sequence of float, optional
        How many images of each class there are to buy from, or their shares: a black
        line then says what buying blindly would have given.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
    """
    (table,) = tables(results).values()
    columns = [f"bought_{name}" for name in classes]
    # The initial set was drawn, nobody chose it.
    later = table[table["round"] > 0]
    totals = (
        later.groupby(["strategy", "seed"], sort=False)[columns]
        .sum()
        .groupby("strategy", sort=False)
        .mean()
    )
    names = list(dict.fromkeys(table["strategy"]))
    shown = short_names(names, 32)
    entries = [*shown.values(), *(["as in the pool"] if pool is not None else [])]
    # Bars stay wide enough to be seen, and the figure narrow enough for a page.
    inches = float(np.clip(0.05 * len(names) * len(columns), 7.5, 14))
    ax = one_axes(
        ax, (inches, 4.6 + 0.19 * (len(entries) // legend_columns(entries, inches - 1)))
    )
    n_columns = legend_columns(
        entries, ax.get_window_extent().width / ax.get_figure(root=True).dpi
    )
    width = 0.8 / len(names)
    for i, (name, style) in enumerate(strategy_styles(names).items()):
        if name in totals.index:
            # Side by side around the class's tick.
            at = np.arange(len(columns)) + (i - (len(names) - 1) / 2) * width
            ax.bar(
                at,
                totals.loc[name],
                width=width * 0.9,
                color=style["color"],
                label=shown[name],
            )
    if pool is not None:
        shares = np.asarray(pool, dtype=np.float64)
        if len(shares) != len(columns) or shares.min() < 0 or shares.sum() == 0:
            raise ValueError(
                f"pool has a count or share for each of the {len(columns)} classes, "
                f"got {list(pool)}."
            )
        # Strategies that stopped have bought less: the mean of what all have.
        expected = shares / shares.sum() * totals.to_numpy().sum(axis=1).mean()
        middle = np.arange(len(columns))
        ax.hlines(
            expected,
            middle - 0.45,
            middle + 0.45,
            color=INK,
            linewidth=1.6,
            label="as in the pool",
        )
    labels = [
        shorten(str(name))
        for name in (class_names if class_names is not None else classes)
    ]
    # Digits fit side by side, words do not.
    slanted: Options = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(
        range(len(columns)), labels, **(slanted if max(map(len, labels)) > 3 else {})
    )
    ax.set_xlabel("class")
    ax.set_ylabel("images bought")
    # Over the rows of the legend, 14 points each.
    pad = 12 + 14 * -(-len(entries) // n_columns)
    heading(ax, "What was bought, by class (mean over seeds)", pad=pad)
    ax.legend(
        frameon=False,
        fontsize=8,
        ncols=n_columns,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0,
    )
    return ax


def bought_images(
    thumbnails: Mapping[str, Array],
    *,
    class_names: Sequence[Any] | None = None,
    n_images: int = 10,
    ax: Any = None,
) -> Array:
    """Draw the images that were bought, an axes a strategy, a row a round.

    The images chosen first come first.

    Parameters
    ----------
    thumbnails : mapping of str to array
        ``strategy/round/images`` (k, h, w[, 3]) uint8 and ``strategy/round/classes``
        (k,): a comparison's ``thumbnails_``, ``thumbnails`` of a store's results, or
        what :func:`bought_thumbnails` makes.
    class_names : sequence of str, optional
        By position of the class; its number by default.
    n_images : int, default=10
        Images in a row, at most.
    ax : array of matplotlib Axes, optional
        Where to draw, one a strategy; a new figure by default.

    Returns
    -------
    array of matplotlib Axes
    """
    rounds = bought_rounds(thumbnails)
    if not rounds:
        raise ValueError(
            "There are no images: the rows of X were not such, or nothing has been "
            "bought."
        )
    # Random sampling first, as everywhere.
    names = [name for name in strategy_styles(rounds) if name in rounds]
    # One height for all, so that a row is the same size everywhere.
    deepest = max(len(numbers) for numbers in rounds.values())
    axes = several_axes(
        ax, len(names), 1, (0.62 * n_images + 0.6, 0.8 * deepest + 0.35)
    )
    if ax is None:
        # The layout reckons without the images' fixed aspect: room for the names of the
        # rounds.
        axes[0].figure.get_layout_engine().set(w_pad=0.12)
    shown_names = short_names(names, 60)
    for one, name in zip(axes, names, strict=True):
        numbers = rounds[name]
        rows = [thumbnails[f"{name}/{number}/images"][:n_images] for number in numbers]
        height, width = rows[0].shape[1:3]
        # One coloured round makes all coloured: an axes has one canvas.
        colours = any(row.ndim == 4 for row in rows)
        # Room for the class under each image, in the images' own pixels.
        text_rows = max(3, round(0.3 * height))
        step_y, step_x = height + text_rows + _GAP, width + _GAP
        canvas = np.full(
            (step_y * len(rows), step_x * n_images, *((3,) if colours else ())),
            255,
            dtype=np.uint8,
        )
        undress(one)
        for i, (number, row) in enumerate(zip(numbers, rows, strict=True)):
            codes = thumbnails[f"{name}/{number}/classes"]
            for j, image in enumerate(row):
                top, left = i * step_y, j * step_x
                shown = image[..., None] if colours and image.ndim == 2 else image
                canvas[top : top + height, left : left + width] = shown
                label = (
                    str(codes[j]) if class_names is None else str(class_names[codes[j]])
                )
                at = (left + width / 2, top + height + text_rows / 2)
                one.text(
                    *at,
                    shorten(label, 10),
                    ha="center",
                    va="center",
                    fontsize=7,
                    color=GREY,
                )
        one.imshow(
            canvas,
            cmap=None if colours else "gray",
            vmin=0,
            vmax=255,
            interpolation="nearest",
        )
        one.set_yticks(
            [i * step_y + height / 2 for i in range(len(rows))],
            [f"round {n}" for n in numbers],
            fontsize=8,
        )
        one.tick_params(length=0)
        one.set_title(shown_names[name], loc="left", fontsize=10)
    return axes


def bought_rounds(thumbnails: Iterable[str]) -> dict[str, list[int]]:
    """Return the rounds whose images are there, increasing, by strategy."""
    rounds: dict[str, list[int]] = {}
    for key in thumbnails:
        # From the right: a strategy's name may hold a slash.
        name, number, what = key.rsplit("/", 2)
        if what == "images":
            rounds.setdefault(name, []).append(int(number))
    return {name: sorted(numbers) for name, numbers in rounds.items()}
