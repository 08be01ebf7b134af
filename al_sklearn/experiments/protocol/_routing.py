"""Further arguments of ``fit``: on their way to the estimator, as scikit-learn says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sklearn import get_config
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)

from al_sklearn._core.types import Options
from al_sklearn.rows import n_rows

# What has one value a row wherever scikit-learn takes it.
_OF_ROWS: Final = ("sample_weight", "groups")


def router_of(settings: Any) -> MetadataRouter:
    """Say where metadata goes: to ``fit`` of the estimator, in every round."""
    mapping = MethodMapping().add(caller="fit", callee="fit")
    router = MetadataRouter(owner=settings).add_self_request(settings)
    return router.add(estimator=settings.estimator, method_mapping=mapping)


def route_fit_options(settings: Any, given: Mapping[str, Any], n: int) -> Options:
    """Return what the estimator's ``fit`` is given beside rows and labels.

    Parameters
    ----------
    settings : ActiveLearningExperiment or StrategyComparison
    given : dict
        All that its own ``fit`` was given: all of it for the estimator, or, where
        metadata routing is on, what the estimator requests.
    n : int
        Rows of X.

    Raises
    ------
    TypeError
        For a validation set, which an experiment draws and counts itself.
    ValueError
        For weights or groups that are not as many as there are rows.
    """
    for name in ("X_val", "y_val"):
        if name in given:
            # Whoever learns from it would have it for nothing.
            raise TypeError(
                f"fit of {type(settings).__name__} takes no {name}: give "
                "validation_size=, whose labels count."
            )
    options = {name: value for name, value in given.items() if value is not None}
    for name, value in options.items():
        if name.rpartition("__")[2] in _OF_ROWS and n_rows(value) != n:
            raise ValueError(
                f"{name} must have one value for each of the {n} rows of X, got "
                f"{n_rows(value)}."
            )
    if not options or not get_config()["enable_metadata_routing"]:
        return options
    return dict(process_routing(settings, "fit", **options).estimator.fit)


def split_by_rows(options: Mapping[str, Any], n: int) -> dict[str, Options]:
    """Split arguments of ``fit`` into those with one value a row, and the others.

    Returns
    -------
    dict
        ``fit_options`` and ``row_options``, as of a problem.
    """
    of_rows = {name: value for name, value in options.items() if _has_rows(value, n)}
    others = {name: value for name, value in options.items() if name not in of_rows}
    return {"fit_options": others, "row_options": of_rows}


def _has_rows(value: Any, n: int) -> bool:
    if isinstance(value, (str, bytes, Mapping)) or getattr(value, "shape", None) == ():
        return False
    return hasattr(value, "__len__") and n_rows(value) == n
