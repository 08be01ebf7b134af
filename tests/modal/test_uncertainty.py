"""al_sklearn.modal.uncertainty: the numbers of modAL, best first, ties repeatable."""

import modAL.uncertainty
import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from al_sklearn.learners import ActiveLearner, Committee
from al_sklearn.modal import uncertainty as ours


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits
    return X.reshape(len(X), -1)[:400] / 16.0, y[:400]


@pytest.fixture(scope="module")
def learner(data):
    X, y = data
    return ActiveLearner(
        LogisticRegression(max_iter=500), X_training=X[:60], y_training=y[:60]
    )


MEASURES = {
    "classifier_uncertainty": lambda p: 1 - p.max(axis=1),
    "classifier_margin": lambda p: (
        np.sort(p, axis=1)[:, -1] - np.sort(p, axis=1)[:, -2]
    ),
    "classifier_entropy": lambda p: np.array([entropy(row) for row in p]),
}


@pytest.mark.parametrize("name", MEASURES)
def test_measures(learner, data, name):
    X, _ = data
    slow = MEASURES[name](learner.predict_proba(X))
    assert np.allclose(getattr(ours, name)(learner, X), slow)
    assert np.allclose(getattr(modAL.uncertainty, name)(learner, X), slow)


@pytest.mark.parametrize(
    ("name", "measure", "sign"),
    [
        ("uncertainty_sampling", "classifier_uncertainty", -1),
        ("margin_sampling", "classifier_margin", 1),
        ("entropy_sampling", "classifier_entropy", -1),
    ],
)
def test_sampling(learner, data, name, measure, sign):
    X, _ = data
    utility = getattr(ours, measure)(learner, X)
    expected = np.argsort(sign * utility, kind="stable")[:6]
    indices, metrics = getattr(ours, name)(learner, X, 6)
    assert indices.tolist() == expected.tolist()
    assert np.allclose(metrics, utility[expected])
    theirs = getattr(modAL.uncertainty, name)(learner, X, 6)
    assert set(theirs[0] if isinstance(theirs, tuple) else theirs) == set(expected)
    # Best first under random_tie_break too, where modAL's order is ascending.
    shuffled, metrics = getattr(ours, name)(learner, X, 6, True, random_state=0)
    assert np.all(np.diff(sign * metrics) >= 0)
    assert set(shuffled) == set(expected)


def test_ties_are_broken_at_random_and_repeatably(data):
    X, y = data

    class Flat(GaussianNB):
        def predict_proba(self, X):
            return np.full((len(X), 2), 0.5)

    learner = ActiveLearner(
        Flat(), ours.entropy_sampling, X_training=X[:20], y_training=y[:20] % 2
    )
    draw = [
        learner.query(X, 5, random_tie_break=True, random_state=seed)[0].tolist()
        for seed in (0, 0, 1)
    ]
    assert draw[0] == draw[1] != draw[2]
    assert learner.query(X, 5)[0].tolist() == [0, 1, 2, 3, 4]


def test_one_class_only():
    class OneClass(GaussianNB):
        def predict_proba(self, X):
            return np.ones((len(X), 1))

    X = np.zeros((4, 2))
    assert ours.classifier_margin(OneClass(), X).tolist() == [0] * 4
    assert ours.classifier_entropy(OneClass(), X).tolist() == [0] * 4


@pytest.mark.parametrize(
    "name", ["uncertainty_sampling", "margin_sampling", "entropy_sampling"]
)
def test_cold_start_is_modals(data, name):
    X, _ = data
    learner = ActiveLearner(GaussianNB(), getattr(ours, name))
    assert learner.query(X, 2)[0].tolist() == [0, 1]
    assert learner.query(X.tolist(), 2)[0].tolist() == [0, 1]
    with pytest.raises(NotFittedError):
        ActiveLearner(GaussianNB()).query(X, 2)


def test_arguments_reach_predict_proba(data):
    X, _ = data

    class Shifted(GaussianNB):
        def predict_proba(self, X, shift=0.0):
            return np.tile([0.5 + shift, 0.5 - shift], (len(X), 1))

    assert np.allclose(ours.classifier_uncertainty(Shifted(), X, shift=0.3), 0.2)


def test_a_committee_is_a_classifier(data):
    X, y = data
    committee = Committee(
        [ActiveLearner(GaussianNB()), ActiveLearner(LogisticRegression(max_iter=500))]
    )
    committee.fit(X[:60], y[:60])
    expected = np.argmax(1 - committee.predict_proba(X).max(axis=1))
    assert ours.uncertainty_sampling(committee, X)[0].tolist() == [expected]
