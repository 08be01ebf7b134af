"""Rounds in MLflow."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from al_sklearn._core.files import locked
from al_sklearn._core.optional import require
from al_sklearn.experiments.store import flat
from al_sklearn.experiments.tracking._callback import ExperimentState
from al_sklearn.experiments.tracking._tracker import (
    Tracker,
    epochs,
    epochs_before,
    scalars,
)
from al_sklearn.loop import Round

_TAG = "al_sklearn.experiment"
# What MLflow takes, whatever its backend.
_LONGEST_PARAMETER = 500
_PARAMETERS_AT_ONCE = 100
_METRICS_AT_ONCE = 1000


class MLflow(Tracker):
    """Writes every strategy and seed as a run of MLflow.

    A run has parameters, metrics and the labels that were bought.

    Parameters
    ----------
    tracking_uri : str, optional
        A database (``"sqlite:///mlflow.db"``), a server, or a folder
        (``"file:./mlruns"``); MLflow's own setting by default.
    experiment_name : str, default="al_sklearn"
        The experiment of MLflow that gets the runs; made where there is none.
    tags : dict of str to str, optional
        Of every run.
    class_names : sequence of str, optional
        Readable names of the sorted classes, for tags; an experiment file gives those
        of its data set.

    Notes
    -----
    Needs ``pip install al-sklearn[track]``. The step is the number of labels; of
    ``epochs/…`` it is the epoch, counted on from round to round. A run
    that is resumed goes on in the run of MLflow that carries its tag; what a killed
    process had written of a round is not written again. MLflow takes plain folders only
    where ``MLFLOW_ALLOW_FILE_STORE=true`` is set in the environment.

    Examples
    --------
    >>> from al_sklearn.experiments.tracking import MLflow
    >>> callbacks = [MLflow("sqlite:///mlflow.db", experiment_name="digits")]
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        experiment_name: str = "al_sklearn",
        tags: dict[str, str] | None = None,
        class_names: Sequence[Any] | None = None,
    ):
        self.tracking_uri = tracking_uri
        self.experiment_name = experiment_name
        self.tags = tags
        self.class_names = class_names
        self._client: Any = None
        self._run_id = ""
        self._steps: dict[str, set[int]] = {}

    def _open(self, experiment: ExperimentState) -> Iterable[int]:
        mlflow = _mlflow()
        self._steps = {}
        # Only while it is opened: afterwards the database's own locks do.
        with _alone(self.tracking_uri or mlflow.get_tracking_uri()):
            self._client = mlflow.MlflowClient(tracking_uri=self.tracking_uri)
            place = self._place(mlflow)
        key = f"{experiment.run_id}/{experiment.name}"
        # MLflow's filters have no escape for quotes.
        quoted = key.replace("'", "")
        found = self._client.search_runs(
            [place], f"tags.`{_TAG}` = '{quoted}'", max_results=1
        )
        if found:
            self._run_id = found[0].info.run_id
            self._client.update_run(self._run_id, status="RUNNING")
            histories = {
                name: self._client.get_metric_history(self._run_id, name)
                for name in found[0].data.metrics
            }
            self._steps = {
                name: {item.step for item in history}
                for name, history in histories.items()
            }
            # A round counts once its number is there, which is written last.
            return [int(item.value) for item in histories.get("round", ())]
        tags = {
            **(self.tags or {}),
            _TAG: quoted,
            "al_sklearn.run": experiment.run_id,
            "strategy": experiment.strategy,
            "seed": str(experiment.seed),
        }
        run_name = f"{experiment.name} {experiment.run_id}"
        self._run_id = self._client.create_run(
            place, tags=tags, run_name=run_name
        ).info.run_id
        parameters = [
            mlflow.entities.Param(_key(name), value[:_LONGEST_PARAMETER])
            for name, value in flat(experiment.parameters).items()
        ]
        # A comparison of many strategies has more parameters than one call takes.
        for start in range(0, len(parameters), _PARAMETERS_AT_ONCE):
            self._client.log_batch(
                self._run_id, params=parameters[start : start + _PARAMETERS_AT_ONCE]
            )
        return []

    def _place(self, mlflow: Any) -> str:
        """Return the experiment's number.

        Another worker may make it at the same moment.
        """
        found = self._client.get_experiment_by_name(self.experiment_name)
        if found is None:
            # Looked up again after a failure: somebody else made it in between.
            try:
                return str(self._client.create_experiment(self.experiment_name))
            except mlflow.exceptions.MlflowException:
                found = self._client.get_experiment_by_name(self.experiment_name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def _write(self, experiment: ExperimentState, record: Round, fresh: bool) -> None:
        mlflow = _mlflow()
        step = record.metrics["n_labelled"]
        # MLflow counts in milliseconds.
        now = int(time.time() * 1000)
        proba = experiment.test_proba() if fresh else None
        values = scalars(experiment, record, proba, self._names(experiment))
        # Last: it says that the others are there.
        values["round"] = values.pop("round")
        metrics = [
            mlflow.entities.Metric(_key(name), value, now, step)
            for name, value in values.items()
            # A killed process may have written some metrics of a round and not others.
            if step not in self._steps.get(_key(name), ())
        ]
        metrics = [*self._epochs(mlflow, experiment, record, now), *metrics]
        for start in range(0, len(metrics), _METRICS_AT_ONCE):
            self._client.log_batch(
                self._run_id, metrics=metrics[start : start + _METRICS_AT_ONCE]
            )
        if record.metrics.get("stopped"):
            self._client.set_tag(
                self._run_id, "stopped", str(record.metrics["stopped"])
            )

    def _epochs(
        self, mlflow: Any, experiment: ExperimentState, record: Round, now: int
    ) -> list[Any]:
        """Return the epochs of a round; their step is the epoch, counted on and on."""
        begun = epochs_before(experiment, record)
        found = []
        for name, values in epochs(record).items():
            key = _key(f"epochs/{name}")
            written = self._steps.get(key, ())
            found += [
                mlflow.entities.Metric(key, value, now, step)
                for step, value in enumerate(values, start=begun + 1)
                # MLflow's databases take no NaN.
                if math.isfinite(value) and step not in written
            ]
        return found

    def _close(self, experiment: ExperimentState) -> None:
        if self._run_id:
            status = "FINISHED" if experiment.finished else "KILLED"
            self._client.set_terminated(self._run_id, status)


def _alone(uri: str) -> AbstractContextManager[None]:
    """Hold other workers back while a database file is opened.

    The first makes its tables, and MLflow locks nothing.
    """
    if not uri.startswith("sqlite:///"):
        return nullcontext()
    for needed in ("alembic", "sqlalchemy"):
        require(needed, f"MLflow with {uri}", "al-sklearn[track]")
    path = Path(uri.removeprefix("sqlite:///").partition("?")[0])
    return locked(path.with_name(f".{path.name}.lock"))


def _key(name: str) -> str:
    """Return a name that MLflow takes."""
    return re.sub(r"[^A-Za-z0-9_\-. /]", "_", name)[:250]


def _mlflow() -> Any:
    return require("mlflow", "Writing for MLflow", "al-sklearn[track]")
