"""Prodigy: one task a line.

Definition: https://prodi.gy/docs/api-interfaces#image_manual. A span has points, and a
box its x, y, width and height as well; only accepted tasks are labels, the others keep
their spans in the file. An image may stand in the line itself; its name is ``path``
then, else ``meta.file``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from al_sklearn._core.types import Options
from al_sklearn.formats._files import (
    dict_of,
    integer,
    list_of,
    number,
    read_json_lines,
    refuse,
    shown,
    tidy_name,
)
from al_sklearn.formats._geometry import box_of_points
from al_sklearn.formats._record import Record, Records, Shape


def read(path: Path, *, task: str | None, images: Path | None) -> Records:
    """Read a database as db-out writes it."""
    records = Records(format="prodigy")
    by_name: dict[str, Record] = {}
    for line, item in read_json_lines(path):
        where = f"line {line}"
        entry = dict_of(item, path, where, "a task")
        record = Record(_name(entry, path, where))
        if entry.get("width") is not None:
            record.width = integer(entry["width"], path, where, "width")
            record.height = integer(entry.get("height"), path, where, "height")
        answer = entry.get("answer", "accept")
        if answer not in ("accept", "reject", "ignore"):
            raise refuse(path, where, f"answer {shown(answer)} is unknown.")
        record.labelled = answer == "accept"
        record.answer = {"accept": "label", "reject": "reject"}.get(answer, "skip")
        record.annotator = entry.get("_annotator_id") or entry.get("_session_id")
        if record.labelled:
            spans = list_of(entry.get("spans") or [], path, where, "spans")
            for span in spans:
                said = dict_of(span, path, where, "a span")
                if (shape := _shape(said, path, where, records)) is not None:
                    record.objects.append(shape)
            record.image_labels = _labels(entry)
        before = by_name.get(record.file)
        if before is None:
            by_name[record.file] = record
            records.append(record)
        else:
            _again(before, record, path, where, records)
    records.classes = sorted({str(o.label) for r in records for o in r.objects})
    return records


def _name(entry: Options, path: Path, where: str) -> str:
    image = entry.get("image")
    meta = entry.get("meta") if isinstance(entry.get("meta"), dict) else {}
    inside = isinstance(image, str) and image.startswith("data:")
    name = entry.get("path") if inside or image is None else image
    name = name or (meta or {}).get("file")
    if not isinstance(name, str) or not name:
        raise refuse(
            path, where, "nothing names the image: neither path nor meta.file."
        )
    return tidy_name(name, path, where, "image")


def _labels(entry: Options) -> list[str]:
    accepted = entry.get("accept")
    if isinstance(accepted, list):
        return [str(choice) for choice in accepted]
    label = entry.get("label")
    return [label] if isinstance(label, str) else []


def _again(
    before: Record, record: Record, path: Path, where: str, records: Records
) -> None:
    """Keep what two people said of one image apart."""
    records.warn(
        f"{path.name}: {where}: {record.file!r} was answered before; by_annotator has "
        "all."
    )
    first = before.annotator or "1"
    before.by_annotator.setdefault(first, before.objects)
    who = record.annotator or str(len(before.by_annotator) + 1)
    before.by_annotator[who] = record.objects
    if record.labelled and not before.labelled:
        before.objects, before.labelled = record.objects, True


def _shape(said: Options, path: Path, where: str, records: Records) -> Shape | None:
    label = said.get("label")
    if not isinstance(label, str):
        raise refuse(path, where, f"a span has no label, got {shown(said)}.")
    kind = said.get("type", "rect" if "width" in said else "polygon")
    if kind == "rect" and "width" in said:
        x, y, w, h = (
            number(said.get(key), path, where, key)
            for key in ("x", "y", "width", "height")
        )
        if w < 0 or h < 0:
            raise refuse(path, where, "a span of a size below 0.")
        return Shape(label, [x, y, x + w, y + h])
    points: list[list[Any]] = []
    for point in list_of(said.get("points"), path, where, "points"):
        pair = list_of(point, path, where, "a point")
        if len(pair) != 2:
            raise refuse(path, where, f"{shown(point)} is no point.")
        points.append([number(v, path, where, "points") for v in pair])
    if kind == "rect":
        return Shape(label, box_of_points(points))
    if not records.has_area(points, path, where):
        return None
    return Shape(label, polygons=[points]).complete()


def write(records: Sequence[Record], path: Path, *, classes: list[str]) -> list[str]:
    """Write a task a line."""
    lost: list[str] = []
    answers = {"label": "accept", "reject": "reject", "skip": "ignore"}
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            entry: Options = {"image": record.file, "path": record.file}
            if record.width is not None:
                entry |= {"width": record.width, "height": record.height}
            spans = [span for o in record.objects for span in _spans(o, lost)]
            entry["spans"] = spans
            if record.image_labels:
                entry["accept"] = [str(label) for label in record.image_labels]
            answer = answers.get(record.answer or "label", "accept")
            entry["answer"] = "ignore" if record.labelled is False else answer
            if record.annotator is not None:
                entry["_annotator_id"] = record.annotator
            if record.score is not None:
                entry["score"] = record.score
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
    return lost


def _spans(shape: Shape, lost: list[str]) -> list[Options]:
    lost += shape.beside_its_box("outlines")
    label = str(shape.label)
    if shape.polygons:
        if len(shape.polygons) > 1:
            lost.append("that several rings are one object")
        return [
            {"label": label, "type": "polygon", "points": [list(p) for p in ring]}
            for ring in shape.polygons
        ]
    x0, y0, x1, y1 = (float(v) for v in shape.box)
    corners = [[x0, y0], [x0, y1], [x1, y1], [x1, y0]]
    box: Options = {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}
    middle = [(x0 + x1) / 2, (y0 + y1) / 2]
    return [
        {"label": label, "type": "rect", **box, "points": corners, "center": middle}
    ]
