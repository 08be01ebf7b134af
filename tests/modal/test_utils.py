"""al_sklearn.modal.utils: rows by position of any kind, values best first, measures
combined."""

import modAL.utils.selection
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.datasets import load_iris
from sklearn.naive_bayes import GaussianNB

from al_sklearn.learners import ActiveLearner
from al_sklearn.modal.uncertainty import classifier_entropy, classifier_uncertainty
from al_sklearn.modal.utils import combination, data, selection, validation

A = np.arange(12.0).reshape(4, 3)
# Labels that contradict positions.
FRAME = pd.DataFrame(A, index=[3, 2, 1, 0], columns=["a", "b", "c"])
KINDS = {
    "array": A,
    "list": A.tolist(),
    "csr": sp.csr_matrix(A),
    "csc": sp.csc_matrix(A),
    "coo": sp.coo_matrix(A),
    "DataFrame": FRAME,
    "tensor": torch.as_tensor(A),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def dense(X):
    return np.asarray(X.todense() if sp.issparse(X) else X)


@kinds
def test_stacking(kind):
    X = KINDS[kind]
    below = data.data_vstack([X, X, X])
    assert np.array_equal(dense(below), np.concatenate([A, A, A]))
    beside = data.data_hstack([X, X])
    assert np.array_equal(dense(beside), np.hstack([A, A]))
    for joined in (below, beside):
        assert sp.issparse(joined) if sp.issparse(X) else type(joined) is type(X)
    if kind == "DataFrame":
        assert below.index.tolist() == [3, 2, 1, 0] * 3
        assert beside.index.tolist() == [3, 2, 1, 0]


@kinds
def test_rows_by_position(kind):
    X = KINDS[kind]
    assert np.array_equal(dense(data.retrieve_rows(X, [2, 0])), A[[2, 0]])
    assert np.array_equal(
        dense(data.retrieve_rows(X, np.array([False, True, False, True]))), A[[1, 3]]
    )
    assert np.array_equal(dense(data.retrieve_rows(X, 1)).reshape(3), A[1])
    assert np.array_equal(dense(data.drop_rows(X, [0, 2])), A[[1, 3]])
    assert np.array_equal(dense(data.drop_rows(X, 3)), A[:3])
    for i, row in data.enumerate_data(X):
        assert np.array_equal(dense(row).reshape(3), A[i])
        assert np.array_equal(dense(data.add_row(X, row)), np.concatenate([A, A[[i]]]))
    assert i == 3
    assert data.data_shape(X) == (4, 3)


def test_rows_of_a_series_are_not_taken_by_label():
    series = pd.Series([10, 20, 30], index=[2, 1, 0])
    assert data.retrieve_rows(series, [0]).tolist() == [10]
    assert data.drop_rows(series, [0]).tolist() == [20, 30]


def test_images_and_dicts():
    images = np.zeros((5, 1, 8, 8))
    assert data.add_row(images, images[0]).shape == (6, 1, 8, 8)
    assert data.drop_rows(torch.as_tensor(images), [1, 2]).shape == (3, 1, 8, 8)
    halves = data.retrieve_rows(
        {"top": images[:, :, :4], "bottom": images[:, :, 4:]}, [1, 2]
    )
    assert halves["top"].shape == (2, 1, 4, 8)
    assert data.data_shape(["a.png", "b.png"]) == (2,)


def test_what_cannot_be_joined():
    with pytest.raises(TypeError, match="no columns"):
        data.data_hstack([{1: 2}, {1: 2}])
    with pytest.raises(TypeError):
        data.data_vstack([3, 4])


VALUES = np.array([0.3, 0.9, 0.1, 0.9, 0.5])


def test_best_first():
    indices, values = selection.multi_argmax(VALUES, 3)
    assert indices.tolist() == [1, 3, 4]
    assert values.tolist() == [0.9, 0.9, 0.5]
    indices, values = selection.multi_argmin(VALUES, 3)
    assert indices.tolist() == [2, 0, 4]
    assert values.tolist() == [0.1, 0.3, 0.5]
    theirs = modAL.utils.selection.multi_argmax(VALUES, 3)
    assert set(theirs[0] if isinstance(theirs, tuple) else theirs) == {1, 3, 4}


def test_shuffled_is_best_first_too():
    firsts = set()
    for seed in range(20):
        indices, values = selection.shuffled_argmax(VALUES, 3, random_state=seed)
        assert values.tolist() == [0.9, 0.9, 0.5]
        firsts.add(int(indices[0]))
        assert selection.shuffled_argmin(VALUES, 2, random_state=seed)[0].tolist() == [
            2,
            0,
        ]
    assert firsts == {1, 3}


def test_weighted_random():
    drawn = [
        selection.weighted_random([0, 1, 3, 0], 1, random_state=seed)[0]
        for seed in range(400)
    ]
    assert set(drawn) == {1, 2}
    assert 0.6 < np.mean(np.array(drawn) == 2) < 0.9
    assert sorted(selection.weighted_random([0, 1, 3, 0], 2)) == [1, 2]
    with pytest.raises(ValueError, match="at least 3"):
        selection.weighted_random([0, 1, 3, 0], 3)


@pytest.mark.parametrize(
    "function",
    [selection.multi_argmax, selection.shuffled_argmin, selection.weighted_random],
)
def test_too_many(function):
    with pytest.raises(ValueError, match="1 to 5"):
        function(VALUES, 6)


def test_measures_combined_make_a_strategy():
    X, y = load_iris(return_X_y=True)
    combined = combination.make_linear_combination(
        classifier_uncertainty, classifier_entropy, weights=[1.0, 2.0]
    )
    product = combination.make_product(
        classifier_uncertainty, classifier_entropy, exponents=[1, 2]
    )
    learner = ActiveLearner(GaussianNB(), X_training=X[::9], y_training=y[::9])
    one, two = classifier_uncertainty(learner, X), classifier_entropy(learner, X)
    assert np.allclose(combined(learner, X), one + 2 * two)
    assert np.allclose(product(learner, X), one * two**2)
    learner.query_strategy = combination.make_query_strategy(
        combined, selection.multi_argmax
    )
    assert learner.query(X)[0].tolist() == [np.argmax(one + 2 * two)]


def test_class_labels():
    X, y = load_iris(return_X_y=True)
    three, two = GaussianNB().fit(X, y), GaussianNB().fit(X[:100], y[:100])
    assert validation.check_class_labels(three, three)
    assert not validation.check_class_labels(three, two)
    assert validation.check_class_proba(
        np.array([[0.2, 0.8]]), [0, 1], [0, 1, 2]
    ).tolist() == [[0.2, 0.8, 0]]
