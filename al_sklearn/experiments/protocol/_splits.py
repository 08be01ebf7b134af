"""Which position is for training, for the test, and labelled from the start."""

from __future__ import annotations

from numbers import Integral
from typing import Final

import numpy as np

from al_sklearn._core.stratified import allocate, draw
from al_sklearn._core.types import Array
from al_sklearn.exceptions import ParameterError

INITIAL: Final = ("stratified", "random", "per_class")


def initial_set(
    codes: Array,
    train: Array,
    n_initial: float,
    how: str,
    generator: np.random.Generator,
    min_per_class: int | None = None,
) -> Array:
    """Choose the images labelled from the start, among the positions ``train``.

    ``"stratified"`` follows the classes' shares, with at least one image a class where
    ``n_initial`` allows it; ``"random"`` does not look at the classes; ``"per_class"``
    takes ``n_initial`` of each class, or that share of it. With ``min_per_class`` the
    first two have so many of each class at least.
    """
    counts = np.bincount(codes[train])
    if how == "per_class":
        # A share is of each class, and gives one image at least.
        quota = (
            n_initial
            if isinstance(n_initial, Integral)
            else np.maximum(1, np.round(n_initial * counts))
        )
        # A class that is not there gives none.
        quota = np.where(counts > 0, quota, 0).astype(np.int64)
        # Fewer than asked for, silently, would make seeds differ in cost.
        if (quota > counts).any():
            raise ParameterError(
                f"n_initial={n_initial} of each class is more than there are: the "
                f"smallest class has {counts[counts > 0].min()} images.",
                "n_initial",
            )
        chosen = draw(codes[train], quota, generator)
        return train[generator.permutation(chosen)].astype(np.int64)
    n_initial = int(n_initial)
    if n_initial > len(train):
        raise ParameterError(
            f"n_initial={n_initial} is more than the {len(train)} images there are to "
            "learn from.",
            "n_initial",
        )
    if min_per_class is not None:
        _check_least(min_per_class, counts, n_initial)
    if how == "random" and min_per_class is None:
        return generator.permutation(train)[:n_initial].astype(np.int64)
    if how == "random":
        assert min_per_class is not None
        chosen = draw(codes[train], np.minimum(min_per_class, counts), generator)
        others = np.delete(np.arange(len(train)), chosen)
        more = generator.permutation(others)[: n_initial - len(chosen)]
        # Shuffled: nobody is known by its place.
        order = generator.permutation(np.concatenate([chosen, more]))
        return train[order].astype(np.int64)
    # One of each class where that is possible: a first model should know them all.
    quota = allocate(counts, counts, n_initial, min_per_class or 1)
    chosen = draw(codes[train], quota, generator)
    # Shuffled: the order of the initial set is that of the data in the first training.
    return train[generator.permutation(chosen)].astype(np.int64)


def _check_least(least: int, counts: Array, n_initial: int) -> None:
    """Raise a ``ParameterError`` where so many of each class cannot be."""
    there = counts[counts > 0]
    if there.min() < least:
        raise ParameterError(
            f"min_per_class={least} is more than there are: the smallest class has "
            f"{there.min()} images.",
            "min_per_class",
        )
    if least * len(there) > n_initial:
        raise ParameterError(
            f"min_per_class={least} of {len(there)} classes is more than the "
            f"{n_initial} images of n_initial.",
            "min_per_class",
        )
