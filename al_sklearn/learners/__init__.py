"""Learners: modAL's, working on today's scikit-learn, numpy, pandas and torch."""

from al_sklearn.learners._active import ActiveLearner
from al_sklearn.learners._bayesian import BayesianOptimizer
from al_sklearn.learners._committee import Committee, CommitteeRegressor
from al_sklearn.learners._deep import DeepActiveLearner
from al_sklearn.learners._query import check_choice, split_answer
from al_sklearn.learners.training import TRAINING

__all__ = [
    "TRAINING",
    "ActiveLearner",
    "BayesianOptimizer",
    "Committee",
    "CommitteeRegressor",
    "DeepActiveLearner",
    "check_choice",
    "split_answer",
]
