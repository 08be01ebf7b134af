"""ImageClassifier: what scikit-learn and skorch users expect, and skorch's known
traps."""

import pickle
import random
import shutil

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNetClassifier
from skorch.callbacks import Checkpoint, EarlyStopping, EpochScoring, LRScheduler
from skorch.dataset import Dataset as SkorchDataset
from skorch.dataset import ValidSplit
from skorch.helper import predefined_split
from torch import nn
from torch.utils.data import DataLoader

from al_sklearn.estimators import ImageClassifier


def weights(net):
    return torch.cat(
        [value.flatten().double() for value in net.module_.state_dict().values()]
    )


class Plain(nn.Module):
    """A user's network that knows none of our parameter names but one."""

    def __init__(self, num_classes, hidden=8):
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(), nn.Linear(64, hidden), nn.BatchNorm1d(hidden), nn.ReLU()
        )
        self.fc = nn.Linear(hidden, num_classes)

    def forward(self, X):
        return self.fc(self.body(X))


class Fixed(nn.Module):
    def __init__(self, hidden=8, outputs=10):
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
        )

    def forward(self, X):
        return self.net(X)


@pytest.mark.parametrize(("n", "least"), [(20, 0.5), (60, 0.8), (180, 0.92)])
def test_learns_from_few_labels(digits, n, least):
    X, y = digits
    net = ImageClassifier(random_state=0).fit(X[:n], y[:n])
    assert net.score(X[1000:], y[1000:]) > least


def test_is_a_scikit_learn_classifier_and_a_skorch_net(digits, quick):
    X, y = digits
    net = quick()
    assert is_classifier(net)
    assert isinstance(net, NeuralNetClassifier)
    assert get_tags(net).estimator_type == "classifier"
    assert not hasattr(net, "classes_")
    with pytest.raises(NotFittedError):
        check_is_fitted(net)
    assert net.fit(X[:40], y[:40]) is net
    check_is_fitted(net)
    assert net.image_shape_ == (1, 8, 8)
    assert net.n_features_in_ == 64
    np.testing.assert_array_equal(net.classes_, np.arange(10))
    proba = net.predict_proba(X[:30])
    assert proba.shape == (30, 10)
    assert proba.dtype == np.float32
    np.testing.assert_allclose(proba.sum(1), 1, rtol=1e-5)
    assert not net.module_.training
    assert "small_cnn" in repr(quick())
    assert "Conv2d" in repr(net)


def test_softmax_is_applied_once(digits, quick):
    X, y = digits
    net = quick(max_epochs=20).fit(X[:200], y[:200])
    logits = net.forward(X[:50])
    np.testing.assert_allclose(
        net.predict_proba(X[:50]), torch.softmax(logits, 1).numpy(), rtol=1e-6
    )
    assert net.predict_proba(X[:50]).max() > 0.5


@pytest.mark.parametrize("n", [3, 6, 12])
def test_seed_sets_of_a_few_images(digits, n):
    X, y = digits
    three = np.concatenate([np.flatnonzero(y == c)[: n // 3] for c in (0, 1, 2)])
    net = ImageClassifier(random_state=0).fit(X[three], y[three])
    assert net.score(X[three], y[three]) == 1
    assert net.predict_proba(X[:7]).shape == (7, 3)


@pytest.mark.parametrize("module", ["small_cnn", "resnet20", Plain])
def test_a_last_batch_of_one_with_batchnorm(digits, quick, module):
    X, y = digits
    net = quick(module=module, batch_size=4, max_epochs=1).fit(X[:9], y[:9])
    sizes = [batch["train_batch_size"] for batch in net.history[-1]["batches"]]
    assert sizes == [4, 5]
    assert torch.isfinite(weights(net)).all()
    # One image in all: BatchNorm falls back to its running statistics, and is in
    # training mode again afterwards.
    modes = []
    net.partial_fit(X[:1], y[:1])
    net.forward(X[:2], training=True)
    modes = {part.training for part in net.module_.modules()}
    assert modes == {True}


def test_labels_of_any_type(digits, quick):
    X, y = digits
    names = np.array(["zero", "one", "two", "three", "four"])
    few = y < 5
    X, y = X[few][:150], y[few][:150]
    for labels in (
        names[y],
        names[y].astype(object),
        list(names[y]),
        y * 2,
        y.astype(float),
        torch.tensor(y),
    ):
        net = quick(max_epochs=8).fit(X, labels)
        expected = np.asarray(labels)
        np.testing.assert_array_equal(net.classes_, np.unique(expected))
        assert np.mean(net.predict(X) == expected) > 0.7
        assert net.predict(X).dtype.kind == expected.dtype.kind


def test_labels_zero_and_two(digits, quick):
    X, y = digits
    keep = (y == 0) | (y == 2)
    net = quick(max_epochs=8).fit(X[keep], y[keep])
    np.testing.assert_array_equal(net.classes_, [0, 2])
    assert set(net.predict(X[keep])) == {0, 2}
    assert net.score(X[keep], y[keep]) > 0.95


def test_a_missing_class(digits, quick):
    X, y = digits
    few = np.flatnonzero(y < 3)[:60]
    net = quick(classes=np.arange(10)).fit(X[few], y[few])
    assert net.predict_proba(X[:5]).shape == (5, 10)
    net.partial_fit(X[:100], y[:100])
    with pytest.raises(ValueError, match=r"not among the classes.*classes="):
        quick().fit(X[few], y[few]).partial_fit(X[:100], y[:100])
    net = quick().partial_fit(X[few], y[few], classes=np.arange(10))
    net.partial_fit(X[:100], y[:100], classes=np.arange(10))
    assert net.predict_proba(X[:5]).shape == (5, 10)
    with pytest.raises(ValueError, match="those of the first fit"):
        net.partial_fit(X[:100], y[:100], classes=np.arange(9))


@pytest.mark.parametrize("augment", [None, "flip_crop"])
def test_the_same_random_state_gives_the_same_weights(digits, quick, augment):
    X, y = digits
    first = quick(augment=augment).fit(X[:70], y[:70])
    torch.manual_seed(123)
    again = clone(first).fit(X[:70], y[:70])
    assert torch.equal(weights(first), weights(again))
    assert torch.equal(weights(first), weights(first.fit(X[:70], y[:70])))
    other = quick(augment=augment, random_state=1).fit(X[:70], y[:70])
    assert not torch.equal(weights(first), weights(other))
    # Going on is repeatable too, and is not the first training again.
    first.partial_fit(X[70:90], y[70:90])
    again.partial_fit(X[70:90], y[70:90])
    assert torch.equal(weights(first), weights(again))


def test_random_states_of_every_kind(digits, quick):
    X, y = digits
    for make in (np.random.default_rng, np.random.RandomState):
        nets = [quick(random_state=make(5)).fit(X[:40], y[:40]) for _ in range(2)]
        assert torch.equal(weights(nets[0]), weights(nets[1]))
    free = [quick(random_state=None).fit(X[:40], y[:40]) for _ in range(2)]
    assert not torch.equal(weights(free[0]), weights(free[1]))


def test_the_global_generators_are_left_alone(digits, quick):
    X, y = digits
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    net = quick(augment="flip_crop").fit(X[:40], y[:40])
    net.partial_fit(X[:40], y[:40])
    net.predict_proba(X[:10])
    net.set_params(module__dropout=0.1)
    clone(net).initialize(X[:20], y[:20])
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])
    assert before[2] == random.getstate()


def test_warm_start_and_partial_fit_go_on(digits, quick):
    X, y = digits
    net = quick(warm_start=True).fit(X[:80], y[:80])
    statistics = net.module_.image_mean.clone()
    assert len(net.history) == 2
    net.fit(255 - X[:80], y[:80])
    assert len(net.history) == 4
    assert torch.equal(net.module_.image_mean, statistics)
    net.partial_fit(255 - X[:80], y[:80])
    assert len(net.history) == 6
    assert torch.equal(net.module_.image_mean, statistics)
    net.set_params(warm_start=False).fit(255 - X[:80], y[:80])
    assert len(net.history) == 2
    assert not torch.equal(net.module_.image_mean, statistics)


def test_normalisation_is_that_of_the_training_images(digits, quick):
    X, y = digits
    net = quick().fit(X[:100], y[:100])
    pixels = X[:100].astype(np.float64) / 255
    assert net.module_.image_mean.item() == pytest.approx(pixels.mean(), rel=1e-5)
    assert net.module_.image_std.item() == pytest.approx(pixels.std(), rel=1e-5)
    fixed = quick(normalize=(0.5, 0.25)).fit(X[:100], y[:100])
    assert (fixed.module_.image_mean.item(), fixed.module_.image_std.item()) == (
        0.5,
        0.25,
    )
    none = quick(normalize=None).fit(X[:100], y[:100])
    assert not hasattr(none.module_, "image_mean")
    assert none.predict_proba(X[:5]).shape == (5, 10)
    constant = quick(max_epochs=1).fit(np.full((4, 8, 8), 255, np.uint8), [0, 1, 0, 1])
    assert np.isfinite(constant.predict_proba(X[:5])).all()


def test_float_and_uint8_images_are_the_same_images(digits, quick):
    X, y = digits
    from_bytes = quick().fit(X[:60], y[:60]).predict_proba(X[60:90])
    scaled = (X / 255).astype(np.float32)
    from_floats = quick().fit(scaled[:60], y[:60]).predict_proba(scaled[60:90])
    np.testing.assert_allclose(from_bytes, from_floats, atol=1e-3)
    doubles = X / 255
    from_doubles = quick().fit(doubles[:60], y[:60]).predict_proba(doubles[60:90])
    np.testing.assert_array_equal(from_floats, from_doubles)


def test_scoring_changes_nothing(digits, quick):
    X, y = digits
    scaled = (X[:60] / 255).astype(np.float32)
    net = quick(augment="flip_crop").fit(scaled, y[:60])
    kept, before = scaled.copy(), weights(net)
    first = net.predict_proba(scaled)
    np.testing.assert_array_equal(first, net.predict_proba(scaled))
    assert torch.equal(before, weights(net))
    np.testing.assert_array_equal(kept, scaled)


def test_augmentation_acts_in_training_alone(digits, quick):
    X, y = digits
    seen = []

    def augment(images, generator):
        assert isinstance(generator, torch.Generator)
        seen.append(
            (images.dtype, float(images.min()), float(images.max()), len(images))
        )
        return images

    net = quick(
        augment=augment, train_split=ValidSplit(0.2, stratified=True, random_state=0)
    )
    net.fit(X[:100], y[:100])
    assert sum(n for *_, n in seen) == 2 * 80
    assert {dtype for dtype, *_ in seen} == {torch.float32}
    assert min(low for _, low, _, _ in seen) == 0
    assert max(high for *_, high, _ in seen) == 1
    seen.clear()
    net.predict_proba(X)
    net.score(X, y)
    net.forward(X[:10], training=True)
    assert not seen
    with pytest.raises(ValueError, match="augment must return images of shape"):
        quick(augment=lambda images, generator: images[:, :, 1:]).fit(X[:20], y[:20])


def test_outputs_keep_the_order_of_x_also_in_training_mode(digits, quick):
    X, y = digits
    net = quick(module=Fixed, iterator_valid__batch_size=7).fit(X[:50], y[:50])
    whole = net.forward(X[:50])
    torch.testing.assert_close(net.forward(X[:50], training=True), whole)
    for size in (1, 13, -1):
        net.set_params(iterator_valid__batch_size=size)
        torch.testing.assert_close(net.forward(X[:50]), whole)


def test_parameters(digits, quick):
    X, y = digits
    net = quick(
        module__dropout=0.2, optimizer__weight_decay=0.1, callbacks__print_log=None
    )
    assert net.get_params()["module__dropout"] == 0.2
    assert net.get_params()["device"] == "auto"
    assert net.device in ("cpu", "cuda")
    assert clone(net).get_params()["optimizer__weight_decay"] == 0.1
    net.fit(X[:40], y[:40])
    assert {
        part.p for part in net.module_.modules() if isinstance(part, nn.Dropout)
    } == {0.1, 0.2}
    assert net.optimizer_.param_groups[0]["weight_decay"] == 0.1
    net.set_params(module__dropout=0.0, optimizer__weight_decay=0.3, lr=0.5)
    assert net.optimizer_.param_groups[0]["weight_decay"] == 0.3
    assert net.optimizer_.param_groups[0]["lr"] == 0.5
    assert net.get_params()["optimizer__weight_decay"] == 0.3
    assert net.fit(X[:40], y[:40]).optimizer_.param_groups[0]["weight_decay"] == 0.3
    net.set_params(
        iterator_train__shuffle=False,
        iterator_valid=DataLoader,
        iterator_valid__batch_size=9,
    )
    assert net.predict(X[:20]).shape == (20,)
    net.set_params(module="resnet20", module__width=4, max_epochs=1)
    del net.module__dropout
    net.fit(X[:40], y[:40])
    assert net.module_.fc.in_features == 16
    with pytest.raises(ValueError, match=r"Unknown parameter .* 'learning_rate'"):
        quick(learning_rate=1)


@pytest.mark.parametrize(
    "optimizer", [torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop]
)
def test_other_optimizers(digits, quick, optimizer):
    X, y = digits
    quick(optimizer=optimizer).fit(X[:40], y[:40])


def test_an_instance_is_a_starting_point_and_never_changed(digits, quick):
    X, y = digits
    torch.manual_seed(0)
    module = Fixed()
    start = [p.clone() for p in module.parameters()]
    net = quick(module=module)
    first = weights(net.fit(X[:40], y[:40]))
    assert all(
        torch.equal(a, b) for a, b in zip(start, module.parameters(), strict=True)
    )
    assert torch.equal(first, weights(net.fit(X[:40], y[:40])))
    with pytest.raises(ValueError, match="10 outputs for 3 classes"):
        keep = y < 3
        quick(module=module).fit(X[keep], y[keep])


def test_skorch_callbacks_and_splits(digits, quick, tmp_path):
    X, y = digits
    names = np.array(list("abcdefghij"))[y]
    callbacks = [
        ("early", EarlyStopping(monitor="valid_loss", patience=50)),
        ("rate", LRScheduler("StepLR", step_size=1)),
        (
            "accuracy",
            EpochScoring(
                "accuracy", name="train_acc", on_train=True, use_caching=False
            ),
        ),
        (
            "keep",
            Checkpoint(dirname=tmp_path, monitor="valid_loss_best", load_best=True),
        ),
    ]
    net = quick(
        max_epochs=6,
        train_split=ValidSplit(0.25, stratified=True, random_state=0),
        callbacks=callbacks,
    )
    net.fit(X[:200], names[:200])
    assert {"train_loss", "valid_loss", "valid_acc", "train_acc", "dur"} <= set(
        net.history[-1]
    )
    assert net.history[-1, "valid_acc"] > 0.3
    assert (tmp_path / "params.pt").exists()

    valid = SkorchDataset(X[300:400], names[300:400])
    net = quick(max_epochs=6, train_split=predefined_split(valid)).fit(
        X[:200], names[:200]
    )
    expected = accuracy_score(names[300:400], net.predict(X[300:400]))
    assert net.history[-1, "valid_acc"] == pytest.approx(expected)


def test_a_plain_dataloader_works_too(digits, quick):
    X, y = digits
    names = np.array(list("abcdefghij"))[y]
    net = ImageClassifier(
        iterator_train=DataLoader,
        iterator_valid=DataLoader,
        iterator_train__drop_last=True,
        augment="flip_crop",
        max_epochs=1,
    )
    net.fit(X[:70], names[:70])
    assert net.predict_proba(X[:30]).shape == (30, 10)
    np.testing.assert_allclose(
        net.predict_proba(X[:30]),
        net.set_params(iterator_valid__batch_size=5).predict_proba(X[:30]),
        atol=1e-6,
    )


def test_saving(digits, quick, tmp_path):
    X, y = digits
    net = quick().fit(X[:60], y[:60])
    expected = net.predict_proba(X[:20])
    copy = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(copy.predict_proba(X[:20]), expected)
    assert copy.get_params()["device"] == "auto"
    copy.partial_fit(X[:60], y[:60])

    net.save_params(
        f_params=tmp_path / "net.pt",
        f_optimizer=tmp_path / "opt.pt",
        f_history=tmp_path / "history.json",
    )
    fresh = quick(random_state=3, classes=np.arange(10)).initialize(X[:1])
    fresh.load_params(f_params=tmp_path / "net.pt", f_optimizer=tmp_path / "opt.pt")
    np.testing.assert_array_equal(fresh.predict_proba(X[:20]), expected)
    with pytest.raises(ValueError, match="call fit"):
        quick().initialize()


def test_model_selection(digits, quick):
    X, y = digits
    X, y = X[:120], np.array(list("abcdefghij"))[y[:120]]
    assert cross_val_score(quick(max_epochs=6), X, y, cv=2).mean() > 0.3
    search = GridSearchCV(
        quick(),
        {"module__dropout": [0.0, 0.5], "optimizer__weight_decay": [0.1], "lr": [1e-3]},
        cv=2,
        error_score="raise",
    ).fit(X, y)
    assert search.best_estimator_.predict(X[:3]).shape == (3,)
    pipeline = make_pipeline("passthrough", quick()).fit(X, y)
    assert pipeline.predict_proba(X[:3]).shape == (3, 10)


def test_verbose_prints_one_line_an_epoch(digits, quick, capsys):
    X, y = digits
    quick().fit(X[:30], y[:30])
    assert capsys.readouterr().out == ""
    quick(verbose=1).fit(X[:30], y[:30])
    assert len(capsys.readouterr().out.strip().splitlines()) == 4


def test_an_epoch_has_at_least_eight_batches(digits):
    X, y = digits
    net = ImageClassifier(max_epochs=1, random_state=0)
    for n, batches in ((20, 8), (100, 8), (289, 9), (321, 10)):
        net.fit(X[:n], y[:n])
        assert net.history[-1]["train_batch_count"] == batches


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_amp(digits, quick, amp):
    X, y = digits
    net = quick(max_epochs=10).fit(X[:150], y[:150])
    full = net.predict_proba(X[:300])
    half = net.set_params(amp=amp).predict_proba(X[:300])
    assert half.dtype == np.float32
    assert 0 < np.abs(half - full).max() < 0.03
    trained = quick(max_epochs=10, amp=amp).fit(X[:150], y[:150])
    assert trained.score(X[300:600], y[300:600]) > 0.7


def test_keyboard_interrupt_is_not_swallowed(digits, quick):
    X, y = digits

    def interrupt(images, generator):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quick(augment=interrupt).fit(X[:20], y[:20])


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # torch.compile warns about its own insides
@pytest.mark.skipif(
    shutil.which("g++") is None,
    reason="torch.compile needs a C++ compiler (g++) on the CPU",
)
def test_compile(digits, quick):
    X, y = digits
    net = quick(compile=True).fit(X[:40], y[:40])
    compiled = net.predict_proba(X[:20])
    with torch.compiler.set_stance("force_eager"):
        np.testing.assert_allclose(compiled, net.predict_proba(X[:20]), atol=1e-5)


class Gained(nn.Module):
    """Its forward pass takes one more argument, which skorch hands on from fit."""

    def __init__(self, n_classes):
        super().__init__()
        self.linear = nn.Linear(64, n_classes)
        self.gains = []

    def forward(self, images, gain=1.0):
        self.gains.append(gain)
        return self.linear(images.flatten(1)) * gain


def test_metadata_routing(digits):
    X, y = digits
    with config_context(enable_metadata_routing=True):
        net = ImageClassifier(Gained, max_epochs=1, random_state=0).set_fit_request(
            gain=True
        )
        pipe = make_pipeline(FunctionTransformer(), net).fit(X[:60], y[:60], gain=2.0)
        assert set(pipe[-1].module_.gains) == {2.0}
        assert (
            len(cross_val_score(net, X[:60], y[:60], params={"gain": 3.0}, cv=2)) == 2
        )
        with pytest.raises(TypeError, match="'gain'"):
            make_pipeline(FunctionTransformer(), ImageClassifier(Gained)).fit(
                X[:60], y[:60], gain=2.0
            )


class TwoHeads(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.first, self.second = nn.Linear(64, n_classes), nn.Linear(64, n_classes)

    def forward(self, X):
        return self.first(X.flatten(1)), self.second(X.flatten(1))


class SumOfLosses(nn.CrossEntropyLoss):
    def forward(self, outputs, y):
        return sum(nn.functional.cross_entropy(output, y) for output in outputs)


def test_several_outputs_go_to_a_criterion_of_ones_own(digits, quick):
    X, y = digits
    X = X[:, None].astype(np.float32) / 16
    net = quick(module=TwoHeads, criterion=SumOfLosses).fit(X[:60], y[:60])
    expected = net.infer(torch.tensor(X[60:70]))[0].softmax(1).detach()
    np.testing.assert_allclose(net.predict_proba(X[60:70]), expected, atol=1e-6)


def test_too_small_for_a_network_is_said(digits, quick):
    X, y = digits
    with pytest.raises(
        ValueError,
        match=r"small_cnn needs images of at least 4x4 pixels, got image_size=\(3, 8\)",
    ):
        quick().fit(X[:20, :3], y[:20])
    assert quick(module__resize=8).fit(X[:20, :3], y[:20]).predict(X[:2, :3]).shape == (
        2,
    )
