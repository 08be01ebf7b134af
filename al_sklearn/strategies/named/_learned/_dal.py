"""Discriminative active learning: what looks least like the labelled data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from al_sklearn import inference
from al_sklearn._core.random import RandomState, as_generator, as_seed
from al_sklearn._core.types import Array
from al_sklearn.strategies._registry import Chosen, query_strategy
from al_sklearn.strategies.named._learned import _training as training
from al_sklearn.strategies.selectors import top_k


@query_strategy(
    family="learned",
    needs=("embeddings", "labelled"),
    reference="Gissin & Shalev-Shwartz, 2019",
    cost="O(s e (n + l) d h) for s trainings of at most e epochs with h hidden units",
)
def dal(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    n_batches: int = 10,
    fresh: bool = False,
    hidden: Sequence[int] = (256, 256, 256),
    max_epochs: int = 30,
    target_accuracy: float = 0.98,
    batch_size: int = 1024,
    lr: float = 1e-3,
    layer: str | None = None,
    X_labelled: Any = None,
    device: Any = "auto",
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates that a network is surest are unlabelled (DAL).

    The network is trained to tell labelled from unlabelled.

    Parameters
    ----------
    n_batches : int, default=10
        The batch is chosen in so many parts (or one by one, when it is smaller). Before
        each the network is trained again, with what was chosen counted as labelled.
    fresh : bool, default=False
        Whether each of these trainings starts from new weights, as in the paper,
        instead of those of the part before, which takes a fraction of the time.
    hidden : sequence of int, default=(256, 256, 256)
        Hidden layers of the network, which sees the embeddings, standardised.
    max_epochs : int, default=30
        Epochs of each training at most.
    target_accuracy : float, default=0.98
        Training stops at this accuracy on its data, with both classes counting the
        same: a network that knows each labelled row by heart no longer says what the
        labelled rows have in common.
    batch_size : int, default=1024
        Rows in a training batch.
    lr : float, default=1e-3
        Learning rate of Adam.
    layer : str, optional
        Layer of a net to embed by; the input of its last linear layer by default.
    X_labelled : rows, optional
        What is labelled; ``classifier.X_training`` by default.
    device : str or torch.device, default="auto"
        Where the network is trained; ``"auto"`` is CUDA where there is one.

    Notes
    -----
    The loss weighs both classes the same, however few rows are labelled. Scores are the
    logits of being unlabelled: probabilities of many candidates round to 1. Those of
    different parts come from different networks.
    """
    training.check_positive(
        n_batches=n_batches, max_epochs=max_epochs, batch_size=batch_size, lr=lr
    )
    labelled = inference.embed(
        classifier, training.labelled_rows("dal", classifier, X_labelled), layer
    )
    candidates, known = training.standardized(
        inference.embed(classifier, X, layer), labelled
    )
    rng = as_generator(random_state)
    generator = torch.Generator().manual_seed(as_seed(rng))
    n = len(candidates)
    # Candidates first: a position among the features is one in the pool.
    features = torch.cat([candidates, known]).to(training.get_device(device))
    target = torch.zeros(len(features), device=features.device)
    # 1 is unlabelled: what is chosen becomes 0 and counts as labelled.
    target[:n] = 1
    chosen: list[Array] = []
    scores: list[Array] = []
    # None draws new weights.
    network = None
    for size in training.part_sizes(n_instances, n_batches):
        network, _ = training.train_binary(
            features,
            target,
            hidden=hidden,
            max_epochs=max_epochs,
            batch_size=batch_size,
            lr=lr,
            generator=generator,
            target_accuracy=target_accuracy,
            network=None if fresh else network,
        )
        # Read from the target, so that nothing is chosen twice.
        left = np.flatnonzero(target[:n].cpu().numpy())
        logits = training.score_rows(network, features[:n])[left]
        picked, values = top_k(
            logits, size, random_tie_break=random_tie_break, random_state=rng
        )
        chosen.append(left[picked])
        scores.append(values)
        target[torch.from_numpy(chosen[-1]).to(target.device)] = 0
    return np.concatenate(chosen), np.concatenate(scores)
