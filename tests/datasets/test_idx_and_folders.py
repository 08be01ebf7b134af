"""Digits, idx files, folders of class folders, and what every data set has."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from al_sklearn.datasets import (
    ImageData,
    dataset_names,
    dataset_summaries,
    load_dataset,
)
from tests.datasets.files import make_folder, write_idx, write_mnist

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def test_digits_need_no_files():
    data = load_dataset("digits")
    assert (
        data.X_train.shape == (1437, 8, 8)
        and data.X_train.dtype == np.uint8
        and data.X_train.max() == 255
    )
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


@pytest.mark.skipif(
    not DEBIAN.is_dir(),
    reason="Debian's package dataset-fashion-mnist is not installed",
)
def test_the_real_fashion_mnist():
    data = load_dataset("fashion-mnist")
    assert data.X_train.shape == (60000, 28, 28) and data.X_test.shape == (
        10000,
        28,
        28,
    )
    assert np.bincount(data.y_train).tolist() == [6000] * 10


def test_damaged_files_are_named(tmp_path):
    write_mnist(tmp_path)
    images = tmp_path / "train-images-idx3-ubyte.gz"
    whole = images.read_bytes()
    images.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz is damaged"):
        load_dataset("mnist", tmp_path)
    images.write_bytes(gzip.compress(gzip.decompress(whole)[:-100]))
    with pytest.raises(
        ValueError,
        match=r"should hold 23536 bytes for shape \(30, 28, 28\), it holds 23436",
    ):
        load_dataset("mnist", tmp_path)
    # No idx file at all, and one that ends within its header.
    for content in (b"<html>not found</html>", gzip.decompress(whole)[:10]):
        images.write_bytes(gzip.compress(content))
        with pytest.raises(ValueError, match=r"ubyte\.gz is not an idx file"):
            load_dataset("mnist", tmp_path)
    write_idx(images, np.zeros((29, 28, 28), np.uint8))
    with pytest.raises(
        ValueError,
        match=r"images of shape \(29, 28, 28\) in .* do not match "
        r"labels of shape \(30,\)",
    ):
        load_dataset("mnist", tmp_path)
    images.unlink()
    with pytest.raises(FileNotFoundError, match="no train-images-idx3-ubyte or"):
        load_dataset("mnist", tmp_path)


def test_folders_of_class_folders(tmp_path):
    make_folder(tmp_path)
    data = load_dataset("folder", tmp_path)
    assert (
        data.class_names == ("cat", "dog")
        and data.X_test is None
        and len(data.X_train) == 6
    )
    assert data.y_train.tolist() == ["cat"] * 3 + ["dog"] * 3 and data.X_train[
        0
    ].endswith("0.png")
    assert "no test set" in repr(data)


def test_folders_with_train_and_test(tmp_path):
    make_folder(tmp_path / "train")
    make_folder(tmp_path / "test", n=1)
    data = load_dataset("folder", tmp_path)
    assert len(data.X_train) == 6 and data.y_test.tolist() == ["cat", "dog"]
    make_folder(tmp_path / "test", classes=("cow",))
    with pytest.raises(ValueError, match="classes that the train folder lacks: cow"):
        load_dataset("folder", tmp_path)


def test_leftovers_of_macos_and_capital_suffixes(tmp_path):
    make_folder(tmp_path)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(
        tmp_path / "cat" / "X.JPEG", "JPEG"
    )
    (tmp_path / "cat" / "._X.JPEG").write_bytes(b"resource fork")
    assert len(load_dataset("folder", tmp_path).X_train) == 7


def test_bad_requests(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"Unknown data set 'digit'. Did you mean 'digits'\? Available: cifar10,",
    ):
        load_dataset("digit")
    with pytest.raises(
        ValueError,
        match=r"Unknown option of the data set 'emnist' 'splits'. Did you mean 'split'",
    ):
        load_dataset("emnist", tmp_path, splits="letters")
    with pytest.raises(
        ValueError, match="on_corrupt must be None, 'raise' or 'skip', got 'ignore'"
    ):
        load_dataset("folder", tmp_path, on_corrupt="ignore")
    with pytest.raises(FileNotFoundError, match="give data_dir"):
        load_dataset("mnist")
    with pytest.raises(
        FileNotFoundError, match="give data_dir, the folder that the files are put into"
    ):
        load_dataset("fashion-mnist", download=True)
    with pytest.raises(FileNotFoundError, match="must be a folder of class folders"):
        load_dataset("folder", tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="holds no class folders with images"):
        load_dataset("folder", tmp_path)
    with pytest.raises(ValueError, match="cannot be downloaded"):
        load_dataset("folder", tmp_path, download=True)
    write_mnist(tmp_path)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", np.full(12, 46, np.uint8))
    with pytest.raises(
        ValueError, match="labels from 46 to 46, but mnist has 10 classes"
    ):
        load_dataset("mnist", tmp_path)


def test_every_name_says_what_it_is():
    names = [
        "cifar10",
        "cifar100",
        "csv",
        "digits",
        "droughtwatch",
        "emnist",
        "fashion-mnist",
        "folder",
        "hdf5",
    ]
    names += [
        "imagenet",
        "mnist",
        "npy",
        "npz",
        "parquet",
        "stanford-dogs",
        "stl10",
        "svhn",
        "zarr",
    ]
    assert set(names) <= set(dataset_names())
    summaries = dataset_summaries()
    assert all(len(summaries[name]) > 20 for name in names)
    assert summaries["emnist"].endswith("Options: split.")
    assert summaries["droughtwatch"].endswith("Options: bands, classes, hdf5_dir.")


def test_the_pools_view_is_the_training_set_itself():
    data = load_dataset("digits")
    assert data.X_pool is data.X_train
    with pytest.raises(ValueError, match="same length, got 2 images and 3 labels"):
        ImageData("bad", np.zeros((2, 4, 4), np.uint8), np.zeros(3, int))
    assert ImageData(
        "own", np.zeros((2, 4, 4), np.uint8), np.array([0, 2])
    ).class_names == ("0", "1", "2")
    assert ImageData("own", ["a", "b"], np.array(["x", "y"])).class_names == ("x", "y")
