"""Model-based outliers, which activate the network less than labelled data.

The method is that of Monarch (2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from al_sklearn import inference
from al_sklearn._core.checks import unknown_name
from al_sklearn._core.random import RandomState, as_generator
from al_sklearn._core.types import Function, Options
from al_sklearn.exceptions import ParameterError
from al_sklearn.rows import n_rows, view_rows
from al_sklearn.strategies import measures
from al_sklearn.strategies._pairs import embed_labelled, utilities_of
from al_sklearn.strategies._registry import Chosen, query_strategy, variant
from al_sklearn.strategies.selectors import top_k

# One pass of activations, reduced in two ways.
_RANKS: dict[str, Function] = {
    "mean": measures.outliers_mean,
    "max": measures.outliers_max,
}


@query_strategy(
    family="outlier",
    needs=("embeddings", "labelled"),
    reference="Monarch, Human-in-the-Loop Machine Learning, 2021",
    cost="O((n + l) d log l)",
)
def outliers_mean(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    reduce: Literal["mean", "max"] = "mean",
    measure: str | Function | None = None,
    factor: float = 4,
    layer: str | Sequence[str] | None = None,
    X_labelled: Any = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates whose activations rank lowest among those of the labelled data.

    A neuron's activation is ranked among its activations by the labelled data.

    Parameters
    ----------
    reduce : {"mean", "max"}, default="mean"
        The mean rank over the neurons, or the rank of the most active one.
    measure : str or callable, optional
        Of probabilities or posterior samples: only the candidates of its highest
        utilities are ranked. All are by default.
    factor : float, default=4
        How many of these there are for each instance asked for, at least 1.
    layer : str or list of str, optional
        Layer of a net whose neurons are ranked, or several; the input of its last
        linear layer by default.
    X_labelled : rows, optional
        What they are ranked against, labelled or validation rows;
        ``classifier.X_training`` by default.

    See Also
    --------
    al_sklearn.strategies.measures.outliers_mean : the scores.
    al_sklearn.strategies.measures.outliers_max : the scores of the most active neuron.
    """
    if reduce not in _RANKS:
        raise unknown_name("reduce", reduce, _RANKS)
    if not 1 <= factor < np.inf:
        raise ParameterError(
            f"factor must be a number of at least 1, got {factor!r}.", "factor"
        )
    rng = as_generator(random_state)
    ties: Options = {"random_tie_break": random_tie_break, "random_state": rng}
    # Positions in the caller's X, also where only some candidates are looked at.
    kept = np.arange(n_rows(X))
    if measure is not None:
        utilities = utilities_of(measure, classifier, X, rng)
        n_kept = min(int(np.ceil(factor * n_instances)), len(utilities))
        kept, _ = top_k(utilities, n_kept, **ties)
        # Only these are embedded, which is what a pre-filter is for.
        X = view_rows(X, kept)
    if not inference.labelled_parts(classifier, X_labelled):
        raise ValueError(
            "Activations are ranked against those of labelled rows, and there are "
            "none: pass X_labelled=, or a learner that was taught some."
        )
    # A name is a sequence too, of letters.
    one = layer is None or isinstance(layer, str)
    names: list[Any] = [layer] if one else list(layer or ())
    if not names:
        raise ValueError("layer must name at least one layer.")
    activations = [inference.embed(classifier, X, name) for name in names]
    reference: list[Any] = [
        embed_labelled(classifier, X_labelled, name) for name in names
    ]
    chosen, scores = top_k(_RANKS[reduce](activations, reference), n_instances, **ties)
    return kept[chosen], scores


outliers_max = variant(
    outliers_mean,
    "outliers_max",
    "Candidates whose most active neuron ranks lowest among the labelled.",
    reduce="max",
)
# What is ranked no longer grows with the pool.
_OF_KEPT = "O(n C + (f b + l) d log l) and the embeddings of f b"
outliers_mean_least_confidence = variant(
    outliers_mean,
    "outliers_mean_least_confidence",
    "Outliers by mean activation rank among the least confident.",
    needs=("proba", "embeddings", "labelled"),
    reference="Lewis & Gale, SIGIR 1994; Monarch, 2021",
    cost=_OF_KEPT,
    measure="least_confidence",
)
outliers_mean_entropy = variant(
    outliers_mean,
    "outliers_mean_entropy",
    "Outliers by mean activation rank among those of largest entropy.",
    needs=("proba", "embeddings", "labelled"),
    reference="Dagan & Engelson, ICML 1995; Monarch, 2021",
    cost=_OF_KEPT,
    measure="entropy",
)
