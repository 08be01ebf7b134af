"""torchvision's classification models, fitted to the images and classes at hand."""

from __future__ import annotations

from collections import OrderedDict
from importlib.util import find_spec
from typing import Any

from torch import nn

from al_sklearn._core.checks import unknown_name
from al_sklearn._core.types import Options
from al_sklearn.estimators._shape import ImageShape
from al_sklearn.estimators.networks._fit import SMALL, fit_size, fit_stem, replace_part
from al_sklearn.estimators.networks._pretrained import resolve_weights

# Built with auxiliary heads, which are for training on ImageNet and need large images.
_AUXILIARY = ("googlenet", "inception_v3")


def torchvision_names() -> list[str]:
    """Return the names of torchvision's classification models.

    None where it is not installed.
    """
    if find_spec("torchvision") is None:
        return []
    from torchvision import models

    return models.list_models(module=models)


def torchvision_model(
    name: str, params: Options, image_shape: ImageShape, n_classes: int
) -> nn.Module:
    """Build torchvision's model for images of one shape.

    Parameters
    ----------
    name : str
        As torchvision has it.
    params : dict
        Parameters of its builder; ``weights="imagenet"`` is its ``"DEFAULT"``.
    image_shape : tuple of int
        (channels, height, width).
    n_classes : int
        Number of logits.

    Raises
    ------
    ValueError
        For a name that does not exist, and for images that no size makes fit.
    ConnectionError
        When pretrained weights cannot be fetched; says what to do.
    """
    names = torchvision_names()
    if name not in names:
        raise unknown_name("torchvision network", name, names)
    from torchvision import models

    builder = models.get_model_builder(name)
    params = dict(params)
    weights = params.pop("weights", None)
    params.setdefault("num_classes", n_classes)
    if name in _AUXILIARY:
        params = {
            "aux_logits": weights is not None,
            "init_weights": weights is None,
            **params,
        }
    if name.startswith("maxvit"):
        params.setdefault("input_size", (224, 224))
    if weights is None:
        net = builder(**params)
    else:
        # Pretrained weights come with their own classes: load those, then put a new
        # last layer.
        n_outputs = params.pop("num_classes")
        params.pop("init_weights", None)
        net = builder(weights=resolve_weights(name, weights), **params)
        _new_classes(net, n_outputs)
    if name in _AUXILIARY:
        _drop_auxiliary(net, keep_transform=weights is not None and image_shape[0] == 3)
    _linear_head(net)
    # Transformers made for one size cut it into patches; maxvit's windows divide it.
    fixed = (
        getattr(net, "image_size", 224) if name.startswith(("vit_", "maxvit")) else None
    )
    small = max(image_shape[1:]) <= SMALL and weights is None and fixed is None
    fit_stem(net, image_shape[0], small=small, pretrained=weights is not None)
    fit_size(net, image_shape, () if fixed is None else (fixed,))
    return net


def _new_classes(net: nn.Module, n_outputs: int) -> None:
    name, old = [
        (name, part)
        for name, part in net.named_modules()
        if isinstance(part, (nn.Linear, nn.Conv2d))
    ][-1]
    if isinstance(old, nn.Conv2d):
        replace_part(net, name, nn.Conv2d(old.in_channels, n_outputs, 1))
    else:
        replace_part(net, name, nn.Linear(old.in_features, n_outputs))


def _drop_auxiliary(net: Any, keep_transform: bool) -> None:
    net.aux_logits = False
    # Their weights would be trained by nothing.
    for name in ("aux1", "aux2", "AuxLogits"):
        if hasattr(net, name):
            setattr(net, name, None)
    # Its weights expect pixels from -1 to 1: the transform makes them from ImageNet's
    # normalisation.
    net.transform_input = keep_transform


def _linear_head(net: nn.Module) -> None:
    """Turn SqueezeNet's head into a mean and a linear layer.

    The head is a 1x1 convolution, ReLU and mean over the pixels.

    The mean of a 1x1 convolution is the linear layer of the mean: only the ReLU goes,
    which keeps logits from being negative, and training from moving a class whose
    logits are all 0. The embedding and the gradient factors are then those of any other
    network.
    """
    head = getattr(net, "classifier", None)
    if (
        not isinstance(head, nn.Sequential)
        or len(head) < 2
        or not isinstance(head[1], nn.Conv2d)
    ):
        return
    dropout, convolution = head[0], head[1]
    linear = nn.Linear(convolution.in_channels, convolution.out_channels)
    linear.load_state_dict(
        {"weight": convolution.weight.flatten(1), "bias": convolution.bias}
    )
    parts = OrderedDict(
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        dropout=dropout,
        linear=linear,
    )
    replace_part(net, "classifier", nn.Sequential(parts))
