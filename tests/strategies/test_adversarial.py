"""Every registered strategy on adversarial arrays, and the same answer through a net
however it is asked."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from skorch import NeuralNetClassifier
from torch import nn

from al_sklearn import inference
from al_sklearn.learners import ActiveLearner
from al_sklearn.pool import take_rows
from al_sklearn.rows import _chunks
from al_sklearn.strategies import catalogue, checks, get_strategy, measures
from tests.strategies.test_strategies import QUICK, Indexed

# Those that train something ask for a classifier that can be trained: test_grid.py and
# test_learned.py have them.
TRAINED = {
    info.name
    for info in catalogue()
    if info.family == "learned" or "true_labels" in info.needs
}
NAMES = [info.name for info in catalogue() if info.name not in TRAINED]


class Arrays(ClassifierMixin, BaseEstimator):
    """Knows everything of a pool beforehand; its rows are positions in it."""

    def __init__(self, proba=None, features=None, samples=None, sizes=None):
        self.proba, self.features, self.samples, self.sizes = (
            proba,
            features,
            samples,
            sizes,
        )

    def fit(self, X, y):
        self.classes_ = np.arange(self.proba.shape[1])
        return self

    def _at(self, X):
        return np.asarray(X)[:, 0].astype(int)

    def predict_proba(self, X):
        return self.proba[self._at(X)]

    def embed(self, X):
        return self.features[self._at(X)]

    def sample_proba(self, X, n_samples=None, random_state=None):
        return self.samples[:, self._at(X)]

    def input_gradient(self, X):
        return self.sizes[self._at(X)]


def know(proba, features, samples, sizes, n_labelled):
    """A learner of arrays of the pool and, behind it, of what is labelled."""
    estimator = Arrays(proba, features, samples, sizes).fit(None, None)
    at = np.arange(len(proba), dtype=np.float32)[:, None]
    pool, start = at[: len(at) - n_labelled], at[len(at) - n_labelled :]
    y = np.arange(n_labelled) % proba.shape[1]
    return checks._Learner(estimator, start, y), pool


def scenario(kind, n=26, n_labelled=6, n_classes=3, d=4, dtype=np.float64):
    """Arrays with what breaks selectors."""
    rng = np.random.default_rng(len(kind))
    n_classes = {"two classes": 2, "a thousand classes": 1000}.get(kind, n_classes)
    d = 1 if kind == "one feature" else d
    n = {"one candidate": 1, "a thousand classes": 5}.get(kind, n)
    total = n + n_labelled
    samples = rng.dirichlet(np.full(n_classes, 0.5), size=(5, total))
    features = rng.normal(size=(total, d))
    if kind == "zeros and ones":
        samples[:, ::2] = np.eye(n_classes)[
            rng.integers(n_classes, size=samples[:, ::2].shape[:2])
        ]
        samples[:, ::4] = np.eye(n_classes)[0]
    if kind == "ties":
        samples[:] = 1 / n_classes
    if kind == "sure of all":
        samples[:] = np.eye(n_classes)[1]
    if kind == "duplicates":
        copies = np.arange(total) // 5 * 5
        samples, features = samples[:, copies], features[copies]
    if kind == "constant features":
        features[:] = 2.5
    if kind == "zero features":
        features[:] = 0
    if kind == "far from the origin":
        features += 1e6
    if kind == "hardly apart":
        features = 1 + 1e-6 * features
    samples, features = samples.astype(dtype), features.astype(dtype)
    samples = (samples / samples.sum(axis=-1, keepdims=True, dtype=np.float64)).astype(
        dtype
    )
    proba = samples.mean(axis=0, dtype=np.float64).astype(dtype)
    return proba, features, samples, np.abs(features).sum(axis=1), n_labelled


KINDS = [
    *(
        pytest.param(kind, marks=pytest.mark.slow)
        for kind in ("plain", "sure of all", "zero features", "hardly apart")
    ),
    pytest.param("far from the origin", marks=pytest.mark.slow),
    "zeros and ones",
    "ties",
    "duplicates",
    "constant features",
    "one feature",
    "one candidate",
    "two classes",
    "a thousand classes",
]


def lacks(name):
    return (
        "last_layer" in get_strategy(name).info.needs
        or "feature_dropout" in get_strategy(name).info.needs
    )


ABLE = [name for name in NAMES if not lacks(name)]


def ask(name, known, n_instances, **options):
    return get_strategy(name)(*known, n_instances, random_state=0, **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ABLE)
def test_adversarial_arrays(name, kind):
    known = know(*scenario(kind))
    n = len(known[1])
    for n_instances in sorted({1, min(5, n), n}):
        indices, scores = ask(name, known, n_instances)
        assert indices.dtype == np.int64 and sorted(set(indices.tolist())) == sorted(
            indices.tolist()
        )
        assert len(indices) == n_instances and indices.min() >= 0 and indices.max() < n
        assert not np.isnan(scores).any()
        if n_instances == 1:
            again = ask(name, known, n_instances)
            assert (indices, scores) == again
    if kind in ("ties", "duplicates", "constant features"):
        indices, _ = ask(name, known, n // 2, random_tie_break=True)
        assert len(set(indices.tolist())) == n // 2


@pytest.mark.parametrize(
    "dtype", [np.float16, pytest.param(np.float32, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", ABLE)
def test_the_same_numbers_in_any_precision(name, dtype):
    """What a half or a single float holds exactly is chosen from as if in double
    precision."""
    *arrays, n_labelled = scenario("plain", n_classes=4)
    rounded = [
        np.round(a * 256) / 256 if a.ndim > 1 else a
        for a in (arrays[0], arrays[1], arrays[2])
    ]
    for proba in (rounded[0], *rounded[2]):
        proba[:, 0] += 1 - proba.sum(axis=1)
    sizes = np.abs(rounded[1]).sum(axis=1)
    chosen = [
        ask(
            name,
            know(
                *(np.asarray(a, dtype=kind, order=order) for a in (*rounded, sizes)),
                n_labelled,
            ),
            7,
        )
        for kind, order in ((np.float64, "C"), (dtype, "C"), (dtype, "F"))
    ]
    np.testing.assert_array_equal(chosen[1][0], chosen[0][0])
    np.testing.assert_array_equal(chosen[2][0], chosen[0][0])
    np.testing.assert_allclose(chosen[1][1], chosen[0][1], rtol=1e-3, atol=1e-5)


NEEDS_LABELS = {
    "outliers_mean",
    "outliers_max",
    "outliers_mean_entropy",
    "outliers_mean_least_confidence",
}


@pytest.mark.parametrize("name", ABLE)
def test_nothing_or_little_is_labelled(name):
    proba, features, samples, sizes, _ = scenario("plain", n_labelled=0)
    learner, pool = know(proba, features, samples, sizes, 0)
    nobody = checks._Learner(learner.estimator, None, None)
    for who in (learner, nobody, learner.estimator):
        if name in NEEDS_LABELS:
            with pytest.raises(ValueError, match="labelled rows, and there are none"):
                ask(name, (who, pool), 5)
        else:
            checks._assert_contract(*ask(name, (who, pool), 5), 5, len(pool))
    # One row, of one class: all others are absent.
    alone = checks._Learner(learner.estimator, pool[:1], np.array([2]))
    checks._assert_contract(*ask(name, (alone, pool[1:]), 5), 5, len(pool) - 1)
    checks._assert_contract(
        *ask(name, (alone, pool[1:]), len(pool) - 1), len(pool) - 1, len(pool) - 1
    )


# -- a net with BatchNorm and dropout, asked in batches and chunks of any size ---------


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.first, self.drop = (
            nn.BatchNorm1d(64),
            nn.Linear(64, 16),
            nn.Dropout(0.4),
        )
        self.last = nn.Linear(16, 10)

    def forward(self, x):
        return self.last(self.drop(torch.relu(self.first(self.norm(x.flatten(1))))))


@pytest.fixture(scope="module")
def taught(digits):
    X, y = digits
    X = X.reshape(len(X), -1).astype(np.float32) / 255
    torch.manual_seed(0)
    options = {
        "max_epochs": 10,
        "lr": 0.1,
        "train_split": None,
        "verbose": 0,
        "batch_size": 16,
    }
    options["iterator_valid__batch_size"] = (
        16  # what it scores with; it trains with the other
    )
    net = NeuralNetClassifier(Net, criterion=nn.CrossEntropyLoss, **options)
    learner = ActiveLearner(net, X_training=X[:90], y_training=y[:90])
    return learner, X[90:170]


OF_NETS = [
    info.name for info in catalogue() if not {"true_labels", "loss"} & set(info.needs)
]


def quick(name):
    return get_strategy(QUICK.get(name, name))


@pytest.mark.parametrize(
    ("batch_sizes", "chunks"),
    [((7,), (33,)), pytest.param((1, 200), (1, 7), marks=pytest.mark.slow)],
    ids=["some", "extreme"],
)
@pytest.mark.parametrize("name", OF_NETS)
def test_batches_and_chunks_change_nothing(
    name, batch_sizes, chunks, taught, tmp_path, monkeypatch
):
    learner, X = taught
    strategy, net = quick(name), learner.estimator
    expected = strategy(learner, X, 9, random_state=0)
    np.save(tmp_path / "X.npy", X)
    on_disk = np.load(tmp_path / "X.npy", mmap_mode="r")
    try:
        for batch_size in batch_sizes:
            net.iterator_valid__batch_size = batch_size
            got = strategy(learner, X, 9, random_state=0)
            np.testing.assert_array_equal(
                got[0], expected[0], err_msg=f"batch_size={batch_size}"
            )
            np.testing.assert_allclose(got[1], expected[1], rtol=1e-3, atol=1e-5)
    finally:
        net.iterator_valid__batch_size = 16
    for n_rows in chunks:
        monkeypatch.setattr(
            _chunks, "chunk_rows_of", lambda X, result_bytes=0, n_rows=n_rows: n_rows
        )
        got = strategy(learner, on_disk, 9, random_state=0)
        np.testing.assert_array_equal(
            got[0], expected[0], err_msg=f"{n_rows} rows at a time"
        )
        np.testing.assert_allclose(got[1], expected[1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", OF_NETS)
def test_nothing_is_touched_and_the_row_that_was_scored_is_the_one_handed_out(
    name, taught
):
    learner, X = taught
    net, data = learner.estimator, Indexed(X)
    module = net.module_
    module.train(), module.drop.eval()
    modes = [part.training for part in module.modules()]
    weights = {key: value.clone() for key, value in module.state_dict().items()}
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    states = (
        random.getstate(),
        np.random.get_state()[1].copy(),
        np.random.get_state()[2],
        torch.get_rng_state(),
    )
    before = X.copy()
    try:
        indices, rows, scores = _query(learner, quick(name), data, 6)
    finally:
        after = [part.training for part in module.modules()]
        module.eval()
    assert after == modes and all(
        torch.equal(value, weights[key]) for key, value in module.state_dict().items()
    )
    assert not any(
        part._forward_hooks or part._forward_pre_hooks or "forward" in vars(part)
        for part in module.modules()
    )
    assert all(p.requires_grad for p in module.parameters()) and torch.is_grad_enabled()
    assert states[0] == random.getstate() and torch.equal(
        states[3], torch.get_rng_state()
    )
    assert (
        np.array_equal(states[1], np.random.get_state()[1])
        and states[2] == np.random.get_state()[2]
    )
    np.testing.assert_array_equal(X, before)
    # A row that comes out carries its own index, and that is the position that was
    # named.
    assert [rows[i][1] for i in range(6)] == indices.tolist()
    np.testing.assert_array_equal([rows[i][0] for i in range(6)], X[indices])
    if name in ("least_confidence", "margin", "ratio", "entropy"):
        given = np.stack([rows[i][0] for i in range(6)])
        np.testing.assert_allclose(
            getattr(measures, name)(inference.predict_proba(net, given)),
            scores,
            atol=1e-6,
        )
    # Of a part of the pool, in another order, positions are those of the part.
    part = take_rows(data, np.arange(len(X))[::-1][:50])
    indices, rows, _ = _query(learner, quick(name), part, 6)
    assert [rows[i][1] for i in range(6)] == [
        part[int(i)][1] for i in indices
    ] and indices.max() < 50


def _query(learner, strategy, data, n_instances):
    learner.query_strategy = strategy
    return learner.query(
        data, n_instances=n_instances, random_state=0, return_metrics=True
    )
