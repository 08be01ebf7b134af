"""The 20-layer residual network for small images."""

from collections import OrderedDict

import torch
from torch import nn


class _Block(nn.Module):
    """Two 3x3 convolutions and an identity shortcut; where the shape changes, a 1x1 convolution."""

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.relu = nn.ReLU()
        self.shortcut = nn.Sequential()
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


def resnet20(in_channels: int = 3, n_classes: int = 10, *, width: int = 16, dropout: float = 0.0) -> nn.Sequential:
    """Build the CIFAR-style residual network with 20 layers and about 0.27 million weights.

    Three stages of three blocks with 16, 32 and 64 channels at full, half and quarter resolution, global average
    pooling and one linear layer. The shortcuts that change shape are 1x1 convolutions (the paper's option B).

    Parameters
    ----------
    in_channels : int, default=3
        Channels of the images.
    n_classes : int, default=10
        Number of logits.
    width : int, default=16
        Channels of the first stage.
    dropout : float, default=0.0
        Probability of dropout before the linear layer; MC dropout and BALD need more than 0.

    Returns
    -------
    torch.nn.Sequential
        Images (n, in_channels, H, W) float in, logits (n, n_classes) out. Any H and W from 4 on.

    References
    ----------
    He, Zhang, Ren, Sun. Deep Residual Learning for Image Recognition. CVPR 2016, section 4.2.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(in_channels, width, 3, padding=1, bias=False), bn=nn.BatchNorm2d(width), relu=nn.ReLU()
    )
    n_in = width
    for stage, (n_out, stride) in enumerate([(width, 1), (2 * width, 2), (4 * width, 2)], start=1):
        blocks = [_Block(n_in if i == 0 else n_out, n_out, stride if i == 0 else 1) for i in range(3)]
        parts[f"stage{stage}"] = nn.Sequential(*blocks)
        n_in = n_out
    parts.update(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    if dropout > 0:
        parts["dropout"] = nn.Dropout(dropout)
    parts["fc"] = nn.Linear(n_in, n_classes)
    net = nn.Sequential(parts)
    for part in net.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
    return net
