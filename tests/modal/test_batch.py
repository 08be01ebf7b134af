"""al_sklearn.modal.batch: Cardoso's ranked batch against a slow reference, and where
modAL's went wrong."""

import modAL.batch
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from scipy.spatial.distance import cdist
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from al_sklearn.learners import ActiveLearner, Committee
from al_sklearn.modal import batch as ours
from tests.learners.nets import plain_net


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits
    return X[:150].reshape(150, -1) / 255.0, y[:150]


def slow_ranked_batch(labelled, pool, uncertainty, n, metric="euclidean"):
    labelled, left, ranking = list(labelled), list(range(len(pool))), []
    if not labelled:
        mean = cdist(pool, pool, metric).mean(axis=1)
        ranking.append(int(np.argmin(mean)))
        left.remove(ranking[0])
        labelled.append(pool[ranking[0]])
    while len(ranking) < n:
        alpha = len(left) / (len(left) + len(labelled))
        scores = []
        for i in left:
            nearest = cdist(pool[[i]], np.array(labelled), metric).min()
            scores.append(
                alpha * (1 - 1 / (1 + nearest)) + (1 - alpha) * uncertainty[i]
            )
        best = left[int(np.argmax(scores))]
        ranking.append(best)
        left.remove(best)
        labelled.append(pool[best])
    return ranking


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan"])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_ranked_batch(data, metric, n_jobs):
    X, y = data
    metric = {"manhattan": "cityblock"}.get(metric, metric)
    learner = ActiveLearner(GaussianNB(), X_training=X[:20], y_training=y[:20])
    uncertainty = 1 - learner.predict_proba(X[20:]).max(axis=1)
    slow = slow_ranked_batch(X[:20], X[20:], uncertainty, 8, metric)
    indices, scores = ours.uncertainty_batch_sampling(
        learner, X[20:], 8, metric, n_jobs
    )
    assert indices.tolist() == slow
    assert np.allclose(scores, uncertainty[slow])
    theirs = modAL.batch.uncertainty_batch_sampling(learner, X[20:], 8, metric, n_jobs)
    assert (theirs[0] if isinstance(theirs, tuple) else theirs).tolist() == slow


def test_cold_start_is_on_the_most_central_row_and_picks_it_once(data):
    X, _ = data
    learner = ActiveLearner(GaussianNB(), ours.uncertainty_batch_sampling)
    indices, _ = learner.query(X, n_instances=150)
    assert indices[:6].tolist() == slow_ranked_batch([], X, np.ones(len(X)), 6)
    assert sorted(indices) == list(range(150))
    position, row = ours.select_cold_start_instance(X)
    assert position == indices[0]
    assert np.array_equal(row, X[[position]])


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_cold_start_on_images(digits, kind):
    X, y = digits
    images = kind(X[:60, None].astype(np.float32))
    net = plain_net().initialize()
    learner = ActiveLearner(net, ours.uncertainty_batch_sampling)
    indices, rows = learner.query(images, n_instances=5)
    assert (
        indices[0]
        == slow_ranked_batch([], np.asarray(images).reshape(60, -1), np.ones(60), 1)[0]
    )
    assert rows.shape == (5, 1, 8, 8)
    _, row = ours.select_cold_start_instance(images)
    assert row.shape == (1, 1, 8, 8)
    learner.teach(rows, y[indices])
    assert len(set(learner.query(images, n_instances=5)[0])) == 5


def test_a_committee_knows_what_its_members_were_taught(data):
    X, y = data
    committee = Committee(
        [ActiveLearner(GaussianNB()), ActiveLearner(LogisticRegression(max_iter=500))]
    )
    committee.fit(X[:20], y[:20])
    uncertainty = 1 - committee.predict_proba(X[20:]).max(axis=1)
    warm = slow_ranked_batch(X[:20], X[20:], uncertainty, 5)
    assert warm != slow_ranked_batch([], X[20:], uncertainty, 5)
    assert ours.uncertainty_batch_sampling(committee, X[20:], 5)[0].tolist() == warm
    # Through modAL's own function too, since X_training is right.
    theirs = modAL.batch.uncertainty_batch_sampling(committee, X[20:], 5)
    assert (theirs[0] if isinstance(theirs, tuple) else theirs).tolist() == warm


@pytest.mark.parametrize("members", [1, 2])
def test_on_transformed(data, members):
    X, y = data
    X = X * np.linspace(1, 30, 64)
    pipelines = [
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
        for _ in range(members)
    ]
    learners = [ActiveLearner(pipe, on_transformed=True) for pipe in pipelines]
    learner = learners[0] if members == 1 else Committee(learners, on_transformed=True)
    learner.fit(X[:40], y[:40])
    scaled = np.hstack([pipelines[0][0].transform(X)] * members)
    uncertainty = 1 - learner.predict_proba(X[40:]).max(axis=1)
    expected = slow_ranked_batch(scaled[:40], scaled[40:], uncertainty, 5)
    assert ours.uncertainty_batch_sampling(learner, X[40:], 5)[0].tolist() == expected


@pytest.mark.parametrize("kind", [sp.csr_matrix, pd.DataFrame, np.ndarray.tolist])
def test_kinds(data, kind):
    X, y = data
    learner = ActiveLearner(
        LogisticRegression(max_iter=500), X_training=kind(X[:20]), y_training=y[:20]
    )
    expected = ActiveLearner(
        LogisticRegression(max_iter=500), X_training=X[:20], y_training=y[:20]
    )
    got = ours.uncertainty_batch_sampling(learner, kind(X[20:]), 5)[0]
    assert (
        got.tolist() == ours.uncertainty_batch_sampling(expected, X[20:], 5)[0].tolist()
    )


def test_select_instance_changes_no_mask(data):
    X, _ = data
    mask = np.ones(30, dtype=bool)
    mask[3] = False
    uncertainty = np.linspace(0, 1, 30)
    position, row, after = ours.select_instance(X[:20], X[20:50], uncertainty, mask)
    assert mask.sum() == 29
    assert after.sum() == 28
    assert not after[position]
    assert np.array_equal(row, X[20:50][[position]])
    again = modAL.batch.select_instance(
        X[:20], X[20:50], uncertainty, mask.copy(), "euclidean", None
    )
    assert again[0] == position


def test_what_is_not_numbers_says_so():
    class Names(GaussianNB):
        def predict_proba(self, X):
            return np.full((len(X), 2), 0.5)

    with pytest.raises(ValueError, match="Distances need numbers"):
        ours.uncertainty_batch_sampling(ActiveLearner(Names()), ["a.png", "b.png"], 1)
