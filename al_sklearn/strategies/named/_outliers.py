"""Model-based outliers, which activate the network less than labelled data.

The method is that of Monarch (2021).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from al_sklearn import inference
from al_sklearn._core.random import RandomState, as_generator
from al_sklearn.rows import n_rows, view_rows
from al_sklearn.strategies import measures
from al_sklearn.strategies._engine.top_k import top_k
from al_sklearn.strategies._registry import Chosen, query_strategy
from al_sklearn.strategies.measures import _activation_ranks as ranks

Layers = str | Sequence[str] | None


def _outliers(
    measure: Callable[[Any, Any], Any],
    classifier: Any,
    X: Any,
    n_instances: int,
    layers: Layers,
    X_labelled: Any,
    random_tie_break: bool,
    rng: np.random.Generator,
) -> Chosen:
    """Top of ``measure`` of the activations of X against those of the labelled rows."""
    labelled, _ = inference.labelled_data(classifier, X_labelled)
    if labelled is None or n_rows(labelled) == 0:
        raise ValueError(
            "Activations are ranked against those of labelled rows, and there are "
            "none: pass X_labelled=, or a learner "
            "that was taught some."
        )
    names: Sequence[str | None] = (
        (layers,) if layers is None or isinstance(layers, str) else list(layers)
    )
    if not names:
        raise ValueError("layers must name at least one layer.")
    activations = [inference.embed(classifier, X, name) for name in names]
    reference = [inference.embed(classifier, labelled, name) for name in names]
    utilities = measure(activations, reference)
    return top_k(
        utilities, n_instances, random_tie_break=random_tie_break, random_state=rng
    )


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
    layers: Layers = None,
    X_labelled: Any = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates whose activations rank lowest among those of the labelled data.

    The ranks are averaged over the neurons.

    Parameters
    ----------
    layers : str or list of str, optional
        Layers of a net whose neurons are ranked; the input of its last linear layer by
        default.
    X_labelled : rows, optional
        What they are ranked against, labelled or validation rows;
        ``classifier.X_training`` by default.

    See Also
    --------
    al_sklearn.strategies.measures.outliers_mean : the scores.
    """
    rng = as_generator(random_state)
    return _outliers(
        ranks.outliers_mean,
        classifier,
        X,
        n_instances,
        layers,
        X_labelled,
        random_tie_break,
        rng,
    )


@query_strategy(
    family="outlier",
    needs=("embeddings", "labelled"),
    reference="Monarch, Human-in-the-Loop Machine Learning, 2021",
    cost="O((n + l) d log l)",
)
def outliers_max(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    layers: Layers = None,
    X_labelled: Any = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates whose most active neuron ranks lowest among the labelled.

    The rank is among the neuron's activations by the labelled data.

    Parameters
    ----------
    layers : str or list of str, optional
        Layers of a net whose neurons are ranked; the input of its last linear layer by
        default.
    X_labelled : rows, optional
        What they are ranked against, labelled or validation rows;
        ``classifier.X_training`` by default.

    See Also
    --------
    al_sklearn.strategies.measures.outliers_max : the scores.
    """
    rng = as_generator(random_state)
    return _outliers(
        ranks.outliers_max,
        classifier,
        X,
        n_instances,
        layers,
        X_labelled,
        random_tie_break,
        rng,
    )


def _outliers_among(
    uncertainty: Callable[[Any], Any],
    classifier: Any,
    X: Any,
    n_instances: int,
    factor: float,
    layers: Layers,
    X_labelled: Any,
    random_tie_break: bool,
    random_state: RandomState,
) -> Chosen:
    """Outliers by mean rank among the most uncertain; positions are those of X."""
    if not factor >= 1 or not np.isfinite(factor):
        raise ValueError(f"factor must be a number of at least 1, got {factor!r}.")
    rng = as_generator(random_state)
    utilities = uncertainty(inference.predict_proba(classifier, X))
    n_kept = min(int(np.ceil(factor * n_instances)), len(utilities))
    kept, _ = top_k(
        utilities, n_kept, random_tie_break=random_tie_break, random_state=rng
    )
    chosen, scores = _outliers(
        ranks.outliers_mean,
        classifier,
        view_rows(X, kept),
        n_instances,
        layers,
        X_labelled,
        random_tie_break,
        rng,
    )
    return kept[chosen], scores


@query_strategy(
    family="outlier",
    needs=("proba", "embeddings", "labelled"),
    reference="Lewis & Gale, SIGIR 1994; Monarch, 2021",
    cost="O(n C + (f b + l) d log l) and the embeddings of f b",
)
def outliers_mean_least_confidence(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    factor: float = 4,
    layers: Layers = None,
    X_labelled: Any = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Outliers by mean activation rank among the least confident.

    Parameters
    ----------
    factor : float, default=4
        How many candidates are kept for each instance asked for, at least 1.
    layers : str or list of str, optional
        Layers of a net whose neurons are ranked; the input of its last linear layer by
        default.
    X_labelled : rows, optional
        What they are ranked against, labelled or validation rows;
        ``classifier.X_training`` by default.

    See Also
    --------
    al_sklearn.strategies.measures.outliers_mean : the scores.
    """
    return _outliers_among(
        measures.least_confidence,
        classifier,
        X,
        n_instances,
        factor,
        layers,
        X_labelled,
        random_tie_break,
        random_state,
    )


@query_strategy(
    family="outlier",
    needs=("proba", "embeddings", "labelled"),
    reference="Dagan & Engelson, ICML 1995; Monarch, 2021",
    cost="O(n C + (f b + l) d log l) and the embeddings of f b",
)
def outliers_mean_entropy(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    factor: float = 4,
    layers: Layers = None,
    X_labelled: Any = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Outliers by mean activation rank among those of largest entropy.

    Parameters
    ----------
    factor : float, default=4
        How many candidates are kept for each instance asked for, at least 1.
    layers : str or list of str, optional
        Layers of a net whose neurons are ranked; the input of its last linear layer by
        default.
    X_labelled : rows, optional
        What they are ranked against, labelled or validation rows;
        ``classifier.X_training`` by default.

    See Also
    --------
    al_sklearn.strategies.measures.outliers_mean : the scores.
    """
    return _outliers_among(
        measures.entropy,
        classifier,
        X,
        n_instances,
        factor,
        layers,
        X_labelled,
        random_tie_break,
        random_state,
    )
