"""Helpers, under modAL's names."""

from al_sklearn.modal.utils.combination import (
    make_linear_combination,
    make_product,
    make_query_strategy,
)
from al_sklearn.modal.utils.data import data_vstack
from al_sklearn.modal.utils.selection import multi_argmax, weighted_random
from al_sklearn.modal.utils.validation import check_class_labels, check_class_proba

__all__ = [
    "check_class_labels",
    "check_class_proba",
    "data_vstack",
    "make_linear_combination",
    "make_product",
    "make_query_strategy",
    "multi_argmax",
    "weighted_random",
]
