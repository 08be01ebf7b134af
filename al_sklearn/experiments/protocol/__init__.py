"""From settings and data to what all strategies of one seed share."""

from al_sklearn.experiments.protocol._data import (
    check_rows,
    check_test_set,
    reads_lazily,
)
from al_sklearn.experiments.protocol._given import Splits, read_given
from al_sklearn.experiments.protocol._known_labels import (
    first_round,
    is_done,
    next_round,
)
from al_sklearn.experiments.protocol._problem import known_classes, make_problem
from al_sklearn.experiments.protocol._records import first_wrong
from al_sklearn.experiments.protocol._routing import route_fit_options, router_of
from al_sklearn.experiments.protocol._settings import (
    LATER_OPTIONS,
    PROTOCOL_CONSTRAINTS,
    check_protocol,
)
from al_sklearn.experiments.protocol._splits import INITIAL, initial_set
from al_sklearn.experiments.protocol._validation import (
    Validation,
    check_validation,
    with_validation,
)

__all__ = [
    "INITIAL",
    "LATER_OPTIONS",
    "PROTOCOL_CONSTRAINTS",
    "Splits",
    "Validation",
    "check_protocol",
    "check_rows",
    "check_test_set",
    "check_validation",
    "first_round",
    "first_wrong",
    "initial_set",
    "is_done",
    "known_classes",
    "make_problem",
    "next_round",
    "read_given",
    "reads_lazily",
    "route_fit_options",
    "router_of",
    "with_validation",
]
