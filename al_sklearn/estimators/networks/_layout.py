"""How a network's weights and images lie in memory."""

from __future__ import annotations

from math import prod

import torch
from torch import nn

# Floats in a vector of AVX2: oneDNN's kernels there read and write this many channels.
_AVX2_FLOATS = 8


def memory_format(network: nn.Module) -> torch.memory_format:
    """Return the layout that a network and its batches are to be in.

    Channels last is the faster one on every device. With fewer than 8 channels in, a
    strided 1x1 convolution damages the memory of the process in that layout: oneDNN (as
    of torch 2.14) trains it, on processors with AVX2 and without AVX-512, by gradients
    of whole vectors of 8 channels, written over what lies behind the image. Networks
    that hold one are laid out plainly, on every machine, so that their numbers do not
    depend on the processor.

    Parameters
    ----------
    network : nn.Module
        Its parts are looked at, not its forward pass: images of odd sizes, scoring
        alone and other devices would be safe.

    Returns
    -------
    torch.memory_format
        ``torch.channels_last``, or ``torch.contiguous_format`` for networks that hold
        such a convolution.

    Examples
    --------
    >>> from torch import nn
    >>> memory_format(nn.Conv2d(8, 16, 1, stride=2))
    torch.channels_last
    >>> memory_format(nn.Conv2d(4, 8, 1, stride=2))
    torch.contiguous_format
    """
    narrow = any(map(_is_narrow, network.modules()))
    return torch.contiguous_format if narrow else torch.channels_last


def _is_narrow(part: nn.Module) -> bool:
    """Whether this is a strided 1x1 convolution of fewer channels than a vector has."""
    if not isinstance(part, nn.Conv2d):
        return False
    strided = prod(part.kernel_size) == 1 and prod(part.stride) > 1
    return strided and part.groups == 1 and part.in_channels < _AVX2_FLOATS
