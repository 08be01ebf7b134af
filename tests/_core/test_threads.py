"""Threads that stay, also behind a fork."""

import os
import warnings

import numpy as np
import pytest

from al_sklearn._core.threads import thread_pool
from al_sklearn.strategies._engine import kernels as _kernels


def test_one_pool_for_a_purpose():
    assert thread_pool("test", 1) is thread_pool("test", 1)
    assert thread_pool("test", 1) is not thread_pool("test", 2)
    assert thread_pool("test", 1) is not thread_pool("other", 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_has_threads_of_its_own(monkeypatch):
    monkeypatch.setattr(_kernels.torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(_kernels, "_THREAD_VALUES", 1)
    p = np.random.default_rng(0).dirichlet(np.ones(5), size=40)
    expected = _kernels.row_entropy(p)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # Python's own about threads and fork
        child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(_kernels.row_entropy(p), expected) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
