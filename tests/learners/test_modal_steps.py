"""modAL's private steps of teach, for subclasses that were written for modAL."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB

from al_sklearn.learners import (
    ActiveLearner,
    BayesianOptimizer,
    Committee,
    DeepActiveLearner,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = np.arange(40) % 2


class Steps:
    """What subclasses of modAL's learners do: a teach of modAL's own steps."""

    def teach(self, X, y, bootstrap=False, only_new=False, **fit_kwargs):
        self._add_training_data(X, y)
        if only_new:
            self._fit_on_new(X, y, bootstrap=bootstrap, **fit_kwargs)
        else:
            self._fit_to_known(bootstrap=bootstrap, **fit_kwargs)


class OwnLearner(Steps, ActiveLearner):
    pass


class OwnCommittee(Steps, Committee):
    def fit(self, X, y, **fit_kwargs):
        super().fit(X, y, **fit_kwargs)
        self._set_classes()


class OwnOptimizer(BayesianOptimizer):
    def teach(self, X, y, **fit_kwargs):
        self._add_training_data(X, y)
        self._fit_to_known(**fit_kwargs)
        self._set_max(X, y)


class OwnNet(DeepActiveLearner):
    def teach(self, X, y, bootstrap=False, **fit_kwargs):
        self._fit_on_new(X, y, bootstrap=bootstrap, **fit_kwargs)


@pytest.mark.parametrize("only_new", [False, True])
def test_a_teach_of_modals_steps_is_teach(only_new):
    own, plain = (
        kind(LogisticRegression(), X_training=X[:10], y_training=Y[:10])
        for kind in (OwnLearner, ActiveLearner)
    )
    own.teach(X[10:20], Y[10:20], only_new=only_new)
    plain.teach(X[10:20], Y[10:20], only_new=only_new)
    np.testing.assert_array_equal(own.X_training, X[:20])
    np.testing.assert_array_equal(own.y_training, Y[:20])
    np.testing.assert_array_equal(own.estimator.coef_, plain.estimator.coef_)
    before = own.estimator.coef_
    own._add_training_data(X[20:30], Y[20:30])
    assert own.estimator.coef_ is before and len(own.X_training) == 30
    assert own._fit_to_known() is own
    np.testing.assert_array_equal(
        own.estimator.coef_, clone(own.estimator).fit(X[:30], Y[:30]).coef_
    )


def test_bootstrap_and_fit_arguments_reach_the_fit():
    own, plain = (
        kind(GaussianNB(), X_training=X[:30], y_training=Y[:30], random_state=3)
        for kind in (OwnLearner, ActiveLearner)
    )
    weights = RNG.random(40)
    own._fit_to_known(sample_weight=weights[:30], bootstrap=True)
    plain.refit(sample_weight=weights[:30], bootstrap=True)
    np.testing.assert_array_equal(own.estimator.theta_, plain.estimator.theta_)
    own._fit_on_new(X[30:], Y[30:], sample_weight=weights[30:])
    expected = GaussianNB().fit(X[30:], Y[30:], weights[30:])
    np.testing.assert_array_equal(own.estimator.theta_, expected.theta_)
    assert len(own.X_training) == 30


def test_bad_rows_are_refused_and_nothing_is_stored():
    own = OwnLearner(LogisticRegression(), X_training=X[:10], y_training=Y[:10])
    with pytest.raises(ValueError, match="NaN"):
        own._add_training_data(X[:2] * np.nan, Y[:2])
    with pytest.raises(ValueError, match="known so far"):
        own._add_training_data(X[:2, :2], Y[:2])
    assert len(own.X_training) == 10
    with pytest.raises(ValueError, match="Nothing is known yet"):
        OwnLearner(LogisticRegression())._fit_to_known()


@pytest.mark.parametrize("only_new", [False, True])
def test_a_committee_of_modals_steps(only_new):
    def members():
        return [ActiveLearner(LogisticRegression()), ActiveLearner(GaussianNB())]

    own, plain = OwnCommittee(members()), Committee(members())
    own.fit(X[:10], Y[:10])
    plain.fit(X[:10], Y[:10])
    own.teach(X[10:20], Y[10:20], only_new=only_new)
    plain.teach(X[10:20], Y[10:20], only_new=only_new)
    np.testing.assert_array_equal(own.X_training, X[:20])
    np.testing.assert_array_equal(own.vote_proba(X), plain.vote_proba(X))
    own._add_training_data(X[20:24], np.full(4, 2))
    assert own.classes_.tolist() == [0, 1]
    own._fit_to_known()
    assert own.classes_.tolist() == [0, 1, 2]


def test_an_optimizer_and_a_net_of_modals_steps():
    values = X[:, 0]
    optimizer = OwnOptimizer(
        GaussianProcessRegressor(optimizer=None),
        X_training=X[:5],
        y_training=values[:5],
    )
    optimizer.teach(X[5:], values[5:])
    assert optimizer.y_max == values.max()
    np.testing.assert_array_equal(optimizer.X_max, X[values.argmax()])
    net = OwnNet(SGDClassifier(random_state=0))
    net.teach(X, Y)
    expected = SGDClassifier(random_state=0).fit(X, Y)
    np.testing.assert_array_equal(net.estimator.coef_, expected.coef_)


def test_what_the_migration_page_says_of_committees():
    learner = ActiveLearner(LogisticRegression())
    committee = Committee([learner, ActiveLearner(GaussianNB())])
    assert not hasattr(committee, "classes_") and not hasattr(learner, "classes_")
    assert getattr(committee, "classes_", None) is None
    with pytest.raises(NotFittedError, match="Call fit or teach first"):
        committee.predict(X)
    import modAL.models

    for refused in (
        [],
        [LogisticRegression()],
        [modAL.models.ActiveLearner(GaussianNB())],
    ):
        with pytest.raises(TypeError, match="learner_list must"):
            Committee(refused)
    with pytest.raises(ValueError, match="twice"):
        Committee([learner, learner])
    assert len(Committee((learner,))) == 1
