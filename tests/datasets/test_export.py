"""Labelled images as class folders."""

import os

import numpy as np
import pytest
from PIL import Image

from al_sklearn.datasets import export_image_folder, load_dataset
from al_sklearn.pool import Pool
from tests.datasets.files import make_folder


@pytest.mark.parametrize("mode", ["copy", "hardlink", "symlink"])
def test_files_there_and_back(tmp_path, mode, monkeypatch):
    make_folder(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    data = load_dataset("folder", "photos")  # relative paths
    folder = export_image_folder(
        tmp_path / "out", data.X_train, data.y_train, mode=mode, progress=False
    )
    back = load_dataset("folder", folder)
    assert back.y_train.tolist() == data.y_train.tolist() and len(back.X_train) == 6
    for ours, theirs in zip(back.X_train, data.X_train, strict=True):
        assert np.array_equal(np.array(Image.open(ours)), np.array(Image.open(theirs)))
        assert os.path.islink(ours) == (mode == "symlink")
        assert os.path.samefile(ours, theirs) == (mode != "copy")
    with pytest.raises(FileExistsError, match="out is not empty"):
        export_image_folder(tmp_path / "out", data.X_train, data.y_train)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_a_pool_has_labelled(tmp_path, digits):
    X, y = digits
    pool = Pool(len(X))
    pool.move([300, 4, 77], "labelled")
    answers = y[pool.labelled]
    folder = export_image_folder(
        tmp_path / "out",
        X,
        answers,
        indices=pool.labelled,
        class_names=[f"d{i}" for i in range(10)],
    )
    written = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))
    assert written == sorted(f"d{y[i]}/{i:04d}.png" for i in (300, 4, 77))
    assert np.array_equal(
        np.array(Image.open(folder / f"d{y[77]}" / "0077.png")), X[77]
    )
    # Labels of all of X do as well.
    other = export_image_folder(tmp_path / "other", X, y, indices=[5])
    assert [path.name for path in other.iterdir()] == [str(y[5])]


def test_names_that_would_clash_or_lead_away(tmp_path):
    make_folder(tmp_path / "photos")
    data = load_dataset("folder", tmp_path / "photos")  # inner/0.png in both classes
    folder = export_image_folder(tmp_path / "out", data.X_train, ["T-shirt/top"] * 6)
    assert sorted(os.listdir(folder)) == ["T-shirt_top"]
    assert sorted(os.listdir(folder / "T-shirt_top")) == [
        f"{i}_{i % 3}.png" for i in range(6)
    ]
    evil = export_image_folder(tmp_path / "evil", data.X_train[:2], ["../../x", ".."])
    assert (
        sorted(os.listdir(evil)) == [".._.._x", "_"] and len(os.listdir(tmp_path)) == 3
    )
    with pytest.raises(
        ValueError, match="The classes a/b and a_b would share the folder"
    ):
        export_image_folder(tmp_path / "clash", data.X_train[:2], ["a/b", "a_b"])
    with pytest.raises(ValueError, match="would share the folder"):
        export_image_folder(tmp_path / "clash", data.X_train[:2], ["Cat", "cat"])


def test_nothing_half_written_stays(tmp_path):
    make_folder(tmp_path / "photos")
    data = load_dataset("folder", tmp_path / "photos")
    os.unlink(data.X_train[4])
    for mode in ("copy", "hardlink", "symlink"):
        with pytest.raises(FileNotFoundError):
            export_image_folder(tmp_path / "out", data.X_train, data.y_train, mode=mode)
    assert os.listdir(tmp_path) == ["photos"]


def test_mistakes(tmp_path, digits):
    X, y = digits
    with pytest.raises(
        ValueError, match=r"Unknown mode 'move'. Available: copy, hardlink, symlink"
    ):
        export_image_folder(tmp_path / "out", X, y, mode="move")
    with pytest.raises(ValueError, match="same length, got 2 images and 3 labels"):
        export_image_folder(tmp_path / "out", X, y[:3], indices=[1, 2])
    with pytest.raises(
        ValueError, match=r"made of uint8 images .* got float64 of shape \(3, 8, 8\)"
    ):
        export_image_folder(tmp_path / "out", X[:3] / 2, y[:3])
    with pytest.raises(ValueError, match="class_names has 2 names"):
        export_image_folder(tmp_path / "out", X, y, class_names=["a", "b"])
    assert os.listdir(tmp_path) == []


def test_colour_and_one_channel(tmp_path):
    rng = np.random.default_rng(0)
    for channels in (1, 3, 4):
        X = rng.integers(0, 256, (2, 5, 6, channels), dtype=np.uint8)
        folder = export_image_folder(tmp_path / str(channels), X, ["a", "b"])
        read = np.array(Image.open(folder / "b" / "1.png"))
        assert np.array_equal(read, X[1, ..., 0] if channels == 1 else X[1])
