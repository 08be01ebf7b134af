"""TemperatureScaling: the least held-out NLL, the same predictions, and what strategies
ask for."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from al_sklearn import ActiveLearner
from al_sklearn.estimators import DeepEnsemble, ImageClassifier
from al_sklearn.estimators._temperature import (
    TemperatureScaling,
    scale_proba,
)
from al_sklearn.inference import embed, gradient_factors, sample_proba
from al_sklearn.inference import predict_proba as ask
from al_sklearn.strategies.measures import fit_temperature


@pytest.fixture(scope="module")
def flat(digits):
    X, y = digits
    return X.reshape(len(X), -1) / 255, y


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 999), st.floats(0.2, 5))
def test_least_nll_on_a_grid_and_the_temperature_put_in(seed, temperature):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(400, 4)) * 3
    proba = np.exp(logits / temperature)
    proba /= proba.sum(1, keepdims=True)
    codes = np.array([rng.choice(4, p=p) for p in proba])
    found = fit_temperature(logits, codes)

    def nll(t):
        scaled = np.exp(logits / t - (logits / t).max(1, keepdims=True))
        return -np.log(scaled[np.arange(400), codes] / scaled.sum(1)).mean()

    grid = [nll(t) for t in np.geomspace(0.05, 20, 400)]
    assert nll(found) <= min(grid) + 1e-9
    assert 0.6 < found / temperature < 1.7


def test_scaled_probabilities():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(50, 5)) * 4
    softmax = lambda z: np.exp(z) / np.exp(z).sum(1, keepdims=True)  # noqa: E731
    np.testing.assert_allclose(scale_proba(softmax(logits), 2.5), softmax(logits / 2.5))
    sure = np.array([[1, 0, 0]], dtype=np.float32)
    assert scale_proba(sure, 3.0).dtype == np.float32
    assert scale_proba(sure, 3.0).argmax() == 0
    np.testing.assert_allclose(scale_proba(sure, 3.0).sum(), 1)


def test_one_temperature_for_few_labels_stays_within_bounds():
    logits = np.log(np.array([[0.9, 0.1], [0.2, 0.8]]))
    assert fit_temperature(logits, np.array([0, 1])) == pytest.approx(0.05, rel=1e-3)
    assert fit_temperature(logits, np.array([1, 0])) == pytest.approx(20, rel=1e-3)


def test_as_scikit_learn_has_it(flat):
    X, y = flat
    model = LogisticRegression(C=1e3, max_iter=2000)
    inside = clone(model).fit(X[:300], y[:300])
    theirs = CalibratedClassifierCV(FrozenEstimator(inside), method="temperature").fit(
        X[300:600], y[300:600]
    )
    ours = TemperatureScaling(model).fit(X[:300], y[:300], X[300:600], y[300:600])
    assert ours.temperature_ > 1
    np.testing.assert_allclose(
        ours.predict_proba(X[600:]), theirs.predict_proba(X[600:]), atol=1e-5
    )
    assert (ours.n_labelled_, ours.n_validation_) == (600, 300)
    # Better on data that neither saw; naive Bayes, which is much too sure, gains most.
    for model in (
        LogisticRegression(C=1e3, max_iter=2000),
        GaussianNB(var_smoothing=1e-3),
    ):
        scaled = TemperatureScaling(model, random_state=0).fit(X[:600], y[:600])
        before = log_loss(
            y[600:], scaled.estimator_.predict_proba(X[600:]), labels=range(10)
        )
        assert (
            log_loss(y[600:], scaled.predict_proba(X[600:]), labels=range(10)) < before
        )
    assert scaled.temperature_ > 2


def test_cross_fitted(flat):
    X, y = flat
    scaled = TemperatureScaling(
        LogisticRegression(C=100, max_iter=500), validation=4, random_state=0
    )
    scaled.fit(X[:300], y[:300])
    assert scaled.n_validation_ == scaled.n_labelled_ == 300
    by_hand = LogisticRegression(C=100, max_iter=500).fit(X[:300], y[:300])
    np.testing.assert_array_equal(
        scaled.estimator_.predict_proba(X), by_hand.predict_proba(X)
    )
    out_of_fold = cross_val_predict(
        by_hand, X[:300], y[:300], cv=4, method="predict_proba"
    )
    assert scaled.temperature_ == pytest.approx(
        fit_temperature(np.log(out_of_fold), y[:300]), rel=0.2
    )
    assert scaled.temperature_ > 1


def test_of_a_network(digits):
    X, y = digits
    names = np.array(list("abcdefghij"))[y]
    before = torch.get_rng_state()
    scaled = TemperatureScaling(ImageClassifier(max_epochs=12), random_state=0).fit(
        X[:150], names[:150]
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert is_classifier(scaled)
    assert (scaled.n_labelled_, scaled.n_validation_) == (150, 30)
    raw, proba = scaled.estimator_.predict_proba(X[200:]), scaled.predict_proba(X[200:])
    assert proba.dtype == np.float32
    assert not np.allclose(raw, proba, atol=1e-3)
    np.testing.assert_allclose(proba, scale_proba(raw, scaled.temperature_), atol=1e-6)
    np.testing.assert_array_equal(proba.argmax(1), raw.argmax(1))
    np.testing.assert_array_equal(
        scaled.predict(X[200:]), scaled.estimator_.predict(X[200:])
    )
    again = clone(scaled).fit(X[:150], names[:150])
    assert again.temperature_ == scaled.temperature_
    copy = pickle.loads(pickle.dumps(scaled))
    np.testing.assert_array_equal(
        copy.predict_proba(X[:20]), scaled.predict_proba(X[:20])
    )
    np.testing.assert_array_equal(embed(scaled, X[:9]), embed(scaled.estimator_, X[:9]))
    assert embed(scaled, X[:9], layer="features.0").shape[0] == 9
    assert sample_proba(scaled, X[:9], 4).shape == (4, 9, 10)
    samples = scaled.sample_proba(X[:9], 4, random_state=1)
    np.testing.assert_allclose(
        samples,
        scale_proba(
            sample_proba(scaled.estimator_, X[:9], 4, random_state=1),
            scaled.temperature_,
        ),
        atol=1e-6,
    )
    residuals, embeddings = gradient_factors(scaled, X[:9])
    np.testing.assert_allclose(
        residuals, np.eye(10)[raw_argmax(scaled, X[:9])] - ask(scaled, X[:9]), atol=1e-6
    )
    assert embeddings.shape == (9, 128)
    assert not hasattr(scaled, "predict_loss")


def raw_argmax(scaled, X):
    return scaled.estimator_.predict_proba(X).argmax(1)


def test_lazy_data_pipelines_ensembles_and_learners(digits, quick, tmp_path):
    X, y = digits
    data = torch.utils.data.TensorDataset(
        torch.as_tensor(X[:60]), torch.as_tensor(y[:60])
    )
    from_data = TemperatureScaling(quick(), random_state=0).fit(data, y[:60])
    from_array = TemperatureScaling(quick(), random_state=0).fit(X[:60], y[:60])
    assert from_data.temperature_ == pytest.approx(from_array.temperature_, rel=1e-4)
    np.save(tmp_path / "X.npy", X)
    pool = np.load(tmp_path / "X.npy", mmap_mode="r")
    np.testing.assert_allclose(
        ask(from_array, pool), from_array.predict_proba(X), atol=1e-5
    )
    pipeline = make_pipeline(MinMaxScaler(), LogisticRegression())
    flat = X.reshape(len(X), -1)
    assert embed(
        TemperatureScaling(pipeline).fit(flat[:90], y[:90]), flat[:5]
    ).shape == (5, 64)
    ensemble = TemperatureScaling(DeepEnsemble(LogisticRegression(), 2)).fit(
        flat[:90] / 255, y[:90]
    )
    assert sample_proba(ensemble, flat[:5] / 255).shape == (2, 5, 10)
    inside = TemperatureScaling(quick(), random_state=0)
    learner = ActiveLearner(inside, "bald", X_training=X[:40], y_training=y[:40])
    indices, rows = learner.query(X[40:120], n_instances=5)
    learner.teach(rows, y[40:][indices])
    assert learner.estimator.n_labelled_ == 45


def test_bad_use(flat):
    X, y = flat
    with pytest.raises(TypeError, match="needs a classifier with predict_proba"):
        TemperatureScaling(LinearSVC()).fit(X[:60], y[:60])
    with pytest.raises(ValueError, match="go together"):
        TemperatureScaling(GaussianNB()).fit(X[:60], y[:60], X_val=X[60:70])
    with pytest.raises(ValueError, match="of which no row is trained on"):
        TemperatureScaling(GaussianNB()).fit(
            X[:60][y[:60] < 5], y[:60][y[:60] < 5], X[60:90], y[60:90]
        )
    with pytest.raises(TypeError, match="cannot give posterior samples"):
        sample_proba(TemperatureScaling(GaussianNB()).fit(X[:60], y[:60]), X[:5])


@parametrize_with_checks([TemperatureScaling(LogisticRegression())])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)
