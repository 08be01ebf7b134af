"""Torch modules seen from outside: their modes, and the linear layer that runs last.

It imports torch, so nothing imports it that is to start without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

__all__ = ["evaluating", "hooked", "last_linear", "linears", "modes_kept", "tapping"]


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


def last_linear(module: nn.Module, run: Callable[[], Any]) -> str | None:
    """Find the linear layer that runs last.

    Parameters
    ----------
    module : nn.Module
    run : callable
        ``run()`` sends something through the module; a few rows are enough.

    Returns
    -------
    name : str or None
        Its name, for ``module.get_submodule(name)``; None where none runs.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from al_sklearn.inference.modules import last_linear
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> last_linear(net, lambda: net(torch.zeros(1, 4)))
    '2'
    """
    ran: list[str | None] = [None]
    handles = (
        part.register_forward_pre_hook(lambda *_, name=name: ran.append(name))
        for name, part in linears(module).items()
    )
    with hooked(handles):
        run()
    return ran[-1]


def tapping(
    module: nn.Module,
    keep: Callable[[Any], None],
    layer: str | None = None,
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
        A name of ``module.named_modules()``.
    """
    if layer is not None:
        part = module.get_submodule(layer)
        return part.register_forward_hook(lambda _, __, out: keep(out))
    return hooked(
        part.register_forward_pre_hook(lambda _, args: keep(args[0]))
        for part in linears(module).values()
    )
