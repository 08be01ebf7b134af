"""Which linear layer a network's output comes from, followed through one forward pass.

A layer that runs last need not be the one that makes the output: behind the last MLP of
a headless transformer stand a sum, a norm and the choice of a token; behind a hidden
layer may stand a convolution, or a product with plain weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from al_sklearn._core.types import Options

# What a tensor comes from, where it is not the name of one linear layer.
_WEIGHTS = object()  # parameters, buffers and constants alone
_UNSEEN = object()  # nobody saw it made: scripted code, an autograd function of its own
_MIXED = object()  # the images by another way, several layers, or weights behind one


class Origins(TorchFunctionMode):
    """Notes, of each tensor of a forward pass, which linear layer it comes from.

    A tensor comes from a layer when it follows from what that layer gave alone, by any
    functions that have no weights but scales and shifts: reshaped, averaged over
    positions, divided by a temperature, normalised, through a softmax. What passes
    through a matrix or a kernel, or is added to something else, comes from no layer.

    Parameters
    ----------
    module : nn.Module
        The network that runs inside ``with``.
    """

    def __init__(self, module: nn.Module):
        super().__init__()
        # The tensors themselves, too: an id is theirs only as long as they live.
        self._known: dict[int, tuple[Tensor, Any]] = {}
        self._note([*module.parameters(), *module.buffers()], _WEIGHTS)

    def sees_input(self, values: Any) -> None:
        """Note what the network is given."""
        self._note(_tensors(values), _MIXED)

    def sees_layer(self, name: str, value: Any) -> None:
        """Note what a linear layer gave."""
        self._note(_tensors(value), name)

    def layer_of(self, output: Any, otherwise: str | None) -> str | None:
        """Return the layer that a tensor comes from.

        Parameters
        ----------
        output : Tensor
        otherwise : str or None
            The answer where its making could not be seen.
        """
        origin = self._origin(output)
        if isinstance(origin, str):
            return origin
        return otherwise if origin is _UNSEEN else None

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Options | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        given = _tensors((args, kwargs))
        # Before it runs: in place, it changes what it is given.
        origin = _joined(map(self._of_one, given))
        result = func(*args, **kwargs)
        if getattr(func, "__name__", "") == "__setitem__":
            # It gives nothing back, and changes its first argument.
            self._note(given[:1], origin)
        self._note(_tensors(result), origin)
        return result

    def _note(self, tensors: Iterable[Tensor], origin: Any) -> None:
        for tensor in tensors:
            self._known[id(tensor)] = tensor, origin

    def _origin(self, tensor: Tensor) -> Any:
        known = self._known.get(id(tensor))
        return _UNSEEN if known is None else known[1]

    def _of_one(self, tensor: Tensor) -> Any:
        """Where one argument of a function comes from; None for a scale or a shift."""
        origin = self._origin(tensor)
        # One value, or one along one axis: a temperature, a bias, BatchNorm's factors.
        along_one_axis = tensor.numel() == max(tensor.shape, default=1)
        if along_one_axis and (origin is _WEIGHTS or origin is _UNSEEN):
            return None
        return origin


def _joined(origins: Iterable[Any]) -> Any:
    """Where what a function gives comes from."""
    found = {origin for origin in origins if origin is not None}
    if not found:
        return _WEIGHTS
    return found.pop() if len(found) == 1 else _MIXED


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
