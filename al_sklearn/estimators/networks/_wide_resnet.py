"""Wide residual networks."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from torch import Tensor, nn

from al_sklearn.estimators.networks._parts import (
    Parts,
    conv1x1,
    conv3x3,
    he_init,
    pooled_head,
    three_stages,
)
from al_sklearn.estimators.networks._registry import register_network


class _PreActivationBlock(nn.Module):
    """BatchNorm and ReLU before each of two 3x3 convolutions, dropout between them.

    Where the shape changes, a 1x1 convolution beside.
    """

    def __init__(self, n_in: int, n_out: int, stride: int, dropout: float):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(n_in)
        self.conv1 = conv3x3(n_in, n_out, stride)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.conv2 = conv3x3(n_out, n_out)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(dropout) if dropout > 0 else None
        self.shortcut = conv1x1(n_in, n_out, stride) if n_in != n_out else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, not yet activated."""
        active = self.relu(self.bn1(x))
        kept = x if self.shortcut is None else self.shortcut(active)
        active = self.relu(self.bn2(self.conv1(active)))
        if self.dropout is not None:
            active = self.dropout(active)
        return kept + self.conv2(active)


def _wide_resnet(
    in_channels: int, n_classes: int, depth: int, widen: int, dropout: float
) -> nn.Sequential:
    parts: Parts = OrderedDict(conv=conv3x3(in_channels, 16))
    # Two convolutions a block, three stages, the stem, and the three shortcuts that
    # change shape.
    n_blocks = (depth - 4) // 6
    width = 16 * widen
    block = partial(_PreActivationBlock, dropout=dropout)
    parts.update(three_stages(block, 16, width, n_blocks))
    parts.update(bn=nn.BatchNorm2d(4 * width), relu=nn.ReLU())
    # The dropout is the blocks' own.
    parts.update(pooled_head(4 * width, n_classes, dropout=0))
    net = nn.Sequential(parts)
    he_init(net)
    return net


@register_network("wide_resnet28_10")
def wide_resnet28_10(
    in_channels: int = 3, n_classes: int = 10, *, dropout: float = 0.0
) -> nn.Sequential:
    """Build WRN-28-10, with 28 layers and 36.5 million weights.

    It is ten times as wide as CIFAR's residual networks.

    Three stages of four pre-activation blocks with 160, 320 and 640 channels at full,
    half and quarter resolution, global average pooling and one linear layer.

    Parameters
    ----------
    in_channels : int, default=3
        Channels of the images.
    n_classes : int, default=10
        Number of logits.
    dropout : float, default=0.0
        Probability of dropout between the two convolutions of each block, as in the
        paper (0.3 for CIFAR); MC dropout and BALD need more than 0.

    Returns
    -------
    torch.nn.Sequential
        Images (n, in_channels, H, W) float in, logits (n, n_classes) out. Any H and W
        from 4 on.

    References
    ----------
    Zagoruyko, Komodakis. Wide Residual Networks. BMVC 2016.
    """
    return _wide_resnet(in_channels, n_classes, 28, 10, dropout)


@register_network("wide_resnet28_2")
def wide_resnet28_2(
    in_channels: int = 3, n_classes: int = 10, *, dropout: float = 0.0
) -> nn.Sequential:
    """Build WRN-28-2, the 1.5 million weights common in semi-supervised learning.

    See :func:`wide_resnet28_10`.
    """
    return _wide_resnet(in_channels, n_classes, 28, 2, dropout)
