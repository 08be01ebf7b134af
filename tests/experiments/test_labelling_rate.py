"""The next batch by the formula, by hand, and in experiments."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from al_sklearn.experiments import ActiveLearningExperiment, StrategyComparison
from al_sklearn.experiments.labelling_rate import AdaptiveRate, FixedRate, LabellingRate

LR = LogisticRegression(max_iter=300)


def test_fixed():
    assert (
        FixedRate(7).next_batch([20])
        == FixedRate(7).next_batch([20, 27, 34], [0.1, 0.2, 0.3])
        == 7
    )
    with pytest.raises(ValueError, match=r"n_instances.*must be an int in the range"):
        FixedRate(0).next_batch([20])


@pytest.mark.parametrize(
    ("n_labelled", "values", "expected"),
    [
        ([20], [0.5], 20),  # nothing to judge by: the first batch
        ([20, 40], [0.60, 0.65], 8),  # 0.0025 a label, 0.02 wanted
        ([20, 40], [0.60, 0.61], 40),  # 0.0005 a label
        (
            [20, 40],
            [0.60, 0.60],
            200,
        ),  # no gain: 0.001 / 20 a label, 400 wanted, 200 allowed
        ([20, 40], [0.70, 0.60], 200),  # a loss counts as no gain
        ([20, 40], [0.98, 0.99], 20),  # only 0.01 is left to be won
        ([20, 40], [0.90, 1.00], 1),  # nothing is left
        ([20, 40, 140], [0.1, 0.60, 0.70], 20),  # the last batch alone counts
    ],
)
def test_adaptive_by_hand(n_labelled, values, expected):
    assert AdaptiveRate().next_batch(n_labelled, values) == expected


@settings(max_examples=100, deadline=None)
@given(
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(1, 500),
    st.floats(0.001, 0.5),
    st.floats(1e-4, 0.1),
    st.integers(1, 300),
)
def test_adaptive_against_the_formula(before, now, bought, gain, smallest, largest):
    rate = AdaptiveRate(gain=gain, min_gain=smallest, max_instances=largest)
    delta = max(smallest, now - before) / bought
    wanted = min(largest, min(gain, 1 - now) / delta)
    got = rate.next_batch([10, 10 + bought], [before, now])
    assert 1 <= got <= largest
    assert abs(got - max(1, wanted)) < 1 + 1e-6
    assert got == max(1, math.ceil(wanted - 1e-9))


def test_errors_say_what_is_allowed():
    with pytest.raises(ValueError, match="accuracy must be from 0 to 1, got"):
        AdaptiveRate().next_batch([20, 40], [0.5, float("nan")])
    with pytest.raises(ValueError, match="One value for each budget"):
        AdaptiveRate().next_batch([20, 40], [0.5])
    with pytest.raises(ValueError, match="must increase"):
        AdaptiveRate().next_batch([20, 20], [0.5, 0.6])
    with pytest.raises(ValueError, match=r"gain.*must be a float in the range"):
        AdaptiveRate(gain=2.0).next_batch([20], [0.5])
    with pytest.raises(NotImplementedError, match="LabellingRate has no next_batch"):
        LabellingRate().next_batch([20])


def test_a_rate_is_plain_data():
    rate = AdaptiveRate(30, gain=0.05)
    assert repr(rate) == "AdaptiveRate(gain=0.05, n_first=30)"
    for copy in (clone(rate), pickle.loads(pickle.dumps(rate)), eval(repr(rate))):
        assert copy.get_params() == rate.get_params()


@pytest.fixture
def flat(digits):
    X, y = digits
    return X[:600].reshape(600, -1) / 255.0, y[:600]


def test_in_an_experiment_each_batch_follows_the_formula(flat):
    X, y = flat
    rate = AdaptiveRate(15, gain=0.03, max_instances=60)
    experiment = ActiveLearningExperiment(
        LR, "margin", n_instances=rate, n_rounds=6, random_state=0
    ).fit(X, y)
    history = experiment.history_
    labels, values = history["n_labelled"].tolist(), history["accuracy"].tolist()
    for i in range(len(labels) - 1):
        assert labels[i + 1] - labels[i] == rate.next_batch(
            labels[: i + 1], values[: i + 1]
        )
    assert len(set(np.diff(labels))) > 2
    fixed = ActiveLearningExperiment(
        LR, "margin", n_instances=FixedRate(15), n_rounds=2, random_state=0
    ).fit(X, y)
    assert fixed.history_["n_labelled"].tolist() == [20, 35, 50]


def test_the_pool_may_be_used_up_early(flat):
    X, y = flat
    rate = AdaptiveRate(100, gain=0.5, max_instances=400, min_gain=0.01)
    experiment = ActiveLearningExperiment(
        LR, n_instances=rate, n_rounds=10, random_state=0
    ).fit(X, y)
    assert experiment.history_["n_labelled"].iloc[-1] == 450
    assert experiment.stopped_ == "pool used up"


def test_in_a_comparison_strategies_have_budgets_of_their_own(flat, tmp_path):
    X, y = flat
    options = {
        "n_instances": AdaptiveRate(15, gain=0.03, max_instances=60),
        "n_rounds": 4,
        "verbose": 0,
    }

    def run(**more):
        made = StrategyComparison(
            LR,
            ["margin"],
            n_seeds=5,
            threads_per_job=1,
            store=tmp_path / "run",
            **options | more,
        )
        return made.fit(X, y)

    table = run().results_
    ends = table.groupby(["strategy", "seed"])["n_labelled"].max()
    assert ends.nunique() > 2
    summary = run().summary()
    assert summary["n_seeds"].tolist() == [5, 5]
    assert "Curves begin or end at different budgets" in summary.attrs["notes"][0]
    assert summary["labels"].to_dict() == pytest.approx(
        ends.groupby("strategy").mean().to_dict()
    )
    with pytest.raises(ValueError, match=r"n_instances\.gain was 0.03, is 0.05"):
        run(n_instances=AdaptiveRate(15, gain=0.05, max_instances=60))
