"""Torch modules seen from outside: their modes, and the layer that makes the output.

It imports torch, so nothing imports it that is to start without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any, Final

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from al_sklearn._core.types import Options
from al_sklearn.inference._origin import Origins

__all__ = [
    "OUTPUT",
    "evaluating",
    "first_tensor",
    "hooked",
    "last_linear",
    "layer_names",
    "linears",
    "modes_kept",
    "tapping",
]

#: What stands for the network's output where a layer is named.
OUTPUT: Final = "output"


@contextmanager
def modes_kept(*modules: nn.Module) -> Iterator[None]:
    """Put every part of the modules back into the mode it was in.

    Parameters
    ----------
    *modules : nn.Module
        Whoever works inside ``with`` may switch them as he likes.

    Examples
    --------
    >>> from torch import nn
    >>> from al_sklearn.inference.modules import modes_kept
    >>> net = nn.Sequential(nn.BatchNorm1d(4).eval(), nn.Linear(4, 2))
    >>> with modes_kept(net):
    ...     _ = net.eval()
    >>> net[0].training, net[1].training
    (False, True)
    """
    # Part by part: a frozen trunk stays in evaluation while its head trains.
    modes = [(part, part.training) for top in modules for part in top.modules()]
    try:
        yield
    finally:
        for part, training in modes:
            # Not by train(): a module may have one of its own, which does more.
            part.training = training


@contextmanager
def evaluating(*modules: nn.Module, gradients: bool = False) -> Iterator[None]:
    """Put modules into evaluation mode, and every part back as it was.

    Parameters
    ----------
    *modules : nn.Module
    gradients : bool, default=False
        Whether gradients are recorded meanwhile.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from al_sklearn.inference.modules import evaluating
    >>> net = nn.Dropout(0.5)
    >>> with evaluating(net):
    ...     net(torch.ones(3))
    tensor([1., 1., 1.])
    >>> net.training
    True
    """
    with modes_kept(*modules), torch.set_grad_enabled(gradients):
        for top in modules:
            top.eval()
        yield


def hooked(handles: Iterable[RemovableHandle]) -> ExitStack:
    """Take hooks of modules away again at the end of ``with``.

    Parameters
    ----------
    handles : iterable of handles
        As registering a hook gives them.
    """
    stack = ExitStack()
    for handle in handles:
        stack.enter_context(handle)
    return stack


def first_tensor(value: Any) -> Any:
    """Return the first part of what a module gave: of a tuple, a list or a dict.

    Parameters
    ----------
    value : Tensor, or what holds some

    Examples
    --------
    >>> first_tensor((["logits"], "features"))
    'logits'
    """
    while isinstance(value, (tuple, list, Mapping)):
        value = next(iter(value.values() if isinstance(value, Mapping) else value))
    return value


def linears(module: nn.Module) -> dict[str, nn.Linear]:
    """Return the linear layers of a module by their names, as registered.

    Parameters
    ----------
    module : nn.Module

    Returns
    -------
    dict of str to nn.Linear
    """
    parts = module.named_modules()
    return {name: part for name, part in parts if isinstance(part, nn.Linear)}


def layer_names(module: nn.Module) -> list[str]:
    """Return what may be given as ``layer``: every part, and the output.

    Parameters
    ----------
    module : nn.Module

    Examples
    --------
    >>> from torch import nn
    >>> layer_names(nn.Sequential(nn.Linear(4, 3), nn.ReLU()))
    ['0', '1', 'output']
    """
    names = [name for name, _ in module.named_modules() if name]
    return names if OUTPUT in names else [*names, OUTPUT]


def last_linear(module: nn.Module, run: Callable[[], Any]) -> str | None:
    """Find the linear layer that makes a network's output.

    Parameters
    ----------
    module : nn.Module
    run : callable
        ``run()`` sends something through the module and returns what came out, of
        which the first tensor is meant; two rows are enough. Where it returns None, the
        linear layer that runs last is found, whatever becomes of what it gives.

    Returns
    -------
    name : str or None
        Its name, for ``module.get_submodule(name)``. None where none runs, and where
        the output does not follow from what one of them gave alone: behind a residual
        connection (a headless transformer), a convolution, or a product with weights
        that are no ``nn.Linear``'s. What has no weights but scales and shifts may stand
        behind it: a softmax, a temperature, BatchNorm, the mean over positions.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from al_sklearn.inference.modules import last_linear
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> last_linear(net, lambda: net(torch.zeros(2, 4)))
    '2'
    """
    ran: list[str | None] = [None]
    origins = Origins(module)

    def starts(name: str, *_: Any) -> None:
        ran.append(name)

    def ends(name: str, _part: Any, _args: Any, out: Any) -> None:
        origins.sees_layer(name, out)

    def begins(_part: Any, args: Any, kwargs: Options) -> None:
        origins.sees_input((args, kwargs))

    # Of a compiled network the one inside: it is what runs without being compiled.
    whole = getattr(module, "_orig_mod", module)
    handles = [whole.register_forward_pre_hook(begins, with_kwargs=True)]
    for name, part in linears(module).items():
        handles.append(part.register_forward_pre_hook(partial(starts, name)))
        handles.append(part.register_forward_hook(partial(ends, name)))
    with hooked(handles), origins:
        out = run()
    if out is None:
        return ran[-1]
    return origins.layer_of(first_tensor(out), ran[-1])


def tapping(
    module: nn.Module,
    keep: Callable[[Any], None],
    layer: str | None = None,
    *,
    before: bool = False,
) -> AbstractContextManager[Any]:
    """Show ``keep`` what a layer computes in every forward pass inside ``with``.

    Parameters
    ----------
    module : nn.Module
    keep : callable
        ``keep(value)`` is called with the first input of each linear layer as it runs
        (what remains in the end belongs to the one that runs last), or with the output
        of ``layer``. The value may be worked on in place afterwards.
    layer : str, optional
        A name of ``module.named_modules()``; ``"output"`` is the network's own output,
        where no layer has that name.
    before : bool, default=False
        Whether ``keep`` is shown the first input of ``layer`` instead of its output.
    """
    if layer is None:
        parts: list[nn.Module] = [*linears(module).values()]
    elif layer == OUTPUT and OUTPUT not in dict(module.named_modules()):
        # Of a compiled network the one inside, whose hooks are called.
        parts = [getattr(module, "_orig_mod", module)]
    else:
        parts = [module.get_submodule(layer)]
    if layer is not None and not before:
        return parts[0].register_forward_hook(lambda _, __, out: keep(out))

    def show(_part: nn.Module, args: tuple[Any, ...], kwargs: Options) -> None:
        # A layer may be called by the name of its parameter.
        keep(args[0] if args else next(iter(kwargs.values())))

    return hooked(
        part.register_forward_pre_hook(show, with_kwargs=True) for part in parts
    )
