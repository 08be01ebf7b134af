"""Batches that take the same from every cluster."""

from __future__ import annotations

from typing import Any

import numpy as np

from al_sklearn._core.checks import check_n_instances, renamed
from al_sklearn._core.random import RandomState, as_generator
from al_sklearn._core.types import Chosen, Floats, Ints
from al_sklearn.exceptions import ParameterError

_DECILE = 0.1  # the share of a cluster that counts as its outliers
_NOISE = -1  # what HDBSCAN calls rows that are in no cluster


@renamed(k="n_instances")
def cluster_quotas(
    labels: Any,
    n_instances: int,
    *,
    outlier_scores: Any = None,
    outlier_share: float = 0.2,
    random_state: RandomState = None,
) -> Chosen:
    """Take the same number from every cluster, at random or partly among its outliers.

    Parameters
    ----------
    labels : int array of shape (n,)
        The cluster of each row; -1 is noise. It is no cluster: it gives its share of
        the rows at most (a fraction of a row by chance), and less than a cluster's
        quota where that is less; more only where the clusters have no more.
    n_instances : int
        How many in all, 1 … n. A cluster with fewer members than its quota gives all of
        them, and the others share the rest; where n_instances does not divide, which
        clusters give one more is random.
    outlier_scores : array of shape (n,), optional
        Then ``outlier_share`` of each quota is drawn from the tenth of the cluster with
        the highest scores.
    outlier_share : float, default=0.2
        Fractions of an outlier are carried to the next cluster, as are outliers that a
        cluster does not have.
    random_state : int, Generator or None

    Returns
    -------
    indices : int64 array of shape (n_instances,)
        Unique; one of every cluster, then a second of every cluster, and so on.
    scores : float64 array of shape (n_instances,)
        Decreasing from 1: the order is all there is.

    Raises
    ------
    ValueError
        For labels that are not one-dimensional, scores of another length, a share
        outside 0 … 1, or n_instances outside 1 … n.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(
            "labels must be one-dimensional, one per candidate; got shape "
            f"{labels.shape}."
        )
    n_instances = check_n_instances(n_instances, len(labels))
    if not 0 <= outlier_share <= 1:
        raise ParameterError(
            f"outlier_share must be from 0 to 1, got {outlier_share!r}.",
            "outlier_share",
        )
    if outlier_scores is not None and np.shape(outlier_scores) != labels.shape:
        raise ValueError(
            f"outlier_scores must have shape {labels.shape}, got "
            f"{np.shape(outlier_scores)}."
        )
    generator = as_generator(random_state)
    names, sizes = np.unique(labels, return_counts=True)
    members = np.split(np.argsort(labels, kind="stable"), np.cumsum(sizes)[:-1])
    owed = 0.0
    indices, rounds, order = [], [], generator.permutation(len(names))
    quotas = _quotas(names, sizes, n_instances, generator)
    for place, i in enumerate(order):
        quota, cluster = int(quotas[i]), generator.permutation(members[i])
        if outlier_scores is not None and quota:
            owed += outlier_share * quota
            cluster, n_outliers = _outliers_first(
                cluster, np.asarray(outlier_scores), quota, owed
            )
            owed -= n_outliers
        # A later round comes after all of an earlier, whatever the cluster.
        indices.append(cluster[:quota])
        rounds.append(np.arange(quota) * len(names) + place)
    chosen = np.concatenate(indices)[np.argsort(np.concatenate(rounds))]
    return chosen, np.linspace(1, 0, n_instances, endpoint=False)


def _quotas(names: Ints, sizes: Ints, k: int, generator: np.random.Generator) -> Ints:
    """The same of every cluster, and of noise its share of the rows at most."""
    noise = np.flatnonzero(names == _NOISE)
    if len(noise) == 0 or len(names) == 1:
        return _equal_quotas(sizes, k, generator)
    # In a small batch a share is less than one: chance decides, and in the long run
    # noise is bought as often as it is there.
    share = k * sizes[noise[0]] / sizes.sum()
    room = sizes.copy()
    room[noise] = int(share) + (generator.random() < share % 1)
    quotas = _equal_quotas(room, min(k, int(room.sum())), generator)
    # What clusters do not have is taken from the noise after all.
    quotas[noise] += k - quotas.sum()
    return quotas


def _equal_quotas(sizes: Ints, k: int, generator: np.random.Generator) -> Ints:
    """The same of every cluster, as far as it goes; they sum to k."""
    quotas = np.zeros_like(sizes)
    while (left := k - quotas.sum()) > 0:
        open_ = np.flatnonzero(quotas < sizes)
        if left < len(open_):
            quotas[generator.choice(open_, left, replace=False)] += 1
        else:
            quotas[open_] += np.minimum(
                left // len(open_), sizes[open_] - quotas[open_]
            )
    return quotas


def _outliers_first(
    cluster: Ints, scores: Floats, quota: int, owed: float
) -> tuple[Ints, int]:
    """A shuffled cluster, with as many as are owed of its top decile in front.

    The regular members follow.
    """
    n_top = int(np.ceil(_DECILE * len(cluster)))
    top = np.zeros(len(cluster), dtype=bool)
    top[np.argsort(-scores[cluster], kind="stable")[:n_top]] = True
    n_outliers = min(
        int(owed + 1e-9), n_top, quota
    )  # however the fractions were rounded
    outliers, regular = cluster[top], cluster[~top]
    # Where regular members run out, the rest of the decile fills the quota.
    return np.concatenate(
        [outliers[:n_outliers], regular, outliers[n_outliers:]]
    ), n_outliers
