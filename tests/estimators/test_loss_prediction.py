"""Learning loss: the head against its definition, that it learns, and that the network
it hangs in stays as it was."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch.callbacks import Callback
from torch import nn
from torch.utils.data import DataLoader

from al_sklearn import inference
from al_sklearn.estimators import (
    DeepEnsemble,
    ImageClassifier,
    LossPredictionClassifier,
    TemperatureScaling,
)
from al_sklearn.estimators._loss_prediction import (
    LossPredictionHead,
    find_loss_layers,
    pool_features,
    ranking_loss,
)


def reference_ranking_loss(predicted, true, margin=1.0):
    """By the definition, pair by pair."""
    total, n_pairs = 0.0, len(true) // 2
    for i in range(n_pairs):
        j = len(true) - 1 - i
        total += max(
            0.0, margin - np.sign(true[i] - true[j]) * (predicted[i] - predicted[j])
        )
    return total / n_pairs


finite = st.floats(-50, 50, width=32)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(finite, finite), min_size=2, max_size=9), st.floats(0, 3))
def test_ranking_loss_is_its_definition(rows, margin):
    predicted, true = (
        torch.tensor(column, dtype=torch.float64) for column in zip(*rows, strict=True)
    )
    expected = reference_ranking_loss(predicted.numpy(), true.numpy(), margin)
    assert ranking_loss(predicted, true, margin).item() == pytest.approx(
        expected, abs=1e-9
    )


def test_shapes_that_would_broadcast_raise():
    for predicted, true in (
        (torch.zeros(6, 1), torch.zeros(6)),
        (torch.zeros(6), torch.zeros(1)),
    ):
        with pytest.raises(ValueError, match=r"must both have shape \(B,\)"):
            ranking_loss(predicted, true)
    with pytest.raises(ValueError, match="at least two"):
        ranking_loss(torch.zeros(1), torch.zeros(1))
    with pytest.raises(ValueError, match="must give"):
        pool_features(torch.zeros(3))


def test_no_gradient_reaches_the_true_loss_and_none_comes_from_ties():
    predicted, true = (
        torch.tensor([1.0, 0.2, 3.0], requires_grad=True),
        torch.tensor([0.9, 0.5, 0.1], requires_grad=True),
    )
    ranking_loss(predicted, true).backward()
    assert true.grad is None and predicted.grad[1] == 0 and predicted.grad[0] != 0
    predicted.grad = None
    ranking_loss(predicted, torch.ones(3)).backward()
    assert not predicted.grad.any()


def quick(module="small_cnn", **params):
    params = {
        "max_epochs": 2,
        "iterator_train__min_batches": 1,
        "random_state": 0,
        **params,
    }
    return LossPredictionClassifier(module, **params)


def weights(net):
    return {
        key: value.clone()
        for key, value in net.module_.state_dict().items()
        if "loss_prediction" not in key
    }


def head(net):
    return torch.cat(
        [value.flatten() for value in net.module_.loss_prediction.state_dict().values()]
    )


@pytest.fixture(scope="module")
def trained(digits):
    X, y = digits
    return quick(max_epochs=15, iterator_train__min_batches=8).fit(X[:250], y[:250])


def test_the_head_learns_and_knows_what_is_hard_on_images_it_has_not_seen(
    trained, digits
):
    X, y = digits
    fresh = clone(trained).initialize(X[:250], y[:250])
    assert not torch.equal(head(fresh), head(trained))
    ranking = trained.history[:, "ranking_loss"]
    assert np.mean(ranking[-3:]) < 0.97 * np.mean(ranking[:2])
    proba = trained.predict_proba(X[250:])
    true = -np.log(proba[np.arange(len(proba)), y[250:]].clip(1e-9))
    assert spearmanr(trained.predict_loss(X[250:]), true)[0] > 0.2
    # The trained head answers, not one that is freshly built.
    assert not np.array_equal(
        np.argsort(trained.predict_loss(X[:50])), np.argsort(fresh.predict_loss(X[:50]))
    )
    np.testing.assert_array_equal(
        inference.predict_loss(trained, X[:50]), trained.predict_loss(X[:50])
    )


def test_predicted_losses_are_the_head_on_the_layers_named(trained, digits):
    X, _ = digits
    pooled = [
        torch.from_numpy(inference.embed(trained, X[:20], name))
        for name in trained.loss_layers_
    ]
    maps = [
        part.view(20, branch.in_features, -1).mean(2)
        for part, branch in zip(pooled, trained._head.branches, strict=True)
    ]
    expected = trained._head.predict(maps).detach().numpy()
    np.testing.assert_allclose(
        trained.predict_loss(X[:20]), expected, rtol=1e-4, atol=1e-5
    )
    # As many images as are scored by a folded copy elsewhere; batches do not matter.
    np.testing.assert_allclose(
        trained.predict_loss(X[:600])[:20], expected, rtol=1e-4, atol=1e-5
    )


def test_with_stopped_gradients_the_network_is_the_one_it_would_be_alone(digits):
    X, y = digits
    params = {"max_epochs": 2, "iterator_train__min_batches": 1, "random_state": 0}
    alone = ImageClassifier(**params).fit(X[:45], y[:45]).module_.state_dict()
    stopped = quick(stop_gradient=0.0).fit(X[:45], y[:45])
    assert all(
        torch.equal(value, alone[key]) for key, value in weights(stopped).items()
    )
    assert not torch.equal(
        head(stopped), head(clone(stopped).initialize(X[:45], y[:45]))
    )
    assert any(
        not torch.equal(value, alone[key])
        for key, value in weights(quick().fit(X[:45], y[:45])).items()
    )


class Watch(Callback):
    """Notes for each epoch whether gradients of the head's loss reached the network."""

    def __init__(self):
        self.reached = []

    def on_epoch_begin(self, net, **_):
        self.reached.append(None)

    def on_grad_computed(self, net, named_parameters, **_):
        gradients = dict(net.module_.named_parameters())["features.0.weight"].grad
        self.reached[-1] = bool(gradients.abs().sum() > 0)


def test_gradients_stop_after_the_share_of_the_epochs_of_each_training(digits):
    X, y = digits

    class NoTask(nn.CrossEntropyLoss):
        """Has a loss of each image, and no gradient: what reaches the network comes
        from the head."""

        def forward(self, logits, codes):
            return super().forward(logits.detach(), codes) + 0 * logits.sum()

    net = quick(
        criterion=NoTask,
        max_epochs=5,
        stop_gradient=0.6,
        callbacks=[("watch", Watch())],
    )
    net.fit(X[:40], y[:40])
    assert dict(net.callbacks_)["watch"].reached == [True] * 3 + [False] * 2
    net.partial_fit(X[:40], y[:40])
    assert dict(net.callbacks_)["watch"].reached[5:] == [True] * 3 + [False] * 2
    net.set_params(warm_start=True)
    net.fit(X[:40], y[:40])
    assert dict(net.callbacks_)["watch"].reached[10:] == [True] * 3 + [False] * 2
    assert len(net.history) == 15


def test_the_total_is_the_task_plus_the_weighted_ranking(digits):
    X, y = digits
    totals = {}
    for weight in (0.0, 1.0, 3.0):
        net = quick(
            max_epochs=1, loss_weight=weight, batch_size=-1, module__dropout=0.0
        ).fit(X[:40], y[:40])
        totals[weight] = net.history[0, "train_loss"], net.history[0, "ranking_loss"]
    for weight in (1.0, 3.0):
        assert totals[weight][0] == pytest.approx(
            totals[0.0][0] + weight * totals[0.0][1], rel=1e-5
        )


@pytest.mark.parametrize(
    "params",
    [
        {"batch_size": 7},
        {
            "iterator_train": DataLoader,
            "batch_size": 11,
            "iterator_train__min_batches": None,
        },
        {"amp": "bf16"},
        {"iterator_train__min_batches": 5},
        {"optimizer": torch.optim.SGD, "class_weight": "balanced"},
        {"criterion__label_smoothing": 0.1, "augment": "flip_crop"},
    ],
    ids=str,
)
def test_odd_batches_precision_and_options(digits, params):
    X, y = digits
    params = {
        key: value
        for key, value in {"iterator_train__min_batches": 1, **params}.items()
        if value is not None
    }
    # With 34 images torch's loader leaves one over, which has no partner.
    net = LossPredictionClassifier(max_epochs=2, random_state=0, **params).fit(
        X[:34], y[:34]
    )
    assert np.isfinite(net.predict_loss(X[34:60])).all() and np.isfinite(
        net.history[-1, "ranking_loss"]
    )


def test_clone_pickle_save_params_and_the_ensemble(trained, digits, tmp_path):
    X, y = digits
    expected = trained.predict_loss(X[:30])
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(trained)).predict_loss(X[:30]), expected
    )
    trained.save_params(f_params=tmp_path / "weights.pt")
    other = clone(trained).set_params(random_state=9).initialize(X[:250], y[:250])
    assert not np.array_equal(other.predict_loss(X[:30]), expected)
    other.load_params(f_params=tmp_path / "weights.pt")
    np.testing.assert_allclose(
        other.predict_loss(X[:30]), expected, rtol=1e-5, atol=1e-6
    )
    again = clone(trained).set_params(max_epochs=1)
    assert (
        again.get_params()["loss_layers"] == "auto"
        and again.get_params()["stop_gradient"] == 0.6
    )
    same = [quick().fit(X[:40], y[:40]).predict_loss(X[:9]) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    ensemble = DeepEnsemble(quick(max_epochs=1), n_members=2, random_state=0).fit(
        X[:40], y[:40]
    )
    losses = [member.predict_loss(X[:9]) for member in ensemble.estimators_]
    assert not np.array_equal(*losses)


def test_asking_changes_nothing(trained, digits):
    X, _ = digits
    before = {key: value.clone() for key, value in trained.module_.state_dict().items()}
    optimizer, state = (
        pickle.dumps(trained.optimizer_.state_dict()),
        torch.get_rng_state(),
    )
    hooks = sum(len(part._forward_hooks) for part in trained.module_.modules())
    trained.predict_loss(X[:100])
    assert all(
        torch.equal(value, before[key])
        for key, value in trained.module_.state_dict().items()
    )
    assert pickle.dumps(trained.optimizer_.state_dict()) == optimizer and torch.equal(
        torch.get_rng_state(), state
    )
    assert not any(part.training for part in trained.module_.modules())
    assert sum(len(part._forward_hooks) for part in trained.module_.modules()) == hooks
    # Probabilities and embeddings are those of the network without the head.
    assert inference.embed(trained, X[:5]).shape == (5, 128)


STAGES = {
    "small_cnn": 3,
    "resnet20": 3,
    "resnet18": 4,
    "squeezenet1_1": 4,
    "mobilenet_v3_small": 4,
}


@pytest.mark.parametrize("name", STAGES)
def test_layers_are_found_in_any_architecture(name, digits):
    X, y = digits
    net = LossPredictionClassifier(name, random_state=0).initialize(X[:20], y[:20])
    assert len(net.loss_layers_) == STAGES[name]
    assert net.predict_loss(X[:3]).shape == (3,)
    if name == "resnet18":
        assert net.loss_layers_ == ("layer1", "layer2", "layer3", "layer4")


def test_layers_by_name_of_a_network_of_ones_own(digits):
    X, y = digits

    class Own(nn.Module):
        def __init__(self, n_classes):
            super().__init__()
            self.body = nn.Sequential(
                nn.Flatten(),
                nn.Linear(64, 24),
                nn.ReLU(inplace=True),
                nn.Linear(24, 16),
            )
            self.unused = nn.Linear(3, 3)
            self.last = nn.Linear(16, n_classes)

        def forward(self, x):
            return self.last(torch.relu_(self.body(x)))

    net = quick(Own, loss_layers=["body.1", "body"], loss_hidden=8).fit(X[:40], y[:40])
    assert net.loss_layers_ == ("body.1", "body") and net._head.join.in_features == 16
    assert [branch.in_features for branch in net._head.branches] == [24, 16]
    assert find_loss_layers(Own(10), (1, 8, 8)) == ("body.0", "body.2", "body")
    with pytest.raises(ValueError, match="'layer9'"):
        quick(Own, loss_layers=["layer9"]).fit(X[:40], y[:40])
    with pytest.raises(ValueError, match="does not run unused"):
        quick(Own, loss_layers=["unused"]).fit(X[:40], y[:40])
    with pytest.raises(ValueError, match="No layer before the logits"):
        find_loss_layers(nn.Sequential(nn.Linear(8, 2)), (1, 8, 8))


def test_settings_are_checked(digits):
    X, y = digits
    for params, message in (
        ({"stop_gradient": 1.5}, "stop_gradient must be from 0 to 1, got 1.5"),
        ({"loss_weight": -1}, "loss_weight"),
        ({"loss_layers": "all"}, "'auto' or names"),
    ):
        with pytest.raises(ValueError, match=message):
            quick(**params).fit(X[:40], y[:40])
    with pytest.raises(ValueError, match="compile=True"):
        quick().set_params(compile=True)._check_loss_settings()
    with pytest.raises(NotFittedError):
        quick().predict_loss(X[:3])


def test_the_head_draws_from_no_global_generator():
    state = torch.get_rng_state()
    first, again = (LossPredictionHead([3, 5], 8, seed=4) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.join.weight, again.join.weight)
    logits = torch.zeros(2, 3)
    assert first(logits) is logits


@pytest.mark.slow
def test_the_example_runs(tmp_path):
    example = Path(__file__).parents[2] / "examples" / "learning_loss.py"
    done = subprocess.run(
        [sys.executable, example, "small_cnn"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    correlation = float(done.stdout.partition("360 test images: ")[2].split()[0])
    assert correlation > 0.2 and "learning_loss  random_sampling" in done.stdout


def _as_images(X):
    return X.reshape(len(X), 8, 8)


def test_ensembles_and_pipelines_reach_the_predicted_loss(digits):
    X, y = digits
    pipeline = make_pipeline(
        FunctionTransformer(_as_images),
        LossPredictionClassifier(max_epochs=1, random_state=0),
    )
    flat = X.reshape(len(X), -1)
    ensemble = DeepEnsemble(pipeline, n_members=2, random_state=0)
    assert hasattr(ensemble, "predict_loss")
    ensemble.fit(flat[:60], y[:60])
    each = [member[-1].predict_loss(X[:20]) for member in ensemble.estimators_]
    np.testing.assert_array_equal(
        inference.predict_loss(ensemble.estimators_[0], flat[:20]), each[0]
    )
    for reached in (ensemble, make_pipeline("passthrough", ensemble)):
        np.testing.assert_allclose(
            inference.predict_loss(reached, flat[:20]), np.mean(each, axis=0), rtol=1e-6
        )
    scaled = TemperatureScaling(pipeline, random_state=0).fit(flat[:60], y[:60])
    np.testing.assert_array_equal(
        scaled.predict_loss(flat[:9]), scaled.estimator_[-1].predict_loss(X[:9])
    )
    without = DeepEnsemble(ImageClassifier(max_epochs=1), n_members=2)
    assert not hasattr(without, "predict_loss")
    with pytest.raises(TypeError, match="DeepEnsemble cannot give predict_loss"):
        inference.predict_loss(without, X)
