"""Threads that stay, as starting them takes as long as their small works."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

_pools: dict[tuple[str, int], ThreadPoolExecutor] = {}
_lock = threading.Lock()


def thread_pool(purpose: str, n_threads: int) -> ThreadPoolExecutor:
    """Return this process's threads for a purpose.

    Works of one purpose must not wait for each other.
    """
    with _lock:
        if (purpose, n_threads) not in _pools:
            _pools[purpose, n_threads] = ThreadPoolExecutor(
                n_threads, thread_name_prefix=f"al_sklearn-{purpose}"
            )
        return _pools[purpose, n_threads]


def _forget() -> None:
    """Start anew after a fork, which threads do not survive.

    Whoever held the lock is not there to give it back.
    """
    global _lock
    _lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
