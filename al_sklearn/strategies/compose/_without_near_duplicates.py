"""A strategy that never sees what looks like something it has seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from al_sklearn import inference
from al_sklearn._core.checks import unknown_name
from al_sklearn._core.types import Array
from al_sklearn.exceptions import ParameterError
from al_sklearn.rows import view_rows
from al_sklearn.strategies._pairs import embed_labelled
from al_sklearn.strategies._registry import (
    Chosen,
    Strategy,
    get_strategy,
    strategy_name,
)
from al_sklearn.strategies.compose._base import Composition
from al_sklearn.strategies.selectors import (
    NEIGHBORS,
    near_duplicates,
    perceptual_hash,
)

_BY: Final = ("embedding", "hash")
# What one forward pass gives beside the embeddings: then it is asked for at once.
_FROM_PROBA: Final = {"proba", "gradients"}


@dataclass(frozen=True, repr=False)
class WithoutNearDuplicates(Composition):
    """A query strategy on a pool without near-duplicates.

    Made by :func:`without_near_duplicates`.
    """

    strategy: str | Strategy
    threshold: float = 0.99
    by: str = "embedding"
    layer: str | None = None
    neighbors: str = "auto"

    @property
    def __name__(self) -> str:
        """The composition, as it would be written."""
        by = "" if self.by == "embedding" else f", by={self.by!r}"
        return (
            f"without_near_duplicates({strategy_name(self.strategy)}, "
            f"{self.threshold:g}{by})"
        )

    def _choose(self, classifier: Any, X: Any, n_instances: int, **ties: Any) -> Chosen:
        is_near = self._find(classifier, X)
        indices: list[Array] = []
        scores: list[Array] = []
        for candidates in (np.flatnonzero(~is_near), np.flatnonzero(is_near)):
            # Near-duplicates come last, where the others are not enough.
            budget = min(n_instances - sum(map(len, indices)), len(candidates))
            if budget == 0:
                continue
            # X itself shares what is computed of it; a view is another X.
            rows = X if len(candidates) == len(is_near) else view_rows(X, candidates)
            chosen, utilities = get_strategy(self.strategy)(
                classifier, rows, budget, **ties
            )
            indices.append(candidates[chosen])
            scores.append(utilities)
        return np.concatenate(indices), np.concatenate(scores)

    def _find(self, classifier: Any, X: Any) -> Array:
        labelled = inference.labelled_rows(classifier)
        if self.by == "hash":
            known = None if labelled is None else perceptual_hash(labelled)
            return near_duplicates(
                perceptual_hash(X),
                # Two hashes of 64 bits of which k differ have a cosine of 1 - k / 32.
                1 - self.threshold / 32,
                known=known,
                neighbors=self.neighbors,
            )
        info = getattr(get_strategy(self.strategy), "info", None)
        # Else the strategy would cost a second pass, for the probabilities.
        if info is not None and _FROM_PROBA & set(info.needs):
            features = inference.proba_and_embed(classifier, X, self.layer)[1]
        else:
            features = inference.embed(classifier, X, self.layer)
        return near_duplicates(
            features,
            self.threshold,
            known=embed_labelled(classifier, layer=self.layer),
            neighbors=self.neighbors,
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
    # Of embeddings a similarity, of hashes a distance: the two have no scale in common.
    if threshold is None:
        threshold = 0.99 if by == "embedding" else 4
    if by == "embedding" and not 0 < threshold <= 1:
        raise ParameterError(
            "threshold must be a cosine similarity above 0 and at most 1, got "
            f"{threshold!r}.",
            "threshold",
        )
    if by == "hash" and not 0 <= threshold < 32:
        raise ParameterError(
            f"threshold must be a number of bits from 0 to 31, got {threshold!r}.",
            "threshold",
        )
    get_strategy(strategy)
    return WithoutNearDuplicates(strategy, threshold, by, layer, neighbors)
