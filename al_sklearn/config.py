"""Settings of the whole package.

How much memory a query may use, and where its results are kept.

Examples
--------
>>> from al_sklearn.config import config_context, get_config
>>> with config_context(max_memory="1 GB"):
...     get_config()["max_memory"]
1000000000
>>> get_config()["max_memory"] is None
True
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import Any, Final

__all__ = ["config_context", "get_config", "set_config"]

_UNITS: Final = {
    "": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
}
_LEAST: Final = 16 * 10**6


@dataclass(frozen=True)
class Config:
    """The settings; see :func:`set_config`."""

    max_memory: int | None = None
    cache: Path | None = None
    prefetch: bool = True


_everywhere = Config()
_here: ContextVar[Config | None] = ContextVar("al_sklearn_config", default=None)


def current() -> Config:
    """Return the settings in force."""
    return _here.get() or _everywhere


def get_config() -> dict[str, Any]:
    """Return the settings in force, by name; ``max_memory`` in bytes."""
    return asdict(current())


def set_config(**settings: Any) -> None:
    """Change settings for the rest of this process.

    Parameters
    ----------
    max_memory : int or str, optional
        What one query may hold of pieces of X and of its results (probabilities,
        posterior samples, embeddings), in bytes or as ``"500 MB"``, ``"1 GB"``, ``"1
        GiB"``; at least 16 MB. X is then read in pieces of at most a sixteenth of it,
        two at a time, and a result larger than a quarter of it lies in a temporary file
        that is mapped into memory. It does not count what the caller holds already, the
        network's own activations, or what a strategy with a cost beyond O(n) numbers
        makes of its own. ``None`` (the default) reads what is not in memory in pieces
        of 64 MiB and holds results in memory.
    cache : path, optional
        Folder in which probabilities, embeddings, predicted losses and input gradients
        are kept, piece by piece: a query that was killed goes on where it was, and the
        same question is answered from the file. What is asked of another model or of
        other data gets files of its own; nothing is ever deleted. Data is known by its
        values; files of images and arrays in files above 1 GiB by time and size too,
        these and torch data sets by what they hold and 256 of their items; whatever has
        a method ``token()`` by what that returns. ``None`` keeps nothing.
    prefetch : bool, default=True
        Read the next piece in a thread while the classifier works on the one before.

    Raises
    ------
    TypeError, ValueError
        For unknown settings, and for values that are none of the above.

    See Also
    --------
    config_context : For some lines only.

    Notes
    -----
    The workers of a :class:`al_sklearn.StrategyComparison` have the settings that hold
    where its ``fit`` is called; other worker processes of joblib do not inherit them.
    """
    global _everywhere
    _everywhere = _changed(_everywhere, settings)


@contextmanager
def config_context(**settings: Any) -> Iterator[None]:
    """Change settings inside a ``with`` block, for this thread.

    See :func:`set_config`.
    """
    token = _here.set(_changed(current(), settings))
    try:
        yield
    finally:
        _here.reset(token)


def _changed(config: Config, settings: dict[str, Any]) -> Config:
    unknown = sorted(set(settings) - set(asdict(config)))
    if unknown:
        raise TypeError(
            f"Unknown setting {unknown[0]!r}. Available: {', '.join(asdict(config))}."
        )
    if "max_memory" in settings:
        settings["max_memory"] = _bytes(settings["max_memory"])
    if settings.get("cache") is not None:
        settings["cache"] = Path(os.fspath(settings["cache"]))
    if not isinstance(settings.get("prefetch", True), bool):
        raise TypeError(
            f"prefetch must be True or False, got {settings['prefetch']!r}."
        )
    return replace(config, **settings)


def _bytes(size: Any) -> int | None:
    if size is None:
        return None
    found = (
        re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]I?B|)\s*", size.upper())
        if isinstance(size, str)
        else None
    )
    if found is not None:
        size = int(float(found[1]) * _UNITS[found[2]])
    if not isinstance(size, Integral) or isinstance(size, bool):
        raise ValueError(
            "max_memory must be bytes, or a text such as '500 MB' or '1 GiB', got "
            f"{size!r}."
        )
    if size < _LEAST:
        raise ValueError(f"max_memory must be at least 16 MB, got {size:,} bytes.")
    return int(size)
