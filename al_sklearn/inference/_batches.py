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

from al_sklearn._core.prefetch import read_ahead
from al_sklearn._core.random import preserve_global_rng
from al_sklearn._core.types import Array
from al_sklearn.config import current
from al_sklearn.inference.modules import evaluating
from al_sklearn.rows import are_files


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
    """Yield (start, rows) for each batch that the net's own iterator makes."""
    start = 0
    parts = net.get_iterator(net.get_dataset(X), training=False)
    if current().prefetch and are_files(X):
        # Files are decoded beside the network's work; arrays are in memory by now.
        parts = read_ahead(parts)
    for part in parts:
        rows, _ = unpack_data(part)
        is_tensor = isinstance(rows, torch.Tensor)
        if is_tensor and rows.is_floating_point() and bool(torch.isnan(rows).any()):
            raise ValueError(f"X contains NaN (in the rows from {start} on).")
        yield start, rows
        start += len(rows if is_tensor else next(iter(rows.values())))


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
            return as_array(proba_of(net, copied(_first(rows, most))))

        yield start, forward


def _first(rows: Any, most: int | None) -> Any:
    if most is None:
        return rows
    if isinstance(rows, torch.Tensor):
        return rows[:most]
    return {key: part[:most] for key, part in rows.items()}


class Rows:
    """Grows an array of known length batch by batch, so that it is never held twice."""

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
