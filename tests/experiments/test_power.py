"""What a comparison can see, and how many seeds it takes."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from al_sklearn.experiments import plan_comparison
from al_sklearn.experiments import statistics as s


def pilot(n_seeds=5, deviation=0.02, n_strategies=1):
    """Areas whose differences to random sampling vary by exactly so much."""
    z = np.random.default_rng(0).standard_normal((n_strategies, n_seeds))
    z = (z - z.mean(axis=1, keepdims=True)) / z.std(axis=1, ddof=1, keepdims=True)
    areas = {"random_sampling": np.full(n_seeds, 0.7)}
    areas |= {f"s{i}": 0.7 + deviation * (i + 1) * own for i, own in enumerate(z)}
    rows = [
        (name, seed, n, value)
        for name, values in areas.items()
        for seed, value in enumerate(values)
        for n in (20, 40)
    ]
    return pd.DataFrame(rows, columns=["strategy", "seed", "n_labelled", "accuracy"])


@pytest.mark.parametrize("effect", [0.0, 0.3, 1.0, 4.0])
def test_power_against_scipy_and_statsmodels(effect):
    theirs = pytest.importorskip("statsmodels.stats.power").TTestPower()
    for n in (2, 3, 5, 10, 30, 200):
        for alpha in (0.05, 0.01):
            got = s.paired_power(effect, n, alpha)
            t = stats.nct(n - 1, effect * np.sqrt(n))
            critical = stats.t.ppf(1 - alpha / 2, n - 1)
            exact = t.sf(critical) + t.cdf(-critical)
            # Far out scipy's is NaN, and the power 1.
            exact = 1.0 if np.isnan(exact) else exact
            assert got == pytest.approx(exact, abs=1e-5)
            assert s.paired_power(-effect, n, alpha) == got
            if n >= 5 and effect <= 1:
                assert got == pytest.approx(theirs.power(effect, n, alpha), abs=1e-5)
    assert s.paired_power([0.0, np.inf], 10) == pytest.approx([0.05, 1.0], abs=1e-5)
    # Where scipy and statsmodels lose their digits: by 400,000 tests of three seeds.
    seeds = np.random.default_rng(0).standard_normal((400_000, 3)) + 7.32
    t = seeds.mean(axis=1) / (seeds.std(axis=1, ddof=1) / np.sqrt(3))
    found = (np.abs(t) > stats.t.ppf(0.995, 2)).mean()
    assert s.paired_power(7.32, 3, 0.01) == pytest.approx(found, abs=0.003)


def test_what_could_have_been_seen():
    theirs = pytest.importorskip("statsmodels.stats.power").TTestPower()
    for n in (5, 10, 30):
        seen = s.detectable_effect(0.02, n, 0.01)
        assert s.paired_power(seen / 0.02, n, 0.01) == pytest.approx(0.8)
        own = theirs.solve_power(nobs=n, alpha=0.01, power=0.8)
        assert seen == pytest.approx(0.02 * own, rel=1e-3)
    assert np.isnan(s.detectable_effect(0.02, 1))
    assert s.detectable_effect(0.0, 5) == 0
    # Two seeds at an early look's level would have found nothing at all.
    assert s.detectable_effect(0.02, 2, 1e-7) == np.inf
    summary = s.summarize(pilot(5, n_strategies=2))
    # Holm's first step of two strategies.
    assert summary.loc["s0", "detectable"] == pytest.approx(
        s.detectable_effect(0.02, 5, 0.025)
    )
    assert np.isnan(summary.loc["random_sampling", "detectable"])
    for wrong in ({"alpha": 0}, {"power": 1}):
        with pytest.raises(ValueError, match="is a share between 0 and 1"):
            s.detectable_effect(0.02, 5, **wrong)


def test_a_plan_from_a_pilot():
    # A pilot of 2,000 seeds knows its deviation: the textbook's number.
    plan = plan_comparison(pilot(2000), effect=0.01)
    theirs = pytest.importorskip("statsmodels.stats.power").TTestPower()
    needed = theirs.solve_power(effect_size=0.5, alpha=0.05, power=0.8)
    assert plan.n_seeds == pytest.approx(np.ceil(needed), abs=1)
    assert plan.power >= 0.8
    assert plan.power_at(plan.n_seeds - 1) < 0.8
    # Five seeds leave it open, so that it takes more.
    small = plan_comparison(pilot(5), effect=0.01)
    assert small.n_seeds > plan.n_seeds
    assert small.power == pytest.approx(small.power_at(small.n_seeds))
    assert (small.pilot_seeds, small.alpha, small.effect) == (5, 0.05, 0.01)
    # Larger effects take fewer, more power and more strategies take more.
    assert plan_comparison(pilot(5), effect=0.02).n_seeds < small.n_seeds
    assert plan_comparison(pilot(5), power=0.9).n_seeds > small.n_seeds
    assert plan_comparison(pilot(5), n_strategies=5).n_seeds > small.n_seeds
    # The strategy that varies most decides, and each has its row.
    two = plan_comparison(pilot(5, n_strategies=2))
    assert two.alpha == 0.025
    assert two.table["deviation"].tolist() == pytest.approx([0.02, 0.04])
    assert two.n_seeds == two.table["n_seeds"].max() == two.table.loc["s1", "n_seeds"]
    assert (two.table["power_of_pilot"] < two.table["power"]).all()
    # Differences that do not vary are seen by two seeds.
    assert plan_comparison(pilot(5, deviation=0)).n_seeds == 2
    assert "ComparisonPlan(n_seeds=" in repr(plan)


def test_a_plan_says_what_it_needs():
    whole = pilot(5)
    for wrong, words in (
        ({"effect": 0}, "above 0, as 0.01; got 0"),
        ({"effect": np.nan}, "above 0, as 0.01; got nan"),
        ({"power": 80}, "power is a share between 0 and 1; got 80"),
        ({"alpha": 0}, "alpha is a share between 0 and 1; got 0"),
        ({"n_strategies": 0}, "n_strategies must be at least 1, got 0"),
        ({"baseline": "nobody"}, "'nobody' is not in the table"),
        ({"effect": 1e-6}, "More than 10,000 seeds would be needed"),
    ):
        with pytest.raises(ValueError, match=words):
            plan_comparison(whole, **wrong)
    alone = whole[whole["strategy"] == "random_sampling"]
    for few in (whole[whole["seed"] == 0], alone):
        with pytest.raises(ValueError, match="A pilot has two seeds or more"):
            plan_comparison(few)
    with pytest.raises(TypeError, match="a pandas DataFrame; got dict"):
        plan_comparison({})
