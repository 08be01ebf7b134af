"""Features and probabilities that benchmarks share; nothing of the library."""

from __future__ import annotations

import numpy as np


def features(n: int, d: int, n_clusters: int, seed: int = 0) -> np.ndarray:
    """Float32 activations of a ReLU layer, in clusters."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((n_clusters, d), dtype=np.float32)
    X = 0.6 * rng.standard_normal((n, d), dtype=np.float32)
    X += centres[rng.integers(0, n_clusters, n)]
    return np.maximum(X, 0, out=X)


def probabilities(*shape: int, seed: int = 0) -> np.ndarray:
    """Float32 softmax outputs."""
    logits = 2 * np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=-1, keepdims=True)
    return logits
