"""Every measure against its definition, on random and on adversarial probabilities."""

import copy
import math
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from al_sklearn.strategies import measures
from al_sklearn.strategies._engine import arrays as _blocks
from tests.strategies import references_measures as reference

OF_PROBA = ["least_confidence", "margin", "ratio", "entropy"]
OF_SAMPLES = ["max_entropy", "bald"]
TOLERANCE = {np.float16: 3e-3, np.float32: 2e-6, np.float64: 1e-12}


def probabilities(rng, n, n_classes, dtype=np.float64):
    """Random rows, with exact zeros and ones, ties, duplicates, and tiny values among
    them."""
    p = rng.dirichlet(np.full(n_classes, 0.3), size=n)
    if n >= 6 and n_classes > 1:
        p[0] = np.eye(n_classes)[0]
        p[1] = 1 / n_classes
        p[2] = 0
        p[2, :2] = 0.5
        p[3] = p[4]
        p[5] = 1e-30
        p[5, -1] = 1
    return p.astype(dtype)


@pytest.mark.parametrize("name", OF_PROBA)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("n_classes", [1, 2, 3, 10, 33, 1000])
def test_measures_agree_with_their_definition(name, dtype, n_classes):
    p = probabilities(np.random.default_rng(n_classes), 40, n_classes, dtype)
    before = p.copy()
    expected = np.array([getattr(reference, name)(row.astype(np.float64)) for row in p])
    tolerance = TOLERANCE[dtype] * max(math.log(n_classes), 1)
    np.testing.assert_allclose(getattr(measures, name)(p), expected, atol=tolerance)
    np.testing.assert_allclose(
        getattr(measures, name)(torch.from_numpy(p)).numpy(), expected, atol=tolerance
    )
    np.testing.assert_array_equal(p, before)


@pytest.mark.parametrize("name", OF_SAMPLES)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("n_classes", [2, 10, 300])
def test_measures_of_samples_agree_with_their_definition(name, dtype, n_classes):
    rng = np.random.default_rng(n_classes)
    samples = np.stack([probabilities(rng, 20, n_classes, dtype) for _ in range(7)])
    samples[:, 8] = samples[:1, 8]
    expected = np.array(
        [getattr(reference, name)(samples[:, i].astype(np.float64)) for i in range(20)]
    )
    tolerance = TOLERANCE[dtype] * 8
    np.testing.assert_allclose(
        getattr(measures, name)(samples), np.maximum(expected, 0), atol=tolerance
    )
    of_tensor = getattr(measures, name)(torch.from_numpy(samples)).numpy()
    np.testing.assert_allclose(of_tensor, np.maximum(expected, 0), atol=tolerance)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31), st.integers(1, 300), st.integers(2, 12))
def test_bounds_and_blocks(seed, n, n_classes):
    rng = np.random.default_rng(seed)
    p = probabilities(rng, n, n_classes, np.float32)
    whole = {name: getattr(measures, name)(p) for name in OF_PROBA}
    for name, top in zip(
        OF_PROBA, (1 - 1 / n_classes, 1, 1, math.log(n_classes)), strict=True
    ):
        assert (
            whole[name].shape == (n,)
            and whole[name].min() >= -1e-6
            and whole[name].max() <= top + 1e-5
        )
    samples = np.stack([probabilities(rng, n, n_classes, np.float32) for _ in range(3)])
    information, total = measures.bald(samples), measures.max_entropy(samples)
    assert information.min() >= 0 and np.all(information <= total + 1e-6)
    # The size of a block changes no bit.
    with patch.object(_blocks, "_BLOCK_VALUES", 40):
        for name in OF_PROBA:
            np.testing.assert_array_equal(getattr(measures, name)(p), whole[name])
        np.testing.assert_array_equal(measures.bald(samples), information)


def test_normalised_measures_reach_one_at_the_uniform_distribution():
    uniform = np.full((1, 7), 1 / 7)
    assert measures.least_confidence(uniform, normalize=True)[0] == pytest.approx(1)
    assert measures.entropy(uniform, normalize=True)[0] == pytest.approx(1)
    assert measures.entropy(np.ones((1, 1)), normalize=True)[0] == 0


def test_bald_is_zero_where_samples_agree_and_never_below():
    rng = np.random.default_rng(0)
    agreeing = np.repeat(probabilities(rng, 500, 10, np.float32)[None], 13, axis=0)
    assert (
        not measures.bald(agreeing).any()
        and not measures.bald(torch.from_numpy(agreeing)).any()
    )
    nearly = agreeing + rng.normal(scale=1e-9, size=agreeing.shape).astype(np.float32)
    assert (measures.bald(np.clip(nearly, 0, 1)) >= 0).all()


def test_max_entropy_is_predictive_not_expected():
    # Two confident samples that contradict each other: expected entropy 0, predictive
    # ln 2.
    samples = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    assert measures.max_entropy(samples)[0] == pytest.approx(math.log(2))
    assert measures.bald(samples)[0] == pytest.approx(math.log(2))


def test_what_others_get_wrong():
    p = np.array([[1.0, 0.0, 0.0], [0.4, 0.35, 0.25], [0.6, 0.4, 0.0]])
    for name in OF_PROBA:
        assert np.argmax(getattr(measures, name)(p)) == 1, (
            f"{name} is sorted the wrong way round"
        )
        assert np.isfinite(getattr(measures, name)(p)).all(), (
            f"{name} gives NaN at p = 0"
        )
    rows = p.copy()
    measures.margin(rows)
    np.testing.assert_array_equal(rows, p)


@pytest.mark.parametrize("name", OF_PROBA + OF_SAMPLES)
def test_bad_input(name):
    measure, ndim = getattr(measures, name), 3 if name in OF_SAMPLES else 2
    good = np.full((2,) * ndim, 0.5)
    with pytest.raises(ValueError, match=f"must have {ndim} axes, got shape"):
        measure(good[0])
    with pytest.raises(ValueError, match="must not be empty"):
        measure(good[..., :0])
    bad = good.copy()
    bad[(0,) * (ndim - 2) + (1, 0)] = np.nan
    for kind in (bad, torch.from_numpy(bad)):
        with pytest.raises(ValueError, match="NaN, first in row 1"):
            measure(kind)
    with pytest.raises(
        ValueError, match=r"Unknown measure 'entrop'. Did you mean 'entropy'"
    ):
        measures.get_measure("entrop")
    assert measures.get_measure("margin") is measures.margin
    with pytest.raises(TypeError, match="measure is a name or a function, got int"):
        measures.get_measure(3)


def test_measures_of_ones_own_are_found_by_name(monkeypatch):
    monkeypatch.setattr(measures, "MEASURES", copy.deepcopy(measures.MEASURES))

    def gini(proba):
        return 1 - (proba**2).sum(axis=1)

    def spread(samples):
        return np.ptp(samples, axis=0).sum(axis=1)

    for _ in range(2):  # a notebook's cell run twice
        assert measures.register_measure()(gini) is gini
        assert measures.register_measure("samples")(spread) is spread
    assert measures.get_measure("gini") is gini
    assert measures.get_measure("spread", of=None) is spread
    assert measures.get_measure(spread) is spread
    kinds = [measures.kind_of(m) for m in ("gini", "spread", "margin", "bald")]
    assert kinds == ["proba", "samples", "proba", "samples"]
    assert measures.kind_of(lambda samples: samples) == "samples"
    assert measures.kind_of(lambda p: p) == "proba"
    with pytest.raises(ValueError, match="measure name 'bald' is taken"):
        measures.register_measure("samples")(_named("bald"))
    with pytest.raises(ValueError, match="'bald' is taken by a measure of samples"):
        measures.register_measure("proba")(_named("bald"))
    with pytest.raises(ValueError, match="Unknown kind of input 'votes'"):
        measures.register_measure("votes")


def _named(name):
    def function(values):
        return values

    function.__name__ = name
    return function
