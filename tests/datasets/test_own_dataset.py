"""One's own data sets: registered, documented in a page that runs, and started from the
command line's words."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from al_sklearn.datasets import (
    DataSource,
    ImageData,
    _base,
    load_dataset,
    options_from_text,
    register_dataset,
)
from al_sklearn.datasets._base import labels_and_names

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    monkeypatch.setattr(_base, "_REGISTRY", dict(_base._REGISTRY))


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(12):
        name = f"{('oak', 'silver_birch')[i % 2]}_{i:04d}.jpg"
        Image.fromarray(np.full((20, 24, 3), 20 * i, np.uint8)).save(folder / name)
    bad = folder / "oak_0002.jpg"
    bad.write_bytes(bad.read_bytes()[:300])
    return folder


def run(code, *args):
    done = subprocess.run(
        [sys.executable, *code, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_runs(photos):
    out = run([ROOT / "examples" / "own_dataset.py"], photos)
    assert (
        "ImageData('named-photos': 8 to train, 3 to test, 2 classes, 1 skipped)" in out
    )
    assert "classes: oak, silver_birch" in out and "oak_0002.jpg" in out


def test_the_page_shows_the_example_and_it_is_short():
    source = (ROOT / "examples" / "own_dataset.py").read_text()
    definition = re.search(r"@register_dataset.*?(?=\n\n\n)", source, re.S)[0]
    page = (ROOT / "docs" / "your-own-data.md").read_text()
    assert definition in page and len(definition.splitlines()) < 20


def test_a_class_and_a_function():
    images, labels = np.zeros((4, 8, 8), np.uint8), np.array([0, 1, 0, 1])

    @register_dataset("own-class")
    class Own(DataSource):
        """Mine."""

        needs_files = False

        def load(self, data_dir, *, n=4):
            return ImageData("own-class", images[:n], labels[:n])

    @register_dataset("own-function")
    def own(data_dir, *, n=4):
        """Mine too."""
        return ImageData("own-function", images[:n], labels[:n])

    for name in ("own-class", "own-function"):
        assert len(load_dataset(name, n=3).X_train) == 3
        with pytest.raises(
            ValueError,
            match=rf"Unknown option of the data set '{name}' 'm'\. .*Available: n",
        ):
            load_dataset(name, m=3)
    assert _base.dataset_summaries()["own-function"] == "Mine too. Options: n."
    with pytest.raises(ValueError, match="cannot be downloaded"):
        load_dataset("own-function", "somewhere", download=True)


def test_names_are_given_once():
    def first(data_dir):
        return ImageData("x", np.zeros((1, 8, 8), np.uint8), np.array([0]))

    def second(data_dir):
        return first(data_dir)

    register_dataset("x")(first)
    register_dataset("x")(first)
    with pytest.raises(
        ValueError,
        match=r"There is a data set 'x' already .*first.*; choose another name",
    ):
        register_dataset("x")(second)
    with pytest.raises(ValueError, match="There is a data set 'digits' already"):
        register_dataset("digits")(second)

    @register_dataset("nothing")
    class Nothing(DataSource):
        """Without load."""

    with pytest.raises(
        NotImplementedError, match=r"Nothing must have a method load\(data_dir\)"
    ):
        load_dataset("nothing", "x")


LABELS = st.one_of(
    st.lists(st.integers(-3, 300), min_size=1),
    st.lists(st.text("abxyz 019-é", min_size=1), min_size=1),
    st.lists(st.sampled_from([0.0, 1.0, 2.5]), min_size=1),
    st.lists(st.booleans(), min_size=1),
)


@settings(deadline=None)
@given(labels=LABELS, cut=st.integers(0, 5))
def test_labels_keep_their_meaning(labels, cut):
    parts, names = labels_and_names(
        labels[:-cut] if cut else labels, labels[-cut:] if cut else []
    )
    y = np.concatenate(parts)
    meant = [names[i] for i in y.tolist()] if y.dtype.kind == "i" else y.tolist()
    whole = all(isinstance(value, float) and value == int(value) for value in labels)
    assert meant == [str(int(value) if whole else value) for value in labels]


def test_labels_that_are_none():
    with pytest.raises(ValueError, match=r"Image 1 has no label \(NaN\)"):
        labels_and_names([0.0, np.nan])
    with pytest.raises(ValueError, match=r"labels of shape \(2, 2\)"):
        labels_and_names(np.eye(2))


def test_options_from_the_command_line():
    assert options_from_text("svhn", ["extra=false"]) == {"extra": False}
    assert options_from_text("svhn", ["extra=Yes"]) == {"extra": True}
    assert options_from_text("csv", ["label_column=a=b", "root=/x"]) == {
        "label_column": "a=b",
        "root": "/x",
    }
    assert options_from_text("droughtwatch", ["classes=2", "bands=B1,B2"]) == {
        "classes": 2,
        "bands": "B1,B2",
    }
    with pytest.raises(
        ValueError, match="extra of 'svhn' must be like False, got 'perhaps'"
    ):
        options_from_text("svhn", ["extra=perhaps"])
    with pytest.raises(
        ValueError, match="classes of 'droughtwatch' must be like 4, got 'two'"
    ):
        options_from_text("droughtwatch", ["classes=two"])
    with pytest.raises(ValueError, match="written as name=value, got 'bands'"):
        options_from_text("droughtwatch", ["bands"])
    with pytest.raises(ValueError, match=r"'band'. Did you mean 'bands'"):
        options_from_text("droughtwatch", ["band=rgb"])


def test_the_package_imports_quickly_and_without_what_is_heavy():
    heavy = ("torch", "torchvision", "h5py", "zarr", "pyarrow", "tfrecord")
    code = (
        "import sys, time; start = time.perf_counter(); import al_sklearn; seconds = "
        "time.perf_counter() - start;"
        f"import al_sklearn.datasets; print(seconds); print([name for name in {heavy} "
        "if name in sys.modules]);"
        # scikit-learn brings pandas, and that pyarrow.
        f"al_sklearn.load_dataset('digits'); print([name for name in {heavy[:2]} if "
        "name in sys.modules])"
    )
    seconds, imported, after_loading = run(["-c", code]).splitlines()
    # Said, not asserted: how long it takes depends on what else the machine does.
    print(f"import al_sklearn: {float(seconds):.3f} s")
    assert imported == "[]" and after_loading == "[]"
