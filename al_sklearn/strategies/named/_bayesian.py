"""Strategies on posterior samples.

MC dropout, deep ensembles, committees and forests alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from al_sklearn import inference
from al_sklearn._core.random import RandomState, as_generator, as_seed
from al_sklearn.exceptions import ParameterError
from al_sklearn.rows import n_rows
from al_sklearn.strategies import measures, selectors
from al_sklearn.strategies._pairs import pair
from al_sklearn.strategies._registry import Chosen, query_strategy
from al_sklearn.strategies.selectors import top_k

# On one pass of samples each; what differs is the measure alone.
max_entropy = pair(
    "Candidates with the largest entropy of the mean prediction (DBAL).",
    measure=measures.max_entropy,
    family="bayesian",
    reference="Gal, Islam & Ghahramani, ICML 2017",
    cost="O(T n C)",
    aliases=("dbal",),
)
bald = pair(
    "Candidates on which the posterior samples disagree most.",
    "Mutual information of label and parameters.",
    measure=measures.bald,
    family="bayesian",
    reference="Houlsby et al., 2011; Gal, Islam & Ghahramani, ICML 2017",
    cost="O(T n C)",
)
mean_std = pair(
    "Candidates whose probabilities vary most over the posterior samples.",
    measure=measures.mean_std,
    family="bayesian",
    reference="Kampffmeyer, Salberg & Jenssen, CVPRW 2016",
    cost="O(T n C)",
)

# Said of both: why the contract's default is another one here.
_OF_VOTES = """
    Scores are whole votes, so that many are equal: ties are broken at random, which
    keeps the batch from following the order of the pool, class by class in a folder of
    class folders, and lets a member that cannot decide vote at random.
    ``random_tie_break=False`` breaks them by position.
    """

variation_ratio = pair(
    "Candidates on which the fewest members vote for the winner: query by committee.",
    _OF_VOTES,
    measure=measures.variation_ratio,
    random_tie_break=True,
    family="bayesian",
    reference="Freeman, 1965; Gal, Islam & Ghahramani, ICML 2017",
    cost="O(T n C)",
)
vote_entropy = pair(
    "Candidates with the largest entropy of the members' votes.",
    _OF_VOTES,
    measure=measures.vote_entropy,
    random_tie_break=True,
    family="bayesian",
    reference="Engelson & Dagan, ACL 1996",
    cost="O(T n C)",
)
consensus_entropy = pair(
    "Candidates with the largest entropy of the members' mean prediction.",
    measure=measures.consensus_entropy,
    family="bayesian",
    reference="Settles, 2009",
    cost="O(T n C)",
)
kl_disagreement = pair(
    "Candidates on which members are furthest from their mean.",
    "The distance is the Kullback-Leibler divergence.",
    measure=measures.kl_disagreement,
    family="bayesian",
    reference="McCallum & Nigam, ICML 1998",
    cost="O(T n C)",
)
power_bald = pair(
    "Candidates drawn in proportion to a power of BALD.",
    """
    A diverse batch at the price of the top of BALD.

    ``stochastic`` does the same with any measure.
    """,
    # The measure's own name is taken by its top.
    name="power_bald",
    measure=measures.bald,
    select=selectors.stochastic_top_k,
    options=("beta",),
    family="bayesian",
    reference="Kirsch et al., TMLR 2023",
    cost="O(T n C)",
)
# The samples themselves go to the selector: no utility of one candidate says what a
# batch tells together.
batch_bald = pair(
    "Candidates whose labels together say most about the parameters.",
    """
    A batch can say no more than tells the posterior samples apart: for batches of more
    than about ten, ask for a hundred samples.
    """,
    select=selectors.batch_bald,
    options=("n_configurations",),
    family="bayesian",
    reference="Kirsch, van Amersfoort & Gal, NeurIPS 2019",
    cost="O(b n C T M) at most for M configurations; lazily far less",
)


@query_strategy(
    family="bayesian",
    needs=("samples",),
    reference="Bickford Smith et al., AISTATS 2023",
    cost="O(n m C² T) for m targets",
)
def epig(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int | None = None,
    X_target: Any = None,
    n_targets: int = 100,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates whose label is expected to say most about the labels of other inputs.

    Parameters
    ----------
    n_samples : int, optional
        Posterior samples; 20 dropout masks, or all members of an ensemble, by default.
    X_target : rows, optional
        The inputs that predictions are wanted for; by default ``n_targets`` of the
        candidates, drawn at random.
    n_targets : int, default=100
        How many of the candidates serve as targets, all of them where there are fewer.

    See Also
    --------
    al_sklearn.strategies.measures.epig : the scores.
    """
    if n_targets < 1:
        raise ParameterError(
            f"n_targets must be at least 1, got {n_targets}.", "n_targets"
        )
    rng = as_generator(random_state)
    # The same seed: candidates and targets must be seen by the same posterior samples.
    seed = as_seed(rng)
    samples = inference.sample_proba(classifier, X, n_samples, seed)
    if X_target is None:
        n = n_rows(X)
        # They are among the candidates: their samples are there already.
        drawn = rng.choice(n, min(n_targets, n), replace=False)
        targets = samples[:, np.sort(drawn)]
    else:
        targets = inference.sample_proba(classifier, X_target, n_samples, seed)
    utilities = measures.epig(samples, targets)
    return top_k(
        utilities, n_instances, random_tie_break=random_tie_break, random_state=rng
    )
