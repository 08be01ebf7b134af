"""From settings and data to what all strategies of one seed share."""

from al_sklearn.experiments.protocol._protocol import (
    LATER_OPTIONS,
    check_protocol,
    known_classes,
    make_problem,
)
from al_sklearn.experiments.protocol._splits import INITIAL, initial_set

__all__ = [
    "INITIAL",
    "LATER_OPTIONS",
    "check_protocol",
    "initial_set",
    "known_classes",
    "make_problem",
]
