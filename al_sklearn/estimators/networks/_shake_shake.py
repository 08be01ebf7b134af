"""Shake-Shake: two residual branches joined by random weights."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from al_sklearn.estimators.networks._parts import (
    Parts,
    conv1x1,
    conv3x3,
    he_init,
    pooled_head,
    three_stages,
)
from al_sklearn.estimators.networks._registry import register_network


class Shake(nn.Module):
    """Join two branches by weights that add to 1.

    Random in training, one half each in evaluation.

    Each image has its own weights, and the gradient flows by others than the output was
    made with.
    """

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the joined branches, shaped like each of them."""
        if not self.training:
            return (first + second) / 2
        ahead, back = torch.rand(
            2, len(first), 1, 1, 1, dtype=first.dtype, device=first.device
        )
        difference = first - second
        # What is detached changes the value from `back` to `ahead` and leaves the
        # gradient at `back`.
        return second + back * difference + ((ahead - back) * difference).detach()


class _ShiftedShortcut(nn.Module):
    """Halve the resolution twice, each giving half of the channels.

    The second time is one pixel further.
    """

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.stride = stride
        self.conv1 = conv1x1(n_in, n_out // 2)
        self.conv2 = conv1x1(n_in, n_out - n_out // 2)
        self.bn = nn.BatchNorm2d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        """Return what is added to the branches."""
        x = F.relu(x)
        shifted = F.pad(x, (1, -1, 1, -1))
        parts = [
            conv(part[:, :, :: self.stride, :: self.stride])
            for conv, part in ((self.conv1, x), (self.conv2, shifted))
        ]
        return self.bn(torch.cat(parts, dim=1))


class _ShakeBlock(nn.Module):
    """Two branches of ReLU, 3x3 convolution and BatchNorm, twice.

    Joined by :class:`Shake`.
    """

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.branch1, self.branch2 = (
            nn.Sequential(
                nn.ReLU(),
                conv3x3(n_in, n_out, stride),
                nn.BatchNorm2d(n_out),
                nn.ReLU(),
                conv3x3(n_out, n_out),
                nn.BatchNorm2d(n_out),
            )
            for _ in range(2)
        )
        self.shake = Shake()
        self.shortcut = (
            _ShiftedShortcut(n_in, n_out, stride) if n_in != n_out else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, not yet activated."""
        return self.shortcut(x) + self.shake(self.branch1(x), self.branch2(x))


@register_network("shake_shake26")
def shake_shake26(
    in_channels: int = 3, n_classes: int = 10, *, width: int = 32, dropout: float = 0.0
) -> nn.Sequential:
    """Build the Shake-Shake network with 26 layers (26 2x32d), 2.9 million weights.

    Three stages of four blocks with 32, 64 and 128 channels at full, half and quarter
    resolution. Each block has two residual branches; in training they are added by
    random weights that sum to 1, drawn anew for each image, block and batch, and the
    gradient is passed back by other random weights ("Shake-Shake-Image"). In evaluation
    each branch counts one half, the mean of these weights: scores are not random.

    Parameters
    ----------
    in_channels : int, default=3
        Channels of the images.
    n_classes : int, default=10
        Number of logits.
    width : int, default=32
        Channels of the first stage; 96 is the paper's largest (26 2x96d).
    dropout : float, default=0.0
        Probability of dropout before the linear layer; MC dropout and BALD need more
        than 0.

    Returns
    -------
    torch.nn.Sequential
        Images (n, in_channels, H, W) float in, logits (n, n_classes) out. Any H and W
        from 4 on.

    References
    ----------
    Gastaldi. Shake-Shake Regularization. ICLR 2017 workshop, arXiv:1705.07485.
    """
    parts: Parts = OrderedDict(conv=conv3x3(in_channels, 16), bn=nn.BatchNorm2d(16))
    parts.update(three_stages(_ShakeBlock, 16, width, n_blocks=4))
    parts.update(relu=nn.ReLU(), **pooled_head(4 * width, n_classes, dropout))
    net = nn.Sequential(parts)
    he_init(net)
    return net
