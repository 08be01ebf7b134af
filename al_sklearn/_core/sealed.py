"""Plain JSON with room for NaN, and files that know when they are damaged."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from al_sklearn._core.types import Options
from al_sklearn.exceptions import StoreError

# What begins the last key of a sealed file.
_SEAL: Final = ', "checksum": "'


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON with null for NaN, which is not JSON.

    ``repr`` of a float keeps every bit.
    """

    def plain(item: Any) -> Any:
        if isinstance(item, Mapping):
            return {key: plain(part) for key, part in item.items()}
        if isinstance(item, (list, tuple)):
            return [plain(part) for part in item]
        return None if isinstance(item, float) and math.isnan(item) else item

    # repr of a float is the shortest that gives the same bits back.
    text = json.dumps(value, indent=indent)
    # Most have none; walking through everything takes longer than writing it.
    return json.dumps(plain(value), indent=indent) if "NaN" in text else text


def from_json(text: str, nan: bool = True) -> Options:
    """Read an object; ``null`` is NaN, or None where ``nan`` is False."""
    content = json.loads(text)
    if not isinstance(content, dict):
        raise StoreError(f"it holds {type(content).__name__}, not an object")
    return with_nan(content) if nan and "null" in text else content


def with_nan(metrics: Options) -> Options:
    """Return metrics with NaN for null, which is how NaN is written."""

    def numbers(item: Any) -> Any:
        if isinstance(item, list):
            return [numbers(part) for part in item]
        return math.nan if item is None else item

    return {key: numbers(item) for key, item in metrics.items()}


def sealed(content: Mapping[str, Any], indent: int | None = None) -> str:
    """Return JSON whose last key is a checksum of what stands before it."""
    text = to_json(content, indent)
    return f'{text[:-1]}{_SEAL}{checksum(text)}"}}'


def unsealed(text: str, nan: bool = True) -> Options:
    """Read what :func:`sealed` wrote; see :func:`from_json` for ``nan``.

    Raises
    ------
    StoreError
        When it is cut or changed.
    """
    head, seal, end = text.rpartition(_SEAL)
    whole = head + "}"
    # A disk that loses a sector may leave JSON that can still be read.
    if not seal or end != f'{checksum(whole)}"}}':
        raise StoreError("its checksum does not fit")
    return from_json(whole, nan)


def seal_of(text: str) -> str:
    """Return the checksum that a sealed text ends with, whether it fits or not."""
    return text.rpartition(_SEAL)[2].removesuffix('"}')


def checksum(content: str | bytes) -> str:
    """Return 16 hexadecimal digits that another text will hardly have.

    Against accidents, not against people: eight bytes are enough.
    """
    data = content.encode() if isinstance(content, str) else content
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def checksum_of(path: Path) -> str:
    """Return the checksum of a file, which need not fit into memory."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8))
    return digest.hexdigest()
