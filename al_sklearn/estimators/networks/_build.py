"""From a name, a class or an instance to a network that fits the images."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from al_sklearn._core.checks import unknown_name
from al_sklearn._core.types import Options
from al_sklearn.estimators._shape import ImageShape
from al_sklearn.estimators.networks._fit import make_lazy_parts, resize_to
from al_sklearn.estimators.networks._options import (
    OPTIONS,
    check_side,
    freeze,
    set_dropout,
)
from al_sklearn.estimators.networks._registry import NETWORKS
from al_sklearn.estimators.networks._timm import timm_model
from al_sklearn.estimators.networks._torchvision import (
    torchvision_model,
    torchvision_names,
)

# Other libraries, named before a colon.
_LIBRARIES = {"torchvision": torchvision_model, "timm": timm_model}

# What a module may call the facts that are inferred from the data.
_CLASSES = ("n_classes", "num_classes", "n_outputs", "num_outputs")
_CHANNELS = ("in_channels", "n_channels", "num_channels", "in_chans", "input_channels")
_SIZE = ("image_size", "img_size", "input_size")


def build_network(
    module: Any,
    params: Mapping[str, Any],
    image_shape: ImageShape,
    n_classes: int,
) -> nn.Module:
    """Build the network named or given by ``module`` for images of one shape.

    Parameters
    ----------
    module : str, class, callable or nn.Module
        A registered name or one of torchvision, ``"torchvision:NAME"`` or
        ``"timm:NAME"``; a class or function; an instance, which is copied.
    params : mapping
        What the caller set as ``module__…``; goes before what is inferred. Three of
        them work on every network that does not take them itself: ``dropout``, the
        probability of dropout before the last linear layer; ``freeze``, whether that
        layer alone is trained; ``resize``, the side in pixels that images are resized
        to before the network.
    image_shape : tuple of int
        (channels, height, width).
    n_classes : int
        Number of logits.

    Returns
    -------
    nn.Module
        Images (n, C, H, W) float in, logits (n, n_classes) out, where the network is
        not the caller's own. Torch's lazy layers have found out their sizes.

    Raises
    ------
    ValueError
        For a name that does not exist, or options that cannot be.
    ImportError
        For a network of a library that is not installed.

    Examples
    --------
    >>> build_network("squeezenet1_1", {"dropout": 0.5}, (11, 64, 64), 5).features[0]
    Conv2d(11, 64, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    """
    params = dict(params)
    options = {
        name: params.pop(name)
        for name in OPTIONS
        if name in params and not _takes(module, name)
    }
    if options.get("resize") is not None:
        side = check_side(options["resize"])
        image_shape = (image_shape[0], side, side)
    net = _build(module, params, image_shape, n_classes)
    # Before the others, which look for its weights.
    make_lazy_parts(net, image_shape)
    # Dropout before freezing, which keeps the head's in training; resizing last, since
    # the others run images of the size that the network sees.
    if options.get("dropout") is not None:
        set_dropout(net, options["dropout"], image_shape)
    if options.get("freeze"):
        freeze(net, image_shape)
    if options.get("resize") is not None:
        resize_to(net, image_shape[1])
    return net


def _build(
    module: Any,
    params: Options,
    image_shape: ImageShape,
    n_classes: int,
) -> nn.Module:
    if isinstance(module, str):
        library, colon, name = module.partition(":")
        if colon:
            if library not in _LIBRARIES:
                raise unknown_name("library of networks", library, _LIBRARIES)
            return _LIBRARIES[library](name, params, image_shape, n_classes)
        if module not in NETWORKS:
            torchvision = torchvision_names()
            if module not in torchvision:
                raise unknown_name(
                    "network",
                    module,
                    [*NETWORKS, *torchvision, *(f"{name}:…" for name in _LIBRARIES)],
                )
            return torchvision_model(module, params, image_shape, n_classes)
        module = NETWORKS[module]
    if isinstance(module, nn.Module) and not params:
        # Training must not change what the caller holds, and every fit must start from
        # the same weights.
        return copy.deepcopy(module)
    factory = type(module) if isinstance(module, nn.Module) else module
    return factory(**_with_inferred(factory, params, image_shape, n_classes))


def network_names() -> list[str]:
    """Return the names of all networks that need no library of their own.

    Examples
    --------
    >>> "resnet20" in network_names() and "squeezenet1_1" in network_names()
    True
    """
    return [*NETWORKS, *torchvision_names()]


def network_options(module: Any) -> list[str] | None:
    """Return what may follow ``module__`` for a network, None where anything may.

    Parameters
    ----------
    module : str, class or callable
        As :class:`~al_sklearn.estimators.ImageClassifier` takes it.

    Examples
    --------
    >>> network_options("vgg16")
    ['in_channels', 'n_classes', 'weights', 'dropout', 'freeze', 'resize']
    """
    factory = NETWORKS.get(module) if isinstance(module, str) else module
    if not callable(factory) or isinstance(factory, nn.Module):
        # Of other libraries, or made already.
        return None
    names, takes_more = _parameters(factory)
    return None if takes_more else list(dict.fromkeys([*names, *OPTIONS]))


def _parameters(factory: Any) -> tuple[list[str], bool]:
    """Names of a factory's parameters, and whether it takes others, too."""
    parameters = inspect.signature(factory).parameters
    kinds = [parameter.kind for parameter in parameters.values()]
    return list(parameters), inspect.Parameter.VAR_KEYWORD in kinds


def _takes(module: Any, option: str) -> bool:
    """Whether what ``module`` stands for has a parameter named ``option``."""
    if isinstance(module, str):
        return module in NETWORKS and option in _parameters(NETWORKS[module])[0]
    if isinstance(module, nn.Module):
        return option in _parameters(type(module))[0]
    names, takes_more = _parameters(module)
    return option in names or takes_more


def _with_inferred(
    factory: Callable[..., nn.Module],
    params: Mapping[str, Any],
    image_shape: ImageShape,
    n_classes: int,
) -> Options:
    """Return ``params`` and the inferred parameters that ``factory`` names."""
    accepted, _ = _parameters(factory)
    channels, height, width = image_shape
    inferred: Options = {}
    for names, value in (
        (_CLASSES, n_classes),
        (_CHANNELS, channels),
        (_SIZE, height if height == width else (height, width)),
    ):
        inferred.update({name: value for name in names if name in accepted})
    return {**inferred, **params}
