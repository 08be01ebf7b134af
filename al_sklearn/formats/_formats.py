"""The list of formats, and which one a path is."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from al_sklearn._core.archives import unpack
from al_sklearn._core.checks import unknown_name
from al_sklearn.exceptions import LabelFileError
from al_sklearn.formats import (
    _coco,
    _cvat,
    _labelbox,
    _labelme,
    _labelstudio,
    _prodigy,
    _superannotate,
    _tables,
    _voc,
    _yolo,
)
from al_sklearn.formats._files import (
    decode,
    parse_json,
    read_json,
    read_xml,
    refuse,
)
from al_sklearn.formats._record import Record, Records


class _Format(NamedTuple):
    tasks: tuple[str, ...]
    read: Callable[..., Records] | None
    write: Callable[..., list[str]] | None


_SHAPES = ("detect", "segment")
_FORMATS: dict[str, _Format] = {
    "coco": _Format(("detect", "segment", "pose"), _coco.read, _coco.write),
    "coco-panoptic": _Format(("panoptic",), _coco.read_panoptic, _coco.write_panoptic),
    "coco-results": _Format(
        ("detect", "segment", "pose"), _coco.read_results, _coco.write_results
    ),
    "csv": _Format(
        ("classify", "detect", "detect-fractions"), _tables.read, _tables.write
    ),
    "cvat": _Format(
        ("classify", *_SHAPES, "pose", "obb", "detect-video"), _cvat.read, _cvat.write
    ),
    "labelbox": _Format(("classify", *_SHAPES), _labelbox.read, _labelbox.write),
    "labelme": _Format(("classify", *_SHAPES, "obb"), _labelme.read, _labelme.write),
    "labelstudio": _Format(
        ("classify", *_SHAPES, "pose", "obb"), _labelstudio.read, _labelstudio.write
    ),
    "parquet": _Format(("classify", "detect"), _tables.read, _tables.write),
    "prodigy": _Format(("classify", *_SHAPES), _prodigy.read, _prodigy.write),
    "superannotate": _Format(
        ("classify", *_SHAPES, "obb"), _superannotate.read, _superannotate.write
    ),
    "superannotate-csv": _Format(("classify",), None, _superannotate.write_ranking),
    "voc": _Format(("detect",), _voc.read, _voc.write),
    "yolo": _Format(
        (*_SHAPES, "pose", "obb", "detect-predictions"), _yolo.read, _yolo.write
    ),
}
# The house's words for what the tools' files call otherwise.
_ALIASES = {
    "classification": "classify",
    "detection": "detect",
    "keypoints": "pose",
    "segmentation": "segment",
    "fiftyone": "coco",
    "label-studio": "labelstudio",
    "pascal-voc": "voc",
    "cvat-images": "cvat",
}
_TASKS = sorted({task for entry in _FORMATS.values() for task in entry.tasks})


def names() -> dict[str, tuple[str, ...]]:
    """Return the formats, each with the tasks that it holds.

    Examples
    --------
    >>> from al_sklearn import formats
    >>> formats.names()["coco"]
    ('detect', 'segment', 'pose')
    """
    return {name: entry.tasks for name, entry in _FORMATS.items()}


def _format_named(name: str) -> str:
    name = _ALIASES.get(name, name)
    if name not in _FORMATS:
        raise unknown_name("format", name, sorted(_FORMATS))
    return name


def _task_named(name: str | None) -> str | None:
    if name is None:
        return None
    name = _ALIASES.get(name, name)
    if name not in (*_TASKS, "archive", "segment-predictions", "obb-predictions"):
        raise unknown_name("task", name, _TASKS)
    return name


def read(
    path: str | os.PathLike[str],
    format: str | None = None,
    task: str | None = None,
    images: str | os.PathLike[str] | None = None,
) -> Records:
    """Read a label file or folder of any tool.

    Nothing is run, no path leaves the folder that is read, no entity is expanded and no
    other host is asked. What is refused is refused whole.

    Parameters
    ----------
    path : path
        A file, a folder, or a zip of one.
    format : str, optional
        One of :func:`names`; found out by looking at the path by default.
    task : str, optional
        ``"detect"``, ``"segment"``, ``"pose"``, ``"classify"``, ``"panoptic"``,
        ``"obb"`` ...: decides what the numbers of YOLO's lines mean, and which shapes
        are left out with a warning. All that is there by default.
    images : path, optional
        The folder of the images, where it is another; for COCO's results the file of
        instances that says what the numbers mean.

    Returns
    -------
    Records
        A list of :class:`Record`, with ``warnings``, ``classes``, ``keypoint_names``.

    Raises
    ------
    LabelFileError
        A :class:`ValueError` that names the file, the line or element, and what was
        expected.
    FileNotFoundError
        When there is nothing at the path.

    Warns
    -----
    UserWarning
        Once, of all that was left out or understood in spite of the file.

    Examples
    --------
    >>> import json, tempfile
    >>> from pathlib import Path
    >>> from al_sklearn import formats
    >>> file = Path(tempfile.mkdtemp()) / "instances.json"
    >>> _ = file.write_text(json.dumps({
    ...     "images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 80}],
    ...     "categories": [{"id": 7, "name": "cat"}],
    ...     "annotations": [
    ...         {"id": 1, "image_id": 1, "category_id": 7, "bbox": [10, 20, 30, 40]}
    ...     ],
    ... }))
    >>> record = formats.read(file)[0]
    >>> record.file, record.labels, record.boxes.tolist()
    ('a.png', ['cat'], [[10.0, 20.0, 40.0, 60.0]])
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is nothing at {path}.")
    task = _task_named(task)
    folder = None if images is None else Path(images)
    if path.suffix.lower() == ".zip" and path.is_file():
        return _read_zip(path, format, task)
    name = guess_format(path) if format is None else _format_named(format)
    entry = _FORMATS[name]
    if entry.read is None:
        raise refuse(path, "", f"{name} is written, not read.")
    try:
        records = entry.read(path, task=task, images=folder)
    except RecursionError:
        raise refuse(path, "", "it is nested too deeply.") from None
    records.format = name
    if records.warnings:
        shown = records.warnings[:10]
        more = len(records.warnings) - len(shown)
        text = "\n".join([*shown, f"and {more} more" if more else ""]).strip()
        warnings.warn(text, UserWarning, stacklevel=2)
    return records


def _read_zip(path: Path, format: str | None, task: str | None) -> Records:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "set"
        try:
            unpack(path, folder)
        except ValueError as error:
            raise refuse(path, "", f"it cannot be unpacked: {error}.") from None
        inside = list(folder.iterdir()) if folder.is_dir() else []
        # A folder in a zip is often packed with its own name around it.
        while len(inside) == 1 and inside[0].is_dir():
            folder = inside[0]
            inside = list(folder.iterdir())
        if len(inside) == 1:
            folder = inside[0]
        return read(folder, format, task)


def guess_format(path: Path) -> str:
    """Return the name of the format that a path looks like.

    Raises
    ------
    LabelFileError
        Where it looks like none.
    """
    if path.is_dir():
        return _guess_folder(path)
    ending = path.suffix.lower()
    if ending in (".yaml", ".yml"):
        return "yolo"
    if ending == ".xml":
        return "voc" if read_xml(path).tag == "annotation" else "cvat"
    if ending == ".parquet":
        return "parquet"
    if ending in (".csv", ".tsv", ".txt"):
        with path.open("rb") as file:
            head = file.read(400)
        is_tool = b"annotation_id" in head and b"lead_time" in head
        return "labelstudio" if is_tool else "csv"
    if ending in (".ndjson", ".jsonl"):
        return _guess_lines(path)
    if ending == ".json":
        return _guess_json(path)
    raise refuse(
        path, "", f"its format is not known; say format=, of {sorted(_FORMATS)}."
    )


def _guess_lines(path: Path) -> str:
    with path.open("rb") as file:
        first = next((line for line in file if line.strip()), b"")
    try:
        row = parse_json(decode(first, path), path, 1)
    except LabelFileError:
        # Whoever reads it says which line is wrong.
        return "labelbox" if path.suffix.lower() == ".ndjson" else "prodigy"
    return "labelbox" if isinstance(row, dict) and "data_row" in row else "prodigy"


def _guess_json(path: Path) -> str:
    try:
        content: Any = read_json(path)
    except LabelFileError:
        if _guess_lines(path) == "labelbox":
            return "labelbox"
        raise
    first = content[0] if isinstance(content, list) and content else content
    if isinstance(first, dict):
        for key, name in (
            ("data_row", "labelbox"),
            ("data", "labelstudio"),
            ("annotation_id", "labelstudio"),
            ("shapes", "labelme"),
            ("instances", "superannotate"),
            ("categories", "coco"),
        ):
            if key in first:
                return _panoptic_or(first, name)
    if isinstance(content, list):
        return "coco-results"
    raise refuse(
        path, "", f"its format is not known; say format=, of {sorted(_FORMATS)}."
    )


def _panoptic_or(content: dict[str, Any], name: str) -> str:
    if name == "coco" and _coco.is_panoptic(content):
        return "coco-panoptic"
    return name


def _guess_folder(path: Path) -> str:
    if (path / "annotations.xml").is_file():
        return "cvat"
    if (path / "Annotations").is_dir() or any(path.glob("*.xml")):
        return "voc"
    if (path / "classes" / "classes.json").is_file() or (
        path / "classes.json"
    ).is_file():
        return "superannotate"
    if (
        any(path.glob("*.y*ml"))
        or any(path.glob("*.txt"))
        or (path / "labels").is_dir()
    ):
        return "yolo"
    files = sorted(path.glob("*.json"))
    if files:
        return _guess_json(files[0])
    if any(path.rglob("*.json")):
        return "labelme"
    raise refuse(
        path, "", f"its format is not known; say format=, of {sorted(_FORMATS)}."
    )


def write(
    records: Sequence[Record],
    path: str | os.PathLike[str],
    format: str,
    task: str | None = None,
    classes: Iterable[str] | None = None,
) -> list[str]:
    """Write records in a tool's own format.

    Parameters
    ----------
    records : sequence of Record
        In the order in which they are to be asked for, where it is a request.
    path : path
        A file, or the folder of formats that are one. Nothing that is there already is
        overwritten.
    format : str
        One of :func:`names`.
    task : str, optional
        For YOLO: whether outlines or turned boxes are written.
    classes : iterable of str, optional
        In the order that they are numbered in; those of the records by default.

    Returns
    -------
    list of str
        What the records have and the format cannot hold, each once.

    Raises
    ------
    FileExistsError
        When there is something at the path.
    LabelFileError
        Where the format needs what a record has not, as the size of its image.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from al_sklearn import formats
    >>> record = formats.Record("a.png", 100, 80)
    >>> record.objects.append(formats.Shape("cat", (10, 20, 40, 60), score=0.5))
    >>> formats.write([record], Path(tempfile.mkdtemp()) / "voc", "voc")
    ['scores']
    """
    path = Path(path)
    name = _format_named(format)
    entry = _FORMATS[name]
    assert entry.write is not None
    task = _task_named(task)
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise FileExistsError(f"There is something at {path}; it is not overwritten.")
    listed = list(getattr(records, "classes", []) if classes is None else classes)
    found = {str(o.label) for r in records for o in r.objects if o.label is not None}
    found |= {
        str(label)
        for r in records
        if isinstance(r.image_labels, list)
        for label in r.image_labels
        if isinstance(label, str)
    }
    listed += sorted(found - set(listed))
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"task": task} if name == "yolo" else {}
    is_new = not path.exists()
    try:
        lost = entry.write(records, path, classes=listed, **options)
    except BaseException:
        # Nothing half-written stays.
        if is_new and path.is_dir():
            shutil.rmtree(path)
        elif is_new:
            path.unlink(missing_ok=True)
        raise
    return list(dict.fromkeys(lost))
