"""The loop, the comparison of strategies, its store, statistics, plots and report."""

from al_sklearn.experiments._comparison import StrategyComparison
from al_sklearn.experiments._experiment import ActiveLearningExperiment
from al_sklearn.experiments._results import ComparisonResults, load_results

__all__ = ["ActiveLearningExperiment", "ComparisonResults", "StrategyComparison", "load_results"]
