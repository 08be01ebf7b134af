"""How everything looks: colours that stay with their strategy, axes, titles."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

# Okabe and Ito's colours and two more, which people with any colour vision can tell apart.
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F", "#5B3A9E")
GREY: Final = "#5f6368"
INK: Final = "#202124"
DASHES: Final = ("-", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)))
METRIC_NAMES: Final = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "Macro F1",
    "nll": "Negative log-likelihood",
    "ece": "Expected calibration error",
}
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


def strategy_styles(names: Iterable[str], baseline: str = "random_sampling") -> dict[str, dict[str, Any]]:
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
        ``color`` and ``linestyle``, as matplotlib takes them. The colour comes from the name; only where two names of
        one picture would share it, the later in the alphabet takes the next.
    """
    given = list(dict.fromkeys(names))
    taken: dict[int, str] = {}
    for name in sorted(given, key=lambda name: (name not in _OWN, name)):
        if name == baseline:
            continue
        wanted = _OWN.get(name)
        if wanted is None:
            wanted = hashlib.blake2b(name.encode(), digest_size=4).digest()[0] % len(COLOURS)
        around = range(wanted, wanted + len(COLOURS))
        rows = range(len(taken) // len(COLOURS), len(taken) + 1)
        slots = (row * len(COLOURS) + slot % len(COLOURS) for row in rows for slot in around)
        taken[next(slot for slot in slots if slot not in taken)] = name
    styles: dict[str, dict[str, Any]] = {}
    if baseline in given:
        styles[baseline] = {"color": GREY, "linestyle": "--"}
    slots_of = {name: slot for slot, name in taken.items()}
    for name in given:
        if name != baseline:
            row, column = divmod(slots_of[name], len(COLOURS))
            styles[name] = {"color": COLOURS[column], "linestyle": DASHES[row % len(DASHES)]}
    return styles


def metric_name(metric: str) -> str:
    """Return a metric's name for people."""
    return METRIC_NAMES.get(metric, metric)


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
                f"A run is a tidy table, what load_results gives, or a fitted comparison; got {type(run).__name__}."
            )
        found[str(name)] = table
    return found


def pyplot() -> Any:
    """Import matplotlib, which is only needed for pictures."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("Pictures need matplotlib: pip install al-sklearn[plots].") from error
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


def several_axes(ax: Any, n: int, n_columns: int, cell: tuple[float, float], **options: Any) -> np.ndarray:
    """Return ``n`` axes: those given, or a new figure's, ``n_columns`` in a row, each of a size in inches."""
    if ax is not None:
        given = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
        if len(given) < n:
            raise ValueError(f"{n} axes are needed, got {len(given)}.")
        return given[:n]
    n_columns = min(n, n_columns)
    n_rows = -(-n // n_columns)
    size = (cell[0] * n_columns + 0.4, cell[1] * n_rows + 0.5)
    _, axes = pyplot().subplots(n_rows, n_columns, figsize=size, layout="constrained", squeeze=False, **options)
    for unused in axes.ravel()[n:]:
        unused.set_visible(False)
    return axes.ravel()[:n]


def title(what: str, n_seeds: int | tuple[int, int], confidence: float) -> str:
    """Say what is drawn and how sure it is; of several runs, the fewest and the most seeds."""
    fewest, most = n_seeds if isinstance(n_seeds, tuple) else (n_seeds, n_seeds)
    if most == 1:
        return f"{what} (one seed: no interval)"
    counted = f"{most}" if fewest == most else f"{fewest} to {most}"
    return f"{what} (mean of {counted} seeds, {confidence:.0%} interval)"


def shorten(name: str, length: int = 24) -> str:
    """Cut a long name, so that it stays in its place."""
    return name if len(name) <= length else name[: length - 1] + "…"
