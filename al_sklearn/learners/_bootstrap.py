"""Bootstrap samples that lose no class."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from sklearn.base import is_classifier

from al_sklearn._core.types import Array

# A class of one row among many is missed by a third of all samples: a hundred in a row
# miss it only where there are many such classes.
_MOST_DRAWS: Final = 100


def draw_with_classes(
    draw: Callable[[], Array], estimator: Any, y: Any, who: str
) -> Array:
    """Draw a bootstrap sample, again where a class that was taught is not in it.

    Parameters
    ----------
    draw : callable
        Gives positions.
    estimator : estimator
        Classifiers alone have classes to lose.
    y : labels of shape (n,)
    who : str
        Who is trained, for messages.

    Returns
    -------
    int array of shape (n,)

    Raises
    ------
    ValueError
        Where every sample has one class alone, of several that were taught.

    Warns
    -----
    UserWarning
        Where every sample misses a class: the one that misses fewest is taken.
    """
    labels = np.asarray(y.detach().cpu() if hasattr(y, "detach") else y)
    rows = draw()
    if labels.ndim != 1 or not is_classifier(estimator):
        return rows
    classes, codes = np.unique(labels, return_inverse=True)
    best = rows
    for _ in range(_MOST_DRAWS):
        if len(np.unique(codes[rows])) > len(np.unique(codes[best])):
            best = rows
        if len(np.unique(codes[best])) == len(classes):
            return best
        rows = draw()
    missing = np.delete(classes, np.unique(codes[best])).tolist()
    said = (
        f"{who}: each of {_MOST_DRAWS} bootstrap samples of {len(labels)} rows misses "
        f"a class, the best of them {missing}"
    )
    if len(classes) - len(missing) < 2:
        raise ValueError(
            f"{said}, and one class alone is left: teach more rows, or leave out "
            "bootstrap=True."
        )
    warnings.warn(
        f"{said}: it is not learnt there. Teach more of it, or leave out "
        "bootstrap=True.",
        stacklevel=4,
    )
    return best
