"""The report of a comparison, with everything that the data can add:
docs/report-example.html is its output.

``python examples/report.py --out docs/report-example.html`` takes about two minutes on
two cores.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from al_sklearn.experiments import StrategyComparison, load_results, plots
from al_sklearn.experiments.report import ReportData, write_report

STRATEGIES = ("margin", "entropy", "coreset", "typiclust")
# One random strategy and two others are enough for pictures that have a part for each.
SHOWN = ("random_sampling", "margin", "typiclust")


def flatten(X):
    """Return images as rows."""
    return np.asarray(X, dtype=np.float64).reshape(len(X), -1) / 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/report-example.html"))
    parser.add_argument("--store", type=Path, default=Path("runs/report"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=None)
    arguments = parser.parse_args()
    digits = load_digits()
    images = (digits.images * (255 / 16)).astype(np.uint8)
    X, X_test, y, y_test = train_test_split(
        images, digits.target, test_size=500, stratify=digits.target, random_state=0
    )
    model = make_pipeline(
        FunctionTransformer(flatten), LogisticRegression(max_iter=500)
    )
    comparison = StrategyComparison(
        model,
        STRATEGIES,
        n_instances=20,
        n_rounds=arguments.rounds,
        n_seeds=arguments.seeds,
        n_jobs=arguments.jobs,
        threads_per_job=1,
        store=arguments.store,
    ).fit(X, y, X_test, y_test)
    queries = {name: comparison.queries_[name, 0] for name in SHOWN}
    bought = {name: np.concatenate(batches) for name, batches in queries.items()}
    proba = {
        name: clone(model).fit(X[rows], y[rows]).predict_proba(X_test)
        for name, rows in bought.items()
    }
    data = ReportData(
        coordinates=plots.pool_coordinates(X),
        queries=queries,
        y=y,
        test_codes=y_test,
        proba={name: proba[name] for name in SHOWN[:2]},
    )
    path = write_report(
        load_results(arguments.store),
        arguments.out,
        class_names=[f"{digit}" for digit in digits.target_names],
        title="Which query strategy saves labels on scikit-learn's digits?",
        data=data,
        command=shlex.join(["python", "examples/report.py", *sys.argv[1:]]),
    )
    print(path)


if __name__ == "__main__":
    main()
