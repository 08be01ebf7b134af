"""What implementations elsewhere get wrong, one test for each: it fails where that
fault is put in."""

from __future__ import annotations

import math
import random
import tracemalloc
from unittest.mock import patch

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from skorch import NeuralNetClassifier
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from al_sklearn import inference, strategies
from al_sklearn.learners import ActiveLearner, Committee
from al_sklearn.strategies import catalogue, get_strategy, measures, selectors
from al_sklearn.strategies._engine import distances as _blocks

RNG = np.random.default_rng(11)


class Says(ClassifierMixin, BaseEstimator):
    """Its probabilities are the rows themselves, and belong to the caller; so are its
    posterior samples."""

    def __init__(self, n_samples=None):
        self.n_samples = n_samples

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return X

    def sample_proba(self, X, n_samples=None, random_state=None):
        return np.moveaxis(X.reshape(len(X), self.n_samples, -1), 1, 0)


def says(n_classes, n_samples=None):
    return Says(n_samples).fit(None, np.arange(n_classes))


def as_rows(samples):
    """Samples (T, n, C) as the rows that `Says` takes them from."""
    return np.ascontiguousarray(np.moveaxis(samples, 0, 1)).reshape(
        samples.shape[1], -1
    )


# -- 1. uncertainty --------------------------------------------------------------------


@pytest.mark.parametrize("n", range(1, 13))
def test_random_sampling_of_a_small_pool_is_not_the_whole_pool(n):
    for n_instances in range(1, n + 1):
        # The strategy itself, without what sees to its contract.
        indices, _ = strategies.random_sampling.__wrapped__(
            None, np.zeros((n, 1)), n_instances
        )
        assert len(set(indices.tolist())) == len(indices) == n_instances


def test_random_sampling_neither_seeds_nor_draws_from_a_global_generator():
    np.random.seed(3), torch.manual_seed(3), random.seed(3)
    states = np.random.get_state()[1].copy(), torch.get_rng_state(), random.getstate()
    position = np.random.get_state()[2]
    X = np.zeros((500, 1))
    # Without what puts the generators back, which would hide it.
    free = [
        tuple(strategies.random_sampling.__wrapped__(None, X, 9)[0]) for _ in range(4)
    ]
    fixed = [
        tuple(strategies.random_sampling.__wrapped__(None, X, 9, random_state=1)[0])
        for _ in range(2)
    ]
    assert len(set(free)) == 4 and len(set(fixed)) == 1
    assert (
        np.array_equal(np.random.get_state()[1], states[0])
        and np.random.get_state()[2] == position
    )
    assert (
        torch.equal(torch.get_rng_state(), states[1]) and random.getstate() == states[2]
    )


SURE_TO_UNSURE = np.array(
    [[1.0, 0, 0], [0.9, 0.1, 0], [0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.36, 0.33, 0.31]]
)


@pytest.mark.parametrize("name", ["least_confidence", "margin", "ratio", "entropy"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_least_sure_come_first(name, dtype):
    order = [3, 0, 4, 1, 2]
    proba = SURE_TO_UNSURE[order].astype(dtype)
    expected = np.argsort(-np.array(order))
    chosen, scores = get_strategy(name)(says(3), proba, 5)
    np.testing.assert_array_equal(chosen, expected)
    assert (np.diff(scores) < 0).all()
    for kind in (proba, torch.from_numpy(proba)):
        np.testing.assert_array_equal(
            np.argsort(-np.asarray(getattr(measures, name)(kind))), expected
        )


@pytest.mark.parametrize("name", ["least_confidence", "margin", "ratio", "entropy"])
@pytest.mark.parametrize("n_classes", [3, 40])
@pytest.mark.parametrize("kind", [np.asarray, np.asfortranarray, torch.from_numpy])
def test_no_measure_sorts_the_callers_rows(name, n_classes, kind):
    proba = RNG.dirichlet(np.ones(n_classes), size=50).astype(np.float32)
    given = kind(proba.copy())
    getattr(measures, name)(given)
    np.testing.assert_array_equal(given, proba)
    get_strategy(name)(says(n_classes), given, 5)
    np.testing.assert_array_equal(given, proba)


def test_ratio_is_the_second_over_the_first():
    proba = np.array(
        [[0.25, 0.5, 0.25], [0.8, 0.1, 0.1], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]
    )
    for given in (proba, torch.from_numpy(proba)):
        np.testing.assert_allclose(measures.ratio(given), [0.5, 0.125, 0, 1])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_entropy_where_probabilities_are_zero(dtype):
    proba = np.array(
        [[1.0, 0, 0], [0.5, 0.5, 0], [1, 0, 0], [0.25, 0.5, 0.25]], dtype=dtype
    )
    expected = [0, math.log(2), 0, 1.5 * math.log(2)]
    tolerance = 1e-12 if dtype == np.float64 else 1e-6
    for given in (proba, torch.from_numpy(proba)):
        np.testing.assert_allclose(measures.entropy(given), expected, atol=tolerance)
    assert strategies.entropy(says(3), proba, 4)[0].tolist() == [3, 1, 0, 2]
    # In posterior samples too.
    samples = np.stack([proba, proba[::-1]])
    for name in measures.MEASURES["samples"]:
        for given in (samples, torch.from_numpy(samples)):
            assert np.isfinite(np.asarray(getattr(measures, name)(given))).all(), name
    assert np.isfinite(measures.epig(samples, samples)).all()
    assert np.isfinite(selectors.batch_bald(samples, 4)[1]).all()


def test_nan_never_sorts_first():
    with pytest.raises(ValueError, match="NaN"):
        selectors.top_k([0.1, np.nan, 0.7], 1)
    with pytest.raises(ValueError, match="NaN"):
        measures.entropy(np.array([[0.5, 0.5], [np.nan, 1.0]]))
    with pytest.raises(ValueError, match="NaN"):
        strategies.entropy(says(2), np.array([[0.5, 0.5], [np.nan, 1.0]]), 1)


@pytest.mark.parametrize("n_instances", [1, 2, 5, 10])
def test_uncertainty_bins_reach_from_the_confident_to_the_unsure(n_instances):
    largest = np.linspace(0.5, 1, 100, endpoint=False)
    proba = np.c_[largest, 1 - largest]
    indices, _ = strategies.uncertainty_bins(
        says(2), proba, n_instances, random_state=0
    )
    # Equal parts of the pool, as many as are asked for, hold one each: the pool is in
    # order of confidence.
    np.testing.assert_array_equal(
        np.sort(indices * n_instances // 100), np.arange(n_instances)
    )


class Small(nn.Module):
    """BatchNorm, an embedding, dropout of which the probability is a parameter."""

    def __init__(self, p=0.5):
        super().__init__()
        self.norm, self.first, self.drop = (
            nn.BatchNorm1d(6),
            nn.Linear(6, 8),
            nn.Dropout(p),
        )
        self.last = nn.Linear(8, 3)

    def forward(self, x):
        return self.last(self.drop(torch.relu(self.first(self.norm(x)))))


X_NET = RNG.normal(size=(46, 6)).astype(np.float32)
Y_NET = np.arange(46) % 3


def small_net(p=0.5):
    torch.manual_seed(0)
    options = {"max_epochs": 2, "train_split": None, "verbose": 0, "batch_size": 16}
    return NeuralNetClassifier(
        Small, module__p=p, criterion=nn.CrossEntropyLoss, **options
    ).fit(X_NET, Y_NET)


def test_input_gradient_is_of_a_loss_that_is_summed():
    net = small_net()
    module = net.module_.eval()
    expected = []
    for row in X_NET:
        x = torch.from_numpy(row[None]).requires_grad_()
        logits = module(x)
        (gradient,) = torch.autograd.grad(
            nn.functional.cross_entropy(logits, logits.argmax(1)), x
        )
        expected.append(float(gradient.abs().sum()))
    for batch_size in (1, 7, 46):
        net.set_params(batch_size=batch_size)
        indices, scores = strategies.input_gradient(net, X_NET, 46)
        np.testing.assert_allclose(scores, np.array(expected)[indices], rtol=1e-4)


# -- 2. Bayesian -----------------------------------------------------------------------


def test_max_entropy_is_the_entropy_of_the_mean():
    # Sure samples that contradict each other: no entropy in any of them, all of it in
    # their mean.
    samples = np.array(
        [
            [[1.0, 0], [0.5, 0.5]],
            [[0.0, 1], [0.5, 0.5]],
            [[1.0, 0], [0.5, 0.5]],
            [[0.0, 1], [0.5, 0.5]],
        ]
    )
    np.testing.assert_allclose(measures.max_entropy(samples), [math.log(2)] * 2)
    np.testing.assert_allclose(
        measures.max_entropy(torch.from_numpy(samples)), [math.log(2)] * 2
    )
    # Before one on which all samples agree to be rather unsure, whose entropies are
    # larger in the mean.
    samples[:, 1] = [0.3, 0.7]
    assert strategies.max_entropy(says(2, 4), as_rows(samples), 2)[0].tolist() == [0, 1]
    assert strategies.consensus_entropy(says(2, 4), as_rows(samples), 2)[
        0
    ].tolist() == [0, 1]


@pytest.mark.parametrize("shape", [(2, 3, 4), (4, 2, 3), (3, 3, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bald_adds_over_the_classes_and_averages_over_the_samples(shape, dtype):
    samples = RNG.dirichlet(np.full(shape[2], 0.5), size=shape[:2]).astype(dtype)
    samples[0, 0] = np.eye(shape[2])[0]
    samples[:, 1] = np.eye(shape[2])[1]

    def entropy(p):
        return -sum(float(v) * math.log(float(v)) for v in p if v > 0)

    expected = []
    for row in range(shape[1]):
        mean = [
            sum(float(sample[row, c]) for sample in samples) / shape[0]
            for c in range(shape[2])
        ]
        expected.append(
            entropy(mean) - sum(entropy(sample[row]) for sample in samples) / shape[0]
        )
    # So near that nothing was added inside the logarithm.
    tolerance = 1e-13 if dtype == np.float64 else 1e-6
    for given in (samples, torch.from_numpy(samples)):
        got = np.asarray(measures.bald(given))
        np.testing.assert_allclose(got, expected, atol=tolerance, rtol=0)
        assert got[1] == 0 and (got >= 0).all()
    chosen, _ = strategies.bald(says(shape[2], shape[0]), as_rows(samples), shape[1])
    np.testing.assert_array_equal(
        chosen, np.argsort(-np.array(expected), kind="stable")
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_bald_is_nothing_where_all_samples_agree_and_never_below(dtype):
    proba = RNG.dirichlet(np.full(10, 0.3), size=400).astype(dtype)
    samples = np.repeat(proba[None], 7, axis=0)
    for given in (samples, torch.from_numpy(samples)):
        assert not np.asarray(measures.bald(given)).any()
    # All tie: by position.
    assert strategies.bald(says(10, 7), as_rows(samples.astype(np.float64)), 9)[
        0
    ].tolist() == list(range(9))
    nearly = np.clip(
        samples.astype(np.float64) + 1e-9 * RNG.normal(size=samples.shape), 0, 1
    ).astype(dtype)
    assert (np.asarray(measures.bald(nearly)) >= 0).all()


def test_the_oracle_does_not_run_in_a_learner():
    learner = ActiveLearner(LogisticRegression(), X_training=X_NET, y_training=Y_NET)
    with pytest.raises(
        TypeError, match="looks at the true labels and does not run in ActiveLearner"
    ):
        strategies.max_true_loss(learner, X_NET, 2, y_true=Y_NET)
    losses = -np.log(learner.estimator.predict_proba(X_NET)[np.arange(46), Y_NET])
    chosen, _ = strategies.max_true_loss(learner.estimator, X_NET, 5, y_true=Y_NET)
    np.testing.assert_array_equal(chosen, np.argsort(-losses)[:5])


NEED_SAMPLES = [info.name for info in catalogue() if "samples" in info.needs]


@pytest.mark.parametrize("name", NEED_SAMPLES)
def test_a_net_without_dropout_does_not_rank_rounding_noise(name):
    with pytest.raises(
        TypeError, match=f"strategy '{name}': .* no active dropout module"
    ):
        get_strategy(name)(small_net(p=0.0), X_NET, 3, random_state=0)


@pytest.mark.parametrize("name", ["variation_ratio", "vote_entropy"])
def test_massive_ties_of_votes_are_not_broken_by_position(name):
    samples = np.zeros((3, 60, 2))
    samples[:, :, 0] = 1
    samples[0, 10:50] = [0, 1]  # forty candidates on which one of three disagrees
    rows, strategy = as_rows(samples), get_strategy(name)
    counts = np.zeros(60)
    for seed in range(200):
        counts[strategy(says(2, 3), rows, 10, random_state=seed)[0]] += 1
    assert counts[:10].sum() == counts[50:].sum() == 0
    assert chisquare(counts[10:50]).pvalue > 1e-4
    # By position the order is that of the pool, and says so by repeating.
    by_position = strategy(says(2, 3), rows, 10, random_tie_break=False)[0]
    assert by_position.tolist() == list(range(10, 20))


def test_votes_of_classes_with_names():
    votes = np.array(
        [["owl", "cat", "cat"], ["dog", "dog", "dog"], ["cat", "dog", "owl"]]
    )
    shares = measures.vote_shares(votes)
    np.testing.assert_allclose(
        measures.entropy(shares), [math.log(3) - 2 / 3 * math.log(2), 0, math.log(3)]
    )
    names = np.array(["cat", "dog", "owl"])[Y_NET]
    start = [np.arange(0, 12), np.arange(3, 30), np.arange(1, 46)]
    committee = Committee(
        [
            ActiveLearner(
                LogisticRegression(C=9.0),
                X_training=X_NET[rows],
                y_training=names[rows],
            )
            for rows in start
        ]
    )
    labels = np.array([[str(v) for v in row] for row in committee.vote(X_NET)])
    expected = [
        -sum(k / 3 * math.log(k / 3) for k in np.unique(row, return_counts=True)[1])
        for row in labels
    ]
    chosen, scores = strategies.vote_entropy(committee, X_NET, 46)
    np.testing.assert_allclose(scores, np.array(expected)[chosen], atol=1e-12)
    assert len(set(np.round(expected, 6))) > 1


def test_one_dropout_mask_for_all_minibatches():
    net = small_net()
    twice = np.concatenate([X_NET, X_NET])
    answers = []
    for batch_size in (4, 13, 92):
        net.set_params(batch_size=batch_size)
        samples = inference.sample_proba(net, twice, 12, random_state=0)
        np.testing.assert_allclose(samples[:, :46], samples[:, 46:], atol=1e-6)
        answers.append(
            (
                samples,
                strategies.batch_bald(net, X_NET, 6, n_samples=12, random_state=0)[
                    0
                ].tolist(),
            )
        )
    for samples, chosen in answers[1:]:
        np.testing.assert_allclose(samples, answers[0][0], atol=1e-6)
        assert chosen == answers[0][1]
    assert np.ptp(answers[0][0], axis=0).max() > 0.05


def test_mc_dropout_switches_nothing_but_dropout_on():
    net = small_net()
    before = {name: value.clone() for name, value in net.module_.state_dict().items()}
    module = net.module_.train()
    samples = inference.sample_proba(net, X_NET, 9, random_state=0)
    np.testing.assert_allclose(samples.sum(axis=2), 1, atol=1e-5)
    assert all(
        torch.equal(before[name], value) for name, value in module.state_dict().items()
    )
    # A mask that drops next to nothing leaves the clean prediction: softmax once,
    # BatchNorm's statistics of training.
    hardly = small_net()
    hardly.module_.drop.p = 1e-9
    clean = torch.softmax(hardly.module_.eval()(torch.from_numpy(X_NET)), 1).detach()
    np.testing.assert_allclose(
        inference.sample_proba(hardly, X_NET, 2, random_state=0)[1], clean, atol=1e-6
    )
    shuffled = np.random.default_rng(0).permutation(46)
    again = inference.sample_proba(net, X_NET[shuffled[:9]], 5, random_state=3)
    np.testing.assert_allclose(
        again,
        inference.sample_proba(net, X_NET, 5, random_state=3)[:, shuffled[:9]],
        atol=1e-6,
    )


# -- 3. geometric ----------------------------------------------------------------------


def test_k_center_looks_again_after_every_choice():
    # The two farthest lie side by side: a ranking made once takes both.
    X = np.array([[10.0, 0.0], [10.1, 0.0], [0.0, 5.0], [0.1, 0.0]])
    assert selectors.k_center(X, 2, labelled=[[0.0, 0.0]])[0].tolist() == [1, 2]
    assert strategies.coreset(None, X, 2, X_labelled=np.zeros((1, 2)))[0].tolist() == [
        1,
        2,
    ]


def test_k_center_takes_distances_and_not_similarities():
    X = np.array([[1.0, 0.05], [0.0, 1.0], [-1.0, 0.0], [0.5, 0.5]])
    assert selectors.k_center(X, 3, labelled=[[2.0, 0.0]], metric="cosine")[
        0
    ].tolist() == [2, 1, 3]


@pytest.mark.parametrize("n_labelled", [1, 3, 30])
def test_k_center_takes_the_nearest_labelled_of_each_candidate(n_labelled):
    # Over the other axis there would be one minimum for each labelled row.
    X, L = RNG.normal(size=(20, 3)), RNG.normal(size=(n_labelled, 3))
    for metric in ("euclidean", "cosine"):
        unit = [
            a / np.linalg.norm(a, axis=1, keepdims=True) if metric == "cosine" else a
            for a in (X, L)
        ]
        nearest = np.linalg.norm(unit[0][:, None] - unit[1], axis=2).min(axis=1)
        index, score = selectors.k_center(X, 1, labelled=L, metric=metric)
        assert index[0] == nearest.argmax()
        expected = nearest.max() if metric == "euclidean" else nearest.max() ** 2 / 2
        np.testing.assert_allclose(score, expected)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine"])
def test_k_center_takes_nothing_twice_whatever_rounding_says(metric):
    # In float32 |x|² + |c|² - 2xc of a point and itself is far from 0 here.
    X = (RNG.normal(size=(40, 16)) + 1000).astype(np.float32)
    X[20:] = X[:20]
    for labelled in (None, X[:3]):
        indices, scores = selectors.k_center(X, 40, labelled=labelled, metric=metric)
        assert sorted(indices.tolist()) == list(range(40))
        n_new = 20 - (0 if labelled is None else 3)
        assert (
            len(set((indices[:n_new] % 20).tolist())) == n_new
            and (scores[n_new:] == 0).all()
        )


class LargestTensor(TorchDispatchMode):
    """Remembers the most values that any operation of torch makes."""

    most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, torch.Tensor):
                # A view of what is there already is nothing new.
                self.most = max(
                    self.most,
                    tensor.untyped_storage().nbytes() // max(tensor.element_size(), 1),
                )
        return out


N, D, B = 6000, 8, 40
POINTS, LABELLED = (
    RNG.normal(size=(N, D)).astype(np.float32),
    RNG.normal(size=(3000, D)).astype(np.float32),
)
UTILITIES = RNG.random(N)
NEVER_SQUARE = {
    "k_center": lambda: selectors.k_center(POINTS, B, labelled=LABELLED),
    "k_center of cosines": lambda: selectors.k_center(
        POINTS, B, labelled=LABELLED, metric="cosine"
    ),
    "k_center weighted": lambda: selectors.k_center(
        POINTS, B, labelled=LABELLED, utilities=UTILITIES
    ),
    "k_nearest": lambda: selectors.k_nearest(
        POINTS, B, labelled=LABELLED, utilities=UTILITIES[:3000]
    ),
    "typiclust": lambda: selectors.typiclust(POINTS, B, random_state=0),
    "probcover": lambda: selectors.probcover(
        POINTS, B, labelled=LABELLED, radius=0.1, random_state=0
    ),
    "max_herding": lambda: selectors.max_herding(
        POINTS, B, labelled=LABELLED, random_state=0
    ),
    "lcmd": lambda: selectors.lcmd(POINTS, B, labelled=LABELLED),
    "kmeans_sampling": lambda: selectors.kmeans_sampling(POINTS, B, random_state=0),
    "weighted_kmeans": lambda: selectors.weighted_kmeans(
        POINTS, B, utilities=UTILITIES, random_state=0
    ),
    "badge": lambda: selectors.gradient_kmeans_plusplus(
        POINTS, POINTS[:, :3], B, random_state=0
    ),
    "bait": lambda: selectors.fisher_trace(POINTS, np.c_[UTILITIES, 1 - UTILITIES], B),
    "information_density": lambda: measures.information_density(POINTS),
    "information_density euclidean": lambda: measures.information_density(
        POINTS, metric="euclidean"
    ),
    "ranked_batch": lambda: selectors.ranked_batch(
        POINTS, UTILITIES, B, labelled=LABELLED
    ),
    "falcun": lambda: selectors.falcun(
        np.c_[UTILITIES, 1 - UTILITIES], B, random_state=0
    ),
    "least_distance": lambda: measures.least_distance(LABELLED),
}


@pytest.mark.parametrize("name", NEVER_SQUARE)
def test_no_matrix_of_all_pairs(name, monkeypatch):
    monkeypatch.setattr(
        _blocks, "TILE_VALUES", 2**12
    )  # tiles that are small beside this pool
    with LargestTensor():
        NEVER_SQUARE[
            name
        ]()  # what is loaded and compiled at the first call is no part of it
    tracemalloc.start()
    try:
        with LargestTensor() as largest:
            NEVER_SQUARE[name]()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # n x l in float32 are 72 MB and n x n 144 MB.
    assert largest.most < N * len(LABELLED) / 5, f"a tensor of {largest.most} values"
    assert peak < 4 * N * len(LABELLED) / 2, f"{peak / 1e6:.0f} MB of arrays"


def test_k_nearest_gives_the_nearest_in_order():
    # The inverse of the sorting permutation, or a set, give others: 3, 0, 4, 2, 1 is no
    # involution.
    X = np.array([[2.0], [5.0], [4.0], [1.0], [3.0]])
    for b in range(1, 6):
        indices = selectors.k_nearest(X, b, labelled=[[0.0]], n_neighbors=5)[0]
        assert indices.tolist() == [3, 0, 4, 2, 1][:b]
    # Most uncertain seed first.
    got = selectors.k_nearest(
        X, 4, labelled=[[0.0], [6.0]], utilities=[0.2, 0.9], n_neighbors=2
    )
    assert got[0].tolist() == [1, 2, 3, 0] and got[1].tolist() == [0.9, 0.9, 0.2, 0.2]


@pytest.mark.parametrize("n", [41, 512, 513, 700])
def test_probcover_knows_the_neighbours_of_the_last_rows(n):
    # The one dense ball is at the end of the pool, whatever tile that is.
    angles = np.r_[np.linspace(0.5, 3, n - 6), np.linspace(5, 5.001, 6)]
    X = np.c_[np.cos(angles), np.sin(angles)]
    indices, scores = selectors.probcover(X, 1, radius=0.002)
    assert indices[0] >= n - 6
    np.testing.assert_allclose(scores, 6 / n)


def test_probcover_repeats_nothing_once_no_edge_is_left():
    X = np.repeat(np.eye(3), 5, axis=0)
    indices, scores = selectors.probcover(X, 15, radius=0.5)
    assert {int(i) // 5 for i in indices[:3]} == {0, 1, 2} and sorted(
        indices.tolist()
    ) == list(range(15))
    np.testing.assert_allclose(scores, [1 / 3] * 3 + [0] * 12)
    alone, _ = selectors.probcover(np.eye(8), 8, radius=0.0)
    assert sorted(alone.tolist()) == list(range(8))


def test_max_herding_never_takes_a_point_again():
    X = np.repeat(np.eye(4), 3, axis=0)
    indices, scores = selectors.max_herding(X, 12)
    assert {int(i) // 3 for i in indices[:4]} == {0, 1, 2, 3} and sorted(
        indices.tolist()
    ) == list(range(12))
    assert (scores[:4] > 0).all() and (scores[4:] < 1e-9).all()


# -- 4. outliers and clusters ----------------------------------------------------------


@pytest.mark.parametrize("measure", [measures.outliers_mean, measures.outliers_max])
def test_a_layer_of_large_activations_counts_no_more_than_another(measure):
    # The first layer's neurons tell the outlier; the second's are a thousand times as
    # large and tell nothing.
    small, large = RNG.random((30, 4)) + 1, 1000 * (RNG.random((30, 4)) + 1)
    rows = [
        np.vstack([small[:9], np.zeros((1, 4))]),
        np.vstack([large[:9], 1500 * np.ones((1, 4))]),
    ]
    scores = measure(rows, [small, large])
    np.testing.assert_allclose(
        scores, measure([rows[0], rows[1] / 1e5], [small, large / 1e5])
    )
    if measure is measures.outliers_mean:
        assert scores.argmax() == 9


def test_the_cluster_size_shrinks_until_it_cannot():
    import hdbscan

    tried, clusterer = [], hdbscan.HDBSCAN

    def spy(min_cluster_size, **options):
        assert len(tried) < 20, "the same sizes again and again"
        tried.append(min_cluster_size)
        return clusterer(min_cluster_size, **options)

    # No clusters at all: duplicates of one point.
    with patch.object(hdbscan, "HDBSCAN", spy):
        indices, _ = strategies.outlier(None, np.zeros((30, 2)), 7)
    assert tried == [30, 15, 7, 3, 2] and len(set(indices.tolist())) == 7


def test_what_has_no_outlier_score_comes_last():
    X = np.concatenate(
        [
            np.repeat(10 * RNG.normal(size=(3, 4)), 10, axis=0),
            10 * RNG.normal(size=(10, 4)),
        ]
    )
    undefined = np.isneginf(measures.glosh(X, 5))
    assert 0 < undefined.sum() < len(X)
    indices, scores = strategies.outlier(None, X, len(X), min_cluster_size=5)
    assert undefined[indices[-undefined.sum() :]].all() and not np.isnan(scores).any()


CLUSTERS = np.concatenate(
    [
        0.3 * RNG.normal(size=(60, 2)),
        [20, 0] + 0.3 * RNG.normal(size=(25, 2)),
        RNG.uniform(-60, 60, size=(25, 2)),
    ]
)


@pytest.mark.parametrize("name", ["cluster", "cluster_outlier_combined"])
def test_clusters_give_exactly_as_many_as_are_asked_for_and_noise_too(name):
    labels, _ = selectors.density_clusters(CLUSTERS, 10)
    assert {-1, 0, 1} == set(labels.tolist())
    for n_instances in (1, 2, 3, 10, 77, 109, 110):
        indices, _ = get_strategy(name).__wrapped__(
            None, CLUSTERS, n_instances, min_cluster_size=10, random_state=0
        )  # without the contract, which would refuse what is too short
        assert len(set(indices.tolist())) == len(indices) == n_instances
        counts = np.array([np.count_nonzero(labels[indices] == c) for c in (-1, 0, 1)])
        noise, *clusters = counts
        # Its share of the pool, or less; a fraction of a row is left to chance.
        share = n_instances * np.mean(labels == -1)
        assert noise <= np.ceil(share)
        if n_instances >= 3:
            quota = (n_instances - noise) // 2
            assert noise > 0 and min(clusters) >= min(quota, np.sum(labels == 1))


@pytest.mark.parametrize(
    "name", ["outliers_mean_least_confidence", "outliers_mean_entropy"]
)
def test_outliers_among_the_uncertain_are_positions_in_the_pool(name):
    net = small_net()
    strategy = get_strategy(name)
    indices, scores = strategy(net, X_NET, 5, X_labelled=X_NET[:20])
    all_scores = measures.outliers_mean(
        inference.embed(net, X_NET), inference.embed(net, X_NET[:20])
    )
    kept = get_strategy(name.removeprefix("outliers_mean_"))(net, X_NET, 20)[0]
    assert set(indices.tolist()) <= set(kept.tolist())
    np.testing.assert_allclose(scores, all_scores[indices], atol=1e-6)
    np.testing.assert_allclose(
        np.sort(scores), np.sort(all_scores[kept])[-5:], atol=1e-6
    )


# -- 5. hybrid -------------------------------------------------------------------------


def test_badge_holds_no_duplicates_while_others_are_left():
    a, h = RNG.normal(size=(8, 3)), RNG.normal(size=(8, 4))
    for seed in range(20):
        indices, scores = selectors.gradient_kmeans_plusplus(
            np.repeat(h, 4, axis=0), np.repeat(a, 4, axis=0), 32, random_state=seed
        )
        assert sorted(indices.tolist()) == list(range(32))
        assert len(set((indices[:8] // 4).tolist())) == 8 and (scores[8:] == 0).all()


def test_badge_measures_from_what_is_chosen_and_not_from_the_origin():
    a, h = np.ones((4, 1)), np.array([[100.0], [99.0], [0.0], [0.0]])
    seconds = [
        int(selectors.gradient_kmeans_plusplus(h, a, 2, random_state=s)[0][1])
        for s in range(40)
    ]
    # From the origin, 0 itself could never be drawn, and 99 always would.
    assert seconds.count(1) <= 1 and {2, 3} <= set(seconds)
    firsts = {
        int(selectors.gradient_kmeans_plusplus(h, a, 1, random_state=s)[0][0])
        for s in range(5)
    }
    assert firsts == {0}


def test_alfa_mix_of_a_candidate_that_is_a_class_mean():
    W, b = np.eye(3), np.zeros(3)
    Z = np.array([[1.0, 0.5, 0.0], [0.2, 0.9, 0.0], [1.0, 0.0, 0.0]])
    with np.errstate(all="raise"):
        distances = measures.flip_distance(Z, W, b, Z[:1])
    assert (
        distances[0] == np.inf
        and not np.isnan(distances).any()
        and np.isfinite(distances[1])
    )
    # Features in which the two are equal stay what they are; the others move the
    # prediction.
    both = measures.flip_distance(Z[:1], W, b, np.array([[1.0, 9.0, 0.0]]))
    assert np.isfinite(both).all() and both[0] > 0
    # However much the prediction would change with them: here all of the gradient's
    # size is in the third.
    heavy = np.array([[1.0, 0.0, 9.0], [0.0, 1.0, -9.0]])
    got = measures.flip_distance(
        [[1.0, 0.4, 0.0]], heavy, np.zeros(2), [[0.0, 1.0, 0.0]]
    )
    gradient, way = np.array([-1.0, 1.0, -18.0]), np.sqrt(1 + 0.6**2)
    speed = (
        way * (heavy[1, :2] - heavy[0, :2]) @ gradient[:2] / np.linalg.norm(gradient)
    )
    np.testing.assert_allclose(got, 0.6 / speed)


def test_compositions_give_exactly_as_many_as_are_asked_for_once_each():
    proba = RNG.dirichlet(np.ones(3), size=30)
    composed = [
        strategies.mix((1, "margin"), (1, "entropy"), (1, "least_confidence")),
        strategies.mix((0.9, "margin"), (0.05, "random_sampling"), (0.05, "coreset")),
        strategies.two_stage("margin", "coreset", factor=1),
        strategies.two_stage(
            "margin", strategies.mix((1, "margin"), (1, "coreset")), factor=1.5
        ),
        strategies.weighted("margin", "k_center"),
        strategies.subsample("margin", n_candidates=3),
    ]
    for strategy in composed:
        for n_instances in (1, 2, 3, 7, 29, 30):
            indices, scores = strategy(says(3), proba, n_instances, random_state=0)
            assert len(set(indices.tolist())) == len(scores) == n_instances, strategy
    # Positions are those of the pool, not of what a stage before has left.
    least = strategies.two_stage("margin", "least_confidence", factor=3)(
        says(3), proba, 4
    )[0]
    kept = np.argsort(-measures.margin(proba), kind="stable")[:12]
    confidence = measures.least_confidence(proba[kept])
    np.testing.assert_array_equal(
        least, kept[np.argsort(-confidence, kind="stable")[:4]]
    )
