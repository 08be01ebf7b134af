"""TensorFlow's record files, without TensorFlow, and with every checksum compared."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from al_sklearn._core.optional import require

_HEADER = struct.Struct("<QI")  # length of the record, checksum of that length
_FOOTER = struct.Struct("<I")  # checksum of the record


class Record(NamedTuple):
    """One record of a file."""

    content: bytes
    end: int
    """Where the next one begins."""
    problem: str | None
    """What is wrong with it.

    After a problem in its length, nothing more can be read of the file.
    """


def read_records(path: Path, start: int = 0) -> Iterator[Record]:
    """Yield the records of a TFRecord file, from the byte ``start``.

    References
    ----------
    TensorFlow, "TFRecord and tf.train.Example": length (uint64), its masked CRC-32C,
    the bytes, their masked CRC-32C.
    """
    crc32c = require("crc32c", "Reading TFRecord").crc32c

    def checksum(content: bytes) -> int:
        crc = crc32c(content)
        # TensorFlow's mask, so that a checksum stored inside data is no checksum of it.
        return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF

    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(start)
        while start < size:
            record = _read(file, start, size, checksum)
            yield record
            start = record.end


def _read(
    file: BinaryIO, start: int, size: int, checksum: Callable[[bytes], int]
) -> Record:
    # Where the length is not to be trusted, nothing says where the next record begins.
    cut = Record(b"", size, f"the file ends within the record at byte {start}")
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return cut
    length, length_checksum = _HEADER.unpack(header)
    # Before the length is believed: a wrong one would lead anywhere.
    if checksum(header[:8]) != length_checksum:
        return Record(
            b"", size, f"the length of the record at byte {start} has a wrong checksum"
        )
    end = start + _HEADER.size + length + _FOOTER.size
    if end > size:
        return cut
    content = file.read(length)
    problem = None
    # Told, not raised: the length was right, so the next record is found.
    if checksum(content) != _FOOTER.unpack(file.read(_FOOTER.size))[0]:
        problem = f"the record at byte {start} has a wrong checksum"
    return Record(content, end, problem)
