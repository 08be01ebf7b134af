"""Labels held out of the labelled ones.

For a search or a calibration, paid for like all others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_method_params,
    assert_all_finite,
    column_or_1d,
)

from al_sklearn._core.checks import check_same_length
from al_sklearn._core.stratified import hold_out
from al_sklearn._core.types import Array, Options
from al_sklearn.rows import n_rows, take_rows


def as_rows(X: Any) -> Any:
    """Return X, as an array or as numbers where it needs to become so.

    It becomes an array where it only knows how to, and numbers where its objects are
    some.
    """
    X = np.asarray(X) if hasattr(X, "__array__") and not hasattr(X, "__len__") else X
    if isinstance(X, np.ndarray) and X.dtype == object:
        try:
            return X.astype(np.float64)
        except (TypeError, ValueError):
            return X  # paths of images, for instance
    return X


def check_labels(y: Any, X: Any, estimator: Any) -> Array:
    """Return labels as an array, after checking that there is one for each row."""
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is "
            "None."
        )
    labels = column_or_1d(y, warn=True)
    assert_all_finite(labels, input_name="y")
    check_classification_targets(labels)
    check_same_length(n_rows(X), len(labels))
    return labels


def check_held_out(X_val: Any, y_val: Any) -> None:
    """Raise a ``ValueError`` unless a validation set of one's own is whole."""
    if (X_val is None) != (y_val is None):
        raise ValueError("X_val and y_val go together: give both or neither.")


def check_validation(validation: Any) -> None:
    """Raise a ``ValueError`` unless ``validation`` is a share or number of folds.

    A share is one of the rows.
    """
    share = isinstance(validation, (float, np.floating)) and 0 < validation < 1
    folds = (
        isinstance(validation, (int, np.integer))
        and not isinstance(validation, bool)
        and validation >= 2
    )
    if not (share or folds):
        raise ValueError(
            "validation must be a share of the labelled rows between 0 and 1, or a "
            "number of folds of at least 2, "
            f"got {validation!r}."
        )


@dataclass(frozen=True)
class Part:
    """One training: on these rows, measured on those."""

    X: Any
    y: Array
    X_val: Any
    y_val: Array
    fit_params: Options = field(default_factory=dict)


def make_parts(
    X: Any, y: Array, validation: Any, seed: int, fit_params: Any = None
) -> Iterator[Part]:
    """Yield a part for a share, or one for each fold; see :func:`validation_splits`.

    Arguments with one value a row go with their rows.
    """
    generator = np.random.default_rng(seed)
    for train, rest in validation_splits(y, validation, generator):
        params = _check_method_params(X, fit_params, train) if fit_params else {}
        yield Part(take_rows(X, train), y[train], take_rows(X, rest), y[rest], params)


def validation_splits(
    y: Array, validation: float | int, generator: np.random.Generator
) -> Iterator[tuple[Array, Array]]:
    """Yield (training, validation) positions.

    Once for a share, once a fold for a number of folds.

    Parameters
    ----------
    y : array of shape (n,)
        Labels.
    validation : float or int
        Share held out, stratified; at least one row, and every class keeps a row to
        learn from. Or the number of stratified folds.
    generator : Generator
        Source of the draws.

    Raises
    ------
    ValueError
        When no row can be spared, or a class has fewer rows than there are folds.
    """
    check_validation(validation)
    _, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    if isinstance(validation, (int, np.integer)):
        if counts.min() < validation:
            raise ValueError(
                f"validation={validation} folds need {validation} labels of each "
                f"class, the rarest has {counts.min()}; "
                "use fewer folds or a share, or give X_val and y_val."
            )
        seed = int(generator.integers(2**31 - 1))
        yield from StratifiedKFold(
            int(validation), shuffle=True, random_state=seed
        ).split(codes, codes)
        return
    # Each class keeps one to learn from.
    spare = len(codes) - len(counts)
    if spare == 0:
        raise ValueError(
            f"No label can be held out for validation (n_samples = {len(codes)}): "
            "each class has one only. Label "
            "more, or give X_val and y_val."
        )
    yield hold_out(codes, min(max(1, round(validation * len(codes))), spare), generator)
