"""What users add to a table is named, and known in workers."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from al_sklearn.estimators.networks import register_network
from al_sklearn.inference import register_adapter
from al_sklearn.strategies import k_nearest, query_strategy
from al_sklearn.strategies.measures import register_measure
from al_sklearn.strategies.selectors import register_selector

SCRIPT = """
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from al_sklearn import StrategyComparison
from al_sklearn.inference import Adapter, register_adapter
from al_sklearn.strategies import query_strategy, two_stage, weighted
from al_sklearn.strategies.measures import register_measure
from al_sklearn.strategies.selectors import register_selector, top_k


class Remote(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.model_ = LogisticRegression(max_iter=200).fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X):
        return self.model_.predict(X)


@register_adapter(Remote)
class OfRemote(Adapter):
    def predict_proba(self, X):
        return self.estimator.model_.predict_proba(X)


@register_measure("proba")
def gini(proba):
    return 1 - (proba**2).sum(axis=1)


@register_selector
def far_out(features, n_instances, *, utilities=None):
    return top_k(np.linalg.norm(features, axis=1) * utilities, n_instances)


@query_strategy(family="geometric", reference="-", cost="O(n)")
def first(classifier, X, n_instances=1, *, random_tie_break=False, random_state=None):
    "The first ones."
    return np.arange(n_instances), np.ones(n_instances)


X, y = load_digits(return_X_y=True)
comparison = StrategyComparison(
    Remote(),
    ["entropy", weighted("gini", "far_out"), two_stage("first", "first")],
    n_initial=30, n_instances=5, n_rounds=1, n_seeds=5, n_jobs=2, verbose=0,
)
comparison.fit(X[:200], y[:200], X[200:300], y[200:300])
print(comparison.results_["accuracy"].notna().all())
"""


@pytest.mark.slow
def test_workers_know_what_a_script_has_registered(tmp_path):
    """They do not run it."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    ran = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "True"


def test_a_lambda_has_no_name():
    for register in (register_measure("proba"), register_selector):
        with pytest.raises(ValueError, match="not a lambda"):
            register(lambda proba, n_instances: proba)
    with pytest.raises(ValueError, match="a name of its own"):
        query_strategy(family="hybrid", reference="-", cost="-")(lambda c, X: None)


@pytest.mark.parametrize(("name", "error"), [(3, TypeError), (" ", ValueError)])
def test_a_network_needs_a_name(name, error):
    with pytest.raises(error, match="name"):
        register_network(name)(lambda n_classes: None)


@pytest.mark.parametrize("adapter", [3, LogisticRegression])
def test_an_adapter_is_one(adapter):
    class Kind:
        pass

    with pytest.raises(TypeError, match="subclass of Adapter"):
        register_adapter(Kind)(adapter)


def test_a_wrong_measure_is_wrong_without_labels_too():
    X, y = load_digits(return_X_y=True)
    model = LogisticRegression(max_iter=200).fit(X[:50] / 16, y[:50])
    with pytest.raises(ValueError, match="Unknown measure 'margn'"):
        k_nearest(model, np.asarray(X[50:80] / 16), 2, measure="margn")
