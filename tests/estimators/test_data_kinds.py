"""Every kind of X gives the same bits as the array, and is read lazily; bad input says
what is wrong."""

import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_images
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from skorch.callbacks import EpochScoring
from skorch.dataset import Dataset as SkorchDataset
from skorch.dataset import ValidSplit
from skorch.helper import SliceDataset
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from al_sklearn._core import threads as _threads
from al_sklearn.estimators import ImageClassifier, ImageLoader
from al_sklearn.estimators._data import ImageDataset
from al_sklearn.pool import RowView, view_rows
from al_sklearn.rows import _decode
from al_sklearn.rows._decode import decode, decode_all
from al_sklearn.rows._image_files import ImageFiles


class Pairs(Dataset):
    """A user's data set: one (image, label) at a time, and nothing else to look at."""

    def __init__(self, X, y, convert=lambda image: image):
        self.rows, self.marks, self.convert = X, y, convert
        self.read = []

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        self.read.append(int(i))
        return self.convert(self.rows[i]), self.marks[i]


class Counting:
    """An array-like that remembers which rows were read."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.read = (
            array,
            array.shape,
            array.dtype,
            [],
        )

    def __len__(self):
        return len(self.array)

    def __getitem__(self, rows):
        self.read.append(np.arange(len(self.array))[rows])
        return self.array[rows]


@pytest.fixture(scope="module")
def colours(digits):
    """Digits as 8x8 colour images, (n, 8, 8, 3) uint8."""
    X, y = digits
    return np.stack([X, X.transpose(0, 2, 1), 255 - X], axis=3)[:90], y[:90]


def kinds(X, y, folder):
    """Name, X, y of every kind; ``y`` is None where X holds the labels."""
    memmap = np.memmap(folder / "X.dat", dtype=X.dtype, mode="w+", shape=X.shape)
    memmap[:] = X
    memmap.flush()
    paths = []
    for i, image in enumerate(X):
        paths.append(folder / f"{i:03d}.png")
        Image.fromarray(image).save(paths[-1])
    chosen = np.random.default_rng(0).permutation(len(X))
    back = np.argsort(chosen)
    twice = Subset(
        Subset(Pairs(X[chosen], y[chosen]), list(range(len(X)))), back.tolist()
    )
    yield (
        "memmap",
        np.memmap(folder / "X.dat", dtype=X.dtype, mode="r", shape=X.shape),
        y,
    )
    yield "tensor", torch.from_numpy(X), torch.from_numpy(y)
    yield "list of arrays", list(X), list(y)
    yield "list of paths", paths, y
    yield "array of names", np.array([str(path) for path in paths]), y
    yield "row view", view_rows(X[chosen], back), y
    yield "row view of paths", RowView([paths[i] for i in chosen], back), y
    yield "row view of a dataset", RowView(Pairs(X[chosen], y[chosen]), back), y
    yield (
        "image files",
        ImageFiles(paths, X.shape[1:3], mode="RGB" if X.ndim == 4 else "L"),
        y,
    )
    yield "torch dataset", Pairs(X, y), None
    yield "torch dataset of PIL images", Pairs(X, y, Image.fromarray), None
    yield "torch dataset, labels apart", Pairs(X, y), y
    yield "subset of a subset", twice, None
    yield (
        "tensor dataset",
        TensorDataset(torch.from_numpy(X), torch.from_numpy(y)),
        None,
    )
    yield "skorch dataset", SkorchDataset(X, y), None
    yield (
        "joined datasets",
        ConcatDataset([Pairs(X[:40], y[:40]), Pairs(X[40:], y[40:])]),
        None,
    )
    yield "slice dataset", SliceDataset(Pairs(X, y)), SliceDataset(Pairs(X, y), idx=1)
    yield "slice of a slice dataset", SliceDataset(Pairs(X[chosen], y[chosen]))[back], y
    yield "not contiguous", np.asfortranarray(X), y
    yield "counting", Counting(X), y


@pytest.mark.parametrize("grey", [True, False])
def test_lazy_inputs_equal_the_array_bit_for_bit(
    digits, colours, quick, tmp_path, grey
):
    X, y = (digits[0][:90], digits[1][:90]) if grey else colours
    expected = quick().fit(X, y).predict_proba(X)
    for name, images, labels in kinds(X, y, tmp_path):
        net = quick().fit(images, labels)
        np.testing.assert_array_equal(net.predict_proba(images), expected, err_msg=name)
        assert net.image_shape_ == ((1 if grey else 3), 8, 8), name


def test_hdf5(digits, quick, tmp_path):
    h5py = pytest.importorskip("h5py")
    X, y = digits[0][:60], digits[1][:60]
    with h5py.File(tmp_path / "X.h5", "w") as file:
        stored = file.create_dataset("X", data=X)
        net = quick().fit(stored, y)
        np.testing.assert_array_equal(
            net.predict_proba(stored), quick().fit(X, y).predict_proba(X)
        )


def test_only_what_is_needed_is_read(digits, quick):
    X, y = digits
    images = Counting(X)
    net = quick(batch_size=16, max_epochs=1).fit(X[:40], y[:40])
    net.set_params(iterator_valid__batch_size=100).predict_proba(images)
    assert max(len(rows) for rows in images.read) == 100
    assert sum(len(rows) for rows in images.read) == len(X) + 1

    pairs = Pairs(X, y)
    net.fit(Subset(pairs, list(range(50, 90))), None)
    assert set(pairs.read) == set(range(50, 90))


def test_layouts(digits, quick):
    X, y = digits
    last = np.repeat(X[:30, :, :, None], 3, axis=3)
    first = (last.transpose(0, 3, 1, 2) / 255).astype(np.float32)
    for images, shape in (
        (last, (3, 8, 8)),
        (first, (3, 8, 8)),
        (X[:30, :, :, None], (1, 8, 8)),
        (X[:30] / 255, (1, 8, 8)),
    ):
        assert quick(max_epochs=1).fit(images, y[:30]).image_shape_ == shape
    wide = np.zeros((20, 6, 12), np.uint8)
    assert quick(max_epochs=1).fit(wide, np.arange(20) % 2).image_shape_ == (1, 6, 12)
    half = torch.rand(
        20, 3, 8, 8, dtype=torch.float16, generator=torch.Generator().manual_seed(0)
    )
    assert quick(max_epochs=1).fit(half, np.arange(20) % 2).image_shape_ == (3, 8, 8)


def test_image_size_resizes_files(digits, quick, tmp_path):
    X, y = digits
    paths = []
    for i in range(20):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(X[i]).resize((8 + i, 8)).save(paths[-1])
    net = quick(image_size=(10, 12)).fit(paths, y[:20])
    assert net.image_shape_ == (1, 10, 12)
    assert net.predict(paths[:3]).shape == (3,)
    assert cross_val_score(quick(image_size=8), paths, y[:20] % 2, cv=2).shape == (2,)
    with pytest.raises(ValueError, match="All images must have one shape"):
        quick().fit(paths, y[:20])
    with pytest.raises(ValueError, match="image_size= resizes image files"):
        quick(image_size=8).fit(X[:20], y[:20])
    deep = tmp_path / "deep.png"
    Image.fromarray(X[0].astype(np.uint16) * 257).save(deep)
    image = ImageDataset([deep]).batch(slice(0, 1))[0][0, 0]
    np.testing.assert_allclose(image.numpy(), X[0] / 255, atol=1e-6)


def test_callbacks_can_score_any_kind_of_x(digits, quick, tmp_path):
    X, y = digits[0][:90], digits[1][:90]
    for name, images, labels in kinds(X, y, tmp_path):
        net = quick(
            train_split=ValidSplit(0.3, random_state=0),
            callbacks=[
                EpochScoring(
                    "accuracy", name="again", use_caching=False, lower_is_better=False
                )
            ],
        )
        net.fit(images, labels)
        assert net.history[-1, "again"] == net.history[-1, "valid_acc"], name


def test_worker_processes_give_the_same_batches(digits, quick):
    X, y = digits
    dataset = ImageDataset(X[:50], y[:50])
    for shuffle in (False, True):
        loaders = [
            ImageLoader(
                dataset,
                8,
                shuffle,
                torch.Generator().manual_seed(0),
                min_batches=9,
                num_workers=workers,
            )
            for workers in (0, 2)
        ]
        for (a, b), (c, d) in zip(*loaders, strict=True):
            assert torch.equal(a, c)
            np.testing.assert_array_equal(b, d)


def test_loader_sees_every_image_once_a_pass():
    images = np.arange(21, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    loader = ImageLoader(
        ImageDataset(images),
        4,
        shuffle=True,
        generator=torch.Generator().manual_seed(0),
    )
    batches = [batch[:, 0, 0, 0].tolist() for batch, _ in loader]
    assert [len(batch) for batch in batches] == [4, 4, 4, 4, 5]
    assert sorted(i for batch in batches for i in batch) == list(range(21))
    again = [batch[:, 0, 0, 0].tolist() for batch, _ in loader]
    assert again != batches
    with pytest.raises(ValueError, match="batch_size must be"):
        ImageLoader(ImageDataset(images), 0)


BAD_X = {
    "empty": (np.empty((0, 8, 8), np.uint8), "X is empty"),
    "empty list": ([], "X is empty"),
    "flattened": (
        np.zeros((20, 64)),
        r"X must be images.*got shape \(20, 64\).*reshape",
    ),
    "five axes": (np.zeros((20, 2, 1, 8, 8)), r"X must be images.*\(20, 2, 1, 8, 8\)"),
    "channels first bytes": (
        np.zeros((20, 3, 8, 8), np.uint8),
        "channels last.*looks like channels first",
    ),
    "channels last floats": (
        np.zeros((20, 8, 8, 3)),
        "channels first.*looks like channels last",
    ),
    "integers": (np.zeros((20, 8, 8), np.int64), "uint8.*or float, got int64"),
    "uint16": (np.zeros((20, 8, 8), np.uint16), "uint8.*or float, got"),
    "booleans": (np.zeros((20, 8, 8), bool), "uint8.*or float, got bool"),
    "no pixels": (np.zeros((20, 0, 8), np.uint8), "X must be images"),
    "none": (None, "X must be images.*got NoneType"),
    "missing files": (["nowhere.png"] * 20, "cannot be read as an image: nowhere.png"),
    "different shapes": (
        [np.zeros((8, 8), np.uint8)] * 19 + [np.zeros((9, 8), np.uint8)],
        "one shape",
    ),
    "different types": (
        [np.zeros((8, 8), np.uint8)] * 19 + [np.full((8, 8), 7.0)],
        r"float \(7 … 7\), those before them uint8 \(0 … 255\)",
    ),
}


@pytest.mark.parametrize("case", BAD_X)
def test_bad_images(digits, quick, case):
    X, message = BAD_X[case]
    y = np.arange(20) % 3
    with pytest.raises(ValueError, match=message):
        quick().fit(X, y if case not in ("empty", "empty list") else [])
    net = quick(max_epochs=1).fit(digits[0][:20], digits[1][:20])
    with pytest.raises(ValueError, match=message):
        net.predict(X)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_pixels(digits, quick, value):
    X, y = digits
    X = X[:40] / 255
    spoiled = X.copy()
    spoiled[17, 3, 4] = value
    with pytest.raises(ValueError, match="NaN or infinite pixels"):
        quick().fit(spoiled, y[:40])
    net = quick(max_epochs=1).fit(X, y[:40])
    with pytest.raises(ValueError, match="first in image 17"):
        net.predict(spoiled)
    with pytest.raises(ValueError, match="NaN or infinite pixels"):
        net.partial_fit(spoiled, y[:40])


def test_bad_labels(digits, quick):
    X, y = digits
    X = X[:30]
    with pytest.raises(ValueError, match="same length, got 30 images and 29 labels"):
        quick().fit(X, y[:29])
    with pytest.raises(ValueError, match="At least two classes"):
        quick().fit(X, np.zeros(30))
    with pytest.raises(ValueError, match="y is missing"):
        quick().fit(X, None)
    with pytest.raises(ValueError, match="missing labels"):
        quick().fit(X, np.where(y[:30] == 3, np.nan, y[:30]))
    with pytest.raises(ValueError, match="missing labels"):
        quick().fit(X, [None, *"ab" * 14, "a"])
    with pytest.raises(ValueError, match="Unknown label type"):
        quick().fit(X, np.linspace(0, 1, 30))
    with pytest.raises(ValueError, match="1d array"):
        quick().fit(X, np.zeros((30, 2)))
    with pytest.raises(
        ValueError, match=r"y contains \[.*not among the classes \[0, 1\]"
    ):
        quick(classes=[0, 1]).fit(X, y[:30])


def test_a_failed_fit_leaves_the_old_one_usable(digits, quick):
    X, y = digits
    net = quick().fit(X[:40], y[:40])
    expected = net.predict_proba(X[:10])
    for images, labels in ((np.zeros((5, 64)), y[:5]), (X[:5, :7], [1, 1, 1, 1, 1])):
        with pytest.raises(ValueError, match=r"images|classes"):
            net.fit(images, labels)
        np.testing.assert_array_equal(net.predict_proba(X[:10]), expected)


def test_other_shapes_than_in_fit(digits, quick):
    X, y = digits
    net = quick(max_epochs=1).fit(X[:40], y[:40])
    for images in (X[:, :7], np.repeat(X[..., None], 3, axis=3)):
        with pytest.raises(ValueError, match=r"fitted on \(1, 8, 8\)"):
            net.predict(images)
        with pytest.raises(ValueError, match=r"fitted on \(1, 8, 8\)"):
            net.partial_fit(images[:40], y[:40])


def test_bad_settings(digits, quick):
    X, y = digits
    X, y = X[:20], y[:20]
    for method in ("predict", "predict_proba"):
        with pytest.raises(NotFittedError):
            getattr(ImageClassifier(), method)(X)
    with pytest.raises(
        ValueError,
        match=r"Unknown network 'resnet2O'. Did you mean 'resnet20'.*small_cnn",
    ):
        quick(module="resnet2O").fit(X, y)
    with pytest.raises(
        ValueError, match="amp must be None, 'bf16' or 'fp16', got 'half'"
    ):
        quick(amp="half").fit(X, y)
    with pytest.raises(
        ValueError, match=r"Unknown augmentation 'flipcrop'. Did you mean 'flip_crop'"
    ):
        quick(augment="flipcrop").fit(X, y)
    with pytest.raises(ValueError, match="normalize must be 'auto'"):
        quick(normalize="imagenet").fit(X, y)
    with pytest.raises(ValueError, match="std of normalize"):
        quick(normalize=(0.5, 0)).fit(X, y)
    with pytest.raises(ValueError, match="batch_size must be"):
        quick(batch_size=0).fit(X, y)


@pytest.fixture(scope="module")
def photo():
    """A real photo, 427x640 RGB."""
    return Image.fromarray(load_sample_images().images[0])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [None, (40, 60)])
def test_photos_are_upright(photo, tmp_path, orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo.save(tmp_path / "photo.png", exif=exif)
    with Image.open(tmp_path / "photo.png") as image:
        upright = ImageOps.exif_transpose(image)
        upright.load()
    found = decode(tmp_path / "photo.png", size)
    expected = np.asarray(upright if size is None else upright.resize(size[::-1]))
    assert found.shape == expected.shape
    # Turned after resizing, not before: the filter's sums come in another order.
    assert np.abs(found.astype(int) - expected).max() <= (0 if size is None else 3)


def test_modes_of_files(photo, tmp_path):
    small = photo.resize((20, 10))
    clear = small.convert("RGBA")
    clear.putalpha(Image.new("L", (20, 10), 0))
    palette = small.quantize(8)
    for name, image, shape, close in (
        ("rgb.png", small, (10, 20, 3), 0),
        ("grey.png", small.convert("L"), (10, 20), 0),
        ("bits.png", small.convert("1"), (10, 20), 0),
        ("palette.png", palette, (10, 20, 3), 0),
        ("cmyk.tif", small.convert("CMYK"), (10, 20, 3), 2),
        ("cmyk.jpg", small.convert("CMYK"), (10, 20, 3), 40),
        (
            "half.png",
            Image.merge("LA", (small.convert("L"), Image.new("L", (20, 10), 255))),
            (10, 20),
            0,
        ),
    ):
        image.save(tmp_path / name)
        found = decode(tmp_path / name)
        assert found.shape == shape and found.dtype == np.uint8, name
        expected = np.asarray(image.convert("L" if len(shape) == 2 else "RGB"))
        assert np.abs(found.astype(int) - expected).max() <= close, name
        assert decode(tmp_path / name, mode="RGB").shape == (10, 20, 3)
        assert decode(tmp_path / name, 8, "L").shape == (8, 8)
    clear.save(tmp_path / "clear.png")
    assert (decode(tmp_path / "clear.png") == 255).all(), (
        "what is transparent lies on white"
    )
    index = palette.getpixel((3, 3))
    palette.save(tmp_path / "hole.png", transparency=index)
    hole = decode(tmp_path / "hole.png")
    where = np.asarray(palette) == index
    assert (hole[where] == 255).all() and (
        hole[~where] == np.asarray(palette.convert("RGB"))[~where]
    ).all()
    deep = np.linspace(0, 65535, 200).astype(np.uint16).reshape(10, 20)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_allclose(decode(tmp_path / "deep.png"), deep / 65535, atol=1e-6)
    np.testing.assert_allclose(
        decode(tmp_path / "deep.png", mode="L"), deep / 257, atol=0.51
    )
    assert decode(tmp_path / "deep.png", mode="RGB").shape == (10, 20, 3)
    Image.fromarray(deep.astype(np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(ValueError, match="no known range"):
        decode(tmp_path / "float.tif")


def test_large_jpegs_are_decoded_small(photo, tmp_path):
    photo.save(tmp_path / "photo.jpg", quality=95)
    with Image.open(tmp_path / "photo.jpg") as image:
        whole = np.asarray(image.convert("RGB").resize((64, 48))).astype(int)
    difference = np.abs(decode(tmp_path / "photo.jpg", (48, 64)) - whole)
    assert difference.mean() < 2 and difference.max() < 40


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "text"])
def test_a_damaged_file_is_named(photo, tmp_path, damage):
    paths = [tmp_path / f"{i}.jpg" for i in range(4)]
    for path in paths:
        photo.resize((32, 32)).save(path)
    if damage == "missing":
        paths[2].unlink()
    else:
        whole = paths[2].read_bytes()
        paths[2].write_bytes(
            {"empty": b"", "cut": whole[: len(whole) // 2], "text": b"no image at all"}[
                damage
            ]
        )
    for read in (
        lambda: decode_all(paths, 8, n_threads=2),
        lambda: ImageFiles(paths, 8)[:],
        lambda: ImageFiles(paths, 8, cache=tmp_path / "cache")[:],
        lambda: ImageDataset(paths, image_size=8).batch(slice(0, 4)),
    ):
        with pytest.raises(ValueError, match=r"cannot be read as an image: .*2\.jpg"):
            read()


def test_threads_decode_the_same(photo, tmp_path):
    paths = []
    for i in range(9):
        paths.append(tmp_path / f"{i}.jpg")
        photo.crop((i, i, 300 + i, 200 + i)).save(paths[-1])
    one, four = (decode_all(paths, (30, 40), n_threads=n) for n in (1, 4))
    np.testing.assert_array_equal(np.stack(one), np.stack(four))
    assert ("decode", 4) in _threads._pools


@pytest.fixture
def files(photo, tmp_path):
    paths = []
    for i in range(12):
        paths.append(str(tmp_path / f"{i}.png"))
        photo.crop((9 * i, 0, 9 * i + 64, 64)).save(paths[-1])
    return paths


def test_image_files_are_an_array(files):
    images = ImageFiles(files, (16, 24))
    whole = np.stack([decode(path, (16, 24)) for path in files])
    assert (
        images.shape == whole.shape == (12, 16, 24, 3)
        and images.dtype == np.uint8
        and images.ndim == 4
    )
    np.testing.assert_array_equal(images, whole)
    np.testing.assert_array_equal(images[[5, -1, 5]], whole[[5, 11, 5]])
    np.testing.assert_array_equal(images[3], whole[3])
    np.testing.assert_array_equal(view_rows(images, [7, 2])[:], whole[[7, 2]])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(images))[1:3], whole[1:3])
    assert repr(images) == "ImageFiles(12 files as 16x24 RGB)"
    with pytest.raises(ValueError, match="mode must be"):
        ImageFiles(files, 8, mode="BGR")
    for size in (0, (4, 4, 3)):
        with pytest.raises(ValueError, match="image_size must be"):
            ImageFiles(files, size)


def test_kept_images_are_decoded_once(files, tmp_path, monkeypatch):
    decoded = []
    real = _decode.decode
    monkeypatch.setattr(
        _decode, "decode", lambda path, *rest: decoded.append(path) or real(path, *rest)
    )
    images = ImageFiles(files, 16, cache=tmp_path / "cache")
    whole = np.stack([real(path, 16) for path in files])
    token = images.token()
    np.testing.assert_array_equal(images[[4, 2, 4]], whole[[4, 2, 4]])
    assert sorted(decoded) == sorted([files[2], files[4]])
    np.testing.assert_array_equal(images[:], whole)
    again = pickle.loads(pickle.dumps(images))
    np.testing.assert_array_equal(again[::-1], whole[::-1])
    assert len(decoded) == 12 and len(set(decoded)) == 12
    # Another list of the same files, and one that has changed.
    Image.fromarray(whole[0]).save(files[7])
    os.utime(files[7], ns=(1, 1))
    other = ImageFiles(files[6:9], 16, cache=tmp_path / "cache")
    np.testing.assert_array_equal(other[:], np.stack([whole[6], whole[0], whole[8]]))
    assert decoded[12:] == [files[7]] and images.token() != token
    # What a killed process left half-written.
    folder = tmp_path / "cache" / "16x16-RGB"
    for name, rest in (("rows.bin", b"half an image"), ("keys.bin", b"abc")):
        with (folder / name).open("ab") as file:
            file.write(rest)
    photo = tmp_path / "new.png"
    Image.fromarray(whole[3]).save(photo)
    np.testing.assert_array_equal(
        ImageFiles([files[1], photo], 16, cache=tmp_path / "cache")[:], whole[[1, 3]]
    )
    assert (folder / "rows.bin").stat().st_size == 14 * whole[0].nbytes


def test_a_view_of_files_is_scored_like_the_files(digits, quick, tmp_path):
    X, y = digits
    paths = []
    for i in range(60):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(X[i]).save(paths[-1])
    net = quick().fit(X[:40], y[:40])
    learner_view = RowView(paths, np.arange(59, 19, -1))
    np.testing.assert_array_equal(
        net.predict_proba(learner_view), net.predict_proba(X[59:19:-1])
    )


def test_kept_rows_are_read_while_another_process_writes(files, tmp_path):
    images = ImageFiles(files, 16, cache=tmp_path)
    whole = images[:]
    with (tmp_path / "16x16-RGB" / "rows.bin").open("ab") as pixels:
        pixels.write(b"half an image")
    np.testing.assert_array_equal(images[:], whole)
    np.testing.assert_array_equal(
        ImageFiles(files, 16, cache=tmp_path)[[3]], whole[[3]]
    )
    assert images[[]].shape == (0, 16, 16, 3)


def test_a_folder_of_kept_rows_that_was_begun_anew(files, tmp_path):
    images = ImageFiles(files, 16, cache=tmp_path)
    whole = images[:]
    # In the same files, as where a file system gives an inode to the next that asks.
    for name in ("keys.bin", "rows.bin"):
        (tmp_path / "16x16-RGB" / name).write_bytes(b"")
    ImageFiles(files[::-1], 16, cache=tmp_path)[:]
    np.testing.assert_array_equal(images[:], whole)


def test_kept_rows_in_threads(files, tmp_path):
    whole = ImageFiles(files, 16)[:]
    images = ImageFiles(files, 16, cache=tmp_path)
    images[:6]
    for _ in range(20):
        fresh = pickle.loads(pickle.dumps(images))
        with ThreadPoolExecutor(8) as threads:
            for rows in threads.map(lambda i, X=fresh: X[[i, 11 - i]], range(12)):
                assert rows.shape == (2, 16, 16, 3)
        np.testing.assert_array_equal(fresh[:], whole)


def test_damaged_headers_and_unknown_ranges_are_named(tmp_path):
    (tmp_path / "letters.ppm").write_bytes(b"P6 4x 4 255 " + bytes(48))
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tif")
    for name in ("letters.ppm", "float.tif"):
        with pytest.raises(ValueError, match=name):
            decode(tmp_path / name)


def test_image_size_from_a_grid_of_numpy(files):
    np.testing.assert_array_equal(decode(files[0], np.int64(16)), decode(files[0], 16))
