"""Acquisition functions for Bayesian optimisation."""

from al_sklearn.learners.acquisition import (
    EI,
    PI,
    UCB,
    max_EI,
    max_PI,
    max_UCB,
    optimizer_EI,
    optimizer_PI,
    optimizer_UCB,
)

__all__ = [
    "EI",
    "PI",
    "UCB",
    "max_EI",
    "max_PI",
    "max_UCB",
    "optimizer_EI",
    "optimizer_PI",
    "optimizer_UCB",
]
