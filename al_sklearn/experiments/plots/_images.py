"""Small pictures of what was bought."""

from __future__ import annotations

import base64
import io
import os
import warnings
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw

from al_sklearn._core.types import Array
from al_sklearn.rows import are_files, decode_within, file_names, take_rows, to_pixels

_N_ROUNDS: Final = 3
_N_IMAGES: Final = 16
# Small: a report holds hundreds and is one file.
_SIZE: Final = 64
# Grey, grey with transparency, colour, colour with transparency.
_FEW_CHANNELS: Final = (1, 2, 3, 4)


def bought_thumbnails(
    X: Any, codes: Array, queries: Mapping[tuple[str, int], list[Array]]
) -> dict[str, Array]:
    """Take the first images of each strategy's first rounds in the first seed.

    Returns
    -------
    dict
        ``strategy/round/images`` (k, h, w[, 3]) uint8 and ``strategy/round/classes``
        (k,); empty where the rows of X are no images.
    """
    found: dict[str, Array] = {}
    for (name, seed), batches in queries.items():
        for number, batch in enumerate(
            batches[1 : _N_ROUNDS + 1] if seed == 0 else [], start=1
        ):
            chosen = batch[:_N_IMAGES]
            # Of the first seed alone: enough to see what a strategy likes.
            rows = take_rows(X, chosen)
            images = thumbnails(rows)
            if images is None and are_files(rows):
                # Files of another batch may be there.
                continue
            if images is None:
                return {}
            found[f"{name}/{number}/images"] = images
            found[f"{name}/{number}/classes"] = codes[chosen]
    return found


def thumbnails(rows: Any) -> Array | None:
    """Turn a few rows into (k, h, w[, 3]) uint8 of one size, at most 64 pixels.

    None where they are no images. An image file that cannot be read is an empty field
    with a cross, and is named in a warning.
    """
    if (
        isinstance(rows, Mapping)
        or (hasattr(rows, "iloc") and not are_files(rows))
        or hasattr(rows, "tocsr")
        or len(rows) == 0
    ):
        return None
    if are_files(rows):
        images = _read_files(file_names(rows))
    else:
        images = [_as_image(rows[i]) for i in range(len(rows))]
        # Rows of one kind: what is not an image tells that none is one.
        if any(image is None for image in images):
            return None
    if all(image is None for image in images):
        return None
    small = [_crossed() if image is None else _shrink(image) for image in images]
    # Grey beside colour becomes colour: they lie in one array.
    if len({image.mode for image in small}) > 1:
        small = [image.convert("RGB") for image in small]
    width = max(image.width for image in small)
    height = max(image.height for image in small)
    return np.stack([np.asarray(_pad(image, width, height)) for image in small])


def _read_files(names: list[str]) -> list[Image.Image | None]:
    """Image files as everything else reads them; None for those that cannot be read."""
    images: list[Image.Image | None] = []
    problems = []
    for name in names:
        try:
            pixels = decode_within(name, _SIZE)
        except ValueError as error:
            # The report can do without: the comparison is worth more.
            problems.append(str(error))
            images.append(None)
        else:
            images.append(Image.fromarray(_to_bytes(pixels)))
    if problems and len(problems) < len(names):
        warnings.warn(
            f"{len(problems)} of {len(names)} pictures cannot be shown; the first: "
            f"{problems[0]}"
        )
    return images


def _crossed() -> Image.Image:
    """Where a picture is missing: a grey field with a cross."""
    image = Image.new("L", (_SIZE, _SIZE), 224)
    draw = ImageDraw.Draw(image)
    for start, end in (((0, 0), (_SIZE, _SIZE)), ((0, _SIZE), (_SIZE, 0))):
        draw.line((*start, *end), fill=128)
    return image


def png_data_uri(image: Array) -> str:
    """Return an image as the text of an ``<img src=…>`` that needs no file.

    Parameters
    ----------
    image : uint8 array of shape (h, w) or (h, w, 3)

    Returns
    -------
    str
        A PNG, in base 64.
    """
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _as_image(row: Any) -> Image.Image | None:
    if isinstance(row, tuple):
        # What a labelled torch data set gives: the image comes first.
        row = row[0]
    if isinstance(row, Mapping):
        # An item of Hugging Face's data sets.
        row = next((row[name] for name in ("image", "img") if name in row), None)
    if isinstance(row, (str, os.PathLike)):
        return _read_files([os.fspath(row)])[0]
    if isinstance(row, Image.Image):
        return Image.fromarray(_to_bytes(to_pixels(row)))
    if row is None:
        return None
    array = np.asarray(row.detach().cpu() if hasattr(row, "detach") else row)
    if array.ndim not in (2, 3) or array.dtype.kind not in "uifb":
        return None
    if array.ndim == 3:
        if _has_channels_first(array):
            array = np.moveaxis(array, 0, -1)
        # One band is grey, two are shown by the first, more by the first three.
        array = array[..., :3] if array.shape[-1] >= 3 else array[..., 0]
    return Image.fromarray(np.ascontiguousarray(_to_bytes(array)))


def _has_channels_first(array: Array) -> bool:
    """Whether an image (a, b, c) is (C, H, W), by the rule of the pool.

    Whole numbers have their channels last and float has them first, however many there
    are: satellites have eleven. Only where one end looks like channels and the other
    does not, that decides: what no network takes can still be shown.
    """
    first, last = (array.shape[i] in _FEW_CHANNELS for i in (0, -1))
    return first if first != last else array.dtype.kind == "f"


def _to_bytes(array: Array) -> Array:
    if array.dtype == np.uint8:
        return array
    values = array.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    # Most likely scaled already: stretching it would make dark images bright.
    if array.dtype.kind == "f" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    return (
        np.clip((values - low) / max(high - low, 1e-12) * 255, 0, 255)
        .round()
        .astype(np.uint8)
    )


def _shrink(image: Image.Image) -> Image.Image:
    if max(image.size) > _SIZE:
        # thumbnail() works in place, on what may be the caller's.
        image = image.copy()
        image.thumbnail((_SIZE, _SIZE))
    return image


def _pad(image: Image.Image, width: int, height: int) -> Image.Image:
    if image.size == (width, height):
        return image
    canvas = Image.new(image.mode, (width, height))
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return canvas
