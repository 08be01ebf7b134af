"""DroughtWatch from real TFRecord files, written by the tfrecord package."""

import json
import struct
import zipfile

import h5py
import numpy as np
import pytest
from tfrecord.writer import TFRecordWriter

from al_sklearn import ImageClassifier
from al_sklearn.datasets import Hdf5Rows, _droughtwatch, load_dataset
from al_sklearn.datasets._droughtwatch import BANDS, DroughtWatch
from al_sklearn.datasets._tfrecord import read_records
from al_sklearn.pool import take_rows
from tests.datasets.test_download import server

__all__ = ["server"]


def write_part(path, n, seed):
    """Records as in the archive: each band as bytes (some with a few too many), the
    label as int64."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, 65, 65, 11), dtype=np.uint8)
    labels = rng.integers(0, 4, n)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = TFRecordWriter(str(path))
    for image, label in zip(images, labels, strict=True):
        record = {
            band: (
                image[..., i].tobytes() + b"\0" * (65 if band == "B8" else 0),
                "byte",
            )
            for i, band in enumerate(BANDS)
        }
        writer.write({**record, "label": (int(label), "int")})
    writer.close()
    return images, labels


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "dw"
    train = [
        write_part(root / "train" / f"part-r-0000{i}", n, i)
        for i, n in enumerate((5, 1, 4))
    ]
    val = write_part(root / "val" / "part-r-00000", 3, 9)
    (root / "train" / "part-r-00003_.gstmp").write_bytes(b"half")
    X_train, y_train = (np.concatenate(part) for part in zip(*train, strict=True))
    return root, X_train, y_train, *val


def test_records_become_hdf5(folder):
    root, X_train, y_train, X_test, y_test = folder
    data = load_dataset("droughtwatch", root)
    assert data.X_train.shape == (10, 65, 65, 11) and isinstance(data.X_train, Hdf5Rows)
    np.testing.assert_array_equal(data.X_train[:], X_train)
    np.testing.assert_array_equal(data.X_test[:], X_test)
    np.testing.assert_array_equal(take_rows(data.X_train, [7, 2]), X_train[[7, 2]])
    np.testing.assert_array_equal(data.y_train, y_train)
    np.testing.assert_array_equal(data.y_test, y_test)
    assert (
        data.class_names == ("0 cows", "1 cow", "2 cows", "3+ cows")
        and data.skipped == ()
    )
    # The second time nothing is converted.
    for path in (root / "train").iterdir():
        path.unlink()
    np.testing.assert_array_equal(
        load_dataset("droughtwatch", root).X_train[:], X_train
    )


def test_bands_and_classes(folder, tmp_path):
    root, X_train, y_train, _, y_test = folder
    data = load_dataset("droughtwatch", root, bands="rgb", classes=2, hdf5_dir=tmp_path)
    assert (
        data.X_train.shape == (10, 65, 65, 3)
        and (tmp_path / "droughtwatch_train.h5").is_file()
    )
    np.testing.assert_array_equal(data.X_train[:], X_train[..., [3, 2, 1]])
    assert data.y_train.tolist() == [
        int(label > 0) for label in y_train
    ] and data.class_names == ("0 cows", "1+ cows")
    assert data.y_test.max() <= 1 == y_test.clip(max=1).max()
    some = load_dataset("droughtwatch", root, bands=["B11", "B1"], hdf5_dir=tmp_path)
    np.testing.assert_array_equal(some.X_train[[3, 1]], X_train[[3, 1]][..., [10, 0]])
    assert load_dataset(
        "droughtwatch", root, bands="B2,B3", hdf5_dir=tmp_path
    ).X_test.shape == (3, 65, 65, 2)
    with pytest.raises(ValueError, match=r"Unknown band 'B12'. Did you mean 'B"):
        load_dataset("droughtwatch", root, bands=["B12"])
    with pytest.raises(ValueError, match="4 classes, or 2; got classes=3"):
        load_dataset("droughtwatch", root, classes=3)


def test_a_classifier_takes_eleven_bands(folder):
    data = load_dataset("droughtwatch", folder[0])
    classifier = ImageClassifier("small_cnn", max_epochs=1, random_state=0).fit(
        data.X_train, data.y_train
    )
    assert classifier.predict_proba(data.X_test).shape == (
        3,
        len(set(data.y_train.tolist())),
    )


@pytest.mark.parametrize("stop_after", range(1, 11))
def test_a_conversion_goes_on_after_its_last_piece(folder, monkeypatch, stop_after):
    root, X_train, y_train, *_ = folder
    monkeypatch.setattr(_droughtwatch, "_PIECE", 2)
    decode, calls = _droughtwatch._decode, []

    def interrupted(content):
        calls.append(content)
        if len(calls) == stop_after:
            raise KeyboardInterrupt
        return decode(content)

    with monkeypatch.context() as patch:
        patch.setattr(_droughtwatch, "_decode", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_dataset("droughtwatch", root)
    assert not (root / "droughtwatch_train.h5").exists()
    counted = []
    monkeypatch.setattr(
        _droughtwatch,
        "_decode",
        lambda content: (counted.append(1), decode(content))[1],
    )
    data = load_dataset("droughtwatch", root)
    # Whole pieces of two are kept; the validation set's three are read besides.
    assert len(counted) == 10 - (stop_after - 1) // 2 * 2 + 3
    np.testing.assert_array_equal(data.X_train[:], X_train)
    np.testing.assert_array_equal(data.y_train, y_train)
    assert not list(root.glob(".*.pieces"))


def test_pieces_of_other_files_are_not_used(folder, monkeypatch):
    root, *_ = folder
    monkeypatch.setattr(
        _droughtwatch, "_join", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        load_dataset("droughtwatch", root)
    monkeypatch.undo()
    images, labels = write_part(root / "train" / "part-r-00001", 2, seed=77)
    data = load_dataset("droughtwatch", root)
    np.testing.assert_array_equal(data.X_train[[5, 6]], images)
    assert data.y_train[5:7].tolist() == labels.tolist() and len(data.X_train) == 11
    write_part(root / "train" / "part-r-00001", 3, seed=78)
    with pytest.raises(
        ValueError,
        match=r"droughtwatch_train\.h5 was made from other files .* delete it",
    ):
        load_dataset("droughtwatch", root)


def damage(path, record, what):
    ends = [r.end for r in read_records(path)]
    start = ends[record - 1] if record else 0
    raw = bytearray(path.read_bytes())
    if what == "content":
        raw[start + 500] ^= 1
    elif what == "length":
        raw[start] ^= 1
    else:
        raw = raw[: start + 100]
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("what", "kept", "message"),
    [
        ("content", [0, 1, 3, 4], r"the record at byte \d+ has a wrong checksum"),
        (
            "length",
            [0, 1],
            r"the length of the record at byte \d+ has a wrong checksum",
        ),
        ("end", [0, 1], r"the file ends within the record at byte \d+"),
    ],
)
def test_damaged_records_are_named_or_left_out(folder, what, kept, message):
    root, X_train, y_train, *_ = folder
    damage(root / "train" / "part-r-00000", 2, what)
    with pytest.raises(
        ValueError,
        match=rf"part-r-00000: {message}\. Fetch the file again, or "
        r".*on_corrupt='skip'",
    ):
        load_dataset("droughtwatch", root)
    data = load_dataset("droughtwatch", root, on_corrupt="skip")
    rows = [*kept, *range(5, 10)]
    np.testing.assert_array_equal(data.X_train[:], X_train[rows])
    np.testing.assert_array_equal(data.y_train, y_train[rows])
    assert len(data.skipped) == 1 and data.skipped[0].file.endswith("part-r-00000")
    assert (
        (root / "skipped.csv")
        .read_text()
        .splitlines()[1]
        .startswith(data.skipped[0].file)
    )


def test_records_of_another_kind(tmp_path):
    path = tmp_path / "train" / "part-0"
    path.parent.mkdir()
    good = {band: (bytes(65 * 65), "byte") for band in BANDS}
    for record, message in (
        ({**good, "label": (4, "int")}, r"a record has the label \[4\]"),
        (good, r"a record has the label \[\]"),
        (
            {**good, "B7": (bytes(10), "byte"), "label": (1, "int")},
            "a record has no whole band B7",
        ),
        ({"label": (1, "int")}, "a record has no whole band B1"),
    ):
        writer = TFRecordWriter(str(path))
        writer.write(record)
        writer.close()
        with pytest.raises(ValueError, match=message):
            load_dataset("droughtwatch", tmp_path)
    with pytest.raises(ValueError, match="not one record can be read"):
        load_dataset("droughtwatch", tmp_path, on_corrupt="skip")


def test_missing_folders_are_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no files train/part-… in .* or download=True"
    ):
        load_dataset("droughtwatch", tmp_path)
    with pytest.raises(
        FileNotFoundError, match="data_dir must be the folder with train and val"
    ):
        load_dataset("droughtwatch")


def test_a_record_file_is_what_tensorflow_says(tmp_path):
    path = tmp_path / "x"
    writer = TFRecordWriter(str(path))
    for i in range(3):
        writer.write({"label": (i, "int")})
    writer.close()
    records = list(read_records(path))
    assert [record.problem for record in records] == [None] * 3 and records[
        -1
    ].end == path.stat().st_size
    assert struct.unpack("<Q", path.read_bytes()[:8])[0] == len(records[0].content)
    assert list(read_records(path, records[0].end)) == records[1:]
    path.write_bytes(b"")
    assert list(read_records(path)) == []


def test_download_and_convert(folder, tmp_path, server, monkeypatch):
    root, X_train, *_ = folder
    with zipfile.ZipFile(tmp_path / "dw.zip", "w") as packed:
        for path in sorted(root.rglob("part-*")):
            packed.write(path, f"droughtwatch_data/{path.relative_to(root)}")
    server.files["dw.zip"] = (tmp_path / "dw.zip").read_bytes()
    monkeypatch.setattr(DroughtWatch, "remote", server.remote("dw.zip"))
    for _ in range(2):
        data = load_dataset("droughtwatch", tmp_path / "mine", download=True)
        np.testing.assert_array_equal(data.X_train[:], X_train)
    assert len(server.asked) == 1
    with h5py.File(tmp_path / "mine" / "droughtwatch_train.h5") as file:
        assert (
            json.loads(file.attrs["bands"]) == list(BANDS)
            and file["images"].chunks is None
        )
