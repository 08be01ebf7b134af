"""What committees ask for unless they are told otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np

from al_sklearn._core.random import RandomState
from al_sklearn._core.types import Array
from al_sklearn.rows import n_rows
from al_sklearn.strategies import measures
from al_sklearn.strategies.selectors import top_k

__all__ = ["max_std_sampling", "vote_entropy", "vote_entropy_sampling"]


def vote_entropy(committee: Any, X: Any, **predict_kwargs: Any) -> Array:
    """Entropy of the votes of the members (Engelson & Dagan 1996).

    Parameters
    ----------
    committee : Committee
        Fitted; its classes may be of any type.
    X : any kind of rows
    **predict_kwargs
        Passed on to the ``predict`` of the members.

    Returns
    -------
    array of shape (n,)
        In nats, 0 where all agree.
    """
    return measures.entropy(
        measures.vote_shares(committee.vote(X, **predict_kwargs), committee.classes_)
    )


def vote_entropy_sampling(
    committee: Any,
    X: Any,
    n_instances: int = 1,
    random_tie_break: bool = False,
    random_state: RandomState = None,
    **predict_kwargs: Any,
) -> tuple[Array, Array]:
    """Rows on which the members' votes differ most: the default of :class:`Committee`.

    Parameters
    ----------
    committee : Committee
        Fitted.
    X : any kind of rows
        The pool.
    n_instances : int, default=1
        How many to choose.
    random_tie_break : bool, default=False
        Whether ties, which are many with few members, are broken at random instead of
        by position.
    random_state : int, Generator or None, default=None
        For ``random_tie_break``.
    **predict_kwargs
        Passed on to the ``predict`` of the members.

    Returns
    -------
    indices : int64 array of shape (n_instances,)
        Highest entropy first.
    scores : float array of shape (n_instances,)
        Their vote entropy.
    """
    utilities = vote_entropy(committee, X, **predict_kwargs)
    return top_k(
        utilities,
        n_instances,
        random_tie_break=random_tie_break,
        random_state=random_state,
    )


def max_std_sampling(
    regressor: Any,
    X: Any,
    n_instances: int = 1,
    random_tie_break: bool = False,
    random_state: RandomState = None,
    **predict_kwargs: Any,
) -> tuple[Array, Array]:
    """Rows whose prediction has the largest standard deviation.

    The default of :class:`CommitteeRegressor`.

    Parameters
    ----------
    regressor : object
        Its ``predict`` takes ``return_std=True``: a committee of regressors, a Gaussian
        process.
    X : any kind of rows
        The pool.
    n_instances : int, default=1
        How many to choose.
    random_tie_break : bool, default=False
        Whether ties are broken at random instead of by position.
    random_state : int, Generator or None, default=None
        For ``random_tie_break``.
    **predict_kwargs
        Passed on to ``predict``.

    Returns
    -------
    indices : int64 array of shape (n_instances,)
        Largest standard deviation first.
    scores : float array of shape (n_instances,)
        Those standard deviations.
    """
    _, std = regressor.predict(X, return_std=True, **predict_kwargs)
    std = np.asarray(std).reshape(n_rows(X))
    return top_k(
        std, n_instances, random_tie_break=random_tie_break, random_state=random_state
    )
