"""Rows out of any kind of X, by position, read only when they are asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp


def n_rows(X: Any) -> int:
    """Return the number of rows (images) of any kind of X.

    Raises
    ------
    TypeError
        When X has no length; what is allowed is listed.
    ValueError
        When the parts of a dict differ in length.
    """
    if isinstance(X, Mapping):
        lengths = {key: n_rows(value) for key, value in X.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(
                f"The parts of a dict must have the same length, got {lengths}."
            )
        return next(iter(lengths.values()))
    shape = getattr(X, "shape", None)
    if shape is not None and len(shape) > 0:
        return int(shape[0])
    try:
        return len(X)
    except TypeError:
        raise TypeError(
            "X must be an array, memmap, HDF5 dataset, sparse matrix, tensor, "
            "DataFrame, list, dict of these, "
            f"torch Dataset or SliceDataset; got {type(X).__name__}, which has no "
            "length."
        ) from None


def are_files(X: Any) -> bool:
    """Whether the rows of X are names of files.

    A list or an array of paths, or a view of one.
    """
    if isinstance(X, RowView):
        X = X.base
    if isinstance(X, np.ndarray):
        return X.dtype.kind == "U" or (
            X.dtype == object and len(X) > 0 and isinstance(X[0], (str, os.PathLike))
        )
    return (
        isinstance(X, (list, tuple))
        and len(X) > 0
        and isinstance(X[0], (str, os.PathLike))
    )


def as_positions(indices: Any, n: int) -> np.ndarray:
    """Positions in 0 … n-1 as int64 from a slice, mask, list, array or integer."""
    if isinstance(indices, slice):
        return np.arange(n, dtype=np.int64)[indices]
    array = np.asarray(indices)
    if array.dtype == bool:
        if array.shape != (n,):
            raise ValueError(
                f"A mask over {n} rows must have shape ({n},), got {array.shape}."
            )
        return np.flatnonzero(array).astype(np.int64)
    if array.size == 0:
        return np.empty(0, dtype=np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(
            "Rows are taken by integer positions, a slice or a mask, got dtype "
            f"{array.dtype}."
        )
    array = np.atleast_1d(array).astype(np.int64, copy=False)
    if array.ndim != 1:
        raise ValueError(f"Positions must be one-dimensional, got shape {array.shape}.")
    if array.min() < -n or array.max() >= n:
        raise IndexError(
            f"Positions must be from 0 to {n - 1}, got {array.min()} … {array.max()}."
        )
    return np.where(array < 0, array + n, array) if array.min() < 0 else array


def _is_torch_dataset(X: Any) -> bool:
    # Who has such a data set has imported its library; nobody else must wait for it.
    torch_data = sys.modules.get("torch.utils.data")
    return torch_data is not None and isinstance(X, torch_data.Dataset)


def _is_slice_dataset(X: Any) -> bool:
    skorch_helper = sys.modules.get("skorch.helper")
    return skorch_helper is not None and isinstance(X, skorch_helper.SliceDataset)


def is_data_set(X: Any) -> bool:
    """Whether X is a torch data set, or skorch's slice of one."""
    return _is_torch_dataset(X) or _is_slice_dataset(X)


def _is_hdf5(X: Any) -> bool:
    h5py = sys.modules.get("h5py")
    return h5py is not None and isinstance(X, h5py.Dataset)


def take_rows(X: Any, indices: Any) -> Any:
    """Take rows of any kind of X.

    The result is of the same kind where that kind can hold a selection.

    Parameters
    ----------
    X : any kind of rows
        An ndarray, memmap, HDF5 dataset, sparse matrix, tensor, DataFrame, Series,
        list, tuple, dict of these, torch Dataset or Subset, skorch SliceDataset or
        RowView. Only the rows asked for are read.
    indices : int array, slice, bool mask or int
        Positions (never pandas labels), in the order wanted; repeats are allowed.

    Returns
    -------
    rows
        An in-memory array for memmaps and HDF5; a ``Subset`` on the base data set for
        torch data sets (a subset of a subset is composed); a ``SliceDataset`` for a
        ``SliceDataset``; else the kind of X. A slice of an ndarray, memmap or tensor is
        a view.

    Raises
    ------
    IndexError, TypeError, ValueError
        For positions outside X, not integers, or a mask of another length.
    """
    if isinstance(X, Mapping):
        return {key: take_rows(value, indices) for key, value in X.items()}
    if isinstance(X, RowView):
        return take_rows(X.base, X.indices[as_positions(indices, len(X))])
    # Slices before positions: these give a view, or one read, instead of a copy.
    if isinstance(X, np.ndarray) and isinstance(indices, slice):
        return X[indices]
    if _is_hdf5(X) and isinstance(indices, slice) and (indices.step or 1) > 0:
        return X[indices]
    positions = as_positions(indices, n_rows(X))
    if isinstance(X, np.ndarray):
        # A memmap's rows are read now; as a memmap they would pass for a file.
        return np.asarray(X[positions])
    if hasattr(X, "iloc"):
        return X.iloc[positions]
    if sp.issparse(X):
        return (
            sp.csr_array(X)[positions]
            if isinstance(X, sp.sparray)
            else X.tocsr()[positions]
        )
    if _is_hdf5(X):
        # HDF5 reads increasing positions only: read each row once, then put them in the
        # order asked for.
        unique, inverse = np.unique(positions, return_inverse=True)
        return X[unique][inverse]
    if _is_slice_dataset(X):
        # Its own indexing gives a slice of the same data set, nothing read yet.
        return X[positions]
    if _is_torch_dataset(X):
        subset = sys.modules["torch.utils.data"].Subset
        if type(X) is subset:
            # Composed: a subset of a subset of … would be walked for every item.
            return subset(X.dataset, np.asarray(X.indices)[positions].tolist())
        return subset(X, positions.tolist())
    if isinstance(X, (list, tuple)):
        return type(X)([X[i] for i in positions.tolist()])
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(X, torch.Tensor):
        # Torch knows no negative strides, neither of slices nor of positions.
        if isinstance(indices, slice) and (indices.step or 1) > 0:
            return X[indices]
        return X[torch.as_tensor(np.ascontiguousarray(positions), device=X.device)]
    # Anything else that can be indexed by an array (Zarr, pandas' own arrays, …).
    return X[positions]


def concat_rows(a: Any, b: Any) -> Any:
    """Return the rows of ``a`` followed by those of ``b``, of the kind of ``a``.

    Two subsets of one data set stay one lazy ``Subset``; two slices of one
    ``SliceDataset`` stay one.

    Raises
    ------
    TypeError
        When the two kinds cannot be joined.
    ValueError
        When the rows differ in shape.
    """
    if isinstance(a, Mapping):
        if not isinstance(b, Mapping) or set(a) != set(b):
            raise TypeError(
                f"Rows of a dict with keys {sorted(a)} can only be joined with the "
                "same keys."
            )
        return {key: concat_rows(a[key], b[key]) for key in a}
    # What grows by concatenation is held in memory from then on.
    if isinstance(a, RowView):
        a = a.rows()
    if isinstance(b, RowView):
        b = b.rows()
    if hasattr(a, "iloc"):
        import pandas as pd

        if not hasattr(b, "iloc"):
            # Named like what they join, or pandas would put them into columns of their
            # own.
            b = (
                pd.DataFrame(b, columns=a.columns)
                if isinstance(a, pd.DataFrame)
                else pd.Series(b, name=a.name)
            )
        elif isinstance(a, pd.DataFrame) and set(a.columns) != set(b.columns):
            raise ValueError(
                f"Rows with columns {list(b.columns)} cannot follow rows with columns "
                f"{list(a.columns)}."
            )
        return pd.concat([a, b])
    if sp.issparse(a) or sp.issparse(b):
        return sp.vstack([a, b], format="csr")
    if (
        _is_slice_dataset(a)
        and _is_slice_dataset(b)
        and a.dataset is b.dataset
        and a.idx == b.idx
    ):
        return type(a)(
            a.dataset, idx=a.idx, indices=np.concatenate([a.indices_, b.indices_])
        )
    if _is_torch_dataset(a) and _is_torch_dataset(b):
        torch_data = sys.modules["torch.utils.data"]
        if (
            type(a) is torch_data.Subset
            and type(b) is torch_data.Subset
            and a.dataset is b.dataset
        ):
            return torch_data.Subset(a.dataset, [*a.indices, *b.indices])
        # Kept flat: one level more for each batch taught would soon be slow, and then
        # too deep.
        parts = a.datasets if type(a) is torch_data.ConcatDataset else [a]
        return torch_data.ConcatDataset([*parts, b])
    if isinstance(a, (list, tuple)):
        return type(a)([*a, *b])
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(a, torch.Tensor):
        new = torch.as_tensor(b, device=a.device)
        if new.is_floating_point() and not a.is_floating_point():
            # Cast to whole numbers, images from 0 to 1 would all be black.
            raise ValueError(
                f"Rows of {new.dtype} cannot follow rows of {a.dtype}: their "
                "fractions would be lost."
            )
        return torch.cat([a, new.to(a.dtype)])
    left, right = np.asarray(a), np.asarray(b)
    if left.shape[1:] != right.shape[1:]:
        raise ValueError(
            f"Rows of shape {right.shape[1:]} cannot follow rows of shape "
            f"{left.shape[1:]}."
        )
    return np.concatenate([left, right])


def concat_columns(parts: list[Any]) -> Any:
    """Put the columns of several X of as many rows side by side; kind of the first.

    Arrays, sparse matrices, DataFrames, tensors or lists.
    """
    if len(parts) == 1:
        return parts[0]
    # One sparse part makes all sparse: dense, its zeros would not fit into memory.
    if any(sp.issparse(part) for part in parts):
        return sp.hstack(parts, format="csr")
    if hasattr(parts[0], "iloc"):
        return sys.modules["pandas"].concat(parts, axis=1)
    if hasattr(parts[0], "detach"):
        return sys.modules["torch"].cat(parts, dim=1)
    joined = np.hstack([np.asarray(part) for part in parts])
    return joined.tolist() if isinstance(parts[0], list) else joined


def take_row(X: Any, position: int) -> Any:
    """Return one row without its first axis where X can do so: ``X[i]``, a Series.

    One row of a sparse matrix.
    """
    rows = take_rows(X, [position])
    if isinstance(rows, dict):
        return {key: take_row(value, 0) for key, value in rows.items()}
    if hasattr(rows, "iloc"):
        return rows.iloc[0]
    return rows if sp.issparse(rows) else rows[0]


class RowView:
    """Some rows of an array-like X, read only when asked for.

    Parameters
    ----------
    base : array-like
        The X that the caller gave.
    indices : int array of shape (m,)
        Positions in ``base``.
    """

    def __init__(self, base: Any, indices: Any):
        self.base = base
        self.indices = as_positions(indices, n_rows(base))

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the rows once read, as ``numpy`` would say it."""
        return (
            len(self.indices),
            *getattr(self.base, "shape", (len(self.indices),))[1:],
        )

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> Any:
        """Type of the values of ``base``."""
        return self.base.dtype

    def __getitem__(self, key: Any) -> Any:
        rows = take_rows(self.base, self.indices[as_positions(key, len(self))])
        if not isinstance(key, (int, np.integer)):
            return rows
        # By position: a frame's [0] would be a column.
        return rows.iloc[0] if hasattr(rows, "iloc") else rows[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.rows(), dtype=dtype)

    def __repr__(self) -> str:
        return (
            f"RowView of {len(self)} of {n_rows(self.base)} rows of "
            f"{type(self.base).__name__}"
        )

    def rows(self) -> Any:
        """Read all the rows now; the kind of ``base``."""
        return take_rows(self.base, self.indices)


def view_rows(X: Any, indices: Any) -> Any:
    """Look at some rows of X without reading them.

    Torch data sets, ``SliceDataset`` and lists, which are lazy already, give a
    selection of their own kind; everything else gives a :class:`RowView`. A view of a
    view is one view on the base.
    """
    if isinstance(X, RowView):
        return RowView(X.base, X.indices[as_positions(indices, len(X))])
    if (
        isinstance(X, (list, tuple, Mapping))
        or _is_torch_dataset(X)
        or _is_slice_dataset(X)
    ):
        return take_rows(X, indices)
    return RowView(X, indices)


def iter_chunks(X: Any, chunk_rows: int) -> Iterator[tuple[slice, Any]]:
    """Yield ``(slice, rows)`` over X, ``chunk_rows`` rows at a time.

    Each chunk is read when it is reached.
    """
    if chunk_rows < 1:
        raise ValueError(f"chunk_rows must be at least 1, got {chunk_rows}.")
    for start in range(0, n_rows(X), chunk_rows):
        part = slice(start, min(start + chunk_rows, n_rows(X)))
        yield part, take_rows(X, part)
