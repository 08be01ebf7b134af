"""Which images of a pool a map shows, and what they are told apart by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from al_sklearn._core.types import Array
from al_sklearn.experiments.plots._images import thumbnails
from al_sklearn.rows import take_rows

# t-SNE of so many takes seconds, and more dots hide each other.
_MOST: Final = 2000


def pool_sample(
    batches: Mapping[str, Sequence[Any]], n: int, n_images: int = _MOST
) -> Array:
    """Return positions for a map: all that was bought, and others at random.

    Parameters
    ----------
    batches : mapping of str to sequence of int arrays
        What each strategy bought, round by round.
    n : int
        Images in all.
    n_images : int, default=2000
        At most; of what was bought so many at random, where it is more.

    Returns
    -------
    int64 array
        Increasing.
    """
    bought = np.unique(
        np.concatenate(
            [np.empty(0, np.int64), *(b for own in batches.values() for b in own)]
        )
    ).astype(np.int64)
    # The same map each time a picture is drawn.
    generator = np.random.default_rng(0)
    others = generator.permutation(np.setdiff1d(np.arange(n), bought))
    # Half at least is what nobody asked for: a map without it says nothing.
    kept = generator.permutation(bought)[: max(n_images // 2, n_images - len(others))]
    return np.sort(np.concatenate([kept, others[: n_images - len(kept)]]))


def pool_features(X: Any, positions: Array) -> Array:
    """Return the pixels of some images, or the features of other rows, as a matrix.

    Parameters
    ----------
    X : rows
        Images of files and data sets are shrunk to thumbnails.
    positions : int array of shape (m,)

    Returns
    -------
    float32 array of shape (m, d)
    """
    rows = take_rows(X, positions)
    values = rows
    if not isinstance(rows, np.ndarray) or rows.dtype.kind not in "uifb":
        # What is no array of numbers may be images in files.
        shown = thumbnails(rows)
        values = np.asarray(rows) if shown is None else shown
    return np.asarray(values, dtype=np.float32).reshape(len(positions), -1)
