"""The same experiment in small: what ``--quick`` leaves of each size."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final

from al_sklearn.experiments.comparison import StrategyComparison

# What --quick leaves of each size; see docs/experiment-files.md.
QUICK_POOL: Final = 60
QUICK_TEST: Final = 30
QUICK_COMPARISON: Final = {
    "n_initial": 20,
    "n_instances": 10,
    "n_rounds": 1,
    "n_seeds": 2,
}
QUICK_TRAINING: Final = {"max_epochs": 1, "iterator_train__min_batches": 1}
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


def shrunk(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of an experiment file, cut down."""
    data = {**spec["data"]}
    data["pool_size"] = min(data.get("pool_size") or QUICK_POOL, QUICK_POOL)
    data["test_size"] = min(data.get("test_size") or QUICK_TEST, QUICK_TEST)
    comparison = {**(spec.get("comparison") or {})}
    defaults = inspect.signature(StrategyComparison).parameters
    for name, most in QUICK_COMPARISON.items():
        value = comparison.get(name, defaults[name].default)
        if isinstance(value, int):
            comparison[name] = min(value, most)
        elif name == "n_initial":
            # A share of so few images may be one a class, of which nothing can be held
            # out.
            comparison[name] = most
    if "later_params" in comparison:
        comparison["later_params"] = _small_object(comparison["later_params"])
    if "first_params" in comparison:
        comparison["first_params"] = _small_object(comparison["first_params"])
    objects = {name: _small_object(spec[name]) for name in ("estimator", "strategies")}
    return {**spec, "data": data, "comparison": comparison, **objects}


# What has a size by default, where the file does not say it.
_SIZED: Final[dict[str, dict[str, int]]] = {
    "ImageClassifier": QUICK_TRAINING,
    "LossPredictionClassifier": QUICK_TRAINING,
    "TunedClassifier": {"n_trials": 2},
    "vaal": {"n_steps": 5},
    "vaal_distance": {"n_steps": 5},
}


def _small_object(spec: Any) -> Any:
    if isinstance(spec, list):
        return [_small_object(part) for part in spec]
    if isinstance(spec, str):
        return {spec: dict(_SIZED[spec])} if spec in _SIZED else spec
    if not isinstance(spec, Mapping):
        return spec
    small: dict[Any, Any] = {}
    for name, value in spec.items():
        if name in _SIZED and not isinstance(value, list):
            # One value that is no mapping is the first option, which for these is the
            # network.
            options = (
                value
                if isinstance(value, Mapping)
                else {}
                if value is None
                else {"module": value}
            )
            value = {**_SIZED[name], **options}
        if name in QUICK_OPTIONS and isinstance(value, int):
            small[name] = min(value, QUICK_OPTIONS[name])
        else:
            small[name] = (
                value
                if isinstance(value, str) and name in ("module", "select")
                else _small_object(value)
            )
    return small
