"""A comparison's time: what of it is loop, store and statistics, what two jobs bring,
and the whole at real size.

    python benchmarks/bench_comparison.py --out docs/comparison-speed.md

Six strategies, ten seeds, ten rounds on 10,000 images embedded by a frozen
EfficientNet-Lite0 (Fashion-MNIST where its files are found, else scikit-learn's digits,
which says so), and logistic regression. `--quick` makes everything small, to see that
it runs.
"""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import numpy as np
import torch
import typer
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from al_sklearn import StrategyComparison, load_dataset
from al_sklearn.estimators import FrozenBackbone
from al_sklearn.experiments import load_runs
from al_sklearn.loop import _loop

STRATEGIES = ["random_sampling", "margin", "entropy", "coreset", "typiclust", "badge"]
N_POOL, N_TEST = 10_000, 2_000
N_RUNS = 1_000


def main(
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder with Fashion-MNIST's files.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the page here.")] = None,
    quick: Annotated[
        bool, typer.Option(help="A few images, seeds and runs, to see that it runs.")
    ] = False,
) -> None:
    """Measure, print and write."""
    # Workers count their threads themselves; one each, so that one job and two do the
    # same work.
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", r"\d seeds? cannot tell")
    X, y, X_test, y_test, what = embedded(data_dir, quick)
    size = {"n_seeds": 2, "n_rounds": 2} if quick else {"n_seeds": 10, "n_rounds": 10}
    rows: list[tuple[str, str, str]] = []

    def add(name: str, measured: str, goal: str = "") -> None:
        rows.append((name, measured, goal))
        print(f"{name}: {measured} {goal}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)

        def run(
            store: str, n_jobs: int, **options: int
        ) -> tuple[StrategyComparison, float]:
            model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
            settings = {"n_initial": 20, "n_instances": 20, **size, **options}
            comparison = StrategyComparison(
                model,
                STRATEGIES,
                n_jobs=n_jobs,
                threads_per_job=1,
                store=runs / store,
                verbose=0,
                **settings,
            )
            began = time.perf_counter()
            comparison.fit(X, y, X_test, y_test)
            return comparison, time.perf_counter() - began

        # The workers' start and what is compiled at first use are paid once a process,
        # not once a comparison.
        run("warm_one", 1, n_seeds=1, n_rounds=1)
        run("warm", 2, n_seeds=2, n_rounds=1)
        whole, two = run("two", 2)
        add(
            f"{len(STRATEGIES)} strategies, {size['n_seeds']} seeds, "
            f"{size['n_rounds']} rounds, 2 jobs",
            f"{two:.1f} s",
            "under 120 s",
        )
        with clock() as spent:
            _, one = run("one_job", 1)
        add("the same, 1 job", f"{one:.1f} s")
        add("two jobs against one", f"{one / two:.2f} ×", "at least 1.7 ×")
        share = 1 - spent["seconds"] / one
        add(
            "loop and store, share of one job's time",
            f"{100 * share:.2f} %",
            "with statistics under 2 %",
        )
        began = time.perf_counter()
        whole.summary()
        whole.pairwise()
        statistics = time.perf_counter() - began
        add(
            "statistics (summary, all pairs), share of the two jobs' time",
            f"{100 * statistics / (2 * two):.2f} %",
        )
        n_runs = 20 if quick else N_RUNS
        many = runs / "many"
        for number in range(n_runs):
            target = many / f"run_{number:04d}"
            target.mkdir(parents=True)
            for file in ("config.json", "metrics.jsonl", "splits.npz"):
                shutil.copy(runs / "one_job" / file, target)
        began = time.perf_counter()
        loaded = load_runs(many)
        n_rounds = sum(len(found.table) for found in loaded.values())
        add(
            f"{n_runs} runs read ({n_rounds:,} rows)",
            f"{time.perf_counter() - began:.1f} s",
            "seconds",
        )
    if out is not None:
        out.write_text(page(rows, what))


def embedded(
    data_dir: Path | None, quick: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, str]:
    """Pool, its labels, test set, its labels, and what they are."""
    try:
        data = load_dataset("fashion-mnist", data_dir)
    except FileNotFoundError:
        bunch = load_digits()
        X, y = bunch.data / 16.0, bunch.target
        return (
            X[:1400],
            y[:1400],
            X[1400:],
            y[1400:],
            "scikit-learn's digits (1,400 images; no Fashion-MNIST here)",
        )
    n_pool, n_test = (400, 200) if quick else (N_POOL, N_TEST)
    backbone = FrozenBackbone(cache=False, verbose=False)
    X, X_test = (
        backbone.fit_transform(rows)
        for rows in (data.X_train[:n_pool], data.X_test[:n_test])
    )
    what = (
        f"{n_pool:,} images of Fashion-MNIST, {X.shape[1]} features each; {n_test:,} "
        "test images"
    )
    return X, data.y_train[:n_pool], X_test, data.y_test[:n_test], what


@contextmanager
def clock() -> Iterator[dict[str, float]]:
    """Add up, in this process, the seconds of training, query and measuring: the
    comparison's own work.
    """
    spent = {"seconds": 0.0}

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent["seconds"] += time.perf_counter() - began

        return call

    with ExitStack() as stack:
        for owner, name in (
            (_loop, "choose"),
            (_loop, "train_round"),
            (_loop, "measure_round"),
            (_loop, "batch_agreement"),
        ):
            stack.enter_context(patch.object(owner, name, timed(getattr(owner, name))))
        yield spent


def page(rows: list[tuple[str, str, str]], what: str) -> str:
    """Return the page as Markdown."""
    command = shlex.join(["benchmarks/bench_comparison.py", *sys.argv[1:]])
    lines = [
        "# What a comparison costs",
        "",
        f"Made {datetime.date.today()} by `python {command}` on {os.cpu_count()} "
        f"cores of {platform.machine()} "
        f"{platform.system()}, one thread a job, Python {platform.python_version()}.",
        "",
        f"{what}; standardised, logistic regression from scratch each round; 20 "
        "labels and 20 more each round. "
        f"Strategies: {', '.join(STRATEGIES)}.",
        "",
        "| what | measured | goal |",
        "|---|--:|---|",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        "Loop and store are what is left of the wall's seconds when those of "
        "training, query and measuring on the test "
        "set are taken away: the hash of the data, splits, taking rows, writing files "
        "(the disk is waited for while "
        "the next round is trained).",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    typer.run(main)
