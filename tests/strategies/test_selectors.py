"""Selectors against slow references, on generic and on adversarial input."""

from __future__ import annotations

import copy
import inspect
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import chisquare

from al_sklearn.strategies import measures, selectors
from al_sklearn.strategies._engine import distances as _blocks
from al_sklearn.strategies._engine import greedy as _greedy
from al_sklearn.strategies._engine import labelled_bounds as _labelled_bounds
from al_sklearn.strategies.selectors import (
    _kmeans_plusplus,
    gradient_kmeans_plusplus,
    k_center,
    kmeans_plusplus,
    top_k,
)

from . import references_selectors as reference

METRICS = ["euclidean", "manhattan", "cosine"]


@pytest.fixture(scope="module")
def features(digits):
    """Real images as features: many distances exactly equal, clusters, columns of
    zeros."""
    X, _ = digits
    return X.reshape(len(X), -1).astype(np.float32)


@pytest.fixture
def small_blocks(monkeypatch):
    """Tiles and blocks so small that every path is taken on a small pool."""
    monkeypatch.setattr(_blocks, "TILE_VALUES", 64)
    monkeypatch.setattr(_blocks, "COLUMNS", 7)
    monkeypatch.setattr(_greedy, "_BLOCK_VALUES", 1)
    monkeypatch.setattr(_greedy, "_FEWEST", 20)


def assert_same_batch(got, expected, rtol=1e-9):
    indices, scores = got
    assert indices.dtype == np.int64
    np.testing.assert_array_equal(indices, expected[0])
    np.testing.assert_allclose(scores, expected[1], rtol=rtol, atol=1e-12)


# top_k


@settings(max_examples=200, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float16, np.float32, np.float64]),
        st.integers(1, 60),
        elements=st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 0.5, 1.0, np.inf]),
    ),
    st.data(),
)
def test_top_k_is_a_stable_sort(scores, data):
    k = data.draw(st.integers(1, len(scores)))
    before = scores.copy()
    indices, values = top_k(scores, k)
    expected, expected_values = reference.top_k(scores, k)
    assert indices.dtype == np.int64
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(values, expected_values)
    np.testing.assert_array_equal(scores, before)


@pytest.mark.parametrize("n", [65536, 200_003])
@pytest.mark.parametrize(
    "kind",
    [
        "generic",
        "sorted",
        "reversed",
        "tied",
        "constant",
        "periodic",
        "few",
        "infinite",
    ],
)
@pytest.mark.parametrize("k", [1, 1000])
def test_top_k_through_a_sample_is_exact(n, kind, k):
    rng = np.random.default_rng(0)
    scores = {
        "generic": lambda: rng.random(n),
        "sorted": lambda: np.arange(n, dtype=np.float32),
        "reversed": lambda: -np.arange(n, dtype=np.float32),
        "tied": lambda: rng.integers(0, 5, n).astype(np.float32),
        "constant": lambda: np.zeros(n),
        "periodic": lambda: (
            (np.arange(n) % (n // 16384) == 0) * rng.random(n)
        ),  # the sample sees the large ones alone
        "few": lambda: (np.arange(n) % (n // 16384) == 1) * 1.0,  # … or none of them
        "infinite": lambda: np.where(rng.random(n) < 0.5, -np.inf, np.inf),
    }[kind]()
    np.testing.assert_array_equal(top_k(scores, k)[0], reference.top_k(scores, k)[0])


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64]
)
def test_top_k_of_tensors(dtype):
    scores = (
        torch.rand(500, generator=torch.Generator().manual_seed(0))
        .to(dtype)
        .requires_grad_()
    )
    indices, values = top_k(scores, 20)
    expected, _ = reference.top_k(scores.detach().double().numpy(), 20)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(values, scores.detach().double().numpy()[expected])


def test_top_k_breaks_ties_at_random_among_all_that_tie():
    scores = np.array([0.0, 1.0, 1.0, 2.0, 1.0, 1.0])
    rng = np.random.default_rng(0)
    draws = [
        tuple(top_k(scores, 3, random_tie_break=True, random_state=rng)[0])
        for _ in range(2400)
    ]
    assert {draw[0] for draw in draws} == {3}
    pairs, counts = np.unique([draw[1:] for draw in draws], axis=0, return_counts=True)
    assert len(pairs) == 12  # ordered pairs of the four that tie
    assert chisquare(counts).pvalue > 1e-4
    assert draws[0] == tuple(
        top_k(scores, 3, random_tie_break=True, random_state=np.random.default_rng(0))[
            0
        ]
    )


def test_top_k_does_not_draw_without_being_asked():
    rng = np.random.default_rng(0)
    state = rng.bit_generator.state
    top_k([1.0, 1.0], 1, random_state=rng)
    assert rng.bit_generator.state == state


@pytest.mark.parametrize("n_nan", [1, 50, 60_000, 200_000])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_top_k_finds_nan_among_many(n_nan, kind):
    scores = np.random.default_rng(0).random(200_000).astype(kind)
    scores[np.random.default_rng(1).permutation(200_000)[:n_nan]] = np.nan
    with pytest.raises(ValueError, match=f"{n_nan} NaN of 200000"):
        top_k(scores, 100)


@pytest.mark.parametrize("scores", [[1.0, np.nan], [np.nan], [np.inf, -np.inf, np.nan]])
def test_top_k_refuses_nan(scores):
    # NaN sorts first in a descending order made by reversing: the entropy of p = 0 used
    # to win.
    with pytest.raises(ValueError, match="NaN"):
        top_k(scores, 1)
    with pytest.raises(ValueError, match="NaN"):
        top_k(torch.tensor(scores), 1)


def test_top_k_refuses_what_cannot_be():
    with pytest.raises(ValueError, match="one-dimensional"):
        top_k(np.zeros((2, 2)), 1)
    for k in (0, 4, -1):
        with pytest.raises(ValueError, match="1 to 3"):
            top_k([1.0, 2.0, 3.0], k)
    with pytest.raises(ValueError, match="empty"):
        top_k([], 1)


def test_top_k_takes_strided_integer_and_read_only_scores():
    scores = np.arange(20)[::-2]
    scores.flags.writeable = False
    assert top_k(scores, 3)[0].tolist() == [0, 1, 2]


# k_center


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n_labelled", [0, 1, 40])
def test_k_center_chooses_as_the_textbook_loop(features, metric, n_labelled):
    X, L = features[:700], features[1000 : 1000 + n_labelled]
    assert_same_batch(
        k_center(X, 60, labelled=L, metric=metric), reference.k_center(X, 60, L, metric)
    )


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n_labelled", [0, 30])
@pytest.mark.parametrize("weighted", [False, True])
def test_k_center_in_tiny_blocks(features, metric, n_labelled, weighted, small_blocks):
    X, L = features[:400], features[1000 : 1000 + n_labelled]
    w = (
        np.random.default_rng(0).random(400) * (np.arange(400) % 3 > 0)
        if weighted
        else None
    )
    expected = reference.k_center(X, 300, L, metric, w)
    if (
        weighted
    ):  # what has weight 0 has score 0 and comes by position, as duplicates do
        assert (expected[1][-30:] == 0).all()
    assert_same_batch(
        k_center(X, 300, labelled=L, metric=metric, utilities=w), expected
    )


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n_instances", [5, 120, 400])
@pytest.mark.parametrize("weighted", [False, True])
def test_k_center_where_few_meet_all_labelled_ones(
    features, metric, n_instances, weighted, small_blocks, monkeypatch
):
    for name, value in {"_FIRST": 3, "_STEP": 8, "_SAMPLE": 10}.items():
        monkeypatch.setattr(_labelled_bounds, name, value)
    met = []
    start = _labelled_bounds.LabelledBounds.start

    def watched(self, n_instances):
        start(self, n_instances)
        met.append(np.mean(self.met == self.n_segments))

    monkeypatch.setattr(_labelled_bounds.LabelledBounds, "start", watched)
    X, L = features[:400], features[1000:1090]
    w = (
        np.random.default_rng(0).random(400) * (np.arange(400) % 3 > 0)
        if weighted
        else None
    )
    expected = reference.k_center(X, n_instances, L, metric, w)
    assert_same_batch(
        k_center(X, n_instances, labelled=L, metric=metric, utilities=w), expected
    )
    assert (
        n_instances > 5 or met[0] < 0.5
    )  # the few that were wanted left most rows alone


def test_k_center_of_many_reads_most_labelled_rows_for_few_of_them():
    rng = np.random.default_rng(0)
    X, L = rng.standard_normal((9000, 8)), rng.standard_normal((700, 8))
    assert_same_batch(k_center(X, 40, labelled=L), reference.k_center(X, 40, L))
    X[5000, 3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        k_center(X, 40, labelled=L)
    X[5000, 3], L[650, 0] = 0, np.inf
    with pytest.raises(ValueError, match="infinity"):
        k_center(X, 40, labelled=L)


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("d", [1, 2, 33])
def test_k_center_on_random_features(seed, d):
    rng = np.random.default_rng(seed)
    X, L = rng.standard_normal((1500, d)), rng.standard_normal((20, d))
    assert_same_batch(k_center(X, 150, labelled=L), reference.k_center(X, 150, L))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_k_center_contract_on_grids(data):
    """Few distinct points: ties, duplicates and distance 0 everywhere."""
    d = data.draw(st.integers(1, 3))
    n, n_labelled = data.draw(st.integers(1, 30)), data.draw(st.integers(0, 4))
    grid = st.integers(-2, 2).map(float)
    X = data.draw(hnp.arrays(np.float32, (n, d), elements=grid))
    L = data.draw(hnp.arrays(np.float32, (n_labelled, d), elements=grid))
    metric = data.draw(st.sampled_from(["euclidean", "manhattan"]))
    b = data.draw(st.integers(1, n))
    indices, scores = k_center(X, b, labelled=L, metric=metric)
    assert len(set(indices.tolist())) == b
    assert (np.diff(scores) <= 0).all()
    assert_same_batch((indices, scores), reference.k_center(X, b, L, metric))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("n_labelled", [0, 3])
def test_k_center_of_constant_features_goes_by_position(metric, dtype, n_labelled):
    X = np.full((3000, 5), 0.1 if np.dtype(dtype).kind == "f" else 7).astype(dtype)
    indices, scores = k_center(X, 2500, labelled=X[:n_labelled], metric=metric)
    np.testing.assert_array_equal(indices, np.arange(2500))
    assert (scores == 0).all()


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("metric", METRICS)
def test_k_center_duplicates_are_exactly_zero_away(features, metric):
    """Rounding must not make a copy of a chosen point worth a label before everything
    else is covered."""
    X = np.concatenate([features[:50]] * 4) * np.float32(1 / 3)
    indices, scores = k_center(X, 200, labelled=X[:1], metric=metric)
    assert set(indices[:49].tolist()) == set(range(1, 50))
    assert (scores[:49] > 0).all()
    assert (scores[49:] == 0).all()
    assert sorted(indices.tolist()) == list(range(200))
    np.testing.assert_array_equal(indices[49:], np.sort(indices[49:]))


@pytest.mark.parametrize("offset", [1e3, 1e6])
@pytest.mark.parametrize("n_labelled", [0, 20])
def test_k_center_far_from_the_origin(offset, n_labelled):
    """|x|² + |c|² - 2xc has no digits left here; the differences have."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 8)) + offset
    L = X[:n_labelled]
    assert_same_batch(
        k_center(X, 80, labelled=L), reference.k_center(X, 80, L), rtol=1e-6
    )
    X32 = X.astype(np.float32)
    assert_same_batch(
        k_center(X32, 80, labelled=X32[:n_labelled]),
        reference.k_center(X32, 80, X32[:n_labelled]),
    )


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e30])
@pytest.mark.parametrize("metric", METRICS)
def test_k_center_of_any_size(scale, metric):
    rng = np.random.default_rng(0)
    X, L = rng.standard_normal((300, 6)) * scale, rng.standard_normal((10, 6)) * scale
    indices, scores = k_center(X, 40, labelled=L, metric=metric)
    expected, expected_scores = reference.k_center(X, 40, L, metric)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-9)


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("metric", METRICS)
def test_k_center_of_clusters_tighter_than_float32_sees(metric):
    """Many centres are nearly equally near: float64 has to tell them apart."""
    rng = np.random.default_rng(0)
    places = rng.standard_normal((4, 16))
    X = places[rng.integers(0, 4, 500)] + 1e-7 * rng.standard_normal((500, 16))
    L = places[rng.integers(0, 4, 60)] + 1e-7 * rng.standard_normal((60, 16))
    indices, scores = k_center(X, 60, labelled=L, metric=metric)
    expected, expected_scores = reference.k_center(X, 60, L, metric)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("chunk_rows", [1, 7, 64, 10_000])
def test_k_center_does_not_depend_on_the_chunk(features, metric, chunk_rows):
    X = features[:300]
    for L in (None, features[1000:1020]):
        expected = k_center(X, 50, labelled=L, metric=metric)
        got = k_center(X, 50, labelled=L, metric=metric, chunk_rows=chunk_rows)
        np.testing.assert_array_equal(got[0], expected[0])
        np.testing.assert_array_equal(got[1], expected[1])


def kinds_of_array(X, tmp_path):
    """The same numbers in all kinds of container."""
    np.save(tmp_path / "x.npy", X)
    wide = np.zeros((len(X), 2 * X.shape[1]), dtype=X.dtype)
    wide[:, ::2] = X
    read_only = X.copy()
    read_only.flags.writeable = False
    return {
        "float64": X.astype(np.float64),
        "float16": X.astype(np.float16),
        "uint8": X.astype(np.uint8),
        "fortran": np.asfortranarray(X),
        "strided": wide[:, ::2],
        "reversed": X[::-1].copy()[::-1],
        "read-only": read_only,
        "memmap": np.load(tmp_path / "x.npy", mmap_mode="r"),
        "list": X.tolist(),
        "tensor": torch.from_numpy(X).requires_grad_(),
        "half": torch.from_numpy(X).half(),
        "bfloat16": torch.from_numpy(X).bfloat16(),
        "transposed": torch.from_numpy(np.asfortranarray(X).T.copy()).T,
    }


def test_selectors_take_all_kinds_of_array(features, tmp_path):
    X, L = features[:200], features[300:320]
    X, L = (
        np.floor(X / 2),
        np.floor(L / 2),
    )  # 0 … 127: exact in float16, bfloat16 and uint8
    centres = {m: k_center(X, 20, labelled=L, metric=m) for m in METRICS}
    seeds = kmeans_plusplus(X, 20, random_state=0)
    gradients = gradient_kmeans_plusplus(
        X, L[:, :3].repeat(10, axis=0), 20, random_state=0
    )
    for kind, rows in kinds_of_array(X, tmp_path).items():
        for metric in METRICS:
            got = k_center(rows, 20, labelled=L, metric=metric)
            np.testing.assert_array_equal(got[0], centres[metric][0], err_msg=kind)
            np.testing.assert_array_equal(got[1], centres[metric][1], err_msg=kind)
        np.testing.assert_array_equal(
            kmeans_plusplus(rows, 20, random_state=0)[0], seeds[0], err_msg=kind
        )
        got = gradient_kmeans_plusplus(
            rows, L[:, :3].repeat(10, axis=0), 20, random_state=0
        )
        np.testing.assert_array_equal(got[0], gradients[0], err_msg=kind)


def test_k_center_breaks_ties_at_random():
    X = np.eye(6, dtype=np.float32)  # all equally far apart
    rng = np.random.default_rng(0)
    seen = np.array(
        [
            k_center(X, 2, labelled=X[:1], random_tie_break=True, random_state=rng)[0]
            for _ in range(1000)
        ]
    )
    assert set(seen.ravel()) == {1, 2, 3, 4, 5}
    pairs, counts = np.unique(seen, axis=0, return_counts=True)
    assert len(pairs) == 20
    assert chisquare(counts).pvalue > 1e-4
    first = [
        k_center(X, 1, random_tie_break=True, random_state=s)[0][0] for s in range(60)
    ]
    assert set(first) == set(range(6))


def test_k_center_updates_after_every_choice():
    """One static ranking by the first distances would take both points of the far
    pair."""
    X = np.array([[10.0, 0.0], [10.1, 0.0], [0.0, 5.0]])
    assert k_center(X, 2, labelled=[[0.0, 0.0]])[0].tolist() == [1, 2]


def test_k_center_cosine_is_a_distance_not_a_similarity():
    X = np.array([[1.0, 0.01], [0.0, 1.0], [-1.0, 0.0]])
    indices, scores = k_center(X, 3, labelled=[[2.0, 0.0]], metric="cosine")
    assert indices.tolist() == [2, 1, 0]
    np.testing.assert_allclose(scores, [2, 1, 1 - 1 / np.sqrt(1.0001)], rtol=1e-9)


def test_k_center_cosine_of_zeros():
    X = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    indices, scores = k_center(X, 4, labelled=[[1.0, 0.0]], metric="cosine")
    assert indices.tolist() == [0, 3, 1, 2]
    np.testing.assert_allclose(scores, [1, 1 - np.sqrt(0.5), 0, 0])


def test_k_center_with_weights():
    X = np.array([[1.0], [2.0], [3.0], [4.0]])
    indices, scores = k_center(X, 4, labelled=[[0.0]], utilities=[4.0, 1.0, 1.1, 0.0])
    assert indices.tolist() == [0, 2, 1, 3]
    np.testing.assert_allclose(scores, [4, 2.2, 1, 0])
    # A point of weight 0 is not where a selection without labels starts, if there is
    # another.
    assert k_center(X, 1, utilities=[1.0, 0.0, 0.0, 1.0])[0].tolist() == [0]
    assert sorted(k_center(X, 4, utilities=np.zeros(4))[0].tolist()) == [0, 1, 2, 3]


def test_k_center_without_labels_starts_in_the_middle():
    X = np.array([[0.0], [1.0], [4.0], [7.0], [9.0]])
    indices, scores = k_center(X, 3)
    assert indices.tolist() == [2, 4, 0]
    np.testing.assert_allclose(scores, [5, 5, 4])
    assert k_center(X, 1)[1].tolist() == [5.0]
    assert k_center(X[:1], 1) == (np.array([0]), np.array([0.0]))


def test_k_center_never_makes_a_full_distance_matrix(features, monkeypatch):
    """The largest product of matrices is a tile against some hundreds of centres, or
    one block."""
    sizes = []
    original = _blocks.Space.products

    def products(self, rows, centres):
        sizes.append((len(rows), len(centres)))
        return original(self, rows, centres)

    monkeypatch.setattr(_blocks.Space, "products", products)
    monkeypatch.setattr(_blocks, "TILE_VALUES", 64 * 64)
    monkeypatch.setattr(_greedy, "_BLOCK_VALUES", 64)
    k_center(features[:1200], 100, labelled=features[1200:])
    assert max(a * b for a, b in sizes) <= 64 * 128


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("metric", METRICS)
def test_k_center_refuses_what_is_not_a_number(bad, metric):
    X, L = np.ones((5, 2)), np.ones((3, 2))
    spoiled, spoiled_labelled = X.copy(), L.copy()
    spoiled[3, 1] = spoiled_labelled[2, 0] = bad
    for features, labelled in ((spoiled, L), (spoiled, None), (X, spoiled_labelled)):
        with pytest.raises(ValueError, match="NaN"), np.errstate(invalid="ignore"):
            k_center(features, 2, labelled=labelled, metric=metric)


def test_k_center_refuses_what_does_not_fit():
    X = np.ones((5, 2))
    for arguments, message in [
        ({"n_instances": 6}, "1 to 5"),
        ({"n_instances": 0}, "1 to 5"),
        ({"n_instances": 1, "metric": "cosin"}, "cosine"),
        ({"n_instances": 1, "labelled": np.ones((2, 3))}, "3 columns"),
        ({"n_instances": 1, "utilities": [1.0]}, "shape"),
        ({"n_instances": 1, "utilities": [1.0, 1, 1, 1, -1]}, "negative"),
        ({"n_instances": 1, "utilities": [1.0, 1, 1, 1, np.nan]}, "finite"),
        ({"n_instances": 1, "chunk_rows": 0}, "chunk_rows"),
    ]:
        with pytest.raises(ValueError, match=message):
            k_center(X, **arguments)
    for features in (
        np.ones(5),
        np.ones((5, 2, 2)),
        np.ones((5, 0)),
        np.array([["a", "b"]]),
    ):
        with pytest.raises(ValueError, match="features"):
            k_center(features, 1)
    with pytest.raises(ValueError, match="empty"):
        k_center(np.ones((0, 2)), 1)


# k-means++ and BADGE's


def tiny_pool(kind):
    rng = np.random.default_rng(3)
    h = rng.standard_normal((7, 3))
    a = rng.standard_normal((7, 2)) * 0.4
    if kind == "duplicates":
        h[5], a[5] = h[1], a[1]
        h[6], a[6] = h[0], a[0]
    if kind == "offset":
        h += 300
    if kind == "zero":
        a[2] = 0
    return a, h


def frequencies(draws, expected):
    counts = dict.fromkeys(expected, 0)
    for draw in draws:
        counts[tuple(int(i) for i in draw)] += (
            1  # a KeyError is a draw of probability 0
        )
    observed, probabilities = (
        np.array(list(counts.values())),
        np.array(list(expected.values())),
    )
    rare = probabilities * len(draws) < 5
    if rare.any():
        observed = np.append(observed[~rare], observed[rare].sum())
        probabilities = np.append(probabilities[~rare], probabilities[rare].sum())
    return chisquare(observed, probabilities * len(draws)).pvalue


@pytest.mark.parametrize("longest", [1, 2, 128])
@pytest.mark.parametrize("kind", ["generic", "duplicates", "offset", "zero"])
def test_badge_draws_with_the_probabilities_of_kmeans_plusplus(
    kind, longest, monkeypatch
):
    """Whatever the schedule of the passes over the pool."""
    monkeypatch.setattr(_kmeans_plusplus, "_REFRESH", longest)
    a, h = tiny_pool(kind)
    g = reference.gradients(a, h)
    expected = reference.seeding_distribution(
        g, 4, first=int(np.square(g).sum(axis=1).argmax())
    )
    rng = np.random.default_rng(longest)
    draws = [
        gradient_kmeans_plusplus(h, a, 4, random_state=rng)[0] for _ in range(1000)
    ]
    assert frequencies(draws, expected) > 1e-3


@pytest.mark.parametrize("kind", ["generic", "duplicates", "offset"])
def test_kmeans_plusplus_draws_with_its_probabilities(kind):
    _, h = tiny_pool(kind)
    rng = np.random.default_rng(0)
    draws = [kmeans_plusplus(h, 3, random_state=rng)[0] for _ in range(2000)]
    assert frequencies(draws, reference.seeding_distribution(h, 3)) > 1e-3


def test_no_pass_over_the_pool_leaves_the_distribution_alone(monkeypatch):
    """Weights as old as the first centre: rejection does all the work."""
    monkeypatch.setattr(_kmeans_plusplus._Seeding, "_refresh", _refresh_once)
    a, h = tiny_pool("generic")
    g = reference.gradients(a, h)
    expected = reference.seeding_distribution(
        g, 4, first=int(np.square(g).sum(axis=1).argmax())
    )
    rng = np.random.default_rng(1)
    draws = [
        gradient_kmeans_plusplus(h, a, 4, random_state=rng)[0] for _ in range(1000)
    ]
    assert frequencies(draws, expected) > 1e-3


_true_refresh = _kmeans_plusplus._Seeding._refresh


def _refresh_once(self):
    if self.in_upper == 0:
        _true_refresh(self)


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_classes", [2, 10])
def test_badge_scores_are_the_distances_at_the_time(features, dtype, n_classes):
    rng = np.random.default_rng(0)
    h = features[:250].astype(dtype)
    p = rng.dirichlet(np.ones(n_classes), 250)
    a = (np.eye(n_classes)[p.argmax(axis=1)] - p).astype(dtype)
    indices, scores = gradient_kmeans_plusplus(h, a, 80, random_state=0)
    g = reference.gradients(a, h)
    norms = np.square(g).sum(axis=1)
    assert len(set(indices.tolist())) == 80
    assert indices[0] == norms.argmax()
    assert scores[0] == pytest.approx(norms.max(), rel=1e-12)
    for i in range(1, 80):
        assert scores[i] == pytest.approx(
            reference.seeding_d2(g, indices[:i])[indices[i]], rel=1e-9
        )


@pytest.mark.usefixtures("products")
def test_kmeans_plusplus_scores_are_the_distances_at_the_time(features):
    indices, scores = kmeans_plusplus(features[:500], 200, random_state=0)
    assert scores[0] == np.inf
    for i in range(1, 200):
        assert scores[i] == pytest.approx(
            reference.seeding_d2(features[:500], indices[:i])[indices[i]], rel=1e-12
        )


@pytest.mark.parametrize("n", [1, 2, 5, 3000])
@pytest.mark.parametrize("n_classes", [1, 2, 1000])
def test_badge_of_residuals_of_zero_goes_by_position(n, n_classes):
    a = np.zeros((n, n_classes), dtype=np.float32)
    h = np.random.default_rng(0).standard_normal((n, 1)).astype(np.float32)
    indices, scores = gradient_kmeans_plusplus(h, a, n, random_state=0)
    np.testing.assert_array_equal(indices, np.arange(n))
    assert (scores == 0).all()


def test_badge_takes_the_whole_pool_once(features):
    """Duplicates in a batch are labels paid twice: everything once, the copies last and
    by position."""
    h = np.concatenate([features[:60]] * 3)
    a = np.concatenate([np.random.default_rng(0).standard_normal((60, 10))] * 3).astype(
        np.float32
    )
    indices, scores = gradient_kmeans_plusplus(h, a, 180, random_state=0)
    assert sorted(indices.tolist()) == list(range(180))
    assert sorted(indices[:60] % 60) == list(range(60))
    assert (scores[:60] > 0).all()
    assert (scores[60:] == 0).all()
    np.testing.assert_array_equal(indices[60:], np.sort(indices[60:]))


def test_badge_does_not_keep_the_origin_as_a_centre():
    """All gradients are farther from each other than from 0: measured from 0, the small
    one would never be drawn."""
    a = np.ones((3, 1))
    h = np.array([[10.0], [0.0], [9.0]])
    second = [
        gradient_kmeans_plusplus(h, a, 2, random_state=s)[0][1] for s in range(30)
    ]
    assert max(np.bincount(second, minlength=3)) == np.bincount(second, minlength=3)[1]


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("scale", [1e-20, 1e-6, 1e6, 1e15])
def test_badge_of_any_size(scale):
    """A confident network has tiny residuals; the scale is a power of two, so that the
    draw is the same."""
    rng = np.random.default_rng(0)
    a, h = rng.standard_normal((300, 4)), rng.standard_normal((300, 9))
    factor = 2.0 ** np.round(np.log2(scale))
    expected = gradient_kmeans_plusplus(h, a, 50, random_state=0)
    indices, scores = gradient_kmeans_plusplus(h, a * factor, 50, random_state=0)
    np.testing.assert_array_equal(indices[0], expected[0][0])
    assert len(set(indices.tolist())) == 50
    g = reference.gradients(a, h)
    for i in range(1, 50):
        d2 = reference.seeding_d2(g, indices[:i])[indices[i]] * factor**2
        assert scores[i] == pytest.approx(d2, rel=1e-9)


@pytest.mark.usefixtures("products")
def test_badge_rows_of_very_different_size():
    """The largest gradient must not drown the distances among the small ones."""
    rng = np.random.default_rng(0)
    a, h = rng.standard_normal((200, 3)), rng.standard_normal((200, 5))
    a[0] *= 1e6
    indices, scores = gradient_kmeans_plusplus(h, a, 200, random_state=0)
    g = reference.gradients(a, h)
    assert indices[0] == 0
    assert sorted(indices.tolist()) == list(range(200))
    for i in range(2, 200):
        assert scores[i] == pytest.approx(
            reference.seeding_d2(g, indices[:i])[indices[i]], rel=1e-6
        )


@pytest.mark.parametrize("select", ["badge", "kmeans"])
def test_seeding_is_deterministic_and_leaves_its_input_alone(features, select):
    X = features[:300].copy()
    a = np.random.default_rng(0).standard_normal((300, 5)).astype(np.float32)
    before = X.copy(), a.copy()

    def draw(seed):
        if select == "kmeans":
            return kmeans_plusplus(X, 100, random_state=seed)
        return gradient_kmeans_plusplus(X, a, 100, random_state=seed)

    global_state = torch.get_rng_state()
    first, again, other = draw(0), draw(0), draw(1)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(a, before[1])
    assert torch.equal(global_state, torch.get_rng_state())


@pytest.mark.usefixtures("products")
def test_seeding_does_not_depend_on_the_tile(features, monkeypatch):
    a = np.random.default_rng(0).standard_normal((len(features), 5)).astype(np.float32)
    expected = gradient_kmeans_plusplus(features, a, 100, random_state=0)
    for values in (64 * 64, 2**17):
        monkeypatch.setattr(_blocks, "TILE_VALUES", values)
        got = gradient_kmeans_plusplus(features, a, 100, random_state=0)
        np.testing.assert_array_equal(got[0], expected[0])
        np.testing.assert_array_equal(got[1], expected[1])


def test_seeding_refuses_what_does_not_fit():
    a, h = np.ones((4, 2)), np.ones((4, 3))
    with pytest.raises(ValueError, match="4 rows and features 3"):
        gradient_kmeans_plusplus(h[:3], a, 1)
    for n_instances in (0, 5):
        with pytest.raises(ValueError, match="1 to 4"):
            gradient_kmeans_plusplus(h, a, n_instances)
        with pytest.raises(ValueError, match="1 to 4"):
            kmeans_plusplus(h, n_instances)
    for bad in (np.nan, np.inf):
        spoiled = h.copy()
        spoiled[1, 1] = bad
        with np.errstate(invalid="ignore"):
            with pytest.raises(ValueError, match="NaN"):
                gradient_kmeans_plusplus(spoiled, a, 2)
            with pytest.raises(ValueError, match="NaN"):
                gradient_kmeans_plusplus(h, spoiled, 2)
            with pytest.raises(ValueError, match="NaN"):
                kmeans_plusplus(spoiled, 2)


@pytest.mark.usefixtures("products")
def test_matrix_products_keep_their_precision_and_settings():
    """bfloat16 or TF32 products, and autocast, which a user may have switched on, must
    not decide a choice."""
    rng = np.random.default_rng(0)
    X, L = (
        rng.standard_normal((500, 64)).astype(np.float32),
        rng.standard_normal((30, 64)).astype(np.float32),
    )
    expected = k_center(X, 60, labelled=L)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            got = k_center(X, 60, labelled=L)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    np.testing.assert_array_equal(got[0], expected[0])


def test_selectors_of_ones_own_are_found_by_name(monkeypatch):
    monkeypatch.setattr(selectors, "SELECTORS", copy.deepcopy(selectors.SELECTORS))

    def far_out(features, n_instances, *, random_state=None):
        return selectors.top_k(np.linalg.norm(features, axis=1), n_instances)

    for _ in range(2):  # a notebook's cell run twice
        assert selectors.register_selector(far_out) is far_out
    assert selectors.get_selector("far_out") is far_out
    assert selectors.get_selector("k_center") is selectors.k_center
    with pytest.raises(ValueError, match=r"Did you mean 'k_center'"):
        selectors.get_selector("k_centre")
    with pytest.raises(ValueError, match="selector that takes labelled= 'top_k'"):
        selectors.get_selector("top_k", takes=("labelled",))


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        (selectors.top_k, "k", "n_instances"),
        (selectors.top_k, "scores", "utilities"),
        (selectors.k_center, "weights", "utilities"),
        (selectors.fisher_trace, "embeddings", "features"),
        (selectors.fisher_trace, "labelled_embeddings", "labelled"),
        (measures.class_means, "embeddings", "features"),
    ],
)
def test_old_spellings_name_the_new_ones(function, old, new):
    with pytest.raises(TypeError, match=f"no parameter '{old}': it is called '{new}'"):
        function(**{old: 1})


@pytest.mark.parametrize("name", sorted(selectors.SELECTORS))
def test_selectors_say_the_same_thing_alike(name):
    """One word for one thing in every public selector, in one order."""
    parameters = list(inspect.signature(selectors.SELECTORS[name]).parameters)
    assert "n_instances" in parameters
    assert not {"k", "n", "batch_size", "embeddings", "weights", "X"} & {*parameters}
    assert parameters.index("features") == 0 if "features" in parameters else True


UTILITIES = np.random.default_rng(0).random(90)
PLACES = np.random.default_rng(1).normal(size=(90, 4))
CANDIDATES = UTILITIES > 0.4


@pytest.mark.parametrize(
    "select",
    [
        partial(selectors.top_k, UTILITIES),
        partial(selectors.both_ends, UTILITIES),
        partial(selectors.binned, UTILITIES, n_bins=4),
        partial(selectors.candidates_kmeans, PLACES, CANDIDATES, UTILITIES),
        partial(selectors.cluster_margin, PLACES, UTILITIES, factor=3),
        partial(selectors.k_center, PLACES),
        partial(selectors.kmeans_sampling, PLACES),
        partial(selectors.max_herding, PLACES),
        partial(selectors.typiclust, PLACES),
        partial(selectors.weighted_kmeans, PLACES, utilities=UTILITIES),
    ],
    ids=lambda select: select.func.__name__,
)
def test_ties_draw_from_a_stream_of_their_own(select):
    """Where nothing ties, breaking ties at random changes nothing, afterwards too."""
    rngs = [np.random.default_rng(5) for _ in range(2)]
    plain, broken = (
        select(n_instances=8, random_tie_break=ties, random_state=rng)[0].tolist()
        for ties, rng in zip((False, True), rngs, strict=True)
    )
    assert plain == broken
    assert rngs[0].random() == rngs[1].random()
