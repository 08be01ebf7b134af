"""BAIT's selection: the batch that leaves least Fisher information unexplained.

The information is that of the pool.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from scipy.linalg import solve_triangular

from al_sklearn._core.checks import check_n_instances, renamed, unknown_name
from al_sklearn._core.types import Chosen, Floats, Ints
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
from al_sklearn.strategies._engine.given import tie_rank
from al_sklearn.strategies._engine.products import inner_products, matmul64

# Whether the predicted class is right, or which class it is.
_LIKELIHOODS = ("binary", "categorical")
# Weights of what is labelled and of the batch: shares of l + b, or 1 for each point.
_SCALINGS = ("authors", "none")
# C·d above which the categorical form is refused: its matrices have the square of it
_MOST_PARAMETERS = 4096
_REFRESH = 64  # updates of rank one or C after which the inverse is made anew
# … or at once when one multiplies some variance by more than this: subtraction leaves
# too few digits
_STEEP = 1e4
# gains nearer than this, relatively, are a tie: rounding must not decide between
# duplicates
_TIE = 1e-10


@renamed(embeddings="features", labelled_embeddings="labelled")
def fisher_trace(
    features: Any,
    proba: Any,
    n_instances: int,
    *,
    labelled: Any = None,
    labelled_proba: Any = None,
    likelihood: Literal["binary", "categorical"] = "binary",
    regularization: float = 1.0,
    oversample: float = 2.0,
    scaling: Literal["authors", "none"] = "authors",
    random_tie_break: bool = False,
    random_state: Any = None,
) -> Chosen:
    """Choose the batch that minimises tr(M⁻¹ · mean_{L∪U} I(x)), BAIT [1]_.

    I(x) is the Fisher information of the last layer at x, and M = λI + l/(l+b) · mean_L
    I(x) + b/(l+b) · Σ_S I(x) that of what is labelled and of the batch S of b. Twice
    the batch is chosen greedily, forward, and then half of it dropped greedily,
    backward.

    Parameters
    ----------
    features : ndarray or torch.Tensor of shape (n, d)
        Input of the last layer, any real dtype, any device.
    proba : ndarray or torch.Tensor of shape (n, C)
        Class probabilities.
    n_instances : int
        How many, 1 … n.
    labelled, labelled_proba : arrays of shape (l, d) and (l, C), optional
        The same of what is labelled already.
    likelihood : {"binary", "categorical"}, default="binary"
        "binary" asks only whether the predicted class is right: I(x) = p(1 - p) h hᵀ
        with p the largest probability [2]_; O(n d) a pick. "categorical" is the full
        I(x) = (diag p - p pᵀ) ⊗ h hᵀ, O(n d C² + n C³) a pick and O(n C² + C² d²)
        memory, for C·d up to 4096.
    regularization : float, default=1.0
        λ > 0.
    oversample : float, default=2.0
        How many times the batch is chosen before the backward pass, at least 1.
    scaling : {"authors", "none"}, default="authors"
        "authors" is M as above, as in the code of both papers. "none" is λI + Σ_{L∪S}
        I(x), as in bmdal_reg: with l labelled, what is known weighs l times and what is
        new (l + b) / b times more against the same λ, so that λ = 1 means another
        thing; without a labelled point both are the same.
    random_tie_break : bool, default=False
        Ties by position, or with True at random.
    random_state : int, Generator, RandomState or None
        Used with `random_tie_break` alone.

    Returns
    -------
    indices : ndarray of int64, shape (n_instances,)
        Unique positions, those of the forward pass that are left, in its order.
    scores : ndarray of float64, shape (n_instances,)
        How much each lowered the trace when it was chosen.

    Raises
    ------
    ValueError
        For NaN or infinite values, shapes that do not fit, or options out of range.

    Notes
    -----
    With u = xᵀM⁻¹x and q = xᵀM⁻¹FM⁻¹x, the trace falls by q / (1 + u) when x is added
    and rises by q / (1 - u) when it is dropped; a pick changes all u and q by two inner
    products with x. Those are made in float32 with a bound on their rounding, and
    whatever that leaves in question is decided in float64, so that the picks are those
    of the textbook loop. Gains that differ by less than a ten-billionth are ties; the
    backward pass drops the later pick.

    References
    ----------
    .. [1] J. T. Ash, S. Goel, A. Krishnamurthy and S. Kakade. Gone fishing: neural
           active learning with Fisher
       embeddings. NeurIPS 2021.
    .. [2] D. Huseljic, P. Hahn, M. Herde, L. Rauch and B. Sick. Fast fishing:
           approximating BAIT for efficient and
       scalable deep active image classification. ECML PKDD 2024.

    Examples
    --------
    >>> import numpy as np
    >>> h = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.9]])
    >>> fisher_trace(h, np.full((3, 2), 0.5), 2, regularization=0.01)[0].tolist()
    [0, 2]
    """
    H, P = as_rows(features, "features"), _as_proba(proba, "proba")
    n_instances = check_n_instances(n_instances, len(H))
    if len(P) != len(H):
        raise ValueError(
            f"features have {len(H)} rows and proba {len(P)}: they must be the same "
            "points"
        )
    if likelihood not in _LIKELIHOODS:
        raise unknown_name("likelihood", likelihood, _LIKELIHOODS)
    if not (np.isfinite(regularization) and regularization > 0):
        raise ParameterError(
            f"regularization must be positive, got {regularization!r}.",
            "regularization",
        )
    if not (np.isfinite(oversample) and oversample >= 1):
        raise ParameterError(
            f"oversample must be a number of at least 1, got {oversample!r}.",
            "oversample",
        )
    if scaling not in _SCALINGS:
        raise unknown_name("scaling", scaling, _SCALINGS)
    n_parameters = H.shape[1] * (1 if likelihood == "binary" else P.shape[1])
    if likelihood == "categorical" and n_parameters > _MOST_PARAMETERS:
        raise ValueError(
            f"The categorical likelihood takes C·d up to {_MOST_PARAMETERS}, got "
            f"{P.shape[1]} x {H.shape[1]}; use "
            "likelihood='binary'."
        )
    with exact_float32():
        F = _Points(H, P, likelihood).information()
        M = regularization * np.eye(n_parameters)
        n_labelled = 0
        weight = 1.0
        if labelled is not None and len(labelled):
            L = as_rows(labelled, "labelled")
            Q = (
                _as_proba(labelled_proba, "labelled_proba")
                if labelled_proba is not None
                else np.empty((0, 0))
            )
            if L.shape[1] != H.shape[1] or Q.shape != (len(L), P.shape[1]):
                raise ValueError(
                    f"labelled {tuple(L.shape)} and labelled_proba "
                    f"{tuple(Q.shape)} do not fit features "
                    f"{tuple(H.shape)} and proba {tuple(P.shape)}"
                )
            known, n_labelled = _Points(L, Q, likelihood).information(), len(L)
            F += known
            if scaling == "authors":
                # l/(l+b) of a mean over l.
                known /= n_labelled + n_instances
                weight = n_instances / (n_labelled + n_instances)
            M += known
        pool = _Points(H, P, likelihood, weight)
        matrices = _Matrices(M, F / (len(H) + n_labelled))
        rank = tie_rank(len(H), random_tie_break, random_state)
        n_forward = min(int(np.ceil(oversample * n_instances)), len(H))
        forward = _forward_binary if likelihood == "binary" else _forward
        chosen, gains = forward(pool, matrices, n_forward, rank)
        kept = _backward(pool, matrices, chosen, n_instances)
    return chosen[kept], gains[kept]


def _as_proba(proba: Any, name: str) -> Floats:
    P = as_rows(proba, name)
    values = (
        P.cpu().double().numpy()
        if isinstance(P, torch.Tensor)
        else np.asarray(P, dtype=np.float64)
    )
    if not (
        np.isfinite(values).all()
        and values.min(initial=0) >= 0
        and values.max(initial=0) <= 1 + 1e-3
    ):
        raise ValueError(f"{name} must hold probabilities from 0 to 1")
    return values


class _Points:
    """Points of which `weight` · I(x) = (A ⊗ hᵀ)ᵀ(A ⊗ hᵀ).

    A is (C, C), or one number for the binary likelihood.
    """

    def __init__(
        self, H: Array, P: Floats, likelihood: str, weight: float = 1.0
    ) -> None:
        self.H, self.likelihood, self.weight = H, likelihood, weight
        self.P = np.minimum(P, 1)
        self.step = tile_rows(H.shape[1])

    def __len__(self) -> int:
        return len(self.H)

    def roots(self, key: slice | Ints) -> Floats:
        """A of some points, (m, C, C)."""
        p = self.P[key]
        if self.likelihood == "binary":
            largest = p.max(axis=1)
            return np.sqrt(self.weight * largest * (1 - largest))[:, None, None]
        centred = np.eye(p.shape[1]) - p[:, None, :]
        return np.sqrt(self.weight * p)[:, :, None] * centred

    def rows(self, key: slice | Ints) -> Floats:
        """H of some points in float64, (m, d)."""
        return float64_rows(self.H, key)

    def add(self, index: int, matrices: _Matrices) -> tuple[Floats, Floats, Floats]:
        """Let the matrices know one point; what :meth:`_Matrices.change` gives."""
        one = np.array([index])
        return matrices.change(self.roots(one)[0], self.rows(one)[0], 1)

    def information(self) -> Floats:
        """The sum over the points, (C·d, C·d)."""
        d = self.H.shape[1]
        blocks: Any = 0.0
        for tile in tiles(len(self), self.step):
            A, h = self.roots(tile), self.rows(tile)
            if A.shape[1] == 1:
                x = A[:, 0] * h
                blocks = blocks + matmul64(x.T, x)[None, :, None, :]
                continue
            weights = A.transpose(0, 2, 1) @ A
            pairs = [
                [matmul64((weighted[:, None] * h).T, h) for weighted in row]
                for row in weights.transpose(1, 2, 0)
            ]
            blocks = blocks + np.stack(pairs).transpose(0, 2, 1, 3)
        total = blocks.reshape(-1, blocks.shape[0] * d)
        if not np.isfinite(total).all():
            raise ValueError("the embeddings contain NaN, infinity or values too large")
        return (total + total.T) / 2


class _Matrices:
    """M, its inverse, F and N = M⁻¹FM⁻¹, kept up to date.

    They change as information is added and dropped.
    """

    def __init__(self, M: Floats, F: Floats) -> None:
        self.M, self.F = M, F
        self.invert()

    def invert(self) -> None:
        """Make the inverse and N anew."""
        self.inverse = torch.cholesky_inverse(
            torch.linalg.cholesky(torch.from_numpy(self.M))
        ).numpy()
        self.N = matmul64(matmul64(self.inverse, self.F), self.inverse)
        self.age = 0

    def forms(self, h: Floats, n_classes: int) -> tuple[Floats, Floats]:
        """(I ⊗ hᵀ)M⁻¹(I ⊗ h) and the same of N, for each of the rows h; (m, C, C)."""
        d = h.shape[1]
        result = np.empty((2, len(h), n_classes, n_classes))
        for out, matrix in zip(result, (self.inverse, self.N), strict=True):
            blocks = matrix.reshape(n_classes, d, n_classes, d)
            for i in range(n_classes):
                for j in range(i, n_classes):
                    half = matmul64(h, blocks[i, :, j])
                    out[:, i, j] = out[:, j, i] = np.einsum("nd,nd->n", half, h)
        return result[0], result[1]

    def change(self, A: Floats, h: Floats, sign: int) -> tuple[Floats, Floats, Floats]:
        """Add (sign 1) or drop (-1) one point.

        K, W = M⁻¹FK and Φ = KᵀFK with M⁻¹ changed by -sign·KKᵀ.
        """
        V = (A[:, :, None] * h).reshape(len(A), -1)
        K = matmul64(self.inverse, V.T)
        inner = np.eye(len(A)) + sign * matmul64(V, K)
        self.M += sign * matmul64(V.T, V)
        self.age += 1
        scale = np.linalg.eigvalsh(inner)
        is_steep = scale.max() > _STEEP or scale.min() < 1 / _STEEP
        if is_steep and sign < 0:
            # Nearly all that is known in some direction is this point: told from what
            # is left, not by subtraction.
            self.invert()
            K = matmul64(self.inverse, V.T)
            inner = np.eye(len(A)) + matmul64(V, K)
        if len(A) == 1:
            K /= np.sqrt(inner[0, 0])
        else:
            # Symmetric but for rounding, which a factor would not forgive.
            factor = np.linalg.cholesky((inner + inner.T) / 2)
            K = solve_triangular(factor, K.T, lower=True).T
        if is_steep and sign < 0:
            FK = matmul64(self.F, K)
            # W is meant before the change: M⁻¹ = M'⁻¹ - KKᵀ.
            Phi = matmul64(K.T, FK)
            return K, matmul64(self.inverse, FK) - matmul64(K, Phi), Phi
        FK = matmul64(self.F, K)
        W, Phi = matmul64(self.inverse, FK), matmul64(K.T, FK)
        if is_steep or self.age == _REFRESH:
            self.invert()
        else:
            self.inverse -= sign * matmul64(K, K.T)
            cross = matmul64(K, W.T)
            own = matmul64(matmul64(K, Phi), K.T)
            self.N += own - sign * (cross + cross.T)
        return K, W, Phi


def _changes(A: Floats, G: Floats, Q: Floats, sign: int) -> Floats:
    """Change of the trace when each point is added (sign 1) or dropped (-1), (m,)."""
    if A.shape[1] == 1:
        squares = A[:, 0, 0] ** 2
        # Dropping a point that carries a direction alone leaves nothing to divide by.
        left = 1 + sign * squares * G[:, 0, 0]
        return squares * Q[:, 0, 0] / np.maximum(left, np.finfo(float).tiny)
    At = A.transpose(0, 2, 1)
    inner = np.eye(A.shape[1]) + sign * (A @ G @ At)
    return np.trace(np.linalg.solve(inner, A @ Q @ At), axis1=1, axis2=2)


def _update(
    H: Floats, G: Floats, Q: Floats, K: Floats, W: Floats, Phi: Floats, sign: int
) -> None:
    """Bring the forms G and Q of some points up to date, in place."""
    n_classes, d = G.shape[1], H.shape[1]
    blocks = (m.reshape(n_classes, d, -1) for m in (K, W))
    B, D = ((H @ block).transpose(1, 0, 2) for block in blocks)
    Bt = B.transpose(0, 2, 1)
    cross = B @ D.transpose(0, 2, 1)
    Q += B @ Phi @ Bt - sign * (cross + cross.transpose(0, 2, 1))
    G -= sign * (B @ Bt)


def _best(gains: Floats, rank: Ints) -> int:
    """Position of the largest gain; of those that tie, the lowest rank."""
    tied = np.flatnonzero(gains >= gains.max() * (1 - _TIE))
    return int(tied[rank[tied].argmin()])


def _forward(pool: _Points, matrices: _Matrices, n_chosen: int, rank: Ints) -> Chosen:
    """Greedy choice in float64, everything looked at for each."""
    n, n_classes = len(pool), pool.P.shape[1]
    G, Q = np.empty((2, n, n_classes, n_classes))
    gains = np.empty(n)
    chosen: list[int] = []
    scores: list[float] = []
    change: tuple[Floats, Floats, Floats] | None = None
    while len(chosen) < n_chosen:
        for tile in tiles(n, max(pool.step // n_classes, 64)):
            h, A = pool.rows(tile), pool.roots(tile)
            if change is None:
                G[tile], Q[tile] = matrices.forms(h, n_classes)
            else:
                _update(h, G[tile], Q[tile], *change, 1)
            gains[tile] = np.maximum(_changes(A, G[tile], Q[tile], 1), 0)
        gains[chosen] = -1
        best = _best(gains, rank)
        chosen.append(best)
        scores.append(float(gains[best]))
        change = pool.add(best, matrices)
    return np.array(chosen, dtype=np.int64), np.array(scores)


def _forward_binary(
    pool: _Points, matrices: _Matrices, n_chosen: int, rank: Ints
) -> Chosen:
    """The same for the binary likelihood.

    Two float32 products with the pool a pick, float64 where they leave doubt.
    """
    n, d = len(pool), pool.H.shape[1]
    # A scale that keeps float32 from overflow; centring is not for inner products.
    space = Space(pool.H)
    scale, space.offset = space.scales[0], None
    root = pool.roots(slice(None))[:, 0, 0]
    u, q, size = np.empty((3, n))
    device = space.device
    H32 = (
        torch.empty(pool.H.shape, dtype=torch.float32, device=device)
        if not _is_float32(pool.H, scale)
        else None
    )
    for tile in tiles(n, pool.step):
        h = pool.rows(tile)
        G, Q = matrices.forms(h, 1)
        u[tile] = G[:, 0, 0]
        q[tile] = Q[:, 0, 0]
        size[tile] = np.sqrt(np.square(h).sum(axis=1))
        if H32 is not None:
            H32[tile] = torch.from_numpy((h * scale).astype(np.float32))
    if H32 is None:
        H32 = space.rows((pool.H,), slice(0, n)).parts[0]
    square = root**2
    u *= square
    q *= square
    size *= root
    u_error, q_error = np.zeros((2, n))
    # A float32 inner product is right to this share of the product of the sizes.
    slack = (d + 8) * 2.0**-24
    free = np.ones(n, dtype=bool)
    chosen: list[int] = []
    scores: list[float] = []
    while len(chosen) < n_chosen:
        least_u = np.maximum(u - u_error, 0)
        low = np.where(free, (q - q_error) / (1 + u + u_error), -1.0)
        high = np.where(free, (q + q_error) / (1 + least_u), -1.0)
        # Nothing is left to learn: all others tie.
        if high.max() <= 0:
            best, gain = int(np.where(free, rank, n).argmin()), 0.0
        else:
            doubt = np.flatnonzero(free & (high >= low.max() * (1 - 2 * _TIE)))
            for part in tiles(len(doubt), pool.step):
                some = doubt[part]
                G, Q = matrices.forms(pool.rows(some), 1)
                u[some] = square[some] * G[:, 0, 0]
                q[some] = square[some] * Q[:, 0, 0]
                u_error[some] = q_error[some] = 0
            gains = np.maximum(q[doubt], 0) / (1 + u[doubt])
            position = _best(gains, rank[doubt])
            best, gain = int(doubt[position]), float(gains[position])
        chosen.append(best)
        scores.append(gain)
        free[best] = False
        K, W, Phi = pool.add(best, matrices)
        if len(chosen) == n_chosen:
            break
        vectors = np.hstack([K, W])
        norms = np.sqrt(np.square(vectors).sum(axis=0))
        safe = np.where(norms == 0, 1, norms)
        directions = (vectors / safe).T.astype(np.float32, order="C")
        # Both at once: the pool is read once.
        both = torch.from_numpy(directions).to(device)
        products = inner_products(H32, both).cpu().numpy()
        sizes = safe / scale
        a, c = (root * products[:, i] * sizes[i] for i in (0, 1))
        a_error, c_error = (slack * norms[i] * size for i in (0, 1))
        phi = float(Phi[0, 0])
        wide = 2 * np.abs(a) * a_error + a_error**2
        u_error += wide
        cross = np.abs(a) * c_error + np.abs(c) * a_error + a_error * c_error
        q_error += 2 * cross + wide * phi
        u -= a**2
        q += a * (phi * a - 2 * c)
    return np.array(chosen, dtype=np.int64), np.array(scores)


def _is_float32(H: Array, scale: float) -> bool:
    return scale == 1.0 and H.dtype in (np.float32, torch.float32)


def _backward(pool: _Points, matrices: _Matrices, chosen: Ints, n_kept: int) -> Ints:
    """Drop points, each the one that the trace misses least, until ``n_kept`` are left.

    Their positions in chosen.
    """
    left = np.arange(len(chosen))
    if len(left) > n_kept:
        matrices.invert()
    h, A = pool.rows(chosen), pool.roots(chosen)
    G, Q = matrices.forms(h, A.shape[2])
    while len(left) > n_kept:
        costs = _changes(A[left], G[left], Q[left], -1)
        # No cost is negative but by rounding: far below 0 is a point that carries a
        # direction alone.
        carries_alone = costs < -1e-9 * np.abs(costs).max()
        costs = np.where(carries_alone, np.inf, np.maximum(costs, 0))
        tied = np.flatnonzero(costs <= costs.min() * (1 + _TIE))
        worst = left[tied[-1]]
        left = left[left != worst]
        change = matrices.change(A[worst], h[worst], -1)
        _update(h, G, Q, *change, -1)
    return left
