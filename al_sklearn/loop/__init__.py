"""One strategy's rounds, whoever answers: ask, tell, train, measure."""

from al_sklearn.learners import check_choice
from al_sklearn.learners.training import TRAINING, check_training
from al_sklearn.loop._loop import Loop
from al_sklearn.loop._measure import measure
from al_sklearn.loop._problem import Problem
from al_sklearn.loop._rounds import Answers, Batch, Contradiction, Round
from al_sklearn.loop._streams import Streams, entropy_of
from al_sklearn.loop._without_labels import without_labels

__all__ = [
    "TRAINING",
    "Answers",
    "Batch",
    "Contradiction",
    "Loop",
    "Problem",
    "Round",
    "Streams",
    "check_choice",
    "check_training",
    "entropy_of",
    "measure",
    "without_labels",
]
