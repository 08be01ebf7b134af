"""ALFA-Mix: how little of another class's features, mixed in, flips a prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from al_sklearn._core.checks import renamed
from al_sklearn._core.types import Bools, Floats
from al_sklearn.exceptions import ParameterError
from al_sklearn.strategies._engine.distances import as_rows, tile_rows, tiles

_SAME = (
    2.0**-20
)  # features that differ by a smaller share are equal: embeddings are float32
# The authors' bound is 0.2 in the norm of d features of the same size each, and grows
# by as much until there are candidates enough, five times at most.
_STEP = 0.2
_MOST_STEPS = 5


@renamed(embeddings="features")
def class_means(features: Any, labels: ArrayLike) -> Floats:
    """Mean embedding of every class that is labelled: what ALFA-Mix mixes in.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (l, d)
    labels : array-like of shape (l,)
        Of any type.

    Returns
    -------
    means : ndarray of float64, shape (K, d)
        In the order of the sorted labels.

    Raises
    ------
    ValueError
        For no rows at all, or numbers of rows that differ.
    """
    L, y = as_rows(features, "features"), np.asarray(labels)
    if len(L) == 0 or len(L) != len(y):
        raise ValueError(
            f"Class means need labelled rows and a label for each, got {len(L)} rows "
            f"and {len(y)} labels."
        )
    rows = (
        L.cpu().double().numpy()
        if hasattr(L, "cpu")
        else np.asarray(L, dtype=np.float64)
    )
    return np.stack([rows[y == label].mean(axis=0) for label in np.unique(y)])


@renamed(embeddings="features")
def flip_distance(
    features: Any, weights: ArrayLike, bias: ArrayLike, anchors: ArrayLike
) -> Floats:
    """Least ε for which mixing in an anchor's features flips the prediction.

    The prediction is that of a linear last layer, and ε the share of the anchor's
    features.

    Features z are mixed with those of an anchor z* as (1 - α) z + α z*, each feature
    with its own share. The shares are the best to first order under ‖α‖ <= ε: α = ε ‖z*
    - z‖ ĝ / (z* - z), with ĝ the direction of the gradient of the loss of the predicted
    class [1]_.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (n, d)
        Input of the last layer.
    weights : array of shape (C, d)
    bias : array of shape (C,)
    anchors : array of shape (K, d)
        Mean features of the classes: :func:`class_means`.

    Returns
    -------
    distances : ndarray of float64, shape (n,)
        From 0 to infinity, where no anchor ever flips it; the minimum over the anchors.

    Raises
    ------
    ValueError
        For NaN or infinite values or shapes that do not fit.

    Notes
    -----
    α (z* - z) is ε ‖z* - z‖ ĝ without any division, except that a feature in which z*
    equals z (up to float32's rounding) cannot change: there the definition divides by
    zero, and here the feature stays what it is. As the layer is linear the logits move
    along a line, so that the least ε is solved for instead of searched.

    References
    ----------
    .. [1] A. Parvaneh, E. Abbasnejad, D. Teney, R. Haffari, A. van den Hengel and J. Q.
           Shi. Active learning by feature
       mixing. CVPR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> flip_distance([[1.0, 0.0]], np.eye(2), [0.0, 0.0], [[0.0, 1.0]]).round(3)
    array([0.5])
    """
    Z = as_rows(features, "features")
    W, b = np.asarray(weights, dtype=np.float64), np.asarray(bias, dtype=np.float64)
    A = np.asarray(anchors, dtype=np.float64)
    if (
        W.ndim != 2
        or W.shape[1] != Z.shape[1]
        or b.shape != (len(W),)
        or A.ndim != 2
        or A.shape[1] != Z.shape[1]
    ):
        raise ValueError(
            f"weights {W.shape}, bias {b.shape} and anchors {A.shape} do not fit "
            f"features {tuple(Z.shape)}"
        )
    if not (np.isfinite(W).all() and np.isfinite(b).all() and np.isfinite(A).all()):
        raise ValueError("weights, bias or anchors contain NaN or infinity")
    result = np.empty(len(Z))
    for tile in tiles(len(Z), tile_rows(Z.shape[1])):
        part = Z[tile]
        z = (
            part.cpu().double().numpy()
            if hasattr(part, "cpu")
            else np.asarray(part, dtype=np.float64)
        )
        result[tile] = _flips(z, W, b, A)
    return result


def _flips(
    z: Floats,
    W: Floats,
    b: Floats,
    A: Floats,
) -> Floats:
    logits = z @ W.T + b
    if not np.isfinite(logits).all():
        raise ValueError("the embeddings contain NaN, infinity or values too large")
    rows = np.arange(len(z))
    predicted = logits.argmax(axis=1)
    gap = logits[rows, predicted][:, None] - logits
    # p - onehot(ŷ) up to its size, which only its direction is needed of: a model so
    # sure that all other probabilities underflow still has one.
    others = np.where(np.arange(len(b)) == predicted[:, None], np.inf, gap)
    residual = (
        np.exp(others.min(axis=1, keepdims=True) - others)
        if len(b) > 1
        else np.zeros_like(gap)
    )
    residual[rows, predicted] = -residual.sum(axis=1)
    direction = residual @ W
    size = np.sqrt(np.square(direction).sum(axis=1, keepdims=True))
    direction /= np.where(size == 0, 1, size)
    speed = direction @ W.T
    least = np.full(len(z), np.inf)
    for anchor in A:
        difference = anchor - z
        # A mean of equal values is equal to them only up to rounding.
        same = np.abs(difference) <= _SAME * np.maximum(np.abs(anchor), np.abs(z))
        rate = speed
        touched = np.flatnonzero(same.any(axis=1))
        if len(touched):
            columns = np.flatnonzero(same[touched].any(axis=0))
            stuck = np.where(
                same[np.ix_(touched, columns)], direction[np.ix_(touched, columns)], 0
            )
            rate = speed.copy()
            rate[touched] -= stuck @ W[:, columns].T
            rate[touched[same[touched].all(axis=1)]] = 0
        rate = np.sqrt(np.square(difference).sum(axis=1))[:, None] * (
            rate - rate[rows, predicted][:, None]
        )
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            steps = np.where(rate > 0, gap / rate, np.inf)
        steps[rows, predicted] = np.inf
        np.minimum(least, steps.min(axis=1), out=least)
    return least


@renamed(n_wanted="n_instances")
def flipped(
    distances: Floats,
    n_instances: int,
    cap: float | None = None,
    *,
    n_features: int | None = None,
) -> Bools:
    """Which predictions flip below a bound on the mixing.

    Parameters
    ----------
    distances : ndarray of shape (n,)
        Those of :func:`flip_distance`.
    n_instances : int
        The batch: there are to be more candidates than that.
    cap : float, optional
        The bound; by default the least of 0.2/√d, 0.4/√d … 1/√d that gives more
        candidates than the batch, or the last of them, as the authors have it.
    n_features : int, optional
        d, which the default bound needs.

    Returns
    -------
    candidates : bool array of shape (n,)
        For :func:`~al_sklearn.strategies.selectors.candidates_kmeans`.

    Raises
    ------
    ValueError
        When neither `cap` nor `n_features` is given.

    Examples
    --------
    >>> flipped(np.array([0.02, 0.09, 0.3]), 1, n_features=100)
    array([ True,  True, False])
    """
    if cap is not None:
        return distances < cap
    if n_features is None or n_features < 1:
        raise ParameterError(
            "The bound on the mixing is 0.2/√d: flipped needs n_features=, the number "
            f"of features d, or a bound of your own as cap=; got {n_features!r}.",
            "n_features",
        )
    for step in range(1, _MOST_STEPS + 1):
        candidates = distances < step * _STEP / np.sqrt(n_features)
        # More, not as many: k-means then has something to choose from.
        if np.count_nonzero(candidates) > n_instances:
            break
    return candidates
