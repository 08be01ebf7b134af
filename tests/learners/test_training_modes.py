"""A training mode's word means one thing, in learners and in experiments."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from al_sklearn import ActiveLearner, ImageClassifier
from al_sklearn._core.random import seeded_clone
from al_sklearn.experiments import ActiveLearningExperiment
from al_sklearn.learners.training import TRAINING
from al_sklearn.loop import Streams

X, Y = load_digits(return_X_y=True)
X, Y = X[:300] / 16, Y[:300]
SGD = SGDClassifier(loss="log_loss")
# For warm starts on a batch alone: every batch has all classes.
FEW = np.isin(Y, [0, 1])


def weights(model):
    last = model[-1] if hasattr(model, "steps") else model
    if hasattr(last, "coef_"):
        return np.concatenate([last.coef_.ravel(), last.intercept_])
    state = last.module_.state_dict()
    return np.concatenate([part.double().numpy().ravel() for part in state.values()])


def experiment(estimator, rows, labels, training):
    made = ActiveLearningExperiment(
        estimator,
        n_initial=20,
        n_instances=20,
        n_rounds=3,
        training=training,
        random_state=0,
    )
    return made.fit(rows, labels)


@pytest.mark.parametrize("training", TRAINING)
@pytest.mark.parametrize(
    "case", ["sgd", "pipeline", "logistic", pytest.param("net", marks=pytest.mark.slow)]
)
@pytest.mark.filterwarnings("ignore:training='only_new'")
def test_a_learner_and_an_experiment_give_the_same_model(case, training):
    estimator, rows, labels = {
        "sgd": (SGD, X, Y),
        "pipeline": (make_pipeline(StandardScaler(), SGD), X, Y),
        "logistic": (LogisticRegression(max_iter=20, tol=1e-3), X[FEW], Y[FEW]),
        "net": (
            ImageClassifier("small_cnn", max_epochs=1, classes=list(range(10))),
            X.reshape(-1, 8, 8).astype(np.float32),
            Y,
        ),
    }[case]
    ran = experiment(clone(estimator), rows, labels, training)
    streams = Streams(0)

    def fresh(number):
        return seeded_clone(estimator, streams.integer("weights", number))

    learner = ActiveLearner(fresh(0))
    for number, batch in enumerate(ran.queries_):
        if training == "from_scratch":
            # The weights of each round are its own.
            learner.estimator = fresh(number)
        begins = number == 0 and training == "incremental" and case != "logistic"
        options = {"classes": np.unique(labels)} if begins else {}
        learner.teach(rows[batch], labels[batch], training=training, **options)
    np.testing.assert_array_equal(weights(learner.estimator), weights(ran.estimator_))


def test_only_new_forgets_and_says_so():
    with pytest.warns(UserWarning, match="to go on .* training='incremental'"):
        ran = experiment(SGD, X, Y, "only_new")
    alone = ran.queries_[-1]
    assert set(ran.estimator_.classes_) == set(Y[alone])
    assert ran.estimator_.t_ == 1 + len(alone) * ran.estimator_.n_iter_
    assert ran.history_["n_labelled"].tolist() == [20, 40, 60, 80]


def test_incremental_goes_on_from_the_round_before():
    ran = experiment(SGD, X, Y, "incremental")
    assert ran.estimator_.t_ == 1 + 80
    assert len(ran.estimator_.classes_) == 10


def test_incremental_by_warm_start_where_there_is_no_partial_fit():
    few = X[FEW], Y[FEW]
    model = LogisticRegression(max_iter=3)
    with pytest.warns(UserWarning, match="failed to converge|lbfgs"):
        learner = ActiveLearner(model, "margin", few[0][:20], few[1][:20])
        before = model.coef_.copy()
        learner.teach(few[0][20:40], few[1][20:40], training="incremental")
        again = clone(model).fit(few[0][20:40], few[1][20:40])
    assert not np.array_equal(model.coef_, before)
    assert not np.array_equal(model.coef_, again.coef_)
    assert model.warm_start is False


def test_incremental_weighs_new_rows_in_a_pipeline():
    plain, heavy = (
        ActiveLearner(make_pipeline(StandardScaler(), clone(SGD))) for _ in range(2)
    )
    for learner in (plain, heavy):
        learner.estimator.set_params(sgdclassifier__random_state=0)
        learner.teach(X[:50], Y[:50], training="incremental")
    plain.teach(X[50:60], Y[50:60], training="incremental")
    heavy.teach(
        X[50:60],
        Y[50:60],
        training="incremental",
        sgdclassifier__sample_weight=np.full(10, 5.0),
    )
    assert not np.array_equal(weights(plain.estimator), weights(heavy.estimator))


def test_what_cannot_go_on_says_so():
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.neighbors import KNeighborsClassifier

    for model, match in (
        (KNeighborsClassifier(1), "KNeighborsClassifier has no warm_start"),
        (RandomForestClassifier(2), "only adds members"),
    ):
        learner = ActiveLearner(model, X_training=X[:50], y_training=Y[:50])
        for training in ("fine_tune", "incremental"):
            with pytest.raises(ValueError, match=match):
                learner.teach(X[50:60], Y[50:60], training=training)
            with pytest.raises(ValueError, match=match):
                experiment(clone(model), X, Y, training)
        assert len(learner.X_training) == 50


def test_unknown_words_name_those_there_are():
    with pytest.raises(ValueError, match="incremental"):
        ActiveLearner(SGD).teach(X, Y, training="increment")
    with pytest.raises(ValueError, match="incremental"):
        experiment(SGD, X, Y, "increment")
