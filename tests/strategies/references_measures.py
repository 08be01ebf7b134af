"""The measures as their definitions say them: one row, one number at a time, in
float64."""

import math


def least_confidence(p):
    return 1 - max(p)


def _top_two(p):
    first, second = (
        sorted(map(float, p), reverse=True)[:2] if len(p) > 1 else (float(p[0]), 0.0)
    )
    return first, second


def margin(p):
    first, second = _top_two(p)
    return 1 - (first - second)


def ratio(p):
    first, second = _top_two(p)
    return second / first


def entropy(p):
    return -sum(float(value) * math.log(float(value)) for value in p if value > 0)


def max_entropy(samples):
    n_samples, n_classes = len(samples), len(samples[0])
    return entropy(
        [sum(float(s[c]) for s in samples) / n_samples for c in range(n_classes)]
    )


def bald(samples):
    return max_entropy(samples) - sum(entropy(s) for s in samples) / len(samples)
