"""Deep active learning for images that feels like scikit-learn.

The names below are imported when they are first used, so that ``import al_sklearn`` is
quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from al_sklearn._core.lazy import lazy_names

if TYPE_CHECKING:
    from al_sklearn.config import config_context, get_config, set_config
    from al_sklearn.datasets import load_dataset
    from al_sklearn.estimators import (
        DeepEnsemble,
        FrozenBackbone,
        ImageClassifier,
        LaplaceClassifier,
        SnapshotEnsemble,
        TemperatureScaling,
        TunedClassifier,
    )
    from al_sklearn.experiments import ActiveLearningExperiment, StrategyComparison
    from al_sklearn.learners import (
        ActiveLearner,
        BayesianOptimizer,
        Committee,
        CommitteeRegressor,
        DeepActiveLearner,
    )
    from al_sklearn.pool import Pool

__version__ = "0.1.0"

_HOMES = {
    "ActiveLearner": "learners",
    "ActiveLearningExperiment": "experiments",
    "BayesianOptimizer": "learners",
    "Committee": "learners",
    "CommitteeRegressor": "learners",
    "DeepActiveLearner": "learners",
    "DeepEnsemble": "estimators",
    "FrozenBackbone": "estimators",
    "ImageClassifier": "estimators",
    "LaplaceClassifier": "estimators",
    "Pool": "pool",
    "SnapshotEnsemble": "estimators",
    "StrategyComparison": "experiments",
    "TemperatureScaling": "estimators",
    "TunedClassifier": "estimators",
    "config_context": "config",
    "get_config": "config",
    "load_dataset": "datasets",
    "set_config": "config",
}

__all__ = [
    "ActiveLearner",
    "ActiveLearningExperiment",
    "BayesianOptimizer",
    "Committee",
    "CommitteeRegressor",
    "DeepActiveLearner",
    "DeepEnsemble",
    "FrozenBackbone",
    "ImageClassifier",
    "LaplaceClassifier",
    "Pool",
    "SnapshotEnsemble",
    "StrategyComparison",
    "TemperatureScaling",
    "TunedClassifier",
    "config_context",
    "get_config",
    "load_dataset",
    "set_config",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
