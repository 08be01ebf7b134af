"""Entropies and largest probabilities of ndarrays at the speed of memory.

Blocks that stay in cache, in threads.

Float32 or float64 in and out. NaN and negative values come out as NaN; nothing is
written to.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import wait
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from al_sklearn._core.threads import thread_pool

Floats = NDArray[np.floating[Any]]

_BLOCK_VALUES = 2**17  # a block stays in a second-level cache of 1 MB
_LONG_BLOCK_VALUES = (
    2**20
)  # of what is read only once: the results of a block stay in that cache
_THREAD_VALUES = 2**19  # fewer values than this per thread are not worth starting one
_PART_VALUES = 2**18  # values that a thread takes at a time, at least
_SHORT = 32  # numpy finds the largest value of longer rows faster than a loop


def row_entropy(proba: Floats) -> Floats:
    """-Σ p ln p of each row of (n, C), with 0 · ln 0 = 0."""
    from al_sklearn.strategies._engine import compiled as _compiled

    n, n_classes = proba.shape
    out = np.empty(n, dtype=proba.dtype)

    def span(start: int, stop: int) -> None:
        for rows in _blocks(start, stop, n_classes, _LONG_BLOCK_VALUES):
            flat, constants = _flat(proba[rows])
            _compiled.row_entropy(flat, n_classes, *constants, out[rows])

    _in_threads(span, n, n_classes)
    return out


def sampled_entropies(samples: Floats) -> tuple[Floats, Floats]:
    """H(mean_t p_t) and mean_t H(p_t) of each column of (T, n, C), read once."""
    of_mean, mean = (
        np.empty(samples.shape[1], samples.dtype),
        np.empty(samples.shape[1], samples.dtype),
    )
    _sampled(samples, of_mean, mean)
    return of_mean, mean


def entropy_of_mean(samples: Floats) -> Floats:
    """H(mean_t p_t) of each column of (T, n, C)."""
    of_mean = np.empty(samples.shape[1], samples.dtype)
    _sampled(samples, of_mean, np.empty(0, samples.dtype))
    return of_mean


def _sampled(samples: Floats, of_mean: Floats, mean: Floats) -> None:
    from al_sklearn.strategies._engine import compiled as _compiled

    n_samples, n, n_classes = samples.shape

    def span(start: int, stop: int) -> None:
        if samples.flags.c_contiguous:
            flat, constants = _flat(samples)
            _compiled.sampled_entropies(
                flat, n_samples, n_classes, start, stop, *constants, of_mean, mean
            )
            return
        for rows in _blocks(start, stop, n_samples * n_classes):
            flat, constants = _flat(samples[:, rows])
            size = rows.stop - rows.start
            some = mean[rows] if len(mean) else mean
            _compiled.sampled_entropies(
                flat, n_samples, n_classes, 0, size, *constants, of_mean[rows], some
            )

    _in_threads(span, n, n_samples * n_classes)


def _flat(block: Floats) -> tuple[Floats, tuple[Any, Any]]:
    """The values in one row, and what compiled loops need for their precision."""
    from al_sklearn.strategies._engine import compiled as _compiled

    flat = np.ascontiguousarray(block).reshape(-1)
    return flat, _compiled.CONSTANTS[flat.dtype]


def of_two_largest(
    proba: Floats, combine: Callable[[Floats, Floats], Floats]
) -> Floats:
    """``combine(first, second)`` of the two largest values of each row of (n, C).

    With one class the second is 0.

    Block by block, so that nothing but the result is as long as the pool.
    """
    n, n_classes = proba.shape
    out = np.empty(n, dtype=proba.dtype)

    def span(start: int, stop: int) -> None:
        for rows in _blocks(start, stop, n_classes, _LONG_BLOCK_VALUES):
            out[rows] = combine(*_two_largest(proba[rows]))

    _in_threads(span, n, n_classes)
    return out


def of_largest(proba: Floats, change: Callable[[Floats], object]) -> Floats:
    """The largest value of each row of (n, C), one thread's rows at a time.

    The array is changed in place.
    """
    from al_sklearn.strategies._engine import compiled as _compiled

    n, n_classes = proba.shape
    out = np.empty(n, dtype=proba.dtype)
    # Among floats of no sign the order of the bits, read as unsigned integers, is that
    # of the values. What has a sign is above infinity then, and so is NaN.
    kind = np.dtype(f"u{proba.itemsize}")
    infinity = np.full(1, np.inf, proba.dtype).view(kind)[0]

    def span(start: int, stop: int) -> None:
        some, found = proba[start:stop], out[start:stop]
        if n_classes > _SHORT:
            some.max(axis=1, out=found)
        else:
            bits, found_bits = (
                np.ascontiguousarray(some).reshape(-1).view(kind),
                found.view(kind),
            )
            if _compiled.largest(bits, n_classes, found_bits) > infinity:
                odd = np.flatnonzero(found_bits > infinity)
                found[odd] = some[odd].max(axis=1)
        change(found)

    _in_threads(span, n, n_classes)
    return out


def _two_largest(block: Floats) -> tuple[Floats, Floats]:
    from al_sklearn.strategies._engine import compiled as _compiled

    first, second = np.empty(len(block), block.dtype), np.empty(len(block), block.dtype)
    _compiled.two_largest(block, first, second)
    return first, second


def _blocks(
    start: int, stop: int, values_per_row: int, block_values: int = _BLOCK_VALUES
) -> list[slice]:
    rows = max(block_values // values_per_row, 1)
    return [slice(i, min(i + rows, stop)) for i in range(start, stop, rows)]


def _in_threads(span: Callable[[int, int], None], n: int, values_per_row: int) -> None:
    """Call ``span(start, stop)`` on parts of 0 … n, in parallel.

    As many run at once as torch has threads.
    """
    n_threads = min(
        torch.get_num_threads(), max(1, n * values_per_row // _THREAD_VALUES)
    )
    if n_threads == 1:
        span(0, n)
        return
    n_parts = max(n_threads, min(4 * n_threads, n * values_per_row // _PART_VALUES))
    parts = list(
        itertools.pairwise(np.linspace(0, n, n_parts + 1).astype(int).tolist())
    )

    def work() -> None:
        # A part at a time: a thread that wakes late, or whose core is busy, does fewer
        # of them.
        while (part := _pop(parts)) is not None:
            span(*part)

    pool = thread_pool("kernel", n_threads - 1)
    others = [pool.submit(work) for _ in range(n_threads - 1)]
    try:
        work()  # this thread works as well
    finally:
        wait(others)
    for other in others:
        other.result()  # to raise what it raised


def _pop(parts: list[tuple[int, int]]) -> tuple[int, int] | None:
    try:
        return parts.pop()
    except IndexError:  # another thread took the last one
        return None
