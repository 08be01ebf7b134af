"""How a network's weights and images lie in memory."""

from __future__ import annotations

from math import prod

import torch
from torch import nn

# Floats in a vector of AVX2, below which an image has too few channels to fill one.
_AVX2_FLOATS = 8


def memory_format(network: nn.Module) -> torch.memory_format:
    """Return the layout that a network and its batches are to be in.

    Channels last is the faster one. But for the gradient of a strided 1x1 convolution's
    weights, oneDNN (as of torch 2.14, on processors with AVX2 and without AVX-512)
    copies the pixels that the stride meets in whole vectors of 8 channels: where the
    image has 2 to 7, it writes behind its buffer, and the process dies, hangs, or goes
    on with damaged memory. A transposed convolution does so where fewer than 8 come
    out. Networks that hold either are laid out plainly, on every machine, so that their
    numbers do not depend on the processor.

    Parameters
    ----------
    network : nn.Module
        Its parts are looked at, not its forward pass: what is never trained, and images
        that the stride does not divide, would be safe.

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
    """Whether this is a strided 1x1 convolution of images narrower than a vector."""
    if isinstance(part, nn.Conv2d):
        channels = part.in_channels
    elif isinstance(part, nn.ConvTranspose2d):
        channels = part.out_channels  # it runs as its gradient would, from out to in
    else:
        return False
    strided = prod(part.kernel_size) == 1 and prod(part.stride) > 1
    # Grouped ones go to another kernel.
    return strided and part.groups == 1 and channels < _AVX2_FLOATS
