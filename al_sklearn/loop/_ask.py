"""Ask: let a strategy choose among rows that nobody has labelled."""

from __future__ import annotations

import contextlib
import functools
import inspect
import warnings
from typing import Any

import numpy as np

from al_sklearn._core.random import seed_all
from al_sklearn._core.types import Array, Options
from al_sklearn.learners import split_answer
from al_sklearn.loop._problem import Problem
from al_sklearn.loop._without_labels import without_labels
from al_sklearn.rows import take_rows, view_rows
from al_sklearn.strategies import follows_contract, takes_random_state


def choose(
    learner: Any,
    problem: Problem,
    unlabelled: Array,
    labelled: Array,
    n_instances: int,
    seed: int,
) -> tuple[Array, Array]:
    """Ask a learner's strategy; the caller puts the global generators back.

    Parameters
    ----------
    learner : ActiveLearner
        Its strategy is called once.
    problem : Problem
    unlabelled, labelled : int64 arrays
        Positions to choose from, and those that have labels.
    n_instances : int
    seed : int
        For the strategy, and for whatever else it draws from.

    Returns
    -------
    positions : int64 array of shape (n_instances,)
        In X.
    scores : float64 array of shape (n_instances,)
        NaN where the strategy gives none.
    """
    strategy = learner.query_strategy
    parameters = parameters_of(strategy)
    # Ours read rows as they need them; others expect an array.
    ours = follows_contract(strategy)
    pool = (
        view_rows(problem.X, unlabelled)
        if ours
        else without_labels(take_rows(problem.X, unlabelled))
    )
    options: Options = {}
    if takes_random_state(strategy):
        options["random_state"] = seed
    if takes_ties(strategy):
        # Said either way: strategies of votes break them at random by default.
        options["random_tie_break"] = problem.random_ties
    options |= _validation(strategy, problem)
    with contextlib.nullcontext() if ours else warnings.catch_warnings():
        if not ours:
            warnings.filterwarnings("ignore", "This query strategy returns no scores")
        seed_all(seed)
        if "y_true" in parameters:
            # An oracle is no strategy that a learner could have: it is asked directly.
            known = _truth(problem, unlabelled, labelled)
            options |= {key: part for key, part in known.items() if key in parameters}
            answer = strategy(learner.estimator, pool, n_instances, **options)
            chosen, scores = split_answer(answer, len(unlabelled))
        else:
            answer = learner.query(
                pool, n_instances=n_instances, return_metrics=True, **options
            )
            chosen, _, scores = answer
    if scores is None:
        scores = np.full(len(chosen), np.nan)
    return unlabelled[chosen], np.asarray(scores, dtype=np.float64)


def parameters_of(strategy: Any) -> frozenset[str]:
    """Names of a strategy's parameters; none where it does not say."""
    try:
        return frozenset(inspect.signature(strategy).parameters)
    except (TypeError, ValueError):
        # None, or a function written in C.
        return frozenset()


def open_parameters(strategy: Any) -> frozenset[str]:
    """Those of a strategy's parameters that nobody has bound."""
    bound: set[str] = set()
    inner = strategy
    # Partials nest where the inner one has attributes of its own.
    while isinstance(inner, functools.partial):
        bound.update(inner.keywords)
        inner = inner.func
    return parameters_of(strategy) - bound


def takes_ties(strategy: Any) -> bool:
    """Whether ties can be broken at random, and the user has not said how."""
    return "random_tie_break" in open_parameters(strategy)


def _validation(strategy: Any, problem: Problem) -> Options:
    """The validation set, for a strategy that takes one and has not been given any.

    It is paid for: a strategy that has it need not train models to find out.
    """
    X_val, y_val = problem.validation_set
    names = open_parameters(strategy)
    if X_val is None or not {"X_val", "y_val"} <= names:
        return {}
    return {"X_val": X_val, "y_val": y_val}


def _truth(problem: Problem, unlabelled: Array, labelled: Array) -> Options:
    """What an oracle, a strategy with a parameter ``y_true``, may see.

    Upper bounds are bought with true labels.
    """
    known = problem.learnable(labelled)
    truth = problem.known_labels if problem.truth is None else problem.truth.take
    return {
        "y_true": truth(unlabelled),
        "X_test": problem.test_rows,
        "y_test": problem.y_test,
        "X_labelled": take_rows(problem.X, known),
        "y_labelled": problem.known_labels(known),
    }
