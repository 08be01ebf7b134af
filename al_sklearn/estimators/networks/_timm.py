"""timm's models, fitted to the images and classes at hand."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from torch import nn

from al_sklearn.estimators._shape import ImageShape
from al_sklearn.estimators.networks._fit import SMALL, fit_size, fit_stem


def timm_model(
    name: str,
    params: Mapping[str, Any],
    image_shape: ImageShape,
    n_classes: int,
) -> nn.Module:
    """Build timm's model for images of one shape.

    Parameters
    ----------
    name : str
        As timm has it, also with a tag that names a set of weights
        (``"resnet18.a1_in1k"``).
    params : mapping
        Parameters of its builder; ``weights="imagenet"`` is its ``pretrained=True``.
    image_shape : tuple of int
        (channels, height, width).
    n_classes : int
        Number of logits.

    Raises
    ------
    ImportError
        When timm is not installed.
    ValueError
        For a name or weights that do not exist, and for images that no size makes fit.
    ConnectionError
        When pretrained weights cannot be fetched; says what to do.
    """
    if find_spec("timm") is None:
        raise ImportError(
            f"module='timm:{name}' needs timm, which is not installed: pip install "
            "timm."
        )
    timm: Any = import_module("timm")
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=3)
        hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise ValueError(
            f"Unknown timm network {name!r}.{hint} timm.list_models() has all names."
        )
    params = dict(params)
    weights = params.pop("weights", None)
    if weights not in (None, "imagenet", "DEFAULT"):
        raise ValueError(
            "module__weights of a timm network must be None or 'imagenet', got "
            f"{weights!r}; a tag of the name chooses "
            "among its sets of weights."
        )
    pretrained = weights is not None
    params = {
        "pretrained": pretrained,
        "in_chans": image_shape[0],
        "num_classes": n_classes,
        **params,
    }
    try:
        net = timm.create_model(name, **params)
    except OSError as error:
        raise ConnectionError(
            f"The pretrained weights of timm's {name!r} could not be fetched "
            f"({error}). Fetch them elsewhere and give "
            "the file: module__pretrained_cfg_overlay={'file': PATH}; or leave out "
            "module__weights."
        ) from error
    fit_stem(
        net,
        image_shape[0],
        small=max(image_shape[1:]) <= SMALL and not pretrained,
        pretrained=pretrained,
    )
    # The size that the model was made for; the only one that many transformers take.
    fit_size(net, image_shape, (net.pretrained_cfg["input_size"][-1],))
    return net
