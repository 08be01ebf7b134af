"""modAL's modules under modAL's names, for today's libraries.

They work on today's scikit-learn, numpy, pandas and torch.

Code written for modAL changes one import: ``from modAL.uncertainty import
entropy_sampling`` becomes ``from al_sklearn.modal.uncertainty import
entropy_sampling``. Query functions return ``(indices, metrics)``, best first, as those
of modAL 0.4.2 do. What was wrong in modAL and is right here is listed in
docs/migration.md. New code rather uses :mod:`al_sklearn.strategies`.
"""

from al_sklearn.learners import ActiveLearner, Committee, CommitteeRegressor

__all__ = ["ActiveLearner", "Committee", "CommitteeRegressor"]
