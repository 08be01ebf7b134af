"""What a label is, what it costs, how it is measured."""

from al_sklearn.tasks._calibration import expected_calibration_error, reliability_curve
from al_sklearn.tasks._classification import (
    Classification,
    Predicted,
    align_columns,
)
from al_sklearn.tasks._metrics import (
    Metric,
    Scorers,
    get_metric,
    know_metrics,
    metrics,
    register_metric,
    scorers_of,
    scoring_names,
)
from al_sklearn.tasks._task import Predictions, Task

__all__ = [
    "Classification",
    "Metric",
    "Predicted",
    "Predictions",
    "Scorers",
    "Task",
    "align_columns",
    "expected_calibration_error",
    "get_metric",
    "know_metrics",
    "metrics",
    "register_metric",
    "reliability_curve",
    "scorers_of",
    "scoring_names",
]
