"""LaplaceClassifier against the Hessian by automatic differentiation, importance
sampling and Monte Carlo."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax
from scipy.stats import multivariate_normal
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks
from skorch import NeuralNetClassifier

from al_sklearn import ActiveLearner
from al_sklearn.estimators import ImageClassifier
from al_sklearn.estimators._laplace import (
    Diagonal,
    Full,
    Kron,
    LaplaceClassifier,
    probit,
)
from al_sklearn.inference import embed, sample_proba


@pytest.fixture(scope="module")
def flat(digits):
    X, y = digits
    return X.reshape(len(X), -1) / 255, y


def hessian_by_autograd(features, weights, codes):
    """Slow and obvious: second derivatives of the cross-entropy in all weights."""
    features, codes = torch.as_tensor(features), torch.as_tensor(codes)

    def loss(flat):
        logits = features @ flat.reshape(weights.shape).T
        return torch.nn.functional.cross_entropy(logits, codes, reduction="sum")

    return torch.autograd.functional.hessian(
        loss, torch.as_tensor(weights).flatten()
    ).numpy()


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 4), st.integers(1, 4), st.integers(1, 20), st.integers(0, 999))
def test_curvatures_are_the_hessian(n_classes, d, n, seed):
    rng = np.random.default_rng(seed)
    features, weights = rng.normal(size=(n, d)), rng.normal(size=(n_classes, d))
    proba = softmax(features @ weights.T, axis=1)
    slow = hessian_by_autograd(features, weights, rng.integers(n_classes, size=n))
    precision, rows = 0.7, rng.normal(size=(5, d))
    mean = (
        np.apply_along_axis(np.diag, 1, proba) - proba[:, :, None] * proba[:, None, :]
    ).mean(axis=0)
    kron = np.kron(mean, features.T @ features)
    expected = {Full: slow, Kron: kron, Diagonal: np.diag(np.diag(slow))}
    for kind, hessian in expected.items():
        curvature = kind(
            np.repeat(features, 2, axis=0),
            np.repeat(proba, 2, axis=0),
            np.tile([0.25, 0.75], n),
        )
        np.testing.assert_allclose(
            np.sort(curvature.eigenvalues), np.linalg.eigvalsh(hessian), atol=1e-9
        )
        covariance = np.linalg.inv(hessian + precision * np.eye(len(hessian)))
        # The whole map from noise to draws, a unit vector at a time: its square is the
        # covariance.
        units = np.eye(n_classes * d).reshape(-1, n_classes, d)
        root = curvature.scale(units, precision).reshape(n_classes * d, -1)
        np.testing.assert_allclose(root.T @ root, covariance, atol=1e-9)
        blocks = covariance.reshape(n_classes, d, n_classes, d)
        of_logits = np.einsum("ni,aibj,nj->nab", rows, blocks, rows)
        np.testing.assert_allclose(
            curvature.logit_covariance(rows, precision), of_logits, atol=1e-9
        )
    if n == 1:
        # For one row the factors are exact.
        np.testing.assert_allclose(kron, slow, atol=1e-12)


def test_probit_for_two_classes_and_against_monte_carlo():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(30, 2)) * 2
    roots = rng.normal(size=(30, 2, 2))
    covariance = roots @ roots.transpose(0, 2, 1)
    variance = covariance[:, 0, 0] + covariance[:, 1, 1] - 2 * covariance[:, 0, 1]
    mackay = expit((logits[:, 1] - logits[:, 0]) / np.sqrt(1 + np.pi / 8 * variance))
    np.testing.assert_allclose(probit(logits, covariance)[:, 1], mackay)
    logits, roots = rng.normal(size=(30, 5)) * 2, rng.normal(size=(30, 5, 5)) * 0.5
    covariance = roots @ roots.transpose(0, 2, 1)
    drawn = softmax(
        logits + np.einsum("nij,snj->sni", roots, rng.normal(size=(20000, 30, 5))),
        axis=-1,
    ).mean(axis=0)
    close = probit(logits, covariance)
    np.testing.assert_allclose(close.sum(1), 1)
    assert np.abs(close - drawn).mean() < 0.02
    assert (
        np.abs(close - drawn).mean()
        < 0.7 * np.abs(softmax(logits, axis=1) - drawn).mean()
    )
    # Moving all logits together by chance changes nothing.
    np.testing.assert_allclose(probit(logits, covariance + 9.0), close)
    np.testing.assert_allclose(
        probit(logits, np.zeros((30, 5, 5))), softmax(logits, axis=1)
    )


def test_against_importance_sampling_on_a_tiny_problem():
    rng = np.random.default_rng(0)
    X = StandardScaler().fit_transform(load_iris().data[::2, :2])
    # Labels from the model itself, so that classes overlap and the posterior is not far
    # from a Gaussian.
    y = (
        softmax(X @ rng.normal(size=(2, 3)), axis=1).cumsum(axis=1)
        > rng.random((len(X), 1))
    ).argmax(axis=1)
    precision = 0.5
    model = LogisticRegression(
        C=1 / precision, fit_intercept=False, tol=1e-10, max_iter=5000
    )
    laplace = LaplaceClassifier(
        model, "full", precision, predictive="mc", n_samples=4000, random_state=0
    ).fit(X, y)
    assert laplace.weights_.shape == (3, 2)
    np.testing.assert_allclose(laplace.weights_, laplace.estimator_.coef_, atol=1e-4)
    # The posterior itself: a wide Gaussian proposal, reweighted.
    hessian = hessian_by_autograd(X, laplace.weights_, y) + precision * np.eye(6)
    covariance = 1.5 * np.linalg.inv(hessian)
    theta = rng.multivariate_normal(laplace.weights_.ravel(), covariance, size=40000)
    logits = np.einsum("nd,scd->snc", X, theta.reshape(-1, 3, 2))
    log_likelihood = (logits - np.logaddexp.reduce(logits, axis=2)[:, :, None])[
        :, np.arange(len(y)), y
    ].sum(axis=1)
    log_target = log_likelihood - precision / 2 * (theta**2).sum(axis=1)
    log_weight = log_target - multivariate_normal(
        laplace.weights_.ravel(), covariance
    ).logpdf(theta)
    weight = softmax(log_weight)
    assert 1 / np.sum(weight**2) > 5000
    rows = rng.normal(size=(40, 2)) * 4
    exact = np.einsum(
        "s,snc->nc",
        weight,
        softmax(np.einsum("nd,scd->snc", rows, theta.reshape(-1, 3, 2)), axis=2),
    )
    plug_in = laplace.estimator_.predict_proba(rows)
    sampled = laplace.predict_proba(rows)
    assert np.abs(sampled - exact).mean() < 0.02
    assert np.abs(sampled - exact).mean() < 0.5 * np.abs(plug_in - exact).mean()
    closed = laplace.set_params(predictive="probit").predict_proba(rows)
    assert np.abs(closed - exact).mean() < 0.02
    evidence = (
        np.log(np.mean(np.exp(log_weight - log_weight.max())))
        + log_weight.max()
        + 3 * np.log(precision / np.pi / 2)
    )
    assert laplace.log_marginal_likelihood_ == pytest.approx(evidence, abs=0.5)


def test_the_prior_of_the_largest_marginal_likelihood(flat):
    X, y = flat
    model = LogisticRegression(C=1, max_iter=500)
    for hessian in ("full", "kron", "diag"):
        best = LaplaceClassifier(model, hessian).fit(X[:100], y[:100])
        for factor in (0.5, 2):
            other = LaplaceClassifier(
                model, hessian, best.prior_precision_ * factor
            ).fit(X[:100], y[:100])
            assert other.log_marginal_likelihood_ < best.log_marginal_likelihood_
            assert other.prior_precision_ == best.prior_precision_ * factor


def test_two_classes_have_the_posterior_of_logistic_regression(flat):
    X, y = flat
    X, y = X[y < 2][:60], y[y < 2][:60]
    model = LogisticRegression(C=2.0, fit_intercept=False, tol=1e-10, max_iter=2000)
    laplace = LaplaceClassifier(model, "full", 2 / 2.0).fit(X, y)
    p = laplace.estimator_.predict_proba(X)[:, 1]
    covariance = np.linalg.inv((X * (p * (1 - p))[:, None]).T @ X + np.eye(64) / 2.0)
    mean, variance = (
        laplace.estimator_.decision_function(X),
        np.einsum("ni,ij,nj->n", X, covariance, X),
    )
    np.testing.assert_allclose(
        laplace.predict_proba(X)[:, 1],
        expit(mean / np.sqrt(1 + np.pi / 8 * variance)),
        rtol=1e-3,
    )


def test_of_a_network(digits, tmp_path):
    X, y = digits
    names = np.array(list("abcdefghij"))[y]
    before = torch.get_rng_state()
    laplace = LaplaceClassifier(ImageClassifier(max_epochs=10), random_state=0).fit(
        X[:150], names[:150]
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert is_classifier(laplace)
    assert (laplace.hessian_, laplace.weights_.shape) == ("kron", (10, 129))
    samples = laplace.sample_proba(X[200:260], random_state=0)
    assert (samples.shape, samples.dtype) == ((20, 60, 10), np.float32)
    np.testing.assert_allclose(samples.sum(2), 1, rtol=1e-5)
    # A sample is one function: whatever shares its batch, its rows are what they are.
    part = laplace.sample_proba(X[220:230], random_state=0)
    np.testing.assert_allclose(part, samples[:, 20:30], atol=1e-5)
    np.save(tmp_path / "X.npy", X[200:260])
    pool = np.load(tmp_path / "X.npy", mmap_mode="r")
    np.testing.assert_allclose(
        sample_proba(laplace, pool, 3, random_state=5),
        ask_samples(laplace, X[200:260]),
        atol=1e-5,
    )
    assert not np.array_equal(samples, laplace.sample_proba(X[200:260], random_state=1))
    spread = samples.std(axis=0).mean()
    assert 1e-3 < spread < 0.3
    probit_ = laplace.predict_proba(X[200:])
    monte_carlo = (
        clone(laplace)
        .set_params(predictive="mc", n_samples=300)
        .fit(X[:150], names[:150])
        .predict_proba(X[200:])
    )
    plain = laplace.estimator_.predict_proba(X[200:])
    assert np.abs(probit_ - monte_carlo).mean() < 0.04
    # Less sure than the network, least so where it is wrong; as right.
    assert probit_.max(1).mean() < plain.max(1).mean()
    right = laplace.predict(X[200:]) == names[200:]
    assert probit_.max(1)[~right].mean() < probit_.max(1)[right].mean() - 0.1
    assert (
        laplace.score(X[200:], names[200:])
        > laplace.estimator_.score(X[200:], names[200:]) - 0.02
    )
    np.testing.assert_array_equal(
        clone(laplace).fit(X[:150], names[:150]).predict_proba(X[200:]), probit_
    )
    copy = pickle.loads(pickle.dumps(laplace))
    np.testing.assert_array_equal(copy.predict_proba(X[200:]), probit_)
    np.testing.assert_array_equal(
        embed(laplace, X[:9]), embed(laplace.estimator_, X[:9])
    )
    at_the_mode = laplace.set_params(predictive="map").predict_proba(X[200:])
    assert (at_the_mode.argmax(1) == plain.argmax(1)).mean() > 0.97


def ask_samples(laplace, X):
    return sample_proba(laplace, X, 3, random_state=5)


def test_cheaper_curvatures_agree_where_it_counts(flat):
    X, y = flat
    model = LogisticRegression(max_iter=500)
    full = LaplaceClassifier(model, "full", 1.0).fit(X[:150], y[:150])
    plain = full.estimator_.predict_proba(X[300:])
    entropy = lambda p: -(p * np.log(p)).sum(1)  # noqa: E731
    for hessian in ("kron", "diag"):
        cheap = LaplaceClassifier(model, hessian, 1.0).fit(X[:150], y[:150])
        assert cheap.hessian_ == hessian
        gains = [
            entropy(each.predict_proba(X[300:])) - entropy(plain)
            for each in (full, cheap)
        ]
        assert np.corrcoef(gains)[0, 1] > 0.8
    wide = np.tile(X[:150], 3)
    assert (
        LaplaceClassifier(model, prior_precision=1.0).fit(wide, y[:150]).hessian_
        == "kron"
    )


def test_pipelines_and_learners(flat, quick, digits):
    X, y = flat
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    laplace = LaplaceClassifier(pipeline).fit(X[:100], y[:100])
    assert sample_proba(laplace, X[:5], 3).shape == (3, 5, 10)
    assert sample_proba(
        make_pipeline(StandardScaler(), LaplaceClassifier(LogisticRegression())).fit(
            X, y
        ),
        X[:5],
        2,
    ).shape
    images, labels = digits
    net = LaplaceClassifier(quick(), random_state=0)
    learner = ActiveLearner(net, "bald", X_training=images[:40], y_training=labels[:40])
    indices, rows = learner.query(images[40:140], n_instances=5)
    learner.teach(rows, labels[40:][indices])
    assert learner.estimator.weights_.shape == (10, 129)


def test_an_overtrained_network_keeps_a_posterior(digits):
    X, y = digits
    spreads = []
    for max_epochs in (10, 40):
        laplace = LaplaceClassifier(
            ImageClassifier(max_epochs=max_epochs, random_state=0)
        ).fit(X[:100], y[:100])
        gradient = -laplace.prior_precision_ * laplace.weights_
        features = np.column_stack([laplace.embed(X[:100]), np.ones(100)])
        residuals = np.eye(10)[y[:100]] - softmax(features @ laplace.weights_.T, axis=1)
        np.testing.assert_allclose(residuals.T @ features + gradient, 0, atol=1e-2)
        spreads.append(laplace.predict_proba(X[200:]).max(axis=1).mean())
    assert 0.7 * spreads[0] < spreads[1] < 0.95


class Doubled(torch.nn.Module):
    """Its probabilities are not the softmax of its linear layer."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(64, 10)

    def forward(self, x):
        return 2 * self.linear(x)


def test_bad_use(flat):
    X, y = flat
    for options, message in (
        ({"hessian": "kfac"}, "Unknown hessian 'kfac'"),
        ({"predictive": "mean"}, "Unknown predictive"),
        ({"prior_precision": 0}, "prior_precision must be"),
        ({"prior_precision": "best"}, "prior_precision must be"),
        ({"n_samples": 0}, "n_samples must be"),
    ):
        with pytest.raises(ValueError, match=message):
            LaplaceClassifier(LogisticRegression(), **options).fit(X[:60], y[:60])
    with pytest.raises(ValueError, match="n_samples must be at least 1"):
        LaplaceClassifier(LogisticRegression()).fit(X[:60], y[:60]).sample_proba(
            X[:5], n_samples=0
        )
    for other in (GaussianNB(), DecisionTreeClassifier()):
        with pytest.raises(TypeError, match="last-layer weights"):
            LaplaceClassifier(other).fit(X[:60], y[:60])
    net = NeuralNetClassifier(
        Doubled,
        criterion=torch.nn.CrossEntropyLoss,
        verbose=0,
        train_split=None,
        lr=0.5,
    )
    with pytest.raises(ValueError, match="not the softmax of its last linear layer"):
        LaplaceClassifier(net).fit(X[:60].astype(np.float32), y[:60])


@parametrize_with_checks([LaplaceClassifier(LogisticRegression())])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)
