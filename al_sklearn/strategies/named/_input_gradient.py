"""Uncertainty as the size of the gradient of the loss in the image."""

from __future__ import annotations

from typing import Any

from al_sklearn import inference
from al_sklearn._core.random import RandomState
from al_sklearn.strategies._engine.top_k import top_k
from al_sklearn.strategies._registry import Chosen, query_strategy


@query_strategy(
    family="uncertainty",
    needs=("proba", "input_gradient"),
    reference="-",
    cost="O(n) forward and backward passes",
)
def input_gradient(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates whose loss changes most when the image does; nets only.

    The loss is that of the predicted class.

    The score is Σ|∂CE(x, ŷ)/∂x| over the values of the network's input. It is that of
    each image alone, whatever the batch it is computed in.

    See Also
    --------
    al_sklearn.strategies.measures.input_gradient : the scores, from gradients.
    """
    sizes = inference.input_gradient(classifier, X)
    return top_k(
        sizes, n_instances, random_tie_break=random_tie_break, random_state=random_state
    )
