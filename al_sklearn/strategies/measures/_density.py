"""How typical a point is of the pool: mean similarity, without an n x n matrix."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike

from al_sklearn._core.checks import unknown_name
from al_sklearn._core.random import as_generator
from al_sklearn._core.types import Floats, Ints
from al_sklearn.exceptions import ParameterError
from al_sklearn.strategies._engine.distances import (
    Array,
    Space,
    as_rows,
    exact_float32,
    float64_rows,
    tile_rows,
    tiles,
)
from al_sklearn.strategies._engine.products import inner_products, matmul64

_METRICS = ("cosine", "dot", "euclidean")
# Rows and columns of a tile of similarities: 1 MiB of float32 stays in a second-level
# cache through all the steps.
_TILE = 512
_GROUP = 32 * _TILE  # rows made ready for the products at a time
# Squared distances below this share of the squared sizes are lost to float32, and made
# again in float64.
_NEAR = 2.0**-10
_NEAR64 = 2.0**-44


def information_density(
    features: Any,
    *,
    metric: str = "cosine",
    n_reference: int | None = None,
    random_state: Any = None,
) -> Floats:
    """Mean similarity of every point to all points of the pool, itself included.

    The measure is that of Settles & Craven, EMNLP 2008.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (n, d)
        Any real dtype, any device.
    metric : {"cosine", "dot", "euclidean"}, default="cosine"
        Similarity: the cosine (0 for a row of zeros), the inner product, or 1 / (1 +
        Euclidean distance). The first two cost O(n d), through the mean feature; the
        last O(n² d) time, in tiles, and O(n) memory.
    n_reference : int, optional
        For ``"euclidean"``: compare with so many points drawn from the pool, instead of
        all.
    random_state : int, Generator, RandomState or None
        Used with `n_reference` alone.

    Returns
    -------
    density : ndarray of float64, shape (n,)

    Raises
    ------
    ValueError
        For NaN or infinite values, an unknown metric, or no reference.

    Examples
    --------
    >>> import numpy as np
    >>> information_density(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 2.0]])).round(3)
    array([0.667, 0.667, 0.333])
    """
    X = as_rows(features, "features")
    if metric not in _METRICS:
        raise unknown_name("metric", metric, _METRICS)
    if n_reference is not None and n_reference < 1:
        raise ParameterError(
            f"n_reference must be at least 1, got {n_reference}.", "n_reference"
        )
    if len(X) == 0:
        return np.empty(0)
    if metric == "euclidean":
        with exact_float32():
            if n_reference is None or n_reference >= len(X):
                return _euclidean(X)
            reference = np.sort(
                as_generator(random_state).choice(len(X), n_reference, replace=False)
            )
            return _euclidean_to(X, reference)
    return _linear(X, metric == "cosine")


def density_weighted(
    utilities: ArrayLike, density: ArrayLike, *, beta: float = 1.0
) -> Floats:
    """Utility times densityᵝ (Settles & Craven, EMNLP 2008).

    Parameters
    ----------
    utilities : array-like of shape (n,)
        Uncertainty, higher = ask first.
    density : array-like of shape (n,)
        :func:`information_density`; a negative one, of a point that looks away from the
        others, counts as 0.
    beta : float, default=1
        How much density counts, >= 0.

    Returns
    -------
    utilities : ndarray of float64, shape (n,)

    Raises
    ------
    ValueError
        For shapes that do not fit or a negative beta.
    """
    values, dense = (
        np.asarray(a.cpu() if hasattr(a, "cpu") else a, dtype=np.float64)
        for a in (utilities, density)
    )
    if values.ndim != 1 or values.shape != dense.shape:
        raise ValueError(
            "utilities and density must be one number per candidate, got "
            f"{values.shape}, {dense.shape}"
        )
    if not (np.isfinite(beta) and beta >= 0):
        raise ParameterError(
            f"beta must be a number of at least 0, got {beta!r}.", "beta"
        )
    return values * np.maximum(dense, 0) ** beta


def _rows64(X: Array, tile: slice, normalize: bool) -> Floats:
    rows = float64_rows(X, tile)
    if normalize:
        # By the largest value first: squares of large and tiny rows neither overflow
        # nor vanish.
        largest = np.abs(rows).max(axis=1, keepdims=True)
        rows = rows / np.where(largest == 0, 1, largest)
        norms = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
        rows = rows / np.where(norms == 0, 1, norms)
    return rows


def _linear(X: Array, normalize: bool) -> Floats:
    step = tile_rows(X.shape[1])
    with np.errstate(invalid="ignore"):  # infinity by itself is NaN: found below
        total = sum(
            (_rows64(X, tile, normalize).sum(axis=0) for tile in tiles(len(X), step)),
            np.zeros(X.shape[1]),
        )
        if not np.isfinite(total).all():
            raise ValueError("the features contain NaN, infinity or values too large")
        mean = total / len(X)
        return np.concatenate(
            [_rows64(X, tile, normalize) @ mean for tile in tiles(len(X), step)]
        )


class _Part(NamedTuple):
    """Some rows, their squared sizes, and the largest of these."""

    key: slice | Ints
    rows: torch.Tensor
    sizes: torch.Tensor
    largest: float


class _Similarity:
    """Sums of 1 / (1 + distance) between rows of X, tile by tile."""

    def __init__(self, X: Array) -> None:
        self.X, self.space = X, Space(X)
        self.unit = float(np.sqrt(self.space.unit))

    def parts(self, key: slice | Ints) -> list[_Part]:
        """Rows `key` as the parts of tiles."""
        rows = self.space.rows((self.X,), key)
        return [
            _Part(
                slice(key.start + part.start, key.start + part.stop)
                if isinstance(key, slice)
                else key[part],
                rows.parts[0][part],
                rows.norms[part],
                float(rows.norms[part].amax()),
            )
            for part in tiles(len(rows.norms), _TILE)
        ]

    def sums(self, a: _Part, b: _Part) -> tuple[Floats, Floats]:
        """Sums over the columns and over the rows of one tile."""
        squares = inner_products(-2 * a.rows, b.rows, b.sizes)
        squares.add_(a.sizes[:, None])
        if a is b:
            # Each row is near itself: not worth a second look.
            squares.fill_diagonal_(torch.inf)
        # Usually nothing in a tile is near, which one look at the minimum tells.
        if float(squares.amin()) < _NEAR * (a.largest + b.largest):
            squares = self._corrected(squares, a, b)
        if a is b:
            squares.fill_diagonal_(0)
        # In one step each and in place: every pass over a tile costs as much as a tenth
        # of its products.
        distances = squares.sqrt_()
        one = distances.new_ones(())
        similarity = torch.add(one, distances, alpha=self.unit, out=squares)
        similarity.reciprocal_()
        over_columns, over_rows = similarity.sum(dim=1), similarity.sum(dim=0)
        return over_columns.double().cpu().numpy(), over_rows.double().cpu().numpy()

    def _corrected(self, squares: torch.Tensor, a: _Part, b: _Part) -> torch.Tensor:
        """The squared distances with those made again that float32 has lost."""
        near = squares < _NEAR * (a.sizes[:, None] + b.sizes)
        n_near = int(near.sum())
        if n_near > near.numel() // 16:
            return (
                torch.from_numpy(self._squares64(a.key, b.key))
                .float()
                .to(squares.device)
            )
        if n_near:
            i, j = (index.cpu().numpy() for index in near.nonzero(as_tuple=True))
            x, y = (self.space.rows64((self.X,), part.key)[0] for part in (a, b))
            exact = np.square(x[i] - y[j]).sum(axis=1)
            squares[near] = torch.from_numpy(exact).float().to(squares.device)
        return squares.clamp_(min=0)

    def _squares64(self, row_key: Any, column_key: Any) -> Floats:
        x, y = (self.space.rows64((self.X,), key)[0] for key in (row_key, column_key))
        x, y = x - x[0], y - x[0]
        sizes = np.square(x).sum(axis=1)[:, None] + np.square(y).sum(axis=1)
        squares = sizes - 2 * matmul64(x, y.T)
        return np.where(squares > _NEAR64 * sizes, squares, 0.0)


def _euclidean(X: Array) -> Floats:
    """Mean over all pairs, each pair once."""
    similarity = _Similarity(X)
    total = np.zeros(len(X))
    groups = tiles(len(X), _GROUP)
    for i, one in enumerate(groups):
        rows = similarity.parts(one)
        for other in groups[i:]:
            columns = rows if other is one else similarity.parts(other)
            for k, row in enumerate(rows):
                for column in columns[k:] if other is one else columns:
                    over_columns, over_rows = similarity.sums(row, column)
                    total[row.key] += over_columns
                    if column is not row:
                        total[column.key] += over_rows
    return total / len(X)


def _euclidean_to(X: Array, reference: Ints) -> Floats:
    similarity = _Similarity(X)
    total = np.zeros(len(X))
    for group in tiles(len(reference), _GROUP):
        columns = similarity.parts(reference[group])
        for one in tiles(len(X), _GROUP):
            for row in similarity.parts(one):
                for column in columns:
                    total[row.key] += similarity.sums(row, column)[0]
    return total / len(reference)
