"""Strategies that join uncertainty and diversity in one selection."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from scipy.special import softmax

from al_sklearn import inference
from al_sklearn._core.random import RandomState, as_generator
from al_sklearn._core.types import Function
from al_sklearn.rows import n_rows
from al_sklearn.strategies import measures, selectors
from al_sklearn.strategies._pairs import pair, utilities_of
from al_sklearn.strategies._registry import Chosen, query_strategy

# How far the softmax of the last linear layer may be from the probabilities: reduced
# precision, no other model.
_SAME_PROBA = 0.05


badge = pair(
    "Candidates with large and different gradients of the last layer.",
    """
    K-means++ on gradient embeddings.

    The first is the largest gradient, the others are drawn in proportion to the squared
    distance to those chosen, so that ``random_tie_break`` has nothing to break.
    """,
    name="badge",
    select=selectors.gradient_kmeans_plusplus,
    family="hybrid",
    reference="Ash et al., ICLR 2020",
    cost="O(n (C + d) b) at most; lazily far less",
)
bait = pair(
    "Candidates that leave least of the pool's Fisher information unexplained.",
    "BAIT, forward and backward greedy.",
    name="bait",
    select=selectors.fisher_trace,
    options=("likelihood", "regularization", "oversample", "scaling"),
    family="hybrid",
    reference="Ash et al., NeurIPS 2021; Huseljic et al., ECML PKDD 2024",
    cost="O((n + l) d² + n d b); categorical O((n + l) d² C² + n b (d C² + C³))",
)
clue = pair(
    "Candidates nearest the centres of k-means weighted by entropy: CLUE.",
    name="clue",
    measure=measures.entropy,
    select=selectors.weighted_kmeans,
    family="hybrid",
    reference="Prabhu et al., ICCV 2021",
    cost="O(n d b) an iteration",
)
# All of it is of probabilities: no embedding is asked for.
falcun = pair(
    "Uncertain candidates drawn at random, away from those drawn: FALCUN.",
    "The distance to what is drawn already is one of probabilities.",
    select=selectors.falcun,
    options=("gamma", "combine"),
    family="hybrid",
    reference="Gilhuber et al., ECML PKDD 2024",
    cost="O(n C b); combine='distance' lazily less",
)
ranked_batch = pair(
    "Candidates far from the labelled at first, and uncertain ones later.",
    "They are far from what is labelled and chosen while little is labelled.",
    name="ranked_batch",
    measure=measures.least_confidence,
    select=selectors.ranked_batch,
    options=("metric",),
    family="hybrid",
    reference="Cardoso et al., Information Sciences 2017",
    cost="O(n (l + b) d) at most; lazily O(n l d)",
)
# Clusters that were made once may be handed over: the pool's do not change.
cluster_margin = pair(
    "Candidates of small margin from as many clusters as possible.",
    "The clusters are by average linkage, and the smallest come first.",
    measure=measures.margin,
    select=selectors.cluster_margin,
    name="cluster_margin",
    options=("clusters", "n_clusters", "factor", "max_points"),
    family="hybrid",
    reference="Citovsky et al., NeurIPS 2021",
    cost="O(n C + m² d), m = min(n, max_points)",
)


@query_strategy(
    family="hybrid",
    needs=("proba", "embeddings", "feature_dropout"),
    reference="Gupte et al., TMLR 2024",
    cost="O(T n d C + m d b)",
)
def drop_query(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int = 3,
    p: float = 0.75,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates that change class without some features, and k-means among them.

    They are those of which most passes with dropped features change the prediction; any
    pass is enough where fewer than 25 a pick do. Their features are brought to length 1
    before they are clustered.

    Where there are fewer of them than are asked for, the smallest margins of the others
    follow. The scores are the share of passes that disagree, plus so little of 1 -
    margin that it only breaks ties.

    Parameters
    ----------
    n_samples : int, default=3
        Passes with dropout on the embedding.
    p : float, default=0.75
        Share of the features that is dropped.

    See Also
    --------
    al_sklearn.strategies.measures.disagreement : the scores.
    al_sklearn.strategies.measures.disagreeing : who is a candidate.
    al_sklearn.strategies.selectors.candidates_kmeans : the selector.
    """
    rng = as_generator(random_state)
    proba, embeddings = inference.proba_and_embed(classifier, X)
    samples = inference.feature_dropout(classifier, X, n_samples, p, rng)
    share = measures.disagreement(samples, proba)
    # Shares differ by 1 / n_samples or not at all: a quarter of that only breaks ties.
    scores = share + measures.margin(proba) / (4 * n_samples)
    return selectors.candidates_kmeans(
        embeddings,
        measures.disagreeing(share, n_instances, n_samples=n_samples),
        scores,
        n_instances,
        normalize=True,
        random_tie_break=random_tie_break,
        random_state=rng,
    )


@query_strategy(
    family="hybrid",
    needs=("proba", "embeddings", "labelled", "last_layer"),
    reference="Parvaneh et al., CVPR 2022",
    cost="O(n d C + m d b)",
)
def alfa_mix(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    alpha_cap: float | None = None,
    X_labelled: Any = None,
    y_labelled: Any = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates whose prediction a little mixing flips, and k-means among them.

    What is mixed in is a little of a class's mean features; of the mean of all where a
    class of the model has no label yet. How little shrinks with the number of features:
    a bound of the same size on each of d features is √d times that on their norm.

    Where there are too few of them, those follow that flip at the least mixing. The
    scores are the mixing at which the prediction flips, negative; minus infinity where
    it never does.

    Parameters
    ----------
    alpha_cap : float, optional
        Bound on the norm of the mixing; by default the least of 0.2/√d, 0.4/√d … 1/√d
        that gives more candidates than are asked for, or the last of them.
    X_labelled, y_labelled : rows and labels, optional
        Whose means are mixed in; ``classifier.X_training`` and ``y_training`` by
        default.

    See Also
    --------
    al_sklearn.strategies.measures.flip_distance : the scores, positive.
    al_sklearn.strategies.measures.flipped : who is a candidate.
    al_sklearn.strategies.selectors.candidates_kmeans : the selector.
    """
    rows, labels = inference.labelled_data(classifier, X_labelled, y_labelled)
    if rows is None or n_rows(rows) == 0 or labels is None:
        raise ValueError(
            "alfa_mix mixes in labelled features: it needs a learner that was taught, "
            "or X_labelled= and y_labelled=."
        )
    weights, bias = inference.last_layer(classifier, X)
    proba, embeddings = inference.proba_and_embed(classifier, X)
    # With more than softmax behind it, what flips a logit need not flip a prediction.
    if not _is_last_layer(proba, embeddings, weights, bias):
        reason = "its probabilities are not the softmax of its last linear layer."
        raise inference.adapter_of(classifier).cannot("last_layer", reason)
    known = inference.embed(classifier, rows)
    anchors = measures.class_means(known, np.asarray(labels))
    if len(anchors) < len(weights):
        everything = measures.class_means(known, np.zeros(len(known)))
        anchors = np.concatenate([anchors, everything])
    distances = measures.flip_distance(embeddings, weights, bias, anchors)
    return selectors.candidates_kmeans(
        embeddings,
        measures.flipped(
            distances, n_instances, alpha_cap, n_features=embeddings.shape[1]
        ),
        -distances,
        n_instances,
        normalize=True,
        random_tie_break=random_tie_break,
        random_state=random_state,
    )


def _is_last_layer(proba: Any, embeddings: Any, weights: Any, bias: Any) -> bool:
    """Whether the probabilities are the softmax of a linear layer."""
    if weights.shape != (proba.shape[1], embeddings.shape[1]):
        return False
    # A net that is no softmax shows it in any few rows.
    some = slice(0, 256)
    logits = np.asarray(embeddings[some], dtype=np.float64) @ weights.T + bias
    difference = softmax(logits, axis=1) - proba[some]
    return bool(np.abs(difference).max() < _SAME_PROBA)


@query_strategy(
    family="hybrid",
    needs=("proba", "embeddings"),
    reference="Settles & Craven, EMNLP 2008",
    cost="O(n d); euclidean O(n² d)",
)
def density_weighted(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    measure: str | Function = "entropy",
    beta: float = 1.0,
    metric: Literal["cosine", "dot", "euclidean"] = "cosine",
    n_reference: int | None = None,
    layer: str | None = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Uncertain candidates in dense parts of the pool.

    Uncertainty times mean similarity.

    Parameters
    ----------
    measure : str or callable, default="entropy"
        A measure of probabilities or posterior samples, by name or any function of
        them.
    beta : float, default=1
        Power of the mean similarity.
    metric : {"cosine", "dot", "euclidean"}
        Similarity; the last is 1 / (1 + distance).
    n_reference : int, optional
        For ``"euclidean"``: points of the pool to compare with, instead of all.
    layer : str, optional
        Layer of a net to embed by; the input of its last linear layer by default.

    See Also
    --------
    al_sklearn.strategies.measures.information_density : the mean similarity.
    """
    rng = as_generator(random_state)
    utilities = utilities_of(measure, classifier, X, rng, embeds=True, layer=layer)
    # A net gave these with the probabilities, in one pass.
    density = measures.information_density(
        inference.embed(classifier, X, layer),
        metric=metric,
        n_reference=n_reference,
        random_state=rng,
    )
    scores = measures.density_weighted(utilities, density, beta=beta)
    return selectors.top_k(
        scores, n_instances, random_tie_break=random_tie_break, random_state=rng
    )
