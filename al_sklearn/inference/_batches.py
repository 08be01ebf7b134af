"""A net's module, run batch by batch, and put back as it was.

Modes, weights, BatchNorm statistics and hooks stay, and the global random generators
are not drawn from. Only the batches that the net's own iterator makes are ever in
memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from skorch.dataset import unpack_data
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    SequentialSampler,
)

from al_sklearn._core.prefetch import read_ahead
from al_sklearn._core.random import preserve_global_rng
from al_sklearn._core.types import Array
from al_sklearn.config import current
from al_sklearn.inference.modules import evaluating
from al_sklearn.rows import are_files, n_rows


def for_scoring(net: Any, n: int) -> Any:
    """Return the net that gives the same numbers for ``n`` rows faster, if any."""
    can = hasattr(net, "scoring_net") and hasattr(net, "module_")
    return net.scoring_net(n) if can else net


@contextmanager
def quiet(net: Any, gradients: bool = False) -> Iterator[nn.Module]:
    """Yield the net's module in evaluation mode and eager; all is put back.

    It runs without gradients unless they are asked for.
    """
    module = net.module_
    with ExitStack() as stack:
        stack.enter_context(preserve_global_rng())
        if hasattr(module, "_orig_mod"):
            # A compiled module skips hooks: run it eagerly.
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(torch.inference_mode(not gradients))
        stack.enter_context(evaluating(module, gradients=gradients))
        yield module


def batches(net: Any, X: Any) -> Iterator[tuple[int, Any]]:
    """Yield (start, rows) for each batch that the net's own iterator makes.

    Raises
    ------
    ValueError
        For NaN, and for an iterator that does not give every row once, in order.
    """
    n = n_rows(X)
    start = 0
    parts = net.get_iterator(net.get_dataset(X), training=False)
    _check_order(parts, n, net)
    if current().prefetch and are_files(X):
        # Files are decoded beside the network's work; arrays are in memory by now.
        parts = read_ahead(parts)
    for part in parts:
        rows, _ = unpack_data(part)
        is_tensor = isinstance(rows, torch.Tensor)
        if is_tensor and rows.is_floating_point() and bool(torch.isnan(rows).any()):
            raise ValueError(f"X contains NaN (in the rows from {start} on).")
        stop = start + len(rows if is_tensor else next(iter(rows.values())))
        if stop > n:
            raise _not_each_row(net, f"more than {n} rows")
        yield start, rows
        start = stop
    if start < n:
        raise _not_each_row(net, f"{start} of {n} rows")


def _check_order(parts: Any, n: int, net: Any) -> None:
    """Raise a ``ValueError`` for a loader that skips rows, or gives another order.

    What cannot be seen of iterators of one's own shows in the number of their rows.
    """
    if not isinstance(parts, DataLoader) or isinstance(parts.dataset, IterableDataset):
        return
    by_batch: Any = parts.batch_sampler
    order = parts.sampler if by_batch is None else by_batch
    if type(by_batch) is BatchSampler:
        if by_batch.drop_last and n % by_batch.batch_size:
            n_left = n - n % by_batch.batch_size
            raise _not_each_row(net, f"{n_left} of {n} rows (drop_last=True)")
        order, by_batch = by_batch.sampler, None
    if type(order) is SequentialSampler and len(order) == n:
        return
    # Asked once for the order; what it draws is put back with the generators.
    positions = [*order] if by_batch is None else [i for rows in order for i in rows]
    if len(positions) < n:
        raise _not_each_row(net, f"{len(positions)} of {n} rows")
    if positions != [*range(n)]:
        name = type(order).__name__
        raise _not_each_row(net, f"rows in the order of a {name} (shuffle, sampler)")


def _not_each_row(net: Any, gave: str) -> ValueError:
    return ValueError(
        f"The iterator_valid of {type(net).__name__} gave {gave}: scoring needs every "
        "row of X once, in its order. Take away drop_last, shuffle or the sampler from "
        "iterator_valid__…; those of training are iterator_train__…."
    )


def proba_of(net: Any, rows: Any, exact: bool = False) -> torch.Tensor:
    """Class probabilities of one batch.

    With ``exact`` the net's own nonlinearity is applied in float64.
    """
    out = net.infer(rows)
    out = out[0] if isinstance(out, tuple) else out
    return net._get_predict_nonlinearity()(out.cpu().double() if exact else out)


def as_array(values: torch.Tensor) -> Array:
    """Values on the CPU in float32."""
    return values.detach().float().cpu().numpy()


def copied(value: Any) -> Any:
    """The same with tensors of its own, so that in-place arithmetic is safe.

    It reaches nothing that is used again.
    """
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, Mapping):
        kind: Any = type(value)
        return kind({key: copied(part) for key, part in value.items()})
    if isinstance(value, (list, tuple)):
        parts = [copied(part) for part in value]
        is_named = hasattr(value, "_fields")
        return type(value)(*parts) if is_named else type(value)(parts)
    return value


def outputs(net: Any, X: Any) -> Iterator[tuple[int, Callable[..., Array]]]:
    """Yield (start, forward) for each batch.

    ``forward()`` gives its class probabilities, ``forward(m)`` those of its first m
    rows.
    """
    for start, rows in batches(net, X):

        def forward(most: int | None = None, rows: Any = rows) -> Array:
            # A copy: a network that works in place on its input would begin again from
            # what it left.
            return as_array(proba_of(net, copied(first_rows(rows, most))))

        yield start, forward


def first_rows(rows: Any, most: int | None) -> Any:
    """The first rows of a batch; all of them for None."""
    if most is None:
        return rows
    if isinstance(rows, torch.Tensor):
        return rows[:most]
    return {key: part[:most] for key, part in rows.items()}


class Rows:
    """Grows an array of known length batch by batch, so that it is never held twice.

    :func:`batches` sees to it that every row is put.
    """

    def __init__(self, n: int, axis: int = 0):
        self.n = n
        self.axis = axis
        self.array = np.empty(0, dtype=np.float32)

    def put(self, start: int, part: Array) -> None:
        if not self.array.size:
            shape = list(part.shape)
            shape[self.axis] = self.n
            self.array = np.empty(shape, dtype=np.float32)
        rows = np.moveaxis(self.array, self.axis, 0)
        new = np.moveaxis(part, self.axis, 0)
        rows[start : start + len(new)] = new
