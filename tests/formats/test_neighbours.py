"""Neighbours of the known oddities: read right, or refused by file and place."""

import json
import warnings

import pytest
from PIL import Image

from al_sklearn import formats
from al_sklearn.exceptions import LabelFileError


def coco(folder, box=(10, 20, 30, 40), **more):
    annotation = {"id": 50, "image_id": 1, "category_id": 7, "bbox": list(box), **more}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 80}],
        "categories": [{"id": 7, "name": "cat"}],
        "annotations": [annotation],
    }
    file = folder / "instances.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"box": (float("nan"), 1, 1, 1)}, ["50", "bbox", "nan"]),
        ({"box": ("10", 1, 1, 1)}, ["50", "bbox", "'10'"]),
        ({"box": (1, 2, 3)}, ["50", "bbox", "4 numbers"]),
        ({"category_id": 8}, ["50", "category_id 8"]),
        ({"category_id": 7.5}, ["50", "category_id", "7.5"]),
        ({"category_id": True}, ["50", "category_id", "True"]),
        ({"segmentation": [[1, 2, 3, 4, 5]]}, ["50", "segmentation", "no pairs"]),
        ({"segmentation": {"size": [80, 100], "counts": "0"}}, ["50", "counts"]),
        ({"segmentation": {"size": [80, 100], "counts": [9000]}}, ["50", "counts"]),
        ({"segmentation": {"size": [100, 80], "counts": [8000]}}, ["50", "size"]),
        ({"keypoints": [1, 2, 2, 4]}, ["50", "keypoints", "triples"]),
        ({"keypoints": [1, 2, 3]}, ["50", "keypoints", "0, 1 or 2"]),
        ({"iscrowd": "yes"}, ["50", "iscrowd"]),
    ],
)
def test_coco_is_refused_by_annotation(tmp_path, change, words):
    file = coco(tmp_path, **change)
    with pytest.raises(LabelFileError) as error:
        formats.read(file)
    for word in ["instances.json", *words]:
        assert word in str(error.value)


def test_coco_measures_an_image_that_lies_beside(tmp_path):
    file = coco(tmp_path)
    content = json.loads(file.read_text())
    del content["images"][0]["width"]
    file.write_text(json.dumps(content))
    with pytest.warns(UserWarning, match="no width and height"):
        assert formats.read(file)[0].width is None
    Image.new("L", (100, 80)).save(tmp_path / "a.png")
    assert (formats.read(file)[0].width, formats.read(file)[0].height) == (100, 80)


def test_coco_lists_of_images_alone_are_unlabelled(tmp_path):
    file = coco(tmp_path)
    content = json.loads(file.read_text())
    del content["annotations"]
    file.write_text(json.dumps(content))
    assert formats.read(file)[0].labelled is False


@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "C:\\a.png", "x/../../a"])
def test_no_name_leaves_the_folder(tmp_path, name):
    file = coco(tmp_path)
    content = json.loads(file.read_text())
    content["images"][0]["file_name"] = name
    file.write_text(json.dumps(content))
    with pytest.raises(LabelFileError, match="leaves the folder"):
        formats.read(file)


def yolo(folder, lines, described="names: [cat, dog]\n"):
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    Image.new("L", (100, 80)).save(folder / "images" / "a.png")
    (folder / "labels" / "a.txt").write_text(lines, encoding="utf-8")
    text = f"train: images\nval: images\n{described}"
    (folder / "data.yaml").write_text(text, encoding="utf-8")
    return folder / "data.yaml"


def test_names_that_yaml_takes_for_something_else(tmp_path):
    file = yolo(tmp_path, "1 .5 .5 .2 .25\n", "names: [yes, no, 1.10, ~]\n")
    records = formats.read(file)
    assert records.classes == ["yes", "no", "1.10", "~"]
    assert records[0].labels == ["no"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("2 .5 .5 .2 .2", ["class 2", "not among"]),
        ("0 .5 .5 .2", ["5 values", "got 4"]),
        ("0 .5 .5 -.2 .2", ["fractions"]),
        ("0 .1 .1 .5 .1 .5 .5 .1 .2", []),
        ("0 .1 .1 .5 .1 .5 .5 .1", ["pairs"]),
        ("0 1_0 .5 .2 .2", ["finite number", "1_0"]),
        ("cat .5 .5 .2 .2", ["class", "cat"]),
    ],
)
def test_yolo_is_refused_by_line(tmp_path, line, words):
    file = yolo(tmp_path, f"0 .5 .5 .2 .25\n\n{line}\n")
    if not words:
        with pytest.warns(UserWarning, match="mixed"):
            assert len(formats.read(file)[0].objects) == 2
        return
    with pytest.raises(LabelFileError) as error:
        formats.read(file)
    for word in ["a.txt", "line 3", *words]:
        assert word in str(error.value)


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    inside = tmp_path / "set"
    inside.mkdir()
    file = yolo(inside, "0 .5 .5 .2 .25\n")
    Image.new("L", (10, 8)).save(tmp_path / "secret.png")
    (inside / "images" / "b.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(LabelFileError, match=r"b\.png.*leaves the folder"):
        formats.read(file)


def test_label_studio_s_short_json(tmp_path):
    region = {"x": 10, "y": 25, "width": 20, "height": 25, "rotation": 0}
    region |= {"rectanglelabels": ["Car"], "original_width": 100, "original_height": 80}
    rows = [
        {
            "image": "/data/upload/3/5e6f7a8b-a.jpeg",
            "id": 3,
            "label": [region],
            "weather": "rain",
            "annotator": 1,
            "annotation_id": 3,
            "lead_time": 9.5,
        }
    ]
    (tmp_path / "min.json").write_text(json.dumps(rows))
    record = formats.read(tmp_path / "min.json")[0]
    assert record.original == "a.jpeg" and record.labels == ["Car"]
    assert record.boxes.tolist() == [[10, 20, 30, 40]] and record.seconds == 9.5
    assert record.image_labels == {"weather": ["rain"]}


def test_people_are_kept_apart(tmp_path):
    def answer(who, x):
        value = {"x": x, "y": 0, "width": 10, "height": 10, "rectanglelabels": ["Car"]}
        result = {"id": "r", "type": "rectanglelabels", "value": value}
        result |= {"original_width": 100, "original_height": 100}
        return {"completed_by": {"email": who}, "result": [result]}

    task = {"data": {"image": "s3://bucket/a b.png"}}
    task["annotations"] = [answer("ann", 0), answer("bob", 50)]
    (tmp_path / "t.json").write_text(json.dumps([task]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record = formats.read(tmp_path / "t.json")[0]
    assert record.file == "s3://bucket/a b.png"
    assert {w: s[0].box[0] for w, s in record.by_annotator.items()} == {
        "ann": 0,
        "bob": 50,
    }


def test_a_bomb_is_not_unpacked(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", b" " * 2**27)
    with pytest.raises(LabelFileError, match=r"b\.zip.*unpack"):
        formats.read(tmp_path / "b.zip")


def test_xml_that_asks_for_a_file(tmp_path):
    (tmp_path / "a.xml").write_text(
        '<!DOCTYPE annotation [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        "<annotation><filename>&x;</filename></annotation>"
    )
    with pytest.raises(LabelFileError, match=r"a\.xml: line 1.*DOCTYPE"):
        formats.read(tmp_path / "a.xml", "voc")


@pytest.mark.parametrize("ending", ["jpg", "tif", "png"])
def test_photos_on_their_side_are_measured_upright(tmp_path, ending):
    image = Image.new("RGB", (100, 80))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / f"a.{ending}", exif=exif)
    from al_sklearn.formats._files import image_size
    from al_sklearn.rows import decode_all

    height, width = decode_all([tmp_path / f"a.{ending}"])[0].shape[:2]
    assert image_size(tmp_path / f"a.{ending}") == (width, height) == (80, 100)
