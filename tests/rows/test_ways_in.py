"""Every way in reads ugly files alike: ImageFiles, a folder, a table, a classifier, a
frozen network, a comparison, the command line, the report's small pictures."""

import os
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch import nn
from typer.testing import CliRunner

from al_sklearn import ActiveLearner, ImageClassifier, StrategyComparison
from al_sklearn.cli import app
from al_sklearn.datasets import load_dataset, write_table
from al_sklearn.estimators import FrozenBackbone
from al_sklearn.estimators._data import ImageDataset
from al_sklearn.experiments.plots._images import thumbnails
from al_sklearn.rows import ImageFiles, _decode
from tests.rows.test_ugly_files import named
from tests.rows.ugly_files import COLOUR, MAKERS

SIZE = COLOUR.shape[:2]
# One of each kind that was ever read differently somewhere.
ASSORTED = [
    "grey.jpg",
    "bilevel.png",
    "grey-alpha.png",
    "deep.png",
    "deep.pgm",
    "palette-hole.png",
    "cmyk.jpg",
    "turned-6.jpg",
    "turned-6-grey.tif",
    "twelve-bits.tif",
    "colour-alpha.webp",
    "grey.avif",
]


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr(_decode, "_said", set())
    with warnings.catch_warnings():
        # Warnings of single files have tests of their own.
        warnings.simplefilter("ignore")
        yield


def ordinary(folder, n=8):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    paths = []
    for i in range(n):
        paths.append(str(folder / f"ordinary-{i}.png"))
        pixels = rng.integers(0, 256, COLOUR.shape, dtype=np.uint8)
        Image.fromarray(pixels).save(paths[-1])
    return paths


def as_files(paths, folder):
    return ImageFiles(paths, SIZE, mode=None)[:]


def as_folder(paths, folder):
    for i, path in enumerate(paths):
        place = folder / "photos" / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        # Links: names, suffixes and what lies behind them stay.
        (place / os.path.basename(path)).symlink_to(path)
    data = load_dataset("folder", folder / "photos")
    order = [os.path.basename(path) for path in data.X_train]
    rows = ImageFiles(data.X_train, SIZE, mode=None)[:]
    return rows[[order.index(os.path.basename(path)) for path in paths]]


def as_table(paths, folder):
    labels = np.array(list("ab"))[np.arange(len(paths)) % 2]
    table = write_table(folder / "x.csv", paths, labels)
    data = load_dataset("csv", table)
    assert data.X_train == paths
    return ImageFiles(data.X_train, SIZE, mode=None)[:]


def in_classifier(paths, folder):
    y = np.arange(len(paths)) % 2
    net = ImageClassifier(
        image_size=SIZE, max_epochs=1, random_state=0, iterator_train__min_batches=1
    )
    net.fit(paths, y)
    assert net.image_shape_ == (3, *SIZE)
    assert np.isfinite(net.predict_proba(paths)).all()
    ActiveLearner(net, "margin").query(paths, 2)
    return net.get_dataset(paths).batch(slice(None))[0].numpy().transpose(0, 2, 3, 1)


def in_frozen_network(paths, folder):
    network = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False))
    with torch.no_grad():
        network[0].weight[:] = torch.eye(3)[..., None, None]
    backbone = FrozenBackbone(
        network, layer="0", pooling="flat", image_size=SIZE, normalize=None
    )
    features = backbone.fit(paths[:1]).transform(paths).reshape(len(paths), 3, *SIZE)
    return np.rint(features.transpose(0, 2, 3, 1) * 255).astype(np.uint8)


def in_comparison(paths, folder):
    y = np.arange(2 * len(paths)) % 2
    pipe = make_pipeline(
        FrozenBackbone(
            nn.Sequential(nn.Conv2d(3, 4, 3)), layer="0", image_size=SIZE, pooling=1
        ),
        LogisticRegression(),
    )
    comparison = StrategyComparison(
        pipe, ["margin"], n_initial=4, n_instances=3, n_rounds=1, n_seeds=1, verbose=0
    )
    comparison.fit([*paths, *paths], y)
    assert np.isfinite(comparison.results_["accuracy"]).all()
    return


def on_command_line(paths, folder):
    as_folder(paths, folder)
    done = CliRunner().invoke(app, ["check-images", str(folder / "photos")])
    said = done.output
    if done.exit_code:
        raise ValueError(said)
    assert f"{len(paths)} train, 2 classes" in said
    return


def in_report(paths, folder):
    shown = thumbnails(paths)
    # Grey among colour becomes colour there, too.
    return shown if shown.ndim == 4 else np.repeat(shown[..., None], 3, axis=3)


WAYS = {
    "ImageFiles": as_files,
    "folder": as_folder,
    "table": as_table,
    "ImageClassifier": in_classifier,
    "FrozenBackbone": in_frozen_network,
    "comparison": in_comparison,
    "command line": on_command_line,
    "report": in_report,
}


def right(one, path):
    """The pixels that a file has among colour ones."""
    expected = one.expected(path)
    if expected.ndim == 3:
        return expected
    scale = 255 if expected.max() <= 1 else 1
    return np.repeat(np.rint(expected * scale)[..., None], 3, axis=2)


@pytest.mark.parametrize("way", WAYS)
def test_each_way_in(tmp_path, way):
    paths = ordinary(tmp_path / "files")
    expected = [np.asarray(Image.open(path)) for path in paths]
    for name in ASSORTED:
        one = MAKERS[name]
        path = one.write(tmp_path / "files")
        pixels = right(one, path)
        if pixels.shape[:2] == SIZE:
            paths.append(str(path))
            expected.append(pixels)
    found = WAYS[way](paths, tmp_path)
    if found is not None:
        assert found.shape == (len(paths), *COLOUR.shape)
        difference = np.abs(found.astype(float) - np.stack(expected))
        # A report's picture of 16 bits is rounded twice.
        assert difference.max() <= 1.01


@pytest.mark.parametrize("way", WAYS)
def test_a_damaged_file_is_named_by_each_way_in(tmp_path, way):
    paths = ordinary(tmp_path / "files")
    bad = str(MAKERS["cut.jpg"].write(tmp_path / "files"))
    paths.insert(3, bad)
    if way == "report":
        with pytest.warns(UserWarning, match=r"1 of 9 pictures .*cut\.jpg"):
            shown = thumbnails(paths)
        assert len(shown) == 9
        return
    with pytest.raises(ValueError, match=r"cut\.jpg"):
        WAYS[way](paths, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MAKERS, ids=named)
def test_the_whole_product(tmp_path, name, way):
    paths = ordinary(tmp_path / "files")
    one = MAKERS[name]
    path = str(one.write(tmp_path / "files"))
    everything = [*paths, path]
    if one.refused and way == "report":
        with pytest.warns(UserWarning, match="1 of 9 pictures cannot be shown"):
            assert len(thumbnails(everything)) == 9
        return
    written = named(name).replace("\\udce9", "\\xe9")
    try:
        found = WAYS[way](everything, tmp_path)
    except (ValueError, FileNotFoundError) as error:
        # What no table can hold, and what is no file, is said by its name too.
        said = str(error)
        assert any(
            text in said for text in (path, name, written, written.encode().decode())
        ), said
        assert one.refused or "not UTF-8" in said or "\n" in name
        return
    if one.refused:
        # A folder named like an image is no image, and lists as an empty folder.
        assert way in ("folder", "command line")
        return
    if found is not None and len(found) == 9:
        pixels = right(one, path)
        if pixels.shape[:2] == SIZE:
            assert np.abs(found[-1].astype(float) - pixels).max() <= 1.01
    assert ImageDataset(everything, image_size=SIZE).image_shape() == (3, *SIZE)
