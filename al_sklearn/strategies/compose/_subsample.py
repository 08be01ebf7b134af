"""A strategy that looks at a random part of a large pool, and says so in its name."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from al_sklearn.exceptions import ParameterError
from al_sklearn.rows import n_rows, view_rows
from al_sklearn.strategies._registry import (
    Chosen,
    Strategy,
    get_strategy,
    strategy_name,
)
from al_sklearn.strategies.compose._base import Composition


@dataclass(frozen=True, repr=False)
class Subsample(Composition):
    """A query strategy that looks at some random candidates.

    Made by :func:`subsample`.
    """

    strategy: str | Strategy
    n_candidates: int = 100_000

    @property
    def __name__(self) -> str:
        """The composition, as it would be written."""
        return (
            f"subsample({strategy_name(self.strategy)}, "
            f"n_candidates={self.n_candidates})"
        )

    def _choose(self, classifier: Any, X: Any, n_instances: int, **ties: Any) -> Chosen:
        n, rng = n_rows(X), ties["random_state"]
        strategy = get_strategy(self.strategy)
        n_drawn = max(self.n_candidates, n_instances)
        # X itself, so that what others computed of it in this query is shared.
        if n_drawn >= n:
            return strategy(classifier, X, n_instances, **ties)
        # Increasing, so that a file is read from its beginning to its end.
        drawn = np.sort(rng.choice(n, size=n_drawn, replace=False))
        chosen, scores = strategy(classifier, view_rows(X, drawn), n_instances, **ties)
        return drawn[chosen], scores


def subsample(strategy: str | Strategy, n_candidates: int = 100_000) -> Subsample:
    """Look at a random part of the pool only.

    What a strategy costs no longer grows with it.

    The other candidates are not read at all. What would have been best in the pool may
    be among them: with 100,000 of 1,000,000 candidates, nine of the ten best are missed
    on average. The name of the strategy says it in every table.

    Parameters
    ----------
    strategy : str or strategy
        Name or callable.
    n_candidates : int, default=100_000
        How many candidates are drawn, uniformly and without replacement, anew for each
        query; never fewer than are asked for. A pool no larger than that is looked at
        as a whole.

    Returns
    -------
    Subsample
        A query strategy; its indices are positions in the caller's pool.

    Raises
    ------
    ValueError
        For fewer than one candidate or an unknown name.

    Examples
    --------
    >>> subsample("badge", n_candidates=20_000)
    subsample(badge, n_candidates=20000)
    """
    # True is an integer to Python, and no number of candidates.
    if (
        not isinstance(n_candidates, Integral)
        or isinstance(n_candidates, bool)
        or n_candidates < 1
    ):
        raise ParameterError(
            f"n_candidates must be an integer of at least 1, got {n_candidates!r}.",
            "n_candidates",
        )
    get_strategy(strategy)
    return Subsample(strategy, int(n_candidates))
