"""SnapshotEnsemble: one training, several networks."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone, is_classifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, EarlyStopping, LRScheduler

from al_sklearn import ActiveLearner
from al_sklearn.estimators import ImageClassifier
from al_sklearn.estimators._snapshot import SnapshotEnsemble
from al_sklearn.estimators.networks import small_cnn
from al_sklearn.inference import embed, sample_proba


class Watch(Callback):
    """Writes down the learning rate of every step and the weights at the end of every
    epoch; clones share the lists."""

    rates, weights, trainings = [], [], []

    def on_train_begin(self, net, **kwargs):
        self.trainings.append(1)

    def on_grad_computed(
        self, net, named_parameters, X=None, y=None, training=False, **kwargs
    ):
        self.rates.append(net.optimizer_.param_groups[0]["lr"])

    def on_epoch_end(self, net, **kwargs):
        self.weights.append(
            {name: value.clone() for name, value in net.module_.state_dict().items()}
        )


@pytest.fixture
def watch():
    for log in (Watch.rates, Watch.weights, Watch.trainings):
        log.clear()
    return Watch()


def test_cosine_cycles_and_their_weights(digits, watch):
    X, y = digits
    net = ImageClassifier(
        max_epochs=6,
        batch_size=20,
        lr=0.01,
        iterator_train__min_batches=1,
        callbacks=[watch],
    )
    before = torch.get_rng_state()
    ensemble = SnapshotEnsemble(net, n_snapshots=3, random_state=0).fit(
        X[:100], y[:100]
    )
    assert torch.equal(before, torch.get_rng_state())
    # Huang et al., equation 2: 5 batches an epoch, 2 epochs a cycle.
    expected = [0.01 / 2 * (np.cos(np.pi * (t % 10) / 10) + 1) for t in range(30)]
    np.testing.assert_allclose(watch.rates, expected)
    assert len(watch.trainings) == 1
    for member, state in zip(ensemble.estimators_, watch.weights[1::2], strict=True):
        for name, value in member.module_.state_dict().items():
            assert torch.equal(value, state[name]), name
    # The user's own net and its callbacks are left alone.
    assert net.callbacks == [watch]
    assert not net.initialized_


def test_scoring_trains_nothing(digits, watch):
    X, y = digits
    net = ImageClassifier(max_epochs=8, callbacks=[watch])
    names = np.array(list("abcdefghij"))[y]
    ensemble = SnapshotEnsemble(net, n_snapshots=4, random_state=0).fit(
        X[:150], names[:150]
    )
    assert is_classifier(ensemble)
    steps = len(watch.rates)
    weights = [
        pickle.dumps(member.module_.state_dict()) for member in ensemble.estimators_
    ]
    samples = sample_proba(ensemble, X[:60])
    assert samples.shape == (4, 60, 10)
    np.testing.assert_array_equal(samples, ensemble.sample_proba(X[:60]))
    assert len({sample.tobytes() for sample in samples}) == 4
    np.testing.assert_allclose(samples.sum(2), 1, rtol=1e-5)
    np.testing.assert_allclose(ensemble.predict_proba(X[:60]), samples.mean(0))
    assert ensemble.sample_proba(X[:60], n_samples=2, random_state=0).shape == (
        2,
        60,
        10,
    )
    assert embed(ensemble, X[:5]).shape == (5, 4 * 128)
    assert embed(ensemble, X[:5], layer="features.0").shape[0] == 5
    assert ensemble.score(X[1000:], names[1000:]) > 0.8
    assert (len(watch.rates), len(watch.trainings)) == (steps, 1)
    assert weights == [
        pickle.dumps(member.module_.state_dict()) for member in ensemble.estimators_
    ]
    again = clone(ensemble).fit(X[:150], names[:150])
    np.testing.assert_array_equal(again.sample_proba(X[:60]), samples)
    copy = pickle.loads(pickle.dumps(ensemble))
    np.testing.assert_array_equal(copy.sample_proba(X[:60]), samples)


def test_uneven_cycles_plain_skorch_and_pipelines(digits):
    X, y = digits
    images = X[:64].reshape(-1, 1, 8, 8).astype(np.float32)
    net = NeuralNetClassifier(
        small_cnn,
        criterion=torch.nn.CrossEntropyLoss,
        verbose=0,
        train_split=None,
        max_epochs=5,
    )
    pipeline = make_pipeline(FunctionTransformer(lambda X: X / 255), net)
    ensemble = SnapshotEnsemble(pipeline, n_snapshots=2, random_state=0).fit(
        images, y[:64]
    )
    assert [len(member.history) for member in ensemble.estimators_] == [5, 5]
    last = ensemble.estimator_.predict_proba(images)
    np.testing.assert_allclose(ensemble.sample_proba(images)[-1], last, rtol=1e-5)
    again = SnapshotEnsemble(pipeline, n_snapshots=2, random_state=0).fit(
        images, y[:64]
    )
    np.testing.assert_array_equal(
        again.predict_proba(images), ensemble.predict_proba(images)
    )


def test_in_a_learner(digits):
    X, y = digits
    net = ImageClassifier(max_epochs=2, iterator_train__min_batches=1)
    learner = ActiveLearner(
        SnapshotEnsemble(net, 2, random_state=0),
        "bald",
        X_training=X[:60],
        y_training=y[:60],
    )
    indices, rows = learner.query(X[60:120], n_instances=4)
    learner.teach(rows, y[60:][indices])
    assert learner.predict_proba(X[:5]).shape == (5, 10)


def test_bad_use(digits):
    X, y = digits
    X, y = X[:40], y[:40]
    with pytest.raises(
        TypeError, match=r"needs an ImageClassifier.*LogisticRegression"
    ):
        SnapshotEnsemble(LogisticRegression()).fit(X, y)
    for wrong in (0, 4, True, 2.5):
        with pytest.raises(ValueError, match="from 1 to max_epochs=3"):
            SnapshotEnsemble(ImageClassifier(max_epochs=3), n_snapshots=wrong).fit(X, y)
    for given in (LRScheduler(), LRScheduler, ("rate", LRScheduler())):
        with pytest.raises(ValueError, match="remove LRScheduler"):
            SnapshotEnsemble(ImageClassifier(callbacks=[given])).fit(X, y)
    with pytest.raises(ValueError, match="remove schedule, swa"):
        SnapshotEnsemble(ImageClassifier(schedule="cosine", swa=True)).fit(X, y)
    with pytest.raises(ValueError, match="callbacks='disable'"):
        SnapshotEnsemble(ImageClassifier(callbacks="disable")).fit(X, y)
    stops = EarlyStopping(
        monitor="train_loss", patience=1, threshold=100, sink=lambda text: None
    )
    with pytest.raises(ValueError, match=r"ended after . of 5 cycles"):
        SnapshotEnsemble(ImageClassifier(max_epochs=10, callbacks=[stops])).fit(X, y)
