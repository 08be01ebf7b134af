"""Outliers and clusters of embeddings by density, and balanced batches.

Such batches take the same from every cluster, and of the noise its share at most.
"""

from __future__ import annotations

from typing import Any

from al_sklearn import inference
from al_sklearn._core.random import RandomState
from al_sklearn.strategies import measures, selectors
from al_sklearn.strategies._pairs import pair
from al_sklearn.strategies._registry import Chosen, query_strategy, variant

# Called after what it finds; the measure after how.
outlier = pair(
    "Candidates that lie outside all clusters of embeddings.",
    "The largest GLOSH scores of HDBSCAN.",
    name="outlier",
    measure=measures.glosh,
    options=("min_cluster_size", "min_samples"),
    family="outlier",
    reference="Campello, Moulavi, Zimek & Sander, TKDD 2015 (GLOSH)",
    cost="O(n log n) for few features, else O(n²)",
    aliases=("mb_outliers_glosh",),
)


@query_strategy(
    family="outlier",
    needs=("embeddings",),
    reference="McInnes, Healy & Astels, JOSS 2017 (HDBSCAN)",
    cost="O(n log n) for few features, else O(n²)",
)
def cluster(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    min_cluster_size: int = 50,
    min_samples: int | None = None,
    outlier_share: float = 0.0,
    layer: str | None = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """As many random candidates from every cluster of embeddings.

    Of what is in no cluster, HDBSCAN's noise, its share of the pool at most is drawn.

    ``random_tie_break`` has nothing to break.

    Parameters
    ----------
    min_cluster_size : int, default=50
        Fewest members of a cluster; halved while none appears, until 2.
    min_samples : int, optional
        Neighbours that the density is estimated from; ``min_cluster_size`` by default.
    outlier_share : float, default=0.0
        Share of each quota that comes from the tenth of the cluster with the largest
        GLOSH scores.
    layer : str, optional
        Layer of a net to embed by; the input of its last linear layer by default.

    See Also
    --------
    al_sklearn.strategies.selectors.cluster_quotas : the selector.
    """
    labels, scores = selectors.density_clusters(
        inference.embed(classifier, X, layer), min_cluster_size, min_samples=min_samples
    )
    return selectors.cluster_quotas(
        labels,
        n_instances,
        # Without a share of them the scores stay out: all members draw alike.
        outlier_scores=scores if outlier_share else None,
        outlier_share=outlier_share,
        random_state=random_state,
    )


# The share of outliers that the name has always stood for.
cluster_outlier_combined = variant(
    cluster,
    "cluster_outlier_combined",
    "The same number from every cluster, some of it among the cluster's outliers.",
    reference="McInnes, Healy & Astels, JOSS 2017; Campello et al., TKDD 2015",
    aliases=("mb_clustering",),
    outlier_share=0.2,
)
