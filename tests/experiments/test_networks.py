"""Experiments on images with a network: arrays, files, data sets; every way of
training; a comparison."""

import warnings

import numpy as np
import pytest
import torch
from joblib import parallel_config
from PIL import Image
from skorch import NeuralNetClassifier
from torch import nn

from al_sklearn.estimators import ImageClassifier
from al_sklearn.experiments import ActiveLearningExperiment, StrategyComparison

OPTIONS = {"n_initial": 20, "n_instances": 10, "n_rounds": 2, "random_state": 0}


@pytest.fixture(scope="module")
def images(digits):
    X, y = digits
    return X[:260], y[:260]


def run(X, y, strategy="margin", estimator=None, **options):
    estimator = ImageClassifier(max_epochs=2) if estimator is None else estimator
    return ActiveLearningExperiment(estimator, strategy, **{**OPTIONS, **options}).fit(
        X, y
    )


def test_files_and_data_sets_give_what_the_array_gives(images, tmp_path):
    X, y = images
    expected = run(X, y)
    paths = []
    for i, image in enumerate(X):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(image).save(paths[-1])
    np.save(tmp_path / "X.npy", X)
    kinds = {
        "memmap": np.load(tmp_path / "X.npy", mmap_mode="r"),
        "tensor": torch.as_tensor(X),
        "data set": torch.utils.data.TensorDataset(
            torch.as_tensor(X), torch.as_tensor(y)
        ),
    }
    for kind, rows in kinds.items():
        got = run(rows, y)
        assert np.array_equal(got.labelled_indices_, expected.labelled_indices_), kind
        assert np.allclose(got.history_["nll"], expected.history_["nll"]), kind
    from_files = run([str(path) for path in paths], y)
    assert from_files.history_["n_labelled"].tolist() == [20, 30, 40]
    assert expected.n_features_in_ == 64


@pytest.mark.parametrize("training", ["fine_tune", "incremental"])
def test_training_goes_on_even_when_a_batch_misses_classes(images, training):
    X, y = images
    experiment = run(X, y, "random", training=training)
    assert experiment.predict_proba(X[:5]).shape == (5, 10)
    assert not experiment.estimator.warm_start


class Plain(nn.Sequential):
    """Knows no random_state: its weights and dropout come from torch's global
    generator."""

    def __init__(self):
        super().__init__(
            nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 10)
        )


def test_a_plain_network_is_repeatable_too(images):
    X, y = images
    X = X.reshape(len(X), -1).astype(np.float32) / 255

    def net():
        return NeuralNetClassifier(
            Plain,
            criterion=nn.CrossEntropyLoss,
            max_epochs=3,
            lr=0.1,
            train_split=None,
            verbose=0,
        )

    first, second = run(X, y, "entropy", net()), run(X, y, "entropy", net())
    assert np.array_equal(first.labelled_indices_, second.labelled_indices_)
    assert first.history_["nll"].equals(second.history_["nll"])


def test_a_comparison_of_networks(images, tmp_path):
    X, y = images
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "2 seeds cannot tell")
        comparison = StrategyComparison(
            ImageClassifier(max_epochs=2),
            ["bald", "badge"],
            n_initial=20,
            n_instances=10,
            n_rounds=1,
            n_seeds=2,
            threads_per_job=1,
            store=tmp_path / "run",
            verbose=0,
        ).fit(X, y)
    assert set(comparison.summary().index) == {"random_sampling", "bald", "badge"}
    assert (
        "ImageClassifier (small_cnn)"
        in comparison.report(tmp_path / "r.html").read_text()
    )
    assert comparison.thumbnails_["bald/1/images"].shape == (10, 8, 8)


def test_threads_give_networks_the_same_bits(images):
    """They share torch's generator: loops that ran at once would draw each other's
    numbers."""
    X, y = images
    clock = ["query_seconds", "training_seconds", "peak_memory_mb"]
    results = []
    for backend, n_jobs in (("sequential", 1), ("threading", 2)):
        with warnings.catch_warnings(), parallel_config(backend=backend):
            warnings.filterwarnings("ignore", "2 seeds cannot tell")
            comparison = StrategyComparison(
                ImageClassifier(max_epochs=1),
                ["bald"],
                n_initial=20,
                n_instances=10,
                n_rounds=1,
                n_seeds=2,
                n_jobs=n_jobs,
                threads_per_job=1,
                verbose=0,
            ).fit(X, y)
        results.append(comparison.results_.drop(columns=clock))
    assert results[0].equals(results[1])
