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
from al_sklearn._core.random import RandomState, as_generator
from al_sklearn.rows import n_rows, view_rows
from al_sklearn.strategies import measures, selectors
from al_sklearn.strategies._registry import (
    Chosen,
    Strategy,
    get_strategy,
    run_strategy,
    strategy_name,
)
from al_sklearn.strategies.selectors._buckets import apportion


@dataclass(frozen=True)
class Mix:
    """A query strategy that splits its budget among others; made by :func:`mix`."""

    parts: tuple[tuple[float, str | Strategy], ...]
    reads_lazily = True

    @property
    def __name__(self) -> str:
        """The composition, as it would be written."""
        shares = ", ".join(
            f"({share:g}, {strategy_name(strategy)})" for share, strategy in self.parts
        )
        return f"mix({shares})"

    def __repr__(self) -> str:
        return self.__name__

    def __call__(
        self,
        classifier: Any,
        X: Any,
        n_instances: int = 1,
        *,
        random_tie_break: bool = False,
        random_state: RandomState = None,
    ) -> Chosen:
        """Query each part for its share of ``n_instances``."""
        options = {"random_tie_break": random_tie_break, "random_state": random_state}
        return run_strategy(
            self._choose, self.__name__, classifier, X, n_instances, options
        )

    def _choose(
        self,
        classifier: Any,
        X: Any,
        n_instances: int,
        random_tie_break: bool,
        random_state: RandomState,
    ) -> Chosen:
        n, rng = n_rows(X), as_generator(random_state)
        taken = np.zeros(n, dtype=bool)
        indices, scores = [], []
        for (_, strategy), budget in zip(
            self.parts, self._budgets(n_instances), strict=True
        ):
            if budget == 0:
                continue
            # On the same X, so that the parts share what the classifier computes.
            # Asking for as many more as are taken leaves enough after those are
            # dropped.
            n_asked = min(budget + int(taken.sum()), n)
            chosen, utilities = get_strategy(strategy)(
                classifier,
                X,
                n_asked,
                random_tie_break=random_tie_break,
                random_state=rng,
            )
            fresh = np.flatnonzero(~taken[chosen])[:budget]
            indices.append(chosen[fresh])
            scores.append(utilities[fresh])
            taken[chosen[fresh]] = True
        return np.concatenate(indices), np.concatenate(scores)

    def _budgets(self, n_instances: int) -> list[int]:
        return apportion([share for share, _ in self.parts], n_instances)


def mix(*parts: tuple[float, str | Strategy]) -> Mix:
    """Split the budget: each strategy chooses its share of the batch.

    The batch is always exact and without repeats.

    Parameters
    ----------
    *parts : (share, strategy)
        Shares are positive and need not sum to 1. A strategy is a name or a callable.
        Earlier parts choose first.

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


@dataclass(frozen=True)
class TwoStage:
    """A query strategy that selects among the best of another.

    Made by :func:`two_stage`.
    """

    prefilter: str | Strategy
    select: str | Strategy
    factor: float = 10
    reads_lazily = True

    @property
    def __name__(self) -> str:
        """The composition, as it would be written."""
        return (
            f"two_stage({strategy_name(self.prefilter)}, "
            f"{strategy_name(self.select)}, factor={self.factor:g})"
        )

    def __repr__(self) -> str:
        return self.__name__

    def __call__(
        self,
        classifier: Any,
        X: Any,
        n_instances: int = 1,
        *,
        random_tie_break: bool = False,
        random_state: RandomState = None,
    ) -> Chosen:
        """Query the pre-filter, then the selecting strategy among what it chose."""
        options = {"random_tie_break": random_tie_break, "random_state": random_state}
        return run_strategy(
            self._choose, self.__name__, classifier, X, n_instances, options
        )

    def _choose(
        self,
        classifier: Any,
        X: Any,
        n_instances: int,
        random_tie_break: bool,
        random_state: RandomState,
    ) -> Chosen:
        options = {
            "random_tie_break": random_tie_break,
            "random_state": as_generator(random_state),
        }
        n_kept = min(
            max(int(np.ceil(self.factor * n_instances)), n_instances), n_rows(X)
        )
        kept, _ = get_strategy(self.prefilter)(classifier, X, n_kept, **options)
        chosen, scores = get_strategy(self.select)(
            classifier, view_rows(X, kept), n_instances, **options
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
        raise ValueError(f"factor must be a number of at least 1, got {factor!r}.")
    get_strategy(prefilter), get_strategy(select)
    return TwoStage(prefilter, select, factor)


@dataclass(frozen=True)
class Weighted:
    """A query strategy that weights a selector by a measure.

    Made by :func:`weighted`.
    """

    measure: str | Callable[[Any], Any]
    selector: str | Callable[..., Chosen]
    layer: str | None = None
    reads_lazily = True

    @property
    def __name__(self) -> str:
        """The composition, as it would be written."""
        names = [
            part if isinstance(part, str) else getattr(part, "__name__", repr(part))
            for part in self._parts()
        ]
        return f"weighted({', '.join(names)})"

    def _parts(self) -> tuple[Any, Any]:
        return self.measure, self.selector

    def __repr__(self) -> str:
        return self.__name__

    def __call__(
        self,
        classifier: Any,
        X: Any,
        n_instances: int = 1,
        *,
        random_tie_break: bool = False,
        random_state: RandomState = None,
    ) -> Chosen:
        """Weight the embeddings by the measure, and select."""
        options = {"random_tie_break": random_tie_break, "random_state": random_state}
        return run_strategy(
            self._choose, self.__name__, classifier, X, n_instances, options
        )

    def _choose(
        self,
        classifier: Any,
        X: Any,
        n_instances: int,
        random_tie_break: bool,
        random_state: RandomState,
    ) -> Chosen:
        rng = as_generator(random_state)
        measure, selector = _measure(self.measure), _selector(self.selector)
        if measures.kind_of(measure) == "samples":
            weights = measure(inference.sample_proba(classifier, X, None, rng))
        else:
            weights = measure(inference.proba_and_embed(classifier, X, self.layer)[0])
        embeddings = inference.embed(classifier, X, self.layer)
        takes = inspect.signature(selector).parameters
        options: dict[str, Any] = {
            "utilities": np.maximum(weights, 0),
            "random_state": rng,
        }
        if "random_tie_break" in takes:
            options["random_tie_break"] = random_tie_break
        rows, _ = inference.labelled_data(classifier)
        if "labelled" in takes and rows is not None and n_rows(rows):
            options["labelled"] = inference.embed(classifier, rows, self.layer)
        return selector(features=embeddings, n_instances=n_instances, **options)


def _measure(measure: str | Callable[[Any], Any]) -> Callable[[Any], Any]:
    return measures.get_measure(measure, of=None)


def _selector(selector: str | Callable[..., Chosen]) -> Callable[..., Chosen]:
    return selectors.get_selector(selector, takes=("features", "utilities"))


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
    _measure(measure)
    _selector(selector)
    return Weighted(measure, selector, layer)
