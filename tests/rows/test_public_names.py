"""What a run records of classes and functions: the names by which users import them."""

import importlib
import sys
from functools import partial

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, make_scorer
from sklearn.pipeline import make_pipeline

from al_sklearn import ImageClassifier, strategies
from al_sklearn.estimators.networks import resnet18
from al_sklearn.experiments import stopping
from al_sklearn.rows import describe, differences

CODE = """
from functools import wraps


def made(function):
    @wraps(function)
    def inner(*args):
        return function(*args)

    return inner


@made
def strategy(classifier, X, n_instances=1):
    return list(range(n_instances))


class Model:
    def get_params(self, deep=True):
        return {}

    def method(self):
        return 1

    class Inner:
        pass
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes a package whose code lies where it is told, and imports it."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(home, exported_by):
        for name in [name for name in sys.modules if name.split(".")[0] == "moving"]:
            del sys.modules[name]
        for path in tmp_path.rglob("*.py"):
            path.unlink()
        *folders, module = home.split(".")
        folder = tmp_path / "moving"
        for part in ["", *folders]:
            folder = folder / part if part else folder
            folder.mkdir(exist_ok=True)
            (folder / "__init__.py").touch()
        (folder / f"{module}.py").write_text(CODE)
        for package in exported_by:
            face = tmp_path.joinpath("moving", *package.split("."), "__init__.py")
            face.write_text(f"from moving.{home} import Model, strategy\n")
        importlib.invalidate_caches()
        return importlib.import_module(f"moving.{home}")

    yield make
    for name in [name for name in sys.modules if name.split(".")[0] == "moving"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "home", ["_one", "kind._one", "kind._deeper._two", "_hidden.plain", "kind.plain"]
)
def test_a_move_behind_the_package_changes_no_name(package, home):
    module = package(home, exported_by=[""])
    assert describe(module.strategy) == "moving.strategy"
    assert describe(partial(module.strategy, n_instances=3)) == {
        "partial": "moving.strategy",
        "args": [],
        "keywords": {"n_instances": 3},
    }
    assert describe(module.Model()) == {"class": "moving.Model"}
    assert describe([module.Model.Inner]) == ["moving.Model.Inner"]
    assert describe(module.Model.method) == "moving.Model.method"


def test_the_shallowest_package_that_exports_it(package):
    module = package("kind.sort._one", exported_by=["kind", "kind.sort"])
    assert describe(module.strategy) == "moving.kind.strategy"


def test_what_nobody_exports_has_its_module(package):
    module = package("kind._one", exported_by=[])
    assert describe(module.strategy) == "moving.kind._one.strategy"


def test_another_object_of_the_name_is_not_it(package, monkeypatch):
    module = package("kind._one", exported_by=[""])
    monkeypatch.setattr(sys.modules["moving"], "strategy", len)
    assert describe(module.strategy) == "moving.kind._one.strategy"


def test_names_of_ours_and_of_others():
    assert describe(strategies.margin) == "al_sklearn.strategies.margin"
    assert describe(ImageClassifier) == "al_sklearn.ImageClassifier"
    assert describe(resnet18) == "al_sklearn.estimators.networks.resnet18"
    model = make_pipeline(LogisticRegression())
    assert describe(model)["class"] == "sklearn.pipeline.Pipeline"
    said = str(describe([model, make_scorer(f1_score), stopping.Budget(100)]))
    assert "sklearn.linear_model.LogisticRegression" in said
    assert "sklearn.metrics.f1_score" in said
    assert "_logistic" not in said
    assert "al_sklearn.loop._" not in said


def test_every_strategy_is_known_by_the_name_it_is_imported_by():
    for name in strategies.__all__:
        value = getattr(strategies, name)
        if callable(value) and hasattr(value, "__qualname__"):
            assert not any(
                part.startswith("_") for part in str(describe(value)).split(".")
            ), name


def test_a_name_that_is_left_behind_is_still_the_same():
    here, there = (
        {"stopping": {"class": f"al_sklearn.{room}.stopping.Budget", "n": 3}}
        for room in ("experiments", "loop")
    )
    assert differences(here, there) == []
    assert differences(here, {"stopping": {**there["stopping"], "n": 4}}) == [
        "stopping.n was 3, is 4"
    ]
    other = {"stopping": {"class": "al_sklearn.loop.stopping.NoGain", "n": 3}}
    assert len(differences(here, other)) == 1
    gone = {"stopping": {"class": "al_sklearn.loop.nowhere.Budget", "n": 3}}
    assert len(differences(here, gone)) == 1
    # What is not ours is not imported because a file says so.
    assert differences("os.path.join", "posixpath.join") != []
