"""How everything looks: colours that stay with their strategy, axes, titles."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

# Okabe and Ito's colours and two dark ones, which people with any colour vision can
# tell apart.
COLOURS: Final = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#602000",
    "#200060",
)
GREY: Final = "#5f6368"
INK: Final = "#202124"
DASHES: Final = ("-", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)))
METRIC_NAMES: Final = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "Macro F1",
    "nll": "Negative log-likelihood",
    "ece": "Expected calibration error",
    "batch_accuracy": "Accuracy on the batch just bought",
    "validation_accuracy": "Validation accuracy",
    "query_seconds": "Seconds of the query",
    "training_seconds": "Seconds of the training",
    "peak_memory_mb": "Peak memory (MB)",
    "score": "Score",
}
_UNITS: Final = {"nll": " (nats)"}
_SHARES: Final = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "batch_accuracy",
    "validation_accuracy",
)
# Strategies that are often compared do not share a colour.
_OWN: Final = {
    "margin": 0,
    "entropy": 1,
    "badge": 2,
    "coreset": 3,
    "bald": 4,
    "least_confidence": 5,
    "typiclust": 6,
    "batch_bald": 7,
}


def strategy_styles(
    names: Iterable[str], baseline: str = "random_sampling"
) -> dict[str, dict[str, Any]]:
    """Return a colour and a dash for each strategy, the same in every picture.

    Parameters
    ----------
    names : iterable of str
        The strategies.
    baseline : str, default="random_sampling"
        Grey and dashed, and first, so that the others lie over it.

    Returns
    -------
    dict of str to dict
        ``color`` and ``linestyle``, as matplotlib takes them. The colour comes from the
        name; only where two names of one picture would share it, the later in the
        alphabet takes the next.
    """
    given = list(dict.fromkeys(names))
    taken: dict[int, str] = {}
    for name in sorted(given, key=lambda name: (name not in _OWN, name)):
        if name == baseline:
            continue
        wanted = _OWN.get(name)
        if wanted is None:
            wanted = hashlib.blake2b(name.encode(), digest_size=4).digest()[0] % len(
                COLOURS
            )
        around = range(wanted, wanted + len(COLOURS))
        rows = range(len(taken) // len(COLOURS), len(taken) + 1)
        slots = (
            row * len(COLOURS) + slot % len(COLOURS) for row in rows for slot in around
        )
        taken[next(slot for slot in slots if slot not in taken)] = name
    styles: dict[str, dict[str, Any]] = {}
    if baseline in given:
        styles[baseline] = {"color": GREY, "linestyle": "--"}
    slots_of = {name: slot for slot, name in taken.items()}
    for name in given:
        if name != baseline:
            row, column = divmod(slots_of[name], len(COLOURS))
            styles[name] = {
                "color": COLOURS[column],
                "linestyle": DASHES[row % len(DASHES)],
            }
    return styles


def metric_name(metric: str) -> str:
    """Return a metric's name for people."""
    return METRIC_NAMES.get(metric, metric)


def metric_label(metric: str) -> str:
    """Return a metric's name with its unit, for an axis."""
    return metric_name(metric) + _UNITS.get(metric, "")


def baseline_name(baseline: str) -> str:
    """Return what a title calls the baseline."""
    return "random sampling" if baseline == "random_sampling" else shorten(baseline)


def tables(results: Any) -> dict[str, pd.DataFrame]:
    """Return the tidy tables of one run, named "", or of several by their names.

    A run is a table, or what holds one: the results of a store, a fitted comparison.
    """
    runs = results if isinstance(results, Mapping) else {"": results}
    if not runs:
        raise ValueError("There are no runs to draw.")
    found = {}
    for name, run in runs.items():
        table = getattr(run, "table", getattr(run, "results_", run))
        if not isinstance(table, pd.DataFrame):
            raise TypeError(
                "A run is a tidy table, what load_results gives, or a fitted "
                f"comparison; got {type(run).__name__}."
            )
        found[str(name)] = table
    return found


def pyplot() -> Any:
    """Import matplotlib, which is only needed for pictures."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Pictures need matplotlib: pip install al-sklearn[plots]."
        ) from error
    return plt


def one_axes(ax: Any, size: tuple[float, float] = (7.5, 4.6)) -> Any:
    """Return the axes, or a new figure's, with light lines behind the data."""
    if ax is None:
        _, ax = pyplot().subplots(figsize=size, layout="constrained")
    return dress(ax)


def dress(ax: Any) -> Any:
    """Take away what is no data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#e3e5e8", linewidth=0.8)
    ax.set_axisbelow(True)
    return ax


def undress(ax: Any) -> Any:
    """Take away axes, ticks and grid: for images and maps."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    return ax


def several_axes(
    ax: Any, n: int, n_columns: int, cell: tuple[float, float], **options: Any
) -> np.ndarray:
    """Return ``n`` axes: those given, or a new figure's, ``n_columns`` in a row.

    A new figure gives each axes a size in inches.
    """
    if ax is not None:
        given = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
        if len(given) < n:
            raise ValueError(f"{n} axes are needed, got {len(given)}.")
        return given[:n]
    n_columns = min(n, n_columns)
    n_rows = -(-n // n_columns)
    size = (cell[0] * n_columns + 0.4, cell[1] * n_rows + 0.5)
    _, axes = pyplot().subplots(
        n_rows, n_columns, figsize=size, layout="constrained", squeeze=False, **options
    )
    for unused in axes.ravel()[n:]:
        unused.set_visible(False)
    return axes.ravel()[:n]


def title(what: str, n_seeds: int | tuple[int, int], confidence: float) -> str:
    """Say what is drawn and how sure it is.

    Of several runs, the fewest and the most seeds.
    """
    fewest, most = n_seeds if isinstance(n_seeds, tuple) else (n_seeds, n_seeds)
    if most == 1:
        return f"{what} (one seed: no interval)"
    counted = f"{most}" if fewest == most else f"{fewest} to {most}"
    return f"{what} (mean of {counted} seeds, {confidence:.0%} interval)"


def cut(name: str, length: int, head: float = 0.6) -> str:
    """Cut a long name in its middle, with a share of what is left before it."""
    if len(name) <= length:
        return name
    first = round((length - 1) * head)
    return f"{name[:first]}…{name[len(name) - (length - 1 - first) :]}"


def shorten(name: str, length: int = 24) -> str:
    """Cut a long name to its place, and keep matplotlib from reading it.

    A dollar would begin a formula, and a legend leaves out what begins with an
    underscore.
    """
    shown = cut(name, length).replace("$", r"\$")
    return f"\u2009{shown}" if shown.startswith("_") else shown


def short_names(names: Iterable[str], length: int = 24) -> dict[str, str]:
    """Return each name as a picture shows it: cut where long, all different."""
    given = list(dict.fromkeys(names))
    for head in (0.6, 1.0, 0.0, 0.8, 0.4, 0.2):
        shown = [cut(name, length, head) for name in given]
        if len(set(shown)) == len(given):
            break
    else:
        # What tells them apart is nowhere near an end: numbers do.
        shown = [
            name if len(name) <= length else f"{cut(name, length - 4)} {i}"
            for i, name in enumerate(given, 1)
        ]
    return {
        name: shorten(short, length) for name, short in zip(given, shown, strict=True)
    }


def legend_columns(names: Iterable[str], width: float, font_size: float = 8) -> int:
    """Return how many columns of a legend with these names fit a width in inches."""
    shown = list(names)
    # A letter is about 0.6 of its size wide; the line before it and the gaps are five
    # letters.
    entry = (max(map(len, shown), default=0) + 5) * 0.6 * font_size / 72
    return int(np.clip(width / entry, 1, max(1, len(shown))))


def text_colour(colour: str) -> tuple[float, ...]:
    """Return a colour, darkened until small letters of it can be read on white.

    That is a contrast of 4.5, as WCAG 2 asks.
    """
    from matplotlib.colors import to_rgb

    rgb = np.array(to_rgb(colour))
    while True:
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        if 1.05 / (float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05) >= 4.5:
            return tuple(float(part) for part in rgb)
        rgb = rgb * 0.96


def count_labels(ax: Any) -> None:
    """Have whole numbers on the horizontal axis: there is no half label."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(
        MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True)
    )


def keep_to_shares(ax: Any, metric: str) -> None:
    """End the vertical axis at 0 and 1 for a metric that is a share.

    It does so whatever a wide band says.
    """
    if metric in _SHARES or metric.startswith("accuracy_"):
        low, high = ax.get_ylim()
        ax.set_ylim(max(low, -0.02), min(high, 1.02))
