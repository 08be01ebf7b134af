"""Who is in which set, and what every random number depends on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from al_sklearn._core.random import seeded_clone
from al_sklearn._core.stratified import hold_out
from al_sklearn.experiments.protocol._splits import initial_set
from al_sklearn.loop._streams import PURPOSES, Streams, entropy_of


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=80),
    st.floats(0.05, 0.9),
    st.integers(0, 5),
)
def test_hold_out_parts_everything(labels, share, seed):
    codes = np.unique(labels, return_inverse=True)[1]
    n_test = max(1, round(share * len(codes)))
    if n_test >= len(codes):
        return
    train, test = hold_out(codes, share, np.random.default_rng(seed))
    assert len(test) == n_test
    assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(len(codes)))
    counts, held = (
        np.bincount(codes),
        np.bincount(codes[test], minlength=codes.max() + 1),
    )
    if (counts - 1).sum() >= n_test:
        # Each class can still be learnt, and where every class has room it has its
        # share, to within one image.
        assert (counts > held).all()


def test_hold_out_is_stratified_and_takes_counts(digits):
    _, y = digits
    _train, test = hold_out(y, 300, np.random.default_rng(0))
    assert len(test) == 300
    assert np.abs(np.bincount(y[test]) - 300 * np.bincount(y) / len(y)).max() <= 1
    with pytest.raises(ValueError, match="leaves none to learn from"):
        hold_out(y, len(y), np.random.default_rng(0))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(0, 5))
def test_stratified_initial_sets_have_every_class_once_they_can(n_initial, seed):
    generator = np.random.default_rng(seed)
    codes = np.repeat(np.arange(5), [40, 30, 15, 10, 5])
    train = np.sort(generator.permutation(100)[:90])
    chosen = initial_set(codes, train, n_initial, "stratified", generator)
    counts = np.bincount(codes[train], minlength=5)
    got = np.bincount(codes[chosen], minlength=5)
    assert len(np.unique(chosen)) == n_initial
    assert np.isin(chosen, train).all()
    if n_initial >= 5:
        assert got.min() >= 1
    assert (got <= counts).all()
    if n_initial >= 20:
        assert np.abs(got - n_initial * counts / 90).max() <= 1.5


def test_random_initial_sets_do_not_look_at_classes():
    codes = np.repeat([0, 1], [99, 1])
    train = np.arange(100)
    drawn = [
        initial_set(codes, train, 5, "random", np.random.default_rng(seed))
        for seed in range(40)
    ]
    assert sum(99 in chosen for chosen in drawn) < 10
    with pytest.raises(ValueError, match="n_initial=101 is more than the 100"):
        initial_set(codes, train, 101, "random", np.random.default_rng(0))


def test_streams_are_the_children_that_spawn_gives():
    root = np.random.SeedSequence(7)
    seed = root.spawn(3)[2]
    purpose = seed.spawn(len(PURPOSES))[PURPOSES.index("weights")]
    child = purpose.spawn(5)[4]
    ours = Streams(7, 2).sequence("weights", 4)
    assert np.array_equal(ours.generate_state(8), child.generate_state(8))


def test_streams_are_separate():
    streams = [
        Streams(entropy, seed).integer(purpose, *keys)
        for entropy in (0, 1)
        for seed in (0, 1)
        for purpose in PURPOSES
        for keys in ((), (0,), (1,), ("margin", 1), ("margin", 2), ("badge", 1))
    ]
    assert len(set(streams)) == len(streams)
    assert Streams(0, 0).integer("order", 1) == Streams(0, 0).integer("order", 1)


def test_entropy_of():
    assert entropy_of(12) == entropy_of(np.int64(12)) == 12
    assert entropy_of(np.random.default_rng(3)) == entropy_of(np.random.default_rng(3))
    assert entropy_of(None) != entropy_of(None)


def test_every_random_state_inside_is_set_and_the_original_stays():
    estimator = make_pipeline(
        BaggingClassifier(DecisionTreeClassifier(random_state=5)),
        RandomForestClassifier(),
    )
    first, same, other = (
        seeded_clone(estimator, 1),
        seeded_clone(estimator, 1),
        seeded_clone(estimator, 2),
    )
    names = [name for name in estimator.get_params() if name.endswith("random_state")]
    assert len(names) == 3
    states = [first.get_params()[name] for name in names]
    assert len(set(states)) == 3
    assert states == [same.get_params()[name] for name in names]
    assert not set(states) & {other.get_params()[name] for name in names}
    assert estimator.get_params()["baggingclassifier__estimator__random_state"] == 5
    assert isinstance(seeded_clone(LogisticRegression(), 0).random_state, int)
