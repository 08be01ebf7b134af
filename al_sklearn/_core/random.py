"""Random state in, random state untouched: every draw in the package starts here.

Our own draws come from generators of their own (:func:`as_generator`). Estimators of
others draw from the generators that Python, numpy and torch each have one of for all
threads of a process: whoever seeds those, or lets somebody draw from them, does it in
:func:`preserve_global_rng`, and no other way.
"""

from __future__ import annotations

import copy
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeAlias

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
        # 128 bits, as many as fresh entropy has.
        return np.random.default_rng(
            random_state.randint(2**32, size=4, dtype=np.uint32)
        )
    # True is an int to Python, and here a slip: of another parameter's place.
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


def tie_generator(random_state: RandomState = None) -> np.random.Generator:
    """Return a generator for ties, a stream of its own beside ``random_state``'s.

    A ``Generator`` is not moved on, so that breaking ties at random changes nothing
    else that is drawn from it; each call gives another stream.
    """
    generator = as_generator(random_state)
    try:
        return generator.spawn(1)[0]
    except TypeError:
        # Its bits were not seeded by a SeedSequence: nothing to spawn from.
        return copy.deepcopy(generator)


def as_seed(random_state: RandomState = None) -> int:
    """Return an integer seed in [0, 2**31) drawn from ``random_state``.

    What torch and scikit-learn take.
    """
    # torch takes 64 bits, scikit-learn 32, and some of it signed ones.
    return int(as_generator(random_state).integers(2**31 - 1))


# The one lock of the global generators. It is taken before any other lock of the
# library (files, caches, shared networks): whoever holds one of those and then waits
# for this one may wait for somebody who waits for him.
_lock = threading.RLock()


@contextmanager
def take_turn() -> Iterator[None]:
    """Hold the global generators: no other thread of the library draws meanwhile.

    The same thread may take them again. What joblib would spread over threads is done
    one part after the other inside, by ensembles, committees and scikit-learn alike:
    the threads would wait for the generators, and their caller for the threads. Parts
    in processes of their own (joblib's default) go on side by side.

    Notes
    -----
    Threads that joblib does not know of, started inside and waited for there, must not
    fit anything of the library's.
    """
    with _lock, _one_after_the_other():
        yield


def _one_after_the_other() -> Any:
    # Imported here: pools and data sets draw, too, and open without them.
    from joblib import parallel_config
    from joblib._parallel_backends import SequentialBackend
    from joblib.parallel import get_active_backend

    backend, _ = get_active_backend()
    # Threads are what is active where the caller chose them, and in every worker of
    # joblib's, whose own calls nest as threads.
    if not getattr(backend, "supports_sharedmem", False):
        return nullcontext()
    if isinstance(backend, SequentialBackend):
        return nullcontext()
    alone = SequentialBackend(nesting_level=backend.nesting_level)
    return parallel_config(backend=alone)


def _renew_lock() -> None:
    """Make the lock anew in a forked process, unless the thread that forked holds it.

    Another thread that held it is not there to give it back.
    """
    global _lock
    if not _lock._is_owned():  # type: ignore[attr-defined]
        _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@contextmanager
def preserve_global_rng(seed: int | None = None) -> Iterator[None]:
    """Put the global generators back as they were, whatever happens inside.

    These are the generators of Python, numpy and torch; other threads of the library
    keep off them meanwhile (:func:`take_turn`).

    Parameters
    ----------
    seed : int, optional
        In [0, 2**32): what they are seeded with first, by :func:`seed_all`.
    """
    with take_turn():
        kept = [(put_back, get()) for get, put_back in _generators()]
        try:
            if seed is not None:
                seed_all(seed)
            yield
        finally:
            for put_back, state in kept:
                put_back(state)


def _generators() -> list[tuple[Callable[[], Any], Callable[[Any], Any]]]:
    """How the state of each global generator is got and put back."""
    found: list[tuple[Callable[[], Any], Callable[[Any], Any]]] = [
        (random.getstate, random.setstate),
        (np.random.get_state, np.random.set_state),
    ]
    # Nothing to save where torch was never imported: importing it here would cost
    # seconds.
    torch = sys.modules.get("torch")
    if torch is not None:
        found.append((torch.get_rng_state, torch.set_rng_state))
        # Asking a device that is not in use would start it: seconds, and memory.
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            found.append((torch.cuda.get_rng_state_all, torch.cuda.set_rng_state_all))
        if torch.backends.mps.is_available():
            found.append((torch.mps.get_rng_state, torch.mps.set_rng_state))
    return found


def seed_all(seed: int) -> None:
    """Seed the generators of those who know no ``random_state``.

    Plain networks, augmentations, other packages' strategies. Call it inside
    :func:`preserve_global_rng`.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        torch.manual_seed(seed)
    else:
        # The same, without the stack traces (milliseconds) that torch keeps for devices
        # that may come to life later.
        torch.default_generator.manual_seed(seed)


def random_states(estimator: Any, only_open: bool = False) -> list[str]:
    """Names of the parameters called ``random_state``, at any depth, sorted.

    Parameters
    ----------
    estimator : object
        One without ``get_params`` has none.
    only_open : bool, default=False
        Whether to leave out those that the user has given a value.
    """
    if not hasattr(estimator, "get_params"):
        return []
    return sorted(
        name
        for name, value in estimator.get_params(deep=True).items()
        if name.rpartition("__")[2] == "random_state"
        and (value is None or not only_open)
    )


def seeds_for(estimator: Any, seed: int, only_open: bool = False) -> dict[str, int]:
    """Draw a seed of its own for each of an estimator's :func:`random_states`."""
    generator = np.random.default_rng(seed)
    return {
        name: int(generator.integers(2**31 - 1))
        for name in random_states(estimator, only_open)
    }


def seeded_clone(estimator: Any, seed: int, only_open: bool = False) -> Any:
    """Clone an estimator and give each ``random_state`` in it its own seed.

    A seed that the user gave is replaced, as scikit-learn's ensembles do: repetitions
    must differ. With ``only_open`` it stays.
    """
    from sklearn.base import clone

    copy = clone(estimator)
    return copy.set_params(**seeds_for(copy, seed, only_open))
