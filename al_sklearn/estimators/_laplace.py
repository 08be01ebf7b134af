"""A Gaussian around a trained classifier's last layer.

Posterior samples for the price of one training.
"""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Real
from typing import Any

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from al_sklearn import inference
from al_sklearn._core.checks import check_count, unknown_name
from al_sklearn._core.random import RandomState, as_generator
from al_sklearn._core.types import Array, Options
from al_sklearn.estimators._fitting import draw_seeds, fit_seeded
from al_sklearn.estimators._reach import OneInside, unshared
from al_sklearn.estimators._validation import as_rows, check_labels

_ALLOWED = {
    "hessian": ("auto", "full", "kron", "diag"),
    "predictive": ("probit", "mc", "map"),
}
# Weights of the last layer up to which "auto" takes the whole Hessian: its eigenvectors
# are found many times.
_MOST_FULL = 650
# Range of the prior's precision, and how exactly its logarithm is found.
_PRECISIONS = (1e-4, 1e6)
_SETTLED = 0.02
_N_SAMPLES = 20
# Values of the arrays that are made for one block of rows.
_BLOCK_VALUES = 2**22


class LaplaceClassifier(OneInside):
    """A classifier whose last layer is uncertain.

    The Laplace approximation of its posterior.

    The classifier is trained as it is. Its last linear layer is then moved to the most
    probable weights under a Gaussian prior, and around them a Gaussian takes their
    place, whose precision is the curvature of the loss there plus the prior's.
    ``sample_proba`` draws last layers from it: what ``bald`` and the other committee
    measures need, without dropout and without a second training. Far from the labelled
    data the probabilities become less sure.

    Parameters
    ----------
    estimator : classifier
        A network whose probabilities are the softmax of its last linear layer, a
        logistic regression, or a pipeline that ends in one of them; cloned.
    hessian : {"auto", "full", "kron", "diag"}, default="auto"
        Curvature in all weights of the layer, n_classes x (d + 1) of them; its
        Kronecker factors, one for the classes and one for the features; or its diagonal
        alone. ``"auto"``: full up to 650 weights, else Kronecker.
    prior_precision : "marginal_likelihood" or float, default="marginal_likelihood"
        Precision of the prior on every weight: the one under which the labels are most
        probable, or a number. A logistic regression's own is ``1 / C``, or ``2 / C``
        with two classes (its weights are two times as long then).
    predictive : {"probit", "mc", "map"}, default="probit"
        What ``predict_proba`` gives: the integral over the Gaussian by the probit
        approximation, in closed form; the mean of ``n_samples`` samples; or the
        probabilities of the most probable weights alone.
    n_samples : int, default=100
        Samples of ``predictive="mc"``.
    random_state : int, Generator, RandomState or None, default=None
        Fixes the training (each ``random_state`` that is None in the estimator is set)
        and the samples of ``"mc"``.

    Attributes
    ----------
    estimator_ : classifier
        The trained one inside.
    classes_ : array of shape (n_classes,)
        Class labels.
    weights_ : float64 array of shape (n_classes, d + 1)
        Centre of the Gaussian: the most probable last layer and biases (no column of
        them where the classifier has none, ``has_bias_``). Their mean over the classes
        is 0, which changes no probability.
    hessian_ : {"full", "kron", "diag"}
        The curvature used.
    prior_precision_ : float
        The prior's precision.
    log_marginal_likelihood_ : float
        Of the labels trained on, by the same approximation.

    See Also
    --------
    DeepEnsemble, SnapshotEnsemble : Samples of the whole network.

    Notes
    -----
    For the softmax the Hessian of the loss in the weights of the last layer is that of
    Gauss and Newton, Σ (diag(p) - ppᵀ) ⊗ φφᵀ over the labelled rows, φ their embedding
    followed by 1; labels do not enter. Beyond the training ``fit`` costs O(n C² d²) and
    the eigenvectors of C(d + 1) weights for ``"full"``, O(n (d² + C²)) and those of d +
    1 and of C for ``"kron"``.

    Without the move to the mode, a network trained until its loss is 0 would have next
    to no curvature, and a posterior as wide as the prior.

    The probit approximation takes the variance of each difference of two logits, so
    that it is MacKay's for two classes and does not depend on the direction in which
    all logits move together.

    References
    ----------
    Daxberger, Kristiadi, Immer, Eschenhagen, Bauer, Hennig. Laplace Redux: Effortless
    Bayesian Deep Learning. NeurIPS 2021.
    Kristiadi, Hein, Hennig. Being Bayesian, Even Just a Bit, Fixes Overconfidence in
    ReLU Networks. ICML 2020. MacKay. The Evidence Framework Applied to Classification
    Networks. Neural Computation 4(5), 1992. Lu, Ie, Sha. Mean-Field Approximation to
    Gaussian-Softmax Integral with Application to Uncertainty Estimation. 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> laplace = LaplaceClassifier(LogisticRegression(max_iter=500)).fit(X, y)
    >>> laplace.sample_proba(X, n_samples=30, random_state=0).shape
    (30, 150, 3)
    >>> far = X[:1] * 100
    >>> sure = laplace.estimator_.predict_proba(far).max()
    >>> bool(laplace.predict_proba(far).max() < sure)
    True
    """

    def __init__(
        self,
        estimator: Any,
        hessian: str = "auto",
        prior_precision: str | float = "marginal_likelihood",
        predictive: str = "probit",
        n_samples: int = 100,
        random_state: Any = None,
    ):
        self.estimator = estimator
        self.hessian = hessian
        self.prior_precision = prior_precision
        self.predictive = predictive
        self.n_samples = n_samples
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        **fit_params: Any,
    ) -> LaplaceClassifier:
        """Train the classifier, and measure the curvature at what it has learnt.

        Parameters
        ----------
        X : any kind of rows, n of them
        y : labels of shape (n,)
        X_val, y_val : rows and labels, optional
            Validation data of a classifier that takes some, as for early stopping.
        **fit_params
            Handed to the estimator's ``fit``. A ``sample_weight`` weighs the rows in
            the posterior too.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            When the classifier has no last linear layer.
        ValueError
            When its probabilities are not the softmax of that layer, or a parameter is
            none that is allowed.
        """
        self._check_settings()
        X = as_rows(X)
        y = check_labels(y, X, self)
        self.seed_, fit_seed = draw_seeds(self.random_state, 2)
        self.estimator_ = fit_seeded(
            clone(self.estimator),
            X,
            y,
            fit_seed,
            X_val=X_val,
            y_val=y_val,
            only_open=True,
            **fit_params,
        )
        self.classes_ = self.estimator_.classes_
        self._copy_shape(self.estimator_)
        proba, embeddings = unshared(inference.proba_and_embed, self.estimator_, X)
        weights, bias = unshared(inference.last_layer, self.estimator_, X)
        # The mean over the classes moves all logits together; without it the weights
        # are as short as they can be.
        self.has_bias_ = bool(np.any(bias))
        columns = [weights, bias] if self.has_bias_ else [weights]
        self.weights_ = np.column_stack(columns).astype(np.float64)
        self.weights_ -= self.weights_.mean(axis=0)
        features = self._features(embeddings)
        # Whatever stands between layer and probabilities (a temperature, a sigmoid)
        # would make the posterior that of another model.
        _check_softmax(
            softmax(features @ self.weights_.T, axis=1), proba, self.estimator_
        )
        small = "full" if self.weights_.size <= _MOST_FULL else "kron"
        self.hessian_ = small if self.hessian == "auto" else self.hessian
        known = np.isin(y, self.classes_)  # rows of weight 0 may be all of a class
        self._find_posterior(
            features[known],
            np.searchsorted(self.classes_, y[known]),
            _row_weights(fit_params, len(y))[known],
        )
        return self

    def _find_posterior(
        self, features: Array, codes: Array, row_weights: Array
    ) -> None:
        """Move to the mode and measure the curvature there.

        The prior is the one given or the most probable one.
        """

        def evidence(precision: float) -> float:
            self.weights_ = posterior_mode(
                features, codes, self.weights_, precision, row_weights
            )
            logs = log_softmax(features @ self.weights_.T, axis=1)
            self.curvature_ = _CURVATURES[self.hessian_](
                features, np.exp(logs), row_weights
            )
            self.prior_precision_ = float(precision)
            likelihood = np.sum(row_weights * logs[np.arange(len(codes)), codes])
            # log N(weights; 0, 1/precision) and the Gaussian's volume: 2π cancels, and
            # so do eigenvalues of 0.
            volume = np.log1p(self.curvature_.eigenvalues / precision).sum()
            self.log_marginal_likelihood_ = float(
                likelihood - 0.5 * (precision * np.sum(self.weights_**2) + volume)
            )
            return self.log_marginal_likelihood_

        if isinstance(self.prior_precision, str):
            # On a log scale, where the evidence is nearly symmetric around its top.
            bounds = tuple(np.log(_PRECISIONS))
            best = minimize_scalar(
                lambda log: -evidence(np.exp(log)),
                bounds=bounds,
                method="bounded",
                options={"xatol": _SETTLED},
            ).x
            # Once more: the search may have ended beside the best it saw.
            evidence(np.exp(best))
        else:
            evidence(float(self.prior_precision))

    def _check_settings(self) -> None:
        for name, allowed in _ALLOWED.items():
            if getattr(self, name) not in allowed:
                raise unknown_name(name, getattr(self, name), allowed)
        precision = self.prior_precision
        number = isinstance(precision, Real) and not isinstance(precision, bool)
        positive = number and 0 < float(precision) < np.inf
        if precision != "marginal_likelihood" and not positive:
            raise ValueError(
                "prior_precision must be 'marginal_likelihood' or a number above 0, "
                f"got {precision!r}."
            )
        check_count("n_samples", self.n_samples)

    def _features(self, embeddings: Array) -> Array:
        """Return embeddings as float64, followed by the 1 that the biases go with."""
        ones = [np.ones(len(embeddings))] if self.has_bias_ else []
        return np.column_stack([np.asarray(embeddings, dtype=np.float64), *ones])

    def _embedded(self, X: Any) -> Array:
        check_is_fitted(self, "curvature_")
        X = as_rows(X)
        embeddings = unshared(inference.embed, self.estimator_, X)
        if embeddings.shape[1] + self.has_bias_ != self.weights_.shape[1]:
            # Where X itself is embedded nothing has looked at it: the classifier inside
            # says what it expects.
            self.estimator_.predict_proba(X)
        return embeddings

    def _blocks(
        self, embeddings: Array, row_values: int
    ) -> Iterator[tuple[slice, Array]]:
        # Logits of all samples at once would be samples times larger than the answer.
        size = max(1, _BLOCK_VALUES // row_values)
        for start in range(0, len(embeddings), size):
            rows = slice(start, min(start + size, len(embeddings)))
            yield rows, self._features(embeddings[rows])

    def sample_proba(
        self, X: Any, n_samples: int | None = None, random_state: RandomState = None
    ) -> Array:
        """Return the probabilities under last layers drawn from the posterior.

        Parameters
        ----------
        X : any kind of rows, n of them
        n_samples : int, optional
            Last layers drawn, 20 by default; each serves all rows, so that a sample is
            one function.
        random_state : int, Generator, RandomState or None

        Returns
        -------
        float32 array of shape (n_samples, n, n_classes)

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            For fewer than one sample.
        """
        n_samples = _N_SAMPLES if n_samples is None else n_samples
        if n_samples < 1:
            raise ValueError(f"n_samples must be at least 1, got {n_samples}.")
        # Embedded once, for all samples.
        embeddings = self._embedded(X)
        drawn = self._draw(n_samples, as_generator(random_state))
        samples = np.empty(
            (n_samples, len(embeddings), len(self.classes_)), dtype=np.float32
        )
        for rows, features in self._blocks(embeddings, sum(drawn.shape[1:])):
            for sample, weights in zip(samples, drawn, strict=True):
                sample[rows] = softmax(features @ weights.T, axis=1)
        return samples

    def _draw(self, n_samples: int, generator: np.random.Generator) -> Array:
        noise = generator.standard_normal((n_samples, *self.weights_.shape))
        return self.weights_ + self.curvature_.scale(noise, self.prior_precision_)

    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities that ``predictive`` says, (n, n_classes) float32.

        Parameters
        ----------
        X : any kind of rows, n of them

        Returns
        -------
        ndarray of shape (n, n_classes)
        """
        embeddings = self._embedded(X)
        proba = np.empty((len(embeddings), len(self.classes_)), dtype=np.float32)
        if self.predictive == "probit":
            for rows, features in self._blocks(embeddings, self.curvature_.row_values):
                covariance = self.curvature_.logit_covariance(
                    features, self.prior_precision_
                )
                proba[rows] = probit(features @ self.weights_.T, covariance)
            return proba
        drawn = self.weights_[None]
        if self.predictive == "mc":
            drawn = self._draw(self.n_samples, np.random.default_rng(self.seed_))
        for rows, features in self._blocks(embeddings, sum(drawn.shape[1:])):
            samples = (softmax(features @ weights.T, axis=1) for weights in drawn)
            proba[rows] = sum(samples) / len(drawn)
        return proba


def _row_weights(fit_params: Options, n: int) -> Array:
    """Return ``sample_weight``, also as a pipeline's step gets it.

    1 for each row without.
    """
    for name, value in fit_params.items():
        if name.split("__")[-1] == "sample_weight" and value is not None:
            return np.asarray(value, dtype=np.float64)
    return np.ones(n)


def posterior_mode(
    features: Array,
    codes: Array,
    weights: Array,
    precision: float,
    row_weights: Array,
) -> Array:
    """Return the most probable weights of a softmax layer under a Gaussian prior.

    Parameters
    ----------
    features : array of shape (n, D)
    codes : int array of shape (n,)
        Columns of the labels.
    weights : array of shape (C, D)
        Where to begin.
    precision : float
        Of the prior.
    row_weights : array of shape (n,)
        How often each row counts.

    Returns
    -------
    array of shape (C, D)
    """
    rows = np.arange(len(codes))

    def loss(flat: Array) -> tuple[float, Array]:
        current = flat.reshape(weights.shape)
        logs = log_softmax(features @ current.T, axis=1)
        residuals = np.exp(logs)
        value = -row_weights @ logs[rows, codes] + precision / 2 * np.sum(current**2)
        residuals[rows, codes] -= 1
        residuals *= row_weights[:, None]
        return float(value), (residuals.T @ features + precision * current).ravel()

    # Convex: one minimum, wherever it begins.
    options = {"maxiter": 1000, "ftol": 1e-12, "gtol": 1e-6}
    return minimize(
        loss, weights.ravel(), jac=True, method="L-BFGS-B", options=options
    ).x.reshape(weights.shape)


def probit(logits: Array, covariance: Array) -> Array:
    """Return the mean of the softmax of Gaussian logits, approximately.

    1 / Σ_j exp(-(m_i - m_j) / √(1 + π/8 Var(f_i - f_j))), normalised: for two classes
    MacKay's approximation of the logistic-Gaussian integral.

    Parameters
    ----------
    logits : array of shape (n, C)
        Means.
    covariance : array of shape (n, C, C)

    Returns
    -------
    array of shape (n, C)
    """
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    spread = np.maximum(variance[:, :, None] + variance[:, None, :] - 2 * covariance, 0)
    differences = (logits[:, :, None] - logits[:, None, :]) / np.sqrt(
        1 + np.pi / 8 * spread
    )
    # Softmax over j at j = i: 1 / Σ_j exp(-difference), without overflow.
    mean = np.exp(-np.logaddexp.reduce(-differences, axis=2))
    return mean / mean.sum(axis=1, keepdims=True)


class Curvature:
    """Hessian of the loss in the last layer's weights (C, D), as eigenvalues.

    ``scale(noise, precision)`` turns standard normal draws (S, C, D) into draws from
    the posterior, N(0, (Hessian + precision)⁻¹); ``logit_covariance(features,
    precision)`` is the covariance (n, C, C) of the logits of each row. ``row_values``
    is how many values a row costs there.
    """

    eigenvalues: Array
    row_values: int


class Full(Curvature):
    """The whole Hessian Σ (diag(p) - ppᵀ) ⊗ φφᵀ, in its eigenvectors."""

    def __init__(self, features: Array, proba: Array, row_weights: Array):
        n_classes, d = proba.shape[1], features.shape[1]
        self.shape = n_classes, d
        hessian = np.empty((n_classes, d, n_classes, d))
        for i in range(n_classes):
            for j in range(i + 1):
                weight = row_weights * proba[:, i] * ((i == j) - proba[:, j])
                block = (features * weight[:, None]).T @ features
                hessian[i, :, j] = hessian[j, :, i] = block
        flat = hessian.reshape(n_classes * d, n_classes * d)
        values, self.vectors = np.linalg.eigh(flat)
        self.eigenvalues = np.maximum(values, 0)
        self.row_values = n_classes * (n_classes * d + n_classes)

    def scale(self, noise: Array, precision: float) -> Array:
        flat = noise.reshape(len(noise), -1) / np.sqrt(self.eigenvalues + precision)
        return (flat @ self.vectors.T).reshape(noise.shape)

    def logit_covariance(self, features: Array, precision: float) -> Array:
        root = self.vectors / np.sqrt(self.eigenvalues + precision)
        n_classes, d = self.shape
        along = np.stack(
            [features @ block for block in root.reshape(n_classes, d, -1)], axis=1
        )
        return along @ along.transpose(0, 2, 1)


class Kron(Curvature):
    """Two factors, mean (diag(p) - ppᵀ) and Σ φφᵀ, each in its eigenvectors."""

    def __init__(self, features: Array, proba: Array, row_weights: Array):
        weighted = proba * (row_weights / row_weights.sum())[:, None]
        classes = np.diag(weighted.sum(axis=0)) - weighted.T @ proba
        of_classes, self.class_vectors = np.linalg.eigh(classes)
        of_features, self.feature_vectors = np.linalg.eigh(
            (features * row_weights[:, None]).T @ features
        )
        self.grid = np.outer(np.maximum(of_classes, 0), np.maximum(of_features, 0))
        self.eigenvalues = self.grid.ravel()
        self.row_values = features.shape[1] + proba.shape[1] ** 2

    def scale(self, noise: Array, precision: float) -> Array:
        return (
            self.class_vectors
            @ (noise / np.sqrt(self.grid + precision))
            @ self.feature_vectors.T
        )

    def logit_covariance(self, features: Array, precision: float) -> Array:
        variances = (features @ self.feature_vectors) ** 2 @ (
            1 / (self.grid + precision)
        ).T
        return (self.class_vectors * variances[:, None, :]) @ self.class_vectors.T


class Diagonal(Curvature):
    """The diagonal Σ p(1 - p) φ² alone."""

    def __init__(self, features: Array, proba: Array, row_weights: Array):
        self.diagonal = (row_weights[:, None] * proba * (1 - proba)).T @ features**2
        self.eigenvalues = self.diagonal.ravel()
        self.row_values = features.shape[1] + proba.shape[1] ** 2

    def scale(self, noise: Array, precision: float) -> Array:
        return noise / np.sqrt(self.diagonal + precision)

    def logit_covariance(self, features: Array, precision: float) -> Array:
        variances = features**2 @ (1 / (self.diagonal + precision)).T
        return variances[:, :, None] * np.eye(len(self.diagonal))


_CURVATURES: Options = {"full": Full, "kron": Kron, "diag": Diagonal}


def _check_softmax(ours: Array, theirs: Array, estimator: Any) -> None:
    """Raise unless the probabilities are those of the last layer alone.

    Low precision in arithmetic is allowed for.
    """
    if ours.shape != theirs.shape or np.abs(ours - theirs).max() > 2e-2:
        raise ValueError(
            f"The probabilities of {type(estimator).__name__} are not the softmax of "
            "its last linear layer on its "
            "embeddings, so the Laplace approximation of that layer does not apply; "
            "use DeepEnsemble or "
            "SnapshotEnsemble."
        )
