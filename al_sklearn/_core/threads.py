"""As many threads as a job may have, put back afterwards."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from threadpoolctl import ThreadpoolController


@contextmanager
def limit_threads(n_threads: int | None) -> Iterator[None]:
    """Let torch, BLAS and OpenMP use ``n_threads`` threads inside the block.

    None changes nothing.

    Two workers with as many threads as there are cores fight for them and are many
    times slower than with their share each; and the number of threads decides the order
    of sums, so the last bits of every result.
    """
    if n_threads is None:
        yield
        return
    before = torch.get_num_threads()
    with _pools(len(sys.modules)).limit(limits=n_threads):
        torch.set_num_threads(n_threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def threads_per_job(n_jobs: int) -> int:
    """Share torch's present threads among ``n_jobs`` workers, at least one each."""
    return max(1, torch.get_num_threads() // max(1, n_jobs))


@lru_cache(maxsize=1)
def _pools(n_modules: int) -> ThreadpoolController:
    """Find the libraries that have threads.

    Milliseconds, so only where modules have been imported since.
    """
    return ThreadpoolController()
