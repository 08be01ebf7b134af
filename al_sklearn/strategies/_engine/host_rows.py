"""Features as float32 rows on the host, normalised or centred, for libraries."""

from __future__ import annotations

from typing import Any

import numpy as np

from al_sklearn._core.types import Floats32, Ints
from al_sklearn.strategies._engine.distances import (
    Array,
    Space,
    tile_rows,
    tiles,
)


def host_rows(X: Array, labelled: Array | None = None, *, normalize: bool) -> Floats32:
    """Rows of X, and then labelled ones, as a new float32 array.

    A library can take it as it is.

    Normalised to length 1, or centred and scaled so that float32 can tell them apart.
    Where rows of zeros are to be normalised, one more column puts them at right angles
    to all others.

    Raises
    ------
    ValueError
        For NaN or infinite values.
    """
    n_columns = X.shape[1]
    arrays = [X] if labelled is None else [X, labelled]
    space = Space(X)
    out = np.empty((sum(map(len, arrays)), n_columns), dtype=np.float32)
    offset: Any = 0.0
    # By the candidates' mean alone, so that it does not move with what is labelled.
    if not normalize:
        total: Any = 0.0
        for tile in tiles(len(X), tile_rows(n_columns)):
            total = total + space.rows64((X,), tile)[0].sum(axis=0)
        offset = total / len(X)
    start = 0
    zeros: list[Ints] = []
    for array in arrays:
        for tile in tiles(len(array), tile_rows(n_columns)):
            (values,) = space.rows64((array,), tile)
            if normalize:
                norms = np.sqrt(np.square(values).sum(axis=1, keepdims=True))
                values /= np.where(norms == 0, 1, norms)
                zeros.append(start + tile.start + np.flatnonzero(norms == 0))
            else:
                values -= offset
            # NaN and infinity survive a sum; one number a tile is looked at.
            if not np.isfinite(values.sum()):
                raise ValueError(
                    "the features contain NaN, infinity or values too large"
                )
            out[start + tile.start : start + tile.stop] = values
        start += len(array)
    is_zero = np.concatenate(zeros) if normalize else np.empty(0, dtype=np.int64)
    # Only then: one more column is a copy of all.
    if len(is_zero):
        out = np.hstack([out, np.zeros((len(out), 1), dtype=np.float32)])
        out[is_zero, -1] = 1
    return out
