"""The code of one's own, known again: what no installed package holds.

A version says what an installed package does. A strategy in a notebook, a network in a
folder beside the script have none: they are known by what their code does, and by what
the functions, classes and constants do that it names. Comments and places do not count.
"""

from __future__ import annotations

import dis
import functools
import site
import sys
import sysconfig
import types
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from al_sklearn._core.optional import is_a
from al_sklearn._core.sealed import checksum
from al_sklearn.rows._fingerprint import code_hash, public_name

_PLAIN: Final = (type(None), bool, int, float, complex, str, bytes)


def code_of(*values: Any) -> dict[str, str]:
    """Return a hash for each function and class of one's own that values consist of.

    Parameters
    ----------
    *values : object
        Strategies, estimators with what is in them, scorers: anything with parameters.

    Returns
    -------
    dict of str to str
        By name, in alphabetical order; what installed packages, Python and this library
        hold is left out.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> code_of(LogisticRegression())
    {}
    """
    walk = _Walk()
    for value in values:
        walk.visit(value)
    return dict(sorted(walk.found.items()))


class _Walk:
    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self._seen: set[int] = set()
        # What was seen must live on: another object may get its number otherwise.
        self._kept: list[Any] = []

    def visit(self, value: Any) -> None:
        """Take in an object, and what it consists of."""
        if isinstance(value, _PLAIN) or id(value) in self._seen:
            return
        self._seen.add(id(value))
        self._kept.append(value)
        if isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, types.MethodType):
            self._each([value.__func__, value.__self__])
        elif isinstance(value, functools.partial):
            self._each([value.func, *value.args, *value.keywords.values()])
        elif isinstance(value, Mapping):
            self._each(value.values())
        elif isinstance(value, (list, tuple, set, frozenset)):
            self._each(value)
        elif is_a(value, "torch.nn.Module"):
            self._each(type(part) for part in value.modules())
        else:
            self._object(value)

    def _each(self, values: Iterable[Any]) -> None:
        for value in values:
            self.visit(value)

    def _object(self, value: Any) -> None:
        self.visit(type(value))
        if hasattr(value, "get_params"):
            self._each(value.get_params(deep=False).values())
        elif is_own(type(value)) and hasattr(value, "__dict__"):
            self._each(vars(value).values())

    def _class(self, kind: type) -> None:
        for base in kind.__mro__[1:]:
            self.visit(base)
        if not is_own(kind):
            return
        parts = []
        for name, value in sorted(vars(kind).items(), key=lambda item: item[0]):
            # Constants of a class are left out: its objects may count with them.
            for function in _functions_of(value):
                parts.append(f"{name} {self._code(function)}")
        self._add(kind, parts)

    def _function(self, function: types.FunctionType) -> None:
        if is_own(function):
            self._add(function, [self._code(function)])
        else:
            # Ours around one of theirs: a decorator's.
            self._each(_enclosed(function))

    def _code(self, function: types.FunctionType) -> str:
        """Hash what a function does; what it names of one's own is visited, too."""
        parts = [code_hash(function.__code__)]
        defaults = [*(function.__defaults__ or ())]
        defaults += [*(function.__kwdefaults__ or {}).values()]
        parts += [repr(value) for value in defaults if isinstance(value, _PLAIN)]
        self._each([*defaults, *_enclosed(function)])
        names, changed = _names(function.__code__)
        for name in sorted(names - changed):
            value = function.__globals__.get(name)
            if isinstance(value, _PLAIN):
                parts.append(f"{name} {value!r}")
            elif isinstance(value, (types.FunctionType, type, functools.partial)):
                self.visit(value)
            elif isinstance(value, types.ModuleType):
                self._module(value)
        return checksum("\n".join(parts))

    def _module(self, module: types.ModuleType) -> None:
        """Visit all of a module of one's own: what of it is meant is not known."""
        if not _is_own_module(module.__name__):
            return
        for value in list(vars(module).values()):
            if getattr(value, "__module__", None) == module.__name__ and isinstance(
                value, (types.FunctionType, type)
            ):
                self.visit(value)

    def _add(self, value: Any, parts: list[str]) -> None:
        name = public_name(value)
        # Two functions of one name: a closure made twice.
        self.found[name] = checksum("\n".join([self.found.get(name, ""), *parts]))


def is_own(value: Any) -> bool:
    """Whether a class or function is of one's own: in no installed package."""
    return _is_own_module(getattr(value, "__module__", None) or "builtins")


@functools.cache
def _is_own_module(name: str) -> bool:
    root = name.partition(".")[0]
    if root == "__main__":
        return True
    if root == "al_sklearn" or root in sys.stdlib_module_names:
        return False
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if file is None:
        # Built in, or a namespace that holds no code itself; a module that nobody has
        # imported was made by hand.
        return getattr(module, "__spec__", None) is None
    path = Path(file).resolve()
    return not any(path.is_relative_to(folder) for folder in _installed())


@functools.cache
def _installed() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    found = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    # Not there in every environment.
    if hasattr(site, "getsitepackages"):
        found |= {*site.getsitepackages()}
    if site.ENABLE_USER_SITE:
        found.add(site.getusersitepackages())
    return tuple(Path(folder).resolve() for folder in sorted(found))


def _functions_of(value: Any) -> list[types.FunctionType]:
    """Functions behind what stands in a class: methods, static ones, properties."""
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    candidates = [value]
    if isinstance(value, property):
        candidates = [value.fget, value.fset, value.fdel]
    elif isinstance(value, functools.cached_property):
        candidates = [value.func]
    return [one for one in candidates if isinstance(one, types.FunctionType)]


def _enclosed(function: types.FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            # Not filled yet: a function that is still being made.
            continue


def _names(code: types.CodeType) -> tuple[set[str], set[str]]:
    """Return the global names that code reads, and those that it changes."""
    read, changed = set(), set()
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            read.add(step.argval)
        elif step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            changed.add(step.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner_read, inner_changed = _names(constant)
            read |= inner_read
            changed |= inner_changed
    return read, changed
