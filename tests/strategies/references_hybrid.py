"""The hybrid selectors and measures, slow and obvious, written from their definitions
in float64."""

from __future__ import annotations

import numpy as np


def information(h, p, likelihood):
    """Fisher information of the last layer at one point."""
    if likelihood == "binary":
        return p.max() * (1 - p.max()) * np.outer(h, h)
    return np.kron(np.diag(p) - np.outer(p, p), np.outer(h, h))


def bait(
    H,
    P,
    n_instances,
    H_labelled=(),
    P_labelled=(),
    likelihood="binary",
    regularization=1.0,
    oversample=2,
):
    """Trace of M⁻¹F before and after, for every candidate, again and again."""
    H, P = np.asarray(H, dtype=np.float64), np.asarray(P, dtype=np.float64)
    pool = [information(h, p, likelihood) for h, p in zip(H, P, strict=True)]
    labelled = [
        information(
            np.asarray(h, dtype=np.float64), np.asarray(p, dtype=np.float64), likelihood
        )
        for h, p in zip(H_labelled, P_labelled, strict=True)
    ]
    M = regularization * np.eye(len(pool[0])) + sum(labelled)
    F = (sum(pool) + sum(labelled)) / (len(pool) + len(labelled))

    def trace(matrix):
        return np.trace(np.linalg.solve(matrix, F))

    chosen, scores = [], []
    while len(chosen) < min(int(np.ceil(oversample * n_instances)), len(H)):
        before = trace(M)
        gains = np.array(
            [
                -np.inf if i in chosen else before - trace(M + pool[i])
                for i in range(len(H))
            ]
        )
        best = int(np.flatnonzero(gains >= gains.max() - 1e-11 * before)[0])
        chosen.append(best)
        scores.append(gains[best])
        M = M + pool[best]
    kept = list(range(len(chosen)))
    while len(kept) > n_instances:
        costs = np.array([trace(M - pool[chosen[k]]) for k in kept])
        worst = int(np.flatnonzero(costs <= costs.min() * (1 + 1e-12))[-1])
        M = M - pool[chosen[kept.pop(worst)]]
    return np.array(chosen)[kept], np.array(scores)[kept]


def falcun_distribution(proba, n_instances, gamma):
    """Probability of every ordered draw: {tuple of positions: probability}."""
    P = np.asarray(proba, dtype=np.float64)
    top = np.sort(P, axis=1)[:, ::-1]
    margin = 1 - (top[:, 0] - top[:, 1])
    draws = {(): 1.0}
    for _ in range(n_instances):
        longer = {}
        for draw, probability in draws.items():
            dist = margin.copy()
            for i in draw:
                dist = np.minimum(dist, np.abs(P - P[i]).sum(axis=1))
            weights = dist**gamma
            weights[list(draw)] = 0
            for i in np.flatnonzero(weights):
                longer[(*draw, int(i))] = probability * weights[i] / weights.sum()
        draws = longer
    return draws


def ranked_batch(X, utilities, n_instances, labelled=None, metric="euclidean"):
    """Cardoso's score of every candidate, again and again."""
    X, U = np.asarray(X, dtype=np.float64), np.asarray(utilities, dtype=np.float64)
    known = [] if labelled is None else list(np.asarray(labelled, dtype=np.float64))
    chosen, scores = [], []

    def distances(row):
        return (
            np.abs(X - row).sum(axis=1)
            if metric == "manhattan"
            else np.sqrt(((X - row) ** 2).sum(axis=1))
        )

    if not known:
        to_mean = distances(X.mean(axis=0))
        chosen.append(int(np.flatnonzero(to_mean <= to_mean.min() * (1 + 1e-9))[0]))
        scores.append(1.0)
        known.append(X[chosen[0]])
    while len(chosen) < n_instances:
        alpha = (len(X) - len(chosen)) / (len(X) - len(chosen) + len(known))
        nearest = np.min([distances(row) for row in known], axis=0)
        score = alpha * (1 - 1 / (1 + nearest)) + (1 - alpha) * U
        score[chosen] = -np.inf
        best = int(score.argmax())
        chosen.append(best)
        scores.append(score[best])
        known.append(X[best])
    return np.array(chosen), np.array(scores)


def information_density(X, metric):
    """The whole matrix of similarities, and its mean."""
    X = np.asarray(X, dtype=np.float64)
    if metric == "dot":
        return np.array([np.mean([x @ y for y in X]) for x in X])
    if metric == "cosine":
        unit = [x / np.linalg.norm(x) if np.linalg.norm(x) else x for x in X]
        return np.array([np.mean([x @ y for y in unit]) for x in unit])
    return np.array([np.mean([1 / (1 + np.linalg.norm(x - y)) for y in X]) for x in X])


def flip_distance(z, W, b, anchors, steps=4000, largest=1.0):
    """ALFA-Mix as it is written: α = ε ‖z* - z‖ ĝ / (z* - z), the mixed features, their
    prediction, for growing ε."""
    z, W, b = (np.asarray(a, dtype=np.float64) for a in (z, W, b))
    logits = W @ z + b
    p = np.exp(logits - logits.max())
    p /= p.sum()
    predicted = int(logits.argmax())
    gradient = W.T @ (p - np.eye(len(p))[predicted])
    norm = np.linalg.norm(gradient)
    least = np.inf
    for anchor in np.asarray(anchors, dtype=np.float64):
        difference = anchor - z
        for epsilon in largest * np.arange(1, steps + 1) / steps:
            alpha = np.zeros(len(z))
            mixes = difference != 0
            if norm > 0:
                alpha[mixes] = (
                    epsilon
                    * np.linalg.norm(difference)
                    * gradient[mixes]
                    / norm
                    / difference[mixes]
                )
            mixed = (1 - alpha) * z + alpha * anchor
            if (W @ mixed + b).argmax() != predicted:
                least = min(least, epsilon)
                break
    return least
