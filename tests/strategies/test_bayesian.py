"""Measures, selectors and strategies of posterior samples against their definitions."""

import math
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier

from al_sklearn import inference, strategies
from al_sklearn.learners import ActiveLearner, Committee
from al_sklearn.strategies import (
    get_strategy,
    measures,
    selectors,
    strategy_name,
)
from al_sklearn.strategies._engine import arrays as _measure_blocks
from al_sklearn.strategies._engine import particles as _joint
from al_sklearn.strategies.checks import check_query_strategy
from al_sklearn.strategies.selectors import _batch_bald
from tests.strategies import references_bayesian as reference

OF_SAMPLES = [
    "mean_std",
    "variation_ratio",
    "vote_entropy",
    "consensus_entropy",
    "kl_disagreement",
]
TOLERANCE = {np.float16: 3e-3, np.float32: 4e-6, np.float64: 1e-12}


def posterior(rng, n_samples, n, n_classes, dtype=np.float64, spread=1.0):
    """Samples of linear classifiers, with rows of exact zeros and ones, ties, agreement
    and duplicates."""
    rows = rng.normal(size=(n, 5)) * 2
    weights = rng.normal(size=(1, 5, n_classes)) + spread * rng.normal(
        size=(n_samples, 5, n_classes)
    )
    logits = rows @ weights
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    if n >= 8 and n_classes > 1:
        p[:, 1] = np.eye(n_classes)[0]
        p[:, 2] = np.eye(n_classes)[rng.integers(n_classes, size=n_samples)]
        p[:, 3] = 1 / n_classes
        p[:, 4] = 0
        p[:, 4, :2] = 0.5
        p[:, 5] = p[:, 6]
        p[:, 7] = p[:1, 7]
    return p.astype(dtype)


@pytest.mark.parametrize("name", OF_SAMPLES)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    ("n_samples", "n_classes"), [(1, 3), (7, 2), (20, 10), (4, 300), (3, 1000)]
)
def test_measures_agree_with_their_definition(name, dtype, n_samples, n_classes):
    samples = posterior(
        np.random.default_rng(n_classes), n_samples, 30, n_classes, dtype
    )
    before = samples.copy()
    measure = getattr(measures, name)
    expected = [
        getattr(reference, name)(samples[:, i].astype(np.float64)) for i in range(30)
    ]
    np.testing.assert_allclose(measure(samples), expected, atol=TOLERANCE[dtype] * 3)
    of_tensor = measure(torch.from_numpy(samples))
    assert isinstance(of_tensor, torch.Tensor)
    np.testing.assert_allclose(of_tensor.numpy(), expected, atol=TOLERANCE[dtype] * 3)
    # A view with gaps, as a committee gives (n, T, C), is the same.
    turned = np.ascontiguousarray(samples.swapaxes(0, 1)).swapaxes(0, 1)
    np.testing.assert_array_equal(measure(turned), measure(samples))
    np.testing.assert_array_equal(samples, before)


@pytest.mark.parametrize("name", [*OF_SAMPLES, "bald", "max_entropy"])
def test_what_runs_on_an_accelerator_agrees(name):
    samples = posterior(np.random.default_rng(0), 9, 40, 6)
    with patch.object(
        _measure_blocks, "on_device", lambda array: isinstance(array, torch.Tensor)
    ):
        there = getattr(measures, name)(torch.from_numpy(samples))
        targets = torch.from_numpy(samples[:, :7])
        np.testing.assert_allclose(
            measures.epig(torch.from_numpy(samples), targets),
            measures.epig(samples, samples[:, :7]),
            atol=1e-12,
        )
    np.testing.assert_allclose(
        there.numpy(), getattr(measures, name)(samples), atol=1e-12
    )
    for measure in ("least_confidence", "margin", "ratio", "entropy"):
        with patch.object(
            _measure_blocks, "on_device", lambda array: isinstance(array, torch.Tensor)
        ):
            there = getattr(measures, measure)(torch.from_numpy(samples[0]))
        np.testing.assert_allclose(
            there.numpy(), getattr(measures, measure)(samples[0]), atol=1e-12
        )


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 60), st.integers(2, 40))
def test_blocks_change_no_bit_and_bounds_hold(seed, n_samples, n, n_classes):
    samples = posterior(
        np.random.default_rng(seed), n_samples, n, n_classes, np.float32
    )
    whole = {name: getattr(measures, name)(samples) for name in [*OF_SAMPLES, "bald"]}
    random_votes = measures.vote_shares(samples, random_tie_break=True, random_state=1)
    with patch.object(_measure_blocks, "_BLOCK_VALUES", 50):
        for name, utilities in whole.items():
            np.testing.assert_array_equal(getattr(measures, name)(samples), utilities)
        again = measures.vote_shares(samples, random_tie_break=True, random_state=1)
        np.testing.assert_array_equal(again, random_votes)
    assert whole["variation_ratio"].min() >= 0
    assert whole["variation_ratio"].max() <= 1 - 1 / min(n_samples, n_classes) + 1e-12
    assert whole["vote_entropy"].max() <= math.log(min(n_samples, n_classes)) + 1e-12
    assert whole["mean_std"].min() >= 0 and whole["mean_std"].max() <= 0.5 + 1e-6


def test_samples_that_agree_score_exactly_nothing():
    p = np.random.default_rng(0).dirichlet(np.ones(7), size=200).astype(np.float32)
    agreeing = np.repeat(p[None], 11, axis=0)
    for name in (
        "bald",
        "mean_std",
        "variation_ratio",
        "vote_entropy",
        "kl_disagreement",
    ):
        assert not getattr(measures, name)(agreeing).any(), name
        assert not getattr(measures, name)(torch.from_numpy(agreeing)).any(), name
    assert not measures.kl_disagreement(agreeing, reduction="max").any()
    assert not measures.epig(agreeing, agreeing[:, :5]).any()


def test_largest_disagreement_is_that_of_modal():
    samples = posterior(np.random.default_rng(3), 6, 25, 4)
    expected = [max(reference.divergences(samples[:, i])) for i in range(25)]
    np.testing.assert_allclose(
        measures.kl_disagreement(samples, reduction="max"), expected, atol=1e-12
    )
    with patch.object(
        _measure_blocks, "on_device", lambda array: isinstance(array, torch.Tensor)
    ):
        there = measures.kl_disagreement(torch.from_numpy(samples), reduction="max")
    np.testing.assert_allclose(there.numpy(), expected, atol=1e-12)
    with pytest.raises(ValueError, match="Unknown reduction 'median'"):
        measures.kl_disagreement(samples, reduction="median")


def test_votes_of_strings_and_votes_that_tie():
    labels = np.array(
        [["cat", "dog", "dog"], ["owl", "cat", "dog"], ["cat", "cat", "cat"]]
    )
    shares = measures.vote_shares(labels)
    np.testing.assert_allclose(
        shares, [[1 / 3, 2 / 3, 0], [1 / 3, 1 / 3, 1 / 3], [1, 0, 0]]
    )
    np.testing.assert_allclose(measures.entropy(shares)[1], math.log(3))
    np.testing.assert_array_equal(
        measures.vote_shares(labels, ["owl", "cat", "dog", "emu"])[1],
        [1 / 3, 1 / 3, 1 / 3, 0],
    )
    with pytest.raises(
        ValueError, match="Row 1 has votes that are not among the classes"
    ):
        measures.vote_shares(labels, ["cat", "dog"])
    # A member that cannot decide votes for the first class, or for any of those that
    # tie.
    for n_classes in (4, 50):
        undecided = np.zeros((3, 400, n_classes), dtype=np.float32)
        undecided[:, :, :2] = 0.5
        assert (measures.vote_shares(undecided)[:, 0] == 1).all()
        at_random = measures.vote_shares(
            undecided, random_tie_break=True, random_state=0
        )
        assert not at_random[:, 2:].any() and abs(at_random[:, 0].mean() - 0.5) < 0.05
        assert set(np.unique((at_random * 3).round())) == {0, 1, 2, 3}
    with pytest.raises(ValueError, match="votes must be labels"):
        measures.vote_shares(np.zeros(3))


def test_equal_votes_score_the_same_to_the_last_bit():
    samples = np.eye(5)[
        np.array([[0, 4, 1], [0, 4, 1], [2, 3, 0], [3, 0, 4], [1, 1, 2]])
    ]
    for name in ("vote_entropy", "variation_ratio"):
        assert len(set(getattr(measures, name)(samples).tolist())) == 1


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    ("n_samples", "n_classes", "m"), [(2, 2, 1), (8, 5, 6), (5, 40, 2)]
)
def test_epig_agrees_with_its_definition(dtype, n_samples, n_classes, m):
    rng = np.random.default_rng(n_classes)
    samples = posterior(rng, n_samples, 12, n_classes, dtype)
    targets = posterior(rng, n_samples, max(m, 8), n_classes, dtype)[:, :m]
    expected = [
        max(
            reference.epig(
                samples[:, i].astype(np.float64), targets.astype(np.float64)
            ),
            0,
        )
        for i in range(12)
    ]
    np.testing.assert_allclose(
        measures.epig(samples, targets), expected, atol=TOLERANCE[dtype] * 3
    )
    with patch.multiple(_joint, _TILE_COLUMNS=n_classes, _TILE_VALUES=9):
        np.testing.assert_allclose(
            measures.epig(samples, targets), expected, atol=TOLERANCE[dtype] * 3
        )


def test_epig_is_about_the_targets():
    # The samples disagree on both candidates; only the first shares what the target
    # depends on.
    first, second = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    samples = np.eye(2)[np.stack([first, second], axis=1)]
    target = np.eye(2)[first[:, None]]
    np.testing.assert_allclose(
        measures.epig(samples, target), [math.log(2), 0], atol=1e-12
    )
    with pytest.raises(ValueError, match="same 4 posterior samples"):
        measures.epig(samples, target[:3])
    target[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="target_samples contain NaN"):
        measures.epig(samples, target)


@pytest.mark.parametrize("name", OF_SAMPLES)
def test_bad_input(name):
    measure, good = getattr(measures, name), np.full((2, 3, 2), 0.5)
    with pytest.raises(ValueError, match="must have 3 axes, got shape"):
        measure(good[0])
    with pytest.raises(ValueError, match="must not be empty"):
        measure(good[:0])
    for n_classes in (2, 40):
        bad = np.full((2, 3, n_classes), 1 / n_classes)
        bad[1, 1, 1] = np.nan
        for kind in (bad, torch.from_numpy(bad)):
            with pytest.raises(ValueError, match="NaN, first in row 1"):
                measure(kind)


# BatchBALD


@pytest.mark.parametrize("n_classes", [2, 3])
def test_batch_bald_agrees_with_enumeration(n_classes):
    for seed in range(4):
        samples = posterior(np.random.default_rng(seed), 6, 12, n_classes)
        chosen, gains = selectors.batch_bald(samples, 4)
        expected, expected_gains = reference.batch_bald_exact(samples, 4)
        np.testing.assert_array_equal(chosen, expected)
        np.testing.assert_allclose(gains, expected_gains, atol=1e-12)


def lazily(**levels):
    """BatchBALD with bounds, levels and tiles small enough to matter on a small
    pool."""
    settings = {"_BLOCK": 5, "_GROUPS": (4, 16), **levels}
    return patch.multiple(_batch_bald, **settings)


@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
@pytest.mark.parametrize(
    ("n_samples", "n_classes", "n_configurations"),
    [(10, 3, 50), (25, 5, 130), (7, 2, 8)],
)
def test_batch_bald_picks_what_the_full_greedy_picks(
    spread, n_samples, n_classes, n_configurations
):
    samples = posterior(
        np.random.default_rng(n_samples), n_samples, 60, n_classes, np.float32, spread
    )
    expected, gains = reference.batch_bald_drawn(
        samples, 8, n_configurations, np.random.default_rng(5)
    )
    n_sure = next((i for i, gain in enumerate(gains) if gain < 1e-4), 8)
    assert n_sure >= 2
    with lazily(), patch.multiple(_joint, _TILE_COLUMNS=64, _TILE_VALUES=1024):
        lazy = selectors.batch_bald(
            samples,
            8,
            n_configurations=n_configurations,
            random_state=np.random.default_rng(5),
        )
    plain = selectors.batch_bald(
        samples,
        8,
        n_configurations=n_configurations,
        random_state=np.random.default_rng(5),
    )
    for chosen, found in (lazy, plain):
        np.testing.assert_array_equal(chosen[:n_sure], expected[:n_sure])
        np.testing.assert_allclose(
            found[:n_sure], gains[:n_sure], atol=3e-7
        )  # float32 rows do not sum to 1 exactly


def test_batch_bald_is_lazy_and_bounds_are_bounds():
    samples = posterior(np.random.default_rng(0), 30, 400, 4, np.float32, 0.5)
    with lazily(_BLOCK=10, _GROUPS=(32, 64)):
        greedy = _batch_bald._Greedy(samples, 600, np.random.default_rng(0), False)
        before = 0
        for step in range(6):
            index, _ = greedy.choose()
            greedy.condition(index)
            if greedy.drawn:
                greedy.upper[:] = np.inf
                greedy._bound(np.arange(400), 32)
                true = greedy._gains(np.arange(400), np.float64)
                assert (greedy.upper >= true - 1e-12).all()
            if step == 3:
                before = greedy.n_scored
        assert greedy.n_scored - before < 2 * 200


def test_batch_bald_sees_what_bald_does_not():
    # Two copies of the most informative candidate say the same; the third says
    # something else.
    first, second = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    samples = np.stack(
        [np.eye(2)[first], np.eye(2)[first], 0.9 * np.eye(2)[second] + 0.05], axis=1
    )
    assert np.argsort(-measures.bald(samples), kind="stable").tolist() == [0, 1, 2]
    chosen, gains = selectors.batch_bald(samples, 3)
    assert chosen.tolist() == [0, 2, 1]
    np.testing.assert_allclose(gains[[0, 2]], [math.log(2), 0], atol=1e-12)


def test_batch_bald_ties_duplicates_and_the_whole_pool():
    rng = np.random.default_rng(0)
    for dtype in (np.float16, np.float32, np.float64):
        samples = np.repeat(posterior(rng, 8, 9, 3, dtype), 3, axis=1)
        chosen, _ = selectors.batch_bald(
            samples, 27, n_configurations=40, random_state=0
        )
        assert sorted(chosen.tolist()) == list(range(27))
        assert chosen[0] % 3 == 0  # the first of three that are the same
    nothing = np.full((4, 10, 3), 1 / 3, dtype=np.float32)
    assert selectors.batch_bald(nothing, 10)[0].tolist() == list(range(10))
    at_random = selectors.batch_bald(
        nothing, 10, random_tie_break=True, random_state=0
    )[0]
    assert at_random.tolist() != list(range(10)) and sorted(at_random.tolist()) == list(
        range(10)
    )
    assert selectors.batch_bald(samples[:, :1], 1)[0].tolist() == [0]
    # One sample has nothing to say about itself.
    assert selectors.batch_bald(samples[:1], 3)[0].tolist() == [0, 1, 2]


def test_batch_bald_depends_on_no_tile_and_repeats():
    samples = posterior(np.random.default_rng(8), 20, 150, 6, np.float32)
    options = {"n_configurations": 100, "random_state": 3}
    chosen, gains = selectors.batch_bald(samples, 7, **options)
    with patch.multiple(_joint, _TILE_COLUMNS=30, _TILE_VALUES=200):
        again = selectors.batch_bald(samples, 7, **options)
    np.testing.assert_array_equal(chosen, again[0])
    np.testing.assert_allclose(gains, again[1], atol=1e-12)
    np.testing.assert_array_equal(
        chosen, selectors.batch_bald(torch.from_numpy(samples), 7, **options)[0]
    )
    with patch.object(
        _measure_blocks, "on_device", lambda array: isinstance(array, torch.Tensor)
    ):
        np.testing.assert_array_equal(
            chosen, selectors.batch_bald(torch.from_numpy(samples), 7, **options)[0]
        )


def test_batch_bald_never_runs_out_of_float():
    # Forty labels under certain samples: a product of their probabilities would be 0 in
    # float32.
    samples = posterior(np.random.default_rng(1), 6, 50, 10, np.float32, 0.05)
    chosen, gains = selectors.batch_bald(
        samples, 40, n_configurations=60, random_state=0
    )
    assert len(set(chosen.tolist())) == 40 and np.isfinite(gains).all()


def test_batch_bald_bad_input():
    samples = np.full((3, 4, 2), 0.5)
    with pytest.raises(ValueError, match="n_configurations must be at least 1"):
        selectors.batch_bald(samples, 2, n_configurations=0)
    with pytest.raises(ValueError, match="5"):
        selectors.batch_bald(samples, 5)
    samples[1, 2, 0] = np.nan
    with pytest.raises(ValueError, match="NaN, first in row 2"):
        selectors.batch_bald(samples, 2)


# Stochastic batches


def test_stochastic_batches_draw_in_proportion():
    scores = np.array([4.0, 2.0, 0.0, 1.0, 1.0])
    counts = {kind: np.zeros(5) for kind in ("power", "softmax", "softrank")}
    n = 4000
    for seed in range(n):
        for kind, count in counts.items():
            count[
                selectors.stochastic_top_k(
                    scores, 1, kind=kind, beta=1.5, random_state=seed
                )[0]
            ] += 1
    expected = {
        "power": scores**1.5,
        "softmax": np.exp(1.5 * scores),
        # The two that are equal share ranks 3 and 4.
        "softrank": np.array(
            [1, 2**-1.5, 5**-1.5, (3**-1.5 + 4**-1.5) / 2, (3**-1.5 + 4**-1.5) / 2]
        ),
    }
    for kind, weights in expected.items():
        p = weights / weights.sum()
        assert (abs(counts[kind] - n * p) <= 4.5 * np.sqrt(n * p * (1 - p))).all(), kind


def test_stochastic_batches_are_unique_and_end_with_what_scores_nothing():
    scores = np.array([0.0, 0.0, 3.0, 0.0, 1.0, 0.0])
    lasts = set()
    for seed in range(30):
        indices, noisy = selectors.stochastic_top_k(scores, 6, random_state=seed)
        assert sorted(indices.tolist()) == list(range(6)) and set(
            indices[:2].tolist()
        ) == {2, 4}
        assert (noisy[2:] == -np.inf).all() and not np.isnan(noisy).any()
        lasts.add(tuple(indices[2:].tolist()))
    assert len(lasts) > 10
    assert selectors.stochastic_top_k(scores, 2, beta=np.inf)[0].tolist() == [2, 4]
    assert selectors.stochastic_top_k(torch.tensor(scores), 2, beta=1e9)[
        0
    ].tolist() == [2, 4]
    with pytest.raises(ValueError, match="not negative"):
        selectors.stochastic_top_k(-scores, 2)
    assert len(selectors.stochastic_top_k(-scores, 2, kind="softmax")[0]) == 2
    for bad, message in (
        ({"kind": "powr"}, "Unknown kind 'powr'"),
        ({"beta": 0}, "beta must be positive"),
    ):
        with pytest.raises(ValueError, match=message):
            selectors.stochastic_top_k(scores, 2, **bad)
    with pytest.raises(ValueError, match="1 NaN of 2"):
        selectors.stochastic_top_k([np.nan, 1.0], 1)


# The strategies: their contract is tested with that of all others.


@pytest.fixture(scope="module")
def forest(digits):
    X, y = digits
    X = X.reshape(len(X), -1).astype(np.float32) / 255
    return RandomForestClassifier(12, max_depth=5, random_state=0).fit(
        X[:150], y[:150]
    ), X[150:450]


@pytest.mark.parametrize("name", [*OF_SAMPLES, "bald", "max_entropy"])
def test_strategies_are_the_top_of_their_measure(name, forest):
    utilities = getattr(measures, name)(inference.sample_proba(*forest))
    indices, scores = get_strategy(name)(*forest, 20, random_tie_break=False)
    np.testing.assert_array_equal(
        indices, np.lexsort((np.arange(300), -utilities))[:20]
    )
    np.testing.assert_array_equal(scores, utilities[indices])


def test_massive_ties_need_not_follow_the_order_of_the_pool(forest):
    classifier, X = forest
    by_class = X[np.argsort(classifier.predict(X), kind="stable")]
    for name in ("variation_ratio", "vote_entropy"):
        strategy = get_strategy(name)
        first, second = (
            strategy(classifier, by_class, 40, random_tie_break=True, random_state=i)[0]
            for i in (0, 1)
        )
        assert set(first.tolist()) != set(second.tolist())
        np.testing.assert_array_equal(
            first,
            strategy(classifier, by_class, 40, random_tie_break=True, random_state=0)[
                0
            ],
        )


def test_batch_and_power_bald_and_epig_are_their_selectors(forest):
    classifier, X = forest
    samples = inference.sample_proba(classifier, X)
    np.testing.assert_array_equal(
        strategies.batch_bald(classifier, X, 3, random_state=1)[0],
        selectors.batch_bald(samples, 3)[0],
    )
    top = selectors.top_k(measures.bald(samples), 10)[0]
    np.testing.assert_array_equal(
        strategies.power_bald(classifier, X, 10, beta=np.inf)[0], top
    )
    drawn = strategies.power_bald(classifier, X, 10, random_state=0)[0]
    assert set(drawn.tolist()) != set(top.tolist())
    targets = inference.sample_proba(classifier, X[:20])
    np.testing.assert_array_equal(
        strategies.epig(classifier, X, 9, X_target=X[:20])[0],
        selectors.top_k(measures.epig(samples, targets), 9)[0],
    )
    # Some of the members: the same for candidates and targets.
    some = strategies.epig(classifier, X, 5, X_target=X, n_samples=4, random_state=2)
    np.testing.assert_array_equal(
        some[0],
        strategies.epig(classifier, X, 5, n_targets=10**6, n_samples=4, random_state=2)[
            0
        ],
    )
    with pytest.raises(ValueError, match="n_targets must be at least 1"):
        strategies.epig(classifier, X, 5, n_targets=0)


def test_stochastic_wraps_any_measure(forest):
    classifier, X = forest
    for measure, asked in (
        ("margin", inference.predict_proba(classifier, X)),
        ("bald", inference.sample_proba(classifier, X)),
    ):
        scores = getattr(measures, measure)(asked)
        greedy = strategies.stochastic(measure, beta=np.inf)
        np.testing.assert_array_equal(
            np.sort(scores[greedy(classifier, X, 15)[0]]), np.sort(scores)[-15:]
        )
        of_function = strategies.stochastic(getattr(measures, measure), kind="softmax")
        np.testing.assert_array_equal(
            of_function(classifier, X, 15, random_state=3)[0],
            strategies.stochastic(measure, kind="softmax")(
                classifier, X, 15, random_state=3
            )[0],
        )

    def own(samples):
        return samples.std(axis=0).sum(axis=-1)

    assert (
        len(strategies.stochastic(own, of="samples")(classifier, X, 4, n_samples=3)[0])
        == 4
    )
    assert len(strategies.stochastic("entropy")(classifier, X, 4, n_samples=3)[0]) == 4
    check_query_strategy(strategies.stochastic("entropy", kind="softrank", beta=2))
    check_query_strategy(strategies.stochastic("bald"))
    assert (
        strategy_name(strategies.stochastic("bald"))
        == "stochastic(bald, kind='power', beta=1)"
    )
    with pytest.raises(ValueError, match=r"Unknown measure 'bld'. Did you mean 'bald'"):
        strategies.stochastic("bld")
    with pytest.raises(ValueError, match="Unknown kind of input"):
        strategies.stochastic(own, of="logits")


def test_committees_vote_whatever_their_classes_are_called(digits):
    X, y = digits
    X = X.reshape(len(X), -1).astype(np.float32) / 255
    names = np.array(
        ["nil", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    )[y]
    learners = [
        ActiveLearner(
            RandomForestClassifier(2, max_depth=3, random_state=i),
            X_training=X[:60],
            y_training=names[:60],
        )
        for i in range(3)
    ]
    committee = Committee(learners)
    shares = measures.vote_shares(committee.vote(X[60:160]), committee.classes_)
    utilities = measures.vote_entropy(inference.sample_proba(committee, X[60:160]))
    np.testing.assert_allclose(measures.entropy(shares), utilities, atol=1e-12)
    for name in ("vote_entropy", "kl_disagreement", "consensus_entropy", "batch_bald"):
        assert (
            len(
                set(
                    get_strategy(name)(committee, X[60:160], 7, random_state=0)[
                        0
                    ].tolist()
                )
            )
            == 7
        )
