"""What all trackers write of a round, and that none is written twice."""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

from al_sklearn._core.types import Array
from al_sklearn.experiments.store import slug
from al_sklearn.experiments.tracking._callback import Callback, ExperimentState
from al_sklearn.loop import Round
from al_sklearn.tasks import get_metric, metrics


class Tracker(Callback):
    """A callback that writes each round once, however often the run is resumed.

    It does not matter which process finished the round.

    Subclasses open their place in ``_open``, which returns the rounds that are there
    already, write one round in ``_write``, and close in ``_close``.
    """

    _logged: frozenset[int] = frozenset()
    #: Readable names of the sorted classes, for tags; the labels themselves by default.
    class_names: Sequence[Any] | None = None

    def on_experiment_begin(self, experiment: ExperimentState) -> None:
        """Open the experiment's place and write the finished rounds that it lacks.

        Of those rounds it writes the numbers alone.
        """
        self._logged = frozenset(self._open(experiment))
        for record in experiment.records:
            self._write_once(experiment, record, fresh=False)

    def on_round_end(self, experiment: ExperimentState, record: Round) -> None:
        """Write the round where it is not there yet."""
        self._write_once(experiment, record, fresh=True)

    def on_experiment_end(self, experiment: ExperimentState) -> None:
        """Close the experiment's place."""
        self._close(experiment)

    def _names(self, experiment: ExperimentState) -> list[str]:
        """Return what classes are called in tags, in their order."""
        given = self.class_names
        if given is not None and len(given) != len(experiment.classes):
            raise ValueError(
                f"class_names must name the {len(experiment.classes)} classes, got "
                f"{len(given)} names."
            )
        names = experiment.classes if given is None else given
        tags = [re.sub(r"[^\w .=+-]+", "_", str(name)) for name in names]
        # Where nothing but signs told two apart, a number at the end does.
        same = len(set(tags)) < len(tags)
        return [slug(str(name)) for name in names] if same else tags

    def _write_once(
        self, experiment: ExperimentState, record: Round, fresh: bool
    ) -> None:
        if record.round not in self._logged:
            self._write(experiment, record, fresh)
            self._logged |= {record.round}

    @abstractmethod
    def _open(self, experiment: ExperimentState) -> Iterable[int]: ...

    @abstractmethod
    def _write(self, experiment: ExperimentState, record: Round, fresh: bool) -> None:
        """Write a round; ``fresh`` says that ``experiment.model`` is its model."""

    def _close(self, experiment: ExperimentState) -> None:
        """Nothing is open by default."""


def scalars(
    experiment: ExperimentState,
    record: Round,
    proba: Array | None = None,
    names: Sequence[str] | None = None,
) -> dict[str, float]:
    """Return the numbers of a round, by names that every tracker takes.

    ``loss/…`` and ``epoch/…`` are what the round's training ended with, ``best/…`` the
    best so far, of the rounds and of their epochs. Numbers that are not finite are left
    out.

    Parameters
    ----------
    experiment : ExperimentState
    record : Round
    proba : array of shape (n_test, C), optional
        Of the test images: gives the average precision of each class too.
    names : sequence of str, optional
        Of the classes; their labels by default.
    """
    if names is None:
        names = [slug(str(name)) for name in experiment.classes]
    # Lists over classes get names of their own below.
    found = {
        key: value
        for key, value in record.metrics.items()
        if isinstance(value, (bool, int, float))
    }
    for group in ("class_accuracy", "bought"):
        for name, value in zip(names, record.metrics[group], strict=True):
            found[f"{group}/{name}"] = value
    if proba is not None:
        precisions = average_precisions(experiment.test_codes, proba)
        for code, value in precisions.items():
            found[f"average_precision/{names[code]}"] = value
    best = _best_so_far(experiment, record, found)
    found |= {f"best/{name}": value for name, value in best.items()}
    for name, values in epochs(record).items():
        group = "loss" if name.endswith("loss") else "epoch"
        found[f"{group}/{name}"] = values[-1]
    return {key: float(value) for key, value in found.items() if math.isfinite(value)}


def average_precisions(codes: Array, proba: Array) -> dict[int, float]:
    """Return the average precision of each class in the test set, by position."""
    return {
        int(code): float(average_precision_score(codes == code, proba[:, code]))
        for code in np.unique(codes)
        # With one class alone precision is 1 whatever the model says.
        if not (codes == code).all()
    }


def epochs(record: Round) -> dict[str, list[float]]:
    """Return what a round's epochs were, by column; empty where nobody kept them.

    An epoch that lacks a number has NaN.
    """
    return {
        name: [math.nan if value is None else float(value) for value in values]
        for name, values in record.metrics.get("epochs", {}).items()
    }


def epochs_before(experiment: ExperimentState, record: Round) -> int:
    """Count the epochs of the rounds before one: where its own go on, on one axis."""
    return sum(
        max(map(len, epochs(known).values()), default=0)
        for known in experiment.records
        if known.round < record.round
    )


def _best_so_far(
    experiment: ExperimentState, record: Round, now: Mapping[str, Any]
) -> dict[str, float]:
    """Return the best value yet of each metric, and of each column of the epochs."""
    before = [known for known in experiment.records if known.round < record.round]
    rounds = [*(known.metrics for known in before), now]
    found = {}
    own = experiment.loop.problem.scoring
    for name in ("validation_accuracy", *metrics(), *own):
        values = [part[name] for part in rounds if _is_finite(part.get(name))]
        if values:
            lower = get_metric(name).lower_is_better
            found[name] = min(values) if lower else max(values)
    for name in epochs(record):
        if name == "lr":
            # The best of a learning rate is nothing.
            continue
        values = [
            value
            for known in [*before, record]
            for value in epochs(known).get(name, ())
            if math.isfinite(value)
        ]
        if values:
            lower = name in record.metrics.get("epochs_lower", ())
            found[name] = min(values) if lower else max(values)
    return found


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
