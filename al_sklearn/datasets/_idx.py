"""The idx format of MNIST and its relatives, plain or gzipped."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from al_sklearn._core.types import Array

# Third byte of the magic number -> type of the values, big-endian.
_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: Path) -> Array:
    """Read one idx file.

    Parameters
    ----------
    path : Path
        Gzipped when its name ends in ``.gz``.

    Returns
    -------
    ndarray
        Of the shape and type that the file states.

    Raises
    ------
    ValueError
        When the file is damaged, cut short, too long, or not an idx file; it is named.
    """
    raw = path.read_bytes()
    try:
        if path.suffix == ".gz":
            raw = gzip.decompress(raw)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error}); fetch it again.") from error
    # Two zeros, the type, the number of axes, and the length of each.
    begins = len(raw) >= 4 and raw[:2] == b"\0\0" and raw[2] in _TYPES
    if not begins or len(raw) < 4 + 4 * raw[3]:
        raise ValueError(
            f"{path} is not an idx file: it begins with {raw[:4].hex(' ')}."
        )
    dtype = np.dtype(_TYPES[raw[2]])
    header = 4 + 4 * raw[3]
    # The file is big-endian, and says so nowhere.
    shape = tuple(np.frombuffer(raw[4:header], ">u4").tolist())
    # In Python's numbers: a damaged header may say more than 64 bits hold.
    size = header + math.prod(shape) * dtype.itemsize
    # Too long is damage as well: two files in one, or a header that was changed.
    if len(raw) != size:
        raise ValueError(
            f"{path} should hold {size} bytes for shape {shape}, it holds {len(raw)}; "
            "fetch it again."
        )
    values = np.frombuffer(raw, dtype, offset=header).reshape(shape)
    # In this machine's order: torch takes no other.
    return values.astype(dtype.newbyteorder("="), copy=False)
