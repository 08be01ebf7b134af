"""What a caller gives, checked once: rows of any kind, labels, and the test set."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Number
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.utils import check_array

from al_sklearn import inference
from al_sklearn._core.types import Array
from al_sklearn.loop.labelling_rate import LabellingRate
from al_sklearn.rows import (
    RowView,
    are_files,
    is_dict,
    n_rows,
    take_rows,
    view_rows,
)
from al_sklearn.tasks import Classification

# numpy's kinds of text: fixed width, bytes, and StringDType.
_TEXT = "UST"
# In a list, beside names of files: bytes, dicts of features.
_WHOLE_ITEMS = (bytes, Mapping)


def reads_lazily(X: Any) -> bool:
    """Whether X is read row by row and not as one array.

    Files, texts, dicts, torch data sets, tensors, memmaps, HDF5.
    """
    # Names of files are read as they are needed, whatever lists them.
    if are_files(X):
        return True
    # A list of lists is an array in another coat.
    if isinstance(X, (list, tuple)):
        return len(X) > 0 and isinstance(X[0], _WHOLE_ITEMS)
    if isinstance(X, np.ndarray):
        return isinstance(X, np.memmap) or (X.ndim == 1 and _holds_items(X))
    if hasattr(X, "iloc"):
        return len(X.shape) == 1  # a column of files
    if is_dict(X) or isinstance(X, (RowView, torch.Tensor)) or hasattr(X, "chunks"):
        return True
    return not (sp.issparse(X) or hasattr(X, "iloc") or hasattr(X, "__array__"))


def check_rows(X: Any, estimator: Any, name: str = "X") -> Any:
    """Check what can be checked without reading files.

    Two axes at least; numbers, finite, unless the estimator takes others.

    Arrays keep their type (uint8 stays uint8), DataFrames are checked and returned as
    they are, and so is what :func:`reads_lazily`.
    """
    is_plain = isinstance(X, np.ndarray) or hasattr(X, "iloc") or reads_lazily(X)
    if hasattr(X, "__array__") and not is_plain:
        # Arrays of other libraries, such as pandas' of texts, are arrays.
        X = np.asarray(X)
    # Only that it has a length: reading all of it here would double the cost of a run.
    if reads_lazily(X):
        n_rows(X)
        return X
    if sp.issparse(X) and X.format in ("dok", "lil"):
        # Kept key by key, or row by row: scikit-learn cannot look for NaN in them.
        X = X.tocsr()
    # What the estimator takes is its own to say: NaN, text, sparse rows.
    takes_any = hasattr(X, "iloc") or _has_text(X)
    checked = check_array(
        X,
        accept_sparse=inference.takes_sparse(estimator),
        dtype=None if takes_any else "numeric",
        ensure_all_finite=not inference.takes_nan(estimator),
        allow_nd=True,
        input_name=name,
        estimator=estimator,
    )
    # A DataFrame stays one: its columns have names that the estimator may want.
    return X if hasattr(X, "iloc") else checked


def check_test_set(
    X_test: Any, y_test: Any, classes: Array, estimator: Any
) -> tuple[Any, Array]:
    """Check a test set: both parts there, same length, no class that ``y`` lacks."""
    if X_test is None or y_test is None:
        missing = "X_test" if X_test is None else "y_test"
        raise ValueError(f"A test set has X_test and y_test; {missing} is missing.")
    # The same checks as X's, under its own name in the messages.
    X_test = check_rows(X_test, estimator, "X_test")
    n = n_rows(X_test)
    if n == 0:
        raise ValueError("The test set is empty.")
    if n != len(y_test):
        raise ValueError(
            f"X_test and y_test must have the same length, got {n} images and "
            f"{len(y_test)} labels."
        )
    y_test = Classification.check_labels(y_test, n, "y_test")
    # A class that cannot be learnt would make every metric a riddle.
    unknown = np.setdiff1d(y_test, classes)
    if len(unknown):
        raise ValueError(
            f"y_test holds classes that y does not: {unknown.tolist()[:5]} (what "
            "OutOfDistribution names is none)."
        )
    # A view of all rows is read in pieces wherever it is, even where joblib maps arrays
    # into memory itself.
    return (
        view_rows(X_test, slice(None)) if isinstance(X_test, np.memmap) else X_test
    ), y_test


def check_share(value: float, n: int) -> int:
    """Turn a count, or a share of ``n`` (to 1.0), into a count of at least one."""
    # 1 is one image, 1.0 is all of them: the type tells, not the size.
    if isinstance(value, Integral):
        return int(value)
    return max(1, round(value * n))


def check_n_instances(value: float | LabellingRate, n: int) -> int | LabellingRate:
    """Turn a share of ``n`` into a count; a labelling rate stays one."""
    return value if isinstance(value, LabellingRate) else check_share(value, n)


def select(X: Any, positions: Array) -> Any:
    """Take rows that are used again and again.

    Read now where X is in memory, looked at where it is not.
    """
    return view_rows(X, positions) if reads_lazily(X) else take_rows(X, positions)


def _holds_items(X: Array) -> bool:
    """Whether the entries of a 1-D array are rows: paths, texts, dicts, images."""
    if X.dtype.kind != "O":
        return X.dtype.kind in _TEXT
    return X.size > 0 and not isinstance(X[0], Number)


def _has_text(X: Any) -> bool:
    """Whether a table holds text, which only the estimator knows what to do with."""
    if sp.issparse(X):
        return False
    X = np.asarray(X) if isinstance(X, (list, tuple)) else X
    if X.dtype.kind != "O":
        return X.dtype.kind in _TEXT
    return any(isinstance(value, str) for value in X.flat)
