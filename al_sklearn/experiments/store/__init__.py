"""One folder a run: plain files, each written whole or not at all."""

from al_sklearn.experiments.store._checkpoints import (
    check_checkpoints,
    load_checkpoint,
    rebuild,
    write_estimator,
)
from al_sklearn.experiments.store._epochs import EPOCHS, epoch_table, without_epochs
from al_sklearn.experiments.store._failures import failure_notes, failure_of
from al_sklearn.experiments.store._flat import flat
from al_sklearn.experiments.store._slug import slug
from al_sklearn.experiments.store._starts import notes_on_starts
from al_sklearn.experiments.store._store import FIRST, RunStore
from al_sklearn.experiments.store._tables import (
    measured_columns,
    tidy_columns,
    tidy_table,
)
from al_sklearn.experiments.store._verify import Finding, verify_run

__all__ = [
    "EPOCHS",
    "FIRST",
    "Finding",
    "RunStore",
    "check_checkpoints",
    "epoch_table",
    "failure_notes",
    "failure_of",
    "flat",
    "load_checkpoint",
    "measured_columns",
    "notes_on_starts",
    "rebuild",
    "slug",
    "tidy_columns",
    "tidy_table",
    "verify_run",
    "without_epochs",
    "write_estimator",
]
