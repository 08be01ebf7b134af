"""What can be asked of any network: dropout before its last layer, a frozen trunk, resized images."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from numbers import Real
from typing import Any

import torch
from torch import nn

from al_sklearn.estimators.networks._fit import replace_part
from al_sklearn.estimators.networks._parts import evaluating

OPTIONS = ("dropout", "freeze", "resize")


def find_head(net: nn.Module, image_shape: tuple[int, int, int]) -> str:
    """Return the name of the linear layer that runs last, found by running one blank image.

    Raises
    ------
    ValueError
        When no linear layer runs.
    """
    names: dict[nn.Module, str] = {part: name for name, part in net.named_modules() if isinstance(part, nn.Linear)}
    ran: list[nn.Module] = []
    handles = [part.register_forward_pre_hook(lambda part, _: ran.append(part)) for part in names]
    device = next((weight.device for weight in net.parameters()), None)
    try:
        with evaluating(net):
            net(torch.zeros(1, *image_shape, device=device))
    finally:
        for handle in handles:
            handle.remove()
    if not ran:
        raise ValueError(
            "module__dropout and module__freeze work on the nn.Linear that runs last, and this network runs none; "
            "build them into the network itself."
        )
    return names[ran[-1]]


def _head_dropouts(net: nn.Module, head: str) -> list[nn.Dropout]:
    """Return the dropout modules that belong to the last layer.

    Those of the ``nn.Sequential`` that holds it; elsewhere the module registered just before it, if it is one.
    """
    parent = net.get_submodule(head.rpartition(".")[0])
    parts = list(parent.children())
    if not isinstance(parent, nn.Sequential):
        position = parts.index(net.get_submodule(head))
        parts = parts[max(position - 1, 0) : position]
    return [part for part in parts if isinstance(part, nn.Dropout)]


def set_dropout(net: nn.Module, probability: float, image_shape: tuple[int, int, int]) -> None:
    """Set the dropout of the network's head, or put one before its last layer where it has none.

    Parameters
    ----------
    net : nn.Module
        Changed in place.
    probability : float
        From 0 to below 1; 0 switches off what there is.
    image_shape : tuple of int
        (channels, height, width).

    Raises
    ------
    ValueError
        For another probability, and for a network without a linear layer.
    """
    if not isinstance(probability, Real) or not 0 <= probability < 1:
        raise ValueError(f"module__dropout must be a probability from 0 to below 1, got {probability!r}.")
    head = find_head(net, image_shape)
    own = _head_dropouts(net, head)
    for part in own:
        part.p = float(probability)
    if not own and probability > 0:
        parts = OrderedDict(dropout=nn.Dropout(float(probability)), linear=net.get_submodule(head))
        replace_part(net, head, nn.Sequential(parts))


def freeze(net: nn.Module, image_shape: tuple[int, int, int]) -> None:
    """Freeze all but the last linear layer.

    The other parameters require no gradient, and the other modules stay in evaluation mode when the network is put
    into training mode: BatchNorm keeps the statistics it came with, and the frozen part is one fixed function.
    Dropout of the head (see :func:`set_dropout`) acts in training as ever.

    Parameters
    ----------
    net : nn.Module
        Changed in place.
    image_shape : tuple of int
        (channels, height, width).

    Raises
    ------
    ValueError
        For a network without a linear layer.
    """
    head = find_head(net, image_shape)
    net.requires_grad_(False)
    trained = net.get_submodule(head).requires_grad_(True)
    # On the instance, so that the network keeps its class and the names of its layers.
    net.train = partial(_train_head_alone, net, [trained, *_head_dropouts(net, head)])  # type: ignore[method-assign]
    net.train(net.training)


def _train_head_alone(net: nn.Module, trained: Sequence[nn.Module], mode: bool = True) -> nn.Module:
    """Stand in for ``net.train``."""
    nn.Module.train(net, False)
    net.training = mode
    for part in trained:
        part.train(mode)
    return net


def check_side(side: Any) -> int:
    """Return the side that images are resized to, as an int.

    Raises
    ------
    ValueError
        Unless it is a whole number of at least 1.
    """
    if isinstance(side, bool) or not isinstance(side, int) or side < 1:
        raise ValueError(f"module__resize must be the side in pixels, a whole number from 1 on, got {side!r}.")
    return side
