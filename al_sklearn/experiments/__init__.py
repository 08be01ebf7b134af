"""The loop, the comparison of strategies, its store, statistics, plots and report."""

from al_sklearn.experiments._experiment import ActiveLearningExperiment
from al_sklearn.experiments.comparison import (
    ComparisonResults,
    StrategyComparison,
    load_results,
    load_runs,
)
from al_sklearn.experiments.store import load_checkpoint

__all__ = [
    "ActiveLearningExperiment",
    "ComparisonResults",
    "StrategyComparison",
    "load_checkpoint",
    "load_results",
    "load_runs",
]
