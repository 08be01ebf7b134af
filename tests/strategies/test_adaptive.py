"""Strategies that change with the number of labels, the ensemble, and the oracle over
batches."""

from functools import partial

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from al_sklearn.learners import ActiveLearner
from al_sklearn.pool import RowView
from al_sklearn.strategies import (
    auto,
    badge,
    checks,
    margin,
    max_herding,
    oracle_batch,
    refine,
    selectors,
    typicality_then_margin,
    typiclust,
    u_herding,
)


@pytest.fixture(scope="module")
def data(digits):
    return digits[0].reshape(len(digits[0]), -1).astype(np.float32) / 255, digits[1]


def learner_with(data, n_labelled):
    """Taught one image of each class, and then the first of the others."""
    X, y = data
    one_each = [int(np.flatnonzero(y == c)[0]) for c in range(10)]
    rest = np.setdiff1d(np.arange(len(y)), one_each)
    first = np.concatenate([one_each, rest])[:n_labelled]
    return checks._Learner(
        LogisticRegression(max_iter=300).fit(X[first], y[first]), X[first], y[first]
    )


def test_tcm_is_typiclust_and_then_margin(data):
    X = data[0][1000:1200]
    few, many = learner_with(data, 60), learner_with(data, 150)
    np.testing.assert_array_equal(
        typicality_then_margin(few, X, 8, random_state=0)[0],
        typiclust(few, X, 8, random_state=0)[0],
    )
    np.testing.assert_array_equal(
        typicality_then_margin(many, X, 8)[0], margin(many, X, 8)[0]
    )
    np.testing.assert_array_equal(
        typicality_then_margin(few, X, 8, n_few=60)[0], margin(few, X, 8)[0]
    )
    np.testing.assert_array_equal(
        typicality_then_margin(None, X, 8, random_state=0)[0],
        typiclust(None, X, 8, random_state=0)[0],
    )
    with pytest.raises(ValueError, match="n_few"):
        typicality_then_margin(few, X, 8, n_few=-1)


def test_auto_covers_first_and_is_uncertain_later(data):
    X = data[0][1000:1200]
    few, many = learner_with(data, 15), learner_with(data, 150)
    np.testing.assert_array_equal(auto(few, X, 8)[0], max_herding(few, X, 8)[0])
    np.testing.assert_array_equal(auto(None, X, 8)[0], max_herding(None, X, 8)[0])
    np.testing.assert_array_equal(
        auto(many, X, 8, random_state=0)[0], u_herding(many, X, 8, random_state=0)[0]
    )
    np.testing.assert_array_equal(
        auto(many, X, 8, quality="best", random_state=0)[0],
        refine(many, X, 8, random_state=0)[0],
    )
    with pytest.raises(
        ValueError, match=r"Unknown quality 'bst'\. Did you mean 'best'"
    ):
        auto(many, X, 8, quality="bst")


def test_refine_filters_to_the_union_and_covers_it(data):
    learner, X = learner_with(data, 100), data[0][600:1200]
    sizes = []

    def watched(strategy, classifier, rows, n_instances=1, **options):
        sizes.append((len(rows), n_instances))
        return strategy(classifier, rows, n_instances, **options)

    indices, _ = refine(
        learner,
        X,
        5,
        strategies=[partial(watched, margin), partial(watched, badge)],
        random_state=0,
    )
    assert len(set(indices.tolist())) == 5
    pools = [size for size, _ in sizes]
    assert pools[:2] == [600, 600] and pools[2] > pools[4] and sizes[-1][1] == 5
    assert all(asked <= size for size, asked in sizes)
    # With one strategy and one round what is kept is what it selects; the covering then
    # takes all of it, in its order.
    alone, _ = refine(learner, X, 12, strategies=["margin"], n_rounds=1)
    top = np.sort(margin(learner, X, 12)[0])
    assert set(alone.tolist()) == set(top.tolist())
    np.testing.assert_array_equal(alone, top[selectors.max_herding(X[top], 12)[0]])
    for n_instances in (1, 599, 600):
        assert (
            len(
                np.unique(
                    refine(learner, X, n_instances, strategies=["margin", "coreset"])[0]
                )
            )
            == n_instances
        )
    with pytest.raises(ValueError, match="at least one strategy"):
        refine(learner, X, 3, strategies=[])
    with pytest.raises(ValueError, match="n_rounds"):
        refine(learner, X, 3, n_rounds=0)


def test_the_oracle_chooses_the_best_of_its_candidates(data):
    X, y = data
    pool, labels = X[200:320], y[200:320]
    test = {"X_test": X[1000:], "y_test": y[1000:]}
    classifier = KNeighborsClassifier(3).fit(X[:15], y[:15])
    options = {"y_true": labels, "X_labelled": X[:15], "y_labelled": y[:15], **test}
    indices, scores = oracle_batch(
        classifier, pool, 10, n_candidates=20, random_state=0, **options
    )
    assert (
        indices.dtype == np.int64
        and len(np.unique(indices)) == 10
        and len(set(scores)) == 1
    )

    def score_with(batch):
        rows, seen = (
            np.concatenate([X[:15], pool[batch]]),
            np.concatenate([y[:15], labels[batch]]),
        )
        return (
            KNeighborsClassifier(3)
            .fit(rows, seen)
            .score(test["X_test"], test["y_test"])
        )

    assert scores[0] == score_with(indices)
    rng = np.random.default_rng(1)
    at_random = [score_with(rng.choice(120, 10, replace=False)) for _ in range(20)]
    assert scores[0] > np.mean(at_random)
    more = oracle_batch(
        classifier, pool, 10, n_candidates=40, random_state=0, **options
    )[1]
    assert more[0] >= scores[0]
    again, _ = oracle_batch(
        classifier, pool, 10, n_candidates=20, random_state=0, **options
    )
    np.testing.assert_array_equal(indices, again)
    view, _ = oracle_batch(
        classifier,
        RowView(X, np.arange(200, 320)),
        10,
        n_candidates=20,
        random_state=0,
        **options,
    )
    np.testing.assert_array_equal(indices, view)
    whole, _ = oracle_batch(
        classifier,
        pool,
        120,
        n_candidates=2,
        strategies=["random"],
        random_state=0,
        **options,
    )
    assert sorted(whole.tolist()) == list(range(120))


def test_the_oracle_refuses_to_run_inside_a_learner(data):
    X, y = data
    learner = ActiveLearner(
        KNeighborsClassifier(3),
        query_strategy=oracle_batch,
        X_training=X[:30],
        y_training=y[:30],
    )
    with pytest.raises(
        TypeError, match="looks at the true labels and does not run in ActiveLearner"
    ):
        learner.query(X[30:60], n_instances=3)
    options = {"y_true": y[30:60], "X_test": X[60:], "y_test": y[60:]}
    with pytest.raises(TypeError, match="looks at the true labels"):
        oracle_batch(learner, X[30:60], 3, **options)
    classifier = learner.estimator
    for bad, message in (
        ({**options, "y_true": None}, "true label of each of the 30"),
        ({**options, "y_true": y[:3]}, "got 3"),
        ({"y_true": y[30:60]}, "X_test and y_test"),
        ({**options, "X_labelled": X[:30]}, "together"),
        ({**options, "strategies": []}, "at least one strategy"),
        ({**options, "subset": 0}, "subset"),
    ):
        with pytest.raises(ValueError, match=message):
            oracle_batch(classifier, X[30:60], 3, **bad)
