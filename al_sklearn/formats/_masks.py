"""Masks as runs, and the three ways in which label files write runs.

COCO counts along the columns of the whole image, CVAT along the rows of a mask's own
box, Label Studio packs the rows of an RGBA image into bits. Each begins with background
but the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from al_sklearn._core.types import Array, Bools, Ints, Options

#: The largest image that masks are read for: 500 megapixels, more than any camera's,
#: and half a gigabyte once a mask is drawn.
MOST_PIXELS = 500_000_000


class Mask:
    """Pixels of an image, as COCO's runs along its columns.

    Parameters
    ----------
    size : (height, width)
    counts : int array
        Lengths of runs, background first, down one column after the other.

    Raises
    ------
    ValueError
        For runs that do not add up to the size, or a size beyond ``MOST_PIXELS``.

    Examples
    --------
    >>> from al_sklearn.formats import Mask
    >>> mask = Mask((2, 3), [1, 2, 3])
    >>> mask.array().astype(int).tolist()
    [[0, 1, 0], [1, 0, 0]]
    >>> mask.area, mask.box
    (2, [0, 0, 2, 2])
    """

    __slots__ = ("counts", "size")

    def __init__(self, size: Sequence[int], counts: ArrayLike) -> None:
        height, width = (int(v) for v in size)
        if height < 0 or width < 0 or height * width > MOST_PIXELS:
            raise ValueError(
                f"size {height} x {width} is beyond the {MOST_PIXELS} pixels that are "
                "read"
            )
        runs = np.asarray(counts)
        # Python's integers: a forged run must not wrap around.
        total = sum(int(v) for v in runs.tolist())
        if any(int(v) < 0 for v in runs.tolist()) or total != height * width:
            raise ValueError(
                f"counts add up to {total}, the size {height} x {width} has "
                f"{height * width} pixels"
            )
        self.size = (height, width)
        self.counts: Ints = runs.astype(np.int64)

    @classmethod
    def of_array(cls, mask: ArrayLike) -> Mask:
        """Make one of an array (height, width) that is not 0 where the object is."""
        pixels = np.asarray(mask) != 0
        flat = pixels.ravel(order="F")
        changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        edges = np.concatenate([[0], changes, [flat.size]])
        counts = np.diff(edges)
        if flat.size and flat[0]:
            counts = np.concatenate([[0], counts])
        return cls(pixels.shape, counts)

    @classmethod
    def of_rings(cls, rings: Sequence[Any], height: int, width: int) -> Mask:
        """Fill rings: a pixel is inside where its centre is; rings are joined."""
        if height * width > MOST_PIXELS:
            return cls((height, width), [])  # raises, and says why
        whole = np.zeros((height, width), dtype=bool)
        for ring in rings:
            whole |= _filled(ring, height, width)
        return cls.of_array(whole)

    def array(self) -> Bools:
        """Return the pixels, shape (height, width)."""
        return self._flat().reshape(self.size, order="F")

    def _flat(self) -> Bools:
        is_object = np.arange(len(self.counts)) % 2 == 1
        return np.repeat(is_object, self.counts)

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(self.counts[1::2].sum())

    @property
    def box(self) -> list[int] | None:
        """Smallest box around the pixels, None where there are none."""
        ends = np.cumsum(self.counts)
        starts = (ends - self.counts)[1::2]
        ends = ends[1::2]
        starts, ends = starts[ends > starts], ends[ends > starts]
        if not len(starts):
            return None
        height = self.size[0]
        x0, x1 = starts[0] // height, (ends[-1] - 1) // height + 1
        # A run that goes on into the next column touches top and bottom.
        wraps = starts // height != (ends - 1) // height
        y0 = 0 if wraps.any() else int((starts % height).min())
        y1 = height if wraps.any() else int(((ends - 1) % height).max()) + 1
        return [int(x0), y0, int(x1), y1]

    def pixels(self) -> list[list[int]]:
        """Return ``[x, y]`` of each pixel, row by row."""
        ys, xs = np.nonzero(self.array())
        return np.stack([xs, ys], axis=1).tolist()

    def as_dict(self) -> Options:
        """Return the rows from top to bottom as text of 0 and 1."""
        digits = self.array().astype(np.uint8) + ord("0")
        rows = [row.tobytes().decode("ascii") for row in digits]
        return {"size": list(self.size), "rows": rows}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mask):
            return NotImplemented
        return self.size == other.size and bool(
            np.array_equal(self.array(), other.array())
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Mask(size={self.size}, area={self.area})"


def _filled(ring: Any, height: int, width: int) -> Bools:
    """Fill one ring by the even-odd rule at the centres of the pixels."""
    points = np.asarray(ring, dtype=np.float64)
    following = np.roll(points, -1, axis=0)
    filled = np.zeros((height, width), dtype=bool)
    low = max(int(np.floor(points[:, 1].min())), 0)
    high = min(int(np.ceil(points[:, 1].max())) + 1, height)
    for row in range(low, high):
        y = row + 0.5
        crossing = (points[:, 1] <= y) != (following[:, 1] <= y)
        if not crossing.any():
            continue
        a, b = points[crossing], following[crossing]
        xs = np.sort(
            a[:, 0] + (y - a[:, 1]) * (b[:, 0] - a[:, 0]) / (b[:, 1] - a[:, 1])
        )
        # The pixels whose centre lies between each pair of crossings.
        first = np.clip(np.ceil(xs[0::2] - 0.5), 0, width).astype(int)
        last = np.clip(np.ceil(xs[1::2] - 0.5), 0, width).astype(int)
        for start, stop in zip(first, last, strict=True):
            filled[row, start:stop] = True
    return filled


# COCO's text has 5 bits of a number in each character, from the sign "0", and the
# sixth says that another character follows; from the third number on it is the
# difference to the number two before (the reference: cocoapi, common/maskApi.c).
_FIRST_SIGN = 48
_MORE = 0x20
_NEGATIVE = 0x10


def decode_counts(text: str) -> list[int]:
    """Read COCO's compressed runs.

    Raises
    ------
    ValueError
        For signs that cannot be, or a text that ends within a number.
    """
    counts: list[int] = []
    position = 0
    while position < len(text):
        value, n_bits, more = 0, 0, True
        while more:
            if position == len(text):
                raise ValueError("counts end in the middle of a number")
            code = ord(text[position]) - _FIRST_SIGN
            if not 0 <= code < 64 or n_bits > 60:
                raise ValueError(f"counts hold {text[position]!r}, which is no run")
            value |= (code & 0x1F) << n_bits
            more = bool(code & _MORE)
            position += 1
            n_bits += 5
            if not more and code & _NEGATIVE:
                value |= -1 << n_bits
        if len(counts) > 2:
            value += counts[-2]
        counts.append(value)
    return counts


def encode_counts(counts: Sequence[int]) -> str:
    """Write COCO's compressed runs."""
    signs = []
    for i, count in enumerate(counts):
        value = int(count) - (int(counts[i - 2]) if i > 2 else 0)
        more = True
        while more:
            code = value & 0x1F
            value >>= 5
            more = value != (-1 if code & _NEGATIVE else 0)
            signs.append(chr((code | (_MORE if more else 0)) + _FIRST_SIGN))
    return "".join(signs)


def from_rows(
    runs: Sequence[int], left: int, top: int, width: int, height: int, size: Any
) -> Mask:
    """Read CVAT's runs along the rows of the mask's own box.

    Raises
    ------
    ValueError
        For runs that do not fill the box, or a box outside the image.
    """
    if sum(runs) != width * height or any(run < 0 for run in runs):
        raise ValueError(
            f"rle adds up to {sum(runs)}, its box has {width} x {height} pixels"
        )
    rows, columns = size
    if left < 0 or top < 0 or left + width > columns or top + height > rows:
        raise ValueError(
            f"the mask's box {left}, {top}, {width} x {height} leaves the image of "
            f"{columns} x {rows}"
        )
    if rows * columns > MOST_PIXELS:
        return Mask(size, [])  # raises, and says why
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    whole = np.zeros((rows, columns), dtype=bool)
    whole[top : top + height, left : left + width] = inside
    return Mask.of_array(whole)


def to_rows(mask: Mask) -> tuple[list[int], tuple[int, int, int, int]]:
    """Write CVAT's runs; the box is ``left, top, width, height``."""
    box = mask.box or [0, 0, 0, 0]
    x0, y0, x1, y1 = box
    flat = mask.array()[y0:y1, x0:x1].ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    if flat.size and flat[0]:
        runs = [0, *runs]
    return runs, (x0, y0, x1 - x0, y1 - y0)


class _Bits:
    """Numbers of any length from a list of bytes."""

    def __init__(self, values: Sequence[int]) -> None:
        self._bits = np.unpackbits(np.asarray(values, dtype=np.uint8))
        self._at = 0

    def take(self, n: int) -> int:
        if self._at + n > len(self._bits):
            raise ValueError("rle ends in the middle of a run")
        part = self._bits[self._at : self._at + n]
        self._at += n
        return int("".join(map(str, part.tolist())), 2) if n else 0


# Label Studio's brush: 32 bits for the number of values, 5 for the size of a value less
# one, four times 4 for the sizes of runs less one; then, until all values are there, a
# bit that says whether one value is repeated, two bits for which of the four sizes the
# run's length less one is written in, the length, and the value or values. Values are
# the RGBA of each pixel, row by row (the reference: @thi.ng/rle-pack).


def decode_brush(values: Sequence[int], height: int, width: int) -> Mask:
    """Read Label Studio's brush; a pixel is the object where it is opaque.

    Raises
    ------
    ValueError
        Where its length is not that of the image, or it ends early.
    """
    if any(not 0 <= int(v) <= 255 for v in values):
        raise ValueError("rle holds a number that is no byte")
    bits = _Bits(values)
    n = bits.take(32)
    if n != 4 * height * width:
        raise ValueError(
            f"rle says that it has {n} values, an image of {width} x {height} has "
            f"{4 * height * width}"
        )
    if height * width > MOST_PIXELS // 4:
        raise ValueError(f"size {width} x {height} is beyond what is read of a brush")
    word = bits.take(5) + 1
    sizes = [bits.take(4) + 1 for _ in range(4)]
    out = np.zeros(n, dtype=np.uint8)
    at = 0
    while at < n:
        repeated = bits.take(1)
        length = bits.take(sizes[bits.take(2)]) + 1
        if at + length > n:
            raise ValueError("rle has a run beyond its end")
        if repeated:
            out[at : at + length] = bits.take(word) & 0xFF
        else:
            for i in range(length):
                out[at + i] = bits.take(word) & 0xFF
        at += length
    return Mask.of_array(out[3::4].reshape(height, width))


def encode_brush(mask: Mask) -> list[int]:
    """Write Label Studio's brush: the object is white and opaque."""
    flat: Array = mask.array().ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0], changes, [flat.size]])
    size = 16
    pieces = [f"{4 * flat.size:032b}", f"{8 - 1:05b}"]
    pieces += [f"{bits - 1:04b}" for bits in (3, 4, 8, size)]
    longest = 1 << size
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        left, value = 4 * (stop - start), 255 if flat[start] else 0
        while left > 0:
            length = min(left, longest)
            pieces.append(f"1{3:02b}{length - 1:016b}{value:08b}")
            left -= length
    text = "".join(pieces)
    text += "0" * (-len(text) % 8)
    return [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]
