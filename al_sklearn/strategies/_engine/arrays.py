"""How measures read their arrays.

Of any kind and precision, in blocks that stay in cache.

What a row gets never depends on the block it is in: kernels are element by element, or
reduce one row, or add whole arrays in a fixed order.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_sklearn.strategies._engine import kernels as _kernels
from al_sklearn.strategies._engine.distances import tiles

# Values of half precision, or with gaps between them, that are copied at a time.
_COPIED_VALUES = 2**22
# Rows as short as this are turned, class after class: numpy reduces short rows slowly.
NARROW = 32


def is_tensor(array: Any) -> bool:
    """Whether it is a torch tensor; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def on_device(array: Any) -> bool:
    """Whether it is a tensor that numpy cannot see."""
    return is_tensor(array) and array.device.type != "cpu"


def check(values: Any, ndim: int, what: str) -> Any:
    """Return an ndarray or tensor of floats with ``ndim`` axes.

    It has at least one class.
    """
    if not is_tensor(values):
        values = np.asarray(values)
    if values.ndim != ndim:
        raise ValueError(
            f"{what} must have {ndim} axes, got shape {tuple(values.shape)}."
        )
    if values.shape[-1] == 0 or (ndim == 3 and values.shape[0] == 0):
        raise ValueError(f"{what} must not be empty, got shape {tuple(values.shape)}.")
    if is_tensor(values):
        values = values.detach()
        import torch

        half = values.dtype == torch.float16 and values.device.type == "cpu"
        return (
            values
            if values.dtype in (torch.float32, torch.float64) or half
            else values.float()
        )
    if values.dtype.kind in "biu" or values.dtype == object:
        return values.astype(np.float64)
    if values.dtype.kind != "f":
        raise ValueError(f"{what} must hold real numbers, got dtype {values.dtype}.")
    return values


def check_finite(utilities: Any) -> Any:
    """Refuse NaN: every measure turns a NaN among the probabilities into one."""
    if len(utilities) and bool(
        (highest := utilities.max()) != highest
    ):  # NaN if any is
        first = int((utilities != utilities).nonzero()[0][0])
        raise ValueError(f"The probabilities contain NaN, first in row {first}.")
    return utilities


class Scratch:
    """Buffers of one thread, made once and used again for every block."""

    def __init__(self) -> None:
        self._buffers: dict[str, NDArray[Any]] = {}

    def __call__(self, name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return an array of that shape with anything in it."""
        size, dtype = int(np.prod(shape)), np.dtype(dtype)
        held = self._buffers.get(name)
        if held is None or held.size < size or held.dtype != dtype:
            held = self._buffers[name] = np.empty(size, dtype)
        return held[:size].reshape(shape)


class Scratches(threading.local):
    """One `Scratch` for each thread that asks."""

    def __init__(self) -> None:
        self._scratch = Scratch()

    def own(self) -> Scratch:
        """Return that of the calling thread."""
        return self._scratch


def per_row(
    values: Any, on_host: Callable[[Any], NDArray[Any]], on_tensor: Callable[[Any], Any]
) -> Any:
    """Apply a measure to (n, C) or (T, n, C).

    ``on_host`` to float32 or float64 ndarrays, ``on_tensor`` elsewhere.
    """
    if on_device(values):
        return check_finite(_on_device(values, on_tensor))
    array = values.numpy() if is_tensor(values) else values
    dtype = compute_dtype(array)
    if array.dtype == dtype and array.strides[-1] == array.itemsize:
        out = on_host(array)
    else:  # some rows at a time, so that the copy stays small
        out = np.empty(array.shape[-2], dtype)
        for rows in tiles(
            len(out), max(_COPIED_VALUES * len(out) // max(array.size, 1), 1)
        ):
            out[rows] = on_host(np.ascontiguousarray(array[..., rows, :], dtype))
    check_finite(out)
    if is_tensor(values):
        import torch

        return torch.from_numpy(out)
    return out


def per_block(
    samples: NDArray[Any],
    kernel: Callable[[NDArray[Any], Scratch], NDArray[Any]],
    out: NDArray[Any],
) -> NDArray[Any]:
    """Fill ``out`` (n,) with ``kernel(samples[:, rows], scratch)``, by pieces.

    The rows taken at a time are as many as stay in cache.
    """
    n_samples, n, n_classes = samples.shape

    def span(start: int, stop: int) -> None:
        scratch = Scratch()
        for rows in _kernels._blocks(start, stop, n_samples * n_classes):
            out[rows] = kernel(samples[:, rows], scratch)

    _kernels._in_threads(span, n, n_samples * n_classes)
    return out


def compute_dtype(array: NDArray[Any]) -> np.dtype[Any]:
    """float32 for halves, else what the array has (at most float64)."""
    if array.dtype.itemsize < 4:
        return np.dtype(np.float32)
    return np.dtype(np.float32) if array.dtype.itemsize == 4 else np.dtype(np.float64)


def _on_device(values: Any, on_tensor: Callable[[Any], Any]) -> Any:
    import torch

    rows = max(2**26 // max(values[..., :1, :].numel(), 1), 1)
    with torch.inference_mode():
        parts = [
            on_tensor(values[..., start : start + rows, :])
            for start in range(0, values.shape[-2], rows)
        ]
    return torch.cat(parts) if parts else values.new_empty(0)


def turned(block: NDArray[Any], scratch: Scratch) -> NDArray[Any]:
    """A block (r, C) as (C, r): a contiguous copy where rows are short, else a view.

    The rows of a view stay as they are.
    """
    if block.shape[1] > NARROW:
        return block.T
    copy = scratch("turned", block.shape[::-1], block.dtype)
    copy[...] = block.T
    return copy


def p_log_p(p: NDArray[Any], scratch: Scratch) -> NDArray[Any]:
    """P ln p, with 0 · ln 0 = 0, in a buffer."""
    logs = scratch("logs", p.shape, p.dtype)
    # The smallest positive number stands in for 0: its logarithm is finite, and times p
    # = 0 it is 0.
    np.maximum(p, np.finfo(p.dtype).tiny, out=logs)
    np.log(logs, out=logs)
    np.multiply(logs, p, out=logs)
    return logs


def sum_classes(p: NDArray[Any]) -> NDArray[Any]:
    """Sums over the classes of a turned block, in float64.

    Long rows in their own precision, pairwise.
    """
    if len(p) > NARROW:
        return p.sum(axis=0).astype(np.float64)
    total = p[0].astype(np.float64)
    for values in p[1:]:
        total += values
    return total


def tensor_entropy(p: Any) -> Any:
    """-Σ p ln p over the last axis of a tensor, in float64."""
    import torch

    return -(p * p.clamp_min(torch.finfo(p.dtype).tiny).log()).sum(
        -1, dtype=torch.float64
    )


def sum_samples(part: NDArray[Any], out: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum (T, r, C) over the samples in float64, always in their order."""
    # A single pair of row and class would be summed pairwise: that order differs.
    if out.size == 1:
        out[...] = 0
        for values in part:
            out += values
        return out
    return np.add.reduce(part, axis=0, dtype=np.float64, out=out)
