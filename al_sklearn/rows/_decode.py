"""Image files to arrays: upright, on white, no larger than needed, several at once.

What is decided here, for every file, whoever reads it:

- The orientation that a camera wrote into the file (EXIF) is applied: people are shown
  photos upright, and label those.
- Transparent pixels lie on white. What is under them in the file is often black, and
  nobody was meant to see it.
- Grey files give one channel, all others (palette, CMYK, YCbCr …) three; 16-bit grey
  keeps its depth or is cut to 8. Its black is 0 and its white 1, also where a file has
  it the other way round or uses 12 of the 16 bits.
- The files of one list have one mode: colour as soon as one of them has colour, else
  grey of 8 bits as soon as one has 8 bits.
- Of several pages or frames the first is taken.
- A file is resized once, by Pillow's bicubic filter with anti-aliasing, and without
  keeping its proportions; a JPEG that is at least four times too large is decoded at
  1/2, 1/4 or 1/8 of its size, which is several times faster.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import numpy as np

from al_sklearn._core.optional import require
from al_sklearn._core.threads import present_threads, thread_pool
from al_sklearn._core.types import Array

Size = int | tuple[int, int] | None

# What images may be read as: three bytes a pixel, one, or a float32 in [0, 1]. The
# words are Pillow's.
COLOUR: Final = "RGB"
GREY: Final = "L"
DEEP: Final = "I;16"
MODES: Final = (COLOUR, GREY, DEEP)

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
# Tags of TIFF files.
_BITS, _PHOTOMETRIC = 258, 262
_WHITE_IS_ZERO = 0
_TOP = 65535
# Headers read at once where many have to be looked at.
_HEADERS = 256

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

# What has been said in this process: of many files it would be said many times.
_said: set[str] = set()


class Header(NamedTuple):
    """What a file says of its image before it is decoded.

    ``size`` is (height, width), upright; ``frames`` is 2 where there are several.
    """

    format: str
    mode: str
    size: tuple[int, int]
    frames: int


def decode(
    path: Any, image_size: Size = None, mode: str | None = None, crop: bool = False
) -> Array:
    """Decode one image file.

    Parameters
    ----------
    path : str or PathLike
    image_size : int or (height, width), optional
        What it is resized to.
    mode : {"RGB", "L", "I;16"}, optional
        Always so: as uint8, or grey as float32 in [0, 1]. By default what the file is:
        grey as (H, W), other as (H, W, 3), uint8; 16-bit grey as float32 in [0, 1].
    crop : bool, default=False
        Cut the middle out in the proportions of ``image_size`` first, instead of
        squashing the whole.

    Returns
    -------
    ndarray of shape (H, W) or (H, W, 3)

    Warns
    -----
    UserWarning
        Once, for the first file of several pages or frames; and for each file whose
        EXIF data cannot be read.

    Raises
    ------
    ValueError
        When the file is missing, damaged or no image: which, and what Pillow says.
    ImportError
        Without Pillow.
    """
    with _opened(path) as image:
        check_mode(image)
        raw = _raw_mode(image)
        orientation = _orientation(image, path)
        size = None if image_size is None else height_width(image_size)
        if size is not None:
            size = size[::-1] if orientation in _SIDEWAYS else size
            # Never below twice the size wanted: the filter then sees what it would
            # have seen.
            image.draft(None, (2 * size[1], 2 * size[0]))
        _say_frames(image, path)
        turn = _UPRIGHT.get(orientation)
        return to_pixels(image, size, mode, turn, raw, crop)


def decode_within(path: Any, side: int, mode: str | None = None) -> Array:
    """Decode one image file in its proportions, so that it fits into a square.

    Parameters
    ----------
    path : str or PathLike
    side : int
        The longer side at most; smaller images stay as they are.
    mode
        As in :func:`decode`.

    Raises
    ------
    ValueError
        As :func:`decode`.
    """
    height, width = read_header(path).size
    longer = max(height, width)
    if longer <= side:
        return decode(path, None, mode)
    shares = (height * side / longer, width * side / longer)
    # However thin it is, it has a pixel.
    rows, columns = (max(1, round(share)) for share in shares)
    return decode(path, (rows, columns), mode)


def read_header(path: Any) -> Header:
    """Read what a file says of its image, without decoding it.

    Raises
    ------
    ValueError
        When the file is missing or no image: which, and what Pillow says.
    """
    with _opened(path) as image:
        return _header(image, path)


def inspect_image(path: Any) -> Header:
    """Read an image file to the last byte, and say what it is.

    Raises
    ------
    ValueError
        As :func:`decode`.
    """
    with _opened(path) as image:
        raw = _raw_mode(image)
        header = _header(image, path)
        # JPEG is then decoded at an eighth of its size: every byte is read, a third of
        # the time is needed.
        image.draft(None, (1, 1))
        to_pixels(image, raw=raw)
        return header


def _header(image: Any, path: Any) -> Header:
    check_mode(image)
    mode = mode_of(image)
    width, height = image.size
    if _orientation(image, path) in _SIDEWAYS:
        width, height = height, width
    frames = 2 if _has_frames(image) else 1
    return Header(image.format, mode, (height, width), frames)


@contextmanager
def _opened(path: Any) -> Iterator[Any]:
    """Open an image file; whatever goes wrong names it."""
    PIL = require("PIL", "Reading image files", "pillow")
    Image = require("PIL.Image", "Reading image files", "pillow")
    try:
        # Not by its name: Pillow would map some files into memory, and turn TIFF files
        # that lie on their side wrongly then.
        with open(path, "rb") as file, Image.open(file) as image:
            yield image
    # A warning is an error where somebody has asked for that.
    except (*DAMAGED, Image.DecompressionBombError, Warning) as error:
        reason: BaseException = error
        if isinstance(error, PIL.UnidentifiedImageError):
            # Its own words name the open file, not its path.
            reason = OSError("cannot identify image file")
        raise ValueError(
            f"X names a file that cannot be read as an image: {path} ({reason})."
        ) from reason


def _orientation(image: Any, path: Any) -> Any:
    """EXIF's number of how the camera was held; 1 is upright."""
    if image.format == "TIFF":
        # Pillow turns those itself, as it loads them.
        return 1
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except DAMAGED as error:
        warnings.warn(
            f"The EXIF data of {path} cannot be read ({error}): the image is taken as "
            "it lies in the file."
        )
        return 1


def _has_frames(image: Any) -> bool:
    # An MPO is a JPEG photo; behind it lie its preview or its map of depths.
    return image.format != "MPO" and bool(getattr(image, "is_animated", False))


def _say_frames(image: Any, path: Any) -> None:
    # Looked at only until it is said: some formats have to be searched for it.
    if "frames" not in _said and _has_frames(image):
        _said.add("frames")
        warnings.warn(
            f"{path} has several pages or frames: the first is taken, of this file and "
            "of all such files."
        )


def check_mode(image: Any) -> None:
    """Refuse what has no known range."""
    # A PGM of more than 8 bits says which value is white; Pillow scales it to 16 bits.
    known = image.mode == "I" and getattr(image, "format", None) == "PPM"
    if image.mode in ("I", "F") and not known:
        raise ValueError(
            f"Image files of mode {image.mode!r} have no known range; save them with "
            "8 or 16 bits."
        )


def mode_of(image: Any, raw: str | None = None) -> str:
    """Return what an open Pillow image is: ``"RGB"``, ``"L"`` or ``"I;16"``.

    ``raw`` is how its file writes pixels, where it has been decoded since.
    """
    # "I" is a PGM of more than 8 bits.
    if image.mode == "I" or image.mode.startswith("I;16"):
        return DEEP
    # Pillow opens grey of 16 bits with transparency as colour.
    if image.mode in ("1", "L", "LA", "La") or "LA;16B" in (raw, _raw_mode(image)):
        return GREY
    return COLOUR


def common_mode(modes: Iterable[str | None]) -> str | None:
    """Return the mode of images that lie in one array.

    Colour as soon as one has colour, else grey of 8 bits as soon as one has 8 bits.

    Parameters
    ----------
    modes : iterable of str or None
        None for what cannot be read. No further ones are looked at once one is
        ``"RGB"``.

    Returns
    -------
    str or None
        None where nothing can be read.

    Examples
    --------
    >>> common_mode(["L", "I;16", "L"]), common_mode(["I;16", "RGB"])
    ('L', 'RGB')
    """
    found = None
    for mode in modes:
        if mode == COLOUR:
            return COLOUR
        if found != GREY and mode is not None:
            found = mode
    return found


def mode_of_files(paths: Sequence[Any]) -> str | None:
    """Return the mode of files that are read together, by their headers.

    None where no header can be read: whoever reads the files says so.
    """
    return common_mode(_modes(paths))


def _modes(paths: Sequence[Any]) -> Iterator[str | None]:
    # In most lists the first file has colour, which is all there is to know.
    if len(paths) > 0:
        yield _mode_of_file(paths[0])
    threads = thread_pool("decode", present_threads())
    for start in range(1, len(paths), _HEADERS):
        yield from threads.map(_mode_of_file, paths[start : start + _HEADERS])


def _mode_of_file(path: Any) -> str | None:
    try:
        # No more of the header than that: Pillow decodes a PNG to find its EXIF data.
        with _opened(path) as image:
            return mode_of(image)
    except ValueError:
        return None


def to_pixels(
    image: Any,
    image_size: Size = None,
    mode: str | None = None,
    turn: str | None = None,
    raw: str | None = None,
    crop: bool = False,
) -> Array:
    """Turn an open Pillow image into an array; see :func:`decode`.

    ``turn`` is done after resizing; ``raw`` is as in :func:`mode_of`.
    """
    from PIL import Image

    check_mode(image)
    # Once it is decoded, how the file writes pixels is forgotten.
    raw = raw or _raw_mode(image)
    own = mode_of(image, raw)
    image.load()
    if raw == "RGB;16B":
        image = _with_narrow_key(image)
    see_through = own != DEEP and image.has_transparency_data
    if own == DEEP:
        image = _full_depth(image)
    else:
        image = image.convert(f"{own}A" if see_through else own)
    if image_size is not None:
        # Pillow gives a copy of an image that has the size already.
        height, width = height_width(image_size)
        box = middle(image.size, (width, height)) if crop else None
        image = image.resize((width, height), box=box)
    if see_through:
        # After resizing: the edge of what is transparent is mixed as it will be seen.
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA")).convert(own)
    if turn is not None:
        image = image.transpose(getattr(Image.Transpose, turn))
    wanted = own if mode is None else mode
    if own == DEEP:
        return _of_depth(np.asarray(image, dtype=np.float32) / _TOP, wanted)
    if wanted != DEEP:
        return np.array(image if wanted == own else image.convert(wanted))
    return np.asarray(image.convert(GREY), dtype=np.float32) / np.float32(255)


def _of_depth(values: Array, mode: str) -> Array:
    """Grey of 16 bits, in [0, 1], in any mode."""
    if mode == DEEP:
        return values
    # Rounded: Pillow would cut 16 bits off at 255.
    grey8 = np.rint(values * 255).clip(0, 255).astype(np.uint8)
    return grey8 if mode == GREY else np.repeat(grey8[..., None], 3, axis=2)


def _full_depth(image: Any) -> Any:
    """Grey of more than 8 bits: black is 0, white 65535, and nothing transparent."""
    from PIL import Image

    values = np.asarray(image).astype(np.int64)
    tags = getattr(image, "tag_v2", {})
    bits = max(np.atleast_1d(tags.get(_BITS, 16)).tolist())
    if bits < 16:
        # 12 bits lie in the lower end of 16: white would be nearly black.
        top = 2**bits - 1
        values = (values * _TOP + top // 2) // top
    if tags.get(_PHOTOMETRIC, 1) == _WHITE_IS_ZERO:
        values = _TOP - values
    key = image.info.get("transparency")
    if isinstance(key, int):
        values[values == key] = _TOP
    size = values.shape[::-1]
    return Image.frombytes("I;16", size, values.astype("<u2").tobytes())


def _with_narrow_key(image: Any) -> Any:
    """The image with its transparent colour in 8 bits, as Pillow reads its pixels.

    A PNG of 16 bits a channel says it in 16.
    """
    key = image.info.get("transparency")
    if not isinstance(key, tuple):
        return image
    image = image.copy()
    image.info["transparency"] = tuple(value >> 8 for value in key)
    return image


def _raw_mode(image: Any) -> str | None:
    """How the pixels are written in the file, in Pillow's words; None once decoded."""
    tiles = getattr(image, "tile", None)
    args: Any = tiles[0][3] if tiles else None
    return args[0] if isinstance(args, tuple) and args else args


def decode_all(
    paths: Sequence[Any],
    image_size: Size = None,
    mode: str | None = None,
    n_threads: int | None = None,
    crop: bool = False,
) -> list[Array]:
    """Decode several files, in their order.

    Parameters
    ----------
    paths, image_size, mode, crop
        As in :func:`decode`.
    n_threads : int, optional
        Threads that share the work: Pillow's decoders and filters let go of the
        interpreter. As many as torch computes with by default, so that worker processes
        do not fight over the cores.
    """
    n_threads = n_threads or present_threads()

    def decoded(path: Any) -> Array:
        return decode(path, image_size, mode, crop)

    if n_threads == 1 or len(paths) < 2:
        return list(map(decoded, paths))
    return list(thread_pool("decode", n_threads).map(decoded, paths))


def middle(
    size: tuple[int, int], wanted: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Return the largest box in the middle of an image that has wanted proportions.

    Both sizes are (width, height); the box is left, top, right, bottom.
    """
    scale = min(size[0] / wanted[0], size[1] / wanted[1])
    width, height = wanted[0] * scale, wanted[1] * scale
    left, top = (size[0] - width) / 2, (size[1] - height) / 2
    # Rounding must not reach over the edge.
    return left, top, min(left + width, size[0]), min(top + height, size[1])


def height_width(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return (height, width) of an image size, which for a square is one number."""
    return (int(size), int(size)) if isinstance(size, (int, np.integer)) else size


def check_known_mode(mode: object, allowed: Sequence[str | None] = MODES) -> None:
    """Raise a ``ValueError`` unless images can be read as ``mode``."""
    if mode not in allowed:
        words = ", ".join(map(repr, allowed))
        raise ValueError(f"mode must be one of {words}, got {mode!r}.")
