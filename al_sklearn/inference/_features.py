"""How any classifier sees its rows: embeddings, gradients, its last layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from al_sklearn._core.types import Array
from al_sklearn.inference._adapter import TwoArrays, fitted_adapter
from al_sklearn.inference._checks import check_each, check_embeddings, check_proba
from al_sklearn.inference._predictions import predict_proba
from al_sklearn.inference._sharing import of_rows, once
from al_sklearn.rows import by_chunks, n_rows, stays_mapped, take_rows

# Rows run through a net to find the linear layer that makes its output: more than one,
# which some networks squeeze away.
_FEW_ROWS = 8


def embed(classifier: Any, X: Any, layer: str | None = None) -> Array:
    """Features of every row, as the classifier sees it.

    Works without a single label where X itself is the feature.

    Parameters
    ----------
    classifier : estimator, Pipeline, ActiveLearner, Committee or None
        A net gives the input of the linear layer that makes its output, or the
        flattened output of ``layer``. A pipeline gives its transform (and then its
        net's embedding); a Committee of embedding members theirs, joined; anything with
        an ``embed`` method what that returns; everything else X, flattened.
    X : any kind of rows, n of them
    layer : str, optional
        Name of a layer, as ``module_.named_modules()`` says it, or ``"output"``, what
        the network gives; nets only.

    Returns
    -------
    embeddings : ndarray of shape (n, d)

    Raises
    ------
    CapabilityError
        When no linear layer makes the network's output (behind it stands a residual
        connection, a convolution, or a product with weights that are no
        ``nn.Linear``'s), or ``layer`` is asked of no network.
    ValueError
        When there is no layer of that name, it does not run, the net's iterator does
        not give every row once, or there is NaN in the embeddings.
    """
    adapter = fitted_adapter(classifier)
    if adapter.gives("embed"):
        return of_rows("embed", adapter, X, layer, check=check_embeddings)

    def piece(rows: Any) -> Any:
        return adapter.embed(rows, layer)

    def compute() -> Array:
        # X itself is the answer: a matrix in a file is looked at where it lies.
        is_there = stays_mapped(X)
        embeddings = piece(np.asarray(X)) if is_there else by_chunks(piece, X)
        return check_embeddings(embeddings, n_rows(X), adapter.estimator)

    return once("embed", adapter.estimator, X, (layer,), compute)


def proba_and_embed(classifier: Any, X: Any, layer: str | None = None) -> TwoArrays:
    """Class probabilities and embeddings of every row.

    A net gives both in one forward pass.

    Parameters
    ----------
    classifier : whatever has ``predict_proba`` and ``embed``
    X : any kind of rows, n of them
    layer : str, optional
        As in :func:`embed`.

    Returns
    -------
    proba : ndarray of shape (n, n_classes)
    embeddings : ndarray of shape (n, d)
    """
    adapter = fitted_adapter(classifier)
    estimator = adapter.estimator
    if not adapter.gives("proba_and_embed"):
        return predict_proba(estimator, X), embed(estimator, X, layer)
    both = of_rows("proba_and_embed", adapter, X, layer, check=_check_both)
    # Whoever asks for one of the two in the same query has it already.
    proba = once("predict_proba", estimator, X, (), lambda: both[0])
    return proba, once("embed", estimator, X, (layer,), lambda: both[1])


def _check_both(both: tuple[Any, Any], n: int, estimator: Any) -> TwoArrays:
    proba, embeddings = both
    return check_proba(proba, n, estimator), check_embeddings(embeddings, n, estimator)


def gradient_factors(classifier: Any, X: Any, layer: str | None = None) -> TwoArrays:
    """Residuals and embeddings, whose outer product is a gradient.

    It is the gradient of the last layer for the predicted class.

    Parameters
    ----------
    classifier : whatever has ``predict_proba`` and ``embed``
    X : any kind of rows, n of them
    layer : str, optional
        As in :func:`embed`.

    Returns
    -------
    residuals : ndarray of shape (n, n_classes)
        one-hot(predicted class) - probabilities.
    embeddings : ndarray of shape (n, d)
    """
    adapter = fitted_adapter(classifier)
    estimator = adapter.estimator

    def compute() -> TwoArrays:
        if adapter.gives("gradient_factors"):
            residuals, embeddings = adapter.gradient_factors(X)
            return np.asarray(residuals), np.asarray(embeddings)
        proba, embeddings = proba_and_embed(estimator, X, layer)
        residuals = -proba
        residuals[np.arange(len(proba)), proba.argmax(axis=1)] += 1
        return residuals, embeddings

    return once("gradient_factors", estimator, X, (layer,), compute)


def last_layer(classifier: Any, X: Any) -> TwoArrays:
    """Weights and biases of the linear layer that turns embeddings into logits.

    Parameters
    ----------
    classifier : estimator with a linear last layer
        A net, logistic regression, a Pipeline that ends in one, or anything with
        ``last_layer``.
    X : any kind of rows
        A few are run to find the linear layer that makes a net's output.

    Returns
    -------
    weights : ndarray of shape (n_classes, d)
        The probabilities are the softmax of ``embed(classifier, X) @ weights.T +
        bias``.
    bias : ndarray of shape (n_classes,)

    Raises
    ------
    CapabilityError
        When the classifier has none.
    """
    adapter = fitted_adapter(classifier)
    # A copy: what a file maps may not be written to, which torch warns of.
    few = take_rows(X, np.arange(min(_FEW_ROWS, n_rows(X))))
    weights, bias = adapter.last_layer(few)
    return np.asarray(weights), np.asarray(bias)


def input_gradient(classifier: Any, X: Any) -> Array:
    """Size of the gradient of the predicted class's loss in the network's input.

    It is Σ|∂CE(x, ŷ)/∂x|.

    The input is that of the network itself: images scaled and normalised as it was
    trained. Each row's is its own, whatever shares its batch.

    Parameters
    ----------
    classifier : net, a Pipeline that ends in one, or anything with ``input_gradient``
    X : any kind of rows, n of them

    Returns
    -------
    sizes : ndarray of shape (n,)

    Raises
    ------
    CapabilityError
        When the classifier has no gradients.
    """
    adapter = fitted_adapter(classifier)
    return of_rows("input_gradient", adapter, X, check=check_each)


def network_inputs(classifier: Any, X: Any) -> Iterator[Any]:
    """Yield batches of X as a net's network is given them, in the order of X.

    Parameters
    ----------
    classifier : net, or anything with ``network_inputs``
        Fitted.
    X : any kind of rows

    Yields
    ------
    tensor, or a dict of them

    Raises
    ------
    CapabilityError
        When the classifier is no net.
    """
    return fitted_adapter(classifier).network_inputs(X)
