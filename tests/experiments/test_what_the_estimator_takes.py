"""What an estimator accepts, experiments and queries accept: missing values, texts,
weights, groups, probabilities of any kind."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from al_sklearn import (
    ActiveLearner,
    ActiveLearningExperiment,
    Committee,
    StrategyComparison,
)
from al_sklearn.inference import predict_proba, takes_nan, takes_sparse
from al_sklearn.strategies import coreset, margin, random_sampling

X, Y = load_digits(return_X_y=True)
X, Y = X[:240], Y[:240]
MISSING = X.copy()
MISSING[::7, 3] = np.nan
BAYES = GaussianNB(var_smoothing=0.1)
TREES = HistGradientBoostingClassifier(max_iter=2)
RUN = {"n_initial": 40, "n_instances": 5, "n_rounds": 1, "random_state": 0}


def run(estimator, X=X, y=Y, strategy="margin", **options):
    return ActiveLearningExperiment(estimator, strategy, **RUN).fit(X, y, **options)


IMPUTING = {
    "pipeline": make_pipeline(SimpleImputer(), BAYES),
    "passes first": make_pipeline("passthrough", SimpleImputer(), BAYES),
    "columns": make_pipeline(
        make_column_transformer((SimpleImputer(), [3]), remainder="passthrough"), BAYES
    ),
    "scaled": make_pipeline(StandardScaler(), SimpleImputer(), BAYES),
    "function": make_pipeline(FunctionTransformer(np.nan_to_num), BAYES),
    "calibration": CalibratedClassifierCV(make_pipeline(SimpleImputer(), BAYES), cv=2),
    "search": GridSearchCV(TREES, {"max_iter": [1]}, cv=2),
}


@pytest.mark.parametrize("name", IMPUTING)
def test_missing_values_where_something_inside_takes_them(name):
    estimator = IMPUTING[name]
    assert takes_nan(estimator)
    assert len(run(estimator, MISSING).history_) == 2


def test_queries_leave_missing_values_to_the_classifier():
    for estimator in (IMPUTING["pipeline"], TREES, RandomForestClassifier(3)):
        learner = ActiveLearner(
            estimator,
            X_training=MISSING[:60],
            y_training=Y[:60],
            force_all_finite=False,
        )
        for strategy in (margin, random_sampling):
            assert len(strategy(learner, MISSING[60:], 3)[0]) == 3
            assert len(strategy(learner.estimator, MISSING[60:], 3)[0]) == 3


def test_missing_values_that_nobody_takes_are_refused():
    scaled = make_pipeline(StandardScaler(), BAYES)
    # Its first step takes them and hands them on to the last, which does not.
    assert not takes_nan(scaled)
    with pytest.raises(ValueError, match="NaN"):
        run(scaled, MISSING)
    with pytest.raises(ValueError, match="NaN"):
        run(BAYES, MISSING)
    fitted = GaussianNB().fit(X, Y)
    with pytest.raises(ValueError, match="X contains NaN, first in row 0"):
        random_sampling(fitted, MISSING, 3)
    # Where the rows are the features themselves, they have no distances.
    trees = HistGradientBoostingClassifier(max_iter=1).fit(MISSING, Y)
    with pytest.raises(ValueError, match="embeddings contain NaN"):
        coreset(trees, MISSING, 3)
    assert not takes_nan(None)


def test_sparse_rows_where_the_first_step_takes_them():
    dense = make_pipeline(FunctionTransformer(lambda X: X.toarray()), BAYES)
    assert takes_sparse(dense) and not takes_sparse(BAYES)
    for kind in (sp.csr_matrix, sp.csr_array, sp.dok_matrix):
        learner = ActiveLearner(
            LogisticRegression(max_iter=50),
            X_training=kind(X[:60]),
            y_training=Y[:60],
        )
        assert learner.teach(kind(X[60:70]), Y[60:70]).X_training.shape == (70, 64)
    assert len(run(dense, sp.csr_matrix(X)).history_) == 2


def texts():
    words = np.array([f"word{i % 7} {'good' if i % 2 else 'bad'}" for i in range(100)])
    return words, np.arange(100) % 2


TEXT_KINDS = {
    "fixed width": lambda words: words,
    "objects": lambda words: words.astype(object),
    "list": lambda words: words.tolist(),
    "numpy's strings": lambda words: words.astype(np.dtypes.StringDType()),
    "pandas' strings": lambda words: pd.array(words, dtype="string"),
    "series": pd.Series,
}


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_texts_of_any_kind(kind):
    words, labels = texts()
    model = make_pipeline(TfidfVectorizer(), LogisticRegression())
    assert len(run(model, TEXT_KINDS[kind](words), labels).history_) == 2


def test_dicts_and_tables_of_text():
    words, labels = texts()
    dicts = [{"word": word, "n": 1.0} for word in words]
    model = make_pipeline(DictVectorizer(), LogisticRegression())
    assert len(run(model, dicts, labels).history_) == 2
    encoded = make_pipeline(
        OneHotEncoder(handle_unknown="ignore"), LogisticRegression()
    )
    for table in (words[:, None], words[:, None].astype(object)):
        assert len(run(encoded, table, labels).history_) == 2


def test_weights_go_with_their_rows():
    weights = np.linspace(0.1, 9, len(Y))
    seen = []

    class Weighed(GaussianNB):
        def fit(self, X, y, sample_weight=None):
            seen.append((X, sample_weight))
            return super().fit(X, y, sample_weight)

    ran = run(Weighed(var_smoothing=0.1), sample_weight=weights)
    for rows, given in seen:
        positions = [int((row == X).all(axis=1).argmax()) for row in rows]
        assert np.array_equal(given, weights[positions])
    expected = GaussianNB(var_smoothing=0.1).fit(
        X[ran.labelled_indices_],
        Y[ran.labelled_indices_],
        weights[ran.labelled_indices_],
    )
    assert np.array_equal(ran.predict_proba(X), expected.predict_proba(X))
    with pytest.raises(ValueError, match="sample_weight must have one value for each"):
        run(BAYES, sample_weight=weights[:-1])


def test_groups_and_routed_metadata():
    groups = np.arange(len(Y)) % 4
    search = GridSearchCV(BAYES, {"var_smoothing": [0.1]}, cv=GroupKFold(2))
    assert len(run(search, groups=groups).history_) == 2
    with pytest.raises(ValueError, match="groups"):
        run(search)
    with sklearn.config_context(enable_metadata_routing=True):
        asked = GaussianNB(var_smoothing=0.1).set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaler, asked)
        weighed = run(pipeline, sample_weight=np.linspace(0.1, 9, len(Y)))
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError):
            run(GaussianNB(), sample_weight=np.ones(len(Y)))
    assert not np.array_equal(
        weighed.predict_proba(X),
        run(make_pipeline(StandardScaler(), BAYES)).predict_proba(X),
    )


def test_a_learner_keeps_groups_with_their_rows():
    search = GridSearchCV(BAYES, {"var_smoothing": [0.1]}, cv=GroupKFold(2))
    groups = np.arange(60) % 4
    learner = ActiveLearner(
        search, "margin", X_training=X[:60], y_training=Y[:60], groups=groups
    )
    learner.teach(X[60:70], Y[60:70], groups=np.arange(10) % 4)
    assert np.array_equal(learner._weights["groups"][:60], groups)
    with pytest.raises(ValueError, match="groups must be given with all rows or with"):
        learner.teach(X[70:80], Y[70:80])


@pytest.mark.filterwarnings("ignore:2 seeds cannot tell")
def test_a_store_knows_other_weights(tmp_path):
    def compare(**given):
        return StrategyComparison(
            GaussianNB(var_smoothing=0.1),
            [],
            n_seeds=2,
            verbose=0,
            store=tmp_path / "run",
            **{**RUN, "n_rounds": 0},
        ).fit(X, Y, **given)

    weights = np.linspace(0.1, 9, len(Y))
    first = compare(sample_weight=weights)
    again = first.retrain(X, Y, n_repeats=1, sample_weight=weights)
    accuracies = first.results_["accuracy"]
    assert np.array_equal(again["accuracy"].unique(), accuracies.unique())
    for other in ({}, {"sample_weight": np.ones(len(Y))}):
        with pytest.raises(ValueError, match="sample_weight"):
            compare(**other)


class Gives(ClassifierMixin, BaseEstimator):
    """Probabilities of another kind than an array."""

    def __init__(self, kind=np.asarray):
        self.kind = kind

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.model_ = GaussianNB(var_smoothing=0.1).fit(X, y)
        return self

    def predict(self, X):
        return self.model_.predict(X)

    def predict_proba(self, X):
        return self.kind(self.model_.predict_proba(X))


@pytest.mark.parametrize(
    "kind", [pd.DataFrame, np.ndarray.tolist, sp.csr_matrix], ids=lambda kind: str(kind)
)
def test_probabilities_of_any_kind(kind):
    plain, other = Gives().fit(X[:60], Y[:60]), Gives(kind).fit(X[:60], Y[:60])
    expected = plain.predict_proba(X)
    assert np.array_equal(predict_proba(other, X), expected)
    learner = ActiveLearner(other)
    assert np.array_equal(learner.predict_proba(X), expected)
    committee = Committee([ActiveLearner(Gives(kind)) for _ in range(2)])
    committee.teach(X[:60], Y[:60])
    np.testing.assert_allclose(committee.predict_proba(X), expected, atol=1e-15)
    ran, same = run(Gives(kind)), run(Gives())
    assert ran.history_["nll"].tolist() == same.history_["nll"].tolist()
    assert np.array_equal(ran.predict_proba(X), same.predict_proba(X))


def test_rows_that_do_not_quite_sum_to_one():
    def off(by):
        return lambda proba: (proba * (1 + by)).astype(np.float32)

    close = Gives(off(5e-3)).fit(X[:60], Y[:60])
    with pytest.warns(UserWarning, match="do not quite sum to 1"):
        proba = predict_proba(close, X)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)
    with pytest.raises(ValueError, match="do not sum to 1") as error:
        predict_proba(Gives(off(0.05)).fit(X[:60], Y[:60]), X)
    assert "network" not in str(error.value)
