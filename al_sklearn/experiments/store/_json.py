"""Plain JSON with room for NaN, and rounds that know when they are damaged."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, Final

from al_sklearn._core.types import Options
from al_sklearn.exceptions import StoreError

# What begins the last key of a round's file.
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


def from_json(text: str) -> Options:
    """Read an object; ``null`` is NaN."""
    content = json.loads(text)
    if not isinstance(content, dict):
        raise StoreError(f"it holds {type(content).__name__}, not an object")
    return with_nan(content) if "null" in text else content


def with_nan(metrics: Options) -> Options:
    """Return metrics with NaN for null, which is how NaN is written."""

    def numbers(item: Any) -> Any:
        if isinstance(item, list):
            return [numbers(part) for part in item]
        return math.nan if item is None else item

    return {key: numbers(item) for key, item in metrics.items()}


def sealed(content: Mapping[str, Any]) -> str:
    """Return JSON whose last key is a checksum of what stands before it."""
    text = to_json(content)
    return f'{text[:-1]}{_SEAL}{_checksum(text)}"}}'


def unsealed(text: str) -> Options:
    """Read what :func:`sealed` wrote.

    Raises
    ------
    StoreError
        When it is cut or changed.
    """
    head, seal, checksum = text.rpartition(_SEAL)
    whole = head + "}"
    # A disk that loses a sector may leave JSON that can still be read.
    if not seal or checksum != f'{_checksum(whole)}"}}':
        raise StoreError("its checksum does not fit")
    return from_json(whole)


def _checksum(text: str) -> str:
    # Against accidents, not against people: eight bytes are enough.
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def flat(parameters: Any, prefix: str = "") -> dict[str, str]:
    """Return nested parameters as one level of texts: ``estimator.max_epochs``."""
    if isinstance(parameters, dict) and parameters:
        found: dict[str, str] = {}
        for key, value in parameters.items():
            found |= flat(value, f"{prefix}.{key}" if prefix else str(key))
        return found
    return {prefix: str(parameters)}
