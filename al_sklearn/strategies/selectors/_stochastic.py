"""The top of the utilities after Gumbel noise.

It costs no more than the top of the utilities.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_sklearn._core.checks import renamed, unknown_name
from al_sklearn._core.random import RandomState, as_generator
from al_sklearn._core.types import Ints
from al_sklearn.exceptions import ParameterError
from al_sklearn.strategies._engine.given import on_host
from al_sklearn.strategies._engine.top_k import highest, top_k

KINDS = ("power", "softmax", "softrank")


@renamed(scores="utilities", k="n_instances")
def stochastic_top_k(
    utilities: Any,
    n_instances: int,
    *,
    kind: str = "power",
    beta: float = 1.0,
    random_state: RandomState = None,
) -> tuple[Ints, NDArray[np.floating[Any]]]:
    """Draw a batch without replacement, higher utilities more often.

    The method is that of Kirsch et al., TMLR 2023.

    Parameters
    ----------
    utilities : array-like or tensor of shape (n,)
        Utilities, higher = ask first.
    n_instances : int
        How many, 1 … n.
    kind : {"power", "softmax", "softrank"}, default="power"
        What is drawn in proportion to: u^beta (utilities must not be negative),
        exp(beta · u), or rank^-beta with rank 1 for the highest.
    beta : float, default=1
        How sharply higher utilities are preferred; Gumbel noise of scale 1/beta is
        added. Infinity adds none.
    random_state : int, Generator or None

    Returns
    -------
    indices : int64 array of shape (n_instances,)
        Unique, in the order in which they were drawn.
    scores : float64 array of shape (n_instances,)
        What was added to noise, with the noise: ln u, u or -ln rank. -inf for a utility
        of 0 under ``"power"``, which is drawn, in random order, only when nothing else
        is left.

    Raises
    ------
    ValueError
        For NaN, an unknown kind, a beta that is not positive, negative utilities with
        ``"power"``, or n_instances outside 1 … n.

    Examples
    --------
    >>> stochastic_top_k([0.0, 1.0, 5.0], 2, beta=1000, random_state=0)[0].tolist()
    [2, 1]
    """
    check_stochastic(kind, beta)
    generator = as_generator(random_state)
    values = on_host(utilities)
    if values.ndim == 1 and np.isnan(values).any():
        n_nan = np.count_nonzero(np.isnan(values))
        raise ValueError(f"utilities contain {n_nan} NaN of {len(values)}")
    if kind == "power":
        if values.size and values.min() < 0:
            raise ValueError(
                "kind='power' needs utilities that are not negative, got "
                f"{values.min():.4g}; use 'softmax' or 'softrank'."
            )
        # The logarithm of 0 is -inf: it is drawn last.
        with np.errstate(divide="ignore"):
            noisy = np.log(values)
    elif kind == "softrank":
        noisy = np.empty(len(values))
        # Equal utilities are ranked at random: by position the first would always be
        # preferred.
        order = highest(values, len(values), generator=generator)
        noisy[order] = -np.log(np.arange(1, len(values) + 1))
    else:
        noisy = values.copy()
    noisy += generator.gumbel(size=noisy.shape) / beta
    return top_k(noisy, n_instances, random_tie_break=True, random_state=generator)


def check_stochastic(kind: str, beta: float) -> None:
    """Refuse what :func:`stochastic_top_k` would, before anything is computed.

    Raises
    ------
    ValueError
        For an unknown kind or a beta that is not positive.
    """
    if kind not in KINDS:
        raise unknown_name("kind", kind, KINDS)
    if not beta > 0:
        raise ParameterError(f"beta must be positive, got {beta!r}.", "beta")
