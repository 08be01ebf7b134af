"""Disagreement within a committee, and query by committee."""

from __future__ import annotations

from typing import Any

import numpy as np

from al_sklearn._core.types import Array
from al_sklearn.learners import disagreement
from al_sklearn.learners.disagreement import max_std_sampling
from al_sklearn.modal._sampling import cold_start, sampling
from al_sklearn.strategies import measures

# The functions of learners raise where nothing is fitted; modAL's give 0 to all rows.
__all__ = [
    "KL_max_disagreement",
    "consensus_entropy",
    "consensus_entropy_sampling",
    "max_disagreement_sampling",
    "max_std_sampling",
    "vote_entropy",
    "vote_entropy_sampling",
]


@cold_start(0.0)
def vote_entropy(committee: Any, X: Any, **predict_kwargs: Any) -> Array:
    """Entropy of the members' votes, of classes of any type.

    Parameters
    ----------
    committee : Committee
        0 for every row while it is not fitted.
    X : any kind of rows
    **predict_kwargs
        Passed on to the ``predict`` of the members.

    Returns
    -------
    array of shape (n,)
        In nats.
    """
    return disagreement.vote_entropy(committee, X, **predict_kwargs)


@cold_start(0.0)
def consensus_entropy(committee: Any, X: Any, **predict_proba_kwargs: Any) -> Array:
    """Entropy of the mean of the members' probabilities.

    Parameters
    ----------
    committee : Committee
        0 for every row while it is not fitted.
    X : any kind of rows
    **predict_proba_kwargs
        Passed on to the ``predict_proba`` of the members.

    Returns
    -------
    array of shape (n,)
        In nats.
    """
    return measures.entropy(committee.predict_proba(X, **predict_proba_kwargs))


@cold_start(0.0)
def KL_max_disagreement(committee: Any, X: Any, **predict_proba_kwargs: Any) -> Array:
    """Largest Kullback-Leibler divergence of a member from the mean of the members.

    Parameters
    ----------
    committee : Committee
        0 for every row while it is not fitted.
    X : any kind of rows
    **predict_proba_kwargs
        Passed on to the ``predict_proba`` of the members.

    Returns
    -------
    array of shape (n,)
        In nats.
    """
    votes = np.asarray(committee.vote_proba(X, **predict_proba_kwargs))
    # modAL has the members second, the measure has the samples first.
    return measures.kl_disagreement(np.moveaxis(votes, 1, 0), reduction="max")


vote_entropy_sampling = sampling(
    "vote_entropy_sampling",
    vote_entropy,
    "Choose the rows on which the members' votes differ most.",
    kind="Committee",
)
consensus_entropy_sampling = sampling(
    "consensus_entropy_sampling",
    consensus_entropy,
    "Choose the rows on which the members' mean is least sure.",
    kind="Committee",
)
max_disagreement_sampling = sampling(
    "max_disagreement_sampling",
    KL_max_disagreement,
    "Choose the rows on which one member differs most from the mean.",
    kind="Committee",
)
