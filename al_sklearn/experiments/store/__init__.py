"""One folder a run: plain files, each written whole or not at all."""

from al_sklearn.experiments.store._checkpoints import check_checkpoints, load_checkpoint
from al_sklearn.experiments.store._json import flat
from al_sklearn.experiments.store._slug import slug
from al_sklearn.experiments.store._store import FIRST, RunStore
from al_sklearn.experiments.store._tables import (
    measured_columns,
    tidy_columns,
    tidy_table,
)

__all__ = [
    "FIRST",
    "RunStore",
    "check_checkpoints",
    "flat",
    "load_checkpoint",
    "measured_columns",
    "slug",
    "tidy_columns",
    "tidy_table",
]
