"""How networks are trained: optimizers, schedules, early stopping, averaging, class
weights, memory."""

import gc
import pickle
import shutil
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    LRScheduler,
)
from skorch.dataset import Dataset as SkorchDataset
from skorch.dataset import ValidSplit
from skorch.helper import predefined_split
from torch import nn
from torch.optim import lr_scheduler
from torch.optim.swa_utils import update_bn
from torch.utils.data import Dataset

from al_sklearn.estimators import ImageClassifier
from al_sklearn.estimators._class_weight import class_weights

NAMES = np.array(list("abcdefghij"))


def split():
    return ValidSplit(0.25, stratified=True, random_state=0)


def state(net):
    return {name: value.clone() for name, value in net.module_.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


class Rates(Callback):
    """The learning rates of all steps, one list a parameter group."""

    def initialize(self):
        self.rates_ = []
        return self

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self.rates_.append([group["lr"] for group in net.optimizer_.param_groups])


class States(Callback):
    """A copy of all weights and buffers at the end of each epoch, taken before other
    callbacks."""

    def initialize(self):
        self.states_ = []
        return self

    def on_epoch_end(self, net, **kwargs):
        self.states_.append(state(net))


def rates(net):
    return np.array(dict(net.callbacks_)["Rates"].rates_)


# ---- optimizers ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "params"),
    [
        (
            torch.optim.SGD,
            {"lr": 0.05, "optimizer__momentum": 0.9, "optimizer__nesterov": True},
        ),
        (torch.optim.AdamW, {"optimizer__weight_decay": 0.01}),
        (torch.optim.RMSprop, {}),
    ],
)
def test_optimizers_by_prefix(digits, optimizer, params):
    X, y = digits
    net = ImageClassifier(
        optimizer=optimizer, max_epochs=15, random_state=0, **params
    ).fit(X[:100], y[:100])
    assert type(net.optimizer_) is optimizer
    for name, value in params.items():
        assert net.optimizer_.param_groups[0][name.removeprefix("optimizer__")] == value
    assert net.score(X[1000:], y[1000:]) > 0.8


def test_weight_decay_and_dropout_do_what_they_say(digits, quick):
    X, y = digits

    def norm(net):
        return sum(
            float(weight.detach().square().sum()) for weight in net.module_.parameters()
        )

    free = quick(
        optimizer=torch.optim.AdamW, optimizer__weight_decay=0.0, max_epochs=10
    ).fit(X[:80], y[:80])
    held = quick(
        optimizer=torch.optim.AdamW, optimizer__weight_decay=5.0, max_epochs=10
    ).fit(X[:80], y[:80])
    assert norm(held) < 0.95 * norm(free)
    dropped = quick(module__dropout=0.9, max_epochs=10).fit(X[:80], y[:80])
    assert dropped.history[-1, "train_loss"] > free.history[-1, "train_loss"]


# ---- schedules -----------------------------------------------------------------------


def torch_rates(make, steps, lr=0.1):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    scheduler, found = make(optimizer), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(found)


@pytest.mark.parametrize(("n", "batches"), [(20, 8), (289, 9)])
@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_schedules_are_those_of_torch_over_all_steps(digits, schedule, n, batches):
    X, y = digits
    net = ImageClassifier(
        Tiny,
        lr=0.1,
        schedule=schedule,
        max_epochs=5,
        callbacks=[Rates()],
        random_state=0,
    )
    net.fit(X[:n], y[:n])
    steps = 5 * batches
    expected = {
        "cosine": lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, steps),
        "one_cycle": lambda optimizer: lr_scheduler.OneCycleLR(
            optimizer, 0.1, total_steps=steps
        ),
    }[schedule]
    assert len(rates(net)) == steps
    np.testing.assert_allclose(
        rates(net)[:, 0], torch_rates(expected, steps), rtol=1e-6, atol=1e-9
    )
    assert net.history[0, "lr"] == pytest.approx(rates(net)[0, 0])
    assert net.optimizer_.param_groups[0]["lr"] == 0.1


class Tiny(nn.Module):
    """The smallest network with BatchNorm."""

    def __init__(self, n_classes):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.body = nn.Linear(64, n_classes)

    def forward(self, images):
        return self.body(self.norm(images).flatten(1))


@pytest.mark.parametrize("warmup", [1, 2.5])
def test_warm_up_rises_step_by_step(digits, warmup):
    X, y = digits
    net = ImageClassifier(
        Tiny,
        lr=0.1,
        warmup_epochs=warmup,
        max_epochs=5,
        callbacks=[Rates()],
        random_state=0,
    )
    net.fit(X[:20], y[:20])
    steps = round(warmup * 8)
    expected = np.minimum(1, np.arange(1, 41) / steps) * 0.1
    np.testing.assert_allclose(rates(net)[:, 0], expected)
    net.set_params(schedule="cosine").fit(X[:20], y[:20])
    expected[steps:] = 0.05 * (1 + np.cos(np.pi * np.arange(40 - steps) / (40 - steps)))
    np.testing.assert_allclose(rates(net)[:, 0], expected)


def test_each_training_is_a_course_of_its_own_from_the_rates_set(digits):
    X, y = digits
    net = ImageClassifier(
        Tiny,
        lr=0.1,
        schedule="cosine",
        max_epochs=3,
        optimizer__param_groups=[("norm*", {"lr": 0.4})],
        callbacks=[Rates()],
        random_state=0,
    ).fit(X[:20], y[:20])
    first = rates(net)
    assert first[0].tolist() == [0.4, 0.1]
    np.testing.assert_allclose(first[:, 0], 4 * first[:, 1])
    net.partial_fit(X[:20], y[:20])
    np.testing.assert_allclose(rates(net)[24:], first)
    net.set_params(lr=0.2).partial_fit(X[:20], y[:20])
    np.testing.assert_allclose(rates(net)[48:, 1], 2 * first[:, 1])
    # An error in the middle of a training leaves nothing behind.
    broken = X[:20].astype(np.float32) / 255
    broken[3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        net.partial_fit(broken, y[:20])
    count = len(rates(net))
    net.partial_fit(X[:20], y[:20])
    np.testing.assert_allclose(rates(net)[count:, 1], 2 * first[:, 1])
    copy = pickle.loads(pickle.dumps(net))
    copy.partial_fit(X[:20], y[:20])
    assert copy.optimizer_.param_groups[1]["lr"] == 0.2


@pytest.mark.parametrize(
    "monitor", ["train_loss", "valid_loss", "valid_acc", "auto", "f1"]
)
def test_plateau_looks_at_the_signal_chosen(digits, monitor):
    X, y = digits
    net = ImageClassifier(
        Tiny,
        lr=0.1,
        schedule="plateau",
        monitor=monitor,
        callbacks__schedule__patience=0,
        callbacks__schedule__factor=0.5,
        train_split=split(),
        warmup_epochs=1,
        max_epochs=14,
        callbacks=[EpochScoring("f1_macro", lower_is_better=False, name="f1")],
        random_state=0,
    ).fit(X[:120], y[:120])
    signal = "valid_loss" if monitor == "auto" else monitor
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    mode = "min" if signal.endswith("loss") else "max"
    reference = lr_scheduler.ReduceLROnPlateau(
        optimizer, mode=mode, factor=0.5, patience=0
    )
    expected = []
    for value in net.history[:, signal]:
        expected.append(optimizer.param_groups[0]["lr"])
        reference.step(value)
    np.testing.assert_allclose(net.history[1:, "lr"], expected[1:])
    if monitor != "train_loss":
        assert net.history[-1, "lr"] < 0.1


def test_skorch_schedulers_work(digits, quick):
    X, y = digits
    steps = LRScheduler("StepLR", step_size=2, gamma=0.5)
    net = quick(callbacks=[steps], max_epochs=6).fit(X[:40], y[:40])
    np.testing.assert_allclose(
        net.history[:, "event_lr"], 1e-3 * 0.5 ** np.array([0, 0, 1, 1, 2, 2])
    )
    net = quick(
        callbacks=[
            LRScheduler(
                lr_scheduler.OneCycleLR, max_lr=0.01, total_steps=12, step_every="batch"
            ),
            Rates(),
        ]
    )
    net.set_params(max_epochs=6).fit(X[:40], y[:40])
    np.testing.assert_allclose(
        rates(net)[:, 0],
        torch_rates(
            lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=12),
            12,
        ),
    )
    for monitor, mode in (
        ("train_loss", "min"),
        ("valid_loss", "min"),
        ("valid_acc", "max"),
    ):
        plateau = LRScheduler(
            "ReduceLROnPlateau",
            monitor=monitor,
            mode=mode,
            patience=0,
            factor=0.5,
            threshold=10.0,
        )
        net = quick(callbacks=[plateau], train_split=split(), max_epochs=4).fit(
            X[:80], y[:80]
        )
        assert net.optimizer_.param_groups[0]["lr"] < 1e-3


# ---- early stopping ------------------------------------------------------------------


def overfitting(digits):
    """Training images with some wrong labels: validation gets worse while training gets
    better."""
    X, y = digits
    wrong = y[:160].copy()
    wrong[::3] = np.random.default_rng(0).integers(10, size=len(wrong[::3]))
    return X[:160], NAMES[wrong], X[200:300], NAMES[y[200:300]]


def stopping(**params):
    params = {
        "patience": 3,
        "lr": 0.02,
        "max_epochs": 40,
        "callbacks": [("states", States())],
        **params,
    }
    return ImageClassifier(random_state=0, **params)


@pytest.mark.parametrize("monitor", ["auto", "valid_acc"])
def test_early_stopping_puts_a_copy_of_the_best_weights_back(digits, monitor):
    X, y, X_valid, y_valid = overfitting(digits)
    net = stopping(
        train_split=predefined_split(SkorchDataset(X_valid, y_valid)), monitor=monitor
    ).fit(X, y)
    column = net.history[:, "valid_loss" if monitor == "auto" else monitor]
    best = int(np.argmin(column) if monitor == "auto" else np.argmax(column))
    assert len(net.history) == best + 4 < 40
    states = dict(net.callbacks_)["states"].states_
    # BatchNorm's running means and variances are among them.
    assert any("running_var" in name for name in states[best])
    assert same(state(net), states[best])
    assert not same(states[best], states[-1])
    if monitor == "valid_acc":
        assert net.score(X_valid, y_valid) == pytest.approx(max(column))
    # Going on changes the network and not the copies; it stops and restores anew.
    net.partial_fit(X, y)
    later = net.history[len(column) :, "valid_loss" if monitor == "auto" else monitor]
    best = int(np.argmin(later) if monitor == "auto" else np.argmax(later))
    assert len(later) == best + 4
    assert same(state(net), dict(net.callbacks_)["states"].states_[len(column) + best])


def test_early_stopping_with_a_split_and_warm_start(digits):
    X, y, *_ = overfitting(digits)
    net = stopping(train_split=split(), warm_start=True).fit(X, y)
    first = len(net.history)
    assert first < 40
    net.fit(X, y)
    later = net.history[first:, "valid_loss"]
    assert len(later) == np.argmin(later) + 4
    assert same(
        state(net),
        dict(net.callbacks_)["states"].states_[first + int(np.argmin(later))],
    )
    copy = pickle.loads(pickle.dumps(net))
    assert same(state(copy), state(net))
    assert net.partial_fit(X, y).predict(X[:3]).shape == (3,)


def test_the_best_weights_come_back_when_all_epochs_were_done(digits):
    X, y, *_ = overfitting(digits)
    net = stopping(train_split=split(), patience=12, max_epochs=12).fit(X, y)
    assert len(net.history) == 12
    best = int(np.argmin(net.history[:, "valid_loss"]))
    assert best < 11
    assert same(state(net), dict(net.callbacks_)["states"].states_[best])


def test_patience_changed_after_fit_holds_from_the_next_training(digits):
    X, y, *_ = overfitting(digits)
    net = stopping(train_split=split(), patience=None, max_epochs=5).fit(X, y)
    net.set_params(patience=1, max_epochs=30).partial_fit(X, y)
    assert len(net.history) < 35


def test_ctrl_c_raises_and_leaves_the_best_weights(digits):
    X, y, *_ = overfitting(digits)

    class Impatient(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            if training and net.history[-1, "epoch"] == 9:
                raise KeyboardInterrupt

    callbacks = [("states", States()), ("ctrl_c", Impatient())]
    net = stopping(
        train_split=split(), patience=30, schedule="cosine", callbacks=callbacks
    )
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y)
    states = dict(net.callbacks_)["states"].states_
    assert len(states) == 8
    best = int(np.argmin(net.history[:8, "valid_loss"]))
    assert same(state(net), states[best])
    assert not net.module_.training
    assert net.optimizer_.param_groups[0]["lr"] == 0.02


def test_ctrl_c_before_anything_was_saved(digits, quick, tmp_path):
    X, y = digits

    def interrupt(images, generator):
        raise KeyboardInterrupt

    keep = Checkpoint(dirname=tmp_path, monitor="train_loss_best", load_best=True)
    with pytest.raises(KeyboardInterrupt):
        quick(augment=interrupt, callbacks=[keep]).fit(X[:20], y[:20])


def test_skorch_early_stopping_ends_fit_and_does_not_raise(digits):
    X, y, *_ = overfitting(digits)
    callbacks = [EarlyStopping(patience=2, load_best=True), ("states", States())]
    net = stopping(train_split=split(), patience=None, callbacks=callbacks).fit(X, y)
    assert len(net.history) < 40
    assert same(
        state(net),
        dict(net.callbacks_)["states"].states_[
            int(np.argmin(net.history[:, "valid_loss"]))
        ],
    )


def test_signals_that_are_not_there(digits, quick):
    X, y = digits
    with pytest.raises(ValueError, match="patience needs a validation set"):
        quick(patience=3).fit(X[:40], y[:40])
    with pytest.raises(ValueError, match="'valid_acc' needs a validation set"):
        quick(patience=3, monitor="valid_acc").fit(X[:40], y[:40])
    with pytest.raises(ValueError, match="Did you mean 'valid_loss'"):
        quick(patience=3, monitor="val_loss", train_split=split()).fit(X[:40], y[:40])
    assert len(quick(patience=3, monitor="train_loss").fit(X[:40], y[:40]).history) == 2


def test_parameters_are_checked(digits, quick):
    X, y = digits
    bad = [
        ({"schedule": "cosin"}, "Did you mean 'cosine'"),
        ({"warmup_epochs": 2}, "below max_epochs=2"),
        ({"warmup_epochs": -1}, "from 0"),
        ({"warmup_epochs": 1, "schedule": "one_cycle"}, "takes no warmup_epochs"),
        ({"patience": 0, "monitor": "train_loss"}, "at least 1"),
        ({"patience": 1.5, "monitor": "train_loss"}, "at least 1"),
        ({"swa": True, "callbacks__swa__start": 1.5}, "from 0 to below 1"),
        ({"class_weight": "equal"}, "'balanced'"),
    ]
    bad += [({"max_epochs": -1}, "at least 0, got -1")] + [
        ({"lr": lr}, "from 0") for lr in (-1, np.inf, np.nan)
    ]
    for params, match in bad:
        with pytest.raises(ValueError, match=match):
            quick(**params).fit(X[:40], y[:40])
    for params in (
        {"max_epochs": 1.5},
        {"max_epochs": None},
        {"batch_size": "8"},
        {"lr": "1e-3"},
        {"warmup_epochs": "1"},
    ):
        with pytest.raises(TypeError, match=f"{next(iter(params))} must be"):
            quick(**params).fit(X[:40], y[:40])


# ---- averaged weights ----------------------------------------------------------------


class Scaled(nn.Module):
    """A network as the classifier runs it: with its own scaling in front."""

    def __init__(self, net):
        super().__init__()
        self.net, self.module = net, net.module_

    def forward(self, images):
        return self.net.infer(images)


@pytest.mark.parametrize("augment", [None, "flip_crop"])
def test_swa_is_the_mean_with_batchnorm_taken_anew(digits, quick, augment):
    X, y = digits
    net = quick(swa=True, augment=augment, max_epochs=8, callbacks=[States()]).fit(
        X[:100], y[:100]
    )
    found, states = state(net), dict(net.callbacks_)["States"].states_
    for name, weight in net.module_.named_parameters():
        mean = torch.stack([states[i][name] for i in (6, 7)]).mean(0)
        torch.testing.assert_close(weight.detach(), mean, rtol=1e-5, atol=1e-7)
    # torch's own update, over the same batches: those that a training would begin with,
    # not augmented.
    net.n_trainings_ -= 1
    net.set_params(augment=None)
    with torch.random.fork_rng():
        update_bn(
            net.get_iterator(net.get_dataset(X[:100], y[:100]), training=True),
            Scaled(net),
        )
    net.n_trainings_ += 1
    net._set_training(False)
    moved = 0
    for name, value in net.module_.state_dict().items():
        if "running" in name:
            torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-3)
            moved += not torch.equal(value, states[-1][name])
    assert moved
    assert all(
        part.momentum is not None
        for part in net.module_.modules()
        if isinstance(part, nn.BatchNorm2d)
    )


def test_swa_as_an_option(digits, quick):
    X, y = digits
    net = quick(
        swa=True, callbacks__swa__start=0.0, max_epochs=3, callbacks=[States()]
    ).fit(X[:60], y[:60])
    states = dict(net.callbacks_)["States"].states_
    for name, weight in net.module_.named_parameters():
        mean = torch.stack([each[name] for each in states]).mean(0)
        torch.testing.assert_close(weight.detach(), mean, rtol=1e-5, atol=1e-7)
    # Nothing of it is pickled with the classifier.
    assert vars(dict(net.callbacks_)["swa"])["averaged_"] is None
    assert vars(dict(net.callbacks_)["swa"])["dataset_"] is None
    before = state(net)
    net.partial_fit(X[:60], y[:60])
    assert not same(before, state(net))
    again = clone(net).fit(X[:60], y[:60])
    assert same(before, state(again))
    net.fit(X[:1].repeat(2, 0), [0, 1])
    assert np.isfinite(net.predict_proba(X[:3])).all()
    assert net.set_params(module=Linear).fit(X[:60], y[:60]).predict(X[:3]).shape == (
        3,
    )


def mean_of(states, name):
    return torch.stack([each[name] for each in states]).mean(0)


def test_swa_has_a_rate_and_a_frequency_of_its_own(digits, quick):
    X, y = digits
    net = quick(
        swa=True,
        callbacks__swa__start=0.5,
        callbacks__swa__lr=0.02,
        callbacks__swa__every=2,
        schedule="cosine",
        max_epochs=10,
        callbacks=[States(), Rates()],
    ).fit(X[:60], y[:60])
    states = dict(net.callbacks_)["States"].states_
    # Epochs 6 to 10: the second, the fourth, and the last whatever its place.
    for name, weight in net.module_.named_parameters():
        mean = mean_of([states[i] for i in (6, 8, 9)], name)
        torch.testing.assert_close(weight.detach(), mean, rtol=1e-5, atol=1e-7)
    assert net.optimizer_.param_groups[0]["lr"] == net.lr


def test_swa_trains_epochs_of_its_own_behind_the_training(digits):
    X, y, *_ = overfitting(digits)
    net = stopping(
        train_split=split(),
        swa=True,
        max_epochs=40,
        schedule="cosine",
        callbacks__swa__extra_epochs=3,
        callbacks__swa__lr=1e-4,
    ).fit(X, y)
    states = dict(net.callbacks_)["states"].states_
    losses = net.history[:, "valid_loss"]
    before = len(losses) - 3
    # Stopped early, and gone on from the best epoch for three more.
    assert before < 30
    for name, weight in net.module_.named_parameters():
        mean = mean_of(states[-3:], name)
        torch.testing.assert_close(weight.detach(), mean, rtol=1e-5, atol=1e-7)
        best = states[int(np.argmin(losses[:before]))][name]
        # Small steps from there, and not from where the training ended.
        near = (states[before][name] - best).abs().max()
        assert near < (states[before][name] - states[before - 1][name]).abs().max()
    again = clone(net).fit(X, y)
    assert same(state(again), state(net))


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("lr", -1, "a number from 0"),
        ("every", 0, "at least 1"),
        ("extra_epochs", -1, ""),
    ],
)
def test_swas_options_are_checked(digits, quick, option, value, said):
    X, y = digits
    net = quick(swa=True, **{f"callbacks__swa__{option}": value})
    with pytest.raises(ValueError, match=f"callbacks__swa__{option}.*{said}"):
        net.fit(X[:40], y[:40])


class Linear(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.body = nn.Linear(64, n_classes)

    def forward(self, images):
        return self.body(images.flatten(1))


class Frozen(Tiny):
    """Its BatchNorm always stays in evaluation mode."""

    def train(self, mode=True):
        super().train(mode)
        self.norm.eval()
        return self


def test_swa_leaves_frozen_batchnorm_alone(digits, quick):
    X, y = digits
    net = quick(module=Frozen, swa=True).fit(X[:60], y[:60])
    assert net.module_.norm.running_mean.tolist() == [0.0]
    assert net.module_.norm.running_var.tolist() == [1.0]


def test_swa_with_early_stopping(digits):
    X, y, *_ = overfitting(digits)
    # Stopped before the averaging begins: the best weights; after it has begun: the
    # mean.
    net = stopping(train_split=split(), swa=True, max_epochs=40).fit(X, y)
    assert len(net.history) < 30
    states = dict(net.callbacks_)["states"].states_
    assert same(state(net), states[int(np.argmin(net.history[:, "valid_loss"]))])
    net = stopping(train_split=split(), swa=True, max_epochs=4, patience=4).fit(X, y)
    last = dict(net.callbacks_)["states"].states_[-1]
    weights = dict(net.module_.named_parameters())
    assert all(torch.equal(weights[name].detach(), last[name]) for name in weights)


# ---- class weights -------------------------------------------------------------------


def test_class_weights_by_definition():
    classes = np.array(["a", "b", "c", "d"])
    labels = np.array(["a", "a", "a", "b", "c", "c"])
    # 6 labels, 3 classes among them: 6 / (3 · count); nobody asks for d's.
    np.testing.assert_allclose(
        class_weights("balanced", classes, labels), [2 / 3, 2, 1, 1]
    )
    np.testing.assert_allclose(
        class_weights({"b": 5, "d": 0}, classes, labels), [1, 5, 1, 0]
    )
    np.testing.assert_allclose(
        class_weights([1, 2, 3, 4], classes, labels), [1, 2, 3, 4]
    )
    assert class_weights({2: 3.0}, np.array([0.0, 2.0]), np.array([0.0])).tolist() == [
        1.0,
        3.0,
    ]
    for bad, match in (
        ({"e": 1}, "not among the classes"),
        ([1, 2], "one weight for each of the 4"),
        ([1, 2, 3, np.nan], "finite"),
        ([0, 0, 0, 0], "not all 0"),
        ({"a": -1}, "not negative"),
    ):
        with pytest.raises(ValueError, match=match):
            class_weights(bad, classes, labels)


@pytest.mark.parametrize("names", [np.arange(10), NAMES, NAMES.astype(object)])
def test_class_weights_are_those_of_the_loss(digits, quick, names):
    X, y = digits
    weight = np.linspace(0.5, 5, 10).astype(np.float32)
    expected = quick(criterion__weight=torch.from_numpy(weight)).fit(X[:80], y[:80])
    for given in (weight, dict(zip(names.tolist(), weight.tolist(), strict=True))):
        net = quick(class_weight=given).fit(X[:80], names[y[:80]])
        assert same(state(net), state(expected))
        np.testing.assert_array_equal(net.class_weight_, weight)
    assert not same(state(expected), state(quick().fit(X[:80], y[:80])))


def test_balanced_follows_the_labels_of_each_round(digits, quick):
    X, y = digits
    few = np.flatnonzero(y < 3)[:60]
    net = quick(class_weight="balanced", classes=NAMES).fit(X[few], NAMES[y[few]])
    counts = np.bincount(y[few], minlength=10)
    np.testing.assert_allclose(
        net.class_weight_,
        np.where(counts > 0, 60 / (3 * np.maximum(counts, 1)), 1),
        rtol=1e-6,
    )
    assert np.isfinite(net.history[:, "train_loss"]).all()
    net.partial_fit(X[:200], NAMES[y[:200]])
    np.testing.assert_allclose(
        net.class_weight_, 200 / (10 * np.bincount(y[:200])), rtol=1e-6
    )
    np.testing.assert_allclose(net.criterion_.weight, net.class_weight_)
    net.set_params(class_weight=None).partial_fit(X[:50], NAMES[y[:50]])
    assert net.class_weight_ is None
    assert net.criterion_.weight is None
    # Of the part that is trained on, not of what is held out.
    net = quick(class_weight="balanced", train_split=split()).fit(X[:100], y[:100])
    train = split()(SkorchDataset(X[:100], y[:100]), y[:100])[0].indices
    counts = np.bincount(y[train], minlength=10)
    np.testing.assert_allclose(net.class_weight_, len(train) / (10 * counts), rtol=1e-6)


def test_class_weights_need_a_loss_with_weights(digits, quick):
    X, y = digits
    with pytest.raises(ValueError, match="class_weight needs a criterion"):
        quick(
            class_weight="balanced",
            criterion=nn.MultiMarginLoss,
            criterion__weight=torch.ones(10),
        ).fit(X[:40], y[:40])
    smooth = quick(class_weight="balanced", criterion__label_smoothing=0.1).fit(
        X[:40], y[:40]
    )
    assert smooth.criterion_.label_smoothing == 0.1


# ---- as a scikit-learn user sets them ------------------------------------------------


def test_everything_at_once_clones_pickles_and_searches(digits, quick):
    X, y = digits
    params = {
        "schedule": "plateau",
        "warmup_epochs": 1,
        "monitor": "valid_acc",
        "patience": 4,
        "swa": True,
        "class_weight": "balanced",
        "augment": ["crop", "rand_augment"],
        "augment__num_ops": 1,
        "train_split": split(),
        "amp": "bf16",
        "max_epochs": 4,
    }
    net = quick(**params).fit(X[:120], NAMES[y[:120]])
    assert {name: net.get_params()[name] for name in params} == params
    again = clone(net).fit(X[:120], NAMES[y[:120]])
    assert same(state(net), state(again))
    copy = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(copy.predict_proba(X[:20]), net.predict_proba(X[:20]))
    assert same(
        state(copy.partial_fit(X[:80], NAMES[y[:80]])),
        state(net.partial_fit(X[:80], NAMES[y[:80]])),
    )
    grid = {
        "schedule": [None, "cosine"],
        "swa": [True],
        "callbacks__swa__start": [0.5],
        "class_weight": ["balanced"],
        "augment": ["rand_augment"],
        "augment__magnitude": [3, 12],
        "optimizer__weight_decay": [1e-4],
    }
    search = GridSearchCV(quick(), grid, cv=2, error_score="raise").fit(X[:80], y[:80])
    assert search.best_estimator_.score(X[:80], y[:80]) > 0.15


def test_a_sink_of_ones_own_is_told_every_epoch(digits, quick, capsys):
    X, y = digits
    lines = []
    quick(verbose=0, callbacks__print_log__sink=lines.append).fit(X[:40], y[:40])
    assert len(lines) == 2 + 2  # the head of the table, and the epochs
    assert capsys.readouterr().out == ""


def test_names_of_our_callbacks_are_taken(digits, quick):
    X, y = digits
    with pytest.raises(ValueError, match="duplicate user-set callback name"):
        quick(swa=True, callbacks=[("swa", States())]).fit(X[:40], y[:40])
    net = quick(swa=True, callbacks__swa=None).fit(X[:40], y[:40])
    assert "swa" not in dict(net.callbacks_)


# ---- memory --------------------------------------------------------------------------


class Counted(Dataset):
    """Images made when they are asked for, counted while anybody holds them."""

    def __init__(self, n, kind):
        self.targets = np.arange(n) % 3
        self.kind, self.alive, self.most = kind, 0, 0

    def __len__(self):
        return len(self.targets)

    def _gone(self):
        self.alive -= 1

    def __getitem__(self, i):
        values = np.full((1, 8, 8), i % 255, dtype=np.float32) / 255
        image = torch.from_numpy(values) if self.kind == "tensor" else values
        weakref.finalize(image, self._gone)
        self.alive += 1
        self.most = max(self.most, self.alive)
        return image, self.targets[i]


@pytest.mark.parametrize("kind", ["tensor", "array"])
@pytest.mark.parametrize(
    "params", [{}, {"augment": "rand_augment", "swa": True, "class_weight": "balanced"}]
)
def test_a_lazy_data_set_is_held_a_few_batches_at_a_time(quick, kind, params):
    images = Counted(400, kind)
    net = quick(iterator_valid__batch_size=32, max_epochs=1, **params).fit(images)
    assert 32 <= images.most <= 3 * 32
    images.most = 0
    net.predict_proba(images)
    assert 32 <= images.most <= 3 * 32
    gc.collect()
    assert images.alive == 0


def test_the_example_of_the_page_runs(capsys):
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text(
        encoding="utf-8"
    )
    exec(page.split("```python\n")[1].split("```")[0], {})
    assert float(capsys.readouterr().out.split()[0]) > 0.8


# ---- compiled ------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # torch.compile warns about its own insides
@pytest.mark.skipif(
    shutil.which("g++") is None,
    reason="torch.compile needs a C++ compiler (g++) on the CPU",
)
def test_a_compiled_network_trains_as_the_plain_one(digits, quick):
    X, y = digits
    # Without dropout, for which compiled code draws other numbers.
    params = {
        "module": Tiny,
        "swa": True,
        "class_weight": "balanced",
        "schedule": "cosine",
        "patience": 9,
    }
    plain = quick(train_split=split(), **params).fit(X[:80], y[:80])
    net = quick(train_split=split(), compile=True, **params).fit(X[:80], y[:80])
    assert hasattr(net.module_, "_orig_mod")
    np.testing.assert_allclose(
        net.predict_proba(X[:20]), plain.predict_proba(X[:20]), atol=1e-3
    )
