"""The loop, the comparison of strategies, its store, statistics, plots and report.

The names below are imported when they are first used, so that the command line answers
``--help`` without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from al_sklearn._core.lazy import lazy_names

if TYPE_CHECKING:
    from al_sklearn.experiments._experiment import ActiveLearningExperiment
    from al_sklearn.experiments.comparison import (
        ComparisonResults,
        StrategyComparison,
        load_best,
        load_results,
        load_runs,
    )
    from al_sklearn.experiments.statistics import ComparisonPlan, plan_comparison
    from al_sklearn.experiments.store import load_checkpoint

_HOMES = {
    "ActiveLearningExperiment": "_experiment",
    "ComparisonPlan": "statistics",
    "ComparisonResults": "comparison",
    "StrategyComparison": "comparison",
    "load_best": "comparison",
    "load_checkpoint": "store",
    "load_results": "comparison",
    "load_runs": "comparison",
    "plan_comparison": "statistics",
}

__all__ = [
    "ActiveLearningExperiment",
    "ComparisonPlan",
    "ComparisonResults",
    "StrategyComparison",
    "load_best",
    "load_checkpoint",
    "load_results",
    "load_runs",
    "plan_comparison",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
