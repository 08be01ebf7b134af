"""Squared (or city-block) distances between rows, in tiles.

Bounds by float32 GEMM, the truth by float64.

What the selectors share. A float32 GEMM says what a distance is up to a bound on its
rounding; wherever that could decide something, the distance is computed again in
float64 from the differences, so that duplicates are exactly 0 apart and the answer
never depends on the tiles. Nothing here is larger than a tile except what holds one
number per row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from al_sklearn._core.types import Bools, Floats, Ints
from al_sklearn.strategies._engine.products import inner_products, matmul64

Array: TypeAlias = NDArray[Any] | torch.Tensor
Rows64: TypeAlias = tuple[Floats, ...]

# Values of a tile of rows: 8 MiB of float32 stay in the last-level cache.
TILE_VALUES = 2**21
COLUMNS = 512  # centres that meet a tile of rows at a time
# nearest centres tried one after the other before float64 bounds are worth their price
_ROUNDS = 8


def as_rows(X: Any, name: str) -> Array:
    """`X` as a two-dimensional array or tensor, not copied where it is one.

    A clear error where it is not.
    """
    rows = X if isinstance(X, (np.ndarray, torch.Tensor)) else np.asarray(X)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(
            f"{name} must be a matrix of shape (n, d) with d >= 1; got shape "
            f"{tuple(rows.shape)}"
        )
    kind = (
        rows.dtype.is_complex
        if isinstance(rows, torch.Tensor)
        else rows.dtype.kind not in "fiub"
    )
    if kind:
        raise ValueError(f"{name} must hold real numbers; got dtype {rows.dtype}")
    return rows.detach() if isinstance(rows, torch.Tensor) else rows


@contextmanager
def exact_float32() -> Iterator[None]:
    """No gradients, no autocast and no TF32 or bfloat16 in matrix products.

    Put back at exit.
    """
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with (
            torch.inference_mode(),
            torch.autocast("cpu", enabled=False),
            torch.autocast("cuda", enabled=False),
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)


def float64_rows(array: Array, key: slice | Ints) -> Floats:
    """Rows `key` in float64 on the host, a copy."""
    return _float64(take_rows(array, key))


def device_of(array: Array) -> torch.device:
    """Where an array's rows are best met."""
    return array.device if isinstance(array, torch.Tensor) else torch.device("cpu")


def tile_rows(n_columns: int) -> int:
    """Rows in a tile: a power of two that depends on the width alone."""
    return 1 << max(6, min(12, (TILE_VALUES // n_columns).bit_length() - 1))


def tiles(n: int, step: int) -> list[slice]:
    """0 … n in slices of `step`."""
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


class Rows:
    """Some rows ready for a GEMM.

    Float32 parts (one, or two factors of an outer product) and their sizes.
    """

    def __init__(self, parts: tuple[torch.Tensor, ...], norms: torch.Tensor) -> None:
        self.parts = parts
        self.norms = norms

    def __len__(self) -> int:
        return len(self.norms)

    def __getitem__(self, key: Any) -> Rows:
        return Rows(tuple(part[key] for part in self.parts), self.norms[key])


class Space:
    """What rows are and how far apart.

    Squared Euclidean distances of the rows as they are given.

    Parameters
    ----------
    arrays : tuple of arrays (n, d)
        Looked at to choose a scale and an offset that keep float32 accurate; distances
        do not depend on either.
    """

    squared = True  # the square root of `distance` is what the caller means by distance
    centred = True

    def __init__(self, *arrays: Array) -> None:
        self.width = sum(int(a.shape[1]) for a in arrays)
        self.slack = 3 * (self.width + 16) * 2.0**-24
        self.device = device_of(arrays[0])
        self.scales = [1.0] * len(arrays)
        self.offset: Floats | None = None
        samples = [self._sample(a) for a in arrays]
        for i, sample in enumerate(samples):
            largest = np.abs(sample).max()
            if np.isfinite(largest) and largest > 0 and not 1e-9 < largest < 1e9:
                self.scales[i] = 2.0 ** -np.round(np.log2(largest))
        if self.centred:
            sample = self._transform64(samples[0] * self.scales[0])
            mean = sample.mean(axis=0)
            spread = np.mean(np.square(sample - mean).sum(axis=1))
            # Else centring costs a copy of every tile and gains little.
            if np.square(mean).sum() > 4 * spread:
                self.offset = mean

    @property
    def unit(self) -> float:
        """Factor from a distance of this space to one of the rows as given."""
        return math.prod(1 / s for s in self.scales) ** (2 if self.squared else 1)

    def _sample(self, array: Array) -> Floats:
        return _float64(array[:: max(1, len(array) // 1024)])

    def _transform64(self, values: Floats) -> Floats:
        return values

    def rows(self, arrays: tuple[Array, ...], key: slice | Ints) -> Rows:
        """Rows `key` of `arrays` for a GEMM.

        ValueError where they hold NaN or infinity.
        """
        parts = tuple(self._part(a, key, i) for i, a in enumerate(arrays))
        norms = self._norms(parts)
        # The sum alone may overflow.
        is_finite = bool(torch.isfinite(norms.sum()))
        if not is_finite and not bool(torch.isfinite(norms).all()):
            raise ValueError(
                "the features contain NaN, infinity or values too large for float32"
            )
        return Rows(parts, norms)

    def _part(self, array: Array, key: slice | Ints, i: int) -> torch.Tensor:
        if self._as_given(i):
            return _tensor32(take_rows(array, key), self.device)
        values = self._transform64(float64_rows(array, key) * self.scales[i])
        if self.offset is not None:
            values -= self.offset
        return torch.from_numpy(values.astype(np.float32)).to(self.device)

    def _as_given(self, i: int) -> bool:
        return self.offset is None and self.scales[i] == 1.0

    def _norms(self, parts: tuple[torch.Tensor, ...]) -> torch.Tensor:
        norms = parts[0].square().sum(dim=1)
        for part in parts[1:]:
            norms *= part.square().sum(dim=1)
        return norms

    def rows64(self, arrays: tuple[Array, ...], key: slice | Ints) -> Rows64:
        """The same rows in float64 on the host, for `distance`."""
        return tuple(
            self._transform64(float64_rows(a, key) * s)
            for a, s in zip(arrays, self.scales, strict=True)
        )

    def products(self, rows: Rows, centres: Rows) -> torch.Tensor:
        """Inner products, (m, k)."""
        result = inner_products(rows.parts[0], centres.parts[0])
        for a, b in zip(rows.parts[1:], centres.parts[1:], strict=True):
            result *= inner_products(a, b)
        return result

    def lower(self, rows: Rows, centres: Rows) -> torch.Tensor:
        """(m, k) float32 that no true distance is below, and at most `excess` under it.

        Never negative.
        """
        shrink = 1 - self.slack
        result = self.products(rows, centres).mul_(-2)
        return (
            result.add_(shrink * rows.norms[:, None])
            .add_(shrink * centres.norms)
            .clamp_(min=0)
        )

    def excess(self, rows: Rows) -> Floats:
        """E, of shape (m,): a true distance is at most lower + E_i + E_j.

        Here i and j are the two rows.
        """
        return 2 * self.slack * rows.norms.double().cpu().numpy()

    def nearest_upper(self, rows: Rows, centres: Rows) -> torch.Tensor:
        """(m,) float64: no distance to the nearest of the centres is above it."""
        grow = 1 + self.slack
        best: torch.Tensor | None = None
        for start in range(0, len(centres), COLUMNS):
            some = centres[start : start + COLUMNS]
            minus_half = -0.5 * grow * some.norms
            closeness = self._closeness(rows, some, minus_half).amax(dim=1)
            best = closeness if best is None else torch.maximum(best, closeness)
        assert best is not None
        return (grow * rows.norms).double().sub_(best.double(), alpha=2).clamp_(min=0)

    def _closeness(
        self, rows: Rows, centres: Rows, minus_half: torch.Tensor
    ) -> torch.Tensor:
        if len(rows.parts) == 1:
            return inner_products(rows.parts[0], centres.parts[0], minus_half)
        return self.products(rows, centres).add_(minus_half)

    def lower64(self, rows: Rows64, centres: Rows64) -> Floats:
        """`lower` in float64, within a few units of its last place."""
        origin = rows[0][:1] if self.centred else np.zeros(1)
        product = matmul64(rows[0] - origin, (centres[0] - origin).T)
        norms = [np.square(r[0] - origin).sum(axis=1) for r in (rows, centres)]
        for a, b in zip(rows[1:], centres[1:], strict=True):
            product *= matmul64(a, b.T)
            norms[0] *= np.square(a).sum(axis=1)
            norms[1] *= np.square(b).sum(axis=1)
        # Float64 keeps 29 bits more than the float32 that the slack is for.
        shrink = 1 - self.slack * 2.0**-29
        sizes = shrink * norms[0][:, None] + shrink * norms[1]
        return np.maximum(sizes - 2 * product, 0)

    def distance(self, a: Rows64, b: Rows64) -> Floats:
        """Row by row, from the differences: exactly 0 for equal rows."""
        return np.square(a[0] - b[0]).sum(axis=1)


class CosineSpace(Space):
    """1 - cos as half the squared distance of the normalised rows.

    A row of zeros is 1 away from all others.
    """

    squared = False

    @property
    def unit(self) -> float:
        return 0.5

    def __init__(self, *arrays: Array) -> None:
        super().__init__(*arrays)
        self.width += 1

    def _transform64(self, values: Floats) -> Floats:
        norms = np.sqrt(np.square(values).sum(axis=1, keepdims=True))
        zero = norms == 0
        # One more column tells the rows of zeros from all directions, at right angles
        # to each.
        return np.hstack([values / np.where(zero, 1, norms), zero])

    def _as_given(self, i: int) -> bool:
        return False


class CityBlockSpace(Space):
    """Sums of absolute differences."""

    squared = False

    def _norms(self, parts: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return parts[0].abs().sum(dim=1)

    def lower(self, rows: Rows, centres: Rows) -> torch.Tensor:
        result = torch.cdist(rows.parts[0], centres.parts[0], p=1)
        return (
            result.sub_(self.slack * rows.norms[:, None])
            .sub_(self.slack * centres.norms)
            .clamp_(min=0)
        )

    def _closeness(
        self, rows: Rows, centres: Rows, minus_half: torch.Tensor
    ) -> torch.Tensor:
        # In the units of the caller, who computes grow * norm - 2 * closeness.
        distances = torch.cdist(rows.parts[0], centres.parts[0], p=1)
        return (
            distances.mul_(-0.5)
            .add_(0.5 * rows.norms[:, None])
            .sub_(0.5 * self.slack * centres.norms)
        )

    def lower64(self, rows: Rows64, centres: Rows64) -> Floats:
        distances = torch.cdist(
            torch.from_numpy(rows[0]), torch.from_numpy(centres[0]), p=1
        ).numpy()
        return distances * (1 - self.slack * 2.0**-29)

    def distance(self, a: Rows64, b: Rows64) -> Floats:
        return np.abs(a[0] - b[0]).sum(axis=1)


SPACES: dict[str, type[Space]] = {
    "euclidean": Space,
    "manhattan": CityBlockSpace,
    "cosine": CosineSpace,
}


def _dots(a: Floats, b: Floats) -> Floats:
    """Inner products row by row, by a sum whose order the width alone decides."""
    return (a * b).sum(axis=1)


class OuterProductSpace(Space):
    """Squared distances between a_i ⊗ h_i, from the factors (a, h) alone."""

    centred = False

    def distance(self, a: Rows64, b: Rows64) -> Floats:
        # a_i⊗h_i - a_j⊗h_j = (a_i - a_j)⊗h_i + a_j⊗(h_i - h_j): no digits are lost
        # where both are close.
        da = a[0] - b[0]
        dh = a[1] - b[1]
        first = _dots(da, da) * _dots(a[1], a[1])
        second = _dots(b[0], b[0]) * _dots(dh, dh)
        cross = 2 * _dots(da, b[0]) * _dots(a[1], dh)
        result = first + second + cross
        # Below that, rounding is all there is: equal gradients are 0 apart.
        return np.where(result > 2.0**-48 * (first + second), result, 0.0)


def distances_to_mean(space: Space, X: Array, step: int) -> Floats:
    """Distance of each row to the mean of all."""
    total: Any = 0.0
    for tile in tiles(len(X), step):
        total = total + space.rows64((X,), tile)[0].sum(axis=0)
    mean = (total / len(X))[None]
    distances = np.empty(len(X))
    for tile in tiles(len(X), step):
        distances[tile] = space.distance(space.rows64((X,), tile), (mean,))
    if not np.isfinite(distances).all():
        raise ValueError("the features contain NaN, infinity or values too large")
    return distances


def near_mean(distances: Floats) -> Bools:
    """Which rows are the nearest to the mean.

    The sum is rounded: rows that differ by less than that tie, and the tile size must
    not decide between them.
    """
    return distances <= distances.min() * (1 + 1e-9)


def nearest_exact(
    space: Space,
    rows: Rows,
    rows64: Rows64,
    centres: Rows,
    centres64: Callable[[Ints], Rows64],
    best: Floats,
) -> None:
    """Lower `best` (m,) in place to distances to the nearest of `centres`.

    The distances are those from `rows`, in float64.

    Only the centres that the bounds leave in question are looked at in float64: usually
    one per row.
    """
    step = 2 * tile_rows(space.width)
    for start in range(0, len(centres), step):
        some = centres[start : start + step]
        lower = space.lower(rows, some).cpu()
        unsettled = np.arange(len(rows))

        def fetch(columns: Ints, start: int = start) -> Rows64:
            return centres64(columns + start)

        unsettled = _try_nearest(space, lower, rows64, fetch, best, unsettled)
        # Many centres nearly equally near: bounds in float64 tell most of them apart.
        if len(unsettled):
            subset = tuple(r[unsettled] for r in rows64)
            all64 = fetch(np.arange(len(some)))
            values = best[unsettled]
            lower64 = torch.from_numpy(space.lower64(subset, all64))
            everyone = np.arange(len(unsettled))
            # And what is left is looked at centre by centre.
            for i in _try_nearest(space, lower64, subset, fetch, values, everyone):
                open_ = np.flatnonzero(lower64[i].numpy() < values[i])
                one = tuple(r[i][None] for r in subset)
                others = tuple(r[open_] for r in all64)
                nearest = space.distance(others, one).min(initial=np.inf)
                values[i] = min(values[i], nearest)
            best[unsettled] = values


def nearest_chosen(
    space: Space,
    arrays: tuple[Array, ...],
    rows: Rows,
    rows64: Rows64,
    chosen: Ints,
    best: Floats,
) -> None:
    """`nearest_exact` where the centres are rows `chosen` of `arrays`.

    Nothing where there are none.
    """
    if len(chosen):
        centres = space.rows(arrays, chosen)

        def fetch(columns: Ints) -> Rows64:
            return space.rows64(arrays, chosen[columns])

        nearest_exact(space, rows, rows64, centres, fetch, best)


def _try_nearest(
    space: Space,
    lower: torch.Tensor,
    rows64: Rows64,
    fetch: Callable[[Ints], Rows64],
    best: Floats,
    unsettled: Ints,
) -> Ints:
    """Lower `best` by the centre of least `lower`, some rounds.

    The rows for which another could still be nearer.
    """
    for _ in range(_ROUNDS):
        everywhere = len(unsettled) == len(lower)
        # Not gathered where that would copy all.
        open_lower = lower if everywhere else take_rows(lower, unsettled)
        least, columns = open_lower.min(dim=1)
        open_ = least.numpy() < best[unsettled]
        unsettled, nearest = unsettled[open_], columns.numpy()[open_]
        if len(unsettled) == 0:
            break
        distances = space.distance(tuple(r[unsettled] for r in rows64), fetch(nearest))
        best[unsettled] = np.minimum(best[unsettled], distances)
        lower[torch.from_numpy(unsettled), torch.from_numpy(nearest)] = np.inf
    return unsettled


def take_rows(array: Array, key: slice | Ints) -> Any:
    """Rows `key` of an array or tensor, on its device."""
    if isinstance(array, torch.Tensor) and not isinstance(key, slice):
        return array[torch.from_numpy(key).to(array.device)]
    return array[key]


def _float64(array: Array) -> Floats:
    """A float64 copy on the host."""
    if isinstance(array, torch.Tensor):
        return array.to(device="cpu", dtype=torch.float64, copy=True).numpy()
    return np.array(array, dtype=np.float64)


def _tensor32(array: Array, device: torch.device) -> torch.Tensor:
    """A float32 tensor with contiguous rows; shares memory where it can."""
    if isinstance(array, torch.Tensor):
        return array.to(device=device, dtype=torch.float32).contiguous()
    values = np.ascontiguousarray(array, dtype=np.float32)
    # Torch cannot share what is read-only, such as a memory map.
    if not values.flags.writeable:
        values = values.copy()
    return torch.from_numpy(values).to(device)
