"""What tests of several families of strategies share."""

from __future__ import annotations

import pytest
import torch

from al_sklearn.strategies._engine import products as _products


@pytest.fixture(params=["mm", "convolutions"])
def products(request, monkeypatch):
    """Inner products by either library, however small they are."""
    monkeypatch.setattr(
        torch.backends.cpu, "get_cpu_capability", lambda: "AVX512"
    )  # right on others, if not faster
    monkeypatch.setattr(
        _products, "_LEAST", 0 if request.param == "convolutions" else 2**62
    )
    monkeypatch.setattr(_products, "_LEAST_ROWS", 1)
    monkeypatch.setattr(_products, "_LEAST_OTHERS", 1)
