"""What can be asked of any network.

Dropout before its last layer, a frozen trunk, resized images.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from numbers import Real
from typing import Any

import torch
from torch import nn

from al_sklearn.estimators._shape import ImageShape
from al_sklearn.estimators.networks._fit import replace_part
from al_sklearn.inference.modules import evaluating, last_linear

OPTIONS = ("dropout", "freeze", "resize")


def find_head(net: nn.Module, image_shape: ImageShape) -> str:
    """Return the name of the linear layer that makes the output.

    It is found by running two blank images.

    Raises
    ------
    ValueError
        When no linear layer makes it.
    """
    device = next((weight.device for weight in net.parameters()), None)
    # Two: one alone is an axis that networks may squeeze away.
    blank = torch.zeros(2, *image_shape, device=device)
    with evaluating(net):
        head = last_linear(net, lambda: net(blank))
    if head is None:
        raise ValueError(
            "module__dropout and module__freeze work on the nn.Linear that makes the "
            "output, and in this network none does; build them into the network itself."
        )
    return head


def _head_dropouts(net: nn.Module, head: str) -> list[nn.Dropout]:
    """Return the dropout modules that belong to the last layer.

    Those of the ``nn.Sequential`` that holds it; elsewhere the module registered just
    before it, if it is one.
    """
    parent = net.get_submodule(head.rpartition(".")[0])
    parts = list(parent.children())
    if not isinstance(parent, nn.Sequential):
        position = parts.index(net.get_submodule(head))
        parts = parts[max(position - 1, 0) : position]
    return [part for part in parts if isinstance(part, nn.Dropout)]


def set_dropout(net: nn.Module, probability: float, image_shape: ImageShape) -> None:
    """Set the dropout of the network's head, or add one before its last layer.

    It is added where the head has none.

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
        raise ValueError(
            "module__dropout must be a probability from 0 to below 1, got "
            f"{probability!r}."
        )
    head = find_head(net, image_shape)
    own = _head_dropouts(net, head)
    # Set, not replaced: the layers' names, and weights saved under them, stay.
    for part in own:
        part.p = float(probability)
    if not own and probability > 0:
        parts = OrderedDict(
            dropout=nn.Dropout(float(probability)), linear=net.get_submodule(head)
        )
        replace_part(net, head, nn.Sequential(parts))


def freeze(net: nn.Module, image_shape: ImageShape) -> None:
    """Freeze all but the last linear layer.

    The other parameters require no gradient, and the other modules stay in evaluation
    mode when the network is put into training mode: BatchNorm keeps the statistics it
    came with, and the frozen part is one fixed function. Dropout of the head (see
    :func:`set_dropout`) acts in training as ever.

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
    # All, then the head again: a tied weight of the head stays trained.
    net.requires_grad_(False)
    net.get_submodule(head).requires_grad_(True)
    names = {part: name for name, part in net.named_modules()}
    trained = [head, *(names[part] for part in _head_dropouts(net, head))]
    net.trained_parts = tuple(trained)  # type: ignore[assignment]
    if not isinstance(net, _HeadAlone):
        kind: Any = type(net)
        net.__class__ = _frozen_class(kind)
    net.train(net.training)


class _HeadAlone(nn.Module):
    """Before the network's own class.

    Training mode reaches only the parts named in ``trained_parts``.

    Names, not modules, and a class, not a function on the instance: however the network
    is copied, the copy's own parts are meant.
    """

    trained_parts: tuple[str, ...] = ()

    def train(self, mode: bool = True) -> _HeadAlone:
        """Put the head into training mode, or all into evaluation mode."""
        super().train(False)
        self.training = mode
        for name in self.trained_parts:
            self.get_submodule(name).train(mode)
        return self

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # Pickle looks classes up by name, which finds no class made here.
        return _new_frozen, (type(self).__mro__[2],), self.__getstate__()


@lru_cache
def _frozen_class(base: Any) -> Any:
    return type(f"Frozen{base.__name__}", (_HeadAlone, base), {"__module__": __name__})


def _new_frozen(base: Any) -> nn.Module:
    frozen = _frozen_class(base)
    return frozen.__new__(frozen)


def check_side(side: Any) -> int:
    """Return the side that images are resized to, as an int.

    Raises
    ------
    ValueError
        Unless it is a whole number of at least 1.
    """
    if isinstance(side, bool) or not isinstance(side, int) or side < 1:
        raise ValueError(
            "module__resize must be the side in pixels, a whole number from 1 on, "
            f"got {side!r}."
        )
    return side
