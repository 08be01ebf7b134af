"""How often perturbed passes contradict the clean prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from al_sklearn._core.types import Bools
from al_sklearn.strategies._engine.arrays import check

# Candidates a pick that k-means is to have, where less agreement gives them.
_ENOUGH = 25


def disagreement(samples: Any, proba: Any) -> Any:
    """Share of the samples that disagree with the clean prediction [1]_.

    A sample disagrees when its most likely class is another one.

    Parameters
    ----------
    samples : array or tensor of shape (T, n, C)
        Class probabilities of T perturbed passes.
    proba : array or tensor of shape (n, C)
        Those of the clean pass.

    Returns
    -------
    utilities : array or tensor of shape (n,)
        From 0 to 1. Of classes that tie, the first counts.

    Raises
    ------
    ValueError
        For NaN or shapes that do not fit.

    References
    ----------
    .. [1] S. R. Gupte, J. Aklilu, J. J. Nirschl and S. Yeung-Levy. Revisiting active
           learning in the era of vision
       foundation models. TMLR 2024.

    Examples
    --------
    >>> disagreement([[[0.9, 0.1]], [[0.2, 0.8]]], [[0.6, 0.4]])
    array([0.5])
    """
    samples, proba = check(samples, 3, "samples"), check(proba, 2, "proba")
    if tuple(samples.shape[1:]) != tuple(proba.shape):
        raise ValueError(
            f"samples {tuple(samples.shape)} do not fit proba {tuple(proba.shape)}"
        )
    if bool((samples != samples).any()) or bool((proba != proba).any()):
        raise ValueError("The probabilities contain NaN.")
    differs = samples.argmax(-1) != proba.argmax(-1)
    return (
        differs.double().mean(0) if hasattr(differs, "double") else differs.mean(axis=0)
    )


def disagreeing(shares: ArrayLike, n_instances: int, *, n_samples: int) -> Bools:
    """Which points' passes disagree often enough to be candidates [1]_.

    More than half of the passes must; while there are fewer than 25 candidates a pick,
    one pass less is enough, down to a single one.

    Parameters
    ----------
    shares : array-like of shape (n,)
        Those of :func:`disagreement`.
    n_instances : int
        The batch.
    n_samples : int
        How many passes the shares are of.

    Returns
    -------
    candidates : bool array of shape (n,)
        For :func:`~al_sklearn.strategies.selectors.candidates_kmeans`.

    References
    ----------
    .. [1] S. R. Gupte, J. Aklilu, J. J. Nirschl and S. Yeung-Levy. Revisiting active
           learning in the era of vision
       foundation models. TMLR 2024.

    Examples
    --------
    >>> disagreeing([1.0, 1 / 3, 0.0], 1, n_samples=3)
    array([ True,  True, False])
    """
    # Shares are counts over n_samples, up to rounding.
    counts = np.rint(np.asarray(shares, dtype=np.float64) * n_samples)
    threshold = n_samples // 2
    while threshold > 0 and np.count_nonzero(counts > threshold) < (
        _ENOUGH * n_instances
    ):
        threshold -= 1
    return counts > threshold
