"""How far rows are from their mean, and from each other at least."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from al_sklearn._core.checks import renamed, unknown_name
from al_sklearn._core.types import Floats
from al_sklearn.strategies._engine.distances import SPACES, as_rows, tile_rows, tiles
from al_sklearn.strategies._engine.host_rows import host_rows

_TILE = 512  # rows and columns of a tile: 2 MiB of float64


@renamed(rows="features")
def least_distance(features: Any) -> float:
    """Least positive Euclidean distance between normalised rows: UHerding's bandwidth.

    1 where there is none.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (l, d)
        The embeddings of what is labelled.

    Returns
    -------
    distance : float
        From 0 (exclusive) to 2.
    """
    if len(features) < 2:
        return 1.0
    normalised = torch.from_numpy(
        host_rows(as_rows(features, "features"), normalize=True)
    )
    least = np.inf
    for i, tile in enumerate(tiles(len(normalised), _TILE)):
        some = normalised[tile].double()
        for other in tiles(len(normalised), _TILE)[i:]:
            others = normalised[other].double()
            squared = torch.mm(some, others.T).mul_(-2)
            squared.add_(some.square().sum(dim=1)[:, None]).add_(
                others.square().sum(dim=1)
            )
            # Rounding to float32 moved rows by 1e-7: what is nearer than that is the
            # same point.
            least = min(
                least, float(squared.masked_fill_(squared < 1e-12, np.inf).min())
            )
    return float(np.sqrt(least)) if np.isfinite(least) else 1.0


def distance_to_mean(features: Any, *, metric: str = "euclidean") -> Floats:
    """Distance of each row to the mean row: the centre of gravity.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (n, d)
        Any real dtype, any device, any strides; a memory map is read tile by tile.
    metric : {"euclidean", "manhattan", "cosine"}, default="euclidean"
        For cosine, rows are normalised before their mean is taken, and the distance is
        half the squared one to it.

    Returns
    -------
    utilities : ndarray of float64, shape (n,)

    Raises
    ------
    ValueError
        For NaN or infinite values, or an unknown metric.

    Examples
    --------
    >>> import numpy as np
    >>> distance_to_mean(np.array([[0.0], [1.0], [5.0]])).tolist()
    [2.0, 1.0, 3.0]
    """
    X = as_rows(features, "features")
    if metric not in SPACES:
        raise unknown_name("metric", metric, SPACES)
    if len(X) == 0:
        return np.empty(0)
    space = SPACES[metric](X)
    steps = tiles(len(X), tile_rows(space.width))
    total: Any = 0.0
    for tile in steps:
        total = total + space.rows64((X,), tile)[0].sum(axis=0)
    mean = (total / len(X))[None]
    distances = (
        np.concatenate(
            [space.distance(space.rows64((X,), tile), (mean,)) for tile in steps]
        )
        * space.unit
    )
    if not np.isfinite(distances).all():
        raise ValueError("the features contain NaN, infinity or values too large")
    return np.sqrt(distances) if space.squared else distances
