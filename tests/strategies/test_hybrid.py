"""Hybrid selectors and measures against slow references, and the strategies made of
them."""

from __future__ import annotations

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

from al_sklearn import inference
from al_sklearn.strategies import (
    alfa_mix,
    bait,
    checks,
    clue,
    cluster_margin,
    density_weighted,
    drop_query,
    falcun,
    measures,
    ranked_batch,
    selectors,
    strategy_name,
    weighted,
)
from al_sklearn.strategies._engine import distances as _blocks
from al_sklearn.strategies._engine import greedy as _greedy
from al_sklearn.strategies._engine import labelled_bounds as _labelled_bounds
from al_sklearn.strategies.measures import _density
from al_sklearn.strategies.selectors import _bait, _clue, _falcun

from . import references_hybrid as reference


@pytest.fixture(scope="module")
def taught(digits):
    """A pipeline taught forty digits, and a pool of 260."""
    X, y = digits
    flat = X.reshape(len(X), -1).astype(np.float32) / 255
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(
        flat[:40], y[:40]
    )
    return checks._Learner(model, flat[:40], y[:40]), flat[40:300], y[40:300]


def random_points(rng, n, d, n_classes, kind="generic"):
    H = rng.normal(size=(n, d))
    P = rng.dirichlet(np.full(n_classes, 0.5), n)
    if kind == "duplicates":
        H, P = (
            np.repeat(H[: n // 4 + 1], 4, axis=0)[:n],
            np.repeat(P[: n // 4 + 1], 4, axis=0)[:n],
        )
    if kind == "certain":
        P[::2] = np.eye(n_classes)[rng.integers(0, n_classes, len(P[::2]))]
    if kind == "constant":
        H[:] = 1.5
    if kind == "half constant":
        H[:, ::2] = 0
    if kind == "large":
        H *= 1e4
    return H, P


KINDS = ["generic", "duplicates", "certain", "constant", "half constant", "large"]


# BAIT


@pytest.mark.parametrize("likelihood", ["binary", "categorical"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "d, n_classes, n_labelled, scaling",
    [(1, 2, 0, "none"), (3, 4, 6, "authors"), (6, 3, 2, "none"), (6, 3, 2, "authors")],
)
def test_bait_picks_what_the_naive_loop_picks(
    likelihood, kind, d, n_classes, n_labelled, scaling
):
    rng = np.random.default_rng(d)
    H, P = random_points(rng, 36, d, n_classes, kind)
    L, Q = random_points(rng, n_labelled, d, n_classes)
    for n_instances, oversample in ((1, 2.0), (6, 2.0), (5, 1.0), (36, 2.0)):
        got, scores = selectors.fisher_trace(
            H,
            P,
            n_instances,
            labelled=L,
            labelled_proba=Q,
            likelihood=likelihood,
            regularization=0.5,
            oversample=oversample,
            scaling=scaling,
        )
        expected, gains = reference.bait(
            H, P, n_instances, L, Q, likelihood, 0.5, oversample, scaling
        )
        if kind != "large":  # there the naive trace has too few digits to say which
            np.testing.assert_array_equal(got, expected)
            np.testing.assert_allclose(scores, gains, rtol=1e-6, atol=1e-10)
        assert len(set(got.tolist())) == n_instances


def test_the_scaling_of_bait_is_what_one_regularization_means():
    """Unscaled, twice the labelled points know twice as much; by the authors' scaling,
    hardly more."""
    rng = np.random.default_rng(5)
    H, P = random_points(rng, 60, 4, 3)
    L, Q = random_points(rng, 20, 4, 3)
    picks = {
        (scaling, times): selectors.fisher_trace(
            H,
            P,
            5,
            labelled=np.repeat(L, times, axis=0),
            labelled_proba=np.repeat(Q, times, axis=0),
            scaling=scaling,
        )
        for scaling in ("authors", "none")
        for times in (1, 50)
    }
    gained = {key: scores.sum() for key, (_, scores) in picks.items()}
    assert gained["none", 50] < gained["none", 1] / 50
    assert picks["authors", 1][0].tolist() != picks["none", 1][0].tolist()
    # Nothing labelled, nothing to scale.
    alone = [
        selectors.fisher_trace(H, P, 5, scaling=one)[1] for one in ("authors", "none")
    ]
    np.testing.assert_array_equal(*alone)


def test_bait_decides_in_float64_where_float32_cannot(monkeypatch):
    rng = np.random.default_rng(0)
    base = rng.normal(size=(20, 16))
    H = np.repeat(base, 30, axis=0) * (
        1 + 1e-7 * rng.normal(size=(600, 1))
    )  # nearly equal, not equal
    P = np.full((600, 2), 0.5)
    fast = selectors.fisher_trace(H, P, 25)
    pool = _bait._Points(H, P, "binary")
    F = pool.information() / len(H)
    matrices = _bait._Matrices(np.eye(16), F)
    chosen, _ = _bait._forward(_one_class(pool), matrices, 50, np.arange(600))
    kept = _bait._backward(pool, matrices, chosen, 25)
    np.testing.assert_array_equal(fast[0], chosen[kept])
    monkeypatch.setattr(_blocks, "TILE_VALUES", 64)
    monkeypatch.setattr(_bait, "_REFRESH", 3)
    np.testing.assert_array_equal(selectors.fisher_trace(H, P, 25)[0], fast[0])


def _one_class(pool):
    """The general float64 forward pass on the binary likelihood, whose matrices have
    one block."""

    class One(_bait._Points):
        def __init__(self):
            self.H, self.likelihood, self.step = pool.H, "binary", pool.step
            self.P = np.ones((len(pool), 1))
            self.binary = pool

        def roots(self, key):
            return self.binary.roots(key)

    return One()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_bait_takes_any_precision_and_tensors(dtype):
    rng = np.random.default_rng(1)
    H, P = random_points(rng, 300, 12, 1000)
    H, P = H.astype(dtype), P.astype(dtype)
    P = P / P.sum(axis=1, keepdims=True, dtype=np.float64)
    expected = selectors.fisher_trace(
        np.asarray(H, dtype=np.float64), np.asarray(P, dtype=np.float64), 9
    )
    np.testing.assert_array_equal(selectors.fisher_trace(H, P, 9)[0], expected[0])
    np.testing.assert_array_equal(
        selectors.fisher_trace(torch.from_numpy(H), torch.from_numpy(P), 9)[0],
        expected[0],
    )


def test_bait_says_what_is_wrong():
    H, P = np.ones((4, 3)), np.full((4, 2), 0.5)
    for options, message in (
        ({"likelihood": "multinomial"}, "Unknown likelihood"),
        ({"regularization": 0}, "regularization must be positive"),
        ({"oversample": 0.5}, "oversample must be"),
        ({"scaling": "bmdal"}, "Unknown scaling"),
        (
            {"labelled": np.ones((2, 2)), "labelled_proba": P[:2]},
            "do not fit",
        ),
        ({"labelled": np.ones((2, 3))}, "do not fit"),
    ):
        with pytest.raises(ValueError, match=message):
            selectors.fisher_trace(H, P, 1, **options)
    with pytest.raises(ValueError, match="up to 4096, got 100 x 50"):
        selectors.fisher_trace(
            np.ones((4, 50)), np.full((4, 100), 0.01), 1, likelihood="categorical"
        )
    with pytest.raises(ValueError, match="NaN"):
        selectors.fisher_trace(np.full((4, 3), np.nan), P, 1)
    with pytest.raises(ValueError, match="from 0 to 1"):
        selectors.fisher_trace(H, P - 1, 1)
    with pytest.raises(ValueError, match="same points"):
        selectors.fisher_trace(H, P[:3], 1)


def test_bait_strategy_is_its_selector(taught):
    learner, X, _ = taught
    embed, proba = (
        partial(inference.embed, learner),
        partial(inference.predict_proba, learner),
    )
    L = learner.X_training
    np.testing.assert_array_equal(
        bait(learner, X, 12)[0],
        reference.bait(embed(X), proba(X), 12, embed(L), proba(L))[0],
    )
    expected = selectors.fisher_trace(embed(X), proba(X), 5, likelihood="binary")[0]
    np.testing.assert_array_equal(
        bait(learner.estimator, X, 5)[0], expected
    )  # nothing labelled


# CLUE


def test_weighted_kmeans_pulls_its_centres_by_the_weights():
    X = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]])
    for heavy, expected in (([0], 0), ([2], 2), ([0, 2], 1)):
        weights = np.full(6, 1e-6)
        weights[heavy] = 1
        weights[4] = 1
        indices, scores = selectors.weighted_kmeans(
            X, 2, utilities=weights, random_state=0
        )
        assert set(indices.tolist()) == {expected, 4}
        np.testing.assert_allclose(scores, 0.5)


def test_weighted_kmeans_of_equal_weights_is_plain_kmeans():
    rng = np.random.default_rng(0)
    X = np.concatenate(
        [
            rng.normal(size=(30, 2)) + 20 * np.array(c)
            for c in ((0, 0), (0, 1), (1, 0), (1, 1))
        ]
    )
    indices, _ = selectors.weighted_kmeans(X, 4, utilities=np.ones(120), random_state=0)
    expected = {
        int(np.square(X[i : i + 30] - X[i : i + 30].mean(axis=0)).sum(1).argmin()) + i
        for i in range(0, 120, 30)
    }
    assert set(indices.tolist()) == expected


@pytest.mark.parametrize(
    "weights", [np.zeros(12), np.r_[np.zeros(9), [1e-30, 1, 1e-9]], np.ones(12)]
)
def test_weighted_kmeans_always_gives_exactly_what_is_asked_for(weights, monkeypatch):
    X = np.repeat(np.random.default_rng(0).normal(size=(4, 3)), 3, axis=0)
    for n_instances in (1, 2, 3, 4, 7, 12):
        indices, scores = selectors.weighted_kmeans(
            X, n_instances, utilities=weights, random_state=1
        )
        assert len(set(indices.tolist())) == n_instances == len(scores)
        # What is certain comes last.
        n_heavy = min(n_instances, np.count_nonzero(weights))
        assert (weights[indices[:n_heavy]] > 0).all()
    with pytest.raises(ValueError, match="not negative"):
        selectors.weighted_kmeans(X, 2, utilities=-np.ones(12))
    with pytest.raises(ValueError, match=r"shape \(12,\)"):
        selectors.weighted_kmeans(X, 2, utilities=np.ones(3))
    monkeypatch.setattr(_clue, "_SEED_ROWS", 4)
    monkeypatch.setattr(_clue, "_SEED_ROWS_PER_CLUSTER", 1)
    assert (
        len(
            set(
                selectors.weighted_kmeans(X, 5, utilities=np.ones(12), random_state=0)[
                    0
                ].tolist()
            )
        )
        == 5
    )


def test_clue_is_its_selector(taught):
    learner, X, _ = taught
    weights = measures.entropy(inference.predict_proba(learner, X))
    expected = selectors.weighted_kmeans(
        inference.embed(learner, X), 9, utilities=weights, random_state=2
    )
    np.testing.assert_array_equal(clue(learner, X, 9, random_state=2)[0], expected[0])


# FALCUN


@pytest.mark.parametrize("gamma", [0, 1, 10])
@pytest.mark.parametrize(
    "combine, rate", [("sum", 0.0), ("distance", 0.0), ("distance", 1.1)]
)
def test_falcun_draws_from_its_distribution(gamma, combine, rate, monkeypatch):
    monkeypatch.setattr(
        _falcun, "_LEAST_RATE", rate
    )  # 1.1: everything is brought up to date before every draw
    P = np.array(
        [
            [0.5, 0.3, 0.2],
            [0.45, 0.3, 0.25],
            [0.34, 0.33, 0.33],
            [0.6, 0.3, 0.1],
            [0.2, 0.4, 0.4],
        ]
    )
    expected = reference.falcun_distribution(P, 3, gamma, combine)
    rng = np.random.default_rng(0)
    n = 2500
    counts = dict.fromkeys(expected, 0)
    options = {"gamma": gamma, "combine": combine}
    for _ in range(n):
        drawn = selectors.falcun(P, 3, **options, random_state=rng)[0]
        counts[tuple(drawn.tolist())] += 1
    observed, probabilities = (
        np.array(list(counts.values())),
        np.array(list(expected.values())),
    )
    rare = probabilities * n < 5
    observed = np.r_[observed[~rare], observed[rare].sum()]
    probabilities = np.r_[probabilities[~rare], probabilities[rare].sum()]
    if probabilities[-1] * n < 1:
        observed, probabilities = (
            observed[:-1],
            probabilities[:-1] / probabilities[:-1].sum(),
        )
        n = observed.sum()
    assert chisquare(observed, probabilities * n).pvalue > 1e-4


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.sampled_from([2, 3, 1000]),
    st.sampled_from([0, 1, 10, 500]),
    st.sampled_from(["sum", "distance"]),
    st.data(),
)
def test_falcun_gives_unique_positions_and_true_scores(
    n, n_classes, gamma, combine, data
):
    rng = np.random.default_rng(n)
    P = rng.dirichlet(np.full(n_classes, 0.2), n).astype(np.float32)
    P[: n // 3] = np.eye(n_classes)[0]  # exact zeros and ones, duplicates
    n_instances = data.draw(st.integers(1, n))
    before = P.copy()
    indices, scores = selectors.falcun(
        P, n_instances, gamma=gamma, combine=combine, random_state=0
    )
    assert len(set(indices.tolist())) == n_instances
    np.testing.assert_array_equal(P, before)
    uncertainty = measures.margin(P).astype(np.float64)
    dist, left = uncertainty.copy(), np.ones(n, dtype=bool)
    for index, score in zip(indices, scores, strict=True):
        expected = dist[index]
        # Once all distances are 0 the rest follows, with scores of 0.
        if combine == "sum" and (dist[left].any() or gamma == 0):
            low, high = dist[left].min(), dist[left].max()
            expected = uncertainty[index] + (expected - low) / ((high - low) or 1)
        np.testing.assert_allclose(score, expected, atol=1e-9)
        left[index] = False
        dist = np.minimum(
            dist, np.abs(P.astype(np.float64) - P[index].astype(np.float64)).sum(axis=1)
        )


def test_falcun_of_a_large_gamma_is_greedy_and_of_many_picks_stays_exact(taught):
    learner, X, _ = taught
    P = inference.predict_proba(learner, X)
    uncertainty = measures.margin(P).astype(float)
    for combine in ("sum", "distance"):
        indices, _ = selectors.falcun(P, 15, gamma=1e5, combine=combine, random_state=0)
        dist, expected, left = uncertainty.copy(), [], np.ones(len(P), dtype=bool)
        for _ in range(15):
            value = dist
            if combine == "sum":
                low, high = dist[left].min(), dist[left].max()
                value = (dist - low) / (high - low) + uncertainty
            expected.append(int(np.where(left, value, -1).argmax()))
            left[expected[-1]] = False
            dist = np.minimum(dist, np.abs(P - P[expected[-1]]).sum(axis=1))
        np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(
        falcun(learner, X, 9, random_state=1)[0],
        selectors.falcun(P, 9, random_state=1)[0],
    )
    tensor = selectors.falcun(torch.from_numpy(P), 9, random_state=1)
    np.testing.assert_array_equal(tensor[0], selectors.falcun(P, 9, random_state=1)[0])
    ablation = falcun(learner, X, 9, combine="distance", random_state=1)
    np.testing.assert_array_equal(
        ablation[0],
        selectors.falcun(P, 9, combine="distance", random_state=1)[0],
    )
    with pytest.raises(ValueError, match="gamma"):
        selectors.falcun(P, 2, gamma=-1)
    with pytest.raises(ValueError, match="Unknown combine 'product'"):
        selectors.falcun(P, 2, combine="product")


# Cluster-Margin


def test_average_linkage_finds_the_clusters():
    rng = np.random.default_rng(0)
    centres = 50 * np.array([[0, 0], [1, 0], [0, 1], [3, 3]])
    truth = rng.integers(0, 4, 200)
    X = centres[truth] + rng.normal(size=(200, 2))
    for max_points in (4096, 40):  # all of them, or a sample that the others join
        clusters = selectors.average_linkage(
            X, 4, max_points=max_points, random_state=0
        )
        assert len({*zip(truth.tolist(), clusters.tolist(), strict=True)}) == 4
        some = np.array([5, 199, 0])
        np.testing.assert_array_equal(
            selectors.average_linkage(
                X, 4, rows=some, max_points=max_points, random_state=0
            ),
            clusters[some],
        )
    assert selectors.average_linkage(X[:1], 3).tolist() == [0]
    with pytest.raises(ValueError, match="NaN"):
        selectors.average_linkage(np.full((3, 2), np.nan), 2)
    with pytest.raises(ValueError, match="at least 1"):
        selectors.average_linkage(X, 0)


def test_round_robin_begins_with_the_smallest_cluster():
    clusters = np.array([7, 7, 7, 7, 2, 2, 9])
    scores = np.arange(7.0)
    firsts, thirds = set(), set()
    for seed in range(30):
        indices, values = selectors.cluster_round_robin(
            scores, clusters, 7, random_state=seed
        )
        assert clusters[indices].tolist() == [9, 2, 7, 2, 7, 7, 7]
        assert sorted(indices.tolist()) == list(range(7))
        np.testing.assert_array_equal(values, scores[indices])
        firsts.add(int(indices[0])), thirds.add(int(indices[2]))
    assert firsts == {6} and thirds == {0, 1, 2, 3}  # random inside a cluster
    equal = selectors.cluster_round_robin([0.1, 0.9, 0.5], [0, 1, 2], 3)[0]
    assert equal.tolist() == [1, 2, 0]  # equal sizes: the best first


def test_cluster_margin_chooses_among_the_smallest_margins(taught):
    learner, X, _ = taught
    scores = measures.margin(inference.predict_proba(learner, X))
    kept = set(selectors.top_k(scores, 40)[0].tolist())
    indices, values = cluster_margin(learner, X, 10, factor=4, random_state=0)
    assert set(indices.tolist()) <= kept
    np.testing.assert_allclose(values, scores[indices])
    clusters = selectors.average_linkage(inference.embed(learner, X), 10)
    again = cluster_margin(learner, X, 10, factor=4, clusters=clusters, random_state=0)
    assert len(set(clusters[again[0]].tolist())) >= min(
        10, len(set(clusters[list(kept)].tolist()))
    )
    with pytest.raises(ValueError, match=r"clusters must have shape \(260,\)"):
        cluster_margin(learner, X, 10, clusters=clusters[:9])
    with pytest.raises(ValueError, match="factor"):
        cluster_margin(learner, X, 10, factor=0.1)
    with pytest.raises(ValueError, match="same points"):
        selectors.cluster_margin(X[:9], scores, 2)


# DropQuery


def test_disagreement_is_the_share_of_passes_that_differ():
    rng = np.random.default_rng(0)
    samples, proba = rng.dirichlet(np.ones(4), (7, 50)), rng.dirichlet(np.ones(4), 50)
    expected = [
        np.mean([s[i].argmax() != proba[i].argmax() for s in samples])
        for i in range(50)
    ]
    np.testing.assert_allclose(measures.disagreement(samples, proba), expected)
    tensor = measures.disagreement(torch.from_numpy(samples), torch.from_numpy(proba))
    np.testing.assert_allclose(tensor.numpy(), expected)
    assert (measures.disagreement(proba[None], proba) == 0).all()
    with pytest.raises(ValueError, match="do not fit"):
        measures.disagreement(samples, proba[:3])
    with pytest.raises(ValueError, match="NaN"):
        measures.disagreement(samples * np.nan, proba)


def test_candidates_come_before_all_others():
    rng = np.random.default_rng(0)
    X, scores = rng.normal(size=(50, 3)), rng.random(50)
    is_candidate = np.arange(50) % 5 == 0
    for n_instances in (1, 4, 10, 13, 50):
        indices, values = selectors.candidates_kmeans(
            X, is_candidate, scores, n_instances, random_state=0
        )
        assert len(set(indices.tolist())) == n_instances
        np.testing.assert_array_equal(values, scores[indices])
        n_first = min(n_instances, 10)
        assert is_candidate[indices[:n_first]].all()
        if n_instances > 10:
            others = np.flatnonzero(~is_candidate)
            best = others[np.argsort(-scores[others])][: n_instances - 10]
            np.testing.assert_array_equal(indices[10:], best)
    # Duplicates among the candidates: fewer clusters than asked for.
    X[::5] = 1
    assert (
        len(
            set(
                selectors.candidates_kmeans(X, is_candidate, scores, 6, random_state=0)[
                    0
                ].tolist()
            )
        )
        == 6
    )
    with pytest.raises(ValueError, match="one per row"):
        selectors.candidates_kmeans(X, is_candidate[:3], scores, 6)


def test_drop_query_takes_those_on_which_most_passes_disagree(taught):
    learner, X, _ = taught
    share = measures.disagreement(
        inference.feature_dropout(learner, X, random_state=np.random.default_rng(4)),
        inference.predict_proba(learner, X),
    )
    # More than half of the passes where there are 25 such points a pick, else any.
    assert 100 <= np.count_nonzero(share > 0.5) < 125 <= np.count_nonzero(share)
    for n_instances in (1, 4, 5, 10):
        indices, scores = drop_query(learner, X, n_instances, random_state=4)
        expected = reference.drop_query_candidates(np.rint(3 * share), 3, n_instances)
        assert expected.sum() == np.count_nonzero(share > 0.5 * (n_instances < 5))
        assert expected[indices].all()
        np.testing.assert_allclose(np.floor(scores * 3 + 1e-9) / 3, share[indices])
        # Clusters of directions, not of sizes.
        again, _ = selectors.candidates_kmeans(
            1e3 ** (np.arange(len(X)) % 3)[:, None] * inference.embed(learner, X),
            expected,
            share,
            n_instances,
            normalize=True,
            random_state=_after_dropout(learner, X, 4),
        )
        np.testing.assert_array_equal(indices, again)
    # Nothing disagrees when nothing is dropped: the smallest margins follow.
    clean, _ = drop_query(learner, X, 10, p=0.0)
    margins = measures.margin(inference.predict_proba(learner, X))
    np.testing.assert_array_equal(clean, selectors.top_k(margins, 10)[0])


def _after_dropout(learner, X, seed):
    """The generator where DropQuery's passes left it."""
    rng = np.random.default_rng(seed)
    inference.feature_dropout(learner, X, random_state=rng)
    return rng


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 7), min_size=1, max_size=120),
    st.sampled_from([1, 2, 3, 7]),
    st.integers(1, 4),
)
def test_disagreeing_is_the_authors_threshold(mismatches, n_samples, n_instances):
    counts = np.minimum(mismatches, n_samples)
    np.testing.assert_array_equal(
        measures.disagreeing(counts / n_samples, n_instances, n_samples=n_samples),
        reference.drop_query_candidates(counts, n_samples, n_instances),
    )


# ALFA-Mix


@pytest.mark.parametrize("kind", ["generic", "half constant"])
def test_flip_distance_is_where_the_mixed_features_flip(kind):
    rng = np.random.default_rng(3)
    Z, _ = random_points(rng, 25, 6, 4, kind)
    W, b = rng.normal(size=(4, 6)), rng.normal(size=4)
    anchors = np.stack(
        [Z[:5].mean(axis=0), Z[5:9].mean(axis=0), Z[11]]
    )  # one of them is a candidate: z* = z
    got = measures.flip_distance(Z, W, b, anchors)
    expected = np.array([reference.flip_distance(z, W, b, anchors) for z in Z])
    assert np.isfinite(got).any()
    inside = expected <= 1
    np.testing.assert_allclose(got[inside], expected[inside], atol=2 / 4000)
    assert (got[~inside] > 1 - 1e-9).all()
    np.testing.assert_allclose(
        measures.flip_distance(torch.from_numpy(Z), W, b, anchors), got
    )


def test_flip_distance_where_nothing_can_be_mixed():
    W, b = np.eye(3), np.zeros(3)
    Z = np.array([[1.0, 0.5, 0.0], [2.0, 0.0, 0.0]])
    for anchors in (Z[:1], np.repeat(Z[:1], 2, axis=0)):
        distances = measures.flip_distance(Z, W, b, anchors)
        assert distances[0] == np.inf and not np.isnan(distances).any()
    # Dead features: zero everywhere, in which mixing changes nothing whatever the
    # weights say.
    heavy = np.array([[1.0, 0.0, 9.0], [0.0, 1.0, -9.0], [0.0, 0.0, 0.0]])
    dead = np.array([[1.0, 0.4, 0.0]])
    got = measures.flip_distance(dead, heavy, b, np.array([[0.0, 1.0, 0.0]]))
    np.testing.assert_allclose(
        got,
        reference.flip_distance(
            dead[0], heavy, b, [[0.0, 1.0, 0.0]], 20000, largest=10
        ),
        atol=1e-3,
    )
    # So sure that p is exactly one-hot in floating point, and still there is a
    # direction.
    sure = measures.flip_distance(
        np.array([[900.0, 0.0, 0.0]]), W, b, np.array([[0.0, 900.0, 1.0]])
    )
    assert np.isfinite(sure).all()
    with pytest.raises(ValueError, match="do not fit"):
        measures.flip_distance(Z, W, b, np.ones((2, 2)))
    with pytest.raises(ValueError, match="NaN"):
        measures.flip_distance(Z * np.nan, W, b, Z)


def test_alfa_mix(taught):
    learner, X, _ = taught
    indices, scores = alfa_mix(learner, X, 10, random_state=0)
    W, b = inference.last_layer(learner, X)
    L = inference.embed(learner, learner.X_training)
    means = np.stack(
        [L[learner.y_training == c].mean(axis=0) for c in np.unique(learner.y_training)]
    )
    distances = measures.flip_distance(inference.embed(learner, X), W, b, means)
    np.testing.assert_allclose(-scores, distances[indices], rtol=1e-6)
    # The authors' rule, every feature vector mixed and predicted.
    candidates = reference.alfa_mix_candidates(
        inference.embed(learner, X), W, b, means, 10
    )
    assert 10 < candidates.sum() < len(X) / 2
    assert candidates[indices].all()
    assert (distances[candidates].max() < distances[~candidates]).all()
    # No bound on the number of features.
    capped, _ = alfa_mix(learner, X, 10, alpha_cap=1 / 32, random_state=0)
    assert (distances[capped] < 1 / 32).all()
    # A bound that nothing meets: the least mixing first.
    strict, _ = alfa_mix(learner, X, 10, alpha_cap=1e-12)
    np.testing.assert_array_equal(strict, selectors.top_k(-distances, 10)[0])
    # A class absent from the labelled data has the mean of all in its place, and is
    # still a class to flip to.
    rows = learner.y_training != 3
    few = alfa_mix(
        learner,
        X,
        10,
        X_labelled=learner.X_training[rows],
        y_labelled=learner.y_training[rows],
    )
    assert len(set(few[0].tolist())) == 10
    without = np.concatenate([np.delete(means, 3, axis=0), L[rows].mean(axis=0)[None]])
    distances = measures.flip_distance(inference.embed(learner, X), W, b, without)
    np.testing.assert_allclose(-few[1], distances[few[0]], rtol=1e-6)
    with pytest.raises(ValueError, match="needs a learner that was taught"):
        alfa_mix(learner.estimator, X, 3)


def test_the_bound_on_the_mixing_shrinks_with_the_features():
    distances = np.linspace(0, 0.5, 101)
    for n_features in (1, 4, 100, 512):
        for n_instances in (1, 5, 40, 100):
            expected = distances < 1 / np.sqrt(n_features)
            for step in range(1, 6):
                some = distances < 0.2 * step / np.sqrt(n_features)
                if some.sum() > n_instances:
                    expected = some
                    break
            got = measures.flipped(distances, n_instances, n_features=n_features)
            np.testing.assert_array_equal(got, expected)
    # More than the batch, not as many.
    exactly = np.array([0.01, 0.01, 0.03, 0.9])
    assert measures.flipped(exactly, 2, n_features=100).tolist() == [1, 1, 1, 0]
    assert measures.flipped(exactly, 1, n_features=100).tolist() == [1, 1, 0, 0]
    assert measures.flipped(exactly, 1, 0.9).tolist() == [1, 1, 1, 0]
    with pytest.raises(ValueError, match="needs n_features="):
        measures.flipped(distances, 3)


class Tempered(nn.Module):
    """Does more to its last linear layer than softmax."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(64, 10)

    def forward(self, x):
        return 30 * torch.tanh(self.out(x))


def test_alfa_mix_refuses_a_net_that_is_not_linear_at_the_end(taught):
    learner, X, _ = taught
    torch.manual_seed(0)
    net = NeuralNetClassifier(
        Tempered,
        criterion=nn.CrossEntropyLoss,
        max_epochs=3,
        train_split=None,
        verbose=0,
    )
    net.fit(learner.X_training, learner.y_training)
    with pytest.raises(
        TypeError,
        match="cannot give last-layer weights: its probabilities are not the softmax",
    ):
        alfa_mix(checks._Learner(net, learner.X_training, learner.y_training), X, 3)


# density


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize("kind", [*KINDS, "far away", "one"])
@pytest.mark.parametrize("tile", [512, 7])
def test_information_density(metric, kind, tile, monkeypatch):
    monkeypatch.setattr(_density, "_TILE", tile)
    monkeypatch.setattr(_density, "_GROUP", 2 * tile)
    X, _ = random_points(np.random.default_rng(0), 40, 5, 2, kind)
    if kind == "far away":
        X = np.round(X) + 1e5  # clusters of equal points a long way from the origin
    if kind == "one":
        X = X[:1]
    X[0] = 0 if kind == "generic" else X[0]
    expected = reference.information_density(X, metric)
    np.testing.assert_allclose(
        measures.information_density(X, metric=metric), expected, rtol=1e-4, atol=1e-9
    )
    tensor = measures.information_density(torch.from_numpy(X), metric=metric)
    np.testing.assert_allclose(tensor, expected, rtol=1e-4, atol=1e-9)
    if kind == "generic":
        half = X.astype(np.float16)
        np.testing.assert_allclose(
            measures.information_density(half, metric=metric),
            reference.information_density(half, metric),
            rtol=1e-4,
            atol=1e-6,
        )


def test_information_density_of_a_reference_sample():
    X = np.random.default_rng(0).normal(size=(300, 4))
    full = measures.information_density(X, metric="euclidean")
    np.testing.assert_array_equal(
        measures.information_density(X, metric="euclidean", n_reference=300), full
    )
    part = measures.information_density(
        X, metric="euclidean", n_reference=100, random_state=0
    )
    again = measures.information_density(
        X, metric="euclidean", n_reference=100, random_state=0
    )
    np.testing.assert_array_equal(part, again)
    assert 0 < np.abs(part - full).max() < 0.05
    with pytest.raises(ValueError, match="Unknown metric"):
        measures.information_density(X, metric="l7")
    with pytest.raises(ValueError, match="NaN"):
        measures.information_density(X * np.nan)
    with pytest.raises(ValueError, match="NaN"):
        measures.information_density(X * np.nan, metric="euclidean")


def test_density_weighted(taught):
    learner, X, _ = taught
    proba, embeddings = inference.predict_proba(learner, X), inference.embed(learner, X)
    for options, metric, beta in (
        ({}, "cosine", 1),
        ({"metric": "euclidean", "beta": 2.5}, "euclidean", 2.5),
    ):
        density = (
            np.maximum(reference.information_density(embeddings, metric), 0) ** beta
        )
        scores = measures.entropy(proba) * density
        indices, values = density_weighted(learner, X, 12, **options)
        np.testing.assert_allclose(values, np.sort(scores)[::-1][:12], rtol=1e-4)
        np.testing.assert_allclose(scores[indices], values, rtol=1e-4)
    np.testing.assert_allclose(
        measures.density_weighted([1, 2, 3], [-0.5, 0, 2], beta=2), [0, 0, 12]
    )
    np.testing.assert_allclose(
        measures.density_weighted([1, 2], [0.3, 0.2], beta=0), [1, 2]
    )
    with pytest.raises(ValueError, match="beta"):
        measures.density_weighted([1], [1], beta=-1)
    with pytest.raises(ValueError, match="one number per candidate"):
        measures.density_weighted([1, 2], [1])


# ranked batch


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
@pytest.mark.parametrize("n_labelled", [0, 1, 9])
def test_ranked_batch_picks_what_the_naive_loop_picks(
    kind, metric, n_labelled, monkeypatch
):
    monkeypatch.setattr(_greedy, "_FEWEST", 3)
    monkeypatch.setattr(_greedy, "_BLOCK_VALUES", 1)
    for name, value in {"_FIRST": 2, "_STEP": 3, "_SAMPLE": 4}.items():
        monkeypatch.setattr(_labelled_bounds, name, value)
    rng = np.random.default_rng(n_labelled)
    X, P = random_points(rng, 60, 3, 4, kind)
    labelled = X[:n_labelled] + 0.25
    utilities = measures.least_confidence(P)
    before = utilities.copy()
    for n_instances in (1, 7, 60):
        got = selectors.ranked_batch(
            X, utilities, n_instances, labelled=labelled, metric=metric
        )
        expected = reference.ranked_batch(
            X, utilities, n_instances, labelled if n_labelled else None, metric
        )
        np.testing.assert_allclose(got[1], expected[1], rtol=1e-12)
        if kind != "large":  # there 1 - 1 / (1 + d) differs by rounding alone
            np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_array_equal(utilities, before)


@pytest.mark.parametrize("seed", range(8))
def test_ranked_batch_of_any_utilities(seed):
    """Scores of those left out may rise as α falls: utilities far above and below the
    dissimilarities."""
    rng = np.random.default_rng(seed)
    X, L = (
        rng.standard_normal((300, 2)),
        rng.standard_normal((int(rng.integers(0, 40)), 2)),
    )
    utilities = rng.normal(scale=[0.1, 1, 30][seed % 3], size=300)
    got = selectors.ranked_batch(X, utilities, 120, labelled=L)
    expected = reference.ranked_batch(
        X, utilities, 120, L if len(L) else None, "euclidean"
    )
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-12)


def test_ranked_batch_is_modals(taught):
    learner, X, _ = taught
    import modAL.batch
    from modAL.models import ActiveLearner

    peer = ActiveLearner(
        learner.estimator, X_training=learner.X_training, y_training=learner.y_training
    )
    uncertainty = 1 - learner.predict_proba(X).max(axis=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            np, "bool", bool, raising=False
        )  # modAL 0.4.1 asks numpy 1 for it
        expected = modAL.batch.ranked_batch(peer, X, uncertainty, 25, "euclidean", None)
    got = selectors.ranked_batch(X, uncertainty, 25, labelled=learner.X_training)
    np.testing.assert_array_equal(got[0], expected)
    embeddings = inference.embed(learner, X)
    np.testing.assert_array_equal(
        ranked_batch(learner, X, 25)[0],
        selectors.ranked_batch(
            torch.from_numpy(embeddings),
            uncertainty,
            25,
            labelled=inference.embed(learner, learner.X_training),
        )[0],
    )


def test_ranked_batch_breaks_ties_at_random_when_asked():
    X, utilities = np.zeros((30, 2)), np.full(30, 0.5)
    assert selectors.ranked_batch(X, utilities, 4, labelled=X[:1])[0].tolist() == [
        0,
        1,
        2,
        3,
    ]
    draws = {
        tuple(
            selectors.ranked_batch(
                X, utilities, 4, labelled=X[:1], random_tie_break=True, random_state=s
            )[0].tolist()
        )
        for s in range(20)
    }
    assert len(draws) > 15 and all(len(set(draw)) == 4 for draw in draws)
    for arguments, message in (
        ({"metric": "l7"}, "Unknown metric"),
        ({"labelled": np.ones((2, 3))}, "columns"),
        ({"utilities": np.full(30, np.nan)}, "finite"),
    ):
        with pytest.raises(ValueError, match=message):
            selectors.ranked_batch(
                **{"features": X, "utilities": utilities, "n_instances": 2, **arguments}
            )


# weighted


def test_weighted_joins_any_measure_and_selector(taught):
    learner, X, _ = taught
    embeddings, proba = inference.embed(learner, X), inference.predict_proba(learner, X)
    labelled = inference.embed(learner, learner.X_training)
    np.testing.assert_array_equal(
        weighted("margin", "k_center")(learner, X, 9)[0],
        selectors.k_center(
            embeddings, 9, labelled=labelled, utilities=measures.margin(proba)
        )[0],
    )
    np.testing.assert_array_equal(
        weighted("entropy", "weighted_kmeans")(learner, X, 9, random_state=1)[0],
        clue(learner, X, 9, random_state=1)[0],
    )
    assert (
        strategy_name(weighted("margin", selectors.k_center))
        == "weighted(margin, k_center)"
    )
    assert pickle.loads(pickle.dumps(weighted("margin", "k_center"))) == weighted(
        "margin", "k_center"
    )
    with pytest.raises(ValueError, match="Unknown measure"):
        weighted("margn", "k_center")
    with pytest.raises(
        ValueError,
        match=r"Unknown selector that takes features= and utilities= "
        r"'top_k'. .*k_center, .*weighted_kmeans",
    ):
        weighted("margin", "top_k")
    with pytest.raises(ValueError, match="takes features= and utilities="):
        weighted("margin", selectors.top_k)


def test_weighted_tells_a_selector_what_its_parameters_name(taught):
    learner, X, _ = taught

    def far_out(features, n_instances, *, utilities):
        sizes = np.linalg.norm(features, axis=1)
        return selectors.top_k(sizes * utilities, n_instances)

    chosen, _ = weighted("margin", far_out)(
        learner, X, 9, random_tie_break=True, random_state=0
    )
    expected, _ = far_out(
        inference.embed(learner, X),
        9,
        utilities=measures.margin(inference.predict_proba(learner, X)),
    )
    np.testing.assert_array_equal(chosen, expected)


@pytest.mark.parametrize(
    "strategy",
    [weighted("margin", "k_center"), weighted(measures.bald, "weighted_kmeans")],
)
def test_weighted_keeps_the_contract(strategy):
    checks.check_query_strategy(strategy)
