"""The geometric selectors against their slow definitions, and what others get wrong."""

import sys
import types
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression

from al_sklearn import inference, strategies
from al_sklearn.strategies import checks, measures, selectors
from al_sklearn.strategies._engine.distances import as_rows
from al_sklearn.strategies.selectors import _herding, _kmeans, _probcover, _typiclust
from tests.strategies import references_geometric as slow

RNG = np.random.default_rng(7)


def adversarial():
    """Pools with what breaks selectors: (name, X, L)."""
    blobs = np.concatenate(
        [
            RNG.normal(c, 0.1, size=(30, 4))
            for c in ([0, 0, 0, 1], [3, 0, 1, 0], [0, 4, 0, 0])
        ]
    )
    grid = (
        np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), axis=-1).reshape(-1, 2)
        - 2
    )
    return {
        "random": (RNG.normal(size=(90, 5)), RNG.normal(size=(11, 5))),
        "blobs": (blobs, blobs[[0, 5, 40]]),
        "no labels": (RNG.normal(size=(60, 3)), None),
        "duplicates": (
            np.repeat(RNG.normal(size=(9, 3)), 7, axis=0),
            RNG.normal(size=(2, 3)),
        ),
        "grid": (grid, grid[[3, 3, 20]]),
        "constant": (np.full((20, 3), 2.5), np.full((2, 3), 2.5)),
        "zeros": (np.r_[np.zeros((4, 2)), RNG.normal(size=(20, 2))], np.zeros((1, 2))),
        "one dimension": (RNG.normal(size=(40, 1)), RNG.normal(size=(3, 1))),
        "one candidate": (np.array([[1.0, 2.0]]), np.array([[0.0, 1.0]])),
        "float32": (
            RNG.normal(size=(70, 8)).astype(np.float32),
            RNG.normal(size=(9, 8)).astype(np.float32),
        ),
        "float16": (
            RNG.normal(size=(50, 8)).astype(np.float16),
            RNG.normal(size=(5, 8)).astype(np.float16),
        ),
        "far away": (RNG.normal(size=(60, 4)) + 1e4, RNG.normal(size=(5, 4)) + 1e4),
    }


POOLS = adversarial()


def batches(n):
    return sorted({1, min(7, n), n})


@pytest.fixture(params=list(POOLS), ids=str)
def pool(request):
    return POOLS[request.param]


def assert_batch(indices, scores, n_instances, n):
    assert indices.dtype == np.int64 and indices.shape == scores.shape == (n_instances,)
    assert (
        len(np.unique(indices)) == n_instances
        and indices.min() >= 0
        and indices.max() < n
    )
    assert np.isfinite(scores).all()


# -- neighbours ------------------------------------------------------------------------


@pytest.mark.parametrize("n_neighbors", [1, 3])
def test_k_nearest_is_its_definition(pool, n_neighbors):
    X, L = pool
    L = X[:2] if L is None else L
    utilities = RNG.integers(0, 3, size=len(L)) / 2
    for n_instances in batches(len(X)):
        options = {"labelled": L, "utilities": utilities, "n_neighbors": n_neighbors}
        indices, scores = selectors.k_nearest(X, n_instances, **options)
        expected, given = slow.k_nearest(
            np.asarray(X, np.float64), L, utilities, n_instances, n_neighbors
        )
        np.testing.assert_array_equal(indices, expected)
        np.testing.assert_array_equal(scores, given)
        np.testing.assert_array_equal(
            selectors.k_nearest(X, n_instances, chunk_rows=7, **options)[0], expected
        )


def test_k_nearest_gives_neighbours_and_not_the_inverse_permutation():
    # Elsewhere the sorted order was inverted, and neighbours came in the order of a
    # set's hashes.
    X = np.array([[5.0], [0.3], [9.0], [0.1], [0.2]])
    assert selectors.k_nearest(X, 3, labelled=[[0.0]], n_neighbors=3)[0].tolist() == [
        3,
        4,
        1,
    ]
    assert selectors.k_nearest(
        X, 3, labelled=[[0.0], [8.0]], utilities=[0, 1], n_neighbors=1
    )[0].tolist() == [2, 3, 0]


def test_k_nearest_metrics_and_ties():
    X, L = RNG.normal(size=(60, 3)), RNG.normal(size=(4, 3))
    cosine = 1 - slow.normalised(X)[:, :3] @ slow.normalised(L)[:, :3].T
    indices, _ = selectors.k_nearest(X, 6, labelled=L, n_neighbors=6, metric="cosine")
    np.testing.assert_array_equal(indices, np.argsort(cosine[:, 0])[:6])
    manhattan = np.abs(X[:, None] - L).sum(axis=2)
    indices, _ = selectors.k_nearest(
        X, 6, labelled=L, n_neighbors=6, metric="manhattan"
    )
    np.testing.assert_array_equal(indices, np.argsort(manhattan[:, 0])[:6])
    ties = [
        tuple(
            selectors.k_nearest(
                np.ones((9, 2)),
                3,
                labelled=L[:, :2],
                random_tie_break=True,
                random_state=s,
            )[0]
        )
        for s in range(5)
    ]
    assert len(set(ties)) > 1


def test_distance_to_mean(pool):
    X, _ = pool
    expected = np.linalg.norm(X - np.asarray(X, np.float64).mean(axis=0), axis=1)
    np.testing.assert_allclose(
        measures.distance_to_mean(X), expected, atol=1e-9 * np.abs(X).max()
    )
    tensor = torch.from_numpy(np.ascontiguousarray(X))
    np.testing.assert_array_equal(
        measures.distance_to_mean(tensor), measures.distance_to_mean(X)
    )


# -- k-means ---------------------------------------------------------------------------


def test_kmeans_is_as_good_as_scikit_learns(digits):
    X = digits[0].reshape(len(digits[0]), -1).astype(np.float32)
    rows = _kmeans.host_rows(X, normalize=False)
    for k in (10, 100):
        labels, centres = _kmeans.kmeans(rows.copy(), k, random_state=0)
        inertia = ((rows - centres[labels]) ** 2).sum()
        assert labels.shape == (len(X),) and len(centres) == k
        assert inertia < 1.05 * KMeans(k, n_init=1, random_state=0).fit(rows).inertia_


def test_kmeans_by_faiss_where_it_is_installed(monkeypatch):
    class Search:
        def __init__(self, d, k, **options):
            assert (
                options["niter"] == _kmeans._MAX_ITER
                and options["max_points_per_centroid"] >= 60
            )
            self.index = self

        def train(self, rows, init_centroids):
            self.centroids = init_centroids

        def search(self, rows, k):
            distances = slow.squared_distances(rows, self.centroids)
            return distances.min(axis=1)[:, None], distances.argmin(axis=1)[:, None]

    faiss = types.ModuleType("faiss")
    faiss.Kmeans = Search
    monkeypatch.setitem(sys.modules, "faiss", faiss)
    X = RNG.normal(size=(60, 3))
    assert_batch(*selectors.kmeans_sampling(X, 9, random_state=0), 9, 60)
    assert_batch(*selectors.typiclust(X, 9, random_state=0), 9, 60)


def test_kmeans_sampling_is_the_nearest_point_of_each_cluster(pool):
    X, _ = pool
    for n_instances in batches(len(X)):
        indices, scores = selectors.kmeans_sampling(X, n_instances, random_state=3)
        assert_batch(indices, scores, n_instances, len(X))
        assert (np.diff(scores) <= 0).all() and scores.sum() <= 1 + 1e-9
        rows = _kmeans.host_rows(as_rows(X, "X"), normalize=False)
        labels, centres = _kmeans.kmeans(
            rows, n_instances, random_state=np.random.default_rng(3)
        )
        chosen, _ = _kmeans.nearest_to_centres(
            rows, labels, centres, n_instances, np.arange(len(X))
        )
        if len(np.unique(np.bincount(labels))) == len(
            np.bincount(labels)
        ):  # else ties of equal clusters
            assert chosen.tolist() == slow.nearest_to_centres(
                rows, labels, centres, n_instances
            )
        assert set(chosen.tolist()) == set(
            slow.nearest_to_centres(rows, labels, centres, n_instances)
        )
        np.testing.assert_array_equal(indices, chosen)


# -- TypiClust -------------------------------------------------------------------------


def test_typiclust_is_its_definition(pool):
    X, L = pool
    rows = _kmeans.host_rows(
        *[as_rows(a, "X") for a in ([X] if L is None else [X, L])], normalize=True
    )
    for n_instances in batches(len(X)):
        labels = RNG.integers(0, 5, size=len(rows))
        labels[: min(3, len(labels))] = 5  # a cluster too small to ask first
        labels = np.unique(labels, return_inverse=True)[1]
        indices, scores = _typiclust.most_typical(
            rows, labels, np.arange(len(X)), n_instances
        )
        expected, typicality = slow.most_typical(rows, labels, len(X), n_instances)
        np.testing.assert_array_equal(indices, expected)
        np.testing.assert_allclose(scores, typicality, rtol=1e-5)
        assert_batch(
            *selectors.typiclust(X, n_instances, labelled=L, random_state=0),
            n_instances,
            len(X),
        )


def test_typiclust_asks_first_where_nothing_is_labelled():
    angles = np.r_[
        RNG.normal(0, 0.02, 60), RNG.normal(1, 0.02, 30), RNG.normal(2, 0.02, 15)
    ]
    X = np.c_[np.cos(angles), np.sin(angles)] * RNG.uniform(
        0.5, 20, size=(105, 1)
    )  # lengths must not matter
    indices, _ = selectors.typiclust(X, 3, max_clusters=3, random_state=0)
    assert [int(i >= 60) + int(i >= 90) for i in indices] == [
        0,
        1,
        2,
    ]  # from the largest to the smallest
    indices, _ = selectors.typiclust(
        X[60:], 1, labelled=X[:60], max_clusters=3, random_state=0
    )
    assert indices[0] < 30
    indices, _ = selectors.typiclust(
        X, 2, labelled=X[60:61], max_clusters=3, random_state=0
    )
    assert indices[0] < 60 and indices[1] >= 90


# -- ProbCover -------------------------------------------------------------------------


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("n_edges", [0, 40, 2**25], ids="{} edges".format)
@pytest.mark.parametrize("radius", [0.0, 0.123, 0.457, 1.234, 2.0])
def test_probcover_is_its_definition(pool, radius, n_edges, monkeypatch):
    monkeypatch.setattr(_probcover, "_EDGES", n_edges)
    X, L = pool
    for n_instances in batches(len(X)):
        indices, scores = selectors.probcover(X, n_instances, labelled=L, radius=radius)
        assert_batch(indices, scores, n_instances, len(X))
        expected, degrees = slow.probcover(X, n_instances, radius, L)
        # Rows of one direction and several lengths are rounded when normalised: no ball
        # of radius 0 holds them.
        if radius > 0 or len(np.unique(slow.normalised(X).round(6), axis=0)) == len(X):
            np.testing.assert_array_equal(indices[: len(expected)], expected)
            np.testing.assert_allclose(scores[: len(expected)] * len(X), degrees)
        assert (scores[len(expected) :] == 0).all()
        for chunk_rows in (3, 1000):
            chunked = selectors.probcover(
                X, n_instances, labelled=L, radius=radius, chunk_rows=chunk_rows
            )
            np.testing.assert_array_equal(chunked[0], indices)


def test_probcover_goes_on_without_repeating_once_all_is_covered():
    # Elsewhere no edge was left, the largest of equal zeros was taken again and again,
    # and the last rows had no edges.
    X = np.concatenate(
        [RNG.normal(c, 0.01, size=(10, 2)) for c in ([1, 0], [0, 1], [-1, 0])]
    )
    indices, scores = selectors.probcover(X, 12, radius=0.5)
    assert {int(i) // 10 for i in indices[:3]} == {0, 1, 2} and (scores[3:] == 0).all()
    assert len(set(indices.tolist())) == 12
    assert selectors.probcover(X[::-1], 1, radius=1.5)[0][0] >= 0
    last = np.r_[RNG.normal(size=(4, 2)) + [50, 0], np.tile([[-1.0, 0.5]], (40, 1))]
    assert selectors.probcover(last, 1, radius=0.1)[0][0] == 4


def test_purity_radius_is_the_largest_pure_one(digits):
    X = digits[0].reshape(len(digits[0]), -1)[:300].astype(np.float64)
    rows = _kmeans.host_rows(X, normalize=True)
    labels, _ = _kmeans.kmeans(rows, 10, random_state=np.random.default_rng(0))
    for share in (0.95, 0.6, 1.0):
        radius = selectors.purity_radius(X, n_clusters=10, purity=share, random_state=0)
        assert slow.purity(X, labels, radius) >= share
        assert slow.purity(X, labels, radius * (1 + 1e-4)) < share
    assert selectors.purity_radius(np.ones((9, 2)), random_state=0) == 2.0
    with pytest.raises(ValueError, match="purity must be"):
        selectors.purity_radius(X, purity=0)
    with pytest.raises(ValueError, match="radius must be"):
        selectors.probcover(X, 3, radius=-1.0)


def test_probcover_covers_a_sample_of_a_large_pool():
    X = RNG.normal(size=(400, 3))
    whole, scores = selectors.probcover(X, 5, radius=0.5)
    indices, sampled = selectors.probcover(
        X, 5, radius=0.5, n_reference=300, random_state=0
    )
    assert_batch(indices, sampled, 5, 400)
    assert abs(sampled[0] - scores[0]) < 0.05
    assert whole.tolist() != list(range(5))


# -- herding ---------------------------------------------------------------------------


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("bandwidth", [1.0, 0.2, 0.01])
@pytest.mark.parametrize("weighted", [False, True])
def test_max_herding_is_its_definition(pool, bandwidth, weighted):
    X, L = pool
    weights = None
    if weighted:
        weights = RNG.random(len(X))
        weights[::4] = 0
    for n_instances in batches(len(X)):
        options = {"labelled": L, "utilities": weights, "bandwidth": bandwidth}
        indices, scores = selectors.max_herding(X, n_instances, **options)
        assert_batch(indices, scores, n_instances, len(X))
        expected, gains = slow.max_herding(X, n_instances, L, weights, bandwidth)
        np.testing.assert_allclose(scores, gains, atol=1e-6)
        if np.asarray(X).dtype == np.float64 and len(np.unique(X, axis=0)) == len(X):
            differ = np.flatnonzero(indices != expected)
            # Rows are rounded to float32: only gains that differ by that may change
            # places.
            assert len(differ) == 0 or abs(gains[differ[0]] - scores[differ[0]]) < 1e-6
        np.testing.assert_array_equal(
            selectors.max_herding(X, n_instances, chunk_rows=5, **options)[0], indices
        )


@pytest.mark.parametrize("scale", [1e-46, 1e42])
def test_max_herding_of_weights_that_float32_cannot_hold(scale):
    X, weights = RNG.normal(size=(60, 4)), RNG.random(60)
    expected, gains = selectors.max_herding(X, 10, utilities=weights)
    indices, scores = selectors.max_herding(X, 10, utilities=weights * scale)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(scores, gains * scale, rtol=1e-9)


def test_max_herding_picks_are_those_of_the_definition_and_masked():
    X, L = RNG.normal(size=(120, 6)), RNG.normal(size=(10, 6))
    for labelled in (None, L):
        indices, _ = selectors.max_herding(X, 60, labelled=labelled)
        np.testing.assert_array_equal(indices, slow.max_herding(X, 60, labelled)[0])
    # Elsewhere points already picked came again once they were the best of nothing.
    assert sorted(selectors.max_herding(np.ones((6, 2)), 6)[0].tolist()) == list(
        range(6)
    )
    again = [
        tuple(
            selectors.max_herding(
                np.ones((9, 2)), 4, random_tie_break=True, random_state=s
            )[0]
        )
        for s in range(4)
    ]
    assert len(set(again)) > 1


def test_the_reference_sample_is_unbiased_and_holds_what_is_certain():
    weights = RNG.random(50) ** 4
    weights[3] = 30.0
    values = RNG.normal(size=50)
    total, counts = 0.0, np.zeros(50)
    for seed in range(3000):
        positions, shares = _herding.draw_reference(
            weights, 12, np.random.default_rng(seed)
        )
        assert len(positions) == len(np.unique(positions)) <= 12
        counts[positions] += 1
        total += (shares * values[positions]).sum()
    assert counts[3] == 3000 and counts.sum() == 36000
    np.testing.assert_allclose(total / 3000, (weights * values).mean(), atol=0.01)
    positions, shares = _herding.draw_reference(weights, 50, np.random.default_rng(0))
    np.testing.assert_allclose(shares, weights / 50)
    few = np.where(np.arange(50) < 5, 1.0, 0.0)
    assert set(_herding.draw_reference(few, 12, np.random.default_rng(0))[0]) == set(
        range(5)
    )


def test_max_herding_on_a_small_sample_ties_among_different_points():
    # Two points of the sample that cover each other alone: each adds as much.
    X = np.random.default_rng(0).normal(size=(300, 8))
    options = {"n_reference": 50, "random_state": 2}
    plain, gains = selectors.max_herding(X, 13, **options)
    mixed, others = selectors.max_herding(X, 13, random_tie_break=True, **options)
    np.testing.assert_array_equal(plain[:12], mixed[:12])
    assert plain[12] != mixed[12]
    np.testing.assert_allclose(gains, others, rtol=1e-9)


def test_max_herding_on_a_sample_is_nearly_as_good():
    X = RNG.normal(size=(1000, 5))
    kernel = np.exp(-slow.squared_distances(slow.normalised(X), slow.normalised(X)))
    chosen = [
        selectors.max_herding(X, 20, n_reference=m, random_state=0)[0]
        for m in (300, 1000)
    ]
    coverage = [kernel[indices].max(axis=0).mean() for indices in chosen]
    at_random = kernel[:20].max(axis=0).mean()
    assert coverage[0] > coverage[1] - 0.02 and coverage[0] > at_random


def test_least_distance_and_temperature():
    L = RNG.normal(size=(700, 3))
    distances = np.sqrt(slow.squared_distances(slow.normalised(L), slow.normalised(L)))
    np.testing.assert_allclose(
        measures.least_distance(L), distances[distances > 1e-6].min(), rtol=1e-3
    )
    assert measures.least_distance(np.r_[L, L * 2]) == pytest.approx(
        measures.least_distance(L), rel=1e-3
    )
    assert (
        measures.least_distance(L[:1])
        == measures.least_distance(np.ones((5, 2)))
        == 1.0
    )
    logits = RNG.normal(size=(4000, 4)) * 2
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = (truth.cumsum(axis=1) < RNG.random((4000, 1))).sum(axis=1)
    for temperature in (0.3, 1.0, 3.0):
        seen = measures.at_temperature(
            truth, temperature
        )  # as if by a classifier too sure, or not sure enough
        assert measures.calibrated_temperature(seen, y) == pytest.approx(
            1 / temperature, rel=0.1
        )
    exact = measures.at_temperature(np.array([[1.0, 0.0], [0.5, 0.5]]), 2.0)
    assert np.isfinite(exact).all() and exact[0, 0] > 0.99 and exact[1, 0] == 0.5
    assert measures.calibrated_temperature(truth, np.full(4000, -1)) == 1.0


# -- LCMD ------------------------------------------------------------------------------


def test_lcmd_is_its_definition(pool):
    X, L = pool
    for n_instances in batches(len(X)):
        indices, scores = selectors.lcmd(X, n_instances, labelled=L)
        assert_batch(indices, scores, n_instances, len(X))
        expected, distances = slow.lcmd(X, n_instances, L)
        np.testing.assert_array_equal(indices, expected)
        np.testing.assert_allclose(scores, distances, rtol=1e-9, atol=1e-9)
        chunked = selectors.lcmd(X, n_instances, labelled=L, chunk_rows=6)
        np.testing.assert_array_equal(chunked[0], indices)
        np.testing.assert_array_equal(chunked[1], scores)


def test_lcmd_takes_the_largest_cluster_not_the_farthest_point():
    X = np.r_[np.linspace(1, 2, 40)[:, None], [[104.0]]]
    assert selectors.lcmd(X, 1, labelled=[[0.0], [100.0]])[0].tolist() == [39]
    assert selectors.k_center(X, 1, labelled=[[0.0], [100.0]])[0].tolist() == [40]


# -- all of them -----------------------------------------------------------------------

SELECTORS = {
    "k_nearest": partial(selectors.k_nearest, n_neighbors=3),
    "kmeans_sampling": selectors.kmeans_sampling,
    "typiclust": selectors.typiclust,
    "probcover": partial(selectors.probcover, n_clusters=3),
    "max_herding": selectors.max_herding,
    "lcmd": selectors.lcmd,
}


def options_of(name, L):
    return {} if name == "kmeans_sampling" else {"labelled": L}


@pytest.mark.parametrize("name", SELECTORS)
def test_any_kind_of_array(name, tmp_path):
    select = SELECTORS[name]
    X, L = (
        RNG.normal(size=(200, 6)).astype(np.float32),
        RNG.normal(size=(8, 6)).astype(np.float32),
    )
    expected = select(X, 20, random_state=1, **options_of(name, L))
    np.save(tmp_path / "X.npy", X)
    before = X.copy()
    wide = np.zeros((200, 12), dtype=np.float32)
    wide[:, ::2] = X
    for other in (
        torch.from_numpy(X),
        torch.from_numpy(X).double().requires_grad_(),
        np.load(tmp_path / "X.npy", mmap_mode="r"),
        wide[:, ::2],
        np.asfortranarray(X),
        X.astype(np.float64).tolist(),
    ):
        got = select(other, 20, random_state=1, **options_of(name, L))
        np.testing.assert_array_equal(got[0], expected[0])
        np.testing.assert_allclose(got[1], expected[1], rtol=1e-5)
    np.testing.assert_array_equal(X, before)
    integers = RNG.integers(0, 9, size=(50, 3))
    assert_batch(
        *select(integers, 9, random_state=0, **options_of(name, integers[:4])), 9, 50
    )


@pytest.mark.parametrize("name", SELECTORS)
def test_bad_input_is_refused(name):
    select = SELECTORS[name]
    X, L = RNG.normal(size=(30, 3)), RNG.normal(size=(4, 3))
    for bad in (np.nan, np.inf):
        broken = X.copy()
        broken[7, 1] = bad
        with pytest.raises(ValueError, match="NaN"), np.errstate(invalid="ignore"):
            select(broken, 3, random_state=0, **options_of(name, L))
    for n_instances in (0, 31, 2.5):
        with pytest.raises(ValueError, match="n_instances"):
            select(X, n_instances, **options_of(name, L))
    if name != "kmeans_sampling":
        with pytest.raises(ValueError, match="columns"):
            select(X, 3, labelled=L[:, :2])
    with pytest.raises(ValueError, match="matrix"):
        select(X[0], 1, **options_of(name, L))


@pytest.mark.parametrize("name", SELECTORS)
def test_determinism_and_huge_values(name):
    select = SELECTORS[name]
    X, L = RNG.normal(size=(80, 3)), RNG.normal(size=(4, 3))
    for random_tie_break in (False, True):
        ties = {"random_tie_break": random_tie_break, **options_of(name, L)}
        first, again = (select(X, 15, random_state=5, **ties) for _ in range(2))
        np.testing.assert_array_equal(first[0], again[0])
        np.testing.assert_array_equal(first[1], again[1])
    for scale in (2.0**-66, 2.0**66):
        scaled = select(X * scale, 15, random_state=5, **options_of(name, L * scale))
        np.testing.assert_array_equal(
            scaled[0], select(X, 15, random_state=5, **options_of(name, L))[0]
        )


# -- the strategies --------------------------------------------------------------------


@pytest.fixture(scope="module")
def taught(digits):
    X, y = digits[0].reshape(len(digits[0]), -1).astype(np.float32) / 255, digits[1]
    return checks._Learner(
        LogisticRegression(max_iter=300).fit(X[:80], y[:80]), X[:80], y[:80]
    ), X[100:400]


@pytest.mark.parametrize("name", ["typiclust", "max_herding", "lcmd"])
def test_strategies_are_their_selectors(name, taught):
    learner, X = taught
    chosen = getattr(strategies, name)(learner, X, 12, random_state=2)
    expected = getattr(selectors, name)(
        X, 12, labelled=learner.X_training, random_state=2
    )
    np.testing.assert_array_equal(chosen[0], expected[0])
    other = getattr(strategies, name)(learner, X, 12, X_labelled=X[:5], random_state=2)
    np.testing.assert_array_equal(
        other[0], getattr(selectors, name)(X, 12, labelled=X[:5], random_state=2)[0]
    )


def test_k_nearest_probcover_and_centre_of_gravity_strategies(taught):
    learner, X = taught
    uncertain = measures.margin(inference.predict_proba(learner, learner.X_training))
    options = {"labelled": learner.X_training, "utilities": uncertain}
    np.testing.assert_array_equal(
        strategies.k_nearest(learner, X, 9)[0], selectors.k_nearest(X, 9, **options)[0]
    )
    options = {"labelled": learner.X_training, "n_clusters": 10, "random_state": 0}
    np.testing.assert_array_equal(
        strategies.probcover(learner, X, 9, random_state=0)[0],
        selectors.probcover(X, 9, **options)[0],
    )
    distances = np.linalg.norm(X - X.astype(np.float64).mean(axis=0), axis=1)
    assert (
        strategies.centre_of_gravity(learner, X, 4)[0].tolist()
        == np.argsort(-distances)[:4].tolist()
    )
    assert (
        strategies.centre_of_gravity(learner, X, 4, order="nearest")[0].tolist()
        == np.argsort(distances)[:4].tolist()
    )
    with pytest.raises(ValueError, match="Unknown order 'up'"):
        strategies.centre_of_gravity(learner, X, order="up")


@pytest.mark.parametrize(
    "name",
    [
        "k_nearest",
        "centre_of_gravity",
        "kmeans_sampling",
        "typiclust",
        "probcover",
        "max_herding",
        "lcmd",
    ],
)
def test_they_work_without_classifier_and_labels(name, taught):
    X = taught[1]
    assert_batch(*getattr(strategies, name)(None, X, 8, random_state=0), 8, len(X))


def test_u_herding_is_max_herding_weighted_and_narrowed(taught):
    learner, X = taught
    proba = inference.predict_proba(learner, X)
    width = measures.least_distance(learner.X_training)
    for temperature in (1.0, 2.5):
        weights = measures.margin(measures.at_temperature(proba, temperature))
        expected = selectors.max_herding(
            X, 15, labelled=learner.X_training, utilities=weights, bandwidth=width
        )
        chosen = strategies.u_herding(learner, X, 15, temperature=temperature)
        np.testing.assert_array_equal(chosen[0], expected[0])
        np.testing.assert_allclose(chosen[1], expected[1])
    # A narrow kernel leaves uncertainty sampling: the limit of many labels.
    narrow, _ = strategies.u_herding(learner, X, 15, temperature=1.0, bandwidth=1e-3)
    np.testing.assert_array_equal(narrow, strategies.margin(learner, X, 15)[0])


def test_u_herding_calibrates_on_what_was_held_out(digits):
    X, y = digits[0].reshape(len(digits[0]), -1).astype(np.float32) / 255, digits[1]

    class TooSure(LogisticRegression):
        def predict_proba(self, rows):
            return measures.at_temperature(super().predict_proba(rows), 0.5)

    from al_sklearn.strategies.named._geometric import _held_out_temperature

    found = [
        _held_out_temperature(
            cls(max_iter=500).fit(X[:200], y[:200]), X[:200], y[:200], 3, 0
        )
        for cls in (LogisticRegression, TooSure)
    ]
    assert found[1] == pytest.approx(2 * found[0], rel=0.1)
    assert _held_out_temperature(LogisticRegression(), X[:5], y[:5], 3, 0) == 1.0
    assert (
        _held_out_temperature(LogisticRegression(), X[:50], np.zeros(50), 3, 0) == 1.0
    )
    assert _held_out_temperature(object(), X[:50], y[:50], 3, 0) == 1.0
    rare = np.array(
        ["a"] * 20 + ["b"]
    )  # in one fold's training data there is one class alone
    assert _held_out_temperature(LogisticRegression(), X[:21], rare, 3, 0) > 0


def test_calibration_learns_the_labels_taught_not_those_inside_a_data_set():
    import torch
    from skorch import NeuralNetClassifier
    from torch import nn
    from torch.utils.data import TensorDataset

    from al_sklearn.learners import ActiveLearner
    from al_sklearn.strategies.named._geometric import _held_out_temperature

    X = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    right = (X[:, 0] > 0).astype(np.int64)
    temperatures = []
    for inside in (right, 1 - right):
        net = NeuralNetClassifier(
            nn.Linear,
            module__in_features=2,
            module__out_features=2,
            criterion=nn.CrossEntropyLoss,
            max_epochs=40,
            lr=0.5,
            train_split=None,
            verbose=0,
        )
        data = TensorDataset(torch.from_numpy(X), torch.from_numpy(inside))
        learner = ActiveLearner(net, X_training=data, y_training=right)
        temperatures.append(
            _held_out_temperature(learner, learner.X_training, learner.y_training, 3, 0)
        )
    assert temperatures[0] == pytest.approx(temperatures[1]) and temperatures[0] < 5
