"""BayesianOptimizer and DeepActiveLearner; and that each is a modAL learner under
modAL's names."""

import pickle

import modAL.models
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from modAL.models.base import BaseLearner
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LogisticRegression, SGDClassifier

from al_sklearn.estimators import ImageClassifier
from al_sklearn.modal.models import (
    ActiveLearner,
    BayesianOptimizer,
    Committee,
    CommitteeRegressor,
    DeepActiveLearner,
)
from al_sklearn.modal.models import base as our_base
from tests.learners.nets import plain_net

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.linspace(0, 10, 50)[:, None]
Y = X.ravel() * np.sin(X.ravel())


def test_ours_are_modals():
    for ours in (
        ActiveLearner,
        BayesianOptimizer,
        Committee,
        CommitteeRegressor,
        DeepActiveLearner,
    ):
        theirs = getattr(modAL.models, ours.__name__, BaseLearner)
        assert issubclass(ours, theirs)
    assert our_base.BaseLearner is BaseLearner


def test_the_maximum_is_kept_in_mind():
    optimizer = BayesianOptimizer(
        GaussianProcessRegressor(), X_training=X[:10], y_training=Y[:10]
    )
    assert optimizer.y_max == Y[:10].max()
    assert optimizer.X_max == X[Y[:10].argmax()]
    optimizer.teach(X[10:20], Y[10:20])
    assert optimizer.get_max() == (X[Y[:20].argmax()], Y[:20].max())
    optimizer.teach(X[30:32], Y[30:32], only_new=True, store=False)
    assert optimizer.y_max == Y[[*range(20), 30, 31]].max()
    best = int(Y[:20].argmax())
    optimizer.relabel([best], [-100.0])
    assert optimizer.y_max == np.delete(Y[:20], best).max()
    optimizer.forget(np.arange(5, 20))
    assert optimizer.y_max == np.delete(Y[:5], best if best < 5 else []).max()
    optimizer.fit(X[:3], Y[:3] - 50)
    assert optimizer.y_max == Y[:3].max() - 50
    assert BayesianOptimizer(GaussianProcessRegressor()).get_max() == (None, -np.inf)


@pytest.mark.parametrize(
    "kind", [pd.DataFrame, sp.csr_matrix, torch.as_tensor, np.ndarray.tolist]
)
def test_the_place_of_the_maximum_of_every_kind(kind):
    class Mean(GaussianProcessRegressor):
        def fit(self, X, y):
            return self

    optimizer = BayesianOptimizer(Mean(), X_training=kind(X), y_training=Y[:, None])
    where = optimizer.X_max
    assert (
        float(np.asarray(where.todense() if sp.issparse(where) else where).ravel()[0])
        == X[Y.argmax(), 0]
    )


def test_optimizers_clone_and_pickle():
    optimizer = BayesianOptimizer(
        GaussianProcessRegressor(), X_training=X[::10], y_training=Y[::10]
    )
    assert is_regressor(optimizer)
    assert clone(optimizer).get_max() == (None, -np.inf)
    copy = pickle.loads(pickle.dumps(optimizer))
    assert copy.y_max == optimizer.y_max
    assert np.array_equal(
        copy.query(X, n_instances=2)[0], optimizer.query(X, n_instances=2)[0]
    )


@pytest.fixture(scope="module")
def images(digits):
    return digits[0][:200, None].astype(np.float32), digits[1][:200]


def weights(learner):
    return {
        name: value.clone()
        for name, value in learner.estimator.module_.state_dict().items()
    }


def test_deep_learners_go_on_or_start_again_and_store_nothing(images):
    X, y = images
    learner = DeepActiveLearner(plain_net(max_epochs=2, lr=0.002))
    assert is_classifier(learner)
    assert learner.estimator.initialized_
    # As in modAL, a net can be asked before it has learnt anything.
    assert learner.query(X, n_instances=3)[0].shape == (3,)
    learner.teach(X, y)
    first = learner.score(X, y)
    for _ in range(4):
        learner.teach(X, y)
    assert learner.score(X, y) > first
    assert len(learner.estimator.history) == 5 * learner.num_epochs
    learner.teach(X, y, warm_start=False, bootstrap=True)
    assert len(learner.estimator.history) == learner.num_epochs
    learner.estimator.set_params(warm_start=True)
    learner.fit(X, y)
    assert len(learner.estimator.history) == learner.num_epochs
    assert learner.estimator.warm_start is True
    assert learner.X_training is None
    assert learner.y_training is None


def test_a_trained_net_is_not_started_again(images):
    X, y = images
    net = plain_net().fit(X, y)
    before = {name: value.clone() for name, value in net.module_.state_dict().items()}
    learner = DeepActiveLearner(net)
    assert all(
        torch.equal(before[name], value) for name, value in weights(learner).items()
    )


def test_a_net_that_learns_its_input_from_data_is_built_at_the_first_fit(images):
    X, y = images
    learner = DeepActiveLearner(
        ImageClassifier(max_epochs=2, verbose=0, random_state=0),
        query_strategy="margin",
    )
    learner.teach(X, y.astype(str))
    assert learner.classes_.tolist() == sorted({str(label) for label in y})
    learner.teach(X, y.astype(str))
    assert len(learner.estimator.history) == 4
    assert clone(learner).query_strategy == "margin"


def test_epochs_and_batches():
    learner = DeepActiveLearner(plain_net())
    learner.num_epochs, learner.batch_size = 3, 16
    assert (learner.estimator.max_epochs, learner.estimator.batch_size) == (3, 16)
    assert (learner.num_epochs, learner.batch_size) == (3, 16)
    for name in ("num_epochs", "batch_size"):
        with pytest.raises(ValueError, match="at least 1"):
            setattr(learner, name, 0)
        with pytest.raises(TypeError, match="integer"):
            setattr(learner, name, 2.5)


def test_anything_with_partial_fit_will_do(images):
    X, y = images
    X = X.reshape(len(X), -1)
    learner = DeepActiveLearner(
        SGDClassifier(loss="log_loss", random_state=0), random_state=0
    )
    learner.fit(X, y, sample_weight=np.ones(len(X)))
    learner.teach(X[:20], y[:20], bootstrap=True)
    assert learner.score(X, y) > 0.5
    with pytest.raises(TypeError, match="no partial_fit"):
        DeepActiveLearner(LogisticRegression()).teach(X, y)
    with pytest.raises(ValueError, match="3 images and 2 labels"):
        learner.teach(X[:3], y[:2])
