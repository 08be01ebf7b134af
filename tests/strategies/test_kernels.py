"""The fast kernels against their definitions in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from al_sklearn.strategies._engine import compiled as _compiled
from al_sklearn.strategies._engine import kernels as _kernels


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


@pytest.fixture(params=[1, 3])
def threads(request, monkeypatch):
    """One thread, and three however small the work."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: request.param)
    monkeypatch.setattr(_kernels, "_THREAD_VALUES", 1)
    monkeypatch.setattr(_kernels, "_BLOCK_VALUES", 64)
    monkeypatch.setattr(_kernels, "_LONG_BLOCK_VALUES", 64)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 100, 257])
@pytest.mark.parametrize("n_classes", [1, 2, 10, 33, 1000])
def test_rows(threads, dtype, n, n_classes):
    p = proba(n, n_classes, dtype=dtype)
    p.flags.writeable = False
    tolerance = 2e-6 if dtype == np.float32 else 1e-12
    entropy = _kernels.row_entropy(p)
    assert entropy.dtype == dtype
    np.testing.assert_allclose(entropy, exact_entropy(p), atol=tolerance)
    assert entropy[0] == 0
    ordered = (
        np.sort(np.pad(p, ((0, 0), (1, 0))), axis=1)
        if n_classes == 1
        else np.sort(p, axis=1)
    )
    margin = _kernels.of_two_largest(p, lambda first, second: 1 - (first - second))
    np.testing.assert_array_equal(margin, 1 - (ordered[:, -1] - ordered[:, -2]))
    np.testing.assert_array_equal(largest(p), ordered[:, -1])


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
def test_samples(threads, dtype, shape):
    s = proba(*shape, dtype=dtype)
    tolerance = 2e-6 if dtype == np.float32 else 1e-12
    of_mean, mean = _kernels.sampled_entropies(s)
    assert of_mean.dtype == mean.dtype == dtype
    np.testing.assert_allclose(
        of_mean, exact_entropy(s.astype(np.float64).mean(axis=0)), atol=tolerance
    )
    np.testing.assert_allclose(mean, exact_entropy(s).mean(axis=0), atol=tolerance)
    np.testing.assert_array_equal(_kernels.entropy_of_mean(s), of_mean)


def ratio(first, second):
    return second / first


def largest(p):
    return _kernels.of_largest(p, lambda first: None)


@pytest.mark.parametrize("n_classes", [3, 10, 100])
def test_blocks_and_threads_change_no_bit(n_classes, monkeypatch):
    s = proba(9, 500, n_classes)
    whole = _kernels.row_entropy(s[0]), *_kernels.sampled_entropies(s)
    monkeypatch.setattr(_kernels, "_THREAD_VALUES", 1)
    for values, n_threads in [(1, 1), (7 * n_classes, 2), (2**16, 5)]:
        monkeypatch.setattr(_kernels, "_BLOCK_VALUES", values)
        monkeypatch.setattr(_kernels, "_LONG_BLOCK_VALUES", values)
        monkeypatch.setattr(
            torch, "get_num_threads", lambda n_threads=n_threads: n_threads
        )
        for again, once in zip(
            (_kernels.row_entropy(s[0]), *_kernels.sampled_entropies(s)),
            whole,
            strict=True,
        ):
            np.testing.assert_array_equal(again, once)


def test_strides_do_not_matter(threads):
    p = proba(60, 12)
    for rows in (
        np.asfortranarray(p),
        np.repeat(p, 2, axis=1)[:, ::2],
        p[::-1].copy()[::-1],
    ):
        np.testing.assert_allclose(
            _kernels.row_entropy(rows), _kernels.row_entropy(p), rtol=1e-6
        )
        np.testing.assert_array_equal(
            _kernels.of_two_largest(rows, ratio), _kernels.of_two_largest(p, ratio)
        )
        np.testing.assert_array_equal(largest(rows), largest(p))
    s = proba(5, 60, 12)
    moved = np.moveaxis(np.ascontiguousarray(np.moveaxis(s, 0, -1)), -1, 0)
    np.testing.assert_allclose(
        _kernels.sampled_entropies(moved), _kernels.sampled_entropies(s), rtol=1e-6
    )


@pytest.mark.parametrize("bad", [np.nan, -0.1])
def test_what_is_no_probability_becomes_nan(threads, bad):
    s = proba(4, 50, 10)
    s[2, 17, 3] = bad
    for result in (_kernels.row_entropy(s[2]), *_kernels.sampled_entropies(s)[1:]):
        assert np.flatnonzero(np.isnan(result)).tolist() == [17]
    np.testing.assert_array_equal(largest(s[2]), s[2].max(axis=1))
    np.testing.assert_array_equal(largest(-s[2]), (-s[2]).max(axis=1))
    if np.isnan(bad):
        of_largest = largest(s[2]), _kernels.of_two_largest(s[2], ratio)
        for result in (*of_largest, _kernels.entropy_of_mean(s)):
            assert np.flatnonzero(np.isnan(result)).tolist() == [17]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_classes", range(1, 34))
def test_the_largest_of_rows_of_every_length(n_classes, dtype, monkeypatch):
    monkeypatch.setattr(_kernels, "_THREAD_VALUES", 1)
    rng = np.random.default_rng(n_classes)
    for n in (0, 1, 50, 20_000 // n_classes):
        p = rng.random((n, n_classes)).astype(dtype)
        np.testing.assert_array_equal(largest(p), p.max(axis=1))
        for odd in (
            0.0,
            -0.0,
            -1.0,
            np.nan,
            np.inf,
            -np.inf,
            np.finfo(dtype).smallest_subnormal,
        ):
            p[rng.random(p.shape) < 0.02] = odd
        np.testing.assert_array_equal(largest(p), p.max(axis=1))


def test_an_error_in_a_thread_is_raised(threads):
    def span(start, stop):
        raise RuntimeError("from inside")

    with pytest.raises(RuntimeError, match="from inside"):
        _kernels._in_threads(span, 10, 10)


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
    terms = _kernels.row_entropy(p[:, None])
    assert np.abs(terms + wide * np.log(wide)).max() < tolerance


def test_compiled_where_nothing_can_be_kept():
    space: dict = {}
    exec(
        "def double(x):\n    return 2 * x", space
    )  # has no file, beside which its machine code could lie
    assert _compiled._compiled(space["double"])(2.5) == 5
