"""Whether what a network gives is what its loss takes, seen at its first batch."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from al_sklearn.exceptions import ParameterError
from al_sklearn.inference.modules import first_tensor

# How far the sum of probabilities may be from 1: half precision rounds each of many
# classes at the third digit; a softmax in float32 is exact to the sixth, and logits
# that come so near to 1 by chance are not expected in a whole batch.
_LOOSE, _STRICT = 1e-2, 1e-5


@torch.no_grad()
def check_outputs(outputs: Any, criterion: Any) -> None:
    """Compare a network's first outputs with what torch's losses take.

    Parameters
    ----------
    outputs : Tensor of shape (n, n_classes), or what begins with one
    criterion : loss
        Others than ``NLLLoss`` and ``CrossEntropyLoss`` may take anything.

    Raises
    ------
    ParameterError
        For ``NLLLoss`` of what is no probability: skorch takes the logarithm itself, so
        that all losses would be NaN, or mean nothing.

    Warns
    -----
    UserWarning
        For ``CrossEntropyLoss`` of probabilities, whose softmax is nearly flat: the
        network learns slowly and is never sure.
    """
    outputs = first_tensor(outputs)
    is_of_classes = isinstance(outputs, Tensor) and outputs.ndim == 2
    if not is_of_classes or outputs.shape[1] < 2 or not outputs.is_floating_point():
        return
    outputs = outputs.detach().double()
    if not torch.isfinite(outputs).all():
        return
    if isinstance(criterion, nn.NLLLoss) and not _are_proba(outputs, _LOOSE):
        is_log = _are_proba(outputs.exp(), _LOOSE)
        gives = "logarithms of probabilities" if is_log else "logits"
        raise ParameterError(
            f"criterion=NLLLoss, but the network gives {gives}: here, as in skorch, "
            "NLLLoss takes the logarithm of the probabilities that a network gives. "
            f"Keep criterion=CrossEntropyLoss, which takes {gives}, or end the network "
            f"with nn.Softmax(1){' in place of nn.LogSoftmax(1)' if is_log else ''}.",
            "criterion",
        )
    if isinstance(criterion, nn.CrossEntropyLoss) and _are_proba(outputs, _STRICT):
        warnings.warn(
            "The network gives probabilities, and criterion=CrossEntropyLoss takes a "
            "softmax of them again: take the softmax out of the network, or give "
            "criterion=nn.NLLLoss.",
            stacklevel=2,
        )


def _are_proba(outputs: Tensor, tolerance: float) -> bool:
    low = float(outputs.min())
    off = float((outputs.sum(1) - 1).abs().max())
    return low >= -tolerance and off <= tolerance
