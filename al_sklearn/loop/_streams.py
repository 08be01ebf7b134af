"""Separate random streams, so that drawing from one never shifts another."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np

from al_sklearn._core.random import RandomState, as_seed

# In this order for ever: a stream's number is its place here.
PURPOSES: Final = (
    "split",
    "initial",
    "weights",
    "order",
    "acquisition",
    "oracle",
    "stopping",
    "pool",
    "validation",
    "retraining",
)


class Streams:
    """The random streams of one seed of an experiment.

    Parameters
    ----------
    entropy : int
        What all seeds of the experiment grow from: its ``random_state``.
    seed : int, default=0
        Number of the repetition, from 0.

    Notes
    -----
    Each stream is the child that ``SeedSequence(entropy).spawn`` would give, one level
    for the seed, one for the purpose and one for each further key, written as a
    ``spawn_key`` so that nothing depends on the order of calls. Every strategy of a
    seed has the same split, initial set, weights and data order; its own name is a key
    of its acquisition stream, so that adding a strategy changes nothing for the others.
    """

    def __init__(self, entropy: int, seed: int = 0):
        self.entropy = entropy
        self.seed = seed

    def sequence(self, purpose: str, *keys: int | str) -> np.random.SeedSequence:
        """Return the stream of one purpose, for one round or one strategy.

        Parameters
        ----------
        purpose : str
            What the stream is for, one of ``PURPOSES``.
        *keys : int or str
            The round, the strategy's name: whatever should have a stream of its own.
        """
        # spawn_key takes integers alone.
        words = tuple(_word(key) for key in keys)
        return np.random.SeedSequence(
            self.entropy, spawn_key=(self.seed, PURPOSES.index(purpose), *words)
        )

    def generator(self, purpose: str, *keys: int | str) -> np.random.Generator:
        """Return the stream as a numpy ``Generator``."""
        return np.random.default_rng(self.sequence(purpose, *keys))

    def integer(self, purpose: str, *keys: int | str) -> int:
        """Return a seed from the stream.

        What scikit-learn, torch and strategies take.
        """
        return as_seed(self.sequence(purpose, *keys))


def entropy_of(random_state: RandomState) -> int:
    """Return the integer that an experiment's streams grow from.

    An int itself, else a seed drawn from it.
    """
    if (
        isinstance(random_state, (int, np.integer))
        and not isinstance(random_state, bool)
        and random_state >= 0
    ):
        return int(random_state)
    return as_seed(random_state)


def _word(key: int | str) -> int:
    if isinstance(key, str):
        # hash() differs from process to process.
        return int.from_bytes(
            hashlib.blake2b(key.encode(), digest_size=4).digest(), "little"
        )
    return int(key)
