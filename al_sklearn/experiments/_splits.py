"""Which position is for training, for the test, and labelled from the start."""

from __future__ import annotations

from numbers import Integral
from typing import Final

import numpy as np

INITIAL: Final = ("stratified", "random", "per_class")


def hold_out(
    codes: np.ndarray, test_size: float | int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
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
    n_test = max(1, n_test)
    if n_test >= n:
        raise ValueError(
            f"test_size={test_size} takes {n_test} of the {n} images and leaves none to learn from (n_samples = {n})."
        )
    counts = np.bincount(codes)
    room = np.maximum(counts - 1, 0)
    if room.sum() < n_test:
        room = counts
    test = np.sort(_draw(codes, _allocate(counts, room, n_test, 0), generator))
    return np.setdiff1d(np.arange(n, dtype=np.int64), test), test


def initial_set(
    codes: np.ndarray, train: np.ndarray, n_initial: int | float, how: str, generator: np.random.Generator
) -> np.ndarray:
    """Choose the images that are labelled from the start, among the positions ``train``.

    ``"stratified"`` follows the classes' shares, with at least one image a class where ``n_initial`` allows it;
    ``"random"`` does not look at the classes; ``"per_class"`` takes ``n_initial`` of each class, or that share of it.
    """
    if how == "per_class":
        counts = np.bincount(codes[train])
        if isinstance(n_initial, Integral):
            quota = np.where(counts > 0, int(n_initial), 0)
        else:
            quota = np.where(counts > 0, np.maximum(1, np.round(n_initial * counts)), 0).astype(np.int64)
        if (quota > counts).any():
            raise ValueError(
                f"n_initial={n_initial} of each class is more than there are: the smallest class has "
                f"{counts[counts > 0].min()} images."
            )
        return train[generator.permutation(_draw(codes[train], quota, generator))].astype(np.int64)
    n_initial = int(n_initial)
    if n_initial > len(train):
        raise ValueError(f"n_initial={n_initial} is more than the {len(train)} images there are to learn from.")
    if how == "random":
        return generator.permutation(train)[:n_initial].astype(np.int64)
    counts = np.bincount(codes[train])
    chosen = _draw(codes[train], _allocate(counts, counts, n_initial, 1), generator)
    return train[generator.permutation(chosen)].astype(np.int64)


def _allocate(counts: np.ndarray, room: np.ndarray, n: int, at_least: int) -> np.ndarray:
    """Share ``n`` among classes in proportion to ``counts``, by largest remainders, within ``room``."""
    ideal = n * counts / counts.sum()
    least = np.minimum(at_least, room)
    if least.sum() > n:
        least = np.zeros_like(least)
    quota = np.clip(np.floor(ideal).astype(np.int64), least, room)
    while quota.sum() < n:
        quota[np.where(quota < room, ideal - quota, -np.inf).argmax()] += 1
    while quota.sum() > n:
        quota[np.where(quota > least, quota - ideal, -np.inf).argmax()] -= 1
    return quota


def _draw(codes: np.ndarray, quota: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    parts = [generator.permutation(np.flatnonzero(codes == code))[:k] for code, k in enumerate(quota)]
    return np.concatenate(parts).astype(np.int64)
