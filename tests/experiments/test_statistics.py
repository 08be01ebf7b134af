"""Every number against one worked out by hand, and against scipy where it has it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss, recall_score

from al_sklearn.experiments import statistics as s
from al_sklearn.tasks import Classification, Predictions, align_columns


def evaluate(y_true, proba, calibrated=True):
    """The metrics of a classification, of columns and probabilities."""
    task = Classification(np.arange(proba.shape[1]))
    return task.measure(y_true, Predictions(proba, calibrated), None, {})


def table(curves, n_labelled, metric="accuracy"):
    """A tidy table of ``{strategy: (n_seeds, R)}``."""
    rows = [
        {"strategy": name, "seed": seed, "round": r, "n_labelled": n, metric: value}
        for name, array in curves.items()
        for seed, curve in enumerate(np.asarray(array, dtype=float))
        for r, (n, value) in enumerate(zip(n_labelled, curve, strict=True))
    ]
    return pd.DataFrame(rows)


def test_aubc_by_hand():
    # (0.5 + 0.7) / 2 * 10 + (0.7 + 0.8) / 2 * 30 = 6 + 22.5 = 28.5 over 40.
    assert s.aubc([10, 20, 50], [0.5, 0.7, 0.8]) == pytest.approx(28.5 / 40)
    both = s.aubc([10, 20, 50], [[0.5, 0.7, 0.8], [1, 1, 1]])
    assert both == pytest.approx([28.5 / 40, 1])
    assert s.aubc([10], [0.3]) == 0.3
    with pytest.raises(ValueError, match="must increase"):
        s.aubc([10, 10], [1, 2])


@pytest.mark.parametrize(
    ("target", "needed"),
    [(0.3, 10), (0.5, 10), (0.6, 15), (0.7, 20), (0.75, 35), (0.8, 50), (0.81, np.nan)],
)
def test_labels_needed_by_hand(target, needed):
    assert s.labels_needed([10, 20, 50], [0.5, 0.7, 0.8], target) == pytest.approx(
        needed, nan_ok=True
    )


def test_labels_needed_holds_on_to_what_was_reached():
    # 0.6 at 30, then a fall: the running maximum stays at 0.6, and 0.65 is half-way
    # from 40 to 50.
    assert s.labels_needed(
        [20, 30, 40, 50], [0.4, 0.6, 0.5, 0.7], 0.65
    ) == pytest.approx(45)
    assert s.labels_needed(
        [20, 30, 40, 50], [0.4, 0.6, 0.5, 0.7], 0.55
    ) == pytest.approx(27.5)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=8), st.floats(0, 1))
def test_labels_needed_against_a_slow_reference(values, target):
    x = np.arange(10, 10 + 5 * len(values), 5)
    best, answer = -np.inf, np.nan
    for i, value in enumerate(values):
        if value >= target:
            answer = x[i] if i == 0 else x[i - 1] + (target - best) / (value - best) * 5
            break
        best = max(best, value)
    assert s.labels_needed(x, values, target) == pytest.approx(answer, nan_ok=True)


def test_label_saving_by_hand():
    random = np.array([[0.5, 0.6, 0.7, 0.8]])
    ours = np.array([[0.5, 0.8, 0.85, 0.9]])
    n = [10, 20, 30, 40]
    saving = s.label_saving(n, ours, random)
    assert saving.estimate == pytest.approx(1 - 20 / 40)
    assert np.isnan(saving.low)
    # 90 % of 0.8 is 0.72: random needs 32, we need 10 + (0.22 / 0.3) * 10.
    assert s.label_saving(n, ours, random, 0.9).estimate == pytest.approx(
        1 - (10 + 22 / 3) / 32
    )
    assert s.label_saving(n, random, ours).estimate == -np.inf
    assert s.label_saving(n, random, random).estimate == 0


def test_label_saving_interval_covers_its_estimate_and_is_paired():
    generator = np.random.default_rng(0)
    seed_effect = generator.normal(0, 0.05, size=(6, 1))
    n = np.arange(20, 120, 20)
    random = 0.5 + 0.003 * n + seed_effect
    ours = random + np.array([0, 0.06, 0.06, 0.06, 0.06])
    saving = s.label_saving(n, ours, random)
    assert saving.low <= saving.estimate <= saving.high
    # The seeds differ by ten points and the strategies by exactly six: paired, nothing
    # is uncertain.
    assert saving.high - saving.low < 1e-9
    assert saving.estimate == pytest.approx(1 - 80 / 100)
    again = s.label_saving(n, ours, random)
    assert again == saving
    with pytest.raises(ValueError, match="paired by seed"):
        s.label_saving(n, ours[:3], random)


def test_label_saving_of_a_loss():
    random = np.array([[2.0, 1.0, 0.5]])
    ours = np.array([[2.0, 0.5, 0.4]])
    assert s.label_saving(
        [10, 20, 40], ours, random, higher_is_better=False
    ).estimate == pytest.approx(0.5)
    # 80 % of the way is a loss of 0.625: random needs 35, we need 10 + 1.375 / 1.5 *
    # 10.
    expected = 1 - (10 + 13.75 / 1.5) / 35
    assert s.label_saving(
        [10, 20, 40], ours, random, 0.8, higher_is_better=False
    ).estimate == pytest.approx(expected)


def test_mean_interval_by_hand_and_against_scipy():
    values = [0.70, 0.72, 0.69, 0.75, 0.74]
    got = s.mean_interval(values)
    # Standard deviation 0.025495, t of 4 degrees of freedom 2.7764.
    assert got.estimate == pytest.approx(0.72)
    assert got.high - got.estimate == pytest.approx(
        2.7764 * 0.025495 / np.sqrt(5), rel=1e-4
    )
    interval = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert (got.low, got.high) == pytest.approx(interval)
    assert np.isnan(s.mean_interval([1.0]).low)


def test_bootstrap_interval_against_scipy():
    values = np.random.default_rng(3).normal(size=40)
    got = s.bootstrap_interval(values, n_resamples=5000)
    # Expanded: percentiles further out, by the formula.
    tail = stats.norm.cdf(-np.sqrt(40 / 39) * stats.t.ppf(0.975, 39))
    theirs = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=5000,
        method="percentile",
        confidence_level=1 - 2 * tail,
        rng=1,
    ).confidence_interval
    assert (got.low, got.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)
    # Of a mean they are those of t.
    assert got[1:] == pytest.approx(s.mean_interval(values)[1:], abs=0.03)
    assert got.estimate == values.mean()
    assert np.isnan(s.bootstrap_interval([1.0, 2.0, 3.0, 4.0]).low)
    assert np.isfinite(s.bootstrap_interval([1.0, 2.0, 3.0, 4.0, 5.0]).low)
    rows = np.arange(12.0).reshape(4, 3)
    assert s.bootstrap_interval(rows, lambda r: r[:, 0].max()).estimate == 9


def test_holm_by_hand():
    # 0.01 * 4, 0.02 * 3, 0.03 * 2 raised to what came before, 0.04 * 1 too.
    assert s.holm([0.01, 0.04, 0.03, 0.02]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert s.holm([0.5, np.nan, 0.9]) == pytest.approx([1.0, np.nan, 1.0], nan_ok=True)
    assert s.holm([]).size == 0


def test_paired_p_values_against_scipy():
    x = np.array([0.03, 0.02, 0.05, -0.01, 0.04, 0.06])
    wilcoxon, t = s.paired_p_values(x)
    assert wilcoxon == stats.wilcoxon(x).pvalue
    assert t == pytest.approx(stats.ttest_rel(x + 0.5, np.full(6, 0.5)).pvalue)
    assert s.paired_p_values([0.1, 0.2, 0.3, 0.4, 0.5])[0] == 0.0625
    assert s.paired_p_values([0, 0, 0]) == (1.0, 1.0)
    assert s.paired_p_values([0.1, 0.1, 0.1])[1] == 0
    assert np.isnan(s.paired_p_values([0.1])).all()


CURVES = {
    "random_sampling": [[0.5, 0.6, 0.7], [0.4, 0.6, 0.8], [0.5, 0.7, 0.8]],
    "good": [[0.5, 0.7, 0.8], [0.4, 0.7, 0.9], [0.5, 0.8, 0.85]],
    "bad": [[0.5, 0.5, 0.6], [0.4, 0.5, 0.7], [0.5, 0.5, 0.6]],
}


def test_summary_by_hand():
    summary = s.summarize(table(CURVES, [10, 20, 30]))
    assert summary.index.tolist() == ["good", "random_sampling", "bad"]
    good, random = summary.loc["good"], summary.loc["random_sampling"]
    assert good["final"] == pytest.approx(np.mean([0.8, 0.9, 0.85]))
    assert random["aubc"] == pytest.approx(np.mean([0.6, 0.6, 0.675]))
    differences = [0.675 - 0.6, 0.675 - 0.6, 0.7375 - 0.675]
    assert good["difference"] == pytest.approx(np.mean(differences))
    assert good["p_value"] == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    assert good["p_wilcoxon"] == stats.wilcoxon(differences).pvalue
    assert (good["rank"], random["rank"], summary.loc["bad", "rank"]) == (1, 2, 3)
    assert (good["wins"], good["n_seeds"], summary.loc["bad", "wins"]) == (3, 3, 0)
    # Means: random ends at 0.76667; good has 0.73333 at 20 and 0.85 at 30.
    needed = 20 + 10 * (0.766667 - 0.733333) / (0.85 - 0.733333)
    assert good["label_saving"] == pytest.approx(1 - needed / 30, abs=1e-5)
    assert summary.loc["bad", "label_saving"] == -np.inf
    assert np.isnan(random["p_value"])
    assert np.isnan(random["label_saving_low"])
    adjusted = s.holm(summary["p_value"])
    assert summary["p_holm"].to_numpy() == pytest.approx(adjusted, nan_ok=True)
    with pytest.raises(ValueError, match="baseline 'nobody' is not in the table"):
        s.summarize(table(CURVES, [10, 20, 30]), baseline="nobody")
    with pytest.raises(ValueError, match=r"lacks \['nll'\]"):
        s.summarize(table(CURVES, [10, 20, 30]), "nll")


def test_for_a_loss_lower_is_better():
    losses = {name: 2 - np.asarray(curve) for name, curve in CURVES.items()}
    summary = s.summarize(table(losses, [10, 20, 30], "nll"), "nll")
    assert summary.index.tolist() == ["good", "random_sampling", "bad"]
    assert summary["rank"].tolist() == [1, 2, 3]
    assert summary.loc["good", "difference"] < 0
    assert summary.loc["good", "wins"] == 3
    assert summary.loc["good", "label_saving"] > 0
    penalty = s.pairwise_penalty(table(losses, [10, 20, 30], "nll"), "nll")
    assert penalty.loc["penalty", "bad"] > penalty.loc["penalty", "good"]
    pairs = s.compare_pairs(table(losses, [10, 20, 30], "nll"), "nll")
    assert pairs.set_index(["strategy", "other"]).loc[("good", "bad"), "wins"] == 3


def test_only_seeds_that_all_have_finished_are_compared():
    whole = table(CURVES, [10, 20, 30])
    cut = whole[
        ~((whole["strategy"] == "bad") & (whole["seed"] == 1) & (whole["round"] == 2))
    ]
    assert s.summarize(cut).loc["good", "n_seeds"] == 2
    assert s.summarize(cut).attrs["notes"] == [
        "1 of 3 seeds are left out: not every strategy has finished them with a value "
        "of accuracy in each round."
    ]
    with pytest.raises(ValueError, match="No seed is finished by every strategy"):
        s.summarize(
            whole[
                (whole["strategy"] != "bad")
                | ((whole["seed"] == 1) == (whole["round"] == 1))
            ]
        )


def test_pairs_by_hand():
    pairs = s.compare_pairs(table(CURVES, [10, 20, 30])).set_index(
        ["strategy", "other"]
    )
    assert len(pairs) == 3
    row = pairs.loc[("good", "random_sampling")]
    assert row["difference"] == pytest.approx(np.mean([0.075, 0.075, 0.0625]))
    assert (row["wins"], row["n_seeds"]) == (3, 3)
    assert pairs.index.tolist() == [
        ("good", "random_sampling"),
        ("good", "bad"),
        ("random_sampling", "bad"),
    ]
    assert pairs["p_holm"].to_numpy() == pytest.approx(s.holm(pairs["p_value"]))


def test_saving_table():
    savings = s.saving_table(table(CURVES, [10, 20, 30])).set_index(
        ["strategy", "level"]
    )
    assert savings.loc[("good", 1.0), "target"] == pytest.approx(
        np.mean([0.7, 0.8, 0.8])
    )
    assert savings.loc[("good", 0.9), "label_saving"] > 0
    assert set(savings.index.get_level_values("level")) == {0.9, 0.95, 0.99, 1.0}


def test_penalty_matrix_by_hand():
    # Rounds 0 … 5; random reaches 99 % of its end at round 4: checkpoints are the
    # rounds 0, 1, 2.
    random = np.array([0.5, 0.6, 0.7, 0.78, 0.80, 0.80])
    noise = np.array([[-0.01], [0.0], [0.01]])
    curves = {
        "random_sampling": random + noise,
        # 0.1 better at rounds 1 and 2, by differences that do not vary: significant.
        "good": random + noise + np.array([0, 0.1, 0.1, 0, 0, 0]),
        # On average 0.01 better, by -0.03, 0.01, 0.05: not significant.
        "unsure": random
        + noise
        + np.array([[-0.03], [0.01], [0.05]]) * np.array([0, 1, 1, 1, 1, 1]),
    }
    matrix = s.pairwise_penalty(table(curves, [20, 40, 60, 80, 100, 120]))
    assert matrix.attrs["n_labelled"] == [20, 40, 60]
    assert matrix.loc["good", "random_sampling"] == pytest.approx(2 / 3)
    assert matrix.loc["random_sampling", "good"] == 0
    assert matrix.loc["unsure", "random_sampling"] == 0
    # good - unsure: 0.13, 0.09, 0.05: t = 0.09 / (0.04 / sqrt 3) = 3.90 < 4.303, the
    # critical value for 3 seeds.
    assert matrix.loc["good", "unsure"] == 0
    assert (
        s.pairwise_penalty(table(curves, [20, 40, 60, 80, 100, 120]), alpha=0.1).loc[
            "good", "unsure"
        ]
        > 0
    )
    assert matrix.loc["penalty"].tolist() == pytest.approx([2 / 9, 0, 0])
    assert (np.diag(matrix.iloc[:-1]) == 0).all()


def test_penalty_matrix_against_scipy():
    generator = np.random.default_rng(0)
    n = np.arange(20, 240, 20)
    curves = {
        name: 0.4
        + 0.05 * np.log(n)
        + gain * (n > 20)
        + generator.normal(0, 0.02, (5, len(n)))
        for name, gain in {"random_sampling": 0.0, "a": 0.03, "b": 0.05}.items()
    }
    matrix = s.pairwise_penalty(table(curves, n))
    final = curves["random_sampling"].mean(axis=0)
    rounds = [r for r in (0, 1, 2, 4, 8) if final[r] < 0.99 * final[-1]]
    for i in curves:
        for j in curves:
            wins = 0
            for r in rounds:
                if i != j:
                    test = stats.ttest_rel(curves[i][:, r], curves[j][:, r])
                    wins += test.pvalue < 0.05 and test.statistic > 0
            assert matrix.loc[i, j] == pytest.approx(wins / len(rounds))


def test_win_rate_is_wilsons():
    # Wilson's interval for 8 of 10 at 95 %, from the formula.
    z, p, n = stats.norm.ppf(0.975), 0.8, 10
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert s.win_rate(8, 10) == pytest.approx((0.8, centre - half, centre + half))
    with pytest.raises(ValueError, match="wins must be from 0 to n"):
        s.win_rate(3, 2)


def test_friedman_and_nemenyi():
    scores = pd.DataFrame(
        np.random.default_rng(0).normal(size=(12, 4)) + [0, 0.5, 1, 3],
        columns=list("abcd"),
    )
    got = s.friedman_nemenyi(scores)
    assert got["p_value"] == stats.friedmanchisquare(*scores.to_numpy().T).pvalue
    assert got["ranks"].index[0] == "d"
    # Demšar's table: q = 2.569 for four classifiers at 5 %.
    assert got["critical_difference"] == pytest.approx(
        2.569 * np.sqrt(4 * 5 / (6 * 12)), abs=1e-3
    )
    with pytest.raises(ValueError, match="at least 2 data sets and 3 strategies"):
        s.friedman_nemenyi(scores[["a", "b"]])


def test_performance_profile_by_hand():
    scores = pd.DataFrame({"a": [0.875, 0.75], "b": [0.8125, 1.0]})
    profile = s.performance_profile(scores, [0, 0.0625, 0.25])
    assert profile["a"].tolist() == [0.5, 0.5, 1.0]
    assert profile["b"].tolist() == [0.5, 1.0, 1.0]


def test_calibration_error_by_hand():
    proba = np.array([[0.95, 0.05], [0.95, 0.05], [0.6, 0.4], [0.4, 0.6]])
    y = np.array([0, 1, 0, 0])
    # Ten bins: two at 0.95 of which half are right, two at 0.6 of which half are right.
    assert s.expected_calibration_error(y, proba, 10) == pytest.approx(
        0.5 * 0.45 + 0.5 * 0.1
    )
    sure = np.eye(2)[[0, 1]]
    assert s.expected_calibration_error(np.array([0, 1]), sure) == 0
    assert s.expected_calibration_error(np.array([1, 0]), sure) == 1


def test_metrics_against_scikit_learn():
    generator = np.random.default_rng(0)
    y = generator.integers(0, 4, 200)
    y[y == 3] = 2
    proba = generator.dirichlet(np.ones(5), 200)
    proba[np.arange(200), y] += 0.3
    proba /= proba.sum(axis=1, keepdims=True)
    got = evaluate(y, proba)
    predicted = proba.argmax(axis=1)
    with (
        np.errstate(all="ignore"),
        pytest.warns(UserWarning, match="y_pred contains classes not in y_true"),
    ):
        assert got["balanced_accuracy"] == pytest.approx(
            balanced_accuracy_score(y, predicted)
        )
    assert got["accuracy"] == pytest.approx((predicted == y).mean())
    assert got["macro_f1"] == pytest.approx(f1_score(y, predicted, average="macro"))
    assert got["nll"] == pytest.approx(log_loss(y, proba, labels=range(5)))
    recalls = recall_score(y, predicted, labels=[0, 1, 2], average=None)
    assert got["class_accuracy"][:3] == pytest.approx(recalls)
    assert np.isnan(got["class_accuracy"][3:]).all()
    assert np.isnan(evaluate(y, proba, calibrated=False)["nll"])


def test_columns_follow_all_classes():
    proba = np.array([[0.2, 0.8]])
    aligned = align_columns(proba, np.array(["b", "d"]), np.array(["a", "b", "c", "d"]))
    assert aligned.tolist() == [[0, 0.2, 0, 0.8]]
    # A class that the model does not know costs what scikit-learn's log_loss says, and
    # no more.
    assert evaluate(np.array([0]), aligned)["nll"] == pytest.approx(
        -np.log(np.finfo(float).eps)
    )
