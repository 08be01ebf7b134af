"""Pools larger than memory: limits, files, resuming, reading ahead; parts of a pool;
near-duplicates."""

import mmap
import os
import pickle
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_images
from sklearn.ensemble import RandomForestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch.helper import SliceDataset

from al_sklearn import inference
from al_sklearn._core.prefetch import read_ahead
from al_sklearn.config import config_context, get_config, set_config
from al_sklearn.estimators import ImageClassifier
from al_sklearn.learners import ActiveLearner
from al_sklearn.pool import RowView
from al_sklearn.rows import _chunks
from al_sklearn.rows._image_files import ImageFiles
from al_sklearn.strategies import (
    bald,
    get_strategy,
    margin,
    near_duplicates,
    perceptual_hash,
    random_sampling,
    subsample,
    without_near_duplicates,
)
from al_sklearn.strategies.checks import check_query_strategy

# ---- settings ------------------------------------------------------------------------


def test_settings():
    assert get_config() == {"max_memory": None, "cache": None, "prefetch": True}
    for text, size in (
        ("500 MB", 5 * 10**8),
        ("1GB", 10**9),
        ("1.5 GiB", 3 * 2**29),
        ("20000000", 2 * 10**7),
    ):
        with config_context(max_memory=text):
            assert get_config()["max_memory"] == size
            with config_context(prefetch=False):
                assert (
                    get_config()["max_memory"] == size and not get_config()["prefetch"]
                )
    assert get_config()["max_memory"] is None
    set_config(prefetch=False)
    try:
        assert not get_config()["prefetch"]
        seen = []
        thread = threading.Thread(target=lambda: seen.append(get_config()["prefetch"]))
        thread.start()
        thread.join()
        assert seen == [False], "set_config is for the whole process"
    finally:
        set_config(prefetch=True)
    for bad, error, message in (
        ({"max_memory": "much"}, ValueError, "must be bytes"),
        ({"max_memory": 1.5}, ValueError, "must be bytes"),
        ({"max_memory": "1 MB"}, ValueError, "at least 16 MB"),
        ({"memory": 1}, TypeError, "Unknown setting 'memory'. Available: max_memory"),
        ({"prefetch": 1}, TypeError, "True or False"),
    ):
        with pytest.raises(error, match=message), config_context(**bad):
            pass


# ---- reading ahead -------------------------------------------------------------------


def test_reading_ahead_keeps_order_and_overlaps():
    started = []

    def parts():
        for i in range(6):
            started.append(i)
            time.sleep(0.01)
            yield i

    for i in read_ahead(parts()):
        time.sleep(0.02)
        assert max(started) == min(i + 1, 5), (
            "the next part is read while this one is worked on, and no more"
        )
    assert started == list(range(6))


def test_reading_ahead_passes_errors_on_where_they_belong():
    def parts():
        yield 1
        raise OSError("the disk is gone")

    seen = []
    with pytest.raises(OSError, match="the disk is gone"):
        for part in read_ahead(parts()):
            seen.append(part)
    assert seen == [1]
    for part in read_ahead(iter(range(10**9))):
        if part == 3:
            break
    before = threading.active_count()
    time.sleep(0.05)
    assert threading.active_count() <= before and list(read_ahead([])) == []


# ---- limits and files ----------------------------------------------------------------


@pytest.fixture(scope="module")
def net(digits):
    X, y = digits
    return ImageClassifier(max_epochs=2, random_state=0).fit(X[:100], y[:100])


@pytest.fixture
def on_disk(digits, tmp_path):
    """3,000 digits in a file."""
    X = np.tile(digits[0], (2, 1, 1))[:3000]
    array = np.memmap(tmp_path / "pool.bin", np.uint8, "w+", shape=X.shape)
    array[:] = X
    array.flush()
    return np.memmap(tmp_path / "pool.bin", np.uint8, "r", shape=X.shape)


def in_a_file(array):
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, mmap.mmap)


def small_pieces(monkeypatch, limit=200_000):
    """As under a limit that real memory would need far more rows to reach."""
    monkeypatch.setattr("al_sklearn.config._LEAST", 1)
    return config_context(max_memory=limit)


def test_a_limit_changes_nothing_but_where_things_are(net, on_disk, monkeypatch):
    X = np.asarray(on_disk)
    proba, embeddings = inference.proba_and_embed(net, X)
    samples = inference.sample_proba(net, X, 3, 0)
    with small_pieces(monkeypatch):
        assert _chunks.chunk_rows_of(on_disk) == 200_000 // 16 // 64
        for rows in (on_disk, X, RowView(X, np.arange(3000))):
            found = inference.predict_proba(net, rows)
            assert in_a_file(found)
            np.testing.assert_allclose(found, proba, atol=2e-6)
            np.testing.assert_allclose(
                inference.embed(net, rows), embeddings, atol=1e-5
            )
            np.testing.assert_allclose(
                inference.sample_proba(net, rows, 3, 0), samples, atol=2e-6
            )
        limited = (
            margin(net, on_disk, 20)[0],
            bald(net, on_disk, 20, n_samples=3, random_state=0)[0],
        )
    np.testing.assert_array_equal(limited[0], margin(net, X, 20)[0])
    np.testing.assert_array_equal(
        limited[1], bald(net, X, 20, n_samples=3, random_state=0)[0]
    )


def test_features_in_a_file_stay_there(tmp_path, monkeypatch):
    X = np.lib.format.open_memmap(tmp_path / "features.npy", "w+", np.float32, (500, 8))
    X[:] = np.random.default_rng(0).random((500, 8), dtype=np.float32)
    with small_pieces(monkeypatch):
        found = inference.embed(None, X)
        assert np.shares_memory(found, X)
    np.testing.assert_array_equal(found, X)


def mapped_mb():
    with open("/proc/self/smaps") as maps:
        text = maps.read()
    blocks = [block for block in text.split("VmFlags") if "pool.bin" in block]
    return sum(int(block.split("Rss:")[1].split()[0]) for block in blocks) / 1024


@pytest.mark.skipif(
    not os.path.exists("/proc/self/smaps"), reason="needs /proc to see memory"
)
@pytest.mark.parametrize("prefetch", [True, False])
def test_pages_of_a_mapped_file_are_given_back(tmp_path, prefetch):
    X = np.memmap(tmp_path / "pool.bin", np.float32, "w+", shape=(2**18, 32))
    X[:] = np.arange(32)
    X.flush()
    X = np.memmap(tmp_path / "pool.bin", np.float32, "r", shape=X.shape)
    model = RandomForestClassifier(1, max_depth=1, random_state=0).fit(
        X[:10], [0, 1] * 5
    )
    for rows in (X, RowView(X, np.arange(len(X)))):
        with config_context(max_memory="16 MB", prefetch=prefetch):
            inference.predict_proba(model, rows)
        assert mapped_mb() < 4, "32 MB were read"
    assert float(X[:, 3].min()) == float(X[:, 3].max()) == 3


PEAK = """
import sys, threading, time
import numpy as np, torch
torch.set_num_threads(1)
from al_sklearn import inference
from al_sklearn.config import config_context
from al_sklearn.estimators import ImageClassifier
from al_sklearn.strategies import bald
rng = np.random.default_rng(0)
X = np.memmap(sys.argv[1], np.uint8, "w+", shape=(40_000, 8, 8))
X[:] = rng.integers(0, 256, X.shape, dtype=np.uint8)
net = ImageClassifier(
    "small_cnn",
    max_epochs=1,
    classes=list(range(200)),
    module__width=4,
    random_state=0,
)
net.fit(X[:64], np.arange(64) % 200)
bald(net, X[:300], 3, random_state=0)
def own():
    lines = open("/proc/self/status")
    return next(int(l.split()[1]) for l in lines if l.startswith("RssAnon")) / 1024
start, peak, done = own(), [0], threading.Event()
def watch():
    while not done.wait(0.02):
        peak[0] = max(peak[0], own() - start)
thread = threading.Thread(target=watch); thread.start()
with config_context(max_memory=sys.argv[2] if len(sys.argv) > 2 else None):
    bald(net, X, 10, n_samples=8, random_state=0)
done.set(); thread.join()
print(peak[0])
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not os.path.exists("/proc/self/status"), reason="needs /proc to see memory"
)
def test_memory_stays_under_the_limit(tmp_path):
    # 8 posterior samples of 40,000 rows and 200 classes: 256 MB.
    peaks = [
        float(
            subprocess.run(
                [sys.executable, "-c", PEAK, tmp_path / "x.bin", *limit],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for limit in ([], ["100 MB"])
    ]
    assert peaks[0] > 230 and peaks[1] < 100


# ---- kept and resumed ----------------------------------------------------------------


class Slow(RandomForestClassifier):
    """Counts the rows it is asked for, and can be told to die."""

    asked = 0
    dies_at = None

    def predict_proba(self, X):
        type(self).asked += len(X)
        if self.dies_at is not None and type(self).asked > self.dies_at:
            raise KeyboardInterrupt
        return super().predict_proba(np.asarray(X).reshape(len(X), -1))


def test_what_was_scored_is_not_scored_again(digits, on_disk, tmp_path, monkeypatch):
    X, y = digits
    model = Slow(5, random_state=0).fit(X[:100].reshape(100, -1), y[:100])
    expected = model.predict_proba(on_disk)
    monkeypatch.setattr(_chunks, "_FEW_ROWS", 500)
    monkeypatch.setattr(Slow, "asked", 0)
    monkeypatch.setattr(Slow, "dies_at", 1700)
    with config_context(cache=tmp_path / "cache"):
        with pytest.raises(KeyboardInterrupt):
            inference.predict_proba(model, on_disk)
        monkeypatch.setattr(Slow, "dies_at", None)
        monkeypatch.setattr(Slow, "asked", 0)
        resumed = inference.predict_proba(pickle.loads(pickle.dumps(model)), on_disk)
        # Two rows tell the width; three pieces of 500 were there.
        assert Slow.asked == 2 + 1500
        np.testing.assert_array_equal(resumed, expected)
        monkeypatch.setattr(Slow, "asked", 0)
        np.testing.assert_array_equal(
            margin(model, on_disk, 7)[0], margin(model, np.asarray(on_disk), 7)[0]
        )
        other = Slow(5, random_state=0).fit(X[:90].reshape(90, -1), y[:90])
        assert not np.array_equal(inference.predict_proba(other, on_disk), expected)
        assert not np.array_equal(
            inference.predict_proba(model, on_disk[1:]), expected[1:] + 1
        )
    assert sorted(os.listdir(tmp_path / "cache"))


def test_networks_are_known_by_their_weights(net, digits, on_disk, tmp_path):
    with config_context(cache=tmp_path / "cache"):
        proba, embeddings = inference.proba_and_embed(net, on_disk)
        np.testing.assert_array_equal(
            proba, inference.proba_and_embed(net, np.asarray(on_disk))[0]
        )
        assert len(os.listdir(tmp_path / "cache")) == 1, (
            "the same data in memory is the same question"
        )
        np.testing.assert_array_equal(inference.embed(net, on_disk), embeddings)
    plain = inference.proba_and_embed(net, np.asarray(on_disk))
    np.testing.assert_allclose(proba, plain[0], atol=2e-6)
    np.testing.assert_allclose(embeddings, plain[1], atol=1e-5)
    assert _chunks.state_hash(net) == _chunks.state_hash(
        pickle.loads(pickle.dumps(net))
    )
    with torch.no_grad():
        other = pickle.loads(pickle.dumps(net))
        next(other.module_.parameters()).view(-1)[0] += 1
    assert _chunks.state_hash(net) != _chunks.state_hash(other)


HASH = """
import pickle, sys
from al_sklearn.rows._chunks import state_hash
print([state_hash(model) for model in pickle.load(open(sys.argv[1], "rb"))])
"""


def test_models_are_known_in_other_processes(net, digits, tmp_path):
    X, y = digits[0][:100].reshape(100, -1), digits[1][:100]
    models = [net, RandomForestClassifier(3, random_state=0).fit(X, y), [net, "both"]]
    (tmp_path / "models").write_bytes(pickle.dumps(models))
    done = subprocess.run(
        [sys.executable, "-c", HASH, tmp_path / "models"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str([_chunks.state_hash(model) for model in models])


class Items(torch.utils.data.Dataset):
    """A data set as people write them: an array, and something done to each item."""

    def __init__(self, X, transform=None):
        self.X, self.transform = X, transform

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i] if self.transform is None else self.transform(self.X[i])


@pytest.mark.parametrize(
    "make", [Items, lambda X: Items(X, lambda x: x), lambda X: SliceDataset(Items(X))]
)
def test_a_data_set_with_one_other_item_is_other_data(net, digits, tmp_path, make):
    # More items than are sampled: 256 of 1797, and not the second.
    changed = digits[0].copy()
    changed[1] = changed[900][::-1]
    with config_context(cache=tmp_path / "cache"):
        inference.predict_proba(net, make(digits[0]))
        proba = inference.predict_proba(net, make(changed))
    np.testing.assert_allclose(proba, inference.predict_proba(net, changed), atol=2e-6)


def test_two_subsets_of_one_data_set_are_other_data(net, digits, tmp_path):
    base = Items(digits[0])
    with config_context(cache=tmp_path / "cache"):
        for left_out in (2, 1):
            rest = np.delete(np.arange(len(base)), left_out)
            proba = inference.predict_proba(
                net, torch.utils.data.Subset(base, rest.tolist())
            )
            np.testing.assert_allclose(
                proba, inference.predict_proba(net, digits[0][rest]), atol=2e-6
            )


class Unpicklable(Items):
    def __reduce__(self):
        raise TypeError("it holds an open file")


def test_a_data_set_that_cannot_be_pickled_is_known_by_all_its_items(digits):
    changed = digits[0].copy()
    changed[1] = changed[900]
    first, same, other = (
        _chunks._data_hash(Unpicklable(X))
        for X in (digits[0], digits[0].copy(), changed)
    )
    assert first == same != other


DATA_HASH = """
import torch
from al_sklearn.rows._chunks import _data_hash, state_hash
tensors = torch.arange(12.0).reshape(3, 4), torch.tensor([1, 0, 1])
print(
    _data_hash(torch.utils.data.TensorDataset(*tensors)),
    _data_hash(list(tensors[0])),
    state_hash(tensors[1][0]),
)
print(
    _data_hash(tensors[0].bfloat16()),
    state_hash({"a": torch.ones(2, 2, dtype=torch.bfloat16)}),
)
"""


def test_tensors_are_known_in_other_processes():
    first, second = (
        subprocess.run(
            [sys.executable, "-c", DATA_HASH],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    )
    assert first == second


def test_a_pipeline_with_a_lambda_can_be_cached(digits, tmp_path):
    def fitted(factor):
        model = make_pipeline(
            FunctionTransformer(lambda X: factor * X.reshape(len(X), -1)), GaussianNB()
        )
        return model.fit(digits[0][:100], digits[1][:100])

    with config_context(cache=tmp_path / "cache"):
        inference.predict_proba(fitted(1.0), digits[0])
        assert _chunks.state_hash(fitted(1.0)) == _chunks.state_hash(fitted(1.0))
        assert _chunks.state_hash(fitted(1.0)) != _chunks.state_hash(fitted(2.0))


def test_files_that_change_are_other_data(net, tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    rng = np.random.default_rng(0)
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
    for X in (paths, ImageFiles(paths, 8, mode="L"), RowView(paths, [2, 0])):
        with config_context(cache=tmp_path / "cache"):
            before = inference.predict_proba(net, X)
            Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(paths[0])
            os.utime(paths[0], ns=(rng.integers(10**9),) * 2)
            after = inference.predict_proba(net, X)
        np.testing.assert_array_equal(after, net.predict_proba(X))
        assert not np.array_equal(before, after)


def test_a_view_takes_from_what_is_known_of_the_whole(digits, monkeypatch):
    X, y = digits
    model = Slow(5, random_state=0).fit(X[:100].reshape(100, -1), y[:100])
    monkeypatch.setattr(Slow, "asked", 0)
    with inference.shared():
        whole = inference.predict_proba(model, X)
        np.testing.assert_array_equal(
            inference.predict_proba(model, RowView(X, [5, 2])), whole[[5, 2]]
        )
    assert Slow.asked == len(X)


# ---- a part of the pool --------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["margin", "coreset", "random_sampling"])
@pytest.mark.parametrize("n_candidates", [1, 40, 1000])
def test_subsample_keeps_the_contract(strategy, n_candidates):
    check_query_strategy(subsample(strategy, n_candidates))


def test_subsample_reads_and_asks_only_what_it_drew(digits):
    X, y = digits
    model = RandomForestClassifier(9, random_state=0).fit(
        X[:100].reshape(100, -1), y[:100]
    )
    rows = X.reshape(len(X), -1)
    indices, scores = subsample("margin", 200)(model, rows, 5, random_state=3)
    drawn = np.sort(np.random.default_rng(3).choice(len(X), 200, replace=False))
    chosen, expected = margin(model, rows[drawn], 5)
    np.testing.assert_array_equal(indices, drawn[chosen])
    np.testing.assert_array_equal(scores, expected)
    np.testing.assert_array_equal(
        subsample("margin", 10**6)(model, rows, 5)[0], margin(model, rows, 5)[0]
    )
    counts = np.zeros(len(X), int)
    for seed in range(300):
        counts[
            subsample(random_sampling, 20)(None, rows, 20, random_state=seed)[0]
        ] += 1
    assert abs(counts.mean() - 300 * 20 / len(X)) < 1e-9 and counts.max() < 20, (
        "drawn uniformly"
    )
    for bad in (0, 2.5, True):
        with pytest.raises(ValueError, match="n_candidates must be"):
            subsample("margin", bad)
    with pytest.raises(ValueError, match="Unknown strategy"):
        subsample("margn")


# ---- near-duplicates -----------------------------------------------------------------


def slow_near_duplicates(features, threshold, known=()):
    """The definition, row by row."""
    kept, near = [np.asarray(row, float) for row in known], []
    for row in np.asarray(features, float):
        near.append(any(cosine(row, other) >= threshold - 4e-15 for other in kept))
        if not near[-1]:
            kept.append(row)
    return np.array(near)


def cosine(a, b):
    norms = np.linalg.norm(a), np.linalg.norm(b)
    if min(norms) == 0:
        return 1.0 if max(norms) == 0 else 0.0
    return (a / norms[0]) @ (b / norms[1])


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 40),
    st.integers(1, 5),
    st.sampled_from([0.3, 0.9, 0.999, 1.0]),
    st.integers(0, 5),
    st.integers(0, 10**6),
)
def test_near_duplicates_by_definition(n, d, threshold, n_known, seed):
    rng = np.random.default_rng(seed)
    # Small whole numbers: many rows are equal, parallel or zero.
    X = rng.integers(-1, 3, (n, d)).astype(float)
    L = rng.integers(-1, 3, (n_known, d)).astype(float)
    expected = slow_near_duplicates(X, threshold, L)
    for rows in (X, X.astype(np.float32), torch.from_numpy(X), 1e200 * X):
        np.testing.assert_array_equal(
            near_duplicates(rows, threshold, known=L, neighbors="exact"), expected
        )


def test_blocks_change_nothing(digits, monkeypatch):
    X = digits[0][:700].reshape(700, -1)
    for threshold in (0.9, 0.97):
        expected = slow_near_duplicates(X[:600], threshold, X[600:])
        assert 20 < expected.sum() < 590
        for block, tile in ((2048, 8192), (7, 5), (64, 1000)):
            monkeypatch.setattr(
                "al_sklearn.strategies.selectors._near_duplicates._BLOCK", block
            )
            monkeypatch.setattr(
                "al_sklearn.strategies.selectors._near_duplicates._TILE", tile
            )
            found = near_duplicates(
                X[:600], threshold, known=X[600:], neighbors="exact"
            )
            np.testing.assert_array_equal(found, expected)


def test_faiss_drops_nothing_that_is_not_near(digits):
    pytest.importorskip("faiss")
    X = np.concatenate([digits[0], digits[0][:500]]).reshape(-1, 64).astype(np.float32)
    exact = near_duplicates(X, 0.97, neighbors="exact")
    found = near_duplicates(X, 0.97, neighbors="faiss")
    np.testing.assert_array_equal(found, near_duplicates(X, 0.97, neighbors="faiss"))
    kept = X[~found] / np.linalg.norm(X[~found], axis=1, keepdims=True)
    dropped = X[found] / np.linalg.norm(X[found], axis=1, keepdims=True)
    assert ((dropped @ kept.T).max(axis=1) > 0.97 - 1e-5).all()
    assert found[-500:].all() and abs(found.sum() - exact.sum()) < 0.05 * exact.sum()
    np.testing.assert_array_equal(
        near_duplicates(X, 0.97), exact, "few rows are always compared exactly"
    )


def test_bad_near_duplicates(monkeypatch):
    X = np.eye(3)
    for threshold in (0, 1.1, np.nan):
        with pytest.raises(ValueError, match="cosine similarity above 0"):
            near_duplicates(X, threshold)
    with pytest.raises(
        ValueError, match=r"Unknown neighbors 'exakt'. Did you mean 'exact'"
    ):
        near_duplicates(X, 0.9, neighbors="exakt")
    with pytest.raises(ValueError, match="known has 2 columns"):
        near_duplicates(X, 0.9, known=np.eye(2))
    with pytest.raises(ValueError, match="NaN or infinity"):
        near_duplicates(np.array([[np.nan, 1.0]]), 0.9)
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match="pip install faiss-cpu"):
        near_duplicates(X, 0.9, neighbors="faiss")


def slow_hash(image):
    """The difference hash of one grey image whose sides are multiples of 8 and 9."""
    height, width = image.shape
    fields = (
        image.astype(float).reshape(8, height // 8, 9, width // 9).mean(axis=(1, 3))
    )
    return np.array(
        [
            1 if fields[i, j + 1] > fields[i, j] else -1
            for i in range(8)
            for j in range(8)
        ]
    )


@pytest.fixture(scope="module")
def crops():
    """Grey crops of two real photos, 64 x 72."""
    photos = [
        np.asarray(Image.fromarray(photo).convert("L"))
        for photo in load_sample_images().images
    ]
    return np.stack(
        [
            photo[y : y + 64, x : x + 72]
            for photo in photos
            for y in (0, 150, 300)
            for x in (0, 200, 400)
        ]
    )


def test_perceptual_hash_by_definition(crops):
    np.testing.assert_array_equal(
        perceptual_hash(crops), [slow_hash(image) for image in crops]
    )
    colour = np.repeat(crops[..., None], 3, axis=3)
    np.testing.assert_array_equal(perceptual_hash(colour), perceptual_hash(crops))
    floats = torch.from_numpy(colour).permute(0, 3, 1, 2).float() / 256
    np.testing.assert_array_equal(perceptual_hash(floats), perceptual_hash(crops))
    for bad in (np.zeros((3, 64)), [np.zeros((8, 8))]):
        with pytest.raises(ValueError, match="perceptual hash needs"):
            perceptual_hash(bad)


def test_copies_of_photos_have_nearly_the_same_hash(crops, tmp_path):
    paths = []
    for i, crop in enumerate(crops):
        image = Image.fromarray(crop)
        for name, other in (
            ("a.png", image),
            ("b.jpg", image.resize((216, 192)).point(lambda v: v * 0.8 + 20)),
        ):
            paths.append(tmp_path / f"{i}{name}")
            other.save(paths[-1])
    bits = perceptual_hash(paths)
    differ = (bits[:, None] != bits[None]).sum(axis=2)
    same = differ[np.arange(0, 36, 2), np.arange(1, 36, 2)]
    assert same.max() <= 8 and np.median(same) <= 4
    assert np.median(differ[::2, ::2][~np.eye(18, dtype=bool)]) > 20


@pytest.mark.parametrize("options", [{}, {"threshold": 0.9}, {"threshold": 1.0}])
def test_without_near_duplicates_keeps_the_contract(options):
    check_query_strategy(without_near_duplicates("margin", **options))


def test_without_near_duplicates_asks_one_of_each_group(digits):
    X, y = digits
    X, y = X.reshape(len(X), -1).astype(np.float32), y
    pool = np.repeat(X[100:150], 8, axis=0) + np.random.default_rng(0).random(
        (400, 64), dtype=np.float32
    )
    model = RandomForestClassifier(9, random_state=0)
    learner = ActiveLearner(model, X_training=X[:100], y_training=y[:100])
    plain, _ = margin(learner, pool, 20)
    indices, scores = without_near_duplicates("margin", 0.999)(learner, pool, 20)
    assert len(np.unique(plain // 8)) < 10 and len(np.unique(indices // 8)) == 20
    first = np.arange(0, 400, 8)
    chosen, expected = margin(learner, pool[first], 20)
    np.testing.assert_array_equal(indices, first[chosen])
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    # 50 groups: whoever wants 60 gets ten near-duplicates, at the end.
    many, _ = without_near_duplicates(get_strategy("margin"), 0.999)(learner, pool, 60)
    assert sorted(many[:50]) == first.tolist() and len(np.unique(many)) == 60
    # What is labelled already is not asked again.
    seen = ActiveLearner(
        model, X_training=pool[:80], y_training=np.repeat(y[100:110], 8)
    )
    assert (without_near_duplicates("margin", 0.999)(seen, pool, 30)[0] >= 80).all()


def test_without_near_duplicates_by_hash(crops):
    bits = perceptual_hash(crops)
    differ = (bits[:, None] != bits[None]).sum(axis=2) + 64 * np.eye(
        len(crops), dtype=int
    )
    # Without those of plain sky, which look alike.
    crops = crops[differ.min(axis=1) > 16]
    X = np.concatenate(
        [
            [(brightness * crop).astype(np.uint8) for brightness in (1, 0.9, 0.8)]
            for crop in crops
        ]
    )
    indices, _ = without_near_duplicates("random", by="hash")(
        None, X, len(crops), random_state=0
    )
    assert len(crops) > 10 and sorted(indices) == list(range(0, len(X), 3))
    for options, message in (
        ({"by": "colour"}, "Unknown kind of near-duplicates"),
        ({"by": "hash", "threshold": 40}, "bits from 0 to 31"),
        ({"threshold": 1.5}, "at most 1"),
        ({"neighbors": "some"}, "Unknown neighbors"),
    ):
        with pytest.raises(ValueError, match=message):
            without_near_duplicates("margin", **options)
