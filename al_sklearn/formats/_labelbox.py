"""Labelbox: exports of one JSON document a line.

Definition: https://docs.labelbox.com/reference/export-image-annotations. A box is top,
left, height and width in pixels; a row may carry the labels of several projects.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from al_sklearn._core.types import Options
from al_sklearn.formats._files import (
    decode,
    dict_of,
    integer,
    list_of,
    number,
    parse_json,
    read_bytes,
    refuse,
    shown,
    tidy_name,
)
from al_sklearn.formats._geometry import box_of_points
from al_sklearn.formats._record import Record, Records, Shape


def read(path: Path, *, task: str | None, images: Path | None) -> Records:
    """Read an export, whatever its name ends in."""
    records = Records(format="labelbox")
    known: set[str] = set()
    for line, item in _rows(path):
        where = f"line {line}"
        row = dict_of(item, path, where, "a row")
        record = _record(row, path, where, records, task)
        if record.file in known:
            raise refuse(path, where, f"the image {record.file!r} stands twice.")
        known.add(record.file)
        records.append(record)
    labels = {str(o.label) for r in records for o in r.objects}
    records.classes = sorted(labels)
    return records


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    text = decode(read_bytes(path), path)
    # A list in one document is what older exports were.
    if text.lstrip().startswith("["):
        yield from enumerate(parse_json(text, path), start=1)
        return
    for number_, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number_, parse_json(line, path, number_)


def _record(
    row: Options, path: Path, where: str, records: Records, task: str | None
) -> Record:
    data = dict_of(row.get("data_row"), path, where, "data_row")
    name = data.get("external_id") or data.get("global_key") or data.get("id")
    if not isinstance(name, str):
        raise refuse(path, where, f"data_row has no external_id, got {shown(data)}.")
    record = Record(tidy_name(name, path, where, "external_id"), id=data.get("id"))
    media = row.get("media_attributes")
    if isinstance(media, dict) and media.get("width") is not None:
        record.width = integer(media["width"], path, where, "width")
        record.height = integer(media.get("height"), path, where, "height")
    projects = dict_of(row.get("projects") or {}, path, where, "projects")
    if len(projects) > 1:
        raise refuse(
            path,
            where,
            f"it has labels of several projects, {sorted(projects)}; export one.",
        )
    record.labelled = False
    for item in projects.values():
        project = dict_of(item, path, where, "a project")
        labels = list_of(project.get("labels") or [], path, where, "labels")
        given = []
        for label in labels:
            entry = dict_of(label, path, where, "a label")
            details = dict_of(
                entry.get("performance_details") or {}, path, where, "details"
            )
            if details.get("skipped"):
                record.answer = "skip"
                continue
            given.append(entry)
        for i, entry in enumerate(given):
            record.labelled = True
            objects = _objects(entry, path, where, record, records, task)
            if len(given) > 1:
                details = entry.get("label_details") or {}
                who = dict_of(details, path, where, "label_details").get("created_by")
                key = str(who or f"label {entry.get('id', i)}")
                # One person may have answered twice.
                key = f"{key} ({i})" if key in record.by_annotator else key
                record.by_annotator[key] = objects
            if i == 0:
                # The first answer, also where it says that nothing is there.
                record.objects = objects
    return record


def _objects(
    entry: Options,
    path: Path,
    where: str,
    record: Record,
    records: Records,
    task: str | None,
) -> list[Shape]:
    annotations = dict_of(entry.get("annotations") or {}, path, where, "annotations")
    found = []
    for item in list_of(annotations.get("objects") or [], path, where, "objects"):
        said = dict_of(item, path, where, "an object")
        shape = _shape(said, path, where, records, task)
        if shape is not None:
            found.append(shape.complete())
    answers = annotations.get("classifications") or []
    for item in list_of(answers, path, where, "classifications"):
        answer = dict_of(item, path, where, "a classification")
        several = answer.get("checklist_answers") or []
        several = list_of(several, path, where, "checklist_answers")
        chosen = [answer.get("radio_answer"), *several]
        names = [str(c.get("name")) for c in chosen if isinstance(c, dict)]
        if isinstance(record.image_labels, list):
            record.image_labels = {}
        record.image_labels[str(answer.get("name"))] = names
    return found


def _shape(
    said: Options, path: Path, where: str, records: Records, task: str | None
) -> Shape | None:
    name = said.get("name")
    if not isinstance(name, str):
        raise refuse(path, where, f"an object has no name, got {shown(said)}.")
    if (box := said.get("bounding_box")) is not None:
        box = dict_of(box, path, where, "bounding_box")
        top, left, h, w = (
            number(box.get(key), path, where, f"bounding_box {key}")
            for key in ("top", "left", "height", "width")
        )
        if w < 0 or h < 0:
            raise refuse(path, where, "bounding_box: a size below 0.")
        return Shape(name, [left, top, left + w, top + h])
    for key in ("polygon", "line"):
        if (points := said.get(key)) is not None:
            ring = [_point(p, path, where) for p in list_of(points, path, where, key)]
            if key == "polygon":
                # The last point repeats the first.
                ring = ring[:-1] if len(ring) > 3 and ring[0] == ring[-1] else ring
                if not records.has_area(ring, path, where):
                    return None
                return Shape(name, polygons=[ring])
            if task is None:
                shape = Shape(name, lines=[ring], shape="polyline")
                shape.box = box_of_points(ring)
                return shape
    if (point := said.get("point")) is not None and task in (None, "pose"):
        return Shape(name, keypoints=[[*_point(point, path, where), 2]], shape="points")
    kind = said.get("annotation_kind")
    records.warn(f"{path.name}: {where}: {kind} of {name!r} is left out.")
    return None


def _point(value: Any, path: Path, where: str) -> list[float]:
    point = dict_of(value, path, where, "a point")
    return [number(point.get(key), path, where, key) for key in ("x", "y")]


def write(records: Sequence[Record], path: Path, *, classes: list[str]) -> list[str]:
    """Write a row a line, as an export has it."""
    lost: list[str] = []
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            objects = [item for o in record.objects for item in _said(o, lost)]
            answers = record.image_labels
            if isinstance(answers, list):
                answers = {"choice": answers} if answers else {}
            classifications = [
                {"name": name, "checklist_answers": [{"name": c} for c in chosen]}
                for name, chosen in answers.items()
            ]
            annotations = {"objects": objects, "classifications": classifications}
            label: Options = {"label_kind": "Default", "annotations": annotations}
            if record.answer == "skip":
                label["performance_details"] = {"skipped": True}
            has_answer = record.labelled is not False or record.answer == "skip"
            row = {
                "data_row": {"external_id": record.file, "global_key": record.file},
                "media_attributes": {"width": record.width, "height": record.height},
                "projects": {"al_sklearn": {"labels": [label] if has_answer else []}},
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return lost


def _said(shape: Shape, lost: list[str]) -> list[Options]:
    common: Options = {"name": str(shape.label), "classifications": []}
    if shape.score is not None:
        lost.append("scores")
    if shape.polygons:
        if len(shape.polygons) > 1:
            lost.append("that several rings are one object")
        return [
            {
                **common,
                "annotation_kind": "ImagePolygon",
                "polygon": [{"x": x, "y": y} for x, y in [*ring, ring[0]]],
            }
            for ring in shape.polygons
        ]
    if shape.lines:
        return [
            {
                **common,
                "annotation_kind": "ImagePolyline",
                "line": [{"x": x, "y": y} for x, y in line],
            }
            for line in shape.lines
        ]
    lost += shape.beside_its_box("scores")
    x0, y0, x1, y1 = (float(v) for v in shape.box)
    box = {"top": y0, "left": x0, "height": y1 - y0, "width": x1 - x0}
    return [{**common, "annotation_kind": "ImageBoundingBox", "bounding_box": box}]
