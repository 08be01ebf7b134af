"""Rows out of any kind of X, by position, read only when they are asked for."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeGuard

import numpy as np
import scipy.sparse as sp

from al_sklearn._core.optional import is_a
from al_sklearn._core.types import Array
from al_sklearn.rows._frames import concat_frames

# What pandas calls one column, by the names it exports.
_COLUMNS: Final = ("Series", "Index", "api.extensions.ExtensionArray")


def n_rows(X: Any) -> int:
    """Return the number of rows (images) of any kind of X.

    Raises
    ------
    TypeError
        When X has no length; what is allowed is listed.
    ValueError
        When the parts of a dict differ in length.
    """
    if is_dict(X):
        lengths = {key: n_rows(value) for key, value in X.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(
                f"The parts of a dict must have the same length, got {lengths}."
            )
        return next(iter(lengths.values()))
    if getattr(X, "shape", ()):
        return int(X.shape[0])
    try:
        return len(X)
    except TypeError:
        raise TypeError(
            "X must be an array, memmap, HDF5 dataset, sparse matrix, tensor, "
            "DataFrame, list, dict of these, "
            f"torch Dataset or SliceDataset; got {type(X).__name__}, which has no "
            "length."
        ) from None


def is_dict(X: Any) -> TypeGuard[Mapping[Any, Any]]:
    """Whether X is a dict of rows by name; sparse matrices of keys are dicts, too."""
    return isinstance(X, Mapping) and not sp.issparse(X)


def are_files(X: Any) -> bool:
    """Whether the rows of X are names of files.

    A list, an array or a pandas column of paths, or a view of one.
    """
    base = X.base if isinstance(X, RowView) else X
    if isinstance(base, np.ndarray) and base.dtype != object:
        # "T" is numpy's StringDType.
        return base.dtype.kind in "UT" and base.ndim == 1
    is_sequence = isinstance(base, (list, tuple, np.ndarray)) or is_column(base)
    if not is_sequence or len(base) == 0:
        return False
    # The first tells: whoever mixes names with other things hears of it when read.
    first = base.iloc[0] if hasattr(base, "iloc") else base[0]
    return isinstance(first, (str, os.PathLike))


def file_names(X: Any) -> list[str]:
    """Return the names of files in a list, an array or a pandas column, by position."""
    rows = X.rows() if isinstance(X, RowView) else X
    return [os.fspath(path) for path in rows]


def is_column(X: Any) -> bool:
    """Whether X is one column of pandas: a Series, an Index, or the array of one."""
    return any(is_a(X, f"pandas.{kind}") for kind in _COLUMNS)


def plain_labels(y: Any) -> Any:
    """Return text of pandas' and numpy's newer kinds as an array of str.

    A missing one makes it an array of objects, in which it can be found. Anything else
    comes back as it is.

    Examples
    --------
    >>> import numpy as np
    >>> plain_labels(np.array(["a", "b"], dtype=np.dtypes.StringDType())).dtype
    dtype('<U1')
    """
    kind = getattr(getattr(y, "dtype", None), "kind", None)
    if not (kind == "T" or is_column(y)):
        return y
    values = np.asarray(y)
    # Numbers and numpy's own text have no other way to say what they hold.
    if values.dtype.kind not in "OT":
        return values
    objects = values.astype(object)
    if all(isinstance(value, str) for value in objects.tolist()):
        return objects.astype(str)
    return objects


def as_positions(indices: Any, n: int) -> Array:
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
    low = array.min()
    high = array.max()
    if low < -n or high >= n:
        raise IndexError(f"Positions must be from 0 to {n - 1}, got {low} … {high}.")
    # Those from the end, as Python counts them.
    return array % n if low < 0 else array


def is_tensor(X: Any) -> bool:
    """Whether X is a torch tensor."""
    return is_a(X, "torch.Tensor")


def _is_torch_dataset(X: Any) -> bool:
    return is_a(X, "torch.utils.data.Dataset")


def is_hugging_face(X: Any) -> bool:
    """Whether X is a data set of Hugging Face: items are dicts, rows are selected."""
    return is_a(X, "datasets.Dataset")


def _is_slice_dataset(X: Any) -> bool:
    return is_a(X, "skorch.helper.SliceDataset")


def byte_size(shape: tuple[int, ...], dtype: Any = None) -> int:
    """Bytes of an array; of numbers of eight bytes where the type does not say."""
    # Python's own integers: the product of a large shape overflows those of numpy.
    return math.prod(shape) * getattr(dtype, "itemsize", 8)


def is_data_set(X: Any) -> bool:
    """Whether X is a torch data set, skorch's slice of one, or Hugging Face's."""
    return _is_torch_dataset(X) or _is_slice_dataset(X) or is_hugging_face(X)


def _is_hdf5(X: Any) -> bool:
    return is_a(X, "h5py.Dataset")


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
    if is_dict(X):
        return {key: take_rows(value, indices) for key, value in X.items()}
    if isinstance(X, RowView):
        return take_rows(X.base, X.indices[as_positions(indices, len(X))])
    if isinstance(indices, slice):
        # Slices before positions: these give a view, or one read, instead of a copy.
        # Neither HDF5 nor torch knows negative strides.
        is_forward = (indices.step or 1) > 0
        takes_it = is_forward and (_is_hdf5(X) or is_tensor(X))
        if takes_it or isinstance(X, np.ndarray):
            return X[indices]
    positions = as_positions(indices, n_rows(X))
    if isinstance(X, np.ndarray):
        # A memmap's rows are read now; as a memmap they would pass for a file.
        return np.asarray(X[positions])
    if hasattr(X, "iloc"):
        return X.iloc[positions]
    if sp.issparse(X):
        # The kind whose rows are taken by position.
        return X.tocsr()[positions]
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
            positions = np.asarray(X.indices)[positions]
            X = X.dataset
        return subset(X, positions.tolist())
    if is_hugging_face(X):
        # Its own indexing would read the rows.
        return X.select(positions.tolist())
    if isinstance(X, (list, tuple)):
        return type(X)([X[i] for i in positions.tolist()])
    if is_tensor(X):
        # Nor may positions have negative strides.
        wanted = np.ascontiguousarray(positions)
        return X[sys.modules["torch"].as_tensor(wanted, device=X.device)]
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
    if is_dict(a):
        if not is_dict(b) or set(a) != set(b):
            raise TypeError(
                f"Rows of a dict with keys {sorted(a)} can only be joined with the "
                "same keys."
            )
        return {key: concat_rows(a[key], b[key]) for key in a}
    # What grows by concatenation is held in memory from then on.
    a = a.rows() if isinstance(a, RowView) else a
    b = b.rows() if isinstance(b, RowView) else b
    if hasattr(a, "iloc"):
        return concat_frames(a, b)
    if sp.issparse(a) or sp.issparse(b):
        return sp.vstack([a, b], format="csr")
    are_slices = _is_slice_dataset(a) and _is_slice_dataset(b)
    if are_slices and a.dataset is b.dataset and a.idx == b.idx:
        positions = np.concatenate([a.indices_, b.indices_])
        return type(a)(a.dataset, idx=a.idx, indices=positions)
    if _is_torch_dataset(a) and _is_torch_dataset(b):
        return _concat_data_sets(a, b)
    if is_hugging_face(a) and is_hugging_face(b):
        return sys.modules["datasets"].concatenate_datasets([a, b])
    if isinstance(a, (list, tuple)):
        return type(a)([*a, *b])
    if is_tensor(a):
        return _concat_tensors(a, b)
    left = np.asarray(a)
    right = np.asarray(b)
    if left.shape[1:] != right.shape[1:]:
        raise ValueError(
            f"Rows of shape {right.shape[1:]} cannot follow rows of shape "
            f"{left.shape[1:]}."
        )
    return np.concatenate([left, right])


def _concat_data_sets(a: Any, b: Any) -> Any:
    """Items after those of a torch data set, none read."""
    torch_data = sys.modules["torch.utils.data"]
    are_subsets = type(a) is type(b) is torch_data.Subset
    if are_subsets and a.dataset is b.dataset:
        return torch_data.Subset(a.dataset, [*a.indices, *b.indices])
    # Kept flat: one level more for each batch taught would soon be slow, and then too
    # deep.
    parts = a.datasets if type(a) is torch_data.ConcatDataset else [a]
    return torch_data.ConcatDataset([*parts, b])


def _concat_tensors(a: Any, b: Any) -> Any:
    """Rows after those of a tensor, where it is."""
    torch = sys.modules["torch"]
    new = torch.as_tensor(b, device=a.device)
    if new.is_floating_point() and not a.is_floating_point():
        # Cast to whole numbers, images from 0 to 1 would all be black.
        raise ValueError(
            f"Rows of {new.dtype} cannot follow rows of {a.dtype}: their fractions "
            "would be lost."
        )
    return torch.cat([a, new.to(a.dtype)])


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
        # Rows of a list have no shape.
        return len(self), *getattr(self.base, "shape", ())[1:]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> Any:
        """Type of the values of ``base``."""
        return self.base.dtype

    def __getitem__(self, key: Any) -> Any:
        rows = take_rows(self, key)
        if not isinstance(key, (int, np.integer)):
            return rows
        # By position: a frame's [0] would be a column.
        return rows.iloc[0] if hasattr(rows, "iloc") else rows[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
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
    if isinstance(X, (list, tuple, Mapping)) or is_data_set(X):
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


def with_labels(estimator: Any, X: Any, y: Any) -> tuple[Any, Any]:
    """Give a plain skorch net a data set that holds the labels taught.

    It would read those inside X instead.

    Parameters
    ----------
    estimator : estimator
        What is about to be fitted.
    X, y : rows and labels

    Returns
    -------
    X, y
        As they came, for all others than plain skorch nets on torch data sets.
    """
    if not (_is_torch_dataset(X) and is_a(estimator, "skorch.NeuralNet")):
        return X, y
    if type(estimator).get_dataset is not sys.modules["skorch"].NeuralNet.get_dataset:
        # One that makes data sets itself knows what to do with y.
        return X, y
    # It derives from a class of torch's, which whoever has such data has imported.
    from al_sklearn.rows._labelled_dataset import LabelledDataset

    dataset = LabelledDataset(X, y)
    return dataset, dataset.y
