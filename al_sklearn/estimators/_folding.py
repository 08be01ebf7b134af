"""A network that scores faster and gives the same numbers: BatchNorm folded into the convolution before it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

# Their forward passes do nothing but arithmetic; tracing runs a forward pass, and one's own network may count calls.
_KNOWN = ("torch", "torchvision", "timm", "al_sklearn")


def folded(module: nn.Module) -> nn.Module:
    """Copy a network for scoring, with every BatchNorm that can be folded into the convolution before it.

    Parameters
    ----------
    module : nn.Module
        Stays as it is, mode included.

    Returns
    -------
    nn.Module
        In evaluation mode, with the same names and hooks; parameters and buffers are shared, but for the folded
        convolutions. A folded BatchNorm becomes an identity, and on the CPU a 2x2 max pooling becomes one that does
        not also work out where the maxima were. A network of classes other than torch's, torchvision's, timm's and
        this package's is only copied.
    """
    copied = _copy_tree(module, {}).eval()
    if any(type(part).__module__.partition(".")[0] not in _KNOWN for part in module.modules()):
        return copied
    for conv_name, norm_name in _pairs(copied):
        conv, norm = copied.get_submodule(conv_name), copied.get_submodule(norm_name)
        with torch.no_grad():
            weight, bias = fuse_conv_bn_weights(
                conv.weight,  # type: ignore[arg-type]
                conv.bias,  # type: ignore[arg-type]
                norm.running_mean,  # type: ignore[arg-type]
                norm.running_var,  # type: ignore[arg-type]
                norm.eps,  # type: ignore[arg-type]
                norm.weight,  # type: ignore[arg-type]
                norm.bias,  # type: ignore[arg-type]
            )
        conv._parameters = {"weight": weight, "bias": bias}
        _replace(copied, norm_name, nn.Identity().eval())
    for name, part in list(copied.named_modules()):
        if name and _halves(part):
            _replace(copied, name, _MaxPool2x2().eval())
    return copied


def _copy_tree(module: nn.Module, made: dict[int, nn.Module]) -> nn.Module:
    """The same modules in new objects that share parameters, buffers and hooks."""
    if id(module) not in made:
        new = module.__class__.__new__(module.__class__)
        new.__dict__.update(module.__dict__)
        made[id(module)] = new
        new._modules = {
            name: None if part is None else _copy_tree(part, made) for name, part in module._modules.items()
        }
    return made[id(module)]


def _replace(root: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    root.get_submodule(parent)._modules[child] = part


def _pairs(module: nn.Module) -> list[tuple[str, str]]:
    """Names of convolutions and of the BatchNorms that alone read what these give."""
    tracer = fx.Tracer()
    try:
        graph = tracer.trace(module)
    except Exception:  # noqa: BLE001 - control flow that depends on the data fails in many ways; then nothing is folded
        return []
    parts = dict(module.named_modules(remove_duplicate=False))
    names = Counter(id(part) for part in parts.values())
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")

    def plain(node: Any, kind: type[nn.Module]) -> bool:
        if not isinstance(node, fx.Node) or node.op != "call_module" or calls[node.target] != 1:
            return False
        part = parts[str(node.target)]
        hooked = part._forward_hooks or part._forward_pre_hooks or "forward" in vars(part)
        return type(part) is kind and names[id(part)] == 1 and not hooked

    found = []
    for node in graph.nodes:
        if plain(node, nn.BatchNorm2d) and plain(node.args[0], nn.Conv2d):
            norm = parts[node.target]
            if len(node.args[0].users) == 1 and norm.running_mean is not None:
                found.append((str(node.args[0].target), str(node.target)))
    return found


def _halves(part: nn.Module) -> bool:
    """Whether this is a plain 2x2 max pooling on the CPU."""
    if type(part) is not nn.MaxPool2d or part._forward_hooks or part._forward_pre_hooks or "forward" in vars(part):
        return False
    sizes = [(size, size) if isinstance(size, int) else tuple(size) for size in (part.kernel_size, part.stride)]
    return (
        sizes == [(2, 2), (2, 2)]
        and part.padding in (0, (0, 0))
        and part.dilation in (1, (1, 1))
        and not (part.ceil_mode or part.return_indices)
    )


class _MaxPool2x2(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the maxima of 2x2 windows: twice as fast as max_pool2d in channels-last, which also finds where."""
        height, width = x.shape[-2] // 2 * 2, x.shape[-1] // 2 * 2
        if x.device.type != "cpu" or not height or not width:
            return nn.functional.max_pool2d(x, 2)
        x = x[..., :height, :width]
        x = torch.maximum(x[..., ::2, :], x[..., 1::2, :])
        return torch.maximum(x[..., ::2], x[..., 1::2])
