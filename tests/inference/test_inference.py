"""What can be got out of a classifier: right, lazy, and without changing it."""

import random

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
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
from al_sklearn._core.random import as_seed
from al_sklearn.inference._masks import FeatureMasks
from al_sklearn.pool import view_rows
from al_sklearn.rows import _chunks


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
    """One posterior sample, obviously: all rows in one batch, the masks of this sample
    set by hand."""
    from al_sklearn.inference._dropout import FixedDropout, active_dropout

    module = net.module_.eval()
    masks = FixedDropout(active_dropout(module), seed)
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
    for t in range(4):
        np.testing.assert_allclose(
            samples[t], reference_sample(net, X, as_seed(5), t), atol=1e-5
        )
    # Every row of one sample has the same mask: the same image gives the same answer
    # anywhere in the pool.
    twice = inference.sample_proba(
        net, np.concatenate([X[:40], X[:40]]), n_samples=4, random_state=5
    )
    np.testing.assert_allclose(twice[:, :40], twice[:, 40:], atol=1e-6)
    assert np.ptp(samples, axis=0).max() > 0.05
    assert inference.sample_proba(net, X[:5]).shape == (20, 5, 10)


@pytest.mark.parametrize(
    "kind", [nn.Dropout, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout]
)
def test_every_kind_of_dropout_is_unbiased_and_switched_on(images, kind):
    net = make_net(images, dropout=kind)
    samples = inference.sample_proba(net, images[0][:50], n_samples=30, random_state=0)
    assert samples.std(axis=0).max() > 0.01
    from al_sklearn.inference._dropout import FixedDropout

    layer, x = (
        kind(0.3),
        torch.randn(4, 600, 2, 2) if "2d" in kind.__name__ else torch.randn(4, 2400),
    )
    masks = FixedDropout([layer], 0)
    many = []
    for t in range(300):
        masks.start(t)
        many.append(masks.forward(0, x))
    # Alpha dropout keeps the mean of standard normal input (zero), the plain kinds each
    # value.
    target = torch.zeros_like(x) if "Alpha" in kind.__name__ else x
    error = (torch.stack(many).mean(0) - target).mean().abs()
    assert error < 0.05
    layer.train()
    assert abs(layer(x).std() - torch.stack(many[:20]).std()) < 0.1


@pytest.mark.parametrize("batch_size", [1, 7, 64, 300])
def test_the_batch_size_changes_nothing(net, images, batch_size):
    X, _ = images
    before = (
        inference.sample_proba(net, X, n_samples=3, random_state=1),
        inference.gradient_factors(net, X),
    )
    net.set_params(batch_size=batch_size)
    after = (
        inference.sample_proba(net, X, n_samples=3, random_state=1),
        inference.gradient_factors(net, X),
    )
    np.testing.assert_allclose(before[0], after[0], atol=1e-5)
    np.testing.assert_allclose(before[1][0], after[1][0], atol=1e-5)
    np.testing.assert_allclose(before[1][1], after[1][1], atol=1e-4)


def test_the_trunk_runs_once_for_all_samples(net, images):
    calls = {"conv": 0, "conv2": 0, "out": 0}
    handles = [
        getattr(net.module_, name).register_forward_hook(lambda *_, name=name: None)
        for name in calls
    ]
    originals = {name: type(getattr(net.module_, name)).forward for name in calls}

    def counting(name):
        def forward(x):
            calls[name] += len(x)
            return originals[name](getattr(net.module_, name), x)

        return forward

    for name in calls:
        getattr(net.module_, name).forward = counting(name)
    net.set_params(batch_size=300)
    inference.sample_proba(net, images[0], n_samples=10, random_state=0)
    for name, handle in zip(calls, handles, strict=True):
        assert "forward" in vars(getattr(net.module_, name)), (
            "the caller's own forward must be put back"
        )
        del getattr(net.module_, name).forward
        handle.remove()
    n = len(images[0])
    # Two images show first what the network calls.
    assert calls == {"conv": n + 2, "conv2": n + 2, "out": 10 * n + 2}


class Turning(nn.Module):
    """Goes another way for batches of more than two images, through parts of an
    nn.Sequential also one by one."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64, 20),
            nn.ReLU(),
            nn.Linear(20, 20),
            nn.Dropout(0.5),
        )
        self.more = nn.Linear(20, 20)
        self.out = nn.Linear(20, 10)
        self.always = False

    def forward(self, x):
        shift = 0
        if self.always or len(x) > 2:
            shift = self.more(self.body[1](self.body[0](x)))
        x = self.body(x)
        return self.out(x.relu_() + shift)


def test_a_network_that_goes_another_way_for_a_larger_batch(images):
    options = {
        "criterion": nn.CrossEntropyLoss,
        "batch_size": 128,
        "max_epochs": 1,
        "train_split": None,
        "verbose": 0,
    }
    net = NeuralNetClassifier(Turning, **options).fit(*images)
    X = images[0]
    turning = inference.sample_proba(net, X, n_samples=4, random_state=0)
    net.module_.always = True
    np.testing.assert_allclose(
        turning, inference.sample_proba(net, X, n_samples=4, random_state=0), atol=1e-6
    )
    assert np.abs(turning[0] - turning[1]).max() > 0.01


class Again(nn.Module):
    """Runs an nn.Sequential a second time, behind its dropout."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.5))
        self.out = nn.Linear(64, 10)

    def forward(self, x):
        return self.out(self.body(self.body(x.flatten(1))))


def test_a_part_that_runs_again_behind_the_dropout_is_computed_again(images):
    from al_sklearn.inference._dropout import FixedDropout, active_dropout, dropout_on

    X = images[0][:30]
    net = NeuralNetClassifier(Again, criterion=nn.CrossEntropyLoss).initialize()
    samples = inference.sample_proba(net, X, n_samples=3, random_state=0)
    masks = FixedDropout(active_dropout(net.module_), as_seed(0))
    for t, sample in enumerate(samples):
        masks.start(t)
        with dropout_on(masks), torch.no_grad():
            logits = net.module_.eval()(torch.as_tensor(X))
        np.testing.assert_allclose(sample, logits.softmax(1), atol=1e-6)


def test_nothing_is_changed(net, images):
    X, _ = images
    net.module_.train()
    net.module_.drop2.eval()
    modes = [part.training for part in net.module_.modules()]
    weights = {key: value.clone() for key, value in net.module_.state_dict().items()}
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    gradients = [
        None if p.grad is None else p.grad.clone() for p in net.module_.parameters()
    ]
    inference.sample_proba(net, X, n_samples=3)
    inference.gradient_factors(net, X)
    inference.predict_proba(net, X)
    inference.embed(net, X, layer="conv2")
    inference.feature_dropout(net, X)
    inference.last_layer(net, X)
    inference.input_gradient(net, X)
    inference.proba_and_embed(net, X)
    assert modes == [part.training for part in net.module_.modules()]
    assert all(
        torch.equal(value, weights[key])
        for key, value in net.module_.state_dict().items()
    )
    assert states[0] == random.getstate() and torch.equal(
        states[2], torch.get_rng_state()
    )
    assert np.array_equal(states[1], np.random.get_state()[1])
    after = [p.grad for p in net.module_.parameters()]
    assert all(
        a is b or torch.equal(a, b) for a, b in zip(gradients, after, strict=True)
    )
    assert torch.is_grad_enabled() and all(
        p.requires_grad for p in net.module_.parameters()
    )
    assert not any("forward" in vars(part) for part in net.module_.modules())
    assert not any(
        part._forward_hooks or part._forward_pre_hooks for part in net.module_.modules()
    )


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
    with pytest.raises(
        ValueError, match=r"Unknown layer 'conv9'. Available: conv, norm, conv2"
    ):
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
    for kind in (
        torch.as_tensor(X),
        memmap,
        data,
        view_rows(data, np.arange(300)),
        SliceDataset(data),
        view,
    ):
        np.testing.assert_allclose(
            inference.predict_proba(net, kind), expected, atol=1e-6
        )
        samples = inference.sample_proba(net, kind, n_samples=2, random_state=3)
        np.testing.assert_allclose(
            samples,
            inference.sample_proba(net, X, n_samples=2, random_state=3),
            atol=1e-5,
        )


def test_chunks_change_nothing(net, images, monkeypatch, tmp_path):
    X, _ = images
    memmap = np.memmap(tmp_path / "x.bin", dtype=X.dtype, mode="w+", shape=X.shape)
    memmap[:] = X
    monkeypatch.setattr(_chunks, "_CHUNK_BYTES", 1)
    forest = RandomForestClassifier(10, random_state=0).fit(
        X.reshape(300, -1), images[1]
    )
    flat = view_rows(X.reshape(300, -1), np.arange(300))
    for classifier, lazy, plain in (
        (net, memmap, X),
        (forest, flat, X.reshape(300, -1)),
    ):
        np.testing.assert_allclose(
            inference.sample_proba(classifier, lazy, 4, 0),
            inference.sample_proba(classifier, plain, 4, 0),
            atol=1e-5,
        )
        for got, want in zip(
            inference.gradient_factors(classifier, lazy),
            inference.gradient_factors(classifier, plain),
            strict=True,
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
        BaggingClassifier(
            DecisionTreeClassifier(max_depth=4),
            7,
            max_samples=15,
            max_features=0.5,
            random_state=0,
        ),
        VotingClassifier(
            [
                ("tree", DecisionTreeClassifier(random_state=0)),
                ("line", LogisticRegression(max_iter=2000)),
            ],
            voting="soft",
        ),
    ],
    ids=lambda e: type(e).__name__,
)
def test_ensembles_give_their_members(ensemble, flat):
    X, y = flat
    ensemble.fit(X, y)
    samples = inference.sample_proba(ensemble, X)
    np.testing.assert_allclose(
        samples.mean(axis=0), ensemble.predict_proba(X), atol=1e-6
    )
    np.testing.assert_array_equal(inference.classes_of(ensemble), ensemble.classes_)
    if len(samples) > 2:
        few = inference.sample_proba(ensemble, X, n_samples=3, random_state=0)
        assert len(few) == 3 and all(
            any(np.array_equal(f, s) for s in samples) for f in few
        )
    piped = make_pipeline(StandardScaler(), ensemble).fit(X, y)
    assert inference.sample_proba(piped, X).shape == samples.shape


def test_pipelines_transform_before_they_embed(net, images, flat):
    X, y = flat
    pipe = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    np.testing.assert_allclose(inference.embed(pipe, X), pipe[:-1].transform(X))
    np.testing.assert_allclose(inference.embed(pipe[-1], X), X)
    np.testing.assert_allclose(
        inference.embed(None, images[0]), images[0].reshape(300, -1)
    )
    frame = pd.DataFrame(X)
    np.testing.assert_allclose(
        inference.embed(LogisticRegression().fit(frame, y), frame), X
    )
    search = GridSearchCV(pipe, {"logisticregression__C": [0.1, 1]}, cv=2).fit(X, y)
    np.testing.assert_allclose(
        inference.embed(search, X), search.best_estimator_[:-1].transform(X)
    )


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
        with pytest.raises(
            TypeError,
            match=r"posterior samples: use a net with dropout, "
            r"DeepEnsemble, a Committee",
        ):
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
        inference.embed(
            LogisticRegression(max_iter=500).fit(flat_X, flat_y), flat_X, layer="conv"
        )
    spoilt = X.copy()
    spoilt[70, 0, 3, 3] = np.nan
    with pytest.raises(ValueError, match="X contains NaN"):
        inference.predict_proba(net, spoilt)
    with pytest.raises(ValueError, match=r"infinity, first in row 70"):
        inference.embed(None, spoilt)
    logits = NeuralNetClassifier(
        NoLinear, max_epochs=1, train_split=None, verbose=0, predict_nonlinearity=None
    )
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


def test_feature_dropout_drops_from_the_embedding_alone(net, images):
    X, _ = images
    embeddings = inference.embed(net, X)
    weights, bias = inference.last_layer(net, X)
    masks = FeatureMasks(0.75, as_seed(3))
    samples = inference.feature_dropout(net, X, n_samples=4, random_state=3)
    for t in range(4):
        logits = (embeddings * masks.factors(t, 0, 300, 16)) @ weights.T + bias
        np.testing.assert_allclose(
            samples[t], torch.softmax(torch.as_tensor(logits), 1).numpy(), atol=1e-5
        )
    np.testing.assert_allclose(
        inference.feature_dropout(net, X, 1, 0.0)[0],
        inference.predict_proba(net, X),
        atol=1e-6,
    )
    factors = masks.factors(0, 0, 2000, 16)
    assert set(np.unique(factors).tolist()) == {0.0, 4.0}
    assert abs(factors.mean() - 1) < 0.05 and abs(np.mean(factors == 0) - 0.75) < 0.01
    assert not np.array_equal(factors[0], factors[1]) and not np.array_equal(
        factors, masks.factors(1, 0, 2000, 16)
    )


def test_feature_dropout_does_not_depend_on_batches_or_chunks(
    net, images, flat, tmp_path, monkeypatch
):
    X, _ = images
    expected = inference.feature_dropout(net, X, random_state=1)
    size = net.batch_size
    for batch_size in (1, 7, 300):
        net.set_params(batch_size=batch_size)
        np.testing.assert_allclose(
            inference.feature_dropout(net, X, random_state=1), expected, atol=1e-5
        )
    net.set_params(batch_size=size)
    memmap = np.memmap(tmp_path / "x.bin", dtype=X.dtype, mode="w+", shape=X.shape)
    memmap[:] = X
    monkeypatch.setattr(_chunks, "_CHUNK_BYTES", 1)
    np.testing.assert_allclose(
        inference.feature_dropout(net, memmap, random_state=1), expected, atol=1e-5
    )
    np.testing.assert_allclose(
        inference.input_gradient(net, memmap),
        inference.input_gradient(net, X),
        rtol=1e-3,
    )
    rows, labels = flat
    forest = RandomForestClassifier(5, random_state=0).fit(rows, labels)
    lazy = view_rows(rows, np.arange(len(rows)))
    np.testing.assert_allclose(
        inference.feature_dropout(forest, lazy, random_state=1),
        inference.feature_dropout(forest, rows, random_state=1),
    )


def test_the_part_before_the_last_layer_runs_once_for_all_passes_with_dropout(
    net, images
):
    calls = {"conv": 0, "hidden": 0, "out": 0}
    original = {name: getattr(net.module_, name).forward for name in calls}

    def counting(name):
        def forward(x):
            calls[name] += len(x)
            return original[name](x)

        return forward

    size = net.batch_size
    net.set_params(batch_size=300)
    for name in calls:
        getattr(net.module_, name).forward = counting(name)
    try:
        inference.feature_dropout(net, images[0], n_samples=6, random_state=0)
    finally:
        for name in calls:
            del getattr(net.module_, name).forward
        net.set_params(batch_size=size)
    n = len(images[0])
    # Once for all six; two images show which layer is the last, two what the network
    # calls.
    assert calls == {"conv": n + 4, "hidden": n + 4, "out": 6 * n + 4}


def test_last_layers(net, images, flat):
    X, y = flat
    for n_classes in (2, 10):
        some = np.isin(y, np.unique(y)[:n_classes])
        model = LogisticRegression(max_iter=500).fit(X[some], y[some])
        pipe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(
            X[some], y[some]
        )
        for classifier in (model, pipe):
            weights, bias = inference.last_layer(classifier, X)
            logits = inference.embed(classifier, X) @ weights.T + bias
            proba = np.exp(logits - logits.max(axis=1, keepdims=True))
            proba /= proba.sum(axis=1, keepdims=True)
            np.testing.assert_allclose(
                proba, inference.predict_proba(classifier, X), atol=1e-6
            )
            weights[:] = 0  # a copy: the model stays as it is
        np.testing.assert_allclose(
            inference.last_layer(model, X)[0][-1], model.coef_[-1]
        )
    weights, bias = inference.last_layer(net, images[0])
    np.testing.assert_array_equal(weights, net.module_.out.weight.detach().numpy())
    np.testing.assert_array_equal(bias, net.module_.out.bias.detach().numpy())
    with pytest.raises(
        TypeError,
        match="DecisionTreeClassifier cannot give last-layer weights: use a net",
    ):
        inference.last_layer(DecisionTreeClassifier().fit(X, y), X)


def test_probabilities_and_embeddings_come_from_one_pass(net, images, monkeypatch):
    X, _ = images
    expected = inference.predict_proba(net, X), inference.embed(net, X)
    passes = []
    infer = net.infer
    monkeypatch.setattr(
        net, "infer", lambda rows: passes.append(len(rows)) or infer(rows)
    )
    with inference.shared():
        got = inference.proba_and_embed(net, X)
        for part, want, again in zip(
            got, expected, (inference.predict_proba, inference.embed), strict=True
        ):
            np.testing.assert_allclose(part, want, atol=1e-6)
            assert again(net, X) is part
        inference.gradient_factors(net, X)
    # Two images show which layer makes the output.
    assert sum(passes) == len(X) + 2


def test_new_capabilities_say_what_is_wrong(net, images, flat):
    X, y = flat
    for options, message in (
        ({"p": 1.0}, "probability below 1"),
        ({"n_samples": 0}, "n_samples must be at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            inference.feature_dropout(net, images[0], **options)
    with pytest.raises(
        TypeError,
        match="RidgeClassifier cannot give predictions from embeddings with dropout",
    ):
        inference.feature_dropout(RidgeClassifier().fit(X, y), X)
    frame = pd.DataFrame(X, columns=[f"pixel {i}" for i in range(X.shape[1])])
    named = LogisticRegression(max_iter=500).fit(
        frame, y
    )  # warns, an error here, when it loses the names
    assert inference.feature_dropout(named, frame).shape == (3, len(X), 10)
    with pytest.raises(
        TypeError, match="LogisticRegression cannot give input gradients"
    ):
        inference.input_gradient(named, frame)


class InPlace(nn.Module):
    """Arithmetic in place (or not) on the input, on a module's output, and by an
    activation; dropout behind."""

    def __init__(self, inplace, dropout_first=False):
        super().__init__()
        self.inplace = inplace
        self.first = nn.Dropout(0.3 if dropout_first else 0.0)
        self.body = nn.Sequential(
            nn.Linear(8, 16), nn.ReLU(inplace=inplace), nn.Linear(16, 16)
        )
        self.shift = nn.Parameter(torch.ones(16), requires_grad=False)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        if self.inplace:
            x -= 0.5
            x /= 0.25
        else:
            x = (x - 0.5) / 0.25
        x = self.body(self.first(x))
        if self.inplace:
            x += self.shift
        else:
            x = x + self.shift
        return self.head(self.drop(x))


@pytest.mark.parametrize("dropout_first", [False, True])
def test_arithmetic_in_place_changes_no_sample(dropout_first):
    X = np.random.default_rng(0).random((6, 8)).astype(np.float32)
    answers = []
    for inplace in (False, True):
        torch.manual_seed(0)
        net = NeuralNetClassifier(
            InPlace,
            module__inplace=inplace,
            module__dropout_first=dropout_first,
            criterion=nn.CrossEntropyLoss,
            max_epochs=1,
            lr=0.0,
            train_split=None,
            verbose=0,
        ).fit(X.copy(), np.arange(6) % 3)
        answers.append(
            (
                inference.sample_proba(net, X.copy(), 6, random_state=0),
                inference.feature_dropout(net, X.copy(), 3, 0.5, random_state=0),
                inference.embed(net, X.copy(), layer="body.0"),
            )
        )
    for plain, in_place in zip(*answers, strict=True):
        np.testing.assert_allclose(in_place, plain, atol=1e-6)
    assert answers[1][2].min() < 0, "the layer's own output is before its activation"


def test_dropout_inside_fused_attention_is_switched_on():
    class Transformer(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(
                16, 2, 32, dropout=0.5, batch_first=True
            )
            self.out = nn.Linear(16, 3)

        def forward(self, x):
            return self.out(self.layer(x).mean(1))

    X = np.random.default_rng(0).normal(size=(8, 5, 16)).astype(np.float32)
    torch.manual_seed(0)
    net = NeuralNetClassifier(
        Transformer,
        criterion=nn.CrossEntropyLoss,
        max_epochs=1,
        train_split=None,
        verbose=0,
    )
    samples = inference.sample_proba(net.fit(X, np.arange(8) % 3), X, 6, random_state=0)
    assert len(np.unique(samples.round(6).reshape(6, -1), axis=0)) == 6
    assert torch.backends.mha.get_fastpath_enabled()


def test_one_query_samples_one_posterior_for_every_x(net, images):
    X, _ = images
    with inference.shared():
        inference.sample_proba(net, X[:50], 3, random_state=0)
        candidates = inference.sample_proba(net, X, 3, random_state=1)
        targets = inference.sample_proba(net, X[:20].copy(), 3, random_state=2)
    np.testing.assert_allclose(candidates[:, :20], targets, atol=1e-6)


def test_a_classifiers_own_arrays_stay_writable():
    class Table(LogisticRegression):
        def predict_proba(self, X):
            return self.table_

    X = np.arange(10.0).reshape(5, 2)
    table = Table().fit(X, [0, 1, 0, 1, 0])
    table.table_ = np.full((5, 2), 0.5)
    with inference.shared():
        assert not inference.predict_proba(table, X).flags.writeable
    table.table_[0] = 0.1, 0.9


def test_probabilities_over_one_by_rounding_are_cut(flat):
    class Rounded(LogisticRegression):
        def predict_proba(self, X):
            proba = np.zeros((len(X), 10))
            proba[:, 0], proba[:, 1] = 1 + 2e-16, -2e-16
            return proba

    X, y = flat
    proba = inference.predict_proba(Rounded(max_iter=500).fit(X, y), X)
    assert proba.max() == 1 and proba.min() == 0

    class Wild(Rounded):
        def predict_proba(self, X):
            return np.tile([1.5, -0.5], (len(X), 1))

    with pytest.raises(ValueError, match=r"lie outside 0 … 1: from -0.5 to 1.5"):
        inference.predict_proba(Wild(max_iter=500).fit(X, y), X)


def test_a_search_at_the_end_of_a_pipeline_is_opened(flat):
    X, y = flat
    search = GridSearchCV(
        RandomForestClassifier(5, random_state=0), {"max_depth": [3, 5]}, cv=2
    )
    assert (
        inference.sample_proba(
            make_pipeline(StandardScaler(), search).fit(X, y), X
        ).shape[0]
        == 5
    )
    lines = GridSearchCV(LogisticRegression(max_iter=500), {"C": [0.1, 1]}, cv=2)
    weights, _ = inference.last_layer(
        make_pipeline(StandardScaler(), lines).fit(X, y), X
    )
    assert weights.shape == (10, 64)


def test_members_without_probabilities_are_named(flat):
    X, y = flat
    bagged = BaggingClassifier(RidgeClassifier(), 3, random_state=0).fit(X, y)
    with pytest.raises(TypeError, match="cannot give posterior samples: all members"):
        inference.sample_proba(bagged, X)


class Functional(Net):
    def forward(self, x):
        return super().forward(nn.functional.dropout(x, 0.2, training=self.training))


def test_functional_dropout_is_said(images):
    X, y = images
    net = NeuralNetClassifier(
        Functional,
        criterion=nn.CrossEntropyLoss,
        max_epochs=1,
        train_split=None,
        verbose=0,
    )
    net.fit(X, y)
    with pytest.warns(UserWarning, match="calls dropout as a function"):
        assert (
            np.ptp(inference.sample_proba(net, X[:20], 5, random_state=0), axis=0).max()
            > 0
        )


def test_an_empty_view_is_said(net, images):
    with pytest.raises(ValueError, match="X is empty"):
        inference.predict_proba(net, view_rows(images[0], np.arange(0)))
