"""A strategy that never sees what looks like something it has seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from al_sklearn import inference
from al_sklearn._core.checks import unknown_name
from al_sklearn._core.random import RandomState, as_generator
from al_sklearn.rows import n_rows, view_rows
from al_sklearn.strategies._registry import (
    Chosen,
    Strategy,
    get_strategy,
    run_strategy,
    strategy_name,
)
from al_sklearn.strategies.selectors._near_duplicates import (
    NEIGHBORS,
    near_duplicates,
    perceptual_hash,
)

_BY: Final = ("embedding", "hash")
# What one forward pass gives beside the embeddings: then it is asked for at once.
_FROM_PROBA: Final = {"proba", "gradients"}


@dataclass(frozen=True)
class WithoutNearDuplicates:
    """A query strategy on a pool without near-duplicates.

    Made by :func:`without_near_duplicates`.
    """

    strategy: str | Strategy
    threshold: float = 0.99
    by: str = "embedding"
    layer: str | None = None
    neighbors: str = "auto"
    reads_lazily = True

    @property
    def __name__(self) -> str:
        """The composition, as it would be written."""
        by = "" if self.by == "embedding" else f", by={self.by!r}"
        return (
            f"without_near_duplicates({strategy_name(self.strategy)}, "
            f"{self.threshold:g}{by})"
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
        """Leave out the near-duplicates, and query the strategy among the others."""
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
        is_near = self._find(classifier, X)
        indices: list[np.ndarray] = []
        scores: list[np.ndarray] = []
        for candidates in (np.flatnonzero(~is_near), np.flatnonzero(is_near)):
            # Near-duplicates come last, where the others are not enough.
            budget = min(
                n_instances - sum(len(part) for part in indices), len(candidates)
            )
            if budget == 0:
                continue
            rows = X if len(candidates) == len(is_near) else view_rows(X, candidates)
            chosen, utilities = get_strategy(self.strategy)(
                classifier, rows, budget, **options
            )
            indices.append(candidates[chosen])
            scores.append(utilities)
        return np.concatenate(indices), np.concatenate(scores)

    def _find(self, classifier: Any, X: Any) -> np.ndarray:
        labelled = inference.labelled_data(classifier)[0]
        has_labelled = labelled is not None and n_rows(labelled) > 0
        if self.by == "hash":
            known = perceptual_hash(labelled) if has_labelled else None
            return near_duplicates(
                perceptual_hash(X),
                1 - self.threshold / 32,
                known=known,
                neighbors=self.neighbors,
            )
        info = getattr(get_strategy(self.strategy), "info", None)
        if info is not None and _FROM_PROBA & set(info.needs):
            features = inference.proba_and_embed(classifier, X, self.layer)[1]
        else:
            features = inference.embed(classifier, X, self.layer)
        known = (
            inference.embed(classifier, labelled, self.layer) if has_labelled else None
        )
        return near_duplicates(
            features, self.threshold, known=known, neighbors=self.neighbors
        )


def without_near_duplicates(
    strategy: str | Strategy,
    threshold: float | None = None,
    *,
    by: Literal["embedding", "hash"] = "embedding",
    layer: str | None = None,
    neighbors: Literal["auto", "exact", "faiss"] = "auto",
) -> WithoutNearDuplicates:
    """Leave near-duplicates out before a strategy selects.

    Video frames, bursts of photos, copies.

    From the first candidate to the last, a candidate is left out when it is near a
    labelled image or near a candidate that was kept before it. Only where too few
    remain for the batch are those left out asked for as well.

    Parameters
    ----------
    strategy : str or strategy
        Name or callable.
    threshold : float, optional
        For embeddings, the least cosine similarity of near-duplicates, 0.99 by default;
        activations after a ReLU are alike anyway, so look at some pairs before you
        lower it. For hashes, the most bits of 64 that differ, 4 by default.
    by : {"embedding", "hash"}, default="embedding"
        The classifier's embeddings, or a perceptual hash of the images themselves
        (:func:`~al_sklearn.strategies.perceptual_hash`).
    layer : str, optional
        Layer of a net to embed by; the input of its last linear layer by default.
    neighbors : {"auto", "exact", "faiss"}, default="auto"
        How near ones are looked for; see
        :func:`~al_sklearn.strategies.near_duplicates`.

    Returns
    -------
    WithoutNearDuplicates
        A query strategy; its indices are positions in the caller's pool.

    Raises
    ------
    ValueError
        For a threshold outside (0, 1], or 0 … 31 bits, and unknown names.

    Examples
    --------
    >>> without_near_duplicates("margin", 0.98)
    without_near_duplicates(margin, 0.98)
    >>> without_near_duplicates("random", by="hash")
    without_near_duplicates(random_sampling, 4, by='hash')
    """
    if by not in _BY:
        raise unknown_name("kind of near-duplicates", by, _BY)
    if neighbors not in NEIGHBORS:
        raise unknown_name("neighbors", neighbors, NEIGHBORS)
    if threshold is None:
        threshold = 0.99 if by == "embedding" else 4
    if by == "embedding" and not 0 < threshold <= 1:
        raise ValueError(
            "threshold must be a cosine similarity above 0 and at most 1, got "
            f"{threshold!r}."
        )
    if by == "hash" and not 0 <= threshold < 32:
        raise ValueError(
            f"threshold must be a number of bits from 0 to 31, got {threshold!r}."
        )
    get_strategy(strategy)
    return WithoutNearDuplicates(strategy, threshold, by, layer, neighbors)
