"""Initial sets, budgets, validation sets, epochs of first and later rounds, retraining
and transfer."""

import warnings

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from al_sklearn.config import config_context, get_config
from al_sklearn.estimators import ImageClassifier
from al_sklearn.experiments import (
    ActiveLearningExperiment,
    StrategyComparison,
    load_results,
)
from al_sklearn.experiments.labelling_rate import AdaptiveRate
from al_sklearn.experiments.stopping import TargetMetric
from al_sklearn.experiments.store import RunStore
from al_sklearn.loop._streams import Streams
from al_sklearn.strategies import kmeans_sampling, random_sampling

LOGISTIC = LogisticRegression(max_iter=300)


@pytest.fixture
def flat(digits):
    X, y = digits
    return X[:500].reshape(500, -1) / 255.0, y[:500]


def run(estimator, X, y, strategy="random_sampling", **options):
    options = {"n_rounds": 2, "n_instances": 10, "random_state": 0, **options}
    return ActiveLearningExperiment(estimator, strategy, **options).fit(X, y)


def compare(estimator=LOGISTIC, strategies=("margin",), **options):
    options = {
        "n_rounds": 1,
        "n_instances": 10,
        "n_seeds": 2,
        "verbose": 0,
        "threads_per_job": 1,
        **options,
    }
    return StrategyComparison(estimator, list(strategies), **options)


few_seeds = pytest.mark.filterwarnings("ignore:[23] seeds cannot tell")


def test_initial_images_per_class_as_count_and_share(flat):
    X, y = flat
    ran = run(LOGISTIC, X, y, n_initial=3, initial="per_class", n_rounds=0)
    assert np.bincount(y[ran.queries_[0]]).tolist() == [3] * 10
    ran = run(LOGISTIC, X, y, n_initial=0.1, initial="per_class", n_rounds=0)
    train = np.setdiff1d(np.arange(500), ran.test_indices_)
    expected = np.maximum(1, np.round(0.1 * np.bincount(y[train])))
    assert np.bincount(y[ran.queries_[0]]).tolist() == expected.tolist()
    with pytest.raises(ValueError, match="of each class is more than there are"):
        run(LOGISTIC, X, y, n_initial=100, initial="per_class")


def test_a_strategy_chooses_the_initial_set_from_what_a_pipeline_sees(flat):
    X, y = flat
    ran = run(LOGISTIC, X, y, initial="typiclust", n_initial=20)
    assert len(np.unique(ran.queries_[0])) == 20
    assert not np.isin(ran.queries_[0], ran.test_indices_).any()
    assert np.array_equal(
        ran.queries_[0],
        run(LOGISTIC, X, y, initial="typiclust", n_initial=20).queries_[0],
    )
    scaled = run(
        make_pipeline(StandardScaler(), LOGISTIC),
        X,
        y,
        initial="kmeans_sampling",
        n_initial=15,
    )
    train = np.setdiff1d(np.arange(500), scaled.test_indices_)
    chosen, _ = kmeans_sampling(
        None,
        StandardScaler().fit_transform(X[train]),
        n_instances=15,
        random_state=Streams(0).integer("initial"),
    )
    assert np.array_equal(scaled.queries_[0], train[chosen])
    with pytest.raises(
        ValueError, match=r"'margin' cannot choose an initial set.*typiclust"
    ):
        run(LOGISTIC, X, y, initial="margin")
    with pytest.raises(ValueError, match="Unknown strategy 'typiclus'"):
        run(LOGISTIC, X, y, initial="typiclus")

    def broken(classifier, X, n_instances=1):
        raise TypeError("my own")

    # Nobody else's error is renamed: what was going on is said beside it.
    with pytest.raises(TypeError, match=r"^my own") as error:
        run(LOGISTIC, X, y, initial=broken)
    assert "it chooses without labels and without a model." in error.value.__notes__[0]


def test_budgets_are_counts_or_shares_and_end_exactly(flat):
    X, y = flat
    counted = run(LOGISTIC, X, y, n_rounds=None, budget=55).history_
    assert counted["n_labelled"].tolist() == [20, 30, 40, 50, 55]
    # 375 are left to learn from.
    shared = run(
        LOGISTIC, X, y, n_rounds=None, budget=0.1, n_initial=0.04, n_instances=0.02
    ).history_
    assert shared["n_labelled"].tolist() == [15, 23, 31, 38]
    assert len(run(LOGISTIC, X, y, budget=1000, n_rounds=1).history_) == 2
    with pytest.raises(
        ValueError, match="budget=10 is 10 labels; the initial set has 20"
    ):
        run(LOGISTIC, X, y, budget=10)
    with pytest.raises(ValueError, match="n_rounds=None goes on until"):
        run(LOGISTIC, X, y, n_rounds=None)


class Recorder(ClassifierMixin, BaseEstimator):
    """Remembers what it was fitted on."""

    fits: list = []

    def __init__(self, epochs=1):
        self.epochs = epochs

    def fit(self, X, y, X_val=None, y_val=None):
        self.fits.append((self.epochs, np.asarray(X), X_val, y_val))
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def test_the_validation_set_counts_is_handed_over_and_is_never_learnt_from(flat):
    X, y = flat
    Recorder.fits = []
    ran = run(Recorder(), X, y, validation_size=30, n_rounds=2)
    assert ran.history_["n_labelled"].tolist() == [50, 60, 70]
    validation = ran.validation_indices_
    assert len(validation) == 30
    assert not np.isin(
        validation, np.concatenate([ran.labelled_indices_, ran.test_indices_])
    ).any()
    for _, rows, X_val, y_val in Recorder.fits:
        assert not (rows[:, None] == X[validation][None]).all(axis=2).any()
        known = np.isin(y[validation], y[ran.queries_[0]])
        assert np.array_equal(X_val, X[validation][known])
        assert np.array_equal(y_val, y[validation][known])
    expected = float((y[validation] == y[ran.queries_[0]].min()).mean())
    assert ran.history_["validation_accuracy"].tolist() == [expected] * 3
    with pytest.raises(ValueError, match="leaves none to learn from"):
        run(Recorder(), X, y, validation_size=499)


def test_a_pipeline_hands_the_transformed_validation_set_to_its_last_step(flat):
    X, y = flat
    Recorder.fits = []
    ran = run(
        make_pipeline(StandardScaler(), Recorder()),
        X,
        y,
        validation_size=0.1,
        n_rounds=0,
    )
    _, rows, X_val, _ = Recorder.fits[0]
    scaler = StandardScaler().fit(X[ran.labelled_indices_])
    assert np.array_equal(rows, scaler.transform(X[ran.labelled_indices_]))
    assert len(ran.validation_indices_) == round(0.1 * 375)
    assert np.isin(
        np.round(X_val, 9), np.round(scaler.transform(X[ran.validation_indices_]), 9)
    ).all()


def test_a_net_stops_early_on_the_validation_set_and_does_not_keep_it(digits):
    X, y = digits
    X, y = X[:300], y[:300]
    net = ImageClassifier(
        "small_cnn", max_epochs=4, patience=1, monitor="valid_loss", lr=0.05
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ran = run(net, X, y, validation_size=40, n_initial=60, n_rounds=1)
    assert {"valid_loss", "valid_acc"} <= set(ran.estimator_.history[-1])
    assert ran.estimator_.train_split is None
    assert ran.history_["validation_accuracy"].between(0, 1).all()


def test_criteria_and_rates_read_the_validation_set(flat):
    X, y = flat
    ran = run(
        LOGISTIC,
        X,
        y,
        validation_size=50,
        n_rounds=20,
        stopping=TargetMetric(0.8, "validation_accuracy"),
    )
    reached = ran.history_["validation_accuracy"] >= 0.8
    assert reached.iloc[-1]
    assert not reached.iloc[:-1].any()
    rate = AdaptiveRate(10, gain=0.1, max_instances=60, metric="validation_accuracy")
    rated = run(LOGISTIC, X, y, validation_size=50, n_instances=rate).history_
    assert rated["n_labelled"].iloc[1] == 80
    assert (
        rate.next_batch([70, 80], rated["validation_accuracy"][:2].tolist())
        == rated["n_labelled"].diff().iloc[2]
    )


@pytest.mark.parametrize("training", ["from_scratch", "fine_tune", "incremental"])
def test_first_and_later_rounds_have_epochs_of_their_own(digits, training):
    X, y = digits
    net = ImageClassifier("small_cnn", max_epochs=9)
    options = {"training": training, "n_initial": 30, "n_instances": 20}
    X, y = X[:200], y[:200]
    ran = run(
        net,
        X,
        y,
        first_params={"max_epochs": 2},
        later_params={"max_epochs": 1},
        **options,
    )
    # A net that goes on counts its epochs on; one from scratch has those of the last
    # round.
    expected = {"from_scratch": [1], "fine_tune": [1, 4], "incremental": [1, 4]}[
        training
    ]
    assert len(ran.estimator_.history) in expected
    assert ran.estimator_.max_epochs == 1
    ran = run(
        net.set_params(max_epochs=1), X, y, first_params={"max_epochs": 2}, **options
    )
    assert ran.estimator_.max_epochs == 1
    with pytest.raises(ValueError, match="later_params names 'epochs'"):
        run(net, X, y, later_params={"epochs": 3})


def test_parameters_reach_any_depth(flat):
    X, y = flat
    model = make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss"))
    ran = run(
        model, X, y, later_params={"sgdclassifier__alpha": 0.5}, training="fine_tune"
    )
    assert ran.estimator_[-1].alpha == 0.5
    assert model[-1].alpha == 0.0001


@few_seeds
def test_another_runs_sets_are_used_again(flat, tmp_path):
    X, y = flat
    first = compare(store=tmp_path / "first", validation_size=20).fit(X, y)
    again = compare(
        KNeighborsClassifier(3), splits=tmp_path / "first", random_state=5
    ).fit(X, y)
    for seed in range(2):
        assert np.array_equal(
            first.queries_["margin", seed][0], again.queries_["margin", seed][0]
        )
    assert again.results_["n_labelled"].min() == 40
    alone = run(LOGISTIC, X, y, splits=tmp_path / "first" / "splits.npz")
    assert np.array_equal(alone.queries_[0], first.queries_["margin", 0][0])
    with pytest.raises(ValueError, match="has 2 seeds; this run wants number 2"):
        compare(splits=tmp_path / "first", n_seeds=3).fit(X, y)
    with pytest.raises(ValueError, match="X has 100 images"):
        run(LOGISTIC, X[:100], y[:100], splits=tmp_path / "first")
    with pytest.raises(ValueError, match="had no X_test"):
        compare(splits=tmp_path / "first").fit(X, y, X[400:], y[400:])


@few_seeds
def test_bought_sets_are_trained_again_and_serve_other_models(flat, tmp_path):
    X, y = flat
    comparison = compare(store=tmp_path / "run", validation_size=10).fit(X, y)
    models = {"same": LOGISTIC, "neighbours": KNeighborsClassifier(1)}
    table = comparison.retrain(X, y, estimators=models, n_repeats=2)
    assert len(table) == 2 * 2 * 2 * 2
    assert (table["n_labelled"] == 40).all()
    # Nearest neighbours have no luck: by hand, on the set that was bought.
    bought = np.concatenate(comparison.queries_["margin", 1])
    test = RunStore(tmp_path / "run").splits()["test_1"]
    expected = KNeighborsClassifier(1).fit(X[bought], y[bought]).score(X[test], y[test])
    mine = table.query(
        "estimator == 'neighbours' and strategy == 'margin' and seed == 1"
    )
    assert mine["accuracy"].tolist() == [expected] * 2
    files = sorted((tmp_path / "run" / "retrained").rglob("*.json"))
    times = [file.stat().st_mtime_ns for file in files]
    assert len(files) == len(table)
    assert comparison.retrain(X, y, estimators=models, n_repeats=2).equals(table)
    assert [file.stat().st_mtime_ns for file in files] == times
    assert len(comparison.retrain(X, y, n_repeats=1, rounds="all")) == 2 * 2 * 2
    with pytest.raises(ValueError, match="not the data that fit was given"):
        comparison.retrain(X[:, ::-1], y)
    with pytest.raises(ValueError, match="rounds must be 'last' or 'all'"):
        comparison.retrain(X, y, rounds="some")


@few_seeds
def test_a_network_is_retrained_with_other_luck_and_the_same_for_all_strategies(digits):
    X, y = digits
    X, y = X[:150], y[:150]
    comparison = compare(
        ImageClassifier("small_cnn", max_epochs=1), n_rounds=0, n_seeds=2
    ).fit(X, y)
    table = comparison.retrain(X, y, n_repeats=2)
    nll = table.pivot_table(index=["seed", "repeat"], columns="strategy", values="nll")
    # No round was bought: the sets are the same, and so must be what comes of them.
    assert np.array_equal(nll["margin"], nll["random_sampling"])
    assert nll["margin"].nunique() == 4


def settings_seen(classifier, X, n_instances=1, random_state=None):
    """Choose the first row if the settings are the caller's, else fail."""
    assert get_config()["max_memory"] == 123_000_000
    assert get_config()["prefetch"] is False
    return random_sampling(classifier, X, n_instances, random_state=random_state)


@few_seeds
@pytest.mark.parametrize(
    "backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)]
)
def test_workers_have_the_settings_of_whoever_called(flat, backend):
    X, y = flat
    with (
        config_context(max_memory="123 MB", prefetch=False),
        parallel_config(backend=backend, n_jobs=2),
    ):
        compare(strategies=[settings_seen]).fit(X, y)
    with pytest.raises(AssertionError):
        compare(strategies=[settings_seen]).fit(X, y)


@few_seeds
def test_a_killed_run_with_all_of_it_ends_with_the_same_numbers(flat, tmp_path):
    from al_sklearn.experiments.hard_pools import LabelNoise

    X, y = flat
    options = {
        "validation_size": 15,
        "budget": 65,
        "n_rounds": None,
        "pool": LabelNoise(0.1),
        "first_params": {"max_iter": 200},
        "initial": "per_class",
        "n_initial": 2,
    }
    whole = compare(store=tmp_path / "run", **options).fit(X, y)
    clock = ["query_seconds", "training_seconds", "peak_memory_mb"]
    for path in [
        *(tmp_path / "run").rglob("margin/seed_001/round_00[23].json"),
        tmp_path / "run" / "metrics.jsonl",
    ]:
        path.unlink()
    again = compare(store=tmp_path / "run", **options).fit(X, y)
    assert again.results_.drop(columns=clock).equals(whole.results_.drop(columns=clock))
    assert whole.results_["n_labelled"].max() == 65
    assert load_results(tmp_path / "run").table.equals(again.results_)
    with pytest.raises(ValueError, match=r"budget was 65, is not there"):
        compare(
            store=tmp_path / "run", **{**options, "budget": None, "n_rounds": 3}
        ).fit(X, y)
