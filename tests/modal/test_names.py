"""Every public name of the modAL that is installed exists here, and modAL's own
functions run through our learners."""

import ast
import importlib
import inspect
import pickle
from importlib.util import find_spec
from pathlib import Path

import modAL
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier

import al_sklearn.modal
import al_sklearn.modal.disagreement
from al_sklearn.learners import ActiveLearner, Committee

MODAL = Path(modAL.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(MODAL).with_suffix("").parts).removesuffix(".__init__")
    for path in MODAL.rglob("*.py")
)
# Modules of both versions, whichever is installed.
ALWAYS = ["dropout", "uncertainty", "cluster", "expected_error"]


def public_names(path):
    tree = ast.parse(path.read_text(), str(path))
    defined = [
        node.name
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    ]
    assigned = [
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    imported = [
        alias.asname or alias.name
        for node in tree.body
        if path.name == "__init__.py" and isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    # ABC is a leftover of Python 2.
    return [
        name
        for name in defined + assigned + imported
        if not name.startswith("_") and name != "ABC"
    ]


@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
@pytest.mark.filterwarnings('ignore:"is" with:SyntaxWarning')
@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_here(module):
    path = MODAL / module.replace(".", "/") if module != "__init__" else MODAL
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    ours = importlib.import_module(
        "al_sklearn.modal" if module == "__init__" else f"al_sklearn.modal.{module}"
    )
    missing = [name for name in public_names(path) if not hasattr(ours, name)]
    assert not missing


@pytest.mark.parametrize("module", ALWAYS)
def test_modules_that_modal_lacks_or_cannot_import_are_here(module):
    assert find_spec(f"al_sklearn.modal.{module}") is not None


def functions():
    package = Path(al_sklearn.modal.__file__).parent
    for path in sorted(package.rglob("*.py")):
        name = ".".join(path.relative_to(package).with_suffix("").parts)
        if path.name.startswith("_"):
            continue
        module = importlib.import_module(f"al_sklearn.modal.{name}")
        for public in module.__all__:
            yield pytest.param(getattr(module, public), id=f"{name}.{public}")


@pytest.mark.parametrize("function", list(functions()))
def test_every_function_is_documented_and_pickles(function):
    if not callable(function) or function.__name__ == "sim":
        # modAL's similarities are closures.
        return
    assert inspect.getdoc(function)
    assert pickle.loads(pickle.dumps(function)) is function


X, Y = load_iris(return_X_y=True)
SEED = np.arange(0, 150, 8)


def modal_functions(module, names):
    for name in names:
        yield pytest.param(
            getattr(importlib.import_module(f"modAL.{module}"), name),
            id=f"modAL.{module}.{name}",
        )


@pytest.mark.parametrize(
    "strategy",
    [
        *modal_functions(
            "uncertainty",
            ["uncertainty_sampling", "margin_sampling", "entropy_sampling"],
        ),
        *modal_functions("batch", ["uncertainty_batch_sampling"]),
    ],
)
@pytest.mark.parametrize("n_instances", [1, 2, 5])
def test_modals_own_strategies_run_through_our_learner(strategy, n_instances):
    learner = ActiveLearner(
        KNeighborsClassifier(), strategy, X_training=X[SEED], y_training=Y[SEED]
    )
    indices, rows = learner.query(X, n_instances=n_instances)
    assert indices.shape == (n_instances,)
    learner.teach(rows, Y[indices])
    assert len(learner.X_training) == len(SEED) + n_instances


@pytest.mark.parametrize(
    "strategy",
    [
        *modal_functions(
            "disagreement",
            [
                "vote_entropy_sampling",
                "consensus_entropy_sampling",
                "max_disagreement_sampling",
            ],
        ),
        *modal_functions("uncertainty", ["entropy_sampling"]),
        *modal_functions("batch", ["uncertainty_batch_sampling"]),
    ],
)
@pytest.mark.parametrize("n_instances", [1, 2, 5])
def test_modals_own_strategies_run_through_our_committee(strategy, n_instances):
    names = np.array(["setosa", "versicolor", "virginica"])[Y]
    members = [
        ActiveLearner(KNeighborsClassifier()),
        ActiveLearner(RandomForestClassifier(5, random_state=0)),
    ]
    committee = Committee(members, strategy).fit(X[SEED], names[SEED])
    indices, rows = committee.query(X, n_instances=n_instances)
    assert indices.shape == (n_instances,)
    committee.teach(rows, names[indices])


@pytest.mark.parametrize(
    "strategy",
    [
        *modal_functions(
            "multilabel",
            [
                "max_loss",
                "mean_max_loss",
                "min_confidence",
                "avg_confidence",
                "max_score",
                "avg_score",
            ],
        )
    ],
)
def test_modals_own_multilabel_strategies_run_through_our_learner(strategy):
    labels = np.stack([Y == 0, Y != 1], axis=1).astype(int)
    learner = ActiveLearner(
        OneVsRestClassifier(LogisticRegression(max_iter=500)),
        strategy,
        X_training=X[SEED],
        y_training=labels[SEED],
    )
    indices, rows = learner.query(X, n_instances=2)
    assert indices.shape == (2,)
    learner.teach(rows, labels[indices])


def test_modals_names_are_here_alone():
    from al_sklearn import strategies

    elsewhere = {info.name for info in strategies.catalogue()} | set(strategies.__all__)
    here = set()
    for module in ("uncertainty", "disagreement", "multilabel", "dropout", "batch"):
        names = importlib.import_module(f"al_sklearn.modal.{module}").__all__
        here.update(name for name in names if name.endswith("_sampling"))
        here.update(name for name in names if name.startswith("mc_dropout"))
    assert len(here) > 8
    assert not here & elsewhere


@pytest.mark.parametrize(
    "name",
    [
        "vote_entropy_sampling",
        "consensus_entropy_sampling",
        "max_disagreement_sampling",
    ],
)
def test_ties_of_votes_go_by_position_as_in_modal(name):
    members = [ActiveLearner(KNeighborsClassifier(1)) for _ in range(2)]
    committee = Committee(members).fit(X[SEED], Y[SEED])
    strategy = getattr(al_sklearn.modal.disagreement, name)
    # Two equal members agree on all rows: everything ties.
    indices, _ = strategy(committee, X, n_instances=5)
    assert indices.tolist() == [0, 1, 2, 3, 4]
