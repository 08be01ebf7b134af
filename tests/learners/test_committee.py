"""Committees: votes of every kind, fits in parallel with a seed each, rows shared and
never copied."""

import numpy as np
import pytest
from joblib import parallel_config
from modAL.disagreement import vote_entropy as modal_vote_entropy
from scipy.stats import entropy
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from al_sklearn.learners import ActiveLearner, Committee, CommitteeRegressor
from tests.learners.nets import plain_net

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]


def trees(n=3, **options):
    return Committee(
        [ActiveLearner(DecisionTreeClassifier(max_depth=2)) for _ in range(n)],
        **options,
    )


@pytest.mark.parametrize("labels", [Y, NAMES, NAMES.astype(object)])
def test_votes_and_probabilities_of_any_labels(labels):
    committee = trees(random_state=0).fit(X, labels, bootstrap=True)
    votes = committee.vote(X)
    assert votes.shape == (150, 3)
    for i, learner in enumerate(committee):
        assert np.array_equal(votes[:, i], learner.estimator.predict(X))
    assert np.allclose(
        committee.predict_proba(X),
        np.mean([m.predict_proba(X) for m in committee], axis=0),
    )
    assert set(committee.predict(X)) <= set(labels)
    assert committee.score(X, labels) > 0.9
    assert len(committee) == 3
    indices, _, scores = committee.query(X, 5, return_metrics=True)
    slow = [
        entropy([np.mean(row == label) for label in np.unique(labels)]) for row in votes
    ]
    assert np.allclose(scores, np.sort(slow)[::-1][:5])
    assert np.allclose(scores, modal_vote_entropy(committee, X)[indices])


def test_members_that_know_different_classes():
    committee = Committee(
        [
            ActiveLearner(GaussianNB(), X_training=X[:100], y_training=NAMES[:100]),
            ActiveLearner(GaussianNB(), X_training=X[50:], y_training=NAMES[50:]),
        ]
    )
    assert committee.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert committee.n_classes_ == 3
    votes = committee.vote_proba(X)
    assert np.allclose(votes.sum(axis=2), 1)
    assert np.all(votes[:, 0, 2] == 0)
    assert np.all(votes[:, 1, 0] == 0)
    committee.teach(X[100:105], NAMES[100:105])
    assert committee.learner_list[0].classes_.tolist() == committee.classes_.tolist()
    assert len(committee.X_training) == 105 + 105
    assert len(committee.y_training) == 105 + 105


def test_plain_nets_with_more_outputs_than_classes_that_they_saw(digits):
    images, y = digits
    few, fewer = (
        np.flatnonzero(np.isin(y, [1, 3, 4]))[:60],
        np.flatnonzero(np.isin(y, [1, 4, 7]))[:60],
    )
    members = [
        ActiveLearner(
            plain_net(max_epochs=3),
            X_training=images[rows].astype(np.float32),
            y_training=y[rows],
        )
        for rows in (few, fewer)
    ]
    committee = Committee(members)
    assert committee.classes_.tolist() == [1, 3, 4, 7]
    votes = committee.vote_proba(images[:50].astype(np.float32))
    for i, member in enumerate(members):
        known = member.predict_proba(images[:50].astype(np.float32))[:, [1, 3, 4, 7]]
        assert np.allclose(votes[:, i], known / known.sum(axis=1, keepdims=True))
    assert set(committee.predict(images[:50].astype(np.float32))) <= {1, 3, 4, 7}


def test_members_taught_together_share_one_array():
    committee = trees().fit(X[:50], NAMES[:50])
    committee.teach(X[50:60], NAMES[50:60]).teach(X[60:70], NAMES[60:70], refit=False)
    first = committee.learner_list[0]
    assert all(
        m.X_training is first.X_training and m.y_training is first.y_training
        for m in committee
    )
    assert committee.X_training is first.X_training
    assert len(first.X_training) == 70
    committee.relabel([0], ["virginica"]).forget([1, 2])
    assert all(m.X_training is committee.X_training for m in committee)
    assert committee.y_training[0] == "virginica"
    assert len(committee.X_training) == 68
    first.teach(X[:1], NAMES[:1])
    with pytest.raises(ValueError, match="not taught the same rows"):
        committee.forget([0])


def test_unfitted():
    committee = trees()
    assert not hasattr(committee, "classes_")
    assert committee.X_training is None
    with pytest.raises(NotFittedError):
        committee.query(X)
    with pytest.raises(ValueError, match="Nothing is known"):
        committee.rebag()


@pytest.mark.parametrize("members", [[], "ab", {1: 2}, [LogisticRegression()]])
def test_members_must_be_learners(members):
    with pytest.raises(TypeError, match="ActiveLearner"):
        Committee(members)


def test_a_member_comes_once():
    learner = ActiveLearner(GaussianNB())
    with pytest.raises(ValueError, match="twice"):
        Committee([learner, learner])


class Draws(ClassifierMixin, BaseEstimator):
    """Draws from everything that can be drawn from when it is fitted."""

    def __init__(self, random_state=None):
        self.random_state = random_state

    def fit(self, X, y):
        import torch

        self.rows_ = X
        self.classes_ = np.unique(y)
        self.drawn_ = (self.random_state, np.random.rand(), torch.rand(()).item())
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def drawn(n_jobs, random_state, **fit):
    committee = Committee(
        [ActiveLearner(Draws()) for _ in range(3)],
        n_jobs=n_jobs,
        random_state=random_state,
    )
    committee.fit(X, Y, **fit)
    result = [m.estimator.drawn_ for m in committee]
    committee.rebag()
    assert all(m.estimator.random_state is None for m in committee)
    return result + [(*m.estimator.drawn_, m.estimator.rows_.sum()) for m in committee]


def test_a_seed_each_and_the_same_in_parallel():
    one = drawn(None, 0)
    assert one == drawn(1, 0)
    assert one == drawn(2, 0)
    assert len({seed for seed, *_ in one}) == 6
    assert len({value for _, value, *_ in one}) == 6
    assert one != drawn(None, 1)
    with parallel_config(backend="threading", n_jobs=2):
        assert [draw[0] for draw in drawn(None, 0)] == [draw[0] for draw in one]


class SeesAFile(Draws):
    """Says whether its rows came as a copy or as a file that all workers share."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.shared_ = isinstance(X, np.memmap)
        return self


def test_the_pool_is_not_copied_for_each_member():
    rows, labels = np.zeros((50_000, 8)), np.arange(50_000) % 2
    committee = Committee([ActiveLearner(SeesAFile()) for _ in range(3)], n_jobs=2).fit(
        rows, labels
    )
    assert all(m.estimator.shared_ for m in committee)
    assert all(m.X_training is rows for m in committee)


def test_parallel_members_differ_without_a_random_state():
    values = drawn(2, None)
    assert len({torch_value for _, _, torch_value, *_ in values}) == 6
    assert values != drawn(2, None)


def test_global_generators_are_put_back():
    state = np.random.get_state()[1].copy()
    trees(random_state=0).fit(X, Y, bootstrap=True)
    assert np.array_equal(np.random.get_state()[1], state)


def test_seeds_that_the_user_set_stay():
    committee = Committee(
        [ActiveLearner(Draws(random_state=5)), ActiveLearner(Draws())], random_state=0
    ).fit(X, Y)
    seeds = [m.estimator.drawn_[0] for m in committee]
    assert seeds[0] == 5
    assert isinstance(seeds[1], int)


@pytest.mark.parametrize("training", [None, "from_scratch"])
def test_weights_go_with_rows_in_a_committee(training):
    committee = trees(random_state=0).fit(X[:100], Y[:100])
    # Weightless labels teach nothing.
    wrong = np.where(Y[100:] == 2, 0, 2)
    committee.teach(X[100:], wrong, training=training, sample_weight=np.zeros(50))
    assert set(committee.predict(X)) == {0, 1}


def test_regressors():
    X, y = load_diabetes(return_X_y=True)
    committee = CommitteeRegressor(
        [ActiveLearner(DecisionTreeRegressor(max_depth=3)) for _ in range(4)],
        random_state=0,
    ).fit(X[:100], y[:100], bootstrap=True)
    mean, std = committee.predict(X, return_std=True)
    votes = np.stack([m.estimator.predict(X) for m in committee], axis=1)
    assert np.allclose(mean, votes.mean(axis=1))
    assert np.allclose(std, votes.std(axis=1))
    assert np.array_equal(committee.predict(X), mean)
    indices, _ = committee.query(X, n_instances=4)
    assert indices.tolist() == np.argsort(-std, kind="stable")[:4].tolist()
    before = committee.score(X, y)
    committee.teach(X[100:], y[100:], bootstrap=True)
    assert committee.score(X, y) > before
