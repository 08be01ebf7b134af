"""Rows that are found again one by one, by a key that each has.

In memory, or in a folder that processes share.
"""

from __future__ import annotations

import hashlib
import os
import threading
import uuid
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import numpy as np

from al_sklearn._core.files import locked, replacing

# Rows in memory alone; more than this belongs on a disk.
_MOST_BYTES: Final = 2**30
_KEYS, _ROWS = ".keys.npy", ".rows.npy"


class KeyedRows:
    """Rows of one length by key, so that any selection ever computed is found.

    On a disk they lie in segments, two ``.npy`` files each: the rows, and, written
    after them, their keys. A segment is there whole or not at all; nothing is ever
    overwritten.

    Parameters
    ----------
    folder : path, optional
        Where the segments lie, shared by processes. None keeps up to 1 GiB in this
        process's memory.
    """

    def __init__(self, folder: Path | None = None):
        self.folder = folder
        self._where: dict[bytes, int] = {}
        self._segments: list[np.ndarray] = []
        self._starts = [0]
        self._read: set[str] = set()
        self._full = False
        self._lock = threading.Lock()

    def get(
        self, keys: Sequence[bytes], compute: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """Return the rows of ``keys``, computing those that are not there.

        Parameters
        ----------
        keys : sequence of 16 bytes each
        compute : callable
            ``compute(indices)`` returns the float32 rows (len(indices), d) of the keys
            at these positions.

        Returns
        -------
        rows : ndarray of shape (len(keys), d)
        """
        found = self._find(keys)
        if (found < 0).any():
            # Processes that want the same rows wait for each other instead of computing
            # them twice.
            with (
                self._lock,
                nullcontext() if self.folder is None else locked(self.folder / ".lock"),
            ):
                self._refresh()
                found = self._find(keys)
                first = {keys[i]: i for i in np.flatnonzero(found < 0)[::-1].tolist()}
                if first:
                    indices = np.sort(np.fromiter(first.values(), np.int64, len(first)))
                    rows = np.ascontiguousarray(compute(indices), dtype=np.float32)
                    new = [keys[i] for i in indices.tolist()]
                    if not self._keep(new, rows):
                        return self._joined(
                            keys, found, dict(zip(new, rows, strict=True))
                        )
                    found = self._find(keys)
        return self._take(found)

    def _find(self, keys: Sequence[bytes]) -> np.ndarray:
        return np.fromiter(
            (self._where.get(key, -1) for key in keys), np.int64, len(keys)
        )

    def _take(self, positions: np.ndarray) -> np.ndarray:
        segments = np.searchsorted(self._starts, positions, side="right") - 1
        used = np.unique(segments).tolist()
        out = np.empty((len(positions), self._segments[0].shape[1]), dtype=np.float32)
        for segment in used:
            mine = segments == segment
            out[mine] = self._segments[segment][positions[mine] - self._starts[segment]]
        return out

    def _joined(
        self, keys: Sequence[bytes], found: np.ndarray, new: dict[bytes, np.ndarray]
    ) -> np.ndarray:
        here = found >= 0
        out = np.empty((len(keys), len(next(iter(new.values())))), dtype=np.float32)
        if here.any():
            out[here] = self._take(found[here])
        for i in np.flatnonzero(~here).tolist():
            out[i] = new[keys[i]]
        return out

    def _keep(self, keys: list[bytes], rows: np.ndarray) -> bool:
        if self.folder is not None:
            name = uuid.uuid4().hex
            _write(self.folder / (name + _ROWS), rows)
            _write(
                self.folder / (name + _KEYS),
                np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 16),
            )
            self._refresh()
            return True
        if (
            sum(segment.nbytes for segment in self._segments) + rows.nbytes
            > _MOST_BYTES
        ):
            if not self._full:
                warnings.warn(
                    "More than 1 GiB of embeddings: the rest is not kept in memory "
                    "and will be computed again; give "
                    "cache= a folder.",
                    stacklevel=2,
                )
            self._full = True
            return False
        self._append(keys, rows)
        return True

    def _append(self, keys: Sequence[bytes], rows: np.ndarray) -> None:
        start = self._starts[-1]
        self._segments.append(rows)
        self._starts.append(start + len(rows))
        # Last: other threads look here without the lock.
        self._where.update((key, start + i) for i, key in enumerate(keys))

    def _refresh(self) -> None:
        """Read the segments that came since, from this process or another."""
        if self.folder is None:
            return
        for entry in sorted(os.listdir(self.folder)):
            if not entry.endswith(_KEYS) or entry in self._read:
                continue
            path = self.folder / entry
            try:
                keys = np.load(path, allow_pickle=False)
                rows = np.load(
                    path.with_name(entry.removesuffix(_KEYS) + _ROWS),
                    mmap_mode="r",
                    allow_pickle=False,
                )
            except (OSError, ValueError) as error:
                raise ValueError(
                    f"The cache in {self.folder} is damaged ({error}); delete that "
                    "folder."
                ) from error
            self._append([key.tobytes() for key in keys], rows)
            self._read.add(entry)


def _write(path: Path, array: np.ndarray) -> None:
    with replacing(path) as file:
        np.save(file, array, allow_pickle=False)


def hashes(rows: np.ndarray) -> list[bytes]:
    """Return 16 bytes for each row of an array, by its values, shape and type."""
    start = hashlib.blake2b(
        repr((rows.dtype.str, rows.shape[1:])).encode(), digest_size=16
    )
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1)
    found = []
    for row in flat:
        digest = start.copy()
        digest.update(row.data)
        found.append(digest.digest())
    return found
