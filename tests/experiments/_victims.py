"""What is killed: a comparison, the command line, a search, a cache being written."""

import os
import signal
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from joblib import parallel_config
from sklearn.linear_model import LogisticRegression

from al_sklearn.cli import main
from al_sklearn.estimators import TunedClassifier
from al_sklearn.experiments import StrategyComparison, load_results
from al_sklearn.rows import KeyedRows, open_or_compute

KINDS = ("compare", "run", "tuning", "cache")
CLOCK = ["query_seconds", "training_seconds", "peak_memory_mb"]
FILE = """
data: {name: digits, flat: true, pool_size: 80, test_size: 40}
estimator: {LogisticRegression: {max_iter: 500}}
strategies: [margin]
comparison: {n_seeds: 2, n_rounds: 3, n_initial: 12, n_instances: 5, threads_per_job: 1}
"""


class Slow(LogisticRegression):
    """Long enough to be killed in the middle of it, which it does not hold against."""

    def fit(self, X, y):
        try:
            time.sleep(0.01)
        except KeyboardInterrupt:
            # As skorch's nets and perceptrons do.
            y = np.roll(y, 1)
        return super().fit(X, y)


def be_a_victim(kind, folder, n_jobs=1):
    """Begin the work, or go on with it, until it is done or this process is killed."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # What is said of kills is not what is tested.
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    warnings.simplefilter("ignore")
    work(kind, Path(folder), n_jobs)


def work(kind, folder, n_jobs=1):
    if kind == "cache":
        cached(folder)
    elif kind == "run":
        commanded(folder)
    elif kind != "nothing":
        compared(kind, folder, n_jobs)


def compared(kind, folder, n_jobs=1):
    generator = np.random.default_rng(0)
    y = np.arange(120) % 3
    X = generator.normal(size=(120, 4)) + y[:, None]
    estimator = Slow()
    if kind == "tuning":
        store = folder.with_name(f"{folder.name}-tuning.json")
        space = {"C": (0.01, 100.0, "log")}
        estimator = TunedClassifier(
            estimator, space, n_trials=3, tune="once", store=store
        )
    comparison = StrategyComparison(
        estimator,
        ["margin"],
        n_initial=6,
        n_instances=4,
        n_rounds=3,
        n_seeds=2,
        n_jobs=n_jobs,
        threads_per_job=1,
        verbose=0,
        store=folder,
    )
    comparison.fit(X, y)


def commanded(folder):
    file = folder.with_suffix(".yaml")
    file.write_text(FILE)
    begun = any(folder.rglob("round_*.json"))
    words = (
        ["resume", str(folder)]
        if begun
        else ["run", str(file), "--output", str(folder)]
    )
    sys.argv = ["al-sklearn", *words, "--quiet"]
    if not begun:
        sys.argv.append("--no-report")
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise


def cached(folder):
    def rows(start, stop):
        time.sleep(0.005)
        return np.arange(start * 3, stop * 3, dtype=np.float32).reshape(-1, 3)

    options = {"row_shape": (3,), "dtype": np.float32, "chunk_rows": 4}
    in_order = open_or_compute(folder, "k", n_rows=100, compute_chunk=rows, **options)
    kept = KeyedRows(folder / "keyed", (3,))
    for start in range(0, 100, 5):
        keys = [i.to_bytes(16, "little") for i in range(start, start + 5)]
        kept.get(keys, lambda missing, start=start: in_order[start + missing])


def result(kind, folder):
    """What the work has come to, to the last bit, but for the clock."""
    if kind != "cache":
        return load_results(folder).table.drop(columns=CLOCK)
    options = {"n_rows": 100, "row_shape": (3,), "dtype": np.float32}
    in_order = open_or_compute(folder, "k", compute_chunk=None, **options)
    keys = [i.to_bytes(16, "little") for i in range(100)]
    keyed = KeyedRows(folder / "keyed", (3,)).get(keys, None)
    return np.concatenate([in_order, keyed])


def in_workers(kind, folder):
    """Begin the work with two worker processes."""
    with parallel_config("loky"):
        be_a_victim(kind, folder, n_jobs=2)
