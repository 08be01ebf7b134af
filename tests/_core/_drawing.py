"""Estimators that draw from the global generators, for the tests of those."""

import random
import threading
import time

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin

from al_sklearn._core import random as core_random

GENERATORS = {
    "python": random.random,
    "numpy": np.random.rand,
    "torch": lambda: torch.rand(()).item(),
}


class Draws(ClassifierMixin, BaseEstimator):
    """Learns nothing but what it drew, and lets others draw meanwhile."""

    def __init__(self, source="numpy", n_draws=5, pause=0.0):
        self.source = source
        self.n_draws = n_draws
        self.pause = pause

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.drawn_ = []
        for _ in range(self.n_draws):
            self.drawn_.append(GENERATORS[self.source]())
            time.sleep(self.pause)
        return self

    def predict_proba(self, X):
        # Another row of chances for each row, so that a strategy sees what was drawn.
        seed = int(sum(self.drawn_) * 1e6)
        chances = np.random.default_rng(seed).dirichlet(
            np.ones(len(self.classes_)), size=len(X)
        )
        return chances

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def together(*works, seconds=60):
    """What each of ``works`` returns, each run in a thread of its own.

    Threads that wait for each other fail the test instead of hanging it.
    """
    results = [None] * len(works)
    errors = []

    def run(i, work):
        try:
            results[i] = work()
        except Exception as error:  # noqa: BLE001 - raised below, in the test
            errors.append(error)

    threads = [
        threading.Thread(target=run, args=(i, work), daemon=True)
        for i, work in enumerate(works)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    if any(thread.is_alive() for thread in threads):
        # The tests that come after need a lock that nobody holds for ever.
        core_random._lock = threading.RLock()
        raise AssertionError(f"not ended after {seconds} s")
    if errors:
        raise errors[0]
    return results
