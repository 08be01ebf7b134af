"""Strategies that join uncertainty and diversity in one selection."""

from __future__ import annotations

from typing import Any

from al_sklearn import inference
from al_sklearn._random import RandomState
from al_sklearn.strategies._kmeans_plusplus import gradient_kmeans_plusplus
from al_sklearn.strategies._registry import Chosen, query_strategy


@query_strategy(
    family="hybrid",
    needs=("gradients",),
    reference="Ash et al., ICLR 2020",
    cost="O(n (C + d) b) at most; lazily far less",
)
def badge(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    layer: str | None = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates with large and different gradients of the last layer: k-means++ on gradient embeddings.

    The first is the largest gradient, the others are drawn in proportion to the squared distance to those chosen, so
    that ``random_tie_break`` has nothing to break.

    Parameters
    ----------
    layer : str, optional
        Layer of a net to embed by; the input of its last linear layer by default.

    See Also
    --------
    al_sklearn.strategies.selectors.gradient_kmeans_plusplus : the selector.
    """
    residuals, embeddings = inference.gradient_factors(classifier, X, layer)
    return gradient_kmeans_plusplus(residuals, embeddings, n_instances, random_state=random_state)
