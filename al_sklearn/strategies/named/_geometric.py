"""Strategies on embeddings; they work without a single label."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from al_sklearn import inference
from al_sklearn._core.checks import unknown_name
from al_sklearn._core.random import (
    RandomState,
    as_generator,
    as_seed,
)
from al_sklearn._core.types import Function
from al_sklearn.rows import n_rows
from al_sklearn.strategies import measures, selectors
from al_sklearn.strategies._pairs import (
    embed_labelled,
    in_components,
    pair,
    utilities_of,
)
from al_sklearn.strategies._registry import Chosen, query_strategy
from al_sklearn.strategies.named._cross_fit import cross_fit, spread

# Balls of ProbCover need a number of clusters where no classifier says how many classes
# there are.
_N_CLUSTERS = 10


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
    metric: Literal["euclidean", "cosine", "manhattan"] = "euclidean",
    measure: str | Function | None = None,
    n_components: int | None = None,
    layer: str | None = None,
    X_labelled: Any = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates that cover the pool.

    K-center greedy on embeddings, from what is labelled.

    Parameters
    ----------
    metric : {"euclidean", "manhattan", "cosine"}
        Distance between embeddings.
    measure : str or callable, optional
        A measure of probabilities or posterior samples, by name (``"margin"``,
        ``"bald"``, …) or any function of them, that multiplies the distances; or, of a
        net, ``"input_gradient"``. What is negative counts as 0.
    n_components : int, optional
        Distances between so many principal components of the embeddings, instead of all
        that they have.
    layer : str, optional
        Layer of a net to embed by; the input of its last linear layer by default.
    X_labelled : rows, optional
        What is labelled already; ``classifier.X_training`` by default. Without any, the
        first pick is the candidate nearest the mean.

    See Also
    --------
    al_sklearn.strategies.selectors.k_center : the selector.
    """
    rng = as_generator(random_state)
    # Unweighted is not the same as weighted alike: no probabilities are asked for.
    weights = None
    if measure is not None:
        weights = utilities_of(measure, classifier, X, rng, embeds=True, layer=layer)
        weights = np.maximum(weights, 0)
    features, labelled = in_components(
        inference.embed(classifier, X, layer),
        embed_labelled(classifier, X_labelled, layer),
        n_components,
        rng,
    )
    return selectors.k_center(
        features,
        n_instances,
        labelled=labelled,
        metric=metric,
        utilities=weights,
        random_tie_break=random_tie_break,
        random_state=rng,
    )


@query_strategy(
    family="geometric",
    needs=("proba", "embeddings", "labelled"),
    reference="-",
    cost="O(n d b / n_neighbors + l C)",
)
def k_nearest(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_neighbors: int = 5,
    measure: str | Function = "margin",
    metric: Literal["euclidean", "cosine", "manhattan"] = "euclidean",
    n_components: int | None = None,
    layer: str | None = None,
    X_labelled: Any = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Nearest neighbours of the labelled rows of which the classifier is least sure.

    Parameters
    ----------
    n_neighbors : int, default=5
        How many each labelled row gives in its turn.
    measure : str or callable, default="margin"
        A measure of probabilities or posterior samples, by name or any function of
        them, that orders the labelled rows; or, of a net, ``"input_gradient"``.
    metric : {"euclidean", "manhattan", "cosine"}
        Distance between embeddings.
    n_components : int, optional
        Distances between so many principal components of the embeddings, instead of all
        that they have.
    layer : str, optional
        Layer of a net to embed by; the input of its last linear layer by default.
    X_labelled : rows, optional
        What is labelled already; ``classifier.X_training`` by default. Without any, the
        neighbours are those of the mean embedding.

    See Also
    --------
    al_sklearn.strategies.selectors.k_nearest : the selector.
    """
    rng = as_generator(random_state)
    # A wrong name is wrong without labelled rows to order, too.
    measures.get_measure(measure, of=None)
    parts = inference.labelled_parts(classifier, X_labelled)
    embeddings = inference.embed(classifier, X, layer)
    seeds = embed_labelled(classifier, X_labelled, layer)
    if seeds is None:
        # Without labels the pool's middle is the one seed; its mean in float64.
        seeds, utilities = embeddings.mean(axis=0, dtype=np.float64)[None], None
    else:
        utilities = np.concatenate(
            [utilities_of(measure, classifier, rows, rng) for rows in parts]
        )
    features, seeds = in_components(embeddings, seeds, n_components, rng)
    return selectors.k_nearest(
        features,
        n_instances,
        labelled=seeds,
        utilities=utilities,
        n_neighbors=n_neighbors,
        metric=metric,
        random_tie_break=random_tie_break,
        random_state=rng,
    )


@query_strategy(family="geometric", needs=("embeddings",), reference="-", cost="O(n d)")
def centre_of_gravity(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    metric: Literal["euclidean", "cosine", "manhattan"] = "euclidean",
    order: Literal["farthest", "nearest"] = "farthest",
    layer: str | None = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates farthest from (or nearest to) the mean embedding of the pool.

    Parameters
    ----------
    metric : {"euclidean", "manhattan", "cosine"}
        Distance between embeddings.
    order : {"farthest", "nearest"}
        Which come first; for the nearest the scores are negative distances.
    layer : str, optional
        Layer of a net to embed by; the input of its last linear layer by default.

    See Also
    --------
    al_sklearn.strategies.measures.distance_to_mean : the scores.
    """
    if order not in ("farthest", "nearest"):
        raise unknown_name("order", order, ("farthest", "nearest"))
    distances = measures.distance_to_mean(
        inference.embed(classifier, X, layer), metric=metric
    )
    scores = distances if order == "farthest" else -distances
    return selectors.top_k(
        scores,
        n_instances,
        random_tie_break=random_tie_break,
        random_state=random_state,
    )


kmeans_sampling = pair(
    "Candidate nearest the centre of each k-means cluster.",
    "There are as many clusters as candidates asked for.",
    select=selectors.kmeans_sampling,
    family="geometric",
    reference="Zhdanov, 2019, without its weights",
    cost="O(n b d) an iteration of k-means",
)
typiclust = pair(
    "Most typical candidate of each cluster, the least labelled first (TypiClust).",
    "The clusters in which least is labelled come first.",
    select=selectors.typiclust,
    options=("max_clusters",),
    family="geometric",
    reference="Hacohen, Dekel & Weinshall, ICML 2022",
    cost="O((n + l) min(l + b, 500) d) an iteration of k-means",
)


@query_strategy(
    family="geometric",
    needs=("embeddings", "labelled"),
    reference="Yehuda, Dekel, Hacohen & Weinshall, NeurIPS 2022",
    cost="O(n min(n, 50,000) d)",
)
def probcover(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    radius: float | None = None,
    purity: float = 0.95,
    n_clusters: int | None = None,
    layer: str | None = None,
    X_labelled: Any = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates whose balls of one radius cover most of the pool (ProbCover).

    Parameters
    ----------
    radius : float, optional
        Of the balls, in distance of normalised embeddings (0 to 2); by default the
        largest at which ``purity`` of the balls hold points of one k-means cluster
        alone.
    purity : float, default=0.95
        See ``radius``.
    n_clusters : int, optional
        Number of those clusters; by default as many as there are classes, or 10 without
        a classifier.
    layer : str, optional
        Layer of a net to embed by; the input of its last linear layer by default.
    X_labelled : rows, optional
        What is labelled already; ``classifier.X_training`` by default.

    See Also
    --------
    al_sklearn.strategies.selectors.probcover : the selector.
    al_sklearn.strategies.selectors.purity_radius : the radius.
    """
    if n_clusters is None:
        n_clusters = _N_CLUSTERS
        # In one cluster there are no strangers, and every ball would be pure.
        if classifier is not None:
            n_clusters = max(2, len(inference.classes_of(classifier)))
    return selectors.probcover(
        inference.embed(classifier, X, layer),
        n_instances,
        labelled=embed_labelled(classifier, X_labelled, layer),
        radius=radius,
        purity=purity,
        n_clusters=n_clusters,
        random_tie_break=random_tie_break,
        random_state=random_state,
    )


max_herding = pair(
    "Candidates that add most to the kernel coverage of the pool (MaxHerding).",
    select=selectors.max_herding,
    options=("bandwidth", "n_reference"),
    family="geometric",
    reference="Bae, Noh & Sutherland, ECCV 2024",
    cost="O(n m d log b), m = max(2,000, 4 b) reference points",
)
lcmd = pair(
    "Farthest candidate of the largest cluster (LCMD).",
    """
    The largest has the largest sum of squared distances. What is labelled are the first
    centres; without any, the first pick is the candidate nearest the mean.
    """,
    select=selectors.lcmd,
    family="geometric",
    reference="Holzmüller, Zaverkin, Kästner & Steinwart, JMLR 2023",
    cost="O(n (l + b) d)",
)


@query_strategy(
    family="geometric",
    needs=("proba", "embeddings", "labelled"),
    reference="Bae, Oliveira & Sutherland, ICLR 2025",
    cost="O(n m d log b + l^2 d), m = max(2,000, 4 b) reference points, and 3 "
    "trainings on 2/3 of what is labelled",
)
def u_herding(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    temperature: float | None = None,
    bandwidth: float | None = None,
    n_reference: int | None = None,
    n_folds: int = 3,
    layer: str | None = None,
    X_labelled: Any = None,
    y_labelled: Any = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates that best cover what the classifier is unsure of (UHerding).

    Each is the one that adds most to the coverage.

    MaxHerding in which each reference point counts by 1 - margin at a calibrated
    temperature, and the kernel is as wide as the least positive distance between
    labelled embeddings. With few labels that is a covering of the pool, with many it
    becomes uncertainty sampling.

    Parameters
    ----------
    temperature : float, optional
        Probabilities are raised to the power of one over it. By default the one that
        explains held-out labels best: clones of the classifier are trained on
        ``n_folds`` folds of what is labelled. Give a number (1 leaves the probabilities
        as they are) where training is dear.
    bandwidth : float, optional
        Width of the kernel, in distance of normalised embeddings; by default as said
        above, 1 with fewer than two labelled rows.
    n_reference : int, optional
        Coverage is averaged over a sample of so many candidates, drawn by their weight;
        by default 2,000, or four times ``n_instances`` where that is more.
    n_folds : int, default=3
        The temperature is 1 where less than two rows a fold are labelled, or the
        classifier cannot be cloned.
    layer : str, optional
        Layer of a net to embed by; the input of its last linear layer by default.
    X_labelled, y_labelled : rows, labels, optional
        What is labelled already; ``classifier.X_training`` and ``y_training`` by
        default.

    See Also
    --------
    al_sklearn.strategies.selectors.max_herding : the selector.
    al_sklearn.strategies.measures.calibrated_temperature : the temperature.
    al_sklearn.strategies.measures.least_distance : the bandwidth.
    """
    rng = as_generator(random_state)
    rows, labels = inference.labelled_data(classifier, X_labelled, y_labelled)
    embedded = embed_labelled(classifier, X_labelled, layer)
    proba = inference.predict_proba(classifier, X)
    if temperature is None:
        temperature = _held_out_temperature(
            classifier, rows, labels, n_folds, as_seed(rng)
        )
    # One label has no distance to another: the width of MaxHerding then.
    if bandwidth is None:
        bandwidth = 1.0 if embedded is None else measures.least_distance(embedded)
    # Rounding may leave a margin below 0, which is no weight.
    unsure = measures.margin(measures.at_temperature(proba, temperature))
    return selectors.max_herding(
        inference.embed(classifier, X, layer),
        n_instances,
        labelled=embedded,
        utilities=np.maximum(unsure, 0),
        bandwidth=bandwidth,
        n_reference=n_reference,
        random_tie_break=random_tie_break,
        random_state=rng,
    )


def _held_out_temperature(
    classifier: Any, rows: Any, labels: Any, n_folds: int, seed: int
) -> float:
    """Temperature that best explains each labelled row by a clone without it.

    The clone was trained without that row.
    """
    estimator = inference.unwrap(classifier)
    # Fewer than two rows a fold say nothing of a temperature.
    if rows is None or labels is None or n_rows(rows) < 2 * n_folds:
        return 1.0
    # What cannot be cloned cannot be trained on folds.
    if not (hasattr(estimator, "get_params") and hasattr(estimator, "fit")):
        return 1.0
    y = np.asarray(labels)
    positions = np.unique(y, return_inverse=True)[1]
    # Of one class every temperature explains all.
    if positions.max() == 0:
        return 1.0
    order = np.random.default_rng(seed).random(len(y)).argsort(kind="stable")
    known = np.zeros(len(y), dtype=bool)
    parts = []
    part_of = spread(positions, order, n_folds)
    validation = inference.validation_data(classifier)
    clones = cross_fit(estimator, rows, y, part_of, seed, validation)
    for held_out, member, proba in clones:
        known[held_out] = True
        parts.append((held_out, inference.columns_of(member, proba.shape[1]), proba))
    # A clone may know classes that are not among the labels, where it was told all that
    # there are.
    # Columns are joined by class: clones of different folds may have seen others.
    classes = np.unique(np.concatenate([y, *(seen for _, seen, _ in parts)]))
    joined = np.zeros((len(y), len(classes)))
    for held_out, seen, proba in parts:
        joined[np.ix_(held_out, np.searchsorted(classes, seen))] = proba
    return measures.calibrated_temperature(
        # -1 leaves out rows whose fold had no clone.
        joined,
        np.where(known, np.searchsorted(classes, y), -1),
    )
