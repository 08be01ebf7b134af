"""Stratified draws without replacement.

A part of the rows that follows the classes' shares.
"""

from __future__ import annotations

from numbers import Integral

import numpy as np

from al_sklearn._core.types import Array


def hold_out(
    codes: Array, test_size: float | int, generator: np.random.Generator
) -> tuple[Array, Array]:
    """Split all positions into a pool and a stratified test set.

    Parameters
    ----------
    codes : int array of shape (n,)
        Classes, 0 … C-1.
    test_size : float or int
        Share of the images, or how many.
    generator : Generator
        The split's own stream.

    Returns
    -------
    train, test : int64 arrays
        Increasing positions; each class keeps at least one image in the pool.
    """
    n = len(codes)
    n_test = int(test_size) if isinstance(test_size, Integral) else round(test_size * n)
    # A share of few images rounds to none, and nothing could be measured on that.
    n_test = max(1, n_test)
    if n_test >= n:
        raise ValueError(
            f"test_size={test_size} takes {n_test} of the {n} images and leaves none "
            f"to learn from (n_samples = {n})."
        )
    counts = np.bincount(codes)
    room = np.maximum(counts - 1, 0)
    if room.sum() < n_test:
        # More is asked for than the classes can give and keep one: some lose all.
        room = counts
    test = np.sort(draw(codes, allocate(counts, room, n_test, 0), generator))
    return np.setdiff1d(np.arange(n, dtype=np.int64), test), test


def allocate(counts: Array, room: Array, n: int, at_least: int) -> Array:
    """Share ``n`` among classes in proportion to ``counts``, within ``room``.

    What does not divide evenly goes by largest remainders.
    """
    ideal = n * counts / counts.sum()
    least = np.minimum(at_least, room)
    if least.sum() > n:
        # More classes than images: the shares alone decide who gets one.
        least = np.zeros_like(least)
    quota = np.clip(np.floor(ideal).astype(np.int64), least, room)
    # Rounded down, ``least`` and ``room`` kept: a few too few, or too many, and one at
    # a time goes where the share is missed by most.
    while quota.sum() < n:
        quota[np.where(quota < room, ideal - quota, -np.inf).argmax()] += 1
    while quota.sum() > n:
        quota[np.where(quota > least, quota - ideal, -np.inf).argmax()] -= 1
    return quota


def draw(codes: Array, quota: Array, generator: np.random.Generator) -> Array:
    """Draw ``quota[c]`` positions of each class c at random, class by class."""
    parts = [
        generator.permutation(np.flatnonzero(codes == code))[:k]
        for code, k in enumerate(quota)
    ]
    return np.concatenate(parts).astype(np.int64)
