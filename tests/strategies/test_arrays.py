"""The steps that measures are made of, against their definitions in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from al_sklearn.strategies import measures
from al_sklearn.strategies._engine import arrays


def proba(*shape, dtype=np.float32, seed=0):
    """Softmax outputs with exact zeros and ones among them."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(shape[-1], 0.3), size=shape[:-1])
    p[rng.random(shape) < 0.1] = 0
    p[..., 0] += 1 - p.sum(axis=-1)
    p = np.maximum(p, 0)
    p.reshape(-1, shape[-1])[:2] = np.eye(shape[-1])[0]
    return p.astype(dtype)


def exact_entropy(p):
    p = np.asarray(p, dtype=np.float64)
    return -(p * np.log(np.where(p > 0, p, 1))).sum(axis=-1)


@pytest.fixture(params=[2**16, 64])
def blocks(request, monkeypatch):
    """Blocks as they are, and blocks of a few rows."""
    monkeypatch.setattr(arrays, "_BLOCK_VALUES", request.param)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 100, 257])
@pytest.mark.parametrize("n_classes", [1, 2, 10, 33, 1000])
def test_rows(blocks, dtype, n, n_classes):
    p = proba(n, n_classes, dtype=dtype)
    p.flags.writeable = False
    tolerance = 2e-6 if dtype == np.float32 else 1e-12
    entropy = measures.entropy(p)
    assert entropy.dtype == dtype
    np.testing.assert_allclose(entropy, exact_entropy(p), atol=tolerance)
    assert entropy[0] == 0
    ordered = np.sort(np.pad(p, ((0, 0), (1, 0))), axis=1)
    gap = 1 - (ordered[:, -1] - ordered[:, -2])
    np.testing.assert_array_equal(measures.margin(p), gap)
    np.testing.assert_array_equal(measures.least_confidence(p), 1 - ordered[:, -1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "shape",
    [
        (1, 1, 2),
        (20, 100, 10),
        (50, 30, 100),
        (7, 3, 1000),
        (3, 257, 1),
        (13, 3000, 10),
        (4, 40, 1000),
    ],
)
def test_samples(blocks, dtype, shape):
    s = proba(*shape, dtype=dtype)
    tolerance = 2e-6 if dtype == np.float32 else 1e-12
    total = measures.max_entropy(s)
    assert total.dtype == dtype
    exact = exact_entropy(s.astype(np.float64).mean(axis=0))
    np.testing.assert_allclose(total, exact, atol=tolerance)
    information = exact - exact_entropy(s).mean(axis=0)
    np.testing.assert_allclose(
        measures.bald(s), np.maximum(information, 0), atol=2 * tolerance
    )


def all_of(s):
    """Every measure of some samples (T, n, C)."""
    of_rows = (measures.entropy, measures.margin, measures.ratio)
    of_samples = (measures.bald, measures.max_entropy, measures.mean_std)
    votes = measures.vote_shares(s)
    return [*(m(s[0]) for m in of_rows), *(m(s) for m in of_samples), votes]


@pytest.mark.parametrize("n_classes", [3, 10, 33, 100])
def test_blocks_and_threads_change_no_bit(n_classes, monkeypatch):
    s = proba(9, 500, n_classes)
    whole = all_of(s)
    for values, n_threads in [(1, 1), (7 * n_classes, 2), (2**16, 5)]:
        monkeypatch.setattr(arrays, "_BLOCK_VALUES", values)
        monkeypatch.setattr(torch, "get_num_threads", lambda n=n_threads: n)
        for again, once in zip(all_of(s), whole, strict=True):
            np.testing.assert_array_equal(again, once)


def test_strides_do_not_matter(blocks):
    p = proba(60, 12)
    rows = (
        np.asfortranarray(p),
        np.repeat(p, 2, axis=1)[:, ::2],
        p[::-1].copy()[::-1],
        torch.from_numpy(p.T.copy()).T,
    )
    for other in rows:
        for measure in (measures.entropy, measures.margin, measures.least_confidence):
            np.testing.assert_array_equal(measure(other), measure(p))
    s = proba(5, 60, 12)
    moved = np.moveaxis(np.ascontiguousarray(np.moveaxis(s, 0, -1)), -1, 0)
    for again, once in zip(all_of(moved), all_of(s), strict=True):
        np.testing.assert_array_equal(again, once)


@pytest.mark.parametrize("bad", [np.nan, -0.1])
def test_what_is_no_probability_becomes_nan(bad):
    s = torch.from_numpy(proba(4, 50, 10))
    s[2, 17, 3] = bad
    assert arrays.entropy_of(s[2]).isnan().nonzero().tolist() == [[17]]
    if np.isnan(bad):
        for result in (*arrays.two_largest(s[2]), s[2].amax(1)):
            assert result.isnan().nonzero().tolist() == [[17]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_classes", [*range(1, 12), 31, 32, 33, 50])
def test_the_two_largest_of_rows_of_every_length(n_classes, dtype):
    p = torch.from_numpy(np.random.default_rng(n_classes).random((50, n_classes)))
    p = p.to(dtype)
    p[::3] = (4 * p[::3]).floor()  # ties
    before = p.clone()
    for got, position in zip(arrays.two_largest(p), (-1, -2), strict=True):
        wide = torch.nn.functional.pad(p, (1, 0)) if n_classes == 1 else p
        assert torch.equal(got, wide.sort(dim=1).values[:, position])
    assert torch.equal(p, before)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.float32, 1.5e-7), (np.float64, 3e-16)]
)
def test_a_term_is_as_exact_as_its_precision_lets_it_be(dtype, tolerance):
    p = np.concatenate(
        [
            np.geomspace(1e-37, 1, 20_001),
            np.linspace(0.7, 0.72, 1001),
            1 - np.geomspace(1e-7, 0.5, 1001),
        ]
    )
    p = p.astype(dtype)
    wide = p.astype(np.longdouble)
    terms = measures.entropy(p[:, None])
    assert np.abs(terms + wide * np.log(wide)).max() < tolerance
