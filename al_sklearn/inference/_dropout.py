"""Monte-Carlo dropout: masks that one posterior sample keeps for the whole pool."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.dropout import _DropoutNd
from torch.overrides import TorchFunctionMode

from al_sklearn._core.types import Options
from al_sklearn.inference._trunk import forward_as

# torch's own constant of AlphaDropout: the saturation value of SELU, -lambda * alpha.
_ALPHA = -1.7580993408473766
_WHOLE_CHANNELS = (
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.FeatureAlphaDropout,
)


def active_dropout(module: nn.Module) -> list[_DropoutNd]:
    """Dropout modules of every kind that would drop something, as registered.

    They come in the order of registration.
    """
    return [
        part for part in module.modules() if isinstance(part, _DropoutNd) and part.p > 0
    ]


class FixedDropout:
    """One mask per posterior sample, the same for every image of the pool.

    A sample is one function.
    """

    def __init__(self, layers: list[_DropoutNd], seed: int):
        self.layers = layers
        self.seed = seed
        self.sample = 0
        # A module may be called several times in one forward pass, each with a mask.
        self._calls: dict[int, int] = {}
        self._masks: dict[tuple[int, int, int], torch.Tensor] = {}

    @property
    def used(self) -> bool:
        """Whether any of the modules was called."""
        return bool(self._masks)

    def start(self, sample: int, _row: int = 0) -> None:
        """Begin a forward pass of a sample, the same for all rows."""
        self.sample = sample
        self._calls = {}

    def forward(self, index: int, x: torch.Tensor) -> torch.Tensor:
        """What the dropout module of that index makes of x."""
        layer = self.layers[index]
        call = self._calls.get(index, 0)
        self._calls[index] = call + 1
        mask = self._mask((self.sample, index, call), layer, x)
        if isinstance(layer, (nn.AlphaDropout, nn.FeatureAlphaDropout)):
            # Klambauer et al. 2017: dropped to saturation, then scaled and shifted so
            # that mean and variance stay.
            variance = (1 - layer.p) * (1 + layer.p * _ALPHA**2)
            scale = variance**-0.5
            dropped = x * mask + _ALPHA * (1 - mask)
            return scale * dropped - scale * layer.p * _ALPHA
        # With a probability of 1 nothing is left to be made larger.
        return x * mask if layer.p == 1 else x * (mask / (1 - layer.p))

    def _mask(
        self,
        key: tuple[int, int, int],
        layer: _DropoutNd,
        x: torch.Tensor,
    ) -> torch.Tensor:
        # Feature-wise kinds drop whole channels; the others single values.
        n_shared = x.ndim - 2 if isinstance(layer, _WHOLE_CHANNELS) else 0
        n_own = x.ndim - n_shared
        shape = (1, *x.shape[1:n_own], *[1] * n_shared)
        mask = self._masks.get(key)
        if mask is None:
            # A stream of its own for each mask: it depends on no other's being drawn.
            sequence = np.random.SeedSequence([self.seed, *key])
            entropy = int(sequence.generate_state(1, np.uint64)[0])
            # torch takes seeds of 63 bits.
            generator = torch.Generator().manual_seed(entropy >> 1)
            mask = torch.rand(shape, generator=generator) >= layer.p
            mask = mask.to(device=x.device, dtype=x.dtype)
            self._masks[key] = mask
        elif mask.shape != shape:
            raise ValueError(
                "MC dropout shares one mask over the pool, but two batches reach a "
                "dropout layer with features "
                f"of shape {tuple(mask.shape[1:])} and {tuple(shape[1:])}; give "
                "images of one size."
            )
        return mask


_FUNCTIONS = frozenset(
    {
        functional.alpha_dropout,
        functional.dropout,
        functional.dropout1d,
        functional.dropout2d,
        functional.dropout3d,
        functional.feature_alpha_dropout,
    }
)


class FunctionalDropout(TorchFunctionMode):
    """Notices dropout that the network calls as a function.

    Only modules can be switched on from outside.
    """

    seen = False

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Options | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in _FUNCTIONS:
            # torch's own default, where the network says no probability.
            by_position = args[1] if len(args) > 1 else 0.5
            self.seen = self.seen or kwargs.get("p", by_position) > 0
        return func(*args, **kwargs)


@contextmanager
def every_module_called() -> Iterator[None]:
    """Without torch's fused attention layers, which pass over dropout inside them."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


@contextmanager
def dropout_on(masks: FixedDropout) -> Iterator[None]:
    """Replace the forward pass of the dropout modules alone by the fixed masks."""
    with ExitStack() as stack:
        for index, layer in enumerate(masks.layers):
            stack.enter_context(forward_as(layer, partial(masks.forward, index)))
        yield
