"""Measures and selectors against slow definitions, where the other tests leave gaps.

Two and a thousand classes, one feature, one candidate, half precision, exact zeros and
ones, ties.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.cluster import HDBSCAN
from sklearn.ensemble import RandomForestClassifier

from al_sklearn import inference, strategies
from al_sklearn.strategies import checks, measures, selectors
from tests.strategies import references_bayesian as of_samples
from tests.strategies import references_hybrid as hybrid
from tests.strategies import references_measures as of_proba
from tests.strategies.test_strategies import QUICK, make_net

DTYPES = [np.float16, np.float32, np.float64]
TOLERANCE = {np.float16: 3e-3, np.float32: 1e-5, np.float64: 1e-12}


def draw(seed, n_samples, n, n_classes, dtype):
    """Posterior samples with rows of zeros and ones, ties, and samples that agree."""
    rng = np.random.default_rng(seed)
    samples = rng.dirichlet(np.full(n_classes, 0.4), size=(n_samples, n))
    samples[:, 0] = np.eye(n_classes)[rng.integers(n_classes, size=n_samples)]
    samples[:, 1] = 1 / n_classes
    samples[:, 2] = samples[0, 2]
    samples[:, 3] = np.eye(n_classes)[-1]
    return samples.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_classes", [2, 1000])
@pytest.mark.parametrize("n_samples", [1, 3])
def test_information_of_few_and_many_classes(dtype, n_classes, n_samples):
    samples = draw(n_classes, n_samples, 6, n_classes, dtype)
    wide = samples.astype(np.float64)
    for name, reference in (
        ("bald", of_proba.bald),
        ("max_entropy", of_proba.max_entropy),
    ):
        expected = [max(reference(wide[:, i]), 0) for i in range(6)]
        for given in (samples, torch.from_numpy(samples)):
            got = np.asarray(getattr(measures, name)(given))
            np.testing.assert_allclose(
                got, expected, atol=TOLERANCE[dtype] * math.log(n_classes), rtol=0
            )
    if (
        dtype != np.float16 or n_classes == 2
    ):  # a thousand rounded terms do not sum to one: no definition to meet
        some = [0, 4] if n_classes == 1000 else list(range(6))
        expected = [max(of_samples.epig(wide[:, i], wide[:, 4:5]), 0) for i in some]
        np.testing.assert_allclose(
            measures.epig(samples[:, some], samples[:, 4:5]),
            expected,
            atol=5 * TOLERANCE[dtype],
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_batch_bald_of_a_whole_pool(dtype, n_classes):
    samples = draw(5, 4, 5, n_classes, dtype)
    samples = np.round(samples * 64) / 64
    samples[..., 0] += 1 - samples.sum(axis=-1)  # exact in all precisions
    chosen, gains = selectors.batch_bald(samples, 5)
    assert sorted(chosen.tolist()) == list(range(5))
    expected, expected_gains = of_samples.batch_bald_exact(
        samples.astype(np.float64), 5
    )
    np.testing.assert_allclose(gains, expected_gains, atol=1e-6)
    n_sure = sum(gain > 1e-6 for gain in expected_gains)
    assert n_sure >= 2
    np.testing.assert_array_equal(chosen[:n_sure], expected[:n_sure])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_classes", [2, 1000])
def test_disagreement_where_classes_tie(dtype, n_classes):
    samples = draw(1, 5, 9, n_classes, dtype)
    proba = samples.mean(axis=0, dtype=np.float64).astype(dtype)
    proba[4] = proba[5] = 1 / n_classes

    def first_of(p):
        return p.index(max(p))

    expected = [
        sum(first_of(s[i].tolist()) != first_of(proba[i].tolist()) for s in samples) / 5
        for i in range(9)
    ]
    for kind in (np.asarray, torch.from_numpy):
        np.testing.assert_allclose(
            measures.disagreement(kind(samples), kind(proba)), expected
        )
    labels = np.arange(9) % n_classes
    with np.errstate(divide="ignore"):
        losses = [np.maximum(-np.log(float(proba[i, labels[i]])), 0) for i in range(9)]
    np.testing.assert_allclose(measures.true_loss(proba, labels), losses)
    assert np.isinf(measures.true_loss(np.eye(n_classes, dtype=dtype)[:2], [1, 1])[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("n", "d", "n_classes"), [(1, 1, 2), (9, 1, 2), (7, 3, 2), (3, 2, 1000)]
)
def test_flip_distance_of_few_features_and_many_classes(dtype, n, d, n_classes):
    rng = np.random.default_rng(n)
    Z = rng.normal(size=(n, d)).astype(dtype)
    W, b, anchors = (
        rng.normal(size=(n_classes, d)),
        rng.normal(size=n_classes),
        rng.normal(size=(2, d)),
    )
    anchors[0] = Z[0]  # one that a candidate is
    got = measures.flip_distance(Z, W, b, anchors)
    expected = np.array(
        [hybrid.flip_distance(z.astype(np.float64), W, b, anchors, 500) for z in Z]
    )
    inside = expected <= 1
    np.testing.assert_allclose(got[inside], expected[inside], atol=2 / 500)
    assert (got[~inside] > 1 - 1e-9).all() and not np.isnan(got).any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine"])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (1, 3), (40, 1), (40, 3)])
@pytest.mark.parametrize("n_labelled", [0, 5])
def test_ranked_batch_of_any_metric_and_precision(dtype, metric, n, d, n_labelled):
    rng = np.random.default_rng(n + d)
    X, L = (
        rng.normal(size=(n, d)).astype(dtype),
        rng.normal(size=(n_labelled, d)).astype(dtype),
    )
    X[n // 2 :] = X[: n - n // 2]  # duplicates
    utilities = rng.integers(0, 4, size=n) / 4
    for n_instances in {1, n // 3 or 1, n}:
        indices, scores = selectors.ranked_batch(
            X, utilities, n_instances, labelled=L, metric=metric
        )
        expected, due = ranked(X, utilities, n_instances, L, metric)
        np.testing.assert_allclose(scores, due, rtol=1e-6)
        assert len(set(indices.tolist())) == n_instances
        if (
            metric != "cosine"
        ):  # there one dimension leaves signs alone, which tie but for rounding
            np.testing.assert_array_equal(indices, expected)


def ranked(X, utilities, n_instances, L, metric):
    """Cardoso's loop on a full matrix of distances."""
    X, L = X.astype(np.float64), L.astype(np.float64)

    def to(one):
        if metric == "euclidean":
            return np.sqrt(np.square(X - one).sum(axis=1))
        if metric == "manhattan":
            return np.abs(X - one).sum(axis=1)
        unit = X / np.linalg.norm(X, axis=1, keepdims=True)
        return np.square(unit - one / np.linalg.norm(one)).sum(axis=1) / 2

    nearest = (
        np.min([to(one) for one in L], axis=0) if len(L) else np.full(len(X), np.inf)
    )
    left, chosen, scores = list(range(len(X))), [], []
    while len(chosen) < n_instances:
        if not len(L) and not chosen:
            best, score = int(selectors.k_center(X, 1, metric=metric)[0][0]), 1.0
        else:
            alpha = len(left) / (len(X) + len(L))
            values = [
                alpha * (1 - 1 / (1 + nearest[i])) + (1 - alpha) * utilities[i]
                for i in left
            ]
            best, score = left[int(np.argmax(values))], max(values)
        chosen.append(best)
        scores.append(score)
        left.remove(best)
        nearest = np.minimum(nearest, to(X[best]))
    return chosen, scores


def linked(X, n_clusters):
    """Average linkage, by joining the two nearest clusters until so many are left."""
    groups = [[i] for i in range(len(X))]
    far = np.sqrt(np.square(X[:, None] - X).sum(axis=2))
    while len(groups) > n_clusters:
        pairs = [
            (far[np.ix_(a, b)].mean(), i, j)
            for i, a in enumerate(groups)
            for j, b in enumerate(groups[:i])
        ]
        _, i, j = min(pairs)
        groups[j] += groups.pop(i)
    return {frozenset(group) for group in groups}


def as_sets(labels):
    return {
        frozenset(np.flatnonzero(labels == label).tolist())
        for label in np.unique(labels)
    }


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("n_clusters", [1, 4, 20])
def test_average_linkage_is_its_definition(dtype, d, n_clusters):
    X = np.random.default_rng(d).normal(size=(20, d)).astype(dtype)
    assert as_sets(selectors.average_linkage(X, n_clusters)) == linked(
        X.astype(np.float64), n_clusters
    )
    clusters = selectors.average_linkage(X, n_clusters)
    scores = np.random.default_rng(0).random(20)
    chosen, _ = selectors.cluster_margin(
        X, scores, 5, n_clusters=n_clusters, factor=2, random_state=0
    )
    best = set(np.argsort(-scores)[:10].tolist())
    assert set(chosen.tolist()) <= best
    # As many clusters as there are among the ten, smallest first.
    sizes = {c: sum(int(clusters[i] == c) for i in best) for c in np.unique(clusters)}
    turn = [sizes[clusters[i]] for i in chosen[: len({clusters[i] for i in best})]]
    assert turn == sorted(turn) and len({clusters[i] for i in chosen}) == min(
        5, len({clusters[i] for i in best})
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [1, 4])
def test_weighted_clusters_give_the_point_nearest_their_weighted_mean(dtype, d):
    rng = np.random.default_rng(d)
    X = np.concatenate([rng.normal(size=(15, d)) + 30 * i for i in range(3)]).astype(
        dtype
    )
    weights = rng.random(45) ** 3
    weights[::5] = 0  # the sure ones belong to no cluster
    indices, scores = selectors.weighted_kmeans(X, 3, utilities=weights, random_state=0)
    plain, _ = selectors.candidates_kmeans(X, weights > 0, weights, 3, random_state=0)
    for i in range(3):
        rows = np.arange(15 * i, 15 * (i + 1))
        rows = rows[weights[rows] > 0]
        for chosen, w in ((indices, weights[rows]), (plain, np.ones(len(rows)))):
            mean = np.average(X[rows].astype(np.float64), axis=0, weights=w)
            assert rows[np.square(X[rows] - mean).sum(axis=1).argmin()] in chosen
    np.testing.assert_allclose(scores, 12 / 45)
    for n_instances in (1, 45):
        assert (
            len(
                set(
                    selectors.weighted_kmeans(
                        X[:n_instances], 1, utilities=weights[:n_instances]
                    )[0].tolist()
                )
            )
            == 1
        )
    alone = np.eye(1, dtype=dtype)
    assert selectors.candidates_kmeans(alone, [True], [0.0], 1)[0].tolist() == [0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_classes", [2, 1000])
def test_bait_of_few_and_many_classes(dtype, n_classes):
    rng = np.random.default_rng(4)
    H = np.round(rng.normal(size=(18, 2)) * 32).astype(dtype) / dtype(32)
    P = draw(2, 1, 18, n_classes, np.float64)[0]
    P[::3] = np.eye(n_classes)[0]  # of which there is nothing to learn
    for n_instances in (1, 4, 18):
        got, _ = selectors.fisher_trace(H, P, n_instances, regularization=0.5)
        expected, gains = hybrid.bait(
            H.astype(np.float64), P, n_instances, H[:0], P[:0], "binary", 0.5, 2.0
        )
        n_sure = sum(gain > 1e-9 for gain in gains)
        np.testing.assert_array_equal(got[:n_sure], expected[:n_sure])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (2, 1), (30, 1), (30, 5)])
def test_density_of_one_feature_and_any_precision(dtype, metric, n, d):
    X = np.random.default_rng(n).normal(size=(n, d)).astype(dtype)
    X[n // 2] = 0
    expected = hybrid.information_density(X.astype(np.float64), metric)
    for given in (X, torch.from_numpy(X), X.repeat(2, axis=1)[:, ::2]):
        np.testing.assert_allclose(
            measures.information_density(given, metric=metric),
            expected,
            rtol=1e-4,
            atol=1e-6,
        )


@pytest.mark.parametrize("n_classes", [2, 1000])
@pytest.mark.parametrize("dtype", DTYPES)
def test_seeding_on_gradients_of_few_and_many_classes(n_classes, dtype):
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(n_classes, 0.3), size=30)
    p[:4] = np.eye(n_classes)[0]  # no gradient at all
    a = (np.eye(n_classes)[p.argmax(axis=1)] - p).astype(dtype)
    h = rng.normal(size=(30, 1)).astype(dtype)
    g = (a.astype(np.float64)[:, :, None] * h.astype(np.float64)[:, None]).reshape(
        30, -1
    )
    indices, scores = selectors.gradient_kmeans_plusplus(h, a, 30, random_state=0)
    assert (
        sorted(indices.tolist()) == list(range(30))
        and indices[0] == np.square(g).sum(axis=1).argmax()
    )
    for i in range(1, 30):
        nearest = np.square(g[indices[:i]] - g[indices[i]]).sum(axis=1).min()
        np.testing.assert_allclose(
            scores[i], nearest, rtol=1e-6, atol=1e-12 * scores[0]
        )


def test_density_clusters_are_those_of_another_implementation():
    rng = np.random.default_rng(0)
    X = np.concatenate(
        [
            rng.normal(size=(40, 2)),
            rng.normal(size=(30, 2)) + 12,
            rng.uniform(-30, 30, size=(15, 2)),
        ]
    )
    labels, scores = selectors.density_clusters(X, 10)
    other = HDBSCAN(min_cluster_size=10, min_samples=10, copy=True).fit(X).labels_
    # Points counted with their neighbours or not: what is in a cluster differs at its
    # edges alone.
    for group in as_sets(labels) - {frozenset(np.flatnonzero(labels == -1).tolist())}:
        assert max(len(group & one) / len(group | one) for one in as_sets(other)) > 0.8
    assert scores[labels == -1].mean() > scores[labels >= 0].mean()


# -- options that all of a family have -------------------------------------------------


@pytest.fixture(scope="module")
def forest(digits):
    X, y = digits
    X = X.reshape(len(X), -1).astype(np.float32) / 255
    return checks._Learner(
        RandomForestClassifier(9, random_state=0).fit(X[:80], y[:80]), X[:80], y[:80]
    ), X[80:200]


def test_uncertainty_of_the_mean_of_posterior_samples(forest):
    learner, X = forest
    mean = inference.sample_proba(learner, X, 4, np.random.default_rng(3)).mean(axis=0)
    margins, confidence = measures.margin(mean), measures.least_confidence(mean)

    def generator():
        rng = np.random.default_rng(3)
        inference.sample_proba(learner, X, 4, rng)
        return rng

    for strategy, expected in (
        (
            strategies.bucketed_margin,
            selectors.bucketed(margins, 9, random_state=generator()),
        ),
        (strategies.uncertainty_mix, selectors.both_ends(confidence, 9)),
        (
            strategies.uncertainty_bins,
            selectors.binned(confidence, 9, random_state=generator()),
        ),
        (strategies.margin, selectors.top_k(margins, 9)),
        (strategies.entropy, selectors.top_k(measures.entropy(mean), 9)),
    ):
        got = strategy(learner, X, 9, n_samples=4, random_state=3)
        np.testing.assert_array_equal(got[0], expected[0])
        np.testing.assert_allclose(got[1], expected[1])
    for name in ("least_confidence", "margin", "ratio", "entropy"):
        assert getattr(measures, f"{name}_pt") is getattr(measures, name)
        of_mean = strategies.get_strategy(name)(
            learner, X, 9, n_samples=20, random_state=0
        )
        registered = strategies.get_strategy(f"{name}_mc")(
            learner, X, 9, random_state=0
        )
        np.testing.assert_array_equal(registered[0], of_mean[0])


def test_weighted_takes_measures_of_posterior_samples_by_name(forest):
    learner, X = forest
    by_name = strategies.weighted("bald", "k_center")
    samples = inference.sample_proba(learner, X)
    expected = selectors.k_center(
        X, 7, labelled=learner.X_training, utilities=measures.bald(samples)
    )
    np.testing.assert_array_equal(by_name(learner, X, 7)[0], expected[0])
    checks.check_query_strategy(by_name)


def test_refine_is_told_what_is_labelled(forest):
    learner, X = forest
    told = strategies.refine(
        learner.estimator, X, 5, X_labelled=learner.X_training, random_state=0
    )
    np.testing.assert_array_equal(
        told[0], strategies.refine(learner, X, 5, random_state=0)[0]
    )
    assert (
        told[0].tolist()
        != strategies.refine(learner.estimator, X, 5, random_state=0)[0].tolist()
    )
    best = {"quality": "best", "n_few": 0, "random_state": 0}
    of_auto = strategies.auto(
        learner.estimator, X, 5, X_labelled=learner.X_training, **best
    )
    np.testing.assert_array_equal(of_auto[0], told[0])


@pytest.mark.parametrize("missing", [0, 4, 9])
def test_a_class_that_a_net_never_saw_keeps_its_column(digits, missing):
    X, y = (
        digits[0].reshape(len(digits[0]), -1).astype(np.float32)[:200] / 255,
        digits[1][:200],
    )
    seen = np.flatnonzero(y[:80] != missing)
    torch.manual_seed(0)
    net = make_net().fit(X[seen], y[seen])
    losses = -np.log(
        net.predict_proba(X[80:])[np.arange(120), y[80:]]
    )  # a column for each digit
    chosen, scores = strategies.max_true_loss(net, X[80:], 9, y_true=y[80:])
    np.testing.assert_array_equal(chosen, np.argsort(-losses, kind="stable")[:9])
    np.testing.assert_allclose(scores, losses[chosen], rtol=1e-5)
    # A class with one row is missing from what a fold is trained on.
    rare = np.append(seen, np.flatnonzero(y[80:] == missing)[0] + 80)
    learner = checks._Learner(make_net().fit(X[rare], y[rare]), X[rare], y[rare])
    for name in ("u_herding", "active_transfer_learning", "auto"):
        strategy = QUICK.get(name, strategies.get_strategy(name))
        checks._assert_contract(*strategy(learner, X[80:], 5, random_state=0), 5, 120)
    np.testing.assert_array_equal(inference.columns_of(net, 10), np.arange(10))
    with pytest.raises(
        ValueError, match="gives 11 columns of probabilities for the 2 classes"
    ):
        inference.columns_of(
            RandomForestClassifier(2).fit(X[:9], np.arange(9) % 2 == 1), 11
        )


def test_alfa_mix_from_arrays_alone(digits):
    from sklearn.linear_model import LogisticRegression

    X, y = digits[0].reshape(len(digits[0]), -1)[:200] / 255, digits[1][:200]
    model = LogisticRegression(max_iter=300).fit(X[:50], y[:50])
    distances = measures.flip_distance(
        X[50:], model.coef_, model.intercept_, measures.class_means(X[:50], y[:50])
    )
    candidates = measures.flipped(distances, 6, n_features=X.shape[1])
    got = selectors.candidates_kmeans(
        X[50:], candidates, -distances, 6, normalize=True, random_state=0
    )
    expected = strategies.alfa_mix(
        model, X[50:], 6, X_labelled=X[:50], y_labelled=y[:50], random_state=0
    )
    np.testing.assert_array_equal(got[0], expected[0])
