"""The geometric selectors as their definitions say, slowly: full matrices, float64, one
choice at a time."""

import numpy as np


def normalised(X):
    """Rows of length 1; rows of zeros at right angles to all others."""
    X = np.asarray(X, dtype=np.float64)
    norms = np.linalg.norm(X, axis=1)
    out = X / np.where(norms == 0, 1, norms)[:, None]
    return np.c_[out, (norms == 0).astype(float)]


def squared_distances(A, B):
    return (
        (np.asarray(A, np.float64)[:, None] - np.asarray(B, np.float64)[None]) ** 2
    ).sum(axis=2)


def k_nearest(X, L, utilities, n_instances, n_neighbors):
    seeds = np.lexsort((np.arange(len(L)), -np.asarray(utilities)))
    chosen, givers = [], []
    while len(chosen) < n_instances:
        for seed in seeds:
            distances = squared_distances(X, L[seed : seed + 1])[:, 0]
            order = [
                i for i in np.lexsort((np.arange(len(X)), distances)) if i not in chosen
            ]
            for i in order[:n_neighbors]:
                if len(chosen) < n_instances:
                    chosen.append(int(i))
                    givers.append(seed)
    return chosen, [utilities[g] for g in givers]


def nearest_to_centres(X, labels, centres, n_instances):
    found = []
    for cluster in range(len(centres)):
        members = np.flatnonzero(labels == cluster)
        if len(members):
            distances = squared_distances(X[members], centres[cluster : cluster + 1])[
                :, 0
            ]
            found.append(
                (
                    len(members),
                    int(members[(distances <= distances.min() * (1 + 1e-5)).argmax()]),
                )
            )
    order = sorted(range(len(found)), key=lambda i: -found[i][0])
    chosen = [found[i][1] for i in order][:n_instances]
    rest = [i for i in range(len(X)) if i not in chosen]
    return chosen + rest[: n_instances - len(chosen)]


def most_typical(rows, labels, n, n_instances, min_cluster_size=5, n_neighbors=20):
    """`rows` are the n candidates and then the labelled ones."""
    clusters = np.unique(labels)
    size = {c: int((labels == c).sum()) for c in clusters}
    n_labelled = {c: int((labels[n:] == c).sum()) for c in clusters}
    first = {c: int(np.flatnonzero(labels == c)[0]) for c in clusters}
    order = sorted(clusters, key=lambda c: (n_labelled[c], -size[c], first[c]))
    left = {c: [i for i in range(n) if labels[i] == c] for c in clusters}
    chosen, scores = [], []
    for large in (True, False):
        group = [c for c in order if (size[c] > min_cluster_size) == large]
        while len(chosen) < n_instances and any(left[c] for c in group):
            for c in group:
                if not left[c] or len(chosen) == n_instances:
                    continue
                members = np.array(left[c])
                k = max(1, min(n_neighbors, len(members) // 2))
                typicality = np.zeros(len(members))
                if len(members) > 1:
                    distances = np.sqrt(squared_distances(rows[members], rows[members]))
                    np.fill_diagonal(distances, np.inf)
                    mean = np.sort(distances, axis=1)[:, :k].mean(axis=1)
                    typicality = 1 / np.maximum(mean, 1e-6)
                best = members[typicality >= typicality.max() * (1 - 1e-6)].min()
                chosen.append(int(best))
                scores.append(typicality[members == best][0])
                left[c].remove(best)
    return chosen, scores


def probcover(X, n_instances, radius, L=None):
    """Choices while anything is uncovered, with the number of points that each newly
    covers."""
    X = normalised(X)
    is_near = squared_distances(X, X) <= radius**2
    is_covered = np.zeros(len(X), dtype=bool)
    if L is not None:
        is_covered = (squared_distances(X, normalised(L)) <= radius**2).any(axis=1)
    chosen, degrees = [], []
    for _ in range(n_instances):
        degree = (is_near & ~is_covered).sum(axis=1)
        degree[chosen] = 0
        best = int(degree.argmax())
        if degree[best] == 0:
            break
        chosen.append(best)
        degrees.append(int(degree[best]))
        is_covered |= is_near[best]
    return chosen, degrees


def purity(X, labels, radius):
    X = normalised(X)
    is_near = squared_distances(X, X) <= radius**2
    return 1 - (is_near & (labels[:, None] != labels)).any(axis=1).mean()


def max_herding(X, n_instances, L=None, weights=None, bandwidth=1.0):
    X = normalised(X)
    weights = (
        np.ones(len(X))
        if weights is None or not np.any(weights)
        else np.asarray(weights, np.float64)
    )
    kernel = np.exp(-squared_distances(X, X) / bandwidth**2)
    best = np.zeros(len(X))
    if L is not None:
        best = np.exp(-squared_distances(X, normalised(L)) / bandwidth**2).max(axis=1)
    chosen, gains = [], []
    for _ in range(n_instances):
        gain = (np.maximum(kernel - best, 0) * weights).mean(axis=1)
        gain[gain <= 1e-12 * weights.mean()] = 0
        gain[chosen] = -1
        ties = np.flatnonzero(gain >= gain.max() * (1 - 1e-9))
        index = int(ties[np.lexsort((ties, -weights[ties]))[0]])
        chosen.append(index)
        gains.append(gain[index])
        best = np.maximum(best, kernel[index])
    return chosen, gains


def lcmd(X, n_instances, L=None):
    X = np.asarray(X, dtype=np.float64)
    chosen, scores = [], []
    if L is None:
        far = squared_distances(X, X.mean(axis=0, keepdims=True))[:, 0]
        chosen.append(int((far <= far.min() * (1 + 1e-9)).argmax()))
        scores.append(np.nan)
    while len(chosen) < n_instances:
        centres = (
            X[chosen]
            if L is None
            else np.concatenate([np.asarray(L, dtype=np.float64), X[chosen]])
        )
        distances = squared_distances(X, centres)
        cluster, nearest = distances.argmin(axis=1), distances.min(axis=1)
        size = np.bincount(cluster, weights=nearest, minlength=len(centres))
        if size.max() == 0:
            chosen.append(next(i for i in range(len(X)) if i not in chosen))
            scores.append(0.0)
            continue
        largest = int((size >= size.max() * (1 - 1e-12)).argmax())
        index = int(np.where(cluster == largest, nearest, -1).argmax())
        chosen.append(index)
        scores.append(np.sqrt(nearest[index]))
    if L is None:
        scores[0] = scores[1] if n_instances > 1 else 0.0
    return chosen, scores
