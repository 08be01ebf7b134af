"""Probabilities made honest by one number: temperature scaling."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from al_sklearn import inference
from al_sklearn._core.random import RandomState
from al_sklearn._core.types import Array
from al_sklearn.estimators._fitting import draw_seeds, fit_seeded
from al_sklearn.estimators._reach import OneInside, unshared
from al_sklearn.estimators._validation import (
    Part,
    as_rows,
    check_held_out,
    check_labels,
    make_parts,
)
from al_sklearn.strategies.measures import fit_temperature


class TemperatureScaling(OneInside):
    """Divide a classifier's logits by the best temperature on held-out labels.

    It is the one under which those labels are most probable.

    Predictions stay as they are; only how sure they are changes. The held-out labels
    are part of those given, and so of the labelling budget.

    Parameters
    ----------
    estimator : classifier with ``predict_proba``
        A network, a pipeline, an ensemble, or any scikit-learn classifier; cloned.
    validation : float or int, default=0.2
        A share, stratified: ``estimator_`` learns from the other rows alone, in one
        training. Or a number of folds: each is predicted by a classifier trained on the
        others, the temperature is fitted on all of them together, and ``estimator_``
        learns from all rows: so many trainings more, and no label lost. Every class
        keeps a row to learn from. ``fit(…, X_val=, y_val=)`` goes before it.
    random_state : int, Generator, RandomState or None, default=None
        Fixes the split and the trainings; each ``random_state`` that is None in the
        estimator is set.

    Attributes
    ----------
    temperature_ : float
        T: above 1 the classifier was too sure. It lies within 0.05 … 20.
    estimator_ : classifier
        The fitted one inside.
    classes_ : array of shape (n_classes,)
        Class labels.
    n_labelled_ : int
        Labels used, those of a validation set of its own among them.
    n_validation_ : int
        Labels that the temperature was fitted on.

    See Also
    --------
    sklearn.calibration.CalibratedClassifierCV : ``method="temperature"`` is the same
        for scikit-learn's classifiers, beside other methods; it knows neither lazy
        image data nor ``sample_proba`` and ``embed``.

    Notes
    -----
    Probabilities to the power 1/T, normalised, are the softmax of logits divided by T,
    so that nothing but ``predict_proba`` is asked of the classifier. ``sample_proba``
    scales every posterior sample by the temperature of their mean. ``embed`` gives the
    features inside.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger. On Calibration of Modern Neural Networks. ICML 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.naive_bayes import GaussianNB
    >>> X, y = load_digits(return_X_y=True)
    >>> scaled = TemperatureScaling(GaussianNB(var_smoothing=1e-3), random_state=0)
    >>> scaled = scaled.fit(X[:600], y[:600])
    >>> scaled.temperature_ > 2  # naive Bayes is much too sure
    True
    """

    def __init__(
        self, estimator: Any, validation: float | int = 0.2, random_state: Any = None
    ):
        self.estimator = estimator
        self.validation = validation
        self.random_state = random_state

    def fit(
        self, X: Any, y: Any = None, X_val: Any = None, y_val: Any = None
    ) -> TemperatureScaling:
        """Train, and fit the temperature on labels that were held out.

        Parameters
        ----------
        X : any kind of rows, n of them
        y : labels of shape (n,)
        X_val, y_val : rows and labels, optional
            Held-out rows of one's own; ``estimator_`` then learns from all of X. Their
            labels count in the budget.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            When the estimator has no ``predict_proba``.
        ValueError
            When no row can be held out, or the held-out labels are of classes that the
            training rows lack.
        """
        self._check_gives_proba()
        check_held_out(X_val, y_val)
        X = as_rows(X)
        y = check_labels(y, X, self)
        # The split has a seed of its own: it must not move the trainings' numbers.
        split_seed, seed = draw_seeds(self.random_state, 2)

        def trained(rows: Any, labels: Array) -> Any:
            # A validation set of one's own serves early stopping, too.
            return fit_seeded(
                clone(self.estimator),
                rows,
                labels,
                seed,
                X_val=X_val,
                y_val=y_val,
                only_open=True,
            )

        if X_val is None:
            parts = make_parts(X, y, self.validation, split_seed)
        else:
            parts = iter([Part(X, y, X_val, check_labels(y_val, X_val, self))])
        held_out = []
        for part in parts:
            self.estimator_ = trained(part.X, part.y)
            held_out.append(_log_proba(self.estimator_, part.X_val, part.y_val))
        if len(held_out) > 1:
            # Folds lose no label: the one that predicts learns from all.
            self.estimator_ = trained(X, y)
        self.n_validation_ = sum(len(logits) for logits, _ in held_out)
        self.n_labelled_ = len(y) if X_val is None else len(y) + self.n_validation_
        self.temperature_ = fit_temperature(
            *(np.concatenate(part) for part in zip(*held_out, strict=True))
        )
        self.classes_ = self.estimator_.classes_
        self._copy_shape(self.estimator_)
        return self

    def predict_proba(self, X: Any) -> Array:
        """Return calibrated probabilities, (n, n_classes)."""
        check_is_fitted(self, "temperature_")
        return scale_proba(
            unshared(inference.predict_proba, self.estimator_, X), self.temperature_
        )

    def predict(self, X: Any) -> Array:
        """Return the labels that the classifier inside predicts, (n,)."""
        check_is_fitted(self, "temperature_")
        return self.estimator_.predict(X)

    def sample_proba(
        self, X: Any, n_samples: int | None = None, random_state: RandomState = None
    ) -> Array:
        """Return the inner classifier's posterior samples, scaled.

        Each sample is scaled by the temperature.

        Parameters
        ----------
        X, n_samples, random_state
            As in :func:`al_sklearn.inference.sample_proba`.

        Returns
        -------
        ndarray of shape (n_samples, n, n_classes)

        Raises
        ------
        TypeError
            When the classifier inside is no source of samples.
        """
        check_is_fitted(self, "temperature_")
        samples = unshared(
            inference.sample_proba, self.estimator_, X, n_samples, random_state
        )
        return scale_proba(samples, self.temperature_)


def scale_proba(proba: Array, temperature: float) -> Array:
    """Return probabilities under another temperature: to the power 1/T, normalised.

    Parameters
    ----------
    proba : array of shape (…, n_classes)
    temperature : float

    Returns
    -------
    array of the same shape and type
    """
    return softmax(_logs(proba) / temperature, axis=-1).astype(proba.dtype, copy=False)


def _logs(proba: Array) -> Array:
    # A probability that was rounded to 0 was some number below the smallest one.
    return np.log(np.maximum(proba, np.finfo(proba.dtype).tiny), dtype=np.float64)


def _log_proba(estimator: Any, X: Any, y: Array) -> tuple[Array, Array]:
    """Return the logarithms of the probabilities, and the columns of the labels."""
    unknown = np.setdiff1d(y, estimator.classes_)
    if len(unknown):
        raise ValueError(
            f"y_val holds {unknown[:5].tolist()}, of which no row is trained on."
        )
    return _logs(inference.predict_proba(estimator, X)), np.searchsorted(
        estimator.classes_, y
    )
