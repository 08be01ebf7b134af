"""Ctrl-C in a training that swallows it: never a round, in whatever backend."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.linear_model import LogisticRegression

from al_sklearn import ActiveLearner
from al_sklearn._core.interrupts import not_swallowed
from al_sklearn.estimators import DeepEnsemble
from al_sklearn.experiments import ActiveLearningExperiment, StrategyComparison
from al_sklearn.experiments.store import RunStore

pytestmark = [
    pytest.mark.filterwarnings("ignore:1 seed cannot tell"),
    pytest.mark.filterwarnings("ignore:This query strategy returns no scores"),
]


class Swallows(LogisticRegression):
    """Catches Ctrl-C in the middle of a training, as skorch and perceptrons do."""

    # Which training is interrupted, counted over all of them; None for none.
    at: int | None = None
    n_fits = 0

    def fit(self, X, y):
        Swallows.n_fits += 1
        try:
            if Swallows.n_fits == Swallows.at:
                os.kill(os.getpid(), signal.SIGINT)
                # The handler runs between two steps of the interpreter.
                time.sleep(1)
        except KeyboardInterrupt:
            y = np.roll(y, 1)
        return super().fit(X, y)


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    y = np.arange(90) % 3
    return generator.normal(size=(90, 4)) + y[:, None], y


@pytest.fixture
def interrupt():
    """Begin to count, and interrupt a training."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def at(number):
        Swallows.n_fits, Swallows.at = 0, number

    yield at
    at(None)
    signal.signal(signal.SIGINT, before)


def make(store, n_jobs=1):
    return StrategyComparison(
        Swallows(),
        ["margin"],
        n_initial=6,
        n_instances=4,
        n_rounds=3,
        n_seeds=1,
        n_jobs=n_jobs,
        threads_per_job=1,
        verbose=0,
        store=store,
    )


def test_an_interrupted_training_is_no_round(data, interrupt, tmp_path):
    whole = make(tmp_path / "whole").fit(*data).results_
    for number in (1, 3, 6):
        store = tmp_path / str(number)
        interrupt(number)
        with pytest.raises(KeyboardInterrupt) as error:
            make(store).fit(*data)
        assert "the same again goes on" in error.value.__notes__[-1]
        assert len([*store.rglob("round_*.json")]) == number - 1
        interrupt(None)
        again = make(store).fit(*data).results_
        assert again["accuracy"].equals(whole["accuracy"])


def test_ctrl_c_in_one_worker_ends_the_comparison(data, interrupt, tmp_path):
    """A worker that is forked has the count of its parent."""
    interrupt(2)
    with (
        parallel_config("multiprocessing"),
        pytest.raises(KeyboardInterrupt),
    ):
        make(tmp_path / "run", n_jobs=2).fit(*data)
    interrupt(None)
    rounds = RunStore(tmp_path / "run").read("margin", 0)
    whole = make(tmp_path / "whole").fit(*data)
    assert len(rounds) < 3
    again = make(tmp_path / "run").fit(*data)
    assert again.results_["accuracy"].equals(whole.results_["accuracy"])


SLOW = threading.Event()


class Waits(LogisticRegression):
    """A training that is still under way when the main thread is interrupted."""

    def fit(self, X, y):
        if len(y) > 6:
            SLOW.set()
            time.sleep(0.5)
        return super().fit(X, y)


def test_threads_of_an_ended_comparison_write_nothing_more(data, interrupt, tmp_path):
    interrupt(None)
    SLOW.clear()

    def press():
        SLOW.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    run = make(tmp_path / "run", n_jobs=2).set_params(estimator=Waits())
    with parallel_config("threading"), pytest.raises(KeyboardInterrupt):
        run.fit(*data)
    time.sleep(1.5)
    assert [p.name for p in (tmp_path / "run").rglob("round_*.json")] == [
        "round_000.json"
    ]


def test_experiments_learners_and_ensembles_are_interrupted(data, interrupt):
    X, y = data
    interrupt(2)
    with pytest.raises(KeyboardInterrupt):
        ActiveLearningExperiment(Swallows(), n_initial=6, n_rounds=3).fit(X, y)
    interrupt(2)
    learner = ActiveLearner(Swallows(), X_training=X[:9], y_training=y[:9])
    with pytest.raises(KeyboardInterrupt):
        learner.teach(X[9:12], y[9:12])
    assert len(learner.X_training) == 9
    interrupt(2)
    with pytest.raises(KeyboardInterrupt):
        DeepEnsemble(Swallows(), n_members=5).fit(X, y)
    # The third member was not begun.
    assert Swallows.n_fits == 2


def test_a_strategy_that_swallows_it_chooses_nothing(data, interrupt):
    X, y = data

    def strategy(classifier, X, n_instances=1):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        except KeyboardInterrupt:
            pass
        return np.arange(n_instances)

    with pytest.raises(KeyboardInterrupt):
        ActiveLearningExperiment(LogisticRegression(), strategy, n_initial=6).fit(X, y)


def test_only_signals_are_watched_and_handlers_are_put_back(interrupt):
    before = signal.getsignal(signal.SIGINT)
    with not_swallowed():
        try:
            # skorch's early stopping raises it by itself.
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass
    assert signal.getsignal(signal.SIGINT) is before
    stop = []
    old = signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    try:
        # A handler that only takes note interrupts nothing.
        with not_swallowed():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
        assert stop
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with pytest.raises(KeyboardInterrupt), not_swallowed():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(1)
            except KeyboardInterrupt:
                pass
    finally:
        signal.signal(signal.SIGTERM, old)


ORPHANS = """
import os, sys, time
from joblib import Parallel, delayed
from al_sklearn._core.interrupts import end_with_main

def work(place):
    end_with_main()
    open(place + str(os.getpid()), "w").close()
    time.sleep(3600)

Parallel(n_jobs=2)(delayed(work)(sys.argv[1]) for _ in range(2))
"""


def alive(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    # A child of nobody may wait for its parent's question.
    try:
        stat = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_of_a_killed_main_process_end_within_seconds(tmp_path):
    (tmp_path / "main.py").write_text(ORPHANS)
    main = subprocess.Popen(
        [sys.executable, tmp_path / "main.py", f"{tmp_path}/worker-"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while len([*tmp_path.glob("worker-*")]) < 2:
            assert main.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        main.kill()
        main.wait()
    workers = [int(p.name.partition("-")[2]) for p in tmp_path.glob("worker-*")]
    deadline = time.monotonic() + 20
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, workers))
