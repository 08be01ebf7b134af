"""The house has walls: imports run down, and private rooms stay private."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import al_sklearn

LIBRARY = Path(al_sklearn.__file__).parent
# From the roof to the ground: a room imports those below it.
FLOORS = [
    ["cli"],
    ["annotation", "labelling"],
    ["experiments"],
    ["loop"],
    ["modal"],
    ["learners"],
    ["estimators"],
    ["strategies"],
    ["inference"],
    ["tasks"],
    ["datasets"],
    ["formats"],
    ["pool"],
    ["rows"],
    ["_core"],
    ["config", "exceptions"],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def _modules() -> list[Path]:
    return sorted(LIBRARY.rglob("*.py"))


def _name(path: Path) -> str:
    parts = path.relative_to(LIBRARY.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path):
    """Yield the modules that a module imports, and each name that it takes."""
    known = {_name(module) for module in _modules()}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("al_sklearn"):
                    yield alias.name, ""
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            if not node.module.startswith("al_sklearn"):
                continue
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in known:
                    yield whole, ""
                else:
                    yield node.module, alias.name


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_imports_run_down():
    wrong = []
    for path in _modules():
        here = _room(_name(path))
        for module, _ in _imports(path):
            there = _room(module)
            if here in FLOOR and there in FLOOR and FLOOR[there] < FLOOR[here]:
                wrong.append(f"{_name(path)} imports {module}")
    assert wrong == []


def test_every_room_has_a_floor():
    rooms = {_room(_name(path)) for path in _modules()} - {""}
    assert rooms - set(FLOOR) == set()


def _private_to(module: str, name: str) -> str | None:
    """Return the package that what is private belongs to; None where it is public."""
    parts = module.split(".")
    for i, part in enumerate(parts):
        # Everybody stands on the core: it is private to the library.
        if part.startswith("_") and part != "_core":
            return ".".join(parts[:i])
    is_private = name.startswith("_") and not name.startswith("__")
    return module if is_private else None


def test_nobody_imports_what_is_private_to_another_package():
    wrong = []
    for path in _modules():
        here = _name(path)
        package = here if path.name == "__init__.py" else here.rpartition(".")[0]
        for module, name in _imports(path):
            owner = _private_to(module, name)
            if owner is not None and not f"{package}.".startswith(f"{owner}."):
                wrong.append(f"{here}: {module} {name}".strip())
    assert wrong == []


def test_no_circle():
    """No module needs one that needs it; imports inside functions are left aside."""
    needs: dict[str, set[str]] = {}
    for path in _modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inside = {
            id(node)
            for function in ast.walk(tree)
            if isinstance(function, (ast.FunctionDef, ast.Lambda))
            for node in ast.walk(function)
        }
        typing_only = {
            id(node)
            for branch in ast.walk(tree)
            if isinstance(branch, ast.If)
            and ast.unparse(branch.test).endswith("TYPE_CHECKING")
            for node in ast.walk(branch)
        }
        known = {_name(module) for module in _modules()}
        found = needs.setdefault(_name(path), set())
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            if id(node) in inside or id(node) in typing_only:
                continue
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in known else node.module)
    needs = {module: found & needs.keys() for module, found in needs.items()}
    done: set[str] = set()

    def follow(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail[trail.index(module) :], module])
        if module not in done:
            for needed in sorted(needs[module]):
                follow(needed, (*trail, module))
            done.add(module)

    for module in sorted(needs):
        follow(module, ())


def _public_modules() -> list[str]:
    names = ["al_sklearn"]
    for module in pkgutil.walk_packages(al_sklearn.__path__, "al_sklearn."):
        if not any(part.startswith("_") for part in module.name.split(".")):
            names.append(module.name)
    return names


@pytest.mark.parametrize("name", _public_modules())
def test_all_is_what_can_be_imported(name):
    module = importlib.import_module(name)
    if not hasattr(module, "__all__"):
        pytest.fail(f"{name} has no __all__")
    missing = [public for public in module.__all__ if not hasattr(module, public)]
    assert missing == []
    assert sorted(module.__all__) == sorted(set(module.__all__))
    if hasattr(module, "__path__"):
        # A package's face: what it defines or takes from its rooms under a plain name.
        plain = {
            public
            for public, value in vars(module).items()
            if not public.startswith("_")
            and getattr(value, "__module__", "").startswith("al_sklearn")
            # The base belongs to everybody and is nobody's face.
            and not value.__module__.startswith("al_sklearn._core")
        }
        assert plain - set(module.__all__) == set()
