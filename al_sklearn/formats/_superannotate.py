"""SuperAnnotate: one JSON file an image, and classes/classes.json.

Definition: https://doc.superannotate.com/docs/vector-json. A box is any two opposite
corners, a class may be a number of classes.json, each kind of instance has keys of its
own.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from al_sklearn._core.cells import harmless
from al_sklearn._core.types import Options
from al_sklearn.formats._files import (
    dict_of,
    integer,
    list_of,
    number,
    read_json,
    refuse,
    text_of,
    tidy_name,
)
from al_sklearn.formats._geometry import box_of_ellipse, box_of_points
from al_sklearn.formats._record import Record, Records, Shape


def read(path: Path, *, task: str | None, images: Path | None) -> Records:
    """Read a file, or every JSON file of a folder."""
    root = path if path.is_dir() else path.parent
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise refuse(path, "", "there is no .json file.")
    records = Records(format="superannotate")
    names, attributes = _classes(root, records)
    for file in files:
        content = dict_of(read_json(file), file, "", "the file")
        # A folder may hold other JSON files.
        if path.is_dir() and not {"metadata", "instances"} & set(content):
            continue
        records.append(_record(content, file, names, attributes, records, task))
    if not records:
        raise refuse(path, "", "no .json file in it has 'metadata' and 'instances'.")
    labels = {str(o.label) for r in records for o in r.objects}
    records.classes += sorted(labels - set(records.classes))
    return records


def _classes(root: Path, records: Records) -> tuple[dict[int, str], Options]:
    """Return names by number, and (group, name) of each attribute's number."""
    file = next(
        (
            p
            for p in (root / "classes" / "classes.json", root / "classes.json")
            if p.is_file()
        ),
        None,
    )
    names: dict[int, str] = {}
    attributes: Options = {}
    if file is None:
        return names, attributes
    for i, item in enumerate(list_of(read_json(file), file, "", "classes")):
        entry = dict_of(item, file, f"class {i}", "a class")
        name = text_of(entry.get("name"), file, f"class {i}", "name")
        records.classes.append(name)
        if "id" in entry:
            number_ = integer(entry["id"], file, f"class {i}", "id")
            names[number_] = name
            records.category_ids[name] = number_
        groups = entry.get("attribute_groups") or []
        for item in list_of(groups, file, f"class {i}", "attribute_groups"):
            group = dict_of(item, file, f"class {i}", "an attribute group")
            inside = group.get("attributes") or []
            for one in list_of(inside, file, f"class {i}", "attributes"):
                attribute = dict_of(one, file, f"class {i}", "an attribute")
                key = (group.get("id"), attribute.get("id"))
                attributes[str(key)] = (group.get("name"), attribute.get("name"))
    return names, attributes


def _record(
    content: Options,
    file: Path,
    names: dict[int, str],
    attributes: Options,
    records: Records,
    task: str | None,
) -> Record:
    metadata = dict_of(content.get("metadata"), file, "metadata", "metadata")
    given = text_of(metadata.get("name"), file, "metadata", "name")
    record = Record(tidy_name(given, file, "metadata", "name"))
    if metadata.get("width") is not None:
        record.width = integer(metadata["width"], file, "metadata", "width")
        record.height = integer(metadata.get("height"), file, "metadata", "height")
    status = metadata.get("status")
    if status is not None:
        record.labelled = status not in ("NotStarted", "Skipped")
        record.answer = "skip" if status == "Skipped" else None
    record.image_labels = list_of(content.get("tags") or [], file, "tags", "tags")
    instances = list_of(content.get("instances"), file, "", "instances")
    for i, item in enumerate(instances):
        entry = dict_of(item, file, f"instance {i}", "an instance")
        kind = entry.get("type", "")
        where = f"instance {i} ({kind})"
        label = _label(entry, names, file, where)
        if kind == "tag":
            record.image_labels.append(label)
            continue
        shape = _shape(entry, kind, label, file, where, records, task)
        if shape is None:
            continue
        said = {}
        for one in list_of(entry.get("attributes") or [], file, where, "attributes"):
            attribute = dict_of(one, file, where, "an attribute")
            key = str((attribute.get("groupId"), attribute.get("id")))
            group, name = attributes.get(
                key, (attribute.get("groupName"), attribute.get("name"))
            )
            if group is not None:
                said[str(group)] = name
        if said:
            shape.attributes["attributes"] = said
        if kind != "tag" and (chance := entry.get("probability")) not in (None, 100):
            shape.score = number(chance, file, where, "probability") / 100
        record.objects.append(shape)
    return record


def _label(entry: Options, names: dict[int, str], file: Path, where: str) -> str:
    if isinstance(name := entry.get("className"), str) and name:
        return name
    number_ = integer(entry.get("classId"), file, where, "classId")
    if number_ not in names:
        raise refuse(
            file, where, f"classId {number_} is not in classes.json: {sorted(names)}."
        )
    return names[number_]


def _shape(
    entry: Options,
    kind: str,
    label: str,
    file: Path,
    where: str,
    records: Records,
    task: str | None,
) -> Shape | None:
    def of(source: Options, *keys: str) -> list[float]:
        return [number(source.get(key), file, where, key) for key in keys]

    def pairs(value: Any) -> list[list[float]]:
        flat = list_of(value, file, where, "points")
        if len(flat) % 2:
            raise refuse(
                file,
                where,
                f"points must be pairs, got {len(flat)} numbers; the last one is "
                "missing.",
            )
        numbers = [number(v, file, where, "points") for v in flat]
        return [list(p) for p in zip(numbers[::2], numbers[1::2], strict=True)]

    shape = Shape(label)
    if kind == "bbox":
        points = dict_of(entry.get("points"), file, where, "points")
        x1, x2, y1, y2 = of(points, "x1", "x2", "y1", "y2")
        shape.box = box_of_points([(x1, y1), (x2, y2)])
    elif kind == "rbbox":
        points = dict_of(entry.get("points"), file, where, "points")
        corners = of(points, "x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")
        shape.corners = [list(p) for p in zip(corners[::2], corners[1::2], strict=True)]
        records.warn(f"{file.name}: {where}: a turned box and its enclosing box.")
    elif kind == "polygon":
        rings = [pairs(entry.get("points"))]
        if entry.get("exclude"):
            records.warn(
                f"{file.name}: {where}: 'exclude' cuts holes, which rings cannot say; "
                "they are left out."
            )
        if not records.has_area(rings[0], file, where):
            return None
        shape.polygons = rings
    elif kind == "ellipse":
        cx, cy, rx, ry = of(entry, "cx", "cy", "rx", "ry")
        turn = entry.get("angle") or 0
        shape.rotation = number(turn, file, where, "angle")
        shape.box = box_of_ellipse(cx, cy, rx, ry, shape.rotation)
        shape.shape = "ellipse"
    elif kind in ("point", "polyline") and task is None:
        if kind == "point":
            x, y = of(entry, "x", "y")
            shape.keypoints, shape.shape = [[x, y, 2]], "points"
        else:
            shape.lines, shape.shape = [pairs(entry.get("points"))], "polyline"
            shape.box = box_of_points(shape.lines[0])
    else:
        records.warn(
            f"{file.name}: {where}: it has no place in {task} and is left out."
        )
        return None
    return shape.complete()


def write(records: Sequence[Record], path: Path, *, classes: list[str]) -> list[str]:
    """Write a JSON file an image, and classes/classes.json, into a folder."""
    lost: list[str] = []
    (path / "classes").mkdir(parents=True, exist_ok=True)
    numbers = {name: i for i, name in enumerate(classes, start=1)}
    listed = [
        {"id": i, "name": name, "color": "#808080", "attribute_groups": []}
        for name, i in numbers.items()
    ]
    text = json.dumps(listed, ensure_ascii=False)
    (path / "classes" / "classes.json").write_text(text, encoding="utf-8")
    for record in records:
        instances = [
            item for o in record.objects for item in _instances(o, numbers, lost)
        ]
        status = "NotStarted" if record.labelled is False else "Completed"
        metadata = {
            "name": record.file,
            "width": record.width,
            "height": record.height,
            "status": "Skipped" if record.answer == "skip" else status,
        }
        content = {
            "metadata": metadata,
            "instances": instances,
            "tags": list(record.image_labels),
            "comments": [],
        }
        file = path / f"{record.file.replace('/', '___')}.json"
        file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return lost


def _instances(shape: Shape, numbers: dict[str, int], lost: list[str]) -> list[Options]:
    common: Options = {
        "className": str(shape.label),
        "classId": numbers[str(shape.label)],
    }
    common["probability"] = 100 if shape.score is None else 100 * shape.score
    common["attributes"] = []
    if shape.keypoints:
        lost.append("keypoints")
    if shape.polygons:
        if len(shape.polygons) > 1:
            lost.append("that several rings are one object")
        return [
            {**common, "type": "polygon", "points": [v for p in ring for v in p]}
            for ring in shape.polygons
        ]
    lost += shape.beside_its_box("keypoints", "turned boxes", "open lines", "scores")
    if shape.lines:
        return [
            {**common, "type": "polyline", "points": [v for p in line for v in p]}
            for line in shape.lines
        ]
    if shape.corners:
        points: dict[str, float] = {}
        for i, (x, y) in enumerate(shape.corners, start=1):
            points |= {f"x{i}": float(x), f"y{i}": float(y)}
        return [{**common, "type": "rbbox", "points": points}]
    x0, y0, x1, y1 = (float(v) for v in shape.box)
    points = {"x1": x0, "x2": x1, "y1": y0, "y2": y1}
    return [{**common, "type": "bbox", "points": points}]


def write_ranking(
    records: Sequence[Record], path: Path, *, classes: list[str]
) -> list[str]:
    """Write a CSV of names and priorities, which the tool's queue is sorted by."""
    ranked = sorted(
        records, key=lambda r: (r.rank is None, r.rank if r.rank is not None else 0)
    )
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["name", "priority", "score"])
        for i, record in enumerate(ranked):
            score = "" if record.score is None else repr(float(record.score))
            table.writerow([harmless(record.file), len(ranked) - i, score])
    return ["labels"] if any(r.objects for r in records) else []
