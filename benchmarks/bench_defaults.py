"""Whether the defaults of ImageClassifier train few labels and many: accuracy beside
other rates and batch sizes.

Run ``python benchmarks/bench_defaults.py``: digits and Fashion-MNIST with 20 labels
drawn at random, 5 seeds; with ``--large`` instead 20,000 labels of Fashion-MNIST, one
seed, some minutes each on 2 cores.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from al_sklearn import ImageClassifier, load_dataset

SETTINGS = {
    "defaults": {},
    "lr=3e-4": {"lr": 3e-4},
    "lr=3e-3": {"lr": 3e-3},
    "batch_size=8": {"batch_size": 8},
    "batch_size=128": {"batch_size": 128},
    "one pass an epoch": {"iterator_train__min_batches": 1},
    'schedule="one_cycle", lr=3e-3': {"schedule": "one_cycle", "lr": 3e-3},
    "swa=True": {"swa": True},
    'augment="crop"': {"augment": "crop"},
    'augment=["crop", "rand_augment"]': {"augment": ["crop", "rand_augment"]},
}


def row(
    data: object, name: str, params: dict, n_labels: int, n_seeds: int, epochs: int
) -> str:
    scores, seconds = [], []
    for seed in range(n_seeds):
        chosen = np.random.default_rng(seed).permutation(len(data.y_train))[:n_labels]
        classes = np.unique(data.y_train)
        net = ImageClassifier(
            classes=classes, max_epochs=epochs, random_state=seed, **params
        )
        start = time.process_time()
        net.fit(data.X_train[chosen], data.y_train[chosen])
        seconds.append(time.process_time() - start)
        scores.append(100 * net.score(data.X_test, data.y_test))
    spread = f" ± {np.std(scores, ddof=1):.1f}" if n_seeds > 1 else ""
    return (
        f"| {data.name} | {n_labels:,} | {name} | {np.mean(scores):.1f}{spread} | "
        f"{np.median(seconds):.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--large",
        action="store_true",
        help="20,000 labels of Fashion-MNIST, once each, instead",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=list(SETTINGS),
        default=list(SETTINGS),
        metavar="SETTING",
    )
    parser.add_argument(
        "--data",
        nargs="+",
        default=["digits", "fashion-mnist"],
        choices=["digits", "fashion-mnist"],
    )
    parser.add_argument(
        "--epochs",
        type=int,
        default=30,
        help="max_epochs, 30 by default as in ImageClassifier",
    )
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="torch threads"
    )
    parser.add_argument(
        "--out", type=Path, help="also write the table to this Markdown file"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    lines = [
        "| data | labels | setting | test accuracy, % ± sd over seeds | CPU seconds "
        "of a fit |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    small = [("digits", 20, args.seeds), ("fashion-mnist", 20, args.seeds)]
    for data_name, n_labels, n_seeds in (
        [("fashion-mnist", 20_000, 1)] if args.large else small
    ):
        if data_name not in args.data:
            continue
        data = load_dataset(data_name)
        for name in args.only:
            lines.append(
                row(data, name, SETTINGS[name], n_labels, n_seeds, args.epochs)
            )
            print(lines[-1], flush=True)
    if args.out is not None:
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
