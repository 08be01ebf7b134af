"""Query strategies: measures, selectors, and the named strategies made of them.

A strategy is a function ``(classifier, X, n_instances) -> (indices, scores)``. ``functools.partial`` configures one,
:func:`mix` and :func:`two_stage` compose them, :func:`catalogue` lists them, and
:func:`al_sklearn.strategies.checks.check_query_strategy` tests anybody's.
"""

from al_sklearn.strategies import measures, selectors
from al_sklearn.strategies._adaptive import auto, oracle_batch, refine, typicality_then_margin
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
from al_sklearn.strategies._clusters import cluster, cluster_outlier_combined, outlier
from al_sklearn.strategies._compose import Mix, TwoStage, Weighted, mix, two_stage, weighted
from al_sklearn.strategies._geometric import (
    centre_of_gravity,
    coreset,
    k_nearest,
    kmeans_sampling,
    lcmd,
    max_herding,
    probcover,
    typiclust,
    u_herding,
)
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
from al_sklearn.strategies._learned_dal import dal
from al_sklearn.strategies._learned_errors import active_transfer_learning
from al_sklearn.strategies._learned_gcn import core_gcn
from al_sklearn.strategies._learned_loss import learning_loss
from al_sklearn.strategies._learned_vaal import vaal, vaal_distance
from al_sklearn.strategies._near_duplicates import near_duplicates, perceptual_hash
from al_sklearn.strategies._outliers import (
    outliers_max,
    outliers_mean,
    outliers_mean_entropy,
    outliers_mean_least_confidence,
)
from al_sklearn.strategies._registry import (
    Strategy,
    StrategyInfo,
    catalogue,
    follows_contract,
    get_strategy,
    query_strategy,
    strategy_name,
    takes_random_state,
)
from al_sklearn.strategies._stochastic import Stochastic, stochastic
from al_sklearn.strategies._subsample import Subsample, subsample
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
from al_sklearn.strategies._without_near_duplicates import WithoutNearDuplicates, without_near_duplicates

__all__ = [
    "Mix",
    "Stochastic",
    "Strategy",
    "StrategyInfo",
    "Subsample",
    "TwoStage",
    "Weighted",
    "WithoutNearDuplicates",
    "active_transfer_learning",
    "alfa_mix",
    "auto",
    "badge",
    "bait",
    "bald",
    "batch_bald",
    "bucketed_margin",
    "catalogue",
    "centre_of_gravity",
    "clue",
    "cluster",
    "cluster_margin",
    "cluster_outlier_combined",
    "consensus_entropy",
    "core_gcn",
    "coreset",
    "dal",
    "density_weighted",
    "drop_query",
    "entropy",
    "entropy_mc",
    "epig",
    "falcun",
    "follows_contract",
    "get_strategy",
    "input_gradient",
    "k_nearest",
    "kl_disagreement",
    "kmeans_sampling",
    "lcmd",
    "learning_loss",
    "least_confidence",
    "least_confidence_mc",
    "margin",
    "margin_mc",
    "max_entropy",
    "max_herding",
    "max_true_loss",
    "mean_std",
    "measures",
    "mix",
    "near_duplicates",
    "oracle_batch",
    "outlier",
    "outliers_max",
    "outliers_mean",
    "outliers_mean_entropy",
    "outliers_mean_least_confidence",
    "perceptual_hash",
    "power_bald",
    "probcover",
    "query_strategy",
    "random_sampling",
    "ranked_batch",
    "ratio",
    "ratio_mc",
    "refine",
    "selectors",
    "stochastic",
    "strategy_name",
    "subsample",
    "takes_random_state",
    "two_stage",
    "typicality_then_margin",
    "typiclust",
    "u_herding",
    "uncertainty_bins",
    "uncertainty_mix",
    "vaal",
    "vaal_distance",
    "variation_ratio",
    "vote_entropy",
    "weighted",
    "without_near_duplicates",
]
