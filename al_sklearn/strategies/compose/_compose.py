"""Strategies made of others: shares, pre-filters and weighted selection.

They share the budget, pre-filter then select, or select weighted by scores.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from al_sklearn import inference
from al_sklearn._core.types import Bools, Options
from al_sklearn.exceptions import ParameterError
from al_sklearn.rows import n_rows, take_rows, view_rows
from al_sklearn.strategies import measures, selectors
from al_sklearn.strategies._pairs import embed_labelled, told, utilities_of
from al_sklearn.strategies._registry import (
    Chosen,
    Strategy,
    follows_contract,
    get_strategy,
    strategy_name,
)
from al_sklearn.strategies.compose._base import Composition, written
from al_sklearn.strategies.selectors import apportion


@dataclass(frozen=True, repr=False)
class Mix(Composition):
    """A query strategy that splits its budget among others; made by :func:`mix`."""

    parts: tuple[tuple[float, str | Strategy], ...]

    @property
    def __name__(self) -> str:
        """The composition, as it would be written."""
        shares = ", ".join(
            f"({share:g}, {strategy_name(strategy)})" for share, strategy in self.parts
        )
        return f"mix({shares})"

    def _choose(self, classifier: Any, X: Any, n_instances: int, **ties: Any) -> Chosen:
        taken = np.zeros(n_rows(X), dtype=bool)
        indices, scores = [], []
        budgets = self._budgets(n_instances)
        for (_, strategy), budget in zip(self.parts, budgets, strict=True):
            if budget == 0:
                continue
            # On the same X, so that the parts share what the classifier computes.
            # Asking for as many more as are taken leaves enough after those are
            # dropped.
            n_asked = min(budget + int(taken.sum()), len(taken))
            chosen, utilities = _ask(strategy, classifier, X, n_asked, taken, ties)
            fresh = np.flatnonzero(~taken[chosen])[:budget]
            indices.append(chosen[fresh])
            scores.append(utilities[fresh])
            taken[chosen[fresh]] = True
        return np.concatenate(indices), np.concatenate(scores)

    def _budgets(self, n_instances: int) -> list[int]:
        return apportion([share for share, _ in self.parts], n_instances)


def _ask(
    strategy: str | Strategy,
    classifier: Any,
    X: Any,
    n_asked: int,
    taken: Bools,
    ties: Options,
) -> Chosen:
    """Ask a part, which knows what earlier parts have taken where it looks for that."""
    function = get_strategy(strategy)
    # A strategy of somebody else's is given the learner itself.
    if not taken.any() or not follows_contract(function):
        return function(classifier, X, n_asked, **ties)
    rows = take_rows(X, np.flatnonzero(taken))
    if classifier is not None:
        wrapped = inference.WithTaken(classifier, rows)
        return function(wrapped, X, n_asked, **ties)
    options = dict(ties)
    if "X_labelled" in inspect.signature(function).parameters:
        # Without a model there is no learner that could hold them.
        options["X_labelled"] = rows
    return function(None, X, n_asked, **options)


def mix(*parts: tuple[float, str | Strategy]) -> Mix:
    """Split the budget: each strategy chooses its share of the batch.

    The batch is always exact and without repeats.

    Parameters
    ----------
    *parts : (share, strategy)
        Shares are positive and need not sum to 1. A strategy is a name or a callable.
        Earlier parts choose first; later ones that look at what is labelled count what
        was taken among it.

    Returns
    -------
    Mix
        A query strategy; the scores are those of the strategy that chose each instance.

    Raises
    ------
    ValueError
        Without parts, for a share that is not positive, or an unknown name.

    Examples
    --------
    >>> mix((0.8, "margin"), (0.2, "random_sampling"))
    mix((0.8, margin), (0.2, random_sampling))
    """
    if not parts:
        raise ValueError("mix needs at least one (share, strategy).")
    for part in parts:
        if not isinstance(part, tuple) or len(part) != 2:
            raise TypeError(f"mix takes pairs (share, strategy), got {part!r}.")
        if not part[0] > 0 or not np.isfinite(part[0]):
            raise ValueError(f"A share must be positive and finite, got {part[0]!r}.")
        get_strategy(part[1])
    return Mix(tuple(parts))


@dataclass(frozen=True, repr=False)
class TwoStage(Composition):
    """A query strategy that selects among the best of another.

    Made by :func:`two_stage`.
    """

    prefilter: str | Strategy
    select: str | Strategy
    factor: float = 10

    @property
    def __name__(self) -> str:
        """The composition, as it would be written."""
        return (
            f"two_stage({strategy_name(self.prefilter)}, "
            f"{strategy_name(self.select)}, factor={self.factor:g})"
        )

    def _choose(self, classifier: Any, X: Any, n_instances: int, **ties: Any) -> Chosen:
        # Rounded up: never fewer than are asked for.
        n_kept = min(int(np.ceil(self.factor * n_instances)), n_rows(X))
        kept, _ = get_strategy(self.prefilter)(classifier, X, n_kept, **ties)
        # A view: the second reads those rows alone, and no copy is made.
        view = view_rows(X, kept)
        chosen, scores = get_strategy(self.select)(
            classifier, view, n_instances, **ties
        )
        return kept[chosen], scores


def two_stage(
    prefilter: str | Strategy, select: str | Strategy, factor: float = 10
) -> TwoStage:
    """Pre-filter, then select: one strategy's best, and another's choice of them.

    The first keeps its ``factor · n_instances`` best.

    Parameters
    ----------
    prefilter, select : str or strategy
        Names or callables.
    factor : float, default=10
        How many candidates the pre-filter keeps for each instance asked for, at least
        1.

    Returns
    -------
    TwoStage
        A query strategy; its indices are positions in the pool, its scores those of
        ``select``.

    Raises
    ------
    ValueError
        For a factor below 1 or an unknown name.

    Examples
    --------
    >>> two_stage("margin", "coreset", factor=4)
    two_stage(margin, coreset, factor=4)
    """
    if not factor >= 1 or not np.isfinite(factor):
        raise ParameterError(
            f"factor must be a number of at least 1, got {factor!r}.", "factor"
        )
    # An unknown name is said where it is written, not at the first query.
    get_strategy(prefilter), get_strategy(select)
    return TwoStage(prefilter, select, factor)


@dataclass(frozen=True, repr=False)
class Weighted(Composition):
    """A query strategy that weights a selector by a measure.

    Made by :func:`weighted`.
    """

    measure: str | Callable[[Any], Any]
    selector: str | Callable[..., Chosen]
    layer: str | None = None

    @property
    def __name__(self) -> str:
        """The composition, as it would be written."""
        return f"weighted({written(self.measure)}, {written(self.selector)})"

    def _choose(self, classifier: Any, X: Any, n_instances: int, **ties: Any) -> Chosen:
        select = selectors.get_selector(self.selector, takes=("features", "utilities"))
        rng = ties["random_state"]
        weights = utilities_of(
            self.measure, classifier, X, rng, embeds=True, layer=self.layer
        )
        # All that there is; the selector is told what its parameters name.
        options = {
            "features": inference.embed(classifier, X, self.layer),
            "n_instances": n_instances,
            "utilities": np.maximum(weights, 0),
            "labelled": embed_labelled(classifier, layer=self.layer),
            **ties,
        }
        return select(**told(select, options))


def weighted(
    measure: str | Callable[[Any], Any],
    selector: str | Callable[..., Chosen],
    *,
    layer: str | None = None,
) -> Weighted:
    """Weight diversity by uncertainty.

    A selector of embeddings whose points weigh what a measure says.

    Parameters
    ----------
    measure : str or callable
        A measure of probabilities or of posterior samples by name, or any function that
        takes ``proba`` or ``samples``. What is negative counts as 0.
    selector : str or callable
        A selector that takes ``features=`` and ``utilities=``, such as ``"k_center"``
        or ``"weighted_kmeans"``.
    layer : str, optional
        Layer of a net to embed by; the input of its last linear layer by default.

    Returns
    -------
    Weighted
        A query strategy; its scores are those of the selector.

    Raises
    ------
    ValueError
        For an unknown measure, or a selector that takes no utilities.

    Examples
    --------
    >>> weighted("margin", "k_center")
    weighted(margin, k_center)
    """
    measures.get_measure(measure, of=None)
    selectors.get_selector(selector, takes=("features", "utilities"))
    return Weighted(measure, selector, layer)
