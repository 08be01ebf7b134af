"""Learners: modAL's, working on today's scikit-learn, numpy, pandas and torch."""

from al_sklearn.learners._active import ActiveLearner
from al_sklearn.learners._committee import Committee, CommitteeRegressor

__all__ = ["ActiveLearner", "Committee", "CommitteeRegressor"]
