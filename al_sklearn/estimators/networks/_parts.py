"""What the networks have in common: their last layers and their first weights."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


def pooled_head(
    n_features: int, n_classes: int, dropout: float
) -> OrderedDict[str, nn.Module]:
    """Return global average pooling, dropout if any, and a linear layer.

    There is dropout where its probability is above 0.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten()
    )
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
