"""Outliers and quotas as their definitions say them, in float64, one number at a
time."""

import numpy as np


def rank(value, labelled):
    """Share of the labelled values below, equal ones counted half."""
    return sum(
        1.0 if other < value else 0.5 if other == value else 0.0 for other in labelled
    ) / len(labelled)


def ranks(row, labelled):
    return [
        rank(float(value), [float(v) for v in labelled[:, j]])
        for j, value in enumerate(row)
    ]


def outliers_mean(activations, labelled):
    return [1 - float(np.mean(ranks(row, labelled))) for row in activations]


def outliers_max(activations, labelled):
    return [1 - max(ranks(row, labelled)) for row in activations]


def quotas(sizes, k):
    """One from every cluster that has any left, again and again; the last round may not
    reach all."""
    given, left = [0] * len(sizes), k
    while left >= sum(g < s for g, s in zip(given, sizes, strict=True)) > 0:
        for i, size in enumerate(sizes):
            if given[i] < size:
                given[i], left = given[i] + 1, left - 1
    return given, left
