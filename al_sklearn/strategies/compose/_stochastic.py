"""Stochastic batches: the top of the scores after Gumbel noise.

They cost no more than the top of the scores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from al_sklearn._core.checks import unknown_name
from al_sklearn._core.random import RandomState
from al_sklearn.strategies import measures, selectors
from al_sklearn.strategies._pairs import utilities_of
from al_sklearn.strategies._registry import Chosen
from al_sklearn.strategies.compose._base import Composition, written
from al_sklearn.strategies.selectors import check_stochastic


@dataclass(frozen=True, repr=False)
class Stochastic(Composition):
    """A query strategy that draws its batch by the scores of a measure.

    Made by :func:`stochastic`.
    """

    measure: str | Callable[[Any], Any]
    kind: str = "power"
    beta: float = 1.0
    of: str = "proba"

    @property
    def __name__(self) -> str:
        """The composition, as it would be written."""
        # Without what a measure takes: that follows from the measure.
        name = written(self.measure)
        return f"stochastic({name}, kind={self.kind!r}, beta={self.beta:g})"

    def __call__(
        self,
        classifier: Any,
        X: Any,
        n_instances: int = 1,
        *,
        n_samples: int | None = None,
        random_tie_break: bool = False,
        random_state: RandomState = None,
    ) -> Chosen:
        """Score every candidate by the measure, and draw ``n_instances``."""
        return self._run(
            classifier,
            X,
            n_instances,
            n_samples=n_samples,
            random_tie_break=random_tie_break,
            random_state=random_state,
        )

    def _choose(
        self,
        classifier: Any,
        X: Any,
        n_instances: int,
        *,
        n_samples: int | None = None,
        **ties: Any,
    ) -> Chosen:
        rng = ties["random_state"]
        utilities = utilities_of(
            self.measure, classifier, X, rng, of=self.of, n_samples=n_samples
        )
        # What ties is drawn among at random: random_tie_break has nothing to break.
        return selectors.stochastic_top_k(
            utilities, n_instances, kind=self.kind, beta=self.beta, random_state=rng
        )


def stochastic(
    measure: str | Callable[[Any], Any],
    *,
    kind: Literal["power", "softmax", "softrank"] = "power",
    beta: float = 1.0,
    of: str | None = None,
) -> Stochastic:
    """Make a batch strategy of a measure.

    Draw by its scores instead of taking the highest.

    The batch is as diverse as a greedy one at the cost of the top of the scores (Kirsch
    et al., TMLR 2023).

    Parameters
    ----------
    measure : str or callable
        Name of a measure of probabilities or of posterior samples (``"margin"``,
        ``"bald"``, …), or any function of an array to one utility per row.
    kind : {"power", "softmax", "softrank"}, default="power"
        As in :func:`al_sklearn.strategies.selectors.stochastic_top_k`.
    beta : float, default=1
        How sharply higher scores are preferred.
    of : {"proba", "samples"}, optional
        What a function of one's own takes: probabilities (n, C) or posterior samples
        (T, n, C); the second by default where its first parameter is called
        ``samples``.

    Returns
    -------
    Stochastic
        A query strategy; ``n_samples=`` says how many posterior samples it asks for.

    Raises
    ------
    ValueError
        For an unknown measure or kind, or a beta that is not positive.

    Examples
    --------
    >>> stochastic("bald", kind="softrank")
    stochastic(bald, kind='softrank', beta=1)
    """
    # Said where it is written, not at the first query.
    check_stochastic(kind, beta)
    if of not in (None, *measures.MEASURES):
        raise unknown_name("kind of input", str(of), measures.MEASURES)
    measures.get_measure(measure, of=None)
    return Stochastic(measure, kind, beta, of or measures.kind_of(measure))
