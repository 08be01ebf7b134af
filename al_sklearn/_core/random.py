"""Random state in, random state untouched: every draw in the package starts here."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np

RandomState: TypeAlias = (
    int
    | np.integer
    | np.random.Generator
    | np.random.RandomState
    | np.random.SeedSequence
    | None
)


def as_generator(random_state: RandomState = None) -> np.random.Generator:
    """Turn any ``random_state`` into a numpy ``Generator``.

    Parameters
    ----------
    random_state : int, Generator, RandomState, SeedSequence or None
        An ``int`` or ``SeedSequence`` always gives the same stream. A ``Generator`` is
        used as it is and moves on; a ``RandomState`` is moved on by one draw. ``None``
        gives fresh entropy, never the global generator.

    Returns
    -------
    numpy.random.Generator

    Raises
    ------
    TypeError
        For anything else.
    """
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(
            random_state.randint(2**32, size=4, dtype=np.uint32)
        )
    if isinstance(random_state, bool):
        raise TypeError(
            "random_state must be an int, a numpy generator or None, got "
            f"{random_state!r}."
        )
    if random_state is None or isinstance(
        random_state, (int, np.integer, np.random.SeedSequence)
    ):
        if isinstance(random_state, (int, np.integer)) and random_state < 0:
            raise ValueError(f"random_state must not be negative, got {random_state}.")
        return np.random.default_rng(random_state)
    raise TypeError(
        "random_state must be an int, a numpy Generator, RandomState or SeedSequence, "
        "or None, "
        f"got {type(random_state).__name__}."
    )


def as_seed(random_state: RandomState = None) -> int:
    """Return an integer seed in [0, 2**31) drawn from ``random_state``.

    What torch and scikit-learn take.
    """
    return int(as_generator(random_state).integers(2**31 - 1))


@contextmanager
def preserve_global_rng() -> Iterator[None]:
    """Put the global random generators back as they were, whatever happens inside.

    These are the generators of Python, numpy and torch.
    """
    python_state = random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002 - the global state is saved, not drawn from
    # Nothing to save where torch was never imported: importing it here would cost
    # seconds.
    torch = sys.modules.get("torch")
    torch_state = torch.get_rng_state() if torch is not None else None
    cuda_states = None
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        cuda_states = torch.cuda.get_rng_state_all()
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        if torch is not None:
            torch.set_rng_state(torch_state)
            if cuda_states is not None:
                torch.cuda.set_rng_state_all(cuda_states)
