"""What a label is, what it costs, how it is measured."""

from al_sklearn.tasks._calibration import expected_calibration_error, reliability_curve
from al_sklearn.tasks._classification import (
    LOWER_IS_BETTER,
    METRICS,
    Predicted,
    align_columns,
    evaluate,
)

__all__ = [
    "LOWER_IS_BETTER",
    "METRICS",
    "Predicted",
    "align_columns",
    "evaluate",
    "expected_calibration_error",
    "reliability_curve",
]
