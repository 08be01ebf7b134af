"""What an experiment and a comparison are told, and what of it can be checked alone."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from numbers import Integral
from typing import Any, Final

import numpy as np
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    RealNotInt,
    StrOptions,
)

from al_sklearn.exceptions import ParameterError
from al_sklearn.experiments.hard_pools import PoolTransform
from al_sklearn.inference.fitting import learns_from_validation
from al_sklearn.loop import TRAINING, check_training
from al_sklearn.loop.labelling_rate import LabellingRate
from al_sklearn.loop.stopping import StoppingCriterion
from al_sklearn.tasks import scorers_of

# 1 is one image, 1.0 is all of them: the type tells, as in scikit-learn.
_COUNT: Final = Interval(Integral, 1, None, closed="left")
_COUNT_OR_SHARE: Final = [_COUNT, Interval(RealNotInt, 0, 1, closed="right")]
# What is held out must leave something to learn from.
_COUNT_OR_PART: Final = [_COUNT, Interval(RealNotInt, 0, 1, closed="neither")]
_COLUMN: Final = "validation_accuracy"
# The parameters that an experiment and a comparison share.
PROTOCOL_CONSTRAINTS: dict[str, list[Any]] = {
    "estimator": [HasMethods(["fit", "predict"])],
    "n_initial": _COUNT_OR_SHARE,
    "n_instances": [*_COUNT_OR_SHARE, LabellingRate],
    "n_rounds": [Interval(Integral, 0, None, closed="left"), None],
    "initial": [str, callable],
    "min_per_class": [_COUNT, None],
    "test_size": _COUNT_OR_PART,
    "training": [StrOptions(set(TRAINING))],
    "scoring": [str, callable, list, tuple, dict, None],
    "stopping": [StoppingCriterion, None],
    "callbacks": [list, tuple, None],
    "splits": [str, os.PathLike, list, tuple, None],
    "budget": [*_COUNT_OR_SHARE, None],
    "validation_size": [*_COUNT_OR_PART, None],
    "first_params": [Mapping, None],
    "later_params": [Mapping, None],
    "test_each_epoch": ["boolean"],
    "pool": [PoolTransform, list, tuple, None],
    "random_state": ["random_state", np.random.Generator, np.random.SeedSequence],
    "verbose": ["verbose"],
}

# Options that describe a run only where they are given: one that is added later leaves
# the runs without it the runs they were.
LATER_OPTIONS: Final = (
    "min_per_class",
    "stopping",
    "budget",
    "validation_size",
    "pool",
    "splits",
    "first_params",
    "later_params",
)


def check_protocol(settings: Any) -> None:
    """Raise a ``ValueError`` for incomplete or contradictory settings."""
    ends = (settings.n_rounds, settings.budget, settings.stopping)
    if all(end is None for end in ends):
        raise ValueError(
            "n_rounds=None goes on until the budget is spent or a criterion says "
            "stop; give one of them."
        )
    check_training(settings.estimator, settings.training)
    scorers_of(settings.scoring)
    if settings.training == "only_new":
        # It used to go on, with the word that learners have for forgetting.
        warnings.warn(
            "training='only_new' fits each round's model on the new batch alone and "
            "forgets the rest, as a learner's does; to go on from the round before "
            "with the new batch is training='incremental'.",
            stacklevel=4,
        )
    if settings.validation_size is not None:
        _check_validation_column(settings)
    for name in ("first_params", "later_params"):
        # Said now, and not by the second round's set_params after an hour.
        unknown = set(getattr(settings, name) or {}) - set(
            settings.estimator.get_params(deep=True)
        )
        if unknown:
            raise ValueError(
                f"{name} names {sorted(unknown)[0]!r}, which is no parameter of "
                f"{type(settings.estimator).__name__}."
            )


def _check_validation_column(settings: Any) -> None:
    """Say why there is no validation_accuracy, or refuse what wants to look at it."""
    if not learns_from_validation(settings.estimator):
        return
    why = (
        f"{type(settings.estimator).__name__} learns from the validation set in the "
        f"end, so that its {_COLUMN} would be training accuracy"
    )
    for name in ("stopping", "n_instances"):
        if _looks_at(getattr(settings, name)):
            raise ParameterError(
                f"{name} looks at {_COLUMN}, which is not there: {why}. Give "
                "refit='training', or another metric.",
                name,
                "estimator",
            )
    warnings.warn(
        f"There is no column {_COLUMN}: {why}. With refit='training' there is one.",
        stacklevel=5,
    )


def _looks_at(rule: Any) -> bool:
    """Whether a stopping rule or labelling rate, or one inside, looks at the column."""
    inside = getattr(rule, "criteria", ())
    return getattr(rule, "metric", None) == _COLUMN or any(map(_looks_at, inside))
