"""Rows that are slow to compute, kept: found again in order, or each by a key.

On a disk a cache is one folder with two files that are only ever added to::

    rows.npy or rows.bin        the rows
    finished.bin or keys.bin    what of them is whole, written once they are on the disk

so that a process killed at any moment loses what it was working on and nothing else.
Both say checksums of the rows: what a disk has changed is refused by its folder's name.
Processes that want the same rows take turns: the second one reads what the first one
wrote.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import warnings
import zlib
from collections import ChainMap
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike

from al_sklearn._core.files import locked, replacing
from al_sklearn._core.progress import tqdm
from al_sklearn._core.random import take_turn
from al_sklearn._core.types import Array
from al_sklearn.rows._numpy_files import DAMAGED_ARRAY
from al_sklearn.rows._rows import byte_size

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=+-]{0,119}")
# Bytes of a key: among a billion rows, two of which one hash would be are unlikelier
# than a disk that reads wrongly.
_KEY_BYTES: Final = 16
# What is written of a chunk: the number of finished rows with it, and its checksum.
_CHUNK: Final = np.dtype([("stop", "<i8"), ("checksum", "<u4")])
# What is written of a row: its key, and its checksum. CRC-32 finds each single bit.
_ENTRY: Final = np.dtype([("key", f"V{_KEY_BYTES}"), ("checksum", "<u4")])
# Rows that are mapped into memory are read once by a process to be checked: a GiB in a
# second, and above that so many chunks spread evenly.
_CHECK_BYTES: Final = 2**30
_CHECK_CHUNKS: Final = 64
# Files that this process has checked, by what they were then.
_checked: set[tuple[str, int, int, int]] = set()
# Rows in memory alone; more than this belongs on a disk.
_MOST_BYTES: Final = 2**30


def cache_key(**parts: Any) -> str:
    """Return a name for rows from everything that they depend on.

    Data, weights, layer, transform.

    Parameters
    ----------
    **parts : plain JSON values
        Anything ``json.dumps`` takes; the order does not matter.

    Returns
    -------
    key : str
        32 hexadecimal digits.

    Examples
    --------
    >>> cache_key(data="5f1c", layer="fc") == cache_key(layer="fc", data="5f1c")
    True
    """
    return _digest(json.dumps(parts, sort_keys=True, allow_nan=False).encode()).hex()


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_KEY_BYTES).digest()


@dataclass
class _Files:
    """Rows of one shape, and entries of one size that say which are whole."""

    rows: Path
    record: Path
    row_shape: tuple[int, ...]
    dtype: np.dtype
    entry_bytes: int

    @property
    def row_bytes(self) -> int:
        return byte_size(self.row_shape, self.dtype)

    def turn(self) -> AbstractContextManager[None]:
        return locked(self.rows.with_name(".lock"))

    def append(
        self,
        values: Array,
        entries: bytes,
        n_entries: int,
        offset: int,
    ) -> None:
        """Add rows behind ``offset`` bytes, and what says so behind ``n_entries``."""
        # Written, not mapped: a full disk is then an error that can be read, not a
        # crash of the process.
        with self.rows.open("ab") as rows, self.record.open("ab") as record:
            # What a kill left without an entry, or half an entry, goes.
            rows.truncate(offset)
            record.truncate(n_entries * self.entry_bytes)
            rows.write(np.ascontiguousarray(values, self.dtype).data)
            _sync(rows)
            # Only now, so that no row is called whole before it is on the disk.
            record.write(entries)
            _sync(record)

    def damaged(self, why: object) -> ValueError:
        folder = self.rows.parent
        return ValueError(
            f"The cache in {folder} is damaged ({why}); delete that folder."
        )


def open_or_compute(
    folder: str | os.PathLike[str],
    key: str,
    *,
    n_rows: int,
    row_shape: tuple[int, ...],
    dtype: DTypeLike,
    compute_chunk: Callable[[int, int], Array],
    chunk_rows: int = 4096,
    progress: str | None = None,
) -> Array:
    """Open cached rows, computing first those that are not there yet.

    Parameters
    ----------
    folder : path
        Where caches lie; made when it does not exist.
    key : str
        Name of this cache inside ``folder``; see :func:`cache_key`.
    n_rows : int
    row_shape : tuple of int
        Shape of one row, such as ``(1280,)``.
    dtype : numpy dtype
    compute_chunk : callable
        ``compute_chunk(start, stop)`` returns rows start … stop - 1, (stop - start,
        *row_shape), in a type that ``dtype`` holds without a change of kind. Called
        with increasing ``start``, only for what is missing.
    chunk_rows : int, default=4096
        Rows computed and written at a time: what a kill can lose.
    progress : str, optional
        Words before a progress bar; None shows none.

    Returns
    -------
    rows : read-only memmap of shape (n_rows, *row_shape)
        Of an ordinary .npy file. An empty array when there are no values, which cannot
        be mapped.

    Raises
    ------
    ValueError
        When the cache of that key has another shape or dtype or is damaged, or a
        computed chunk has another shape.
    """
    if not _NAME.fullmatch(key):
        raise ValueError(
            "A key is 1 to 120 letters, digits and _.=+- and names a folder; got "
            f"{key!r}."
        )
    if n_rows < 0 or chunk_rows < 1:
        raise ValueError(
            f"n_rows must be at least 0 and chunk_rows at least 1, got {n_rows} and "
            f"{chunk_rows}."
        )
    shape = (n_rows, *row_shape)
    dtype = np.dtype(dtype)
    if 0 in shape:
        empty = np.empty(shape, dtype)
        empty.flags.writeable = False
        return empty
    cache = _InOrder(Path(folder) / key, shape, dtype)
    if not cache.complete():
        # The generators before the file, as queries inside an experiment take them: two
        # threads would else wait for each other's. Another process may finish the rows
        # while this one waits: then nothing is left to do.
        with take_turn(), cache.files.turn():
            cache.begin()
            cache.fill(compute_chunk, chunk_rows, progress)
    return cache.open()


class _InOrder:
    """Rows one after the other; an entry a chunk says how many are there."""

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: np.dtype):
        self.shape = shape
        rows = folder / "rows.npy"
        record = folder / "finished.bin"
        self.files = _Files(rows, record, shape[1:], dtype, _CHUNK.itemsize)

    def complete(self) -> bool:
        return self.files.rows.exists() and self._done(self._known()[0]) == len(self)

    def __len__(self) -> int:
        return self.shape[0]

    def begin(self) -> None:
        if self.files.rows.exists():
            return
        # Before the rows: a folder without them is not begun, whatever else it holds.
        self.files.record.write_bytes(b"")
        header = {
            "descr": np.lib.format.dtype_to_descr(self.files.dtype),
            "fortran_order": False,
            # Of all the rows that will be, so that the file is an ordinary one in the
            # end.
            "shape": self.shape,
        }
        with replacing(self.files.rows) as file:
            np.lib.format.write_array_header_1_0(file, header)

    def fill(
        self,
        compute_chunk: Callable[[int, int], Array],
        chunk_rows: int,
        progress: str | None,
    ) -> None:
        chunks, header = self._known()
        done, n_entries = self._done(chunks), len(chunks)
        n = self.shape[0]
        dtype = self.files.dtype
        bar = tqdm(
            total=n, initial=done, desc=progress, unit="row", disable=progress is None
        )
        with bar:
            for start in range(done, n, chunk_rows):
                stop = min(start + chunk_rows, n)
                values = np.asarray(compute_chunk(start, stop))
                wanted = (stop - start, *self.shape[1:])
                if values.shape != wanted:
                    raise ValueError(
                        f"Rows {start} … {stop - 1} must have shape {wanted}, got "
                        f"{values.shape}."
                    )
                # Rounded where the type says so, never cut to whole numbers.
                values = values.astype(dtype, casting="same_kind", copy=False)
                offset = header + start * self.files.row_bytes
                crc = zlib.crc32(np.ascontiguousarray(values).data)
                entry = np.array((stop, crc), _CHUNK).tobytes()
                self.files.append(values, entry, n_entries, offset)
                n_entries += 1
                bar.update(stop - start)

    def open(self) -> Array:
        try:
            rows = np.load(self.files.rows, mmap_mode="r", allow_pickle=False)
        except DAMAGED_ARRAY as error:
            raise self.files.damaged(error) from error
        self._check(rows)
        return rows

    def _check(self, rows: Array) -> None:
        """Hold chunks against their checksums, once a process."""
        stat = self.files.rows.stat()
        file = str(self.files.rows), stat.st_ino, stat.st_size, stat.st_mtime_ns
        if file in _checked:
            return
        chunks, _ = self._known()
        stops = chunks["stop"].tolist()
        starts = [0, *stops[:-1]]
        places = np.arange(len(chunks))
        if stat.st_size > _CHECK_BYTES:
            spread = np.linspace(0, len(chunks) - 1, min(len(chunks), _CHECK_CHUNKS))
            places = np.unique(spread.astype(np.int64))
        for i in places.tolist():
            values = np.ascontiguousarray(rows[starts[i] : stops[i]])
            if zlib.crc32(values.data) != chunks["checksum"][i]:
                raise self.files.damaged(
                    f"rows {starts[i]} … {stops[i] - 1} are not those that were written"
                )
        _checked.add(file)

    def _done(self, chunks: Array) -> int:
        return int(chunks["stop"][-1]) if len(chunks) else 0

    def _known(self) -> tuple[Array, int]:
        """Return what is said of the finished chunks, and the header's bytes.

        The files must be what the caller wants.
        """
        try:
            with self.files.rows.open("rb") as file:
                np.lib.format.read_magic(file)
                shape, _, dtype = np.lib.format.read_array_header_1_0(file)
                header = file.tell()
            entries = self.files.record.read_bytes()
        except DAMAGED_ARRAY as error:
            raise self.files.damaged(error) from error
        if (shape, dtype) != (self.shape, self.files.dtype):
            raise ValueError(
                f"The cache in {self.files.rows.parent} holds {dtype} rows of shape "
                f"{shape}, not {self.files.dtype} rows of shape {self.shape}: a key "
                "must say everything that the rows depend on."
            )
        chunks = np.frombuffer(entries, _CHUNK, len(entries) // _CHUNK.itemsize)
        if np.any(np.diff(chunks["stop"], prepend=0) <= 0):
            raise self.files.damaged("its chunks do not follow each other")
        done = self._done(chunks)
        there = (self.files.rows.stat().st_size - header) // self.files.row_bytes
        if not 0 <= done <= min(there, shape[0]):
            raise self.files.damaged(f"of {done} rows that it says it has, {there} are")
        return chunks, header


class KeyedRows:
    """Rows of one shape by key, so that any selection ever computed is found.

    Parameters
    ----------
    folder : path, optional
        Where they lie, shared by processes; it may be deleted while nobody reads it.
        None keeps up to 1 GiB in this process's memory.
    row_shape : tuple of int
        Shape of one row.
    dtype : numpy dtype, default=float32
    in_turn : bool, default=True
        Whether who wants rows that are not there waits for whoever computes some, so
        that none is computed twice. False lets all compute at once, for what is cheaper
        than to wait for.
    """

    def __init__(
        self,
        folder: Path | None,
        row_shape: tuple[int, ...],
        dtype: DTypeLike = np.float32,
        *,
        in_turn: bool = True,
    ):
        self.folder = folder
        self.row_shape = row_shape
        self.dtype = np.dtype(dtype)
        self.in_turn = in_turn
        self._kept: _InMemory | _OnDisk = _InMemory()
        if folder is not None:
            rows = folder / "rows.bin"
            record = folder / "keys.bin"
            files = _Files(rows, record, row_shape, self.dtype, _ENTRY.itemsize)
            self._kept = _OnDisk(files)

    def __reduce__(self) -> Any:
        # A worker process looks for itself.
        make = partial(KeyedRows, in_turn=self.in_turn)
        return make, (self.folder, self.row_shape, self.dtype)

    def get(
        self,
        keys: Sequence[bytes],
        compute: Callable[[Array], Any],
    ) -> Array:
        """Return the rows of ``keys``, computing those that are not there.

        Parameters
        ----------
        keys : sequence of 16 bytes each
        compute : callable
            ``compute(indices)`` returns the rows (len(indices), *row_shape) of the keys
            at these positions.

        Returns
        -------
        rows : ndarray of shape (len(keys), *row_shape)
        """
        if len(keys) == 0:
            return np.empty((0, *self.row_shape), self.dtype)
        kept = self._kept
        new: dict[bytes, Array] = {}

        def computed(missing: dict[bytes, int]) -> dict[bytes, Array]:
            if not missing:
                return {}
            rows = compute(np.array(list(missing.values()), np.int64))
            return dict(zip(missing, np.asarray(rows, self.dtype), strict=True))

        missing = kept.missing(keys)
        if missing and not self.in_turn:
            new = computed(missing)
        if missing:
            with kept.turn():
                # Somebody else may have computed them meanwhile.
                missing = kept.missing(keys)
                if self.in_turn:
                    new = computed(missing)
                kept.add({key: new[key] for key in missing})
        return kept.take(keys, new)


def _first_of(keys: Sequence[bytes], known: Any) -> dict[bytes, int]:
    """Return where each key that is not known stands first, in order."""
    first: dict[bytes, int] = {}
    for i, key in enumerate(keys):
        if key not in known:
            first.setdefault(key, i)
    return first


class _InMemory:
    def __init__(self) -> None:
        self._rows: dict[bytes, Array] = {}
        self._bytes = 0
        self._full = False
        self._lock = threading.Lock()

    def turn(self) -> threading.Lock:
        return self._lock

    def missing(self, keys: Sequence[bytes]) -> dict[bytes, int]:
        return _first_of(keys, self._rows)

    def add(self, new: dict[bytes, Array]) -> None:
        n_bytes = sum(row.nbytes for row in new.values())
        if self._bytes + n_bytes <= _MOST_BYTES:
            # At once: other threads look here without the lock.
            self._rows.update(new)
            self._bytes += n_bytes
        elif not self._full:
            self._full = True
            warnings.warn(
                "More than 1 GiB of embeddings: the rest is not kept in memory and "
                "will be computed again; give cache= a folder.",
                stacklevel=3,
            )

    def take(self, keys: Sequence[bytes], new: dict[bytes, Array]) -> Array:
        # What found no room is among the new ones alone.
        known = ChainMap(new, self._rows)
        return np.stack([known[key] for key in keys])


class _OnDisk:
    """Rows in the order in which they came, and as many keys."""

    def __init__(self, files: _Files):
        self.files = files
        # Where the row of each key is, in the order of the file, and every row's
        # checksum.
        self._slots: dict[bytes, int] = {}
        self._checksums: list[int] = []
        # The file that was looked at: it and its last entry tell a folder begun anew.
        self._file = 0
        self._last = b""
        self._looking = threading.Lock()

    def turn(self) -> AbstractContextManager[None]:
        return self.files.turn()

    def missing(self, keys: Sequence[bytes]) -> dict[bytes, int]:
        self._look()
        return _first_of(keys, self._slots)

    def _look(self) -> None:
        """Learn the keys that are there and not known yet, whoever wrote them."""
        with self._looking:
            try:
                handle = self.files.record.open("rb")
            except FileNotFoundError:
                self._forget()
                return
            with handle:
                inode = os.fstat(handle.fileno()).st_ino
                before = max(len(self._checksums) - 1, 0) * _ENTRY.itemsize
                handle.seek(before)
                if (inode, handle.read(len(self._last))) != (self._file, self._last):
                    # The folder was deleted, and begun anew: its rows come in another
                    # order.
                    self._forget()
                    self._file = inode
                    handle.seek(0)
                found = handle.read()
            # Half an entry is what a kill left. Keys as void: strings lose zeros at
            # their end.
            n_whole = len(found) // _ENTRY.itemsize
            if not n_whole:
                return
            entries = np.frombuffer(found, _ENTRY, n_whole)
            keys = entries["key"].tolist()
            self._slots.update(zip(keys, count(len(self._checksums)), strict=False))
            self._checksums += entries["checksum"].tolist()
            self._last = entries[-1:].tobytes()

    def _forget(self) -> None:
        self._slots, self._checksums, self._last = {}, [], b""

    def add(self, new: dict[bytes, Array]) -> None:
        if not new:
            return
        n = len(self._checksums)
        rows = np.stack(list(new.values()))
        entries = np.empty(len(rows), _ENTRY)
        entries["key"] = np.frombuffer(b"".join(new), _ENTRY["key"])
        entries["checksum"] = _checksums(np.asarray(rows, self.files.dtype))
        self.files.append(rows, entries.tobytes(), n, n * self.files.row_bytes)
        self._look()

    def take(self, keys: Sequence[bytes], _new: dict[bytes, Array]) -> Array:
        # Not all that is in the file: somebody may be in the middle of writing more.
        shape = (len(self._checksums), *self.files.row_shape)
        try:
            mapped = np.memmap(self.files.rows, self.files.dtype, "r", shape=shape)
        except (OSError, ValueError) as error:
            raise self.files.damaged(error) from error
        slots = [self._slots[key] for key in keys]
        # A copy in memory, which as a memmap would pass for a file.
        rows = np.asarray(mapped[slots])
        if _checksums(rows) != [self._checksums[slot] for slot in slots]:
            raise self.files.damaged("rows are not those that were written")
        return rows


def _checksums(rows: Array) -> list[int]:
    """Return a checksum a row."""
    if rows.size == 0:
        return [0] * len(rows)
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1).view(np.uint8)
    return [zlib.crc32(row.data) for row in flat]


def hashes(rows: Array) -> list[bytes]:
    """Return 16 bytes for each row of an array, by its values, shape and type."""
    kind = repr((rows.dtype.str, rows.shape[1:])).encode()
    return [_digest(kind + row.tobytes()) for row in rows]


def file_key(path: str | os.PathLike[str], how: str = "") -> bytes:
    """Return 16 bytes by which an image file is known: its path, size and time.

    ``how`` it is read, where that changes what is kept of it.

    Raises
    ------
    ValueError
        When there is no such file.
    """
    try:
        stat = os.stat(path)
    except OSError as error:
        raise ValueError(
            f"X names a file that cannot be read as an image: {path} ({error})."
        ) from error
    text = f"{os.path.abspath(path)}\0{stat.st_mtime_ns}\0{stat.st_size}{how}"
    # Names that are not UTF-8 come from the system as surrogates.
    return _digest(text.encode(errors="surrogateescape"))


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
