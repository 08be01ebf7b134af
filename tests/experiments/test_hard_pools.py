"""Pools made hard on purpose: what is wrong, rare, doubled or foreign, and what never
changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from al_sklearn.experiments import ActiveLearningExperiment
from al_sklearn.experiments.hard_pools import (
    ClassImbalance,
    HardPool,
    LabelNoise,
    NearDuplicates,
    OutOfDistribution,
    PoolTransform,
    as_transforms,
)

LOGISTIC = LogisticRegression(max_iter=300)


def pool_of(sizes=(50, 40, 30), held_out=5):
    y = np.repeat(np.arange(len(sizes)), sizes)
    X = np.arange(2.0 * len(y)).reshape(-1, 2)
    return HardPool(X, y, np.arange(held_out, len(y)))


def run(X, y, strategy="random_sampling", **options):
    options = {"n_rounds": 2, "n_instances": 10, "random_state": 0, **options}
    return ActiveLearningExperiment(LOGISTIC, strategy, **options).fit(X, y)


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 1), st.integers(0, 9))
def test_symmetric_noise_is_exact_and_only_in_the_pool(rate, seed):
    pool = pool_of()
    noisy = LabelNoise(rate).apply(pool, np.random.default_rng(seed))
    wrong = noisy.y != pool.y
    assert wrong.sum() == round(rate * 115)
    assert not wrong[:5].any()
    assert np.array_equal(noisy.truth, pool.y)
    assert set(noisy.y) <= {0, 1, 2}
    assert np.array_equal(
        noisy.y, LabelNoise(rate).apply(pool, np.random.default_rng(seed)).y
    )


def test_noise_reaches_all_other_classes_and_can_be_set_per_class():
    pool = pool_of((900, 900, 900), 0)
    y = LabelNoise(0.5).apply(pool, np.random.default_rng(0)).y
    wrong = np.bincount(3 * pool.y + y, minlength=9).reshape(3, 3)
    np.fill_diagonal(wrong, 225)
    assert np.abs(wrong - 225).max() < 60
    y = (
        LabelNoise({1: 0.2}, confused_with={1: 2})
        .apply(pool, np.random.default_rng(0))
        .y
    )
    assert (y != pool.y).sum() == 180
    assert (y[(y != pool.y)] == 2).all()
    for noise, message in [
        (LabelNoise(1.5), "rate must be a share"),
        (LabelNoise({7: 0.1}), "rate names 7, which is no class"),
        (LabelNoise(0.1, {1: 9}), "confused_with names 9"),
    ]:
        with pytest.raises(ValueError, match=message):
            noise.apply(pool, np.random.default_rng(0))


@settings(max_examples=40, deadline=None)
@given(st.floats(1, 200), st.booleans(), st.integers(0, 9))
def test_imbalance_is_exponential(ratio, shuffle, seed):
    pool = pool_of((120, 90, 105, 100), 5)
    rare = ClassImbalance(ratio, shuffle).apply(pool, np.random.default_rng(seed))
    sizes = np.bincount(pool.y[rare.train], minlength=4)
    expected = [max(1, round(90 * ratio ** (-k / 3))) for k in range(4)]
    assert sorted(sizes, reverse=True) == expected
    if not shuffle:
        assert sizes.tolist() == expected
    assert np.isin(rare.train, pool.train).all()
    assert (np.diff(rare.train) > 0).all()
    with pytest.raises(ValueError, match="ratio must be at least 1"):
        ClassImbalance(0.5).apply(pool, np.random.default_rng(0))


def test_duplicates_copy_rows_and_labels_of_the_pool_alone():
    pool = pool_of()
    double = NearDuplicates(0.6).apply(pool, np.random.default_rng(0))
    rows = double.X.rows()
    source = (rows[:, 0] / 2).astype(int)
    changed = source != np.arange(120)
    assert changed.sum() == round(0.6 * 115)
    assert not changed[:5].any()
    assert np.isin(source[changed], pool.train).all()
    assert not changed[source[changed]].any()
    assert np.array_equal(double.y, pool.y[source])
    near = NearDuplicates(0.6, noise=0.01).apply(pool, np.random.default_rng(0))
    off = near.X - rows
    assert (off[~changed] == 0).all()
    assert off[changed].std() == pytest.approx(0.01 * pool.X.std(), rel=0.3)
    grey = HardPool(
        np.full((30, 4, 4), 250, np.uint8), np.arange(30) % 3, np.arange(30)
    )
    grey.X[0] = 0
    assert (
        NearDuplicates(0.5, noise=2.0).apply(grey, np.random.default_rng(0)).X.dtype
        == np.uint8
    )
    with pytest.raises(ValueError, match="needs X as an array"):
        files = HardPool(["a.png"] * 30, grey.y, grey.train)
        NearDuplicates(0.5, noise=0.1).apply(files, np.random.default_rng(0))


def test_a_share_out_of_distribution():
    pool = pool_of()
    strange = OutOfDistribution([2], share=0.2).apply(pool, np.random.default_rng(0))
    assert strange.outside[strange.train].mean() == pytest.approx(0.2, abs=0.01)
    assert np.array_equal(strange.inside, np.flatnonzero(pool.y < 2)[5:])
    with pytest.raises(ValueError, match=r"A share of 0\.9 needs 765"):
        OutOfDistribution([2], share=0.9).apply(pool, np.random.default_rng(0))


def test_strange_images_cost_labels_and_teach_nothing(digits):
    X, y = digits
    X, y = X[:600].reshape(600, -1) / 255.0, y[:600]
    ran = run(X, y, pool=OutOfDistribution([8, 9]), validation_size=20, n_instances=40)
    assert ran.classes_.tolist() == list(range(8))
    assert ran.history_["n_labelled"].tolist() == [40, 80, 120]
    assert not np.isin(y[ran.test_indices_], [8, 9]).any()
    assert not np.isin(y[ran.validation_indices_], [8, 9]).any()
    outside = [int(np.isin(y[batch], [8, 9]).sum()) for batch in ran.queries_]
    assert ran.history_["bought_outside"].tolist() == outside
    assert outside[0] == 0
    assert sum(outside) > 0
    bought = ran.history_[[f"bought_{c}" for c in range(8)]].sum(axis=1)
    assert (bought + ran.history_["bought_outside"]).tolist() == [20, 40, 40]
    assert 8 not in ran.estimator_.classes_
    # Only strange images bought: the model stays.
    with pytest.raises(ValueError, match=r"names \[11\], which y does not hold"):
        run(X, y, pool=OutOfDistribution([11]))


def test_wrong_labels_are_learnt_the_test_set_is_right_and_oracles_know(digits):
    X, y = digits
    X, y = X[:500].reshape(500, -1) / 255.0, y[:500]
    seen = []

    def watch(classifier, X_pool, n_instances, y_true=None, random_state=None):
        seen.append(y_true)
        return np.arange(n_instances), np.zeros(n_instances)

    ran = run(X, y, watch, pool=LabelNoise(0.3), n_rounds=1)
    clean = run(X, y, watch, n_rounds=1)
    assert np.array_equal(ran.test_indices_, clean.test_indices_)
    assert ran.history_["bought_wrong"].sum() > 0
    assert "bought_wrong" not in clean.history_
    train = np.setdiff1d(
        np.arange(500), np.concatenate([ran.test_indices_, ran.queries_[0]])
    )
    assert np.array_equal(seen[0], y[train])
    # What was wrong stays wrong, round by round and run by run.
    assert (
        run(X, y, watch, pool=LabelNoise(0.3), n_rounds=1)
        .history_["accuracy"]
        .equals(ran.history_["accuracy"])
    )
    assert ran.history_["accuracy"].iloc[-1] < clean.history_["accuracy"].iloc[-1]


def test_transforms_compose_and_pools_differ_by_seed(digits):
    X, y = digits
    X, y = X[:800].reshape(800, -1) / 255.0, y[:800]
    pool = [
        OutOfDistribution([9]),
        ClassImbalance(5),
        NearDuplicates(0.2, noise=0.05),
        LabelNoise(0.1),
    ]
    ran = run(X, y, "margin", pool=pool, n_initial=1, initial="per_class")
    assert len(ran.history_) == 3
    assert len(ran.queries_[0]) == 9
    other = run(
        X, y, "margin", pool=pool, n_initial=1, initial="per_class", random_state=1
    )
    assert not np.array_equal(ran.queries_[0], other.queries_[0])
    assert as_transforms(None) == []
    with pytest.raises(TypeError, match="pool must be made of LabelNoise"):
        run(X, y, pool=["noise"])
    assert issubclass(LabelNoise, PoolTransform)
