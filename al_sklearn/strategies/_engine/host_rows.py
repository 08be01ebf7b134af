"""Features as float32 rows on the host, normalised or centred, for libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_sklearn.strategies._engine.distances import (
    Array,
    Space,
    tile_rows,
    tiles,
)


def host_rows(*arrays: Array, normalize: bool) -> NDArray[np.float32]:
    """Rows of the arrays, one after the other, as a new float32 array.

    A library can take it as it is.

    Normalised to length 1, or centred and scaled so that float32 can tell them apart.
    Where rows of zeros are to be normalised, one more column puts them at right angles
    to all others.

    Raises
    ------
    ValueError
        For NaN or infinite values, or another number of columns.
    """
    n_columns = arrays[0].shape[1]
    for array in arrays[1:]:
        if array.shape[1] != n_columns:
            raise ValueError(
                f"labelled has {array.shape[1]} columns and features {n_columns}: "
                "they must be the same"
            )
    space = Space(arrays[0])
    out = np.empty((sum(len(a) for a in arrays), n_columns), dtype=np.float32)
    offset: Any = 0.0
    if not normalize:
        total: Any = 0.0
        for tile in tiles(len(arrays[0]), tile_rows(n_columns)):
            total = total + space.rows64((arrays[0],), tile)[0].sum(axis=0)
        offset = total / len(arrays[0])
    start = 0
    zeros: list[NDArray[np.int64]] = []
    for array in arrays:
        for tile in tiles(len(array), tile_rows(n_columns)):
            (values,) = space.rows64((array,), tile)
            if normalize:
                norms = np.sqrt(np.square(values).sum(axis=1, keepdims=True))
                values /= np.where(norms == 0, 1, norms)
                zeros.append(start + tile.start + np.flatnonzero(norms == 0))
            else:
                values -= offset
            if not np.isfinite(values.sum()):
                raise ValueError(
                    "the features contain NaN, infinity or values too large"
                )
            out[start + tile.start : start + tile.stop] = values
        start += len(array)
    is_zero = np.concatenate(zeros) if normalize else np.empty(0, dtype=np.int64)
    if len(is_zero):
        out = np.hstack([out, np.zeros((len(out), 1), dtype=np.float32)])
        out[is_zero, -1] = 1
    return out
