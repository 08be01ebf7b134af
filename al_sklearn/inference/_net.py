"""The adapter of skorch nets: probabilities, embeddings, dropout, gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import NotFittedError
from torch import nn

from al_sklearn._core.types import Array
from al_sklearn.inference._adapter import Adapter, Factors, TwoArrays, own_first
from al_sklearn.inference._batches import (
    Rows,
    as_array,
    batches,
    copied,
    first_rows,
    for_scoring,
    outputs,
    proba_of,
    quiet,
)
from al_sklearn.inference._dropout import (
    FixedDropout,
    FunctionalDropout,
    active_dropout,
    dropout_on,
    every_module_called,
)
from al_sklearn.inference._trunk import FEW_ROWS, Trunk
from al_sklearn.inference.modules import (
    OUTPUT,
    first_tensor,
    last_linear,
    layer_names,
    tapping,
)
from al_sklearn.rows import n_rows

# MC dropout samples when the caller does not say: where BALD's ranking has settled in
# practice.
_N_SAMPLES = 20
# Names of layers that an error lists.
_MOST_NAMES = 40
_UNWATCHED = nullcontext()

_NO_DROPOUT = (
    "its network has no active dropout module (functional dropout cannot be switched "
    "on); add nn.Dropout, or use DeepEnsemble or a Committee."
)
_NEVER_CALLED = (
    "its network's dropout modules are never called in its forward pass, so all "
    "samples would be the same; call them, or use DeepEnsemble or a Committee."
)
_CALLED_AS_FUNCTION = (
    "The network also calls dropout as a function, which cannot be switched on from "
    "outside: the posterior samples differ by its dropout modules alone. Make it an "
    "nn.Dropout to have it sampled too."
)


class Net(Adapter):
    """A skorch net, run batch by batch as its own iterator makes them."""

    def gives(self, capability: str) -> bool:
        if capability == "proba_and_embed":
            # An embedding of its own is not what passes through the network.
            return not hasattr(self.estimator, "embed")
        return super().gives(capability)

    def check_fitted(self) -> None:
        if not getattr(self.estimator, "initialized_", False):
            raise NotFittedError(
                f"This {type(self.estimator).__name__} is not fitted yet; call fit or "
                "teach first."
            )

    def networks(self) -> list[Any]:
        tops = self.estimator.module_, self.estimator.criterion_
        # A criterion may be a plain function.
        return [top for top in tops if hasattr(top, "modules")]

    def network_inputs(self, X: Any) -> Iterator[Any]:
        return (rows for _, rows in batches(self.estimator, X))

    def predict_proba(self, X: Any) -> Array:
        n = n_rows(X)
        out = Rows(n)
        net = for_scoring(self.estimator, n)
        with quiet(net):
            for start, forward in outputs(net, X):
                out.put(start, forward())
        return out.array

    @own_first
    def embed(self, X: Any, layer: str | None = None) -> Array:
        return self.proba_and_embed(X, layer)[1]

    def proba_and_embed(self, X: Any, layer: str | None) -> TwoArrays:
        n = n_rows(X)
        out = Rows(n)
        embeddings = Rows(n)
        # A layer asked for by name gives what it gives in the network as it is.
        net = self.estimator if layer is not None else for_scoring(self.estimator, n)
        seen: list[torch.Tensor] = []

        def keep(value: Any) -> None:
            value = first_tensor(value)
            # A copy of an output: an in-place ReLU after the layer would change it.
            value = value if layer is None else copied(value)
            # Of a layer that runs several times the last one remains.
            seen[:] = [value.reshape(len(value), -1)]

        with quiet(net) as module, ExitStack() as tap:
            if layer is not None:
                self._check_layer(module, layer)
                tap.enter_context(tapping(module, keep, layer))
            for start, rows in batches(net, X):
                if layer is None and start == 0:
                    head = self._head(net, module, rows)
                    tap.enter_context(tapping(module, keep, head, before=True))
                # A copy: a network that works in place on its input would leave the
                # caller's changed.
                out.put(start, as_array(proba_of(net, copied(rows))))
                if not seen:
                    raise ValueError(
                        f"The layer {layer!r} does not run in the network's forward "
                        "pass."
                    )
                embeddings.put(start, as_array(seen[0]))
        return out.array, embeddings.array

    @own_first
    def sample_proba(self, X: Any, n_samples: int | None, seed: int) -> Array:
        if not active_dropout(self.estimator.module_):
            raise self.cannot("sample_proba", _NO_DROPOUT)
        net = for_scoring(self.estimator, n_rows(X))
        masks = FixedDropout(active_dropout(net.module_), seed)
        functions = FunctionalDropout()
        with quiet(net) as module, dropout_on(masks), every_module_called():
            trunk = Trunk(module, masks.layers)
            n_samples = n_samples or _N_SAMPLES
            samples = _sampled(net, X, trunk, n_samples, masks.start, functions)
        if functions.seen:
            warnings.warn(_CALLED_AS_FUNCTION, stacklevel=2)
        if not masks.used:
            raise self.cannot("sample_proba", _NEVER_CALLED)
        return samples

    def feature_dropout(self, X: Any, n_samples: int, factors: Factors) -> Array:
        net = for_scoring(self.estimator, n_rows(X))
        where = [0, 0]

        def begin(*sample_and_start: int) -> None:
            where[:] = sample_and_start

        def perturb(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            sample, start = where
            x = args[0]
            stop = start + len(x)
            by = factors(sample, start, stop, x[0].numel())
            scale = torch.from_numpy(by).to(device=x.device, dtype=x.dtype)
            return (x * scale.view(x.shape), *args[1:])

        with quiet(net) as module:
            last = self._last_linear(net, module, X)
            with last.register_forward_pre_hook(perturb):
                # What comes before the last linear layer runs once for all samples.
                return _sampled(net, X, Trunk(module, [last]), n_samples, begin)

    @own_first
    def last_layer(self, X: Any) -> TwoArrays:
        with quiet(self.estimator) as module:
            last = self._last_linear(self.estimator, module, X)
            weights = as_array(last.weight).copy()
            if last.bias is None:
                return weights, np.zeros(len(weights), np.float32)
            return weights, as_array(last.bias).copy()

    @own_first
    def input_gradient(self, X: Any) -> Array:
        net = self.estimator
        out = Rows(n_rows(X))
        leaf: list[torch.Tensor] = []

        def open_leaf(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            x = args[0] if args else None
            if not isinstance(x, torch.Tensor) or not x.is_floating_point():
                instead = "its network takes no float images."
                raise self.cannot("input_gradient", instead)
            leaf[:] = [x.detach().requires_grad_()]
            # A copy goes on, because a first layer that works in place may not change
            # a leaf.
            return (leaf[0].clone(), *args[1:])

        with quiet(net, gradients=True) as module:
            first = getattr(module, "_orig_mod", module)
            with first.register_forward_pre_hook(open_leaf):
                for start, rows in batches(net, X):
                    out.put(start, _gradient_sizes(net, rows, leaf))
        return out.array

    def _last_linear(self, net: Any, module: nn.Module, X: Any) -> Any:
        """The linear layer that makes the network's output, as the first batch says."""
        _, rows = next(batches(net, X))
        return module.get_submodule(self._head(net, module, rows))

    def _head(self, net: Any, module: nn.Module, rows: Any) -> str:
        """The name of the linear layer that makes the output of a batch."""
        few = first_rows(rows, FEW_ROWS)
        name = last_linear(module, lambda: net.infer(copied(few)))
        if name is None:
            raise self.cannot(
                "embed",
                "no nn.Linear of its network makes the output, so that there is no "
                f"input of one to take; name a layer with layer=…: {_listed(module)}; "
                f"or layer={OUTPUT!r}, what the network gives.",
                "embeddings",
            )
        return name

    def _check_layer(self, module: nn.Module, layer: str) -> None:
        if layer not in layer_names(module):
            raise ValueError(
                f"Unknown layer {layer!r}. Available: {_listed(module)}; "
                f"{OUTPUT}, what the network gives."
            )


def _listed(module: nn.Module) -> str:
    names = [name for name, _ in module.named_modules() if name]
    listed = ", ".join(names[:_MOST_NAMES])
    if len(names) > _MOST_NAMES:
        listed += f", … ({len(names) - _MOST_NAMES} more)"
    return listed


def _gradient_sizes(net: Any, rows: Any, leaf: list[torch.Tensor]) -> Array:
    """Σ|∂CE(x, ŷ)/∂x| of each row of a batch, whose network put its input in leaf."""
    # Float64 and the sum over the batch, not its mean: confident images do not drown in
    # rounding, and no image's gradient depends on how many others share its batch.
    proba = proba_of(net, rows, exact=True)
    predicted = proba.argmax(dim=1, keepdim=True)
    loss = -proba.gather(1, predicted).log().sum()
    (gradient,) = torch.autograd.grad(loss, leaf[0])
    return as_array(gradient.abs().flatten(1).sum(dim=1))


def _sampled(
    net: Any,
    X: Any,
    trunk: Trunk,
    n_samples: int,
    begin: Callable[[int, int], None],
    watched: AbstractContextManager[Any] = _UNWATCHED,
) -> Array:
    """Class probabilities (T, n, C) of passes that begin(sample, start) makes differ.

    What runs before the trunk's layers runs once a batch. ``watched`` sees one pass.
    """
    out = Rows(n_rows(X), axis=1)
    for start, forward in outputs(net, X):
        if start == 0:
            # The first rows tell: watching every batch would slow the network down.
            begin(0, start)
            with trunk.finding(), watched:
                forward(FEW_ROWS)
        begin(0, start)
        with trunk.recording():
            first = forward()
        part = np.empty((n_samples, *first.shape), dtype=np.float32)
        part[0] = first
        with trunk.replaying():
            for sample in range(1, n_samples):
                begin(sample, start)
                trunk.rewind()
                part[sample] = forward()
        out.put(start, part)
    return out.array
