"""modAL's base classes, of which our learners are subclasses too."""

from modAL.models.base import BaseCommittee, BaseLearner

__all__ = ["BaseCommittee", "BaseLearner"]
