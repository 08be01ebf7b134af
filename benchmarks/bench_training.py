"""Fitting and scoring times of ImageClassifier beside a plain torch loop and a plain
skorch net; writes a page.

Run ``python benchmarks/bench_training.py --out docs/training-speed.md`` (about 3
minutes on 2 idle cores). Network, weights at the start, steps, batch and optimizer
settings are the same for all; the jobs take turns and the fastest turn of each counts,
so that a busy moment hits nobody alone. With ``--device cuda``: ResNet-18 on 50,000
images of 32x32.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _harness import Measurement, Row, measure
from _pages import Goal, GoalPage
from bench_scoring import load
from skorch import NeuralNetClassifier
from torch import nn

from al_sklearn.estimators import ImageClassifier
from al_sklearn.estimators.networks._build import build_network

OURS, HALF, LOOP, TIGHT, SKORCH = (
    "ImageClassifier",
    'ImageClassifier, amp="bf16"',
    "plain torch loop",
    "the loop with fused Adam and channels-last",
    "plain skorch net",
)
TRAIN, SCORE = "train", "score"
# A loop may take 1/1.05 of our time in training; in scoring it must be slower.
GOALS = {
    TRAIN: Goal({"plain torch loop": round(1 / 1.05, 3)}),
    SCORE: Goal({"plain torch loop": 1.0}),
}

REMARKS = """
"plain torch loop" is what one writes without a library: indexing of a tensor that is on the device already,
`torch.optim.Adam` as it comes, `loss.item()` each step; it scores in batches of 256 under `no_grad`. "the loop with
fused Adam and channels-last" is the same with what `ImageClassifier` sets by itself: what is left between the two is
the cost of reading any kind of images, of skorch's callbacks and of the history. The fastest turn of each counts.
Ratios hold within this page; seconds depend on the machine and on what else it does, CPU seconds less so.
"""


def network(name: str, X: np.ndarray, device: str) -> nn.Module:
    torch.manual_seed(0)
    channels = 1 if X.ndim == 3 else X.shape[3]
    return build_network(name, {}, (channels, X.shape[1], X.shape[2]), 10).to(device)


def as_floats(X: np.ndarray) -> torch.Tensor:
    images = torch.from_numpy(X)
    return (
        (images.unsqueeze(1) if X.ndim == 3 else images.permute(0, 3, 1, 2))
        .float()
        .div_(255)
        .contiguous()
    )


def loop(
    name: str,
    X: np.ndarray,
    y: np.ndarray,
    steps: int,
    batch: int,
    device: str,
    tight: bool,
) -> None:
    module = network(name, X, device).train()
    layout = torch.channels_last if tight else torch.contiguous_format
    module = module.to(memory_format=layout)
    optimizer = torch.optim.Adam(
        module.parameters(), lr=1e-3, fused=True if tight else None
    )
    images, labels = as_floats(X).to(device), torch.from_numpy(y).to(device)
    done = 0
    while done < steps:
        for rows in torch.randperm(len(X)).split(batch)[: steps - done]:
            optimizer.zero_grad()
            scores = module(images[rows].contiguous(memory_format=layout))
            loss = nn.functional.cross_entropy(scores, labels[rows])
            loss.backward()
            optimizer.step()
            loss.item()
            done += 1


def skorch_net(
    name: str, X: np.ndarray, epochs: int, batch: int, device: str
) -> NeuralNetClassifier:
    return NeuralNetClassifier(
        network(name, X, device),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        max_epochs=epochs,
        batch_size=batch,
        train_split=None,
        verbose=0,
        device=device,
    )


@torch.no_grad()
def loop_scores(module: nn.Module, images: torch.Tensor, device: str) -> torch.Tensor:
    return torch.cat(
        [module(part.to(device)).softmax(1).cpu() for part in images.split(256)]
    )


def take_turns(
    jobs: dict[str, Callable[[], Any]], repeats: int
) -> dict[str, Measurement]:
    """The fastest turn of each job, after one turn that does not count."""
    for job in jobs.values():
        job()
    turns = [
        {name: measure(job, repeats=1) for name, job in jobs.items()}
        for _ in range(repeats)
    ]
    return {
        name: min((turn[name] for turn in turns), key=lambda taken: taken.seconds)
        for name in jobs
    }


def add_rows(
    page: GoalPage, work: str, size: str, taken: dict[str, Measurement], images: int
) -> None:
    for who, one in taken.items():
        kind = {OURS: "ours", HALF: "variant", TIGHT: "bound"}.get(who, "peer")
        note = f"{images / one.seconds:,.0f} images/s"
        page.add(Row(work, size, who, kind, note=note).fill(one, taken[OURS]))


def train(
    page: GoalPage,
    name: str,
    X: np.ndarray,
    y: np.ndarray,
    epochs: int,
    repeats: int,
    device: str,
) -> None:
    batch = 128 if device == "cuda" else 32
    per_epoch = -(-len(X) // batch)
    steps = epochs * max(8, per_epoch)
    net = ImageClassifier(
        name, max_epochs=epochs, batch_size=batch, device=device, random_state=0
    )
    # skorch has no least number of batches: it takes as many more epochs.
    plain, floats = (
        skorch_net(name, X, steps // per_epoch, batch, device),
        as_floats(X).numpy(),
    )
    jobs = {
        OURS: lambda: net.fit(X, y),
        LOOP: lambda: loop(name, X, y, steps, batch, device, tight=False),
        TIGHT: lambda: loop(name, X, y, steps, batch, device, tight=True),
        SKORCH: lambda: plain.fit(floats, y),
    }
    taken = take_turns(jobs, repeats)
    done = sum(net.history[:, "train_batch_count"])
    assert done == steps, f"{done} steps of ours, {steps} of the loop"
    seen = sum(
        row["train_batch_size"] for epoch in net.history for row in epoch["batches"]
    )
    add_rows(page, TRAIN, f"{name}, {_size(X)}, {steps} steps", taken, seen)


def score(
    page: GoalPage, name: str, X: np.ndarray, y: np.ndarray, repeats: int, device: str
) -> None:
    net = ImageClassifier(name, max_epochs=1, device=device, random_state=0).fit(
        X[:64], y[:64]
    )
    half = ImageClassifier(name, max_epochs=1, device=device, random_state=0).fit(
        X[:64], y[:64]
    )
    half.set_params(amp="bf16")
    floats = as_floats(X)
    module = network(name, X, device).eval()
    plain = skorch_net(name, X, 1, 32, device).fit(floats[:64].numpy(), y[:64])
    jobs = {
        OURS: lambda: net.predict_proba(X),
        HALF: lambda: half.predict_proba(X),
        LOOP: lambda: loop_scores(module, floats, device),
        SKORCH: lambda: plain.predict_proba(floats.numpy()),
    }
    add_rows(page, SCORE, f"{name}, {_size(X)}", take_turns(jobs, repeats), len(X))


def _size(X: np.ndarray) -> str:
    return f"{len(X):,} images of {X.shape[1]}x{X.shape[2]}" + (
        f"x{X.shape[3]}" if X.ndim == 4 else ""
    )


def coloured(n_images: int) -> tuple[np.ndarray, np.ndarray]:
    """Digits of 32x32 in three channels that differ."""
    X, y = load(n_images, 32)
    return np.stack([X, 255 - X, X // 2], axis=3), y


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=7,
        help="turns of small jobs; longer ones have fewer",
    )
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="torch threads"
    )
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--images", type=int, default=50_000, help="images on the GPU")
    parser.add_argument(
        "--out", type=Path, help="also write the page to this Markdown file"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    few = max(2, args.repeats // 2)
    page = GoalPage("Training and scoring times", goals=GOALS)
    if args.device == "cpu":
        for n_images, side, epochs in ((20, 8, 30), (180, 8, 30), (2000, 28, 1)):
            train(page, "small_cnn", *load(n_images, side), epochs, args.repeats, "cpu")
        train(page, "resnet20", *coloured(320), 1, few, "cpu")
        score(page, "small_cnn", *load(10_000, 28), few, "cpu")
        score(page, "resnet20", *coloured(2000), few, "cpu")
    elif torch.cuda.is_available():
        train(page, "resnet18", *coloured(args.images), 1, few, "cuda")
        score(page, "resnet18", *coloured(args.images), few, "cuda")
    else:
        raise SystemExit(
            "No CUDA device is there: run without --device cuda for the rows of the "
            "CPU."
        )
    if args.out is not None:
        args.out.write_text(page.markdown(REMARKS), encoding="utf-8")


if __name__ == "__main__":
    main()
