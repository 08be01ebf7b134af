"""What the networks have in common: their last layers and their first weights."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import nn

# By their names in the network.
Parts = OrderedDict[str, nn.Module]


def conv3x3(n_in: int, n_out: int, stride: int = 1) -> nn.Conv2d:
    """Return a convolution that keeps the size, for a BatchNorm, which has the bias."""
    return nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)


def conv1x1(n_in: int, n_out: int, stride: int = 1) -> nn.Conv2d:
    """Return a convolution that only changes the channels, and the size by stride."""
    return nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False)


def three_stages(
    block: Callable[[int, int, int], nn.Module], n_in: int, width: int, n_blocks: int
) -> Parts:
    """Return CIFAR's three stages, at full, half and quarter resolution.

    Parameters
    ----------
    block : callable
        ``block(n_in, n_out, stride)``.
    n_in : int
        Channels that the first stage is given.
    width : int
        Channels of the first stage; each other one has twice those of the one before.
    n_blocks : int
        Blocks of each stage.
    """
    stages: Parts = OrderedDict()
    for number, n_out in enumerate((width, 2 * width, 4 * width), start=1):
        # A stage's first block alone changes the resolution and the channels.
        first = block(n_in, n_out, 1 if number == 1 else 2)
        others = [block(n_out, n_out, 1) for _ in range(n_blocks - 1)]
        stages[f"stage{number}"] = nn.Sequential(first, *others)
        n_in = n_out
    return stages


def pooled_head(n_features: int, n_classes: int, dropout: float) -> Parts:
    """Return global average pooling, dropout if any, and a linear layer.

    There is dropout where its probability is above 0.
    """
    parts: Parts = OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    if dropout > 0:
        parts["dropout"] = nn.Dropout(dropout)
    parts["fc"] = nn.Linear(n_features, n_classes)
    return parts


def he_init(net: nn.Module) -> None:
    """Draw the weights of the convolutions as He et al. (2015) do, by their outputs.

    Biases are 0.
    """
    for part in net.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
