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
    scaling="authors",
):
    """Trace of M⁻¹F before and after, for every candidate, again and again.

    M = λI + l/(l+b) · mean over the labelled + b/(l+b) · sum over the batch, as in the
    authors' code; or, unscaled, the plain sum over both.
    """
    H, P = np.asarray(H, dtype=np.float64), np.asarray(P, dtype=np.float64)
    pool = [information(h, p, likelihood) for h, p in zip(H, P, strict=True)]
    labelled = [
        information(
            np.asarray(h, dtype=np.float64), np.asarray(p, dtype=np.float64), likelihood
        )
        for h, p in zip(H_labelled, P_labelled, strict=True)
    ]
    F = (sum(pool) + sum(labelled)) / (len(pool) + len(labelled))
    M = regularization * np.eye(len(pool[0]))
    if scaling == "authors":
        n_known, b = len(labelled), n_instances
        if n_known:
            M = M + n_known / (n_known + b) * np.mean(labelled, axis=0)
        pool = [b / (n_known + b) * one for one in pool]
    else:
        M = M + sum(labelled)

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


def falcun_distribution(proba, n_instances, gamma, combine="sum"):
    """Probability of every ordered draw: {tuple of positions: probability}.

    P ∝ (minmax(dist) + u)^γ of what is not drawn yet, the scale made anew for each; or,
    by distance alone, P ∝ dist^γ.
    """
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
            left = [i for i in range(len(P)) if i not in draw]
            weights = np.zeros(len(P))
            for i in left:
                base = dist[i]
                if combine == "sum":
                    low, high = dist[left].min(), dist[left].max()
                    scaled = (dist[i] - low) / (high - low) if high > low else 0.0
                    base = scaled + margin[i]
                weights[i] = base**gamma
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


def alfa_mix_candidates(Z, W, b, anchors, n_instances):
    """The authors' closed form: ε = 0.2/√d, 0.4/√d … 1/√d until more than the batch
    flip. Every feature vector is mixed and predicted."""
    candidates = np.zeros(len(Z), dtype=bool)
    for step in range(1, 6):
        epsilon = 0.2 * step / np.sqrt(Z.shape[1])
        for i, z in enumerate(np.asarray(Z, dtype=np.float64)):
            candidates[i] |= flip_distance(z, W, b, anchors, 1, epsilon) <= epsilon
        if candidates.sum() > n_instances:
            break
    return candidates


def drop_query_candidates(mismatches, n_samples, n_instances):
    """More than half of the passes disagree, or fewer, while less than 25 b do."""
    threshold = n_samples // 2
    while sum(m > threshold for m in mismatches) < 25 * n_instances and threshold > 0:
        threshold -= 1
    return np.array([m > threshold for m in mismatches])
