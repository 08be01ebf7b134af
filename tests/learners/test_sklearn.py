"""scikit-learn's conventions: parameters, clone, repr, pickle, tags, routing, model
selection, pandas."""

import pickle

import modAL.models
import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted

from al_sklearn.learners import ActiveLearner, Committee, CommitteeRegressor
from al_sklearn.strategies import margin

X, Y = load_iris(return_X_y=True)


def active():
    return ActiveLearner(
        LogisticRegression(max_iter=500), query_strategy=margin, random_state=3
    )


def committee():
    return Committee(
        [ActiveLearner(LogisticRegression(max_iter=500)), ActiveLearner(GaussianNB())],
        random_state=3,
    )


both = pytest.mark.parametrize("make", [active, committee])


def test_learners_are_modals():
    assert isinstance(active(), modAL.models.ActiveLearner)
    assert isinstance(committee(), modAL.models.Committee)
    assert isinstance(
        CommitteeRegressor([ActiveLearner(LinearRegression())]),
        modAL.models.CommitteeRegressor,
    )


# What modAL's contract asks for and scikit-learn's forbids.
KNOWN = {
    "check_estimators_overwrite_params": "the estimator given is the one that is "
    "fitted, as in modAL",
    "check_dont_overwrite_parameters": "X_training and y_training are public, "
    "as in modAL",
    "check_do_not_raise_errors_in_init_or_set_params": "the constructor fits, "
    "so it checks",
    "check_classifier_data_not_an_array": "rows need a length",
}


@both
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_checks(make):
    results = check_estimator(
        make(), on_fail=None, on_skip=None, expected_failed_checks=KNOWN
    )
    assert [result for result in results if result["status"] == "failed"] == []
    assert len([result for result in results if result["status"] == "passed"]) > 45


@both
def test_clone_is_an_unfitted_learner_without_labels(make):
    learner = make().fit(X, Y)
    copy = clone(learner)
    assert type(copy) is type(learner)
    assert copy.X_training is None
    assert copy.random_state == 3
    assert copy.query_strategy is learner.query_strategy
    with pytest.raises(NotFittedError):
        check_is_fitted(copy)
    check_is_fitted(learner)
    assert copy.fit(X, Y).score(X, Y) == learner.score(X, Y)


def test_parameters_are_everything_but_data():
    learner = ActiveLearner(
        LogisticRegression(max_iter=500),
        X_training=X,
        y_training=Y,
        on_transformed=True,
    )
    assert sorted(learner.get_params(deep=False)) == [
        "bootstrap_init", "estimator", "force_all_finite", "on_transformed",
        "query_strategy", "random_state",
    ]  # fmt: skip
    assert learner.get_params()["estimator__C"] == 1.0
    learner.set_params(estimator__C=2.0, query_strategy="entropy")
    assert learner.estimator.C == 2.0
    with pytest.raises(ValueError, match="Invalid parameter"):
        learner.set_params(X_training=X)


def test_parameters_of_members():
    group = committee()
    assert group.get_params()["learner_0__estimator__C"] == 1.0
    group.set_params(learner_0__estimator__C=2.0, n_jobs=1)
    assert group.learner_list[0].estimator.C == 2.0
    replaced = ActiveLearner(LinearSVC())
    members = group.learner_list
    group.set_params(learner_1=replaced, learner_1__estimator__C=3.0)
    assert group.learner_list[1] is replaced
    assert replaced.estimator.C == 3.0
    assert members[1] is not replaced
    with pytest.raises(ValueError, match="Invalid parameter"):
        group.set_params(learner_7=replaced)


@both
def test_repr_and_html(make):
    learner = make().fit(X, Y)
    assert "LogisticRegression(max_iter=500)" in repr(learner)
    assert "X_training" not in repr(learner)
    assert "<div" in learner._repr_html_()
    assert type(learner).__name__ in learner._repr_html_()


@both
def test_pickle(make):
    learner = make().fit(X, Y)
    copy = pickle.loads(pickle.dumps(learner))
    assert np.array_equal(copy.predict_proba(X), learner.predict_proba(X))
    assert np.array_equal(
        copy.query(X, n_instances=3)[0], learner.query(X, n_instances=3)[0]
    )
    assert len(copy.teach(X[:5], Y[:5]).X_training) == 155


@both
def test_tags_and_fitted_attributes(make):
    learner = make()
    assert is_classifier(learner)
    assert not hasattr(learner, "classes_")
    with pytest.raises(NotFittedError):
        learner.classes_
    names = np.array(load_iris().target_names)[Y]
    learner.fit(X, names)
    assert learner.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert learner.n_features_in_ == 4
    assert set(learner.predict(X)) <= set(names)
    assert learner.score(X, names) > 0.9


def test_regressors_are_regressors():
    X, y = load_diabetes(return_X_y=True)
    learner = ActiveLearner(LinearRegression(), query_strategy="random")
    assert is_regressor(learner)
    assert is_regressor(CommitteeRegressor([learner]))
    assert cross_val_score(CommitteeRegressor([learner]), X, y, cv=3).mean() > 0.4


def test_methods_exist_only_where_the_estimator_has_them():
    learner = ActiveLearner(LinearSVC())
    assert not hasattr(learner, "predict_proba")
    assert hasattr(learner, "decision_function")
    assert not hasattr(ActiveLearner(GaussianNB()), "decision_function")
    with pytest.raises(AttributeError):
        learner.fit(X, Y).predict_proba(X)


@both
def test_cross_val_score_and_pipeline(make):
    expected = 0.9
    assert cross_val_score(make(), X, Y, cv=3).mean() > expected
    assert cross_val_score(make(), X, Y, cv=3, scoring="neg_log_loss").mean() > -0.5
    assert make_pipeline(StandardScaler(), make()).fit(X, Y).score(X, Y) > expected


@both
def test_grid_search(make):
    name = "estimator__C" if make is active else "learner_0__estimator__C"
    search = GridSearchCV(make(), {name: [1e-4, 1.0]}, cv=3).fit(X, Y)
    assert search.best_params_[name] == 1.0


def test_a_pipeline_inside():
    learner = ActiveLearner(
        make_pipeline(StandardScaler(), LogisticRegression()),
        X_training=X[::5],
        y_training=Y[::5],
    )
    indices, rows = learner.query(X, n_instances=3)
    learner.teach(rows, Y[indices])
    assert learner.n_features_in_ == 4
    scaled = learner.transform_without_estimating(X)
    assert np.allclose(scaled, learner.estimator[0].transform(X))


@both
def test_sample_weight_is_routed(make):
    weight = np.where(Y == 2, 0.0, 1.0)
    with config_context(enable_metadata_routing=True):
        # A class without weight is one that naive Bayes warns of.
        learner = (
            make()
            if make is active
            else make().set_params(learner_1__estimator=LogisticRegression(max_iter=99))
        )
        estimators = (
            [learner.estimator] if make is active else [m.estimator for m in learner]
        )
        for estimator in estimators:
            estimator.set_fit_request(sample_weight=True).set_score_request(
                sample_weight=True
            )
        if make is committee:
            learner.set_score_request(sample_weight=True)
        scores = cross_val_score(learner, X, Y, params={"sample_weight": weight}, cv=3)
        assert scores.mean() > 0.99
        learner.fit(X, Y, sample_weight=weight)
        learner.teach(X[:3], Y[:3], sample_weight=weight[:3])
        estimators[0].set_fit_request(sample_weight=None)
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            # Neither asked for nor refused.
            learner.fit(X, Y, sample_weight=weight)
    # Class 2 had no weight: nothing is predicted to be of it.
    assert np.sum(learner.predict(X) == 2) == 0


def test_pandas_in_and_pandas_out():
    frame, y = load_iris(return_X_y=True, as_frame=True)
    # An index that contradicts the positions, as after any filtering or shuffling.
    order = np.random.default_rng(0).permutation(150)
    frame, y = frame.iloc[order], y.iloc[order]
    learner = ActiveLearner(
        LogisticRegression(max_iter=500), X_training=frame[:30], y_training=y[:30]
    )
    pool, labels = frame[30:], y[30:]
    indices, rows = learner.query(pool, n_instances=4)
    assert isinstance(rows, pd.DataFrame)
    assert rows.index.tolist() == pool.index[indices].tolist()
    learner.teach(rows, labels.loc[rows.index])
    assert isinstance(learner.X_training, pd.DataFrame)
    assert learner.X_training.index.tolist() == [*frame.index[:30], *rows.index]
    assert learner.y_training.index.equals(learner.X_training.index)
    assert learner.feature_names_in_.tolist() == frame.columns.tolist()
    learner.teach(rows, labels.loc[rows.index].to_numpy())
    learner.teach(pd.DataFrame(rows), labels.loc[rows.index].tolist())
    assert learner.y_training.name == "target"
    assert not learner.X_training.isna().any(axis=None)


def test_set_output_stays_what_it_was():
    frame, y = load_iris(return_X_y=True, as_frame=True)
    pipeline = make_pipeline(
        StandardScaler().set_output(transform="pandas"), LogisticRegression()
    )
    learner = ActiveLearner(pipeline, X_training=frame, y_training=y)
    assert isinstance(learner.transform_without_estimating(frame), pd.DataFrame)
    group = Committee([learner, ActiveLearner(clone(pipeline)).fit(frame, y)])
    assert group.transform_without_estimating(frame).shape == (150, 8)
    assert isinstance(group.transform_without_estimating(frame), pd.DataFrame)
