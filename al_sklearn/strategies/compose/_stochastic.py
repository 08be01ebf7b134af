"""Stochastic batches: the top of the scores after Gumbel noise.

They cost no more than the top of the scores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from al_sklearn import inference
from al_sklearn._core.checks import unknown_name
from al_sklearn._core.random import RandomState, as_generator
from al_sklearn.strategies import measures
from al_sklearn.strategies._registry import Chosen, run_strategy
from al_sklearn.strategies.selectors._stochastic import _check, stochastic_top_k


@dataclass(frozen=True)
class Stochastic:
    """A query strategy that draws its batch by the scores of a measure.

    Made by :func:`stochastic`.
    """

    measure: str | Callable[[Any], Any]
    kind: str = "power"
    beta: float = 1.0
    of: str = "proba"
    reads_lazily = True

    @property
    def __name__(self) -> str:
        """The composition, as it would be written."""
        name = (
            self.measure
            if isinstance(self.measure, str)
            else getattr(self.measure, "__name__", repr(self.measure))
        )
        return f"stochastic({name}, kind={self.kind!r}, beta={self.beta:g})"

    def __repr__(self) -> str:
        return self.__name__

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
        options = {
            "n_samples": n_samples,
            "random_tie_break": random_tie_break,
            "random_state": random_state,
        }
        return run_strategy(
            self._choose, self.__name__, classifier, X, n_instances, options
        )

    def _choose(
        self,
        classifier: Any,
        X: Any,
        n_instances: int,
        n_samples: int | None,
        random_tie_break: bool,
        random_state: RandomState,
    ) -> Chosen:
        generator = as_generator(random_state)
        if self.of == "samples":
            given = inference.sample_proba(classifier, X, n_samples, generator)
        elif n_samples is not None:
            given = inference.sample_proba(classifier, X, n_samples, generator).mean(
                axis=0
            )
        else:
            given = inference.predict_proba(classifier, X)
        measure = (
            measures.get_measure(self.measure, self.of)
            if isinstance(self.measure, str)
            else self.measure
        )
        return stochastic_top_k(
            measure(given),
            n_instances,
            kind=self.kind,
            beta=self.beta,
            random_state=generator,
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
        What a function of one's own takes: probabilities (n, C), the default, or
        posterior samples (T, n, C).

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
    _check(kind, beta)
    if of not in (None, *measures.MEASURES):
        raise unknown_name("kind of input", str(of), measures.MEASURES)
    known = {
        name: where for where, named in measures.MEASURES.items() for name in named
    }
    if isinstance(measure, str) and measure not in known:
        raise unknown_name("measure", measure, known)
    name = measure if isinstance(measure, str) else getattr(measure, "__name__", "")
    ours = isinstance(measure, str) or (
        name in known and measures.MEASURES[known[name]][name] is measure
    )
    return Stochastic(measure, kind, beta, known[name] if ours else of or "proba")
