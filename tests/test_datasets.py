"""Loaders on files in the true format."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from al_sklearn.datasets import dataset_names, load_dataset

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def write_idx(path, array, compress=True):
    codes = {np.dtype("uint8"): 0x08, np.dtype("float32"): 0x0D}
    raw = struct.pack(">HBB", 0, codes[array.dtype], array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    raw += array.astype(array.dtype.newbyteorder(">")).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(raw) if compress else raw)


def write_mnist(folder, compress=True):
    rng = np.random.default_rng(0)
    suffix = ".gz" if compress else ""
    written = {}
    for split, n in (("train", 30), ("t10k", 12)):
        written[split] = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8), (np.arange(n) % 10).astype(np.uint8)
        write_idx(folder / f"{split}-images-idx3-ubyte{suffix}", written[split][0], compress)
        write_idx(folder / f"{split}-labels-idx1-ubyte{suffix}", written[split][1], compress)
    return written


def test_digits_need_no_files():
    data = load_dataset("digits")
    assert data.X_train.shape == (1437, 8, 8) and data.X_train.dtype == np.uint8 and data.X_train.max() == 255
    assert len(data.X_test) == 360 and set(data.y_test) == set(range(10))
    assert repr(data) == "ImageData('digits': 1,437 to train, 360 to test, 10 classes)"


@pytest.mark.parametrize("layout", ["debian", "torchvision", "plain"])
def test_idx_files_in_each_layout(tmp_path, layout):
    folder = tmp_path / "FashionMNIST" / "raw" if layout == "torchvision" else tmp_path
    written = write_mnist(folder, compress=layout != "plain")
    data = load_dataset("fashion-mnist", tmp_path)
    np.testing.assert_array_equal(data.X_train, written["train"][0])
    np.testing.assert_array_equal(data.y_test, written["t10k"][1])
    assert data.class_names[9] == "Ankle boot" and data.y_train.dtype == np.int64


def test_our_parser_agrees_with_torchvisions(tmp_path):
    import torchvision

    written = write_mnist(tmp_path / "MNIST" / "raw", compress=False)
    theirs = torchvision.datasets.MNIST(str(tmp_path), train=True, download=False)
    ours = load_dataset("mnist", tmp_path)
    np.testing.assert_array_equal(theirs.data.numpy(), ours.X_train)
    np.testing.assert_array_equal(theirs.targets.numpy(), ours.y_train)
    np.testing.assert_array_equal(written["train"][0], ours.X_train)


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_the_real_fashion_mnist():
    data = load_dataset("fashion-mnist")
    assert data.X_train.shape == (60000, 28, 28) and data.X_test.shape == (10000, 28, 28)
    assert np.bincount(data.y_train).tolist() == [6000] * 10


def test_damaged_files_are_named(tmp_path):
    write_mnist(tmp_path)
    images = tmp_path / "train-images-idx3-ubyte.gz"
    whole = images.read_bytes()
    images.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz is damaged"):
        load_dataset("mnist", tmp_path)
    images.write_bytes(gzip.compress(gzip.decompress(whole)[:-100]))
    with pytest.raises(ValueError, match=r"should hold 23536 bytes for shape \(30, 28, 28\), it holds 23436"):
        load_dataset("mnist", tmp_path)
    images.write_bytes(gzip.compress(b"<html>not found</html>"))
    with pytest.raises(ValueError, match="is not an idx file"):
        load_dataset("mnist", tmp_path)
    write_idx(images, np.zeros((29, 28, 28), np.uint8))
    with pytest.raises(ValueError, match=r"images of shape \(29, 28, 28\) do not match labels of shape \(30,\)"):
        load_dataset("mnist", tmp_path)
    images.unlink()
    with pytest.raises(FileNotFoundError, match="no train-images-idx3-ubyte or"):
        load_dataset("mnist", tmp_path)


def test_download_goes_through_torchvision(tmp_path, monkeypatch):
    import torchvision

    def fetch(root, train, download):
        assert download
        write_mnist(Path(root) / "FashionMNIST" / "raw")

    monkeypatch.setattr(torchvision.datasets, "FashionMNIST", fetch)
    assert len(load_dataset("fashion-mnist", tmp_path, download=True).X_train) == 30


def make_folder(folder, classes=("cat", "dog"), n=3):
    for label in classes:
        (folder / label / "inner").mkdir(parents=True)
        for i in range(n):
            Image.fromarray(np.full((4, 5, 3), i, np.uint8)).save(folder / label / "inner" / f"{i}.png")
        (folder / label / "notes.txt").write_text("no image")


def test_folders_of_class_folders(tmp_path):
    make_folder(tmp_path)
    data = load_dataset("folder", tmp_path)
    assert data.class_names == ("cat", "dog") and data.X_test is None and len(data.X_train) == 6
    assert data.y_train.tolist() == ["cat"] * 3 + ["dog"] * 3 and data.X_train[0].endswith("0.png")
    assert "no test set" in repr(data)


def test_folders_with_train_and_test(tmp_path):
    make_folder(tmp_path / "train")
    make_folder(tmp_path / "test", n=1)
    data = load_dataset("folder", tmp_path)
    assert len(data.X_train) == 6 and data.y_test.tolist() == ["cat", "dog"]
    make_folder(tmp_path / "test", classes=("cow",))
    with pytest.raises(ValueError, match="classes that the train folder lacks: cow"):
        load_dataset("folder", tmp_path)


def test_bad_requests(tmp_path):
    with pytest.raises(
        ValueError, match=r"Unknown data set 'digit'. Did you mean 'digits'\? Available: digits, fashion"
    ):
        load_dataset("digit")
    with pytest.raises(FileNotFoundError, match="give data_dir"):
        load_dataset("mnist")
    with pytest.raises(FileNotFoundError, match="must be a folder of class folders"):
        load_dataset("folder", tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="holds no class folders with images"):
        load_dataset("folder", tmp_path)
    with pytest.raises(ValueError, match="cannot be downloaded"):
        load_dataset("folder", tmp_path, download=True)
    assert dataset_names() == ["digits", "fashion-mnist", "folder", "mnist"]
