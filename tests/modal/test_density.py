"""al_sklearn.modal.density: modAL's numbers, for images too, never n x n at once."""

import tracemalloc

import modAL.density
import numpy as np
import pytest
import scipy.sparse as sp
import torch

from al_sklearn.modal import density as ours


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_information_density(digits, metric):
    X = digits[0][:100] / 255.0
    flat = X.reshape(100, -1)
    expected = modAL.density.information_density(flat, metric)
    for kind in (X, flat, X[:, None], torch.as_tensor(X), sp.csr_array(flat)):
        assert np.allclose(ours.information_density(kind, metric), expected)


def test_similarities(digits):
    a, b = digits[0][:2].reshape(2, -1).astype(float)
    assert np.isclose(ours.euclidean_similarity(a, b), 1 / (1 + np.linalg.norm(a - b)))
    assert np.isclose(ours.cosine_similarity(a, a), 1)
    assert ours.similarize_distance(lambda x, y: abs(x - y))(1, 4) == 0.25


def test_memory_stays_far_below_n_times_n(digits):
    X = np.tile(digits[0].reshape(-1, 64)[:1500] / 255.0, (4, 1))
    n = len(X)
    ours.information_density(X[:100])
    tracemalloc.start()
    ours.information_density(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * n * 8 / 4
