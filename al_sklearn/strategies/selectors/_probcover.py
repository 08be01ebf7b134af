"""ProbCover: balls of one radius that cover as many points as they can."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array

from al_sklearn._core.checks import check_n_instances
from al_sklearn._core.random import as_generator
from al_sklearn._core.types import Bools, Chosen, Floats32, Ints
from al_sklearn.exceptions import ParameterError
from al_sklearn.strategies._engine.distances import (
    as_rows,
    device_of,
    exact_float32,
    tiles,
)
from al_sklearn.strategies._engine.given import check_positive, labelled_like, tie_rank
from al_sklearn.strategies._engine.host_rows import host_rows
from al_sklearn.strategies._engine.products import inner_products
from al_sklearn.strategies._engine.top_k import highest
from al_sklearn.strategies.selectors._k_center import k_center
from al_sklearn.strategies.selectors._kmeans import kmeans

_TILE = 512  # rows and columns of a tile of distances: 1 MiB of float32
# Pairs within the radius that are remembered: two numbers of four bytes each, twice
# while they are brought into order, at most 600 MB.
_EDGES = 2**25
_SAMPLE = 1000  # points that the purity of balls is estimated from


def probcover(
    features: Any,
    n_instances: int,
    *,
    labelled: Any = None,
    radius: float | None = None,
    purity: float = 0.95,
    n_clusters: int = 10,
    n_reference: int = 50_000,
    random_tie_break: bool = False,
    random_state: Any = None,
    chunk_rows: int | None = None,
) -> Chosen:
    """Choose points one by one, each with the most uncovered points in its ball.

    A point is uncovered while it is in no ball yet.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (n, d)
        The candidates, any real dtype, any device, any strides; a memory map is read
        tile by tile. Rows are normalised to length 1.
    n_instances : int
        How many to choose, 1 … n.
    labelled : ndarray or torch.Tensor of shape (l, d), optional
        What is labelled already: what lies in their balls is covered.
    radius : float, optional
        Of the (closed) balls, in Euclidean distance of normalised rows, so from 0 to 2.
        By default that of :func:`purity_radius`.
    purity, n_clusters : float, int
        See :func:`purity_radius`; not used where `radius` is given.
    n_reference : int, default=50000
        Where there are more candidates, a random sample of so many stands for what is
        to be covered; any can be chosen.
    random_tie_break : bool, default=False
        Points that cover equally many are taken by position; with True at random.
    random_state : int, Generator, RandomState or None, default=None
        Of the clusters and the samples, and of ties.
    chunk_rows : int, optional
        Rows looked at together. It changes memory and speed, never the result.

    Returns
    -------
    indices : ndarray of int64, shape (n_instances,)
        Positions in `features` in the order chosen, unique.
    scores : ndarray of float64, shape (n_instances,)
        Share of the candidates that each newly covers; they never increase. 0 once all
        is covered: from there on each is the farthest from all labelled and chosen ones
        (k-center).

    Raises
    ------
    ValueError
        For NaN or infinite values, shapes that do not fit, a negative radius, or
        `n_instances` outside 1 … n.

    See Also
    --------
    purity_radius : how the radius is chosen.
    k_center : what goes on once all is covered.

    Notes
    -----
    The greedy choice of [1]_. One pass of tiles, n² d / 2 multiplications, counts how
    many uncovered points each ball holds and remembers who lies in whose, as long as
    these pairs are no more than 33 millions: then a choice costs what it newly covers.
    Where the radius is so large that they are more (n² at worst), nothing is
    remembered, and one more pass over what each choice newly covers (or over what is
    left, where that is less) brings the counts up to date. Float32 decides all pairs
    but those within its rounding of the radius, which float64 decides.

    References
    ----------
    .. [1] O. Yehuda, A. Dekel, G. Hacohen and D. Weinshall. Active learning through a
           covering lens. NeurIPS 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from al_sklearn.strategies.selectors import probcover
    >>> angles = np.array([0.0, 0.1, 0.2, 1.0, 2.0, 2.1])
    >>> points = np.c_[np.cos(angles), np.sin(angles)]
    >>> indices, scores = probcover(points, 3, radius=0.11)
    >>> indices.tolist(), scores.round(2).tolist()
    ([1, 4, 3], [0.5, 0.33, 0.17])
    """
    X = as_rows(features, "features")
    n_instances = check_n_instances(n_instances, len(X))
    L = labelled_like(X, labelled)
    if radius is not None and not radius >= 0:
        raise ParameterError(
            f"radius must be a number of at least 0, got {radius!r}", "radius"
        )
    check_positive(n_reference=n_reference, chunk_rows=chunk_rows)
    rng = as_generator(random_state)
    rank = tie_rank(len(X), random_tie_break, rng)
    rows = host_rows(X, L, normalize=True)
    if radius is None:
        radius = _purity_radius(rows[: len(X)], n_clusters, purity, rng)
    reference = np.arange(len(X))
    if len(X) > n_reference:
        reference = np.sort(rng.choice(len(X), n_reference, replace=False))
    with exact_float32():
        balls = _Balls(rows, radius, device_of(X), chunk_rows or _TILE)
        chosen, scores = balls.choose(len(X), n_instances, reference, rank)
    if len(chosen) == n_instances:
        return chosen, scores
    # All is covered: k-center goes on among the rest.
    free = np.delete(np.arange(len(X)), chosen)
    covering = np.concatenate([rows[len(X) :], rows[chosen]])
    rest, _ = k_center(
        rows[free],
        n_instances - len(chosen),
        labelled=covering,
        random_tie_break=random_tie_break,
        random_state=rng,
    )
    indices = np.concatenate([chosen, free[rest]])
    return indices, np.concatenate([scores, np.zeros(len(rest))])


def purity_radius(
    features: Any,
    *,
    n_clusters: int = 10,
    purity: float = 0.95,
    random_state: Any = None,
) -> float:
    """Largest radius at which so many balls are pure.

    All points of one k-means cluster.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (n, d)
        Rows are normalised to length 1.
    n_clusters : int, default=10
        Number of k-means clusters, which stand in for the classes: as many as there are
        classes.
    purity : float, default=0.95
        Share of the balls that must be pure.
    random_state : int, Generator, RandomState or None, default=None
        Of the clusters, and of the 1,000 points whose balls are looked at where there
        are more.

    Returns
    -------
    radius : float
        From 0 to 2, which is the whole sphere.

    Raises
    ------
    ValueError
        For NaN or infinite values, a purity outside (0, 1], or no cluster.
    """
    rows = host_rows(as_rows(features, "features"), normalize=True)
    return _purity_radius(rows, n_clusters, purity, as_generator(random_state))


def _purity_radius(
    rows: Floats32, n_clusters: int, purity: float, rng: np.random.Generator
) -> float:
    if not 0 < purity <= 1:
        raise ParameterError(
            f"purity must be above 0 and at most 1, got {purity!r}", "purity"
        )
    n_clusters = check_n_instances(n_clusters, max(len(rows), n_clusters))
    labels, _ = kmeans(rows, n_clusters, random_state=rng)
    sample = np.sort(rng.choice(len(rows), min(len(rows), _SAMPLE), replace=False))
    centres = torch.from_numpy(rows[sample]).double()
    labels_of_sample = torch.from_numpy(labels[sample])
    nearest = torch.full((len(sample),), np.inf, dtype=torch.float64)
    for tile in tiles(len(rows), _TILE):
        some = torch.from_numpy(rows[tile]).double()
        norms = some.square().sum(dim=1)
        # Less the norm of the centre, which comes in at the end.
        distances = torch.mm(some, centres.T).mul_(-2).add_(norms[:, None])
        is_same = torch.from_numpy(labels[tile])[:, None] == labels_of_sample
        distances.masked_fill_(is_same, np.inf)
        torch.minimum(nearest, distances.amin(dim=0), out=nearest)
    squares = nearest.numpy() + centres.square().sum(dim=1).numpy()
    # Rounding may leave a duplicate a little below 0.
    stranger = np.sqrt(np.maximum(squares, 0))
    # A ball is pure below the distance to the nearest stranger; so many of the least of
    # these may be exceeded.
    n_impure = int((1 - purity) * len(sample) + 1e-9)
    limit = np.sort(stranger)[min(n_impure, len(sample) - 1)]
    return float(min(limit * (1 - 1e-6), 2.0))


class _Balls:
    """Balls of one radius around all rows, and what of the reference is uncovered."""

    def __init__(
        self, rows: Floats32, radius: float, device: torch.device, step: int
    ) -> None:
        self.rows = torch.from_numpy(rows).to(device)
        self.radius2 = radius**2
        # Rows of length 1 are within the radius where their product is at least this;
        # so much may float32 be off. No two are more than 2 apart, whatever rounding
        # says.
        self.least_product = 1 - self.radius2 / 2 if radius < 2 else -2.0
        self.slack = (rows.shape[1] + 16) * 2.0**-24
        self.device, self.step = device, step

    def choose(
        self,
        n: int,
        n_instances: int,
        reference: Ints,
        rank: Ints,
    ) -> Chosen:
        """Greedy covering by the first `n` rows; the others are labelled."""
        is_covered = self.count(reference, np.arange(n, len(self.rows))) > 0
        left = reference[~is_covered]
        graph = _Graph(len(self.rows))
        counts = self.count_all(n, left, graph)
        chosen: list[int] = []
        scores: list[float] = []
        while len(chosen) < n_instances:
            best = int(highest(counts.astype(np.float64), 1, rank=rank)[0])
            if counts[best] <= 0:
                break
            chosen.append(best)
            scores.append(counts[best] / len(reference))
            is_new = self.count(left, np.array([best])) > 0
            new, left = left[is_new], left[~is_new]
            counts[best] = 0
            if graph.is_whole:
                graph.forget(new, counts)
            else:
                self._recount(counts, new, left)
            counts[chosen] = 0
        return np.array(chosen, dtype=np.int64), np.array(scores)

    def _recount(self, counts: Ints, new: Ints, left: Ints) -> None:
        """Bring the counts up to date by distances.

        To what is newly covered, or to what is left.
        """
        live = np.flatnonzero(counts)
        if 2 * len(live) > len(counts):
            live = np.arange(len(counts))  # contiguous rows need not be gathered
        if len(new) <= len(left):
            counts[live] -= self.count(live, new)
        else:
            counts[live] = self.count(live, left)

    def count_all(self, n: int, left: Ints, graph: _Graph) -> Ints:
        """How many of `left` each of the first `n` rows has in its ball.

        Pairs within `left` are met once.
        """
        counts = np.zeros(n, dtype=np.int64)
        for i, tile in enumerate(tiles(len(left), self.step)):
            some = left[tile]
            for other in tiles(len(left), self.step)[i:]:
                both = other != tile
                of_rows, of_columns = self.near(some, left[other], graph, both)
                counts[some] += of_rows
                if both:
                    counts[left[other]] += of_columns
        others = np.delete(np.arange(n), left)
        counts[others] = self.count(others, left, graph)
        graph.finish()
        return counts

    def count(
        self,
        rows: Ints,
        columns: Ints,
        graph: _Graph | None = None,
    ) -> Ints:
        """How many of `columns` each of `rows` has in its ball."""
        counts = np.zeros(len(rows), dtype=np.int64)
        # Tiles of about the same number of values, however few the columns are.
        step = self.step * max(1, self.step // max(1, len(columns)))
        for tile in tiles(len(rows), step):
            for other in tiles(len(columns), self.step):
                counts[tile] += self.near(rows[tile], columns[other], graph)[0]
        return counts

    def near(
        self,
        rows: Ints,
        columns: Ints,
        graph: _Graph | None = None,
        both: bool = False,
    ) -> tuple[Ints, Ints]:
        """How many columns each row has within the radius, and vice versa.

        The second count is how many of the rows each column has within it.

        The pairs go into the graph, each row as a neighbour of the column and, with
        `both`, the other way round.
        """
        a = self.rows[self._take(rows)]
        b = self.rows[self._take(columns)]
        hits = self._hits(a, b, inner_products(a, b))
        if graph is not None and self.device.type != "cpu":
            graph.drop()
        if graph is None or not graph.is_whole:
            return np.count_nonzero(hits, axis=1), np.count_nonzero(hits, axis=0)
        first, second = np.divmod(np.flatnonzero(hits), len(columns))
        u = rows[first].astype(np.int32)
        v = columns[second].astype(np.int32)
        graph.add(v, u)
        if both:
            graph.add(u, v)
        return (
            np.bincount(first, minlength=len(rows)),
            np.bincount(second, minlength=len(columns)),
        )

    def _hits(self, a: torch.Tensor, b: torch.Tensor, products: torch.Tensor) -> Bools:
        """Which pairs are within the radius of each other."""
        # Compared by numpy, which takes a tenth of torch's time.
        close = products.cpu().numpy()
        hits = close >= np.float32(self.least_product + self.slack)
        perhaps = close >= np.float32(self.least_product - self.slack)
        # Few pairs are so near the radius that float32 leaves them open: a flat search
        # skips what is False eight at a time, one by axes does not.
        p, q = np.divmod(np.flatnonzero(hits != perhaps), hits.shape[1])
        for tile in tiles(len(p), _TILE):
            i, j = p[tile], q[tile]
            differences = a[i].double() - b[j].double()
            distances = differences.square_().sum(dim=1).cpu().numpy()
            hits[i, j] = distances <= self.radius2
        return hits

    def _take(self, indices: Ints) -> Any:
        # A slice is a view of the rows and saves a copy.
        if len(indices) and indices[-1] - indices[0] == len(indices) - 1:
            return slice(int(indices[0]), int(indices[-1]) + 1)
        return torch.from_numpy(indices).to(self.device)


class _Graph:
    """In whose balls each row lies, as long as that fits into a fixed share of memory.

    Else nothing.
    """

    def __init__(self, n: int) -> None:
        self.is_whole = True
        self.n, self.n_edges = n, 0
        self._parts: list[tuple[NDArray[np.int32], NDArray[np.int32]]] = []

    def add(self, sources: NDArray[np.int32], targets: NDArray[np.int32]) -> None:
        """More edges, while there is room."""
        self.n_edges += len(sources)
        if self.n_edges > _EDGES:
            self.drop()
        else:
            self._parts.append((sources, targets))

    def drop(self) -> None:
        """Give up: the graph is not held."""
        self.is_whole = False
        self._parts = []

    def finish(self) -> None:
        """Join the edges: neighbours of one row lie side by side."""
        if not self.is_whole:
            return
        nothing = (np.empty(0, np.int32), np.empty(0, np.int32))
        sources, targets = map(np.concatenate, zip(nothing, *self._parts, strict=True))
        self._parts = []
        is_edge = np.ones(len(sources), dtype=bool)
        edges = coo_array((is_edge, (sources, targets)), shape=(self.n, self.n))
        # No pair is met twice; not knowing, scipy would sort all of them to find out.
        edges.has_canonical_format = True
        self.edges = edges.tocsr()

    def forget(self, points: Ints, counts: Ints) -> None:
        """Lower the counts of all in whose balls the points lie."""
        counts -= np.bincount(self.edges[points].indices, minlength=len(counts))
