"""What selectors are given, checked in one place, and how a batch is filled up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from al_sklearn._core.checks import unknown_name
from al_sklearn._core.random import tie_generator
from al_sklearn._core.types import Chosen, Floats, Ints
from al_sklearn.exceptions import ParameterError
from al_sklearn.strategies._engine.distances import SPACES, Array, Space, as_rows


def labelled_like(X: Array, labelled: Any, name: str = "labelled") -> Array | None:
    """Labelled rows, with the columns of `X`; None where there are none."""
    # An empty array may have any number of columns, or none.
    if labelled is None or len(labelled) == 0:
        return None
    L = as_rows(labelled, name)
    if L.shape[1] != X.shape[1]:
        raise ValueError(
            f"{name} has {L.shape[1]} columns and features {X.shape[1]}: they must be "
            "the same"
        )
    return L


def on_host(values: Any) -> Floats:
    """An array-like or tensor, wherever it is, as float64 on the host."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().double()
    return np.asarray(values, dtype=np.float64)


def as_weights(utilities: Any, n: int) -> Floats:
    """Weights of `n` rows, finite and not negative."""
    weights = on_host(utilities)
    if weights.shape != (n,):
        raise ValueError(
            f"utilities must have shape ({n},), one per row of features; got "
            f"{weights.shape}"
        )
    if not (np.isfinite(weights).all() and weights.min() >= 0):
        raise ValueError("utilities must be finite and not negative")
    return weights


def space_of(metric: str) -> type[Space]:
    """The kind of space in which a metric by name is the distance."""
    if metric not in SPACES:
        raise unknown_name("metric", metric, SPACES)
    return SPACES[metric]


def check_positive(**counts: int | None) -> None:
    """Refuse what is below 1; None is what was not given."""
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ParameterError(f"{name} must be at least 1, got {count}", name)


def tie_rank(n: int, random_tie_break: bool, random_state: Any) -> Ints:
    """Which of equals comes first, lowest first: by position or at random."""
    if random_tie_break:
        return tie_generator(random_state).permutation(n)
    return np.arange(n)


def filled(
    chosen: Sequence[int] | Ints,
    scores: Sequence[float] | Floats,
    rank: Ints,
    n_instances: int,
) -> Chosen:
    """Fill a batch up with what is left, by `rank`, each with a score of 0."""
    # An empty list would be of floats, which are no positions.
    indices = np.asarray(chosen, dtype=np.int64)
    rest = np.delete(np.arange(len(rank)), indices)
    rest = rest[np.argsort(rank[rest])][: n_instances - len(indices)]
    values = np.concatenate([scores, np.zeros(len(rest))])
    return np.concatenate([indices, rest]), values


def drawn_by_weight(weights: Floats, size: int, rng: np.random.Generator) -> Ints:
    """Positions drawn with probability in proportion to the weights, with repeats."""
    cumulated = np.cumsum(weights)
    # Below the largest float under the total, and never a row of weight 0: its sum
    # equals the one before.
    below = np.nextafter(cumulated[-1], 0)
    ticks = np.minimum(rng.random(size) * cumulated[-1], below)
    return np.searchsorted(cumulated, ticks, side="right")
