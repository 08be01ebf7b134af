"""The selectors, slow and obvious, written from their definitions in float64."""

from __future__ import annotations

import numpy as np


def top_k(scores, k):
    """Sort everything; a stable sort keeps ties in order of position."""
    order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")[:k]
    return order, np.asarray(scores)[order]


def distances(x, rows, metric):
    """Distance of one point to each row."""
    x, rows = np.asarray(x, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    if metric == "euclidean":
        return np.sqrt(((rows - x) ** 2).sum(axis=1))
    if metric == "manhattan":
        return np.abs(rows - x).sum(axis=1)
    result = np.empty(len(rows))
    for i, row in enumerate(rows):
        sizes = np.linalg.norm(x) * np.linalg.norm(row)
        if sizes == 0:  # a row of zeros: 1 from all but its like
            result[i] = float(np.any(x) or np.any(row))
        else:
            unit = row / np.linalg.norm(row) - x / np.linalg.norm(x)
            result[i] = 0.5 * (unit**2).sum()  # = 1 - cos, without cancellation
    return result


def k_center(features, n_instances, labelled=None, metric="euclidean", weights=None):
    """Argmax of the (weighted) distance to the nearest centre, again and again."""
    X = np.asarray(features, dtype=np.float64)
    w = np.ones(len(X)) if weights is None else np.asarray(weights, dtype=np.float64)
    nearest = np.full(len(X), np.inf)
    chosen, scores = [], []
    if labelled is not None and len(labelled):
        for centre in labelled:
            nearest = np.minimum(nearest, distances(centre, X, metric))
    else:
        rows = X
        if metric == "cosine":
            norms = np.linalg.norm(X, axis=1, keepdims=True)
            rows = X / np.where(norms == 0, 1, norms)
        mean = rows.mean(axis=0)
        to_mean = distances(
            mean, rows, "manhattan" if metric == "manhattan" else "euclidean"
        )
        if w.any():
            to_mean[w == 0] = np.inf
        first = int(np.flatnonzero(to_mean <= to_mean.min() * (1 + 1e-9))[0])
        chosen.append(first)
        nearest = distances(X[first], X, metric)
        rest = (w * nearest)[np.arange(len(X)) != first]
        scores.append(rest.max() if len(rest) else 0.0)
    while len(chosen) < n_instances:
        key = w * nearest
        key[chosen] = -1
        best = int(np.argmax(key))
        chosen.append(best)
        scores.append(key[best])
        nearest = np.minimum(nearest, distances(X[best], X, metric))
    return np.array(chosen), np.array(scores)


def gradients(residuals, embeddings):
    """The (n, C·d) matrix of last-layer gradients that the package never makes."""
    a, h = (
        np.asarray(residuals, dtype=np.float64),
        np.asarray(embeddings, dtype=np.float64),
    )
    return np.einsum("nc,nd->ncd", a, h).reshape(len(a), -1)


def seeding_d2(rows, chosen):
    """D² of each row to the nearest of the chosen ones."""
    rows = np.asarray(rows, dtype=np.float64)
    return np.min([((rows - rows[c]) ** 2).sum(axis=1) for c in chosen], axis=0)


def seeding_distribution(rows, n_instances, first=None):
    """Probability of every ordered draw by k-means++: {tuple of positions:
    probability}.

    `first` fixes the first centre (BADGE: the largest norm); without, it is uniform.
    """
    n = len(rows)
    draws = {(first,): 1.0} if first is not None else {(i,): 1 / n for i in range(n)}
    for _ in range(n_instances - 1):
        longer = {}
        for draw, probability in draws.items():
            d2 = seeding_d2(rows, draw)
            for i in np.flatnonzero(d2):
                longer[(*draw, int(i))] = probability * d2[i] / d2.sum()
        draws = longer
    return draws
