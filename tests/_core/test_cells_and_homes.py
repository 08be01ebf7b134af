"""Text in cells that no spreadsheet runs; paths without the home folder."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_sklearn._core.cells import as_written, harmless, harmless_table
from al_sklearn._core.files import creating
from al_sklearn._core.home import with_home, without_home
from al_sklearn.datasets import (
    load_dataset,
    read_index_sets,
    write_index_sets,
    write_table,
)
from al_sklearn.labelling import read_labels, write_requests

FORMULAS = ["=1+1", "+49 30 1234", "-cmd", "@SUM(A1)", "\t=1", "\r=1", "＝1", "'=1"]
PLAIN = ["cat", "-1", "+1.5e3", "'quoted'", "a=b", "", "'", "café"]


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_become_text_and_come_back(text):
    assert harmless(text) == f"'{text}" and as_written(harmless(text)) == text


@pytest.mark.parametrize("text", PLAIN)
def test_everything_else_stays_as_it_is(text):
    assert harmless(text) == as_written(text) == text


@given(st.text(alphabet="'=+-@1a. \t"))
def test_every_text_comes_back(text):
    assert as_written(harmless(text)) == text


def test_tables_names_and_indices():
    table = pd.DataFrame(
        {
            "=a": ["=1", None, "x"],
            "n": [-1, 2, 3],
            "c": pd.Categorical(["@b", "c", "c"]),
        },
        index=pd.Index(["-i", "j", "k"], name="strategy"),
    )
    made = harmless_table(table)
    assert list(made.columns) == ["'=a", "n", "c"] and made["n"].tolist() == [-1, 2, 3]
    assert made["'=a"].iloc[0] == "'=1" and made["'=a"].isna().tolist() == [
        False,
        True,
        False,
    ]
    assert made["c"].tolist() == ["'@b", "c", "c"] and made.index[0] == "'-i"
    # What was given is as it was.
    assert table["=a"].iloc[0] == "=1" and table.index[0] == "-i"


def test_tables_of_images_come_back(tmp_path):
    files, labels = ["=a.png", "-b.png", "c.png", "@d.png"], ["=x", "-y", "=x", "-y"]
    for name in ("x.csv", "x.parquet"):
        path = write_table(tmp_path / name, files, labels)
        data = load_dataset(name[2:], path)
        assert [Path(file).name for file in data.X_train] == files
        assert data.y_train.tolist() == labels
    cells = (tmp_path / "x.csv").read_text().replace("\n", ",").split(",")
    assert not any(cell.startswith(tuple("=+-@")) for cell in cells)


def test_index_sets_come_back(tmp_path):
    sets = {"=train": [3, 1], "test": [0]}
    write_index_sets(tmp_path / "x.csv", sets)
    assert "'=train" in (tmp_path / "x.csv").read_text()
    found = read_index_sets(tmp_path / "x.csv")
    assert {name: set_.tolist() for name, set_ in found.items()} == sets


def test_requests_and_answers_come_back(tmp_path):
    path = write_requests(tmp_path, [4, 2], names=["=cmd()", "b.png"])
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert table["name"].tolist() == ["'=cmd()", "b.png"]
    table["label"] = ["'=cat", "dog"]
    table.to_csv(path, index=False)
    indices, labels = read_labels(path)
    assert indices.tolist() == [4, 2] and labels.tolist() == ["=cat", "dog"]


def test_a_request_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    def interrupted(self, file, **options):
        file.write(b"index,name")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pd.DataFrame, "to_csv", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_requests(tmp_path, [1, 2])
    assert not list(tmp_path.iterdir())
    assert write_requests(tmp_path, [1, 2]).name == "cycle_0001.csv"
    assert [path.name for path in tmp_path.iterdir()] == ["cycle_0001.csv"]


@pytest.mark.parametrize("links", [True, False])
def test_what_is_created_takes_nobodys_place(tmp_path, monkeypatch, links):
    if not links:

        def no_links(*args):
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr("os.link", no_links)
    for content in (b"first", b"second"):
        if content == b"first":
            with creating(tmp_path / "x") as file:
                file.write(content)
        else:
            with (
                pytest.raises(FileExistsError),
                creating(tmp_path / "x") as file,
            ):
                file.write(content)
    assert (tmp_path / "x").read_bytes() == b"first"
    assert len(list(tmp_path.iterdir())) == 1


def test_the_home_folder_is_a_tilde(monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ann"))
    given = {
        "dir": "/home/ann/data",
        "all": "/home/ann",
        "command": "al-sklearn run /home/ann/x.yaml --set data.dir=/home/ann/d",
        "address": "sqlite:////home/ann/x.db",
        "other": ["/home/anna/x", "/mnt/home/ann/x", "/home/ann.old", 3, None],
    }
    kept = without_home(given)
    assert kept == {
        "dir": "~/data",
        "all": "~",
        "command": "al-sklearn run ~/x.yaml --set data.dir=~/d",
        "address": "sqlite:///~/x.db",
        "other": given["other"],
    }
    assert with_home(kept) == given
    assert with_home(["a~/b", "~x", "x~"]) == ["a~/b", "~x", "x~"]


@pytest.mark.parametrize("home", ["/", None])
def test_a_service_has_no_home(monkeypatch, home):
    def homeless():
        if home is None:
            raise RuntimeError("Could not determine home directory.")
        return Path(home)

    monkeypatch.setattr(Path, "home", homeless)
    assert without_home("/data/x") == with_home("/data/x") == "/data/x"


def test_numbers_are_not_looked_at():
    table = pd.DataFrame({"x": np.array([-1.5, np.nan])})
    pd.testing.assert_frame_equal(harmless_table(table), table)
