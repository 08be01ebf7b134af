"""Measures: arrays in, one utility per candidate out, higher = ask first.

Most take class probabilities ``(n, C)``, or posterior samples ``(T, n, C)``, as an
ndarray or a torch tensor on any device, and give ``(n,)`` of the same kind; others take
activations or embeddings. Values are read in blocks that stay in cache, sums are made
in float64 where they decide, and ``0 · log 0 = 0``. The caller's array is never written
to.

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

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from al_sklearn._core.checks import unknown_name
from al_sklearn._core.registry import Registry, share_table
from al_sklearn._core.types import Function
from al_sklearn.strategies._engine import arrays as blocks
from al_sklearn.strategies._engine.density_clusters import glosh
from al_sklearn.strategies.measures._activation_ranks import outliers_max, outliers_mean
from al_sklearn.strategies.measures._density import (
    density_weighted,
    information_density,
)
from al_sklearn.strategies.measures._disagreement import disagreeing, disagreement
from al_sklearn.strategies.measures._distance_to_mean import (
    distance_to_mean,
    least_distance,
)
from al_sklearn.strategies.measures._flips import class_means, flip_distance, flipped
from al_sklearn.strategies.measures._losses import input_gradient, true_loss
from al_sklearn.strategies.measures._samples import (
    bald,
    consensus_entropy,
    epig,
    kl_disagreement,
    max_entropy,
    mean_std,
    variation_ratio,
    vote_entropy,
    vote_shares,
)
from al_sklearn.strategies.measures._temperature import (
    at_temperature,
    calibrated_temperature,
    fit_temperature,
)

__all__ = [
    "MEASURES",
    "at_temperature",
    "bald",
    "calibrated_temperature",
    "class_means",
    "consensus_entropy",
    "density_weighted",
    "disagreeing",
    "disagreement",
    "distance_to_mean",
    "entropy",
    "entropy_pt",
    "epig",
    "fit_temperature",
    "flip_distance",
    "flipped",
    "get_measure",
    "glosh",
    "information_density",
    "input_gradient",
    "kind_of",
    "kl_disagreement",
    "least_confidence",
    "least_confidence_pt",
    "least_distance",
    "margin",
    "margin_pt",
    "max_entropy",
    "mean_std",
    "outliers_max",
    "outliers_mean",
    "ratio",
    "ratio_pt",
    "register_measure",
    "true_loss",
    "variation_ratio",
    "vote_entropy",
    "vote_shares",
]

_F = TypeVar("_F", bound=Callable[..., Any])


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
    proba = blocks.check(proba, 2, "proba")
    n_classes = proba.shape[1]
    scale = n_classes / (n_classes - 1) if normalize and n_classes > 1 else 1

    return blocks.per_row(proba, lambda p: (1 - p.amax(1)) * scale)


def margin(proba: Any) -> Any:
    """One minus the difference of the two largest probabilities.

    The measure is that of Scheffer et al., IDA 2001.

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
    proba = blocks.check(proba, 2, "proba")

    def gap(p: Any) -> Any:
        first, second = blocks.two_largest(p)
        return 1 - (first - second)

    return blocks.per_row(proba, gap)


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
    proba = blocks.check(proba, 2, "proba")

    def share(p: Any) -> Any:
        first, second = blocks.two_largest(p)
        is_nothing = first == 0
        return second / (first + is_nothing) + is_nothing

    return blocks.per_row(proba, share)


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
    proba = blocks.check(proba, 2, "proba")
    n_classes = proba.shape[1]
    scale = 1 / float(np.log(n_classes)) if normalize and n_classes > 1 else 1

    return blocks.per_row(proba, lambda p: blocks.entropy_of(p) * scale)


# The names that measures of tensors have elsewhere: every measure takes both, and
# answers on the tensor's device.
least_confidence_pt, margin_pt, ratio_pt, entropy_pt = (
    least_confidence,
    margin,
    ratio,
    entropy,
)


# By what they take: class probabilities (n, C), or posterior samples (T, n, C).
MEASURES: dict[str, Registry] = {
    "proba": Registry("measure"),
    "samples": Registry("measure"),
}
# Of what only a net has, and only it can hold one at a time: asked of it by name.
_OF_NETS = {"input_gradient": input_gradient}
for _kind, _table in MEASURES.items():
    share_table(f"measures of {_kind}", _table)


def register_measure(of: str = "proba") -> Callable[[_F], _F]:
    """Let a measure of one's own be found by its name; a decorator.

    Everything that takes ``measure=`` then takes the name. The same function again, as
    a notebook's cell that is run twice gives it, replaces itself.

    Parameters
    ----------
    of : {"proba", "samples"}, default="proba"
        What it takes: class probabilities (n, C) or posterior samples (T, n, C). It
        gives one utility per candidate, (n,), higher = ask first.

    Raises
    ------
    ValueError
        When another measure has the name, or ``of`` is unknown.

    Examples
    --------
    >>> @register_measure("proba")
    ... def gini(proba):
    ...     return 1 - (proba**2).sum(axis=1)
    >>> get_measure("gini") is gini
    True
    """
    _check_kind(of)

    def register(function: _F) -> _F:
        for kind, known in MEASURES.items():
            # One name, one meaning: get_measure(name, of=None) asks all kinds.
            if kind != of and function.__name__ in known:
                raise ValueError(
                    f"The measure name {function.__name__!r} is taken by a measure of "
                    f"{kind}."
                )
        MEASURES[of].add(function)
        return function

    return register


def get_measure(measure: str | Function, of: str | None = "proba") -> Function:
    """Find a measure by its name; a function is returned as it is.

    Parameters
    ----------
    measure : str or callable
        As it is called here, or registered with :func:`register_measure`; or any
        function of an array to one utility per candidate.
    of : {"proba", "samples"} or None, default="proba"
        Whether of class probabilities (n, C) or of posterior samples (T, n, C); either
        with None.

    Raises
    ------
    ValueError
        When there is none of that name; those that exist are listed.
    TypeError
        When it is neither a name nor callable.
    """
    if of is not None:
        _check_kind(of)
        return MEASURES[of].find(measure)
    known = Registry("measure")
    for measures in MEASURES.values():
        known.update(measures)
    known.update(_OF_NETS)
    return known.find(measure)


def kind_of(measure: str | Function) -> str:
    """What a measure takes: ``"proba"``, ``"samples"`` or, of nets, ``"gradients"``.

    Parameters
    ----------
    measure : str or callable
        A name or a function. A function that is not registered takes posterior samples
        if its first parameter is called ``samples``.

    Raises
    ------
    ValueError
        When there is none of that name.
    """
    measure = get_measure(measure, of=None)
    if measure is input_gradient:
        return "gradients"
    for kind, known in MEASURES.items():
        if measure in known.values():
            return kind
    try:
        first = next(iter(inspect.signature(measure).parameters), "")
    except (TypeError, ValueError):
        # A function written in C says nothing about its parameters.
        return "proba"
    return "samples" if first == "samples" else "proba"


def _check_kind(of: str) -> None:
    if of not in MEASURES:
        raise unknown_name("kind of input", of, MEASURES)


for _measure in (least_confidence, margin, ratio, entropy):
    MEASURES["proba"].add(_measure)
for _sampled in (
    max_entropy,
    bald,
    mean_std,
    variation_ratio,
    vote_entropy,
    consensus_entropy,
    kl_disagreement,
):
    MEASURES["samples"].add(_sampled)
