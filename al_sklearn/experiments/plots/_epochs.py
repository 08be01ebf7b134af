"""Every epoch of every round: losses and accuracies while networks learnt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from al_sklearn._core.types import Array
from al_sklearn.experiments.plots._axes import (
    count_labels,
    dress,
    legend_columns,
    several_axes,
)
from al_sklearn.experiments.plots._colours import strategy_styles
from al_sklearn.experiments.plots._names import short_names

_FIXED: Final = ("strategy", "seed", "round", "n_labelled", "epoch")
# Whose part a column is says the dash, what it measures the axes.
_PARTS: Final = {"train": "-", "valid": (0, (4, 1.5)), "test": ":"}
# What was set, and not reached.
_RATES: Final = ("lr", "event_lr")
_WORDS: Final = {"acc": "accuracy"}


def epoch_curves(
    epochs: Any,
    *,
    columns: Sequence[str] | None = None,
    seed: Any = None,
    ax: Any = None,
    baseline: str = "random_sampling",
) -> Array:
    """Draw each epoch of one seed's rounds, an axes for each thing that was measured.

    A strategy keeps its colour; training is a full line, validation dashed, the test
    set dotted. Epochs count on from round to round; a light line stands where a round
    begins, as far as the strategies agree on where that is.

    Parameters
    ----------
    epochs : DataFrame, results of a store, or fitted comparison
        What ``epochs_`` of a comparison or an experiment holds.
    columns : sequence of str, optional
        Only these; by default all losses and scores, without learning rates.
    seed : optional
        Which; the first that is there by default.
    ax : array of matplotlib Axes, optional
        Where to draw, one for each thing measured; a new figure by default.
    baseline : str, default="random_sampling"
        Drawn grey.

    Returns
    -------
    array of matplotlib Axes

    Raises
    ------
    ValueError
        When no epochs were kept, or a column is not among them.
    """
    table = getattr(epochs, "epochs", getattr(epochs, "epochs_", epochs))
    if not isinstance(table, pd.DataFrame):
        raise TypeError(
            "epochs must be a table of epochs, results or a fitted comparison; got "
            f"{type(epochs).__name__}."
        )
    if table.empty:
        raise ValueError(
            "No epochs were kept: the models of this run have none, as those of "
            "scikit-learn that are not trained by epochs."
        )
    measured = epoch_groups(table, columns)
    own = table[table["seed"] == (table["seed"].iloc[0] if seed is None else seed)]
    if own.empty:
        raise ValueError(
            f"There is no seed {seed!r}; there are {table['seed'].unique().tolist()}."
        )
    axes = several_axes(ax, len(measured), 2, (5.2, 3.6))
    styles = strategy_styles(own["strategy"], baseline)
    shown = short_names(styles, 40)
    for one, (what, parts) in zip(axes, measured.items(), strict=True):
        dress(one)
        for strategy, style in styles.items():
            rows = own[own["strategy"] == strategy].sort_values(["round", "epoch"])
            at = np.arange(1, len(rows) + 1)
            for column, part in parts:
                values = rows[column].to_numpy(dtype=np.float64)
                if np.isnan(values).all():
                    continue
                one.plot(
                    at,
                    values,
                    color=style["color"],
                    linestyle=_PARTS[part],
                    linewidth=1.3,
                    label=_label(shown[strategy], part, len(parts)),
                )
        for begin in _shared_begins(own):
            one.axvline(begin + 0.5, color="#c8ccd0", linewidth=0.7, zorder=0)
        one.set_title(_WORDS.get(what, what), loc="left", fontsize=10)
        one.set_xlabel("epochs, round after round")
        count_labels(one)
    _legend(axes, ax is None)
    return axes


def epoch_groups(
    epochs: pd.DataFrame, columns: Sequence[str] | None = None
) -> dict[str, list[tuple[str, str]]]:
    """Return what was measured each epoch, and the columns that have it.

    Parameters
    ----------
    epochs : DataFrame
        A table of epochs.
    columns : sequence of str, optional
        Only these.

    Returns
    -------
    dict of str to list of (str, str)
        By what is measured, as ``loss``: each column, and whether it is of ``train``,
        ``valid`` or ``test``.

    Raises
    ------
    ValueError
        When a column is not among them.
    """
    known = [name for name in epochs.columns if name not in _FIXED]
    chosen = [name for name in known if name not in _RATES]
    if columns is not None:
        unknown = [name for name in columns if name not in known]
        if unknown:
            raise ValueError(f"There is no column {unknown[0]!r}; there are {known}.")
        chosen = list(columns)
    found: dict[str, list[tuple[str, str]]] = {}
    for name in chosen:
        part, _, what = name.partition("_")
        # A column of one's own, as my_score, is measured on nobody knows what.
        own = part not in _PARTS or not what
        pair = (name, "train" if own else part)
        found.setdefault(name if own else what, []).append(pair)
    return found


def _label(strategy: str, part: str, n_parts: int) -> str:
    return strategy if n_parts == 1 else f"{strategy}, {part}"


def _shared_begins(own: pd.DataFrame) -> list[int]:
    """Return after which epochs a round begins, where that is so for all strategies."""
    # Early stopping ends rounds after other epochs from strategy to strategy.
    begins = [
        set(np.cumsum(part.groupby("round").size().to_numpy())[:-1].tolist())
        for _, part in own.groupby("strategy")
    ]
    return sorted(set.intersection(*begins))


def _legend(axes: Array, is_new: bool) -> None:
    entries: dict[str, Any] = {}
    for one in axes:
        for handle, label in zip(*one.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if not is_new:
        axes[0].legend(entries.values(), entries, frameon=False, fontsize=8)
        return
    figure = axes[0].figure
    width, height = figure.get_size_inches()
    columns = legend_columns(entries, width, 8)
    # Room for the rows of the legend beyond the first.
    figure.set_size_inches(width, height + 0.18 * ((len(entries) - 1) // columns))
    figure.legend(
        entries.values(),
        entries,
        loc="outside upper left",
        ncols=columns,
        frameon=False,
        fontsize=8,
    )
