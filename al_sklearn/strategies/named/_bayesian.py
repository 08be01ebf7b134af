"""Strategies on posterior samples.

MC dropout, deep ensembles, committees and forests alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from al_sklearn import inference
from al_sklearn._core.random import RandomState, as_generator, as_seed
from al_sklearn.rows import n_rows
from al_sklearn.strategies import measures
from al_sklearn.strategies._engine.top_k import top_k
from al_sklearn.strategies._registry import Chosen, query_strategy
from al_sklearn.strategies.selectors import _batch_bald as batch
from al_sklearn.strategies.selectors import stochastic_top_k


def _top_of(
    measure: Callable[[np.ndarray], np.ndarray],
    classifier: Any,
    X: Any,
    n_instances: int,
    n_samples: int | None,
    random_tie_break: bool,
    random_state: RandomState,
) -> Chosen:
    """Top of ``measure`` of the posterior samples."""
    rng = as_generator(random_state)
    samples = inference.sample_proba(classifier, X, n_samples, rng)
    return top_k(
        measure(samples),
        n_instances,
        random_tie_break=random_tie_break,
        random_state=rng,
    )


@query_strategy(
    family="bayesian",
    needs=("samples",),
    reference="Gal, Islam & Ghahramani, ICML 2017",
    cost="O(T n C)",
    aliases=("dbal",),
)
def max_entropy(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int | None = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates with the largest entropy of the mean prediction (DBAL).

    Parameters
    ----------
    n_samples : int, optional
        Posterior samples; 20 dropout masks, or all members of an ensemble, by default.

    See Also
    --------
    al_sklearn.strategies.measures.max_entropy : the scores.
    """
    return _top_of(
        measures.max_entropy,
        classifier,
        X,
        n_instances,
        n_samples,
        random_tie_break,
        random_state,
    )


@query_strategy(
    family="bayesian",
    needs=("samples",),
    reference="Houlsby et al., 2011; Gal, Islam & Ghahramani, ICML 2017",
    cost="O(T n C)",
)
def bald(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int | None = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates on which the posterior samples disagree most.

    Mutual information of label and parameters.

    Parameters
    ----------
    n_samples : int, optional
        Posterior samples; 20 dropout masks, or all members of an ensemble, by default.

    See Also
    --------
    al_sklearn.strategies.measures.bald : the scores.
    """
    return _top_of(
        measures.bald,
        classifier,
        X,
        n_instances,
        n_samples,
        random_tie_break,
        random_state,
    )


@query_strategy(
    family="bayesian",
    needs=("samples",),
    reference="Kampffmeyer, Salberg & Jenssen, CVPRW 2016",
    cost="O(T n C)",
)
def mean_std(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int | None = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates whose probabilities vary most over the posterior samples.

    Parameters
    ----------
    n_samples : int, optional
        Posterior samples; 20 dropout masks, or all members of an ensemble, by default.

    See Also
    --------
    al_sklearn.strategies.measures.mean_std : the scores.
    """
    return _top_of(
        measures.mean_std,
        classifier,
        X,
        n_instances,
        n_samples,
        random_tie_break,
        random_state,
    )


@query_strategy(
    family="bayesian",
    needs=("samples",),
    reference="Freeman, 1965; Gal, Islam & Ghahramani, ICML 2017",
    cost="O(T n C)",
)
def variation_ratio(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int | None = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates on which the fewest members vote for the winner: query by committee.

    Scores are whole votes, so that many are equal: ``random_tie_break=True`` keeps the
    batch from following the order of the pool, and lets a member that cannot decide
    vote at random.

    Parameters
    ----------
    n_samples : int, optional
        Posterior samples; 20 dropout masks, or all members of an ensemble, by default.

    See Also
    --------
    al_sklearn.strategies.measures.variation_ratio : the scores.
    """
    # The same generator breaks the ties of a member's vote, then those of the scores.
    rng = as_generator(random_state)
    samples = inference.sample_proba(classifier, X, n_samples, rng)
    utilities = measures.variation_ratio(
        samples, random_tie_break=random_tie_break, random_state=rng
    )
    return top_k(
        utilities, n_instances, random_tie_break=random_tie_break, random_state=rng
    )


@query_strategy(
    family="bayesian",
    needs=("samples",),
    reference="Engelson & Dagan, ACL 1996",
    cost="O(T n C)",
)
def vote_entropy(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int | None = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates with the largest entropy of the members' votes.

    Scores are whole votes, so that many are equal: ``random_tie_break=True`` keeps the
    batch from following the order of the pool, and lets a member that cannot decide
    vote at random.

    Parameters
    ----------
    n_samples : int, optional
        Posterior samples; 20 dropout masks, or all members of an ensemble, by default.

    See Also
    --------
    al_sklearn.strategies.measures.vote_entropy : the scores.
    """
    # The same generator breaks the ties of a member's vote, then those of the scores.
    rng = as_generator(random_state)
    samples = inference.sample_proba(classifier, X, n_samples, rng)
    utilities = measures.vote_entropy(
        samples, random_tie_break=random_tie_break, random_state=rng
    )
    return top_k(
        utilities, n_instances, random_tie_break=random_tie_break, random_state=rng
    )


@query_strategy(
    family="bayesian",
    needs=("samples",),
    reference="Settles, 2009",
    cost="O(T n C)",
)
def consensus_entropy(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int | None = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates with the largest entropy of the members' mean prediction.

    Parameters
    ----------
    n_samples : int, optional
        Posterior samples; 20 dropout masks, or all members of an ensemble, by default.

    See Also
    --------
    al_sklearn.strategies.measures.consensus_entropy : the scores.
    """
    return _top_of(
        measures.consensus_entropy,
        classifier,
        X,
        n_instances,
        n_samples,
        random_tie_break,
        random_state,
    )


@query_strategy(
    family="bayesian",
    needs=("samples",),
    reference="McCallum & Nigam, ICML 1998",
    cost="O(T n C)",
)
def kl_disagreement(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int | None = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates on which members are furthest from their mean.

    The distance is the Kullback-Leibler divergence.

    Parameters
    ----------
    n_samples : int, optional
        Posterior samples; 20 dropout masks, or all members of an ensemble, by default.

    See Also
    --------
    al_sklearn.strategies.measures.kl_disagreement : the scores.
    """
    return _top_of(
        measures.kl_disagreement,
        classifier,
        X,
        n_instances,
        n_samples,
        random_tie_break,
        random_state,
    )


@query_strategy(
    family="bayesian",
    needs=("samples",),
    reference="Kirsch et al., TMLR 2023",
    cost="O(T n C)",
)
def power_bald(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int | None = None,
    beta: float = 1.0,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates drawn in proportion to a power of BALD.

    A diverse batch at the price of the top of BALD.

    ``stochastic`` does the same with any measure.

    Parameters
    ----------
    n_samples : int, optional
        Posterior samples; 20 dropout masks, or all members of an ensemble, by default.
    beta : float, default=1
        The power: the larger, the closer to BALD.

    See Also
    --------
    al_sklearn.strategies.selectors.stochastic_top_k : the selector.
    """
    rng = as_generator(random_state)
    samples = inference.sample_proba(classifier, X, n_samples, rng)
    return stochastic_top_k(
        measures.bald(samples), n_instances, beta=beta, random_state=rng
    )


@query_strategy(
    family="bayesian",
    needs=("samples",),
    reference="Kirsch, van Amersfoort & Gal, NeurIPS 2019",
    cost="O(b n C T M) at most for M configurations; lazily far less",
)
def batch_bald(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int | None = None,
    n_configurations: int = 10_000,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates whose labels together say most about the parameters.

    Parameters
    ----------
    n_samples : int, optional
        Posterior samples; 20 dropout masks, or all members of an ensemble, by default.
        A batch can say no more than tells them apart: for batches of more than about
        ten, ask for a hundred.
    n_configurations : int, default=10000
        Joint entropies are exact while no more configurations of labels are possible,
        then estimated from so many.

    See Also
    --------
    al_sklearn.strategies.selectors.batch_bald : the selector.
    """
    rng = as_generator(random_state)
    samples = inference.sample_proba(classifier, X, n_samples, rng)
    return batch.batch_bald(
        samples,
        n_instances,
        n_configurations=n_configurations,
        random_tie_break=random_tie_break,
        random_state=rng,
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
        raise ValueError(f"n_targets must be at least 1, got {n_targets}.")
    rng = as_generator(random_state)
    # The same seed: candidates and targets must be seen by the same posterior samples.
    seed = as_seed(rng)
    samples = inference.sample_proba(classifier, X, n_samples, seed)
    if X_target is None:
        n = n_rows(X)
        targets = samples[:, np.sort(rng.choice(n, min(n_targets, n), replace=False))]
    else:
        targets = inference.sample_proba(classifier, X_target, n_samples, seed)
    utilities = measures.epig(samples, targets)
    return top_k(
        utilities, n_instances, random_tie_break=random_tie_break, random_state=rng
    )
