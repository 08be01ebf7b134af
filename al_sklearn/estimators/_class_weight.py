"""Weights of classes in a loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.class_weight import compute_class_weight

from al_sklearn._core.types import Array


def check_class_weight(class_weight: Any) -> None:
    """Raise a ``ValueError`` for what is not a kind of class weight."""
    if isinstance(class_weight, str) and class_weight != "balanced":
        raise ValueError(
            "class_weight must be None, 'balanced', a mapping or an array, got "
            f"{class_weight!r}."
        )


def class_weights(class_weight: Any, classes: Array, labels: Array) -> Array:
    """Return a weight for each class.

    Parameters
    ----------
    class_weight : "balanced", mapping or array-like
        ``"balanced"``: number of labels / (number of classes among them · number of
        labels of the class), as in scikit-learn. A mapping goes by label; classes that
        it does not name weigh 1. An array follows ``classes``.
    classes : ndarray of shape (C,)
        All classes, sorted.
    labels : ndarray of shape (n,)
        What is trained on; it may miss some classes, whose balanced weight is then 1:
        no loss asks for it.

    Returns
    -------
    ndarray of shape (C,), float32

    Raises
    ------
    ValueError
        For labels that are no class, a wrong number of weights, and weights that are
        negative, NaN or all 0.
    """
    if isinstance(class_weight, str):
        check_class_weight(class_weight)
        present = np.unique(labels)
        # A class that nobody has seen yet keeps the weight 1.
        weights = np.ones(len(classes))
        weights[np.searchsorted(classes, present)] = compute_class_weight(
            "balanced", classes=present, y=labels
        )
    elif isinstance(class_weight, Mapping):
        known = classes.tolist()
        unknown = [label for label in class_weight if label not in known]
        if unknown:
            raise ValueError(
                f"class_weight names {unknown}, not among the classes {known}."
            )
        weights = np.array([class_weight.get(label, 1.0) for label in known])
    else:
        weights = np.asarray(class_weight, dtype=np.float64)
        if weights.shape != (len(classes),):
            raise ValueError(
                f"class_weight must have one weight for each of the {len(classes)} "
                f"classes, got shape {weights.shape}."
            )
    if not (np.isfinite(weights).all() and weights.min() >= 0 and weights.max() > 0):
        raise ValueError(
            "Class weights must be finite, not negative and not all 0, got "
            f"{weights.tolist()}."
        )
    # As the network computes: torch's losses take no float64 weights of float32 logits.
    return weights.astype(np.float32)
