"""Strategies made of others."""

from al_sklearn.strategies.compose._by_committee import ByCommittee, by_committee
from al_sklearn.strategies.compose._compose import (
    Mix,
    TwoStage,
    Weighted,
    mix,
    two_stage,
    weighted,
)
from al_sklearn.strategies.compose._stochastic import Stochastic, stochastic
from al_sklearn.strategies.compose._subsample import Subsample, subsample
from al_sklearn.strategies.compose._without_near_duplicates import (
    WithoutNearDuplicates,
    without_near_duplicates,
)

__all__ = [
    "ByCommittee",
    "Mix",
    "Stochastic",
    "Subsample",
    "TwoStage",
    "Weighted",
    "WithoutNearDuplicates",
    "by_committee",
    "mix",
    "stochastic",
    "subsample",
    "two_stage",
    "weighted",
    "without_near_duplicates",
]
