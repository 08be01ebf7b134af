"""COCO: instances, keypoints, results and panoptic segments.

Definition: https://cocodataset.org/#format-data and #format-results; run lengths by
cocoapi's maskApi.c. Boxes are ``x, y, width, height`` in pixels from the top-left
corner, run lengths go down the columns, rings are joined, the id of a panoptic pixel
is R + 256 G + 65536 B and 0 is nobody's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from al_sklearn._core.types import Options
from al_sklearn.exceptions import LabelFileError
from al_sklearn.formats._files import (
    dict_of,
    image_size,
    integer,
    list_of,
    number,
    read_json,
    refuse,
    shown,
    text_of,
    tidy_name,
)
from al_sklearn.formats._masks import MOST_PIXELS, Mask, decode_counts, encode_counts
from al_sklearn.formats._record import Record, Records, Shape

_CANONICAL = re.compile(r"0|-?[1-9]\d*")


class _Reader:
    """Images, categories and annotations of one file."""

    def __init__(self, path: Path, content: Any) -> None:
        self.path = path
        self.records = Records(format="coco")
        root = dict_of(content, path, "", "the file")
        for key in ("images", "categories"):
            if key not in root:
                raise refuse(path, "", f"it has no {key!r}; it has {sorted(root)[:8]}.")
        self.names = self._categories(
            list_of(root["categories"], path, "", "categories")
        )
        self.images = self._images(list_of(root["images"], path, "", "images"))

    def id_of(self, value: Any, where: str, what: str) -> int | str:
        """Whole numbers are ids, canonical decimal text is one with a warning."""
        if isinstance(value, str):
            if _CANONICAL.fullmatch(value):
                self.records.warn(
                    f"{self.path.name}: {what} is text in places ({value!r}); it is "
                    "taken for the number."
                )
                return int(value)
            return value
        return integer(value, self.path, where, what)

    def _categories(self, entries: list[Any]) -> dict[Any, str]:
        names: dict[Any, str] = {}
        known = self.records
        for i, entry in enumerate(entries):
            where = f"category {i}"
            category = dict_of(entry, self.path, where, "a category")
            number_ = self.id_of(category.get("id"), where, "category id")
            name = text_of(category.get("name"), self.path, where, "name")
            if number_ in names:
                raise refuse(
                    self.path,
                    f"category {number_}",
                    f"the id stands twice, for {names[number_]!r} and {name!r}.",
                )
            if name in names.values():
                known.warn(
                    f"{self.path.name}: the name {name!r} stands under several "
                    "category ids; they are one class."
                )
            else:
                known.classes.append(name)
                known.category_ids[name] = number_  # type: ignore[assignment]
            names[number_] = name
            if "keypoints" in category:
                points = list_of(category["keypoints"], self.path, where, "keypoints")
                known.keypoint_names[name] = points
        return names

    def _images(self, entries: list[Any]) -> dict[Any, Record]:
        images: dict[Any, Record] = {}
        by_name: dict[str, Any] = {}
        for i, entry in enumerate(entries):
            where = f"image {i}"
            image = dict_of(entry, self.path, where, "an image")
            number_ = self.id_of(image.get("id"), where, "image id")
            where = f"image {number_}"
            if number_ in images:
                raise refuse(self.path, where, "the id stands twice among the images.")
            file = text_of(image.get("file_name"), self.path, where, "file_name")
            file = tidy_name(file, self.path, where, "file_name")
            if file in by_name:
                raise refuse(
                    self.path,
                    where,
                    f"file_name {file!r} stands under the ids {by_name[file]} and "
                    f"{number_}: nothing tells whose annotations are whose.",
                )
            by_name[file] = number_
            size = [self._side(image.get(side), where, side) for side in _SIDES]
            if None in size:
                size = list(self._measured(file, where))
            images[number_] = Record(file, size[0], size[1], id=str(number_))
        self.records.extend(images.values())
        return images

    def _side(self, value: Any, where: str, what: str) -> int | None:
        if value is None:
            return None
        side = integer(value, self.path, where, what)
        if side <= 0:
            raise refuse(self.path, where, f"{what} must be above 0, got {side}.")
        return side

    def _measured(self, file: str, where: str) -> tuple[int | None, int | None]:
        """The size of the image, where it lies beside the file."""
        for place in (self.path.parent, self.path.parent / "images"):
            if (size := image_size(place / file)) is not None:
                return size
        self.records.warn(
            f"{self.path.name}: {where}: no width and height, and no {file} to measure."
        )
        return None, None

    def image_of(self, value: Any, where: str) -> Record:
        number_ = self.id_of(value, where, "image_id")
        if number_ not in self.images:
            raise refuse(
                self.path, where, f"image_id {shown(value)} is not among the images."
            )
        return self.images[number_]

    def label_of(self, value: Any, where: str) -> str:
        number_ = self.id_of(value, where, "category_id")
        if number_ not in self.names:
            raise refuse(
                self.path,
                where,
                f"category_id {shown(value)} is not among the categories "
                f"{list(self.names)[:10]}.",
            )
        return self.names[number_]

    def box_of(self, value: Any, where: str) -> list[float] | None:
        if value is None or value == []:
            return None
        box = list_of(value, self.path, where, "bbox")
        if len(box) != 4:
            raise refuse(self.path, where, f"bbox must have 4 numbers, got {len(box)}.")
        x, y, w, h = (number(v, self.path, where, "bbox") for v in box)
        if w < 0 or h < 0:
            raise refuse(
                self.path,
                where,
                f"bbox {shown(box)} has a negative width or height: the file does not "
                "say which corner is meant.",
            )
        if w == 0 or h == 0:
            self.records.warn(f"{self.path.name}: {where}: bbox has no area.")
        return [x, y, x + w, y + h]

    def outline_of(self, value: Any, where: str, record: Record) -> tuple[Any, Any]:
        """Return rings and mask of a ``segmentation``."""
        if isinstance(value, dict):
            return None, self._runs(value, where, record)
        if value is None:
            return None, None
        outer = list_of(value, self.path, where, "segmentation")
        if outer and not any(isinstance(ring, (list, dict)) for ring in outer):
            self.records.warn(
                f"{self.path.name}: {where}: segmentation is one ring, not a list of "
                "rings."
            )
            outer = [outer]
        rings = []
        for ring in outer:
            flat = list_of(ring, self.path, where, "segmentation")
            if not flat:
                continue
            if len(flat) % 2:
                raise refuse(
                    self.path,
                    where,
                    f"segmentation has a ring of {len(flat)} numbers, which are no "
                    "pairs.",
                )
            values = [number(v, self.path, where, "segmentation") for v in flat]
            points = [list(p) for p in zip(values[::2], values[1::2], strict=True)]
            if self.records.has_area(points, self.path, where):
                rings.append(points)
        return rings or None, None

    def _runs(self, value: Options, where: str, record: Record) -> Mask:
        size = list_of(value.get("size"), self.path, where, "size")
        if len(size) != 2:
            raise refuse(self.path, where, f"size must have 2 numbers, got {size}.")
        height, width = (integer(v, self.path, where, "size") for v in size)
        if height <= 0 or width <= 0 or height * width > MOST_PIXELS:
            raise refuse(
                self.path,
                where,
                f"size {height} x {width} is beyond the {MOST_PIXELS} pixels that are "
                "read.",
            )
        if record.width is not None and (height, width) != (
            record.height,
            record.width,
        ):
            raise refuse(
                self.path,
                where,
                f"size {height} x {width} is not that of the image, "
                f"{record.height} x {record.width}.",
            )
        counts = value.get("counts")
        try:
            if isinstance(counts, str):
                counts = decode_counts(counts)
            else:
                counts = [
                    integer(v, self.path, where, "counts")
                    for v in list_of(counts, self.path, where, "counts")
                ]
            return Mask((height, width), counts)
        except LabelFileError:
            raise
        except ValueError as error:
            raise refuse(self.path, where, f"{error}.") from None

    def points_of(self, value: Any, where: str, label: str) -> Any:
        if not value:
            return None
        flat = list_of(value, self.path, where, "keypoints")
        if len(flat) % 3:
            raise refuse(
                self.path,
                where,
                f"keypoints must be triples x, y, v, got {len(flat)} numbers.",
            )
        values = [number(v, self.path, where, "keypoints") for v in flat]
        points = []
        for x, y, v in zip(values[::3], values[1::3], values[2::3], strict=True):
            if v not in (0, 1, 2):
                raise refuse(
                    self.path, where, f"keypoints: v must be 0, 1 or 2, got {v}."
                )
            points.append([x, y, int(v)])
        names = self.records.keypoint_names.get(label)
        if names is None:
            self.records.keypoint_names[label] = None
            self.records.warn(
                f"{self.path.name}: the category {label!r} does not name its keypoints."
            )
        elif len(names) != len(points):
            raise refuse(
                self.path,
                where,
                f"keypoints: {len(points)} points, the category {label!r} has "
                f"{len(names)}.",
            )
        return points

    def shape_of(self, entry: Options, where: str, record: Record) -> Shape:
        label = self.label_of(entry.get("category_id"), where)
        rings, mask = self.outline_of(entry.get("segmentation"), where, record)
        shape = Shape(
            label,
            self.box_of(entry.get("bbox"), where),
            polygons=rings,
            mask=mask,
            keypoints=self.points_of(entry.get("keypoints"), where, label),
        ).complete()
        if shape.box is None:
            raise refuse(
                self.path, where, "no bbox, and neither outline nor keypoints."
            )
        return shape


_SIDES = ("width", "height")


def read(path: Path, *, task: str | None, images: Path | None) -> Records:
    """Read instances or keypoints."""
    content = read_json(path)
    if isinstance(content, list):
        return read_results(path, task=task, images=images)
    if isinstance(content, dict) and is_panoptic(content):
        return read_panoptic(path, task=task, images=images)
    reader = _Reader(path, content)
    entries = content.get("annotations")
    if entries is None:
        # COCO's own lists of images to be predicted have none.
        for record in reader.records:
            record.labelled = False
        entries = []
    seen: set[Any] = set()
    for i, item in enumerate(list_of(entries, path, "", "annotations")):
        entry = dict_of(item, path, f"annotation {i}", "an annotation")
        given = entry.get("id")
        where = f"annotation {i if given is None else given}"
        if given is not None:
            number_ = reader.id_of(given, where, "annotation id")
            if number_ in seen:
                reader.records.warn(
                    f"{path.name}: annotation ids repeat ({number_}); all are kept."
                )
            seen.add(number_)
        record = reader.image_of(entry.get("image_id"), where)
        shape = reader.shape_of(entry, where, record)
        crowd = entry.get("iscrowd")
        shape.attributes["iscrowd"] = (
            0 if crowd is None else integer(crowd, path, where, "iscrowd")
        )
        if (score := entry.get("score")) is not None:
            shape.score = float(number(score, path, where, "score"))
        given_area = entry.get("area")
        if given_area is not None:
            shape.attributes["area"] = number(given_area, path, where, "area")
        for key in ("attributes", "extra"):
            if isinstance(entry.get(key), dict) and entry[key]:
                shape.attributes[key] = entry[key]
        record.objects.append(shape)
    return reader.records


def is_panoptic(content: Options) -> bool:
    """Whether its annotations are segments of pixels."""
    entries = content.get("annotations")
    return bool(
        isinstance(entries, list)
        and entries
        and isinstance(entries[0], dict)
        and "segments_info" in entries[0]
    )


def read_results(path: Path, *, task: str | None, images: Path | None) -> Records:
    """Read a model's results, and of a file beside them what the numbers mean."""
    results = list_of(read_json(path), path, "", "results")
    reader = _Reader(*_named_by(path, images))
    reader.path = path
    reader.records.format = "coco-results"
    for i, item in enumerate(results):
        where = f"result {i}"
        entry = dict_of(item, path, where, "a result")
        record = reader.image_of(entry.get("image_id"), where)
        shape = reader.shape_of(entry, where, record)
        shape.score = float(number(entry.get("score"), path, where, "score"))
        record.objects.append(shape)
    return reader.records


def _named_by(path: Path, images: Path | None) -> tuple[Path, Any]:
    """Return the file of instances that says which images and categories there are."""
    if images is not None and images.is_file():
        return images, read_json(images)
    found = []
    for other in sorted(path.parent.glob("*.json")):
        if other.name != path.name:
            content = read_json(other)
            if isinstance(content, dict) and {"images", "categories"} <= set(content):
                found.append((other, content))
    if len(found) != 1:
        names = [other.name for other, _ in found]
        raise refuse(
            path,
            "",
            "results have numbers alone; the file that names images and categories "
            f"must lie beside it or be given as images=, found {names}.",
        )
    return found[0]


def read_panoptic(path: Path, *, task: str | None, images: Path | None) -> Records:
    """Read panoptic segments: a list in JSON, and who has which pixel in PNGs."""
    from PIL import Image

    content = read_json(path)
    reader = _Reader(path, content)
    reader.records.format = "coco-panoptic"
    things = {
        c.get("name"): c.get("isthing", 1)
        for c in content["categories"]
        if isinstance(c, dict)
    }
    entries = list_of(content.get("annotations"), path, "", "annotations")
    for i, item in enumerate(entries):
        entry = dict_of(item, path, f"annotation {i}", "an annotation")
        record = reader.image_of(entry.get("image_id"), f"annotation {i}")
        where = f"image {record.id}"
        name = text_of(entry.get("file_name"), path, where, "file_name")
        name = tidy_name(name, path, where, "file_name")
        folders = [images, path.with_suffix(""), path.parent]
        tried = [folder / name for folder in folders if folder is not None]
        png = next((p for p in tried if p.is_file()), None)
        if png is None:
            raise refuse(path, name, f"there is no such file in {tried[-2].parent}.")
        try:
            with Image.open(png) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise refuse(
                        path, name, f"size {image.size} is beyond what is read."
                    )
                rgb = np.asarray(image.convert("RGB"), dtype=np.int64)
        except OSError as error:
            raise refuse(path, name, f"it cannot be read: {error}.") from None
        ids = rgb @ np.array([1, 256, 65536])
        if record.width is not None and ids.shape != (record.height, record.width):
            raise refuse(
                path,
                name,
                f"size {ids.shape[0]} x {ids.shape[1]} is not that of the image, "
                f"{record.height} x {record.width}.",
            )
        listed: list[int] = []
        infos = list_of(entry.get("segments_info"), path, where, "segments_info")
        for info in infos:
            segment = dict_of(info, path, where, "a segment")
            number_ = integer(segment.get("id"), path, where, "segment id")
            if number_ in listed:
                raise refuse(path, where, f"the segment {number_} stands twice.")
            listed.append(number_)
            label = reader.label_of(segment.get("category_id"), where)
            mask = Mask.of_array(ids == number_)
            if not mask.area:
                reader.records.warn(
                    f"{path.name}: {where}: segment {number_} has no pixel in {name}."
                )
            shape = Shape(label, mask=mask).complete()
            shape.attributes = {
                "segment": number_,
                "isthing": integer(things.get(label, 1), path, where, "isthing"),
                "iscrowd": integer(segment.get("iscrowd", 0), path, where, "iscrowd"),
            }
            record.objects.append(shape)
        unlisted = np.setdiff1d(np.unique(ids), [0, *listed])
        if len(unlisted):
            raise refuse(
                path,
                name,
                f"pixels carry the ids {unlisted.tolist()[:10]}, which segments_info "
                "does not list.",
            )
        record.extra["void_area"] = int((ids == 0).sum())
        record.labelled = True
    return reader.records


def write(records: Sequence[Record], path: Path, *, classes: list[str]) -> list[str]:
    """Write instances and keypoints; return what the format cannot hold."""
    known = getattr(records, "keypoint_names", {}) or {}
    numbers = dict(getattr(records, "category_ids", {}))
    for name in classes:
        if name not in numbers:
            numbers[name] = max([0, *numbers.values()]) + 1
    categories: list[Options] = []
    for name in classes:
        category: Options = {"id": numbers[name], "name": name}
        points = known.get(name) if isinstance(known, dict) else known
        if points:
            category["keypoints"] = list(points)
        categories.append(category)
    images: list[Options] = []
    annotations: list[Options] = []
    lost: list[str] = []
    for i, record in enumerate(records, start=1):
        if record.width is None or record.height is None:
            raise refuse(path, record.file, "its size is not known, and COCO needs it.")
        images.append(
            {
                "id": i,
                "file_name": record.file,
                "width": record.width,
                "height": record.height,
            }
        )
        if record.image_labels:
            lost.append("labels of the whole image")
        if record.labelled is False:
            lost.append("which images nobody labelled")
        for shape in record.objects:
            entry = _annotation(shape, numbers, lost)
            annotations.append({"id": len(annotations) + 1, "image_id": i, **entry})
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return lost


def _annotation(shape: Shape, numbers: dict[str, int], lost: list[str]) -> Options:
    x0, y0, x1, y1 = (float(v) for v in shape.box)
    entry: Options = {
        "category_id": numbers[str(shape.label)],
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": shape.attributes.get("area", shape.area),
        "iscrowd": int(shape.attributes.get("iscrowd", 0)),
    }
    if shape.mask is not None:
        entry["segmentation"] = {
            "size": list(shape.mask.size),
            "counts": encode_counts(shape.mask.counts.tolist()),
        }
    elif shape.polygons:
        entry["segmentation"] = [
            [float(v) for point in ring for v in point] for ring in shape.polygons
        ]
    elif shape.corners:
        entry["segmentation"] = [[float(v) for p in shape.corners for v in p]]
        lost.append("that an outline is a turned box")
    if shape.keypoints:
        flat = [float(v) for point in shape.keypoints for v in point]
        entry["keypoints"] = [int(v) if i % 3 == 2 else v for i, v in enumerate(flat)]
        entry["num_keypoints"] = sum(v > 0 for _, _, v in shape.keypoints)
    if shape.score is not None:
        entry["score"] = float(shape.score)
    if shape.lines:
        lost.append("open lines")
    return entry


def write_results(
    records: Sequence[Record], path: Path, *, classes: list[str]
) -> list[str]:
    """Write a model's results, with the file that names their numbers beside."""
    names = path.with_name(f"{path.stem}-names.json")
    lost = write(records, names, classes=classes)
    content = json.loads(names.read_text(encoding="utf-8"))
    results = []
    for entry in content["annotations"]:
        if "score" not in entry:
            raise refuse(path, "", "results need a score of every object.")
        kept = ("image_id", "category_id", "bbox", "score", "segmentation", "keypoints")
        results.append({key: entry[key] for key in kept if key in entry})
    content["annotations"] = []
    names.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    path.write_text(json.dumps(results), encoding="utf-8")
    return lost


def write_panoptic(
    records: Sequence[Record], path: Path, *, classes: list[str]
) -> list[str]:
    """Write panoptic segments; a pixel that two objects claim is the later one's."""
    from PIL import Image

    lost: list[str] = []
    numbers = {name: i for i, name in enumerate(classes, start=1)}
    things = dict.fromkeys(classes, 1)
    folder = path.with_suffix("")
    images, annotations = [], []
    for i, record in enumerate(records, start=1):
        if record.width is None or record.height is None:
            raise refuse(path, record.file, "its size is not known.")
        ids = np.zeros((record.height, record.width), dtype=np.int64)
        infos = []
        for j, (shape, mask) in enumerate(
            zip(record.objects, record.masks, strict=True), start=1
        ):
            if mask is None:
                lost.append("boxes without a mask")
                continue
            number_ = int(shape.attributes.get("segment", j))
            things[str(shape.label)] = int(shape.attributes.get("isthing", 1))
            ids[mask.array()] = number_
            infos.append((number_, numbers[str(shape.label)], shape))
        segments = []
        for number_, category, shape in infos:
            left = Mask.of_array(ids == number_)
            x0, y0, x1, y1 = left.box or [0, 0, 0, 0]
            segments.append(
                {
                    "id": number_,
                    "category_id": category,
                    "area": left.area,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "iscrowd": int(shape.attributes.get("iscrowd", 0)),
                }
            )
        name = f"{Path(record.file).with_suffix('').as_posix()}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1)
        Image.fromarray(rgb.astype(np.uint8)).save(folder / name)
        size = {"width": record.width, "height": record.height}
        images.append({"id": i, "file_name": record.file, **size})
        annotations.append(
            {"image_id": i, "file_name": name, "segments_info": segments}
        )
    categories = [
        {"id": n, "name": name, "isthing": things[name]} for name, n in numbers.items()
    ]
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return lost
