"""Strategies that adapt to the labels, ensembles, and an oracle over batches.

The first change with the number of labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from sklearn.metrics import check_scoring

from al_sklearn import inference
from al_sklearn._core.checks import unknown_name
from al_sklearn._core.random import (
    RandomState,
    as_generator,
    as_seed,
    seed_all,
    seeded_clone,
)
from al_sklearn._core.types import Options
from al_sklearn.exceptions import ParameterError
from al_sklearn.inference import fitting
from al_sklearn.rows import concat_rows, n_rows, take_rows, view_rows
from al_sklearn.strategies import selectors
from al_sklearn.strategies._registry import (
    Chosen,
    Strategy,
    get_strategy,
    query_strategy,
)
from al_sklearn.strategies.named._geometric import max_herding, typiclust, u_herding
from al_sklearn.strategies.named._uncertainty import margin


def _has_few(
    classifier: Any, X_labelled: Any, n_few: int | None, per_class: int
) -> bool:
    """Whether fewer labels are there than ``n_few``, or so many a class."""
    # Nobody to be unsure: all there is are the embeddings.
    if classifier is None:
        return True
    rows, _ = inference.labelled_data(classifier, X_labelled)
    # Classes are asked for only where they decide: a net may know none before it is
    # fitted.
    if n_few is None:
        n_few = per_class * len(inference.classes_of(classifier))
    if n_few < 0:
        raise ParameterError(f"n_few must not be negative, got {n_few}.", "n_few")
    return (0 if rows is None else n_rows(rows)) < n_few


@query_strategy(
    family="adaptive",
    needs=("proba", "embeddings", "labelled"),
    reference="Doucet, Estermann, Aczel & Wattenhofer, ICLR 2024 workshops",
    cost="O(that of typiclust, later of margin)",
    aliases=("tcm",),
)
def typicality_then_margin(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_few: int | None = None,
    layer: str | None = None,
    X_labelled: Any = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """TypiClust while few labels are there, then margin (TCM).

    Parameters
    ----------
    n_few : int, optional
        Fewer labels than this are few; by default 10 for each class that the classifier
        knows. Without a classifier it is always TypiClust.
    layer : str, optional
        Layer of a net to embed by; the input of its last linear layer by default.
    X_labelled : rows, optional
        What is labelled already; ``classifier.X_training`` by default.

    See Also
    --------
    typiclust, margin : the two.
    """
    ties: Options = {
        "random_tie_break": random_tie_break,
        "random_state": random_state,
    }
    if _has_few(classifier, X_labelled, n_few, 10):
        return typiclust(
            classifier, X, n_instances, layer=layer, X_labelled=X_labelled, **ties
        )
    return margin(classifier, X, n_instances, **ties)


@query_strategy(
    family="adaptive",
    needs=("proba", "embeddings", "labelled"),
    reference="Bae, Noh & Sutherland, ECCV 2024; "
    "Bae, Oliveira & Sutherland, ICLR 2025; Huseljic et al., CVPR 2026",
    cost="O(that of max_herding, later of u_herding or refine)",
)
def auto(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    quality: Literal["fast", "best"] = "fast",
    n_few: int | None = None,
    layer: str | None = None,
    X_labelled: Any = None,
    y_labelled: Any = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """What suits the number of labels.

    Covering the pool while they are few, uncertain and diverse later.

    MaxHerding, which looks at embeddings alone, until there are two labels a class;
    then UHerding, which goes on by itself from covering to uncertainty, or the ensemble
    of :func:`refine`.

    Parameters
    ----------
    quality : {"fast", "best"}
        With "best", :func:`refine` takes over where UHerding would.
    n_few : int, optional
        Fewer labels than this are few; by default 2 for each class that the classifier
        knows. Without a classifier it is always MaxHerding.
    layer : str, optional
        Layer of a net to embed by; the input of its last linear layer by default.
    X_labelled, y_labelled : rows, labels, optional
        What is labelled already; ``classifier.X_training`` and ``y_training`` by
        default.

    See Also
    --------
    max_herding, u_herding, refine : what it is made of.
    """
    if quality not in ("fast", "best"):
        raise unknown_name("quality", quality, ("fast", "best"))
    ties: Options = {
        "random_tie_break": random_tie_break,
        "random_state": random_state,
    }
    if _has_few(classifier, X_labelled, n_few, 2):
        return max_herding(
            classifier, X, n_instances, layer=layer, X_labelled=X_labelled, **ties
        )
    if quality == "best":
        return refine(
            classifier,
            X,
            n_instances,
            layer=layer,
            X_labelled=X_labelled,
            y_labelled=y_labelled,
            **ties,
        )
    data: Options = {"X_labelled": X_labelled, "y_labelled": y_labelled}
    return u_herding(classifier, X, n_instances, layer=layer, **data, **ties)


@query_strategy(
    family="adaptive",
    needs=("proba", "embeddings", "gradients", "labelled"),
    reference="Huseljic, Herde, Rauch, Hahn & Sick, CVPR 2026",
    cost="O(n d + (K b)^2 d) and that of the K strategies, the first time on the whole "
    "pool",
)
def refine(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    strategies: Sequence[str | Strategy] = ("margin", "badge", "typiclust"),
    n_rounds: int = 3,
    layer: str | None = None,
    X_labelled: Any = None,
    y_labelled: Any = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """What several strategies agree to keep, then a batch that covers it.

    The strategies filter in rounds (Refine).

    Parameters
    ----------
    strategies : sequence of str or strategy, default=("margin", "badge", "typiclust")
        The ensemble: notions of value that differ, here uncertainty, both, and
        typicality.
    n_rounds : int, default=3
        How often the pool is filtered.
    layer : str, optional
        Layer of a net that the covering embeds by; the input of its last linear layer
        by default.
    X_labelled, y_labelled : rows, labels, optional
        What the ensemble is told to be labelled; ``classifier.X_training`` and
        ``y_training`` by default.

    See Also
    --------
    al_sklearn.strategies.selectors.max_herding : the covering.

    Notes
    -----
    The paper describes two stages: the pool is filtered progressively, each time to the
    union of what the strategies of an ensemble select from it, and then a batch is
    chosen that covers what is left. This is our reading of that description, not a copy
    of the authors' program. With K strategies and b instances asked for, the pool
    shrinks by the same factor in each of ``n_rounds`` rounds, to K · b at the end: in
    every round each strategy selects the same number from what the round before left,
    so in the last b, and the union is kept (less than K · b where they agree). The
    covering is MaxHerding's, of the kept candidates by themselves, all of them counting
    the same: what the strategies valued near labelled data is covered too.
    """
    if not strategies:
        raise ValueError("refine needs at least one strategy.")
    if n_rounds < 1:
        raise ParameterError(
            f"n_rounds must be at least 1, got {n_rounds}.", "n_rounds"
        )
    rng = as_generator(random_state)
    # Strategies of the ensemble read what is labelled off a learner, or not at all.
    if X_labelled is not None:
        validation = inference.validation_data(classifier)
        classifier = _Taught(
            inference.unwrap(classifier), X_labelled, y_labelled, *validation
        )
    ensemble = [get_strategy(strategy) for strategy in strategies]
    n, n_last = n_rows(X), len(ensemble) * n_instances
    # The same factor each round ends at n_last.
    shrink = min(n_last / n, 1.0) ** (1 / n_rounds)
    kept = np.arange(n)
    for i in range(1, n_rounds + 1):
        # The first round asks about X itself, whose results other strategies in this
        # query share.
        pool = X if len(kept) == n else view_rows(X, kept)
        # At least a batch each, and never more than there are left.
        share = int(np.ceil(n * shrink**i / len(ensemble)))
        n_each = min(max(n_instances, share), len(kept))
        selected = [
            strategy(
                classifier,
                pool,
                n_each,
                random_tie_break=random_tie_break,
                random_state=rng,
            )[0]
            for strategy in ensemble
        ]
        kept = kept[np.unique(np.concatenate(selected))]
    indices, scores = selectors.max_herding(
        inference.embed(classifier, X, layer)[kept],
        n_instances,
        # All that is kept is the reference: nothing is sampled.
        n_reference=len(kept),
        random_tie_break=random_tie_break,
        random_state=rng,
    )
    return kept[indices], scores


@query_strategy(
    family="adaptive",
    needs=("true_labels", "labelled"),
    reference="-",
    cost="O(n_candidates trainings)",
)
def oracle_batch(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    y_true: Any = None,
    X_test: Any = None,
    y_test: Any = None,
    X_val: Any = None,
    y_val: Any = None,
    X_labelled: Any = None,
    y_labelled: Any = None,
    strategies: Sequence[str | Strategy] = ("random_sampling", "margin", "typiclust"),
    n_candidates: int = 30,
    subset: float = 0.5,
    scoring: Any = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Best of many batches by true test score.

    An oracle for upper bounds in experiments, no way to label.

    Strategies take turns to propose batches, first from the whole pool and then from
    random parts of it; a clone of the classifier is trained on what is labelled and
    each batch, with its true labels, and the batch whose clone scores highest on the
    test set is chosen. It knows the labels that active learning is there to buy, and so
    refuses learners: give it the fitted estimator itself.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        True label of every candidate.
    X_test, y_test : rows, labels
        What the clones are scored on.
    X_val, y_val : rows, labels, optional
        Validation data of the clones' trainings, as for early stopping; no weights are
        learnt from them.
    X_labelled, y_labelled : rows, labels, optional
        What is labelled already.
    strategies : sequence of str or strategy
        Who proposes.
    n_candidates : int, default=30
        Number of batches tried.
    subset : float, default=0.5
        Share of the pool, above 0 and at most 1, that a strategy proposes from after
        its first turn.
    scoring : str, callable, optional
        As in scikit-learn; the classifier's own ``score`` by default.

    See Also
    --------
    max_true_loss : an oracle over single candidates.
    """
    # A learner could not be told the true labels, and must not be.
    if hasattr(classifier, "query_strategy"):
        raise TypeError(
            "oracle_batch looks at the true labels and does not run in "
            f"{type(classifier).__name__}: it is an oracle "
            "for upper bounds; call it with the fitted estimator, y_true=, X_test= "
            "and y_test=."
        )
    n = n_rows(X)
    if y_true is None or len(y_true) != n:
        given = "none" if y_true is None else len(y_true)
        raise ValueError(
            f"oracle_batch needs the true label of each of the {n} candidates, got "
            f"{given}."
        )
    if X_test is None or y_test is None:
        raise ValueError("oracle_batch needs X_test and y_test to score batches on.")
    if (X_labelled is None) != (y_labelled is None):
        raise ValueError(
            "oracle_batch needs X_labelled and y_labelled together, or neither."
        )
    if not strategies:
        raise ValueError("oracle_batch needs at least one strategy.")
    if n_candidates < 1 or not 0 < subset <= 1:
        raise ParameterError(
            "n_candidates must be at least 1 and subset in (0, 1], got "
            f"{n_candidates} and {subset}.",
            "n_candidates",
            "subset",
        )
    X_labelled, X_test = (
        inference.readable(classifier, rows) for rows in (X_labelled, X_test)
    )
    rng = as_generator(random_state)
    seed = as_seed(rng)
    validation = inference.readable(classifier, X_val), y_val
    learner = _Taught(classifier, X_labelled, y_labelled, *validation)
    labels = np.asarray(y_true)
    best, best_score = np.empty(0, dtype=np.int64), -np.inf
    for i in range(n_candidates):
        strategy = get_strategy(strategies[i % len(strategies)])
        # In its first turn a strategy sees the whole pool, as when it is asked alone.
        part = np.arange(n)
        # Later from parts, so that it does not propose the same batch again.
        if i >= len(strategies):
            size = max(n_instances, int(np.ceil(subset * n)))
            part = np.sort(rng.choice(n, size, replace=False))
        pool = X if len(part) == n else view_rows(X, part)
        batch = part[
            strategy(
                learner,
                pool,
                n_instances,
                random_tie_break=random_tie_break,
                random_state=rng,
            )[0]
        ]
        rows, y = take_rows(X, batch), labels[batch]
        if X_labelled is not None:
            rows = concat_rows(X_labelled, rows)
            y = np.concatenate([np.asarray(y_labelled), y])
        # The same noise for all, whatever the clones draw from; the query puts the
        # global generators back afterwards.
        member = seeded_clone(classifier, seed, only_open=True)
        seed_all(seed)
        fitting.fit(member, rows, y, *validation)
        score = float(check_scoring(member, scoring)(member, X_test, y_test))
        # The first of several equal ones: a later one has shown nothing more.
        if score > best_score:
            best, best_score = batch, score
    return best, np.full(n_instances, best_score)


class _Taught:
    """A fitted estimator with its training data, as strategies expect a learner."""

    def __init__(
        self, estimator: Any, X: Any, y: Any, X_val: Any = None, y_val: Any = None
    ) -> None:
        self.estimator, self.X_training, self.y_training = estimator, X, y
        self.X_val, self.y_val = X_val, y_val
        self.query_strategy = None
