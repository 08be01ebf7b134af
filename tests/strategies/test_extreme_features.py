"""Features of any size: an answer or a sentence, never NaN, a hang or LinAlgError."""

import signal
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from al_sklearn.estimators import LossPredictionClassifier
from al_sklearn.learners import ActiveLearner
from al_sklearn.strategies import catalogue

RNG = np.random.default_rng(0)
ROWS, LABELS = RNG.normal(size=(60, 5)), np.arange(60) % 3
# float32 has no digits left for what tells rows apart; squares of the large overflow,
# those of denormals vanish.
KINDS = {
    "1e200": ROWS * 1e200,
    "one row of 1e200": np.where(np.arange(60)[:, None] == 7, ROWS * 1e200, ROWS),
    "denormal": ROWS * 1e-310,
    "denormal float32": (ROWS * 1e-41).astype(np.float32),
    "float32 shifted by 1e8": (ROWS + 1e8).astype(np.float32),
    "float32 of 1e38": (np.clip(ROWS, -3, 3) * 1e38).astype(np.float32),
}


class Features(ClassifierMixin, BaseEstimator):
    """Gives its rows as embeddings, whatever they are, and probabilities of them."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.weights_ = np.random.default_rng(1).normal(size=(5, len(self.classes_)))
        return self

    def embed(self, X):
        return np.asarray(X)

    def predict_proba(self, X):
        # Bounded, so that a probability is one however large the row.
        with np.errstate(over="ignore"):
            logits = np.tanh(np.asarray(X, dtype=np.float64)) @ self.weights_
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def sample_proba(self, X, n_samples=None, random_state=None):
        rng = np.random.default_rng(0)
        proba = self.predict_proba(X)
        noise = rng.dirichlet(np.ones(proba.shape[1]), size=(n_samples or 5, 1))
        return 0.8 * proba[None] + 0.2 * noise

    def predict_loss(self, X):
        return np.abs(np.tanh(np.asarray(X, dtype=np.float64))).sum(axis=1)


@contextmanager
def within(seconds):
    def late(*args):
        raise TimeoutError(f"still at it after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# What trains networks of its own takes seconds whatever the features are.
QUICK = [
    info
    for info in catalogue()
    if info.family != "learned" and info.function.__module__.startswith("al_sklearn.")
]
LEARNED = [info for info in catalogue() if info.family == "learned"]


def ask(info, X):
    # None of their own kind comes with other features than it was taught.
    known, pool = X[:20], X[20:]
    learner = ActiveLearner(Features(), X_training=known, y_training=LABELS[:20])
    options = {}
    if "true_labels" in info.needs:
        options = {"y_true": LABELS[20:], "X_test": known, "y_test": LABELS[:20]}
    with within(120), warnings.catch_warnings():
        # That numbers overflow may be said; what comes out is looked at.
        warnings.simplefilter("ignore")
        try:
            return info.function(
                learner, pool, n_instances=4, random_state=0, **options
            )
        except np.linalg.LinAlgError:
            raise
        except (ValueError, TypeError) as error:
            # What was given and what is allowed, and no error of a library below.
            assert len(str(error)) > 20
            return None


@pytest.mark.parametrize(
    "kind",
    [
        # The two that went wrong for somebody; the others are their neighbours.
        kind
        if kind in ("1e200", "float32 shifted by 1e8")
        else pytest.param(kind, marks=pytest.mark.slow)
        for kind in KINDS
    ],
)
@pytest.mark.parametrize(
    "info",
    [*QUICK, *(pytest.param(info, marks=pytest.mark.slow) for info in LEARNED)],
    ids=lambda info: info.name,
)
def test_an_answer_or_a_sentence(info, kind):
    answer = ask(info, KINDS[kind])
    if answer is not None:
        indices, scores = answer
        assert len(set(indices.tolist())) == 4 and set(indices) <= set(range(40))
        assert not np.isnan(scores).any(), (info.name, kind, scores)


def test_learning_loss_puts_the_modes_back(digits):
    X, y = digits
    net = LossPredictionClassifier("resnet20", max_epochs=1, random_state=0)
    net.fit(X[:40], y[:40])
    learner = ActiveLearner(net, "learning_loss")
    for training in (True, False):
        net.module_.train(training)
        # A frozen part stays as it is.
        first = next(net.module_.children()).eval()
        modes = [part.training for part in net.module_.modules()]
        learner.query(X[40:80], n_instances=2)
        net.predict_loss(X[40:50])
        assert [part.training for part in net.module_.modules()] == modes
        assert not first.training
