"""Active transfer learning: what a second network expects to be wrong.

The second network is trained on right and wrong predictions.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from al_sklearn import inference
from al_sklearn._core.checks import check_same_length
from al_sklearn._core.random import (
    RandomState,
    as_generator,
    as_seed,
)
from al_sklearn._core.types import Array, Options
from al_sklearn.exceptions import ParameterError
from al_sklearn.rows import n_rows, take_rows
from al_sklearn.strategies import measures
from al_sklearn.strategies._registry import Chosen, query_strategy
from al_sklearn.strategies.named._cross_fit import cross_fit, spread
from al_sklearn.strategies.named._learned import _training as training
from al_sklearn.strategies.selectors import top_k

# Forests give probabilities of 0, whose logarithm would drown all else.
_LEAST_PROBA = 1e-4


@query_strategy(
    family="learned",
    needs=("proba", "labelled"),
    reference="Monarch, Human-in-the-Loop Machine Learning, 2021",
    cost="O(n C h) and cv trainings of the classifier, none with validation data",
    aliases=("atl",),
)
def active_transfer_learning(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    X_val: Any = None,
    y_val: Any = None,
    cv: int = 3,
    n_batches: int = 1,
    hidden: Sequence[int] = (),
    max_epochs: int = 40,
    lr: float = 1e-2,
    weight_decay: float = 0.1,
    embeddings: bool = False,
    layer: str | None = None,
    X_labelled: Any = None,
    y_labelled: Any = None,
    device: Any = "auto",
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates that a head expects to be wrong (ATL).

    The head is trained on held-out predictions, right and wrong.

    Parameters
    ----------
    X_val, y_val : rows, labels, optional
        Rows that the classifier was not trained on: where it is right and where wrong
        is read off them. By default the learner's own validation set, as in a round of
        an experiment with ``validation_size=``; without one, from cross-fitting on what
        is labelled: clones of the classifier, each trained without one of ``cv`` parts,
        predict that part.
    cv : int, default=3
        Parts of the cross-fitting, at least 2.
    n_batches : int, default=1
        With more than one, the batch is chosen in so many parts, and before each the
        head is trained anew with what was chosen so far counted as right, because it
        will be labelled (ATLAS).
    hidden : sequence of int, default=()
        Hidden layers of the head; by default it is linear.
    max_epochs, lr, weight_decay : int, float, float
        Of the head's training by Adam.
    embeddings : bool, default=False
        Whether the head sees the embeddings too, worth it with many held-out rows. In
        cross-fitting those of nets are left out, because each clone has a space of its
        own.
    layer : str, optional
        Layer of a net to embed by; the input of its last linear layer by default.
    X_labelled, y_labelled : rows, labels, optional
        What is labelled; ``classifier.X_training`` and ``y_training`` by default.
    device : str or torch.device, default="auto"
        Where the head is trained; ``"auto"`` is CUDA where there is one.

    Notes
    -----
    The head sees what the classifier says of a row it was not trained on: its
    log-probabilities in descending order, not by class: a class has too few held-out
    rows for more. The classifier itself is only asked; the clones are thrown away.
    Right and wrong count the same in the head's loss. Where all held-out predictions
    are right, or all are wrong, there is nothing to learn: a warning says so, and the
    least confident are chosen. Scores are logits of being wrong.
    """
    training.check_positive(n_batches=n_batches, max_epochs=max_epochs, lr=lr)
    rng = as_generator(random_state)
    generator = torch.Generator().manual_seed(as_seed(rng))
    X_val, y_val = inference.validation_data(classifier, X_val, y_val)
    if (X_val is None) != (y_val is None):
        raise ValueError(
            "active_transfer_learning needs X_val and y_val together, or neither."
        )
    # Rows kept back tell of the classifier itself; clones only of its like.
    if X_val is not None:
        known, wrong = _on_validation(classifier, X_val, y_val, layer, embeddings)
    else:
        embeddings = embeddings and not inference.learns_features(classifier)
        rows, labels = inference.labelled_data(classifier, X_labelled, y_labelled)
        known, wrong = _cross_fitted(
            classifier, rows, labels, layer, embeddings, cv, rng
        )
    candidates = _seen(classifier, X, layer, embeddings)
    ties: Options = {"random_tie_break": random_tie_break, "random_state": rng}
    # One class of outcomes: the head would learn a constant.
    if wrong.all() or not wrong.any():
        warnings.warn(
            f"The {len(wrong)} held-out predictions are all "
            f"{'wrong' if wrong.all() else 'right'}: nothing tells which "
            "candidates will be wrong, and the least confident are chosen.",
            stacklevel=3,
        )
        return top_k(
            measures.least_confidence(inference.predict_proba(classifier, X)),
            n_instances,
            **ties,
        )
    return _choose(
        candidates,
        known,
        wrong,
        n_instances,
        n_batches,
        training.get_device(device),
        ties,
        hidden=hidden,
        max_epochs=max_epochs,
        batch_size=1024,
        lr=lr,
        weight_decay=weight_decay,
        generator=generator,
    )


def _choose(
    candidates: Array,
    known: Array,
    wrong: Array,
    n_instances: int,
    n_batches: int,
    device: torch.device,
    ties: Options,
    **options: Any,
) -> Chosen:
    # By one scale: the head reads both.
    pool, held_out = (
        part.to(device) for part in training.standardized(candidates, known)
    )
    target = torch.from_numpy(wrong.astype(np.float32)).to(device)
    left = np.arange(len(pool))
    chosen: list[Array] = []
    scores: list[Array] = []
    for size in training.part_sizes(n_instances, n_batches):
        head, _ = training.train_binary(held_out, target, **options)
        picked, values = top_k(training.score_rows(head, pool)[left], size, **ties)
        chosen.append(left[picked])
        scores.append(values)
        left = np.delete(left, picked)
        # What will be labelled will be right: the next part looks elsewhere.
        held_out = torch.cat([held_out, pool[torch.from_numpy(chosen[-1]).to(device)]])
        target = torch.cat([target, torch.zeros(size, device=device)])
    return np.concatenate(chosen), np.concatenate(scores)


def _seen(classifier: Any, X: Any, layer: str | None, embeds: bool) -> Array:
    """What the head is told of rows.

    Log-probabilities in descending order, and maybe embeddings, (n, k).
    """
    if embeds:
        proba, embeddings = inference.proba_and_embed(classifier, X, layer)
        return _joined(proba, embeddings)
    return _joined(inference.predict_proba(classifier, X))


def _joined(proba: Array, *embeddings: Array) -> Array:
    logs = np.log(np.maximum(proba, _LEAST_PROBA))
    # Descending, by a sort that puts equal values in one order.
    return np.concatenate([-np.sort(-logs, axis=1), *embeddings], axis=1)


def _on_validation(
    classifier: Any, X: Any, y: Any, layer: str | None, embeds: bool
) -> tuple[Array, Array]:
    """What the head is told of validation rows, and where the classifier is wrong."""
    labels = _as_labels(y, n_rows(X))
    proba = inference.predict_proba(classifier, X)
    predicted = inference.columns_of(classifier, proba.shape[1])[proba.argmax(axis=1)]
    return _seen(classifier, X, layer, embeds), predicted != labels


def _cross_fitted(
    classifier: Any,
    X: Any,
    y: Any,
    layer: str | None,
    embeds: bool,
    cv: int,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """What clones tell the head of labelled rows, and where they are wrong.

    The clones were not trained on the rows they tell of.
    """
    if X is None or y is None or n_rows(X) == 0:
        raise ValueError(
            "active_transfer_learning learns from labelled rows, and there are none: "
            "pass X_labelled= and y_labelled=, "
            "X_val= and y_val=, or a learner that was taught some."
        )
    if cv < 2:
        raise ParameterError(f"cv must be at least 2, got {cv!r}.", "cv")
    estimator = inference.unwrap(classifier)
    # One row tells the number of columns; all would cost a pass.
    n_columns = inference.predict_proba(classifier, take_rows(X, np.arange(1))).shape[1]
    classes = inference.columns_of(classifier, n_columns)
    labels = _as_labels(y, n_rows(X))
    part_of = spread(labels, rng.permutation(len(labels)), min(cv, len(labels)))
    seen: list[Array] = []
    order: list[Array] = []
    wrong = np.empty(len(labels), dtype=bool)
    for held_out, member, own in cross_fit(estimator, X, labels, part_of, as_seed(rng)):
        # A clone that never saw a class has no column for it: probability 0.
        proba = np.zeros((len(own), len(classes)), dtype=own.dtype)
        columns = inference.columns_of(member, own.shape[1])
        proba[:, np.searchsorted(classes, columns)] = own
        wrong[held_out] = classes[proba.argmax(axis=1)] != labels[held_out]
        rows = take_rows(X, held_out)
        embedded = [inference.embed(member, rows, layer)] if embeds else []
        seen.append(_joined(proba, *embedded))
        order.append(held_out)
    # A part that was passed over leaves its rows without a verdict.
    if sum(map(len, order)) < len(labels):
        raise ValueError(
            "Cross-fitting needs labelled rows of two classes outside each part; "
            f"{len(labels)} rows of {len(np.unique(labels))} classes are too few. Pass "
            "X_val= and y_val=."
        )
    return np.concatenate(seen)[np.argsort(np.concatenate(order))], wrong


def _as_labels(y: Any, n: int) -> Array:
    labels = y.detach().cpu().numpy() if isinstance(y, torch.Tensor) else np.asarray(y)
    check_same_length(n, len(labels))
    if labels.ndim != 1:
        raise ValueError(
            f"Right and wrong need one label a row, (n,), got shape {labels.shape}."
        )
    return labels
