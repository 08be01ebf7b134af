"""Measures: arrays in, one utility per candidate out, higher = ask first.

Each takes class probabilities ``(n, C)``, or posterior samples ``(T, n, C)``, as an ndarray or a torch tensor on any
device, and gives ``(n,)`` of the same kind. Values are read in blocks that stay in cache, sums are made in float64
where they decide, and ``0 · log 0 = 0``. The caller's array is never written to.

Examples
--------
>>> import numpy as np
>>> proba = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.4, 0.3, 0.3]])
>>> least_confidence(proba)
array([0. , 0.5, 0.6])
>>> margin(proba)
array([0. , 1. , 0.9])
>>> entropy(proba).round(3)
array([0.   , 0.693, 1.089])
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from al_sklearn._errors import unknown_name
from al_sklearn.strategies._alfa_mix import flip_distance
from al_sklearn.strategies._density import density_weighted, information_density
from al_sklearn.strategies._drop_query import disagreement
from al_sklearn.strategies._measures_losses import input_gradient, true_loss

__all__ = [
    "bald",
    "density_weighted",
    "disagreement",
    "entropy",
    "flip_distance",
    "get_measure",
    "information_density",
    "input_gradient",
    "least_confidence",
    "margin",
    "max_entropy",
    "ratio",
    "true_loss",
]

# Values per block: with a copy and a product of it, these stay in a 1 MB second-level cache.
_BLOCK_VALUES = 2**16


def _is_tensor(array: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def _check(values: Any, ndim: int, what: str) -> Any:
    """Return an ndarray or tensor of floats with ``ndim`` axes and at least one class."""
    if not _is_tensor(values):
        values = np.asarray(values)
    if values.ndim != ndim:
        raise ValueError(f"{what} must have {ndim} axes, got shape {tuple(values.shape)}.")
    if values.shape[-1] == 0 or (ndim == 3 and values.shape[0] == 0):
        raise ValueError(f"{what} must not be empty, got shape {tuple(values.shape)}.")
    if not _is_tensor(values) and values.dtype.kind != "f":
        values = values.astype(np.float64)
    if not _is_tensor(values) and values.dtype.itemsize < 4:
        values = values.astype(np.float32)
    if _is_tensor(values) and (not values.is_floating_point() or values.element_size() < 4):
        values = values.float()
    return values


def _check_finite(utilities: Any) -> Any:
    """Refuse NaN: every measure turns a NaN among the probabilities into one."""
    if bool((utilities != utilities).any()):
        first = int((utilities != utilities).nonzero()[0][0])
        raise ValueError(f"The probabilities contain NaN, first in row {first}.")
    return utilities


def _rowwise(proba: Any, measure: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Apply ``measure`` to blocks of rows that stay in cache."""
    n, n_classes = proba.shape
    rows = max(_BLOCK_VALUES // n_classes, 1)
    out = np.empty(n, dtype=proba.dtype)
    for start in range(0, n, rows):
        out[start : start + rows] = measure(proba[start : start + rows])
    return out


def _two_largest(proba: Any) -> tuple[Any, Any]:
    """Largest and second largest value of every row; with one class the second is 0."""
    if _is_tensor(proba):
        if proba.shape[1] == 1:
            return proba[:, 0], proba[:, 0] * 0
        top = proba.topk(2, dim=1).values
        return top[:, 0], top[:, 1]
    first = proba[:, 0].copy()
    second = np.full_like(first, -np.inf if proba.shape[1] > 1 else 0.0)
    if proba.shape[1] <= 32:
        # Column by column with two running values: several times faster than partitioning short rows.
        for column in range(1, proba.shape[1]):
            values = proba[:, column]
            np.maximum(second, np.minimum(first, values), out=second)
            np.maximum(first, values, out=first)
        return first, second
    top = np.partition(proba, proba.shape[1] - 2, axis=1)[:, -2:]
    return top[:, 1], top[:, 0]


def least_confidence(proba: Any, *, normalize: bool = False) -> Any:
    """One minus the largest probability (Lewis & Gale, SIGIR 1994).

    Parameters
    ----------
    proba : array or tensor of shape (n, C)
        Class probabilities.
    normalize : bool, default=False
        Scale by C / (C - 1), so that the uniform distribution gives 1.

    Returns
    -------
    utilities : array or tensor of shape (n,)
        From 0 to 1 - 1/C (to 1 when normalised).

    Raises
    ------
    ValueError
        For another shape, or NaN.
    """
    proba = _check(proba, 2, "proba")
    n_classes = proba.shape[1]
    largest = proba.amax(1) if _is_tensor(proba) else _rowwise(proba, lambda p: p.max(axis=1))
    utilities = 1 - largest
    return _check_finite(utilities * (n_classes / (n_classes - 1)) if normalize and n_classes > 1 else utilities)


def margin(proba: Any) -> Any:
    """One minus the difference of the two largest probabilities (Scheffer et al., IDA 2001).

    Parameters
    ----------
    proba : array or tensor of shape (n, C)
        Class probabilities.

    Returns
    -------
    utilities : array or tensor of shape (n,)
        From 0 (one class has all) to 1 (two classes tie).

    Raises
    ------
    ValueError
        For another shape, or NaN.
    """
    proba = _check(proba, 2, "proba")

    def block(p: Any) -> Any:
        first, second = _two_largest(p)
        return 1 - (first - second)

    return _check_finite(block(proba) if _is_tensor(proba) else _rowwise(proba, block))


def ratio(proba: Any) -> Any:
    """Second largest probability divided by the largest.

    Parameters
    ----------
    proba : array or tensor of shape (n, C)
        Class probabilities.

    Returns
    -------
    utilities : array or tensor of shape (n,)
        From 0 to 1; a row of zeros, which is no distribution, counts as a tie: 1.

    Raises
    ------
    ValueError
        For another shape, or NaN.
    """
    proba = _check(proba, 2, "proba")

    def block(p: Any) -> Any:
        first, second = _two_largest(p)
        safe = first + (first == 0)
        return second / safe + (first == 0)

    return _check_finite(block(proba) if _is_tensor(proba) else _rowwise(proba, block))


def _neg_p_log_p_sum(p: np.ndarray) -> np.ndarray:
    """-Σ p ln p over the last axis of an ndarray block, with 0 · ln 0 = 0."""
    # The smallest positive number stands in for 0: its logarithm is finite, and times p = 0 it is 0.
    logs = np.maximum(p, np.finfo(p.dtype).tiny)
    np.log(logs, out=logs)
    np.multiply(logs, p, out=logs)
    # numpy sums long rows pairwise and loses nothing; over short ones it is slow, so those go column by column.
    if p.shape[-1] > 32:
        return -logs.sum(axis=-1)
    total = np.zeros(p.shape[:-1])
    for column in range(p.shape[-1]):
        total -= logs[..., column]
    return total.astype(p.dtype)


def _entropy(p: Any) -> Any:
    """Entropy over the last axis of a block, either kind of array."""
    if _is_tensor(p):
        import torch

        return -(p * p.clamp_min(torch.finfo(p.dtype).tiny).log()).sum(-1)
    return _neg_p_log_p_sum(p)


def entropy(proba: Any, *, normalize: bool = False) -> Any:
    """Shannon entropy -Σ p ln p, in nats (Shannon 1948; Dagan & Engelson, ICML 1995).

    Parameters
    ----------
    proba : array or tensor of shape (n, C)
        Class probabilities; exact zeros add nothing.
    normalize : bool, default=False
        Divide by ln C, so that the uniform distribution gives 1.

    Returns
    -------
    utilities : array or tensor of shape (n,)
        From 0 to ln C (to 1 when normalised).

    Raises
    ------
    ValueError
        For another shape, or NaN.
    """
    proba = _check(proba, 2, "proba")
    utilities = _entropy(proba) if _is_tensor(proba) else _rowwise(proba, _neg_p_log_p_sum)
    n_classes = proba.shape[1]
    return _check_finite(utilities / float(np.log(n_classes)) if normalize and n_classes > 1 else utilities)


def _over_samples(samples: Any, block: Callable[[Any], Any]) -> Any:
    """Apply ``block`` to (T, rows, C) pieces that stay in cache."""
    if _is_tensor(samples):
        return block(samples)
    n_samples, n, n_classes = samples.shape
    rows = max(_BLOCK_VALUES // (n_samples * n_classes), 1)
    out = np.empty(n, dtype=samples.dtype)
    for start in range(0, n, rows):
        out[start : start + rows] = block(samples[:, start : start + rows])
    return out


def _mean(samples: Any) -> Any:
    """Mean over the samples; summed in float64 for ndarrays."""
    return samples.mean(0) if _is_tensor(samples) else samples.mean(axis=0, dtype=np.float64).astype(samples.dtype)


def max_entropy(samples: Any) -> Any:
    """Entropy of the mean prediction, H(mean_t p_t): total uncertainty (Gal et al., ICML 2017).

    Parameters
    ----------
    samples : array or tensor of shape (T, n, C)
        Class probabilities under T posterior samples.

    Returns
    -------
    utilities : array or tensor of shape (n,)
        In nats, from 0 to ln C.

    Raises
    ------
    ValueError
        For another shape, or NaN.
    """
    samples = _check(samples, 3, "samples")
    return _check_finite(_over_samples(samples, lambda part: _entropy(_mean(part))))


def bald(samples: Any) -> Any:
    """Mutual information of prediction and parameters, H(mean_t p_t) - mean_t H(p_t).

    Houlsby et al., *Bayesian active learning for classification and preference learning*, 2011; Gal et al., ICML 2017.

    Parameters
    ----------
    samples : array or tensor of shape (T, n, C)
        Class probabilities under T posterior samples.

    Returns
    -------
    utilities : array or tensor of shape (n,)
        In nats; never negative, and exactly 0 where all samples agree.

    Raises
    ------
    ValueError
        For another shape, or NaN.
    """
    samples = _check(samples, 3, "samples")

    def block(part: Any) -> Any:
        information = _entropy(_mean(part)) - _mean(_entropy(part))
        agree = (part == part[:1]).all(0).all(-1) if _is_tensor(part) else (part == part[:1]).all(axis=(0, 2))
        # Rounding must not rank images on which all samples agree, nor leave anything below zero.
        information[agree] = 0
        return information.clamp_min(0) if _is_tensor(part) else np.maximum(information, 0)

    return _check_finite(_over_samples(samples, block))


def get_measure(name: str) -> Callable[[Any], Any]:
    """Find a measure of class probabilities by its name.

    Raises
    ------
    ValueError
        When there is none of that name; those that exist are listed.
    """
    by_name: dict[str, Callable[[Any], Any]] = {
        measure.__name__: measure for measure in (least_confidence, margin, ratio, entropy)
    }
    if name not in by_name:
        raise unknown_name("measure", name, by_name)
    return by_name[name]
