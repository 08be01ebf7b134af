"""Pictures of a comparison: each takes the tidy table and an axes, and returns the axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.isotonic import isotonic_regression

from al_sklearn.experiments import statistics

__all__ = ["bought_histogram", "gain_over_baseline", "learning_curves", "pairwise_matrix"]

# Okabe and Ito's colours, which people with any colour vision can tell apart.
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F", "#5B3A9E")
_GREY: Final = "#5f6368"
_NAMES: Final = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "Macro F1",
    "nll": "Negative log-likelihood",
    "ece": "Expected calibration error",
}


def learning_curves(
    results: pd.DataFrame,
    metric: str = "accuracy",
    *,
    ax: Any = None,
    baseline: str = "random_sampling",
    confidence: float = 0.95,
) -> Any:
    """Draw the mean metric over the labels used, with a band ``mean ± t · s / √n`` over seeds.

    Parameters
    ----------
    results : DataFrame
        A tidy table.
    metric : str, default="accuracy"
        A column.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.
    baseline : str, default="random_sampling"
        Drawn grey and dashed.
    confidence : float, default=0.95
        Of the bands.

    Returns
    -------
    matplotlib Axes
    """
    n_labelled, curves = statistics.paired_curves(results, metric)
    ax = _axes(ax)
    ends = {}
    n_seeds = len(next(iter(curves.values())))
    for name, style in _styles(curves, baseline).items():
        mean, half = _band(curves[name], confidence)
        _draw(ax, n_labelled, mean, half, style)
        ends[name] = (mean[-1], style["color"])
    _label_ends(ax, n_labelled[-1], ends)
    ax.set_xlabel("labels")
    ax.set_ylabel(_NAMES.get(metric, metric))
    ax.set_title(_title(_NAMES.get(metric, metric), n_seeds, confidence), loc="left", fontsize=11)
    return ax


def gain_over_baseline(
    results: pd.DataFrame,
    metric: str = "accuracy",
    *,
    ax: Any = None,
    baseline: str = "random_sampling",
    confidence: float = 0.95,
) -> Any:
    """Draw each strategy's difference to the baseline, seed by seed, with a band over seeds.

    Parameters
    ----------
    results, metric, ax, baseline, confidence
        As in :func:`learning_curves`.

    Returns
    -------
    matplotlib Axes
    """
    n_labelled, curves = statistics.paired_curves(results, metric)
    ax = _axes(ax)
    ax.axhline(0, color=_GREY, linestyle="--", linewidth=1.2)
    ends = {baseline: (0.0, _GREY)}
    for name, style in _styles(curves, baseline).items():
        if name == baseline:
            continue
        mean, half = _band(curves[name] - curves[baseline], confidence)
        _draw(ax, n_labelled, mean, half, style)
        ends[name] = (mean[-1], style["color"])
    _label_ends(ax, n_labelled[-1], ends)
    ax.set_xlabel("labels")
    ax.set_ylabel(f"{_NAMES.get(metric, metric)} minus random's, same seed")
    n_seeds = len(curves[baseline])
    ax.set_title(_title("Gain over random sampling", n_seeds, confidence), loc="left", fontsize=11)
    return ax


def pairwise_matrix(
    results: pd.DataFrame, metric: str = "accuracy", *, ax: Any = None, baseline: str = "random_sampling"
) -> Any:
    """Draw the pairwise penalty matrix: how often the row beats the column.

    Parameters
    ----------
    results, metric, ax, baseline
        As in :func:`learning_curves`.

    Returns
    -------
    matplotlib Axes
    """
    table = statistics.pairwise_penalty(results, metric, baseline=baseline)
    ax = _axes(ax)
    ax.imshow(table.to_numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, row in enumerate(table.to_numpy()):
        for j, value in enumerate(row):
            ax.text(j, i, f"{value:.2f}", ha="center", va="center", color="white" if value > 0.55 else "#202124")
    ax.set_xticks(range(table.shape[1]), table.columns, rotation=30, ha="right")
    ax.set_yticks(range(table.shape[0]), table.index)
    ax.axhline(table.shape[0] - 1.5, color="white", linewidth=3)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    ax.set_title("Share of checkpoints at which the row beats the column", loc="left", fontsize=11)
    return ax


def bought_histogram(
    results: pd.DataFrame, classes: Sequence[Any], *, class_names: Sequence[Any] | None = None, ax: Any = None
) -> Any:
    """Draw how many images of each class every strategy has bought, the mean over seeds.

    Parameters
    ----------
    results : DataFrame
        A tidy table with ``bought_<class>``.
    classes : sequence
        The labels, as in the names of the columns.
    class_names : sequence of str, optional
        Readable names.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
    """
    ax = _axes(ax)
    columns = [f"bought_{name}" for name in classes]
    later = results[results["round"] > 0]
    totals = later.groupby(["strategy", "seed"], sort=False)[columns].sum().groupby("strategy", sort=False).mean()
    names = list(dict.fromkeys(results["strategy"]))
    width = 0.8 / len(names)
    for i, (name, style) in enumerate(_styles(dict.fromkeys(names), "random_sampling").items()):
        if name in totals.index:
            at = np.arange(len(columns)) + (i - (len(names) - 1) / 2) * width
            ax.bar(at, totals.loc[name], width=width * 0.9, color=style["color"], label=name)
    labels = [str(name) for name in (class_names if class_names is not None else classes)]
    ax.set_xticks(range(len(columns)), labels, rotation=30 if max(map(len, labels)) > 3 else 0, ha="center")
    ax.set_ylabel("images bought")
    ax.set_title("What was bought, by class (mean over seeds)", loc="left", fontsize=11, pad=26)
    ax.legend(
        frameon=False, fontsize=8, ncols=min(6, len(names)), loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0
    )
    return ax


def _axes(ax: Any) -> Any:
    if ax is None:
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError("Pictures need matplotlib: pip install al-sklearn[plots].") from error
        _, ax = plt.subplots(figsize=(7.5, 4.6), layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#e3e5e8", linewidth=0.8)
    ax.set_axisbelow(True)
    return ax


def _styles(curves: Any, baseline: str) -> dict[str, dict[str, Any]]:
    """A colour and a dash for each strategy, the baseline grey and first, so that the others lie over it."""
    styles: dict[str, dict[str, Any]] = {}
    if baseline in curves:
        styles[baseline] = {"color": _GREY, "linestyle": "--"}
    others = [name for name in curves if name != baseline]
    for i, name in enumerate(others):
        dash = ("-", "-.", ":")[(i // len(_COLOURS)) % 3]
        styles[name] = {"color": _COLOURS[i % len(_COLOURS)], "linestyle": dash}
    return styles


def _band(curves: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray | None]:
    n = len(curves)
    if n < 2:
        return curves.mean(axis=0), None
    t = stats.t.ppf((1 + confidence) / 2, n - 1)
    return curves.mean(axis=0), t * curves.std(axis=0, ddof=1) / np.sqrt(n)


def _draw(ax: Any, x: np.ndarray, mean: np.ndarray, half: np.ndarray | None, style: dict[str, Any]) -> None:
    if half is not None:
        ax.fill_between(x, mean - half, mean + half, color=style["color"], alpha=0.12, linewidth=0)
    ax.plot(x, mean, marker="o", markersize=3, linewidth=1.8, **style)


def _label_ends(ax: Any, x: float, ends: dict[str, tuple[float, str]]) -> None:
    """Write each name where its line ends, moved apart where they would cover each other."""
    low, high = ax.get_ylim()
    gap = (high - low) * 0.052
    order = sorted(ends, key=lambda name: ends[name][0])
    steps = gap * np.arange(len(order))
    # Least moved, squared, with a gap between neighbours: an isotonic regression once the gaps are taken out.
    at = isotonic_regression(np.array([ends[name][0] for name in order]) - steps) + steps
    at -= max(0.0, at[-1] - high)
    ax.set_ylim(min(low, at[0]), high)
    for name, y in zip(order, at, strict=True):
        value, colour = ends[name]
        ax.annotate(
            name,
            xy=(x, value),
            xytext=(1.035, y),
            textcoords=ax.get_yaxis_transform(),
            color=colour,
            fontsize=9,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.6,
                "shrinkA": 2,
                "shrinkB": 3,
                "relpos": (0, 0.5),
            },
        )


def _title(what: str, n_seeds: int, confidence: float) -> str:
    if n_seeds == 1:
        return f"{what} (one seed: no interval)"
    return f"{what} (mean of {n_seeds} seeds, {confidence:.0%} interval)"
