"""A validation set that the data bring along, beside the pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from al_sklearn._core.types import Array
from al_sklearn.exceptions import ParameterError
from al_sklearn.experiments.protocol._data import check_rows
from al_sklearn.loop import Problem
from al_sklearn.rows import concat_rows, n_rows
from al_sklearn.tasks import Classification


class Validation(NamedTuple):
    """Checked images and labels for validation."""

    X: Any
    y: Array


def check_validation(
    X_val: Any, y_val: Any, settings: Any, classes: Array
) -> Validation | None:
    """Check a validation set; None where none is given.

    Raises
    ------
    ValueError
        When a part is missing, lengths differ, or it holds a class that ``y`` lacks.
    ParameterError
        When ``validation_size`` asks for another one, or none of its labels is left of
        the budget.
    """
    if X_val is None and y_val is None:
        return None
    if X_val is None or y_val is None:
        missing = "X_val" if X_val is None else "y_val"
        raise ValueError(f"A validation set has X_val and y_val; {missing} is missing.")
    if settings.validation_size is not None:
        raise ParameterError(
            f"validation_size={settings.validation_size} draws a validation set, and "
            "X_val is one: give one of them.",
            "validation_size",
        )
    X_val = check_rows(X_val, settings.estimator, "X_val")
    y_val = Classification.check_labels(y_val, n_rows(X_val), "y_val")
    unknown = np.setdiff1d(y_val, classes)
    if len(unknown):
        raise ValueError(
            f"y_val holds classes that y does not: {unknown.tolist()[:5]}."
        )
    return Validation(X_val, y_val)


def with_validation(
    problems: Sequence[Problem], validation: Validation | None, budget: float | None
) -> list[Problem]:
    """Put a validation set behind the pool of each problem.

    Its labels count as those of ``validation_size`` do: somebody has paid for them.
    """
    if validation is None:
        return list(problems)
    # Most seeds have one X: it is joined once.
    joined: dict[int, Any] = {}
    found = []
    for problem in problems:
        n, m = n_rows(problem.X), len(validation.y)
        if id(problem.X) not in joined:
            joined[id(problem.X)] = concat_rows(problem.X, validation.X)
        enough = len(problem.initial) + m
        if problem.budget is not None and problem.budget < enough:
            raise ParameterError(
                f"budget={budget} is {problem.budget} labels; the initial set has "
                f"{len(problem.initial)} and X_val {m} already.",
                "budget",
            )
        truth, outside = problem.truth, problem.outside
        found.append(
            replace(
                problem,
                X=joined[id(problem.X)],
                y=np.concatenate([problem.y, validation.y]),
                validation=np.arange(n, n + m, dtype=np.int64),
                truth=None if truth is None else np.concatenate([truth, validation.y]),
                outside=None if outside is None else np.append(outside, [False] * m),
            )
        )
    return found
