"""k-means++ seeding (D² sampling) without going over the pool for each centre.

The seeding of BADGE on gradient factors is here too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from al_sklearn._core.checks import check_n_instances, renamed
from al_sklearn._core.random import as_generator
from al_sklearn._core.types import Chosen
from al_sklearn.strategies._engine.distances import (
    Array,
    OuterProductSpace,
    Space,
    as_rows,
    exact_float32,
    nearest_chosen,
    tile_rows,
    tiles,
)
from al_sklearn.strategies._engine.given import drawn_by_weight, filled

_REFRESH = 128  # at most so many centres are added between two passes over the pool
_PROPOSAL_VALUES = 2**21  # values of the rows proposed together: 16 MiB of float64


def kmeans_plusplus(
    features: Any, n_instances: int, *, random_state: Any = None
) -> Chosen:
    """Draw points as k-means++ draws its centres.

    The first uniformly at random, each other with probability proportional to its
    squared distance to the nearest drawn before [1]_.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (n, d)
        Any real dtype, any device, any strides; a memory map is read tile by tile.
    n_instances : int
        How many to draw, 1 … n.
    random_state : int, Generator, RandomState or None, default=None
        The same state gives the same draw.

    Returns
    -------
    indices : ndarray of int64, shape (n_instances,)
        Positions in the order drawn, unique. Once nothing is left but duplicates of
        what is drawn, they follow by position.
    scores : ndarray of float64, shape (n_instances,)
        Squared distance of each to the nearest drawn before it; infinity for the first.

    Raises
    ------
    ValueError
        For NaN or infinite values, or `n_instances` outside 1 … n.

    See Also
    --------
    gradient_kmeans_plusplus : the same on outer products, from their factors.

    Notes
    -----
    The distribution is that of the textbook algorithm without local trials. Proposals
    are drawn from old squared distances (distances only shrink, so they are upper
    bounds), their true ones are computed in float64, and each is accepted with
    probability true / old. All distances are brought up to date by one blocked GEMM
    after 1, 2, 4, … 128 new centres.

    References
    ----------
    .. [1] D. Arthur and S. Vassilvitskii. k-means++: the advantages of careful seeding.
           SODA 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from al_sklearn.strategies.selectors import kmeans_plusplus
    >>> points = np.array([[0.0], [0.0], [3.0], [3.0]])
    >>> indices, scores = kmeans_plusplus(points, 2, random_state=0)
    >>> scores.tolist()
    [inf, 9.0]
    """
    X = as_rows(features, "features")
    n_instances = check_n_instances(n_instances, len(X))
    with exact_float32():
        seeding = _Seeding(Space(X), (X,), as_generator(random_state))
        seeding.start_anywhere()
        return seeding.draw(n_instances)


@renamed(embeddings="features")
def gradient_kmeans_plusplus(
    features: Any, residuals: Any, n_instances: int, *, random_state: Any = None
) -> Chosen:
    """Draw gradients as k-means++ draws its centres, from their factors.

    BADGE's selection.

    The gradient of point i in the last layer is the outer product of its residual and
    its embedding. The first draw is the largest gradient, each other has probability
    proportional to its squared distance to the nearest drawn before [1]_.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (n, d)
        Input of the last layer.
    residuals : ndarray or torch.Tensor of shape (n, C)
        Predicted label in one-hot form less the probabilities, or the other way round.
    n_instances : int
        How many to draw, 1 … n.
    random_state : int, Generator, RandomState or None, default=None
        The same state gives the same draw.

    Returns
    -------
    indices : ndarray of int64, shape (n_instances,)
        Positions in the order drawn, unique. Once only duplicates of what is drawn are
        left, they follow by position.
    scores : ndarray of float64, shape (n_instances,)
        Squared distance of each gradient to the nearest drawn before it (0 for
        duplicates); for the first its squared norm.

    Raises
    ------
    ValueError
        For NaN or infinite values, shapes that do not fit, or `n_instances` outside 1 …
        n.

    See Also
    --------
    kmeans_plusplus : the same on plain features, with how it works.

    Notes
    -----
    The (n, C·d) matrix of gradients is never made: the inner product of two of them is
    that of the residuals times that of the features. The origin is no centre: the
    first gradient is chosen by its norm and then everything is measured from what is
    chosen.

    References
    ----------
    .. [1] J. T. Ash, C. Zhang, A. Krishnamurthy, J. Langford and A. Agarwal. Deep batch
           active learning by diverse,
       uncertain gradient lower bounds. ICLR 2020.
    """
    A, H = as_rows(residuals, "residuals"), as_rows(features, "features")
    if len(A) != len(H):
        raise ValueError(
            f"residuals have {len(A)} rows and features {len(H)}: they must be the "
            "same points"
        )
    n_instances = check_n_instances(n_instances, len(H))
    with exact_float32():
        seeding = _Seeding(OuterProductSpace(A, H), (A, H), as_generator(random_state))
        seeding.start_at_largest()
        return seeding.draw(n_instances)


class _Seeding:
    """State of one draw: an upper bound of each row's D², and D² where known."""

    def __init__(
        self, space: Space, arrays: tuple[Array, ...], generator: np.random.Generator
    ) -> None:
        self.space, self.arrays, self.generator = space, arrays, generator
        n = len(arrays[0])
        self.upper = np.full(n, np.inf)  # at least D²; 0 for what is drawn
        self.exact = np.full(n, np.inf)  # D² to the first `seen` centres
        self.seen = np.zeros(n, dtype=np.int64)
        self.chosen: list[int] = []
        self.scores: list[float] = []
        self.in_upper = 0  # how many of the centres `upper` knows
        self.rate = 1.0  # share of the proposals accepted of late

    def start_anywhere(self) -> None:
        """First centre: uniformly at random."""
        self._take(int(self.generator.integers(len(self.upper))), np.inf)

    def start_at_largest(self) -> None:
        """First centre: the largest norm, the first of several."""
        step = tile_rows(self.space.width)
        norms = np.empty(len(self.upper))
        for tile in tiles(len(norms), step):
            rows = self.space.rows(self.arrays, tile)
            norms[tile] = rows.norms.double().cpu().numpy()
        near = np.flatnonzero(norms >= norms.max() * (1 - 2 * self.space.slack))
        # Float64 decides between those that float32 cannot tell apart.
        for tile in tiles(len(near), step):
            rows64 = self.space.rows64(self.arrays, near[tile])
            squares = [np.square(r).sum(axis=1) for r in rows64]
            norms[near[tile]] = np.prod(squares, axis=0)
        first = int(near[norms[near].argmax()])
        self._take(first, float(norms[first]))

    def draw(self, n_instances: int) -> Chosen:
        """All other centres."""
        n_between = 1
        while len(self.chosen) < n_instances:
            self._refresh()
            until = min(n_instances, len(self.chosen) + n_between)
            while len(self.chosen) < until and self.upper.any():
                self._propose(until)
            if not self.upper.any():
                break
            n_between = min(2 * n_between, _REFRESH)
        by_position = np.arange(len(self.upper))
        indices, scores = filled(self.chosen, self.scores, by_position, n_instances)
        return indices, scores * self.space.unit

    def _take(self, index: int, score: float) -> None:
        self.chosen.append(index)
        self.scores.append(score)
        self.upper[index] = self.exact[index] = 0.0

    def _refresh(self) -> None:
        """Let `upper` know all centres: one pass over the pool."""
        centres = self.space.rows(self.arrays, np.array(self.chosen[self.in_upper :]))
        for tile in tiles(len(self.upper), tile_rows(self.space.width)):
            rows = self.space.rows(self.arrays, tile)
            nearest = self.space.nearest_upper(rows, centres)
            np.minimum(self.upper[tile], nearest.cpu().numpy(), out=self.upper[tile])
        self.in_upper = len(self.chosen)

    def _propose(self, until: int) -> None:
        """Draw proposals from `upper`, each accepted with probability D² / upper.

        The proposals are drawn a batch at a time.
        """
        most = max(16, _PROPOSAL_VALUES // self.space.width)
        # A tenth more than will do at the rate of late.
        expected = 1.1 * (until - len(self.chosen)) / self.rate
        size = min(most, 8 + int(expected))
        proposals = drawn_by_weight(self.upper, size, self.generator)
        thresholds = self.generator.random(size) * self.upper[proposals]

        some, place = np.unique(proposals, return_inverse=True)
        rows = self.space.rows(self.arrays, some)
        rows64 = self.space.rows64(self.arrays, some)
        first = int(self.seen[some].min())
        recent = np.array(self.chosen[first:], dtype=np.int64)
        exact = self.exact[some]
        nearest_chosen(self.space, self.arrays, rows, rows64, recent, exact)
        lower = self.space.lower(rows, rows).cpu().numpy()

        n_tried = n_accepted = 0
        for i, threshold in zip(place, thresholds, strict=True):
            n_tried += 1
            if threshold >= exact[i]:
                continue
            self._take(int(some[i]), float(exact[i]))
            n_accepted += 1
            nearer = np.flatnonzero(lower[i] < exact)
            accepted = tuple(r[i][None] for r in rows64)
            distances = self.space.distance(tuple(r[nearer] for r in rows64), accepted)
            exact[nearer] = np.minimum(exact[nearer], distances)
            exact[i] = 0.0
            if len(self.chosen) == until:
                break
        self.exact[some] = self.upper[some] = exact
        self.seen[some] = len(self.chosen)
        self.rate = max(n_accepted / n_tried, self.rate / 2)
