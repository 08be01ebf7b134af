"""DeepEnsemble around nets and around anything else."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone, is_classifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks
from skorch import NeuralNetClassifier
from skorch.callbacks import Checkpoint

from al_sklearn import StrategyComparison, strategies
from al_sklearn.estimators import (
    DeepEnsemble,
    ImageClassifier,
    LaplaceClassifier,
    SnapshotEnsemble,
    TemperatureScaling,
    TunedClassifier,
)
from al_sklearn.estimators.networks import small_cnn


@pytest.fixture(scope="module")
def flat(digits):
    X, y = digits
    return X.reshape(len(X), -1) / 255, y


def test_of_nets(digits, quick):
    X, y = digits
    names = np.array(list("abcdefghij"))[y]
    before = torch.get_rng_state()
    ensemble = DeepEnsemble(
        quick(random_state=None, max_epochs=8), n_members=3, random_state=0
    )
    ensemble.fit(X[:100], names[:100])
    assert torch.equal(before, torch.get_rng_state())
    assert is_classifier(ensemble)
    samples = ensemble.sample_proba(X[:50])
    assert samples.shape == (3, 50, 10)
    assert not np.allclose(samples[0], samples[1])
    np.testing.assert_array_equal(
        samples[1], ensemble.estimators_[1].predict_proba(X[:50])
    )
    np.testing.assert_allclose(ensemble.predict_proba(X[:50]), samples.mean(0))
    np.testing.assert_allclose(samples.sum(2), 1, rtol=1e-5)
    assert ensemble.score(X[1000:], names[1000:]) > 0.6
    again = clone(ensemble).fit(X[:100], names[:100])
    np.testing.assert_array_equal(again.sample_proba(X[:50]), samples)
    copy = pickle.loads(pickle.dumps(ensemble))
    np.testing.assert_array_equal(copy.sample_proba(X[:50]), samples)
    assert ensemble.embed(X[:5]).shape == (5, 3 * 128)


def test_some_members(flat):
    X, y = flat
    ensemble = DeepEnsemble(
        DecisionTreeClassifier(max_features=4), n_members=6, random_state=0
    ).fit(X[:200], y[:200])
    everyone = ensemble.sample_proba(X[300:])
    two = ensemble.sample_proba(X[300:], n_samples=2, random_state=0)
    np.testing.assert_array_equal(
        two, ensemble.sample_proba(X[300:], n_samples=2, random_state=0)
    )
    rows = [
        next(i for i in range(6) if np.array_equal(everyone[i], sample))
        for sample in two
    ]
    assert len(set(rows)) == 2
    np.testing.assert_array_equal(ensemble.sample_proba(X[300:], n_samples=7), everyone)
    with pytest.raises(ValueError, match="n_samples must be at least 1"):
        ensemble.sample_proba(X[300:], n_samples=0)


def test_measures_of_many_samples_take_the_members_there_are(flat):
    X, y = flat
    ensemble = DeepEnsemble(
        DecisionTreeClassifier(max_features=4), n_members=3, random_state=0
    ).fit(X[:200], y[:200])
    chosen, scores = strategies.entropy_mc(ensemble, X[300:400], 5)
    np.testing.assert_allclose(
        scores, strategies.measures.entropy(ensemble.predict_proba(X[300:400]))[chosen]
    )


def test_parallel_members_are_the_serial_ones(flat, digits, quick):
    X, y = digits
    serial = DeepEnsemble(quick(), n_members=2, random_state=0).fit(X[:60], y[:60])
    parallel = DeepEnsemble(quick(), n_members=2, n_jobs=2, random_state=0).fit(
        X[:60], y[:60]
    )
    np.testing.assert_allclose(
        serial.sample_proba(X[:40]), parallel.sample_proba(X[:40]), atol=1e-5
    )
    assert torch.get_num_threads() == 1


def test_of_pipelines_and_plain_skorch(flat, digits):
    X, y = flat
    pipeline = make_pipeline(StandardScaler(), RandomForestClassifier(n_estimators=5))
    ensemble = DeepEnsemble(pipeline, n_members=2, random_state=0).fit(X[:200], y[:200])
    seeds = [member[-1].random_state for member in ensemble.estimators_]
    assert len(set(seeds)) == 2
    assert cross_val_score(ensemble, X[:200], y[:200], cv=2).mean() > 0.7

    images = X[:64].reshape(-1, 1, 8, 8).astype(np.float32)
    net = NeuralNetClassifier(
        small_cnn,
        criterion=torch.nn.CrossEntropyLoss,
        train_split=None,
        verbose=0,
        max_epochs=1,
    )
    before = torch.get_rng_state()
    ensemble = DeepEnsemble(net, n_members=2, random_state=0).fit(images, y[:64])
    assert torch.equal(before, torch.get_rng_state())
    first = ensemble.sample_proba(images)
    assert not np.allclose(first[0], first[1])
    np.testing.assert_array_equal(
        clone(ensemble).fit(images, y[:64]).sample_proba(images), first
    )


def test_columns_follow_all_classes(flat):
    X, y = flat

    class Forgetful(LogisticRegression):
        """Knows only the classes of its own half of the labels."""

        def fit(self, X, y):
            keep = y % 2 == (0 if self.max_iter == 100 else 1)
            return super().fit(X[keep], y[keep])

    ensemble = DeepEnsemble(Forgetful(), n_members=2).fit(X[:200], y[:200])
    ensemble.estimators_[1] = Forgetful(max_iter=101).fit(X[:200], y[:200])
    ensemble.classes_ = np.arange(10)
    samples = ensemble.sample_proba(X[:20])
    assert samples[0, :, 1::2].max() == 0
    assert samples[1, :, ::2].max() == 0
    np.testing.assert_allclose(samples.sum(2), 1)


def test_bad_use(flat):
    X, y = flat
    with pytest.raises(NotFittedError):
        DeepEnsemble(DecisionTreeClassifier()).predict(X)
    with pytest.raises(ValueError, match="n_members must be"):
        DeepEnsemble(DecisionTreeClassifier(), n_members=0).fit(X, y)
    with pytest.raises(TypeError, match="needs a classifier with predict_proba"):
        DeepEnsemble(LinearSVC()).fit(X, y)


@parametrize_with_checks([DeepEnsemble(LogisticRegression(C=1.0), n_members=2)])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_checkpoints_of_workers_are_kept_apart(digits, tmp_path):
    X, y = digits
    fitted = []
    for n_jobs, folder in ((1, tmp_path / "serial"), (2, tmp_path / "parallel")):
        keep = Checkpoint(
            dirname=str(folder), monitor="train_loss_best", load_best=True
        )
        net = ImageClassifier(max_epochs=4, callbacks=[("keep", keep)])
        fitted.append(
            DeepEnsemble(net, n_members=3, n_jobs=n_jobs, random_state=0).fit(
                X[:60], y[:60]
            )
        )
    np.testing.assert_array_equal(
        fitted[0].sample_proba(X[:50]), fitted[1].sample_proba(X[:50])
    )
    assert (tmp_path / "serial" / "params.pt").exists()
    assert len(list((tmp_path / "parallel").glob("fit-*/params.pt"))) == 3


@pytest.mark.slow
def test_every_source_of_samples_in_a_parallel_comparison(digits):
    X, y = digits
    net = ImageClassifier(max_epochs=2, iterator_train__min_batches=1)
    sources = {
        "ensemble": DeepEnsemble(net, 2, n_jobs=2),
        "snapshots": SnapshotEnsemble(net, 2),
        "laplace": LaplaceClassifier(net),
        "scaled": TemperatureScaling(net),
        "tuned": TunedClassifier(net, {"lr": (1e-4, 1e-2, "log")}, 2),
    }
    options = {
        "n_initial": 30,
        "n_instances": 10,
        "n_rounds": 1,
        "n_seeds": 2,
        "verbose": 0,
    }
    for name, source in sources.items():
        tables = []
        for n_jobs in (None, 2):
            with pytest.warns(UserWarning, match="seed"):
                comparison = StrategyComparison(
                    source, ["bald"], n_jobs=n_jobs, threads_per_job=1, **options
                )
                tables.append(comparison.fit(X[:200], y[:200]).results_)
        assert len(tables[0]) == 8, name
        np.testing.assert_allclose(
            tables[0]["nll"], tables[1]["nll"], rtol=1e-4, err_msg=name
        )
