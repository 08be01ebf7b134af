"""How good a model's probabilities are: calibration and precision against recall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve

from al_sklearn._core.types import Array
from al_sklearn.experiments import statistics
from al_sklearn.experiments.plots._axes import heading, legend_beside, one_axes
from al_sklearn.experiments.plots._colours import (
    COLOURS,
    DASHES,
    GREY,
    INK,
    strategy_styles,
)
from al_sklearn.experiments.plots._names import short_names, shorten


def calibration(y_true: Any, proba: Any, *, n_bins: int = 15, ax: Any = None) -> Any:
    """Draw accuracy against confidence.

    On the dashed line a model is as sure as it is right.

    Parameters
    ----------
    y_true : int array of shape (n,)
        Columns of the true classes.
    proba : float array of shape (n, C), or dict of str to such
        One model's probabilities, or several models' by name.
    n_bins : int, default=15
        Equal-width bins of the confidence.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib Axes
        The area of a dot is the share of the images in its bin. The legend holds the
        expected calibration error.
    """
    models = dict(proba) if isinstance(proba, Mapping) else {"": proba}
    ax = one_axes(ax, (8.0, 4.6))
    ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1.1)
    shown = short_names(models)
    for name, style in strategy_styles(models).items():
        y, values = _checked(y_true, models[name])
        curve = statistics.reliability_curve(y, values, n_bins)
        # Empty bins have no accuracy.
        there = curve[curve["n"] > 0]
        error = statistics.expected_calibration_error(y, values, n_bins)
        label = f"{shown[name]}, ECE {error:.3f}" if name else f"ECE {error:.3f}"
        ax.plot(
            there["confidence"], there["accuracy"], linewidth=1.5, label=label, **style
        )
        ax.scatter(
            there["confidence"],
            there["accuracy"],
            # matplotlib's s is an area: shares can be compared by eye.
            s=10 + 300 * there["n"] / len(y),
            color=style["color"],
            alpha=0.5,
        )
    ax.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy")
    # The diagonal at 45 degrees; left, since the legend stands right.
    ax.set_aspect("equal", anchor="W")
    legend_beside(ax)
    heading(ax, "Calibration")
    return ax


def pr_curves(
    y_true: Any, proba: Any, *, class_names: Sequence[Any] | None = None, ax: Any = None
) -> Any:
    """Draw precision against recall for each class, and over all together.

    Each class stands against the rest.

    Parameters
    ----------
    y_true : int array of shape (n,)
        Columns of the true classes.
    proba : float array of shape (n, C)
        Probabilities.
    class_names : sequence of str, optional
        Readable names, one a column.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib Axes
        The legend holds the average precision. Classes without images are left out;
        beyond ten classes, only the five with the lowest average precision have a
        colour.
    """
    y, values = _checked(y_true, proba)
    n_classes = values.shape[1]
    names = [
        str(name) for name in (range(n_classes) if class_names is None else class_names)
    ]
    if len(names) != n_classes:
        raise ValueError(
            f"class_names must name the {n_classes} classes, got {len(names)} names."
        )
    ax = one_axes(ax, (7.0, 4.8))
    truth = np.eye(n_classes, dtype=bool)[y]
    there = np.flatnonzero(truth.any(axis=0))
    precision_of = {
        c: float(average_precision_score(truth[:, c], values[:, c])) for c in there
    }
    # Many classes are grey but for those worth a look.
    worst_first = sorted(there, key=lambda c: precision_of[c])
    coloured = list(there) if len(there) <= 10 else worst_first[:5]

    def draw(truth: Array, scores: Array, **look: Any) -> None:
        precision, recall, _ = precision_recall_curve(truth, scores)
        ax.plot(recall, precision, **look)

    for c in there:
        if c not in coloured:
            draw(truth[:, c], values[:, c], color="#c8ccd0", linewidth=0.8)
    for i, c in enumerate(coloured):
        row, column = divmod(i, len(COLOURS))
        draw(
            truth[:, c],
            values[:, c],
            color=COLOURS[column],
            linestyle=DASHES[row],
            linewidth=1.4,
            label=f"{shorten(names[c])}  {precision_of[c]:.3f}",
        )
    # Every image and class as one question.
    overall = average_precision_score(truth.ravel(), values.ravel())
    draw(
        truth.ravel(),
        values.ravel(),
        color=INK,
        linewidth=2.2,
        label=f"all together  {overall:.3f}",
    )
    ax.set(xlim=(0, 1.01), ylim=(0, 1.03), xlabel="recall", ylabel="precision")
    legend_beside(ax, title="average precision", title_fontsize=9)
    heading(ax, "Precision and recall, each class against the rest")
    return ax


def _checked(y_true: Any, proba: Any) -> tuple[Array, Array]:
    y, values = np.asarray(y_true), np.asarray(proba)
    if values.ndim != 2 or y.shape != values.shape[:1]:
        raise ValueError(
            f"y_true has a class for each row of proba, got shapes {y.shape} and "
            f"{values.shape}."
        )
    if y.dtype.kind not in "iu" or (
        len(y) and (y.min() < 0 or y.max() >= values.shape[1])
    ):
        raise ValueError(
            f"y_true holds columns of proba, integers from 0 to {values.shape[1] - 1}."
        )
    return y, values
