"""Experiments on what is neither an array nor image files, and names and functions that
could be mistaken."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from al_sklearn.experiments import ActiveLearningExperiment, StrategyComparison
from al_sklearn.rows._fingerprint import describe

OPTIONS = {"n_initial": 15, "n_instances": 5, "n_rounds": 2, "random_state": 0}


def compare(estimator, strategies, X, y, **options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "1 seed")
        return StrategyComparison(
            estimator, strategies, n_seeds=1, verbose=0, **{**OPTIONS, **options}
        ).fit(X, y)


@pytest.fixture(scope="module")
def some(digits):
    X, y = digits
    return X[:200].reshape(200, -1) / 255, y[:200]


@pytest.fixture(scope="module")
def frame():
    iris = load_iris(as_frame=True)
    X = iris.data.set_axis([f"row {i}" for i in range(150)])
    X["kind"] = np.where(X.iloc[:, 0] > 5.5, "big", "small")
    return X, iris.target_names[iris.target]


def test_frames_keep_their_columns(frame):
    X, y = frame
    by_name = make_column_transformer(
        (StandardScaler(), list(X.columns[:4])), (OneHotEncoder(), ["kind"])
    )
    pipe = make_pipeline(by_name, LogisticRegression())
    experiment = ActiveLearningExperiment(pipe, "margin", **OPTIONS)
    assert (
        experiment.fit(X[::2], y[::2], X[1::2], y[1::2]).history_["accuracy"].iloc[-1]
        > 0.6
    )
    assert compare(pipe, ["margin"], X, y).results_["accuracy"].max() > 0.6


class Read(TransformerMixin, BaseEstimator):
    """Paths of .npy files to rows."""

    def fit(self, X, y=None):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def transform(self, X):
        return np.stack([np.load(path).ravel() for path in X])


def test_files_that_are_no_pictures_leave_out_the_thumbnails(some, tmp_path):
    X, y = some
    paths = []
    for i, row in enumerate(X[:120]):
        paths.append(str(tmp_path / f"{i}.npy"))
        np.save(paths[-1], row)
    pipe = make_pipeline(Read(), LogisticRegression(max_iter=300))
    comparison = compare(pipe, ["margin"], paths, y[:120])
    assert not comparison.thumbnails_ and len(comparison.results_) == 6
    assert comparison.report(tmp_path / "report.html").exists()
    of_series = compare(pipe, ["margin"], pd.Series(paths), y[:120])
    assert of_series.results_["accuracy"].equals(comparison.results_["accuracy"])


@pytest.mark.parametrize(
    "kind", [sp.csr_matrix, sp.csr_array, pd.DataFrame, np.asarray]
)
def test_an_estimator_without_probabilities_on_any_kind(some, kind):
    X, y = some
    X = (
        pd.DataFrame(X, columns=[f"p{i}" for i in range(64)])
        if kind is pd.DataFrame
        else kind(X)
    )
    history = ActiveLearningExperiment(LinearSVC(), **OPTIONS).fit(X, y).history_
    assert history["accuracy"].iloc[-1] > 0.3 and history["nll"].isna().all()


@pytest.mark.parametrize("scoring", ["neg_log_loss", "roc_auc_ovr", "top_k_accuracy"])
def test_score_knows_classes_that_the_model_has_not_met(some, scoring):
    X, y = some
    options = {**OPTIONS, "n_initial": 6, "n_instances": 1, "n_rounds": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        experiment = ActiveLearningExperiment(
            LogisticRegression(), "margin", scoring=scoring, **options
        ).fit(X, y)
        assert len(experiment.estimator_.classes_) < 10
        assert np.isfinite(experiment.score(X, y))


def test_the_store_keeps_the_name_first_to_itself(some):
    with pytest.raises(ValueError, match="first"):
        compare(LogisticRegression(), {"first": "margin"}, *some)


def make_strategy(start):
    def strategy(classifier, X, n_instances=1):
        return np.arange(start, start + n_instances)

    return strategy


def test_another_function_of_the_same_source_is_another_strategy(some, tmp_path):
    compare(
        LogisticRegression(max_iter=500),
        {"mine": make_strategy(0)},
        *some,
        store=tmp_path / "run",
    )
    with pytest.raises(ValueError, match=r"start was 0, is 50"):
        compare(
            LogisticRegression(max_iter=500),
            {"mine": make_strategy(50)},
            *some,
            store=tmp_path / "run",
        )
    one, two = (lambda c, X, n=1, k=k: np.arange(k) for k in (1, 2))
    assert describe(one) != describe(two)
    assert describe(lambda n: [i + 1 for i in range(n)]) != describe(
        lambda n: [i + 2 for i in range(n)]
    )


def test_a_required_random_state_is_given(some):
    seen = []

    def strategy(classifier, X, n_instances, random_state):
        seen.append(random_state)
        return np.random.default_rng(random_state).choice(
            len(X), n_instances, replace=False
        )

    compare(LogisticRegression(max_iter=500), {"mine": strategy}, *some)
    assert (
        all(isinstance(seed, int) for seed in seen) and len(set(seen)) == len(seen) == 2
    )
