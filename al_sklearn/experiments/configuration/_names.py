"""What a name in an experiment file stands for."""

from __future__ import annotations

import importlib
import inspect
import re
from functools import cache
from types import ModuleType
from typing import Any, Final, NamedTuple

from al_sklearn.experiments.configuration._problems import (
    Key,
    Problem,
    did_you_mean,
    shown,
)
from al_sklearn.experiments.configuration._trust import check_import, check_kind

# Where a name without a dot is looked for, in this order.
_MODULES: Final = (
    "al_sklearn.estimators",
    "al_sklearn.loop.stopping",
    "al_sklearn.loop.labelling_rate",
    "al_sklearn.experiments.hard_pools",
    "al_sklearn.experiments.tracking",
    *(
        f"sklearn.{name}"
        for name in (
            "linear_model",
            "preprocessing",
            "ensemble",
            "svm",
            "neighbors",
            "naive_bayes",
            "tree",
            "discriminant_analysis",
            "neural_network",
            "gaussian_process",
            "decomposition",
            "feature_selection",
            "random_projection",
            "kernel_approximation",
            "calibration",
            "dummy",
            "multiclass",
        )
    ),
    "skorch.dataset",
    "skorch.callbacks",
)
# Parts of networks' training: they are found, but never offered as classifiers.
_HELPERS: Final = frozenset({"ImageDataset", "ImageLoader"})


class Kind(NamedTuple):
    """Where the objects of a key come from, and what they are."""

    module: str
    base: str
    called: str

    @property
    def type(self) -> type:
        """The class that all of them are of."""
        found: type = getattr(importlib.import_module(self.module), self.base)
        return found

    def names(self) -> list[str]:
        """Return the names of the classes that are of any use by themselves."""
        module = importlib.import_module(self.module)
        found = [getattr(module, name) for name in _classes(module)]
        return sorted(
            one.__name__
            for one in found
            if issubclass(one, self.type)
            # Not what others are made of.
            and not any(issubclass(other, one) and other is not one for other in found)
        )


def is_object(name: Any) -> bool:
    """Whether a word stands for an object: an import path, or a class by its name."""
    if not isinstance(name, str):
        return False
    is_path = re.fullmatch(r"[A-Za-z_]\w*(\.\w+)+", name) is not None
    return is_path or (name[:1].isupper() and name in _homes())


def find(name: str, key: Key, kind: Kind | None = None) -> Any:
    """Find a class by its name or its import path.

    Raises
    ------
    Problem
        When there is none of that name, with those that there are.
    """
    if "." in name:
        thing = find_import(name, key)
        if not callable(thing):
            raise Problem(key, f"must be a class, {name} is {shown(thing)}.")
        return thing
    homes = _homes()
    if name in homes:
        thing = getattr(importlib.import_module(homes[name]), name)
        check_kind(name, thing, key)
        return thing
    known, more = [one for one in homes if one not in _HELPERS], "; any other by its "
    allowed = [one for one in known if homes[one] == _MODULES[0]]
    if kind is not None:
        known = allowed = kind.names()
        more += "import path."
    else:
        more = (
            f"; scikit-learn's classes by name{more}import path, as "
            "sklearn.linear_model.LogisticRegression."
        )
    raise Problem(
        key,
        f"names {name!r}, which does not exist.{did_you_mean(name, known)} Allowed: "
        f"{', '.join(sorted(allowed))}{more}",
    )


def find_import(path: str, key: Key) -> Any:
    """Find whatever an import path leads to.

    Raises
    ------
    Problem
        When it leads nowhere, to what is not installed, or to what may not be called
        without trust.
    """
    check_import(path, key)
    parts = path.split(".")
    for n in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:n])
        try:
            thing: Any = importlib.import_module(module)
        except ModuleNotFoundError as error:
            # Only where the path itself is wrong, not where something inside is
            # missing.
            if error.name is not None and f"{module}.".startswith(f"{error.name}."):
                continue
            raise Problem(
                key, f"asks for {path}, which needs {error.name}; it is not installed."
            ) from error
        for i, part in enumerate(parts[n:]):
            if not hasattr(thing, part):
                raise Problem(
                    key,
                    f"asks for {path}, but {'.'.join(parts[: n + i])} has no "
                    f"{part!r}.{did_you_mean(part, dir(thing))}",
                )
            thing = getattr(thing, part)
        check_kind(path, thing, key)
        return thing
    raise Problem(
        key,
        f"asks for {path}, but there is no module {parts[0]!r}; it must be an import "
        "path.",
    )


@cache
def _homes() -> dict[str, str]:
    """Return the module of each class that goes by its name."""
    homes: dict[str, str] = {}
    for path in _MODULES:
        for name in _classes(importlib.import_module(path)):
            # The first module that has the name keeps it: ours go before others'.
            homes.setdefault(name, path)
    return homes


def _classes(module: ModuleType) -> list[str]:
    public = getattr(module, "__all__", None) or [
        name for name in vars(module) if not name.startswith("_")
    ]
    return [name for name in public if inspect.isclass(getattr(module, name, None))]
