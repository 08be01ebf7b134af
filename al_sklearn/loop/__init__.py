"""One strategy's rounds, whoever answers: ask, tell, train, measure."""

from al_sklearn.loop._loop import (
    TRAINING,
    Loop,
    Problem,
    Round,
    check_choice,
    measure,
)
from al_sklearn.loop._streams import Streams, entropy_of
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
    "measure",
    "name_classes",
    "without_labels",
]
