"""Label files of one tool into another's, as a user does it."""

import json

from typer.testing import CliRunner

from al_sklearn import formats
from al_sklearn.cli import app


def run(*args):
    return CliRunner().invoke(app, [str(a) for a in args], env={"COLUMNS": "200"})


def write_coco(folder):
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 80}],
        "categories": [{"id": 7, "name": "cat"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 7,
                "bbox": [10, 20, 30, 40],
                "segmentation": [[10, 20, 40, 20, 40, 60]],
            }
        ],
    }
    file = folder / "instances.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def test_convert_says_what_it_did_and_what_is_lost(tmp_path):
    source = write_coco(tmp_path)
    result = run("convert", source, tmp_path / "voc", "--to", "voc")
    assert result.exit_code == 0, result.output
    assert "1 images, 1 objects: coco to voc" in result.output
    assert "not held by voc: outlines" in result.output
    assert formats.read(tmp_path / "voc")[0].boxes.tolist() == [[10, 20, 40, 60]]
    again = run("convert", source, tmp_path / "voc", "--to", "voc")
    assert again.exit_code == 2 and "not overwritten" in again.output


def test_convert_answers_mistakes(tmp_path):
    source = write_coco(tmp_path)
    wrong = run("convert", source, tmp_path / "x", "--to", "yollo")
    assert wrong.exit_code == 2 and "yolo" in wrong.output
    source.write_text('{"images": [')
    broken = run("convert", source, tmp_path / "x", "--to", "yolo")
    assert broken.exit_code == 2 and "instances.json" in broken.output
    assert not (tmp_path / "x").exists()
