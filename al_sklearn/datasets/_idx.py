"""The idx format of MNIST and its relatives, plain or gzipped."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

# Third byte of the magic number -> type of the values, big-endian.
_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: Path) -> np.ndarray:
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
    try:
        raw = (
            gzip.decompress(path.read_bytes())
            if path.suffix == ".gz"
            else path.read_bytes()
        )
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error}); fetch it again.") from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _TYPES:
        raise ValueError(
            f"{path} is not an idx file: it begins with {raw[:4].hex(' ')}."
        )
    dtype, n_axes = np.dtype(_TYPES[raw[2]]), raw[3]
    header = 4 + 4 * n_axes
    # The file is big-endian, and says so nowhere.
    shape = tuple(np.frombuffer(raw[4:header], ">u4").astype(int).tolist())
    size = header + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    # Too long is damage as well: two files in one, or a header that was changed.
    if len(shape) != n_axes or len(raw) != size:
        raise ValueError(
            f"{path} should hold {size} bytes for shape {shape}, it holds {len(raw)}; "
            "fetch it again."
        )
    return (
        np.frombuffer(raw, dtype, offset=header)
        .reshape(shape)
        .astype(dtype.newbyteorder("="), copy=False)
    )
