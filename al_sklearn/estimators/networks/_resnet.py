"""Residual networks: 20 layers for small images, and ImageNet's.

ImageNet's have a stem for the images at hand.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn

from al_sklearn.estimators.networks._options import set_dropout
from al_sklearn.estimators.networks._parts import (
    Parts,
    conv1x1,
    conv3x3,
    he_init,
    pooled_head,
    three_stages,
)
from al_sklearn.estimators.networks._registry import register_network
from al_sklearn.estimators.networks._torchvision import torchvision_model


class _Block(nn.Module):
    """Two 3x3 convolutions and an identity shortcut.

    Where the shape changes, a 1x1 convolution.
    """

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.conv1 = conv3x3(n_in, n_out, stride)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = conv3x3(n_out, n_out)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.relu = nn.ReLU()
        self.shortcut = nn.Sequential()
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Sequential(
                conv1x1(n_in, n_out, stride),
                nn.BatchNorm2d(n_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


@register_network("resnet20")
def resnet20(
    in_channels: int = 3, n_classes: int = 10, *, width: int = 16, dropout: float = 0.0
) -> nn.Sequential:
    """Build the CIFAR-style residual network with 20 layers.

    It has about 0.27 million weights.

    Three stages of three blocks with 16, 32 and 64 channels at full, half and quarter
    resolution, global average pooling and one linear layer. The shortcuts that change
    shape are 1x1 convolutions (the paper's option B).

    Parameters
    ----------
    in_channels : int, default=3
        Channels of the images.
    n_classes : int, default=10
        Number of logits.
    width : int, default=16
        Channels of the first stage.
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
    He, Zhang, Ren, Sun. Deep Residual Learning for Image Recognition. CVPR 2016,
    section 4.2.
    """
    parts: Parts = OrderedDict(
        conv=conv3x3(in_channels, width),
        bn=nn.BatchNorm2d(width),
        relu=nn.ReLU(),
    )
    parts.update(three_stages(_Block, width, width, n_blocks=3))
    parts.update(pooled_head(4 * width, n_classes, dropout))
    net = nn.Sequential(parts)
    he_init(net)
    return net


_ABOUT = """Build ImageNet's residual network with {layers}.

Its stem suits the images at hand.

It is torchvision's network, whose layer names and weights it has. For images up to 64
pixels its stem is the one that CIFAR-10 is trained with: a 3x3 convolution with stride
1 and no max pooling ({weights} million weights for ten classes); for larger images, and
with pretrained weights, it is ImageNet's 7x7 convolution with stride 2 and max pooling.

Parameters
----------
in_channels : int, default=3
    Channels of the images; pretrained stems are adapted to any number.
n_classes : int, default=10
    Number of logits.
image_size : int or (height, width), default=32
    Size of the images.
weights : {{None, "imagenet"}} or str, default=None
    ``"imagenet"`` (or ``"DEFAULT"``, or the name of one of torchvision's sets) loads
    pretrained weights.
dropout : float, default=0.0
    Probability of dropout before the linear layer; MC dropout and BALD need more than
    0.
**params
    Further parameters of torchvision's builder.

Returns
-------
torchvision.models.ResNet
    Images (n, in_channels, H, W) float in, logits (n, n_classes) out.

References
----------
He, Zhang, Ren, Sun. Deep Residual Learning for Image Recognition. CVPR 2016.
"""


def _imagenet_resnet(name: str, layers: str, weights: str) -> Any:
    """Make and register the builder of one of ImageNet's residual networks."""
    about = _ABOUT.format(layers=layers, weights=weights)

    def build(
        in_channels: int = 3,
        n_classes: int = 10,
        image_size: int | tuple[int, int] = 32,
        *,
        weights: Any = None,
        dropout: float = 0.0,
        **params: Any,
    ) -> nn.Module:
        size = (image_size, image_size) if isinstance(image_size, int) else image_size
        shape = (in_channels, *size)
        net = torchvision_model(name, {**params, "weights": weights}, shape, n_classes)
        if dropout > 0:
            set_dropout(net, dropout, shape)
        return net

    # Its public name, by which it is pickled and stored.
    build.__name__ = build.__qualname__ = name
    build.__doc__ = about
    return register_network(name)(build)


resnet18 = _imagenet_resnet("resnet18", "18 layers", "11.17")
resnet34 = _imagenet_resnet("resnet34", "34 layers", "21.28")
resnet50 = _imagenet_resnet("resnet50", "50 layers, in bottleneck blocks", "23.52")
