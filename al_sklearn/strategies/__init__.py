"""Query strategies: measures, selectors, and the named strategies made of them.

A strategy is a function ``(classifier, X, n_instances) -> (indices, scores)``. ``functools.partial`` configures one,
:func:`mix` and :func:`two_stage` compose them, :func:`catalogue` lists them, and
:func:`al_sklearn.strategies.checks.check_query_strategy` tests anybody's.
"""

from al_sklearn.strategies import measures, selectors
from al_sklearn.strategies._bayesian import (
    bald,
    batch_bald,
    consensus_entropy,
    epig,
    kl_disagreement,
    max_entropy,
    mean_std,
    power_bald,
    variation_ratio,
    vote_entropy,
)
from al_sklearn.strategies._compose import Mix, TwoStage, Weighted, mix, two_stage, weighted
from al_sklearn.strategies._geometric import coreset
from al_sklearn.strategies._hybrid import (
    alfa_mix,
    badge,
    bait,
    clue,
    cluster_margin,
    density_weighted,
    drop_query,
    falcun,
    ranked_batch,
)
from al_sklearn.strategies._input_gradient import input_gradient
from al_sklearn.strategies._registry import (
    Strategy,
    StrategyInfo,
    catalogue,
    follows_contract,
    get_strategy,
    query_strategy,
    strategy_name,
)
from al_sklearn.strategies._stochastic import Stochastic, stochastic
from al_sklearn.strategies._uncertainty import (
    bucketed_margin,
    entropy,
    entropy_mc,
    least_confidence,
    least_confidence_mc,
    margin,
    margin_mc,
    max_true_loss,
    random_sampling,
    ratio,
    ratio_mc,
    uncertainty_bins,
    uncertainty_mix,
)

__all__ = [
    "Mix",
    "Stochastic",
    "Strategy",
    "StrategyInfo",
    "TwoStage",
    "Weighted",
    "alfa_mix",
    "badge",
    "bait",
    "bald",
    "batch_bald",
    "bucketed_margin",
    "catalogue",
    "clue",
    "cluster_margin",
    "consensus_entropy",
    "coreset",
    "density_weighted",
    "drop_query",
    "entropy",
    "entropy_mc",
    "epig",
    "falcun",
    "follows_contract",
    "get_strategy",
    "input_gradient",
    "kl_disagreement",
    "least_confidence",
    "least_confidence_mc",
    "margin",
    "margin_mc",
    "max_entropy",
    "max_true_loss",
    "mean_std",
    "measures",
    "mix",
    "power_bald",
    "query_strategy",
    "random_sampling",
    "ranked_batch",
    "ratio",
    "ratio_mc",
    "selectors",
    "stochastic",
    "strategy_name",
    "two_stage",
    "uncertainty_bins",
    "uncertainty_mix",
    "variation_ratio",
    "vote_entropy",
    "weighted",
]
