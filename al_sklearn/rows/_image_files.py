"""Image files as one array that is decoded when read, and kept on disk where asked.

On disk the images are kept small.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from al_sklearn._core.files import locked
from al_sklearn.rows._decode import decode_all
from al_sklearn.rows._rows import as_positions

_KEY_BYTES = 8


class ImageFiles:
    """Image files as a uint8 array, decoded when rows are read.

    Its shape is (n, H, W, 3) or (n, H, W).

    It stands wherever an array of images may: in ``fit``, ``query``, a
    :class:`~al_sklearn.pool.Pool`'s views, a pipeline that begins with a network of
    pretrained features.

    Parameters
    ----------
    paths : sequence of str or PathLike
        The files.
    image_size : int or (height, width)
        What they are resized to.
    mode : {"RGB", "L"}, default="RGB"
        Colour or grey.
    cache : path, optional
        Folder in which every file, once decoded and resized, is kept as it is read: the
        next pass over it costs no more than reading the pixels. A file is known by its
        path, time and size; one that changes is decoded again.
    n_threads : int, optional
        Threads that decode; as many as torch computes with by default.

    Attributes
    ----------
    shape : tuple of int
        (n, H, W, 3) or (n, H, W).
    dtype : numpy dtype
        uint8.

    Raises
    ------
    ValueError
        For an unknown mode, a size below 1, and, when rows are read, for files that are
        no images.

    See Also
    --------
    al_sklearn.datasets.load_dataset : ``load_dataset("folder", …)`` gives the paths.

    Notes
    -----
    Photos are turned upright as their EXIF data say; what is transparent lies on white.
    The cache only grows; deleting its folder is safe at any time that nobody reads it.
    """

    def __init__(
        self,
        paths: Sequence[Any],
        image_size: int | tuple[int, int],
        *,
        mode: str = "RGB",
        cache: str | os.PathLike[str] | None = None,
        n_threads: int | None = None,
    ):
        if mode not in ("RGB", "L"):
            raise ValueError(f"mode must be 'RGB' or 'L', got {mode!r}.")
        size = (
            (image_size, image_size)
            if isinstance(image_size, (int, np.integer))
            else tuple(image_size)
        )
        if len(size) != 2 or min(size) < 1:
            raise ValueError(
                "image_size must be a number of pixels or (height, width), got "
                f"{image_size!r}."
            )
        self.paths = [os.fspath(path) for path in paths]
        self.mode, self.cache, self.n_threads = (
            mode,
            None if cache is None else Path(cache),
            n_threads,
        )
        height, width = (int(side) for side in size)
        self.shape = (len(self.paths), height, width) + ((3,) if mode == "RGB" else ())
        self.dtype = np.dtype(np.uint8)
        self._kept = (
            None
            if self.cache is None
            else _Kept(self.cache / f"{height}x{width}-{mode}", self.shape[1:])
        )

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        kept = "" if self.cache is None else f", kept in {self.cache}"
        return (
            f"ImageFiles({len(self):,} files as {self.shape[1]}x{self.shape[2]} "
            f"{self.mode}{kept})"
        )

    def __getitem__(self, key: Any) -> np.ndarray:
        """Read some rows: an array of them, or one image for one integer."""
        paths = [self.paths[i] for i in as_positions(key, len(self)).tolist()]
        if self._kept is None:
            rows = self._decode(paths)
        else:
            rows = self._kept.read(paths, self._decode)
        return rows[0] if isinstance(key, (int, np.integer)) else rows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def token(self) -> str:
        """Name what the rows are, from the files and how they are read.

        It changes when a path, a file's size or its time does, or how it is read.
        """
        digest = hashlib.blake2b(repr((self.shape, self.mode)).encode(), digest_size=16)
        for path in self.paths:
            digest.update(_key(path))
        return digest.hexdigest()

    def _decode(self, paths: list[str]) -> np.ndarray:
        rows = np.empty((len(paths), *self.shape[1:]), np.uint8)
        for i, image in enumerate(
            decode_all(paths, (self.shape[1], self.shape[2]), self.mode, self.n_threads)
        ):
            rows[i] = image
        return rows


class _Kept:
    """Rows on disk in the order they were first read.

    ``rows.bin`` of pixels, ``keys.bin`` of 8 bytes for each.

    A row is written before its key: a process killed at any moment leaves no key
    without its pixels.
    """

    def __init__(self, folder: Path, row_shape: tuple[int, ...]):
        self.folder, self.row_shape = folder, row_shape
        self._slots: dict[bytes, int] = {}
        self._known = 0
        self._file, self._last = 0, b""
        self._looking = threading.Lock()

    def __reduce__(self) -> Any:
        # A worker process looks for itself.
        return _Kept, (self.folder, self.row_shape)

    def read(self, paths: list[str], decode: Any) -> np.ndarray:
        if not paths:
            return np.empty((0, *self.row_shape), np.uint8)
        keys = [_key(path) for path in paths]
        self._look()
        new = {
            key: path
            for key, path in zip(keys, paths, strict=True)
            if key not in self._slots
        }
        if new:
            self._append(list(new), decode(list(new.values())))
        # Not all that is in the file: somebody may be in the middle of writing more.
        rows = np.memmap(
            self.folder / "rows.bin",
            np.uint8,
            "r",
            shape=(self._known, *self.row_shape),
        )
        return np.asarray(rows[[self._slots[key] for key in keys]])

    def _look(self) -> None:
        """Learn the keys that are there and not known yet, whoever wrote them."""
        with self._looking:
            try:
                handle = (self.folder / "keys.bin").open("rb")
            except FileNotFoundError:
                self._slots, self._known, self._last = {}, 0, b""
                return
            with handle:
                inode = os.fstat(handle.fileno()).st_ino
                handle.seek(max(self._known - 1, 0) * _KEY_BYTES)
                if (inode, handle.read(len(self._last))) != (self._file, self._last):
                    # The folder was deleted, and begun anew: its rows come in another
                    # order.
                    self._slots, self._known, self._file, self._last = {}, 0, inode, b""
                    handle.seek(0)
                found = handle.read()
            for start in range(0, len(found) - _KEY_BYTES + 1, _KEY_BYTES):
                self._last = found[start : start + _KEY_BYTES]
                self._slots[self._last] = self._known
                self._known += 1

    def _append(self, keys: list[bytes], rows: np.ndarray) -> None:
        with locked(self.folder / ".lock"):
            self._look()
            missing = [i for i, key in enumerate(keys) if key not in self._slots]
            with (
                (self.folder / "rows.bin").open("ab") as pixels,
                (self.folder / "keys.bin").open("ab") as names,
            ):
                # What a kill left without a key, or half a key, goes.
                pixels.truncate(self._known * rows[0].nbytes)
                names.truncate(self._known * _KEY_BYTES)
                pixels.write(rows[missing].tobytes())
                pixels.flush()
                os.fsync(pixels.fileno())
                names.write(b"".join(keys[i] for i in missing))
            self._look()


def _key(path: str) -> bytes:
    """What a file is known by: its path, time and size."""
    try:
        stat = os.stat(path)
    except OSError as error:
        raise ValueError(
            f"X names a file that cannot be read as an image: {path} ({error})."
        ) from error
    text = f"{os.path.abspath(path)}\0{stat.st_mtime_ns}\0{stat.st_size}"
    return hashlib.blake2b(
        text.encode(errors="surrogateescape"), digest_size=_KEY_BYTES
    ).digest()
