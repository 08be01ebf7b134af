"""Looks named beforehand: levels, p-values, and comparisons that grow from look to
look."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from al_sklearn.exceptions import StoreError
from al_sklearn.experiments import StrategyComparison, load_results
from al_sklearn.experiments import statistics as s
from al_sklearn.experiments.tracking import Callback


def test_levels_are_the_published_ones():
    # O'Brien and Fleming by Lan and DeMets, five equal looks, two-sided 5 %: z-values
    # as tables and programs print them.
    z = stats.norm.isf(s.sequential_levels((2, 4, 6, 8, 10)) / 2)
    assert z == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-4)
    # One look is no looks.
    assert s.sequential_levels((7,), 0.03) == pytest.approx([0.03])


def test_levels_against_random_walks():
    generator = np.random.default_rng(0)
    for looks in ((5, 10, 20), (3, 4, 5, 30), (2, 19, 20)):
        walks = generator.standard_normal((200_000, looks[-1])).cumsum(axis=1)
        z = walks[:, np.array(looks) - 1] / np.sqrt(looks)
        levels = s.sequential_levels(looks, 0.2)
        crossed = (2 * stats.norm.sf(np.abs(z)) < levels).any(axis=1).mean()
        # 200,000 walks: a standard error of 0.0009.
        assert crossed == pytest.approx(0.2, abs=0.004)


def test_p_values_count_all_looks():
    looks = (5, 10, 20)
    for alpha in (1e-6, 0.01, 0.05, 0.3):
        for level, n in zip(s.sequential_levels(looks, alpha), looks, strict=True):
            counted = s.sequential_p_values([level], looks, n)
            assert counted == pytest.approx([alpha], rel=1e-3)
    p = np.linspace(0, 1, 101)
    for n in looks:
        counted = s.sequential_p_values(p, looks, n)
        assert (counted >= p).all()
        assert (np.diff(counted) >= 0).all()
        assert (counted[0], counted[-1]) == (0, 1)
    assert s.sequential_p_values(p, (5,), 5) == pytest.approx(p, abs=1e-3)
    assert np.isnan(s.sequential_p_values([np.nan], looks, 5)).all()
    with pytest.raises(ValueError, match=r"one of the looks \(5, 10, 20\); got 7"):
        s.sequential_p_values([0.1], looks, 7)


@pytest.mark.parametrize(
    "wrong", [(), (10, 5), (5, 5), (1, 5), (5, 10.5), (True, 5), 5.0, "5"]
)
def test_looks_that_are_none(wrong):
    with pytest.raises(ValueError, match="looks are whole numbers of seeds"):
        s.check_looks(wrong)


def tidy(n_seeds, gain, looks=None):
    """Two rounds of two strategies that differ by a gain and by luck."""
    generator = np.random.default_rng(0)
    luck = generator.normal(0, 0.02, (n_seeds, 2))
    rows = [
        (name, seed, r, 20 * (r + 1), 0.7 + luck[seed, i] + gain * i)
        for i, name in enumerate(["random_sampling", "margin"])
        for seed in range(n_seeds)
        for r in range(2)
    ]
    columns = ["strategy", "seed", "round", "n_labelled", "accuracy"]
    table = pd.DataFrame(rows, columns=columns)
    table.attrs["looks"] = looks
    return table


def test_a_summary_holds_p_against_its_look():
    looks = [5, 10, 20]
    for n, level in zip(looks, s.sequential_levels(looks), strict=True):
        summary = s.summarize(tidy(n, 0.02, looks))
        p = summary.loc["margin", "p_value"]
        assert summary.loc["margin", "p_holm"] == s.sequential_p_values(p, looks, n)
        assert summary.attrs["alpha"] == pytest.approx(level)
        # The verdict is the same either way.
        assert (p < level) == (summary.loc["margin", "p_holm"] < 0.05)
        seen = s.detectable_effect(
            s.read_curves(tidy(n, 0.02))
            .differences("margin", "random_sampling")
            .std(ddof=1),
            n,
            level,
        )
        assert summary.loc["margin", "detectable"] == pytest.approx(seen)
        assert f"at {n} of up to 20 seeds" in summary.attrs["notes"][0]
        pairs = s.compare_pairs(tidy(n, 0.02, looks))
        assert pairs["p_holm"].tolist() == [summary.loc["margin", "p_holm"]]
    plain = s.summarize(tidy(5, 0.02))
    assert plain.attrs["alpha"] == 0.05
    assert plain["p_holm"].equals(plain["p_value"])


def test_between_two_looks_the_one_before_counts():
    looks = [5, 10, 20]
    five, seven = s.summarize(tidy(5, 0.02, looks)), tidy(7, 0.02, looks)
    whole = tidy(7, 0.02)
    assert len(s.read_curves(whole).seeds) == 7
    pd.testing.assert_frame_equal(
        s.summarize(seven), s.summarize(seven[seven["seed"] < 5])
    )
    assert s.summarize(seven)["n_seeds"].tolist() == [5, 5]
    assert "2 more finished seeds wait" in s.summarize(seven).attrs["notes"][0]
    assert five.attrs["alpha"] == s.summarize(seven).attrs["alpha"]
    early = s.summarize(tidy(4, 0.02, looks))
    assert early[["p_holm", "detectable"]].isna().all(axis=None)
    assert "nothing is tested before the first look" in early.attrs["notes"][0]
    late = s.summarize(tidy(25, 0.02, looks))
    assert "5 seeds were added to the 20 named beforehand" in late.attrs["notes"][0]


@pytest.fixture(scope="module")
def data():
    X, y = load_digits(n_class=3, return_X_y=True)
    return X[:300], y[:300]


def only_zeros(classifier, X, n_instances=1, *, y_true, random_state=None):
    """Buy images of one class alone: nobody learns from them."""
    order = np.argsort(y_true != 0, kind="stable")[:n_instances]
    return order, np.ones(len(order))


class Told(Callback):
    """Counts the runs that it is told of."""

    def __init__(self, file):
        self.file = file

    def on_experiment_begin(self, experiment):
        """Write a line a run."""
        with open(self.file, "a") as file:
            file.write(f"{experiment.name}\n")


def compare(data, strategies, store=None, looks=(6, 8), **options):
    options = {
        "n_initial": 3,
        "n_instances": 10,
        "n_rounds": 2,
        "initial": "random",
        "verbose": 0,
        "store": store,
        "looks": looks,
        **options,
    }
    model = KNeighborsClassifier(1)
    return StrategyComparison(model, strategies, **options).fit(*data)


def test_a_comparison_ends_at_the_look_that_decides_it(data, tmp_path):
    told = tmp_path / "told"
    store = tmp_path / "run"
    run = compare(data, {"bad": only_zeros}, store, callbacks=[Told(told)])
    assert run.results_["seed"].nunique() == 6
    summary = run.summary()
    assert summary.loc["bad", "p_holm"] < 0.05
    assert "Look 1 of 2, at 6 of up to 8 seeds" in summary.attrs["notes"][0]
    # Each run once, although there was another look to come.
    assert len(told.read_text().split()) == 12
    config = json.loads((store / "config.json").read_text())["configuration"]
    assert (config["n_seeds"], config["looks"]) == (8, [6, 8])
    read = load_results(store)
    pd.testing.assert_frame_equal(read.table, run.results_)
    pd.testing.assert_frame_equal(read.summary(), summary)
    assert read.summary().attrs["notes"] == summary.attrs["notes"]
    # The same again goes on from there, and is over.
    again = compare(data, {"bad": only_zeros}, store)
    pd.testing.assert_frame_equal(again.results_, run.results_)
    trained = run.retrain(*data, n_repeats=1)
    assert trained["seed"].tolist() == [s for s in range(6) for _ in range(2)]
    # Other looks are another comparison: named beforehand or not at all.
    for looks, options in (((6, 9), {}), (None, {"n_seeds": 8})):
        with pytest.raises(StoreError, match="looks was"):
            compare(data, {"bad": only_zeros}, store, looks, **options)


def test_a_comparison_that_is_not_decided_goes_to_the_last_look(data, tmp_path):
    # Random sampling and itself, both by name: nothing to find.
    twice = dict.fromkeys(("random_sampling", "other"), "random_sampling")
    run = compare(data, twice, looks=(3, 5))
    assert run.results_["seed"].nunique() == 5
    assert run.summary().attrs["notes"][0].startswith("Look 2 of 2, at 5 of up to 5")
    # The very same rows as all seeds at once.
    once = compare(data, twice, looks=None, n_seeds=5)
    columns = ["strategy", "seed", "n_labelled", "accuracy"]
    pd.testing.assert_frame_equal(run.results_[columns], once.results_[columns])
    text = run.report(tmp_path / "report.html").read_text()
    assert "Look 2 of 2" in text
    assert "looks=[3, 5]" in text


def test_looks_are_checked_before_anything_is_trained(data):
    for wrong, words in (
        ((5, 3), "looks are whole numbers of seeds"),
        ((1, 5), "looks are whole numbers of seeds"),
    ):
        with pytest.raises(ValueError, match=words):
            compare(data, ["margin"], looks=wrong)
    with pytest.raises(ValueError, match="ends at 8 seeds, n_seeds is 3"):
        compare(data, ["margin"], n_seeds=3)


def test_seeds_added_otherwise_are_said(data):
    run = compare(data, {"other": "random_sampling"}, looks=None, n_seeds=5)
    more = run.results_.assign(seed=run.results_["seed"] + 5)
    found = run._finished()
    joined = type(found)(
        pd.concat([run.results_, more]), found.classes, {}, found.config
    )
    (note,) = joined.notes
    assert note.startswith("5 seeds were added to the 5 named beforehand")
    # Reports write these notes, and consoles.
    assert joined.summary().attrs["notes"][0] == note
    assert found.notes == []
