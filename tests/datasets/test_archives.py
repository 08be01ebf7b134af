"""CIFAR, EMNIST, SVHN, STL-10, Stanford Dogs, ImageNet: each on small files in the true
format."""

import io
import os
import pickle
import struct

import numpy as np
import pytest
import scipy.io
from PIL import Image

from al_sklearn.datasets import load_dataset
from tests.datasets.files import write_idx

RNG = np.random.default_rng(0)


def write_emnist(folder, split, n_classes, first=0, n=60):
    written = []
    for part in ("train", "test"):
        images = RNG.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        labels = (np.arange(n) % n_classes + first).astype(np.uint8)
        # As in the archive: column by column, gzipped.
        write_idx(
            folder / f"emnist-{split}-{part}-images-idx3-ubyte.gz",
            images.transpose(0, 2, 1).copy(),
        )
        write_idx(folder / f"emnist-{split}-{part}-labels-idx1-ubyte.gz", labels)
        written.append((images, labels))
    return written


@pytest.mark.parametrize(
    ("split", "n_classes", "first"),
    [
        ("balanced", 47, 0),
        ("byclass", 62, 0),
        ("bymerge", 47, 0),
        ("digits", 10, 0),
        ("letters", 26, 1),
        ("mnist", 10, 0),
    ],
)
def test_emnist(tmp_path, split, n_classes, first):
    written = write_emnist(
        tmp_path / "EMNIST" / "raw" / "gzip", split, n_classes, first, n=70
    )
    data = load_dataset("emnist", tmp_path, split=split)
    assert len(data.class_names) == n_classes == len(set(data.class_names))
    np.testing.assert_array_equal(data.X_train, written[0][0])
    np.testing.assert_array_equal(data.y_test, written[1][1].astype(int) - first)
    assert data.y_train.min() == 0 and data.y_train.max() == n_classes - 1


def test_emnists_classes_are_torchvisions(tmp_path):
    from torchvision.datasets import EMNIST

    write_emnist(tmp_path, "balanced", 47)
    assert (
        list(load_dataset("emnist", tmp_path).class_names)
        == EMNIST.classes_split_dict["balanced"]
    )
    write_emnist(tmp_path, "letters", 26, first=1)
    letters = load_dataset("emnist", tmp_path, split="letters").class_names
    assert ["N/A", *letters] == EMNIST.classes_split_dict["letters"]


def test_emnist_says_which_splits_there_are(tmp_path):
    with pytest.raises(
        ValueError, match=r"Unknown split of EMNIST 'letter'. Did you mean 'letters'"
    ):
        load_dataset("emnist", tmp_path, split="letter")
    with pytest.raises(
        FileNotFoundError, match="no emnist-mnist-train-images-idx3-ubyte or"
    ):
        load_dataset("emnist", tmp_path, split="mnist")
    write_emnist(tmp_path, "letters", 27, first=0)
    with pytest.raises(ValueError, match="labels from -1 to 25"):
        load_dataset("emnist", tmp_path, split="letters")


class Python2Pickler(pickle._Pickler):
    """Spells bytes as Python 2 spelt its str, as in the files that are online."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_python2_str(self, value):
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch[bytes] = save_python2_str


def dump_cifar(content, protocol):
    if protocol is not None:
        return pickle.dumps(content, protocol)
    file = io.BytesIO()
    Python2Pickler(file, 2).dump(content)
    return file.getvalue().replace(
        b"cnumpy._core.multiarray", b"cnumpy.core.multiarray"
    )


def write_cifar(folder, coarse=False, protocol=None, n=12):
    """Batches as the archive has them: pickled dicts of Python 2, rows of red, green
    and blue planes."""
    folder.mkdir(parents=True)
    files = (
        ["train", "test"]
        if coarse
        else [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    )
    written = {}
    for file in files:
        images = RNG.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
        batch = {
            b"data": images.transpose(0, 3, 1, 2).reshape(n, 3072),
            b"filenames": [b"a.png"] * n,
        }
        if coarse:
            batch |= {
                b"fine_labels": list(range(88, 88 + n)),
                b"coarse_labels": [i % 20 for i in range(n)],
            }
        else:
            batch |= {
                b"labels": [i % 10 for i in range(n)],
                b"batch_label": b"training batch 1 of 5",
            }
        (folder / file).write_bytes(dump_cifar(batch, protocol))
        written[file] = images, batch
    names = {b"label_names": [b"airplane", *[b"c%d" % i for i in range(1, 10)]]}
    if coarse:
        names = {
            b"fine_label_names": [b"f%d" % i for i in range(100)],
            b"coarse_label_names": [b"fish"] * 20,
        }
    (folder / ("meta" if coarse else "batches.meta")).write_bytes(
        dump_cifar(names, protocol)
    )
    return written


@pytest.mark.parametrize("protocol", [None, 2, 5])
def test_cifar10(tmp_path, protocol):
    written = write_cifar(tmp_path / "cifar-10-batches-py", protocol=protocol)
    data = load_dataset("cifar10", tmp_path)
    assert (
        data.X_train.shape == (60, 32, 32, 3)
        and data.X_train.dtype == np.uint8
        and len(data.X_test) == 12
    )
    np.testing.assert_array_equal(data.X_train[12:24], written["data_batch_2"][0])
    np.testing.assert_array_equal(data.X_test, written["test_batch"][0])
    assert (
        data.y_train[:12].tolist() == [*range(10), 0, 1]
        and data.class_names[0] == "airplane"
    )
    assert (
        load_dataset("cifar10", tmp_path / "cifar-10-batches-py").X_train.shape
        == data.X_train.shape
    )


def test_our_cifar_agrees_with_torchvisions(tmp_path, monkeypatch):
    from torchvision.datasets import CIFAR10

    write_cifar(tmp_path / "cifar-10-batches-py")
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)
    # These batches have not the checksums of the real ones, of which torchvision asks
    # the meta file's on its own.
    monkeypatch.setattr(CIFAR10, "_load_meta", lambda self: None)
    theirs, ours = CIFAR10(str(tmp_path), train=True), load_dataset("cifar10", tmp_path)
    np.testing.assert_array_equal(theirs.data, ours.X_train)
    assert theirs.targets == ours.y_train.tolist()


def test_cifar100(tmp_path):
    written = write_cifar(tmp_path / "cifar-100-python", coarse=True)
    fine, coarse = (
        load_dataset("cifar100", tmp_path),
        load_dataset("cifar100", tmp_path, labels="coarse"),
    )
    assert len(fine.class_names) == 100 and fine.y_train.tolist() == list(
        range(88, 100)
    )
    assert len(coarse.class_names) == 20 and coarse.y_test.tolist() == list(range(12))
    np.testing.assert_array_equal(fine.X_train, written["train"][0])
    with pytest.raises(
        ValueError,
        match=r"Unknown kind of labels of CIFAR-100 'course'. Did you mean 'coarse'",
    ):
        load_dataset("cifar100", tmp_path, labels="course")


class Evil:
    def __reduce__(self):
        return os.system, ("echo pwned > pwned",)


def test_a_pickle_cannot_run_a_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_cifar(tmp_path / "cifar-10-batches-py")
    batch = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    batch.write_bytes(pickle.dumps({b"data": Evil()}))
    with pytest.raises(
        ValueError,
        match=r"data_batch_3 is no whole batch of CIFAR "
        r"\(it asks for (posix|nt)\.system",
    ):
        load_dataset("cifar10", tmp_path)
    assert not (tmp_path / "pwned").exists()


def test_damaged_cifar_is_named(tmp_path):
    write_cifar(tmp_path / "cifar-10-batches-py")
    batch = tmp_path / "cifar-10-batches-py" / "data_batch_4"
    whole = batch.read_bytes()
    batch.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        ValueError, match=r"data_batch_4 is no whole batch of CIFAR .* fetch it again"
    ):
        load_dataset("cifar10", tmp_path)
    batch.write_bytes(
        pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]})
    )
    with pytest.raises(
        ValueError,
        match=r"data_batch_4 should hold uint8 rows .* \(2, 3072\) and 1 labels",
    ):
        load_dataset("cifar10", tmp_path)
    batch.write_bytes(
        pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 10]})
    )
    with pytest.raises(ValueError, match="labels from 0 to 10, there are 10 classes"):
        load_dataset("cifar10", tmp_path)
    batch.write_bytes(pickle.dumps([1]))
    with pytest.raises(ValueError, match="it holds a list, not a dict"):
        load_dataset("cifar10", tmp_path)
    batch.unlink()
    with pytest.raises(
        FileNotFoundError, match=r"no data_batch_4 in .* or download=True"
    ):
        load_dataset("cifar10", tmp_path)


def write_svhn(folder, split, n):
    images = RNG.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    labels = (np.arange(n) % 10 + 1).astype(np.uint8)[:, None]
    content = {"X": images.transpose(1, 2, 3, 0), "y": labels}
    scipy.io.savemat(folder / f"{split}_32x32.mat", content, do_compression=True)
    return images


def test_svhn(tmp_path):
    train, test, extra = (
        write_svhn(tmp_path, split, n)
        for split, n in (("train", 20), ("test", 11), ("extra", 15))
    )
    data = load_dataset("svhn", tmp_path)
    np.testing.assert_array_equal(data.X_train, train)
    np.testing.assert_array_equal(data.X_test, test)
    # The label 10 is the digit 0.
    assert data.y_train[:11].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    more = load_dataset("svhn", tmp_path, extra=True)
    np.testing.assert_array_equal(more.X_train, np.concatenate([train, extra]))
    assert len(more.y_train) == 35 and len(more.X_test) == 11


def test_damaged_svhn_is_named(tmp_path):
    write_svhn(tmp_path, "train", 20)
    with pytest.raises(FileNotFoundError, match=r"no test_32x32\.mat in"):
        load_dataset("svhn", tmp_path)
    path = tmp_path / "train_32x32.mat"
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"<html>not found</html>" * 20):
        path.write_bytes(damaged)
        with pytest.raises(
            ValueError,
            match=r"train_32x32\.mat is no whole \.mat file .* fetch it again",
        ):
            load_dataset("svhn", tmp_path)
    scipy.io.savemat(path, {"X": np.zeros((32, 32, 3, 2), np.uint8)})
    with pytest.raises(ValueError, match="lacks 'y'"):
        load_dataset("svhn", tmp_path)


def write_stl10(folder, n=6):
    folder.mkdir()
    written = {}
    for split in ("train", "test", "unlabeled"):
        images = RNG.integers(0, 256, (n, 96, 96, 3), dtype=np.uint8)
        # Plane by plane, and each plane column by column.
        images.transpose(0, 3, 2, 1).tofile(folder / f"{split}_X.bin")
        (np.arange(n) % 10 + 1).astype(np.uint8).tofile(folder / f"{split}_y.bin")
        written[split] = images
    (folder / "unlabeled_y.bin").unlink()
    (folder / "class_names.txt").write_text(
        "\n".join(["airplane", *[f"c{i}" for i in range(1, 10)]]) + "\n"
    )
    return written


def test_stl10(tmp_path):
    written = write_stl10(tmp_path / "stl10_binary")
    data = load_dataset("stl10", tmp_path)
    np.testing.assert_array_equal(data.X_train, written["train"])
    np.testing.assert_array_equal(data.X_test, written["test"])
    assert (
        data.y_train.tolist() == list(range(6))
        and data.class_names[0] == "airplane"
        and len(data.class_names) == 10
    )
    assert isinstance(data.X_unlabelled, np.memmap)
    np.testing.assert_array_equal(
        data.X_unlabelled[[4, 1]], written["unlabeled"][[4, 1]]
    )
    assert "6 without label" in repr(data)


def test_damaged_stl10_is_named(tmp_path):
    write_stl10(tmp_path / "stl10_binary")
    path = tmp_path / "stl10_binary" / "test_X.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with pytest.raises(
        ValueError,
        match=r"test_X\.bin holds 165,883 bytes, which are no whole images of 27,648",
    ):
        load_dataset("stl10", tmp_path)
    path.write_bytes(whole[:-27648])
    with pytest.raises(ValueError, match="5 images and 6 labels do not match"):
        load_dataset("stl10", tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"no test_X\.bin in"):
        load_dataset("stl10", tmp_path)


def write_photo(path, value=0, size=(8, 6)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)


def test_stanford_dogs(tmp_path):
    breeds = [
        "n02085620-Chihuahua",
        "n02085782-Japanese_spaniel",
        "n02095314-wire-haired_fox_terrier",
    ]
    for split, n in (("train", 2), ("test", 1)):
        files = [
            f"{breed}/{breed.partition('-')[0]}_{split}{i}.jpg"
            for breed in breeds
            for i in range(n)
        ]
        for file in files:
            write_photo(tmp_path / "Images" / file)
        cells = np.array([[file] for file in files], dtype=object)
        notes = np.array([[file[:-4]] for file in files], dtype=object)
        labels = np.repeat(np.arange(1, 4, dtype=float), n)[:, None]
        content = {"file_list": cells, "annotation_list": notes, "labels": labels}
        scipy.io.savemat(tmp_path / f"{split}_list.mat", content)
    data = load_dataset("stanford-dogs", tmp_path)
    assert data.class_names == (
        "Chihuahua",
        "Japanese spaniel",
        "wire-haired fox terrier",
    )
    assert data.y_train.tolist() == [0, 0, 1, 1, 2, 2] and data.y_test.tolist() == [
        0,
        1,
        2,
    ]
    assert all(os.path.isfile(path) for path in data.X_train + data.X_test)
    assert data.X_test[1].endswith("n02085782-Japanese_spaniel/n02085782_test0.jpg")
    (tmp_path / "test_list.mat").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"no test_list\.mat in .* it is in lists\.tar"
    ):
        load_dataset("stanford-dogs", tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder Images"):
        load_dataset("stanford-dogs", tmp_path / "Images")


@pytest.mark.parametrize("flat", [False, True])
def test_imagenet(tmp_path, flat):
    root = tmp_path / "ILSVRC" / "Data" / "CLS-LOC" if flat else tmp_path
    synsets = ["n01440764", "n01443537", "n02119789"]
    lines = ["ImageId,PredictionString"]
    for i, synset in enumerate(synsets):
        for j in range(2):
            write_photo(root / "train" / synset / f"{synset}_{j}.JPEG")
        name = f"ILSVRC2012_val_{3 - i:08d}"
        write_photo(root / "val" / ("" if flat else synset) / f"{name}.JPEG")
        lines.append(f"{name},{synset} 10 20 200 210 {synset} 1 2 3 4 ")
    (tmp_path / "LOC_synset_mapping.txt").write_text(
        "n01440764 tench, Tinca tinca\nn02119789 kit fox, Vulpes\n"
    )
    if flat:
        (tmp_path / "LOC_val_solution.csv").write_text("\n".join(lines) + "\n")
    data = load_dataset("imagenet", tmp_path)
    assert data.class_names == ("tench", "n01443537", "kit fox")
    assert (
        data.y_train.tolist() == [0, 0, 1, 1, 2, 2] and data.y_train.dtype == np.int64
    )
    assert data.y_test.tolist() == ([2, 1, 0] if flat else [0, 1, 2])
    if flat:
        (tmp_path / "LOC_val_solution.csv").unlink()
        with pytest.raises(
            FileNotFoundError, match=r"there is no LOC_val_solution\.csv"
        ):
            load_dataset("imagenet", tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder train"):
        load_dataset("imagenet", root / "val")
