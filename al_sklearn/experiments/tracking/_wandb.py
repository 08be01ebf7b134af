"""Rounds in Weights & Biases."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from al_sklearn._core.files import replacing
from al_sklearn._core.optional import require
from al_sklearn._core.types import Options
from al_sklearn.experiments.store import slug
from al_sklearn.experiments.tracking._callback import ExperimentState
from al_sklearn.experiments.tracking._tracker import Tracker, epochs, scalars
from al_sklearn.loop import Round


class WandB(Tracker):
    """Writes every strategy and seed as a run of Weights & Biases.

    The seeds of a strategy are in one group.

    Parameters
    ----------
    project : str, default="al_sklearn"
    entity : str, optional
        Whose project.
    mode : {"online", "offline", "disabled"}, optional
        ``"offline"`` writes to ``folder`` alone, for ``wandb sync`` later. W&B's own
        setting by default.
    folder : path, default="."
        Where W&B makes its folder ``wandb``. Beside it, in ``wandb-rounds``, stands
        which rounds were written.
    tags : sequence of str, optional
        Of every run.
    class_names : sequence of str, optional
        Readable names of the sorted classes, for tags; an experiment file gives those
        of its data set.

    Notes
    -----
    Needs ``pip install al-sklearn[track]``. The step is the number of labels;
    ``epochs`` is a table of each round's epochs. A run that is resumed goes on under
    the same id; offline, each process leaves a folder of its own, and ``wandb sync``
    joins them.

    Examples
    --------
    >>> from al_sklearn.experiments.tracking import WandB
    >>> callbacks = [WandB("digits", mode="offline", folder="runs")]
    """

    def __init__(
        self,
        project: str = "al_sklearn",
        entity: str | None = None,
        mode: str | None = None,
        folder: str | os.PathLike[str] = ".",
        tags: Iterable[str] | None = None,
        class_names: Sequence[Any] | None = None,
    ):
        self.project = project
        self.entity = entity
        self.mode = mode
        self.folder = folder
        self.tags = tags
        self.class_names = class_names
        self._run: Any = None

    def _open(self, experiment: ExperimentState) -> Iterable[int]:
        _wandb()
        ledger = self._ledger(experiment)
        return json.loads(ledger.read_text()) if ledger.exists() else []

    def _begin(self, experiment: ExperimentState) -> Any:
        """Start W&B's run at the first round to write.

        One with nothing new leaves no trace.
        """
        wandb = _wandb()
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        return wandb.init(
            project=self.project,
            entity=self.entity,
            mode=self.mode,
            dir=self.folder,
            id=self._id(experiment),
            name=f"{experiment.name} {experiment.run_id}",
            group=experiment.strategy,
            job_type=experiment.run_id,
            config={
                "strategy": experiment.strategy,
                "seed": experiment.seed,
                **experiment.parameters,
            },
            tags=list(self.tags) if self.tags is not None else None,
            resume="allow",
            reinit="create_new",
        )

    def _write(self, experiment: ExperimentState, record: Round, fresh: bool) -> None:
        wandb = _wandb()
        if self._run is None:
            self._run = self._begin(experiment)
        step = record.metrics["n_labelled"]
        proba = experiment.test_proba() if fresh else None
        row: Options = dict(scalars(experiment, record, proba, self._names(experiment)))
        bought = np.asarray(record.metrics["bought"])
        # Longer histograms are an error there.
        if len(bought) <= wandb.Histogram.MAX_LENGTH:
            # A bin around each class.
            edges = np.arange(len(bought) + 1) - 0.5
            row["bought_labels"] = wandb.Histogram(np_histogram=(bought, edges))
        columns = epochs(record)
        if columns:
            # Its step cannot count labels and epochs: a table a round has the epochs.
            rows = zip(*columns.values(), strict=True)
            row["epochs"] = wandb.Table(
                columns=["epoch", *columns],
                data=[[i, *values] for i, values in enumerate(rows, start=1)],
            )
        self._run.log(row, step=step, commit=True)
        if record.metrics.get("stopped"):
            self._run.summary["stopped"] = str(record.metrics["stopped"])
        ledger = self._ledger(experiment)
        ledger.parent.mkdir(parents=True, exist_ok=True)
        # Not waited for: after a power cut a round is written twice at worst.
        with replacing(ledger, durable=False) as file:
            file.write(json.dumps(sorted({*self._logged, record.round})).encode())

    def _close(self, experiment: ExperimentState) -> None:
        if self._run is not None:
            self._run.finish(exit_code=0 if experiment.finished else 1)
            self._run = None

    def _ledger(self, experiment: ExperimentState) -> Path:
        return Path(self.folder) / "wandb-rounds" / f"{self._id(experiment)}.json"

    def _id(self, experiment: ExperimentState) -> str:
        # Ids are cut at 60 letters: the hash keeps those apart that begin alike.
        tail = hashlib.blake2b(experiment.name.encode(), digest_size=4).hexdigest()
        return (
            f"{experiment.run_id}-{slug(experiment.name.replace('/', '-'))[:60]}-{tail}"
        )


def _wandb() -> Any:
    return require("wandb", "Writing for Weights & Biases", "al-sklearn[track]")
