"""CSV and Parquet in and out."""

import numpy as np
import pandas as pd
import pytest

from al_sklearn.datasets import load_dataset, write_table
from tests.datasets.files import make_folder


def save(table, path):
    table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(
        path, index=False
    )
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_with_splits_and_missing_labels(tmp_path, kind):
    table = pd.DataFrame(
        {
            "file": ["a.png", "b.png", "/abs/c.png", "d.png", "e.png"],
            "animal": ["cat", "NA", "cat", None, "NA"],
            "part": ["train", "Train", "train", "training", "TEST"],
            "other": range(5),
        }
    )
    path = save(table, tmp_path / f"photos.{kind}")
    options = {"path_column": "file", "label_column": "animal", "split_column": "part"}
    data = load_dataset(kind, path, **options)
    # "NA" is a class, an empty cell is none.
    assert data.y_train.tolist() == ["cat", "NA", "cat"] and data.class_names == (
        "NA",
        "cat",
    )
    assert data.X_train == [
        str(tmp_path / "a.png"),
        str(tmp_path / "b.png"),
        "/abs/c.png",
    ]
    assert data.X_unlabelled == [str(tmp_path / "d.png")] and data.y_test.tolist() == [
        "NA"
    ]
    assert load_dataset(kind, path, **options, root="/photos").X_test == [
        "/photos/e.png"
    ]
    assert (
        load_dataset(kind, path, path_column="file", label_column="animal").X_test
        is None
    )


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("labels", "y", "names"),
    [
        ([0, 2, 2], [0, 2, 2], ("0", "1", "2")),
        ([-1, 7, 7], [0, 1, 1], ("-1", "7")),
        (["007", "1", "1"], ["007", "1", "1"], ("007", "1")),
        ([3, None, 1], [3, 1], ("0", "1", "2", "3")),
    ],
)
def test_labels_of_each_kind(tmp_path, kind, labels, y, names):
    column = pd.array(labels, dtype="Int64") if None in labels else labels
    table = pd.DataFrame({"path": ["a", "b", "c"], "label": column})
    data = load_dataset(kind, save(table, tmp_path / f"x.{kind}"))
    assert data.y_train.tolist() == y and data.class_names == names


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_there_and_back(tmp_path, kind):
    make_folder(tmp_path / "photos")
    folder = load_dataset("folder", tmp_path / "photos")
    splits = ["train", "test"] * 3
    path = write_table(
        tmp_path / f"x.{kind}",
        folder.X_train,
        folder.y_train,
        splits=splits,
        root=tmp_path,
    )
    back = load_dataset(kind, path, split_column="split")
    assert back.X_train == folder.X_train[::2] and back.X_test == folder.X_train[1::2]
    np.testing.assert_array_equal(back.y_test, folder.y_train[1::2])
    write_table(path, folder.X_train)
    unlabelled = load_dataset(kind, path)
    assert unlabelled.X_train is None and unlabelled.X_unlabelled == folder.X_train


def test_what_a_spreadsheet_saves(tmp_path):
    (tmp_path / "x.csv").write_bytes(
        b'\xef\xbb\xbfpath,label\r\n a.png ,"red, dark"\r\nb.png,blau\r\n'
    )
    data = load_dataset("csv", tmp_path / "x.csv")
    assert data.X_train[0] == str(tmp_path / "a.png") and data.class_names == (
        "blau",
        "red, dark",
    )


def test_long_numbers_are_names(tmp_path):
    (tmp_path / "x.csv").write_text("path,label\na.png,99999999999999999999\nb.png,1\n")
    data = load_dataset("csv", tmp_path / "x.csv")
    assert data.y_train.tolist() == ["99999999999999999999", "1"]


def test_mistakes_are_named(tmp_path):
    path = save(pd.DataFrame({"path": ["a", ""], "label": [1, 2]}), tmp_path / "x.csv")
    with pytest.raises(ValueError, match=r"x\.csv: row 2 has no 'path'"):
        load_dataset("csv", path)
    with pytest.raises(
        ValueError,
        match=r"has no column 'class'; it has path, label\. Name the right ones",
    ):
        load_dataset("csv", path, label_column="class")
    table = pd.DataFrame(
        {"path": ["a", "b"], "label": [1, None], "split": ["train", "test"]}
    )
    with pytest.raises(ValueError, match="row 2 is a test image without label"):
        load_dataset("csv", save(table, path), split_column="split")
    with pytest.raises(
        ValueError, match=r"'split' must say train, val, test or .* row 1 says 'tarin'"
    ):
        load_dataset(
            "csv",
            save(table.assign(split=["tarin", "test"]), path),
            split_column="split",
        )
    for kind in ("csv", "parquet"):
        with pytest.raises(FileNotFoundError, match="data_dir must be the file itself"):
            load_dataset(kind, tmp_path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="is no CSV file"):
        load_dataset("csv", path)
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(ValueError, match="is no whole Parquet file"):
        load_dataset("parquet", path)
    with pytest.raises(ValueError, match=r"written as \.csv or \.parquet"):
        write_table(tmp_path / "x.xlsx", ["a"])
    with pytest.raises(ValueError, match="same length"):
        write_table(path, ["a"], [1, 2])


def test_columns_may_stand_in_any_order(tmp_path):
    (tmp_path / "x.csv").write_text("label,other,path\ncat,1,a.png\n,2,b.png\n")
    data = load_dataset("csv", tmp_path / "x.csv")
    assert data.y_train.tolist() == ["cat"]
    assert data.X_unlabelled == [str(tmp_path / "b.png")]
