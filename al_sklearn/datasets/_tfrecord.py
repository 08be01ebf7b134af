"""TensorFlow's record files, without TensorFlow, and with every checksum compared."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

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
        position = start
        while position < size:
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size:
                yield Record(
                    b"", size, f"the file ends within the record at byte {position}"
                )
                return
            length, length_checksum = _HEADER.unpack(header)
            # Before the length is believed: a wrong one would lead anywhere.
            if checksum(header[:8]) != length_checksum:
                yield Record(
                    b"",
                    size,
                    f"the length of the record at byte {position} has a wrong checksum",
                )
                return
            end = position + _HEADER.size + length + _FOOTER.size
            if end > size:
                yield Record(
                    b"", size, f"the file ends within the record at byte {position}"
                )
                return
            content = file.read(length)
            # Told, not raised: the length was right, so the next record is found.
            wrong = checksum(content) != _FOOTER.unpack(file.read(_FOOTER.size))[0]
            yield Record(
                content,
                end,
                f"the record at byte {position} has a wrong checksum"
                if wrong
                else None,
            )
            position = end
