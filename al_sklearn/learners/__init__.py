"""Learners: modAL's, working on today's scikit-learn, numpy, pandas and torch."""

from al_sklearn.learners._active import ActiveLearner
from al_sklearn.learners._bayesian import BayesianOptimizer
from al_sklearn.learners._committee import Committee, CommitteeRegressor
from al_sklearn.learners._deep import DeepActiveLearner

__all__ = [
    "ActiveLearner",
    "BayesianOptimizer",
    "Committee",
    "CommitteeRegressor",
    "DeepActiveLearner",
]
