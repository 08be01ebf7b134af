"""Uncertainty sampling: one pass of probabilities, one measure, the top of it.

Every measure also has an ``_mc`` strategy, on the mean of posterior samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from al_sklearn import inference
from al_sklearn._core.random import RandomState, as_generator
from al_sklearn.rows import n_rows
from al_sklearn.strategies import measures
from al_sklearn.strategies._engine.top_k import top_k
from al_sklearn.strategies._registry import Chosen, query_strategy
from al_sklearn.strategies.selectors._buckets import binned, both_ends, bucketed


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

    The classifier is not looked at and may be ``None``; the scores are random numbers,
    decreasing.
    """
    rng = as_generator(random_state)
    indices = rng.choice(n_rows(X), size=n_instances, replace=False)
    return indices, np.sort(rng.random(n_instances))[::-1]


def _proba(
    classifier: Any, X: Any, n_samples: int | None, rng: np.random.Generator
) -> np.ndarray:
    """The probabilities, or the mean of ``n_samples`` posterior samples."""
    if n_samples is None:
        return inference.predict_proba(classifier, X)
    return inference.sample_proba(classifier, X, n_samples, rng).mean(axis=0)


def _top_of(
    measure: Callable[[np.ndarray], np.ndarray],
    classifier: Any,
    X: Any,
    n_instances: int,
    n_samples: int | None,
    random_tie_break: bool,
    random_state: RandomState,
) -> Chosen:
    """Top of ``measure`` of the probabilities, or of the mean over samples.

    There are ``n_samples`` posterior samples.
    """
    rng = as_generator(random_state)
    proba = _proba(classifier, X, n_samples, rng)
    return top_k(
        measure(proba), n_instances, random_tie_break=random_tie_break, random_state=rng
    )


@query_strategy(
    family="uncertainty",
    needs=("proba",),
    reference="Lewis & Gale, SIGIR 1994",
    cost="O(n C)",
)
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
    return _top_of(
        measure, classifier, X, n_instances, n_samples, random_tie_break, random_state
    )


@query_strategy(
    family="uncertainty",
    needs=("samples",),
    reference="Lewis & Gale, SIGIR 1994",
    cost="O(T n C)",
)
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
    """Candidates whose most likely class is least likely.

    The probabilities are the mean of posterior samples.

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
    return _top_of(
        measure, classifier, X, n_instances, n_samples, random_tie_break, random_state
    )


@query_strategy(
    family="uncertainty",
    needs=("proba",),
    reference="Scheffer et al., IDA 2001",
    cost="O(n C)",
)
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
    return _top_of(
        measures.margin,
        classifier,
        X,
        n_instances,
        n_samples,
        random_tie_break,
        random_state,
    )


@query_strategy(
    family="uncertainty",
    needs=("samples",),
    reference="Scheffer et al., IDA 2001",
    cost="O(T n C)",
)
def margin_mc(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int = 20,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates whose two most likely classes are closest.

    The probabilities are the mean of posterior samples.

    Parameters
    ----------
    n_samples : int, default=20
        Posterior samples (dropout masks, members) that are averaged.

    See Also
    --------
    al_sklearn.strategies.measures.margin : the scores.
    """
    return _top_of(
        measures.margin,
        classifier,
        X,
        n_instances,
        n_samples,
        random_tie_break,
        random_state,
    )


@query_strategy(
    family="uncertainty", needs=("proba",), reference="Settles, 2009", cost="O(n C)"
)
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
    return _top_of(
        measures.ratio,
        classifier,
        X,
        n_instances,
        n_samples,
        random_tie_break,
        random_state,
    )


@query_strategy(
    family="uncertainty", needs=("samples",), reference="Settles, 2009", cost="O(T n C)"
)
def ratio_mc(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int = 20,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates whose second class is most nearly as likely as the first.

    The probabilities are the mean of posterior samples.

    Parameters
    ----------
    n_samples : int, default=20
        Posterior samples (dropout masks, members) that are averaged.

    See Also
    --------
    al_sklearn.strategies.measures.ratio : the scores.
    """
    return _top_of(
        measures.ratio,
        classifier,
        X,
        n_instances,
        n_samples,
        random_tie_break,
        random_state,
    )


@query_strategy(
    family="uncertainty",
    needs=("proba",),
    reference="Dagan & Engelson, ICML 1995",
    cost="O(n C)",
)
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
    return _top_of(
        measure, classifier, X, n_instances, n_samples, random_tie_break, random_state
    )


@query_strategy(
    family="uncertainty",
    needs=("samples",),
    reference="Dagan & Engelson, ICML 1995",
    cost="O(T n C)",
)
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
    """Candidates with the largest entropy of the prediction.

    The prediction is the mean of posterior samples.

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
    return _top_of(
        measure, classifier, X, n_instances, n_samples, random_tie_break, random_state
    )


@query_strategy(
    family="uncertainty", needs=("proba",), reference="-", cost="O(n C + n log n)"
)
def bucketed_margin(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int | None = None,
    percentiles: Sequence[float] = (30, 70),
    shares: Sequence[float] = (0.6, 0.3, 0.1),
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Random candidates of small, middling and large margin, mostly of small.

    The draw is random inside each bucket, so that ``random_tie_break`` has nothing to
    break.

    Parameters
    ----------
    n_samples : int, optional
        Average so many posterior samples instead of asking for the probabilities once.
    percentiles : sequence of float, default=(30, 70)
        Where the margins are cut, from the smallest.
    shares : sequence of float, default=(0.6, 0.3, 0.1)
        Shares of the batch, from the bucket of the smallest margins on.

    See Also
    --------
    al_sklearn.strategies.measures.margin : the scores.
    al_sklearn.strategies.selectors.bucketed : the selector.
    """
    rng = as_generator(random_state)
    scores = measures.margin(_proba(classifier, X, n_samples, rng))
    return bucketed(
        scores, n_instances, percentiles=percentiles, shares=shares, random_state=rng
    )


@query_strategy(family="uncertainty", needs=("proba",), reference="-", cost="O(n C)")
def uncertainty_mix(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int | None = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Half the batch least confident, half most confident.

    Parameters
    ----------
    n_samples : int, optional
        Average so many posterior samples instead of asking for the probabilities once.

    See Also
    --------
    al_sklearn.strategies.measures.least_confidence : the scores.
    al_sklearn.strategies.selectors.both_ends : the selector.
    """
    rng = as_generator(random_state)
    scores = measures.least_confidence(_proba(classifier, X, n_samples, rng))
    return both_ends(
        scores, n_instances, random_tie_break=random_tie_break, random_state=rng
    )


@query_strategy(
    family="uncertainty", needs=("proba",), reference="-", cost="O(n C + n log n)"
)
def uncertainty_bins(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_samples: int | None = None,
    n_bins: int = 10,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """As many random candidates from each of several bins of confidence.

    The bins are of equal count.

    Parameters
    ----------
    n_samples : int, optional
        Average so many posterior samples instead of asking for the probabilities once.
    n_bins : int, default=10
        Number of bins. A smaller batch is spread over all of them.

    See Also
    --------
    al_sklearn.strategies.measures.least_confidence : the scores.
    al_sklearn.strategies.selectors.binned : the selector.
    """
    rng = as_generator(random_state)
    scores = measures.least_confidence(_proba(classifier, X, n_samples, rng))
    return binned(
        scores,
        n_instances,
        n_bins=n_bins,
        random_tie_break=random_tie_break,
        random_state=rng,
    )


@query_strategy(
    family="uncertainty", needs=("proba", "true_labels"), reference="-", cost="O(n C)"
)
def max_true_loss(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    y_true: Any = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates of the largest true loss.

    An oracle for upper bounds in experiments, no way to label.

    It is given the labels that active learning is there to buy, and so refuses
    learners: give it the fitted estimator itself.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        True label of every candidate. A class that the classifier has never seen has an
        infinite loss.

    See Also
    --------
    al_sklearn.strategies.measures.true_loss : the scores.
    """
    if hasattr(classifier, "query_strategy"):
        raise TypeError(
            "max_true_loss looks at the true labels and does not run in "
            f"{type(classifier).__name__}: it is an oracle "
            "for upper bounds; call it with the fitted estimator and y_true=."
        )
    if y_true is None or len(y_true) != n_rows(X):
        given = "none" if y_true is None else len(y_true)
        raise ValueError(
            f"max_true_loss needs the true label of each of the {n_rows(X)} "
            f"candidates, got {given}."
        )
    labels = np.asarray(y_true)
    proba = inference.predict_proba(classifier, X)
    column = {
        label: i
        for i, label in enumerate(
            inference.columns_of(classifier, proba.shape[1]).tolist()
        )
    }
    positions = np.array(
        [column.get(label, -1) for label in labels.tolist()], dtype=np.int64
    )
    losses = measures.true_loss(proba, np.maximum(positions, 0))
    return top_k(
        np.where(positions < 0, np.inf, losses),
        n_instances,
        random_tie_break=random_tie_break,
        random_state=random_state,
    )
