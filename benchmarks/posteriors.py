"""Sources of posterior samples side by side on digits: accuracy, NLL, confidence and
seconds. Prints a Markdown table.

    python benchmarks/posteriors.py

150 labels, the other 1,647 images as the test, three seeds; one thread.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from sklearn.datasets import load_digits

from al_sklearn.estimators import (
    DeepEnsemble,
    ImageClassifier,
    LaplaceClassifier,
    SnapshotEnsemble,
    TemperatureScaling,
)
from al_sklearn.inference import predict_proba, sample_proba

N_LABELS, SEEDS, EPOCHS = 150, 3, 20


def sources() -> dict[str, object]:
    net = ImageClassifier("small_cnn", max_epochs=EPOCHS)
    return {
        "MC dropout": net,
        "DeepEnsemble, 5": DeepEnsemble(net, 5),
        "SnapshotEnsemble, 5, lr 1e-3": SnapshotEnsemble(net, 5),
        "SnapshotEnsemble, 5, lr 5e-3": SnapshotEnsemble(
            ImageClassifier("small_cnn", max_epochs=EPOCHS, lr=5e-3), 5
        ),
        "LaplaceClassifier, probit": LaplaceClassifier(net),
        "LaplaceClassifier, map": LaplaceClassifier(net, predictive="map"),
        "TemperatureScaling, 1/5 held out": TemperatureScaling(net),
        "TemperatureScaling of Laplace": TemperatureScaling(LaplaceClassifier(net)),
    }


def main() -> None:
    torch.set_num_threads(1)
    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    X, y = (bunch.images * (255 / 16)).astype(np.uint8)[order], bunch.target[order]
    X_test, y_test = X[N_LABELS:], y[N_LABELS:]
    print(
        "| source | accuracy % | NLL | mean confidence % | spread of samples % | fit "
        "s | samples s |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, source in sources().items():
        rows = []
        for seed in range(SEEDS):
            started = time.perf_counter()
            fitted = source.set_params(random_state=seed).fit(
                X[:N_LABELS], y[:N_LABELS]
            )  # type: ignore[attr-defined]
            fit_seconds = time.perf_counter() - started
            proba = predict_proba(fitted, X_test).astype(float)
            started = time.perf_counter()
            samples = sample_proba(
                fitted, X_test, 5 if "Ensemble" in name else 20, random_state=seed
            )
            sample_seconds = time.perf_counter() - started
            nll = -np.log(
                np.maximum(proba[np.arange(len(y_test)), y_test], 1e-12)
            ).mean()
            right = 100 * (proba.argmax(axis=1) == y_test).mean()
            spread = 100 * samples.std(axis=0).max(axis=1).mean()
            rows.append(
                [
                    right,
                    nll,
                    100 * proba.max(axis=1).mean(),
                    spread,
                    fit_seconds,
                    sample_seconds,
                ]
            )
        means = np.mean(rows, axis=0)
        cells = [
            f"{means[0]:.1f}",
            f"{means[1]:.3f}",
            *(f"{value:.1f}" for value in means[2:]),
        ]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
