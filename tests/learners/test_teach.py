"""fit, teach, refit, relabel, forget: which rows the estimator sees, and what is
stored."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from al_sklearn import ImageClassifier
from al_sklearn.learners import ActiveLearner, Committee


class Recorder(ClassifierMixin, BaseEstimator):
    """Remembers what it was fitted on."""

    def __init__(self, warm_start=False):
        self.warm_start = warm_start

    def fit(self, X, y, sample_weight=None, epochs=None):
        self.calls_ = [
            *getattr(self, "calls_", []),
            (X, y, sample_weight, epochs, self.warm_start),
        ]
        self.classes_ = np.unique(y)
        return self


X = np.arange(40.0).reshape(20, 2)
Y = np.tile([0, 1], 10)


@pytest.fixture
def learner():
    return ActiveLearner(Recorder(), X_training=X[:4], y_training=Y[:4])


def last(learner):
    return learner.estimator.calls_[-1]


def test_teach_adds_and_fits_everything(learner):
    assert learner.teach(X[4:6], Y[4:6]) is learner
    assert np.array_equal(last(learner)[0], X[:6])
    assert np.array_equal(learner.X_training, X[:6])
    assert np.array_equal(learner.y_training, Y[:6])
    assert len(learner.estimator.calls_) == 2


def test_fit_forgets_and_stores_without_a_copy(learner):
    learner.fit(X, Y)
    assert learner.X_training is X
    assert learner.y_training is Y
    assert last(learner)[0] is X


def test_the_first_teach_of_an_empty_learner():
    learner = ActiveLearner(Recorder()).teach(X, Y)
    assert learner.X_training is X
    assert last(learner)[0] is X


@pytest.mark.parametrize("how", [{"only_new": True}, {"training": "only_new"}])
@pytest.mark.parametrize("store", [True, False])
def test_only_new_with_and_without_storing(learner, how, store):
    learner.teach(X[4:6], Y[4:6], store=store, **how)
    assert np.array_equal(last(learner)[0], X[4:6])
    assert len(learner.X_training) == (6 if store else 4)


def test_training_from_scratch_and_fine_tune_set_warm_start_for_one_fit():
    learner = ActiveLearner(
        make_pipeline(StandardScaler(), Recorder(warm_start=True)),
        X_training=X,
        y_training=Y,
    )
    for training, warm in [("from_scratch", False), ("fine_tune", True), (None, True)]:
        learner.teach(X[:2], Y[:2], training=training)
        assert learner.estimator[-1].calls_[-1][4] is warm
        assert learner.estimator[-1].warm_start is True


def test_fine_tune_goes_on_from_the_present_weights(digits):
    images, y = digits
    images = images.reshape(len(images), -1) / 255
    learner = ActiveLearner(
        SGDClassifier(max_iter=1, tol=None, random_state=0),
        X_training=images[:500],
        y_training=y[:500],
    )
    before = learner.estimator.coef_.copy()
    learner.refit(training="from_scratch")
    assert np.array_equal(learner.estimator.coef_, before)
    for _ in range(5):
        learner.refit(training="fine_tune")
    assert learner.estimator.t_ == 501
    assert not np.array_equal(learner.estimator.coef_, before)
    assert learner.estimator.warm_start is False


def test_fine_tune_says_when_it_cannot():
    learner = ActiveLearner(KNeighborsClassifier(1), X_training=X, y_training=Y)
    with pytest.raises(ValueError, match="KNeighborsClassifier has no warm_start"):
        learner.teach(X, Y, training="fine_tune")
    learner = ActiveLearner(RandomForestClassifier(2), X_training=X, y_training=Y)
    with pytest.raises(ValueError, match="only adds"):
        learner.teach(X, Y, training="fine_tune")
    assert len(learner.X_training) == len(X)


def test_refit_false_labels_much_and_fits_once(learner):
    for start in range(4, 20, 4):
        learner.teach(X[start : start + 4], Y[start : start + 4], refit=False)
    assert len(learner.estimator.calls_) == 1
    learner.refit()
    assert len(learner.estimator.calls_) == 2
    assert np.array_equal(last(learner)[0], X)
    with pytest.raises(ValueError, match="only stores"):
        learner.teach(X, Y, refit=False, only_new=True)
    with pytest.raises(ValueError, match="Nothing is known"):
        ActiveLearner(Recorder()).refit()
    with pytest.raises(ValueError, match="no new rows"):
        learner.refit(training="only_new")
    with pytest.raises(ValueError, match="no new rows"):
        learner.refit(training="incremental")


def test_bootstrap_is_repeatable():
    def samples(random_state):
        learner = ActiveLearner(
            Recorder(),
            X_training=X,
            y_training=Y,
            bootstrap_init=True,
            random_state=random_state,
        )
        learner.teach(X[:5], Y[:5], bootstrap=True)
        learner.teach(X[:5], Y[:5], bootstrap=True, only_new=True)
        return [call[0] for call in learner.estimator.calls_]

    first, again, other = samples(0), samples(0), samples(1)
    assert [len(part) for part in first] == [20, 25, 5]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_bootstrap_keeps_labels_and_weights_with_their_rows(learner):
    learner.fit(X, Y, bootstrap=True, sample_weight=X[:, 0])
    rows, labels, weights, _, _ = last(learner)
    assert np.array_equal(weights, rows[:, 0])
    assert np.array_equal(labels, Y[rows[:, 0].astype(int) // 2])
    assert learner.X_training is X


def test_sample_weight_stays_with_its_rows(learner):
    learner.teach(X[4:6], Y[4:6], sample_weight=[2.0, 3.0])
    assert last(learner)[2].tolist() == [1, 1, 1, 1, 2, 3]
    learner.teach(X[6:7], Y[6:7])
    assert last(learner)[2].tolist() == [1, 1, 1, 1, 2, 3, 1]
    learner.teach(X[7:8], Y[7:8], sample_weight=np.arange(8.0))
    assert last(learner)[2].tolist() == list(range(8))
    learner.forget([0, 7])
    assert last(learner)[2].tolist() == [1, 2, 3, 4, 5, 6]
    learner.teach(X[8:10], Y[8:10], sample_weight=[5, 6], only_new=True)
    assert last(learner)[2].tolist() == [5, 6]
    learner.fit(X, Y)
    assert last(learner)[2] is None
    with pytest.raises(
        ValueError,
        match=r"sample_weight must have one value for each row taught \(2\), got 3",
    ):
        learner.teach(X[:2], Y[:2], sample_weight=[1, 2, 3])


def test_other_fit_arguments_are_passed_once(learner):
    learner.teach(X[4:6], Y[4:6], epochs=3)
    assert last(learner)[3] == 3
    learner.refit()
    assert last(learner)[3] is None


def test_relabel_changes_no_array_of_the_caller(learner):
    y = Y.copy()
    learner.fit(X, y)
    learner.relabel([1, 3], [7, 8])
    assert np.array_equal(y, Y)
    assert learner.y_training.tolist() == [0, 7, 0, 8, *Y[4:]]
    assert np.array_equal(last(learner)[1], learner.y_training)
    calls = len(learner.estimator.calls_)
    learner.relabel(0, [1], refit=False)
    assert len(learner.estimator.calls_) == calls
    assert learner.y_training[0] == 1


def test_relabel_a_series_keeps_its_index(learner):
    frame = pd.DataFrame(X, index=[f"row{i}" for i in range(20)], columns=["a", "b"])
    learner.fit(frame, pd.Series(Y, index=frame.index, name="digit"))
    learner.relabel([2], [5])
    assert learner.y_training["row2"] == 5
    assert learner.y_training.index.equals(frame.index)
    assert learner.y_training.name == "digit"


def test_forget(learner):
    learner.fit(X, Y).forget([0, 2])
    assert np.array_equal(learner.X_training, np.delete(X, [0, 2], axis=0))
    assert np.array_equal(last(learner)[1], np.delete(Y, [0, 2]))
    with pytest.raises(ValueError, match="clone the learner"):
        learner.forget(np.arange(18))


@pytest.mark.parametrize(
    ("indices", "says"),
    [([20], "0 to 19"), ([-1], "0 to 19"), ([1, 1], "twice"), ([0.5], "integer")],
)
def test_relabel_and_forget_check_positions(learner, indices, says):
    learner.fit(X, Y)
    with pytest.raises(ValueError, match=says):
        learner.forget(indices)
    with pytest.raises(ValueError, match=says):
        learner.relabel(indices, [0] * len(indices))
    with pytest.raises(ValueError, match="2 images and 1 labels"):
        learner.relabel([0, 1], [1])


def test_nothing_is_stored_when_the_fit_fails(learner):
    class Broken(Recorder):
        def fit(self, X, y):
            raise RuntimeError("out of memory")

    learner.estimator = Broken()
    with pytest.raises(RuntimeError):
        learner.teach(X[4:6], Y[4:6])
    assert len(learner.X_training) == 4


NAN = np.where(X == 7, np.nan, X)


@pytest.mark.parametrize(
    ("rows", "labels", "error", "says"),
    [
        (X[:3], Y[:2], ValueError, "3 images and 2 labels"),
        (X[:0], Y[:0], ValueError, "empty"),
        (X[:3], None, ValueError, "y is None"),
        (X[0], Y[0], ValueError, "y is a single value"),
        (np.float64(3), Y[:1], ValueError, "X is a single value"),
        (NAN, Y, ValueError, "X holds NaN"),
        (np.where(X == 7, np.inf, X), Y, ValueError, "X holds NaN"),
        (NAN.tolist(), Y, ValueError, "X holds NaN"),
        (NAN.astype(object), Y, ValueError, "X holds NaN"),
        (torch.as_tensor(NAN), Y, ValueError, "X holds NaN"),
        (pd.DataFrame(NAN), Y, ValueError, "X holds NaN"),
        ({"a": X, "b": NAN}, Y, ValueError, "X holds NaN"),
        (X, np.where(Y == 1, np.nan, Y), ValueError, "y holds NaN"),
        (X, ["a", None] * 10, ValueError, "y holds NaN"),
        (
            np.zeros((3, 5)),
            Y[:3],
            ValueError,
            r"have shape \(5,\), those known so far have \(2,\)",
        ),
        (X[:2], ["a", "b"], ValueError, "both numbers or both strings"),
        (X[:2], Y[:2, None], ValueError, "rows of y have shape"),
    ],
)
def test_bad_input_is_one_clear_sentence_and_changes_nothing(
    learner, rows, labels, error, says
):
    with pytest.raises(error, match=says):
        learner.teach(rows, labels)
    assert len(learner.estimator.calls_) == 1
    assert len(learner.X_training) == 4


def test_force_all_finite_false_lets_nan_through():
    learner = ActiveLearner(
        Recorder(), X_training=X, y_training=Y, force_all_finite=False
    ).teach(NAN, Y)
    assert np.isnan(learner.X_training).sum() == 1


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"X_training": X}, ValueError, "y is None"),
        ({"y_training": Y}, ValueError, "without X_training"),
        ({"query_stategy": "margin"}, TypeError, "query_stategy"),
        ({"force_all_finite": "yes"}, TypeError, "True or False"),
        ({"estimator": LogisticRegression}, TypeError, "object with fit"),
        ({"estimator": "svm"}, TypeError, "object with fit"),
    ],
)
def test_the_constructor_says_what_is_wrong(arguments, error, says):
    with pytest.raises(error, match=says):
        ActiveLearner(**{"estimator": Recorder(), **arguments})


@pytest.mark.parametrize(
    "arguments", [{"training": "scratch"}, {"training": "fine_tune", "only_new": True}]
)
def test_contradictory_training(learner, arguments):
    with pytest.raises(ValueError, match="training"):
        learner.teach(X, Y, **arguments)


# ---- a fitted estimator whose data the learner was not given -------------------------

FORGETS = (
    "fitted already, and the ActiveLearner was not given.*X_training=, y_training="
)


def pairs(n):
    X = np.random.default_rng(0).normal(size=(n, 3))
    y = np.arange(n) % 2
    X[y == 1] += 3
    return X, y


@pytest.mark.parametrize("training", [None, "from_scratch", "only_new"])
@pytest.mark.parametrize("kind", ["learner", "committee"])
def test_what_a_fitted_estimator_would_forget_is_said(training, kind):
    X, y = pairs(40)
    learner = ActiveLearner(LogisticRegression().fit(X, y), "margin")
    if kind == "committee":
        learner = Committee([learner, ActiveLearner(LogisticRegression())])
    with pytest.warns(UserWarning, match=FORGETS) as caught:
        learner.teach(X[:2], y[:2], training=training)
    assert len(caught) == 1 and caught[0].filename == __file__
    # From then on it knows what it was taught.
    learner.teach(X[2:4], y[2:4])


def test_a_fitted_estimator_that_keeps_what_it_knows_is_taught_without_a_word():
    X, y = pairs(40)
    whole = LogisticRegression().fit(X, y)
    ActiveLearner(whole, X_training=X, y_training=y).teach(X[:2], y[:2])
    warm = LogisticRegression(warm_start=True).fit(X, y)
    ActiveLearner(warm).teach(X[:2], y[:2])
    ActiveLearner(LogisticRegression(warm_start=True).fit(X, y)).teach(
        X[:2], y[:2], training="fine_tune"
    )
    parts = SGDClassifier(random_state=0).fit(X, y)
    ActiveLearner(parts).teach(X[:2], y[:2], training="incremental")
    ActiveLearner(LogisticRegression()).teach(X[:2], y[:2])
    ActiveLearner(whole).fit(X[:2], y[:2])
    net = ImageClassifier(max_epochs=1).initialize(np.zeros((2, 8, 8), np.uint8), y[:2])
    ActiveLearner(net).teach(np.zeros((4, 8, 8), np.uint8), y[:4])


def test_a_fitted_net_too(digits):
    X, y = digits
    net = ImageClassifier(max_epochs=1).fit(X[:40], y[:40])
    with pytest.warns(UserWarning, match=f"This ImageClassifier is {FORGETS}"):
        ActiveLearner(net, "margin").teach(X[:20], y[:20])


# ---- misspelt words ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ({"X_trainig": 1, "y_training": 1}, "X_training"),
        ({"X_training": 1, "y_trainng": 1}, "y_training"),
        ({"query_strateg": "margin"}, "query_strategy"),
        ({"bootstrap_int": True}, "bootstrap_init"),
    ],
)
def test_misspelt_words_of_the_constructor_are_answered(words, meant):
    X, y = pairs(6)
    rows = {"X": X, "y": y}
    words = {
        name: rows[name[0]] if value == 1 and value is not True else value
        for name, value in words.items()
    }
    with pytest.raises(TypeError, match=f"did you mean '{meant}'"):
        ActiveLearner(LogisticRegression(), **words)


def test_misspelt_words_of_teaching_are_answered():
    X, y = pairs(6)
    learner = ActiveLearner(LogisticRegression(), X_training=X, y_training=y)
    committee = Committee([learner])
    for one in (learner, committee):
        for word, meant in (("only_nwe", "only_new"), ("trainng", "training")):
            with pytest.raises(TypeError, match=f"'{word}': did you mean '{meant}'"):
                one.teach(X, y, **{word: True})

    # What the estimator's own fit takes is its own.
    class Odd(LogisticRegression):
        def fit(self, X, y, y_trainin=None):
            return super().fit(X, y)

    ActiveLearner(Odd(), X_training=X, y_training=y, y_trainin=1)
