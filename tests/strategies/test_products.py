"""Inner products by convolutions, by torch.mm, and in float64."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from al_sklearn.strategies._engine import products as _products
from al_sklearn.strategies._engine.products import inner_products

RNG = np.random.default_rng(0)


def matrix(*shape):
    return torch.from_numpy(RNG.normal(size=shape).astype(np.float32))


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 70),
    st.integers(1, 40),
    st.integers(1, 50),
    st.sampled_from([None, "one", "each"]),
)
def test_they_are_their_definition(m, k, d, kind):
    rows, others = matrix(m, d), matrix(k, d)
    offset = None if kind is None else matrix(1 if kind == "one" else k)
    exact = rows.double() @ others.double().T + (
        0 if offset is None else offset.double()
    )
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
        patch.setattr(_products, "_LEAST", 0)
        patch.setattr(_products, "_LEAST_ROWS", 1)
        patch.setattr(_products, "_LEAST_OTHERS", 1)
        got = inner_products(rows, others, offset)
    assert got.shape == (m, k) and got.is_contiguous() and got.dtype == torch.float32
    sizes = rows.abs().double() @ others.abs().double().T + 1
    # Whatever the order in which float32 adds.
    assert ((got - exact).abs() <= (d + 2) * 2.0**-24 * (sizes + exact.abs())).all()


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize(
    ("m", "k", "d"), [(1024, 512, 64), (1000, 300, 100), (4096, 1024, 3)]
)
def test_large_ones_are_exact_to_rounding_by_any_number_of_threads(n_threads, m, k, d):
    assert m * k * d >= _products._LEAST
    rows, others, offset = matrix(m, d), matrix(k, d), matrix(k)
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        got = inner_products(rows, others, offset)
    finally:
        torch.set_num_threads(before)
    exact = rows.double() @ others.double().T + offset.double()
    sizes = rows.double().norm(dim=1)[:, None] * others.double().norm(dim=1) + 10
    assert ((got - exact).abs() <= (d + 2) * 2.0**-24 * sizes).all()


def test_what_a_convolution_does_not_take_is_multiplied_all_the_same():
    rows, others = matrix(2048, 128), matrix(64, 128)
    exact = rows.double() @ others.double().T
    torch.testing.assert_close(inner_products(rows.double(), others.double()), exact)
    columns = rows.T.contiguous().T  # the same values, not row after row
    torch.testing.assert_close(
        inner_products(columns, others).double(), exact, atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(
        inner_products(rows[::2], others).double(), exact[::2], atol=1e-4, rtol=1e-4
    )


@pytest.fixture
def n_convolutions(monkeypatch):
    """How many products were convolutions, on a processor of which they are the
    faster."""
    calls, conv2d = [], torch.nn.functional.conv2d

    def counted(*args):
        calls.append(args)
        return conv2d(*args)

    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.nn.functional, "conv2d", counted)
    return lambda: len(calls)


def test_large_products_alone_are_convolutions_and_where_they_are_faster(
    n_convolutions, monkeypatch
):
    rows, others = matrix(1024, 64), matrix(512, 64)
    inner_products(rows, others)
    assert n_convolutions() == 1
    inner_products(rows[:32], others)
    inner_products(rows, others[:2])
    inner_products(rows.double(), others.double())
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    inner_products(rows, others)
    assert n_convolutions() == 1


@pytest.mark.parametrize("precision", ["bf16", "tf32"])
def test_leave_to_convolve_in_less_than_float32_is_not_taken(
    precision, n_convolutions, monkeypatch
):
    # What a user may set: torch.backends.mkldnn.conv.fp32_precision = "bf16".
    settings = SimpleNamespace(conv=SimpleNamespace(fp32_precision=precision))
    monkeypatch.setattr(torch.backends, "mkldnn", settings)
    inner_products(matrix(1024, 64), matrix(512, 64))
    assert n_convolutions() == 0
    settings.conv.fp32_precision = "ieee"
    inner_products(matrix(1024, 64), matrix(512, 64))
    del settings.conv  # torch before 2.9
    inner_products(matrix(1024, 64), matrix(512, 64))
    assert n_convolutions() == 2
