"""The documented protocol, early stopping on a paid validation set, under every
strategy: clones that a strategy trains get what the rounds get."""

import functools
import warnings

import numpy as np
import pytest
from skorch.callbacks import EpochScoring
from torch import nn

from al_sklearn import ActiveLearner, ActiveLearningExperiment, ImageClassifier
from al_sklearn.estimators import (
    DeepEnsemble,
    LaplaceClassifier,
    LossPredictionClassifier,
    TemperatureScaling,
)
from al_sklearn.experiments.configuration import read_experiment
from al_sklearn.inference import fitting
from al_sklearn.modal.expected_error import expected_error_reduction
from al_sklearn.strategies import (
    active_transfer_learning,
    by_committee,
    catalogue,
    oracle_batch,
)

TRAINING = ("from_scratch", "fine_tune", "incremental")
WATCHING = {
    "patience": {"patience": 1},
    "plateau": {"schedule": "plateau", "callbacks__schedule__patience": 0},
    "metric": {"patience": 1, "monitor": "val_f1"},
}


class Tiny(nn.Module):
    """One linear layer behind a dropout: strategies find all they ask for."""

    def __init__(self, n_classes):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64, 16),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(16, n_classes),
        )

    def forward(self, images):
        return self.layers(images)


def net(watching, kind=ImageClassifier, **options):
    scoring = EpochScoring("f1_macro", lower_is_better=False, name="val_f1")
    options = {"max_epochs": 2, "callbacks": [scoring], **options}
    return kind(Tiny, **WATCHING[watching], **options)


def run(estimator, strategy, digits, training="from_scratch", **options):
    X, y = digits[0][:90], digits[1][:90]
    options = {"validation_size": 20, "random_state": 0, **options}
    with warnings.catch_warnings():
        # Few labels: held-out predictions may all be right, or all wrong.
        warnings.filterwarnings("ignore", "The .* held-out predictions are all")
        return ActiveLearningExperiment(
            estimator,
            strategy,
            n_initial=24,
            n_instances=4,
            n_rounds=1,
            training=training,
            **options,
        ).fit(X, y)


# A few trainings instead of thirty; images are as small as they are.
QUICK = {
    "oracle_batch": functools.partial(oracle_batch, n_candidates=2),
}
STRATEGIES = [info.name for info in catalogue() if not info.name.startswith("_")]


@pytest.mark.slow
@pytest.mark.parametrize("training", TRAINING)
@pytest.mark.parametrize("watching", WATCHING)
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_every_signal_every_training(name, watching, training, digits):
    kind = ImageClassifier
    if name in ("learning_loss", "max_true_loss"):
        kind = LossPredictionClassifier
    estimator = net(watching, kind)
    ran = run(estimator, QUICK.get(name, name), digits, training)
    assert ran.history_["n_labelled"].tolist() == [44, 48]


CLONING = ["active_transfer_learning", "u_herding", "auto", "oracle_batch"]


@pytest.mark.parametrize("watching", WATCHING)
@pytest.mark.parametrize("name", CLONING)
def test_strategies_that_train_clones(name, watching, digits):
    training = TRAINING[CLONING.index(name) % 3]
    ran = run(net(watching), QUICK.get(name, name), digits, training)
    assert ran.history_["n_labelled"].tolist() == [44, 48]


def test_a_committee_trained_for_the_query(digits):
    run(net("metric", max_epochs=1), by_committee("vote_entropy", 2), digits)


@pytest.mark.slow
def test_modals_clones(digits):
    strategy = functools.partial(expected_error_reduction, p_subsample=0.001)
    run(net("metric", max_epochs=1), strategy, digits)


def test_models_made_of_nets(digits):
    for model in (
        DeepEnsemble(net("patience"), 2),
        TemperatureScaling(net("patience")),
        LaplaceClassifier(net("patience")),
    ):
        assert len(run(model, "margin", digits).history_) == 2


def test_clones_are_watched_by_the_rounds_validation_set(digits, monkeypatch):
    seen = []
    real = fitting.lend_validation

    def watched(model, X_val, y_val, classes):
        seen.append(len(y_val))
        return real(model, X_val, y_val, classes)

    monkeypatch.setattr(fitting, "lend_validation", watched)
    run(net("patience"), "u_herding", digits)
    # Two rounds, and three clones between them.
    assert seen == [20] * 5
    seen.clear()
    run(net("patience"), "active_transfer_learning", digits)
    # It reads off the validation set what the model gets wrong: no clone is trained.
    assert seen == [20] * 2


def test_a_strategy_that_takes_a_validation_set_is_handed_the_paid_one(digits):
    seen = []

    def mine(classifier, X, n_instances=1, X_val=None, y_val=None):
        seen.append((len(X_val), y_val))
        assert np.array_equal(classifier.y_val, y_val)
        return np.arange(n_instances)

    ran = run(net("patience"), mine, digits)
    assert seen[0][0] == 20
    assert np.array_equal(seen[0][1], digits[1][:90][ran.validation_indices_])
    # What the user has bound stays.
    bound = functools.partial(mine, X_val=[1], y_val=[2])
    with pytest.raises(AssertionError):
        run(net("patience"), bound, digits)


def test_a_learner_may_hold_one_by_hand(digits):
    X, y = digits[0][:80], digits[1][:80]
    learner = ActiveLearner(ImageClassifier(Tiny, max_epochs=2, random_state=0))
    learner.fit(X[:30], y[:30])
    learner.X_val, learner.y_val = X[30:50], y[30:50]
    held, _ = active_transfer_learning(learner, X[50:], 5, random_state=0)
    given, _ = active_transfer_learning(
        learner.estimator, X[50:], 5, X_val=X[30:50], y_val=y[30:50], random_state=0
    )
    assert np.array_equal(held, given)


def test_a_metric_as_monitor_in_a_file(tmp_path):
    file = tmp_path / "experiment.yaml"
    file.write_text(
        """
data: {name: digits, pool_size: 60}
estimator:
  ImageClassifier:
    module: small_cnn
    max_epochs: 1
    patience: 1
    monitor: val_f1
    callbacks:
    - EpochScoring: {scoring: f1_macro, lower_is_better: false, name: val_f1}
strategies: [margin]
comparison: {n_initial: 20, n_rounds: 1, validation_size: 10}
"""
    )
    (experiment,) = read_experiment(file).runs
    [(name, scoring)] = [
        (cb.name, cb.scoring) for cb in experiment.estimator().callbacks
    ]
    assert (name, scoring) == ("val_f1", "f1_macro")
