"""Utility measures combined: modAL's own, which work as they are.

A query strategy that ``make_query_strategy`` makes takes no ``n_instances``: bind it in
the selector.
"""

from modAL.utils.combination import (
    make_linear_combination,
    make_product,
    make_query_strategy,
)

__all__ = ["make_linear_combination", "make_product", "make_query_strategy"]
