"""What can be got out of a classifier: right, lazy, and without changing it."""

import random

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import BaggingClassifier, ExtraTreesClassifier, RandomForestClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from skorch import NeuralNetClassifier
from skorch.helper import SliceDataset
from torch import nn
from torch.utils.data import Dataset

from al_sklearn import inference
from al_sklearn.pool import view_rows


class Net(nn.Module):
    """BatchNorm in the trunk, functional code between modules, dropout in the head."""

    def __init__(self, dropout=nn.Dropout, p=0.5):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1)
        self.drop = dropout(p)
        self.hidden = nn.Linear(8, 16)
        self.drop2 = nn.Dropout(p)
        self.out = nn.Linear(16, 10)
        self.trunk_calls = 0

    def forward(self, x):
        x = torch.relu(self.norm(self.conv(x)))
        x = self.conv2(x)
        if self.drop.__class__.__name__ in ("Dropout2d", "FeatureAlphaDropout"):
            x = self.drop(x).mean((2, 3))
        else:
            x = self.drop(x.mean((2, 3)))
        return self.out(self.drop2(torch.relu(self.hidden(x))))


@pytest.fixture(scope="module")
def images(digits):
    X, y = digits
    return X[:300, None].astype(np.float32) / 255, y[:300]


def make_net(images, **module):
    torch.manual_seed(0)
    net = NeuralNetClassifier(
        Net,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        max_epochs=8,
        lr=0.02,
        train_split=None,
        verbose=0,
        batch_size=32,
        **{f"module__{key}": value for key, value in module.items()},
    )
    return net.fit(*images)


@pytest.fixture(scope="module")
def net(images):
    return make_net(images)


def reference_sample(net, X, seed, sample):
    """One posterior sample, obviously: all rows in one batch, the masks of this sample set by hand."""
    from al_sklearn._nets import _FixedDropout, active_dropout

    module = net.module_.eval()
    masks = _FixedDropout(active_dropout(module), seed)
    masks.start(sample)
    with torch.no_grad():
        x = torch.relu(module.norm(module.conv(torch.as_tensor(X))))
        x = module.conv2(x).mean((2, 3))
        x = masks.forward(0, x)
        x = masks.forward(1, torch.relu(module.hidden(x)))
        return torch.softmax(module.out(x), 1).numpy()


def test_mc_dropout_is_one_function_per_sample(net, images):
    X, _ = images
    samples = inference.sample_proba(net, X, n_samples=4, random_state=5)
    from al_sklearn._random import as_seed

    for t in range(4):
        np.testing.assert_allclose(samples[t], reference_sample(net, X, as_seed(5), t), atol=1e-5)
    # Every row of one sample has the same mask: the same image gives the same answer anywhere in the pool.
    twice = inference.sample_proba(net, np.concatenate([X[:40], X[:40]]), n_samples=4, random_state=5)
    np.testing.assert_allclose(twice[:, :40], twice[:, 40:], atol=1e-6)
    assert np.ptp(samples, axis=0).max() > 0.05
    assert inference.sample_proba(net, X[:5]).shape == (20, 5, 10)


@pytest.mark.parametrize("kind", [nn.Dropout, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout])
def test_every_kind_of_dropout_is_unbiased_and_switched_on(images, kind):
    net = make_net(images, dropout=kind)
    samples = inference.sample_proba(net, images[0][:50], n_samples=30, random_state=0)
    assert samples.std(axis=0).max() > 0.01
    from al_sklearn._nets import _FixedDropout

    layer, x = kind(0.3), torch.randn(4, 600, 2, 2) if "2d" in kind.__name__ else torch.randn(4, 2400)
    masks = _FixedDropout([layer], 0)
    many = []
    for t in range(300):
        masks.start(t)
        many.append(masks.forward(0, x))
    # Alpha dropout keeps the mean of standard normal input (zero), the plain kinds each value.
    target = torch.zeros_like(x) if "Alpha" in kind.__name__ else x
    error = (torch.stack(many).mean(0) - target).mean().abs()
    assert error < 0.05
    layer.train()
    assert abs(layer(x).std() - torch.stack(many[:20]).std()) < 0.1


@pytest.mark.parametrize("batch_size", [1, 7, 64, 300])
def test_the_batch_size_changes_nothing(net, images, batch_size):
    X, _ = images
    before = inference.sample_proba(net, X, n_samples=3, random_state=1), inference.gradient_factors(net, X)
    net.set_params(batch_size=batch_size)
    after = inference.sample_proba(net, X, n_samples=3, random_state=1), inference.gradient_factors(net, X)
    np.testing.assert_allclose(before[0], after[0], atol=1e-5)
    np.testing.assert_allclose(before[1][0], after[1][0], atol=1e-5)
    np.testing.assert_allclose(before[1][1], after[1][1], atol=1e-4)


def test_the_trunk_runs_once_for_all_samples(net, images):
    calls = {"conv": 0, "conv2": 0, "out": 0}
    handles = [getattr(net.module_, name).register_forward_hook(lambda *_, name=name: None) for name in calls]
    originals = {name: type(getattr(net.module_, name)).forward for name in calls}

    def counting(name):
        def forward(x):
            calls[name] += 1
            return originals[name](getattr(net.module_, name), x)

        return forward

    for name in calls:
        getattr(net.module_, name).forward = counting(name)
    net.set_params(batch_size=300)
    inference.sample_proba(net, images[0], n_samples=10, random_state=0)
    for name, handle in zip(calls, handles, strict=True):
        assert "forward" in vars(getattr(net.module_, name)), "the caller's own forward must be put back"
        del getattr(net.module_, name).forward
        handle.remove()
    assert calls == {"conv": 1, "conv2": 1, "out": 10}


def test_nothing_is_changed(net, images):
    X, _ = images
    net.module_.train()
    net.module_.drop2.eval()
    modes = [part.training for part in net.module_.modules()]
    weights = {key: value.clone() for key, value in net.module_.state_dict().items()}
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    inference.sample_proba(net, X, n_samples=3)
    inference.gradient_factors(net, X)
    inference.predict_proba(net, X)
    inference.embed(net, X, layer="conv2")
    assert modes == [part.training for part in net.module_.modules()]
    assert all(torch.equal(value, weights[key]) for key, value in net.module_.state_dict().items())
    assert states[0] == random.getstate() and torch.equal(states[2], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])
    assert not any("forward" in vars(part) for part in net.module_.modules())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.module_.modules())


def test_embeddings_are_the_input_of_the_last_linear_layer(net, images):
    X, _ = images
    residuals, embeddings = inference.gradient_factors(net, X)
    module = net.module_.eval()
    with torch.no_grad():
        logits = torch.as_tensor(embeddings) @ module.out.weight.T + module.out.bias
    proba = inference.predict_proba(net, X)
    np.testing.assert_allclose(torch.softmax(logits, 1).numpy(), proba, atol=1e-5)
    np.testing.assert_allclose(proba, net.predict_proba(X), atol=1e-5)
    expected = np.eye(10)[proba.argmax(1)] - proba
    np.testing.assert_allclose(residuals, expected, atol=1e-6)
    np.testing.assert_array_equal(inference.embed(net, X), embeddings)
    assert inference.embed(net, X, layer="conv2").shape == (300, 8 * 64)
    with pytest.raises(ValueError, match=r"Unknown layer 'conv9'. Available: conv, norm, conv2"):
        inference.embed(net, X, layer="conv9")


class Indexed(Dataset):
    def __init__(self, X, y):
        self.X, self.y = X, y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i], self.y[i]


def test_every_kind_of_x_gives_the_same(net, images, tmp_path):
    X, y = images
    expected = inference.predict_proba(net, X)
    memmap = np.memmap(tmp_path / "x.bin", dtype=X.dtype, mode="w+", shape=X.shape)
    memmap[:] = X
    data = Indexed(X, y)
    view = view_rows(np.concatenate([X[::-1], X]), np.arange(300, 600))
    for kind in (torch.as_tensor(X), memmap, data, view_rows(data, np.arange(300)), SliceDataset(data), view):
        np.testing.assert_allclose(inference.predict_proba(net, kind), expected, atol=1e-6)
        samples = inference.sample_proba(net, kind, n_samples=2, random_state=3)
        np.testing.assert_allclose(samples, inference.sample_proba(net, X, n_samples=2, random_state=3), atol=1e-5)


def test_chunks_change_nothing(net, images, monkeypatch, tmp_path):
    X, _ = images
    memmap = np.memmap(tmp_path / "x.bin", dtype=X.dtype, mode="w+", shape=X.shape)
    memmap[:] = X
    monkeypatch.setattr(inference, "_CHUNK_BYTES", 1)
    forest = RandomForestClassifier(10, random_state=0).fit(X.reshape(300, -1), images[1])
    flat = view_rows(X.reshape(300, -1), np.arange(300))
    for classifier, lazy, plain in ((net, memmap, X), (forest, flat, X.reshape(300, -1))):
        np.testing.assert_allclose(
            inference.sample_proba(classifier, lazy, 4, 0), inference.sample_proba(classifier, plain, 4, 0), atol=1e-5
        )
        for got, want in zip(
            inference.gradient_factors(classifier, lazy), inference.gradient_factors(classifier, plain), strict=True
        ):
            np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.fixture(scope="module")
def flat(digits):
    X, y = digits
    names = np.array([f"digit {i}" for i in range(10)])
    return X[:400].reshape(400, -1).astype(np.float64), names[y[:400]]


@pytest.mark.parametrize(
    "ensemble",
    [
        RandomForestClassifier(7, random_state=0),
        ExtraTreesClassifier(7, random_state=0),
        BaggingClassifier(DecisionTreeClassifier(max_depth=4), 7, max_samples=15, max_features=0.5, random_state=0),
        VotingClassifier(
            [("tree", DecisionTreeClassifier(random_state=0)), ("line", LogisticRegression(max_iter=2000))],
            voting="soft",
        ),
    ],
    ids=lambda e: type(e).__name__,
)
def test_ensembles_give_their_members(ensemble, flat):
    X, y = flat
    ensemble.fit(X, y)
    samples = inference.sample_proba(ensemble, X)
    np.testing.assert_allclose(samples.mean(axis=0), ensemble.predict_proba(X), atol=1e-6)
    np.testing.assert_array_equal(inference.classes_of(ensemble), ensemble.classes_)
    if len(samples) > 2:
        few = inference.sample_proba(ensemble, X, n_samples=3, random_state=0)
        assert len(few) == 3 and all(any(np.array_equal(f, s) for s in samples) for f in few)
    piped = make_pipeline(StandardScaler(), ensemble).fit(X, y)
    assert inference.sample_proba(piped, X).shape == samples.shape


def test_pipelines_transform_before_they_embed(net, images, flat):
    X, y = flat
    pipe = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    np.testing.assert_allclose(inference.embed(pipe, X), pipe[:-1].transform(X))
    np.testing.assert_allclose(inference.embed(pipe[-1], X), X)
    np.testing.assert_allclose(inference.embed(None, images[0]), images[0].reshape(300, -1))
    frame = pd.DataFrame(X)
    np.testing.assert_allclose(inference.embed(LogisticRegression().fit(frame, y), frame), X)
    search = GridSearchCV(pipe, {"logisticregression__C": [0.1, 1]}, cv=2).fit(X, y)
    np.testing.assert_allclose(inference.embed(search, X), search.best_estimator_[:-1].transform(X))


def test_within_one_query_each_is_computed_once(flat):
    X, y = flat

    class Counting(LogisticRegression):
        calls = 0

        def predict_proba(self, X):
            Counting.calls += 1
            return super().predict_proba(X)

    classifier = Counting(max_iter=500).fit(X, y)
    with inference.shared():
        first = inference.predict_proba(classifier, X)
        with inference.shared():
            second = inference.predict_proba(classifier, X)
        inference.gradient_factors(classifier, X)
        inference.predict_proba(classifier, X[:10])
    assert Counting.calls == 2 and first is second
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0
    X[0, 0] = X[0, 0]  # the caller's rows stay writable
    inference.predict_proba(classifier, X)
    assert Counting.calls == 3


class NoLinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 10, 8)

    def forward(self, x):
        return self.conv(x).flatten(1)


def test_errors_say_what_was_given_and_what_is_allowed(net, images, flat):
    X, y = images
    flat_X, flat_y = flat
    with pytest.raises(NotFittedError):
        inference.predict_proba(LogisticRegression(), flat_X)
    with pytest.raises(NotFittedError, match="fit or teach"):
        inference.predict_proba(NeuralNetClassifier(Net), X)
    for unable in (LogisticRegression(max_iter=500), SVC()):
        with pytest.raises(TypeError, match=r"posterior samples: use a net with dropout, DeepEnsemble, a Committee"):
            inference.sample_proba(unable.fit(flat_X, flat_y), flat_X)
    with pytest.raises(TypeError, match="RidgeClassifier cannot give predict_proba"):
        inference.predict_proba(RidgeClassifier().fit(flat_X, flat_y), flat_X)
    with pytest.raises(TypeError, match="no active dropout module"):
        inference.sample_proba(make_net(images, p=0.0), X)
    with pytest.raises(TypeError, match="cannot give predict_loss"):
        inference.predict_loss(net, X)
    with pytest.raises(ValueError, match="n_samples must be at least 1"):
        inference.sample_proba(net, X, n_samples=0)
    with pytest.raises(TypeError, match="only nets have layers"):
        inference.embed(LogisticRegression(max_iter=500).fit(flat_X, flat_y), flat_X, layer="conv")
    spoilt = X.copy()
    spoilt[70, 0, 3, 3] = np.nan
    with pytest.raises(ValueError, match="X contains NaN"):
        inference.predict_proba(net, spoilt)
    with pytest.raises(ValueError, match=r"infinity, first in row 70"):
        inference.embed(None, spoilt)
    logits = NeuralNetClassifier(NoLinear, max_epochs=1, train_split=None, verbose=0, predict_nonlinearity=None)
    logits.set_params(criterion=nn.CrossEntropyLoss).fit(X, y)
    with pytest.raises(ValueError, match="do not sum to 1"):
        inference.predict_proba(logits, X)
    with pytest.raises(TypeError, match=r"no nn.Linear .* layer=…: conv"):
        inference.embed(logits.set_params(predict_nonlinearity="auto"), X)

    class Broken(LogisticRegression):
        def predict_proba(self, X):
            proba = super().predict_proba(X)
            proba[4] = np.nan
            return proba

    with pytest.raises(ValueError, match="NaN, first for row 4"):
        inference.predict_proba(Broken(max_iter=500).fit(flat_X, flat_y), flat_X)
