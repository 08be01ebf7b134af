"""Images that cannot be read: found before a long run, named, or left out and
listed."""

import csv

import numpy as np
import pytest
from PIL import Image

from al_sklearn.datasets import check_images, load_dataset, write_table
from al_sklearn.datasets._check import _BATCH


def save(path, suffix=".png", side=40):
    path = path.with_suffix(suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    ).save(path)
    return path


@pytest.mark.parametrize(
    "suffix", [".png", ".jpg", ".bmp", ".gif", ".tif", ".webp", ".ppm"]
)
def test_a_truncated_image_of_each_format_is_found(tmp_path, suffix):
    good, bad = save(tmp_path / "good", suffix), save(tmp_path / "bad", suffix)
    bad.write_bytes(bad.read_bytes()[: bad.stat().st_size * 2 // 3])
    found = list(check_images([good, bad], progress=False))
    assert (
        [position for position, _ in found] == [1]
        and found[0][1].file == str(bad)
        and found[0][1].problem
    )


def test_every_corrupt_image_of_many_is_found(tmp_path):
    good = save(tmp_path / "good", side=4)
    texts = {
        "empty": b"",
        "html": b"<html>not found</html>",
        "zeros": bytes(5000),
        "header": good.read_bytes()[:20],
    }
    for name, content in texts.items():
        (tmp_path / f"{name}.png").write_bytes(content)
    bad = [tmp_path / f"{name}.png" for name in texts] + [
        tmp_path / "missing.png",
        tmp_path,
    ]
    files = [good] * (3 * _BATCH)
    places = [0, 5, _BATCH, _BATCH + 1, 2 * _BATCH + 7, 3 * _BATCH - 1]
    for place, path in zip(places, bad, strict=True):
        files[place] = path
    for n_jobs in (1, 3):
        assert [
            position
            for position, _ in check_images(files, n_jobs=n_jobs, progress=False)
        ] == places
    assert list(check_images([], progress=False)) == []


@pytest.fixture
def photos(tmp_path):
    for part, n in (("train", 4), ("test", 2)):
        for label in ("cat", "dog"):
            for i in range(n):
                save(tmp_path / "photos" / part / label / f"{i}", ".jpg")
    root = tmp_path / "photos"
    for bad in (root / "train" / "dog" / "2.jpg", root / "test" / "cat" / "0.jpg"):
        bad.write_bytes(bad.read_bytes()[:-200])
    return root


def test_the_first_one_is_named(photos):
    with pytest.raises(
        ValueError,
        match=r"train/dog/2\.jpg cannot be read as an image "
        r"\(.*truncated.*on_corrupt='skip'",
    ):
        load_dataset("folder", photos, on_corrupt="raise")
    assert not (photos / "skipped.csv").exists()
    assert len(load_dataset("folder", photos).X_train) == 8


def test_they_are_left_out_and_listed(photos):
    data = load_dataset("folder", photos, on_corrupt="skip", n_jobs=2)
    assert len(data.X_train) == 7 and data.y_train.tolist() == ["cat"] * 4 + ["dog"] * 3
    assert len(data.X_test) == 3 and data.y_test.tolist() == ["cat", "dog", "dog"]
    assert [skipped.file for skipped in data.skipped] == [
        str(photos / "train" / "dog" / "2.jpg"),
        str(photos / "test" / "cat" / "0.jpg"),
    ]
    assert "2 skipped" in repr(data)
    with (photos / "skipped.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["file", "problem"], *map(list, data.skipped)]


def test_tables_too_and_images_without_label(photos, tmp_path):
    folder = load_dataset("folder", photos)
    labels = ["cat", *[""] * 7]
    table = write_table(tmp_path / "photos.csv", folder.X_train, labels)
    data = load_dataset("csv", table, on_corrupt="skip")
    assert (
        len(data.X_train) == 1
        and len(data.X_unlabelled) == 6
        and len(data.skipped) == 1
    )
    assert (tmp_path / "photos.csv.skipped.csv").is_file()
    for path in photos.rglob("*.jpg"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="not one training image can be read"):
        load_dataset("csv", table, on_corrupt="skip")


def test_what_was_found_is_kept_after_ctrl_c(photos, monkeypatch):
    from al_sklearn.datasets import _check

    real = _check._look

    def interrupted(*args):
        yield from list(real(*args))
        raise KeyboardInterrupt

    monkeypatch.setattr(_check, "_look", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_dataset("folder", photos, on_corrupt="skip")
    assert "dog/2.jpg" in (photos / "skipped.csv").read_text()


def test_data_in_arrays_has_nothing_to_check():
    assert load_dataset("digits", on_corrupt="skip").skipped == ()


def test_what_no_decoder_here_takes_is_found(tmp_path):
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tif")
    ((position, problem),) = check_images([tmp_path / "float.tif"], progress=False)
    assert position == 0 and "no known range" in problem.problem
