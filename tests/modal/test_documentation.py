"""The examples of modAL's documentation, with one import changed and real data sets."""

from functools import partial

import matplotlib as mpl
import numpy as np
import pytest
import torch
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_iris,
    load_sample_image,
    load_wine,
)
from sklearn.ensemble import RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, Matern, WhiteKernel
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from skorch import NeuralNetClassifier
from torch import nn

from al_sklearn.modal.acquisition import max_EI, max_PI, max_UCB, optimizer_EI
from al_sklearn.modal.batch import uncertainty_batch_sampling
from al_sklearn.modal.density import information_density
from al_sklearn.modal.disagreement import (
    max_disagreement_sampling,
    max_std_sampling,
    vote_entropy_sampling,
)
from al_sklearn.modal.dropout import mc_dropout_bald, mc_dropout_max_entropy
from al_sklearn.modal.models import (
    ActiveLearner,
    BayesianOptimizer,
    Committee,
    CommitteeRegressor,
    DeepActiveLearner,
)
from al_sklearn.modal.multilabel import SVM_binary_minimum, avg_confidence, max_loss
from al_sklearn.modal.uncertainty import (
    classifier_margin,
    classifier_uncertainty,
    entropy_sampling,
    margin_sampling,
)
from al_sklearn.modal.utils.combination import (
    make_linear_combination,
    make_product,
    make_query_strategy,
)
from al_sklearn.modal.utils.selection import multi_argmax, weighted_random

mpl.use("Agg")
# Gaussian processes that fit a handful of points often stop at a bound.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IRIS_X, IRIS_Y = load_iris(return_X_y=True)


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def test_pool_based_sampling(rng):
    training = rng.choice(150, size=3, replace=False)
    X_pool, y_pool = np.delete(IRIS_X, training, axis=0), np.delete(IRIS_Y, training)
    learner = ActiveLearner(
        estimator=KNeighborsClassifier(n_neighbors=3),
        X_training=IRIS_X[training],
        y_training=IRIS_Y[training],
    )
    unqueried_score = learner.score(IRIS_X, IRIS_Y)
    for _ in range(20):
        query_index, _ = learner.query(X_pool)
        # As written there: one row, reshaped.
        X, y = X_pool[query_index].reshape(1, -1), y_pool[query_index].reshape(1)
        learner.teach(X=X, y=y)
        X_pool, y_pool = (
            np.delete(X_pool, query_index, axis=0),
            np.delete(y_pool, query_index),
        )
    assert learner.score(IRIS_X, IRIS_Y) >= max(unqueried_score, 0.9)
    assert len(X_pool) == 127


def test_ranked_batch_mode_sampling(rng):
    training = rng.choice(150, size=3, replace=False)
    X_pool, y_pool = np.delete(IRIS_X, training, axis=0), np.delete(IRIS_Y, training)
    learner = ActiveLearner(
        estimator=KNeighborsClassifier(n_neighbors=3),
        X_training=IRIS_X[training],
        y_training=IRIS_Y[training],
        query_strategy=partial(uncertainty_batch_sampling, n_instances=3),
    )
    for _ in range(7):
        query_index, query_instance = learner.query(X_pool)
        assert query_instance.shape == (3, 4)
        learner.teach(X=X_pool[query_index], y=y_pool[query_index])
        X_pool, y_pool = (
            np.delete(X_pool, query_index, axis=0),
            np.delete(y_pool, query_index),
        )
    assert learner.score(IRIS_X, IRIS_Y) > 0.9


def test_stream_based_sampling(rng):
    # Which pixels of a photograph are sky: asked only where the learner is unsure.
    image = load_sample_image("china.jpg")[::16, ::16] / 255
    rows, columns = np.indices(image.shape[:2])
    X_full = np.stack([rows.ravel(), columns.ravel(), *image.reshape(-1, 3).T], axis=1)
    y_full = (image.mean(axis=2) > 0.6).astype(int).ravel()
    initial = rng.choice(len(X_full), size=8, replace=False)
    learner = ActiveLearner(
        estimator=RandomForestClassifier(n_estimators=10, random_state=0),
        X_training=X_full[initial],
        y_training=y_full[initial],
    )
    unqueried, asked = learner.score(X_full, y_full), 0
    while learner.score(X_full, y_full) < 0.975:
        stream = rng.integers(len(X_full))
        if classifier_uncertainty(learner, X_full[stream].reshape(1, -1))[0] >= 0.3:
            learner.teach(X_full[stream].reshape(1, -1), y_full[stream].reshape(-1))
            asked += 1
    assert unqueried < 0.975
    assert asked < 100


def test_active_regression(rng):
    X = rng.choice(np.linspace(0, 20, 10000), size=200, replace=False).reshape(-1, 1)
    y = np.sin(X) + rng.normal(scale=0.3, size=X.shape)

    def GP_regression_std(regressor, X):
        _, std = regressor.predict(X, return_std=True)
        query_idx = np.argmax(std)
        return query_idx, X[query_idx]

    initial = rng.choice(range(len(X)), size=5, replace=False)
    kernel = RBF(length_scale=1.0, length_scale_bounds=(1e-1, 1e2)) + WhiteKernel(
        0.1, (1e-3, 1e1)
    )
    regressor = ActiveLearner(
        estimator=GaussianProcessRegressor(kernel=kernel),
        query_strategy=GP_regression_std,
        X_training=X[initial].reshape(-1, 1),
        y_training=y[initial].reshape(-1, 1),
    )
    before = regressor.predict(X, return_std=True)[1].max()
    for _ in range(10):
        query_idx, _ = regressor.query(X)
        regressor.teach(X[query_idx].reshape(1, -1), y[query_idx].reshape(1, -1))
    assert regressor.predict(X, return_std=True)[1].max() < before
    assert len(regressor.y_training) == 15


def test_ensemble_regression(rng):
    X = np.concatenate((rng.random(100) - 1, rng.random(100)))
    y = np.abs(X) + rng.normal(scale=0.2, size=X.shape)
    kernel = RBF(1.0, (1e-2, 1e3)) + WhiteKernel(1, (1e-10, 1e1))
    initial_idx = [
        rng.choice(range(100), size=10, replace=False),
        rng.choice(range(100, 200), size=10, replace=False),
    ]

    def ensemble_regression_std(regressor, X):
        _, std = regressor.predict(X, return_std=True)
        return np.argmax(std)

    for strategy in (ensemble_regression_std, max_std_sampling):
        learner_list = [
            ActiveLearner(
                estimator=GaussianProcessRegressor(kernel),
                X_training=X[idx].reshape(-1, 1),
                y_training=y[idx].reshape(-1, 1),
            )
            for idx in initial_idx
        ]
        committee = CommitteeRegressor(
            learner_list=learner_list, query_strategy=strategy
        )
        before = committee.predict(X.reshape(-1, 1), return_std=True)[1].mean()
        for _ in range(5):
            query_idx, _ = committee.query(X.reshape(-1, 1))
            committee.teach(X[query_idx].reshape(-1, 1), y[query_idx].reshape(-1, 1))
        assert committee.predict(X.reshape(-1, 1), return_std=True)[1].mean() < before


@pytest.mark.parametrize(
    "strategy",
    [max_EI, partial(max_PI, tradeoff=0.5), max_UCB],
    ids=["EI", "PI", "UCB"],
)
def test_bayesian_optimization(strategy):
    X = np.linspace(0, 20, 1000).reshape(-1, 1)
    y = np.sin(X) / 2 - ((10 - X) ** 2) / 50 + 2
    optimizer = BayesianOptimizer(
        estimator=GaussianProcessRegressor(kernel=Matern(length_scale=1.0)),
        X_training=X[150].reshape(1, -1),
        y_training=y[150].reshape(1, -1),
        query_strategy=strategy,
    )
    for _ in range(12):
        query_idx, _ = optimizer.query(X)
        optimizer.teach(X[query_idx].reshape(1, -1), y[query_idx].reshape(1, -1))
    X_max, y_max = optimizer.get_max()
    assert y_max > y.max() - 0.05
    assert abs(X_max[0] - X[y.argmax(), 0]) < 1
    assert optimizer_EI(optimizer, X).shape == (1000,)


def test_query_by_committee(rng):
    learner_list, X_pool, y_pool = [], IRIS_X.copy(), IRIS_Y.copy()
    for _ in range(2):
        train_idx = rng.choice(len(X_pool), size=5, replace=False)
        learner_list.append(
            ActiveLearner(
                estimator=RandomForestClassifier(n_estimators=20, random_state=0),
                X_training=X_pool[train_idx],
                y_training=y_pool[train_idx],
            )
        )
        X_pool, y_pool = (
            np.delete(X_pool, train_idx, axis=0),
            np.delete(y_pool, train_idx),
        )
    committee = Committee(
        learner_list=learner_list, query_strategy=vote_entropy_sampling
    )
    unqueried = committee.score(IRIS_X, IRIS_Y)
    for _ in range(15):
        query_idx, _ = committee.query(X_pool)
        committee.teach(
            X=X_pool[query_idx].reshape(1, -1), y=y_pool[query_idx].reshape(1)
        )
        X_pool, y_pool = (
            np.delete(X_pool, query_idx, axis=0),
            np.delete(y_pool, query_idx),
        )
    assert committee.score(IRIS_X, IRIS_Y) >= max(unqueried, 0.93)


def test_bootstrapping_and_bagging():
    X, y = load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    learners = [
        ActiveLearner(
            estimator=KNeighborsClassifier(n_neighbors=5),
            X_training=X,
            y_training=y,
            bootstrap_init=True,
        )
        for _ in range(3)
    ]
    committee = Committee(
        learner_list=learners, query_strategy=max_disagreement_sampling, random_state=0
    )
    committee.rebag()
    one = committee.vote_proba(X)
    committee.rebag()
    assert not np.array_equal(one, committee.vote_proba(X))
    committee.fit(X[:90], y[:90], bootstrap=True)
    committee.teach(X[90:], y[90:], bootstrap=True)
    assert committee.score(X, y) > 0.9


def test_information_density():
    X, _ = load_iris(return_X_y=True)
    for metric in ("euclidean", "cosine"):
        density = information_density(X, metric)
        assert density.shape == (150,)
        assert density.argmin() != density.argmax()


def test_custom_query_strategies(rng):
    X, y = load_wine(return_X_y=True)
    linear_combination = make_linear_combination(
        classifier_uncertainty, classifier_margin, weights=[1.0, -1.0]
    )
    product = make_product(
        classifier_uncertainty, classifier_uncertainty, exponents=[0.5, 0.5]
    )

    # As written there; modAL before 0.4 asked for the rows as well.
    def custom_query_strategy(classifier, X, a_keyword_argument=42):
        utility = linear_combination(classifier, X)
        query_idx, _ = multi_argmax(utility, n_instances=2)
        return query_idx, X[query_idx]

    def random_sampling(classifier, X_pool):
        n_samples = len(X_pool)
        query_idx = rng.choice(range(n_samples))
        return query_idx, X_pool[query_idx]

    strategies = [
        custom_query_strategy,
        random_sampling,
        make_query_strategy(utility_measure=product, selector=multi_argmax),
        make_query_strategy(utility_measure=product, selector=weighted_random),
    ]
    for strategy in strategies:
        learner = ActiveLearner(
            GaussianNB(), strategy, X_training=X[::20], y_training=y[::20]
        )
        query_idx, rows = learner.query(X)
        assert np.array_equal(rows, X[query_idx])
        learner.teach(rows, y[query_idx])
        assert len(learner.X_training) == 9 + len(query_idx)


@pytest.mark.parametrize("strategy", [SVM_binary_minimum, max_loss, avg_confidence])
@pytest.mark.filterwarnings(
    "ignore:The `probability` parameter was deprecated:FutureWarning"
)
def test_multilabel_classification(strategy):
    X, y = load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    # Two questions at once: is the wine of the first kind, and has it more alcohol than
    # most?
    labels = np.stack([y == 0, X[:, 0] > 0.5], axis=1).astype(int)
    learner = ActiveLearner(
        estimator=OneVsRestClassifier(
            SVC(kernel="linear", probability=True, random_state=0)
        ),
        query_strategy=strategy,
        X_training=X[::9],
        y_training=labels[::9],
    )
    before = learner.score(X, labels)
    for _ in range(10):
        query_idx, query_inst = learner.query(X)
        learner.teach(query_inst, labels[query_idx])
    assert learner.score(X, labels) >= max(before, 0.8)


def test_interactive_labeling(digits):
    import matplotlib.pyplot as plt

    X, y = digits
    X = X.reshape(len(X), -1)
    learner = ActiveLearner(
        RandomForestClassifier(20, random_state=0),
        query_strategy=entropy_sampling,
        X_training=X[:10],
        y_training=y[:10],
    )
    query_idx, query_inst = learner.query(X)
    figure = plt.figure()
    plt.imshow(query_inst.reshape(8, 8))
    plt.close(figure)
    # Where a person types: input() gives a string.
    y_new = np.array([int(str(y[query_idx][0]))], dtype=int)
    learner.teach(query_inst.reshape(1, -1), y_new)
    assert len(learner.y_training) == 11


def test_scikit_learn_workflows():
    X, y = load_breast_cancer(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    learner = ActiveLearner(
        estimator=GridSearchCV(pipeline, {"logisticregression__C": [0.1, 1.0]}, cv=3),
        query_strategy=margin_sampling,
        X_training=X[:40],
        y_training=y[:40],
    )
    query_idx, query_inst = learner.query(X, n_instances=10)
    learner.teach(query_inst, y[query_idx])
    assert learner.score(X, y) > 0.85
    transformed = ActiveLearner(
        estimator=pipeline,
        query_strategy=uncertainty_batch_sampling,
        on_transformed=True,
        X_training=X[:40],
        y_training=y[:40],
    )
    assert transformed.query(X, n_instances=5)[1].shape == (5, 30)


class Torch_Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)
        )
        self.fcs = nn.Sequential(
            nn.Linear(16 * 9, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 10)
        )

    def forward(self, x):
        return self.fcs(self.convs(x).view(-1, 16 * 9))


def mnist_like(digits):
    X, y = digits
    return (X.reshape(-1, 1, 8, 8) / 255).astype(np.float32), y.astype("int64")


def skorch_net(**options):
    torch.manual_seed(0)
    defaults = {
        "criterion": nn.CrossEntropyLoss,
        "optimizer": torch.optim.Adam,
        "train_split": None,
        "verbose": 0,
    }
    return NeuralNetClassifier(Torch_Model, **{**defaults, **options})


def test_pytorch_models_in_modal_workflows(digits):
    X, y = mnist_like(digits)
    X_pool, y_pool = X[100:900], y[100:900]
    learner = ActiveLearner(
        estimator=skorch_net(lr=0.005, max_epochs=15),
        X_training=X[:100],
        y_training=y[:100],
    )
    before = learner.score(X[900:], y[900:])
    for _ in range(3):
        query_idx, query_instance = learner.query(X_pool, n_instances=50)
        learner.teach(query_instance, y_pool[query_idx], only_new=False)
        X_pool, y_pool = (
            np.delete(X_pool, query_idx, axis=0),
            np.delete(y_pool, query_idx, axis=0),
        )
    assert learner.score(X[900:], y[900:]) > before


@pytest.mark.parametrize("strategy", [mc_dropout_bald, mc_dropout_max_entropy])
def test_bayesian_models_with_mc_dropout(digits, strategy):
    X, y = mnist_like(digits)
    X_pool, y_pool = torch.as_tensor(X[100:900]), y[100:900]
    learner = DeepActiveLearner(
        estimator=skorch_net(lr=0.005, max_epochs=15), query_strategy=strategy
    )
    learner.teach(X[:100], y[:100], warm_start=False)
    before = learner.score(X[900:], y[900:])
    query_idx, query_instance = learner.query(
        X_pool,
        n_instances=100,
        dropout_layer_indexes=[5, 9],
        num_cycles=10,
        random_state=0,
    )
    learner.num_epochs = 10
    # It stores nothing: what it shall not forget is given to it again.
    learner.teach(
        torch.cat([torch.as_tensor(X[:100]), query_instance]),
        np.append(y[:100], y_pool[query_idx]),
    )
    assert learner.score(X[900:], y[900:]) > before


def test_regression_on_a_real_data_set():
    X, y = load_diabetes(return_X_y=True)
    kernel = RBF(1.0, (1e-2, 1e2)) + WhiteKernel(1, (1e-3, 1e2))
    learner = ActiveLearner(
        GaussianProcessRegressor(kernel, normalize_y=True, random_state=0),
        query_strategy=max_std_sampling,
        X_training=X[:20],
        y_training=y[:20],
    )
    before = learner.score(X, y)
    for _ in range(4):
        query_idx, rows = learner.query(X, n_instances=20)
        learner.teach(rows, y[query_idx])
    assert learner.score(X, y) > before
