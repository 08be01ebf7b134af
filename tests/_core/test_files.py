"""Locks between threads and processes."""

import subprocess
import sys
import threading

import pytest

from al_sklearn._core.files import locked

HOLDS = """
import sys
from pathlib import Path
from al_sklearn._core.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_dies_with_its_process(tmp_path):
    path = tmp_path / "there" / ".lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(BlockingIOError), locked(path, wait=False):
        pass
    holder.kill()
    holder.communicate()
    # The same thread is refused as well: nobody takes it twice.
    with (
        locked(path, wait=False),
        pytest.raises(BlockingIOError),
        locked(path, wait=False),
    ):
        pass
    with locked(path, wait=False):
        pass


def test_threads_take_turns(tmp_path):
    turns = []

    def work(name):
        for _ in range(5):
            with locked(tmp_path / ".lock"):
                turns.append((name, "begins"))
                turns.append((name, "ends"))

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(turns) == 20
    assert all(
        turns[i][0] == turns[i + 1][0] and turns[i + 1][1] == "ends"
        for i in range(0, 20, 2)
    )
