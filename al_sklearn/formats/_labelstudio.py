"""Label Studio: tasks in JSON, its CSV export, and the configuration beside them.

Definition: https://labelstud.io/guide/export and the editor's source. Coordinates are
percent of the image's width and height; a rectangle is turned clockwise about its
top-left corner, in pixels; an ellipse's x, y is its centre. Predictions and drafts are
no annotations; one that was cancelled is a skip, one with an empty result says that
nothing is there. Before version 1.0 annotations were called completions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import quoteattr

from al_sklearn._core.types import Options
from al_sklearn.formats._files import (
    dict_of,
    integer,
    integer_in,
    list_of,
    number,
    number_in,
    parse_json,
    read_json,
    read_xml,
    refuse,
    shown,
    text_of,
    tidy_name,
)
from al_sklearn.formats._geometry import box_of_ellipse, turned_box
from al_sklearn.formats._masks import decode_brush, encode_brush
from al_sklearn.formats._record import Record, Records, Shape
from al_sklearn.formats._sheets import read_sheet

# Kinds of results with a shape; the key of the labels is the kind for most.
_SHAPES = ("rectangle", "polygon", "ellipse", "brush", "keypoint")
_UPLOAD = re.compile(r"[0-9a-f]{8}-(.+)")


class _Reader:
    def __init__(self, path: Path, task: str | None) -> None:
        self.path, self.task = path, task
        self.records = Records(format="labelstudio")
        self.point_names: list[str] = []
        self.read_configuration()

    def read_configuration(self) -> None:
        """Read the names of classes and points from the configuration beside it."""
        for name in ("config.xml", "label_config.xml", "labeling_config.xml"):
            file = self.path.parent / name
            if not file.is_file():
                continue
            root = read_xml(file)
            for node in [root, *_all(root)]:
                if node.tag == "KeyPointLabels":
                    labels = node.all("Label")
                    order = []
                    for i, label in enumerate(labels):
                        given = label.attrib.get("model_index", str(i))
                        place = integer_in(given, file, f"line {label.line}", "index")
                        order.append((place, label.attrib.get("value", "")))
                    self.point_names = [value for _, value in sorted(order)]
                elif node.tag.endswith("Labels"):
                    for label in node.all("Label"):
                        value = label.attrib.get("value", "")
                        if value and value not in self.records.classes:
                            self.records.classes.append(value)
            if self.point_names:
                self.records.keypoint_names = self.point_names

    def image_of(self, value: Any, where: str) -> tuple[str, str | None]:
        """Return the file's name, and the name before the upload."""
        if not isinstance(value, str) or not value:
            raise refuse(self.path, where, f"no image in data, got {shown(value)}.")
        parts = urlsplit(value)
        if parts.path.rstrip("/").endswith("/data/local-files"):
            given = parse_qs(parts.query).get("d")
            if not given:
                raise refuse(self.path, where, f"no d= in {value!r}.")
            return tidy_name(given[-1], self.path, where, "image"), None
        if value.startswith("data:"):
            return f"task-{where.split()[-1]}", None
        name = unquote(parts.path)
        if "/data/upload/" in name:
            name = name.rsplit("/", 1)[-1]
            found = _UPLOAD.fullmatch(name)
            return tidy_name(name, self.path, where, "image"), (
                found.group(1) if found else None
            )
        if parts.scheme and len(parts.scheme) > 1:
            # An address is its own name; one letter is a disk of Windows.
            return value, None
        return tidy_name(name.lstrip("/"), self.path, where, "image"), None

    def size_of(self, results: Sequence[Any], where: str) -> tuple[Any, Any]:
        """Return the size that the results say, the same in all."""
        known: tuple[Any, ...] = (None, None)
        for result in results:
            if not isinstance(result, dict) or "original_width" not in result:
                continue
            size = tuple(
                integer(result.get(f"original_{side}"), self.path, where, side)
                for side in ("width", "height")
            )
            if min(size) <= 0:
                raise refuse(self.path, where, f"a size of {size[0]} x {size[1]}.")
            if known[0] is not None and known != size:
                raise refuse(
                    self.path, where, f"two sizes of one image: {known} and {size}."
                )
            known = size
        return known[0], known[1]

    def read_result(
        self, results: list[Any], record: Record, where: str
    ) -> list[Shape]:
        """Return the objects; labels of the whole image go to the record."""
        shapes: dict[str, Shape] = {}
        parents: dict[str, str] = {}
        point_labels: dict[str, str] = {}
        for i, item in enumerate(results):
            result = dict_of(item, self.path, where, "a result")
            place = f"{where}, region {result.get('id', i)}"
            kind = text_of(result.get("type"), self.path, place, "type")
            value = result.get("value", {})
            if kind == "relation" or not isinstance(value, dict):
                continue
            base = kind.removesuffix("labels")
            key = str(result.get("id", f"#{i}"))
            labels = self.labels_in(value, kind, place)
            if kind in ("choices", "taxonomy", "rating", "textarea", "number"):
                self.put_image_label(record, result, kind, value)
                continue
            if kind == "labels" or base in _SHAPES:
                if key in shapes:
                    # The shape stands twice with one id: alone, and with its label.
                    if shapes[key].label is None and labels:
                        shapes[key].label = labels[0]
                    continue
                if kind == "labels" and not _has_shape(value):
                    continue
                shape = self.shape_of(base, value, record, place)
                if shape is None:
                    continue
                shape.label = labels[0] if labels else None
                if len(labels) > 1:
                    shape.attributes["labels"] = labels
                if (score := result.get("score")) is not None:
                    shape.score = float(number(score, self.path, place, "score"))
                shapes[key] = shape
                if parent := result.get("parentID"):
                    parents[key] = str(parent)
                if base == "keypoint" and shape.label is not None:
                    point_labels[key] = shape.label
                continue
            self.records.warn(
                f"{self.path.name}: {place}: {kind!r} is not read and left out."
            )
        return self.join(shapes, parents, point_labels, where)

    def labels_in(self, value: Options, kind: str, place: str) -> list[str]:
        key = kind if kind in value else "labels"
        if key not in value or kind in ("choices", "taxonomy"):
            return []
        labels = list_of(value[key], self.path, place, key)
        return [str(label) for label in labels]

    def put_image_label(
        self, record: Record, result: Options, kind: str, value: Options
    ) -> None:
        if isinstance(record.image_labels, list):
            record.image_labels = {}
        said = value.get(kind, value.get("text"))
        record.image_labels[str(result.get("from_name", kind))] = said

    def shape_of(
        self, base: str, value: Options, record: Record, place: str
    ) -> Shape | None:
        if record.width is None or record.height is None:
            raise refuse(
                self.path,
                place,
                "no original_width, and coordinates are percent of it.",
            )
        w, h = record.width / 100, record.height / 100

        def get(key: str, default: Any = None) -> float:
            return number(value.get(key, default), self.path, place, key)

        if base in ("rectangle", "") or (base == "labels" and "width" in value):
            x, y = get("x") * w, get("y") * h
            width, height = get("width") * w, get("height") * h
            if width < 0 or height < 0:
                raise refuse(self.path, place, "width or height is negative.")
            return self.turned(x, y, width, height, get("rotation", 0), place)
        if base == "polygon" or (base == "labels" and "points" in value):
            return self.polygon(value, w, h, place)
        if base == "ellipse" or (base == "labels" and "radiusX" in value):
            shape = Shape(shape="ellipse", rotation=get("rotation", 0))
            shape.box = box_of_ellipse(
                get("x") * w,
                get("y") * h,
                get("radiusX") * w,
                get("radiusY") * h,
                shape.rotation,
            )
            return shape
        if base == "keypoint":
            return Shape(keypoints=[[get("x") * w, get("y") * h, 2]], shape="point")
        return self.brush(value, record, place)

    def turned(
        self, x: float, y: float, w: float, h: float, degrees: float, place: str
    ) -> Shape:
        if not degrees:
            return Shape(None, [x, y, x + w, y + h])
        self.records.warn(
            f"{self.path.name}: {place}: a turned box; its box is the one around it."
        )
        corners = turned_box(x, y, w, h, degrees, (x, y))
        return Shape(corners=corners, rotation=degrees).complete()

    def polygon(self, value: Options, w: float, h: float, place: str) -> Shape | None:
        ring = []
        for point in list_of(value.get("points"), self.path, place, "points"):
            pair = list_of(point, self.path, place, "a point")
            if len(pair) != 2:
                raise refuse(self.path, place, f"{shown(point)} is no point.")
            x, y = (number(v, self.path, place, "points") for v in pair)
            ring.append([x * w, y * h])
        if not self.records.has_area(ring, self.path, place):
            return None
        if value.get("closed") is False:
            self.records.warn(
                f"{self.path.name}: {place}: the polygon was not closed; "
                "it is taken as closed."
            )
        return Shape(polygons=[ring]).complete()

    def brush(self, value: Options, record: Record, place: str) -> Shape:
        if value.get("format") != "rle":
            raise refuse(self.path, place, f"brush format {value.get('format')!r}.")
        runs = [
            integer(v, self.path, place, "rle")
            for v in list_of(value.get("rle"), self.path, place, "rle")
        ]
        try:
            mask = decode_brush(runs, record.height or 0, record.width or 0)
        except ValueError as error:
            raise refuse(self.path, place, f"{error}.") from None
        return Shape(mask=mask).complete()

    def join(
        self,
        shapes: dict[str, Shape],
        parents: dict[str, str],
        point_labels: dict[str, str],
        where: str,
    ) -> list[Shape]:
        """Give keypoints to the box that they belong to."""
        names = list(self.point_names)
        for label in point_labels.values():
            if label not in names:
                names.append(label)
        kept = []
        for key, shape in shapes.items():
            parent = shapes.get(parents.get(key, ""))
            if key not in point_labels or parent is None:
                kept.append(shape)
                continue
            if parent.keypoints is None:
                parent.keypoints = [[0, 0, 0] for _ in names]
            place = names.index(point_labels[key])
            if parent.keypoints[place][2]:
                raise refuse(
                    self.path,
                    where,
                    f"two points {point_labels[key]!r} belong to one region.",
                )
            parent.keypoints[place] = shape.keypoints[0]
        return kept


def _all(node: Any) -> Iterator[Any]:
    for child in node.children:
        yield child
        yield from _all(child)


def _has_shape(value: Options) -> bool:
    return any(key in value for key in ("x", "points", "rle"))


def read(path: Path, *, task: str | None, images: Path | None) -> Records:
    """Read tasks in JSON, or the CSV export."""
    reader = _Reader(path, task)
    tasks = _csv_tasks(path) if path.suffix.lower() == ".csv" else read_json(path)
    if isinstance(tasks, dict):
        tasks = [tasks]
    for i, item in enumerate(list_of(tasks, path, "", "tasks")):
        entry = dict_of(item, path, f"task {i}", "a task")
        if "data" not in entry and "annotation_id" in entry:
            entry = _task_of_row(entry, path, f"task {entry.get('id', i)}")
        where = f"task {entry.get('id', i)}"
        _read_task(entry, where, reader)
    known = {o.label for r in reader.records for o in r.objects if o.label}
    for label in sorted(known - set(reader.records.classes)):
        reader.records.classes.append(label)
    return reader.records


def _read_task(entry: Options, where: str, reader: _Reader) -> None:
    path = reader.path
    data = dict_of(entry.get("data"), path, where, "data")
    value = data.get("image")
    if value is None:
        # The key is what the configuration says; the one that is a path or address.
        texts = [v for v in data.values() if isinstance(v, str)]
        value = next((v for v in texts if "/" in v or "." in v), None)
    file, original = reader.image_of(value, where)
    record = Record(file, original=original, id=str(entry.get("id", "")) or None)
    answers = entry.get("annotations", entry.get("completions"))
    answers = list_of(answers or [], path, where, "annotations")
    given = []
    for item in answers:
        answer = dict_of(item, path, where, "an annotation")
        if answer.get("was_cancelled") or answer.get("skipped"):
            record.answer = record.answer or "skip"
            continue
        given.append(answer)
    guesses = list_of(entry.get("predictions") or [], path, where, "predictions")
    everything = [
        result
        for answer in [*given, *guesses]
        for result in _result_of(dict_of(answer, path, where, "an answer"), path, where)
    ]
    record.width, record.height = reader.size_of(everything, where)
    record.labelled = bool(given)
    for i, answer in enumerate(given):
        result = _result_of(answer, path, where)
        objects = reader.read_result(result, record, where)
        who = _who(answer)
        if len(given) > 1:
            # One person may have answered twice.
            key = who or f"annotation {answer.get('id', i)}"
            if key in record.by_annotator:
                key = f"{key} ({answer.get('id', i)})"
            record.by_annotator[key] = objects
        if i == 0:
            # The first answer, also where it says that nothing is there.
            record.answer, record.annotator, record.objects = "label", who, objects
            if (seconds := answer.get("lead_time")) is not None:
                record.seconds = float(number(seconds, path, where, "lead_time"))
    reader.records.append(record)
    for item in guesses:
        guess = dict_of(item, path, where, "a prediction")
        said = Record(file, record.width, record.height, original=original)
        results = _result_of(guess, path, where)
        said.objects = reader.read_result(results, said, f"{where} (prediction)")
        if (score := guess.get("score")) is not None:
            said.score = float(number(score, path, where, "score"))
        said.annotator = guess.get("model_version")
        reader.records.predictions.append(said)


def _result_of(answer: Options, path: Path, where: str) -> list[Any]:
    return list_of(answer.get("result") or [], path, where, "result")


def _who(answer: Options) -> str | None:
    who = answer.get("completed_by")
    if isinstance(who, dict):
        who = who.get("email") or who.get("id")
    return None if who is None else str(who)


def _csv_tasks(path: Path) -> list[Options]:
    """Tasks of the CSV export: JSON-MIN with the regions as JSON inside a cell."""
    rows = read_sheet(path)
    fields = rows[0].cells if rows else []
    if "id" not in fields:
        raise refuse(path, "line 1", f"no column id among {fields}.")
    tasks = []
    for row in rows[1:]:
        where = f"line {row.line}"
        entry: Options = dict(zip(fields, row.cells, strict=False))
        for name, cell in entry.items():
            if cell.strip().startswith("[") and name not in _FIXED:
                entry[name] = parse_json(cell, path, row.line)
        seconds = entry.get("lead_time")
        if seconds:
            entry["lead_time"] = number_in(seconds, path, where, "lead_time")
        empty = {name for name in _FIXED if entry.get(name) == ""}
        kept = {name: cell for name, cell in entry.items() if name not in empty}
        tasks.append(_task_of_row(kept, path, where))
    return tasks


def _regions(
    regions: list[Any], name: str, path: Path, where: str
) -> Iterator[Options]:
    """The regions of one question, as the short exports have them."""
    for region in regions:
        value = dict_of(region, path, where, "a region")
        kind = next((k for k in value if k.endswith("labels")), "rectangle")
        sizes = {k: v for k, v in value.items() if k.startswith("original")}
        yield {"type": kind, "from_name": name, "value": value, **sizes}


def _task_of_row(entry: Options, path: Path, where: str) -> Options:
    """A task of the export JSON-MIN: a question is a key beside the image."""
    columns = [name for name in entry if name not in _FIXED]
    image = next((name for name in columns if name == "image"), columns[0])
    result: list[Options] = []
    for name in columns:
        said = entry[name]
        if name == image or said in (None, "", []):
            continue
        if isinstance(said, list) and all(isinstance(item, dict) for item in said):
            result += _regions(said, name, path, where)
            continue
        if isinstance(said, dict) and "choices" in said:
            said = said["choices"]
        value: Options = {"choices": said if isinstance(said, list) else [said]}
        result.append({"type": "choices", "from_name": name, "value": value})
    answer: Options = {
        "completed_by": entry.get("annotator"),
        "result": result,
        "id": entry.get("annotation_id"),
    }
    if entry.get("lead_time") is not None:
        answer["lead_time"] = entry["lead_time"]
    data = {"image": entry[image]}
    return {"id": entry.get("id"), "data": data, "annotations": [answer]}


# What the short exports have beside the questions.
_FIXED = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time")


def write(records: Sequence[Record], path: Path, *, classes: list[str]) -> list[str]:
    """Write tasks, with guesses as predictions, and config.xml beside them.

    Objects with scores are a model's guesses, the others are a person's answer.
    """
    lost: list[str] = []
    tasks = []
    points = _point_names(records)
    for i, record in enumerate(records, start=1):
        data: Options = {"image": f"/data/local-files/?d={quote(record.file)}"}
        if record.rank is not None:
            data["rank"] = record.rank
        task: Options = {"id": i, "data": data, "annotations": [], "predictions": []}
        if record.objects and (record.width is None or record.height is None):
            raise refuse(path, record.file, "its size is not known.")
        result = [
            item
            for j, shape in enumerate(record.objects)
            for item in _results(shape, f"r{j}", record, points, lost)
        ]
        result += _choices(record)
        guessed = [o.score for o in record.objects if o.score is not None]
        if guessed or (record.score is not None and record.labelled is None):
            score = record.score if record.score is not None else min(guessed)
            guess = {"model_version": record.annotator or "al_sklearn", "score": score}
            task["predictions"].append({**guess, "result": result})
        elif record.answer == "skip":
            task["annotations"].append({"was_cancelled": True, "result": []})
        elif record.labelled is not False:
            answer: Options = {"was_cancelled": False, "result": result}
            if record.seconds is not None:
                answer["lead_time"] = record.seconds
            if record.annotator is not None:
                answer["completed_by"] = record.annotator
            task["annotations"].append(answer)
        tasks.append(task)
    path.write_text(json.dumps(tasks, ensure_ascii=False), encoding="utf-8")
    configuration = labelling_configuration(records, classes=classes)
    (path.parent / "config.xml").write_text(configuration, encoding="utf-8")
    return lost


def _point_names(records: Sequence[Record]) -> list[str]:
    known = getattr(records, "keypoint_names", None)
    if isinstance(known, list) and known:
        return known
    if isinstance(known, dict):
        named = [points for points in known.values() if points]
        if named:
            return list(dict.fromkeys(p for points in named for p in points))
    n = max((len(o.keypoints or ()) for r in records for o in r.objects), default=0)
    return [str(i) for i in range(1, n + 1)]


def _results(
    shape: Shape, key: str, record: Record, points: list[str], lost: list[str]
) -> Iterator[Options]:
    w, h = 100 / (record.width or 1), 100 / (record.height or 1)
    common: Options = {
        "to_name": "image",
        "original_width": record.width,
        "original_height": record.height,
        "image_rotation": 0,
    }
    label = [str(shape.label)]
    if shape.score is not None:
        common["score"] = shape.score

    def region(kind: str, value: Options, **more: Any) -> Options:
        of = {"id": key, "type": f"{kind}labels", "from_name": kind}
        return {**of, **common, **more, "value": {**value, f"{kind}labels": label}}

    if shape.mask is not None:
        yield region("brush", {"format": "rle", "rle": encode_brush(shape.mask)})
    elif shape.polygons:
        for ring in shape.polygons:
            pairs = [[x * w, y * h] for x, y in ring]
            yield region("polygon", {"points": pairs, "closed": True})
        if len(shape.polygons) > 1:
            lost.append("that several rings are one object")
    elif shape.box is not None:
        x0, y0, x1, y1 = shape.box
        degrees = 0.0
        if shape.corners:
            # Turned back about the corner that stays where it is.
            x0, y0 = shape.corners[0]
            _, _, (x1, y1), _ = _unturned(shape)
            degrees = shape.rotation
        value = {"x": x0 * w, "y": y0 * h}
        value |= {"width": (x1 - x0) * w, "height": (y1 - y0) * h}
        yield region("rectangle", {**value, "rotation": degrees})
    for i, (x, y, v) in enumerate(shape.keypoints or ()):
        if v == 1:
            lost.append("that keypoints are hidden")
        if v:
            value = {"x": x * w, "y": y * h, "width": 0.5}
            value["keypointlabels"] = [points[i]]
            of = {"id": f"{key}-{i}", "type": "keypointlabels"}
            yield {
                **of,
                **common,
                "from_name": "keypoint",
                "parentID": key,
                "value": value,
            }
    if shape.lines:
        lost.append("open lines")


def _unturned(shape: Shape) -> list[list[float]]:
    about = tuple(shape.corners[0])
    return [turned_box(x, y, 0, 0, -shape.rotation, about)[0] for x, y in shape.corners]


def _choices(record: Record) -> list[Options]:
    given = record.image_labels
    if isinstance(given, dict):
        named = given.items()
    else:
        named = {"choice": given}.items() if given else {}.items()
    return [
        {
            "id": f"c{i}",
            "type": "choices",
            "from_name": name,
            "to_name": "image",
            "value": {"choices": [labels] if isinstance(labels, str) else labels},
        }
        for i, (name, labels) in enumerate(named)
    ]


def labelling_configuration(records: Sequence[Record], *, classes: list[str]) -> str:
    """Return the labelling configuration that the tasks need, as XML.

    Parameters
    ----------
    records : sequence of Record
    classes : list of str
        The classes to choose from.
    """
    shapes = [o for r in records for o in r.objects]
    kinds = {
        "RectangleLabels": any(
            o.box is not None and o.mask is None and not o.polygons for o in shapes
        ),
        "PolygonLabels": any(o.polygons for o in shapes),
        "BrushLabels": any(o.mask is not None for o in shapes),
    }
    lines = ["<View>", '  <Image name="image" value="$image"/>']
    for tag, is_needed in kinds.items():
        if is_needed:
            name = tag.removesuffix("Labels").lower()
            lines.append(f'  <{tag} name="{name}" toName="image">')
            lines += [f"    <Label value={quoteattr(c)}/>" for c in classes]
            lines.append(f"  </{tag}>")
    if any(o.keypoints for o in shapes):
        lines.append('  <KeyPointLabels name="keypoint" toName="image">')
        lines += [
            f'    <Label value={quoteattr(p)} model_index="{i}"/>'
            for i, p in enumerate(_point_names(records))
        ]
        lines.append("  </KeyPointLabels>")
    if not shapes:
        lines.append('  <Choices name="choice" toName="image" choice="single">')
        lines += [f"    <Choice value={quoteattr(c)}/>" for c in classes]
        lines.append("  </Choices>")
    return "\n".join([*lines, "</View>", ""])
