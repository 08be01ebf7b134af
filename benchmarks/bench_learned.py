"""What the learned strategies cost: one epoch of DAL's network beside a loop over a
DataLoader, and whole queries.

``python benchmarks/bench_learned.py``; ``--threads N`` for more than one.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from al_sklearn.strategies import core_gcn, dal, strategy_name, vaal, vaal_distance
from al_sklearn.strategies.named._learned import _training as training


def median_seconds(work: Callable[[], object], repeats: int = 3) -> tuple[float, float]:
    """Wall and processor seconds, each the median."""
    wall, processor = [], []
    for _ in range(repeats):
        started, spent = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - started)
        processor.append(time.process_time() - spent)
    return statistics.median(wall), statistics.median(processor)


def plain_epoch(features: torch.Tensor, target: torch.Tensor) -> None:
    """One epoch as it is usually written: row by row through a DataLoader."""
    network = training.perceptron(
        [features.shape[1], 256, 256, 256, 1], torch.Generator().manual_seed(0)
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for x, y in DataLoader(
        TensorDataset(features, target), batch_size=64, shuffle=True
    ):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(network(x)[:, 0], y).backward()
        optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.normal(size=(11_000, 128)).astype(np.float32))
    target = (torch.arange(11_000) < 10_000).float()
    options = {
        "hidden": (256, 256, 256),
        "max_epochs": 1,
        "batch_size": 1024,
        "lr": 1e-3,
    }

    def ours() -> None:
        training.train_binary(
            features, target, generator=torch.Generator().manual_seed(0), **options
        )

    ours()
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads; medians of 3\n"
    )
    print("| work | wall seconds | processor seconds |\n|---|--:|--:|")
    rows = [("one epoch of DAL, 11,000 x 128", ours)]
    rows.append(
        (
            "the same, DataLoader and batches of 64",
            partial(plain_epoch, features, target),
        )
    )
    centres = 2.5 * rng.normal(size=(10, 64))
    X = (centres[rng.integers(0, 10, 5_200)] + 3 * rng.normal(size=(5_200, 64))).astype(
        np.float32
    )
    for strategy in (dal, core_gcn, vaal, vaal_distance):
        query = partial(
            strategy, None, X[200:], 100, X_labelled=X[:200], random_state=0
        )
        rows.append(
            (f"{strategy_name(strategy)}, 100 of 5,000 x 64, 200 labelled", query)
        )
    for name, work in rows:
        wall, processor = median_seconds(work)
        print(f"| {name} | {wall:.3f} | {processor:.3f} |", flush=True)


if __name__ == "__main__":
    main()
