"""How measures read their arrays: of any kind and precision, in blocks.

Measures are written for tensors. An ndarray is read as one, a block at a time, so that
no temporary is as long as the pool, and what is not a plain array of floats (halves,
gaps between values, read-only files) is copied a block at a time alone. What a row gets
never depends on the block it is in: every step is element by element, or reduces one
row or one column of a row, in an order that its length alone decides.

Loops compiled by numba stood here. Of a million rows of ten classes, two threads, they
took 11 ms for the entropy, 12 for the margin and 6 for the least confidence where this
takes 20, 35 and 16; the first call of a process took more than half a second, this
one's 30 ms. A query of a million images takes the network seconds at least.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from al_sklearn._core.types import Bools
from al_sklearn.strategies._engine.distances import tiles

# Values of a block for each of torch's threads: with a temporary beside it, 512 KiB of
# float32, which a core's second-level cache holds; each step then starts all threads.
_BLOCK_VALUES = 2**16
# Values of one sample for each thread: 256 KiB of float32; with a temporary and sums
# beside it what a second-level cache of 2 MiB holds.
_SAMPLE_VALUES = 2**16
# So many samples are added in their own precision before a float64 sum takes them: the
# rounding of eight additions, and an eighth of the work in float64.
_ADDED_TOGETHER = 8
# On an accelerator the start of each step costs more than memory that is read twice.
_DEVICE_VALUES = 2**26


def is_tensor(array: Any) -> bool:
    """Whether it is a torch tensor."""
    return isinstance(array, torch.Tensor)


def on_device(array: Any) -> bool:
    """Whether it is a tensor that numpy cannot see."""
    return is_tensor(array) and array.device.type != "cpu"


def check(values: Any, ndim: int, what: str) -> Any:
    """Return an ndarray or tensor of real numbers with ``ndim`` axes.

    It has at least one class.
    """
    values = values.detach() if is_tensor(values) else np.asarray(values)
    shape = tuple(values.shape)
    if values.ndim != ndim:
        raise ValueError(f"{what} must have {ndim} axes, got shape {shape}.")
    if shape[-1] == 0 or (ndim == 3 and shape[0] == 0):
        raise ValueError(f"{what} must not be empty, got shape {shape}.")
    if is_tensor(values):
        return values if values.is_floating_point() else values.float()
    if values.dtype.kind in "biu" or values.dtype == object:
        return values.astype(np.float64)
    if values.dtype.kind != "f":
        raise ValueError(f"{what} must hold real numbers, got dtype {values.dtype}.")
    return values


def check_finite(utilities: Any) -> Any:
    """Refuse NaN: every measure turns a NaN among the probabilities into one."""
    # The largest is NaN if any is.
    if len(utilities) and bool((highest := utilities.max()) != highest):
        first = int((utilities != utilities).nonzero()[0][0])
        raise ValueError(f"The probabilities contain NaN, first in row {first}.")
    return utilities


def compute_dtype(values: Any) -> torch.dtype:
    """float64 for what has it, else float32."""
    return torch.float64 if values.dtype.itemsize > 4 else torch.float32


def block_of(values: Any, rows: Any, dtype: torch.dtype) -> torch.Tensor:
    """Rows of (n, C) or (T, n, C) as a tensor; it may be the caller's memory.

    Without gaps: torch adds the values of a row with gaps in another order.
    """
    part = values[..., rows, :]
    if is_tensor(values):
        return part.to(dtype).contiguous()
    kind = np.float64 if dtype == torch.float64 else np.float32
    return torch.from_numpy(np.require(part, kind, ["C", "W"]))


def in_blocks(values: Any) -> Iterator[tuple[slice, torch.Tensor]]:
    """Yield all rows of (n, C) or (T, n, C), block after block, none to be written."""
    n, dtype = values.shape[-2], compute_dtype(values)
    a_row = values.shape[-1] * (values.shape[0] if values.ndim == 3 else 1)
    room = _BLOCK_VALUES * torch.get_num_threads()
    if on_device(values):
        room = _DEVICE_VALUES
    for rows in tiles(n, max(room // a_row, 1)):
        yield rows, block_of(values, rows, dtype)


def per_row(
    values: Any,
    measure: Callable[[torch.Tensor], torch.Tensor],
    dtype: torch.dtype | None = None,
) -> Any:
    """Apply a measure to (n, C) or (T, n, C), block by block.

    An ndarray gives an ndarray, a tensor a tensor on its device.
    """
    device = values.device if is_tensor(values) else "cpu"
    kind = compute_dtype(values) if dtype is None else dtype
    out = torch.empty(values.shape[-2], dtype=kind, device=device)
    with torch.inference_mode():
        for rows, block in in_blocks(values):
            out[rows] = measure(block)
    check_finite(out)
    return out if is_tensor(values) else out.numpy()


def sums_over_samples(
    samples: Any,
    terms: tuple[Callable[..., torch.Tensor], ...],
    measure: Callable[..., torch.Tensor],
) -> Any:
    """Apply a measure that needs of (T, n, C) nothing but sums over the samples.

    One sample after another is read where it lies: a block of all of them would have to
    be copied, and each step on it would ask the system for new memory.

    Parameters
    ----------
    samples : ndarray or tensor of shape (T, n, C)
    terms : tuple of callables
        ``term(p, out)`` of a sample's rows (r, C); ``out`` may be written to.
    measure : callable
        ``measure(rows, *sums)``, with one float64 sum (r, C) a term, to (r,).
    """
    n_samples, n, n_classes = samples.shape
    dtype = compute_dtype(samples)
    device = samples.device if is_tensor(samples) else torch.device("cpu")
    room = _SAMPLE_VALUES * torch.get_num_threads()
    if on_device(samples):
        room = _DEVICE_VALUES
    size = min(n, max(room // n_classes, 1))
    out = torch.empty(n, device=device, dtype=dtype)
    scratch = torch.empty(size, n_classes, device=device, dtype=dtype)
    together = [torch.empty_like(scratch) for _ in terms]
    with torch.inference_mode():
        for rows in tiles(n, size):
            n_rows = len(range(*rows.indices(n)))
            space, parts = scratch[:n_rows], [part[:n_rows] for part in together]
            sums = [torch.zeros_like(space, dtype=torch.float64) for _ in terms]
            for t in range(n_samples):
                p = block_of(samples[t], rows, dtype)
                for term, part, total in zip(terms, parts, sums, strict=True):
                    value = term(p, space)
                    if t % _ADDED_TOGETHER == 0:
                        part.copy_(value)
                    else:
                        part.add_(value)
                    if t % _ADDED_TOGETHER == _ADDED_TOGETHER - 1 or t == n_samples - 1:
                        total.add_(part)
            out[rows] = measure(rows, *sums).to(dtype)
    check_finite(out)
    return out if is_tensor(samples) else out.numpy()


def agree(samples: torch.Tensor) -> torch.Tensor:
    """Rows of (T, r, C) on which all samples give the same probabilities."""
    return (samples == samples[:1]).all(0).all(-1)


def rows_that_agree(samples: Any) -> Bools:
    """Which rows of (T, n, C) have the same probabilities under all samples."""
    same = per_row(samples, agree, torch.bool)
    return same.cpu().numpy() if is_tensor(same) else same


def like(utilities: NDArray[Any], values: Any) -> Any:
    """An ndarray, or a tensor on the device of the values."""
    if not is_tensor(values):
        return utilities
    return torch.from_numpy(utilities).to(values.device)


def p_log_p(p: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
    """P ln p with 0 · ln 0 = 0; NaN of NaN and of what is negative.

    The least normal number is added before the logarithm: it makes that of 0 finite,
    and is lost beside any other probability.
    """
    return torch.add(p, torch.finfo(p.dtype).tiny, out=out).log_().mul_(p)


def entropy_of(p: torch.Tensor) -> torch.Tensor:
    """-Σ p ln p over the last axis."""
    return 0 - p_log_p(p).sum(-1)


def mean_of_samples(samples: torch.Tensor) -> torch.Tensor:
    """Mean of (T, r, C) over the samples, halves added to halves.

    Always in this order: torch's own sum over an outer axis has one order for columns
    that fill its vectors and another for the rest, so that a row would depend on its
    block. Pairs of pairs also round less than one sample after the other.
    """
    total = samples
    while len(total) > 1:
        half = len(total) // 2
        pairs = total[:half] + total[half : 2 * half]
        if len(total) % 2:
            pairs[0] += total[-1]
        total = pairs
    return total[0] / len(samples)


def two_largest(p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Largest and second largest of every row of (r, C), NaN where the row has one.

    With one class the second is 0.
    """
    if p.shape[1] == 1:
        return p[:, 0], p[:, 0] * 0
    if p.shape[1] > _NARROW:
        first, where = p.max(dim=1)
        rest = p.clone().scatter_(1, where[:, None], -torch.inf)
        return first, rest.amax(dim=1)
    # Short rows are turned: a step then takes one class of many rows at once.
    columns = _turned(p)
    second = torch.minimum(columns[0], columns[1])
    first = torch.maximum(columns[0], columns[1])
    lower = torch.empty_like(first)
    for column in columns[2:]:
        torch.minimum(first, column, out=lower)
        torch.maximum(second, lower, out=second)
        torch.maximum(first, column, out=first)
    return first, second


# Up to so many classes, three steps a class are faster than a search along each row.
_NARROW = 32


def _turned(p: torch.Tensor) -> torch.Tensor:
    """A copy (C, r) of (r, C)."""
    if on_device(p):
        return p.T.contiguous()
    # numpy turns narrow arrays in a third less time than torch.
    return torch.from_numpy(np.ascontiguousarray(p.numpy().T))
