"""Requests to people and their answers, as files."""

import numpy as np
import pandas as pd
import pytest

from al_sklearn.annotation import read_labels, write_requests


def test_requests_go_out_and_labels_come_back(tmp_path):
    path = write_requests(
        tmp_path / "asked",
        [7, 2, 5],
        scores=[0.9, 0.5, 0.1],
        names=["a.png", "b, c.png", "d.png"],
    )
    assert path.name == "cycle_0001.csv"
    table = pd.read_csv(path, keep_default_na=False)
    assert (
        table.columns.tolist() == ["index", "name", "score", "label"]
        and table.name[1] == "b, c.png"
    )
    table["label"] = ["cat ", "", "dog"]
    table.to_csv(path, index=False)
    indices, labels = read_labels(path, n_pool=8)
    np.testing.assert_array_equal(indices, [7, 5])
    assert labels.tolist() == ["cat", "dog"]


def test_nothing_is_overwritten(tmp_path):
    first = write_requests(tmp_path, [1])
    before = first.read_bytes()
    (tmp_path / "cycle_0007.csv").write_text("kept")
    assert write_requests(tmp_path, [2]).name == "cycle_0008.csv"
    assert (
        first.read_bytes() == before
        and (tmp_path / "cycle_0007.csv").read_text() == "kept"
    )


def test_bad_files_name_the_line(tmp_path):
    path = tmp_path / "labels.csv"
    for text, message in (
        ("index,name\n1,a\n", "lacks the column 'label'"),
        ("index,label\n1,cat\nx,dog\n", "line 3: 'x' is no position"),
        ("index,label\n1,cat\n9,dog\n", "line 3: position 9 is outside the pool of 9"),
        ("index,label\n1,cat\n2,\n1,dog\n", "line 4: position 1 is labelled twice"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_labels(path, n_pool=9)
    with pytest.raises(ValueError, match="each position once"):
        write_requests(tmp_path, [1, 1])
    with pytest.raises(ValueError, match="2 indices, but 1 scores"):
        write_requests(tmp_path, [1, 2], scores=[0.5])
