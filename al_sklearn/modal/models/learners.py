"""The learners, under modAL's names."""

from al_sklearn.learners import (
    ActiveLearner,
    BayesianOptimizer,
    Committee,
    CommitteeRegressor,
    DeepActiveLearner,
)

__all__ = [
    "ActiveLearner",
    "BayesianOptimizer",
    "Committee",
    "CommitteeRegressor",
    "DeepActiveLearner",
]
