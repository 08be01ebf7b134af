"""Frozen features of EfficientNet-Lite0 on Fashion-MNIST: which layer, how fast, and
what strategies gain with them.

    python benchmarks/bench_frozen_features.py choose
        layer and pooling, on training images alone
    python benchmarks/bench_frozen_features.py speed
        60,000 images embedded once; bf16 beside float32
    python benchmarks/bench_frozen_features.py compare
        strategies, 10 -> 100 labels and a long tail 20 -> 200
    python benchmarks/bench_frozen_features.py bald
        the same pools, the posterior of the last layer by Laplace

Each prints Markdown; `compare` draws a picture too. `--quick` makes everything small,
to see that it runs. `--data-dir` is a folder with the files of Fashion-MNIST; `--out
docs/frozen-features.md` puts the tables into the page.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from al_sklearn import StrategyComparison, load_dataset
from al_sklearn.datasets import ImageData
from al_sklearn.estimators import FrozenBackbone, LaplaceClassifier

# The losers too: what to choose is seen from both.
STRATEGIES = [
    "margin",
    "entropy",
    "coreset",
    "typiclust",
    "badge",
    "bait",
    "drop_query",
]
# Side of the images (28 is their own), layer, cells a side that its map is averaged
# over.
CANDIDATES = [
    *(
        (28, layer, cells)
        for layer in ("_blocks.2", "_blocks.3", "_blocks.4")
        for cells in (1, 2, 3, 4)
    ),
    *(
        (28, layer, cells)
        for layer in ("_blocks.5", "_blocks.7", "_blocks.10")
        for cells in (1, 2)
    ),
    *((28, layer, 1) for layer in ("_blocks.14", "_avg_pooling")),
    *(
        (56, layer, cells)
        for layer in ("_blocks.4", "_blocks.7", "_blocks.10")
        for cells in (1, 2, 4)
    ),
    *((56, "_blocks.14", cells) for cells in (1, 2)),
    (56, "_avg_pooling", 1),
    *(
        (112, layer, cells)
        for layer in ("_blocks.10", "_blocks.14")
        for cells in (1, 2)
    ),
    (112, "_avg_pooling", 1),
]

DataDir = Annotated[
    Path | None, typer.Option(help="Folder with Fashion-MNIST's files.")
]
Cache = Annotated[Path, typer.Option(help="Folder that keeps the embeddings.")]
Quick = Annotated[
    bool, typer.Option(help="A few images and seeds, to see that it runs.")
]
Out = Annotated[Path | None, typer.Option(help="Page to put the tables into.")]
app = typer.Typer(add_completion=False, help=__doc__)


def recipe() -> Pipeline:
    """What is put behind the embeddings."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def some(data: ImageData, n: int, seed: int = 0) -> np.ndarray:
    """Positions of ``n`` training images, drawn at random."""
    return np.sort(
        np.random.default_rng(seed).choice(len(data.y_train), size=n, replace=False)
    )


def long_tail(y: np.ndarray, ratio: float, n: int, seed: int = 0) -> np.ndarray:
    """Positions of about ``n`` images; classes' sizes fall exponentially, the largest
    ``ratio`` times the smallest.
    """
    rng = np.random.default_rng(seed)
    classes = np.unique(y)
    shares = ratio ** (-np.arange(len(classes)) / (len(classes) - 1))
    # Which class is large is chance, not the order of their numbers.
    sizes = np.round(n * shares / shares.sum()).astype(int)
    chosen = [
        rng.choice(np.flatnonzero(y == label), size=size, replace=False)
        for label, size in zip(rng.permutation(classes), sizes, strict=True)
    ]
    return np.sort(np.concatenate(chosen))


def posterior() -> Pipeline:
    """The recipe with posterior samples, for strategies of disagreement."""
    laplace = LaplaceClassifier(
        LogisticRegression(max_iter=1000), predictive="map", random_state=0
    )
    return make_pipeline(StandardScaler(), laplace)


@app.command()
def choose(data_dir: DataDir = None, quick: Quick = False) -> None:
    """Accuracy of a linear probe on training images held out, for each layer (one
    thread); no test image is used.
    """
    torch.set_num_threads(1)
    data = load_dataset("fashion-mnist", data_dir)
    rows = some(data, 300 if quick else 2000)
    X, y = data.X_train[rows], data.y_train[rows]
    found = []
    for size, layer, cells in CANDIDATES[:2] if quick else CANDIDATES:
        backbone = FrozenBackbone(
            layer=layer, pooling=cells, image_size=size, cache=False, verbose=False
        )
        begin = time.process_time()
        features = backbone.fit_transform(X)
        seconds = time.process_time() - begin
        record = {
            "side": size,
            "layer": layer,
            "cells": cells,
            "features": features.shape[1],
        }
        for n_labels, repeats in ((50, 2),) if quick else ((50, 10), (500, 3)):
            splits = StratifiedShuffleSplit(
                repeats, train_size=n_labels, random_state=0
            )
            record[f"{n_labels} labels, %"] = (
                100 * cross_val_score(recipe(), features, y, cv=splits).mean().item()
            )
        found.append({**record, "images a CPU second": len(X) / seconds})
        print(found[-1], flush=True)
    print(table(pd.DataFrame(found)))


@app.command()
def speed(data_dir: DataDir = None, quick: Quick = False) -> None:
    """Images a second on one thread, embedded for the first time and looked up; what
    bf16 changes.
    """
    torch.set_num_threads(1)
    data = load_dataset("fashion-mnist", data_dir)
    X, y = (
        (data.X_train[:2000], data.y_train[:2000])
        if quick
        else (data.X_train, data.y_train)
    )
    with tempfile.TemporaryDirectory() as folder:
        backbone = FrozenBackbone(cache=folder)
        features = timed("embedded", backbone, X)
        timed("looked up", backbone, X)
    n, half = min(len(X), 10000), min(len(X), 10000) // 2
    exact, fast = (
        features[:n],
        timed("embedded with bf16", FrozenBackbone(cache=False, amp="bf16"), X[:n]),
    )
    difference = np.linalg.norm(fast - exact, axis=1) / np.linalg.norm(exact, axis=1)
    print(
        f"bf16 moves an embedding by {np.median(difference):.2g} of its length "
        f"(median), {difference.max():.2g} at most"
    )
    for name, rows in (("float32", exact), ("bf16", fast)):
        score = recipe().fit(rows[:500], y[:500]).score(rows[half:], y[half:n])
        print(
            f"{name}: {100 * score:.2f} % with 500 labels, on {n - half} training "
            "images held out"
        )


def timed(what: str, backbone: FrozenBackbone, X: np.ndarray) -> np.ndarray:
    """Embed and say how long it took; CPU seconds are what a machine with nothing else
    to do would take.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    features = backbone.fit_transform(X)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(
        f"{len(X)} images {what}: {wall:.1f} s, {len(X) / wall:.0f} images a second; "
        f"{cpu:.1f} CPU seconds, "
        f"{len(X) / cpu:.0f} images a CPU second",
        flush=True,
    )
    return features


@app.command()
def compare(
    data_dir: DataDir = None,
    cache: Cache = Path("runs/embeddings"),
    output: Annotated[
        Path, typer.Option(help="Folder of the runs and the picture.")
    ] = Path("runs/frozen-features"),
    n_seeds: int = 10,
    n_jobs: int = 2,
    quick: Quick = False,
    out: Out = None,
) -> None:
    """Run both comparisons, each on embeddings computed once; what ran stays."""
    from matplotlib.figure import Figure

    found = compared(
        recipe(), STRATEGIES, data_dir, cache, output, n_seeds, n_jobs, quick
    )
    figure = Figure(figsize=(12, 4.8), layout="constrained")
    for (name, comparison), ax in zip(
        found.items(), figure.subplots(1, 2), strict=True
    ):
        comparison.plot(ax=ax)
        ax.set_title(
            f"{name} (mean of {comparison.n_seeds} seeds, 95 % interval)", loc="left"
        )
    figure.savefig(output / "frozen-features.png", dpi=110)
    if out:
        put_tables(out, found, "")
        figure.savefig(out.parent / "images" / "frozen-features.png", dpi=110)


@app.command()
def bald(
    data_dir: DataDir = None,
    cache: Cache = Path("runs/embeddings"),
    output: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path(
        "runs/frozen-features-bald"
    ),
    n_seeds: int = 10,
    n_jobs: int = 2,
    quick: Quick = False,
    out: Out = None,
) -> None:
    """Compare BALD with random sampling where the last layer has a posterior."""
    found = compared(
        posterior(), ["bald"], data_dir, cache, output, n_seeds, n_jobs, quick
    )
    if out:
        put_tables(out, found, "BALD: ")


def put_tables(page: Path, found: dict[str, StrategyComparison], prefix: str) -> None:
    """Put each table under its heading, in the place of the one that is there."""
    titles = ("10 labels, then 9 batches of 10", "a long tail, 20 labels")
    for title, comparison in zip(titles, found.values(), strict=True):
        lines = page.read_text().split("\n")
        heading = f"### {prefix}{title}".lower()
        at = next(i for i, line in enumerate(lines) if line.lower().startswith(heading))
        below = range(at + 1, len(lines))
        # A quoted line belongs to the table: what to know of it until it is replaced.
        first = next(i for i in below if lines[i].startswith(("|", ">")))
        last = next(i for i in below if i >= first and lines[i][:1] not in ("|", ">"))
        lines[first:last] = summary_table(comparison.summary()).split("\n")
        page.write_text("\n".join(lines))


def compared(
    model: Pipeline,
    strategies: list[str],
    data_dir: Path | None,
    cache: Path,
    output: Path,
    n_seeds: int,
    n_jobs: int,
    quick: bool,
) -> dict[str, StrategyComparison]:
    """Both comparisons by name, their tables printed; a run that ended is not run
    again.
    """
    data = load_dataset("fashion-mnist", data_dir)
    backbone = FrozenBackbone(cache=cache).fit(data.X_train[:1])
    pools = {
        "10 → 100 labels": (some(data, 500 if quick else 10000), 10),
        "long tail, 20 → 200 labels": (
            long_tail(data.y_train, 100, 500 if quick else 10000),
            20,
        ),
    }
    tests = slice(0, 500 if quick else 10000)
    X_test, y_test = backbone.transform(data.X_test[tests]), data.y_test[tests]
    found = {}
    for name, (rows, batch) in pools.items():
        X, y = backbone.transform(data.X_train[rows]), data.y_train[rows]
        comparison = StrategyComparison(
            model,
            strategies,
            n_initial=batch,
            n_instances=batch,
            n_rounds=1 if quick else 9,
            n_seeds=2 if quick else n_seeds,
            # nobody knows the classes of images that nobody has labelled
            initial="random",
            n_jobs=1 if quick else n_jobs,
            threads_per_job=1,
            store=output
            / name.replace(" → ", "-").replace(", ", "-").replace(" ", "-"),
            resume=True,
        )
        found[name] = comparison.fit(X, y, X_test, y_test)
        print(
            f"\n{name}: pool of {len(y)}, largest class {np.bincount(y).max()}, "
            f"smallest {np.bincount(y).min()}\n"
        )
        print(summary_table(comparison.summary()), flush=True)
    return found


def summary_table(summary: pd.DataFrame) -> str:
    """The numbers that matter as Markdown."""
    lines = [
        "| strategy | accuracy at the end | mean accuracy (AUBC) | AUBC minus "
        "random's | p (Holm) | labels saved |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, row in summary.iterrows():
        cells = [str(name), f"{100 * row['final']:.1f} %", f"{100 * row['aubc']:.1f} %"]
        if pd.isna(row["p_holm"]):
            cells += ["", "", ""]
        else:
            low, middle, high = (
                100 * row[key]
                for key in ("difference_low", "difference", "difference_high")
            )
            # Minus infinity: random's final accuracy was not reached.
            saving = (
                f"{100 * row['label_saving']:.0f} %"
                if np.isfinite(row["label_saving"])
                else "none"
            )
            cells += [
                f"{middle:+.1f} ({low:+.1f} … {high:+.1f})",
                f"{row['p_holm']:.2g}",
                saving,
            ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def table(frame: pd.DataFrame) -> str:
    """A frame as Markdown."""
    lines = [
        "| " + " | ".join(map(str, frame.columns)) + " |",
        "|" + "---|" * len(frame.columns),
    ]
    for row in frame.itertuples(index=False):
        lines.append(
            "| "
            + " | ".join(f"{v:.1f}" if isinstance(v, float) else str(v) for v in row)
            + " |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    app()
