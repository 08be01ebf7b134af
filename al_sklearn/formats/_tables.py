"""CSV and Parquet: one object a row.

There is no definition; what is read is what others write. With a header, columns are
known by the names that RetinaNet, TensorFlow's tutorials, Open Images, DeepForest and
FiftyOne give them; without one they are path, x1, y1, x2, y2, class (keras-retinanet).
Coordinates are edges in pixels from 0; a row with a path alone is an image that has
nothing; Open Images has fractions.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from al_sklearn._core.cells import as_written, harmless
from al_sklearn._core.optional import require
from al_sklearn._core.types import Options
from al_sklearn.formats._files import image_size, number_in, refuse, tidy_name
from al_sklearn.formats._record import Record, Records, Shape
from al_sklearn.formats._sheets import Row, header_of, read_sheet

_COLUMNS: dict[str, tuple[str, ...]] = {
    "file": (
        "filename",
        "file_name",
        "file",
        "path",
        "filepath",
        "image_path",
        "imageid",
        "image_id",
        "image",
        "name",
    ),
    "label": ("label", "class", "classname", "class_name", "labelname", "category"),
    "x0": ("xmin", "x1", "x_min", "left", "x0"),
    "y0": ("ymin", "y1", "y_min", "top", "y0"),
    "x1": ("xmax", "x2", "x_max", "right"),
    "y1": ("ymax", "y2", "y_max", "bottom"),
    "width": ("width", "image_width", "imagewidth"),
    "height": ("height", "image_height", "imageheight"),
    "score": ("score", "confidence"),
    "rank": ("rank",),
    "annotator": ("annotator", "who"),
    "crowd": ("isgroupof", "iscrowd"),
}
_BOX = ("x0", "y0", "x1", "y1")
# Without a header: keras-retinanet's.
_PLAIN = dict(zip(("file", *_BOX, "label"), range(6), strict=True))


def read(path: Path, *, task: str | None, images: Path | None) -> Records:
    """Read a CSV or Parquet file."""
    if path.suffix.lower() == ".parquet":
        rows = _parquet_rows(path)
    else:
        rows = read_sheet(path)
    records = Records(format="csv")
    if not rows:
        raise refuse(path, "", "it is empty.")
    found = header_of(path, rows, _COLUMNS, {"file"})
    places = _PLAIN if found is None else found[1]
    body = rows if found is None else rows[found[0] + 1 :]
    names = [c.strip() for c in rows[found[0]].cells] if found is not None else []
    reader = _Reader(path, places, names, records, images)
    if found is None and len(rows[0].cells) < 6:
        raise refuse(
            path,
            f"line {rows[0].line}",
            f"no column names a file, and without a header path, x1, y1, x2, y2, class "
            f"are expected; got {rows[0].cells[:8]}.",
        )
    for row in body:
        reader.read_row(row)
    records.classes = list(
        dict.fromkeys(str(o.label) for r in records for o in r.objects)
    )
    return records


class _Reader:
    def __init__(
        self,
        path: Path,
        places: dict[str, int],
        names: list[str],
        records: Records,
        images: Path | None,
    ) -> None:
        self.path, self.places, self.records = path, places, records
        self.names, self.images = names, images
        # Open Images names its columns XMin, XMax, YMin, YMax, and has fractions.
        self.fractions = "XMin" in names and "ImageID" in names
        self.by_name: dict[str, Record] = {}

    def cell(self, row: Row, column: str) -> str:
        place = self.places.get(column)
        if place is None or place >= len(row.cells):
            return ""
        return row.cells[place]

    def value(self, row: Row, column: str) -> float:
        text = self.cell(row, column)
        if text.count(",") == 1 and "." not in text:
            # A comma for a point, as spreadsheets in half of Europe write it.
            text = text.replace(",", ".")
        return number_in(text, self.path, f"line {row.line}", column)

    def record_of(self, row: Row) -> Record:
        where = f"line {row.line}"
        given = as_written(self.cell(row, "file"))
        if not given.strip():
            raise refuse(self.path, where, f"it names no image: {row.cells[:8]}.")
        name = tidy_name(given, self.path, where, "the image")
        record = self.by_name.get(name)
        if record is None:
            record = Record(name)
            if self.cell(row, "width").strip() and self.cell(row, "height").strip():
                record.width = round(self.value(row, "width"))
                record.height = round(self.value(row, "height"))
            elif self.images is not None:
                size = image_size(self.images / name)
                record.width, record.height = size or (None, None)
            self.by_name[name] = record
            self.records.append(record)
        return record

    def read_row(self, row: Row) -> None:
        where = f"line {row.line}"
        extra = [c for c in row.cells[len(self.names) :] if c.strip()]
        if self.names and extra:
            raise refuse(
                self.path,
                where,
                f"{len(row.cells)} cells for {len(self.names)} columns.",
            )
        record = self.record_of(row)
        if self.cell(row, "rank").strip():
            record.rank = int(self.value(row, "rank"))
        if self.cell(row, "annotator").strip():
            record.annotator = self.cell(row, "annotator").strip()
        label = as_written(self.cell(row, "label")).strip()
        given = [self.cell(row, column).strip() for column in _BOX]
        if not any(given):
            record.labelled = True
            if label:
                record.image_labels.append(label)
            elif "x0" not in self.places and self.cell(row, "score").strip():
                record.labelled = None
                record.score = self.value(row, "score")
            elif "x0" not in self.places:
                # A column of labels that is empty here: nobody has answered yet.
                record.labelled = False
            return
        if not label:
            raise refuse(self.path, where, "a box without a label.")
        box = [self.value(row, column) for column in _BOX]
        if box[2] < box[0] or box[3] < box[1]:
            raise refuse(self.path, where, f"the box {box} ends before it begins.")
        shape = Shape(label, box)
        if self.fractions:
            self.scale(shape, record, where)
        if (text := self.cell(row, "crowd").strip()) not in ("", "0"):
            shape.attributes["iscrowd"] = int(
                number_in(text, self.path, where, "crowd")
            )
        if self.cell(row, "score").strip() and not self.fractions:
            shape.score = self.value(row, "score")
        record.labelled = True
        record.objects.append(shape)

    def scale(self, shape: Shape, record: Record, where: str) -> None:
        """Keep fractions beside the box, which needs the image's size."""
        for value in shape.box:
            if not 0 <= value <= 1:
                raise refuse(
                    self.path, where, f"coordinates are fractions here, got {value:g}."
                )
        shape.attributes["fractions"] = shape.box
        if record.width is None or record.height is None:
            shape.box = None
            return
        w, h = record.width, record.height
        x0, y0, x1, y1 = shape.box
        shape.box = [x0 * w, y0 * h, x1 * w, y1 * h]


def _parquet_rows(path: Path) -> list[Row]:
    pq = require("pyarrow.parquet", "reading Parquet")
    try:
        table = pq.read_table(path)
    except (OSError, ValueError) as error:
        raise refuse(path, "", f"no Parquet: {error}.") from None
    columns = [column.to_pylist() for column in table.columns]
    rows = [Row(0, list(table.column_names))]
    for i, values in enumerate(zip(*columns, strict=True), start=1):
        rows.append(Row(i, ["" if v is None else str(v) for v in values]))
    return rows


def write(records: Sequence[Record], path: Path, *, classes: list[str]) -> list[str]:
    """Write one object a row, to CSV or Parquet by the name's ending."""
    lost: list[str] = []
    rows = [line for record in records for line in _lines(record, lost)]
    columns = list(_WRITTEN)
    with_boxes = any(row["xmin"] != "" for row in rows)
    if not with_boxes:
        columns = [c for c in columns if c not in ("xmin", "ymin", "xmax", "ymax")]
    columns = [
        c
        for c in columns
        if c in ("file", "label", "xmin", "ymin", "xmax", "ymax")
        or any(row[c] != "" for row in rows)
    ]
    if path.suffix.lower() == ".parquet":
        pa = require("pyarrow", "writing Parquet")
        pq = require("pyarrow.parquet", "writing Parquet")
        data = {c: [None if r[c] == "" else r[c] for r in rows] for c in columns}
        pq.write_table(pa.table(data), path)
        return lost
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns)
        for row in rows:
            table.writerow([harmless(str(row[c])) for c in columns])
    return lost


_WRITTEN = (
    "file",
    *("xmin", "ymin", "xmax", "ymax"),
    "label",
    "score",
    "width",
    "height",
    "rank",
    "annotator",
)


def _lines(record: Record, lost: list[str]) -> list[Options]:
    empty: Options = dict.fromkeys(_WRITTEN, "")
    about = {
        "file": record.file,
        "width": "" if record.width is None else record.width,
        "height": "" if record.height is None else record.height,
        "rank": "" if record.rank is None else record.rank,
        "annotator": record.annotator or "",
    }
    rows = []
    for shape in record.objects:
        lost += shape.beside_its_box("scores")
        x0, y0, x1, y1 = (float(v) for v in shape.box)
        box: dict[str, Any] = {"xmin": x0, "ymin": y0, "xmax": x1, "ymax": y1}
        score = "" if shape.score is None else float(shape.score)
        rows.append({**empty, **about, **box, "label": shape.label, "score": score})
    labels = record.image_labels
    for label in labels if isinstance(labels, list) else ():
        rows.append({**empty, **about, "label": str(label)})
    if not rows:
        score = "" if record.score is None else float(record.score)
        rows.append({**empty, **about, "score": score})
    return rows
