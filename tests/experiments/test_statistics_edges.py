"""Curves that end early, ties, NaN, one seed, two seeds, missing rounds; several data
sets; what statsmodels says."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from al_sklearn.experiments import statistics as s
from tests.experiments.test_statistics import CURVES, table

BUDGETS = [10, 20, 30]


def ragged(runs, metric="accuracy"):
    """A tidy table of ``{(strategy, seed): ([n_labelled], [metric], stopped)}``."""
    rows = [
        {
            "strategy": name,
            "seed": seed,
            "round": r,
            "n_labelled": n,
            metric: value,
            "stopped": why if r == len(x) - 1 else "",
        }
        for (name, seed), (x, y, why) in runs.items()
        for r, (n, value) in enumerate(zip(x, y, strict=True))
    ]
    return pd.DataFrame(rows)


STOPPED = {
    ("random_sampling", 0): ([10, 20, 30, 40], [0.4, 0.5, 0.6, 0.7], ""),
    ("random_sampling", 1): ([10, 20, 30, 40], [0.5, 0.6, 0.7, 0.8], ""),
    ("random_sampling", 2): ([10, 20, 30, 40], [0.4, 0.6, 0.7, 0.75], ""),
    ("margin", 0): ([10, 20, 30], [0.4, 0.7, 0.8], "TargetMetric(0.75)"),
    ("margin", 1): ([10, 20], [0.5, 0.8], "TargetMetric(0.75)"),
    ("margin", 2): ([10, 20, 30, 40], [0.4, 0.5, 0.6, 0.7], ""),
}


def test_a_stopped_curve_is_compared_where_it_is_and_that_is_said():
    summary = s.summarize(ragged(STOPPED))
    margin = summary.loc["margin"]
    # Seed 0 over 10 to 30, seed 1 over 10 to 20, seed 2 over 10 to 40.
    ours = [(0.55 + 0.75) / 2, 0.65, (0.45 + 0.55 + 0.65) / 3]
    theirs = [(0.45 + 0.55) / 2, 0.55, (0.5 + 0.65 + 0.725) / 3]
    assert margin["aubc"] == pytest.approx(np.mean(ours))
    assert summary.loc["random_sampling", "aubc"] == pytest.approx(np.mean(theirs))
    assert margin["difference"] == pytest.approx(np.mean(np.subtract(ours, theirs)))
    assert margin["final"] == pytest.approx(np.mean([0.8, 0.8, 0.7]))
    assert margin["labels"] == pytest.approx(30)
    assert (margin["n_stopped"], margin["n_seeds"], margin["wins"]) == (2, 3, 2)
    notes = summary.attrs["notes"]
    assert notes[0] == "margin was stopped in 2 of 3 seeds, at 20 to 30 labels."
    assert notes[1].startswith("Curves begin or end at different budgets: AUBC")
    assert s.compare_pairs(ragged(STOPPED)).attrs["notes"] == notes
    pair = s.compare_pairs(ragged(STOPPED)).iloc[0]
    assert (pair["strategy"], pair["difference"]) == (
        "margin",
        pytest.approx(margin["difference"]),
    )


def test_the_saving_of_a_stopped_strategy_uses_its_last_model():
    savings = s.saving_table(ragged(STOPPED), levels=[0.9, 1.0]).set_index("level")
    # Random ends at a mean of 0.75. Margin's mean, each seed held at its last value:
    # 0.4333, 0.6667, 0.7333, 0.7667.
    needed = 30 + 10 * (0.75 - 2.2 / 3) / (2.3 / 3 - 2.2 / 3)
    assert savings.loc[1.0, "labels"] == pytest.approx(needed)
    assert savings.loc[1.0, "label_saving"] == pytest.approx(1 - needed / 40)
    # 90 %: 0.675. Random goes from 0.6667 at 30 to 0.75 at 40; margin from 0.6667 at 20
    # to 0.7333 at 30.
    ours, theirs = (
        20 + 10 * (0.675 - 2 / 3) / (2.2 / 3 - 2 / 3),
        30 + 10 * (0.675 - 2 / 3) / (0.75 - 2 / 3),
    )
    assert savings.loc[0.9, "label_saving"] == pytest.approx(1 - ours / theirs)
    assert savings.loc[0.9, "baseline_labels"] == pytest.approx(theirs)


def test_a_pair_shares_more_budgets_than_all_do():
    runs = dict(STOPPED)
    for seed in range(3):
        runs["quitter", seed] = ([10, 20], [0.4, 0.4], "no gain")
    pairs = s.compare_pairs(ragged(runs)).set_index(["strategy", "other"])
    alone = s.compare_pairs(ragged(STOPPED)).set_index(["strategy", "other"])
    key = ("margin", "random_sampling")
    assert pairs.loc[key, "difference"] == pytest.approx(alone.loc[key, "difference"])
    # The area of all is over what all share: 10 to 20.
    assert s.summarize(ragged(runs)).loc["margin", "aubc"] == pytest.approx(
        np.mean([0.55, 0.65, 0.45])
    )


def test_other_budgets_are_joined_by_straight_lines():
    runs = {}
    for seed, up in enumerate([0.0, 0.1]):
        runs["random_sampling", seed] = (
            [20, 40, 60],
            [0.4 + up, 0.6 + up, 0.7 + up],
            "",
        )
        runs["adaptive", seed] = (
            [20, 30 + 10 * seed, 80],
            [0.4 + up, 0.6 + up, 0.8 + up],
            "pool used up",
        )
    summary = s.summarize(ragged(runs))
    # Seed 0: at 60 of the way from 30 to 80, 0.6 + 0.2 * 0.6 = 0.72. Seed 1: at 60,
    # half-way from 0.7 to 0.9.
    first = (0.5 * 10 + 0.66 * 30) / 40
    second = (0.6 * 20 + 0.75 * 20) / 40
    assert summary.loc["adaptive", "aubc"] == pytest.approx((first + second) / 2)
    assert summary.loc["random_sampling", "aubc"] == pytest.approx((0.575 + 0.675) / 2)
    n_labelled, curves = s.paired_curves(ragged(runs))
    assert n_labelled.tolist() == [20, 30, 40, 60]
    assert curves["adaptive"][0] == pytest.approx([0.4, 0.6, 0.64, 0.72])
    assert curves["random_sampling"][1] == pytest.approx([0.5, 0.6, 0.7, 0.8])


def test_without_a_common_budget_nothing_is_compared():
    apart = {
        ("random_sampling", 0): ([10, 20], [0.1, 0.2], ""),
        ("late", 0): ([30, 40], [0.1, 0.2], ""),
    }
    with pytest.raises(
        ValueError, match="Seed 0: random_sampling, late have no budget in common"
    ):
        s.summarize(ragged(apart))
    with pytest.raises(ValueError, match="no budget in common"):
        s.paired_curves(ragged(apart))


def test_one_common_budget_is_compared_there():
    runs = {
        ("random_sampling", 0): ([10, 20], [0.1, 0.2], ""),
        ("stopped", 0): ([10], [0.1], "target reached"),
    }
    summary = s.summarize(ragged(runs))
    assert summary.loc["stopped", "aubc"] == 0.1
    assert summary.loc["stopped", "label_saving"] == -np.inf


def test_missing_rounds_leave_the_seed_out():
    whole = table(CURVES, BUDGETS)
    for missing in (0, 1, 2):
        gone = (
            (whole["strategy"] == "good")
            & (whole["seed"] == 0)
            & (whole["round"] == missing)
        )
        assert s.read_curves(whole[~gone]).seeds == [1, 2]
        # Without the column for rounds, by the strategy's budgets.
        assert s.read_curves(whole[~gone].drop(columns="round")).seeds == [1, 2]
    pd.testing.assert_frame_equal(
        s.summarize(whole.sample(frac=1, random_state=0)), s.summarize(whole)
    )


def test_a_budget_must_not_come_twice():
    whole = table(CURVES, BUDGETS)
    with pytest.raises(
        ValueError,
        match=r"random_sampling, seed 0: "
        r"a budget comes twice.*several runs or data sets",
    ):
        s.summarize(
            pd.concat(
                [whole.assign(dataset="a"), whole.assign(dataset="b")],
                ignore_index=True,
            )
        )


def test_nan_metrics():
    whole = table(CURVES, BUDGETS)
    everywhere = whole.assign(nll=np.nan)
    with pytest.raises(ValueError, match="nll is NaN in every row"):
        s.summarize(everywhere, "nll")
    # What nobody has in the first round is no missing value.
    later = whole.assign(
        batch_accuracy=np.where(whole["round"] == 0, np.nan, whole["accuracy"])
    )
    summary = s.summarize(later, "batch_accuracy")
    assert summary.loc["good", "aubc"] == pytest.approx(np.mean([0.75, 0.8, 0.825]))
    assert summary.loc["good", "n_seeds"] == 3
    # What one seed lacks leaves it out, and is said.
    one = whole.copy()
    one.loc[
        (one["strategy"] == "bad") & (one["seed"] == 2) & (one["round"] == 1),
        "accuracy",
    ] = np.nan
    summary = s.summarize(one)
    assert summary["n_seeds"].tolist() == [2, 2, 2]
    assert "1 of 3 seeds are left out" in summary.attrs["notes"][0]
    with pytest.raises(ValueError, match="hold NaN"):
        s.label_saving([1, 2], [[0.1, np.nan]], [[0.1, 0.2]])
    with pytest.raises(ValueError, match="no rows"):
        s.summarize(whole.iloc[:0])


def test_one_seed_has_no_interval_and_no_test():
    summary = s.summarize(
        table({name: curves[:1] for name, curves in CURVES.items()}, BUDGETS)
    )
    columns = [
        f"{name}_{end}"
        for name in ("final", "aubc", "difference", "label_saving")
        for end in ("low", "high")
    ]
    assert summary[columns].isna().all().all()
    assert (
        summary[["p_value", "p_holm", "p_wilcoxon", "p_wilcoxon_holm"]]
        .isna()
        .all()
        .all()
    )
    assert summary.loc["good", "wins"] == 1
    matrix = s.pairwise_penalty(
        table({name: curves[:1] for name, curves in CURVES.items()}, BUDGETS)
    )
    # No test is not "nobody loses".
    assert np.isnan(matrix.loc["good", "bad"])
    assert matrix.loc["penalty"].isna().all()


def test_two_seeds():
    summary = s.summarize(
        table({name: curves[:2] for name, curves in CURVES.items()}, BUDGETS)
    )
    good = summary.loc["good"]
    # Both differences are 0.075: two that are equal claim no interval of no width; two
    # seeds give Wilcoxon at most 0.5.
    assert good["difference"] == pytest.approx(0.075)
    assert np.isnan([good["difference_low"], good["difference_high"]]).all()
    assert good["p_wilcoxon"] == 0.5
    bad = summary.loc["bad"]
    interval = stats.t.interval(0.95, 1, loc=0.65, scale=stats.sem([0.6, 0.7]))
    assert (bad["final_low"], bad["final_high"]) == pytest.approx(interval)
    # Both areas are the same.
    assert np.isnan([bad["aubc_low"], bad["aubc_high"]]).all()


def test_the_area_has_a_t_interval():
    generator = np.random.default_rng(0)
    curves = {
        "random_sampling": 0.5 + generator.normal(0, 0.1, (12, 3)),
        "other": 0.6 + np.zeros((12, 3)),
    }
    row = s.summarize(table(curves, BUDGETS)).loc["random_sampling"]
    areas = s.aubc(BUDGETS, curves["random_sampling"])
    theirs = stats.t.interval(0.95, 11, loc=areas.mean(), scale=stats.sem(areas))
    assert (row["aubc_low"], row["aubc_high"]) == pytest.approx(theirs)


def test_a_strategy_that_never_reaches_the_target():
    savings = s.saving_table(table(CURVES, BUDGETS)).set_index(["strategy", "level"])
    # Random ends at 0.7667; bad ends at 0.6333: it reaches neither 90 % (0.69) nor
    # more.
    assert (savings.loc["bad", "label_saving"] == -np.inf).all()
    assert savings.loc["bad", "labels"].isna().all()
    assert (savings["baseline_labels"].dropna() <= 30).all()
    # Reached in some bootstrap samples and not in others: the bound says so.
    unsure = {
        "random_sampling": [[0.5, 0.7]] * 6,
        "other": [[0.5, 0.7 + d] for d in (-0.1, 0.1, -0.1, 0.1, 0, 0.1)],
    }
    row = s.saving_table(table(unsure, [10, 20]), levels=[1.0]).iloc[0]
    assert np.isfinite(row["label_saving"])
    assert row["low"] == -np.inf
    assert np.isfinite(row["high"])


def test_saving_of_a_score_below_zero():
    # A negative score that is better when higher: 90 % of -1 is -1.11, easier and not
    # harder.
    random, ours = np.array([[-3.0, -2.0, -1.0]]), np.array([[-3.0, -1.0, -0.5]])
    needed, theirs = 10 + 10 * (3 - 1 / 0.9) / 2, 20 + 10 * (2 - 1 / 0.9)
    assert s.label_saving(BUDGETS, ours, random, 0.9).estimate == pytest.approx(
        1 - needed / theirs
    )
    with pytest.raises(ValueError, match="above 0 and at most 1, got 95"):
        s.label_saving(BUDGETS, ours, random, 95)


def test_ties():
    same = {"random_sampling": CURVES["good"], "twin": CURVES["good"]}
    summary = s.summarize(table(same, BUDGETS))
    assert summary["rank"].tolist() == [1.5, 1.5]
    twin = summary.loc["twin"]
    assert (
        twin["p_value"],
        twin["p_wilcoxon"],
        twin["wins"],
        twin["label_saving"],
    ) == (1, 1, 0, 0)
    rates = s.win_rates(table(same, BUDGETS)).loc["twin"]
    assert (rates["wins"], rates["ties"], rates["losses"], rates["win_rate"]) == (
        0,
        3,
        0,
        0.5,
    )
    matrix = s.pairwise_penalty(table(same, BUDGETS))
    assert (matrix.to_numpy() == 0).all()


def test_win_rates_by_hand():
    curves = {
        "random_sampling": [[0.5, 0.5]] * 4,
        "other": [[0.5, 0.7], [0.5, 0.5], [0.5, 0.6], [0.5, 0.4]],
    }
    row = s.win_rates(table(curves, [10, 20])).loc["other"]
    assert row[["wins", "ties", "losses", "n"]].tolist() == [2, 1, 1, 4]
    assert row["win_rate"] == 2.5 / 4
    assert (row["low"], row["high"]) == s.wilson_interval(2.5 / 4, 4)[1:]
    both = pd.concat(
        [table(curves, [10, 20]).assign(dataset=name) for name in "ab"],
        ignore_index=True,
    )
    assert s.win_rates(both).loc["other", "n"] == 8
    losses = table(
        {name: 1 - np.array(values) for name, values in curves.items()}, [10, 20], "ece"
    )
    assert s.win_rates(losses, "ece").loc["other", "wins"] == 2


def test_against_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    p = np.random.default_rng(0).uniform(size=20) ** 3
    assert s.holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1])
    for wins, n in [(0, 5), (3, 5), (5, 5), (37, 50)]:
        theirs = proportion.proportion_confint(wins, n, method="wilson")
        assert s.win_rate(wins, n)[1:] == pytest.approx(theirs, abs=1e-12)
        scipys = stats.binomtest(wins, n).proportion_ci(method="wilson")
        assert s.win_rate(wins, n)[1:] == pytest.approx(
            (scipys.low, scipys.high), abs=1e-12
        )


def test_the_tests_behind_the_penalty_matrix():
    generator = np.random.default_rng(2)
    n = np.arange(20, 240, 20)
    curves = {
        name: 0.4
        + 0.05 * np.log(n)
        + gain * (n > 20)
        + generator.normal(0, 0.02, (6, len(n)))
        for name, gain in {"random_sampling": 0.0, "a": 0.02, "b": 0.05}.items()
    }
    tests = s.penalty_tests(table(curves, n))
    for row in tests.to_dict("records"):
        at = list(n).index(row["n_labelled"])
        theirs = stats.ttest_rel(
            curves[row["strategy"]][:, at], curves[row["other"]][:, at]
        )
        assert row["p_value"] == pytest.approx(theirs.pvalue)
        difference = curves[row["strategy"]][:, at] - curves[row["other"]][:, at]
        assert row["difference"] == pytest.approx(difference.mean())
    assert tests["p_holm"].to_numpy() == pytest.approx(s.holm(tests["p_value"]))
    plain, adjusted = (
        s.pairwise_penalty(table(curves, n)),
        s.pairwise_penalty(table(curves, n), adjusted=True),
    )
    assert (adjusted.to_numpy() <= plain.to_numpy()).all()
    won = tests[(tests["strategy"] == "a") & (tests["other"] == "b")]
    share = ((won["p_holm"] < 0.05) & (won["difference"] < 0)).mean()
    assert adjusted.loc["b", "a"] == pytest.approx(share)


def test_checkpoints_of_a_stopped_strategy_use_the_seeds_that_run():
    tests = s.penalty_tests(ragged(STOPPED))
    # Random is below 99 % of its end at 10, 20 and 30 labels; 10 + 2 * 10 is the last
    # checkpoint before 40.
    assert tests["n_labelled"].tolist() == [10, 20, 30]
    assert tests["n_seeds"].tolist() == [3, 3, 2]
    difference = [0.8 - 0.6, 0.6 - 0.7]
    assert tests["difference"].iloc[2] == pytest.approx(-np.mean(difference))
    assert tests["p_value"].iloc[2] == pytest.approx(
        stats.ttest_1samp(difference, 0).pvalue
    )
    everybody = s.penalty_tests(
        ragged({key: run for key, run in STOPPED.items() if key[1] < 2})
    )
    # At 30 labels one seed is left: no test.
    assert np.isnan(everybody["p_value"].iloc[2])


def test_gap_closed_by_hand():
    curves = {
        "random_sampling": [[0.4, 0.4], [0.5, 0.5]],
        "oracle_batch": [[0.6, 0.6], [0.7, 0.7]],
        "half": [[0.5, 0.5], [0.6, 0.6]],
        "behind": [[0.3, 0.3], [0.4, 0.4]],
    }
    gaps = s.gap_closed(table(curves, [10, 20]))
    assert gaps["gap_closed"].to_dict() == pytest.approx(
        {"oracle_batch": 1, "half": 0.5, "behind": -0.5}
    )
    # Two seeds are too few for a bootstrap, six are not.
    assert gaps[["low", "high"]].isna().all(axis=None)
    six = {name: values * 3 for name, values in curves.items()}
    assert s.gap_closed(table(six, [10, 20])).loc["half", ["low", "high"]].tolist() == (
        pytest.approx([0.5, 0.5])
    )
    losses = table(
        {name: 1 - np.array(values) for name, values in curves.items()}, [10, 20], "nll"
    )
    assert s.gap_closed(losses, "nll")["gap_closed"].to_dict() == pytest.approx(
        gaps["gap_closed"].to_dict()
    )
    assert s.gap_closed(losses, "nll").loc["half", "difference"] == pytest.approx(-0.1)
    # Where the oracle is no better there is no gap.
    assert (
        s.gap_closed(table(curves, [10, 20]), oracle="behind")["gap_closed"]
        .isna()
        .all()
    )
    with pytest.raises(ValueError, match="'oracle_batch' is not in the table"):
        s.gap_closed(table(CURVES, BUDGETS))
    one = s.gap_closed(
        table({name: values[:1] for name, values in curves.items()}, [10, 20])
    )
    assert one["low"].isna().all()


def test_gap_closed_interval_against_a_loop():
    generator = np.random.default_rng(0)
    seed = generator.normal(0, 0.05, (8, 1))
    curves = {
        "random_sampling": 0.5 + seed + generator.normal(0, 0.01, (8, 2)),
        "oracle_batch": 0.7 + seed + generator.normal(0, 0.01, (8, 2)),
        "x": 0.6 + seed + generator.normal(0, 0.01, (8, 2)),
    }
    row = s.gap_closed(table(curves, [10, 20])).loc["x"]
    areas = np.stack([s.aubc([10, 20], curves[name]) for name in curves], axis=1)

    def ratio(rows):
        random, oracle, ours = rows.mean(axis=0)
        return (ours - random) / (oracle - random)

    assert (row["gap_closed"], row["low"], row["high"]) == pytest.approx(
        tuple(s.bootstrap_interval(areas, ratio))
    )


# Demšar's table 6: AUC of C4.5 with and without m and cf tuned, on 14 data sets. On the
# thirteenth the paper ranks the third above the fourth, which the printed digits (0.975
# both) do not show: hence the last digits here.
DEMSAR = [
    [0.763, 0.768, 0.771, 0.798],
    [0.599, 0.591, 0.590, 0.569],
    [0.954, 0.971, 0.968, 0.967],
    [0.628, 0.661, 0.654, 0.657],
    [0.882, 0.888, 0.886, 0.898],
    [0.936, 0.931, 0.916, 0.931],
    [0.661, 0.668, 0.609, 0.685],
    [0.583, 0.583, 0.563, 0.625],
    [0.775, 0.838, 0.866, 0.875],
    [1.000, 1.000, 1.000, 1.000],
    [0.940, 0.962, 0.965, 0.962],
    [0.619, 0.666, 0.614, 0.669],
    [0.972, 0.981, 0.97501, 0.975],
    [0.957, 0.978, 0.946, 0.970],
]


def test_friedman_and_nemenyi_on_the_papers_own_example():
    scores = pd.DataFrame(DEMSAR, columns=["C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf"])
    got = s.friedman_nemenyi(scores)
    assert got["ranks"].round(3).to_dict() == {
        "C4.5+m+cf": 1.964,
        "C4.5+m": 2.0,
        "C4.5+cf": 2.893,
        "C4.5": 3.143,
    }
    assert got["critical_difference"] == pytest.approx(1.25, abs=0.005)
    assert (got["statistic"], got["p_value"]) == stats.friedmanchisquare(
        *np.array(DEMSAR).T
    )
    # 3.143 - 1.964 = 1.179 < 1.25: the post-hoc test finds no pair, as the paper says.
    assert got["groups"] == [["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]]


def test_groups_and_ties_of_ranks():
    better = pd.DataFrame(np.arange(4.0) + np.zeros((40, 1)), columns=list("dcba"))
    got = s.friedman_nemenyi(better)
    assert got["ranks"].tolist() == [1, 2, 3, 4]
    # With 40 data sets the critical difference is 0.74: nobody is joined.
    assert got["groups"] == []
    assert s.friedman_nemenyi(better.iloc[:12])["groups"] == [
        ["a", "b"],
        ["b", "c"],
        ["c", "d"],
    ]
    tied = s.friedman_nemenyi(better * 0)
    assert (tied["p_value"], tied["ranks"].tolist()) == (1, [2.5] * 4)
    better.iloc[0, 0] = np.nan
    for refuses in (s.friedman_nemenyi, s.performance_profile):
        with pytest.raises(ValueError, match="some are NaN"):
            refuses(better)


def test_scores_over_data_sets():
    first = table(CURVES, BUDGETS).assign(dataset="digits")
    second = table(
        {name: np.array(curves) / 2 for name, curves in CURVES.items()}, BUDGETS
    ).assign(dataset="fashion")
    both = pd.concat([first, second], ignore_index=True)
    scores = s.task_scores(both)
    assert scores.index.tolist() == ["digits", "fashion"]
    assert scores.loc["digits", "random_sampling"] == pytest.approx(
        np.mean([0.6, 0.6, 0.675])
    )
    assert scores.loc["fashion", "good"] == pytest.approx(
        scores.loc["digits", "good"] / 2
    )
    by_seed = s.task_scores(both, by="seed")
    assert by_seed.shape == (6, 3)
    assert by_seed.loc[("digits", 2), "random_sampling"] == pytest.approx(0.675)
    assert (
        s.task_scores(first.rename(columns={"accuracy": "nll"}), "nll").iloc[0, 0] < 0
    )
    assert s.friedman_nemenyi(scores)["ranks"].to_dict() == {
        "good": 1,
        "random_sampling": 2,
        "bad": 3,
    }
    with pytest.raises(ValueError, match="bad: not run on every data set"):
        s.task_scores(both[(both["dataset"] == "digits") | (both["strategy"] != "bad")])
    with pytest.raises(ValueError, match="by must be"):
        s.task_scores(both, by="round")


def test_profile_over_every_gap_that_occurs():
    scores = pd.DataFrame({"a": [0.875, 0.75], "b": [0.8125, 1.0]})
    profile = s.performance_profile(scores)
    assert profile.index.tolist() == [0, 0.0625, 0.25]
    assert profile["a"].tolist() == [0.5, 0.5, 1.0]


def test_reliability_by_hand():
    proba = np.array([[0.95, 0.05], [0.95, 0.05], [0.6, 0.4], [0.4, 0.6]])
    curve = s.reliability_curve(np.array([0, 1, 0, 0]), proba, 10)
    assert curve["n"].tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 0, 2]
    assert curve.loc[9, ["confidence", "accuracy"]].tolist() == pytest.approx(
        [0.95, 0.5]
    )
    assert curve.loc[
        5, ["low", "high", "confidence", "accuracy"]
    ].tolist() == pytest.approx([0.5, 0.6, 0.6, 0.5])
    assert curve["accuracy"].isna().sum() == 8
    gaps = (curve["n"] * (curve["accuracy"] - curve["confidence"]).abs()).sum() / 4
    assert gaps == pytest.approx(
        s.expected_calibration_error(np.array([0, 1, 0, 0]), proba, 10)
    )
    with pytest.raises(ValueError, match="n_bins must be at least 1, got 0"):
        s.reliability_curve(np.array([0]), proba[:1], 0)


def test_equal_areas_are_equal_whatever_rounding_makes_of_them():
    # Two rounds change places: the same area, by sums in another order. Every seed
    # alike, so that a difference of 1e-17 would be "significant".
    generator = np.random.default_rng(0)
    for _ in range(30):
        curve = generator.integers(0, 200, (1, 6)) / 200
        other = curve[:, [0, 1, 3, 2, 4, 5]]
        curves = {
            "random_sampling": np.repeat(curve, 5, axis=0),
            "other": np.repeat(other, 5, axis=0),
        }
        results = table(curves, [10, 20, 30, 40, 50, 60])
        (pair,) = s.compare_pairs(results).to_dict("records")
        assert [
            pair[name] for name in ("difference", "wins", "p_value", "p_wilcoxon")
        ] == [0, 0, 1, 1]
        assert s.win_rates(results).loc["other", "ties"] == 5
        scores = s.task_scores(results, by="seed")
        assert scores["other"].tolist() == scores["random_sampling"].tolist()
    assert s.summarize(results)["rank"].tolist() == [1.5, 1.5]


def test_a_strategy_that_ends_where_random_ends_has_reached_it():
    # The pool is used up: both end with the same model, whatever their rounds; so in
    # every bootstrap sample.
    generator = np.random.default_rng(1)
    for _ in range(20):
        random = np.sort(generator.integers(100, 200, (5, 6)) / 200, axis=1)
        short = np.stack([random[:, 0], random[:, -1]], axis=1)
        both = pd.concat(
            [
                table({"random_sampling": random}, [10, 20, 30, 40, 50, 60]),
                table({"other": short}, [10, 60]),
            ],
            ignore_index=True,
        )
        row = s.saving_table(both, levels=[1.0]).iloc[0]
        assert np.isfinite(row[["label_saving", "low", "high"]].astype(float)).all()
    assert s.labels_needed([10, 20], [0.1, 0.3 - 1e-16], 0.3) == 20


def test_nothing_to_save_where_random_needs_no_label():
    # A model that knows something before the first label.
    random = [[0.6, 0.7]] * 5
    assert s.label_saving([0, 10], random, random, 0.8) == (0, 0, 0)
    assert s.label_saving([0, 10], [[0.5, 0.7]] * 5, random, 0.8).estimate == -np.inf


def test_the_race_is_over_when_random_first_reaches_its_end():
    curves = {
        "random_sampling": [[0.5, 0.8, 0.7, 0.7, 0.8]] * 3,
        "other": [[0.5, 0.9, 0.9, 0.9, 0.9]] * 3,
    }
    matrix = s.pairwise_penalty(table(curves, [10, 20, 30, 40, 50]))
    # At 20 labels random is at its end, at 30 below it again.
    assert matrix.attrs["n_labelled"] == [10]
    assert matrix.loc["other", "random_sampling"] == 0


def test_without_a_checkpoint_there_is_no_penalty():
    curves = {"random_sampling": [[0.9, 0.9]] * 3, "other": [[0.9, 0.7]] * 3}
    matrix = s.pairwise_penalty(table(curves, [10, 20]))
    assert np.isnan(matrix.loc["other", "random_sampling"])
    assert matrix.loc["penalty"].isna().all()
    assert "No checkpoint: random_sampling begins at 99 %" in matrix.attrs["notes"][0]
    # A seed of random sampling that was stopped at once has no batch to read the step
    # from.
    runs = {
        ("random_sampling", 0): ([10, 20, 30], [0.5, 0.6, 0.7], ""),
        ("random_sampling", 1): ([10], [0.5], "target reached"),
        ("other", 0): ([10, 20, 30], [0.5, 0.6, 0.7], ""),
        ("other", 1): ([10, 20, 30], [0.5, 0.6, 0.7], ""),
    }
    assert s.pairwise_penalty(ragged(runs)).attrs["n_labelled"] == [10, 20]


def test_seconds_of_a_query_are_of_queries():
    whole = table(CURVES, BUDGETS)
    timed = whole.assign(
        query_seconds=np.where(whole["round"] == 0, 0.0, 3.0), training_seconds=2.0
    )
    # The initial set costs no query: two queries of three seconds, not six seconds over
    # three rounds.
    assert (
        s.summarize(timed)[["query_seconds", "training_seconds"]].to_numpy().tolist()
        == [[3, 2]] * 3
    )
    # A strategy that chose the initial set has taken its time for it.
    assert (
        s.summarize(timed.assign(query_seconds=3.0))["query_seconds"].tolist()
        == [3] * 3
    )
    quick = s.summarize(timed.assign(query_seconds=0.0))
    assert quick["query_seconds"].tolist() == [0] * 3


def test_tables_that_are_none():
    whole = table(CURVES, BUDGETS)
    with pytest.raises(TypeError, match="a pandas DataFrame; got list"):
        s.summarize([1, 2])
    for column in ("strategy", "seed", "n_labelled"):
        with pytest.raises(ValueError, match=f"{column} is missing in 1 of 27 rows"):
            s.summarize(whole.assign(**{column: whole[column].where(whole.index > 0)}))
    with pytest.raises(ValueError, match="n_labelled must hold numbers"):
        s.summarize(whole.assign(n_labelled="many"))
    assert s.summarize(whole.astype(object)).equals(s.summarize(whole))
    one = whole.copy()
    one.loc[0, "accuracy"] = np.inf
    assert s.read_curves(one).seeds == [1, 2]


def test_arguments_that_make_no_sense():
    for wrong in (0, 1, 95):
        for refuses in (s.mean_interval, s.bootstrap_interval):
            with pytest.raises(
                ValueError, match=r"confidence is a share between 0 and 1, as 0.95"
            ):
                refuses([0.1, 0.2], confidence=wrong)
    for refuses in (s.mean_interval, s.bootstrap_interval):
        with pytest.raises(ValueError, match="There is no"):
            refuses([])
    with pytest.raises(ValueError, match=r"n at least 1, got share=0.5, n=0"):
        s.wilson_interval(0.5, 0)
    for wrong in ([1.5], [[0.1], [0.2]]):
        with pytest.raises(ValueError, match="numbers from 0 to 1"):
            s.holm(wrong)
    for refuses in (s.aubc, lambda n, curve: s.labels_needed(n, curve, 0.5)):
        for n, curve in [([1, 2], [0.1, 0.2, 0.3]), ([], [])]:
            with pytest.raises(ValueError, match="a value at each of its budgets"):
                refuses(n, curve)
