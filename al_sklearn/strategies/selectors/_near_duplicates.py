"""Rows that say what an earlier row says already.

Found block by block, exactly or through faiss.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from al_sklearn._core.checks import unknown_name
from al_sklearn._core.optional import require
from al_sklearn._core.types import Bools, Ints
from al_sklearn.exceptions import ParameterError
from al_sklearn.rows import (
    are_files,
    by_chunks,
    channels_come_first,
    decode_all,
    file_names,
)
from al_sklearn.strategies._engine.distances import (
    Array,
    as_rows,
    exact_float32,
    take_rows,
    tiles,
)
from al_sklearn.strategies._engine.given import labelled_like
from al_sklearn.strategies._engine.products import inner_products

_BLOCK: Final = 2048  # candidates that meet the rows kept together
_TILE: Final = 8192  # rows kept that they meet at a time
NEIGHBORS: Final = ("auto", "exact", "faiss")
# Rows below which "auto" never approximates: exact is a matter of seconds.
_FEW: Final = 50_000
_HASH_SHAPE: Final = (8, 9)


def near_duplicates(
    features: Any, threshold: float, *, known: Any = None, neighbors: str = "auto"
) -> Bools:
    """Find the rows that are near an earlier row: everything but one of each group.

    From the first row to the last, a row is kept unless its cosine similarity to a row
    kept before it, or to a known row, reaches the threshold.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (n, d)
        Embeddings; a memory map is read block by block.
    threshold : float
        Least cosine similarity of near-duplicates, above 0 and at most 1.
    known : ndarray or torch.Tensor of shape (l, d), optional
        Rows that are there already, such as labelled ones.
    neighbors : {"auto", "exact", "faiss"}, default="auto"
        ``exact`` compares each row with all that are kept: O(n² d) time, O(n + blocks)
        memory. ``faiss`` looks for the nearest kept row in an inverted file: much
        faster, it may overlook some near-duplicates, and holds the rows that are kept
        in memory; what it finds is checked, so that nothing else is dropped. ``auto``
        takes faiss where it is installed and there are more than 50,000 rows.

    Returns
    -------
    is_near : bool ndarray of shape (n,)

    Raises
    ------
    ValueError
        For a threshold outside (0, 1], an unknown ``neighbors``, another number of
        columns, NaN or infinite values.
    ImportError
        For ``neighbors="faiss"`` where faiss is not installed.

    Notes
    -----
    Float32 finds the pairs that may reach the threshold, float64 decides; blocks change
    nothing. Rows of zeros are near one another and nothing else.

    Examples
    --------
    >>> points = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.1], [1.0, 1.0]])
    >>> near_duplicates(points, 0.9).tolist()
    [False, False, True, False]
    """
    X = as_rows(features, "features")
    if not 0 < threshold <= 1:
        raise ParameterError(
            "threshold must be a cosine similarity above 0 and at most 1, got "
            f"{threshold!r}.",
            "threshold",
        )
    if neighbors not in NEIGHBORS:
        raise unknown_name("neighbors", neighbors, NEIGHBORS)
    L = labelled_like(X, known, "known")
    approximates = neighbors == "faiss"
    if neighbors == "auto" and len(X) > _FEW:
        approximates = importlib.util.find_spec("faiss") is not None
    kept = _Faiss(X, L, threshold) if approximates else _Exact(X, L, threshold)
    with exact_float32():
        return kept.run()


class _Exact:
    """The rows kept so far, compared with every new one."""

    def __init__(self, X: Array, L: Array | None, threshold: float):
        self.X, self.L, self.threshold = X, L, threshold
        # What rounding may do to a product of two float32 rows of length 1.
        self.slack = (X.shape[1] + 16) * 2.0**-23
        self.seen_zero = False

    def run(self) -> Bools:
        is_near = np.zeros(len(self.X), dtype=bool)
        if self.L is not None:
            self.seen_zero = any(
                bool((_unit(self.L, tile).norm(dim=1) == 0).any())
                for tile in tiles(len(self.L), _TILE)
            )
        for block in tiles(len(self.X), _BLOCK):
            rows = _unit(self.X, block)
            near = self.near_kept(rows, block, np.flatnonzero(~is_near[: block.start]))
            self._among(rows, block.start, near)
            is_near[block] = near
        return is_near

    def near_kept(self, rows: torch.Tensor, block: slice, kept: Ints) -> Bools:
        """Which rows of a block are near a known row or one kept before the block."""
        near = np.zeros(len(rows), dtype=bool)
        for tile in tiles(0 if self.L is None else len(self.L), _TILE):
            assert self.L is not None
            self._mark(
                rows,
                block,
                _unit(self.L, tile),
                self.L,
                np.arange(tile.start, tile.stop),
                near,
            )
        for tile in tiles(len(kept), _TILE):
            self._mark(rows, block, _unit(self.X, kept[tile]), self.X, kept[tile], near)
        return near

    def _mark(
        self,
        rows: torch.Tensor,
        block: slice,
        others: torch.Tensor,
        source: Array,
        positions: Ints,
        near: Bools,
    ) -> None:
        todo = np.flatnonzero(~near)
        if not len(todo):
            return
        similarity = inner_products(take_rows(rows, todo), others)
        # Above the slack float32 decides; within it float64 has the last word.
        is_sure = similarity.amax(dim=1) >= self.threshold + self.slack
        near[todo[is_sure.cpu().numpy()]] = True
        may_be = similarity >= self.threshold - self.slack
        maybe, where = np.nonzero(may_be.cpu().numpy())
        open_ = ~near[todo[maybe]]
        for i, j in zip(todo[maybe[open_]], positions[where[open_]], strict=True):
            if not near[i]:
                near[i] = self.is_pair(self.X, block.start + int(i), source, int(j))

    def _among(self, rows: torch.Tensor, start: int, near: Bools) -> None:
        """Mark the rows of a block that are near an earlier one of it that is kept."""
        is_zero = (rows.norm(dim=1) == 0).cpu().numpy()
        may_be = inner_products(rows, rows) >= self.threshold - self.slack
        similar = may_be.cpu().numpy()
        for i in range(len(rows)):
            if is_zero[i]:
                near[i], self.seen_zero = self.seen_zero, True
            elif not near[i]:
                earlier = np.flatnonzero(similar[i, :i] & ~near[:i])
                near[i] = any(
                    self.is_pair(self.X, start + i, self.X, start + int(j))
                    for j in earlier
                )

    def is_pair(self, a: Array, i: int, b: Array, j: int) -> bool:
        """Whether two rows reach the threshold, in float64."""
        first = _tensor(a[i]).double().cpu()
        second = _tensor(b[j]).double().cpu()
        # Scaled first: squares of large values overflow.
        first = first / first.abs().max().clamp(min=1e-300)
        second = second / second.abs().max().clamp(min=1e-300)
        norms = (first.norm() * second.norm()).clamp(min=1e-300)
        # A few units of the last place below 1, for rows that are the same.
        return float(first @ second / norms) >= self.threshold - 4e-15


class _Faiss(_Exact):
    """The same with the nearest kept row looked for in an inverted file."""

    def __init__(self, X: Array, L: Array | None, threshold: float):
        super().__init__(X, L, threshold)
        otherwise = "faiss-cpu, or take neighbors='exact'"
        faiss = require("faiss", "neighbors='faiss'", otherwise)
        n, d = X.shape
        n_lists = max(1, int(min(4 * n**0.5, n / 40)))
        self.index = faiss.IndexIVFFlat(
            faiss.IndexFlatIP(d), d, n_lists, faiss.METRIC_INNER_PRODUCT
        )
        self.index.nprobe = min(n_lists, 16)
        step = max(1, n // (40 * n_lists))
        self.index.train(_unit(X, np.arange(0, n, step)).cpu().numpy())
        self.origin: list[tuple[Array, int]] = []
        self.added = 0
        if L is not None:
            for tile in tiles(len(L), _TILE):
                self._add(_unit(L, tile), L, np.arange(tile.start, tile.stop))

    def _add(self, rows: torch.Tensor, source: Array, positions: Ints) -> None:
        self.index.add(rows.cpu().numpy())
        self.origin += [(source, int(j)) for j in positions]

    def near_kept(self, rows: torch.Tensor, block: slice, kept: Ints) -> Bools:
        new = kept[kept >= self.added]
        if len(new):
            self._add(_unit(self.X, new), self.X, new)
        self.added = block.start
        near = np.zeros(len(rows), dtype=bool)
        if self.origin:
            found = self.index.search(rows.cpu().numpy(), 1)
            similarity, nearest = (part[:, 0] for part in found)
            # -1 where the lists looked at hold nothing.
            is_found = nearest >= 0
            near = is_found & (similarity >= self.threshold + self.slack)
            may_be = is_found & (similarity >= self.threshold - self.slack)
            for i in np.flatnonzero(may_be & ~near):
                source, j = self.origin[nearest[i]]
                near[i] = self.is_pair(self.X, block.start + int(i), source, j)
        return near


def _tensor(rows: Any) -> torch.Tensor:
    # A copy: torch warns about read-only memory.
    return rows if isinstance(rows, torch.Tensor) else torch.from_numpy(np.array(rows))


def _unit(X: Array, key: slice | Ints) -> torch.Tensor:
    """Some rows scaled to length 1, float32; rows of zeros stay."""
    values = _tensor(take_rows(X, key)).double()
    largest = values.abs().amax(dim=1, keepdim=True)
    if not bool(torch.isfinite(largest).all()):
        raise ValueError("the features contain NaN or infinity")
    values = values / torch.where(largest == 0, 1.0, largest)
    norms = values.norm(dim=1, keepdim=True)
    return (values / torch.where(norms == 0, 1.0, norms)).float()


def perceptual_hash(X: Any) -> NDArray[np.int8]:
    """Hash images so that images that look the same have few bits that differ.

    The difference hash: the image in grey, averaged to 9 x 8 fields, and for each field
    whether its right neighbour is brighter. Resizing, compression and a change of
    brightness or contrast hardly matter; crops and turns do.

    Parameters
    ----------
    X : images
        Arrays, memmaps, HDF5 or tensors (n, H, W), (n, H, W, C) uint8 or (n, C, H, W)
        float, or image files. Read in pieces.

    Returns
    -------
    bits : int8 ndarray of shape (n, 64)
        -1 and 1: the cosine similarity of two rows is 1 - (bits that differ) / 32.

    Raises
    ------
    ValueError
        For anything else than images.

    References
    ----------
    N. Krawetz, "Kind of Like That", The Hacker Factor Blog, 2013.
    """
    return by_chunks(_hash_rows, X)


def _hash_rows(rows: Any) -> NDArray[np.int8]:
    if are_files(rows):
        # Eight times as large as the fields: the average is then the same as of the
        # whole image.
        size = (8 * _HASH_SHAPE[0], 8 * _HASH_SHAPE[1])
        rows = np.stack(decode_all(file_names(rows), size, "L"))
    if not hasattr(rows, "dtype") or not hasattr(rows, "shape"):
        raise ValueError(
            "A perceptual hash needs arrays of images or image files, got "
            f"{type(rows).__name__}."
        )
    images = _tensor(rows)
    if images.ndim not in (3, 4):
        raise ValueError(
            "A perceptual hash needs images (n, H, W[, C]) or (n, C, H, W), got "
            f"{tuple(images.shape)}."
        )
    if images.ndim == 4:
        # The rule of the package: uint8 has its channels last, float has them first.
        last = images.dtype == torch.uint8 and not channels_come_first(images)
        axis = 3 if last else 1
        images = images.float().mean(dim=axis)
    fields = torch.nn.functional.adaptive_avg_pool2d(
        images.float()[:, None], _HASH_SHAPE
    )[:, 0]
    brighter = fields[:, :, 1:] > fields[:, :, :-1]
    return (2 * brighter.flatten(1).to(torch.int8) - 1).cpu().numpy()
