"""Entropies and largest probabilities of ndarrays at the speed of memory: blocks that stay in cache, in threads.

Float32 or float64 in and out. NaN and negative values come out as NaN; nothing is written to.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

_BLOCK_VALUES = 2**16  # with a copy of it, a block stays in a second-level cache of 1 MB
_THREAD_VALUES = 2**19  # fewer values than this per thread are not worth starting one
_SHORT = 32  # rows up to this long are reduced column by column: numpy's own reduction of short rows is slow


def row_entropy(proba: Floats) -> Floats:
    """-Σ p ln p of each row of (n, C), with 0 · ln 0 = 0."""
    n, n_classes = proba.shape
    out = np.empty(n, dtype=proba.dtype)

    def span(start: int, stop: int) -> None:
        block_entropy = _BlockEntropy(n_classes, proba.dtype)
        for rows in _blocks(start, stop, n_classes):
            out[rows] = block_entropy(proba[rows])

    _in_threads(span, n, n_classes)
    return out


def sampled_entropies(samples: Floats) -> tuple[Floats, Floats]:
    """H(mean_t p_t) and mean_t H(p_t) of each column of (T, n, C), read once."""
    n_samples, n, n_classes = samples.shape
    of_mean, mean = np.empty(n, dtype=samples.dtype), np.empty(n, dtype=samples.dtype)

    def span(start: int, stop: int) -> None:
        block_entropy = _BlockEntropy(n_classes, samples.dtype)
        for rows in _blocks(start, stop, n_classes):
            total, average = np.zeros(rows.stop - rows.start), _Mean((rows.stop - rows.start, n_classes), samples.dtype)
            for sample in samples:
                total += block_entropy(sample[rows])
                average.add(sample[rows])  # while it is in cache
            mean[rows] = total / n_samples
            of_mean[rows] = block_entropy(average.value())

    _in_threads(span, n, n_samples * n_classes)
    return of_mean, mean


def entropy_of_mean(samples: Floats) -> Floats:
    """H(mean_t p_t) of each column of (T, n, C)."""
    n_samples, n, n_classes = samples.shape
    out = np.empty(n, dtype=samples.dtype)

    def span(start: int, stop: int) -> None:
        block_entropy = _BlockEntropy(n_classes, samples.dtype)
        for rows in _blocks(start, stop, n_classes):
            average = _Mean((rows.stop - rows.start, n_classes), samples.dtype)
            for sample in samples:
                average.add(sample[rows])
            out[rows] = block_entropy(average.value())

    _in_threads(span, n, n_samples * n_classes)
    return out


def of_two_largest(proba: Floats, combine: Callable[[Floats, Floats], Floats]) -> Floats:
    """``combine(first, second)`` of the two largest values of each row of (n, C); with one class the second is 0.

    Block by block, so that nothing but the result is as long as the pool.
    """
    return _by_block(proba, lambda block: combine(*_two_largest(block)))


def of_largest(proba: Floats, combine: Callable[[Floats], Floats]) -> Floats:
    """``combine(first)`` of the largest value of each row of (n, C), block by block."""
    return _by_block(proba, lambda block: combine(_largest(block)))


def _by_block(proba: Floats, function: Callable[[Floats], Floats]) -> Floats:
    n, n_classes = proba.shape
    out = np.empty(n, dtype=proba.dtype)

    def span(start: int, stop: int) -> None:
        for rows in _blocks(start, stop, n_classes):
            out[rows] = function(proba[rows])

    _in_threads(span, n, n_classes)
    return out


def _largest(block: Floats) -> Floats:
    if block.shape[1] > _SHORT:
        return block.max(axis=1)
    first = block[:, 0].copy()
    for column in range(1, block.shape[1]):
        np.maximum(first, block[:, column], out=first)
    return first


def _two_largest(block: Floats) -> tuple[Floats, Floats]:
    n_classes = block.shape[1]
    if n_classes > _SHORT:
        top = np.partition(block, n_classes - 2, axis=1)[:, -2:]
        return top[:, 1], top[:, 0]
    first = block[:, 0].copy()
    second = np.full_like(first, -np.inf if n_classes > 1 else 0.0)
    smaller = np.empty_like(first)
    for column in range(1, n_classes):
        values = block[:, column]
        np.minimum(first, values, out=smaller)
        np.maximum(second, smaller, out=second)
        np.maximum(first, values, out=first)
    return first, second


class _BlockEntropy:
    """Entropy of the rows of a block, in memory that is used again for the next."""

    def __init__(self, n_classes: int, dtype: Any) -> None:
        self.buffer = np.empty((_block_rows(n_classes), n_classes), dtype=dtype)
        # Added to 0 it has a finite logarithm, which times p = 0 is 0; it changes no larger p.
        self.tiny = np.finfo(dtype).tiny

    def __call__(self, block: Floats) -> Floats:
        logs = np.add(block, self.tiny, out=self.buffer[: len(block)])
        with np.errstate(invalid="ignore"):  # a negative value gives NaN, which the caller refuses
            np.log(logs, out=logs)
        np.multiply(logs, block, out=logs)
        # A product with ones would be a little faster, but its last bit depends on the number of rows.
        if logs.shape[1] > _SHORT:
            return -logs.sum(axis=1)
        total = -logs[:, 0]
        for column in range(1, logs.shape[1]):
            total -= logs[:, column]
        return total


class _Mean:
    """Mean of blocks: groups of eight are added in their own precision, the sums of the groups in float64."""

    def __init__(self, shape: tuple[int, int], dtype: Any) -> None:
        self.group = np.zeros(shape, dtype=dtype)
        self.total = np.zeros(shape)
        self.count = 0

    def add(self, block: Floats) -> None:
        """One block more."""
        self.group += block
        self.count += 1
        if self.count % 8 == 0:
            self.total += self.group
            self.group[:] = 0

    def value(self) -> Floats:
        """The mean of those added, in their precision."""
        self.total += self.group
        self.total /= self.count
        return self.total.astype(self.group.dtype)


def _block_rows(n_classes: int) -> int:
    return max(_BLOCK_VALUES // n_classes, 1)


def _blocks(start: int, stop: int, n_classes: int) -> list[slice]:
    rows = _block_rows(n_classes)
    return [slice(i, min(i + rows, stop)) for i in range(start, stop, rows)]


def _in_threads(span: Callable[[int, int], None], n: int, values_per_row: int) -> None:
    """Call ``span(start, stop)`` on parts of 0 … n, as many at once as torch has threads."""
    n_threads = min(torch.get_num_threads(), max(1, n * values_per_row // _THREAD_VALUES))
    if n_threads == 1:
        span(0, n)
        return
    edges = np.linspace(0, n, n_threads + 1).astype(int).tolist()
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(span, edges[:-1], edges[1:]))  # to raise what they raise
