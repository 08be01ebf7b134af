"""Buckets, bins and both ends of the ranking; losses and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from skorch import NeuralNetClassifier
from torch import nn

from al_sklearn import inference
from al_sklearn.strategies import (
    bucketed_margin,
    checks,
    input_gradient,
    max_true_loss,
    measures,
    selectors,
    uncertainty_bins,
    uncertainty_mix,
)
from al_sklearn.strategies.selectors._buckets import apportion


@pytest.fixture(scope="module")
def taught(digits):
    X, y = digits
    flat = X.reshape(len(X), -1).astype(np.float32) / 255
    model = RandomForestClassifier(15, random_state=0).fit(flat[:60], y[:60])
    return checks._Learner(model, flat[:60], y[:60]), flat[60:360], y[60:360]


def test_apportion_sums_exactly():
    assert apportion((0.6, 0.3, 0.1), 10) == [6, 3, 1]
    assert apportion((1, 1, 1), 10) == [4, 3, 3]
    assert apportion((5, 0), 3) == [3, 0]
    for n in range(30):
        assert sum(apportion((0.1, 0.2, 0.7), n)) == n


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, torch.float32])
def test_bucketed_draws_its_shares_from_the_buckets(dtype):
    values = np.random.default_rng(0).permutation(100)
    scores = (
        torch.from_numpy(values).to(dtype)
        if isinstance(dtype, torch.dtype)
        else values.astype(dtype)
    )
    seen = set()
    for seed in range(20):
        indices, got = selectors.bucketed(scores, 20, random_state=seed)
        np.testing.assert_array_equal(got, values[indices])
        # The most useful 30 %, the next 40 %, the last 30 %.
        assert (
            (got[:12] >= 70).all()
            and ((got[12:18] < 70) & (got[12:18] >= 30)).all()
            and (got[18:] < 30).all()
        )
        assert len(set(indices.tolist())) == 20
        seen |= set(indices.tolist())
    assert len(seen) > 80  # random inside a bucket


def test_bucketed_with_ties_and_small_buckets():
    assert set(selectors.bucketed(np.zeros(50), 9, random_state=0)[0].tolist()) <= set(
        range(50)
    )
    counts = np.zeros(50)
    for seed in range(300):
        counts[selectors.bucketed(np.zeros(50), 9, random_state=seed)[0]] += 1
    assert counts.min() > 20  # ties are drawn from fairly, not by position
    indices, got = selectors.bucketed(
        np.arange(10.0), 10, random_state=0
    )  # the first bucket is too small
    assert sorted(indices.tolist()) == list(range(10)) and (got[:3] >= 7).all()
    assert selectors.bucketed([1.0], 1)[0].tolist() == [0]
    one_bucket = selectors.bucketed(
        np.arange(10.0), 3, percentiles=(), shares=(1,), random_state=0
    )[0]
    assert len(one_bucket) == 3
    for options, message in (
        ({"percentiles": (70, 30)}, "must rise"),
        ({"percentiles": (0, 30)}, "must rise"),
        ({"shares": (1, 1)}, "3 numbers"),
        ({"shares": (1, -1, 1)}, "3 numbers"),
        ({"shares": (0, 0, 0)}, "not all 0"),
    ):
        with pytest.raises(ValueError, match=message):
            selectors.bucketed(np.arange(10.0), 3, **options)


def test_both_ends_are_the_highest_and_the_lowest():
    scores = np.array([0.5, 0.1, 0.9, 0.7, 0.3])
    assert selectors.both_ends(scores, 1)[0].tolist() == [2]
    assert selectors.both_ends(scores, 2)[0].tolist() == [2, 1]
    assert selectors.both_ends(scores, 3)[0].tolist() == [2, 3, 1]
    assert selectors.both_ends(scores, 5)[0].tolist() == [2, 3, 0, 1, 4]
    assert selectors.both_ends(np.zeros(4), 4)[0].tolist() == [0, 1, 2, 3]
    tied = {
        tuple(
            selectors.both_ends(np.zeros(9), 4, random_tie_break=True, random_state=s)[
                0
            ]
        )
        for s in range(20)
    }
    assert len(tied) > 15 and all(len(set(draw)) == 4 for draw in tied)


def test_binned_takes_the_same_number_from_every_bin():
    scores = np.random.default_rng(0).permutation(100).astype(float)
    for n_instances, n_bins in ((10, 10), (30, 10), (20, 4)):
        _, got = selectors.binned(scores, n_instances, n_bins=n_bins, random_state=0)
        edges = np.arange(0, 101, 100 // n_bins)
        assert (np.histogram(got, edges)[0] == n_instances // n_bins).all()
        assert (
            np.diff(got.reshape(n_bins, -1).mean(axis=1)) < 0
        ).all()  # from the most useful bin on


@pytest.mark.parametrize("n_instances", range(1, 10))
def test_fewer_than_bins_spread_over_all_bins(n_instances):
    scores = np.arange(100.0)
    _, got = selectors.binned(scores, n_instances, n_bins=10, random_state=0)
    bins = np.sort(9 - (got // 10).astype(int))
    expected = ((np.arange(n_instances) + 0.5) * 10 / n_instances).astype(int)
    np.testing.assert_array_equal(bins, expected)
    # Not the confident bins alone, nor the uncertain ones: as far from one end as from
    # the other.
    assert abs(bins.mean() - 4.5) <= 0.5


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 40), st.integers(1, 15), st.booleans(), st.data())
def test_all_three_always_give_exactly_what_is_asked_for(n, n_bins, tie_break, data):
    n_instances = data.draw(st.integers(1, n))
    scores = np.array(
        data.draw(st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=n, max_size=n))
    )
    before = scores.copy()
    for indices, got in (
        selectors.bucketed(scores, n_instances, random_state=0),
        selectors.both_ends(
            scores, n_instances, random_tie_break=tie_break, random_state=0
        ),
        selectors.binned(
            scores,
            n_instances,
            n_bins=n_bins,
            random_tie_break=tie_break,
            random_state=0,
        ),
    ):
        assert indices.dtype == np.int64 and len(set(indices.tolist())) == n_instances
        assert indices.min() >= 0 and indices.max() < n
        np.testing.assert_array_equal(got, scores[indices])
    np.testing.assert_array_equal(scores, before)


@pytest.mark.parametrize(
    "selector", [selectors.bucketed, selectors.both_ends, selectors.binned]
)
def test_they_say_what_is_wrong(selector):
    for scores, n_instances, message in (
        ([1.0, np.nan], 1, "1 NaN"),
        ([[1.0]], 1, "one-dimensional"),
        ([1.0], 2, "from 1 to 1"),
        ([1.0], 0, "from 1 to 1"),
    ):
        with pytest.raises(ValueError, match=message):
            selector(scores, n_instances)
    with pytest.raises(ValueError, match="n_bins"):
        selectors.binned([1.0], 1, n_bins=0)


def test_the_strategies_are_their_selectors(taught):
    learner, X, _ = taught
    proba = inference.predict_proba(learner, X)
    margins, confidence = measures.margin(proba), measures.least_confidence(proba)
    for got, expected in (
        (
            bucketed_margin(learner, X, 20, random_state=3),
            selectors.bucketed(margins, 20, random_state=3),
        ),
        (uncertainty_mix(learner, X, 21), selectors.both_ends(confidence, 21)),
        (
            uncertainty_bins(learner, X, 20, n_bins=4, random_state=3),
            selectors.binned(confidence, 20, n_bins=4, random_state=3),
        ),
    ):
        np.testing.assert_array_equal(got[0], expected[0])
        np.testing.assert_array_equal(got[1], expected[1])
    half, _ = uncertainty_mix(learner, X, 20)
    assert confidence[half[:10]].min() >= confidence[half[10:]].max()


# the true loss


def test_true_loss():
    proba = np.array([[0.5, 0.5], [1.0, 0.0], [1.0, 0.0], [0.2, 0.8]], dtype=np.float32)
    expected = [np.log(2), 0, np.inf, -np.log(0.8)]
    np.testing.assert_allclose(
        measures.true_loss(proba, [0, 0, 1, 1]), expected, rtol=1e-6
    )
    np.testing.assert_allclose(
        measures.true_loss(torch.from_numpy(proba), [0, 0, 1, 1]), expected, rtol=1e-6
    )
    np.testing.assert_allclose(
        measures.true_loss(proba.astype(np.float16), [0, 0, 1, 1]), expected, rtol=2e-3
    )
    for labels in ([0, 0, 1], [0, 0, 1, 2], [0, 0, 1, -1], [0.5, 0, 1, 1]):
        with pytest.raises(ValueError, match="labels must be"):
            measures.true_loss(proba, labels)
    with pytest.raises(ValueError, match="NaN, first in row 0"):
        measures.true_loss(proba * np.nan, [0, 0, 1, 1])


def test_max_true_loss_is_an_oracle_and_refuses_learners(taught):
    learner, X, y = taught
    model = learner.estimator
    names = np.array([f"digit {i}" for i in range(10)])
    with_names = RandomForestClassifier(15, random_state=0).fit(
        learner.X_training, names[learner.y_training]
    )
    losses = measures.true_loss(model.predict_proba(X), y)
    expected = selectors.top_k(losses, 15)
    for estimator, labels in ((model, y), (with_names, names[y])):
        indices, scores = max_true_loss(estimator, X, 15, y_true=labels)
        np.testing.assert_array_equal(indices, expected[0])
        np.testing.assert_allclose(scores, expected[1])
    with pytest.raises(TypeError, match=r"does not run in _Learner: .* an oracle"):
        max_true_loss(learner, X, 3, y_true=y)
    from al_sklearn.learners import ActiveLearner

    ours = ActiveLearner(
        model,
        query_strategy=max_true_loss,
        X_training=learner.X_training,
        y_training=y[:60] * 0 + 1,
    )
    with pytest.raises(TypeError, match="does not run in ActiveLearner"):
        ours.query(X, n_instances=2, y_true=y)
    for labels in (None, y[:5]):
        with pytest.raises(ValueError, match="true label of each of the 300"):
            max_true_loss(model, X, 3, y_true=labels)
    # A class the model has never seen is all loss.
    unseen = y.copy()
    unseen[[7, 70]] = 99
    indices, scores = max_true_loss(model, X, 300, y_true=unseen)
    assert {7, 70} <= set(indices[scores == np.inf].tolist())
    first = RandomForestClassifier(15, random_state=0).fit(
        learner.X_training, learner.y_training
    )
    ties = max_true_loss(
        first, X, 2, y_true=np.full(300, 99), random_tie_break=True, random_state=0
    )
    assert ties[0].tolist() != [0, 1] and np.isinf(ties[1]).all()


# the gradient in the input


def test_gradient_sizes_are_sums():
    gradients = np.random.default_rng(0).normal(size=(5, 3, 4))
    expected = [np.abs(g).sum() for g in gradients]
    np.testing.assert_allclose(measures.input_gradient(gradients), expected)
    np.testing.assert_allclose(
        measures.input_gradient(torch.from_numpy(gradients)), expected
    )
    with pytest.raises(ValueError, match="NaN"):
        measures.input_gradient(gradients * np.nan)


class Logits(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(64)
        self.out = nn.Sequential(
            nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(64, 10)
        )

    def forward(self, x):
        return self.out(self.norm(x))


def test_input_gradient_of_each_image_whatever_shares_its_batch(taught):
    _, X, y = taught
    torch.manual_seed(0)
    net = NeuralNetClassifier(
        Logits, criterion=nn.CrossEntropyLoss, max_epochs=2, train_split=None, verbose=0
    )
    net.fit(X[:100], y[:100])
    rows = X[100:140]
    expected = []
    for row in rows:
        x = torch.from_numpy(row[None]).requires_grad_()
        logits = net.module_.eval()(x)
        nn.functional.cross_entropy(
            logits, logits.argmax(1), reduction="sum"
        ).backward()
        expected.append(float(x.grad.abs().sum()))
    net.module_.zero_grad()
    for batch_size in (1, 7, 128):
        net.set_params(batch_size=batch_size)
        np.testing.assert_allclose(
            inference.input_gradient(net, rows), expected, rtol=1e-4, atol=1e-7
        )
        indices, scores = input_gradient(net, rows, 40)
        np.testing.assert_allclose(
            scores, np.sort(expected)[::-1], rtol=1e-4, atol=1e-7
        )
        np.testing.assert_allclose(
            np.array(expected)[indices], scores, rtol=1e-4, atol=1e-7
        )
    with pytest.raises(
        TypeError,
        match=r"strategy 'input_gradient': "
        r"LogisticRegression cannot give input gradients",
    ):
        input_gradient(LogisticRegression(max_iter=300).fit(X, y), rows, 2)
