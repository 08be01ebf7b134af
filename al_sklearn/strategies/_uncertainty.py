"""Uncertainty sampling: one pass of probabilities, one measure, the top of it.

Every measure also has an ``_mc`` strategy, on the mean of posterior samples.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from al_sklearn import inference
from al_sklearn._random import RandomState, as_generator
from al_sklearn.pool import n_rows
from al_sklearn.strategies import measures
from al_sklearn.strategies._registry import Chosen, query_strategy
from al_sklearn.strategies._top_k import top_k


@query_strategy(family="uncertainty", reference="-", cost="O(n)", aliases=("random",))
def random_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Uniformly random candidates without replacement: what every strategy must beat.

    The classifier is not looked at and may be ``None``; the scores are random numbers, decreasing.
    """
    rng = as_generator(random_state)
    indices = rng.choice(n_rows(X), size=n_instances, replace=False)
    return indices, np.sort(rng.random(n_instances))[::-1]


def _top_of(
    measure: Callable[[np.ndarray], np.ndarray],
    classifier: Any,
    X: Any,
    n_instances: int,
    n_samples: int | None,
    random_tie_break: bool,
    random_state: RandomState,
) -> Chosen:
    """Top of ``measure`` of the probabilities, or of the mean of ``n_samples`` posterior samples."""
    rng = as_generator(random_state)
    if n_samples is None:
        proba = inference.predict_proba(classifier, X)
    else:
        proba = inference.sample_proba(classifier, X, n_samples, rng).mean(axis=0)
    return top_k(measure(proba), n_instances, random_tie_break=random_tie_break, random_state=rng)


@query_strategy(family="uncertainty", needs=("proba",), reference="Lewis & Gale, SIGIR 1994", cost="O(n C)")
def least_confidence(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int | None = None,
    normalize: bool = False,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates whose most likely class is least likely.

    Parameters
    ----------
    n_samples : int, optional
        Average so many posterior samples instead of asking for the probabilities once.
    normalize : bool, default=False
        Scale so that the uniform distribution scores 1.

    See Also
    --------
    al_sklearn.strategies.measures.least_confidence : the scores.
    """
    measure = partial(measures.least_confidence, normalize=normalize)
    return _top_of(measure, classifier, X, n_instances, n_samples, random_tie_break, random_state)


@query_strategy(family="uncertainty", needs=("samples",), reference="Lewis & Gale, SIGIR 1994", cost="O(T n C)")
def least_confidence_mc(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int = 20,
    normalize: bool = False,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates whose most likely class is least likely, by the mean of posterior samples.

    Parameters
    ----------
    n_samples : int, default=20
        Posterior samples (dropout masks, members) that are averaged.
    normalize : bool, default=False
        Scale so that the uniform distribution scores 1.

    See Also
    --------
    al_sklearn.strategies.measures.least_confidence : the scores.
    """
    measure = partial(measures.least_confidence, normalize=normalize)
    return _top_of(measure, classifier, X, n_instances, n_samples, random_tie_break, random_state)


@query_strategy(family="uncertainty", needs=("proba",), reference="Scheffer et al., IDA 2001", cost="O(n C)")
def margin(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int | None = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates whose two most likely classes are closest.

    Parameters
    ----------
    n_samples : int, optional
        Average so many posterior samples instead of asking for the probabilities once.

    See Also
    --------
    al_sklearn.strategies.measures.margin : the scores.
    """
    return _top_of(measures.margin, classifier, X, n_instances, n_samples, random_tie_break, random_state)


@query_strategy(family="uncertainty", needs=("samples",), reference="Scheffer et al., IDA 2001", cost="O(T n C)")
def margin_mc(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int = 20,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates whose two most likely classes are closest, by the mean of posterior samples.

    Parameters
    ----------
    n_samples : int, default=20
        Posterior samples (dropout masks, members) that are averaged.

    See Also
    --------
    al_sklearn.strategies.measures.margin : the scores.
    """
    return _top_of(measures.margin, classifier, X, n_instances, n_samples, random_tie_break, random_state)


@query_strategy(family="uncertainty", needs=("proba",), reference="Settles, 2009", cost="O(n C)")
def ratio(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int | None = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates whose second class is most nearly as likely as the first.

    Parameters
    ----------
    n_samples : int, optional
        Average so many posterior samples instead of asking for the probabilities once.

    See Also
    --------
    al_sklearn.strategies.measures.ratio : the scores.
    """
    return _top_of(measures.ratio, classifier, X, n_instances, n_samples, random_tie_break, random_state)


@query_strategy(family="uncertainty", needs=("samples",), reference="Settles, 2009", cost="O(T n C)")
def ratio_mc(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int = 20,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates whose second class is most nearly as likely as the first, by the mean of posterior samples.

    Parameters
    ----------
    n_samples : int, default=20
        Posterior samples (dropout masks, members) that are averaged.

    See Also
    --------
    al_sklearn.strategies.measures.ratio : the scores.
    """
    return _top_of(measures.ratio, classifier, X, n_instances, n_samples, random_tie_break, random_state)


@query_strategy(family="uncertainty", needs=("proba",), reference="Dagan & Engelson, ICML 1995", cost="O(n C)")
def entropy(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int | None = None,
    normalize: bool = False,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates with the largest entropy of the prediction.

    Parameters
    ----------
    n_samples : int, optional
        Average so many posterior samples instead of asking for the probabilities once.
    normalize : bool, default=False
        Scale so that the uniform distribution scores 1.

    See Also
    --------
    al_sklearn.strategies.measures.entropy : the scores.
    """
    measure = partial(measures.entropy, normalize=normalize)
    return _top_of(measure, classifier, X, n_instances, n_samples, random_tie_break, random_state)


@query_strategy(family="uncertainty", needs=("samples",), reference="Dagan & Engelson, ICML 1995", cost="O(T n C)")
def entropy_mc(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int = 20,
    normalize: bool = False,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates with the largest entropy of the prediction, by the mean of posterior samples.

    Parameters
    ----------
    n_samples : int, default=20
        Posterior samples (dropout masks, members) that are averaged.
    normalize : bool, default=False
        Scale so that the uniform distribution scores 1.

    See Also
    --------
    al_sklearn.strategies.measures.entropy : the scores.
    """
    measure = partial(measures.entropy, normalize=normalize)
    return _top_of(measure, classifier, X, n_instances, n_samples, random_tie_break, random_state)
