"""Fitting a network made for ImageNet to other channels, sizes and classes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.parameter import is_lazy

from al_sklearn.estimators._shape import ImageShape
from al_sklearn.estimators.networks._parts import he_init
from al_sklearn.inference.modules import evaluating

# The longest side, in pixels, of images whose resolution a stem must keep.
SMALL = 64
# Sides tried in turn for a network that cannot take images as small as the caller's.
_SIDES = (32, 64, 96, 128, 160, 224)


def replace_part(net: nn.Module, name: str, part: nn.Module) -> None:
    """Put ``part`` where the module called ``name`` is."""
    parent, _, child = name.rpartition(".")
    setattr(net.get_submodule(parent), child, part)


def fit_stem(net: nn.Module, channels: int, *, small: bool, pretrained: bool) -> None:
    """Make the first convolution take ``channels``.

    For small images, make it keep their resolution.

    Parameters
    ----------
    net : nn.Module
        Changed in place.
    channels : int
        Channels of the images.
    small : bool
        Whether a stem that shrinks the images becomes a 3x3 convolution with stride 1,
        without max pooling.
    pretrained : bool
        Whether the weights mean something, and so are kept: each of the new channels
        gets the sum of the old ones' weights divided by their new number. An image
        whose channels are all alike looks as it did.
    """
    parts = net.named_modules()
    convolutions = [(name, part) for name, part in parts if isinstance(part, nn.Conv2d)]
    if not convolutions:
        return
    name, old = convolutions[0]
    # Patch embeddings (stride as large as the kernel) cut the image up: their stride is
    # not a loss of detail.
    shrinks = small and 1 < old.stride[0] < old.kernel_size[0]
    if old.in_channels == channels and not shrinks:
        return
    kernel, padding = (3, 1) if shrinks else (old.kernel_size, old.padding)
    new = nn.Conv2d(
        channels,
        old.out_channels,
        kernel,  # type: ignore[arg-type]
        stride=1 if shrinks else old.stride,  # type: ignore[arg-type]
        padding=padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    if pretrained and not shrinks:
        with torch.no_grad():
            new.weight.copy_(
                old.weight.sum(1, keepdim=True).expand_as(new.weight) / channels
            )
            if old.bias is not None and new.bias is not None:
                new.bias.copy_(old.bias)
    else:
        he_init(new)
    replace_part(net, name, new)
    if shrinks and isinstance(getattr(net, "maxpool", None), nn.MaxPool2d):
        net.maxpool = nn.Identity()


def fit_size(
    net: nn.Module, image_shape: ImageShape, sides: Sequence[int] = ()
) -> None:
    """Have images enlarged where a network cannot take them as they are.

    They are enlarged as little as will do.

    Parameters
    ----------
    net : nn.Module
        Changed in place.
    image_shape : tuple of int
        (channels, height, width).
    sides : sequence of int
        Sides in pixels to try besides the usual ones.

    Raises
    ------
    ValueError
        When no size fits.
    """
    channels, height, width = image_shape
    longest = max(height, width)
    larger = sorted({side for side in (*_SIDES, *sides) if side > longest})
    # Last, what is smaller than the image: a network may be made for one size alone.
    tried = [*larger, *(side for side in sides if side <= longest)]
    with evaluating(net):
        if _runs(net, image_shape):
            return
        side = next(
            (side for side in tried if _runs(net, (channels, side, side))), None
        )
    if side is None:
        raise ValueError(
            f"This network cannot take images of {height}x{width} pixels, nor any of "
            f"the sizes {tried}; "
            "choose another network."
        )
    resize_to(net, side)


def resize_to(net: nn.Module, side: int) -> None:
    """Have images resized to ``side`` x ``side`` pixels before the network."""
    net.register_forward_pre_hook(partial(_resized, side=side))


def _runs(net: nn.Module, image_shape: tuple[int, ...]) -> bool:
    try:
        net(torch.zeros(1, *image_shape))
    except (RuntimeError, AssertionError):
        # What is raised when a kernel or a pooling window is larger than what is left
        # of the image, and by transformers made for one size.
        return False
    return True


def _resized(_module: nn.Module, args: tuple[Any, ...], side: int) -> tuple[Any, ...]:
    """Forward pre-hook: resize the batch to ``side`` x ``side`` pixels, bilinearly."""
    x, *rest = args
    if tuple(x.shape[2:]) == (side, side):
        return args
    # Shrinking without a filter would read single pixels and skip those between.
    shrink = side < max(x.shape[2:])
    return (
        F.interpolate(
            x, size=(side, side), mode="bilinear", align_corners=False, antialias=shrink
        ),
        *rest,
    )


def make_lazy_parts(net: nn.Module, image_shape: ImageShape) -> None:
    """Let torch's lazy layers find out their sizes, by running blank images.

    Without one nothing runs. Optimizers, copies and memory layouts need weights that
    are there.

    Parameters
    ----------
    net : nn.Module
        Changed in place.
    image_shape : tuple of int
        (channels, height, width).
    """
    if any(is_lazy(part) for part in (*net.parameters(), *net.buffers())):
        # Two images, as BatchNorm needs; their values move no statistics in evaluation.
        with evaluating(net):
            net(torch.zeros(2, *image_shape))
