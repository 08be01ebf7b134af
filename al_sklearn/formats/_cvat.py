"""CVAT for images 1.1, and its tracks of videos.

Definition: https://docs.cvat.ai/docs/manual/advanced/xml_format/. Coordinates are edges
in pixels; runs of a mask go along the rows of the mask's own box, background first;
the labels stand under ``meta`` in a task, a job or a project; the points of a skeleton
are told apart by their labels, ``outside`` is not there and ``occluded`` hidden. Frames
between two key frames of a track lie on a straight line.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from al_sklearn._core.types import Options
from al_sklearn.formats._files import (
    Node,
    integer_in,
    number_in,
    read_xml,
    refuse,
    tidy_name,
)
from al_sklearn.formats._geometry import box_of_ellipse, box_of_points, turned_box
from al_sklearn.formats._masks import from_rows, to_rows
from al_sklearn.formats._record import Record, Records, Shape

# Frames of a video that are read at most: five hours at 25 a second.
_MOST_FRAMES = 500_000


class _Reader:
    def __init__(self, path: Path, task: str | None) -> None:
        self.path, self.task = path, task
        self.records = Records(format="cvat")
        self.known: set[str] = set()
        self.points: dict[str, list[str]] = {}

    def read_labels(self, root: Node) -> None:
        """Read what labels there are; none at all means that any may stand there."""
        for node in (n for labels in root.walk("labels") for n in labels.all("label")):
            name = node.text_of("name")
            if not name:
                raise refuse(self.path, f"line {node.line}", "a label has no name.")
            parent = node.text_of("parent")
            if parent:
                points = self.points.setdefault(parent, [])
                if name not in points:
                    points.append(name)
            elif name not in self.known:
                self.known.add(name)
                self.records.classes.append(name)
        if self.points:
            self.records.keypoint_names = self.points

    def label_of(self, node: Node, where: str) -> str:
        label = node.attrib.get("label", "")
        if not label or (self.known and label not in self.known):
            raise refuse(
                self.path,
                where,
                f"line {node.line}: the label {label!r} is not among those of meta: "
                f"{self.records.classes}.",
            )
        return label

    def value(self, node: Node, key: str, where: str) -> float:
        return number_in(
            node.attrib.get(key), self.path, where, f"line {node.line}: {key}"
        )

    def points_in(self, node: Node, where: str) -> list[list[float]]:
        points = []
        for pair in node.attrib.get("points", "").split(";"):
            if not pair.strip():
                continue
            x, comma, y = pair.partition(",")
            if not comma:
                raise refuse(
                    self.path,
                    where,
                    f"line {node.line}: {pair!r} is no pair of points.",
                )
            what = f"line {node.line}: points"
            points.append([number_in(v, self.path, where, what) for v in (x, y)])
        return points

    def shape_of(self, node: Node, record: Record) -> Shape | None:
        """Return the shape that an element is, None for what has no place here."""
        where = record.file
        kind = node.tag
        label = self.label_of(node, where)
        shape = Shape(label, attributes=self.attributes_of(node))
        turn = node.attrib.get("rotation")
        degrees = 0.0 if turn is None else self.value(node, "rotation", where)
        if kind == "box":
            self.put_box(shape, node, where, degrees)
        elif kind == "polygon":
            ring = self.points_in(node, where)
            if not self.records.has_area(ring, self.path, where):
                return None
            shape.polygons = [ring]
        elif kind == "ellipse":
            cx, cy, rx, ry = (self.value(node, k, where) for k in _ELLIPSE)
            shape.box = box_of_ellipse(cx, cy, rx, ry, degrees)
            shape.shape, shape.rotation = "ellipse", degrees
        elif kind == "mask":
            shape.mask = self.mask_of(node, record)
        elif kind == "skeleton":
            shape.keypoints = self.skeleton_of(node, label, where)
        elif kind in ("polyline", "points"):
            if self.task is not None:
                self.records.warn(
                    f"{self.path.name}: {where}: {kind} is left out for the task "
                    f"{self.task}."
                )
                return None
            points = self.points_in(node, where)
            if kind == "polyline":
                shape.lines, shape.shape = [points], "polyline"
            else:
                shape.keypoints = [[x, y, 2] for x, y in points]
                shape.shape = "points"
        else:
            self.records.warn(
                f"{self.path.name}: {where}: <{kind}> is not read and left out."
            )
            return None
        return shape.complete()

    def put_box(self, shape: Shape, node: Node, where: str, degrees: float) -> None:
        x0, y0, x1, y1 = (self.value(node, k, where) for k in _SIDES)
        if x1 < x0 or y1 < y0:
            raise refuse(
                self.path, where, f"line {node.line}: a box ends before it begins."
            )
        if not degrees:
            shape.box = [x0, y0, x1, y1]
            return
        self.records.warn(
            f"{self.path.name}: {where}: a turned box; its box is the one around it."
        )
        middle = ((x0 + x1) / 2, (y0 + y1) / 2)
        shape.corners = turned_box(x0, y0, x1 - x0, y1 - y0, degrees, middle)
        shape.rotation = degrees

    def mask_of(self, node: Node, record: Record) -> Any:
        where = record.file
        place = f"line {node.line}: "
        runs = [
            integer_in(v, self.path, where, f"{place}rle")
            for v in node.attrib.get("rle", "").split(",")
        ]
        left, top, width, height = (
            integer_in(node.attrib.get(k), self.path, where, place + k)
            for k in ("left", "top", "width", "height")
        )
        try:
            return from_rows(
                runs, left, top, width, height, (record.height, record.width)
            )
        except ValueError as error:
            raise refuse(self.path, where, f"{place}{error}.") from None

    def skeleton_of(self, node: Node, label: str, where: str) -> list[Any]:
        names = self.points.get(label)
        found: dict[str, list[float]] = {}
        for points in node.all("points"):
            name = points.attrib.get("label", "")
            if names is not None and name not in names:
                raise refuse(
                    self.path,
                    where,
                    f"line {points.line}: the point {name!r} is not among those of "
                    f"{label!r}: {names}.",
                )
            if name in found:
                raise refuse(
                    self.path,
                    where,
                    f"line {points.line}: the point {name!r} stands twice.",
                )
            if points.attrib.get("outside") == "1":
                found[name] = [0, 0, 0]
                continue
            pairs = self.points_in(points, where)
            if len(pairs) != 1:
                raise refuse(
                    self.path, where, f"line {points.line}: {name!r} is not one point."
                )
            hidden = points.attrib.get("occluded") == "1"
            found[name] = [*pairs[0], 1 if hidden else 2]
        return [found.get(name, [0, 0, 0]) for name in names or found]

    def attributes_of(self, node: Node) -> Options:
        said: Options = {}
        if node.attrib.get("occluded") == "1":
            said["occluded"] = 1
        for child in node.all("attribute"):
            said.setdefault("attributes", {})[child.attrib.get("name", "")] = child.text
        return said


_SIDES = ("xtl", "ytl", "xbr", "ybr")
_ELLIPSE = ("cx", "cy", "rx", "ry")


def read(path: Path, *, task: str | None, images: Path | None) -> Records:
    """Read an annotations.xml, or the folder that has one."""
    if path.is_dir():
        path = path / "annotations.xml"
        if not path.is_file():
            raise refuse(path, "", "there is no such file in the folder.")
    root = read_xml(path)
    if root.tag != "annotations":
        raise refuse(path, "line 1", f"<annotations> expected, got <{root.tag}>.")
    reader = _Reader(path, None if task in (None, "detect-video") else task)
    meta = root.find("meta")
    if meta is not None:
        reader.read_labels(meta)
    names: set[str] = set()
    for node in root.all("image"):
        reader.records.append(_image(node, reader, names))
    tracks = root.all("track")
    if tracks:
        reader.records.extend(_frames(root, meta, tracks, reader))
    if not reader.records.classes:
        known = {o.label for r in reader.records for o in r.objects}
        reader.records.classes = sorted(str(label) for label in known)
    return reader.records


def _image(node: Node, reader: _Reader, names: set[str]) -> Record:
    where = f"line {node.line}"
    name = tidy_name(node.attrib.get("name", ""), reader.path, where, "name")
    if name in names:
        raise refuse(reader.path, where, f"the image {name!r} stands twice.")
    names.add(name)
    size = [
        integer_in(node.attrib.get(side), reader.path, name, f"{where}: {side}")
        for side in ("width", "height")
    ]
    record = Record(name, size[0], size[1], id=node.attrib.get("id"))
    for child in node.children:
        if child.tag == "tag":
            record.image_labels.append(reader.label_of(child, name))
        elif (shape := reader.shape_of(child, record)) is not None:
            record.objects.append(shape)
    return record


def _frames(
    root: Node, meta: Node | None, tracks: list[Node], reader: _Reader
) -> list[Record]:
    """Return each frame of a video with the boxes of its tracks."""
    size = next(meta.walk("original_size"), None) if meta is not None else None
    sides: list[int | None] = [None, None]
    if size is not None:
        sides = [
            integer_in(size.text_of(side), reader.path, "meta", side)
            for side in ("width", "height")
        ]
    count = next(meta.walk("size"), None) if meta is not None else None
    n_frames = 0
    if count is not None and count.text.strip():
        n_frames = integer_in(count.text, reader.path, "meta", "size")
    drawn: list[tuple[int, Shape]] = []
    for track in tracks:
        number = integer_in(track.attrib.get("id"), reader.path, "track", "id")
        drawn += _drawn(track, number, n_frames, reader)
    n_frames = max([n_frames, *(frame + 1 for frame, _ in drawn)])
    if n_frames > _MOST_FRAMES:
        raise refuse(reader.path, "meta", f"size: {n_frames} frames are too many.")
    frames = [Record(f"frame_{i:06d}", sides[0], sides[1]) for i in range(n_frames)]
    for frame, shape in drawn:
        frames[frame].objects.append(shape)
    return frames


def _drawn(
    track: Node, number: int, n_frames: int, reader: _Reader
) -> list[tuple[int, Shape]]:
    where = f"track {number}"
    label = reader.label_of(track, where)
    keys = []
    for node in track.children:
        if node.tag != "box":
            raise refuse(
                reader.path,
                where,
                f"line {node.line}: a track of <{node.tag}> is not read; boxes are.",
            )
        frame = integer_in(node.attrib.get("frame"), reader.path, where, "frame")
        if not 0 <= frame < _MOST_FRAMES:
            raise refuse(reader.path, where, f"line {node.line}: frame {frame}.")
        box = [reader.value(node, side, where) for side in _SIDES]
        keys.append((frame, box, node.attrib.get("outside") == "1"))
    keys.sort(key=lambda key: key[0])
    found: list[tuple[int, Shape]] = []
    for i, (frame, box, outside) in enumerate(keys):
        if outside:
            continue
        last = keys[i + 1] if i + 1 < len(keys) else None
        # What nobody ended stays to the end of the video.
        until = last[0] if last is not None else max(n_frames, frame + 1)
        for at in range(frame, until):
            share = 0.0
            # A box that ends says where it ended last, and does not move there.
            if last is not None and not last[2]:
                share = (at - frame) / (last[0] - frame)
            target = box if last is None else last[1]
            between = [a + (b - a) * share for a, b in zip(box, target, strict=True)]
            found.append((at, Shape(label, between, track=number)))
    return found


def write(records: Sequence[Record], path: Path, *, classes: list[str]) -> list[str]:
    """Write annotations.xml, and manifest.jsonl beside it."""
    if path.suffix.lower() != ".xml":
        path.mkdir(parents=True, exist_ok=True)
        path = path / "annotations.xml"
    known = getattr(records, "keypoint_names", {}) or {}
    lost: list[str] = []
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        "<annotations>",
        "  <version>1.1</version>",
        "  <meta><task><labels>",
    ]
    skeletons = {o.label for r in records for o in r.objects if _is_skeleton(o)}
    for name in classes:
        kind = "skeleton" if name in skeletons else "any"
        lines.append(
            f"    <label><name>{escape(name)}</name><type>{kind}</type>"
            "<attributes></attributes></label>"
        )
        for point in _points_of(name, known, records) if name in skeletons else ():
            lines.append(
                f"    <label><name>{escape(point)}</name><type>points</type>"
                f"<attributes></attributes><parent>{escape(name)}</parent></label>"
            )
    lines.append("  </labels></task></meta>")
    manifest: list[Options] = [{"version": "1.1"}, {"type": "images"}]
    for i, record in enumerate(records):
        if record.width is None or record.height is None:
            raise refuse(path, record.file, "its size is not known, and CVAT needs it.")
        name = quoteattr(record.file)
        lines.append(
            f'  <image id="{i}" name={name} width="{record.width}" '
            f'height="{record.height}">'
        )
        for shape in record.objects:
            lines.append(_element(shape, known, records, lost))
        labels = record.image_labels
        lines += [f"    <tag label={quoteattr(str(label))}></tag>" for label in labels]
        lines.append("  </image>")
        stem, dot, ending = record.file.rpartition(".")
        entry: Options = {"name": stem if dot else record.file}
        entry |= {"extension": f".{ending}" if dot else ""}
        manifest.append({**entry, "width": record.width, "height": record.height})
        if record.labelled is False:
            lost.append("which images nobody labelled")
    path.write_text("\n".join([*lines, "</annotations>", ""]), encoding="utf-8")
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in manifest)
    (path.parent / "manifest.jsonl").write_text(text, encoding="utf-8")
    return lost


def _is_skeleton(shape: Shape) -> bool:
    return bool(shape.keypoints) and shape.shape != "points"


def _points_of(name: str, known: Any, records: Sequence[Record]) -> list[str]:
    if isinstance(known, dict) and known.get(name):
        return list(known[name])
    if isinstance(known, list) and known:
        return known
    n = max(
        len(o.keypoints)
        for r in records
        for o in r.objects
        if o.label == name and o.keypoints
    )
    return [str(i) for i in range(1, n + 1)]


def _element(
    shape: Shape, known: Any, records: Sequence[Record], lost: list[str]
) -> str:
    label = quoteattr(str(shape.label))
    common = f'label={label} occluded="{int(shape.attributes.get("occluded", 0))}"'
    if shape.score is not None:
        lost.append("scores")

    def pairs(points: Any) -> str:
        return ";".join(f"{p[0]:.9g},{p[1]:.9g}" for p in points)

    if shape.mask is not None:
        runs, (left, top, width, height) = to_rows(shape.mask)
        text = ", ".join(map(str, runs))
        return (
            f'    <mask {common} rle="{text}" left="{left}" top="{top}" '
            f'width="{width}" height="{height}"></mask>'
        )
    if _is_skeleton(shape):
        inner = []
        names = _points_of(str(shape.label), known, records)
        for name, (x, y, v) in zip(names, shape.keypoints, strict=False):
            inner.append(
                f'<points label={quoteattr(name)} outside="{int(v == 0)}" '
                f'occluded="{int(v == 1)}" points="{x:.9g},{y:.9g}"></points>'
            )
        # Whoever reads it back has the smallest box around the points.
        seen = [(x, y) for x, y, v in shape.keypoints if v > 0]
        if shape.box is not None and (
            not seen or list(shape.box) != box_of_points(seen)
        ):
            lost.append("boxes of keypoints")
        return f"    <skeleton {common}>{''.join(inner)}</skeleton>"
    if shape.shape == "points" and shape.keypoints:
        return f'    <points {common} points="{pairs(shape.keypoints)}"></points>'
    if shape.polygons:
        rings = [
            f'    <polygon {common} points="{pairs(ring)}"></polygon>'
            for ring in shape.polygons
        ]
        if len(rings) > 1:
            lost.append("that several rings are one object")
        return "\n".join(rings)
    if shape.lines:
        return "\n".join(
            f'    <polyline {common} points="{pairs(line)}"></polyline>'
            for line in shape.lines
        )
    box, turn = shape.box, ""
    if shape.corners:
        box = _unturned(shape)
        turn = f' rotation="{shape.rotation % 360:.9g}"'
    sides = " ".join(
        f'{key}="{value:.9g}"' for key, value in zip(_SIDES, box, strict=True)
    )
    return f"    <box {common} {sides}{turn}></box>"


def _unturned(shape: Shape) -> list[float]:
    """The box before it was turned about its middle."""
    xs = [p[0] for p in shape.corners]
    ys = [p[1] for p in shape.corners]
    middle = (sum(xs) / 4, sum(ys) / 4)
    first, third = shape.corners[0], shape.corners[2]
    back = [
        turned_box(x, y, 0, 0, -shape.rotation, middle)[0] for x, y in (first, third)
    ]
    return [*back[0], *back[1]]
