"""What an experiment file may say of a network's training.

It is looked at before anything is trained.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Mapping
from typing import Any, Final

from al_sklearn.experiments.configuration._problems import Key, Problem, Rule, shown


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


_RULES: Final = {
    "lr": Rule(lambda value: _is_number(value) and value > 0, "a number above 0"),
    "max_epochs": Rule(lambda value: _is_whole(value, 1), "a whole number from 1"),
    "batch_size": Rule(
        lambda value: value == -1 or _is_whole(value, 1),
        "a whole number from 1, or -1 for all",
    ),
    "patience": Rule(
        lambda value: value is None or _is_whole(value, 1),
        "a whole number from 1, or null",
    ),
    "warmup_epochs": Rule(
        lambda value: _is_number(value) and value >= 0, "a number from 0"
    ),
    "swa": Rule(lambda value: isinstance(value, bool), "true or false"),
    "compile": Rule(lambda value: isinstance(value, bool), "true or false"),
    "warm_start": Rule(lambda value: isinstance(value, bool), "true or false"),
    "module__dropout": Rule(
        lambda value: _is_number(value) and 0 <= value <= 1, "a number from 0 to 1"
    ),
    "module__freeze": Rule(lambda value: isinstance(value, bool), "true or false"),
    "class_weight": Rule(
        lambda value: (
            value is None or value == "balanced" or isinstance(value, Mapping | list)
        ),
        "balanced, a weight for each class (cat: 5), or null",
    ),
    "device": Rule(
        lambda value: value is None or _is_device(value),
        "auto, cpu, cuda, cuda:1 or mps",
    ),
}
# Words that are allowed, or null.
_WORDS: Final = {
    "schedule": ("cosine", "one_cycle", "plateau"),
    "amp": ("bf16", "fp16"),
}
_AUGMENTATIONS: Final = ("crop", "flip", "flip_crop", "rand_augment")


def check_net_options(options: Mapping[str, Any], optimizer: Any, key: Key) -> None:
    """Look at the options of a network that have plain values.

    Parameters
    ----------
    options : dict
        As the file gives them.
    optimizer : class
        The network's, where they do not say.
    key : tuple
        Where they stand.

    Raises
    ------
    Problem
        At the option that is wrong.
    """
    for name, value in options.items():
        where = (*key, name)
        if name in _RULES and not _RULES[name].accepts(value):
            raise Problem(where, f"must be {_RULES[name].allowed}; got {shown(value)}.")
        if name in _WORDS and value is not None:
            _check_word(value, _WORDS[name], "null", where)
        if name == "augment":
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, str):
                    _check_word(part, _AUGMENTATIONS, "a list of them, or null", where)
    _check_optimizer(options, options.get("optimizer", optimizer), key)


def _check_word(value: Any, allowed: tuple[str, ...], other: str, key: Key) -> None:
    if value in allowed:
        return
    close = difflib.get_close_matches(str(value), allowed, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise Problem(
        key, f"must be {', '.join(allowed)}, {other}; got {shown(value)}.{hint}"
    )


def _check_optimizer(options: Mapping[str, Any], optimizer: Any, key: Key) -> None:
    """Compare ``optimizer__momentum`` and its like with what the optimizer takes."""
    import torch

    if not (
        isinstance(optimizer, type) and issubclass(optimizer, torch.optim.Optimizer)
    ):
        raise Problem(
            (*key, "optimizer"),
            f"must be a class of torch.optim, as SGD; got {shown(optimizer)}.",
        )
    parameters = inspect.signature(optimizer).parameters
    known = [name for name in parameters if name not in ("params", "lr")]
    for name in options:
        word = name.removeprefix("optimizer__")
        # Groups of parameters are skorch's own.
        if word == name or word in known or word == "param_groups" or "__" in word:
            continue
        close = difflib.get_close_matches(word, known, n=1)
        hint = f" Did you mean {'optimizer__' + close[0]!r}?" if close else ""
        raise Problem(
            (*key, name),
            f"is no key here.{hint} {optimizer.__name__} has: "
            f"{', '.join(sorted(known))}.",
        )


def _is_device(value: Any) -> bool:
    import torch

    if not isinstance(value, str):
        return False
    if value == "auto":
        return True
    try:
        torch.device(value)
    except RuntimeError:
        return False
    return True
