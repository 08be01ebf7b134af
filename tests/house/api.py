"""The public API as text: ``python tests/house/api.py [--against FILE]``.

Every public module's ``__all__``, one line a function with its signature, a class with
that of its constructor, and each public method of it. The library that is imported is
the one that is listed, so ``PYTHONPATH`` chooses between two checkouts. ``--against``
prints what another listing has and this one has not (``-``), and the other way round
(``+``).
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGE = "al_sklearn"
# Where an object happened to lie in this process.
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def modules() -> Iterator[Any]:
    """Yield every public module; one that needs what is not installed is said."""
    root = importlib.import_module(PACKAGE)
    yield root
    for found in pkgutil.walk_packages(root.__path__, f"{PACKAGE}."):
        if any(part.startswith("_") for part in found.name.split(".")):
            continue
        try:
            yield importlib.import_module(found.name)
        except ImportError as error:
            print(f"{found.name} is left out: {error}", file=sys.stderr)


def public_names(module: Any) -> list[str]:
    """Return a module's ``__all__``; without one, what it defines or re-exports."""
    if hasattr(module, "__all__"):
        return sorted(set(module.__all__))
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and str(getattr(value, "__module__", "")).startswith(PACKAGE)
    )


def signature(value: Any) -> str:
    """Return a signature without annotations, which say nothing about a call."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return "(…)"
    plain = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in found.parameters.values()
    ]
    empty = inspect.Signature.empty
    text = str(found.replace(parameters=plain, return_annotation=empty))
    return _ADDRESS.sub("", text)


def members(kind: type) -> Iterator[str]:
    """Yield the public methods and properties that a class of ours has.

    Those that it has from a class of somebody else are not ours to list.
    """
    for name in sorted(dir(kind)):
        owner = next((base for base in kind.__mro__ if name in vars(base)), None)
        ours = owner is not None and owner.__module__.startswith(PACKAGE)
        if name.startswith("_") or not ours:
            continue
        value = inspect.getattr_static(kind, name)
        if isinstance(value, (staticmethod, classmethod)):
            yield f"{name}{signature(getattr(kind, name))}"
        elif callable(value):
            yield f"{name}{signature(value)}"
        elif isinstance(value, property) or hasattr(value, "__get__"):
            yield name


def lines() -> list[str]:
    """Return the whole listing, sorted."""
    found = set()
    for module in modules():
        for name in public_names(module):
            value = getattr(module, name, None)
            whole = f"{module.__name__}.{name}"
            if inspect.isclass(value):
                found.add(f"{whole}{signature(value)}")
                found |= {f"{whole}.{member}" for member in members(value)}
            elif callable(value):
                found.add(f"{whole}{signature(value)}")
            else:
                found.add(whole)
    return sorted(found)


def differences(before: list[str], now: list[str]) -> list[str]:
    """Return the lines that only one of two listings has."""
    changes = difflib.unified_diff(before, now, n=0, lineterm="")
    return [line for line in changes if line[:2] not in ("--", "++", "@@")]


def main() -> None:
    """Print the listing, or how it differs from one in a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="a listing made before")
    asked = parser.parse_args()
    now = lines()
    if asked.against is not None:
        before = asked.against.read_text(encoding="utf-8").splitlines()
        now = differences(before, now)
    print("\n".join(now))


if __name__ == "__main__":
    main()
