"""What an experiment may import and call where nobody said that it is trusted.

A record in somebody's folder and a file that is only looked at name Python by its path.
What they may reach is a list of packages, and of kinds of things in them; whatever is
beyond it runs only where it is asked for.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.metadata import entry_points
from types import NoneType
from typing import Any, Final

from al_sklearn.experiments.configuration._problems import Key, Problem

# Whose public names may be imported; plugins that are installed come besides.
_PACKAGES: Final = ("al_sklearn", "sklearn", "skorch", "torch", "torchvision")
# Groups of entry points by which a package says that it is a plugin.
_GROUPS: Final = "al_sklearn."
# Functions that compute from what they are given, by the modules that define them.
_FUNCTIONS: Final = (
    "al_sklearn.estimators.networks",
    "al_sklearn.modal",
    "al_sklearn.strategies",
    "al_sklearn.tasks",
    "sklearn.metrics",
    "torch.nn.functional",
    "torchvision.models",
)
# Options that name a file which is read by pickle: a pickle is a program.
_PICKLES: Final = frozenset(
    {
        "checkpoint_path",
        "memory",
        "pretrained_cfg",
        "pretrained_cfg_overlay",
        "torch_load_kwargs",
    }
)
# Estimators that fetch whole models by name, in whatever form these were stored.
_LOADERS: Final = ("skorch.hf", "skorch.llm")
_VALUES: Final = (bool, int, float, str, NoneType, enum.Enum)
_HOW: Final = (
    "It runs only where that is asked for: give --trust (trust=True) if you know who "
    "wrote this."
)


class Trust:
    """Whether what is read may import and call anything.

    Attributes
    ----------
    given : bool
        Somebody said so.
    needed : bool
        Something was met that is refused without.
    """

    def __init__(self, given: bool):
        self.given = given
        self.needed = False

    def refuse(self, problem: Problem) -> None:
        """Raise a problem, or take note that only trust let it pass."""
        if not self.given:
            raise problem
        self.needed = True


# Nothing is trusted that does not say so.
_current: ContextVar[Trust | None] = ContextVar("al_sklearn_trust", default=None)


@contextmanager
def under(trust: Trust) -> Iterator[None]:
    """Let names be looked up under this trust within the block."""
    token = _current.set(trust)
    try:
        yield
    finally:
        _current.reset(token)


def _trust() -> Trust:
    return _current.get() or Trust(False)


def check_import(path: str, key: Key) -> None:
    """Refuse to import what is outside of the packages; asked before it is done.

    Raises
    ------
    Problem
        At ``key``.
    """
    first, *others = path.split(".")
    # What is private, __main__ among it, may do anything when it is imported.
    public = not any(part.startswith("_") for part in others)
    if first not in _packages() or not public or path.startswith(_LOADERS):
        _trust().refuse(
            Problem(
                key,
                f"asks for {path}; without trust only public names of "
                f"{', '.join(sorted(_packages()))} are imported. {_HOW}",
            )
        )


def check_kind(path: str, thing: Any, key: Key) -> None:
    """Refuse what is found but is none of the kinds that an experiment needs.

    Raises
    ------
    Problem
        At ``key``.
    """
    if not _is_of_a_kind(thing):
        _trust().refuse(
            Problem(
                key,
                f"asks for {path}; without trust only estimators, transformers, "
                "strategies, criteria, networks, optimizers, losses and their like are "
                f"called. {_HOW}",
            )
        )


def check_option(key: Key, value: Any) -> None:
    """Refuse an option by which a file of somebody's would be read as a program.

    Raises
    ------
    Problem
        At ``key``.
    """
    name = str(key[-1]).rpartition("__")[2] if key else ""
    if name in _PICKLES and value is not None:
        _trust().refuse(
            Problem(key, f"lets files be read that can run any command. {_HOW}")
        )


def check_plugin(path: str, key: Key) -> None:
    """Refuse to run a file, or a module of no installed plugin.

    Raises
    ------
    Problem
        At ``key``.
    """
    if path.endswith(".py") or path.partition(".")[0] not in _packages():
        _trust().refuse(Problem(key, f"asks to run {path}. {_HOW}"))


@cache
def _packages() -> frozenset[str]:
    """Return the packages whose names may be imported: these, and plugins' own."""
    groups = [name for name in entry_points().groups if name.startswith(_GROUPS)]
    found = [entry for group in groups for entry in entry_points(group=group)]
    return frozenset({*_PACKAGES, *(one.module.partition(".")[0] for one in found)})


def _is_of_a_kind(thing: Any) -> bool:
    import torch

    if isinstance(thing, (*_VALUES, torch.dtype)):
        return True
    # Through a module's own imports one could reach anything: where a thing is
    # defined decides, not where it was found.
    home = str(getattr(thing, "__module__", ""))
    # modAL's strategies, under al_sklearn's names for them.
    if home.partition(".")[0] not in {*_packages(), "modAL"}:
        return False
    if inspect.isclass(thing):
        return issubclass(thing, _classes())
    return _is_strategy(thing) or (
        inspect.isfunction(thing)
        and any(f"{home}.".startswith(f"{module}.") for module in _FUNCTIONS)
    )


def _is_strategy(thing: Any) -> bool:
    from al_sklearn.strategies import catalogue

    return any(info.function is thing for info in catalogue())


@cache
def _classes() -> tuple[type, ...]:
    """Return the bases of what may be made: nothing of it acts when it is made."""
    import torch
    from sklearn.base import BaseEstimator
    from sklearn.gaussian_process.kernels import Kernel
    from sklearn.model_selection import BaseCrossValidator, BaseShuffleSplit
    from skorch import NeuralNet
    from skorch.callbacks import Callback as NetCallback
    from skorch.dataset import ValidSplit

    from al_sklearn.estimators import ImageDataset, ImageLoader
    from al_sklearn.experiments.hard_pools import PoolTransform
    from al_sklearn.experiments.tracking import Callback
    from al_sklearn.loop.labelling_rate import LabellingRate
    from al_sklearn.loop.stopping import StoppingCriterion

    return (
        BaseEstimator,
        NeuralNet,
        NetCallback,
        ValidSplit,
        BaseCrossValidator,
        BaseShuffleSplit,
        Kernel,
        torch.nn.Module,
        torch.optim.Optimizer,
        torch.optim.lr_scheduler.LRScheduler,
        torch.utils.data.DataLoader,
        ImageDataset,
        ImageLoader,
        Callback,
        LabellingRate,
        PoolTransform,
        StoppingCriterion,
    )
