"""One strategy's rounds, whoever answers: ask, tell, train, measure."""

from al_sklearn.loop._loop import (
    TRAINING,
    Loop,
    Problem,
    Round,
    check_choice,
    global_generators,
    measure,
    seed_global,
)
from al_sklearn.loop._streams import Streams, entropy_of, seeded_clone
from al_sklearn.loop._training import check_training, fit, name_classes
from al_sklearn.loop._without_labels import without_labels

__all__ = [
    "TRAINING",
    "Loop",
    "Problem",
    "Round",
    "Streams",
    "check_choice",
    "check_training",
    "entropy_of",
    "fit",
    "global_generators",
    "measure",
    "name_classes",
    "seed_global",
    "seeded_clone",
    "without_labels",
]
