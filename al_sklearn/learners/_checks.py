"""What may be taught: one label a row, nothing missing, rows like the rows before.

One clear sentence each.
"""

from __future__ import annotations

import difflib
import inspect
import math
import os
import sys
from collections.abc import Iterable
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.utils import get_tags

from al_sklearn._core.checks import check_same_length
from al_sklearn.rows import check_scale_follows, is_dict, iter_chunks, n_rows

# From where on a word passes for another one misspelt: X_trainig (.95) for X_training,
# not sample_weight, classes, X_val or epochs for anything here.
_MEANT = 0.8
# The check for NaN looks at about this many bytes at a time, whatever the size of X.
_CHUNK_BYTES = 2**24


def check_labelled(X: Any, y: Any, force_all_finite: bool = True) -> None:
    """Check that ``X`` and ``y`` can be learnt from; nothing is converted or copied.

    Parameters
    ----------
    X, y : any kind of rows
        What is about to be taught.
    force_all_finite : bool, default=True
        Whether NaN and infinite values are refused. Torch data sets are not searched:
        that would read each image.

    Raises
    ------
    TypeError
        When one of them has no length.
    ValueError
        When ``y`` is missing, both are empty, differ in length, or hold NaN or infinite
        values.
    """
    if y is None:
        raise ValueError(
            "Learning requires y to be passed, but the target y is None: give one "
            "label a row."
        )
    for name, rows in (("X", X), ("y", y)):
        check_several(name, rows)
    check_same_length(n_rows(X), n_rows(y))
    if n_rows(X) == 0:
        raise ValueError("X and y are empty: there is nothing to learn from.")
    if force_all_finite:
        for name, rows in (("X", X), ("y", y)):
            if not _all_finite(rows):
                raise ValueError(
                    f"{name} holds NaN, None or infinite values: clean it, or pass "
                    "force_all_finite=False to an "
                    "estimator that copes with them."
                )


def check_several(name: str, rows: Any) -> None:
    """Raise a ``ValueError`` for a single value where there is one entry a row."""
    if isinstance(rows, (Number, str, bytes)):
        raise ValueError(
            f"{name} is a single value, {rows!r}: give one entry a row, here "
            f"[{rows!r}]."
        )
    if getattr(rows, "shape", None) == ():
        raise ValueError(
            f"{name} is a single value: give one entry a row, for instance "
            f"{name}.reshape(1, -1)."
        )


def check_words(owner: Any, words: Iterable[str], estimator: Any) -> None:
    """Raise a ``TypeError`` for a parameter of a learner's that is misspelt.

    What a learner does not know goes to the estimator's ``fit``, which may take
    anything; only what nearly is one of the learner's own words is refused.

    Parameters
    ----------
    owner : learner
    words : iterable of str
        Arguments for ``fit``.
    estimator : estimator
        Whose ``fit`` may have such a parameter.
    """
    words = list(words)
    if not words:
        return
    methods = (type(owner).__init__, type(owner).fit, type(owner).teach)
    own = {name for method in methods for name in _parameters(method)} - {"self"}
    theirs = _parameters(getattr(estimator, "fit", None))
    for word in words:
        meant = difflib.get_close_matches(word, own, n=1, cutoff=_MEANT)
        if meant and word not in theirs:
            raise TypeError(
                f"{type(owner).__name__} has no parameter {word!r}: did you mean "
                f"{meant[0]!r}?"
            )


def _parameters(function: Any) -> set[str]:
    try:
        return {*inspect.signature(function).parameters}
    except (TypeError, ValueError):
        # No function, or one that is not written in Python.
        return set()


def check_follows(name: str, known: Any, new: Any) -> None:
    """Raise a ``ValueError`` unless rows of ``new`` look like those of ``known``."""
    shapes: Any = getattr(known, "shape", None), getattr(new, "shape", None)
    # What has no shape, a list of files, says nothing about its rows.
    if None not in shapes:
        before, now = (tuple(shape[1:]) for shape in shapes)
        if before != now:
            raise ValueError(
                f"The rows of {name} have shape {now}, those known so far have "
                f"{before}."
            )
    if name == "y" and {_is_text(known), _is_text(new)} == {True, False}:
        # numpy would join 3 and "3" into strings without a word.
        raise ValueError(
            "The new labels and those known so far must be both numbers or both "
            "strings."
        )


def check_scale(estimator: Any, known: Any, new: Any) -> None:
    """Raise a ``ValueError`` where images are to follow images of another scale.

    Of estimators that do not say that they take images, nothing is looked at: three
    axes of numbers may be anything.
    """
    if known is not None and _takes_images(estimator):
        check_scale_follows(known, new)


def _takes_images(estimator: Any) -> bool:
    parts = [estimator]
    if hasattr(estimator, "get_params"):
        # The steps of a pipeline, what a search or an ensemble wraps.
        parts += estimator.get_params(deep=True).values()
    return any(
        get_tags(part).input_tags.three_d_array
        for part in parts
        if hasattr(part, "__sklearn_tags__") and not isinstance(part, type)
    )


def _is_text(y: Any) -> bool | None:
    """Whether labels are strings; None where the type does not tell."""
    kind = getattr(getattr(y, "dtype", None), "kind", None)
    if kind in ("U", "S"):
        return True
    if kind in ("i", "u", "f", "b"):
        return False
    # Objects: the first tells, all of them would take as long as the fit.
    is_list = isinstance(y, (list, tuple)) or hasattr(y, "iloc") or kind == "O"
    first = next(iter(y), None) if is_list else None
    return None if first is None else isinstance(first, str)


def _all_finite(X: Any) -> bool:
    if is_dict(X):
        return all(_all_finite(part) for part in X.values())
    if isinstance(X, pd.DataFrame):
        # By position: two columns may have one name.
        return all(_all_finite(X.iloc[:, i]) for i in range(X.shape[1]))
    if isinstance(X, pd.Series):
        return not X.isna().any() and (
            X.dtype.kind not in "fc" or bool(np.isfinite(X.to_numpy()).all())
        )
    # Zeros that are not stored are finite.
    if sp.issparse(X):
        return _all_finite(X.tocsr().data)
    if isinstance(X, (list, tuple)):
        return all(_item_finite(item) for item in X)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(X, torch.Tensor):
        return not X.is_floating_point() or all(
            bool(torch.isfinite(part).all()) for _, part in _chunks(X)
        )
    kind = getattr(getattr(X, "dtype", None), "kind", None)
    if kind in ("f", "c"):
        return all(bool(np.isfinite(part).all()) for _, part in _chunks(X))
    if kind == "O":
        return all(not pd.isna(part).any() for _, part in _chunks(X))
    return True


def _item_finite(item: Any) -> bool:
    if item is None:
        return False
    if isinstance(item, (str, bytes, os.PathLike)):
        return True
    if isinstance(item, (float, np.floating)):
        return math.isfinite(item)
    return _all_finite(item)


def _chunks(X: Any) -> Any:
    # Of eight bytes: what is narrower is checked in smaller pieces than it could be.
    row_bytes = max(1, int(np.prod(X.shape[1:])) * 8)
    return iter_chunks(X, max(1, _CHUNK_BYTES // row_bytes))
