"""What each image counts in the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from al_sklearn._core.types import Array
from al_sklearn.exceptions import ParameterError


def check_sample_weight(weights: Any, n: int) -> Array | None:
    """Return weights whose mean is 1, (n,) float32, or None where all are equal.

    Parameters
    ----------
    weights : array-like of shape (n,), a number or None
    n : int
        Number of images.

    Raises
    ------
    ParameterError
        When there is not one for each image, or they are negative, not finite or all 0.
    """
    if weights is None:
        return None
    try:
        found = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"sample_weight must be one number for each image, got {weights!r}; "
            "class_weight='balanced' weighs classes.",
            "sample_weight",
        ) from error
    if found.ndim == 0:
        found = np.full(n, found)
    if found.shape != (n,):
        raise ParameterError(
            f"sample_weight must have one weight for each of the {n} images, got shape "
            f"{found.shape}.",
            "sample_weight",
        )
    total = found.sum()
    if not (np.isfinite(total) and found.min() >= 0 and total > 0):
        raise ParameterError(
            "Sample weights must be finite, not negative and not all 0, got values "
            f"from {found.min():.4g} to {found.max():.4g}.",
            "sample_weight",
        )
    # Equal ones change nothing, not even by rounding.
    return None if np.ptp(found) == 0 else (found * (n / total)).astype(np.float32)


def weighted_loss(
    loss: Callable[[], Tensor], criterion: Any, codes: Tensor, weights: Any
) -> Tensor:
    """Return the loss of a batch whose images count by their weights.

    The sum (or, for ``reduction="mean"``, the mean) of the images' losses, each times
    its weight. With weights of classes the mean is divided by those of the batch, as
    torch does.

    Parameters
    ----------
    loss : callable
        Gives the batch's loss by the criterion as it is.
    criterion : loss
        One with a ``reduction``, as torch's have.
    codes : Tensor of shape (b,)
        Numbers of the images' classes.
    weights : array or Tensor of shape (b,)

    Raises
    ------
    ParameterError
        When the criterion cannot give the loss of each image.
    """
    reduction = getattr(criterion, "reduction", None)
    if reduction == "none":
        # Somebody asks for each image's own.
        return loss()
    if reduction is None:
        raise _cannot(criterion)
    criterion.reduction = "none"
    try:
        each = loss()
    finally:
        criterion.reduction = reduction
    if each.shape != (len(weights),):
        raise _cannot(criterion)
    total = (each * torch.as_tensor(weights, device=each.device)).sum()
    if reduction == "sum":
        return total
    of_classes = getattr(criterion, "weight", None)
    if of_classes is None:
        return total / len(weights)
    return total / of_classes[codes.to(of_classes.device)].sum()


def _cannot(criterion: Any) -> ParameterError:
    return ParameterError(
        "sample_weight needs the loss of each image: a criterion with a reduction, as "
        f"torch's have, not {criterion}.",
        "sample_weight",
        "criterion",
    )
