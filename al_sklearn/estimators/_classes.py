"""Labels as numbers of classes, and what no class is."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from al_sklearn._core.types import Array


def check_subset(labels: Array, classes: Array) -> None:
    """Raise a ``ValueError`` where a label is none of the classes."""
    unknown = np.setdiff1d(labels, classes)
    if len(unknown):
        raise ValueError(
            f"y contains {unknown[:5].tolist()}, not among the classes "
            f"{classes.tolist()}; give all classes at the "
            "first fit: classes=."
        )


def encode(labels: Any, classes: Array) -> Array:
    """Positions of ``labels`` in the sorted ``classes``."""
    if isinstance(labels, Tensor):
        labels = labels.cpu()
    labels = np.asarray(labels)
    codes = np.searchsorted(classes, labels)
    codes[codes == len(classes)] = 0
    if (classes[codes] != labels).any():
        check_subset(labels, classes)
    return codes
