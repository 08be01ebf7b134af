"""What clones say of labelled rows that they were not trained on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from al_sklearn import inference
from al_sklearn._core.random import seed_all, seeded_clone
from al_sklearn._core.types import Array
from al_sklearn.inference import fitting
from al_sklearn.rows import take_rows


def spread(labels: Array, order: Array, n_parts: int) -> Array:
    """Return the part of each row, (n,): of equal size, each class over all parts.

    The sizes are as equal as they can be.

    Parameters
    ----------
    labels : array of shape (n,)
    order : int array of shape (n,)
        All positions in random order, in which the rows of a class take turns.
    n_parts : int
    """
    by_class = order[np.argsort(labels[order], kind="stable")]
    part_of = np.empty(len(labels), dtype=np.int64)
    part_of[by_class] = np.arange(len(labels)) % n_parts
    return part_of


def cross_fit(
    estimator: Any,
    X: Any,
    labels: Array,
    part_of: Array,
    seed: int,
    validation: tuple[Any, Any] = (None, None),
) -> Iterator[tuple[Array, Any, Array]]:
    """Yield each part's positions, the clone trained on the others, and what it says.

    A part is passed over where the others hold one class alone: there is no classifier
    of that.

    Parameters
    ----------
    estimator : classifier
        Cloned.
    X, labels : rows and labels
    part_of : int array of shape (n,)
        From :func:`spread`.
    seed : int
    validation : (rows, labels), default=(None, None)
        What early stopping watches in the rounds it watches in the clones.

    Yields
    ------
    held_out : int array of shape (k,)
    member : fitted classifier
    proba : array of shape (k, n_classes)
        Columns follow ``inference.columns_of(member, n_classes)``.
    """
    # Whatever the clones draw from; the query puts the global generators back.
    seed_all(seed)
    for part in range(part_of.max() + 1):
        train = np.flatnonzero(part_of != part)
        held_out = np.flatnonzero(part_of == part)
        # A classifier of one class would say nothing, and some refuse to be fitted.
        if len(np.unique(labels[train])) < 2:
            continue
        member = seeded_clone(estimator, seed, only_open=True)
        fitting.fit(member, take_rows(X, train), labels[train], *validation)
        yield held_out, member, inference.predict_proba(member, take_rows(X, held_out))
