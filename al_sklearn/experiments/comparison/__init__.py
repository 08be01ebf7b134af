"""Several strategies against random sampling, and what was found."""

from al_sklearn.experiments.comparison._best import BestRound, find_best, load_best
from al_sklearn.experiments.comparison._comparison import StrategyComparison
from al_sklearn.experiments.comparison._names import name_strategies
from al_sklearn.experiments.comparison._progress_lines import ProgressLines
from al_sklearn.experiments.comparison._results import (
    ComparisonResults,
    load_results,
    load_runs,
)
from al_sklearn.experiments.comparison._round_sets import bought_positions, round_sets
from al_sklearn.experiments.comparison._run_folders import (
    find_runs,
    overall,
    summarize_runs,
)

__all__ = [
    "BestRound",
    "ComparisonResults",
    "ProgressLines",
    "StrategyComparison",
    "bought_positions",
    "find_best",
    "find_runs",
    "load_best",
    "load_results",
    "load_runs",
    "name_strategies",
    "overall",
    "round_sets",
    "summarize_runs",
]
