"""YOLO: one text file an image, and a data.yaml that names classes and folders.

Definition: https://docs.ultralytics.com/datasets/ (detect, segment, pose, obb) and, for
``classes.txt`` beside images and labels, Darknet. A line is a class and fractions of
the image: centre and size of a box; a ring; four corners of a turned box; a box and
keypoints. The last folder named ``images`` of an image's path becomes ``labels``. A
missing file means that nobody labelled the image yet, an empty one that nothing is
there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from al_sklearn._core.types import Options
from al_sklearn.formats._files import (
    decode,
    find_images,
    image_size,
    integer_in,
    is_inside,
    list_of,
    number_in,
    read_bytes,
    refuse,
    relative_name,
    shown,
)
from al_sklearn.formats._record import Record, Records, Shape

_SPLITS = {"train": "train", "val": "val", "valid": "val", "test": "test"}
# Names of files of names, in the order in which they are looked for.
_NAME_FILES = ("classes.txt", "obj.names", "_darknet.labels")
# Writers round: ultralytics takes a hundredth of the image beyond its edge as well.
_BEYOND = 0.01


class _Set:
    """What a data.yaml, or a folder without one, says of its labels."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path, self.root = path, root
        self.names: dict[int, str] | None = None
        self.points: tuple[int, int] | None = None
        self.point_names: Any = None
        self.records = Records(format="yolo")


def read(path: Path, *, task: str | None, images: Path | None) -> Records:
    """Read a data.yaml, or a folder that has one or a ``classes.txt``."""
    if path.is_dir():
        found = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
        if len(found) > 1:
            names = [p.name for p in found]
            raise refuse(path, "", f"several files may describe it: {names}.")
        if not found:
            return _read_folder(path, task)
        path = found[0]
    return _read_yaml(path, task, images)


def _read_yaml(path: Path, task: str | None, images: Path | None) -> Records:
    try:
        text = decode(read_bytes(path), path)
        # Refuses tags; its values are not used: a class may be called "no" or "1.10",
        # which YAML takes for a truth value and a number.
        yaml.safe_load(text)
        content = yaml.load(text, yaml.BaseLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f"line {mark.line + 1}"
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise refuse(path, where, f"no plain YAML: {problem}.") from None
    if not isinstance(content, dict):
        raise refuse(path, "", f"it must be a mapping, got {shown(content)}.")
    root = path.parent if images is None else images
    labels = _Set(path, root)
    labels.names = _names(content, path)
    labels.records.classes = list(dict.fromkeys(labels.names.values()))
    labels.records.category_ids = {name: i for i, name in labels.names.items()}
    if len(labels.records.classes) < len(labels.names):
        labels.records.warn(f"{path.name}: names: a name stands twice.")
    if (points := content.get("kpt_shape")) is not None:
        labels.points = _points(points, path)
        labels.point_names = content.get("kpt_names")
        if labels.point_names:
            labels.records.keypoint_names = _point_names(labels)
    base = _base(content, labels)
    known: set[Path] = set()
    n_splits = 0
    for key, split in _SPLITS.items():
        given = content.get(key)
        if given is None:
            continue
        n_splits += 1
        for place in given if isinstance(given, list) else [given]:
            for image in _images_of(place, base, key, labels):
                if image not in known:
                    known.add(image)
                    labels.records.append(_record(image, split, labels, task))
    if not n_splits:
        raise refuse(path, "", "it names no images: train, val or test is missing.")
    return labels.records


def _names(content: Options, path: Path) -> dict[int, str]:
    names, count = content.get("names"), content.get("nc")
    if names is None and count is not None:
        names = [str(i) for i in range(integer_in(count, path, "nc", "nc"))]
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict):
        raise refuse(path, "names", f"must be a list or a mapping, got {shown(names)}.")
    known = {}
    for key, name in names.items():
        number = integer_in(str(key), path, "names", "the number of a name")
        if number < 0 or not isinstance(name, str):
            raise refuse(path, "names", f"{shown(key)}: {shown(name)} is no class.")
        known[number] = name
    if count is not None and integer_in(count, path, "nc", "nc") != len(known):
        raise refuse(path, "", f"nc is {count}, and names has {len(known)} entries.")
    return known


def _points(value: Any, path: Path) -> tuple[int, int]:
    entries = list_of(value, path, "kpt_shape", "kpt_shape")
    numbers = [integer_in(v, path, "kpt_shape", "kpt_shape") for v in entries]
    if len(numbers) != 2 or numbers[0] < 1 or numbers[1] not in (2, 3):
        raise refuse(
            path, "kpt_shape", f"must be [points, 2 or 3], got {shown(value)}."
        )
    return numbers[0], numbers[1]


def _point_names(labels: _Set) -> dict[str, list[str]]:
    assert labels.names is not None
    given = labels.point_names
    named = given if isinstance(given, dict) else dict.fromkeys(labels.names, given)
    return {
        labels.names[int(i)]: list(points)
        for i, points in named.items()
        if str(i).isdigit() and int(i) in labels.names and isinstance(points, list)
    }


def _base(content: Options, labels: _Set) -> Path:
    """The folder that splits are relative to: ``path``, else that of data.yaml."""
    given = content.get("path")
    if not given:
        return labels.root
    base = labels.root / str(given)
    if is_inside(base, labels.root) and base.is_dir():
        return base
    if str(given) not in (".", "./"):
        # The trainer's own files have the path of their writer's machine.
        labels.records.warn(
            f"{labels.path.name}: path {given!r} is no folder here; splits are looked "
            "for beside the file."
        )
    return labels.root


def _images_of(place: Any, base: Path, key: str, labels: _Set) -> list[Path]:
    if not isinstance(place, str):
        raise refuse(labels.path, key, f"must be a path, got {shown(place)}.")
    target = base / place
    if not is_inside(target, labels.root) or not target.exists():
        # Hosting services write ../train though it lies beside data.yaml.
        plain = place.replace("\\", "/")
        while plain.startswith("../"):
            plain = plain[3:]
        beside = base / plain
        if not is_inside(beside, labels.root) or not beside.exists():
            why = (
                "leaves the folder that is read"
                if not is_inside(target, labels.root)
                else "does not exist"
            )
            raise refuse(labels.path, key, f"{place!r} {why}.")
        target = beside
    if target.is_dir():
        return find_images(target, labels.root)
    if target.suffix.lower() != ".txt":
        raise refuse(
            labels.path, key, f"{place!r} is neither a folder nor a .txt list."
        )
    found = []
    lines = decode(read_bytes(target), target).splitlines()
    for number, line in enumerate(lines, start=1):
        name = line.strip().replace("\\", "/")
        if not name:
            continue
        # The trainer takes ./ as beside the list, other paths as beside data.yaml.
        folder = target.parent if name.startswith("./") else base
        image = folder / name
        if not is_inside(image, labels.root):
            raise refuse(
                target, f"line {number}", f"{name!r} leaves the folder that is read."
            )
        found.append(image)
    return found


def _label_file(image: Path, root: Path) -> Path:
    """The last folder named images becomes labels."""
    parts = list(image.relative_to(root).parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == "images":
            parts[i] = "labels"
            break
    return root.joinpath(*parts).with_suffix(".txt")


def _read_folder(folder: Path, task: str | None) -> Records:
    """Read images and labels without a data.yaml: Darknet's, and make-sense's."""
    labels = _Set(folder, folder)
    places = [folder, folder / "labels"]
    files = [place / name for place in places for name in _NAME_FILES]
    names = next((file for file in files if file.is_file()), None)
    found = find_images(folder, folder)
    if names is not None:
        lines = decode(read_bytes(names), names).splitlines()
        while lines and not lines[-1].strip():
            lines.pop()
        labels.path = names
        labels.names = {i: line.strip() for i, line in enumerate(lines)}
        labels.records.classes = list(dict.fromkeys(labels.names.values()))
        labels.records.category_ids = {n: i for i, n in labels.names.items()}
    elif any(_label_file(image, folder).is_file() for image in found):
        labels.records.warn(
            f"{folder.name}: nothing names the classes (data.yaml or classes.txt); "
            "their numbers are taken."
        )
    else:
        raise refuse(
            folder, "", "there are no labels, and neither data.yaml nor names."
        )
    for image in found:
        labels.records.append(_record(image, None, labels, task))
    return labels.records


def _record(image: Path, split: str | None, labels: _Set, task: str | None) -> Record:
    record = Record(relative_name(image, labels.root), split=split)
    size = image_size(image)
    if size is not None:
        record.width, record.height = size
    file = _label_file(image, labels.root)
    record.labelled = file.is_file()
    if not record.labelled:
        return record
    if size is None:
        raise refuse(
            image, "", "its size cannot be read, and the labels are fractions of it."
        )
    kinds: dict[str, int] = {}
    seen: set[str] = set()
    text = decode(read_bytes(file), file)
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        fields = line.split()
        if not fields:
            continue
        where = f"line {number}"
        if " ".join(fields) in seen:
            labels.records.warn(
                f"{record.file}: {where}: it stands twice; one is kept."
            )
            continue
        seen.add(" ".join(fields))
        shape, kind = _shape(fields, file, where, size, labels, task)
        kinds.setdefault(kind, number)
        record.objects.append(shape)
    if len(kinds) > 1:
        if task == "segment":
            raise refuse(
                file,
                f"line {kinds['box'] if 'box' in kinds else max(kinds.values())}",
                "a box stands among outlines, and has none.",
            )
        labels.records.warn(
            f"{file.name}: boxes and outlines are mixed; each line's box is taken."
        )
    elif task == "segment" and "box" in kinds:
        raise refuse(
            file, f"line {kinds['box']}", "a box, where outlines are expected."
        )
    return record


def _shape(
    fields: list[str],
    file: Path,
    where: str,
    size: tuple[int, int],
    labels: _Set,
    task: str | None,
) -> tuple[Shape, str]:
    label = _class_of(fields[0], file, where, labels)
    values = [number_in(v, file, where, "a coordinate") for v in fields[1:]]
    n = len(values)
    width, height = size
    predicted = task is not None and task.endswith("-predictions")
    if labels.points is not None and task not in ("detect", "segment", "obb"):
        return _pose(label, values, file, where, size, labels), "pose"
    if n in (4, 5):
        score = values.pop() if n == 5 else None
        if score is not None and not predicted:
            labels.records.warn(
                f"{file.name}: a sixth column is taken for a model's confidence."
            )
        shape = Shape(label, _box(values, file, where, size))
        shape.score = score
        return shape, "box"
    if n < 6:
        raise refuse(
            file, where, f"a box has 5 values and an outline 7 or more, got {n + 1}."
        )
    score = None
    if n % 2:
        if not predicted:
            raise refuse(
                file, where, f"an outline has pairs of numbers, got {n} of them."
            )
        score = values.pop()
    _check_fractions(values, file, where)
    ring = [
        [x * width, y * height] for x, y in zip(values[::2], values[1::2], strict=True)
    ]
    is_turned = task in ("obb", "obb-predictions") and len(ring) == 4
    shape = Shape(label, score=score)
    if is_turned:
        shape.corners = ring
    else:
        shape.polygons = [ring]
    return shape.complete(), "outline"


def _class_of(text: str, file: Path, where: str, labels: _Set) -> str:
    number = integer_in(text, file, where, "the class")
    if "." in text or "e" in text.lower():
        labels.records.warn(f"{file.name}: classes are written as {text!r}.")
    if number < 0:
        raise refuse(file, where, f"the class {text} is below 0.")
    if labels.names is None:
        return str(number)
    if number not in labels.names:
        raise refuse(
            file,
            where,
            f"the class {text} is not among those of {labels.path.name}: "
            f"{sorted(labels.names)[:20]}.",
        )
    return labels.names[number]


def _check_fractions(values: Sequence[float], file: Path, where: str) -> None:
    for value in values:
        if not -_BEYOND <= value <= 1 + _BEYOND:
            raise refuse(
                file, where, f"coordinates are fractions of the image, got {value:g}."
            )


def _box(
    values: Sequence[float], file: Path, where: str, size: tuple[int, int]
) -> list[float]:
    _check_fractions(values, file, where)
    x, y, w, h = values
    if w < 0 or h < 0:
        raise refuse(file, where, f"a box of the size {w:g} x {h:g}.")
    width, height = size
    left, top = (x - w / 2) * width, (y - h / 2) * height
    return [left, top, left + w * width, top + h * height]


def _pose(
    label: str,
    values: list[float],
    file: Path,
    where: str,
    size: tuple[int, int],
    labels: _Set,
) -> Shape:
    assert labels.points is not None
    n_points, n_values = labels.points
    expected = 4 + n_points * n_values
    score = values.pop() if len(values) == expected + 1 else None
    if len(values) != expected:
        raise refuse(
            file,
            where,
            f"{expected + 1} values are expected (kpt_shape [{n_points}, {n_values}]), "
            f"got {len(values) + 1}.",
        )
    width, height = size
    shape = Shape(label, _box(values[:4], file, where, size), score=score)
    points: list[list[float]] = []
    for i in range(4, expected, n_values):
        x, y = values[i], values[i + 1]
        v = values[i + 2] if n_values == 3 else 2
        if v not in (0, 1, 2):
            raise refuse(file, where, f"visibility must be 0, 1 or 2, got {v:g}.")
        if v:
            _check_fractions((x, y), file, where)
        points.append([x * width, y * height, int(v)] if v else [0, 0, 0])
    shape.keypoints = points
    return shape


def write(
    records: Sequence[Record],
    path: Path,
    *,
    classes: list[str],
    task: str | None = None,
) -> list[str]:
    """Write labels/ and data.yaml into a folder; images stay where they are."""
    numbers = dict(getattr(records, "category_ids", {}))
    for name in classes:
        if name not in numbers:
            numbers[name] = max([-1, *numbers.values()]) + 1
    path.mkdir(parents=True, exist_ok=True)
    lost: list[str] = []
    by_split: dict[str, list[str]] = {}
    n_points = max(
        (len(o.keypoints) for r in records for o in r.objects if o.keypoints), default=0
    )
    for record in records:
        place = (
            record.file if "images/" in f"/{record.file}" else f"images/{record.file}"
        )
        by_split.setdefault(record.split or "train", []).append(place)
        if record.labelled is False:
            continue
        if record.width is None or record.height is None:
            raise refuse(
                path, record.file, "its size is not known, and YOLO has fractions."
            )
        file = _label_file(path / place, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        size = (record.width, record.height)
        lines = [_line(o, numbers, size, task, n_points, lost) for o in record.objects]
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        if record.image_labels:
            lost.append("labels of the whole image")
    described: Options = {"path": "."}
    for split in ("train", "val", "test"):
        if split in by_split:
            listing = path / f"{split}.txt"
            text = "".join(f"./{name}\n" for name in by_split[split])
            listing.write_text(text, encoding="utf-8")
            described[split] = listing.name
    # The trainer asks for both.
    described.setdefault("train", described.get("val", "train.txt"))
    described.setdefault("val", described["train"])
    if n_points:
        described["kpt_shape"] = [n_points, 3]
        known = getattr(records, "keypoint_names", None)
        if isinstance(known, dict) and all(known.get(name) for name in classes):
            described["kpt_names"] = {numbers[n]: list(known[n]) for n in classes}
    named = sorted((number, name) for name, number in numbers.items())
    described["names"] = dict(named)
    text = yaml.safe_dump(described, sort_keys=False, allow_unicode=True)
    (path / "data.yaml").write_text(text, encoding="utf-8")
    return lost


def _line(
    shape: Shape,
    numbers: dict[str, int],
    size: tuple[int, int],
    task: str | None,
    n_points: int,
    lost: list[str],
) -> str:
    width, height = size
    fields = [str(numbers[str(shape.label)])]

    def fractions(points: Any) -> list[str]:
        return [_digits(v) for x, y in points for v in (x / width, y / height)]

    if task in ("obb", "obb-predictions") and shape.corners:
        return " ".join(fields + fractions(shape.corners))
    if shape.polygons and task in (None, "segment") and not n_points:
        if len(shape.polygons) > 1:
            lost.append("rings after the first")
        return " ".join(fields + fractions(shape.polygons[0]))
    x0, y0, x1, y1 = shape.box
    box = [(x0 + x1) / 2 / width, (y0 + y1) / 2 / height]
    box += [(x1 - x0) / width, (y1 - y0) / height]
    fields += [_digits(v) for v in box]
    if n_points:
        points = list(shape.keypoints or [])
        points += [(0, 0, 0)] * (n_points - len(points))
        for x, y, v in points:
            fields += [_digits(x / width), _digits(y / height), str(int(v))]
    if shape.score is not None:
        fields.append(_digits(shape.score))
    lost += shape.beside_its_box("keypoints", "scores")
    return " ".join(fields)


def _digits(value: float) -> str:
    """As many digits as keep a thousandth of a pixel of any image."""
    return f"{value:.9g}"
