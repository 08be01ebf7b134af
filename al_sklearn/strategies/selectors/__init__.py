"""Selectors: from utilities, features or gradient factors (plain arrays) to a batch.

Each returns positions and scores, most useful (or first chosen) first, and needs no
classifier.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from al_sklearn._core.checks import unknown_name
from al_sklearn._core.registry import Registry, share_table
from al_sklearn._core.types import Function
from al_sklearn.strategies._engine.density_clusters import density_clusters
from al_sklearn.strategies._engine.top_k import top_k
from al_sklearn.strategies.selectors._bait import fisher_trace
from al_sklearn.strategies.selectors._batch_bald import batch_bald
from al_sklearn.strategies.selectors._buckets import (
    apportion,
    binned,
    both_ends,
    bucketed,
)
from al_sklearn.strategies.selectors._candidates import candidates_kmeans
from al_sklearn.strategies.selectors._clue import weighted_kmeans
from al_sklearn.strategies.selectors._cluster_margin import (
    average_linkage,
    cluster_margin,
    cluster_round_robin,
)
from al_sklearn.strategies.selectors._clusters import cluster_quotas
from al_sklearn.strategies.selectors._falcun import falcun
from al_sklearn.strategies.selectors._herding import max_herding
from al_sklearn.strategies.selectors._k_center import k_center
from al_sklearn.strategies.selectors._kmeans import kmeans_sampling
from al_sklearn.strategies.selectors._kmeans_plusplus import (
    gradient_kmeans_plusplus,
    kmeans_plusplus,
)
from al_sklearn.strategies.selectors._lcmd import lcmd
from al_sklearn.strategies.selectors._near_duplicates import (
    NEIGHBORS,
    near_duplicates,
    perceptual_hash,
)
from al_sklearn.strategies.selectors._nearest import k_nearest
from al_sklearn.strategies.selectors._probcover import probcover, purity_radius
from al_sklearn.strategies.selectors._ranked_batch import ranked_batch
from al_sklearn.strategies.selectors._stochastic import (
    check_stochastic,
    stochastic_top_k,
)
from al_sklearn.strategies.selectors._typiclust import typiclust

__all__ = [
    "NEIGHBORS",
    "SELECTORS",
    "apportion",
    "average_linkage",
    "batch_bald",
    "binned",
    "both_ends",
    "bucketed",
    "candidates_kmeans",
    "check_stochastic",
    "cluster_margin",
    "cluster_quotas",
    "cluster_round_robin",
    "density_clusters",
    "falcun",
    "fisher_trace",
    "get_selector",
    "gradient_kmeans_plusplus",
    "k_center",
    "k_nearest",
    "kmeans_plusplus",
    "kmeans_sampling",
    "lcmd",
    "max_herding",
    "near_duplicates",
    "perceptual_hash",
    "probcover",
    "purity_radius",
    "ranked_batch",
    "register_selector",
    "stochastic_top_k",
    "top_k",
    "typiclust",
    "weighted_kmeans",
]

_F = TypeVar("_F", bound=Callable[..., Any])

# What gives a batch, by name; the other public functions help to choose one.
SELECTORS = Registry("selector")
share_table("selectors", SELECTORS)


def register_selector(function: _F) -> _F:
    """Let a selector of one's own be found by its name; a decorator.

    Everything that takes ``selector=`` then takes the name. The same function again, as
    a notebook's cell that is run twice gives it, replaces itself.

    Parameters
    ----------
    function : callable
        ``function(features, n_instances, ...)`` or ``function(utilities, n_instances,
        ...)`` to (indices, scores); what it may be given besides is what its parameters
        say: ``utilities``, ``labelled``, ``random_state``, ``random_tie_break``.

    Raises
    ------
    ValueError
        When another selector has the name.

    Examples
    --------
    >>> import numpy as np
    >>> @register_selector
    ... def far_out(features, n_instances, *, random_state=None):
    ...     sizes = np.linalg.norm(features, axis=1)
    ...     return top_k(sizes, n_instances)
    >>> get_selector("far_out") is far_out
    True
    """
    SELECTORS.add(function)
    return function


def get_selector(selector: str | Function, *, takes: tuple[str, ...] = ()) -> Function:
    """Find a selector by its name; a function is returned as it is.

    Parameters
    ----------
    selector : str or callable
        As it is called here, or registered with :func:`register_selector`.
    takes : tuple of str, default=()
        Parameters that it must have.

    Raises
    ------
    ValueError
        When there is none of that name, or it lacks a parameter; those that exist are
        listed.
    TypeError
        When it is neither a name nor callable.
    """
    found = SELECTORS.find(selector)
    if _has(found, takes):
        return found
    able = [name for name, function in SELECTORS.items() if _has(function, takes)]
    wanted = " and ".join(f"{name}=" for name in takes)
    raise unknown_name(f"selector that takes {wanted}", selector, able)


def _has(function: Function, names: tuple[str, ...]) -> bool:
    # By its signature: nothing is called to find out.
    return set(names) <= set(inspect.signature(function).parameters)


for _selector in (
    batch_bald,
    binned,
    both_ends,
    bucketed,
    candidates_kmeans,
    cluster_margin,
    cluster_round_robin,
    falcun,
    fisher_trace,
    gradient_kmeans_plusplus,
    k_center,
    k_nearest,
    kmeans_plusplus,
    kmeans_sampling,
    lcmd,
    max_herding,
    probcover,
    ranked_batch,
    stochastic_top_k,
    top_k,
    typiclust,
    weighted_kmeans,
):
    SELECTORS.add(_selector)
