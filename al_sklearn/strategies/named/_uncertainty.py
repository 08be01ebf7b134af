"""Uncertainty sampling: one pass of probabilities, one measure, the top of it.

Every measure also has an ``_mc`` strategy, on the mean of posterior samples.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from al_sklearn import inference
from al_sklearn._core.random import RandomState, as_generator
from al_sklearn.rows import n_rows
from al_sklearn.strategies import measures, selectors
from al_sklearn.strategies._pairs import Pair, pair
from al_sklearn.strategies._registry import Chosen, query_strategy, variant
from al_sklearn.strategies.selectors import top_k


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
    # Scores fall although the order is random: most useful first is the contract.
    indices = rng.choice(n_rows(X), size=n_instances, replace=False)
    return indices, np.sort(rng.random(n_instances))[::-1]


# One pass of probabilities each; what differs is the measure alone.
least_confidence = pair(
    "Candidates whose most likely class is least likely.",
    measure=measures.least_confidence,
    options=("normalize",),
    family="uncertainty",
    reference="Lewis & Gale, SIGIR 1994",
)
margin = pair(
    "Candidates whose two most likely classes are closest.",
    measure=measures.margin,
    family="uncertainty",
    reference="Scheffer et al., IDA 2001",
)
ratio = pair(
    "Candidates whose second class is most nearly as likely as the first.",
    measure=measures.ratio,
    family="uncertainty",
    reference="Settles, 2009",
)
entropy = pair(
    "Candidates with the largest entropy of the prediction.",
    measure=measures.entropy,
    options=("normalize",),
    family="uncertainty",
    reference="Dagan & Engelson, ICML 1995",
)


def _averaged(strategy: Pair) -> Callable[..., Chosen]:
    """Register a strategy of probabilities on the mean of 20 posterior samples.

    As many dropout masks as are usual, or members of an ensemble.
    """
    return variant(
        strategy,
        f"{strategy.__name__}_mc",
        f"{strategy.info.summary[:-1]}, by the mean of posterior samples.",
        needs=("samples",),
        cost="O(T n C)",
        n_samples=20,
    )


# As names of their own: a comparison tells them by name, and so does a store.
least_confidence_mc = _averaged(least_confidence)
margin_mc = _averaged(margin)
ratio_mc = _averaged(ratio)
entropy_mc = _averaged(entropy)

bucketed_margin = pair(
    "Random candidates of small, middling and large margin, mostly of small.",
    """
    The draw is random inside each bucket, so that ``random_tie_break`` has nothing to
    break.
    """,
    # Names of their own: what they do with a measure is not what the top does.
    name="bucketed_margin",
    measure=measures.margin,
    select=selectors.bucketed,
    options=("percentiles", "shares"),
    family="uncertainty",
    reference="-",
    cost="O(n C + n log n)",
)
uncertainty_mix = pair(
    "Half the batch least confident, half most confident.",
    name="uncertainty_mix",
    measure=measures.least_confidence,
    select=selectors.both_ends,
    family="uncertainty",
    reference="-",
)
uncertainty_bins = pair(
    "As many random candidates from each of several bins of confidence.",
    "The bins are of equal count.",
    name="uncertainty_bins",
    measure=measures.least_confidence,
    select=selectors.binned,
    options=("n_bins",),
    family="uncertainty",
    reference="-",
    cost="O(n C + n log n)",
)


@query_strategy(
    family="uncertainty",
    needs=("proba", "input_gradient"),
    reference="-",
    cost="O(n) forward and backward passes",
)
def input_gradient(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates whose loss changes most when the image does; nets only.

    The loss is that of the predicted class.

    The score is Σ|∂CE(x, ŷ)/∂x| over the values of the network's input. It is that of
    each image alone, whatever the batch it is computed in.

    See Also
    --------
    al_sklearn.strategies.measures.input_gradient : the scores, from gradients.
    """
    # No measure: summed by image as the net gives them, a gradient is as large as X.
    sizes = inference.input_gradient(classifier, X)
    return top_k(
        sizes, n_instances, random_tie_break=random_tie_break, random_state=random_state
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
    # A learner would look at labels that are not paid for yet.
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
    known = inference.columns_of(classifier, proba.shape[1]).tolist()
    column = {label: i for i, label in enumerate(known)}
    # -1 for a class that has no column.
    columns = [column.get(label, -1) for label in labels.tolist()]
    positions = np.array(columns, dtype=np.int64)
    # Column 0 stands in for it: its loss is replaced below.
    losses = measures.true_loss(proba, np.maximum(positions, 0))
    return top_k(
        np.where(positions < 0, np.inf, losses),
        n_instances,
        random_tie_break=random_tie_break,
        random_state=random_state,
    )
