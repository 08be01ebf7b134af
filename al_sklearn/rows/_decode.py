"""Image files to arrays: upright, on white, no larger than needed, several at once.

What is decided here, for every file:

- The orientation that a camera wrote into the file (EXIF) is applied: people are shown
  photos upright, and label those.
- Transparent pixels lie on white. What is under them in the file is often black, and
  nobody was meant to see it.
- Grey files give one channel, all others (palette, CMYK, YCbCr …) three; 16-bit grey
  keeps its depth or is cut to 8.
- A file is resized once, by Pillow's bicubic filter with anti-aliasing, and without
  keeping its proportions; a JPEG that is at least four times too large is decoded at
  1/2, 1/4 or 1/8 of its size, which is several times faster.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from al_sklearn._core.optional import require
from al_sklearn._core.threads import present_threads, thread_pool
from al_sklearn._core.types import Array

Size = int | tuple[int, int] | None

# Clockwise quarter turns and mirrors of the EXIF orientations 2 … 8, as names of
# Pillow's transpositions.
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
_ORIENTATION = 0x0112
_SIDEWAYS = {5, 6, 7, 8}

# What Pillow's decoders raise on bad bytes.
DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
)


def decode(path: Any, image_size: Size = None, mode: str | None = None) -> Array:
    """Decode one image file.

    Parameters
    ----------
    path : str or PathLike
    image_size : int or (height, width), optional
        What it is resized to.
    mode : {"RGB", "L"}, optional
        Always so, as uint8. By default what the file is: grey as (H, W), other as (H,
        W, 3), uint8; 16-bit grey as float32 in [0, 1].

    Returns
    -------
    ndarray of shape (H, W) or (H, W, 3)

    Raises
    ------
    ValueError
        When the file is missing, damaged or no image: which, and what Pillow says.
    ImportError
        Without Pillow.
    """
    Image = require("PIL.Image", "Reading image files", "pillow")
    try:
        with Image.open(path) as image:
            check_mode(image)
            orientation = image.getexif().get(_ORIENTATION, 1)
            size = None if image_size is None else height_width(image_size)
            if size is not None:
                size = size[::-1] if orientation in _SIDEWAYS else size
                # Never below twice the size wanted: the filter then sees what it would
                # have seen.
                image.draft(None, (2 * size[1], 2 * size[0]))
            pixels = to_pixels(image, size, mode, _UPRIGHT.get(orientation))
    except (*DAMAGED, Image.DecompressionBombError) as error:
        raise ValueError(
            f"X names a file that cannot be read as an image: {path} ({error})."
        ) from error
    return pixels


def check_mode(image: Any) -> None:
    """Refuse what has no known range."""
    if image.mode in ("I", "F"):
        raise ValueError(
            f"Image files of mode {image.mode!r} have no known range; save them with "
            "8 or 16 bits."
        )


def to_pixels(
    image: Any,
    image_size: Size = None,
    mode: str | None = None,
    turn: str | None = None,
) -> Array:
    """Turn an open Pillow image into an array; see :func:`decode`.

    ``turn`` is done after resizing.
    """
    from PIL import Image

    check_mode(image)
    deep = image.mode.startswith("I;16")
    see_through = image.has_transparency_data and not deep
    colours = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if not deep:
        image = image.convert(f"{colours}A" if see_through else colours)
    if image_size is not None:
        # Pillow gives a copy of an image that has the size already.
        height, width = height_width(image_size)
        image = image.resize((width, height))
    if see_through:
        # After resizing: the edge of what is transparent is mixed as it will be seen.
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA")).convert(colours)
    if turn is not None:
        image = image.transpose(getattr(Image.Transpose, turn))
    if not deep:
        return np.array(image if mode is None else image.convert(mode))
    values = np.asarray(image, dtype=np.float32) / np.float32(65535)
    if mode is None:
        return values
    # Rounded: Pillow would cut 16 bits off at 255.
    grey8 = np.rint(values * 255).clip(0, 255).astype(np.uint8)
    return grey8 if mode == "L" else np.repeat(grey8[..., None], 3, axis=2)


def decode_all(
    paths: Sequence[Any],
    image_size: Size = None,
    mode: str | None = None,
    n_threads: int | None = None,
) -> list[Array]:
    """Decode several files, in their order.

    Parameters
    ----------
    paths, image_size, mode
        As in :func:`decode`.
    n_threads : int, optional
        Threads that share the work: Pillow's decoders and filters let go of the
        interpreter. As many as torch computes with by default, so that worker processes
        do not fight over the cores.
    """
    n_threads = n_threads or present_threads()

    def decoded(path: Any) -> Array:
        return decode(path, image_size, mode)

    if n_threads == 1 or len(paths) < 2:
        return list(map(decoded, paths))
    return list(thread_pool("decode", n_threads).map(decoded, paths))


def height_width(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return (height, width) of an image size, which for a square is one number."""
    return (int(size), int(size)) if isinstance(size, (int, np.integer)) else size
