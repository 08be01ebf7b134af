"""Row-wise functions over an X of any size.

Read in pieces, results in memory or in a file, kept where asked. torch is not imported
for that: a query of plain arrays starts without it.
"""

from __future__ import annotations

import math
import mmap
import os
import pickle
import tempfile
import types
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import scipy.sparse as sp

from al_sklearn._core.optional import is_a
from al_sklearn._core.prefetch import read_ahead
from al_sklearn._core.random import take_turn
from al_sklearn._core.types import Array
from al_sklearn.config import current
from al_sklearn.rows._cache import cache_key, open_or_compute
from al_sklearn.rows._fingerprint import (
    WHOLE_BYTES,
    ObjectHasher,
    describe,
    fingerprint,
)
from al_sklearn.rows._rows import (
    RowView,
    are_files,
    byte_size,
    is_data_set,
    is_tensor,
    n_rows,
    take_rows,
)

# Rows read at a time from what is not in memory: large enough to be fast, small enough
# to be nothing.
_CHUNK_BYTES: Final = 2**26
# Of rows whose size nobody knows (files, items of a torch data set), and of what is
# kept: all that a kill can lose.
_FEW_ROWS: Final = 4096
_MOST_ROWS: Final = 65536


def reads_from_disk(X: Any) -> bool:
    """Whether X is an array whose rows are not in memory.

    A memmap, HDF5, Zarr, a view, image files.
    """
    if isinstance(X, (RowView, np.memmap)):
        return True
    if isinstance(X, np.ndarray) or sp.issparse(X) or is_tensor(X):
        return False
    # A frame has its types a column.
    return hasattr(X, "shape") and hasattr(X, "dtype") and not hasattr(X, "iloc")


def stays_mapped(X: Any) -> bool:
    """Whether X is a file's float matrix that ``max_memory`` keeps out of memory."""
    return (
        isinstance(X, np.memmap)
        and X.ndim == 2
        and X.dtype.kind == "f"
        and current().max_memory is not None
    )


def chunk_rows_of(X: Any, result_bytes: int = 0) -> int:
    """Rows of X to read at a time under the settings in force.

    ``result_bytes`` is the size of what is made of one row.
    """
    limit = current().max_memory
    is_array = hasattr(X, "shape") and hasattr(X, "dtype")
    # Rows without a value are as good as one byte.
    row_bytes = max(byte_size(X.shape[1:], X.dtype), 1) if is_array else 1
    chunk_bytes = _CHUNK_BYTES
    least = 256
    if limit is not None:
        # A sixteenth: the chunk read ahead, its copy on the way to the network and what
        # is made of it lie in memory at once, beside what the caller holds.
        chunk_bytes = min(_CHUNK_BYTES, limit // 16)
        least = 1
        row_bytes = max(row_bytes, result_bytes)
    # A row in memory may be a whole file or item: fewer of them at a time.
    most = _MOST_ROWS if reads_from_disk(X) else _FEW_ROWS
    return min(max(chunk_bytes // row_bytes, least), most)


def by_chunks(function: Callable[[Any], Any], X: Any, axis: int = 0) -> Any:
    """Apply a row-wise function to all rows of X.

    The function gives an array or a tuple of them.

    Parameters
    ----------
    function : callable
        Takes rows of X. Whatever it gives has one entry for each row along ``axis``.
    X : any kind of rows, n of them
        What is not in memory is read in pieces; under ``max_memory``, everything is.
    axis : int, default=0

    Returns
    -------
    array or tuple of arrays
        In memory, or under ``max_memory`` mapped from a temporary file where they are
        large.
    """
    n = n_rows(X)
    is_limited = current().max_memory is not None
    if not reads_from_disk(X) and not is_limited:
        return function(X)
    size = chunk_rows_of(X)
    if n == 0:
        raise ValueError("X is empty: there are no rows to look at.")
    if is_limited:
        # Nobody knows yet how large the result of a row is: a small first piece tells.
        size = min(size, 256)
    outs: list[Array] = []
    # As it is when a piece is read: it changes once the first result is there.
    for part, rows in _pieces(X, lambda: size):  # noqa: B023
        result = function(rows)
        parts = result if isinstance(result, tuple) else (result,)
        if not outs:
            row_bytes = sum(values.nbytes for values in parts) // n_rows(rows)
            size = chunk_rows_of(X, row_bytes)
            outs = [_room_like(values, n, axis) for values in parts]
        for out, values in zip(outs, parts, strict=True):
            np.moveaxis(out, axis, 0)[part] = np.moveaxis(values, axis, 0)
    return tuple(outs) if isinstance(result, tuple) else outs[0]


def _pieces(
    X: Any,
    size: Callable[[], int],
    start: int = 0,
) -> Iterator[tuple[slice, Any]]:
    """Yield the rows of X from ``start`` on in pieces of ``size()`` rows.

    The next piece is read ahead where rows have to be read.
    """
    config = current()
    n = n_rows(X)
    # Asked here: the thread that reads does not see this thread's settings.
    give_back = config.max_memory is not None

    def read() -> Iterator[tuple[slice, Any]]:
        begin = start
        while begin < n:
            part = slice(begin, min(begin + size(), n))
            yield part, _read(X, part, give_back)
            begin = part.stop

    ahead = config.prefetch and reads_from_disk(X) and n - start > size()
    return read_ahead(read()) if ahead else read()


def _read(X: Any, part: slice, give_back: bool) -> Any:
    """Rows of X in memory, read now.

    A slice of a memmap alone would be read when it is used, not ahead of that.

    With ``give_back`` the pages of a mapped file are given back, which count as this
    process' memory until then; the system keeps them while it has room.
    """
    rows = take_rows(X, part)
    if isinstance(rows, np.memmap):
        rows = np.array(rows)
    base = X.base if isinstance(X, RowView) else X
    # Not what was written to a private copy of the file: that would be lost.
    shared = isinstance(base, np.memmap) and base.mode in ("r", "r+")
    if give_back and shared and hasattr(mmap, "MADV_DONTNEED"):
        base._mmap.madvise(mmap.MADV_DONTNEED)
    return rows


def _room_like(values: Array, n: int, axis: int) -> Array:
    """Room for n times what ``values`` holds of some rows."""
    shape = list(values.shape)
    shape[axis] = n
    return room(tuple(shape), values.dtype)


def room(shape: tuple[int, ...], dtype: Any) -> Array:
    """An array to be filled: in memory, or in a temporary file.

    The file is used where ``max_memory`` leaves no room for it.

    The file has no name any more: it goes with the array.
    """
    config = current()
    # A quarter: several results of one query are held at once.
    limit = math.inf if config.max_memory is None else config.max_memory // 4
    if byte_size(shape, np.dtype(dtype)) <= limit:
        return np.empty(shape, dtype=dtype)
    if config.cache is not None:
        config.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=config.cache) as file:
        return np.memmap(file, dtype=dtype, mode="w+", shape=shape)


def kept(
    name: str,
    estimator: Any,
    X: Any,
    options: tuple,
    function: Callable[[Any], Any],
) -> Any:
    """:func:`by_chunks`, or the rows kept in a cache.

    Where the settings name a cache, rows that it lacks are computed.

    Parameters
    ----------
    name : str
        What is computed.
    estimator : fitted estimator or None
    X : any kind of rows
    options : tuple of plain values
        Whatever else the rows depend on.
    function : callable
        As in :func:`by_chunks`, with ``axis=0``. Given a few rows it tells the width of
        its results.
    """
    config = current()
    n = n_rows(X)
    if config.cache is None or n == 0:
        return by_chunks(function, X)
    # Two rows: networks may squeeze the axis of one away.
    probe = function(take_rows(X, slice(0, min(n, 2))))
    likes = probe if isinstance(probe, tuple) else (probe,)
    widths = [like[0].size for like in likes]
    result_bytes = sum(like[0].nbytes for like in likes)
    # A kill loses a sixty-fourth of the work at most, where that is more than a few
    # rows.
    chunk_rows = min(chunk_rows_of(X, result_bytes), max(_FEW_ROWS, n // 64))
    pieces: Iterator[tuple[slice, Any]] | None = None

    def compute(start: int, _stop: int) -> Array:
        nonlocal pieces
        if pieces is None:
            # Where the cache goes on; from there it asks for one piece after the other.
            pieces = _pieces(X, lambda: chunk_rows, start)
        result = function(next(pieces)[1])
        return np.column_stack(result if isinstance(result, tuple) else (result,))

    # The generators before the cache, as a query takes them: what is computed may
    # need them, and two threads would wait for each other's.
    with take_turn():
        rows = open_or_compute(
            config.cache,
            _key(name, estimator, X, options),
            n_rows=n,
            row_shape=(sum(widths),),
            dtype=np.result_type(*likes),
            compute_chunk=compute,
            chunk_rows=chunk_rows,
            # Fewer chunks are done before a bar would be read.
            progress=name if n > 8 * chunk_rows else None,
        )
    # Views of one file: the columns of each result.
    columns = np.split(rows, np.cumsum(widths)[:-1], axis=1)
    outs = [
        part[:, 0] if like.ndim == 1 else part
        for like, part in zip(likes, columns, strict=True)
    ]
    return tuple(outs) if isinstance(probe, tuple) else outs[0]


def _key(name: str, estimator: Any, X: Any, options: tuple) -> str:
    """Everything that the rows depend on, as the name of a folder."""
    return cache_key(
        what=name,
        options=list(options),
        classifier=state_hash(estimator),
        data=_data_hash(X),
    )


def _data_hash(X: Any) -> Any:
    """Know data again by what it holds, or by sizes and times as well.

    Sizes and times are added for files and for arrays too large to be read for this.
    """
    if isinstance(X, RowView):
        return [_data_hash(X.base), fingerprint(X.indices)]
    if hasattr(X, "token"):
        return X.token()
    if are_files(X):
        return [fingerprint(X), [_stamp(path) for path in X]]
    if is_data_set(X):
        try:
            # What it holds and a sample of its items.
            return [state_hash(X), fingerprint(X)]
        except (pickle.PicklingError, TypeError, AttributeError):
            # It holds a lambda, an open file …: all its items tell.
            return [state_hash(X[i]) for i in range(len(X))]
    # A memmap names its file, an HDF5 dataset has it.
    file = getattr(getattr(X, "file", X), "filename", None)
    if file is not None and byte_size(X.shape, X.dtype) > WHOLE_BYTES:
        return [fingerprint(X), _stamp(file)]
    return fingerprint(X)


def _stamp(path: Any) -> list[int]:
    stat = os.stat(path)
    return [stat.st_size, stat.st_mtime_ns]


def state_hash(estimator: Any) -> str:
    """Know a fitted estimator again in another process.

    Parameters, weights, everything it learnt.
    """
    # No secret hangs on it; joblib has md5 and sha1, and md5 is the quicker one.
    return _StateHasher("md5").hash(estimator)


class _StateHasher(ObjectHasher):
    """joblib's hash, with networks known by their weights.

    Torch pickles them differently in every process.
    """

    def save(self, obj: Any) -> None:
        if is_a(obj, "skorch.net.NeuralNet"):
            learnt = getattr(obj, "classes_", None), getattr(obj, "image_shape_", None)
            parameters = describe(obj.get_params(deep=False))
            weights = describe(obj.module_)
            obj = "net", type(obj).__qualname__, parameters, learnt, weights
        elif isinstance(obj, types.FunctionType) or is_a(obj, "torch.nn.Module"):
            # A lambda, or a notebook's function, by its code.
            obj = describe(obj)
        super().save(obj)
