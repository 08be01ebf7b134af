"""The protocol as a sceptic reads it: what could make a comparison unfair, or not come
out the same again."""

import os
import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from joblib import parallel_config
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, StandardScaler
from sklearn.random_projection import GaussianRandomProjection
from skorch import NeuralNetClassifier

from al_sklearn.estimators import ImageClassifier
from al_sklearn.experiments import (
    ActiveLearningExperiment,
    StrategyComparison,
    load_checkpoint,
)
from al_sklearn.experiments.hard_pools import (
    ClassImbalance,
    LabelNoise,
    NearDuplicates,
    OutOfDistribution,
    PoolTransform,
)
from al_sklearn.experiments.store import RunStore
from al_sklearn.strategies import margin, random_sampling

LOGISTIC = LogisticRegression(max_iter=300)
CLOCK = ["query_seconds", "training_seconds", "peak_memory_mb"]
few_seeds = pytest.mark.filterwarnings("ignore:.*cannot tell a strategy from luck")


@pytest.fixture(scope="module")
def images(digits):
    X, y = digits
    return X[:400], y[:400]


@pytest.fixture(scope="module")
def flat(images):
    X, y = images
    return X.reshape(400, -1) / 255.0, y


def run(estimator, X, y, strategy="random_sampling", test=(), **options):
    options = {"n_rounds": 2, "n_instances": 10, "random_state": 0, **options}
    return ActiveLearningExperiment(estimator, strategy, **options).fit(X, y, *test)


def compare(X, y, strategies=("margin",), estimator=LOGISTIC, **options):
    options = {
        "n_rounds": 2,
        "n_instances": 10,
        "n_seeds": 2,
        "verbose": 0,
        "threads_per_job": 1,
        # What fails here is to be seen where it fails.
        "on_error": "raise",
        **options,
    }
    strategies = strategies if isinstance(strategies, dict) else list(strategies)
    return StrategyComparison(estimator, strategies, **options).fit(X, y)


def numbers(comparison, strategies=None, seeds=None):
    """Every number of a comparison but the clock's, whatever order it ran in."""
    table = comparison.results_.drop(columns=CLOCK)
    if strategies is not None:
        table = table[table["strategy"].isin(strategies)]
    if seeds is not None:
        table = table[table["seed"].isin(seeds)]
    return table.sort_values(["strategy", "seed", "round"]).reset_index(drop=True)


def first_rows(classifier, X, n_instances=1):
    return np.arange(n_instances)


# ---- what shifts nothing else


class Restless(ClassifierMixin, BaseEstimator):
    """Draws from the global generator when it learns and when it predicts, and has no
    random_state."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.model_ = LogisticRegression(max_iter=200).fit(
            X + np.random.normal(scale=0.1, size=X.shape), y
        )
        return self

    def predict_proba(self, X):
        proba = self.model_.predict_proba(X) + np.random.random(
            (len(X), len(self.classes_))
        )
        return proba / proba.sum(axis=1, keepdims=True)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


@few_seeds
def test_order_number_and_company_of_strategies_change_no_bit(flat):
    """Neither do more seeds, nor a strategy that draws from, or seeds, the global
    generators."""
    X, y = flat

    def rude(classifier, X, n_instances=1):
        np.random.seed(0)
        torch.manual_seed(0)
        return np.random.permutation(len(X))[:n_instances]

    options = {"estimator": Restless(), "validation_size": 20, "pool": LabelNoise(0.1)}
    alone = compare(X, y, ["margin"], **options)
    both = compare(X, y, [rude, "entropy", "margin"], n_seeds=3, **options)
    turned = compare(X, y, ["margin", "entropy", rude], n_seeds=3, **options)
    assert numbers(alone).equals(numbers(both, ["margin", "random_sampling"], [0, 1]))
    assert numbers(both).equals(numbers(turned))
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    again = compare(X, y, ["margin"], **options)
    assert numbers(alone).equals(numbers(again))
    assert (np.random.get_state()[1] == before[0]).all() and torch.equal(
        torch.get_rng_state(), before[1]
    )


@few_seeds
@pytest.mark.parametrize(
    "backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)]
)
def test_jobs_and_backends_change_no_bit_of_a_classifier_without_random_state(
    flat, backend
):
    X, y = flat
    expected = numbers(
        compare(X, y, ["margin", "entropy"], Restless(), validation_size=20)
    )
    with parallel_config(backend=backend):
        assert numbers(
            compare(
                X, y, ["margin", "entropy"], Restless(), validation_size=20, n_jobs=2
            )
        ).equals(expected)


@few_seeds
def test_a_strategy_that_fails_in_round_three_loses_nothing_and_goes_on_with_other_jobs(
    flat, tmp_path, monkeypatch
):
    X, y = flat
    monkeypatch.setenv("FAILS", "1")

    def third(classifier, X, n_instances=1, **options):
        if os.environ.get("FAILS") and len(classifier.X_training) >= 40:
            raise RuntimeError("out of luck")
        return margin(classifier, X, n_instances, **options)

    def both(**options):
        return compare(
            X, y, {"third": third, "entropy": "entropy"}, n_rounds=4, **options
        )

    with pytest.raises(RuntimeError, match="out of luck") as error:
        both(store=tmp_path / "run")
    assert error.value.__notes__ == ["In round 3 of 'third', seed 0."]
    kept = RunStore(tmp_path / "run").read("third", 0)
    assert len(kept) == 2
    monkeypatch.delenv("FAILS")
    with parallel_config(backend="threading"):
        resumed = both(store=tmp_path / "run", n_jobs=2)
    assert numbers(resumed).equals(numbers(both()))
    again = RunStore(tmp_path / "run").read("third", 0)
    # The rounds that were there were not run again.
    assert [a.metrics["query_seconds"] for a in again[:2]] == [
        b.metrics["query_seconds"] for b in kept
    ]


class Draws:
    """A strategy with a state that moves on."""

    def __init__(self):
        self.generator = np.random.default_rng(0)

    def __call__(self, classifier, X, n_instances=1):
        return self.generator.permutation(len(X))[:n_instances]


@pytest.mark.parametrize(
    "strategy",
    [partial(random_sampling, random_state=np.random.default_rng(0)), Draws()],
)
def test_a_generator_bound_to_a_strategy_is_refused(flat, strategy):
    with pytest.raises(ValueError, match="'mine' has a random generator bound to it"):
        compare(*flat, {"mine": strategy})


# ---- answers that are wrong


def asks_truth(answer):
    def strategy(classifier, X, n_instances=1, *, y_true=None):
        return answer(len(X), n_instances)

    return strategy


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (
            lambda n, k: (np.r_[-1, n - 1, np.arange(k - 2)], np.zeros(k)),
            ValueError,
            "positions from 0",
        ),
        (lambda n, k: (np.arange(k) + n, np.zeros(k)), ValueError, "positions from 0"),
        (lambda n, k: np.r_[0, np.arange(k - 1)], ValueError, "different images"),
        (lambda n, k: np.arange(k - 1), ValueError, "different images"),
        (lambda n, k: np.arange(k) * 1.0, TypeError, "integer positions"),
        (lambda n, k: np.ones(n, dtype=bool), TypeError, "integer positions"),
        (lambda n, k: (np.arange(k), np.zeros(3)), ValueError, "one score for each"),
        (lambda n, k: None, TypeError, "integer positions"),
    ],
)
@pytest.mark.parametrize("oracle", [False, True])
def test_wrong_answers_are_refused_of_oracles_too(flat, answer, error, says, oracle):
    strategy = (
        asks_truth(answer)
        if oracle
        else lambda c, X, n_instances=1: answer(len(X), n_instances)
    )
    with pytest.raises(error, match=says):
        run(LOGISTIC, *flat, strategy, n_rounds=1)


def test_an_oracle_may_return_positions_alone(flat):
    ran = run(LOGISTIC, *flat, asks_truth(lambda n, k: np.arange(k)))
    assert len(np.unique(ran.labelled_indices_)) == 40


# ---- cold starts


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            lambda n, k: (np.arange(k - 3), np.zeros(k - 3)),
            "asked for 20 different images and gave 17",
        ),
        (lambda n, k: (np.arange(k) // 2, np.zeros(k)), "20 different images"),
        (lambda n, k: (np.arange(k) + n, np.zeros(k)), "positions from 0"),
    ],
)
def test_a_cold_start_gives_as_many_as_were_asked_for(flat, answer, says):
    with pytest.raises(ValueError, match=says):
        run(
            LOGISTIC,
            *flat,
            initial=lambda c, X, n_instances=1: answer(len(X), n_instances),
            n_initial=20,
        )


def test_a_cold_start_is_the_same_again_whatever_it_draws_from(flat):
    X, y = flat

    def at_random(classifier, X, n_instances=1):
        # Of real rows, as strategies of other packages take them, and without scores.
        return np.random.permutation(len(X[:, 0]))[:n_instances]

    projected = make_pipeline(GaussianRandomProjection(8), LOGISTIC)
    for model, initial in [(LOGISTIC, at_random), (projected, "kmeans_sampling")]:
        before = np.random.get_state()[1].copy()
        one, two = (
            run(model, X, y, initial=initial, n_rounds=0).queries_[0] for _ in range(2)
        )
        assert np.array_equal(one, two)
        assert (np.random.get_state()[1] == before).all()
        other = run(model, X, y, initial=initial, n_rounds=0, random_state=1)
        assert not np.array_equal(np.sort(other.queries_[0]), np.sort(one))


def test_a_cold_start_through_a_step_that_needs_labels_says_so(flat):
    with pytest.raises(
        ValueError, match=r"initial='kmeans_sampling' cannot.*without labels"
    ):
        run(make_pipeline(SelectKBest(k=8), LOGISTIC), *flat, initial="kmeans_sampling")


@few_seeds
def test_a_cold_start_has_the_threads_of_the_run(flat):
    X, y = flat
    seen = []

    def watching(classifier, X, n_instances=1):
        seen.append(torch.get_num_threads())
        return np.arange(n_instances)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        compare(X, y, initial=watching, n_initial=40, n_rounds=0).retrain(
            X, y, n_repeats=1
        )
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {1}


# ---- classes that come later


def class_by_class(X, y):
    order = np.argsort(y, kind="stable")
    return X[order], y[order]


@pytest.mark.parametrize("training", ["fine_tune", "incremental"])
@pytest.mark.parametrize(
    "estimator",
    [
        LOGISTIC,
        SGDClassifier(loss="log_loss"),
        make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss")),
        GaussianNB(var_smoothing=0.1),
    ],
    ids=["logistic", "sgd", "pipeline", "bayes"],
)
@pytest.mark.filterwarnings("ignore:divide by zero encountered in log")
def test_training_goes_on_when_a_class_is_met_late(flat, estimator, training):
    X, y = flat
    if training == "fine_tune" and isinstance(estimator, GaussianNB):
        return
    if training == "incremental" and estimator is LOGISTIC:
        with pytest.raises(
            ValueError, match=r"LogisticRegression cannot go on .* a batch of"
        ):
            run(estimator, X, y, n_initial=5, training=training)
        return
    ran = run(estimator, X, y, n_initial=5, n_instances=40, training=training)
    assert len(np.unique(y[ran.queries_[0]])) < 10
    assert len(ran.estimator_.classes_) == 10
    assert ran.history_["accuracy"].iloc[-1] > ran.history_["accuracy"].iloc[0]


@pytest.mark.parametrize("training", ["from_scratch", "fine_tune", "incremental"])
def test_a_network_goes_on_when_a_class_is_met_late(images, training):
    X, y = images
    net = ImageClassifier("small_cnn", max_epochs=1)
    for model in (net, make_pipeline(FunctionTransformer(), net)):
        ran = run(model, X[:150], y[:150], n_initial=5, n_rounds=1, training=training)
        assert len(np.unique(y[ran.queries_[0]])) < 10
        assert net.classes is None
        assert ran.history_["nll"].notna().all()


@pytest.mark.parametrize("training", ["from_scratch", "fine_tune", "incremental"])
def test_a_pipeline_of_one_step_or_two_is_the_net_alone(images, training):
    X, y = images
    net = ImageClassifier("small_cnn", max_epochs=2, patience=2, monitor="valid_loss")
    options = {
        "n_initial": 6,
        "n_rounds": 1,
        "validation_size": 12,
        "training": training,
    }
    alone = run(net, X[:80], y[:80], **options).history_["nll"]
    for model in (make_pipeline(net), make_pipeline(FunctionTransformer(), net)):
        assert run(model, X[:80], y[:80], **options).history_["nll"].equals(alone)


@pytest.mark.parametrize("training", ["from_scratch", "fine_tune", "incremental"])
def test_a_plain_net_is_told_the_classes_it_has_outputs_for(flat, training):
    X, y = flat
    X = X.astype(np.float32)
    expected = run(linear_net(), X, y, n_initial=5, training=training).history_
    assert (
        run(linear_net(classes=None), X, y, n_initial=5, training=training)
        .history_["nll"]
        .equals(expected["nll"])
    )
    # An output for what is no class of the task is left out.
    for foreign in (0, 4, 9):
        ran = run(
            linear_net(),
            X,
            y,
            n_initial=50,
            training=training,
            pool=OutOfDistribution([foreign]),
        )
        proba = ran.predict_proba(X[ran.test_indices_])
        assert proba.shape[1] == 9
        classes = ran.classes_[proba.argmax(axis=1)]
        assert (
            ran.history_["accuracy"].iloc[-1]
            == (classes == y[ran.test_indices_]).mean()
            > 0.3
        )
    with pytest.raises(ValueError, match=r"10 columns.*9 classes"):
        run(
            linear_net(classes=None),
            X,
            y,
            n_initial=50,
            training=training,
            pool=OutOfDistribution([9]),
        )


def test_batches_of_one_class_keep_the_others(flat):
    X, y = class_by_class(*flat)
    options = {
        "n_initial": 40,
        "n_instances": 5,
        "n_rounds": 3,
        "training": "incremental",
    }
    ran = run(
        make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss")),
        X,
        y,
        first_rows,
        **options,
    )
    assert all(len(np.unique(y[batch])) == 1 for batch in ran.queries_[1:])
    # The steps before are those of the first round: of a batch of one class they would
    # be another space.
    scaler = StandardScaler().fit(X[ran.queries_[0]])
    assert np.array_equal(ran.estimator_[0].mean_, scaler.mean_)


def test_forests_that_would_never_learn_the_new_labels_are_refused(flat):
    for model in (
        RandomForestClassifier(5),
        HistGradientBoostingClassifier(max_iter=2),
    ):
        with pytest.raises(ValueError, match="only adds"):
            run(make_pipeline(StandardScaler(), model), *flat, training="fine_tune")


def test_metrics_are_over_all_classes_whatever_the_model_knows(flat):
    X, y = flat
    names = np.array([f"digit {i}" for i in range(10)], dtype=object)[y]
    ran = run(
        LOGISTIC,
        X[:300],
        names[:300],
        n_initial=4,
        n_rounds=0,
        test=(X[300:], names[300:]),
    )
    model, truth = ran.estimator_, names[300:]
    assert len(model.classes_) <= 4
    proba = np.zeros((100, 10))
    proba[:, np.searchsorted(np.unique(names), model.classes_)] = model.predict_proba(
        X[300:]
    )
    row = ran.history_.iloc[0]
    guess = model.predict(X[300:])
    assert row["accuracy"] == pytest.approx((guess == truth).mean())
    assert row["balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(truth, guess)
    )
    assert row["macro_f1"] == pytest.approx(f1_score(truth, guess, average="macro"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert row["nll"] == pytest.approx(
            log_loss(truth, proba, labels=np.unique(names))
        )
    missing = np.setdiff1d(np.unique(names), model.classes_)
    assert (row[[f"accuracy_{name}" for name in missing]] == 0).all()


# ---- labels of any type


@pytest.mark.parametrize(
    "kind",
    [
        lambda y: y.astype(float),
        lambda y: y.tolist(),
        lambda y: y * 7 - 30,
        lambda y: [f"digit {i}" for i in y],
        lambda y: pd.Series(y.astype(str), index=range(1000, 1000 + len(y))[::-1]),
        lambda y: pd.Categorical([f"d{i}" for i in y]),
        lambda y: y.astype(np.uint8),
    ],
    ids=["float", "list", "gaps", "strings", "series", "categories", "bytes"],
)
def test_labels_of_any_type_are_the_same_experiment(flat, kind):
    X, y = flat
    options = {"strategy": "margin", "pool": LabelNoise(0.2), "validation_size": 15}
    expected, ran = run(LOGISTIC, X, y, **options), run(LOGISTIC, X, kind(y), **options)
    assert all(
        np.array_equal(a, b)
        for a, b in zip(ran.queries_, expected.queries_, strict=True)
    )
    for column in ("accuracy", "nll", "bought_wrong", "validation_accuracy"):
        assert ran.history_[column].equals(expected.history_[column])


@pytest.mark.parametrize("strange", [None, 3])
def test_labels_of_several_kinds_are_refused(flat, strange):
    X, y = flat
    names = np.array([strange if i == 3 else str(i) for i in y], dtype=object)
    with pytest.raises(
        ValueError,
        match=r"y must hold labels of one kind.*(int|NoneType), str|str, NoneType",
    ):
        run(LOGISTIC, X, names)


@pytest.mark.parametrize(
    ("name", "pool"),
    [("wrong", LabelNoise(0.1)), ("outside", OutOfDistribution(["no"]))],
)
def test_a_class_that_would_hide_a_column_is_refused(flat, name, pool):
    X, y = flat
    names = np.array([name, "right", "no"])[y % 3]
    assert len(run(LOGISTIC, X, names, n_rounds=0).history_) == 1
    with pytest.raises(ValueError, match=f"bought_{name}"):
        run(LOGISTIC, X, names, pool=pool)


def test_frames_and_lists_of_rows_are_the_same_experiment(flat):
    X, y = flat
    frame = pd.DataFrame(
        X, columns=[f"p{i}" for i in range(64)], index=np.arange(400)[::-1]
    )
    options = {
        "strategy": "margin",
        "pool": [NearDuplicates(0.3), LabelNoise(0.1)],
        "validation_size": 15,
    }
    expected = run(LOGISTIC, X, y, **options)
    for kind in (frame, X.tolist()):
        assert (
            run(LOGISTIC, kind, y, **options)
            .history_["nll"]
            .equals(expected.history_["nll"])
        )


@pytest.mark.parametrize(
    ("initial", "n_initial"), [("stratified", 5), ("random", 9), ("per_class", 1)]
)
def test_a_class_of_two_images(flat, initial, n_initial):
    X, y = flat
    y = np.where(y > 4, 1, 0)
    y[:2] = 5
    ran = run(LOGISTIC, X, y, initial=initial, n_initial=n_initial, validation_size=10)
    # One can be learnt from: the test set has at most the other.
    assert (y[ran.test_indices_] == 5).sum() <= 1
    assert ran.classes_.tolist() == [0, 1, 5]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"n_rounds": None, "budget": 300, "n_instances": 130}, [20, 150, 280, 300]),
        (
            {
                "n_rounds": None,
                "budget": 900,
                "n_instances": 130,
                "validation_size": 30,
            },
            [50, 180, 300],
        ),
        (
            {"n_rounds": None, "budget": 75, "n_instances": 50, "validation_size": 30},
            [50, 75],
        ),
        ({"n_instances": 1300}, [20, 300]),
        ({"n_initial": 300}, [300]),
        ({"n_initial": 50, "budget": 50}, [50]),
        ({"n_initial": 270, "validation_size": 30, "budget": 300}, [300]),
    ],
)
def test_labels_add_up_whatever_divides_what(flat, options, expected):
    X, y = flat
    ran = run(LOGISTIC, X, y, **options)
    assert ran.history_["n_labelled"].tolist() == expected
    paid = np.concatenate([ran.validation_indices_, *ran.queries_])
    assert len(np.unique(paid)) == len(paid) == expected[-1]
    assert not np.isin(paid, ran.test_indices_).any()


# ---- who sees which labels, and when


class Pairs(torch.utils.data.Dataset):
    """Images with labels of their own beside them."""

    def __init__(self, X, y):
        self.X, self.y = X.astype(np.float32), y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i], int(self.y[i])


def linear_net(**options):
    return NeuralNetClassifier(
        torch.nn.Linear,
        module__in_features=64,
        module__out_features=10,
        criterion=torch.nn.CrossEntropyLoss,
        max_epochs=8,
        lr=0.5,
        verbose=0,
        **{"train_split": None, "classes": list(range(10)), **options},
    )


@pytest.mark.parametrize("training", ["from_scratch", "incremental"])
def test_a_torch_data_set_teaches_the_labels_of_y_not_its_own(flat, training):
    X, y = flat
    options = {
        "n_initial": 40,
        "validation_size": 20,
        "training": training,
        "pool": LabelNoise(0.2),
    }
    expected = run(linear_net(), X.astype(np.float32), y, **options).history_
    wrong = run(linear_net(), Pairs(X, (y + 1) % 10), y, **options).history_
    assert wrong["nll"].equals(expected["nll"])
    assert wrong["validation_accuracy"].equals(expected["validation_accuracy"])


def test_strategies_of_others_see_no_label_inside_a_torch_data_set(flat):
    X, y = flat
    seen = []

    def curious(classifier, X, n_instances=1):
        seen.extend(int(X[i][1]) for i in range(len(X)))
        proba = classifier.predict_proba(X)
        return np.argsort(proba.max(axis=1))[:n_instances]

    ran = run(linear_net(), Pairs(X, y), y, curious, n_rounds=1)
    assert set(seen) == {0}
    assert len(ran.history_) == 2


def test_strategies_cannot_spoil_data_or_the_model_of_others(flat):
    X, y = flat
    untouched = X.copy()

    def vandal(classifier, X, n_instances=1):
        X[:] = 0
        classifier.X_training[:] = 0
        classifier.y_training[:] = 0
        classifier.estimator.coef_[:] = 0
        return np.arange(n_instances)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spoilt = compare(X, y, [vandal, "margin"], training="fine_tune")
        clean = compare(X, y, ["margin"], training="fine_tune")
    assert np.array_equal(X, untouched)
    assert numbers(clean).equals(numbers(spoilt, ["margin", "random_sampling"]))


@pytest.mark.parametrize(
    "kind",
    [np.array, lambda X: pd.DataFrame(X, copy=True), lambda X: sp.csr_array(X)],
    ids=["array", "frame", "sparse"],
)
def test_a_step_that_works_in_place_leaves_test_and_validation_sets_alone(flat, kind):
    X, y = flat
    train, test, same = kind(X[:300]), kind(X[300:]), kind(X[300:])
    careful, spoils = (
        make_pipeline(MaxAbsScaler(copy=copy), LOGISTIC) for copy in (True, False)
    )
    options = {"test": (test, y[300:]), "validation_size": 30, "n_rounds": 3}
    expected, ran = (
        run(model, train, y[:300], **options).history_ for model in (careful, spoils)
    )
    assert abs(test - same).max().max() == 0
    for column in ("nll", "validation_accuracy"):
        assert ran[column].equals(expected[column])


# ---- training modes


def test_parameters_that_are_estimators_are_cloned_and_seeded(flat):
    X, y = flat
    model = make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss"))
    first = SGDClassifier(loss="log_loss", alpha=0.1)
    options = {"first_params": {"sgdclassifier": first}, "n_rounds": 1}
    one, two = (run(model, X, y, **options) for _ in range(2))
    assert not hasattr(model[-1], "coef_") and not hasattr(first, "coef_")
    assert one.estimator_[-1].random_state is not None
    assert one.estimator_[-1].alpha == 0.0001
    assert one.history_["nll"].equals(two.history_["nll"])


@few_seeds
def test_seeds_stay_apart_whatever_parameters_name_a_random_state(flat):
    model = SGDClassifier(loss="log_loss")
    plain = numbers(compare(*flat, (), model, n_rounds=1))
    fixed = numbers(
        compare(*flat, (), model, n_rounds=1, first_params={"random_state": 3})
    )
    assert plain.equals(fixed)


@few_seeds
@pytest.mark.parametrize("training", ["from_scratch", "fine_tune"])
def test_sets_are_trained_again_as_they_were_in_the_rounds(flat, training):
    """``retrain`` has the parameters of a training from fresh weights in that round."""
    X, y = flat
    later = {"later_params": {"C": 0.01}, "first_params": {"C": 10.0}}
    comparison = compare(X, y, n_rounds=1, training=training, **later)
    table = (
        comparison.retrain(X, y, n_repeats=1, rounds="all")
        .query("strategy == 'margin'")
        .set_index("seed")
    )
    C = {"from_scratch": (10.0, 0.01), "fine_tune": (10.0, 10.0)}[training]
    test = run(LOGISTIC, X, y, n_rounds=0).test_indices_
    sets = comparison.queries_["margin", 0]
    for number in range(2):
        bought = np.concatenate(sets[: number + 1])
        expected = (
            LogisticRegression(C=C[number], max_iter=300)
            .fit(X[bought], y[bought])
            .score(X[test], y[test])
        )
        assert table.loc[0].query("round == @number")["accuracy"].item() == expected


# ---- hard pools


def test_what_is_foreign_is_foreign_before_the_first_transform(flat):
    """In whatever order they are given: no image of a class gets a label that is no
    class."""
    X, y = flat
    for pool in (
        [LabelNoise(0.4), OutOfDistribution([8, 9])],
        [OutOfDistribution([8, 9]), LabelNoise(0.4)],
    ):
        ran = run(LOGISTIC, X, y, pool=pool, n_initial=40)
        assert ran.estimator_.classes_.tolist() == list(range(8))
        foreign = np.isin(y[np.concatenate(ran.queries_)], [8, 9]).sum()
        assert ran.history_["bought_outside"].sum() == foreign
    ran = run(
        LOGISTIC,
        X,
        y,
        pool=[ClassImbalance(5), OutOfDistribution([8, 9])],
        n_initial=40,
    )
    # Foreign classes are not thinned with the others.
    assert ran.history_["bought_outside"].sum() > 0


class Seen(ClassifierMixin, BaseEstimator):
    """Remembers what it learnt and what it was measured on."""

    learnt: list = []
    measured: list = []

    def fit(self, X, y):
        self.learnt.append((np.asarray(X), np.asarray(y)))
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        self.measured.append(np.asarray(X))
        return np.full(len(X), self.classes_[0])


@pytest.mark.parametrize(
    "pool",
    [
        LabelNoise(0.5),
        ClassImbalance(10),
        NearDuplicates(0.8, noise=0.05),
        OutOfDistribution([3]),
        [
            NearDuplicates(0.3),
            LabelNoise(0.3),
            ClassImbalance(3),
            OutOfDistribution([1]),
        ],
    ],
    ids=["noise", "imbalance", "duplicates", "foreign", "all"],
)
def test_hard_pools_leave_the_test_set_as_it_is(flat, pool):
    X, y = flat
    Seen.learnt, Seen.measured = [], []
    ran = run(Seen(), X, y, pool=pool, n_rounds=1, n_instances=200)
    test = ran.test_indices_
    tested = [rows for rows in Seen.measured if len(rows) == len(test)]
    assert len(tested) >= 2 and all(np.array_equal(rows, X[test]) for rows in tested)
    # The labels it was measured by are the true ones.
    guessed = ran.estimator_.predict(X[:1])[0]
    assert ran.history_["accuracy"].iloc[-1] == (y[test] == guessed).mean()
    foreign = [
        c
        for step in (pool if isinstance(pool, list) else [pool])
        for c in getattr(step, "classes", ())
    ]
    assert not np.isin(y[test], foreign).any()
    for rows, labels in Seen.learnt:
        assert not np.isin(labels, foreign).any()
        # Nothing of the test set is learnt (copies with noise are of the pool's
        # images).
        assert not (rows[:, None] == X[test][None]).all(axis=2).any()


def test_what_duplicates_are_is_in_the_data(flat):
    X, y = flat
    Seen.learnt = []
    ran = run(Seen(), X, y, pool=NearDuplicates(0.5), n_instances=400, n_rounds=1)
    rows, labels = Seen.learnt[-1]
    distinct = np.unique(rows, axis=0)
    assert len(rows) == 300 and len(distinct) == 150
    # A copy has its original's label: as in X and y, where all images differ.
    by_image = {image.tobytes(): label for image, label in zip(X, y, strict=True)}
    assert [by_image[image.tobytes()] for image in rows] == labels.tolist()
    # Nothing is wrong in it, and no column says so.
    assert "bought_wrong" not in ran.history_


def everything_bought(X, y, pool):
    """Buy the whole pool; return the images learnt, the labels given for them, their
    true ones, and the table."""
    Seen.learnt = []
    ran = run(Seen(), X, y, pool=pool, n_instances=400, n_rounds=1)
    rows, labels = Seen.learnt[-1]
    by_image = {image.tobytes(): label for image, label in zip(X, y, strict=True)}
    assert len(by_image) == len(y)
    return rows, labels, np.array([by_image[image.tobytes()] for image in rows]), ran


def test_what_noise_is_is_in_the_data(flat):
    X, y = flat
    _, labels, truth, ran = everything_bought(X, y, LabelNoise(0.3))
    assert (
        (labels != truth).sum()
        == round(0.3 * 300)
        == ran.history_["bought_wrong"].sum()
    )
    # Of one class, and for another: nothing else is touched.
    _, labels, truth, _ = everything_bought(X, y, LabelNoise({3: 0.5}, {3: 5}))
    wrong = labels != truth
    assert wrong.sum() == round(0.5 * (truth == 3).sum())
    assert set(truth[wrong]) == {3} and set(labels[wrong]) == {5}


def test_the_same_rates_said_in_another_order_are_the_same_noise(flat):
    one, two = (
        run(LOGISTIC, *flat, pool=LabelNoise(rates))
        for rates in ({3: 0.5, 8: 0.2}, {8: 0.2, 3: 0.5})
    )
    assert one.history_["nll"].equals(two.history_["nll"])


def test_what_imbalance_is_is_in_the_data(flat):
    X, y = flat
    _, labels, truth, ran = everything_bought(X, y, ClassImbalance(10))
    assert np.array_equal(labels, truth)
    smallest = np.bincount(np.delete(y, ran.test_indices_)).min()
    expected = [round(smallest * 10 ** (-k / 9)) for k in range(10)]
    assert sorted(np.bincount(labels), reverse=True) == expected
    # The test set is as balanced as it was.
    assert np.array_equal(
        ran.test_indices_, everything_bought(X, y, None)[3].test_indices_
    )


def test_what_foreign_images_are_is_in_the_data(flat):
    X, y = flat
    _, labels, truth, ran = everything_bought(
        X, y, OutOfDistribution([4, 7], share=0.15)
    )
    assert np.array_equal(labels, truth) and not np.isin(labels, [4, 7]).any()
    foreign = ran.history_["n_labelled"].iloc[-1] - len(labels)
    assert (
        foreign
        == ran.history_["bought_outside"].sum()
        == np.isin(y[ran.labelled_indices_], [4, 7]).sum()
    )
    assert foreign == round(len(labels) * 0.15 / 0.85)


def test_noise_that_confuses_a_class_with_itself_is_refused(flat):
    with pytest.raises(ValueError, match="confused_with says 3 for 3"):
        run(LOGISTIC, *flat, pool=LabelNoise(0.3, {3: 3}))


@pytest.mark.parametrize(
    ("pool", "says"),
    [
        (OutOfDistribution([9], share=1.0), "share must be below 1"),
        (NearDuplicates(0.5, noise=float("nan")), "noise must be a number from 0"),
        (NearDuplicates(0.5, noise=-1), "noise must be a number from 0"),
        (LabelNoise(float("nan")), "rate must be a share from 0 to 1"),
    ],
)
def test_shares_and_noise_out_of_range_are_refused(flat, pool, says):
    with pytest.raises(ValueError, match=says):
        run(LOGISTIC, *flat, pool=pool)


def test_a_test_set_given_with_foreign_classes_is_refused(flat):
    X, y = flat
    with pytest.raises(
        ValueError,
        match=r"y_test holds classes that y does not: \[9\] .*OutOfDistribution",
    ):
        run(
            LOGISTIC,
            X[:300],
            y[:300],
            test=(X[300:], y[300:]),
            pool=OutOfDistribution([9]),
        )


class Wrong(PoolTransform):
    """A transform with a mistake."""

    def __init__(self, mistake):
        self.mistake = mistake

    def apply(self, pool, generator):
        if self.mistake == "test set":
            return replace(pool, train=np.arange(len(pool.y)))
        if self.mistake == "twice":
            return replace(pool, train=np.repeat(pool.train, 2))
        return replace(pool, y=pool.y + 100)


@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        ("test set", "not in the pool"),
        ("twice", "not in the pool|once"),
        ("label", "is no class"),
    ],
)
def test_a_transform_of_ones_own_cannot_let_the_test_set_in(flat, mistake, says):
    with pytest.raises(ValueError, match=says):
        run(LOGISTIC, *flat, pool=Wrong(mistake))


# ---- another run's sets, transfer


@few_seeds
@pytest.mark.parametrize(
    "pool",
    [
        None,
        ClassImbalance(5),
        OutOfDistribution([8, 9], share=0.1),
        [ClassImbalance(5), LabelNoise(0.3)],
        [NearDuplicates(0.4), LabelNoise(0.3)],
    ],
    ids=["none", "imbalance", "foreign", "imbalance and noise", "duplicates and noise"],
)
def test_the_same_sets_and_the_same_pool_are_the_same_run(flat, tmp_path, pool):
    X, y = flat
    first = compare(X, y, pool=pool, validation_size=20, store=tmp_path / "first")
    again = compare(
        X, y, pool=pool, splits=tmp_path / "first", store=tmp_path / "again"
    )
    assert numbers(again).equals(numbers(first))
    sets, same = (RunStore(tmp_path / name).splits() for name in ("first", "again"))
    assert all(np.array_equal(sets[key], same[key]) for key in sets)


@few_seeds
def test_a_test_set_with_foreign_classes_is_refused(flat, tmp_path):
    X, y = flat
    order = np.argsort(y == 9, kind="stable")
    X, y = X[order], y[order]
    sets = {
        "train_0": np.arange(300),
        "initial_0": np.arange(20),
        "test_0": np.arange(300, 400),
    }
    np.savez(tmp_path / "splits.npz", **sets)
    with pytest.raises(ValueError, match=r"tests on image 3\d\d, of class 9"):
        run(LOGISTIC, X, y, pool=OutOfDistribution([9]), splits=tmp_path / "splits.npz")


@few_seeds
def test_other_data_leave_a_finished_comparison_as_it_was(flat):
    X, y = flat
    comparison = compare(X, y, (), n_rounds=0)
    with pytest.raises(ValueError, match="not the data that fit was given"):
        comparison.retrain(X, np.minimum(y, 3))
    assert comparison.classes_.tolist() == list(range(10))


@few_seeds
@pytest.mark.parametrize("own", ["logistic", "net"])
def test_each_architecture_gets_the_test_set_as_it_was(flat, own):
    """Nets want rows that can be written to, and steps that work in place must not
    write to them."""
    X, y = flat
    X = X.astype(np.float32)
    models = {
        "net": linear_net(),
        "in place": make_pipeline(StandardScaler(copy=False), LOGISTIC),
    }
    comparison = compare(
        X[:300],
        y[:300],
        (),
        models["net"] if own == "net" else LOGISTIC,
        n_rounds=0,
        n_initial=60,
    )
    tables = [
        comparison.retrain(X[:300], y[:300], estimators=models, n_repeats=2)
        for _ in range(2)
    ]
    assert tables[0]["nll"].equals(tables[1]["nll"])
    alone = compare(X[:300], y[:300], (), LOGISTIC, n_rounds=0, n_initial=60)
    alone = alone.retrain(
        X[:300],
        y[:300],
        estimators={"in place": make_pipeline(StandardScaler(), LOGISTIC)},
    )
    both = tables[0].query("estimator == 'in place'")["nll"].unique()
    assert np.array_equal(both, alone["nll"].unique())


@few_seeds
def test_a_set_serves_another_architecture_with_the_labels_that_were_bought(flat):
    """Transfer: noisy labels as bought, the true ones in the test."""
    X, y = flat
    comparison = compare(X, y, pool=LabelNoise(0.4), n_initial=60)
    table = comparison.retrain(
        X, y, estimators={"nearest": KNeighborsClassifier(1)}, n_repeats=1
    )
    clean = compare(X, y, n_initial=60).retrain(
        X, y, estimators={"nearest": KNeighborsClassifier(1)}, n_repeats=1
    )
    assert table["accuracy"].mean() < clean["accuracy"].mean() - 0.15


# ---- checkpoints


@few_seeds
def test_a_checkpoint_is_refused_by_a_net_of_other_classes(images, tmp_path):
    X, y = images
    few = np.isin(y, [0, 1, 2, 3])
    X, names = X[few], np.array([f"d{i}" for i in y[few]])
    net = ImageClassifier("small_cnn", max_epochs=1)
    options = {
        "store": tmp_path / "run",
        "checkpoints": True,
        "n_initial": 3,
        "n_instances": 3,
        "n_rounds": 1,
    }
    comparison = compare(X, names, (), net, **{**options, "n_seeds": 1})
    first = tmp_path / "run" / "first" / "seed_000" / "round_000.safetensors"
    known = np.unique(names[comparison.queries_["random_sampling", 0][0]])
    assert len(known) == 3
    pairs = [(np.isin(names, known), True)]
    pairs += [(names != name, False) for name in known]
    for rows, fits in pairs:
        model = ImageClassifier("small_cnn").initialize(X[rows], names[rows])
        if fits:
            assert set(load_checkpoint(first, model).predict(X)) <= set(known)
        else:
            with pytest.raises(
                ValueError, match="do not fit: they are for the classes"
            ):
                load_checkpoint(first, model)


@few_seeds
def test_checkpoints_are_the_models_that_were_measured(flat, tmp_path):
    X, y = flat
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Models of LogisticRegression are kept by joblib"
        )
        comparison = compare(
            X, y, store=tmp_path / "run", checkpoints=True, training="fine_tune"
        )
    test = RunStore(tmp_path / "run").splits()["test_1"]
    for number in (1, 2):
        model = load_checkpoint(
            tmp_path
            / "run"
            / "rounds"
            / "margin"
            / "seed_001"
            / f"round_{number:03d}.joblib"
        )
        row = comparison.results_.query(
            "strategy == 'margin' and seed == 1 and round == @number"
        )
        assert row["accuracy"].item() == model.score(X[test], y[test])


# ---- all of it together


class Stumbled(Exception):
    pass


STUMBLES = {"at": 0, "calls": 0}


def stumbling(classifier, X, n_instances=1, *, random_state=None):
    """Choose by margin, and fail at one call."""
    STUMBLES["calls"] += 1
    if STUMBLES["calls"] == STUMBLES["at"]:
        raise Stumbled
    return margin(classifier, X, n_instances, random_state=random_state)


def drawn_protocol(number):
    """Draw a protocol from all that there is."""
    draw = np.random.default_rng(number)
    initial = [
        ("stratified", 17),
        ("random", 0.1),
        ("per_class", 2),
        ("kmeans_sampling", 25),
    ][number % 4]
    transforms = [
        LabelNoise(0.2),
        ClassImbalance(3),
        NearDuplicates(0.3, noise=0.02),
        OutOfDistribution([3, 8]),
    ]
    chosen = draw.permutation(4)[: draw.integers(0, 4)]
    return {
        "initial": initial[0],
        "n_initial": initial[1],
        "training": ["from_scratch", "fine_tune", "incremental"][number % 3],
        "validation_size": [None, 11, 0.08][draw.integers(3)],
        "n_instances": [7, 0.05][draw.integers(2)],
        "pool": [transforms[i] for i in chosen],
        "budget": [None, 0.4, 70][draw.integers(3)],
        "n_rounds": 4,
        "first_params": [None, {"sgdclassifier__alpha": 0.01}][draw.integers(2)],
        "later_params": [None, {"sgdclassifier__max_iter": 200}][draw.integers(2)],
        "test_size": [0.25, 60][draw.integers(2)],
    }


@few_seeds
@pytest.mark.parametrize(
    "number",
    [
        n if n in (1, 4, 6, 11) else pytest.param(n, marks=pytest.mark.slow)
        for n in range(12)
    ],
)
def test_any_protocol_keeps_its_promises_and_survives_a_failure(flat, tmp_path, number):
    X, y = flat
    options = drawn_protocol(number)
    model = make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss"))
    STUMBLES.update(at=0, calls=0)
    whole = compare(X, y, [stumbling], model, **options)
    STUMBLES.update(at=STUMBLES["calls"] // 2 + 1, calls=0)
    with pytest.raises(Stumbled):
        compare(X, y, [stumbling], model, store=tmp_path / "run", **options)
    STUMBLES.update(at=0, calls=0)
    with parallel_config(backend="threading"):
        resumed = compare(
            X, y, [stumbling], model, store=tmp_path / "run", n_jobs=2, **options
        )
    assert numbers(resumed).equals(numbers(whole))
    strange = np.isin(y, [3, 8]) & any(
        isinstance(step, OutOfDistribution) for step in options["pool"]
    )
    splits = RunStore(tmp_path / "run").splits()
    for seed in range(2):
        train, test, initial = (
            splits[f"{part}_{seed}"] for part in ("train", "test", "initial")
        )
        validation = splits.get(f"validation_{seed}", np.empty(0, dtype=int))
        assert (len(validation) > 0) == (options["validation_size"] is not None)
        assert len(np.unique(np.concatenate([train, test, validation]))) == len(
            train
        ) + len(test) + len(validation)
        duplicated = any(isinstance(step, NearDuplicates) for step in options["pool"])
        assert not strange[test].any() and (
            duplicated or not strange[np.concatenate([initial, validation])].any()
        )
        for name in ("stumbling", "random_sampling"):
            batches = resumed.queries_[name, seed]
            bought = np.concatenate(batches)
            assert np.array_equal(batches[0], initial)
            assert (
                len(np.unique(bought)) == len(bought) and np.isin(bought, train).all()
            )
            table = resumed.results_.query("strategy == @name and seed == @seed")
            sizes = np.cumsum([len(batch) for batch in batches]) + len(validation)
            assert table["n_labelled"].tolist() == sizes.tolist()
            if options["budget"] is not None:
                most = options["budget"]
                most = (
                    most
                    if isinstance(most, int)
                    else round(most * (len(train) + len(validation)))
                )
                assert sizes[-1] <= most
            columns = [f"bought_{c}" for c in resumed.classes_] + ["bought_outside"] * (
                "bought_outside" in table
            )
            assert table[columns].sum(axis=1).tolist() == [
                len(batch) for batch in batches
            ]
