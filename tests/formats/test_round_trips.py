"""What was written is read back, in every format and task, but what it cannot say."""

import csv
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from al_sklearn import formats
from al_sklearn.exceptions import LabelFileError
from al_sklearn.formats import Mask, Record, Records, Shape

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
needs_data = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the real images are not beside this checkout"
)
# A quarter of a pixel is what is promised; numbers are written to nine digits.
CLOSE = 1e-3
FOLDERS = {"voc", "yolo", "labelme", "superannotate", "cvat"}
ENDINGS = {
    "labelbox": "set.ndjson",
    "prodigy": "set.jsonl",
    "csv": "set.csv",
    "parquet": "set.parquet",
}


def place_for(tmp_path, name):
    return tmp_path / ("set" if name in FOLDERS else ENDINGS.get(name, "set.json"))


def draw_images(folder, records):
    """YOLO and VOC find images on disk: small ones of the right size."""
    for record in records:
        file = folder / record.file
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("1", (record.width, record.height)).save(file)


def back(tmp_path, records, name, task=None):
    path = place_for(tmp_path, name)
    lost = formats.write(records, path, name, task=task)
    if name == "yolo":
        draw_images(path / "images", records)
    images = None
    with warnings.catch_warnings():
        # Turned boxes and mixed lines are said.
        warnings.simplefilter("ignore", UserWarning)
        read = formats.read(path, name, task, images)
    by_name = {record.file.removeprefix("images/"): record for record in read}
    return lost, by_name


def check(records, by_name, what="box"):
    for record in records:
        read = by_name[record.file]
        assert read.labels == record.labels, record.file
        if what == "box":
            np.testing.assert_allclose(read.boxes, record.boxes, atol=CLOSE)
        elif what == "polygons":
            for a, b in zip(read.objects, record.objects, strict=True):
                assert len(a.polygons) == len(b.polygons)
                for ring, other in zip(a.polygons, b.polygons, strict=True):
                    np.testing.assert_allclose(ring, other, atol=CLOSE)
        elif what == "masks":
            for a, b in zip(read.objects, record.objects, strict=True):
                assert a.mask == b.mask
        elif what == "keypoints":
            for a, b in zip(read.keypoints, record.keypoints, strict=True):
                np.testing.assert_allclose(a, b, atol=CLOSE)


BOXES = (
    *("coco", "csv", "cvat", "labelbox", "labelme", "labelstudio", "parquet"),
    *("prodigy", "superannotate", "voc", "yolo"),
)


@needs_data
@pytest.mark.parametrize("name", BOXES)
def test_real_boxes(tmp_path, name):
    records = formats.read(SHARED / "bccd", "voc")
    assert len(records) > 5 and sum(len(r.objects) for r in records) > 50
    _, by_name = back(tmp_path, records, name)
    check(records, by_name)


def mice():
    """Keypoints of real mice, as DeepLabCut's table has them."""
    with (SHARED / "mirror-mouse" / "CollectedData.csv").open(encoding="utf-8") as f:
        rows = list(csv.reader(f))
    names = list(dict.fromkeys(rows[1][1:]))
    records = Records(classes=["mouse"])
    records.keypoint_names = {"mouse": names}
    for row in rows[3:]:
        points = []
        for x, y in zip(row[1::2], row[2::2], strict=True):
            points.append([float(x), float(y), 2] if x and y else [0, 0, 0])
        record = Record(row[0].replace("\\", "/"))
        file = SHARED / "mirror-mouse" / record.file
        if not file.is_file():
            continue
        with Image.open(file) as image:
            record.width, record.height = image.size
        record.objects = [Shape("mouse", keypoints=points).complete()]
        records.append(record)
    return records


@needs_data
@pytest.mark.parametrize("name", ["coco", "cvat", "labelstudio", "yolo"])
def test_real_keypoints(tmp_path, name):
    records = mice()
    assert len(records) > 5 and len(records[0].objects[0].keypoints) > 5
    _, by_name = back(tmp_path, records, name, task="pose")
    check(records, by_name, "keypoints")


def blobs():
    """Discs, rings with a hole and single pixels: masks that outlines cannot say."""
    ys, xs = np.mgrid[:40, :60]
    disc = (xs - 20) ** 2 + (ys - 15) ** 2 < 90
    ring = disc & ((xs - 20) ** 2 + (ys - 15) ** 2 > 30)
    dots = np.zeros((40, 60), bool)
    dots[39, 59] = dots[0, 0] = True
    record = Record("cells/a.png", 60, 40)
    masks = [("cell", disc), ("ring", ring), ("dots", dots)]
    record.objects = [Shape(n, mask=Mask.of_array(m)).complete() for n, m in masks]
    return [record]


@pytest.mark.parametrize("name", ["coco", "cvat", "labelme", "labelstudio"])
def test_masks(tmp_path, name):
    _, by_name = back(tmp_path, blobs(), name)
    check(blobs(), by_name, "masks")


def test_panoptic_masks(tmp_path):
    records = blobs()
    # The ring is part of the disc, and a pixel is one segment's.
    del records[0].objects[1]
    _, by_name = back(tmp_path, records, "coco-panoptic")
    check(records, by_name, "masks")


OUTLINES = ("coco", "cvat", "labelbox", "labelme", "labelstudio", "prodigy")
OUTLINES += ("superannotate", "yolo")


@pytest.mark.parametrize("name", OUTLINES)
def test_outlines(tmp_path, name):
    ring = [[1.5, 2.25], [30, 2.25], [30, 20.125], [12, 33]]
    record = Record("a b.png", 60, 40)
    record.objects = [Shape("roof", polygons=[ring]).complete()]
    lost, by_name = back(tmp_path, [record], name, task="segment")
    check([record], by_name, "polygons")
    assert not lost


@pytest.mark.parametrize("name", ["cvat", "labelstudio", "yolo", "labelme"])
def test_turned_boxes(tmp_path, name):
    from al_sklearn.formats._geometry import turned_box

    corners = turned_box(20, 10, 16, 6, 30, (20, 10))
    record = Record("a.png", 60, 40)
    record.objects = [Shape("ship", corners=corners, rotation=30).complete()]
    _, by_name = back(tmp_path, [record], name, task="obb")
    read = by_name["a.png"].objects[0]
    np.testing.assert_allclose(read.corners, corners, atol=CLOSE)
    np.testing.assert_allclose(read.box, record.objects[0].box, atol=CLOSE)


@pytest.mark.parametrize("name", ["labelstudio", "labelbox", "prodigy"])
def test_kinds_of_answers(tmp_path, name):
    looked = Record("a.png", 60, 40, labelled=True, answer="label")
    skipped = Record("b.png", 60, 40, labelled=False, answer="skip")
    _, by_name = back(tmp_path, [looked, skipped], name)
    assert by_name["a.png"].labelled is True and by_name["b.png"].labelled is False
    assert by_name["b.png"].answer == "skip"


def test_guesses_are_no_answers(tmp_path):
    record = Record("a.png", 60, 40, rank=0, score=0.75)
    record.objects = [Shape("cat", [1, 2, 3, 4], score=0.5)]
    formats.write([record], tmp_path / "tasks.json", "labelstudio")
    read = formats.read(tmp_path / "tasks.json")
    assert read[0].labelled is False and not read[0].objects
    guess = read.predictions[0]
    assert guess.objects[0].score == 0.5 and guess.score == 0.75
    configuration = (tmp_path / "config.xml").read_text(encoding="utf-8")
    assert "<RectangleLabels" in configuration and 'value="cat"' in configuration


names_of_classes = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=9
).filter(lambda text: text.strip() == text)


@st.composite
def records_of_boxes(draw):
    records = []
    for i in range(draw(st.integers(1, 3))):
        width, height = draw(st.integers(2, 900)), draw(st.integers(2, 900))
        record = Record(f"f{i}/{i}.png", width, height, labelled=True)
        for _ in range(draw(st.integers(0, 3))):
            x0 = draw(st.floats(0, width - 1))
            y0 = draw(st.floats(0, height - 1))
            x1 = draw(st.floats(x0 + 0.01, width))
            y1 = draw(st.floats(y0 + 0.01, height))
            record.objects.append(Shape(draw(names_of_classes), [x0, y0, x1, y1]))
        records.append(record)
    return records


@pytest.mark.parametrize("name", BOXES)
@settings(
    deadline=None,
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(records=records_of_boxes())
def test_any_boxes(tmp_path_factory, name, records):
    _, by_name = back(tmp_path_factory.mktemp("any"), records, name)
    check(records, by_name)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.floats(0, 1)
)
def test_masks_and_their_runs(seed, height, width, share):
    pixels = np.random.default_rng(seed).random((height, width)) < share
    mask = Mask.of_array(pixels)
    np.testing.assert_array_equal(mask.array(), pixels)
    assert mask.area == pixels.sum()
    ys, xs = np.nonzero(pixels)
    expected = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1] if len(xs) else None
    assert mask.box == expected
    from al_sklearn.formats import _masks

    text = _masks.encode_counts(mask.counts.tolist())
    assert _masks.decode_counts(text) == mask.counts.tolist()
    brush = _masks.decode_brush(_masks.encode_brush(mask), height, width)
    assert brush == mask
    if pixels.any():
        runs, (left, top, w, h) = _masks.to_rows(mask)
        assert _masks.from_rows(runs, left, top, w, h, (height, width)) == mask


def test_what_a_format_cannot_hold_is_said(tmp_path):
    record = Record("a.png", 60, 40)
    mask = Mask.of_array(np.eye(40, 60, dtype=bool))
    record.objects = [Shape("x", mask=mask, score=0.5).complete()]
    assert formats.write([record], tmp_path / "v", "voc") == ["masks", "scores"]
    assert formats.write([record], tmp_path / "a.json", "coco") == []
    nowhere = Record("b.png")
    nowhere.objects = [Shape("x", [0, 0, 1, 1])]
    with pytest.raises(LabelFileError, match=r"b\.png.*size is not known"):
        formats.write([nowhere], tmp_path / "y", "yolo")
    assert not (tmp_path / "y").exists()


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "a.json").write_text("mine")
    with pytest.raises(FileExistsError, match="not overwritten"):
        formats.write([Record("a.png", 1, 1)], tmp_path / "a.json", "coco")
    assert (tmp_path / "a.json").read_text() == "mine"


def test_unknown_words_are_answered(tmp_path):
    with pytest.raises(ValueError, match=r"coco"):
        formats.read(tmp_path, "cocoo")
    with pytest.raises(ValueError, match="detect"):
        formats.read(tmp_path, "coco", "detct")
    with pytest.raises(FileNotFoundError):
        formats.read(tmp_path / "nowhere")


def test_a_zip_is_read_as_what_is_in_it(tmp_path):
    import zipfile

    record = Record("a.png", 60, 40, objects=[Shape("cat", [1, 2, 3, 4])])
    formats.write([record], tmp_path / "set" / "instances.json", "coco")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.write(tmp_path / "set" / "instances.json", "set/instances.json")
    assert formats.read(tmp_path / "set.zip")[0].labels == ["cat"]


TABLES = {
    "semicolons": "filename;xmin;ymin;xmax;ymax;label\na.png;1;2;3,5;4;cat\n",
    "tabs": "filename\txmin\tymin\txmax\tymax\tlabel\na.png\t1\t2\t3.5\t4\tcat\n",
    "a note above": "Boxes of Monday,,,,,\n\nfilename,xmin,ymin,xmax,ymax,label\n"
    "a.png,1,2,3.5,4,cat\n",
    "a trailing comma": "filename,xmin,ymin,xmax,ymax,label,\na.png,1,2,3.5,4,cat,\n",
    "spaces": "filename , xmin, ymin, xmax, ymax, label\na.png, 1, 2, 3.5, 4, cat\n",
    "sep=": "sep=;\nfilename;xmin;ymin;xmax;ymax;label\na.png;1;2;3.5;4;cat\n",
    "carriage returns": "filename,xmin,ymin,xmax,ymax,label\ra.png,1,2,3.5,4,cat\r",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("kind", TABLES)
def test_tables_as_people_make_them(tmp_path, kind, encoding):
    text = TABLES[kind].replace("cat", "Möwe")
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    record = formats.read(tmp_path / "t.csv")[0]
    assert record.file == "a.png" and record.labels == ["Möwe"]
    assert record.boxes.tolist() == [[1, 2, 3.5, 4]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("filename,xmin,xmin,ymin,xmax,ymax,label\n", ["line 1", "xmin"]),
        ('filename,label\n"a\nb.png",x\nc.png,"y\n', ["t.csv", "line 4"]),
        ("filename,xmin,ymin,xmax,ymax,label\na,1,2,nan,4,x\n", ["line 2", "nan"]),
        ("filename,xmin,ymin,xmax,ymax,label\na,9,2,3,4,x\n", ["line 2", "ends"]),
        ("filename,xmin,ymin,xmax,ymax,label\n,9,2,3,4,x\n", ["line 2", "names no"]),
        ("filename,xmin,ymin,xmax,ymax,label\n../a,1,2,3,4,x\n", ["line 2", "leaves"]),
        ("", ["t.csv", "empty"]),
    ],
)
def test_tables_that_are_refused(tmp_path, text, words):
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    with pytest.raises(LabelFileError) as error:
        formats.read(tmp_path / "t.csv")
    for word in words:
        assert word in str(error.value)


def test_cells_that_a_spreadsheet_would_run(tmp_path):
    names = ["=1+1", "@sum", "+x", "-y", "'=z", "plain", "''", "'"]
    shapes = [Shape(name, [1, 2, 3, 4]) for name in names]
    record = Record("=a.png", 60, 40, objects=shapes)
    formats.write([record], tmp_path / "t.csv", "csv")
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file):
            assert not any(cell.startswith(("=", "@", "+", "-")) for cell in row)
    read = formats.read(tmp_path / "t.csv")[0]
    assert read.labels == names and read.file == "=a.png"


def test_many_boxes(tmp_path):
    images = [
        {"id": i, "file_name": f"{i}.png", "width": 640, "height": 480}
        for i in range(100)
    ]
    annotations = [
        {"id": i, "image_id": i % 100, "category_id": 1, "bbox": [i % 600, 2, 3, 4]}
        for i in range(2_000)
    ]
    content = {"images": images, "annotations": annotations}
    content["categories"] = [{"id": 1, "name": "cell"}]
    (tmp_path / "a.json").write_text(json.dumps(content))
    records = formats.read(tmp_path / "a.json")
    assert sum(len(record.objects) for record in records) == 2_000
