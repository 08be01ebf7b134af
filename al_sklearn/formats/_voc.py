"""Pascal VOC: one XML file an image.

Definition: the VOC devkit, http://host.robots.ox.ac.uk/pascal/VOC/. The top-left pixel
is (1, 1), and xmax, ymax are inside the box: half-open and from 0 a box is xmin - 1,
ymin - 1, xmax, ymax. Tools of others count from 0 and mean edges: a 0 anywhere in a set
shows that it is such a tool's, and nothing is taken off then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from al_sklearn._core.types import Options
from al_sklearn.formats._files import (
    Node,
    image_size,
    number_in,
    read_xml,
    refuse,
    relative_name,
    tidy_name,
)
from al_sklearn.formats._geometry import turned_box
from al_sklearn.formats._record import Record, Records, Shape

_SIDES = ("xmin", "ymin", "xmax", "ymax")


def read(path: Path, *, task: str | None, images: Path | None) -> Records:
    """Read a file, a folder of them, or the root of a set."""
    if path.is_file():
        files, root = [path], path.parent
    else:
        folder = path / "Annotations"
        folder = folder if folder.is_dir() else path
        files, root = sorted(folder.rglob("*.xml")), folder
    if root.name == "Annotations":
        root = root.parent
    if not files:
        raise refuse(path, "", "there is no .xml file.")
    records = Records(format="voc")
    root = root if images is None else images
    for file in files:
        records.append(_record(file, root, records))
    # Whether it counts from 0 is one question for the whole set.
    low = [v for r in records for o in r.objects for v in _raw(o)[:2]]
    from_zero = any(value <= 0 for value in low)
    if from_zero:
        records.warn(
            f"{path.name}: a box begins at 0, so the set counts from 0; nothing is "
            "taken off its coordinates."
        )
    for record in records:
        for shape in record.objects:
            _shift(shape, 0 if from_zero else 1)
    known = {o.label for r in records for o in r.objects}
    records.classes = sorted(str(label) for label in known)
    return records


def _raw(shape: Shape) -> Sequence[float]:
    return shape.attributes.get("box_if_zero_based", ())


def _shift(shape: Shape, by: int) -> None:
    """From the file's counting to ours; turned boxes count from 0 always."""
    if raw := _raw(shape):
        shape.box = [raw[0] - by, raw[1] - by, raw[2], raw[3]]
    for part in shape.attributes.get("parts", ()):
        x0, y0, x1, y1 = part["box"]
        part["box"] = [x0 - by, y0 - by, x1, y1]


def _record(file: Path, root: Path, records: Records) -> Record:
    annotation = read_xml(file)
    if annotation.tag != "annotation":
        raise refuse(
            file,
            f"line {annotation.line}",
            f"<annotation> expected, got <{annotation.tag}>.",
        )
    image, name = _image(annotation, file, root, records)
    record = Record(name, labelled=True)
    _measure(record, annotation, file, image, records)
    for node in annotation.all("object"):
        record.objects.append(_shape(node, file, records))
    return record


def _image(
    annotation: Node, file: Path, root: Path, records: Records
) -> tuple[Path | None, str]:
    """Find the image, by the names that the file gives and by its own."""
    given = annotation.text_of("filename") or ""
    folder = annotation.text_of("folder") or ""
    where = "filename"
    name = tidy_name(given, file, where, where) if given else f"{file.stem}.jpg"
    folder = tidy_name(folder, file, "folder", "folder") if folder else ""
    places = list(dict.fromkeys([folder, "JPEGImages", "images", ""]))
    for place in places:
        if (found := root / place / name).is_file():
            return found, relative_name(found, root)
    for place in places:
        beside = sorted((root / place).glob(f"{_literal(file.stem)}.*"))
        beside = [p for p in beside if p.suffix.lower() not in (".xml", ".txt")]
        if beside and given == file.stem:
            return beside[0], relative_name(beside[0], root)
        if beside:
            records.warn(
                f"{file.name}: filename {given!r} is not there, {beside[0].name} is "
                "taken."
            )
            return beside[0], relative_name(beside[0], root)
    return None, f"{folder}/{name}" if folder else name


def _literal(name: str) -> str:
    """Let nothing in a name mean anything to glob."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _measure(
    record: Record, annotation: Node, file: Path, image: Path | None, records: Records
) -> None:
    size = annotation.find("size")
    given: list[int | None] = [None, None]
    if size is not None:
        for i, side in enumerate(("width", "height")):
            value = number_in(size.text_of(side), file, f"line {size.line}", side)
            given[i] = int(value) or None
    measured = image_size(image) if image is not None else None
    if measured is not None:
        if None not in given and tuple(given) != measured:
            records.warn(
                f"{file.name}: size says {given[0]} x {given[1]}, the image has "
                f"{measured[0]} x {measured[1]}."
            )
        record.width, record.height = measured
    else:
        record.width, record.height = given
    if record.width is None or record.height is None:
        record.width = record.height = None
        records.warn(f"{file.name}: it has no size, and there is no image to measure.")


def _shape(node: Node, file: Path, records: Records) -> Shape:
    where = f"line {node.line}"
    label = node.text_of("name")
    if not label:
        raise refuse(file, where, "an object has no name.")
    attributes: Options = {
        flag: int(number_in(node.text_of(flag) or "0", file, where, flag))
        for flag in ("difficult", "truncated")
    }
    if occluded := node.text_of("occluded"):
        attributes["occluded"] = int(number_in(occluded, file, where, "occluded"))
    if pose := node.text_of("pose"):
        attributes["pose"] = pose
    parts = [
        {"label": part.text_of("name"), "box": _box(part, file)}
        for part in node.all("part")
    ]
    if parts:
        attributes["parts"] = parts
    turned = node.find("robndbox")
    if turned is not None and node.find("bndbox") is None:
        records.warn(
            f"{file.name}: {where}: a turned box (robndbox) and its enclosing box."
        )
        return _turned(turned, label, attributes, file)
    attributes["box_if_zero_based"] = _box(node, file)
    return Shape(label, attributes=attributes)


def _box(node: Node, file: Path) -> list[float]:
    box = node.find("bndbox")
    where = f"line {node.line}"
    if box is None:
        raise refuse(file, where, f"<{node.tag}> has no bndbox.")
    where = f"line {box.line}"
    x0, y0, x1, y1 = (number_in(box.text_of(s), file, where, s) for s in _SIDES)
    # xmax lies inside: a box of less than a pixel ends up to one before it begins.
    if x1 < x0 - 1 or y1 < y0 - 1:
        raise refuse(
            file, where, f"bndbox ends before it begins: {x0:g} {y0:g} {x1:g} {y1:g}."
        )
    return [x0, y0, x1, y1]


def _turned(node: Node, label: str, attributes: Options, file: Path) -> Shape:
    where = f"line {node.line}"
    cx, cy, w, h, angle = (
        number_in(node.text_of(tag), file, where, tag)
        for tag in ("cx", "cy", "w", "h", "angle")
    )
    degrees = math.degrees(angle)
    corners = turned_box(cx - w / 2, cy - h / 2, w, h, degrees, (cx, cy))
    shape = Shape(label, corners=corners, rotation=degrees, attributes=attributes)
    return shape.complete()


def write(records: Sequence[Record], path: Path, *, classes: list[str]) -> list[str]:
    """Write Annotations/ into a folder, counting from 1 as the devkit does."""
    lost: list[str] = []
    folder = path / "Annotations"
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[Path, str] = {}
    for record in records:
        if record.labelled is False:
            lost.append("which images nobody labelled")
            continue
        inside = Path(record.file)
        # The folder is the image's; files of one stem in two folders stand apart.
        file = folder / inside.with_suffix(".xml").name
        if file in written:
            file = folder / inside.with_suffix(".xml")
            file.parent.mkdir(parents=True, exist_ok=True)
        written[file] = record.file
        parent = inside.parent.as_posix()
        lines = [
            "<annotation>",
            f"  <folder>{escape('' if parent == '.' else parent)}</folder>",
            f"  <filename>{escape(inside.name)}</filename>",
        ]
        if record.width is not None:
            lines.append(
                f"  <size><width>{record.width}</width><height>{record.height}</height>"
                "<depth>3</depth></size>"
            )
        for shape in record.objects:
            lines += _lines(shape, lost)
        if record.image_labels:
            lost.append("labels of the whole image")
        text = "\n".join([*lines, "</annotation>", ""])
        file.write_text(text, encoding="utf-8")
    return lost


def _lines(shape: Shape, lost: list[str]) -> list[str]:
    x0, y0, x1, y1 = shape.box
    flags = "".join(
        f"<{flag}>{int(shape.attributes.get(flag, 0))}</{flag}>"
        for flag in ("truncated", "difficult")
    )
    box = "".join(
        f"<{side}>{value:.9g}</{side}>"
        for side, value in zip(_SIDES, (x0 + 1, y0 + 1, x1, y1), strict=True)
    )
    lost += shape.beside_its_box()
    return [
        "  <object>",
        f"    <name>{escape(str(shape.label))}</name>{flags}",
        f"    <bndbox>{box}</bndbox>",
        "  </object>",
    ]
