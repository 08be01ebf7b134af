"""Predictions of any classifier: probabilities, posterior samples, losses."""

from __future__ import annotations

from typing import Any

from al_sklearn._core.random import RandomState, as_seed
from al_sklearn._core.types import Array
from al_sklearn.inference._adapter import adapter_of, fitted_adapter
from al_sklearn.inference._checks import check_each, check_proba
from al_sklearn.inference._masks import FeatureMasks
from al_sklearn.inference._sharing import of_rows, once, one_seed
from al_sklearn.rows import by_chunks, n_rows


def predict_proba(classifier: Any, X: Any) -> Array:
    """Class probabilities of every row.

    Parameters
    ----------
    classifier : estimator, Pipeline, ActiveLearner or Committee
        Fitted.
    X : any kind of rows, n of them

    Returns
    -------
    proba : ndarray of shape (n, n_classes)
        Rows sum to 1; columns follow ``classes_``.

    Raises
    ------
    NotFittedError
        When the classifier is not fitted.
    CapabilityError
        When it has no ``predict_proba``.
    ValueError
        When X or the probabilities contain NaN, or the rows do not sum to 1.
    """
    adapter = fitted_adapter(classifier)
    return of_rows("predict_proba", adapter, X, check=check_proba)


def sample_proba(
    classifier: Any,
    X: Any,
    n_samples: int | None = None,
    random_state: RandomState = None,
) -> Array:
    """Class probabilities of every row under several posterior samples.

    The samples are of the classifier.

    Nets with dropout are sampled by MC dropout (Gal & Ghahramani, ICML 2016): only the
    dropout modules are switched on, one mask per sample is shared by the whole pool, so
    that a sample is one function and batches do not matter. A Committee, a random
    forest, bagging, voting, and any estimator with a ``sample_proba`` method of its own
    give their members.

    Parameters
    ----------
    classifier : estimator with posterior samples
        A net with dropout, Committee, forest, bagging, voting, or anything with
        ``sample_proba``.
    X : any kind of rows, n of them
    n_samples : int, optional
        Number of samples T. For MC dropout 20 by default. For a finite ensemble all
        members by default; a smaller number draws that many of them without
        replacement, and no more can be had than there are.
    random_state : int, Generator or None

    Returns
    -------
    samples : ndarray of shape (T, n, n_classes)

    Raises
    ------
    CapabilityError
        When the classifier has no source of samples.
    """
    if n_samples is not None and n_samples < 1:
        raise ValueError(f"n_samples must be at least 1, got {n_samples}.")
    adapter = fitted_adapter(classifier)
    estimator = adapter.estimator

    def compute() -> Array:
        # One seed for all pieces of X.
        seed = one_seed(estimator, n_samples, as_seed(random_state))

        def piece(rows: Any) -> Any:
            return adapter.sample_proba(rows, n_samples, seed)

        samples = by_chunks(piece, X, axis=1)
        return check_proba(samples, n_rows(X), estimator)

    # The random state is not in the key: measures that share a query share its samples.
    return once("sample_proba", estimator, X, (n_samples,), compute)


def sample_weights(classifier: Any, n_samples: int | None = None) -> Array | None:
    """How much each posterior sample of :func:`sample_proba` counts.

    Parameters
    ----------
    classifier : estimator with posterior samples
    n_samples : int, optional
        As given there.

    Returns
    -------
    weights : ndarray of shape (T,) or None
        Of the members of a ``VotingClassifier`` with weights; they sum to 1. None where
        all samples count the same.
    """
    return fitted_adapter(classifier).sample_weights(n_samples)


def feature_dropout(
    classifier: Any,
    X: Any,
    n_samples: int = 3,
    p: float = 0.75,
    random_state: RandomState = None,
) -> Array:
    """Class probabilities of every row with part of its embedding dropped.

    This is done several times.

    Every value of the embedding is set to 0 with probability ``p``, anew for each row
    and sample, and the others are divided by ``1 - p``. A net's part before the last
    linear layer runs once.

    Parameters
    ----------
    classifier : net, Pipeline, or an estimator whose embedding is X itself
    X : any kind of rows, n of them
    n_samples : int, default=3
    p : float, default=0.75
        Probability of dropping, 0 <= p < 1.
    random_state : int, Generator or None

    Returns
    -------
    samples : ndarray of shape (n_samples, n, n_classes)

    Raises
    ------
    CapabilityError
        When the classifier does not show how it predicts from its embedding.
    ValueError
        For ``p`` outside 0 … 1 or fewer than one sample.
    """
    if not 0 <= p < 1:
        raise ValueError(f"p must be a probability below 1, got {p!r}.")
    if n_samples < 1:
        raise ValueError(f"n_samples must be at least 1, got {n_samples}.")
    adapter = fitted_adapter(classifier)

    def compute() -> Array:
        masks = FeatureMasks(p, as_seed(random_state))
        begin = 0

        def piece(rows: Any) -> Array:
            nonlocal begin
            # Masks belong to rows of X, not of the piece.
            first = begin
            begin = begin + n_rows(rows)

            def factors(sample: int, start: int, stop: int, d: int) -> Array:
                return masks.factors(sample, first + start, first + stop, d)

            return adapter.feature_dropout(rows, n_samples, factors)

        samples = by_chunks(piece, X, axis=1)
        return check_proba(samples, n_rows(X), adapter.estimator)

    options = (n_samples, p)
    return once("feature_dropout", adapter.estimator, X, options, compute)


def predict_loss(classifier: Any, X: Any) -> Array:
    """Loss of every row, (n,), as predicted by a loss-prediction head.

    The estimator has been trained with that head.

    Parameters
    ----------
    classifier : anything with ``predict_loss``, or a Pipeline that ends in it
    X : any kind of rows, n of them

    Returns
    -------
    losses : ndarray of shape (n,)

    Raises
    ------
    CapabilityError
        When the estimator has no ``predict_loss`` method.
    ValueError
        When it does not give one number a row.
    """
    adapter = adapter_of(classifier)
    if adapter.gives("predict_loss"):
        # What it can never give is said before what it lacks today.
        adapter.check_fitted()
    return of_rows("predict_loss", adapter, X, check=check_each)
