"""What a network's parts may be given: names that exist, words that are meant.

A misspelt word is answered with the one that was meant, before anything is built.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable
from typing import Any

import torch
from torch import nn

from al_sklearn._core.checks import unknown_name
from al_sklearn._core.types import Options
from al_sklearn.estimators.networks import network_options
from al_sklearn.exceptions import ParameterError

# What skorch or the classifier itself hands to a part.
_FILLED_IN = {
    "optimizer": {"params"},
    "iterator_train": {"dataset", "on_weights"},
    "iterator_valid": {"dataset", "on_weights"},
    "dataset": {"X", "y"},
    "compile": {"model"},
}
# What skorch takes beside the part's own parameters.
_TAKEN = {"optimizer": {"param_groups"}}


def find_optimizer(given: Any) -> Any:
    """Return an optimizer's class, also by its name in ``torch.optim``.

    Parameters
    ----------
    given : callable or str

    Raises
    ------
    ParameterError
        For another name, or an optimizer that was made already.
    """
    names = {
        name: part
        for name, part in vars(torch.optim).items()
        if isinstance(part, type)
        and issubclass(part, torch.optim.Optimizer)
        and part is not torch.optim.Optimizer
    }
    return _find("optimizer", given, names, "torch.optim.SGD")


def find_criterion(given: Any) -> Any:
    """Return a criterion, or its class by its name in ``torch.nn``.

    Parameters
    ----------
    given : nn.Module, callable or str

    Raises
    ------
    ParameterError
        For another name.
    """
    names = {
        name: part
        for name, part in vars(nn).items()
        if isinstance(part, type) and name.endswith("Loss")
    }
    return _find("criterion", given, names, "torch.nn.CrossEntropyLoss")


def _find(kind: str, given: Any, names: Options, example: str) -> Any:
    if isinstance(given, str):
        if given not in names:
            raise ParameterError(str(unknown_name(kind, given, names)), kind)
        return names[given]
    if not callable(given):
        raise ParameterError(
            f"{kind} must be a class such as {example}, or its name, got {given!r}.",
            kind,
        )
    return given


def check_words(owner: str, given: Iterable[str], allowed: Collection[str]) -> None:
    """Raise a ``ParameterError`` for a parameter that does not exist.

    Parameters
    ----------
    owner : str
        Whose parameters they are.
    given, allowed : collections of str
    """
    for name in given:
        if name not in allowed:
            error = unknown_name(f"parameter of {owner}", name, allowed)
            raise ParameterError(str(error), name)


def check_part(prefix: str, part: Any, given: Iterable[str]) -> None:
    """Raise a ``ParameterError`` for a ``prefix__word`` that a part does not take.

    Parameters
    ----------
    prefix : str
        ``"optimizer"``, ``"iterator_train"`` …
    part : callable, str or object
        What takes the words; one that was made already says nothing of them, nor does
        one with ``**kwargs``.
    given : iterable of str
        The words.
    """
    words = _words(prefix, part)
    # What has a prefix of its own is for a part of the part.
    given = [word for word in given if "__" not in word]
    if words is not None and given:
        called = part if isinstance(part, str) else getattr(part, "__name__", prefix)
        check_words(
            str(called),
            [f"{prefix}__{word}" for word in given],
            [f"{prefix}__{word}" for word in words],
        )


def _words(prefix: str, part: Any) -> set[str] | None:
    if prefix == "module":
        options = network_options(part)
        return None if options is None else {*options}
    if not callable(part) or isinstance(part, nn.Module):
        return None
    try:
        parameters = inspect.signature(part).parameters.values()
    except (TypeError, ValueError):
        # Some that are not written in Python.
        return None
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return None
    names = {one.name for one in parameters} - _FILLED_IN.get(prefix, set())
    return names | _TAKEN.get(prefix, set())
