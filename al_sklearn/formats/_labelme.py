"""LabelMe: one JSON file an image.

Definition: labelme's ``_label_file.py`` and ``utils/shape.py``. A rectangle is two
opposite corners in the order in which they were drawn (relatives write all four); a
circle its centre and a point on it; shapes of one label and one ``group_id`` are one
object; a mask is a PNG laid between two corners that are both inside it; ``flags``
label the image.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from al_sklearn._core.types import Options
from al_sklearn.formats._files import (
    dict_of,
    image_size,
    integer,
    is_inside,
    list_of,
    number,
    read_json,
    refuse,
    relative_name,
    shown,
    text_of,
    tidy_name,
)
from al_sklearn.formats._geometry import box_of_points
from al_sklearn.formats._masks import MOST_PIXELS, Mask
from al_sklearn.formats._record import Record, Records, Shape


def read(path: Path, *, task: str | None, images: Path | None) -> Records:
    """Read a file, or every JSON file of a folder."""
    root = path if path.is_dir() else path.parent
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    if not files:
        raise refuse(path, "", "there is no .json file.")
    records = Records(format="labelme")
    known: dict[str, str] = {}
    for file in files:
        content = read_json(file)
        # A folder of photos may hold other JSON files.
        if path.is_dir() and not _is_labelme(content):
            continue
        record = _record(content, file, root, images or root, records, task)
        if record.file in known:
            raise refuse(
                file, "imagePath", f"{record.file!r} is {known[record.file]}'s as well."
            )
        known[record.file] = file.name
        records.append(record)
    if not records:
        raise refuse(path, "", "no .json file in it has 'shapes' and 'imagePath'.")
    labels = {o.label for r in records for o in r.objects}
    records.classes = sorted(str(label) for label in labels)
    return records


def _is_labelme(content: Any) -> bool:
    return isinstance(content, dict) and bool({"shapes", "imagePath"} & set(content))


def _record(
    content: Any,
    file: Path,
    root: Path,
    images: Path,
    records: Records,
    task: str | None,
) -> Record:
    content = dict_of(content, file, "", "the file")
    if "shapes" not in content:
        raise refuse(file, "", "it has no 'shapes'.")
    image, name = _image(content, file, root, images, records)
    record = Record(name, labelled=True)
    sides = [content.get("imageWidth"), content.get("imageHeight")]
    if None not in sides:
        record.width, record.height = (
            integer(v, file, "", side)
            for v, side in zip(sides, ("imageWidth", "imageHeight"), strict=True)
        )
    measured = image_size(image) if image is not None else None
    if record.width is None and measured is not None:
        record.width, record.height = measured
    elif measured is not None and measured != (record.width, record.height):
        records.warn(
            f"{file.name}: it says {record.width} x {record.height}, the image has "
            f"{measured[0]} x {measured[1]}."
        )
    flags = dict_of(content.get("flags") or {}, file, "flags", "flags")
    record.image_labels = [flag for flag, is_set in flags.items() if is_set is True]
    groups: dict[tuple[str, Any], Shape] = {}
    for i, item in enumerate(list_of(content["shapes"], file, "", "shapes")):
        entry = dict_of(item, file, f"shape {i}", "a shape")
        where = f"shape {i}"
        shape = _shape(entry, where, file, record, records, task)
        if shape is None:
            continue
        group = entry.get("group_id")
        if group is not None:
            group = integer(group, file, where, "group_id")
        first = groups.get((str(shape.label), group)) if group is not None else None
        if first is None or not _join(first, shape):
            record.objects.append(shape)
            groups[str(shape.label), group] = shape
    return record


def _join(first: Shape, other: Shape) -> bool:
    """Add another outline of one object; False where they cannot be one."""
    if first.polygons and other.polygons:
        first.polygons += other.polygons
        first.box = None
        first.complete()
        return True
    if first.mask is not None and other.mask is not None:
        first.mask = Mask.of_array(first.mask.array() | other.mask.array())
        first.box = None
        first.complete()
        return True
    return False


def _image(
    content: Options, file: Path, root: Path, images: Path, records: Records
) -> tuple[Path | None, str]:
    given = content.get("imagePath")
    if not isinstance(given, str) or not given:
        raise refuse(file, "imagePath", f"must be a path, got {shown(given)}.")
    tidy = given.replace("\\", "/")
    place = file.parent / tidy
    if is_inside(place, images) and not tidy.startswith("/") and ":" not in tidy:
        place = Path(images, *Path(relative_name(place, images)).parts)
        return (place if place.is_file() else None), relative_name(place, root)
    beside = file.parent / tidy.rsplit("/", 1)[-1]
    if beside.is_file():
        records.warn(
            f"{file.name}: imagePath {given!r} leaves the folder; {beside.name} beside "
            "the file is taken."
        )
        return beside, relative_name(beside, root)
    tidy_name(given, file, "imagePath", "imagePath")
    raise refuse(
        file, "imagePath", f"imagePath {given!r} leaves the folder that is read."
    )


def _shape(
    entry: Options,
    where: str,
    file: Path,
    record: Record,
    records: Records,
    task: str | None,
) -> Shape | None:
    label = entry.get("label")
    if not isinstance(label, str) or not label:
        raise refuse(file, where, f"label must be a text, got {shown(label)}.")
    points = []
    for point in list_of(entry.get("points"), file, where, "points"):
        pair = list_of(point, file, where, "a point")
        if len(pair) != 2:
            raise refuse(file, where, f"points: {shown(point)} is no point.")
        points.append([number(v, file, where, "points") for v in pair])
    kind = text_of(entry.get("shape_type") or "polygon", file, where, "shape_type")
    shape = Shape(label)
    if isinstance(entry.get("score"), (int, float)):
        shape.score = float(number(entry["score"], file, where, "score"))
    n = len(points)
    expected = {"rectangle": (2, 4), "circle": (2,), "mask": (2,), "point": (1,)}
    if kind in expected and n not in expected[kind]:
        raise refuse(file, where, f"points: a {kind} of {n} points.")
    if kind == "rectangle":
        shape.box = box_of_points(points)
    elif kind == "circle":
        (cx, cy), edge = points
        radius = math.dist((cx, cy), edge)
        shape.box = [cx - radius, cy - radius, cx + radius, cy + radius]
        shape.shape = "ellipse"
    elif kind == "mask":
        shape.mask = _mask(entry, points, where, file, record)
    elif kind == "polygon":
        if not records.has_area(points, file, where):
            return None
        shape.polygons = [points]
    elif kind in ("rotation", "oriented_rectangle") and n == 4:
        shape.corners = points
        records.warn(f"{file.name}: {where}: a turned box and its enclosing box.")
    elif task is not None:
        records.warn(f"{file.name}: {where}: {kind!r} is left out for the task {task}.")
        return None
    elif kind in ("line", "linestrip"):
        shape.lines, shape.shape = [points], "polyline"
        shape.box = box_of_points(points)
    elif kind in ("point", "points"):
        shape.keypoints, shape.shape = [[x, y, 2] for x, y in points], "points"
    else:
        records.warn(f"{file.name}: {where}: {kind!r} is not read and left out.")
        return None
    return shape.complete()


def _mask(
    entry: Options, points: list[Any], where: str, file: Path, record: Record
) -> Mask:
    from PIL import Image

    if record.width is None or record.height is None:
        raise refuse(file, where, "a mask, and no imageWidth and imageHeight.")
    try:
        png = base64.b64decode(str(entry.get("mask")), validate=True)
        with Image.open(io.BytesIO(png)) as image:
            if image.width * image.height > MOST_PIXELS:
                raise refuse(file, where, f"mask of the size {image.size}.")
            small = np.asarray(image.convert("L")) != 0
    except (binascii.Error, OSError) as error:
        raise refuse(file, where, f"mask is no PNG: {error}.") from None
    x0, y0 = (round(v) for v in np.min(points, axis=0))
    x1, y1 = (round(v) + 1 for v in np.max(points, axis=0))
    if small.shape != (y1 - y0, x1 - x0):
        raise refuse(
            file,
            where,
            f"mask has {small.shape[1]} x {small.shape[0]} pixels, its points say "
            f"{x1 - x0} x {y1 - y0}.",
        )
    if x0 < 0 or y0 < 0 or x1 > record.width or y1 > record.height:
        raise refuse(file, where, "mask leaves the image.")
    if record.width * record.height > MOST_PIXELS:
        raise refuse(file, where, "an image of too many pixels.")
    whole = np.zeros((record.height, record.width), dtype=bool)
    whole[y0:y1, x0:x1] = small
    return Mask.of_array(whole)


def write(records: Sequence[Record], path: Path, *, classes: list[str]) -> list[str]:
    """Write a JSON file an image into a folder."""
    from PIL import Image

    lost: list[str] = []
    for record in records:
        if record.labelled is False:
            lost.append("which images nobody labelled")
            continue
        shapes: list[Options] = []
        for i, shape in enumerate(record.objects):
            mask = shape.mask
            several = shape.polygons and len(shape.polygons) > 1
            common: Options = {
                "label": str(shape.label),
                "group_id": i if several else None,
                "flags": {},
            }
            if mask is not None and mask.box is not None:
                x0, y0, x1, y1 = mask.box
                part = mask.array()[y0:y1, x0:x1].astype(np.uint8) * 255
                stream = io.BytesIO()
                Image.fromarray(part).save(stream, format="PNG")
                text = base64.b64encode(stream.getvalue()).decode("ascii")
                inside = [[x0, y0], [x1 - 1, y1 - 1]]
                kind: Options = {"shape_type": "mask", "points": inside, "mask": text}
                shapes.append({**common, **kind})
            elif shape.polygons:
                for ring in shape.polygons:
                    shapes.append({**common, "shape_type": "polygon", "points": ring})
            elif shape.lines:
                for line in shape.lines:
                    shapes.append({**common, "shape_type": "linestrip", "points": line})
            elif shape.corners:
                corners = [list(p) for p in shape.corners]
                shapes.append({**common, "shape_type": "rotation", "points": corners})
            else:
                left, top, right, bottom = (float(v) for v in shape.box)
                corners = [[left, top], [right, bottom]]
                shapes.append({**common, "shape_type": "rectangle", "points": corners})
            if shape.score is not None:
                shapes[-1]["score"] = shape.score
            if shape.keypoints:
                lost.append("keypoints")
        labels = record.image_labels
        file = path / Path(record.file).with_suffix(".json")
        file.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "version": "5.5.0",
            "flags": {str(label): True for label in labels},
            "shapes": shapes,
            "imagePath": Path(record.file).name,
            "imageData": None,
            "imageHeight": record.height,
            "imageWidth": record.width,
        }
        file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return lost
