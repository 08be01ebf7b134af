"""Looks at a comparison that is still growing, at levels that keep its error.

Whoever looks at five seeds, then at ten, then at twenty, and stops when a p-value is
below 0.05, finds differences where there are none in more than one of ten comparisons,
and not in one of twenty. Looks that are named beforehand share that error: little of it
is spent early, most is left for the last.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from numbers import Integral
from typing import Any, Final

import numpy as np
from scipy import special
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq

from al_sklearn._core.types import Array

# Standard deviations beyond which a normal density is nothing in double precision.
_FAR: Final = 8.5
# Nodes of an integral over such a density; finer where looks lie close together.
_FEWEST_NODES: Final = 128
# Errors between which levels are tabled; beyond, a p-value counts as the end does.
_ERRORS: Final = np.concatenate(
    [np.geomspace(1e-12, 0.5, 48), [0.7, 0.85, 0.95, 0.999]]
)


def check_looks(looks: Any) -> tuple[int, ...]:
    """Return looks as whole numbers of seeds.

    Parameters
    ----------
    looks : sequence of int

    Returns
    -------
    tuple of int

    Raises
    ------
    ValueError
        When they are no numbers of seeds that increase.
    """
    given = tuple(looks) if isinstance(looks, Iterable) else (looks,)
    whole = all(isinstance(n, Integral) and not isinstance(n, bool) for n in given)
    # A single seed has nothing to test.
    if not given or not whole or given[0] < 2 or np.any(np.diff(given) <= 0):
        raise ValueError(
            "looks are whole numbers of seeds that increase, from 2 on, as (5, 10, "
            f"20); got {looks!r}."
        )
    return tuple(int(n) for n in given)


def sequential_levels(looks: Any, alpha: float = 0.05) -> Array:
    """Level at which a two-sided p-value is significant at each look.

    O'Brien and Fleming's spending of the error, by Lan and DeMets.

    Parameters
    ----------
    looks : sequence of int
        Seeds at each look, increasing, named before the first.
    alpha : float, default=0.05
        The error that all looks share.

    Returns
    -------
    array of shape (n_looks,)
        Nominal levels.

    References
    ----------
    Lan and DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 70,
    1983. O'Brien and Fleming, "A multiple testing procedure for clinical trials",
    Biometrics 35, 1979.

    Examples
    --------
    >>> from al_sklearn.experiments.statistics import sequential_levels
    >>> [f"{level:.5f}" for level in sequential_levels((5, 10, 20))]
    ['0.00001', '0.00305', '0.04900']
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is a share between 0 and 1, as 0.05; got {alpha!r}.")
    return np.array(_levels(check_looks(looks), float(alpha)))


def sequential_p_values(p_values: Any, looks: Any, n_seeds: int) -> Array:
    """Two-sided p-values of one look, as they count among all looks.

    The smallest error of all looks together at which this p-value would be significant
    at this look: it is held against 0.05 as if there were no other look, and may be
    adjusted for several comparisons.

    Parameters
    ----------
    p_values : array of float
        Of tests on the seeds of this look. NaN stays NaN.
    looks : sequence of int
        Seeds at each look, named beforehand.
    n_seeds : int
        The look: one of ``looks``.

    Returns
    -------
    array
        Of the same shape; never smaller than what was given.

    References
    ----------
    Jennison and Turnbull, "Group Sequential Methods with Applications to Clinical
    Trials", 2000, section 9.4: repeated p-values. With Holm's adjustment: Maurer and
    Bretz, "Multiple testing in group sequential trials using graphical approaches",
    Statistics in Biopharmaceutical Research 5, 2013.
    """
    named = check_looks(looks)
    if n_seeds not in named:
        raise ValueError(f"n_seeds must be one of the looks {named}; got {n_seeds!r}.")
    p = np.asarray(p_values, dtype=np.float64)
    levels = _table(named)[:, named.index(n_seeds)]
    curve = PchipInterpolator(np.log(levels), np.log(_ERRORS))
    # Below the table a p-value counts as its first error: rather too large.
    inside = np.clip(p, levels[0], levels[-1])
    counted = np.exp(curve(np.log(inside)))
    counted = np.where(p > levels[-1], 1.0, np.maximum(counted, p))
    # No spread at all stays what it is: no look makes it likelier.
    return np.where(p == 0, 0.0, counted)


def look_of(looks: tuple[int, ...], n_seeds: int) -> int:
    """Return the latest look that so many seeds have reached; 0 before the first."""
    return max((look for look in looks if look <= n_seeds), default=0)


def look_note(looks: tuple[int, ...], n_finished: int) -> str:
    """Say which look it is, and what is held against what."""
    look, last = look_of(looks, n_finished), looks[-1]
    if not look:
        return (
            f"Looks named beforehand: {_listed(looks)} seeds; {n_finished} are "
            "finished: nothing is tested before the first look."
        )
    number = looks.index(look)
    level = sequential_levels(looks)[number]
    note = (
        f"Look {number + 1} of {len(looks)}, at {look} of up to {last} seeds. The "
        "looks were named beforehand and share one error of 5 % (O'Brien and Fleming's "
        f"spending): here a single p-value counts below {level:.2g}, and adjusted "
        "p-values have that in them."
    )
    left_out = n_finished - look
    if left_out and look < last:
        note += f" {left_out} more finished seeds wait for the next look."
    if n_finished > last:
        note += f" {added_note(last, n_finished)}"
    return note


def added_note(n_named: int, n_seeds: int) -> str:
    """Say that there are more seeds than were named beforehand."""
    return (
        f"{n_seeds - n_named} seeds were added to the {n_named} named beforehand: if "
        "that was decided after a look at the results, p-values are smaller and "
        "intervals narrower than the truth; name the looks beforehand (looks=)."
    )


@lru_cache(maxsize=1024)
def _levels(looks: tuple[int, ...], alpha: float) -> tuple[float, ...]:
    """Nominal two-sided levels, by numerical integration look by look.

    Seen as sums of seeds, the tests at the looks are a random walk. Of the walks that
    have crossed no bound so far, the share that crosses this look's bound is what is
    spent at it (Armitage, McPherson and Rowe).
    """
    share = np.array(looks) / looks[-1]
    # Each side has half of the error, and its own spending function of that.
    spent = 4 * special.ndtr(special.ndtri(alpha / 4) / np.sqrt(share))
    # Far from 0 the first looks spend less than a double can say.
    increments = np.maximum(np.diff(spent, prepend=0), 1e-300)
    steps = np.sqrt(np.diff(share, prepend=0))
    # A node at least for each step of the walk, or the density would fall between them.
    n_nodes = max(_FEWEST_NODES, int(np.ceil(2.4 * _FAR / steps.min())))
    nodes, weights = _nodes(n_nodes)
    # The walk begins at 0, for sure.
    place, density = np.zeros(1), np.ones(1)
    levels = []
    for at, step, increment in zip(np.sqrt(share), steps, increments, strict=True):
        bound = _bound(place, density, at, step, increment)
        levels.append(float(min(1, 2 * special.ndtr(-bound))))
        # Where the walks are that go on.
        reach = min(max(bound, 0), _FAR) * at
        there = nodes * reach
        distance = (there[:, None] - place) / step
        kernel = np.exp(-(distance**2) / 2) / (step * np.sqrt(2 * np.pi))
        place, density = there, weights * reach * (kernel @ density)
    return tuple(levels)


@lru_cache(maxsize=16)
def _nodes(n: int) -> tuple[Array, Array]:
    """Nodes and weights of Gauss and Legendre, which take longer than their use."""
    return np.polynomial.legendre.leggauss(n)


def _bound(
    place: Array, density: Array, at: float, step: float, increment: float
) -> float:
    """Return the z-value beyond which so much of the walks arrives, on both sides."""

    def too_much(z: float) -> float:
        beyond = special.ndtr((place - z * at) / step)
        # The walks and their bounds are symmetric: the upper side twice.
        return float(2 * density @ beyond - increment)

    # Below 0 everything arrives, beyond 40 nothing that a double can say.
    return float(brentq(too_much, -1, 40, xtol=1e-12))


@lru_cache(maxsize=64)
def _table(looks: tuple[int, ...]) -> Array:
    """Levels of each look (columns) by the error of all looks (rows)."""
    return np.array([_levels(looks, float(error)) for error in _ERRORS])


def _listed(looks: tuple[int, ...]) -> str:
    *before, last = map(str, looks)
    return f"{', '.join(before)} and {last}" if before else last
