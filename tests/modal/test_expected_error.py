"""al_sklearn.modal.expected_error, which modAL cannot import, against a slow
reference."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.naive_bayes import GaussianNB

from al_sklearn.learners import ActiveLearner
from al_sklearn.modal.expected_error import expected_error_reduction

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
START, POOL = np.arange(0, 150, 10), np.arange(3, 150, 6)


def slow(learner, pool, loss):
    proba = learner.predict_proba(pool)
    errors = []
    for i, x in enumerate(pool):
        rest = np.delete(pool, i, axis=0)
        expected = 0
        for c, label in enumerate(learner.classes_):
            refitted = clone(learner.estimator).fit(
                np.concatenate([learner.X_training, [x]]),
                np.append(learner.y_training, label),
            )
            rows = refitted.predict_proba(rest)
            losses = (
                1 - rows.max(axis=1)
                if loss == "binary"
                else [entropy(row) for row in rows]
            )
            expected += proba[i, c] * np.sum(losses)
        errors.append(expected)
    return np.array(errors)


@pytest.mark.parametrize("loss", ["binary", "log"])
@pytest.mark.parametrize("labels", [Y, NAMES])
def test_against_the_definition(loss, labels):
    learner = ActiveLearner(GaussianNB(), X_training=X[START], y_training=labels[START])
    errors = slow(learner, X[POOL], loss)
    indices, metrics = expected_error_reduction(learner, X[POOL], loss, n_instances=4)
    assert indices.tolist() == np.argsort(errors, kind="stable")[:4].tolist()
    assert np.allclose(metrics, errors[indices])
    learner.query_strategy = expected_error_reduction
    assert (
        learner.query(X[POOL], n_instances=4, loss=loss)[0].tolist() == indices.tolist()
    )
    assert len(learner.X_training) == len(START)


def test_subsample():
    learner = ActiveLearner(GaussianNB(), X_training=X[START], y_training=Y[START])

    def draw(seed):
        return expected_error_reduction(
            learner, X[POOL], p_subsample=0.2, n_instances=2, random_state=seed
        )[0].tolist()

    assert draw(0) == draw(0)
    assert any(draw(0) != draw(seed) for seed in range(1, 5))
    # Even with nothing to be tried, as many as are asked for are.
    assert np.isfinite(
        expected_error_reduction(learner, X[POOL], p_subsample=0, n_instances=3)[1]
    ).all()


def test_pandas():
    frame, y = load_iris(return_X_y=True, as_frame=True)
    learner = ActiveLearner(
        GaussianNB(), X_training=frame.iloc[START], y_training=y.iloc[START]
    )
    same = ActiveLearner(GaussianNB(), X_training=X[START], y_training=Y[START])
    pool = pd.DataFrame(frame.iloc[POOL])
    assert (
        expected_error_reduction(learner, pool)[0]
        == expected_error_reduction(same, X[POOL])[0]
    )


def test_cold_start_and_bad_options():
    learner = ActiveLearner(GaussianNB())
    assert expected_error_reduction(learner, X[POOL])[0].tolist() == [0]
    with pytest.raises(ValueError, match="binary, log"):
        expected_error_reduction(learner, X, loss="hinge")
    with pytest.raises(ValueError, match="from 0 to 1"):
        expected_error_reduction(learner, X, p_subsample=2)
