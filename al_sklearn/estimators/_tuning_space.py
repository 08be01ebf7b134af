"""What may be tried: a search space of plain values, and one for images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

import torch

from al_sklearn.estimators._reach import inner_net

# Names and values, for ``set_params``.
Params = dict[str, Any]
Suggest = Callable[[Any], Params]
_PLAIN = (str, int, float, bool, type(None))


def default_space(estimator: Any) -> Params:
    """Return TorchAL's space for an :class:`ImageClassifier`.

    It may also be at the end of a pipeline.

    Learning rate and weight decay on log scales, batch sizes that are powers of two,
    SGD (with momentum 0.9) or Adam, and, of an estimator with
    ``augment="rand_augment"``, that one's two numbers with all its operations.

    Raises
    ------
    ValueError
        For other estimators: nothing is right for all of them.
    """
    from al_sklearn.estimators._image_classifier import ImageClassifier

    found = inner_net(estimator)
    if found is None or not isinstance(found[1], ImageClassifier):
        raise ValueError(
            "space=None is for ImageClassifier; say what to try for "
            f"{type(estimator).__name__}, for instance "
            'space={"C": (1e-3, 1e3, "log")}.'
        )
    prefix, net = found
    optimizer = f"{prefix}optimizer"
    space: Params = {
        "lr": (1e-5, 1e-2, "log"),
        "optimizer__weight_decay": (1e-8, 1e-3, "log"),
        "batch_size": [2**power for power in range(3, 10)],
        "optimizer": {
            "SGD": {optimizer: torch.optim.SGD, f"{optimizer}__momentum": 0.9},
            "Adam": {optimizer: torch.optim.Adam},
        },
    }
    if net.augment == "rand_augment":
        space["augment__num_ops"] = (1, 15)
        # Their magnitude goes from 1 to 9 and means what 3.3 to 30 means here.
        space["augment__magnitude"] = (10 / 3, 30.0)
        space["augment__operations"] = ["all"]
    return {f"{prefix}{name}": entry for name, entry in space.items()}


def read_space(space: Any) -> Suggest:
    """Turn a space into a function of an Optuna trial that gives parameters.

    Parameters
    ----------
    space : dict or callable
        As :class:`TunedClassifier` takes it.

    Returns
    -------
    callable
        ``suggest(trial) -> dict`` of parameter names and values.

    Raises
    ------
    TypeError, ValueError
        When the space, or an entry of it, is not of a kind that is allowed; the entry
        is named.
    """
    if callable(space):
        # Optuna's own way, with choices that depend on others.
        return space
    if not isinstance(space, Mapping):
        raise TypeError(
            "space must be a dict of parameter names, or a callable(trial), got "
            f"{type(space).__name__}."
        )
    if not space:
        raise ValueError("space is empty: there is nothing to tune.")
    entries = {
        str(name): _read_entry(str(name), entry) for name, entry in space.items()
    }

    def suggest(trial: Any) -> Params:
        params: Params = {}
        for entry in entries.values():
            params |= entry(trial)
        return params

    return suggest


def _read_entry(name: str, entry: Any) -> Suggest:
    from optuna import distributions

    if isinstance(entry, tuple):
        entry = _range(name, entry)
    if isinstance(entry, distributions.BaseDistribution):
        return lambda trial: {name: _suggest(trial, name, entry)}
    if isinstance(entry, Mapping):
        if not entry or not all(
            isinstance(params, Mapping) for params in entry.values()
        ):
            raise ValueError(
                f"space[{name!r}] is a dict, so each of its choices must be a dict of "
                f"parameters, got {dict(entry)!r}."
            )
        # Copies: what a trial is given may be changed by whoever gets it.
        named = {str(label): dict(params) for label, params in entry.items()}
    elif isinstance(entry, list):
        if not entry:
            raise ValueError(
                f"space[{name!r}] is an empty list: there is nothing to choose from."
            )
        labels = _labels(name, entry)
        named = {
            label: {name: choice} for label, choice in zip(labels, entry, strict=True)
        }
    else:
        raise TypeError(
            f"space[{name!r}] must be a tuple (low, high) or (low, high, 'log'), a "
            "list of choices, a dict of named choices, or an Optuna distribution, got "
            f"{entry!r}."
        )
    return lambda trial: dict(named[trial.suggest_categorical(name, list(named))])


def _range(name: str, entry: tuple[Any, ...]) -> Any:
    """Return the distribution that a tuple stands for."""
    from optuna import distributions

    log = len(entry) == 3 and entry[2] == "log"
    numbers = entry[:2] if log else entry
    if len(numbers) != 2 or not all(
        isinstance(value, Real) and not isinstance(value, bool) for value in numbers
    ):
        raise ValueError(
            f"space[{name!r}] is a tuple, so it must be (low, high) or (low, high, "
            "'log') with two numbers, got "
            f"{entry!r}; choices are a list."
        )
    low, high = numbers
    if not low < high:
        raise ValueError(f"space[{name!r}] must go from low to high, got {entry!r}.")
    if log and low <= 0:
        raise ValueError(
            f"space[{name!r}] is on a log scale, so it must begin above 0, got "
            f"{entry!r}."
        )
    # Whole ends mean whole numbers: (1, 15) layers, where (1.0, 15.0) would be a rate.
    if all(isinstance(value, Integral) for value in numbers):
        return distributions.IntDistribution(int(low), int(high), log=log)
    return distributions.FloatDistribution(float(low), float(high), log=log)


def _labels(name: str, choices: list[Any]) -> list[Any]:
    """What Optuna is told of the choices.

    Plain values as they are, all others by a name.
    """
    plain = all(isinstance(choice, _PLAIN) for choice in choices)
    # 1 and True are one choice to Optuna, and so are equal numbers.
    if plain and len(set(choices)) == len(choices):
        return list(choices)
    labels = [getattr(choice, "__name__", None) or repr(choice) for choice in choices]
    if len(set(labels)) < len(labels):
        raise ValueError(
            f"The choices of space[{name!r}] cannot be told apart by name: "
            f"{', '.join(labels)}; give a dict of named "
            "choices, each a dict of parameters."
        )
    return labels


def _suggest(trial: Any, name: str, distribution: Any) -> Any:
    from optuna import distributions

    if isinstance(distribution, distributions.CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    whole = isinstance(distribution, distributions.IntDistribution)
    suggest = trial.suggest_int if whole else trial.suggest_float
    return suggest(
        name,
        distribution.low,
        distribution.high,
        step=distribution.step,
        log=distribution.log,
    )
