"""The same experiment in small: what ``--quick`` leaves of each size."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final

from al_sklearn._core.types import Options
from al_sklearn.experiments.comparison import StrategyComparison

# What --quick leaves of each size; see docs/experiment-files.md.
QUICK_DATA: Final = {"pool_size": 60, "test_size": 30}
QUICK_COMPARISON: Final = {
    "n_initial": 20,
    "n_instances": 10,
    "n_rounds": 1,
    "n_seeds": 2,
}
QUICK_OPTIONS: Final = {
    "max_epochs": 1,
    "n_trials": 2,
    "image_size": 32,
    "module__resize": 32,
    "n_members": 2,
    "n_snapshots": 2,
    "iterator_train__min_batches": 1,
    "n_steps": 5,
}
_NET: Final = ("max_epochs", "iterator_train__min_batches")
# What is large by default, where the file does not say its size.
_LARGE: Final = {
    "ImageClassifier": _NET,
    "LossPredictionClassifier": _NET,
    "TunedClassifier": ("n_trials",),
    "vaal": ("n_steps",),
    "vaal_distance": ("n_steps",),
}


def shrunk(spec: Mapping[str, Any]) -> Options:
    """Return the content of an experiment file, cut down."""
    data = {**spec["data"]}
    for name, most in QUICK_DATA.items():
        data[name] = min(data.get(name) or most, most)
    comparison = {**(spec.get("comparison") or {})}
    # So few seeds are looked at once.
    comparison.pop("looks", None)
    defaults = inspect.signature(StrategyComparison).parameters
    for name, most in QUICK_COMPARISON.items():
        value = comparison.get(name, defaults[name].default)
        if isinstance(value, int):
            comparison[name] = min(value, most)
        elif name == "n_initial" and value != 1:
            # A share of so few images may be one a class, of which nothing can be held
            # out.
            comparison[name] = most
    for name in comparison.keys() & {"first_params", "later_params"}:
        comparison[name] = _small_object(comparison[name])
    objects = {name: _small_object(spec[name]) for name in ("estimator", "strategies")}
    return {**spec, "data": data, "comparison": comparison, **objects}


def _small_object(spec: Any) -> Any:
    if isinstance(spec, list):
        return [_small_object(part) for part in spec]
    if isinstance(spec, str):
        return {spec: _sizes_of(spec)} if spec in _LARGE else spec
    if isinstance(spec, Mapping):
        return {name: _small_option(name, value) for name, value in spec.items()}
    return spec


def _small_option(name: Any, value: Any) -> Any:
    if name in _LARGE and not isinstance(value, list):
        # One value that is no mapping is the first option, which for these is the
        # network.
        if not isinstance(value, Mapping):
            value = {} if value is None else {"module": value}
        value = _sizes_of(name) | value
    if name in QUICK_OPTIONS and isinstance(value, int):
        return min(value, QUICK_OPTIONS[name])
    # Words of these options may be names of objects elsewhere.
    is_word = isinstance(value, str) and name in ("module", "select")
    return value if is_word else _small_object(value)


def _sizes_of(name: str) -> dict[str, int]:
    return {option: QUICK_OPTIONS[option] for option in _LARGE[name]}
