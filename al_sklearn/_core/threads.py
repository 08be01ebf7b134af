"""Threads: how many a job may have, and some that stay to work.

torch is asked where it is loaded, and loaded by none of this: files are read and
decoded without it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

_pools: dict[tuple[str, int], ThreadPoolExecutor] = {}
_lock = threading.Lock()


def present_threads() -> int:
    """Threads that this process may compute with: torch's, else the cores it has.

    What :func:`limit_threads` says holds for us as well: worker processes do not fight
    over the cores.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    # A container or a scheduler may have given this process fewer than there are.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_per_job(n_jobs: int) -> int:
    """Share this process's present threads among ``n_jobs``, at least one each."""
    return max(1, present_threads() // max(1, n_jobs))


@contextmanager
def limit_threads(n: int | None) -> Iterator[None]:
    """Let torch, BLAS and OpenMP use ``n`` threads inside the block; None leaves them.

    Two workers with as many threads as there are cores fight for them and are many
    times slower than with their share each; and the number of threads decides the order
    of sums, so the last bits of every result.
    """
    if n is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    with _libraries(len(sys.modules)).limit(limits=n):
        # torch counts for itself, and tells OpenMP of it at each of its calls.
        torch.set_num_threads(n)
        try:
            yield
        finally:
            torch.set_num_threads(before)


@lru_cache(maxsize=1)
def _libraries(n_modules: int) -> Any:
    """Find the libraries that have threads.

    Milliseconds, so only where modules have been imported since.
    """
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def thread_pool(purpose: str, n: int) -> ThreadPoolExecutor:
    """Return this process's ``n`` threads for a purpose, the same ones at each call.

    Starting them takes as long as their small works. Works of one purpose must not wait
    for each other: all threads could be waiting, and none be left to do what they wait
    for.
    """
    with _lock:
        if (purpose, n) not in _pools:
            _pools[purpose, n] = ThreadPoolExecutor(
                n, thread_name_prefix=f"al_sklearn-{purpose}"
            )
        return _pools[purpose, n]


def _forget() -> None:
    """Start anew after a fork, which threads do not survive.

    Whoever held the lock is not there to give it back.
    """
    global _lock
    _lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
