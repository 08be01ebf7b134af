"""al_sklearn.modal.multilabel against slow references; SVM_binary_minimum with and
without ties."""

import modAL.multilabel
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import make_multilabel_classification
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from al_sklearn.learners import ActiveLearner
from al_sklearn.modal import multilabel as ours

X, Y = make_multilabel_classification(200, n_features=12, n_classes=4, random_state=0)


@pytest.fixture(scope="module")
def learner():
    return ActiveLearner(
        OneVsRestClassifier(LogisticRegression(max_iter=500)),
        X_training=X[:60],
        y_training=Y[:60],
    )


def slow_max_loss(classifier, x):
    proba, signs = classifier.predict_proba([x])[0], 2 * classifier.predict([x])[0] - 1
    right = [1 if c == np.argmax(proba) else -1 for c in range(4)]
    return sum(max(0, 1 - m * f) for m, f in zip(right, signs, strict=True))


def slow_mean_max_loss(classifier, x):
    signs = 2 * classifier.predict([x])[0] - 1
    losses = [
        max(0, 1 - sum((1 if c == d else -1) * signs[d] for d in range(4)))
        for c in range(4)
    ]
    return np.mean(losses)


def signed(classifier, x):
    return classifier.predict_proba([x])[0] * (classifier.predict([x])[0] - 0.5)


SLOW = {
    "max_loss": (slow_max_loss, False),
    "mean_max_loss": (slow_mean_max_loss, False),
    "min_confidence": (lambda c, x: min(c.predict_proba([x])[0]), True),
    "avg_confidence": (lambda c, x: np.mean(c.predict_proba([x])[0]), False),
    "max_score": (lambda c, x: max(signed(c, x)), False),
    "avg_score": (lambda c, x: np.mean(signed(c, x)), False),
}


@pytest.mark.parametrize("name", SLOW)
def test_strategies(learner, name):
    utility, smallest = SLOW[name]
    pool = X[60:]
    slow = np.array([utility(learner, x) for x in pool])
    best = np.sort(slow)[:5] if smallest else np.sort(slow)[::-1][:5]
    indices, metrics = getattr(ours, name)(learner, pool, 5)
    assert np.allclose(metrics, best)
    assert np.allclose(slow[indices], best)
    again = getattr(ours, name)(
        learner, pool, 5, random_tie_break=True, random_state=0
    )[1]
    assert np.allclose(again, best)
    theirs = getattr(modAL.multilabel, name)(learner, pool, 5)
    theirs = theirs[0] if isinstance(theirs, tuple) else theirs
    assert np.allclose(np.sort(slow[theirs]), np.sort(best))
    assert np.allclose(getattr(ours, name)(learner, sp.csr_matrix(pool), 5)[1], best)


def test_svm_binary_minimum_asks_nearest_the_boundary_also_with_ties():
    learner = ActiveLearner(
        OneVsRestClassifier(LinearSVC()), X_training=X[:60], y_training=Y[:60]
    )
    pool = np.concatenate([X[60:100], X[60:100]])
    distance = np.abs(
        [svm.decision_function(pool) for svm in learner.estimator.estimators_]
    ).min(axis=0)
    nearest = int(np.argmin(distance))
    indices, metrics = ours.SVM_binary_minimum(learner, pool)
    assert indices.tolist() == [nearest]
    assert np.isclose(metrics[0], distance.min())
    drawn = {
        int(
            ours.SVM_binary_minimum(
                learner, pool, random_tie_break=True, random_state=seed
            )[0][0]
        )
        for seed in range(20)
    }
    # modAL takes the farthest here.
    assert drawn == {nearest, nearest + 40}
    assert ours.SVM_binary_minimum(learner.estimator, pool, n_instances=4)[0].shape == (
        4,
    )
    learner.query_strategy = ours.SVM_binary_minimum
    assert learner.query(pool)[0].tolist() == [nearest]
