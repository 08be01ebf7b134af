"""Make docs/catalogue.md and its gallery from the registry: ``python docs/build.py``.

``--only bait falcun`` makes these anew, their pictures and their words, and leaves the
rest of the page as it is, seconds too: those are of one quiet run.

Every strategy is run twice: on a two-dimensional pool, to see what it picks, and on
10,000 embedded candidates, to see what it costs. Oracles are given the true labels, and
500 rows to test on.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import platform
import re
import time
import warnings
from datetime import date
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "2")

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import make_blobs, make_moons
from skorch import NeuralNetClassifier
from torch import nn

import al_sklearn
from al_sklearn.estimators import LossPredictionClassifier
from al_sklearn.learners import ActiveLearner
from al_sklearn.strategies import catalogue
from al_sklearn.strategies._registry import FAMILIES, StrategyInfo

DOCS = Path(__file__).parent
INTRODUCTION = """# The catalogue of query strategies

Made from the registry by `python docs/build.py`; `al-sklearn strategies` prints the same list.

Needs: *proba* class probabilities, *samples* posterior samples (MC dropout, ensemble, committee, forest), *embeddings*,
*gradients* and *last_layer* of the last layer, *input_gradient*, *labelled* data, *loss* a predicted loss,
*true_labels* (upper bounds for experiments only).

Cost: in n candidates, C classes, d features, b instances asked for, T samples, l labelled.

Seconds: one query of b = 100 among n = 10,000 candidates with d = 64 features and C = 10 classes, 200 labelled,
default options, by a network with one hidden layer whose own scoring is included; median of three, 2 threads, on
{today}, al_sklearn {version}, torch {torch}, {machine}.

Oracles are asked through the fitted network, with all true labels; `oracle_batch` trains it thirty times, and tests
on 500 more rows.

In the pictures squares are labelled, circles are what is picked, the background is what the network predicts.
"""
NOTES = {
    "learned": "Each trains something of its own; what it learns, and what that takes, is in "
    "[learned strategies](learned-strategies.md).",
}
# Strategies of whom the catalogue says where they lose: the pages and the headings
# under which that was measured.
MEASURED = {
    "entropy": ("### 10 labels", "### A long tail"),
    "coreset": ("### 10 labels", "### A long tail"),
    "bald": ("### BALD: 10 labels", "### BALD: a long tail"),
}
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44")


class Perceptron(nn.Sequential):
    """One hidden layer with dropout before the last: the least that every capability
    can be asked of.
    """

    def __init__(self, n_features: int, n_classes: int, hidden: int = 64):
        hidden_layer = (nn.Flatten(), nn.Linear(n_features, hidden), nn.ReLU())
        super().__init__(*hidden_layer, nn.Dropout(0.3), nn.Linear(hidden, n_classes))


def rows_for(info: StrategyInfo, X: np.ndarray) -> np.ndarray:
    """Return features as they are, or as images one pixel high for a network that
    predicts its loss on images.
    """
    return X[:, None, None] if "loss" in info.needs else X


def taught(
    info: StrategyInfo, X: np.ndarray, y: np.ndarray, epochs: int
) -> ActiveLearner:
    """Return a learner taught X and y that can give what the strategy needs."""
    if "loss" in info.needs:
        net = LossPredictionClassifier(
            Perceptron,
            module__n_features=X.shape[1],
            lr=0.02,
            max_epochs=epochs,
            batch_size=128,
            random_state=0,
        )
        return ActiveLearner(net, X_training=rows_for(info, X), y_training=y)
    torch.manual_seed(0)
    net = NeuralNetClassifier(
        Perceptron,
        module__n_features=X.shape[1],
        module__n_classes=int(y.max()) + 1,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.02,
        max_epochs=epochs,
        train_split=None,
        verbose=0,
    )
    return ActiveLearner(net, X_training=X, y_training=y)


def ask(
    info: StrategyInfo,
    learner: ActiveLearner,
    X: np.ndarray,
    truth: dict[str, np.ndarray],
    n_instances: int,
    seed: int,
) -> np.ndarray:
    """Return what the strategy picks; oracles are given what they take of the truth."""
    classifier = learner.estimator if "true_labels" in info.needs else learner
    known = {
        name: value
        for name, value in truth.items()
        if name in inspect.signature(info.function).parameters
    }
    return info.function(
        classifier, rows_for(info, X), n_instances, **known, random_state=seed
    )[0]


def plane() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two moons and two blobs, 900 points; 12 of them labelled."""
    moons, of_moon = make_moons(600, noise=0.1, random_state=0)
    blobs, of_blob = make_blobs(
        [200, 100], centers=[(2.6, 1.2), (-1.6, -0.7)], cluster_std=0.28, random_state=0
    )
    X = np.concatenate([moons, blobs]).astype(np.float32)
    y = np.concatenate([of_moon, of_blob + 2])
    order = np.random.default_rng(0).permutation(len(X))
    X, y = X[order], y[order]
    labelled = np.concatenate([np.flatnonzero(y == label)[:3] for label in range(4)])
    return X, y, labelled


def draw(info: StrategyInfo, path: Path) -> None:
    """Draw what a strategy picks, 24 of 888 points, numbered colour by order."""
    X, y, labelled = plane()
    learner = taught(info, X[labelled], y[labelled], 200)
    candidates = np.setdiff1d(np.arange(len(X)), labelled)
    X_test, y_test = X[candidates[:500]], y[candidates[:500]]
    truth = {
        "y_true": y[candidates],
        "X_labelled": X[labelled],
        "y_labelled": y[labelled],
    }
    truth |= {"X_test": X_test, "y_test": y_test}
    indices = ask(info, learner, X[candidates], truth, 24, 0)
    picked = X[candidates[indices]]
    grid = np.stack(
        np.meshgrid(np.linspace(-2.6, 3.6, 180), np.linspace(-1.7, 2.2, 120)), -1
    )
    regions = learner.predict(
        rows_for(info, grid.reshape(-1, 2).astype(np.float32))
    ).reshape(grid.shape[:2])
    figure, axes = plt.subplots(figsize=(4.2, 2.9))
    axes.contourf(
        grid[..., 0],
        grid[..., 1],
        regions,
        levels=np.arange(5) - 0.5,
        colors=COLOURS,
        alpha=0.13,
    )
    axes.scatter(*X.T, s=5, c=[COLOURS[label] for label in y], alpha=0.45, linewidths=0)
    axes.scatter(
        *X[labelled].T,
        s=32,
        c=[COLOURS[label] for label in y[labelled]],
        marker="s",
        edgecolors="black",
        linewidths=0.7,
    )
    axes.scatter(*picked.T, s=30, facecolors="none", edgecolors="black", linewidths=1.1)
    axes.set(xticks=[], yticks=[], xlim=(-2.6, 3.6), ylim=(-1.7, 2.2), title=info.name)
    figure.savefig(path, dpi=90, bbox_inches="tight")
    plt.close(figure)


def seconds(
    info: StrategyInfo,
    learner: ActiveLearner,
    X: np.ndarray,
    truth: dict[str, np.ndarray],
) -> float:
    """Median of three runs, b = 100; one where a run is long."""
    taken: list[float] = []
    while len(taken) < 3 and (not taken or taken[0] < 10):
        started = time.perf_counter()
        ask(info, learner, X, truth, 100, len(taken))
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))


def write_list() -> None:
    """Write what ``al-sklearn strategies`` prints without importing the strategies."""
    rows = [
        [info.name, info.family, ", ".join(info.needs), info.summary]
        for info in catalogue()
    ]
    path = Path(al_sklearn.__file__).parent / "cli" / "strategies.json"
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", "utf-8")


def against_random(name: str) -> str:
    """What a strategy gained and lost on frozen features, where it was measured."""
    text = (DOCS / "frozen-features.md").read_text()
    found = []
    for heading in MEASURED.get(name, ()):
        _, _, section = text.partition(f"\n{heading}")
        line = re.search(rf"^\| {name} \|.*$", section.partition("\n##")[0], re.M)
        if line:
            # "-8.0 (-9.1 … -6.9)": the difference of the mean accuracy, in points
            found.append(line.group().split(" | ")[3].split(" ")[0])
    if len(found) < 2:
        return ""
    return (
        f"Against random, on [frozen features](frozen-features.md): {found[0]} points "
        f"from 10 to 100 labels, {found[1]} on a long tail."
    )


def row(info: StrategyInfo, cost: str) -> str:
    """One line of the page."""
    name = f"`{info.name}`" + "".join(f"<br>`{alias}`" for alias in info.aliases)
    needs = ", ".join(info.needs) or "–"
    what = f"{info.summary} {against_random(info.name)}".strip()
    return f"| {' | '.join((name, what, needs, info.cost, cost, info.reference))} |"


def redo(infos: list[StrategyInfo], gallery: Path) -> None:
    """Draw some strategies again and write their lines; seconds are kept."""
    page = DOCS / "catalogue.md"
    lines = page.read_text().split("\n")
    for info in infos:
        draw(info, gallery / f"{info.name}.png")
        at = next(
            i for i, line in enumerate(lines) if line.startswith(f"| `{info.name}`")
        )
        lines[at] = row(info, lines[at].split(" | ")[-2])
    page.write_text("\n".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", nargs="+", help="strategies to draw and describe anew, the rest stays"
    )
    parser.add_argument(
        "--list", action="store_true", help="write only what the command line lists"
    )
    arguments = parser.parse_args()
    write_list()
    if arguments.list:
        return
    only = arguments.only
    torch.set_num_threads(2)
    warnings.simplefilter("ignore")
    gallery = DOCS / "images" / "gallery"
    gallery.mkdir(parents=True, exist_ok=True)
    if only:
        redo([info for info in catalogue() if info.name in only], gallery)
        return
    rng = np.random.default_rng(0)
    centres = 2.5 * rng.normal(size=(10, 64))
    y = rng.integers(0, 10, 10_700)
    X = (centres[y] + 3 * rng.normal(size=(len(y), 64))).astype(np.float32)
    truth = {"y_true": y[200:10_200], "X_labelled": X[:200], "y_labelled": y[:200]}
    truth |= {"X_test": X[10_200:], "y_test": y[10_200:]}
    learners: dict[bool, ActiveLearner] = {}
    lines = INTRODUCTION.format(
        today=date.today(),
        version=al_sklearn.__version__,
        torch=torch.__version__.split("+")[0],
        machine=platform.machine(),
    ).split("\n")
    for family in FAMILIES:
        infos = [info for info in catalogue() if info.family == family]
        if not infos:
            continue
        lines += [
            f"## {family.capitalize()}",
            "",
            *([NOTES[family], ""] if family in NOTES else []),
            "| strategy | what it chooses | needs | cost | seconds | reference |",
            "|---|---|---|---|--:|---|",
        ]
        drawn = []
        for info in infos:
            draw(info, gallery / f"{info.name}.png")
            drawn.append(info.name)
            predicts_loss = "loss" in info.needs
            if predicts_loss not in learners:
                learners[predicts_loss] = taught(info, X[:200], y[:200], 30)
            cost = f"{seconds(info, learners[predicts_loss], X[200:10_200], truth):.3f}"
            print(f"{info.name:32} {cost}", flush=True)
            lines.append(row(info, cost))
        lines += ["", *(f"![{name}](images/gallery/{name}.png)" for name in drawn), ""]
    (DOCS / "catalogue.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
