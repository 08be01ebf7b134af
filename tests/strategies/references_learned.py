"""Slow and obvious versions of what the learned strategies compute."""

from __future__ import annotations

import numpy as np


def graph_matrix(features):
    """D⁻¹(S - I) + I of cosine similarities, entry by entry; (1 + cos) / 2 where there
    are negative features."""
    features = np.asarray(features, dtype=np.float64)
    n = len(features)
    similar = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            lengths = np.linalg.norm(features[i]) * np.linalg.norm(features[j])
            cosine = features[i] @ features[j] / lengths if lengths > 0 else 0.0
            similar[i, j] = (1 + cosine) / 2 if (features < 0).any() else cosine
    np.fill_diagonal(similar, 0)
    degrees = similar.sum(axis=1)
    return np.diag(
        [1 / degree if degree > 1e-6 else 0.0 for degree in degrees]
    ) @ similar + np.eye(n)


def negative_elbo(x, reconstruction, mean, log_variance, beta):
    """Sums over each row, the mean over rows."""
    total = 0.0
    for i in range(len(x)):
        error = 0.5 * sum(
            (a - b) ** 2
            for a, b in zip(x[i].ravel(), reconstruction[i].ravel(), strict=True)
        )
        divergence = sum(
            0.5 * (m**2 + np.exp(s) - 1 - s)
            for m, s in zip(mean[i], log_variance[i], strict=True)
        )
        total += error + beta * divergence
    return total / len(x)


def graph_loss(logits, labelled, weight):
    """-mean ln p of the labelled, - weight · mean ln (1 - p) of the others."""
    p = 1 / (1 + np.exp(-np.asarray(logits)))
    return -np.mean(np.log(p[labelled])) - weight * np.mean(np.log(1 - p[~labelled]))


def balanced_loss(logits, target):
    """Cross-entropy with both classes counting the same."""
    p = 1 / (1 + np.exp(-np.asarray(logits)))
    return 0.5 * -np.mean(np.log(p[target == 1])) + 0.5 * -np.mean(
        np.log(1 - p[target == 0])
    )
