"""VGG with BatchNorm, in the form that small images are trained with."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import nn

from al_sklearn.estimators.networks._fit import fit_stem
from al_sklearn.estimators.networks._parts import he_init, pooled_head
from al_sklearn.estimators.networks._pretrained import resolve_weights
from al_sklearn.estimators.networks._registry import register_network

# Convolutions of each stage and their channels: configuration D of the paper.
_STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))


@register_network("vgg16")
def vgg16(
    in_channels: int = 3,
    n_classes: int = 10,
    *,
    weights: Any = None,
    dropout: float = 0.0,
) -> nn.Sequential:
    """Build the 13 convolutions of VGG16 with BatchNorm, and one linear layer.

    14.7 million weights.

    Each stage ends with max pooling. The paper's three linear layers, which hold nine
    tenths of its weights, are replaced by global average pooling and one linear layer,
    as is usual on CIFAR-10. The network with all three is ``"torchvision:vgg16"``, or
    with BatchNorm ``"vgg16_bn"``.

    Parameters
    ----------
    in_channels : int, default=3
        Channels of the images; pretrained stems are adapted to any number.
    n_classes : int, default=10
        Number of logits.
    weights : {None, "imagenet"} or str, default=None
        ``"imagenet"`` (or ``"DEFAULT"``, or the name of a set) loads torchvision's
        weights of ``vgg16_bn``, without its linear layers.
    dropout : float, default=0.0
        Probability of dropout before the linear layer; MC dropout and BALD need more
        than 0.

    Returns
    -------
    torch.nn.Sequential
        Images (n, in_channels, H, W) float in, logits (n, n_classes) out. Any H and W.

    References
    ----------
    Simonyan, Zisserman. Very Deep Convolutional Networks for Large-Scale Image
    Recognition. ICLR 2015.
    """
    layers: list[nn.Module] = []
    n_in = 3 if weights is not None else in_channels
    for n_convolutions, n_out in _STAGES:
        for _ in range(n_convolutions):
            layers += [
                nn.Conv2d(n_in, n_out, 3, padding=1),
                nn.BatchNorm2d(n_out),
                nn.ReLU(),
            ]
            n_in = n_out
        # Rounded up, so that an image of any size leaves something to pool.
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
    features = nn.Sequential(*layers)
    he_init(features)
    if weights is not None:
        state = resolve_weights("vgg16_bn", weights).get_state_dict(progress=False)
        prefix = "features."
        features.load_state_dict(
            {
                name.removeprefix(prefix): value
                for name, value in state.items()
                if name.startswith(prefix)
            }
        )
        fit_stem(features, in_channels, small=False, pretrained=True)
    return nn.Sequential(
        OrderedDict(features=features, **pooled_head(n_in, n_classes, dropout))
    )
