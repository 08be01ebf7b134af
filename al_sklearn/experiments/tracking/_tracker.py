"""What all trackers write of a round, and that none is written twice."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score
from sklearn.pipeline import Pipeline

from al_sklearn._core.types import Array
from al_sklearn.experiments.store import slug
from al_sklearn.experiments.tracking._callback import Callback, ExperimentState
from al_sklearn.loop import Round


class Tracker(Callback):
    """A callback that writes each round once, however often the run is resumed.

    It does not matter which process finished the round.

    Subclasses open their place in ``_open``, which returns the rounds that are there
    already, write one round in ``_write``, and close in ``_close``.
    """

    _logged: frozenset[int] = frozenset()

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
    fresh: bool,
    proba: Array | None = None,
) -> dict[str, float]:
    """Return the numbers of a round, by names that every tracker takes.

    Metrics that are not finite are left out.

    Parameters
    ----------
    experiment : ExperimentState
    record : Round
    fresh : bool
        Whether the experiment's model is the round's: gives its training losses too.
    proba : array of shape (n_test, C), optional
        Of the test images: gives the average precision of each class too.
    """
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
    numbers = {
        key: float(value) for key, value in found.items() if math.isfinite(value)
    }
    losses = training_losses(experiment.model) if fresh else {}
    return numbers | {f"loss/{name}": series[-1] for name, series in losses.items()}


def average_precisions(codes: Array, proba: Array) -> dict[int, float]:
    """Return the average precision of each class in the test set, by position."""
    return {
        int(code): float(average_precision_score(codes == code, proba[:, code]))
        for code in np.unique(codes)
        # With one class alone precision is 1 whatever the model says.
        if not (codes == code).all()
    }


def training_losses(model: Any) -> dict[str, list[float]]:
    """Return the losses of each epoch of the last training, where the model keeps them.

    Parameters
    ----------
    model : estimator or None
        skorch's networks keep a ``history``, scikit-learn's a ``loss_curve_``; in a
        pipeline the last step does.
    """
    # Its last step is what was trained by epochs.
    if isinstance(model, Pipeline):
        model = model[-1]
    found: dict[str, list[float]] = {}
    history = getattr(model, "history", None)
    if history is not None and hasattr(history, "to_list"):
        for row in history.to_list():
            for key in ("train_loss", "valid_loss"):
                if key in row:
                    found.setdefault(key, []).append(float(row[key]))
    elif hasattr(model, "loss_curve_"):
        found["train_loss"] = [float(value) for value in model.loss_curve_]
    return found
