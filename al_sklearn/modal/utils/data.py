"""Rows of any kind of data, by position.

ModAL's names for what :mod:`al_sklearn.pool` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from al_sklearn.rows import (
    concat_columns,
    concat_rows,
    n_rows,
    take_row,
    take_rows,
)

# What modAL calls its kinds of data.
modALinput = Any

__all__ = [
    "add_row",
    "data_hstack",
    "data_shape",
    "data_vstack",
    "drop_rows",
    "enumerate_data",
    "modALinput",
    "retrieve_rows",
]


def data_vstack(blocks: Sequence[Any]) -> Any:
    """Join rows of several blocks; of the kind of the first.

    Parameters
    ----------
    blocks : sequence of any kind of rows
        At least one.

    Returns
    -------
    rows

    Raises
    ------
    TypeError
        When the kinds cannot be joined.
    ValueError
        When the rows differ in shape.
    """
    joined = blocks[0]
    # A single block is of a known kind as well, or n_rows says that it is not.
    n_rows(joined)
    for block in blocks[1:]:
        joined = concat_rows(joined, block)
    return joined


def data_hstack(blocks: Sequence[Any]) -> Any:
    """Put the columns of several blocks side by side; of the kind of the first.

    Parameters
    ----------
    blocks : sequence of arrays, sparse matrices, DataFrames, tensors or lists
        With as many rows each.

    Returns
    -------
    rows

    Raises
    ------
    TypeError
        For other kinds.
    """
    for block in blocks:
        is_table = isinstance(block, (np.ndarray, list, pd.DataFrame))
        if not (is_table or sp.issparse(block) or _is_tensor(block)):
            raise TypeError(
                f"{type(block).__name__} has no columns that could be joined."
            )
    return concat_columns(list(blocks))


def add_row(X: Any, row: Any) -> Any:
    """Return the rows of X and then one more.

    Parameters
    ----------
    X : any kind of rows
    row : one row
        Without the first axis, or with it and one row.

    Returns
    -------
    rows
        Of the kind of X.
    """
    if isinstance(X, pd.DataFrame) and isinstance(row, pd.Series):
        # A Series has one dtype for all columns: each gets its own back.
        return concat_rows(X, row.to_frame().T.astype(X.dtypes))
    if isinstance(X, np.ndarray) or _is_tensor(X):
        return concat_rows(X, row.reshape(1, *X.shape[1:]))
    if isinstance(X, list):
        # A list of one row like the others is that row with its first axis.
        one = isinstance(row, list) and len(row) == 1 and isinstance(row[0], type(X[0]))
        return [*X, *(row if one else [row])]
    return concat_rows(X, row)


def retrieve_rows(X: Any, I: Any) -> Any:  # noqa: E741 - modAL's name
    """Take rows by position.

    Parameters
    ----------
    X : any kind of rows
    I : int, sequence of int, slice or mask
        Positions, never the labels of a pandas index.

    Returns
    -------
    rows
        For a single integer one row without the first axis: ``X[I]``, a Series of a
        DataFrame; a matrix of one row if sparse.
    """
    # numpy takes a slice for a scalar.
    if np.ndim(I) == 0 and not isinstance(I, slice):
        return take_row(X, int(I))
    return take_rows(X, I)


def drop_rows(X: Any, I: Any) -> Any:  # noqa: E741 - modAL's name
    """Return X without some rows, by position.

    Parameters
    ----------
    X : any kind of rows
    I : int or sequence of int
        Positions, never the labels of a pandas index.

    Returns
    -------
    rows
        Of the kind of X.
    """
    # By position for frames too: modAL drops by label, which may stand twice.
    return take_rows(X, np.delete(np.arange(n_rows(X)), I))


def enumerate_data(X: Any) -> Iterator[tuple[int, Any]]:
    """Go through the rows with their positions.

    Parameters
    ----------
    X : any kind of rows

    Yields
    ------
    position : int
    row
        As :func:`retrieve_rows` gives it.
    """
    for position in range(n_rows(X)):
        yield position, take_row(X, position)


def data_shape(X: Any) -> tuple[int, ...]:
    """Return the shape of X.

    Parameters
    ----------
    X : any kind of rows

    Returns
    -------
    tuple of int
        Only the number of rows where rows have no shape.
    """
    shape = getattr(X, "shape", None)
    if shape is not None:
        return tuple(shape)
    return np.shape(X) if isinstance(X, (list, tuple)) else (n_rows(X),)


def _is_tensor(X: Any) -> bool:
    return hasattr(X, "detach")
