"""The experiment as a scikit-learn classifier, and as active learning."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
import torch
from sklearn.base import clone, is_classifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from al_sklearn.experiments import ActiveLearningExperiment
from al_sklearn.strategies import margin

LR = LogisticRegression(max_iter=2000)


@pytest.fixture(scope="module")
def flat(digits):
    X, y = digits
    return X.reshape(len(X), -1) / 255.0, y


def small(estimator, strategy="margin", **options):
    return ActiveLearningExperiment(
        estimator,
        strategy,
        **{
            "n_initial": 6,
            "n_instances": 6,
            "n_rounds": 2,
            "random_state": 0,
            **options,
        },
    )


@parametrize_with_checks(
    [
        small(LogisticRegression()),
        small(RandomForestClassifier(n_estimators=10), "entropy"),
        small(
            make_pipeline(MinMaxScaler(), LogisticRegression()),
            "random_sampling",
            n_instances=30,
        ),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_buys_what_it_says_and_measures_every_round(flat):
    X, y = flat
    experiment = ActiveLearningExperiment(
        LR, "margin", n_initial=20, n_instances=30, n_rounds=3, random_state=0
    )
    experiment.fit(X, y)
    history = experiment.history_
    assert history["n_labelled"].tolist() == [20, 50, 80, 110]
    assert history["round"].tolist() == [0, 1, 2, 3]
    assert [len(q) for q in experiment.queries_] == [20, 30, 30, 30]
    assert np.array_equal(
        np.concatenate(experiment.queries_), experiment.labelled_indices_
    )
    assert len(np.unique(experiment.labelled_indices_)) == 110
    assert not np.isin(experiment.labelled_indices_, experiment.test_indices_).any()
    assert len(experiment.test_indices_) == round(0.25 * len(y))
    last = experiment.history_.iloc[-1]
    X_test, y_test = X[experiment.test_indices_], y[experiment.test_indices_]
    assert last["accuracy"] == experiment.score(X_test, y_test)
    bought = history[[f"bought_{c}" for c in range(10)]].to_numpy()
    for row, query in zip(bought, experiment.queries_, strict=True):
        assert np.array_equal(row, np.bincount(y[query], minlength=10))
    assert np.isnan(history["batch_accuracy"][0])
    # A right uncertainty strategy buys what the model before it gets wrong.
    assert (history["batch_accuracy"][1:] < history["accuracy"][:-1].to_numpy()).all()
    assert (
        history[["training_seconds", "query_seconds", "peak_memory_mb"]]
        .notna()
        .all()
        .all()
    )


def test_initial_set_has_every_class_and_the_split_is_stratified(flat):
    X, y = flat
    experiment = ActiveLearningExperiment(
        LR, n_initial=10, n_rounds=0, random_state=1
    ).fit(X, y)
    assert sorted(y[experiment.labelled_indices_]) == list(range(10))
    shares = np.bincount(y[experiment.test_indices_]) / np.bincount(y)
    assert np.abs(shares - 0.25).max() < 0.01


def test_last_batch_is_clipped_and_an_empty_pool_ends_the_rounds(flat):
    X, y = flat[0][:100], flat[1][:100]
    experiment = ActiveLearningExperiment(
        LR, n_initial=40, n_instances=25, n_rounds=9, random_state=0
    ).fit(X, y)
    assert experiment.history_["n_labelled"].tolist() == [40, 65, 75]
    assert set(experiment.labelled_indices_) | set(experiment.test_indices_) == set(
        range(100)
    )


def test_shares_of_the_pool(flat):
    X, y = flat
    experiment = ActiveLearningExperiment(
        LR, n_initial=0.02, n_instances=0.01, n_rounds=2, random_state=0
    ).fit(X, y)
    pool = len(y) - len(experiment.test_indices_)
    assert experiment.history_["n_labelled"].tolist() == [
        round(pool * 0.02) + i * round(pool * 0.01) for i in range(3)
    ]


def test_same_random_state_same_everything_and_global_generators_stay(flat):
    X, y = flat

    def run(**options):
        model = RandomForestClassifier(n_estimators=10)
        return ActiveLearningExperiment(model, "entropy", n_rounds=3, **options).fit(
            X, y
        )

    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    first, second, third = run(random_state=0), run(random_state=0), run(random_state=1)
    assert np.array_equal(before[0], np.random.get_state()[1])
    assert torch.equal(before[1], torch.get_rng_state())
    assert np.array_equal(first.labelled_indices_, second.labelled_indices_)
    columns = ["accuracy", "nll", "ece", "macro_f1"]
    assert first.history_[columns].equals(second.history_[columns])
    assert not np.array_equal(first.labelled_indices_, third.labelled_indices_)


def test_strategies_of_one_seed_share_split_initial_set_and_first_model(flat):
    X, y = flat
    runs = [
        ActiveLearningExperiment(
            RandomForestClassifier(5), name, n_rounds=1, random_state=3
        ).fit(X, y)
        for name in ("random_sampling", "entropy")
    ]
    a, b = runs
    assert np.array_equal(a.test_indices_, b.test_indices_)
    assert np.array_equal(a.queries_[0], b.queries_[0])
    assert not np.array_equal(a.queries_[1], b.queries_[1])
    assert a.history_["nll"][0] == b.history_["nll"][0]


def test_a_strategy_sees_only_what_is_labelled(flat):
    X, y = flat
    seen = []

    def curious(classifier, X_pool, n_instances=1):
        seen.append(
            (
                len(classifier.X_training),
                len(classifier.y_training),
                len(X_pool),
                type(X_pool),
            )
        )
        return np.arange(n_instances)

    experiment = ActiveLearningExperiment(LR, curious, n_rounds=2, random_state=0).fit(
        X, y, X[:50], y[:50]
    )
    assert [row[:3] for row in seen] == [(20, 20, len(y) - 20), (40, 40, len(y) - 40)]
    assert seen[0][3] is np.ndarray
    unlabelled = np.setdiff1d(np.arange(len(y)), experiment.queries_[0])
    assert np.array_equal(experiment.queries_[1], unlabelled[:20])


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            lambda c, X, n_instances=1: np.zeros(n_instances, dtype=int),
            "different images",
        ),
        (lambda c, X, n_instances=1: np.arange(n_instances - 1), "different images"),
        (
            lambda c, X, n_instances=1: np.arange(n_instances) + len(X),
            "positions from 0",
        ),
    ],
)
def test_a_strategy_that_breaks_the_contract_is_refused(flat, answer, says):
    with pytest.raises(ValueError, match=says):
        ActiveLearningExperiment(LR, answer, n_rounds=1, random_state=0).fit(*flat)


def test_labels_of_any_type_and_classes_not_met_yet(flat):
    X, y = flat
    names = np.array([f"digit {i}" for i in range(10)])[y]
    options = {"n_initial": 4, "n_instances": 5, "n_rounds": 1, "random_state": 0}
    experiment = ActiveLearningExperiment(LR, **options).fit(X, names)
    assert len(experiment.estimator_.classes_) < 10
    proba = experiment.predict_proba(X[:20])
    assert proba.shape == (20, 10)
    assert np.allclose(proba.sum(axis=1), 1)
    assert set(experiment.predict(X)) <= set(experiment.classes_)
    assert "accuracy_digit 3" in experiment.history_
    assert np.isfinite(experiment.history_["nll"]).all()


@pytest.mark.parametrize(
    ("estimator", "training"),
    [
        (LogisticRegression(max_iter=200), "fine_tune"),
        (SGDClassifier(loss="log_loss"), "fine_tune"),
        (SGDClassifier(loss="log_loss"), "incremental"),
        (GaussianNB(var_smoothing=0.1), "incremental"),
        (make_pipeline(MinMaxScaler(), SGDClassifier(loss="log_loss")), "fine_tune"),
    ],
)
def test_training_that_goes_on(flat, estimator, training):
    X, y = flat
    experiment = ActiveLearningExperiment(
        estimator, "random", n_rounds=4, training=training, random_state=0
    )
    experiment.fit(X, y)
    assert (
        experiment.history_["accuracy"].iloc[-1]
        > experiment.history_["accuracy"].iloc[0]
    )
    assert estimator.get_params().get("warm_start", False) is False


def test_training_that_cannot_go_on_says_so(flat):
    with pytest.raises(ValueError, match="GaussianNB has no warm_start"):
        ActiveLearningExperiment(GaussianNB(), training="fine_tune").fit(*flat)


def test_without_probabilities_only_the_classes_are_measured(flat):
    experiment = ActiveLearningExperiment(LinearSVC(), n_rounds=1, random_state=0).fit(
        *flat
    )
    assert experiment.history_["nll"].isna().all()
    assert experiment.history_["accuracy"].gt(0.5).all()
    assert not hasattr(experiment, "predict_proba")


def test_scoring_is_a_column_and_the_score(flat):
    X, y = flat
    experiment = ActiveLearningExperiment(
        LR, n_rounds=1, scoring="roc_auc_ovr", random_state=0
    )
    experiment.fit(X, y, X[:300], y[:300])
    measured = experiment.history_["roc_auc_ovr"].iloc[-1]
    assert measured == pytest.approx(experiment.score(X[:300], y[:300]))
    assert measured > experiment.history_["accuracy"].iloc[-1]


def test_last_step_of_a_pipeline(flat):
    X, y = flat
    X = X * 255
    with sklearn.config_context(enable_metadata_routing=True):
        experiment = ActiveLearningExperiment(LR, "margin", n_rounds=2, random_state=0)
        experiment.set_fit_request(X_test=True, y_test=True)
        pipeline = Pipeline(
            [("scale", MinMaxScaler()), ("learn", experiment)],
            transform_input=["X_test"],
        )
        pipeline.fit(X[:1200], y[:1200], X_test=X[1200:], y_test=y[1200:])
    inside = pipeline[-1]
    assert len(inside.test_indices_) == 0
    # The test set has gone through the scaler: what the last round measured is what the
    # pipeline scores.
    assert inside.history_["accuracy"].iloc[-1] == pipeline.score(X[1200:], y[1200:])
    plain = Pipeline([("scale", MinMaxScaler()), ("learn", clone(experiment))]).fit(
        X, y
    )
    assert is_classifier(plain)
    assert len(plain[-1].test_indices_) > 0


def test_grid_search_over_strategies_and_the_estimators_parameters(flat):
    X, y = flat
    search = GridSearchCV(
        ActiveLearningExperiment(
            make_pipeline(MinMaxScaler(), LR), n_rounds=2, random_state=0
        ),
        {
            "query_strategy": ["random_sampling", margin],
            "estimator__logisticregression__C": [0.1, 10],
        },
        cv=2,
    ).fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_score_ > 0.8
    assert (
        cross_val_score(
            ActiveLearningExperiment(LR, n_rounds=1, random_state=0), X, y, cv=2
        ).min()
        > 0.7
    )


def test_any_kind_of_x(flat, tmp_path):
    X, y = flat
    options = {"n_rounds": 2, "random_state": 0}

    class Flat(LogisticRegression):
        """Takes whatever rows there are."""

        def fit(self, X, y):
            return super().fit(np.asarray(X, dtype=float).reshape(len(X), -1), y)

        def predict_proba(self, X):
            return super().predict_proba(np.asarray(X, dtype=float).reshape(len(X), -1))

        def predict(self, X):
            return super().predict(np.asarray(X, dtype=float).reshape(len(X), -1))

    reference = ActiveLearningExperiment(LR, "margin", **options).fit(X, y)
    frame = pd.DataFrame(
        X, columns=[f"p{i}" for i in range(64)], index=np.arange(len(X))[::-1]
    )
    path = tmp_path / "X.npy"
    np.save(path, X)
    kinds = {
        "sparse": (LR, sp.csr_array(X)),
        "frame": (LR, frame),
        "memmap": (LR, np.load(path, mmap_mode="r")),
        "lists": (LR, X.tolist()),
        "images": (Flat(max_iter=2000), X.reshape(-1, 8, 8)),
        "bands": (Flat(max_iter=2000), X.reshape(-1, 1, 8, 8)),
        "tensor": (Flat(max_iter=2000), torch.as_tensor(X)),
    }
    for kind, (estimator, rows) in kinds.items():
        other = ActiveLearningExperiment(estimator, "margin", **options).fit(rows, y)
        assert np.array_equal(other.labelled_indices_, reference.labelled_indices_), (
            kind
        )
        assert other.history_["accuracy"].equals(reference.history_["accuracy"]), kind
    assert (
        ActiveLearningExperiment(LR, **options).fit(frame, y).feature_names_in_[0]
        == "p0"
    )


@pytest.mark.parametrize(
    ("options", "data", "says"),
    [
        (
            {"query_strategy": "margn"},
            {},
            "Unknown strategy 'margn'.*Did you mean 'margin'.*badge",
        ),
        ({"n_initial": 5000}, {}, "n_initial=5000 is more than the"),
        ({"n_initial": 0}, {}, "n_initial"),
        ({"n_instances": -1}, {}, "n_instances"),
        ({"training": "sometimes"}, {}, "'training' parameter .* must be a str among"),
        ({"scoring": "nonsense"}, {}, "scoring"),
        (
            {},
            {"y": 3},
            "X and y must have the same length, got 1797 images and 3 labels",
        ),
        ({}, {"X": 0}, "minimum of 1 is required|X is empty"),
        ({}, {"X_test": 5}, "y_test is missing"),
        ({}, {"X_test": 5, "y_test": 4}, "X_test and y_test must have the same length"),
        (
            {},
            {"X_test": 5, "y_test": "new"},
            "y_test holds classes that y does not: \\[99\\]",
        ),
        ({"test_size": 1797}, {}, "leaves none to learn from"),
    ],
)
def test_bad_input_gets_one_clear_sentence(flat, options, data, says):
    X, y = flat
    given = {"X": X[: data.get("X")], "y": y[: data.get("y", data.get("X"))]}
    if "X_test" in data:
        given["X_test"] = X[: data["X_test"]]
    if "y_test" in data:
        new = data["y_test"] == "new"
        given["y_test"] = np.full(5, 99) if new else y[: data["y_test"]]
    with pytest.raises(ValueError, match=says):
        ActiveLearningExperiment(LR, **options).fit(**given)


def test_nan_pixels_and_an_unfitted_experiment(flat):
    X, y = flat
    broken = X.copy()
    broken[-1, 3] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        ActiveLearningExperiment(LR).fit(broken, y)
    with pytest.raises(NotFittedError):
        ActiveLearningExperiment(LR).predict(X)
    with pytest.raises(NotFittedError):
        ActiveLearningExperiment(LR).score(X, y)
