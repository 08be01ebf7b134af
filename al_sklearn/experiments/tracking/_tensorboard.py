"""Rounds in TensorBoard."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from al_sklearn._core.files import replacing
from al_sklearn._core.optional import require
from al_sklearn.experiments.store import flat, slug
from al_sklearn.experiments.tracking._callback import ExperimentState
from al_sklearn.experiments.tracking._tracker import (
    Tracker,
    epochs,
    scalars,
)
from al_sklearn.loop import Round

_EVENTS = re.compile(r"events\.out\.tfevents\.(\d{6})\.round$")


class TensorBoard(Tracker):
    """Writes rounds for TensorBoard: numbers, histograms, curves and embeddings.

    These are losses and accuracies of every epoch and round, the best so far,
    histograms of what was bought, PR curves and embeddings.

    Every strategy and seed has a folder, ``log_dir/<run>/<strategy>/seed_000``, and
    every round a file in it, which is written whole or not at all: what is there after
    a kill is right, and a run that is resumed goes on after it. The step is the number
    of labels.

    Parameters
    ----------
    log_dir : path, default="tensorboard"
        What ``tensorboard --logdir`` gets.
    n_embeddings : int, default=300
        Images of the pool, at most, whose embeddings each round keeps for the
        projector; 0 keeps none.
    pr_curves : bool, default=True
        Draw a PR curve for each class.
    class_names : sequence of str, optional
        Readable names of the sorted classes, for tags; an experiment file gives those
        of its data set.

    Notes
    -----
    Needs ``pip install al-sklearn[track]``. A round that an earlier process finished,
    but did not write, is written without what needs its model: PR curves, embeddings.

    Examples
    --------
    >>> from al_sklearn.experiments.tracking import TensorBoard
    >>> callbacks = [TensorBoard("runs/tensorboard")]
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "tensorboard",
        n_embeddings: int = 300,
        pr_curves: bool = True,
        class_names: Sequence[Any] | None = None,
    ):
        self.log_dir = log_dir
        self.n_embeddings = n_embeddings
        self.pr_curves = pr_curves
        self.class_names = class_names

    def _folder(self, experiment: ExperimentState) -> Path:
        return (
            Path(self.log_dir)
            / experiment.run_id
            / slug(experiment.strategy)
            / f"seed_{experiment.seed:03d}"
        )

    def _open(self, experiment: ExperimentState) -> Iterable[int]:
        _writer_class()
        folder = self._folder(experiment)
        folder.mkdir(parents=True, exist_ok=True)
        # A file a round, renamed into place: what has a name is whole.
        found = (_EVENTS.match(path.name) for path in folder.iterdir())
        return [int(match[1]) for match in found if match]

    def _write(self, experiment: ExperimentState, record: Round, fresh: bool) -> None:
        folder, step = self._folder(experiment), record.metrics["n_labelled"]
        if fresh and self.n_embeddings:
            self._write_embeddings(experiment, record, folder)
        # In a folder of its own until it is whole; hidden, so that TensorBoard does not
        # look into it.
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder) as temporary:
            writer = _writer_class()(temporary)
            try:
                self._fill(writer, experiment, record, step, fresh)
            finally:
                writer.close()
            (written,) = Path(temporary).glob("events.out.tfevents.*")
            os.replace(
                written, folder / f"events.out.tfevents.{record.round:06d}.round"
            )

    def _fill(
        self,
        writer: Any,
        experiment: ExperimentState,
        record: Round,
        step: int,
        fresh: bool,
    ) -> None:
        proba = experiment.test_proba() if fresh and self.pr_curves else None
        for key, value in scalars(
            experiment, record, proba, self._names(experiment)
        ).items():
            # Numbers without a group of their own are in one.
            writer.add_scalar(key if "/" in key else f"round/{key}", value, step)
        # A bin around each class.
        edges = np.arange(len(experiment.classes) + 1) - 0.5
        writer.add_histogram(
            "bought_labels", experiment.bought_codes(record), step, bins=edges
        )
        # Strategies without scores of their own give NaN, which its histograms refuse.
        if np.isfinite(record.scores).all():
            writer.add_histogram("scores", record.scores, step)
        for key, values in epochs(record).items():
            # Their own axis: epochs begin again in every round.
            for epoch, value in enumerate(values, start=1):
                writer.add_scalar(
                    f"{key}_of_epochs/round_{record.round:03d}", value, epoch
                )
        # A class without test images has no precision.
        codes: Any = [] if proba is None else np.unique(experiment.test_codes)
        for code in codes:
            assert proba is not None
            key = f"precision_recall/{self._names(experiment)[code]}"
            right = experiment.test_codes == code
            writer.add_pr_curve(key, right, proba[:, code], step)
        if record.round == 0:
            parameters = flat(experiment.parameters)
            # TensorBoard reads texts as Markdown.
            lines = [f"- **{key}**: {value}" for key, value in parameters.items()]
            writer.add_text("configuration", "\n".join(lines), step)
        if record.metrics.get("stopped"):
            writer.add_text("stopped", str(record.metrics["stopped"]), step)

    def _write_embeddings(
        self, experiment: ExperimentState, record: Round, folder: Path
    ) -> None:
        """Write the projector's tables.

        Its list of them comes last, so that it never names one that is not there.
        """
        positions = experiment.watched(self.n_embeddings)
        vectors = experiment.embeddings(positions)
        if vectors is None or len(vectors) < 2:
            return
        known = np.isin(positions, experiment.loop.labelled)
        new = np.isin(positions, record.indices)
        states = np.where(new, "new", np.where(known, "known", "unknown"))
        target = folder / f"embeddings_{record.round:03d}"
        target.mkdir(exist_ok=True)
        with replacing(target / "tensors.tsv", durable=False) as file:
            np.savetxt(
                file, vectors.reshape(len(vectors), -1), fmt="%.6g", delimiter="\t"
            )
        rows = ["position\tclass\tstate"]
        labels = experiment.labels_of(positions)
        for position, label, state in zip(positions, labels, states, strict=True):
            rows.append(f"{position}\t{_one_line(label)}\t{state}")
        with replacing(target / "metadata.tsv", durable=False) as file:
            file.write(("\n".join(rows) + "\n").encode())
        entries = [
            f'embeddings {{\n  tensor_name: "round {path.name[-3:]}"\n  tensor_path: '
            f'"{path.name}/tensors.tsv"\n'
            f'  metadata_path: "{path.name}/metadata.tsv"\n}}\n'
            for path in sorted(folder.glob("embeddings_*"))
            if (path / "metadata.tsv").exists()
        ]
        with replacing(folder / "projector_config.pbtxt", durable=False) as file:
            file.write("".join(entries).encode())

    def _close(self, experiment: ExperimentState) -> None:
        for leftover in self._folder(experiment).glob(".writing-*"):
            shutil.rmtree(leftover, ignore_errors=True)


def _one_line(label: Any) -> str:
    return re.sub(r"\s+", " ", str(label))


def _writer_class() -> Any:
    require("tensorboard", "Writing for TensorBoard", "al-sklearn[track]")
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter
