"""Row-wise functions over an X of any size.

Read in pieces, results in memory or in a file, kept where asked.
"""

from __future__ import annotations

import mmap
import os
import pickle
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
import torch

from al_sklearn._core.prefetch import read_ahead
from al_sklearn._core.random import take_turn
from al_sklearn.config import current
from al_sklearn.rows._cache import cache_key, open_or_compute
from al_sklearn.rows._fingerprint import (
    WHOLE_BYTES,
    ObjectHasher,
    describe,
    fingerprint,
)
from al_sklearn.rows._rows import RowView, are_files, n_rows, take_rows

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
    is_array = hasattr(X, "shape") and hasattr(X, "dtype")
    return is_array and not (
        isinstance(X, np.ndarray)
        or hasattr(X, "iloc")
        or sp.issparse(X)
        or type(X).__module__.split(".")[0] == "torch"
    )


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
    row_bytes = 1
    if hasattr(X, "shape") and hasattr(X, "dtype"):
        row_bytes = max(
            int(np.prod(X.shape[1:], dtype=np.int64)) * getattr(X.dtype, "itemsize", 8),
            1,
        )
    # A row in memory may be a whole file or item: fewer of them at a time.
    most = _MOST_ROWS if reads_from_disk(X) else _FEW_ROWS
    if limit is None:
        return int(np.clip(_CHUNK_BYTES // row_bytes, 256, most))
    # A sixteenth: the chunk read ahead, its copy on the way to the network and what is
    # made of it lie in memory at once, beside what the caller holds.
    return int(
        np.clip(min(_CHUNK_BYTES, limit // 16) // max(row_bytes, result_bytes), 1, most)
    )


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
    if not reads_from_disk(X) and current().max_memory is None:
        return function(X)
    if n == 0:
        raise ValueError("X is empty: there are no rows to look at.")
    outs: list[np.ndarray] = []
    is_tuple = False
    pieces = _Pieces(X)
    for part, rows in pieces.read():
        result = function(rows)
        is_tuple = isinstance(result, tuple)
        results = result if is_tuple else (result,)
        if not outs:
            pieces.expect(sum(r.nbytes for r in results) // (part.stop - part.start))
            outs = [
                room((*r.shape[:axis], n, *r.shape[axis + 1 :]), r.dtype)
                for r in results
            ]
        for out, r in zip(outs, results, strict=True):
            out[(slice(None),) * axis + (part,)] = r
    return tuple(outs) if is_tuple else outs[0]


class _Pieces:
    """The rows of X in order, in pieces.

    Under a limit the first piece is small, and tells how large the others may be.
    """

    def __init__(self, X: Any):
        self.X, self.rows = X, chunk_rows_of(X)
        # Asked here: the thread that reads does not see this thread's settings.
        self._give_back = current().max_memory is not None
        if self._give_back:
            # Nobody knows yet how large the result of a row is.
            self.rows = min(self.rows, 256)

    def expect(self, result_bytes: int) -> None:
        self.rows = chunk_rows_of(self.X, result_bytes)

    def read(self) -> Iterator[tuple[slice, Any]]:
        ahead = (
            current().prefetch
            and reads_from_disk(self.X)
            and n_rows(self.X) > self.rows
        )
        return read_ahead(self._read()) if ahead else self._read()

    def _read(self) -> Iterator[tuple[slice, Any]]:
        start, n = 0, n_rows(self.X)
        while start < n:
            part = slice(start, min(start + self.rows, n))
            yield part, _read(self.X, part, self._give_back)
            start = part.stop


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
    shared = (
        isinstance(base, np.memmap)
        and base.mode in ("r", "r+")
        and hasattr(mmap, "MADV_DONTNEED")
    )
    if shared and give_back:
        base._mmap.madvise(mmap.MADV_DONTNEED)
    return rows


def room(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array to be filled: in memory, or in a temporary file.

    The file is used where ``max_memory`` leaves no room for it.

    The file has no name any more: it goes with the array.
    """
    config = current()
    n_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    # A quarter: several results of one query are held at once.
    if config.max_memory is None or n_bytes <= config.max_memory // 4:
        return np.empty(shape, dtype=dtype)
    if config.cache is not None:
        config.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=config.cache) as file:
        return np.memmap(file, dtype=dtype, mode="w+", shape=shape)


def kept(
    name: str, estimator: Any, X: Any, options: tuple, function: Callable[[Any], Any]
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
    config, n = current(), n_rows(X)
    if config.cache is None or n == 0:
        return by_chunks(function, X)
    # Two rows: networks may squeeze the axis of one away.
    probe = function(take_rows(X, slice(0, min(n, 2))))
    likes = probe if isinstance(probe, tuple) else (probe,)
    ends = np.cumsum([0, *(1 if like.ndim == 1 else like.shape[1] for like in likes)])

    def compute(start: int, stop: int) -> np.ndarray:
        result = function(reader.read(start, stop))
        return np.column_stack(result if isinstance(result, tuple) else (result,))

    result_bytes = sum(like.nbytes // len(like) for like in likes)
    # A kill loses a sixty-fourth of the work at most, where that is more than a few
    # rows.
    chunk_rows = min(chunk_rows_of(X, result_bytes), max(_FEW_ROWS, n // 64))
    # The generators before the cache, as a query takes them: what is computed may
    # need them, and two threads would wait for each other's.
    with take_turn(), _Reader(X) as reader:
        rows = open_or_compute(
            config.cache,
            _key(name, estimator, X, options),
            n_rows=n,
            row_shape=(int(ends[-1]),),
            dtype=np.result_type(*likes),
            compute_chunk=compute,
            chunk_rows=chunk_rows,
            # Fewer chunks are done before a bar would be read.
            progress=name if n > 8 * chunk_rows else None,
        )
    # Views of one file: the columns of each result.
    outs = [
        rows[:, i] if like.ndim == 1 else rows[:, i:j]
        for like, i, j in zip(likes, ends, ends[1:], strict=False)
    ]
    return tuple(outs) if isinstance(probe, tuple) else outs[0]


class _Reader:
    """Reads pieces of X asked for one by one, and the piece after each ahead."""

    def __init__(self, X: Any):
        self.X, self._next = X, slice(0, 0)
        self._coming: Future[Any] | None = None
        self._give_back = current().max_memory is not None
        ahead = current().prefetch and reads_from_disk(X)
        self._pool = (
            ThreadPoolExecutor(1, thread_name_prefix="al_sklearn-read")
            if ahead
            else None
        )

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def read(self, start: int, stop: int) -> Any:
        here = slice(start, stop)
        rows = (
            self._coming.result()
            if self._coming is not None and self._next == here
            else _read(self.X, here, self._give_back)
        )
        self._coming, self._next = (
            None,
            slice(stop, min(2 * stop - start, n_rows(self.X))),
        )
        if self._pool is not None and self._next.stop > stop:
            self._coming = self._pool.submit(_read, self.X, self._next, self._give_back)
        return rows


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
    if type(X).__name__ == "SliceDataset" or isinstance(X, torch.utils.data.Dataset):
        return _dataset_hash(X)
    file = getattr(X, "filename", None) or getattr(
        getattr(X, "file", None), "filename", None
    )
    large = (
        file is not None
        and int(np.prod(X.shape, dtype=np.int64)) * X.dtype.itemsize > WHOLE_BYTES
    )
    return [fingerprint(X), _stamp(file)] if large else fingerprint(X)


def _dataset_hash(X: Any) -> Any:
    """Know a torch data set again.

    What it holds and a sample of its items, or else all its items.
    """
    try:
        return [state_hash(X), fingerprint(X)]
    except (
        pickle.PicklingError,
        TypeError,
        AttributeError,
    ):  # it holds a lambda, an open file …
        return [state_hash(X[i]) for i in range(len(X))]


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
        skorch_net = sys.modules.get("skorch.net")
        if skorch_net is not None and isinstance(obj, skorch_net.NeuralNet):
            learnt = getattr(obj, "classes_", None), getattr(obj, "image_shape_", None)
            obj = (
                "net",
                type(obj).__qualname__,
                describe(obj.get_params(deep=False)),
                learnt,
                describe(obj.module_),
            )
        elif isinstance(obj, torch.nn.Module):
            obj = describe(obj)
        elif isinstance(obj, types.FunctionType):
            obj = describe(obj)  # a lambda, or a notebook's function, by its code
        super().save(obj)
