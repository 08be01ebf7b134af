"""Votes of several classifiers, side by side in the columns of all their classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from al_sklearn._core.types import Array
from al_sklearn.inference._questions import classes_of, columns_of


def join_classes(members: Sequence[Any]) -> Array:
    """Return every class that one of the members knows, sorted."""
    return np.unique(np.concatenate([classes_of(member) for member in members]))


def join_votes(
    members: Sequence[Any], ask: Callable[[Any], Array], n: int, classes: Array
) -> Array:
    """Return the members' probabilities in the columns of all classes.

    Parameters
    ----------
    members : sequence of classifiers
        Fitted.
    ask : callable
        Of a member, its probabilities of ``n`` rows.
    n : int
    classes : array of shape (C,)
        Sorted.

    Returns
    -------
    votes : float64 array of shape (n, T, C)
        A class that a member does not know has 0 there. What a plain skorch net gives
        to classes that no member knows goes to the others in proportion.
    """
    votes = np.zeros((n, len(members), len(classes)))
    for i, member in enumerate(members):
        proba = ask(member)
        labels = columns_of(member, proba.shape[1])
        # A plain net has outputs for integers that it never saw.
        known = np.isin(labels, classes)
        votes[:, i, np.searchsorted(classes, labels[known])] = proba[:, known]
        if not known.all():
            total = votes[:, i].sum(axis=1, keepdims=True)
            # Where nothing is left, nothing is known: all are as likely.
            evenly = np.full_like(votes[:, i], 1 / len(classes))
            votes[:, i] = np.divide(votes[:, i], total, out=evenly, where=total > 0)
    return votes
