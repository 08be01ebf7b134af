"""From a name, a class or an instance to a network that fits the images."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from al_sklearn._errors import unknown_name
from al_sklearn.estimators.networks import NETWORKS

# What a module may call the facts that are inferred from the data.
_CLASSES = ("n_classes", "num_classes", "n_outputs", "num_outputs")
_CHANNELS = ("in_channels", "n_channels", "num_channels", "in_chans", "input_channels")
_SIZE = ("image_size", "img_size", "input_size")
# Sides tried in turn for a torchvision model that cannot take images as small as the caller's.
_SIDES = (32, 64, 96, 128, 160, 224)


def build_network(
    module: Any, params: Mapping[str, Any], image_shape: tuple[int, int, int], n_classes: int
) -> nn.Module:
    """Build the network named or given by ``module`` for images of one shape.

    Parameters
    ----------
    module : str, class, callable or nn.Module
        A name of this package or of torchvision; a class or function; an instance, which is copied.
    params : mapping
        What the caller set as ``module__…``; goes before what is inferred.
    image_shape : tuple of int
        (channels, height, width).
    n_classes : int
        Number of logits.

    Raises
    ------
    ValueError
        For a name that does not exist.
    """
    if isinstance(module, str):
        if module in NETWORKS:
            return NETWORKS[module](**_with_inferred(NETWORKS[module], params, image_shape, n_classes))
        return _torchvision_model(module, dict(params), image_shape, n_classes)
    if isinstance(module, nn.Module) and not params:
        # Training must not change what the caller holds, and every fit must start from the same weights.
        return copy.deepcopy(module)
    factory = type(module) if isinstance(module, nn.Module) else module
    return factory(**_with_inferred(factory, params, image_shape, n_classes))


def _with_inferred(
    factory: Callable[..., nn.Module],
    params: Mapping[str, Any],
    image_shape: tuple[int, int, int],
    n_classes: int,
) -> dict[str, Any]:
    """Return ``params`` and, of what is inferred, the parameters that ``factory`` names."""
    accepted = inspect.signature(factory).parameters
    channels, height, width = image_shape
    inferred: dict[str, Any] = {}
    for names, value in (
        (_CLASSES, n_classes),
        (_CHANNELS, channels),
        (_SIZE, height if height == width else (height, width)),
    ):
        inferred.update({name: value for name in names if name in accepted})
    return {**inferred, **params}


def _torchvision_model(
    name: str, params: dict[str, Any], image_shape: tuple[int, int, int], n_classes: int
) -> nn.Module:
    if find_spec("torchvision") is None:
        raise ValueError(
            f"{unknown_name('network', name, NETWORKS)} Any classification model of torchvision can be named too, "
            "once torchvision is installed."
        )
    from torchvision import models

    classification = models.list_models(module=models)
    if name not in classification:
        raise unknown_name("network", name, [*NETWORKS, *classification])
    channels, height, width = image_shape
    builder = models.get_model_builder(name)
    weights = params.pop("weights", None)
    params.setdefault("num_classes", n_classes)
    if name in ("googlenet", "inception_v3"):
        # The auxiliary heads are for training on ImageNet and need large images.
        params = {"aux_logits": weights is not None, "init_weights": weights is None, **params}
    if name.startswith("maxvit"):
        params.setdefault("input_size", (224, 224))
    if weights is None:
        net = builder(**params)
    else:
        # Pretrained weights come with their own classes: load those, then put a new last layer.
        n_outputs = params.pop("num_classes")
        params.pop("init_weights", None)
        net = builder(weights=weights, **params)
        _replace_last(net, n_outputs)
    if name in ("googlenet", "inception_v3"):
        net.aux_logits, net.transform_input = False, False
    fixed = name.startswith(("vit_", "maxvit"))
    _fit_stem(net, channels, small=max(height, width) <= 64 and weights is None and not fixed)
    side = _side_needed(net, image_shape, fixed)
    if side is not None:
        net.register_forward_pre_hook(partial(_enlarge, side=side))
    return net


def _last(net: nn.Module, kinds: tuple[type[nn.Module], ...]) -> str:
    return [name for name, part in net.named_modules() if isinstance(part, kinds)][-1]


def _set(net: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(net.get_submodule(parent), child, part)


def _replace_last(net: nn.Module, n_outputs: int) -> None:
    name = _last(net, (nn.Linear, nn.Conv2d))
    old = net.get_submodule(name)
    if isinstance(old, nn.Conv2d):
        _set(net, name, nn.Conv2d(old.in_channels, n_outputs, 1))
    elif isinstance(old, nn.Linear):
        _set(net, name, nn.Linear(old.in_features, n_outputs))


def _fit_stem(net: nn.Module, channels: int, small: bool) -> None:
    """Make the first convolution take ``channels``; for small images, make it keep their resolution."""
    name = next((name for name, part in net.named_modules() if isinstance(part, nn.Conv2d)), None)
    if name is None:
        return
    old = net.get_submodule(name)
    assert isinstance(old, nn.Conv2d)
    # Patch embeddings (stride as large as the kernel) cut the image up: their stride is not a loss of detail.
    shrinks = small and old.stride[0] > 1 and old.stride[0] < old.kernel_size[0]
    if old.in_channels == channels and not shrinks:
        return
    kernel, padding = (3, 1) if shrinks else (old.kernel_size, old.padding)
    new = nn.Conv2d(
        channels,
        old.out_channels,
        kernel,  # type: ignore[arg-type]
        stride=1 if shrinks else old.stride,  # type: ignore[arg-type]
        padding=padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    if not shrinks:
        with torch.no_grad():
            # Grey images: the sum of the weights sees a grey image as the old stem saw it in three equal channels.
            new.weight.copy_(old.weight.sum(1, keepdim=True).expand_as(new.weight) / channels)
            if old.bias is not None and new.bias is not None:
                new.bias.copy_(old.bias)
    _set(net, name, new)
    if shrinks and isinstance(getattr(net, "maxpool", None), nn.MaxPool2d):
        net.maxpool = nn.Identity()


def _side_needed(net: nn.Module, image_shape: tuple[int, int, int], fixed: bool) -> int | None:
    """Return the side to which images are enlarged before the network, or None when they pass as they are."""
    if fixed:
        return None if image_shape[1:] == (224, 224) else 224
    channels, height, width = image_shape
    sizes = [(height, width), *((side, side) for side in _SIDES if side > max(height, width))]
    modes = [(part, part.training) for part in net.modules()]
    net.eval()
    try:
        for size in sizes:
            if _runs(net, (1, channels, *size)):
                return None if size == (height, width) else size[0]
    finally:
        for part, training in modes:
            part.training = training
    raise ValueError(
        f"This network cannot take images of {height}x{width} pixels, nor any size up to {_SIDES[-1]}; "
        "choose another network."
    )


def _runs(net: nn.Module, shape: tuple[int, ...]) -> bool:
    try:
        with torch.no_grad():
            net(torch.zeros(shape))
    except RuntimeError:
        # What torch raises when a kernel or a pooling window is larger than what is left of the image.
        return False
    return True


def _enlarge(_module: nn.Module, args: tuple[torch.Tensor, ...], side: int) -> tuple[torch.Tensor, ...]:
    """Forward pre-hook: resize the batch to ``side`` x ``side`` pixels."""
    x, *rest = args
    return (F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False), *rest)
