"""The loop, the comparison of strategies, its store, statistics, plots and report."""

from al_sklearn.experiments._checkpoints import load_checkpoint
from al_sklearn.experiments._comparison import StrategyComparison
from al_sklearn.experiments._experiment import ActiveLearningExperiment
from al_sklearn.experiments._results import ComparisonResults, load_results, load_runs

__all__ = [
    "ActiveLearningExperiment",
    "ComparisonResults",
    "StrategyComparison",
    "load_checkpoint",
    "load_results",
    "load_runs",
]
