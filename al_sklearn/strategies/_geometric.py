"""Strategies on embeddings; they work without a single label."""

from __future__ import annotations

from typing import Any

from al_sklearn import inference
from al_sklearn._random import RandomState
from al_sklearn.pool import n_rows
from al_sklearn.strategies import measures
from al_sklearn.strategies._k_center import k_center
from al_sklearn.strategies._registry import Chosen, query_strategy


@query_strategy(
    family="geometric",
    needs=("embeddings", "labelled"),
    reference="Sener & Savarese, ICLR 2018",
    cost="O(n (l + b) d) at most; lazily O(n l d)",
    aliases=("k_center_greedy",),
)
def coreset(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    metric: str = "euclidean",
    weight_by: str | None = None,
    layer: str | None = None,
    X_labelled: Any = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates that cover the pool: k-center greedy on embeddings, from what is labelled.

    Parameters
    ----------
    metric : {"euclidean", "manhattan", "cosine"}
        Distance between embeddings.
    weight_by : str, optional
        Name of a measure of probabilities (``"margin"``, ``"entropy"``, …) that multiplies the distances.
    layer : str, optional
        Layer of a net to embed by; the input of its last linear layer by default.
    X_labelled : rows, optional
        What is labelled already; ``classifier.X_training`` by default. Without any, the first pick is the candidate
        nearest the mean.

    See Also
    --------
    al_sklearn.strategies.selectors.k_center : the selector.
    """
    # The measure is looked up first: a wrong name should not cost a pass over the pool.
    measure = None if weight_by is None else measures.get_measure(weight_by)
    rows, _ = inference.labelled_data(classifier, X_labelled)
    labelled = None if rows is None or n_rows(rows) == 0 else inference.embed(classifier, rows, layer)
    weights = None if measure is None else measure(inference.predict_proba(classifier, X))
    return k_center(
        inference.embed(classifier, X, layer),
        n_instances,
        labelled=labelled,
        metric=metric,
        weights=weights,
        random_tie_break=random_tie_break,
        random_state=random_state,
    )
