"""Fresh models on the sets that strategies bought.

The luck of one training, and transfer to other models.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import joblib
import pandas as pd

from al_sklearn._core.on_behalf import on_behalf_of
from al_sklearn._core.random import preserve_global_rng, seed_all, seeded_clone
from al_sklearn._core.types import Array, Options
from al_sklearn.experiments.store import RunStore, slug
from al_sklearn.learners.training import fit, name_classes
from al_sklearn.loop import Problem, measure
from al_sklearn.rows import describe, take_rows


@dataclass
class Retraining:
    """One training of a set that was bought.

    Parameters
    ----------
    label, estimator : str and classifier
        Who is trained; cloned.
    strategy, round : str and int
        Who bought the set, and up to when.
    repeat : int
        What the weights and the order depend on, beside label and round: they are the
        same for all strategies of a seed, as in the rounds.
    problem : Problem
        The seed's test set and labels.
    bought : int64 array
        Positions in X.
    """

    label: str
    estimator: Any
    strategy: str
    round: int
    repeat: int
    problem: Problem
    bought: Array

    def run(self, store: RunStore | None) -> Options:
        """Train and measure, or read what was measured before; one row of the table."""
        seed = self.problem.streams.seed
        # Two estimators may be called the same in two calls; their parameters tell them
        # apart.
        known = f"{slug(self.label)}-{joblib.hash(describe(self.estimator))[:8]}"
        file = f"round_{self.round:03d}_repeat_{self.repeat:03d}.json"
        parts = ("retrained", known, slug(self.strategy), f"seed_{seed:03d}", file)
        metrics = None if store is None else store.read_json(*parts)
        if metrics is None:
            # Who it was: the report reads it without the data.
            metrics = {
                "estimator": self.label,
                "strategy": self.strategy,
                "seed": seed,
                "round": self.round,
                "repeat": self.repeat,
                "n_labelled": self.problem.n_paid(self.bought),
                **self._train(),
            }
            if store is not None:
                store.write_json(metrics, *parts)
        return _row(metrics, self.problem.classes)

    def _train(self) -> Options:
        # The sets are read for this estimator, which may want them otherwise than the
        # one that bought.
        problem, keys = (
            replace(self.problem, estimator=self.estimator),
            (self.label, self.round, self.repeat),
        )
        # What belongs to no class was paid for and teaches nothing.
        rows = problem.learnable(self.bought)
        with preserve_global_rng(), on_behalf_of(self.strategy):
            model = seeded_clone(
                self.estimator, problem.streams.integer("retraining", "weights", *keys)
            )
            name_classes(model, problem.classes, goes_on=False)
            seed_all(problem.streams.integer("retraining", "order", *keys))
            started = time.perf_counter()
            labels = problem.known_labels(rows)
            X = take_rows(problem.X, rows)
            options = problem.fit_options_of(rows)
            fit(model, X, labels, *problem.validation_set, **options)
            seconds = time.perf_counter() - started
            return {**measure(model, problem), "training_seconds": seconds}


def read_retrained(store: RunStore, classes: Array) -> pd.DataFrame:
    """Read the trainings that a store keeps; no rows where there were none."""
    return pd.DataFrame([_row(one, classes) for one in store.retrained()])


def _row(metrics: Options, classes: Array) -> Options:
    """Turn what is kept of a training into a row: a column a class."""
    per_class = zip(classes, metrics["class_accuracy"], strict=True)
    numbers = {name: v for name, v in metrics.items() if name != "class_accuracy"}
    return {**numbers, **{f"accuracy_{name}": value for name, value in per_class}}
