"""The pictures of docs/pictures.md and the numbers of docs/statistics.md: strategies on
scikit-learn's data sets.

``python examples/pictures.py --out docs/images/pictures`` takes a few minutes on two
cores.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from al_sklearn.experiments import StrategyComparison, plots, statistics
from al_sklearn.experiments.stopping import TargetMetric
from al_sklearn.strategies import oracle_batch

STRATEGIES = ("margin", "entropy", "coreset", "typiclust")


def flatten(X):
    """Return images as rows."""
    return np.asarray(X, dtype=np.float64).reshape(len(X), -1) / 255


def compare(model, X, y, store, strategies=STRATEGIES, **options):
    """Compare strategies; an interrupted run goes on from its store."""
    options = {
        "n_instances": 20,
        "n_rounds": 8,
        "n_seeds": 5,
        "threads_per_job": 1,
        "store": store,
        **options,
    }
    return StrategyComparison(model, strategies, **options).fit(X, y)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/images/pictures"))
    parser.add_argument("--runs", type=Path, default=Path("runs/pictures"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    digits = datasets.load_digits()
    X, y = (digits.images * (255 / 16)).astype(np.uint8), digits.target
    logistic = make_pipeline(
        FunctionTransformer(flatten), LogisticRegression(max_iter=500)
    )
    weak = make_pipeline(
        FunctionTransformer(flatten), LogisticRegression(C=0.05, max_iter=500)
    )
    # Five candidates a round keep the oracle affordable, and its bound low: thirty are
    # the default.
    oracle = partial(oracle_batch, n_candidates=5)
    run = StrategyComparison(
        logistic,
        {**{name: name for name in STRATEGIES}, "oracle_batch": oracle},
        n_rounds=8,
        n_seeds=10,
        threads_per_job=1,
        store=arguments.runs / "digits",
    ).fit(X, y)
    stopping = TargetMetric(0.93)
    stopped = compare(
        logistic,
        X,
        y,
        arguments.runs / "stopped",
        ("margin", "typiclust"),
        stopping=stopping,
    )
    regularised = compare(weak, X, y, arguments.runs / "regularised", ("margin",))

    practical = run.results_[run.results_["strategy"] != "oracle_batch"]
    tables = [practical.assign(dataset="digits")]
    for name in ("wine", "breast_cancer", "iris"):
        rows, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
        small = {"n_initial": 6, "n_instances": 4, "n_rounds": 6}
        tables.append(
            compare(
                model, rows, labels, arguments.runs / name, **small
            ).results_.assign(dataset=name)
        )
    everything = pd.concat(tables, ignore_index=True)
    scores = statistics.task_scores(everything)

    def save(name, ax):
        np.ravel(ax)[0].figure.savefig(arguments.out / f"{name}.png", dpi=80)

    def only(comparison, *names):
        return comparison.results_[comparison.results_["strategy"].isin(names)]

    save("learning-curves", plots.learning_curves(practical))
    save("seconds", plots.learning_curves(practical, x="seconds"))
    save(
        "stopped",
        plots.learning_curves(only(stopped, "random_sampling", "margin", "typiclust")),
    )
    both = {
        "C = 1": only(run, "random_sampling", "margin"),
        "C = 0.05": only(regularised, "random_sampling", "margin"),
    }
    save("two-runs", plots.learning_curves(both))
    save("gain", plots.gain_over_baseline(practical))
    save("classes", plots.class_curves(practical, range(10)))
    save("pairwise", plots.pairwise_matrix(practical))
    save("critical-difference", plots.critical_difference(scores))
    save(
        "profile",
        plots.performance_profile(statistics.task_scores(everything, by="seed")),
    )
    save("bought", plots.bought_histogram(practical, range(10), pool=np.bincount(y)))
    few = {
        key: images
        for key, images in run.thumbnails_.items()
        if key.split("/")[0] in ("random_sampling", "margin")
    }
    save("images", plots.bought_images(few))
    queries = {
        name: run.queries_[name, 0]
        for name in ("random_sampling", "margin", "typiclust")
    }
    save("map", plots.pool_map(plots.pool_coordinates(X), queries, y=y))
    split = np.random.default_rng(0).permutation(len(y))
    train, test = split[:200], split[200:]
    proba = {
        f"C = {C}": LogisticRegression(C=C, max_iter=2000)
        .fit(flatten(X[train]), y[train])
        .predict_proba(flatten(X[test]))
        for C in (0.1, 1, 100)
    }
    save("calibration", plots.calibration(y[test], proba, n_bins=10))
    save("precision-recall", plots.pr_curves(y[test], proba["C = 1"]))

    columns = [
        "final",
        "aubc",
        "aubc_low",
        "aubc_high",
        "difference",
        "difference_low",
        "difference_high",
        "p_holm",
    ]
    with pd.option_context("display.width", 200, "display.max_columns", 30):
        print(run.summary()[columns].round(3))
        print(statistics.saving_table(run.results_).round(2).drop(columns=["target"]))
        print(statistics.gap_closed(run.results_).round(2))
        print(statistics.win_rates(everything).round(2))
        print(
            stopped.summary()[
                ["final", "labels", "n_stopped", "label_saving", "difference"]
            ].round(3)
        )
        print("\n".join(stopped.summary().attrs["notes"]))
        found = statistics.friedman_nemenyi(scores)
        print(
            found["ranks"].to_dict(),
            f"p = {found['p_value']:.3f}, CD = {found['critical_difference']:.2f}",
        )


if __name__ == "__main__":
    main()
