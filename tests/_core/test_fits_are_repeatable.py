"""Whoever fits somebody's estimator seeds whatever that draws from."""

import random

import numpy as np
import pytest
import torch

from al_sklearn import (
    ActiveLearner,
    ActiveLearningExperiment,
    Committee,
    DeepEnsemble,
    StrategyComparison,
)
from al_sklearn.estimators import TemperatureScaling, TunedClassifier
from al_sklearn.modal.expected_error import expected_error_reduction
from al_sklearn.strategies import (
    active_transfer_learning,
    oracle_batch,
    u_herding,
)

from ._drawing import GENERATORS, Draws

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


class DrawsItself(Draws):
    """Draws from a generator of its own where it is given a ``random_state``."""

    def __init__(self, source="own", n_draws=5, pause=0.0, random_state=None):
        super().__init__(source, n_draws, pause)
        self.random_state = random_state

    def fit(self, X, y):
        # None is fresh entropy, as everywhere in numpy's new generators.
        self.drawn_ = np.random.default_rng(self.random_state).random(5).tolist()
        self.classes_ = np.unique(y)
        return self


ESTIMATORS = {source: Draws(source) for source in GENERATORS} | {"own": DrawsItself()}


def fitted(estimator, X, y):
    # The same in both runs: what is tested is what they fit themselves.
    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    if "random_state" in estimator.get_params():
        estimator = estimator.set_params(random_state=1)
    learner = ActiveLearner(estimator, X_training=X[:60], y_training=y[:60])
    if "random_state" in estimator.get_params():
        learner.estimator.random_state = None
    return learner


def transfer(estimator, X, y):
    learner = fitted(estimator, X, y)
    return active_transfer_learning(learner, X[60:], 5, random_state=0)


def oracle(estimator, X, y):
    return oracle_batch(
        fitted(estimator, X, y).estimator,
        X[60:140],
        5,
        y_true=y[60:140],
        X_test=X[140:],
        y_test=y[140:],
        X_labelled=X[:60],
        y_labelled=y[:60],
        n_candidates=3,
        strategies=["margin", "random_sampling"],
        random_state=0,
    )


def herding(estimator, X, y):
    return u_herding(fitted(estimator, X, y), X[60:], 5, random_state=0)


def expected_error(estimator, X, y):
    learner = fitted(estimator, X, y)
    return expected_error_reduction(learner, X[60:66], random_state=0)


def ensemble(estimator, X, y):
    model = DeepEnsemble(estimator, n_members=2, random_state=0).fit(X, y)
    return [member.drawn_ for member in model.estimators_]


def committee(estimator, X, y):
    members = [ActiveLearner(estimator) for _ in range(2)]
    model = Committee(members, random_state=0).fit(X, y)
    return [member.estimator.drawn_ for member in model.learner_list]


def temperature(estimator, X, y):
    model = TemperatureScaling(estimator, random_state=0).fit(X, y)
    return model.temperature_, model.estimator_.drawn_


def tuned(estimator, X, y):
    pytest.importorskip("optuna")
    space = {"n_draws": [5, 6, 7]}
    options = {"n_trials": 3, "random_state": 0, "verbose": 0, "scoring": "accuracy"}
    model = TunedClassifier(estimator, space, **options).fit(X, y)
    return model.trials_.score.tolist(), model.best_estimator_.drawn_


def experiment(estimator, X, y):
    options = {"n_rounds": 2, "n_instances": 5, "random_state": 0}
    fitted = ActiveLearningExperiment(estimator, "margin", **options).fit(X, y)
    return fitted.history_.accuracy.tolist()


def retrained(estimator, X, y):
    options = {"n_rounds": 1, "n_instances": 5, "n_seeds": 1, "verbose": 0}
    comparison = StrategyComparison(estimator, ["margin"], **options).fit(X, y)
    return comparison.retrain(X, y, n_repeats=2).accuracy.tolist()


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(
    "place",
    [
        transfer,
        oracle,
        herding,
        expected_error,
        ensemble,
        committee,
        temperature,
        tuned,
        experiment,
        retrained,
    ],
)
def test_the_same_random_state_gives_the_same(digits, place, estimator):
    X, y = digits[0][:200].reshape(200, -1) / 255, digits[1][:200] % 3
    answers = []
    for _ in range(2):
        for draw in GENERATORS.values():
            draw()
        answers.append(place(ESTIMATORS[estimator], X, y))
    np.testing.assert_equal(*answers)


@pytest.mark.parametrize("place", [transfer, oracle, herding, expected_error])
def test_a_query_leaves_the_generators_where_they_were(digits, place):
    X, y = digits[0][:200].reshape(200, -1) / 255, digits[1][:200] % 3
    for source in GENERATORS:
        fitted(ESTIMATORS[source], X, y)
        expected = [draw() for draw in GENERATORS.values()]
        # ``fitted`` seeds and draws the same again, and the query changes nothing.
        place(ESTIMATORS[source], X, y)
        assert [draw() for draw in GENERATORS.values()] == expected
