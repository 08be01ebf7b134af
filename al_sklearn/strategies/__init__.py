"""Query strategies: measures, selectors, and the named strategies made of them.

A strategy is a function ``(classifier, X, n_instances) -> (indices, scores)``. ``functools.partial`` configures one,
:func:`mix` and :func:`two_stage` compose them, :func:`catalogue` lists them, and
:func:`al_sklearn.strategies.checks.check_query_strategy` tests anybody's.
"""

from al_sklearn.strategies import measures, selectors
from al_sklearn.strategies._bayesian import bald, max_entropy
from al_sklearn.strategies._compose import Mix, TwoStage, mix, two_stage
from al_sklearn.strategies._geometric import coreset
from al_sklearn.strategies._hybrid import badge
from al_sklearn.strategies._registry import (
    Strategy,
    StrategyInfo,
    catalogue,
    follows_contract,
    get_strategy,
    query_strategy,
    strategy_name,
)
from al_sklearn.strategies._uncertainty import (
    entropy,
    entropy_mc,
    least_confidence,
    least_confidence_mc,
    margin,
    margin_mc,
    random_sampling,
    ratio,
    ratio_mc,
)

__all__ = [
    "Mix",
    "Strategy",
    "StrategyInfo",
    "TwoStage",
    "badge",
    "bald",
    "catalogue",
    "coreset",
    "entropy",
    "entropy_mc",
    "follows_contract",
    "get_strategy",
    "least_confidence",
    "least_confidence_mc",
    "margin",
    "margin_mc",
    "max_entropy",
    "measures",
    "mix",
    "query_strategy",
    "random_sampling",
    "ratio",
    "ratio_mc",
    "selectors",
    "strategy_name",
    "two_stage",
]
