"""A network that scores faster and gives the same numbers.

BatchNorm folded into the convolution before it.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from al_sklearn._core.types import Options

# Their forward passes do nothing but arithmetic; tracing runs a forward pass, and one's
# own network may count calls.
_KNOWN = frozenset({"torch", "torchvision", "timm", "al_sklearn", "builtins"})
# While fx traces, it replaces what nn.Module does on a call, in all threads: one at a
# time.
_turn = threading.Lock()


def folded(module: nn.Module) -> nn.Module:
    """Copy a network for scoring, with BatchNorms folded where they can be.

    A BatchNorm is folded into the convolution before it.

    Parameters
    ----------
    module : nn.Module
        Stays as it is, mode included.

    Returns
    -------
    nn.Module
        In evaluation mode, with the same names and hooks; parameters and buffers are
        shared, but for the folded convolutions. A folded BatchNorm becomes an identity,
        and on the CPU a 2x2 max pooling becomes one that does not also work out where
        the maxima were. What is not made of classes of torch, torchvision, timm and
        this package alone, or was scripted, compiled or given another forward pass, is
        returned itself, mode and all.
    """
    if not all(map(_is_known, module.modules())):
        return module
    copied = _copy_tree(module, {}).eval()
    for conv_name, norm_name in _pairs(copied):
        conv: Any = copied.get_submodule(conv_name)
        norm: Any = copied.get_submodule(norm_name)
        with torch.no_grad():
            _replace(copied, conv_name, fuse_conv_bn_eval(conv, norm))
        _replace(copied, norm_name, nn.Identity().eval())
    for name, part in list(copied.named_modules()):
        if name and _halves(part):
            _replace(copied, name, _MaxPool2x2().eval())
    return copied


def _is_known(part: nn.Module) -> bool:
    """Whether a module does what its class does, and all of its class is known."""
    # What an instance was given for itself is bound to it: in a copy it would go on
    # with the original's parts.
    own = "forward" in vars(part) or vars(part).get("_compiled_call_impl") is not None
    known = all(
        kind.__module__.partition(".")[0] in _KNOWN for kind in type(part).__mro__
    )
    return known and not own and not isinstance(part, torch.jit.ScriptModule)


def _copy_tree(module: nn.Module, made: dict[int, nn.Module]) -> nn.Module:
    """The same modules in new objects that share parameters, buffers and hooks."""
    if id(module) not in made:
        new = module.__class__.__new__(module.__class__)
        new.__dict__.update(module.__dict__)
        made[id(module)] = new
        new._modules = {
            name: None if part is None else _copy_tree(part, made)
            for name, part in module._modules.items()
        }
    return made[id(module)]


def _replace(root: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    root.get_submodule(parent)._modules[child] = part


def _pairs(module: nn.Module) -> list[tuple[str, str]]:
    """Names of convolutions and of the BatchNorms that alone read what these give."""
    if any(
        _hooked(part)
        for name, part in module.named_modules()
        if name and any(part.children())
    ):
        # Tracing would run the hooks of what holds other modules, and they may change
        # what goes on to the next.
        return []
    try:
        with _turn:
            graph = _Tracer().trace(module)
    # Control flow that depends on the data fails in many ways; then nothing is folded.
    except Exception:  # noqa: BLE001
        return []
    parts = dict(module.named_modules(remove_duplicate=False))
    names = Counter(id(part) for part in parts.values())
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")

    def plain(node: Any, kind: type[nn.Module]) -> bool:
        if (
            not isinstance(node, fx.Node)
            or node.op != "call_module"
            or calls[node.target] != 1
        ):
            return False
        part = parts[str(node.target)]
        return type(part) is kind and names[id(part)] == 1 and not _hooked(part)

    found = []
    for node in graph.nodes:
        if plain(node, nn.BatchNorm2d) and plain(node.args[0], nn.Conv2d):
            norm = parts[node.target]
            if len(node.args[0].users) == 1 and norm.running_mean is not None:
                found.append((str(node.args[0].target), str(node.target)))
    return found


def _hooked(part: nn.Module) -> bool:
    return bool(part._forward_hooks or part._forward_pre_hooks)


class _Tracer(fx.Tracer):
    """Traces in its own thread; networks that run in others meanwhile run as ever."""

    def __init__(self) -> None:
        # No functions wrapped: that would be undone while other threads look for more
        # of them.
        super().__init__(autowrap_modules=())  # type: ignore[arg-type]
        self._owner = threading.get_ident()

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        if threading.get_ident() != self._owner:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: Options) -> Any:
        if threading.get_ident() != self._owner:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)


def _halves(part: nn.Module) -> bool:
    """Whether this is a plain 2x2 max pooling on the CPU."""
    if type(part) is not nn.MaxPool2d or _hooked(part):
        return False
    return (
        part.kernel_size in (2, (2, 2))
        and part.stride in (2, (2, 2))
        and part.padding in (0, (0, 0))
        and part.dilation in (1, (1, 1))
        and not (part.ceil_mode or part.return_indices)
    )


class _MaxPool2x2(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        """Return the maxima of 2x2 windows.

        Twice as fast as max_pool2d in channels-last, which also finds where.
        """
        height, width = x.shape[-2] // 2 * 2, x.shape[-1] // 2 * 2
        if x.device.type != "cpu" or not height or not width:
            return nn.functional.max_pool2d(x, 2)
        x = x[..., :height, :width]
        x = torch.maximum(x[..., ::2, :], x[..., 1::2, :])
        return torch.maximum(x[..., ::2], x[..., 1::2])
