"""Threads that stay, also behind a fork."""

import os
import warnings

import pytest

from al_sklearn._core.threads import thread_pool


def test_one_pool_for_a_purpose():
    assert thread_pool("test", 1) is thread_pool("test", 1)
    assert thread_pool("test", 1) is not thread_pool("test", 2)
    assert thread_pool("test", 1) is not thread_pool("other", 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_has_threads_of_its_own():
    def twice() -> list[int]:
        return list(thread_pool("test", 2).map(lambda x: 2 * x, range(9)))

    expected = twice()
    with warnings.catch_warnings():
        # Python's own about threads and fork
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os._exit(0 if twice() == expected else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
