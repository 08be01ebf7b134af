"""Learning loss: what the network itself expects to get most wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

from al_sklearn import inference
from al_sklearn._core.random import RandomState, as_generator
from al_sklearn.exceptions import ParameterError
from al_sklearn.rows import n_rows, view_rows
from al_sklearn.strategies._registry import Chosen, query_strategy
from al_sklearn.strategies.selectors import top_k


@query_strategy(
    family="learned",
    needs=("loss",),
    reference="Yoo & Kweon, CVPR 2019",
    cost="O(f b) forward passes for f = subset_factor",
)
def learning_loss(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    subset_factor: float | None = 10,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates of the largest predicted loss in a random part of the pool.

    A head that is trained with the network predicts the loss.

    Parameters
    ----------
    subset_factor : float or None, default=10
        So many candidates for each instance asked for are drawn at random, and the top
        of these is chosen: what is hard is often alike, and the top of the whole pool
        would be one kind. None looks at all.

    See Also
    --------
    al_sklearn.estimators.LossPredictionClassifier : the network with such a head.
    """
    n = n_rows(X)
    if subset_factor is not None and not 1 <= subset_factor < np.inf:
        raise ParameterError(
            "subset_factor must be None or a number of at least 1, got "
            f"{subset_factor!r}.",
            "subset_factor",
        )
    rng = as_generator(random_state)
    n_drawn = n
    if subset_factor is not None:
        n_drawn = min(n, int(np.ceil(subset_factor * n_instances)))
    # Increasing, so that a file is read from its beginning to its end.
    drawn = np.sort(rng.choice(n, n_drawn, replace=False))
    # X itself shares what is computed of it; a view is another X.
    part = X if n_drawn == n else view_rows(X, drawn)
    losses = inference.predict_loss(classifier, part)
    if not np.isfinite(losses).all():
        raise ValueError(
            "The predicted losses contain NaN or infinity: did the training diverge?"
        )
    chosen, scores = top_k(
        losses, n_instances, random_tie_break=random_tie_break, random_state=rng
    )
    return drawn[chosen], scores
