"""One mode for the files of a list, one scale for the pixels of a training set, labels
that are what items say, and columns of paths."""

import os

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.pipeline import make_pipeline
from torch import nn
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from al_sklearn import ActiveLearner, Committee
from al_sklearn.estimators import FrozenBackbone
from al_sklearn.estimators._data import ImageDataset
from al_sklearn.rows import PixelRange, fingerprint, plain_labels
from al_sklearn.strategies.selectors import perceptual_hash

RNG = np.random.default_rng(0)
y8 = np.arange(8) % 2


@pytest.fixture
def photos(tmp_path):
    """Seven colour photos and, last, a grey one."""
    paths = []
    for i in range(8):
        paths.append(str(tmp_path / f"{i}.png"))
        image = Image.fromarray(RNG.integers(0, 256, (9, 9, 3), dtype=np.uint8))
        (image.convert("L") if i == 7 else image).save(paths[-1])
    return paths


def network(channels=3):
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 2),
    )


# ---- modes


def test_a_grey_photo_among_colour_is_read_in_colour(photos, quick):
    net = quick(max_epochs=1).fit(photos, y8)
    assert net.image_shape_ == (3, 9, 9) and net.image_mode_ == "RGB"
    grey = np.asarray(Image.open(photos[7]))
    batch = ImageDataset(photos).batch(np.array([7, 0]))[0]
    np.testing.assert_array_equal(batch[0], np.stack([grey] * 3))
    # Also where the one to be read comes alone, or first.
    fitted_on_colour = quick(max_epochs=1).fit(photos[:7], y8[:7])
    assert fitted_on_colour.predict(photos[7:]).shape == (1,)
    turned = quick(max_epochs=1).fit(photos[::-1], y8)
    np.testing.assert_allclose(
        turned.image_statistics_[0], net.image_statistics_[0], rtol=1e-5
    )
    indices, rows = ActiveLearner(fitted_on_colour, "margin").query(photos, 2)
    assert len(indices) == 2 and set(rows) <= set(photos)


def test_what_fit_saw_holds_afterwards(photos, quick):
    grey = quick(max_epochs=1).fit(photos[7:] * 8, y8)
    assert grey.image_mode_ == "L" and grey.predict(photos).shape == (8,)
    # Fitted on arrays: their channels tell.
    arrays = quick(max_epochs=1).fit(RNG.integers(0, 256, (8, 9, 9)).astype("u1"), y8)
    assert arrays.image_mode_ == "L" and arrays.predict(photos).shape == (8,)
    said = quick(max_epochs=1, mode="RGB").fit(photos[7:] * 8, y8)
    assert said.image_shape_ == (3, 9, 9)
    assert quick(max_epochs=1, mode="L").fit(photos, y8).image_shape_ == (1, 9, 9)
    with pytest.raises(
        ValueError, match="mode must be one of 'RGB', 'L', 'I;16', None"
    ):
        quick(mode="grey").fit(photos, y8)


def test_sixteen_bits_beside_eight(tmp_path, quick):
    deep, plain = tmp_path / "deep.png", tmp_path / "plain.png"
    values = np.linspace(0, 65535, 81).astype(np.uint16).reshape(9, 9)
    Image.fromarray(values).save(deep)
    Image.fromarray((values >> 8).astype(np.uint8)).save(plain)
    alone = ImageDataset([deep, deep])
    assert (
        alone.image_mode() == "I;16"
        and alone.batch(slice(0, 1))[0].dtype.is_floating_point
    )
    both = ImageDataset([deep, plain])
    assert both.image_mode() == "L" and both.batch(slice(0, 2))[0].dtype == torch.uint8
    net = quick(max_epochs=1).fit([deep] * 8, y8)
    proba = net.predict_proba([deep, plain])
    assert net.image_mode_ == "I;16" and np.abs(proba[0] - proba[1]).max() < 0.05


def opened(path):
    with Image.open(path) as image:
        image.load()
    return image


class Pictures(Dataset):
    """PIL images of any mode, as pairs or as dicts."""

    def __init__(self, paths, labels, as_dict=False):
        self.paths, self.labels, self.as_dict = paths, labels, as_dict

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, i):
        image, label = opened(self.paths[i]), int(self.labels[i])
        return {"image": image, "label": label} if self.as_dict else (image, label)


@pytest.mark.parametrize("as_dict", [False, True])
def test_pil_images_of_data_sets_follow_the_same_rule(photos, quick, as_dict):
    data = Pictures(photos, y8, as_dict)
    net = quick(max_epochs=1).fit(data, None)
    of_files = quick(max_epochs=1).fit(photos, y8)
    np.testing.assert_array_equal(
        net.predict_proba(data), of_files.predict_proba(photos)
    )
    in_a_list = [opened(path) for path in photos]
    np.testing.assert_array_equal(
        net.predict_proba(in_a_list), of_files.predict_proba(photos)
    )
    np.testing.assert_array_equal(
        net.predict(Subset(data, [7])), net.predict(photos[7:])
    )


def test_dicts_without_an_image_are_refused(photos, quick):
    class Strange(Pictures):
        def __getitem__(self, i):
            return {"photo": opened(self.paths[i]), "label": 0}

    with pytest.raises(
        ValueError, match=r"dicts of 'photo', 'label'; the image must be"
    ):
        quick().fit(Strange(photos, y8), y8)


def test_a_frozen_network_sees_one_mode(photos):
    backbone = FrozenBackbone(network(), layer="2", image_size=9)
    features = backbone.fit_transform(photos[:7])
    assert backbone.image_mode_ == "RGB"
    both = backbone.transform(photos)
    np.testing.assert_array_equal(both[:7], features)
    # Kept by how it is read: grey alone is another image to another network.
    grey = FrozenBackbone(network(1), layer="2", image_size=9, mode="L")
    assert grey.fit_transform(photos).shape == (8, 4)
    array = np.asarray(Image.open(photos[7]))[None]
    np.testing.assert_allclose(
        backbone.transform(np.repeat(array[..., None], 3, axis=3)), both[7:], atol=1e-5
    )


# ---- scales


@pytest.fixture
def scales(digits):
    """The same digits as bytes, as shares of white, and as numbers beyond."""
    X, y = digits
    X, y = X[:60], y[:60] % 2
    return {"bytes": X, "shares": (X / 255).astype("f4"), "beyond": X.astype("f4")}, y


@pytest.mark.parametrize("first", ["bytes", "shares"])
@pytest.mark.parametrize("second", ["bytes", "shares"])
def test_bytes_and_shares_are_one_scale(scales, quick, first, second):
    X, y = scales
    net = quick(max_epochs=3).fit(X[first], y)
    np.testing.assert_allclose(
        net.predict_proba(X[second]), net.predict_proba(X[first]), atol=1e-4
    )
    learner = ActiveLearner(
        quick(max_epochs=1), X_training=X[first][:20], y_training=y[:20]
    )
    learner.teach(X[second][20:40], y[20:40])
    whole = np.asarray(learner.X_training, dtype=np.float64)
    factor = 1 if whole.max() <= 1 else 255
    np.testing.assert_allclose(whole / factor, X["bytes"][:40] / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("first", "second"),
    [("bytes", "beyond"), ("shares", "beyond"), ("beyond", "bytes")],
)
def test_another_scale_is_refused_with_both_ranges(scales, quick, first, second):
    X, y = scales
    said = {
        "bytes": r"uint8 \(0 … 255\)",
        "shares": r"float \(0 … 1\)",
        "beyond": r"float \(0 … 25\d\)",
    }
    message = f"The images are {said[second]}, those before them {said[first]}"
    net = quick(max_epochs=1).fit(X[first], y)
    weights = net.module_.state_dict()["head.4.weight"].clone()
    for call in (
        lambda: net.predict(X[second]),
        lambda: net.partial_fit(X[second], y),
        lambda: ActiveLearner(net, "margin").query(X[second], 2),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert torch.equal(net.module_.state_dict()["head.4.weight"], weights)
    learner = ActiveLearner(quick(max_epochs=1), X_training=X[first], y_training=y)
    committee = Committee([learner])
    for one in (learner, committee):
        with pytest.raises(ValueError, match=message):
            one.teach(X[second], y)
    assert len(learner.X_training) == 60
    backbone = FrozenBackbone(network(1), layer="2")
    backbone.fit(X[first][X["bytes"].max(axis=(1, 2)) > 200])
    if first != "shares":
        with pytest.raises(ValueError, match="those before them"):
            backbone.transform(X[second])


def test_floats_of_different_ranges_are_never_refused(scales, quick):
    X, y = scales
    net = quick(max_epochs=1).fit(X["beyond"], y)
    for other in (X["beyond"] / 2, X["shares"], 3 * X["beyond"], -X["beyond"]):
        assert net.predict(other).shape == (60,)
    learner = ActiveLearner(quick(max_epochs=1), X_training=X["beyond"], y_training=y)
    learner.teach(-2 * X["beyond"], y)
    assert len(learner.X_training) == 120
    # A resizing filter goes a little beyond black and white.
    assert quick(max_epochs=1).fit(X["bytes"], y).predict(X["shares"] * 1.05).size == 60


def test_colours_change_their_layout_with_their_scale(quick):
    X = RNG.integers(0, 256, (20, 8, 9, 3), dtype=np.uint8)
    shares = (X.transpose(0, 3, 1, 2) / 255).astype("f4")
    y = np.arange(20) % 2
    for first, second in ((X, shares), (shares, X)):
        learner = ActiveLearner(quick(max_epochs=1), X_training=first, y_training=y)
        learner.teach(second, y)
        known = learner.X_training
        np.testing.assert_allclose(known, np.concatenate([shares, shares]), atol=1e-6)
    tensors = ActiveLearner(
        quick(max_epochs=1), X_training=torch.from_numpy(X), y_training=y
    ).teach(torch.from_numpy(shares), y)
    np.testing.assert_allclose(
        tensors.X_training, np.concatenate([shares, shares]), atol=1e-6
    )


def test_data_sets_that_mix_bytes_and_shares(scales, quick):
    X, y = scales
    pairs = [
        TensorDataset(torch.from_numpy(X[name][:30]), torch.from_numpy(y[:30]))
        for name in ("bytes", "shares", "beyond")
    ]
    mixed = quick(max_epochs=1).fit(ConcatDataset(pairs[:2]), np.tile(y[:30], 2))
    plain = quick(max_epochs=1).fit(
        np.concatenate([X["shares"][:30], X["shares"][:30]]), np.tile(y[:30], 2)
    )
    np.testing.assert_allclose(
        mixed.image_statistics_[0], plain.image_statistics_[0], rtol=1e-4
    )
    with pytest.raises(ValueError, match="one scale"):
        quick(max_epochs=1).fit(ConcatDataset(pairs[::2]), np.tile(y[:30], 2))
    in_one_list = ImageDataset([X["bytes"][0], X["shares"][1]]).batch(slice(0, 2))[0]
    np.testing.assert_allclose(in_one_list[:, 0], X["shares"][:2], atol=1e-6)


def test_rows_that_are_no_images_are_left_alone():
    from sklearn.linear_model import LogisticRegression

    X = RNG.integers(0, 9, (20, 4)).astype(np.uint8)
    learner = ActiveLearner(
        make_pipeline(LogisticRegression()),
        X_training=X / 9.0,
        y_training=y8.repeat(3)[:20],
    )
    learner.teach(X, y8.repeat(3)[:20])
    assert learner.X_training.max() == X.max()
    assert str(PixelRange(0.0, 1.0, True)) == "uint8 (0 … 255) and float (0 … 1)"


# ---- labels of data sets


class Targets(Dataset):
    """What it calls ``targets`` is not what its items say."""

    def __init__(self, X, y):
        self.X, self.targets, self.labels = X, list(y), list(y)

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i], int(self.targets[i]) // 5


def test_labels_are_what_items_say(digits, quick):
    X, y = digits
    data = Targets(X[:40], y[:40])
    assert quick(max_epochs=1).fit(data, None).classes_.tolist() == [0, 1]
    some = Subset(Subset(data, list(range(5, 40))), list(range(20)))
    expected = [data[i][1] for i in range(5, 25)]
    np.testing.assert_array_equal(ImageDataset(some).labels(), expected)
    pairs = TensorDataset(torch.from_numpy(X[:9]), torch.from_numpy(y[:9]))
    np.testing.assert_array_equal(ImageDataset(pairs).labels(), y[:9])


def test_labels_of_torchvision_are_read_without_images(digits, tmp_path, quick):
    from torchvision.datasets import CIFAR10, MNIST, ImageFolder

    class Small(CIFAR10):
        def __init__(self, target_transform=None):
            self.data = RNG.integers(0, 255, (20, 8, 8, 3)).astype(np.uint8)
            self.targets = [i % 10 for i in range(20)]
            self.transform, self.target_transform = None, target_transform
            self.read = 0

    class Counting(Small):
        def __getitem__(self, i):
            self.read += 1
            return super().__getitem__(i)

    class Odd(Small):
        def __getitem__(self, i):
            image, label = super().__getitem__(i)
            return image, label % 2

    plain = Small()
    assert ImageDataset(plain).labels().tolist() == plain.targets
    assert ImageDataset(Small(lambda label: label % 3)).labels().max() == 2
    assert set(ImageDataset(Odd()).labels()) == {0, 1}
    counting = Counting()
    ImageDataset(counting).labels()
    assert counting.read == 20
    for i, path in enumerate(("a/0.png", "b/1.png")):
        (tmp_path / path).parent.mkdir()
        Image.fromarray(digits[0][i]).save(tmp_path / path)
    folder = ImageFolder(tmp_path)
    folder.targets = [5, 5]
    assert ImageDataset(folder).labels().tolist() == [0, 1]
    assert MNIST.__getitem__ is not CIFAR10.__getitem__


# ---- columns and other kinds


def test_columns_of_paths(photos, quick):
    table = pd.DataFrame({"path": photos, "label": list("ab" * 4)})
    expected = quick(max_epochs=1).fit(photos, table["label"]).predict_proba(photos)
    strings = np.array(photos, dtype=np.dtypes.StringDType())
    labels = np.array(list("ab" * 4), dtype=np.dtypes.StringDType())
    turned = table.set_index(pd.Index(range(8, 0, -1)))
    for X in (
        table["path"],
        turned["path"],
        table["path"].values,
        table["path"].astype(object),
        pd.Index(photos),
        pd.Series(photos).astype("category"),
        strings,
        np.array(photos, dtype=object),
    ):
        net = quick(max_epochs=1).fit(X, labels)
        np.testing.assert_array_equal(net.predict_proba(X), expected)
        assert net.classes_.tolist() == ["a", "b"]
        assert len(fingerprint(X)["hash"]) == 32
        learner = ActiveLearner(net, "margin", X_training=X, y_training=labels)
        indices, rows = learner.query(X, 3)
        assert list(rows) == [photos[i] for i in indices]
        learner.teach(rows, labels[indices])
        assert len(learner.X_training) == 11
        backbone = FrozenBackbone(network(), layer="2", image_size=9)
        assert backbone.fit_transform(X).shape == (8, 4)
        assert perceptual_hash(X).shape == (8, 64)
    with pytest.raises(ValueError, match=r"X must be images.*got DataFrame"):
        quick().fit(table[["path"]], labels)
    with pytest.raises(ValueError, match=r"X must be images.*got entries of bytes"):
        quick().fit([os.fsencode(path) for path in photos], labels)


def test_missing_labels_of_each_kind(digits, quick):
    X = digits[0][:4]
    for y in (
        pd.Series(["a", pd.NA, "b", "a"], dtype="string"),
        pd.Series(["a", None, "b", "a"]),
        pd.array([0, pd.NA, 1, 0], dtype="Int64"),
        np.array(
            ["a", np.nan, "b", "a"], dtype=np.dtypes.StringDType(na_object=np.nan)
        ),
        ["a", pd.NA, "b", "a"],
    ):
        with pytest.raises(ValueError, match="y contains missing labels"):
            quick().fit(X, y)
    assert plain_labels(pd.Series(["a", "b"])).dtype.kind == "U"
    assert plain_labels([1, 2]) == [1, 2]


def test_tensors_of_bytes_with_their_channels_first(quick):
    X = RNG.integers(0, 256, (20, 8, 9, 3), dtype=np.uint8)
    y = np.arange(20) % 2
    first = torch.from_numpy(X.transpose(0, 3, 1, 2).copy())
    net = quick(max_epochs=1).fit(X, y)
    expected = net.predict_proba(X)
    for other in (first, TensorDataset(first, torch.from_numpy(y)), list(first)):
        np.testing.assert_array_equal(net.predict_proba(other), expected)
        labels = None if isinstance(other, TensorDataset) else y
        again = quick(max_epochs=1).fit(other, labels)
        np.testing.assert_array_equal(again.predict_proba(X), expected)
    np.testing.assert_array_equal(
        perceptual_hash(first), perceptual_hash(torch.from_numpy(X))
    )
    # An array is refused as before: only torch holds bytes so.
    with pytest.raises(ValueError, match="looks like channels first"):
        net.predict(first.numpy())
