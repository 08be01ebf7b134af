"""Image files as one array that is decoded when read, and kept on disk where asked.

On disk the images are kept small.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from al_sklearn._core.types import Array
from al_sklearn.rows._cache import KeyedRows, file_key
from al_sklearn.rows._decode import (
    COLOUR,
    DEEP,
    MODES,
    check_known_mode,
    decode_all,
    height_width,
    mode_of_files,
)
from al_sklearn.rows._rows import as_positions, file_names


class ImageFiles:
    """Image files as an array of uint8, decoded when rows are read.

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
    mode : {"RGB", "L", "I;16", None}, default="RGB"
        Colour, grey, or grey of 16 bits as float32 in [0, 1]. None looks at the files:
        colour as soon as one of them has colour.
    cache : path, optional
        Folder in which every file, once decoded and resized, is kept as it is read: the
        next pass over it costs no more than reading the pixels. A file is known by its
        path, time and size; one that changes is decoded again.
    n_threads : int, optional
        Threads that decode; as many as torch computes with by default.
    crop : bool, default=False
        Cut the middle out in the proportions of ``image_size`` first, instead of
        squashing the whole.

    Attributes
    ----------
    shape : tuple of int
        (n, H, W, 3) or (n, H, W).
    dtype : numpy dtype
        uint8; float32 of 16-bit grey.
    mode : str
        How the files are read.

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
        mode: str | None = "RGB",
        cache: str | os.PathLike[str] | None = None,
        n_threads: int | None = None,
        crop: bool = False,
    ):
        check_known_mode(mode, (*MODES, None))
        size = height_width(image_size)
        if len(size) != 2 or min(size) < 1:
            raise ValueError(
                "image_size must be a number of pixels or (height, width), got "
                f"{image_size!r}."
            )
        self.paths = file_names(paths)
        self.cache = None if cache is None else Path(cache)
        if mode is None:
            # What cannot be read at all is said when it is read.
            mode = mode_of_files(self.paths) or COLOUR
        self.mode = mode
        self.n_threads = n_threads
        self.crop = crop
        height, width = map(int, size)
        channels = (3,) if mode == COLOUR else ()
        self.shape = (len(self.paths), height, width, *channels)
        self.dtype = np.dtype(np.float32 if mode == DEEP else np.uint8)
        self._kept = None
        if self.cache is not None:
            cut = "-crop" if crop else ""
            folder = self.cache / f"{height}x{width}-{mode.replace(';', '')}{cut}"
            # Decoding one image is quicker than to wait for whoever decodes many.
            self._kept = KeyedRows(folder, self.shape[1:], self.dtype, in_turn=False)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        kept = "" if self.cache is None else f", kept in {self.cache}"
        height, width = self.shape[1:3]
        size = f"{height}x{width} {self.mode}"
        return f"ImageFiles({len(self):,} files as {size}{kept})"

    def __getitem__(self, key: Any) -> Array:
        """Read some rows: an array of them, or one image for one integer."""
        positions = as_positions(key, len(self))
        paths = [self.paths[i] for i in positions.tolist()]
        if self._kept is None:
            rows = self._decode(paths)
        else:
            rows = self._kept.get(
                [file_key(path) for path in paths],
                lambda missing: self._decode([paths[i] for i in missing.tolist()]),
            )
        return rows[0] if isinstance(key, (int, np.integer)) else rows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self[:], dtype=dtype)

    def token(self) -> str:
        """Name what the rows are, from the files and how they are read.

        It changes when a path, a file's size or its time does, or how it is read.
        """
        read = (self.shape, self.mode, *(["crop"] if self.crop else []))
        digest = hashlib.blake2b(repr(read).encode(), digest_size=16)
        for path in self.paths:
            digest.update(file_key(path))
        return digest.hexdigest()

    def _decode(self, paths: list[str]) -> Array:
        images = decode_all(
            paths, self.shape[1:3], self.mode, self.n_threads, self.crop
        )
        # The shape is said for none of them, too.
        return np.array(images, self.dtype).reshape(len(paths), *self.shape[1:])
