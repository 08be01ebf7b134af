"""al_sklearn.modal.cluster, which modAL cannot import: hierarchical sampling (Dasgupta
& Hsu 2008)."""

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from al_sklearn.learners import ActiveLearner
from al_sklearn.modal.cluster import HierarchicalClustering


@pytest.fixture(scope="module")
def blobs():
    """Three clusters: 0 and 1 are pure, the third is half of each of two classes."""
    rng = np.random.default_rng(0)
    X = np.concatenate(
        [
            rng.normal(centre, 0.3, size=(100, 2))
            for centre in [(0, 0), (10, 0), (0, 10)]
        ]
    )
    y = np.repeat([0, 1, 2], 100)
    y[200:] = np.arange(100) % 2 + 2
    return X, y, np.repeat([0, 1, 2], 100)


def test_a_cold_start_draws_from_the_whole_pool(blobs):
    X, _, cluster = blobs
    learner = ActiveLearner(GaussianNB(), HierarchicalClustering(random_state=0))
    indices, _ = learner.query(X, n_instances=60)
    assert len(set(indices)) == 60
    assert np.bincount(cluster[indices], minlength=3).min() >= 10
    assert HierarchicalClustering().compute_errors(learner, X).tolist() == [1] * 300


def test_labels_go_where_clusters_are_not_pure(blobs):
    X, y, cluster = blobs
    start = np.arange(0, 300, 5)
    learner = ActiveLearner(
        GaussianNB(),
        HierarchicalClustering(random_state=0),
        X_training=X[start],
        y_training=y[start],
    )
    pool = np.delete(np.arange(300), start)
    errors = HierarchicalClustering(random_state=0).compute_errors(learner, X[pool])
    mean = [errors[cluster[pool] == c].mean() for c in range(3)]
    assert mean[0] == mean[1] == 0
    assert mean[2] > 0.2
    indices, scores = HierarchicalClustering()(learner, X[pool], 60, random_state=1)
    assert np.mean(cluster[pool][indices] == 2) > 0.5
    assert scores.shape == (60,)


def test_every_row_can_be_asked_for_and_draws_repeat(blobs):
    X, y, _ = blobs
    learner = ActiveLearner(GaussianNB(), X_training=X[::20], y_training=y[::20])
    for leaves in (500, 25):
        strategy = HierarchicalClustering(max_leaves=leaves)
        indices, _ = strategy(learner, X, 300, random_state=3)
        assert sorted(indices) == list(range(300))
        assert np.array_equal(indices, strategy(learner, X, 300, random_state=3)[0])
    assert HierarchicalClustering()(learner, X[:1], 1)[0].tolist() == [0]


def test_images(digits):
    images = digits[0][:300, None].astype(np.float32)
    learner = ActiveLearner(
        GaussianNB(), HierarchicalClustering(max_leaves=60, random_state=0)
    )
    _, rows = learner.query(images, n_instances=10)
    assert rows.shape == (10, 1, 8, 8)
    with pytest.raises(ValueError, match="1 to 300"):
        learner.query(images, n_instances=301)
