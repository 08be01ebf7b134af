"""Each strategy is called exactly once, and its answer is understood by its type."""

import functools

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from al_sklearn.learners import ActiveLearner, split_answer


@pytest.fixture
def learner(digits):
    X, y = digits
    X = X.reshape(len(X), -1) / 255
    return ActiveLearner(
        LogisticRegression(max_iter=200), X_training=X[:40], y_training=y[:40]
    )


@pytest.fixture
def pool(digits):
    return digits[0][100:160].reshape(60, -1) / 255


class Counting:
    def __init__(self, answer):
        self.answer, self.calls = answer, 0

    def __call__(self, classifier, X, n_instances=1):
        self.calls += 1
        return self.answer


TWO_POSITIONS = [
    ([3, 5], None),
    (np.array([3, 5]), None),
    (torch.tensor([3, 5]), None),
    ((3, 5), None),
    (([3, 5], [0.9, 0.8]), [0.9, 0.8]),
    ((np.array([3, 5]), np.array([0.9, 0.8])), [0.9, 0.8]),
    ((np.array([3, 5]), np.array([7, 2])), [7.0, 2.0]),
    ((torch.tensor([3, 5]), torch.tensor([0.5, 0.25])), [0.5, 0.25]),
    ((np.array([3, 5]), np.array([[0.9], [0.8]])), [0.9, 0.8]),
    ((np.array([3, 5]), None), None),
    ((np.array([3, 5]), np.zeros((2, 64))), None),
    ((np.array([3, 5]), pd.DataFrame(np.zeros((2, 64)))), None),
    ((np.array([3, 5]), sp.csr_array(np.zeros((2, 64)))), None),
    ((np.array([3, 5]), ["a.png", "b.png"]), None),
]


@pytest.mark.parametrize(("answer", "scores"), TWO_POSITIONS)
def test_two_instances_under_every_convention(learner, pool, answer, scores):
    learner.query_strategy = strategy = Counting(answer)
    indices, rows = learner.query(pool, n_instances=2)
    assert strategy.calls == 1
    assert indices.dtype == np.int64
    assert indices.tolist() == [3, 5]
    assert np.array_equal(rows, pool[[3, 5]])
    found = split_answer(answer, 60)[1]
    assert found is None if scores is None else np.allclose(found, scores)


@pytest.mark.parametrize(
    ("answer", "score"),
    [(7, None), (np.int64(7), None), ((7, 0.5), 0.5), ((7, np.zeros(64)), None)],
)
def test_one_position(answer, score):
    indices, scores = split_answer(answer, 60)
    assert indices.tolist() == [7]
    assert scores is None if score is None else scores.tolist() == [score]


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        ([0.5, 0.7], TypeError, "integer positions"),
        ([True, False], TypeError, "integer positions"),
        (None, TypeError, "integer positions"),
        ([[1, 2], [3, 4]], ValueError, "one-dimensional"),
        ([60], ValueError, "0 to 59"),
        ([-1], ValueError, "0 to 59"),
        (([1, 2], [0.1, 0.2, 0.3]), ValueError, "one score for each index"),
    ],
)
def test_a_wrong_answer_says_what_is_allowed(answer, error, says):
    with pytest.raises(error, match=says):
        split_answer(answer, 60)


@pytest.mark.parametrize(
    "error", [ValueError, TypeError, KeyboardInterrupt, StopIteration]
)
def test_an_error_of_the_strategy_reaches_the_caller_after_one_call(
    learner, pool, error
):
    calls = []

    def broken(classifier, X):
        calls.append(1)
        raise error("mine")

    learner.query_strategy = broken
    with pytest.raises(error, match="mine"):
        learner.query(pool)
    assert len(calls) == 1


def test_metrics(learner, pool):
    indices, _, scores = learner.query(pool, n_instances=5, return_metrics=True)
    expected = 1 - learner.predict_proba(pool).max(axis=1)
    assert np.allclose(scores, expected[indices])
    assert np.array_equal(indices, np.argsort(-expected, kind="stable")[:5])
    learner.query_strategy = Counting([1])
    with pytest.warns(UserWarning, match="no scores"):
        assert learner.query(pool, return_metrics=True)[2] is None


def test_n_instances_by_position(learner, pool):
    assert len(learner.query(pool, 5)[0]) == 5


def test_strategies_by_name(learner, pool):
    by_name = ActiveLearner(learner.estimator, query_strategy="margin")
    learner.set_params(query_strategy="margin")
    assert by_name.query(pool, 4)[0].tolist() == learner.query(pool, 4)[0].tolist()
    with pytest.raises(ValueError, match=r"margn.*margin"):
        ActiveLearner(LogisticRegression(), query_strategy="margn")
    with pytest.raises(TypeError, match="name or a callable"):
        ActiveLearner(LogisticRegression(), query_strategy=3)


def test_random_state_reaches_strategies_that_take_one(learner, pool):
    seen = []

    def takes(classifier, X, n_instances=1, random_state=None):
        seen.append(random_state)
        return [0]

    def plain(classifier, X, n_instances=1):
        return [0]

    learner.query_strategy = takes
    learner.query(pool)
    assert seen == [None]
    for _ in range(2):
        learner.set_params(random_state=7)
        learner._stream = None
        learner.query(pool)
        learner.query(pool)
    assert seen[1:3] == seen[3:5]
    assert seen[1] != seen[2]
    learner.query(pool, random_state=5)
    learner.query_strategy = functools.partial(takes, random_state=6)
    learner.query(pool)
    assert seen[-2:] == [5, 6]
    learner.query_strategy = plain
    learner.query(pool)


@pytest.mark.parametrize(
    ("n_instances", "n", "says"),
    [(1, 0, "empty"), (61, 60, "1 to 60"), (0, 60, "1 to 60"), (1.5, 60, "integer")],
)
def test_bad_pools(learner, pool, n_instances, n, says):
    with pytest.raises(ValueError, match=says):
        learner.query(pool[:n], n_instances=n_instances)


def test_an_unfitted_classifier(pool):
    with pytest.raises(NotFittedError):
        ActiveLearner(LogisticRegression()).query(pool)
