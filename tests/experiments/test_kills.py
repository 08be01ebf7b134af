"""Killed at random moments, whatever it is ends with the numbers of the undisturbed."""

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from al_sklearn.experiments.store import verify_run
from tests.experiments._victims import KINDS, be_a_victim, in_workers, result, work

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs fork, looks into /proc"),
    pytest.mark.filterwarnings("ignore:2 seeds cannot tell"),
]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


@pytest.fixture(scope="module")
def nursery():
    """Where victims are born: with everything imported, and no threads of anybody."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.experiments._victims"])
    # Born once for nothing, so that imports are in nobody's time.
    first = context.Process(target=work, args=("nothing", None))
    first.start()
    first.join()
    return context


class Foreign:
    """Files of somebody else, beside a run and in it."""

    def __init__(self, folder):
        self.folder = folder
        self.places = [
            folder.parent / "thesis.txt",
            folder.parent / "other" / "config.json",
            folder.parent / "other" / "rounds" / "margin" / "round_001.json",
        ]
        for path in self.places:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("precious")

    def move_in(self):
        """Lie in the run's folder too, once there is one that can be gone on with."""
        if any(self.folder.rglob("round_*.json")):
            for name in (".mine.1-2.tmp", "rounds/mine.json", "x/splits.npz"):
                path = self.folder / name
                if path not in self.places and (self.folder / "rounds").is_dir():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text("precious")
                    self.places.append(path)

    def are_untouched(self):
        return all(path.read_text() == "precious" for path in self.places)


def kill_often(nursery, kind, folder, n_kills, generator):
    """Kill so often, in as many folders as that takes; each must end as undisturbed."""
    work(kind, folder / "whole")
    expected = result(kind, folder / "whole")
    # How long it takes where it was born: kills come anywhere in that.
    began = time.monotonic()
    victim = nursery.Process(target=be_a_victim, args=(kind, folder / "timed" / "run"))
    (folder / "timed").mkdir()
    victim.start()
    victim.join(120)
    seconds = time.monotonic() - began
    killed = n_folders = 0
    while killed < n_kills:
        run = folder / f"cut-{n_folders}" / "run"
        run.parent.mkdir()
        n_folders += 1
        foreign = Foreign(run)
        over = False
        while not over:
            victim = nursery.Process(target=be_a_victim, args=(kind, run))
            victim.start()
            if killed < n_kills:
                victim.join(generator.uniform(0, seconds))
            else:
                victim.join(120)
            if victim.is_alive():
                os.kill(victim.pid, generator.choice(SIGNALS))
                killed += 1
            victim.join(120)
            assert victim.exitcode is not None
            over = victim.exitcode == 0
            assert over or killed, victim.exitcode
            if kind != "cache":
                foreign.move_in()
        found = result(kind, run)
        if isinstance(found, np.ndarray):
            np.testing.assert_array_equal(found, expected)
        else:
            assert found.equals(expected)
            assert not [f for f in verify_run(run) if f.wrong]
            assert not (run / "set-aside").exists() or kind == "run"
        assert foreign.are_untouched()
    return killed


@pytest.mark.parametrize(("kind", "n_kills"), [*zip(KINDS, (5, 3, 2, 2), strict=True)])
def test_a_dozen_kills(nursery, tmp_path, kind, n_kills):
    generator = np.random.default_rng(n_kills)
    assert kill_often(nursery, kind, tmp_path, n_kills, generator) == n_kills


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "n_kills"), [*zip(KINDS, (70, 40, 40, 40), strict=True)]
)
def test_two_hundred_kills(nursery, tmp_path, kind, n_kills):
    generator = np.random.default_rng(0)
    assert kill_often(nursery, kind, tmp_path, n_kills, generator) == n_kills


def children(number):
    try:
        words = Path(f"/proc/{number}/task/{number}/children").read_text().split()
    except OSError:
        return []
    own = [int(word) for word in words]
    return own + [one for child in own for one in children(child)]


def is_worker(number):
    try:
        return b"LokyProcess" in Path(f"/proc/{number}/cmdline").read_bytes()
    except OSError:
        return False


@pytest.mark.slow
def test_kills_of_workers_and_of_their_main_process(nursery, tmp_path):
    """The last ten of two hundred: each begins two workers, which takes seconds."""
    work("compare", tmp_path / "whole")
    expected = result("compare", tmp_path / "whole")
    generator = np.random.default_rng(1)
    killed = n_folders = 0
    while killed < 10:
        run = tmp_path / f"cut-{n_folders}"
        n_folders += 1
        over = False
        while not over:
            victim = nursery.Process(target=in_workers, args=("compare", run))
            victim.start()
            deadline = time.monotonic() + 120
            n_before = sum(1 for _ in run.rglob("round_*.json"))
            # They work once there is one more round.
            while (
                victim.is_alive()
                and time.monotonic() < deadline
                and sum(1 for _ in run.rglob("round_*.json")) <= n_before
            ):
                time.sleep(0.005)
            time.sleep(generator.uniform(0, 0.1))
            workers = [one for one in children(victim.pid) if is_worker(one)]
            if victim.is_alive() and killed < 10:
                target = generator.choice([victim.pid, *workers])
                os.kill(target, generator.choice(SIGNALS))
                killed += 1
            victim.join(120)
            assert victim.exitcode is not None
            over = victim.exitcode == 0
        assert result("compare", run).equals(expected)
        assert not [f for f in verify_run(run) if f.wrong]
