"""Selectors: from utilities, features or gradient factors (plain arrays) to a batch.

Each returns positions and scores, most useful (or first chosen) first, and needs no
classifier.
"""

from al_sklearn.strategies._engine.density_clusters import density_clusters
from al_sklearn.strategies._engine.top_k import top_k
from al_sklearn.strategies.selectors._bait import fisher_trace
from al_sklearn.strategies.selectors._batch_bald import batch_bald
from al_sklearn.strategies.selectors._buckets import binned, both_ends, bucketed
from al_sklearn.strategies.selectors._candidates import candidates_kmeans
from al_sklearn.strategies.selectors._clue import weighted_kmeans
from al_sklearn.strategies.selectors._cluster_margin import (
    average_linkage,
    cluster_margin,
    cluster_round_robin,
)
from al_sklearn.strategies.selectors._clusters import cluster_quotas
from al_sklearn.strategies.selectors._falcun import falcun
from al_sklearn.strategies.selectors._herding import max_herding
from al_sklearn.strategies.selectors._k_center import k_center
from al_sklearn.strategies.selectors._kmeans import kmeans_sampling
from al_sklearn.strategies.selectors._kmeans_plusplus import (
    gradient_kmeans_plusplus,
    kmeans_plusplus,
)
from al_sklearn.strategies.selectors._lcmd import lcmd
from al_sklearn.strategies.selectors._near_duplicates import (
    near_duplicates,
    perceptual_hash,
)
from al_sklearn.strategies.selectors._nearest import k_nearest
from al_sklearn.strategies.selectors._probcover import probcover, purity_radius
from al_sklearn.strategies.selectors._ranked_batch import ranked_batch
from al_sklearn.strategies.selectors._stochastic import stochastic_top_k
from al_sklearn.strategies.selectors._typiclust import typiclust

__all__ = [
    "average_linkage",
    "batch_bald",
    "binned",
    "both_ends",
    "bucketed",
    "candidates_kmeans",
    "cluster_margin",
    "cluster_quotas",
    "cluster_round_robin",
    "density_clusters",
    "falcun",
    "fisher_trace",
    "gradient_kmeans_plusplus",
    "k_center",
    "k_nearest",
    "kmeans_plusplus",
    "kmeans_sampling",
    "lcmd",
    "max_herding",
    "near_duplicates",
    "perceptual_hash",
    "probcover",
    "purity_radius",
    "ranked_batch",
    "stochastic_top_k",
    "top_k",
    "typiclust",
    "weighted_kmeans",
]
