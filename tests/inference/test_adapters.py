"""Kinds of classifiers: found by what they are, one adapter each, open to others."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from al_sklearn import inference, strategies
from al_sklearn.exceptions import CapabilityError
from al_sklearn.inference import Adapter, _adapter, register_adapter
from al_sklearn.learners import ActiveLearner, Committee


@pytest.fixture(autouse=True)
def registrations_put_back(monkeypatch):
    monkeypatch.setattr(_adapter, "_adapters", dict(_adapter._adapters))


class Table:
    """No estimator of anybody's: probabilities in a table, looked up by row number."""

    def __init__(self, proba):
        self.proba = np.asarray(proba)


PROBA = [[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]
X = np.array([[2], [0], [1]])


def of_table(kind):
    @register_adapter(kind)
    class OfTable(Adapter):
        def predict_proba(self, X):
            return self.estimator.proba[np.asarray(X)[:, 0]]

        def sample_proba(self, X, n_samples, seed):
            return np.stack([self.predict_proba(X)] * (n_samples or 2))

    return OfTable


@pytest.mark.parametrize(
    "kind",
    [Table, f"{__name__}.Table", lambda classifier: hasattr(classifier, "proba")],
    ids=["class", "name", "function"],
)
def test_a_kind_of_ones_own(kind):
    of_table(kind)
    table = Table(PROBA)
    np.testing.assert_array_equal(inference.predict_proba(table, X)[0], PROBA[2])
    assert strategies.margin(table, X, 1)[0].tolist() == [2]
    assert strategies.bald(table, X, 1)[0].shape == (1,)
    assert strategies.coreset(table, X, 2)[0].shape == (2,)
    with pytest.raises(CapabilityError, match="Table cannot give last-layer weights"):
        inference.last_layer(table, X)


def test_a_name_whose_module_is_not_there_is_no_kind():
    of_table("no_such_package.models.Table")
    with pytest.raises(CapabilityError):
        inference.predict_proba(Table(PROBA), X)
    assert "no_such_package" not in sys.modules


def test_the_nearest_class_goes_first_then_what_was_registered_last():
    class Below(Table):
        pass

    first, nearer, last = of_table(Table), of_table(Below), of_table(lambda _: True)
    assert type(inference.adapter_of(Table([]))) is first
    assert type(inference.adapter_of(Below([]))) is nearer
    assert type(inference.adapter_of(object())) is last
    again = of_table(Table)
    assert type(inference.adapter_of(Table([]))) is again


def test_registered_twice_replaces_itself():
    for kind in (Table, "x.Table"):
        of_table(kind)
        before = len(_adapter._adapters)
        of_table(kind)
        assert len(_adapter._adapters) == before
    before = len(_adapter._adapters)
    for _ in range(3):
        of_table(lambda classifier: isinstance(classifier, Table))
    assert len(_adapter._adapters) == before + 1


@pytest.mark.parametrize("kind", [None, 3, ["a"]])
def test_what_is_no_kind_is_refused(kind):
    with pytest.raises(TypeError, match=r"A kind is a class, 'module.Class' or a func"):
        register_adapter(kind)


def test_an_adapter_goes_before_the_methods_of_the_estimator():
    class Words(LogisticRegression):
        def embed(self, X, vocabulary):
            raise AssertionError("another embed than ours")

    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20, 3))
    words = Words().fit(rows, np.arange(20) % 2)

    @register_adapter(Words)
    class OfWords(Adapter):
        def embed(self, X, layer=None):
            return 2 * np.asarray(X)

    np.testing.assert_array_equal(inference.embed(words, rows), 2 * rows)
    piped = make_pipeline(StandardScaler(), Words()).fit(rows, np.arange(20) % 2)
    np.testing.assert_allclose(
        inference.embed(piped, rows), 2 * piped[0].transform(rows)
    )


def test_the_estimators_own_method_goes_before_its_kind():
    class Own(RandomForestClassifier):
        def sample_proba(self, X, n_samples=None, random_state=None):
            return np.full((n_samples, len(X), 2), 0.5)

    rows = np.random.default_rng(0).normal(size=(20, 3))
    own = Own(5).fit(rows, np.arange(20) % 2)
    assert (inference.sample_proba(own, rows, 3) == 0.5).all()


ROWS = np.random.default_rng(1).normal(size=(40, 3))
LABELS = np.arange(40) % 2
LINE = LogisticRegression().fit(ROWS, LABELS)


@pytest.mark.parametrize(
    "classifier",
    [
        ActiveLearner(LogisticRegression(), X_training=ROWS, y_training=LABELS),
        GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2).fit(ROWS, LABELS),
        ActiveLearner(
            GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2),
            X_training=ROWS,
            y_training=LABELS,
        ),
    ],
    ids=["learner", "search", "search in a learner"],
)
def test_learners_and_searches_are_opened(classifier):
    assert type(inference.unwrap(classifier)) is LogisticRegression
    np.testing.assert_allclose(
        inference.predict_proba(classifier, ROWS), inference.predict_proba(LINE, ROWS)
    )
    assert inference.last_layer(classifier, ROWS)[0].shape == (2, 3)


ASKED = {
    "predict_proba": LinearSVC(),
    "sample_proba": LogisticRegression(),
    "predict_loss": LogisticRegression(),
    "feature_dropout": LinearSVC(),
    "last_layer": RandomForestClassifier(2),
    "input_gradient": LogisticRegression(),
    "network_inputs": LogisticRegression(),
}


@given(st.sampled_from(sorted(ASKED)), st.booleans())
def test_errors_say_in_attributes_what_is_missing(capability, in_pipeline):
    classifier = ASKED[capability].fit(ROWS, LABELS)
    name = type(classifier).__name__
    asked = make_pipeline(StandardScaler(), classifier) if in_pipeline else classifier
    with pytest.raises(CapabilityError) as caught:
        getattr(inference, capability)(asked.fit(ROWS, LABELS), ROWS)
    error = pickle.loads(pickle.dumps(caught.value))
    assert error.capability == capability
    assert error.estimator in {name, "Pipeline"}
    assert error.instead in str(error)
    assert not inference.gives(classifier, capability)


def test_a_committee_gives_what_all_its_members_give():
    members = [
        ActiveLearner(
            make_pipeline(StandardScaler(), LogisticRegression()),
            X_training=ROWS,
            y_training=LABELS,
        )
        for _ in range(2)
    ]
    committee = Committee(members)
    assert inference.embed(committee, ROWS).shape == (40, 6)
    assert not inference.learns_features(committee)
    plain = ActiveLearner(LogisticRegression(), X_training=ROWS, y_training=LABELS)
    np.testing.assert_array_equal(
        inference.embed(Committee([*members, plain]), ROWS), ROWS
    )


def test_the_gradient_factors_of_a_pipelines_last_step_are_asked():
    class Own(LogisticRegression):
        def gradient_factors(self, X):
            return np.ones((len(X), 2)), np.asarray(X)

    piped = make_pipeline(StandardScaler(), Own()).fit(ROWS, LABELS)
    residuals, embeddings = inference.gradient_factors(piped, ROWS)
    assert (residuals == 1).all()
    np.testing.assert_allclose(embeddings, piped[0].transform(ROWS))


WITHOUT_TORCH = """
import sys
import numpy as np
from sklearn.linear_model import LogisticRegression
from al_sklearn import inference
from al_sklearn.rows import describe, fingerprint, take_rows

X = np.arange(12.0).reshape(6, 2)
model = LogisticRegression().fit(X, X[:, 0] > 5)
inference.predict_proba(model, X)
inference.embed(model, take_rows(X, [1, 2]))
describe(model), fingerprint(X)
assert not {"torch", "skorch"} & set(sys.modules)
"""


def test_frameworks_are_known_without_being_imported():
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH], check=True)
