"""al_sklearn.modal.disagreement: labels of any type, members that know different
classes, order, ties."""

import modAL.disagreement
import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from al_sklearn.learners import ActiveLearner, Committee, CommitteeRegressor
from al_sklearn.modal import disagreement as ours

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]


def slow_vote_entropy(committee):
    votes = np.array([learner.predict(X) for learner in committee]).T
    return [
        entropy([np.mean(row == label) for label in committee.classes_])
        for row in votes
    ]


def slow_consensus_entropy(committee):
    return [entropy(row) for row in committee.vote_proba(X).mean(axis=1)]


def slow_kl(committee):
    votes = committee.vote_proba(X)
    return [max(entropy(p, row.mean(axis=0)) for p in row) for row in votes]


MEASURES = {
    "vote_entropy": slow_vote_entropy,
    "consensus_entropy": slow_consensus_entropy,
    "KL_max_disagreement": slow_kl,
}
STRATEGIES = {
    "vote_entropy_sampling": slow_vote_entropy,
    "consensus_entropy_sampling": slow_consensus_entropy,
    "max_disagreement_sampling": slow_kl,
}


@pytest.fixture(scope="module", params=["numbers", "strings", "different classes"])
def committee(request):
    y = Y if request.param == "numbers" else NAMES
    members = [
        ActiveLearner(
            DecisionTreeClassifier(max_depth=1, random_state=i),
            X_training=X[i::9],
            y_training=y[i::9],
        )
        for i in range(3)
    ]
    if request.param == "different classes":
        members[0].fit(X[:100], y[:100])
    return Committee(
        [*members, ActiveLearner(GaussianNB(), X_training=X[::7], y_training=y[::7])]
    )


@pytest.mark.parametrize("name", MEASURES)
def test_measures(committee, name):
    slow = MEASURES[name](committee)
    assert np.allclose(getattr(ours, name)(committee, X), slow)
    assert np.allclose(getattr(modAL.disagreement, name)(committee, X), slow)


@pytest.mark.parametrize("name", STRATEGIES)
def test_strategies(committee, name):
    slow = np.round(STRATEGIES[name](committee), 12)
    strategy = getattr(ours, name)
    indices, metrics = strategy(committee, X, 7)
    assert np.allclose(metrics, np.sort(slow)[::-1][:7])
    assert np.allclose(slow[indices], metrics)
    shuffled, metrics = strategy(committee, X, 7, random_tie_break=True, random_state=1)
    assert np.all(np.diff(metrics) <= 0)
    assert np.array_equal(
        shuffled, strategy(committee, X, 7, random_tie_break=True, random_state=1)[0]
    )
    committee.query_strategy = strategy
    assert committee.query(X, 7)[0].tolist() == indices.tolist()


@pytest.mark.parametrize("name", STRATEGIES)
def test_cold_start_is_modals(name):
    committee = Committee([ActiveLearner(GaussianNB())], getattr(ours, name))
    assert committee.query(X, 3)[0].tolist() == [0, 1, 2]
    with pytest.raises(NotFittedError):
        Committee([ActiveLearner(GaussianNB())]).query(X, 3)


def test_max_std():
    X, y = load_diabetes(return_X_y=True)
    members = [ActiveLearner(DecisionTreeRegressor(max_depth=3)) for _ in range(4)]
    committee = CommitteeRegressor(members, random_state=0).fit(
        X[:99], y[:99], bootstrap=True
    )
    std = np.std([m.predict(X) for m in members], axis=0)
    indices, metrics = ours.max_std_sampling(committee, X, 5)
    assert np.allclose(metrics, np.sort(std)[::-1][:5])
    theirs = modAL.disagreement.max_std_sampling(committee, X, 5)
    assert np.allclose(
        np.sort(std[theirs[0] if isinstance(theirs, tuple) else theirs]), metrics[::-1]
    )
    assert np.allclose(std[indices], metrics)
