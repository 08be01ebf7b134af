"""The networks that have a name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

from al_sklearn._core.registry import Registry

N = TypeVar("N", bound=Callable[..., nn.Module])

# What is not in here is looked for in torchvision.
NETWORKS: Registry = Registry("network")


def register_network(name: str) -> Callable[[N], N]:
    """Give a network a name that every estimator and experiment file knows.

    The same class or function again, as a notebook's cell that is run twice gives it,
    replaces itself.

    Parameters
    ----------
    name : str
        Goes before torchvision's of the same name.

    Returns
    -------
    decorator
        For a class of ``nn.Module`` or a function that returns one. It is given what it
        accepts of ``in_channels``, ``n_classes`` and ``image_size``, and takes images
        (n, C, H, W) float to logits (n, n_classes).

    Raises
    ------
    ValueError
        When another network has the name, or it holds a colon or a dot: those stand for
        libraries and modules.
    TypeError
        For a network that is built already: every fit must start from new weights.

    Examples
    --------
    >>> from torch import nn
    >>> from al_sklearn import ImageClassifier
    >>> @register_network("one_layer")
    ... def one_layer(in_channels, image_size, n_classes):
    ...     return nn.Sequential(
    ...         nn.Flatten(), nn.Linear(in_channels * image_size**2, n_classes)
    ...     )
    >>> ImageClassifier("one_layer", max_epochs=1).module
    'one_layer'
    """
    if not isinstance(name, str):
        raise TypeError(f"A network's name is a string, got {name!r}.")
    if ":" in name or "." in name:
        raise ValueError(f"A network's name has no colon and no dot, got {name!r}.")

    def register(network: N) -> N:
        if isinstance(network, nn.Module) or not callable(network):
            raise TypeError(
                "register_network is for a class or a function that builds a network, "
                f"got {type(network).__name__}."
            )
        NETWORKS.add(network, name)
        return network

    return register


def added_network(module: Any) -> Callable[..., nn.Module] | None:
    """Return what a user registered under the name ``module``, if anything."""
    known = NETWORKS.get(module) if isinstance(module, str) else None
    ours = known is None or known.__module__.startswith("al_sklearn.")
    return None if ours else known
