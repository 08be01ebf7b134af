"""One table of metrics, for the loop, the store, statistics, pictures and reports."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score, get_scorer, log_loss, make_scorer

from al_sklearn.experiments import (
    ActiveLearningExperiment,
    StrategyComparison,
    load_results,
)
from al_sklearn.experiments.comparison import summarize_runs
from al_sklearn.experiments.stopping import NoGain, TargetMetric
from al_sklearn.tasks import (
    Metric,
    _metrics,
    get_metric,
    know_metrics,
    metrics,
    register_metric,
    scorers_of,
    scoring_names,
)

X, Y = load_digits(return_X_y=True)
X, Y = X[:400] / 16, Y[:400]
MODEL = LogisticRegression(max_iter=200)
SMALL = {"n_initial": 20, "n_instances": 5, "n_rounds": 2, "random_state": 0}


def misses(y_true, proba):
    """Wrong answers in a hundred."""
    return 100 * float((proba.argmax(axis=1) != y_true).mean())


def kappa(estimator, X, y):
    """A scorer as scikit-learn knows them."""
    return cohen_kappa_score(y, estimator.predict(X))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_nll_is_clipped_as_scikit_learn_clips_it(dtype):
    """At what the precision tells from 0: a certain wrong answer in float32 is 15.9
    nats, not 36."""
    rng = np.random.default_rng(0)
    y = np.arange(300) % 4
    proba = rng.dirichlet(np.ones(4), 300).astype(dtype)
    proba[:20] = np.eye(4)[(y[:20] + np.arange(20) % 2) % 4]  # right and wrong
    nll = get_metric("nll")
    with np.errstate(all="ignore"):
        expected = log_loss(y, proba / proba.sum(axis=1, keepdims=True))
    assert nll(y, proba) == pytest.approx(
        expected, rel=1e-2 if dtype == np.float16 else 1e-5
    )
    alone = nll(np.array([1]), np.array([[1, 0]], dtype=dtype))
    assert alone == pytest.approx(-np.log(np.finfo(dtype).eps))
    assert nll(np.array([0]), np.array([[1, 0]], dtype=dtype)) >= 0
    assert nll(np.array([1]), np.array([[1, 0]])) == pytest.approx(36.04, abs=0.01)


@pytest.fixture
def registered():
    """A metric of one's own, where less is better, and the table as it was after it."""
    before = dict(_metrics._METRICS)
    yield register_metric(
        "misses", misses, word="wrong answers", unit="per 100", lower_is_better=True
    )
    _metrics._METRICS.clear()
    _metrics._METRICS.update(before)


def test_the_table_says_what_ours_are():
    ours = metrics("classification")
    assert ours["macro_f1"].title == "Macro F1"
    assert ours["nll"].label == "Negative log-likelihood (nats)"
    assert ours["nll"].sign == -1
    assert ours["balanced_accuracy"].is_share
    assert {"accuracy", "balanced_accuracy", "macro_f1", "nll", "ece"} <= set(ours)


def test_columns_that_nobody_registered_have_facts_too():
    assert get_metric("accuracy_cat").is_share
    plain = get_metric("roc_auc_ovr")
    assert (plain.title, plain.sign, plain.is_share) == ("Roc_auc_ovr", 1, False)


def test_a_metric_registered_twice_replaces_itself(registered):
    again = register_metric("misses", misses, word="errors")
    assert get_metric("misses") is again
    assert again.word == "errors"


def test_a_metric_by_decorator(registered):
    @register_metric("hits", is_share=True)
    def hits(y_true, proba):
        return float((proba.argmax(axis=1) == y_true).mean())

    assert get_metric("hits").function is hits


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("nll", "of the library"),
        ("n_labelled", "no metric"),
        ("accuracy_cat", "no metric"),
        ("", "printable"),
        ("f1_macro", "scorer of scikit-learn"),
    ],
)
def test_names_that_are_taken(name, match):
    with pytest.raises(ValueError, match=match):
        register_metric(name, misses)


@pytest.mark.parametrize(
    ("scoring", "columns"),
    [
        (None, []),
        ("roc_auc_ovr", ["roc_auc_ovr"]),
        (kappa, ["kappa"]),
        (lambda estimator, X, y: 1.0, ["score"]),
        (make_scorer(cohen_kappa_score), ["score"]),
        (["roc_auc_ovr", kappa, "misses"], ["roc_auc_ovr", "kappa", "misses"]),
        ({"a": kappa, "b": "misses"}, ["a", "b"]),
        ("accuracy", ["accuracy"]),
        (Metric("mine", function=misses), ["mine"]),
    ],
)
def test_the_column_of_a_scorer_has_its_name(registered, scoring, columns):
    assert list(scorers_of(scoring)) == columns


@pytest.mark.parametrize(
    ("scoring", "error", "match"),
    [
        ("accurcy", ValueError, "Did you mean 'accuracy'"),
        ("batch_accuracy", ValueError, "Unknown scoring"),
        ([kappa, kappa], ValueError, "'kappa'"),
        ([make_scorer(cohen_kappa_score), lambda e, X, y: 1.0], ValueError, "a dict"),
        ({"nll": kappa}, ValueError, "'nll' is a column of every round"),
        ({"round": kappa}, ValueError, "no metric"),
        ({"query_seconds": kappa}, ValueError, "every round"),
        ([3], TypeError, "a scorer, its name, a list"),
    ],
)
def test_scorers_that_cannot_be(scoring, error, match):
    with pytest.raises(error, match=match):
        scorers_of(scoring)


def test_a_metric_under_another_name_keeps_its_direction(registered):
    assert scorers_of({"errors": "misses"})["errors"].lower_is_better
    assert "misses" in scoring_names()


def test_each_scorer_is_a_column_of_an_experiment(registered):
    scoring = ["misses", "neg_log_loss", kappa]
    experiment = ActiveLearningExperiment(MODEL, "margin", scoring=scoring, **SMALL)
    history = experiment.fit(X[:300], Y[:300], X[300:], Y[300:]).history_
    np.testing.assert_allclose(history["misses"], 100 * (1 - history["accuracy"]))
    np.testing.assert_allclose(history["neg_log_loss"], -history["nll"], rtol=1e-6)
    assert history["kappa"].iloc[-1] == kappa(experiment, X[300:], Y[300:])
    assert experiment.score(X[300:], Y[300:]) == -history["misses"].iloc[-1]
    assert list(clone(experiment).scoring) == scoring
    after = history.columns.get_loc("ece")
    assert list(history.columns[after + 1 : after + 4]) == list(scorers_of(scoring))


def test_an_experiment_refuses_unknown_scorers():
    with pytest.raises(ValueError, match="scoring 'nonsense'"):
        ActiveLearningExperiment(MODEL, scoring="nonsense").fit(X, Y)


def test_a_single_scorer_without_a_name_keeps_its_column():
    scorer = make_scorer(cohen_kappa_score)
    experiment = ActiveLearningExperiment(MODEL, scoring=scorer, **SMALL).fit(X, Y)
    assert experiment.history_["score"].iloc[-1] > 0.3


def test_stopping_knows_which_way_is_better(registered):
    rule = TargetMetric(60.0, metric="misses")
    assert rule.update(metrics={"misses": 10.0})
    assert not rule.update(metrics={"misses": 70.0})
    gain = NoGain(1, metric="misses")
    steps = (50.0, 40.0, 45.0)
    assert [gain.update(metrics={"misses": x}) for x in steps] == [False, False, True]
    experiment = ActiveLearningExperiment(
        MODEL, "margin", scoring="misses", stopping=rule, **SMALL | {"n_rounds": 8}
    ).fit(X, Y)
    assert experiment.history_["misses"].iloc[-1] <= 60
    assert "TargetMetric" in experiment.stopped_


def test_a_comparison_ranks_and_shows_it_the_right_way_round(registered, tmp_path):
    options = SMALL | {"n_seeds": 5, "verbose": 0, "store": tmp_path / "run"}
    comparison = StrategyComparison(
        MODEL, ["margin"], scoring={"misses": "misses", "kappa": kappa}, **options
    ).fit(X, Y)
    summary = comparison.summary("misses")
    assert summary["aubc"].is_monotonic_increasing
    assert comparison.plot("misses").get_ylabel() == "Wrong answers (per 100)"
    page = comparison.report(tmp_path / "report.html", metric="misses").read_text()
    assert "wrong answers" in page
    assert ">kappa</th>" in page
    assert summarize_runs({"run": tmp_path / "run"}, "misses").attrs["lower_is_better"]
    # Somebody reads the run who never registered the metric.
    _metrics._METRICS.pop("misses")
    read = load_results(tmp_path / "run")
    assert read.summary("misses")["aubc"].is_monotonic_increasing
    assert get_metric("misses").word == "wrong answers"


def test_what_is_known_already_stays(registered):
    know_metrics([Metric("misses"), {"name": "other", "lower_is_better": True}])
    assert get_metric("misses") is registered
    assert get_metric("other").sign == -1


def test_without_probabilities_what_needs_them_is_nan(registered):
    from sklearn.svm import LinearSVC

    experiment = ActiveLearningExperiment(
        LinearSVC(), "random_sampling", scoring=["misses", "nll"], **SMALL
    ).fit(X, Y)
    assert experiment.history_["misses"].notna().all()
    assert experiment.history_["nll"].isna().all()


def test_scikit_learns_scorers_give_the_same():
    names = ["f1_macro", "top_k_accuracy", "neg_log_loss"]
    experiment = ActiveLearningExperiment(MODEL, "margin", scoring=names, **SMALL)
    history = experiment.fit(X[:300], Y[:300], X[300:], Y[300:]).history_
    for name in names:
        expected = get_scorer(name)(experiment, X[300:], Y[300:])
        assert history[name].iloc[-1] == pytest.approx(expected, rel=1e-5)


def test_another_function_does_not_take_a_metrics_name(registered):
    with pytest.raises(ValueError, match="'misses' is taken"):
        register_metric("misses", lambda y_true, proba: 0.0)


def test_what_is_registered_is_a_name_and_a_function():
    with pytest.raises(TypeError, match="takes a name first"):
        register_metric(misses)
    with pytest.raises(TypeError, match="a function, got 3"):
        register_metric("three", 3)
