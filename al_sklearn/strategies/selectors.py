"""Selectors: from utilities, features or gradient factors (plain arrays) to a batch.

Each returns positions and scores, most useful (or first chosen) first, and needs no classifier.
"""

from al_sklearn.strategies._k_center import k_center
from al_sklearn.strategies._kmeans_plusplus import gradient_kmeans_plusplus, kmeans_plusplus
from al_sklearn.strategies._top_k import top_k

__all__ = ["gradient_kmeans_plusplus", "k_center", "kmeans_plusplus", "top_k"]
