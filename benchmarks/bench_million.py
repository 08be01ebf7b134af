"""Every strategy of the catalogue's sections on uncertainty, geometry and hybrids, on a
million candidates in a file.

    python benchmarks/bench_million.py [--limit 600] [--only margin coreset ...] [--out
    docs/benchmarks.md]

The candidates are a memory-mapped file of float32. Each strategy runs in a process of
its own, so that its memory is its own, and is stopped after --limit seconds; that it
did not finish is then said. --out adds the table to the page.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _pages import old_rows, write_million
from sklearn.linear_model import LogisticRegression
from skorch import NeuralNetClassifier
from torch import nn

from al_sklearn import inference
from al_sklearn.learners import ActiveLearner
from al_sklearn.strategies import catalogue, get_strategy, mix, two_stage, weighted

N_CLASSES = 10
N_LABELLED = 1_000
FAMILIES = ("uncertainty", "geometric", "hybrid")
COMPOSED: dict[str, Callable[[], Any]] = {
    "mix((0.5, margin), (0.5, coreset))": lambda: mix(
        (0.5, "margin"), (0.5, "coreset")
    ),
    "two_stage(margin, coreset)": lambda: two_stage("margin", "coreset"),
    "weighted(margin, k_center)": lambda: weighted("margin", "k_center"),
}
READ = "reading the file"

REMARKS = """
Each asks for {b:,} of {n:,} candidates of {d} float32 features ({size:.0f} MB in a file that the system has in its
cache), 50 Gaussian clusters through a ReLU, with {n_labelled:,} more labelled, in {n_classes} classes. The classifier
is logistic regression on the features, or, for those that need posterior samples or gradients, dropout and a linear
layer in skorch with {n_samples} samples. Seconds and CPU seconds hold the classifier's predictions; peak memory is the
growth of the memory that is the process' own (RssAnon: without the pages of the file), seen every 10 milliseconds. Each
runs in a process of its own and was stopped after {limit:g} seconds.
"""


def write_data(folder: Path, n: int, d: int, seed: int = 0) -> None:
    """The candidates as candidates.npy, and labelled.npy with labels.npy beside,
    written chunk by chunk.
    """
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((50, d), dtype=np.float32)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        cluster = rng.integers(0, len(centres), n)
        rows = 0.6 * rng.standard_normal((n, d), dtype=np.float32) + centres[cluster]
        return np.maximum(rows, 0), cluster % N_CLASSES

    rows, labels = draw(N_LABELLED)
    np.save(folder / "labelled.npy", rows)
    np.save(folder / "labels.npy", labels)
    y = np.lib.format.open_memmap(folder / "true_labels.npy", "w+", np.int64, (n,))
    X = np.lib.format.open_memmap(folder / "candidates.npy", "w+", np.float32, (n, d))
    for start in range(0, n, 50_000):
        X[start : start + 50_000], y[start : start + 50_000] = draw(
            min(50_000, n - start)
        )
    X.flush()
    y.flush()


class PeakMemory:
    """Largest growth of the memory that is the process' own, in MB; None where there is
    no /proc.
    """

    def __enter__(self) -> PeakMemory:
        self._start = own_mb()
        self.mb: float | None = None if self._start is None else 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while self._start is not None and not self._stop.wait(0.01):
            self.mb = max(self.mb or 0.0, (own_mb() or 0.0) - self._start)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def own_mb() -> float | None:
    """Anonymous memory of this process."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    lines = (
        line for line in status.read_text().splitlines() if line.startswith("RssAnon")
    )
    return next((int(line.split()[1]) / 1024 for line in lines), None)


def classifier_for(needs: tuple[str, ...], rows: np.ndarray, labels: np.ndarray) -> Any:
    """What gives what the strategy needs: logistic regression, or a net with dropout
    before its only layer.
    """
    learned = LogisticRegression(max_iter=200)
    if {"samples", "input_gradient"} & set(needs):
        torch.manual_seed(0)
        learned = NeuralNetClassifier(
            nn.Sequential(nn.Dropout(0.2), nn.Linear(rows.shape[1], N_CLASSES)),
            criterion=nn.CrossEntropyLoss,
            max_epochs=5,
            lr=0.05,
            batch_size=256,
            train_split=None,
            verbose=0,
        )
    return ActiveLearner(learned, X_training=rows, y_training=labels)


def work(name: str, folder: Path, b: int) -> dict[str, Any]:
    """One strategy, in this process: what it took."""
    X = np.load(folder / "candidates.npy", mmap_mode="r")
    if name == READ:
        return timed(lambda: float(X.sum()))
    rows, labels = np.load(folder / "labelled.npy"), np.load(folder / "labels.npy")
    strategy = COMPOSED[name]() if name in COMPOSED else get_strategy(name)
    needs = strategy.info.needs if name not in COMPOSED else ()  # type: ignore[union-attr]
    classifier = classifier_for(needs, rows, labels)
    if "true_labels" in needs:  # an oracle, which refuses learners
        classifier = classifier.estimator
        strategy = functools.partial(
            strategy, y_true=np.load(folder / "true_labels.npy")
        )
    inference.predict_proba(
        classifier, rows
    )  # imports and first calls are not its time
    result = timed(lambda: strategy(classifier, X, b, random_state=0))
    indices = result.pop("result")[0]
    if len(np.unique(indices)) != b or indices.min() < 0 or indices.max() >= len(X):
        result["note"] = f"wrong: {len(np.unique(indices))} unique positions"
    return result


def timed(function: Callable[[], Any]) -> dict[str, Any]:
    """Seconds, CPU seconds, peak memory and the result of a call."""
    with PeakMemory() as memory:
        cpu, wall = time.process_time(), time.perf_counter()
        result = function()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"seconds": wall, "cpu": cpu, "mb": memory.mb, "result": result}


def run(name: str, folder: Path, b: int, limit: float, threads: int) -> dict[str, Any]:
    """One strategy in a process of its own."""
    command = [
        sys.executable,
        __file__,
        "--worker",
        name,
        "--folder",
        str(folder),
        "--instances",
        str(b),
    ]
    try:
        done = subprocess.run(
            [*command, "--threads", str(threads)],
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"note": f"did not finish in {limit:g} s"}
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[
            -1
        ]
        return {"note": f"failed: {last[:200]}"}
    return json.loads(done.stdout.splitlines()[-1])


def names() -> list[str]:
    """What is run: reading alone, every registered strategy of the families, and one of
    each composition.
    """
    return [
        READ,
        *(info.name for info in catalogue() if info.family in FAMILIES),
        *COMPOSED,
    ]


def cells(
    name: str, result: dict[str, Any], reading: float | None, mb: float
) -> list[str]:
    """One line of the table."""

    def number(value: float | None, text: str = ".3g") -> str:
        return "" if value is None else format(value, text)

    seconds, peak = result.get("seconds"), result.get("mb")
    ratio = None if seconds is None or not reading else seconds / reading
    share = None if peak is None else peak / mb
    numbers = [
        number(seconds),
        number(result.get("cpu")),
        number(peak, ".0f"),
        number(share, ".2f"),
        number(ratio),
    ]
    return [name, *numbers, result.get("note", "")]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="20,000 candidates of 32 features"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        help="some strategies alone; the other rows of the page stay",
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=600,
        help="seconds for one strategy, its imports and fit included",
    )
    parser.add_argument("--candidates", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=384)
    parser.add_argument(
        "--instances", type=int, default=1_000, help="how many are asked for"
    )
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="torch threads"
    )
    parser.add_argument("--out", type=Path, help="add the table to this Markdown file")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument(
        "--folder",
        type=Path,
        default=None,
        help="where the data is written (default: a temporary one)",
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.worker:
        warnings.simplefilter("ignore")  # of the optimiser, which need not converge
        result = work(arguments.worker, arguments.folder, arguments.instances)
        print(
            json.dumps({key: value for key, value in result.items() if key != "result"})
        )
        return
    n, d, b = arguments.candidates, arguments.features, arguments.instances
    if arguments.quick:
        n, d, b = 20_000, 32, 50
    header = [
        "strategy",
        "seconds",
        "CPU s",
        "peak MB",
        "of the file",
        "× reading",
        "note",
    ]
    rows: dict[str, str] = (
        old_rows(arguments.out) if arguments.out and arguments.only else {}
    )
    with tempfile.TemporaryDirectory(dir=arguments.folder) as temporary:
        folder = Path(temporary)
        write_data(folder, n, d)
        reading = float(rows[READ].split("|")[2]) if READ in rows else None
        wanted = arguments.only or names()
        for name in wanted:
            result = run(name, folder, b, arguments.limit, arguments.threads)
            reading = result.get("seconds") if name == READ else reading
            line = cells(name, result, reading, n * d * 4 / 2**20)
            print("  ".join(text for text in line if text), flush=True)
            rows[name] = "| " + " | ".join(line) + " |"
    if arguments.out:
        known = [rows[name] for name in names() if name in rows]
        lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header), *known]
        write_million(
            arguments.out, page(lines, n, d, b, arguments.limit, arguments.threads)
        )


def page(lines: list[str], n: int, d: int, b: int, limit: float, threads: int) -> str:
    """The section: how it was made, and the table."""
    made = (
        f"Made {datetime.date.today()} by `python benchmarks/{Path(__file__).name} "
        f"{shlex.join(sys.argv[1:])}` with "
        f"{threads} threads of {os.cpu_count()} cores on {platform.machine()} "
        f"{platform.system()}."
    )
    remarks = REMARKS.format(
        n=n,
        d=d,
        b=b,
        limit=limit,
        size=n * d * 4 / 2**20,
        n_labelled=N_LABELLED,
        n_classes=N_CLASSES,
        n_samples=20,
    )
    return "\n" + "\n".join(["", made, "", remarks.strip(), "", *lines]) + "\n"


if __name__ == "__main__":
    main()
