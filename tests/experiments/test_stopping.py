"""Each criterion against its definition; alone, combined, with a live learner, in
experiments, after a kill."""

import json
import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.metrics import cohen_kappa_score

from al_sklearn import ActiveLearner
from al_sklearn.experiments import (
    ActiveLearningExperiment,
    StrategyComparison,
    load_results,
)
from al_sklearn.experiments.stopping import (
    AllOf,
    AnyOf,
    Budget,
    ClassificationChange,
    NoGain,
    OverallUncertainty,
    StabilizingPredictions,
    StoppingCriterion,
    TargetMetric,
    cohen_kappa,
)
from tests.experiments.test_store import contents

LR = LogisticRegression(max_iter=300)


class Says:
    """A model that predicts what it is told."""

    def __init__(self, predictions, proba=None):
        self.predictions = np.asarray(predictions)
        self.proba = proba
        self.classes_ = np.arange(2 if proba is None else np.shape(proba)[1])

    def predict(self, X):
        return self.predictions

    def predict_proba(self, X):
        return np.asarray(self.proba)


def accuracies(criterion, values, **options):
    return [
        criterion.update(metrics={"accuracy": value}, **options) for value in values
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=30)
)
def test_kappa_against_scikit_learn(pairs):
    first, second = np.array(pairs).T
    if (first == second).all():
        assert cohen_kappa(first, second) == 1
    else:
        assert cohen_kappa(first, second) == pytest.approx(
            cohen_kappa_score(first, second)
        )
        names = np.array(["a", "b", "c", "d"])
        assert cohen_kappa(names[first], names[second]) == cohen_kappa(first, second)


def test_kappa_where_there_is_nothing_to_compare_with():
    # One class for all: 0 / 0 in the formula, and perfect agreement.
    assert cohen_kappa([1, 1, 1], [1, 1, 1]) == 1
    assert cohen_kappa([1, 1], [2, 2]) == 0
    with pytest.raises(
        ValueError, match=r"same length are compared, got shapes \(2,\) and \(3,\)"
    ):
        cohen_kappa([1, 1], [1, 1, 1])


def test_budget():
    assert [Budget(100).update(n_labelled=n) for n in (99, 100, 101)] == [
        False,
        True,
        True,
    ]
    assert (Budget(100).labels_left(97), Budget(100).labels_left(120)) == (3, 0)
    with pytest.raises(ValueError, match="Budget counts labels"):
        Budget(100).update()


def test_target():
    assert accuracies(TargetMetric(0.9), [0.85, float("nan"), 0.9, 0.95]) == [
        False,
        False,
        True,
        True,
    ]
    loss = TargetMetric(0.3, "nll")
    assert [loss.update(metrics={"nll": value}) for value in (0.5, 0.3)] == [
        False,
        True,
    ]
    with pytest.raises(
        ValueError, match=r"reads the metric 'accuracy'; metrics= has \['nll'\]"
    ):
        TargetMetric(0.9).update(metrics={"nll": 1.0})


def test_no_gain():
    # The best of the last two rounds, against the best before: first no better at the
    # fourth round.
    assert accuracies(NoGain(2), [0.5, 0.6, 0.55, 0.58]) == [False, False, False, True]
    assert accuracies(NoGain(2), [0.5, 0.6, 0.55, 0.61, 0.6, 0.61]) == [False] * 5 + [
        True
    ]
    assert accuracies(NoGain(1, min_gain=0.05), [0.5, 0.5625, 0.59]) == [
        False,
        False,
        True,
    ]
    assert accuracies(NoGain(1), [float("nan"), 0.5, float("nan"), 0.5]) == [
        False,
        False,
        False,
        True,
    ]
    loss = NoGain(1, metric="nll")
    assert [loss.update(metrics={"nll": value}) for value in (0.5, 0.4, 0.4)] == [
        False,
        False,
        True,
    ]


def test_stabilizing_predictions_is_the_mean_of_the_last_three_kappas():
    generator = np.random.default_rng(0)
    rounds = [generator.integers(0, 3, 200)]
    for n_changes in (60, 20, 4, 2, 1, 0, 30, 0, 0, 0):
        now = rounds[-1].copy()
        now[generator.choice(200, n_changes, replace=False)] += 1
        rounds.append(now % 3)
    X, criterion = np.zeros((200, 1)), StabilizingPredictions()
    got = [criterion.update(Says(predictions), X) for predictions in rounds]
    kappas = [
        1 if (a == b).all() else cohen_kappa_score(a, b) for a, b in pairwise(rounds)
    ]
    expected = [
        len(kappas[:i]) >= 3 and np.mean(kappas[i - 3 : i]) >= 0.99
        for i in range(len(rounds))
    ]
    assert got == expected
    assert got == [False] * 6 + [True] + [False] * 3 + [True]
    assert [
        StabilizingPredictions().update(Says(np.ones(5)), X[:5]) for _ in range(5)
    ] == [False] * 5


def test_perfect_agreement_on_one_class_counts_as_one():
    criterion = StabilizingPredictions()
    got = [
        criterion.update(Says(np.array(["cat"] * 9)), np.zeros((9, 1)))
        for _ in range(4)
    ]
    assert got == [False, False, False, True]


def test_classification_change_looks_at_the_unlabelled():
    X = np.zeros((4, 1))
    strict, loose = ClassificationChange(), ClassificationChange(0.25)
    rounds = [[0, 0, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert [strict.update(Says(p), X) for p in rounds] == [False, False, False, True]
    assert [loose.update(Says(p), X) for p in rounds] == [False, True, True, True]
    # What changed has been labelled: nothing unlabelled changed.
    labelled = [False, False, True, True]
    assert [
        strict.reset().update(Says(p), X, labelled=labelled) for p in rounds[:1]
    ] == [False]
    assert [strict.update(Says(p), X, labelled=labelled) for p in rounds[1:]] == [
        True,
        True,
        True,
    ]
    twice = ClassificationChange(0.25, n_rounds=2)
    assert [twice.update(Says(p), X) for p in rounds] == [False, False, True, True]


def test_overall_uncertainty_is_the_mean_entropy_of_the_unlabelled():
    proba = np.array([[1.0, 0.0], [0.5, 0.5], [0.9, 0.1]])
    entropies = np.array([0, 1, -(0.9 * np.log2(0.9) + 0.1 * np.log2(0.1))])
    X = np.zeros((3, 1))
    for threshold in (0.4, 0.48, 0.5):
        expected = entropies.mean() <= threshold
        assert (
            OverallUncertainty(threshold).update(Says([0, 0, 0], proba), X) == expected
        )
    assert OverallUncertainty(0.24).update(
        Says([0, 0, 0], proba), X, labelled=[False, True, False]
    )
    assert not OverallUncertainty(0.9).update(Says([0], np.ones((1, 1))), X[:1])


def test_combined_criteria_all_remember_every_round():
    either = NoGain(1) | Budget(50)
    both = NoGain(1) & Budget(50)
    rounds = [(10, 0.5), (30, 0.6), (40, 0.6), (50, 0.7), (60, 0.7)]
    seen = [
        (c.update(n_labelled=n, metrics={"accuracy": a}), c.reason)
        for c in (either, both)
        for n, a in rounds
    ]
    assert [stop for stop, _ in seen[:5]] == [False, False, True, True, True]
    assert [reason for _, reason in seen[:5]] == [
        "",
        "",
        "NoGain(n_rounds=1)",
        "Budget(n_labels=50)",
        "NoGain(n_rounds=1) | Budget(n_labels=50)",
    ]
    assert [stop for stop, _ in seen[5:]] == [False] * 4 + [True]
    assert seen[9][1] == "NoGain(n_rounds=1) & Budget(n_labels=50)"
    assert isinstance(either | TargetMetric(0.9), AnyOf)
    assert len((either | TargetMetric(0.9)).criteria) == 3
    assert [type(part) for part in (both | Budget(5)).criteria] == [AllOf, Budget]
    assert (either.labels_left(20), both.labels_left(20), NoGain().labels_left(20)) == (
        30,
        None,
        None,
    )
    assert (either | StabilizingPredictions()).needs_stop_set
    assert not either.needs_stop_set


CRITERIA = [
    Budget(50),
    TargetMetric(0.9, "macro_f1"),
    NoGain(2, min_gain=0.01),
    StabilizingPredictions(0.95),
    ClassificationChange(0.02),
    OverallUncertainty(0.2),
    StabilizingPredictions(0.9) | (NoGain(3) & ClassificationChange(0.1)),
]


@pytest.mark.parametrize("criterion", CRITERIA, ids=repr)
def test_a_criterion_is_plain_data(criterion):
    """Repr says the parameters, a clone has no memory, a pickle and a JSON state go on
    where they were."""
    X, generator = np.zeros((30, 1)), np.random.default_rng(1)
    rounds = []
    predictions = generator.integers(0, 3, 30)
    for i in range(9):
        if i % 3:
            predictions = predictions.copy()
            predictions[generator.integers(30)] = generator.integers(3)
        proba = generator.dirichlet(np.full(3, 0.3 / (i + 1)), 30)
        metrics = {"accuracy": 0.5 + 0.01 * min(i, 4), "macro_f1": 0.7 + 0.03 * i}
        rounds.append(
            (
                {"model": Says(predictions, proba), "X_stop": X},
                {"n_labelled": 10 * i, "metrics": metrics},
            )
        )

    def answers(criterion, rounds):
        return [criterion.update(**given, **more) for given, more in rounds]

    whole = answers(clone(criterion), rounds)
    assert True in whole
    assert (
        eval(repr(criterion), globals()).get_params(deep=False).keys()
        == criterion.get_params(deep=False).keys()
    )
    for cut in range(9):
        begun = clone(criterion)
        first = answers(begun, rounds[:cut])
        state = json.loads(json.dumps(begun.get_state()))
        for resumed in (
            clone(criterion).set_state(state),
            pickle.loads(pickle.dumps(begun)),
        ):
            assert first + answers(resumed, rounds[cut:]) == whole
        assert answers(clone(begun), rounds) == whole
        assert answers(begun.reset(), rounds) == whole


def test_errors_say_what_is_allowed():
    with pytest.raises(ValueError, match=r"n_labels.*must be an int in the range"):
        Budget(0).update(n_labelled=5)
    with pytest.raises(ValueError, match="give update a model and a stop set"):
        StabilizingPredictions().update(n_labelled=5)
    with pytest.raises(ValueError, match="The stop set is empty"):
        OverallUncertainty().update(Says([]), np.zeros((0, 1)))
    criterion = ClassificationChange()
    criterion.update(Says([0, 1]), np.zeros((2, 1)))
    with pytest.raises(ValueError, match="must stay the same: it had 2 images, now 3"):
        criterion.update(Says([0, 1, 1]), np.zeros((3, 1)))
    with pytest.raises(ValueError, match="one or more stopping criteria"):
        AnyOf([]).update()
    with pytest.raises(NotImplementedError, match="StoppingCriterion has no decide"):
        StoppingCriterion().update()
    with pytest.raises(
        ValueError, match="'stopping' parameter of ActiveLearningExperiment"
    ):
        ActiveLearningExperiment(LR, stopping="budget").fit(
            np.arange(40.0).reshape(20, 2), np.arange(20) % 2
        )


def test_by_hand_with_a_live_learner(digits):
    X, y = digits[0].reshape(len(digits[0]), -1) / 255.0, digits[1]
    X_stop, X_pool, y_pool = X[:400], X[20:1000], y[20:1000]
    learner = ActiveLearner(LR, "margin", X[:20], y[:20])
    stop = Budget(400) | StabilizingPredictions(0.97)
    kappas, before = [], None
    while not stop.update(learner, X_stop):
        now = learner.predict(X_stop)
        kappas += [] if before is None else [cohen_kappa_score(before, now)]
        before = now
        indices, rows = learner.query(X_pool, n_instances=20)
        learner.teach(rows, y_pool[indices])
        X_pool, y_pool = np.delete(X_pool, indices, axis=0), np.delete(y_pool, indices)
    assert stop.reason == "StabilizingPredictions(threshold=0.97)"
    kappas.append(cohen_kappa_score(before, learner.predict(X_stop)))
    assert np.mean(kappas[-3:]) >= 0.97 > np.mean(kappas[-4:-1])
    assert len(learner.X_training) < 400


@pytest.fixture
def flat(digits):
    X, y = digits
    return X[:700].reshape(700, -1) / 255.0, y[:700]


def test_in_an_experiment(flat):
    X, y = flat
    options = {"n_initial": 20, "n_instances": 30, "n_rounds": 12, "random_state": 0}
    whole = ActiveLearningExperiment(LR, "margin", **options).fit(X, y)
    assert not hasattr(whole.history_, "stopped")
    target = float(whole.history_["accuracy"].iloc[3])
    stopped = ActiveLearningExperiment(
        LR, "margin", stopping=TargetMetric(target), **options
    ).fit(X, y)
    end = int((whole.history_["accuracy"] >= target).argmax())
    assert len(stopped.history_) == end + 1
    assert stopped.stopped_ == " ".join(repr(TargetMetric(target)).split())
    assert stopped.history_["stopped"].tolist() == [""] * end + [stopped.stopped_]
    # Up to there nothing is different: the same images, the same model.
    for ours, theirs in zip(stopped.queries_, whole.queries_[: end + 1], strict=True):
        assert np.array_equal(ours, theirs)
    # A budget ends exactly where it says, by a smaller last batch.
    spent = ActiveLearningExperiment(LR, "margin", stopping=Budget(100), **options).fit(
        X, y
    )
    assert spent.history_["n_labelled"].tolist() == [20, 50, 80, 100]
    # One that would stop with the last round changes nothing, and is not "stopped".
    last = ActiveLearningExperiment(
        LR, "margin", stopping=Budget(20 + 12 * 30), **options
    ).fit(X, y)
    assert (last.stopped_, len(last.history_)) == ("", 13)
    for ours, theirs in zip(last.queries_, whole.queries_, strict=True):
        assert np.array_equal(ours, theirs)
    settled = ActiveLearningExperiment(
        LR, "margin", stopping=StabilizingPredictions(0.9), **options
    ).fit(X, y)
    assert settled.stopped_ == "StabilizingPredictions(threshold=0.9)"
    assert 4 <= len(settled.history_) < 13


def test_the_criterion_of_the_user_is_never_changed_and_can_be_searched(flat):
    X, y = flat
    criterion = NoGain(1)
    experiment = ActiveLearningExperiment(
        LR, "margin", n_rounds=3, stopping=criterion, random_state=0
    )
    first = experiment.fit(X, y).history_
    assert criterion.get_state() == {}
    again = clone(experiment).fit(X, y).history_
    assert again["accuracy"].equals(first["accuracy"])
    assert clone(experiment).set_params(stopping__n_rounds=2).stopping.n_rounds == 2


def test_without_probabilities_predictions_are_enough(flat):
    X, y = flat
    stopping = StabilizingPredictions(-1, window=2)
    experiment = ActiveLearningExperiment(
        Perceptron(), n_rounds=5, stopping=stopping, random_state=0
    ).fit(X, y)
    assert len(experiment.history_) == 3


def test_in_a_comparison_curves_end_and_the_statistics_say_so(flat, tmp_path):
    X, y = flat
    # A target that margin reaches before random sampling does, and a budget for both.
    stopping = TargetMetric(0.9) | Budget(150)
    options = {
        "n_instances": 20,
        "n_rounds": 10,
        "n_seeds": 5,
        "threads_per_job": 1,
        "verbose": 0,
        "stopping": stopping,
    }
    comparison = StrategyComparison(
        LR, ["margin"], store=tmp_path / "run", **options
    ).fit(X, y)
    table = comparison.results_
    last = table.sort_values("n_labelled").groupby(["strategy", "seed"]).last()
    assert (last["stopped"] != "").all()
    reached = last["accuracy"] >= 0.9
    assert last["stopped"].str.contains("TargetMetric").equals(reached)
    assert last["stopped"].str.contains("Budget").equals(last["n_labelled"] == 150)
    assert (
        table.drop(table.groupby(["strategy", "seed"]).tail(1).index)["stopped"] == ""
    ).all()
    summary = comparison.summary()
    assert summary["n_stopped"].tolist() == [5, 5]
    assert any(
        note.startswith("margin was stopped in 5 of 5 seeds")
        for note in summary.attrs["notes"]
    )
    assert load_results(tmp_path / "run").table.equals(table)
    # All is done: asking again trains nothing and gives the same.
    again = StrategyComparison(LR, ["margin"], store=tmp_path / "run", **options).fit(
        X, y
    )
    assert again.results_.equals(table)
    with pytest.raises(ValueError, match="stopping was"):
        StrategyComparison(
            LR, ["margin"], store=tmp_path / "run", **{**options, "stopping": None}
        ).fit(X, y)


class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    "training", ["from_scratch", pytest.param("fine_tune", marks=pytest.mark.slow)]
)
def test_resumed_it_stops_where_it_would_have(flat, tmp_path, training, monkeypatch):
    """The criterion remembers predictions of rounds whose models are gone: what it knew
    comes back from the store."""
    from al_sklearn.experiments.store import RunStore

    X, y = flat
    stopping = StabilizingPredictions(0.85, window=2) | (
        NoGain(2) & ClassificationChange(0.05)
    )
    options = {
        "n_instances": 15,
        "n_rounds": 8,
        "n_seeds": 5,
        "threads_per_job": 1,
        "verbose": 0,
        "training": training,
    }

    def run(folder):
        made = StrategyComparison(
            LR, ["margin"], store=tmp_path / folder, stopping=stopping, **options
        )
        return made.fit(X, y)

    whole = run("whole").results_
    lengths = whole.groupby(["strategy", "seed"]).size()
    assert lengths.min() < 9
    assert lengths.nunique() > 1
    write, written = RunStore.write, []

    def dies(self, *args):
        write(self, *args)
        written.append(args)
        if len(written) in (3, 9, 16, 24):
            raise Killed

    monkeypatch.setattr(RunStore, "write", dies)
    for _ in range(4):
        with pytest.raises(Killed):
            run("cut")
    resumed = run("cut").results_
    clock = ["query_seconds", "training_seconds", "peak_memory_mb"]
    assert resumed.drop(columns=clock).equals(whole.drop(columns=clock))
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


@pytest.mark.slow
def test_two_workers_stop_at_the_same_rounds(flat):
    X, y = flat
    options = {
        "n_instances": 20,
        "n_rounds": 6,
        "n_seeds": 5,
        "threads_per_job": 1,
        "verbose": 0,
    }
    options["stopping"] = StabilizingPredictions(0.85, window=2)
    one = StrategyComparison(LR, ["margin"], **options).fit(X, y).results_
    two = StrategyComparison(LR, ["margin"], n_jobs=2, **options).fit(X, y).results_
    clock = ["query_seconds", "training_seconds", "peak_memory_mb"]
    assert one.drop(columns=clock).equals(two.drop(columns=clock))
