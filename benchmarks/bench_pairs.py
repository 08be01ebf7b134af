"""Two checkouts of the library side by side in one run, row by row.

    python benchmarks/bench_pairs.py --before FOLDER [--after FOLDER] [--only entropy ...]
        [--repeats 9] [--out docs/benchmarks.md]

Each checkout lives in a process of its own. A row's calls alternate between the two, so
that both meet the same machine; the ratio is the median of the pairs' ratios, with the
quartiles beside. The first call of each process is shown for itself: what compiles or
warms up shows there. Rows are called by position, which old and new names share.
"""

from __future__ import annotations

import argparse
import datetime
import inspect
import json
import os
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SECTION = "## Before and after"
REMARKS = """
Made {date} by `python benchmarks/bench_pairs.py`, {threads} threads, {machine}. Calls
of the two checkouts ({before} and {after}) alternate; seconds are medians of {repeats},
the ratio is the median of the pairs' (below 1: faster now) with its quartiles. "First"
is the first call of a fresh process. Each row is our own code alone, on the sizes of the
table above. "Slower": by more than a quarter, or by more than a tenth where the lower
quartile is above 1.

**Why the measures are slower.** Loops compiled by numba read each row once and kept what
they needed in registers; torch and numpy take one step after the other over the block.
The loops gained milliseconds (BALD of 50 passes over 50,000 images with 100 classes: half
a second, where the passes take minutes) and cost .8 to 1.7 s in the first call of every
process, each worker of a comparison included; and numba decided which numpy could be
installed. `query entropy`, `query margin`, `query falcun` and `query bald` are slower by
their measure, and the small `probcover` counts its pairs step by step for the same reason.
`badge` and `ranked batch` take the same steps as before; no cause was found in them, and
rows of the same code move as far the other way.
"""


def _cases() -> dict[str, Callable[[], Callable[[], Any]]]:
    """Rows by name: each makes its data and returns what is timed."""
    from _data import features, probabilities

    from al_sklearn.strategies import measures, selectors
    from al_sklearn.strategies.selectors import top_k

    def scored(measure: Callable[..., Any], *shape: int) -> Callable[[], Any]:
        proba = probabilities(*shape)
        return lambda: top_k(measure(proba), 1_000)

    def picks(
        select: Callable[..., Any], n: int, d: int, b: int, **options: Any
    ) -> Any:
        rows = features(n, d, 50)
        return lambda: select(rows, b, **options)

    def beside(select: Callable[..., Any], n: int, d: int, n_known: int, b: int) -> Any:
        rows = features(n + n_known, d, 50)
        return lambda: select(rows[:n], b, labelled=rows[n:])

    def badge(n: int, d: int, n_classes: int, b: int) -> Any:
        rows, proba = features(n, d, n_classes), probabilities(n, n_classes)
        residuals = np.eye(n_classes, dtype=np.float32)[proba.argmax(1)] - proba
        select = selectors.gradient_kmeans_plusplus
        # Of the older names the order was another one.
        is_new = "features" in inspect.signature(select).parameters
        given = {"residuals": residuals, "features" if is_new else "embeddings": rows}
        return lambda: select(n_instances=b, random_state=0, **given)

    def bait(n: int, d: int, n_classes: int, b: int) -> Any:
        rows, proba = features(n, d, n_classes), probabilities(n, n_classes)
        return lambda: selectors.fisher_trace(rows, proba, b)

    def batch_bald(n: int) -> Any:
        samples = probabilities(100, n, 10)
        return lambda: selectors.batch_bald(samples, 10, random_state=0)

    def ranked(n: int, d: int, n_known: int, b: int) -> Any:
        rows, proba = features(n + n_known, d, 50), probabilities(n, 10)
        known, utilities = rows[n:], measures.least_confidence(proba)
        return lambda: selectors.ranked_batch(rows[:n], utilities, b, labelled=known)

    def radius(n: int) -> Any:
        return picks(selectors.probcover, n, 128, 100, radius=0.67)

    def density(n: int) -> Any:
        rows = features(n, 64, 50)
        return lambda: measures.information_density(rows, metric="euclidean")

    return {
        "entropy, n=1000000 C=10": lambda: scored(measures.entropy, 1_000_000, 10),
        "entropy, n=200000 C=100": lambda: scored(measures.entropy, 200_000, 100),
        "margin, n=1000000 C=10": lambda: scored(measures.margin, 1_000_000, 10),
        "margin, n=20000 C=10": lambda: scored(measures.margin, 20_000, 10),
        "ratio, n=1000000 C=10": lambda: scored(measures.ratio, 1_000_000, 10),
        "least confidence, n=1000000 C=10": lambda: scored(
            measures.least_confidence, 1_000_000, 10
        ),
        "bald, T=20 n=100000 C=10": lambda: scored(measures.bald, 20, 100_000, 10),
        "bald, T=50 n=50000 C=100": lambda: scored(measures.bald, 50, 50_000, 100),
        "variation ratio, T=20 n=100000 C=10": lambda: scored(
            measures.variation_ratio, 20, 100_000, 10
        ),
        "coreset, n=50000 d=512 l=5000 b=1000": lambda: beside(
            selectors.k_center, 50_000, 512, 5_000, 1_000
        ),
        "coreset, n=200000 d=128 l=1000 b=1000": lambda: beside(
            selectors.k_center, 200_000, 128, 1_000, 1_000
        ),
        "badge, n=50000 d=512 C=10 b=1000": lambda: badge(50_000, 512, 10, 1_000),
        "badge, n=1000 d=512 C=100 b=200": lambda: badge(1_000, 512, 100, 200),
        "batch_bald, T=100 n=10000 C=10 b=10": lambda: batch_bald(10_000),
        "typiclust, n=50000 d=128 b=100": lambda: picks(
            selectors.typiclust, 50_000, 128, 100, random_state=0
        ),
        "probcover, n=50000 d=128 b=100": lambda: radius(50_000),
        "probcover, n=8000 d=128 b=100": lambda: radius(8_000),
        "max_herding, n=50000 d=128 b=100": lambda: picks(
            selectors.max_herding, 50_000, 128, 100, random_state=0
        ),
        "lcmd, n=50000 d=128 b=100": lambda: picks(selectors.lcmd, 50_000, 128, 100),
        "kmeans_sampling, n=50000 d=128 b=100": lambda: picks(
            selectors.kmeans_sampling, 50_000, 128, 100, random_state=0
        ),
        "bait, n=20000 d=384 C=10 b=20": lambda: bait(20_000, 384, 10, 20),
        "ranked batch, n=5000 d=64 l=100 b=50": lambda: ranked(5_000, 64, 100, 50),
        "ranked batch, n=100000 d=64 l=1000 b=1000": lambda: ranked(
            100_000, 64, 1_000, 1_000
        ),
        "information density, n=10000 d=64": lambda: density(10_000),
        **_queries(),
    }


def _queries() -> dict[str, Callable[[], Callable[[], Any]]]:
    """Whole queries, as a user makes them: the classifier's predictions included."""
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    from al_sklearn import strategies

    X, y = load_digits(return_X_y=True)

    def query(name: str, model: Any, times: int = 20) -> Callable[[], Any]:
        model.fit(X[:200], y[:200])
        rows = np.tile(X, (times, 1))
        known = {"X_labelled": X[:200], "y_labelled": y[:200]}
        takes = name in {"coreset", "bait", "typiclust", "alfa_mix"}
        options = known if name == "alfa_mix" else {"X_labelled": X[:200]}
        strategy = getattr(strategies, name)
        kept = {**(options if takes else {}), "random_state": 0}
        return lambda: strategy(model, rows, 100, **kept)

    linear = ("entropy", "margin", "coreset", "badge", "bait", "typiclust", "probcover")
    linear += ("cluster_margin", "clue", "falcun", "drop_query", "alfa_mix")
    forest = ("bald", "variation_ratio", "vote_entropy", "power_bald")
    cases: dict[str, Callable[[], Callable[[], Any]]] = {}
    for name in linear:
        cases[f"query {name}, digits x 20, logistic regression"] = lambda name=name: (
            query(name, LogisticRegression(max_iter=300))
        )
    for name in forest:
        cases[f"query {name}, digits x 20, forest"] = lambda name=name: query(
            name, RandomForestClassifier(50, random_state=0)
        )
    return cases


def serve() -> None:
    """Answer on standard input and output: a row's name in, its seconds out."""
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    # What a library prints must not mix with the answers.
    os.dup2(2, 1)
    cases = _cases()
    ready: dict[str, Callable[[], Any]] = {}
    for line in sys.stdin:
        name = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            if name not in ready:
                ready.clear()
                ready[name] = cases[name]()
            started = time.perf_counter()
            ready[name]()
            answer["seconds"] = time.perf_counter() - started
        except Exception as error:  # noqa: BLE001 - said in the table
            answer["error"] = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), file=answers, flush=True)


class Checkout:
    """A process that has one checkout of the library."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(folder.resolve())}
        command = [sys.executable, __file__, "--serve"]
        self._process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def seconds(self, name: str) -> float:
        """Run a row once; NaN where it fails, which is said."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(name) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            print(f"{name}: {answer['error']}", file=sys.stderr)
        return answer.get("seconds", float("nan"))

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def row(name: str, folders: list[Path], repeats: int) -> str:
    """Measure one row in fresh processes; a line of the table."""
    # A process a row: the first call of each is the first call of a process.
    both = [Checkout(folder) for folder in folders]
    try:
        first = [checkout.seconds(name) for checkout in both]
        pairs = []
        for i in range(repeats if max(first) < 5 else 3):
            # Who comes first changes: the second finds warmer memory.
            order = (0, 1) if i % 2 == 0 else (1, 0)
            taken = {which: both[which].seconds(name) for which in order}
            pairs.append((taken[0], taken[1]))
    finally:
        for checkout in both:
            checkout.close()
    before, after = np.median(pairs, axis=0)
    low, middle, high = np.percentile([b / a for a, b in pairs], [25, 50, 75])
    verdict = "**slower**" if middle > 1.25 or (middle > 1.1 and low > 1) else ""
    cells = [
        name,
        f"{first[0]:.3g}",
        f"{first[1]:.3g}",
        f"{before:.3g}",
        f"{after:.3g}",
        f"{middle:.2f} ({low:.2f}-{high:.2f})",
        verdict,
    ]
    line = "| " + " | ".join(cells) + " |"
    print(line, flush=True)
    return line


def _version_of(folder: Path) -> str:
    command = ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def main() -> None:
    """Measure, print, and put the table on the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--after", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    if options.before is None:
        parser.error("--before says where the older checkout is")
    folders = [options.before, options.after]
    names = [
        n for n in _cases() if not options.only or n.startswith(tuple(options.only))
    ]
    header = [
        "| row | first before, s | first after, s | before, s | after, s | after / before "
        "(quartiles) | |",
        "|" + "---|" * 7,
    ]
    lines = header + [row(name, folders, options.repeats) for name in names]
    if options.out is not None:
        import torch

        remarks = REMARKS.format(
            date=datetime.date.today(),
            threads=torch.get_num_threads(),
            machine=f"{platform.machine()} {platform.system()}",
            before=_version_of(folders[0]),
            after=_version_of(folders[1]),
            repeats=options.repeats,
        )
        page = options.out.read_text(encoding="utf-8") if options.out.exists() else ""
        page = page.partition(SECTION)[0].rstrip()
        text = "\n".join([page, "", SECTION, remarks, *lines, ""])
        options.out.write_text(text.lstrip(), encoding="utf-8")


if __name__ == "__main__":
    main()
