"""al_sklearn.modal.dropout: the right entropies of the right probabilities, and a net
that is left as it was."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from skorch import NeuralNetClassifier
from torch import nn

from al_sklearn.learners import ActiveLearner, DeepActiveLearner
from al_sklearn.modal import dropout as ours
from tests.learners.nets import Small, plain_net


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits
    return torch.as_tensor(X[:120, None].astype(np.float32)), y[:120]


@pytest.fixture(scope="module")
def learner(data):
    X, y = data
    return ActiveLearner(
        plain_net(module__norm=True, max_epochs=4), X_training=X[:60], y_training=y[:60]
    )


def state(learner):
    module = learner.estimator.module_
    return (
        {name: value.clone() for name, value in module.state_dict().items()},
        [part.training for part in module.modules()],
        [part.p for part in module.modules() if isinstance(part, nn.Dropout)],
        torch.get_rng_state().clone(),
        np.random.get_state()[1].copy(),
    )


def same(before, after):
    return (
        all(torch.equal(value, after[0][name]) for name, value in before[0].items())
        and before[1:3] == after[1:3]
        and torch.equal(before[3], after[3])
        and np.array_equal(before[4], after[4])
    )


SLOW = {
    "mc_dropout_bald": lambda p: [
        entropy(q.mean(axis=0)) - np.mean([entropy(r) for r in q]) for q in p
    ],
    "mc_dropout_max_entropy": lambda p: [entropy(q.mean(axis=0)) for q in p],
    "mc_dropout_mean_st": lambda p: [q.std(axis=0).mean() for q in p],
    "mc_dropout_max_variationRatios": lambda p: [1 - q.mean(axis=0).max() for q in p],
}


@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("training", [True, False])
def test_strategies(learner, data, name, training):
    X, _ = data
    learner.estimator.module_.train(training)
    before = state(learner)
    learner.query_strategy = getattr(ours, name)
    indices, _, metrics = learner.query(
        X, n_instances=5, num_cycles=8, random_state=3, return_metrics=True
    )
    # BatchNorm statistics above all: modAL's query rewrites them when the net is in
    # training mode.
    assert same(before, state(learner))
    rng = np.random.default_rng(3)
    samples = np.stack(
        ours.get_predictions(learner, X, num_predictions=8, random_state=rng)
    ).astype(float)
    slow = np.array(SLOW[name](samples.transpose(1, 0, 2)))
    assert np.allclose(metrics, np.sort(slow)[::-1][:5], atol=1e-5)
    assert np.allclose(slow[indices], metrics, atol=1e-5)


def test_the_chunk_changes_nothing(learner, data):
    X, _ = data
    one = ours.get_predictions(learner, X, num_predictions=4, random_state=0)
    many = ours.get_predictions(
        learner, X, num_predictions=4, sample_per_forward_pass=17, random_state=0
    )
    assert len(one) == 4
    assert np.allclose(one, many, atol=1e-6)
    assert np.allclose(np.sum(one, axis=2), 1, atol=1e-5)
    for kind in (X.numpy(), DeepActiveLearner(learner.estimator)):
        again = (
            ours.get_predictions(learner, kind, num_predictions=4, random_state=0)
            if isinstance(kind, np.ndarray)
            else ours.get_predictions(kind, X, num_predictions=4, random_state=0)
        )
        assert np.allclose(one, again, atol=1e-6)


class SoftmaxInside(Small):
    def forward(self, X):
        return super().forward(X).softmax(dim=-1)


@pytest.mark.parametrize(
    "adaptor", [ours.default_logits_adaptor, lambda logits, rows: logits * 1.0]
)
def test_softmax_is_applied_once(data, adaptor):
    X, _ = data
    inside = NeuralNetClassifier(
        SoftmaxInside, module__dropout=1e-9, train_split=None
    ).initialize()
    outside = NeuralNetClassifier(
        Small, module__dropout=1e-9, criterion=nn.CrossEntropyLoss, train_split=None
    ).initialize()
    outside.module_.load_state_dict(inside.module_.state_dict())
    for net in (inside, outside):
        proba = ours.get_predictions(net, X, num_predictions=2, logits_adaptor=adaptor)[
            0
        ]
        assert np.allclose(proba, net.predict_proba(X), atol=1e-5)


class Alpha(Small):
    def __init__(self):
        super().__init__()
        self.head[1] = nn.AlphaDropout(0.3)


class Functional(Small):
    def __init__(self):
        super().__init__(dropout=0.0)

    def forward(self, X):
        return nn.functional.dropout(super().forward(X), 0.5, self.training)


def test_alpha_dropout_is_switched_on_and_functional_dropout_says_so(data):
    X, _ = data
    one, two = ours.get_predictions(plain_net(Alpha).initialize(), X, num_predictions=2)
    assert not np.allclose(one, two)
    with pytest.raises(TypeError, match="functional dropout"):
        ours.get_predictions(plain_net(Functional).initialize(), X, num_predictions=2)


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(64, 16),
            nn.Dropout(0.5),
            nn.Linear(16, 10),
        )

    def forward(self, X):
        return self.layers(X)


def test_chosen_dropout_layers(data):
    X, _ = data
    learner = ActiveLearner(plain_net(Two).initialize())
    modules = list(learner.estimator.module_.modules())
    first, second = (
        i for i, part in enumerate(modules) if isinstance(part, nn.Dropout)
    )
    seen = {first: [], second: []}
    for index in seen:
        modules[index].register_forward_hook(
            lambda part, args, out, index=index: seen[index].append((args[0], out))
        )
    before = state(learner)
    ours.get_predictions(learner, X, [second], num_predictions=3, random_state=0)
    assert same(before, state(learner))
    assert all(torch.equal(a, b) for a, b in seen[first])
    assert not all(torch.equal(a, b) for a, b in seen[second])
    with pytest.raises(KeyError, match="Linear"):
        ours.get_predictions(learner, X, [first + 1], num_predictions=1)


def test_set_dropout_mode():
    module = Alpha().eval()
    ours.set_dropout_mode(module, [], True)
    assert [
        part.training for part in module.modules() if isinstance(part, nn.AlphaDropout)
    ] == [True]
    assert not module.features.training
    ours.set_dropout_mode(module, [], False)
    assert not any(part.training for part in module.modules())


def test_an_adaptor_with_missing_classes_and_several_predictions_a_row(learner, data):
    X, _ = data
    learner.estimator.module_.train()
    before = state(learner)

    def adaptor(logits, rows):
        # Two predictions a row; the second knows only three classes.
        second = torch.full_like(logits, torch.nan)
        second[:, :3] = logits[:, :3]
        return torch.stack([logits, second], dim=1)

    samples = np.stack(ours.get_predictions(learner, X, (), 6, 50, adaptor, 0))
    assert same(before, state(learner))
    assert samples.shape == (6, 120, 2, 10)
    assert np.allclose(np.nansum(samples, axis=-1), 1, atol=1e-5)
    assert np.isnan(samples[:, :, 1, 3:]).all()
    for name in SLOW:
        indices, metrics = getattr(ours, name)(
            learner,
            X,
            4,
            num_cycles=6,
            sample_per_forward_pass=50,
            logits_adaptor=adaptor,
            random_state=1,
        )
        assert np.isfinite(metrics).all()
        assert len(set(indices)) == 4


def test_entropy_sum():
    values = np.array([[0.5, 0.5, np.nan], [1.0, 0.0, np.nan]])
    assert np.allclose(ours.entropy_sum(values), [np.log(2), 0])


@pytest.mark.parametrize("argument", ["num_predictions", "sample_per_forward_pass"])
def test_bad_numbers(learner, data, argument):
    with pytest.raises(ValueError, match=f"{argument} must be at least 1"):
        ours.get_predictions(learner, data[0], **{argument: 0})
