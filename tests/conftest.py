"""What every test shares: quiet threads and real digits."""

import os

# Before torch or any BLAS is loaded: two workers with two threads each are ten times
# slower than one each.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from al_sklearn.strategies import _registry

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits():
    """1,797 real images: X (n, 8, 8) uint8, y (n,) int64, shuffled once."""
    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    X = (bunch.images * (255 / 16)).astype(np.uint8)[order]
    return X, bunch.target.astype(np.int64)[order]


@pytest.fixture
def registered_here(monkeypatch):
    """Strategies that the test registers are gone after it."""
    known = dict(_registry._registry)
    monkeypatch.setattr(_registry, "_registry", known)
