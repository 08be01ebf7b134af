"""Scoring time of ImageClassifier beside plain skorch; training is bench_training.py's.

Run ``python benchmarks/bench_scoring.py``; every network is ``small_cnn`` (two
convolutions), the images are digits enlarged to 28x28, and every row is timed in this
one process, in turn, so that ratios hold where seconds do not.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from skorch import NeuralNetClassifier
from torch import nn

from al_sklearn.estimators import ImageClassifier
from al_sklearn.estimators.networks import small_cnn

REMARKS = """
All three score with the same network in one process. skorch takes batches of 128 by default. `ImageClassifier` scores
in channels-last, under `inference_mode`, in batches that stay in the processor's cache, with BatchNorm folded into the
convolutions before it and a 2x2 max pooling that does not also find where the maxima were; what is left of the numbers
is the rounding. `amp="bf16"` is for processors with bf16 instructions.
"""


def load(n_images: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    bunch = load_digits()
    small = torch.tensor(bunch.images * (255 / 16), dtype=torch.float32)[:, None]
    if side != 8:
        small = nn.functional.interpolate(small, size=(side, side), mode="bilinear")
    chosen = np.random.default_rng(0).integers(len(small), size=n_images)
    return small[:, 0].round().to(torch.uint8).numpy()[chosen], bunch.target.astype(
        np.int64
    )[chosen]


def take_turns(jobs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each job; the jobs alternate, so that a busy moment hits them
    all.
    """
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job()
    for _ in range(repeats):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def table(title: str, seconds: dict[str, float]) -> str:
    first = next(iter(seconds.values()))
    lines = [
        f"## {title}",
        "",
        "| | seconds | times as fast as the first |",
        "|---|---|---|",
    ]
    lines += [
        f"| {name} | {value:.3f} | {first / value:.2f} |"
        for name, value in seconds.items()
    ]
    return "\n".join(lines) + "\n"


def scoring(n_images: int, repeats: int) -> str:
    X, y = load(n_images, 28)
    floats = (X.astype(np.float32) / 255)[:, None]
    plain = NeuralNetClassifier(
        small_cnn,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        max_epochs=1,
        train_split=None,
        verbose=0,
    ).fit(floats[:500], y[:500])
    ours = ImageClassifier(max_epochs=5, random_state=0).fit(X[:500], y[:500])
    half = (
        ImageClassifier(max_epochs=5, random_state=0)
        .fit(X[:500], y[:500])
        .set_params(amp="bf16")
    )
    seconds = take_turns(
        {
            "skorch NeuralNetClassifier, default batch": lambda: plain.predict_proba(
                floats
            ),
            "ImageClassifier": lambda: ours.predict_proba(X),
            'ImageClassifier, amp="bf16"': lambda: half.predict_proba(X),
        },
        repeats,
    )
    difference = np.abs(ours.predict_proba(X) - half.predict_proba(X)).max()
    title = f"predict_proba of {n_images:,} images of 28x28"
    return (
        table(title, seconds)
        + f"\nLargest difference of a probability under bf16: {difference:.1e}.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=60_000, help="images to score")
    parser.add_argument(
        "--repeats",
        type=int,
        default=3,
        help="timed runs of each; the median is printed",
    )
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="torch threads"
    )
    parser.add_argument(
        "--out", type=Path, help="also write the tables to this Markdown file"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    made = (
        f"Made {datetime.date.today()} by `python benchmarks/bench_scoring.py "
        f"{shlex.join(sys.argv[1:])}`: torch "
        f"{torch.__version__}, {args.threads} threads, {platform.machine()}; medians "
        f"of {args.repeats} turns."
    )
    text = (
        f"# Scoring\n\n{made}\n\n{REMARKS.strip()}\n\n"
        f"{scoring(args.images, args.repeats)}"
    )
    print(text)
    if args.out is not None:
        args.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
