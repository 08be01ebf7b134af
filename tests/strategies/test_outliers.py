"""Outliers and clusters against their definitions."""

import math
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from skorch import NeuralNetClassifier
from torch import nn

from al_sklearn import inference, strategies
from al_sklearn.strategies import get_strategy, measures, selectors
from al_sklearn.strategies.checks import _Learner
from al_sklearn.strategies.measures import _activation_ranks
from tests.strategies import references_outliers as reference

OF_RANKS = ["outliers_mean", "outliers_max"]


# Activations


def activations(rng, n, d, dtype):
    """Rectified activations: many exact zeros, ties, a constant neuron, a duplicate
    row."""
    a = np.maximum(rng.normal(size=(n, d)), 0)
    a[:, 0] = 0.5
    if n > 3:
        a[1] = a[2]
        a[3] = 0
    return a.round(1).astype(dtype) if dtype == np.float16 else a.astype(dtype)


@pytest.mark.parametrize("name", OF_RANKS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    ("n", "n_labelled", "d"), [(1, 1, 1), (30, 9, 1), (25, 1, 4), (40, 17, 12)]
)
def test_ranks_agree_with_their_definition(name, dtype, n, n_labelled, d):
    rng = np.random.default_rng(n + d)
    rows, labelled = (
        activations(rng, n, d, dtype),
        activations(rng, n_labelled, d, dtype),
    )
    before = rows.copy()
    rows.flags.writeable = False
    expected = getattr(reference, name)(rows, labelled)
    np.testing.assert_allclose(
        getattr(measures, name)(rows, labelled), expected, atol=1e-12
    )
    tensors = torch.from_numpy(before), torch.from_numpy(labelled)
    of_tensor = getattr(measures, name)(*tensors)
    assert isinstance(of_tensor, torch.Tensor)
    np.testing.assert_allclose(of_tensor.numpy(), expected, atol=1e-12)
    np.testing.assert_array_equal(rows, before)
    with patch.object(_activation_ranks, "_CHUNK_VALUES", 1):
        np.testing.assert_array_equal(
            getattr(measures, name)(rows, labelled),
            getattr(measures, name)(before, labelled),
        )


@pytest.mark.parametrize("name", OF_RANKS)
def test_layers_of_different_scale_count_alike(name):
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(50, 6)), rng.normal(size=(50, 3))
    labelled = rng.normal(size=(20, 6)), rng.normal(size=(20, 3))
    measure = getattr(measures, name)
    joined = measure(np.hstack([first, second]), np.hstack(labelled))
    np.testing.assert_array_equal(measure([first, second], list(labelled)), joined)
    np.testing.assert_array_equal(
        measure([first, 1000 * second], [labelled[0], 1000 * labelled[1]]), joined
    )


def test_rows_beyond_all_that_is_labelled():
    labelled = np.arange(10.0).reshape(5, 2)
    np.testing.assert_array_equal(
        measures.outliers_mean(np.array([[-1.0, -1], [99, 99], [-1, 99]]), labelled),
        [1, 0, 0.5],
    )
    np.testing.assert_array_equal(
        measures.outliers_max(np.array([[-1.0, -1], [99, 99], [-1, 99]]), labelled),
        [1, 0, 0],
    )


@pytest.mark.parametrize("name", OF_RANKS)
def test_ranks_of_bad_input(name):
    measure, good = getattr(measures, name), np.ones((3, 2))
    for rows, labelled, message in (
        (good, good[:, :1], "do not fit"),
        (good, [good, good], "1 layers of activations and 2"),
        ([good, good[:2]], [good, good], "do not fit"),
        (good, good[:0], "no labelled activations"),
        (good[0], good, "must be a matrix"),
        (np.full((2, 2), np.nan), good, "activations contain NaN"),
        (good, np.full((2, 2), np.inf), "labelled contain NaN or infinity"),
    ):
        with pytest.raises(ValueError, match=message):
            measure(rows, labelled)


class TwoLayers(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = (
            nn.Linear(64, 12),
            nn.Linear(12, 8),
            nn.Linear(8, 10),
        )

    def forward(self, x):
        return self.last(torch.relu(self.second(torch.relu(self.first(x)))))


@pytest.fixture(scope="module")
def taught(digits):
    X, y = digits
    X = X.reshape(len(X), -1).astype(np.float32) / 255
    torch.manual_seed(0)
    net = NeuralNetClassifier(
        TwoLayers,
        criterion=nn.CrossEntropyLoss,
        lr=0.1,
        max_epochs=5,
        train_split=None,
        verbose=0,
    ).fit(X[:120], y[:120])
    return _Learner(net, X[:120], y[:120]), X[120:420]


@pytest.mark.parametrize("name", OF_RANKS)
def test_the_layers_of_a_net(name, taught):
    learner, X = taught
    strategy, measure = get_strategy(name), getattr(measures, name)
    for layers, names in (
        (None, [None]),
        ("first", ["first"]),
        (["first", "second"], ["first", "second"]),
    ):
        utilities = measure(
            [inference.embed(learner, X, layer) for layer in names],
            [inference.embed(learner, learner.X_training, layer) for layer in names],
        )
        np.testing.assert_array_equal(
            strategy(learner, X, 11, layer=layers)[0],
            selectors.top_k(utilities, 11)[0],
        )
    # Validation rows in the place of the labelled.
    other = strategy(learner.estimator, X, 11, X_labelled=X[:40])
    expected = measure(inference.embed(learner, X), inference.embed(learner, X[:40]))
    np.testing.assert_array_equal(other[0], selectors.top_k(expected, 11)[0])
    with pytest.raises(ValueError, match="pass X_labelled="):
        strategy(learner.estimator, X, 3)
    with pytest.raises(ValueError, match="pass X_labelled="):
        strategy(learner, X, 3, X_labelled=X[:0])
    with pytest.raises(ValueError, match="at least one layer"):
        strategy(learner, X, 3, layer=[])


@pytest.mark.parametrize("measure", ["least_confidence", "entropy"])
def test_outliers_among_the_uncertain_are_positions_in_the_pool(measure, taught):
    learner, X = taught
    strategy = get_strategy(f"outliers_mean_{measure}")
    indices, scores = strategy(learner, X, 15)
    kept = get_strategy(measure)(learner, X, 60)[0]
    assert set(indices.tolist()) <= set(kept.tolist())
    utilities = measures.outliers_mean(
        inference.embed(learner, X), inference.embed(learner, learner.X_training)
    )
    np.testing.assert_allclose(scores, utilities[indices], atol=1e-4)
    np.testing.assert_allclose(
        np.sort(scores), np.sort(utilities[kept])[-15:], atol=1e-4
    )
    assert indices.max() >= 60  # positions within the 60 kept would not be
    assert sorted(strategy(learner, X[:20], 20)[0].tolist()) == list(range(20))
    with pytest.raises(ValueError, match="factor must be"):
        strategy(learner, X, 3, factor=0.5)


# Density


def blobs(rng, sizes, d=2, noise=0):
    centres = 12 * rng.normal(size=(len(sizes), d))
    rows = [
        c + 0.3 * rng.normal(size=(size, d))
        for c, size in zip(centres, sizes, strict=True)
    ]
    return np.concatenate([*rows, 60 * rng.uniform(-1, 1, size=(noise, d))])


def test_glosh_finds_what_lies_outside():
    X = blobs(np.random.default_rng(0), [80, 80, 80])
    X = np.concatenate([X, X[:1] + [[0, 5.0]], X[90:91] - [[6.0, 0]]])
    utilities = measures.glosh(X, 20)
    assert set(np.argsort(-utilities)[:2].tolist()) == {240, 241}
    np.testing.assert_array_equal(utilities, measures.glosh(torch.from_numpy(X), 20))
    assert (
        strategies.outlier(None, X, 2, min_cluster_size=20)[0].tolist()
        == np.argsort(-utilities)[:2].tolist()
    )
    assert get_strategy("mb_outliers_glosh") is strategies.outlier


def test_the_cluster_size_is_halved_until_a_cluster_appears():
    import hdbscan

    tried, clusterer = [], hdbscan.HDBSCAN

    def Spy(min_cluster_size, **options):
        tried.append(min_cluster_size)
        return clusterer(min_cluster_size, **options)

    X = blobs(np.random.default_rng(1), [12, 12, 12, 12])
    with patch.object(hdbscan, "HDBSCAN", Spy):
        labels, _ = selectors.density_clusters(X, 100)
    assert tried == [48, 24, 12, 6] and len(set(labels.tolist()) - {-1}) == 4
    tried.clear()
    with patch.object(hdbscan, "HDBSCAN", Spy):
        labels, scores = selectors.density_clusters(np.zeros((40, 3)), 9)
    assert tried == [9, 4, 2] and set(labels.tolist()) == {-1} and not scores.any()


def test_nan_comes_last():
    rng = np.random.default_rng(0)
    # Heaps of duplicates: GLOSH is not defined for what is not in them.
    X = np.concatenate(
        [
            np.repeat(10 * rng.normal(size=(3, 4)), 10, axis=0),
            10 * rng.normal(size=(10, 4)),
        ]
    )
    utilities = measures.glosh(X, 5)
    assert np.isneginf(utilities).any() and not np.isnan(utilities).any()
    indices, scores = strategies.outlier(None, X, len(X), min_cluster_size=5)
    assert sorted(indices.tolist()) == list(range(len(X)))
    assert np.isneginf(scores[-np.isneginf(utilities).sum() :]).all() and np.isfinite(
        scores[0]
    )


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_tiny_pools(n):
    X = np.random.default_rng(n).normal(size=(n, 1))
    for name in ("outlier", "cluster", "cluster_outlier_combined"):
        assert sorted(
            get_strategy(name)(None, X, n, random_state=0)[0].tolist()
        ) == list(range(n))


def test_density_of_bad_input():
    X = np.zeros((5, 2))
    for bad, options, message in (
        (X, {"min_cluster_size": 1}, "min_cluster_size must be at least 2"),
        (X, {"min_samples": 0}, "min_samples must be at least 1"),
        (X + np.nan, {}, "NaN or infinity"),
        (X[0], {}, "must be a matrix"),
    ):
        with pytest.raises(ValueError, match=message):
            selectors.density_clusters(bad, **options)


# Quotas


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.integers(1, 25), min_size=1, max_size=9),
    st.floats(0, 1),
    st.integers(0, 2**31),
    st.booleans(),
    st.data(),
)
def test_quotas_are_equal_exact_and_unique(sizes, share, seed, with_scores, data):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    k = data.draw(st.integers(1, len(labels)))
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=len(labels)) if with_scores else None
    indices, utilities = selectors.cluster_quotas(
        labels, k, outlier_scores=scores, outlier_share=share, random_state=seed
    )
    assert len(set(indices.tolist())) == k == len(utilities) and np.all(
        np.diff(utilities) < 0
    )
    got = np.bincount(labels[indices], minlength=len(sizes))
    least, left = reference.quotas(sizes, k)
    assert ((got - least >= 0) & (got - least <= 1)).all() and (
        got - least
    ).sum() == left
    # Round after round: of the first picks, one of every cluster.
    first = labels[indices[: min(k, len(sizes))]]
    assert len(set(first.tolist())) == len(first)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.integers(1, 25), min_size=1, max_size=9),
    st.integers(1, 40),
    st.integers(0, 2**31),
    st.data(),
)
def test_noise_gives_its_share_at_most(sizes, n_noise, seed, data):
    labels = np.repeat(np.arange(len(sizes) + 1) - 1, [n_noise, *sizes])
    k = data.draw(st.integers(1, len(labels)))
    indices, _ = selectors.cluster_quotas(labels, k, random_state=seed)
    assert len(set(indices.tolist())) == k
    got = np.bincount(labels[indices] + 1, minlength=len(sizes) + 1)
    share = k * n_noise / len(labels)
    # More than its share only where the clusters are used up.
    assert got[0] <= math.ceil(share) or got[1:].tolist() == sizes
    if got[1:].tolist() != sizes:
        # And no more than a cluster that has enough gives.
        assert got[0] <= got[1:].max() + 1
        least, _ = reference.quotas(sizes, int(got[1:].sum()))
        assert ((got[1:] - least >= 0) & (got[1:] - least <= 1)).all()


def test_in_the_long_run_noise_is_bought_as_often_as_it_is_there():
    labels = np.repeat([-1, 0, 1, 2], [30, 300, 300, 370])
    counts = [
        (labels[selectors.cluster_quotas(labels, 20, random_state=i)[0]] == -1).sum()
        for i in range(400)
    ]
    # 3 % of 20 is 0.6.
    assert set(counts) == {0, 1} and 0.5 < np.mean(counts) < 0.7


def test_noise_is_no_cluster():
    X = blobs(np.random.default_rng(2), [100, 100, 100], noise=30)
    labels, _ = selectors.density_clusters(X, 20)
    n_noise = (labels == -1).sum()
    assert n_noise >= 20
    for name in ("cluster", "cluster_outlier_combined"):
        indices, _ = get_strategy(name)(
            None, X, 40, min_cluster_size=20, random_state=0
        )
        counts = np.bincount(labels[indices] + 1, minlength=4)
        assert 1 <= counts[0] <= math.ceil(40 * n_noise / len(X))
        assert np.ptp(counts[1:]) <= 1 and counts.sum() == 40
    # Their clustering takes a fifth of each quota from the outliers.
    assert get_strategy("mb_clustering") is strategies.cluster_outlier_combined


def test_a_fifth_of_each_quota_is_from_the_top_decile():
    rng = np.random.default_rng(0)
    sizes = [200, 150, 100, 250]
    labels, scores = np.repeat(np.arange(4), sizes), rng.normal(size=700)
    top = np.zeros(700, dtype=bool)
    for i, size in enumerate(sizes):
        members = np.flatnonzero(labels == i)
        top[members[np.argsort(-scores[members])[: math.ceil(size / 10)]]] = True
    indices, _ = selectors.cluster_quotas(
        labels, 80, outlier_scores=scores, random_state=1
    )
    for i in range(4):
        mine = indices[labels[indices] == i]
        assert len(mine) == 20 and top[mine].sum() == 4
    # Quotas too small for one outlier each: the fractions are carried on.
    indices, _ = selectors.cluster_quotas(
        np.arange(700) % 35, 70, outlier_scores=scores, random_state=1
    )
    deciles = np.zeros(700, dtype=bool)
    for i in range(35):
        members = np.arange(i, 700, 35)
        deciles[members[np.argsort(-scores[members])[:2]]] = True
    assert deciles[indices].sum() == 14
    # Outliers that a cluster does not have are taken from the next ones.
    indices, _ = selectors.cluster_quotas(
        labels, 400, outlier_scores=scores, outlier_share=0.0, random_state=1
    )
    assert not top[indices[labels[indices] != 2]].any()
    draws = [
        selectors.cluster_quotas(labels, 40, outlier_scores=scores, random_state=i)[0]
        for i in (1, 1, 2)
    ]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert set(draws[0].tolist()) != set(draws[2].tolist())


def test_quotas_of_bad_input():
    labels = np.array([0, 0, 1])
    for options, message in (
        ({"outlier_share": 1.5}, "outlier_share must be from 0 to 1"),
        ({"outlier_scores": [1.0]}, r"outlier_scores must have shape \(3,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            selectors.cluster_quotas(labels, 2, **options)
    with pytest.raises(ValueError, match="4"):
        selectors.cluster_quotas(labels, 4)
    with pytest.raises(ValueError, match="one-dimensional"):
        selectors.cluster_quotas(labels[None], 1)


def test_clusters_of_what_a_classifier_embeds(taught, digits):
    learner, X = taught
    for name in ("cluster", "cluster_outlier_combined"):
        chosen = get_strategy(name)(
            learner, X, 30, min_cluster_size=10, layer="first", random_state=4
        )
        labels, scores = selectors.density_clusters(
            inference.embed(learner, X, "first"), 10
        )
        given_scores = scores if name != "cluster" else None
        expected = selectors.cluster_quotas(
            labels, 30, outlier_scores=given_scores, random_state=4
        )
        np.testing.assert_array_equal(chosen[0], expected[0])
    forest = RandomForestClassifier(5, random_state=0).fit(X[:50], digits[1][120:170])
    assert len(set(strategies.cluster(forest, X, 25, random_state=0)[0].tolist())) == 25
