"""What tests of several families of strategies share."""

from __future__ import annotations

import pytest

from al_sklearn.strategies import _products


@pytest.fixture(params=["mm", "convolutions"])
def products(request, monkeypatch):
    """Inner products by either library, however small they are."""
    least = 0 if request.param == "convolutions" else 2**62
    monkeypatch.setattr(_products, "_LEAST", least)
    monkeypatch.setattr(_products, "_LEAST_ROWS", 1)
    monkeypatch.setattr(_products, "_LEAST_OTHERS", 1)
