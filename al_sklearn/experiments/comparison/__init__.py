"""Several strategies against random sampling, and what was found."""

from al_sklearn.experiments.comparison._comparison import StrategyComparison
from al_sklearn.experiments.comparison._names import name_strategies
from al_sklearn.experiments.comparison._progress_lines import ProgressLines
from al_sklearn.experiments.comparison._results import (
    ComparisonResults,
    load_results,
    load_runs,
)
from al_sklearn.experiments.comparison._run_folders import (
    find_runs,
    overall,
    summarize_runs,
)

__all__ = [
    "ComparisonResults",
    "ProgressLines",
    "StrategyComparison",
    "find_runs",
    "load_results",
    "load_runs",
    "name_strategies",
    "overall",
    "summarize_runs",
]
