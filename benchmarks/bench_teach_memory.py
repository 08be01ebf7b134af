"""Memory that teaching needs: 1,000 images out of a 10 GB file must cost what 1,000
images weigh.

    python benchmarks/bench_teach_memory.py [--gigabytes 10] [--rows 1000]

The file is sparse: it takes no disk. What is measured is the peak of tracemalloc, which
sees every array of numpy.
"""

from __future__ import annotations

import gc
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import typer
from sklearn.base import BaseEstimator, ClassifierMixin

from al_sklearn.learners import ActiveLearner, Committee

SHAPE = (64, 64, 3)


class Mean(ClassifierMixin, BaseEstimator):
    """Looks at its rows and copies none of them, so that what is measured is the
    learner.
    """

    def fit(self, X: Any, y: Any) -> Mean:
        """Fit."""
        self.classes_ = np.unique(y)
        self.mean_ = X.mean()
        return self


def peak_mb(action: Callable[[], object]) -> float:
    """Peak of what numpy allocates, in megabytes."""
    gc.collect()
    tracemalloc.start()
    # Held until the peak is read: what is kept counts too.
    kept = action()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del kept
    return peak / 1e6


def teach(
    learner: Any, X: np.memmap, y: np.ndarray, chosen: np.ndarray, **options: Any
) -> Callable[[], object]:
    """Teach the second half of ``chosen`` to a learner that knows the first half."""
    first, second = np.array_split(chosen, 2)
    learner.fit(np.asarray(X[first]), y[: len(first)])
    return lambda: learner.teach(X[second], y[len(first) :], **options)


def main(gigabytes: float = 10.0, rows: int = 1000) -> None:
    n = int(gigabytes * 1e9 / np.prod(SHAPE))
    rng = np.random.default_rng(0)
    chosen = rng.choice(n, size=2 * rows, replace=False)
    y = rng.integers(10, size=2 * rows)
    with tempfile.TemporaryDirectory() as folder:
        X = np.memmap(
            Path(folder) / "images.dat", dtype=np.uint8, mode="w+", shape=(n, *SHAPE)
        )
        print(
            f"pool: {n:,} images, {X.nbytes / 1e9:.1f} GB; {rows:,} images weigh "
            f"{X[:rows].nbytes / 1e6:.1f} MB\n"
        )
        asking = ActiveLearner(Mean(), query_strategy="random", random_state=0)
        committee = Committee([ActiveLearner(Mean()) for _ in range(8)])
        actions = {
            f"query {rows:,} at random": lambda: asking.query(X, n_instances=rows),
            f"teach {rows:,} to one that knows {rows:,}": teach(
                ActiveLearner(Mean()), X, y, chosen
            ),
            "the same without a fit": teach(
                ActiveLearner(Mean()), X, y, chosen, refit=False
            ),
            "the same, bootstrap": teach(
                ActiveLearner(Mean()), X, y, chosen, bootstrap=True
            ),
            "the same, a committee of 8": teach(committee, X, y, chosen),
        }
        for name, action in actions.items():
            print(f"{name:40} {peak_mb(action):8.1f} MB")


if __name__ == "__main__":
    typer.run(main)
