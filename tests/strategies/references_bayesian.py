"""Measures and selectors of posterior samples as their definitions say them, in
float64, one row at a time."""

import itertools
import math

import numpy as np


def entropy(p):
    return -sum(float(v) * math.log(float(v)) for v in np.ravel(p) if v > 0)


def mean_std(samples):
    """Of one row, (T, C)."""
    return float(np.mean([np.sqrt(np.mean((s - s.mean()) ** 2)) for s in samples.T]))


def votes(samples):
    return [max(range(len(p)), key=lambda c: (p[c], -c)) for p in samples]


def variation_ratio(samples):
    cast = votes(samples)
    return 1 - max(cast.count(c) for c in cast) / len(cast)


def vote_entropy(samples):
    cast = votes(samples)
    return entropy([cast.count(c) / len(cast) for c in set(cast)])


def consensus_entropy(samples):
    return entropy(samples.mean(axis=0))


def divergences(samples):
    mean = samples.mean(axis=0)
    return [
        sum(p * math.log(p / q) for p, q in zip(s, mean, strict=True) if p > 0)
        for s in samples
    ]


def kl_disagreement(samples):
    return sum(divergences(samples)) / len(samples)


def epig(samples, targets):
    """Of one row (T, C) and targets (T, m, C)."""
    total = 0.0
    for j in range(targets.shape[1]):
        joint = np.einsum("tc,td->cd", samples, targets[:, j]) / len(samples)
        total += (
            entropy(samples.mean(axis=0))
            + entropy(targets[:, j].mean(axis=0))
            - entropy(joint)
        )
    return total / targets.shape[1]


def joint_information(samples):
    """I(y_1 … y_m; parameters) of (T, m, C): every configuration of labels, one at a
    time."""
    n_samples, m, n_classes = samples.shape
    joint = 0.0
    for labels in itertools.product(range(n_classes), repeat=m):
        p = np.mean(
            [
                np.prod([samples[t, i, c] for i, c in enumerate(labels)])
                for t in range(n_samples)
            ]
        )
        joint -= p * math.log(p) if p > 0 else 0
    return (
        joint
        - sum(entropy(samples[t, i]) for t in range(n_samples) for i in range(m))
        / n_samples
    )


def batch_bald_exact(samples, k):
    """The full greedy algorithm by enumeration."""
    chosen, gains, before = [], [], 0.0
    for _ in range(k):
        values = [
            -math.inf if i in chosen else joint_information(samples[:, [*chosen, i]])
            for i in range(samples.shape[1])
        ]
        best = int(np.argmax(values))
        gains.append(values[best] - before)
        before = values[best]
        chosen.append(best)
    return chosen, gains


def batch_bald_drawn(samples, k, n_configurations, rng):
    """The full greedy algorithm; once configurations do not fit, the
    importance-weighted estimate from drawn ones.

    -(1/M) Σ_m Σ_c p(m, c) / p(m) · ln p(m, c) is the joint entropy with one more label,
    every candidate looked at.
    """
    n_samples, n, n_classes = samples.shape
    samples = samples.astype(np.float64)
    conditional = np.array(
        [np.mean([entropy(samples[t, i]) for t in range(n_samples)]) for i in range(n)]
    )
    joint, drawn = np.ones((1, n_samples)), False
    truth = np.repeat(np.arange(n_samples), -(-n_configurations // n_samples))
    chosen, gains = [], []

    def draw(index):
        cumulative = np.cumsum(samples[:, index], axis=1)[truth]
        labels = (
            cumulative > (rng.random(len(truth)) * cumulative[:, -1])[:, None]
        ).argmax(axis=1)
        return samples[:, index].T[labels]

    for step in range(k):
        p_m = joint.mean(axis=1)
        weights = (
            np.full(len(joint), 1 / len(joint)) / p_m if drawn else np.ones(len(joint))
        )
        known = -(weights * p_m * np.log(np.where(p_m > 0, p_m, 1))).sum()
        gain = np.empty(n)
        for i in range(n):
            p_mc = joint @ samples[:, i] / n_samples
            logs = np.log(np.where(p_mc > 0, p_mc, 1))
            gain[i] = -(weights[:, None] * p_mc * logs).sum() - known - conditional[i]
        gain[chosen] = -np.inf
        best = int(gain.argmax())
        chosen.append(best)
        gains.append(gain[best])
        if step == k - 1:
            break
        possible = int((joint.sum(axis=1) > 0).sum())
        if not drawn and possible * n_classes <= n_configurations:
            joint = (joint[:, None, :] * samples[:, best].T).reshape(-1, n_samples)
            joint = joint[joint.sum(axis=1) > 0]
        else:
            if not drawn:
                drawn, joint = True, np.ones((len(truth), n_samples))
                for earlier in chosen[:-1]:
                    joint = joint * draw(earlier)
            joint = joint * draw(best)
    return chosen, gains
