"""Which range pixels have, and what of two ranges may stand in one training set.

uint8 images, and float images within 0 … 1, are one scale: networks see both as shares
of white. Float images beyond 0 … 1 are another, which only their owner knows: bytes
beside them, or they beside bytes or shares, would be learnt as all black or all white.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from al_sklearn._core.types import Array
from al_sklearn.rows._rows import RowView, is_tensor

# Filters that resize by cubic splines go a little beyond black and white.
_OVERSHOOT: Final = 0.1
# Axes that may be the channels of an image.
_FEW: Final = (1, 2, 3, 4)


@dataclass(frozen=True)
class PixelRange:
    """The range of the pixels that were seen.

    Parameters
    ----------
    low, high : float
        Of float images; infinite where none was seen.
    has_bytes : bool
        Whether uint8 images were seen.

    Examples
    --------
    >>> import numpy as np
    >>> shares = PixelRange.of(np.array([0.0, 1.0]))
    >>> shares.is_beyond, PixelRange.of(np.array([0.0, 200.0])).is_beyond
    (False, True)
    """

    low: float = math.inf
    high: float = -math.inf
    has_bytes: bool = False

    @classmethod
    def of(cls, rows: Any) -> PixelRange:
        """Look at an array or a tensor of uint8 or float."""
        if str(rows.dtype).rpartition(".")[2] == "uint8":
            return cls(has_bytes=True)
        if 0 in rows.shape:
            return cls()
        return cls(float(rows.min()), float(rows.max()))

    @property
    def is_beyond(self) -> bool:
        """Whether floats go beyond 0 … 1."""
        return self.low < -_OVERSHOOT or self.high > 1 + _OVERSHOOT

    def __or__(self, other: PixelRange) -> PixelRange:
        return PixelRange(
            min(self.low, other.low),
            max(self.high, other.high),
            self.has_bytes or other.has_bytes,
        )

    def __str__(self) -> str:
        said = ["uint8 (0 … 255)"] if self.has_bytes else []
        if self.low <= self.high:
            said.append(f"float ({self.low:.4g} … {self.high:.4g})")
        return " and ".join(said)

    def check(self, new: PixelRange) -> None:
        """Raise a ``ValueError`` unless images of ``new`` may follow these."""
        nothing = PixelRange()
        if nothing in (self, new):
            return
        if self.is_beyond != new.is_beyond and (new.is_beyond or new.has_bytes):
            raise ValueError(
                f"The images are {new}, those before them {self}: uint8 and float "
                "images within 0 … 1 are one scale, float images beyond it another. "
                "Give all images in the scale of the first."
            )


def follows_on_scale(known: Any, new: Any) -> tuple[Any, Any]:
    """Bring images of bytes and images of shares to one scale.

    Parameters
    ----------
    known, new : any kind of rows
        ``new`` is to follow ``known``.

    Returns
    -------
    known, new
        As they came where both are of one type, or not arrays or tensors of images;
        else both as floats, the bytes divided by 255 and with their channels first.

    Raises
    ------
    ValueError
        Where one is of bytes, and the floats of the other go beyond 0 … 1; both ranges
        are said.
    """
    types = _pixel_type(known), _pixel_type(new)
    if set(types) != {"bytes", "floats"}:
        return known, new
    known, new = _read(known), _read(new)
    _range_of(known).check(_range_of(new))
    if types[0] == "bytes":
        return _as_shares(known, new.ndim), new
    return known, _as_shares(new, known.ndim)


def check_scale_follows(known: Any, new: Any) -> None:
    """Raise a ``ValueError`` where images of ``new`` have another scale than ``known``.

    Only arrays and tensors of images are looked at.
    """
    if None not in (_pixel_type(known), _pixel_type(new)):
        _range_of(known).check(_range_of(new))


def channels_come_first(X: Any) -> bool:
    """Whether X is a tensor of uint8 images whose channels can only come first.

    torch has its images so; all others have bytes with their channels last.
    """
    if not is_tensor(X) or X.ndim != 4 or not str(X.dtype).endswith(".uint8"):
        return False
    return X.shape[1] in _FEW and X.shape[3] not in _FEW


def _pixel_type(X: Any) -> str | None:
    """What images are made of; None where X is no array of images."""
    # Rows of numbers are no images: bytes among them may be anything.
    if len(getattr(X, "shape", ())) not in (3, 4) or not hasattr(X, "dtype"):
        return None
    name = str(X.dtype).rpartition(".")[2]
    if name == "uint8":
        return "bytes"
    # numpy's, in any width and order of bytes, and torch's.
    is_float = getattr(X.dtype, "kind", "") == "f" or "float" in name
    return "floats" if is_float else None


def _range_of(X: Any) -> PixelRange:
    # Bytes say what they are without being read: they may be files.
    if _pixel_type(X) == "bytes":
        return PixelRange(has_bytes=True)
    return PixelRange.of(_read(X))


def _read(X: Any) -> Any:
    rows = X.rows() if isinstance(X, RowView) else X
    return rows if is_tensor(rows) else np.asarray(rows)


def _as_shares(rows: Any, ndim: int) -> Array:
    """Bytes as floats in 0 … 1, laid out as floats of so many axes are."""
    if rows.ndim == 4 and not channels_come_first(rows):
        rows = rows.movedim(3, 1) if is_tensor(rows) else np.moveaxis(rows, 3, 1)
    if rows.ndim == 3 and ndim == 4:
        # Grey, beside images that say so.
        rows = rows[:, None]
    elif rows.ndim == 4 and ndim == 3 and rows.shape[1] == 1:
        rows = rows[:, 0]
    if is_tensor(rows):
        return rows.float() / 255
    return rows.astype(np.float32) / np.float32(255)
