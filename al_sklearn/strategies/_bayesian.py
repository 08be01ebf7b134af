"""Strategies on posterior samples: MC dropout, deep ensembles, committees and forests alike."""

from __future__ import annotations

from typing import Any

from al_sklearn import inference
from al_sklearn._random import RandomState, as_generator
from al_sklearn.strategies import measures
from al_sklearn.strategies._registry import Chosen, query_strategy
from al_sklearn.strategies._top_k import top_k


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
    rng = as_generator(random_state)
    samples = inference.sample_proba(classifier, X, n_samples, rng)
    return top_k(measures.max_entropy(samples), n_instances, random_tie_break=random_tie_break, random_state=rng)


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
    """Candidates on which the posterior samples disagree most: mutual information of label and parameters.

    Parameters
    ----------
    n_samples : int, optional
        Posterior samples; 20 dropout masks, or all members of an ensemble, by default.

    See Also
    --------
    al_sklearn.strategies.measures.bald : the scores.
    """
    rng = as_generator(random_state)
    samples = inference.sample_proba(classifier, X, n_samples, rng)
    return top_k(measures.bald(samples), n_instances, random_tie_break=random_tie_break, random_state=rng)
