"""From a protocol's settings and data to what all strategies of one seed share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from al_sklearn._core.stratified import hold_out
from al_sklearn._core.types import Array
from al_sklearn.exceptions import ParameterError
from al_sklearn.experiments.hard_pools import HardPool, as_transforms, outside_classes
from al_sklearn.experiments.protocol import _data
from al_sklearn.experiments.protocol._given import given_splits
from al_sklearn.experiments.protocol._labelled import draw_labelled
from al_sklearn.experiments.protocol._routing import split_by_rows
from al_sklearn.loop import Problem, Streams
from al_sklearn.tasks import Classification, scorers_of


def known_classes(y: Array, pool: Any) -> Array:
    """Return the sorted classes of the task.

    Those of ``y`` but for what is out of distribution.
    """
    classes = np.unique(y)
    strange = outside_classes(pool)
    if not strange:
        return classes
    missing = np.setdiff1d(np.asarray(strange), classes)
    if len(missing):
        raise ValueError(
            f"OutOfDistribution names {missing.tolist()}, which y does not hold: "
            f"{classes.tolist()}."
        )
    classes = np.setdiff1d(classes, np.asarray(strange))
    if len(classes) == 0:
        raise ValueError("OutOfDistribution leaves no class to learn.")
    return classes


def make_problem(
    settings: Any,
    X: Any,
    y: Array,
    classes: Array,
    X_test: Any,
    y_test: Any,
    streams: Streams,
    fit_options: Mapping[str, Any] | None = None,
) -> Problem:
    """Draw one seed's test set, hard pool, validation set and initial set.

    Parameters
    ----------
    settings : ActiveLearningExperiment or StrategyComparison
        Their shared parameters are read.
    X, y, X_test, y_test
        Checked; no test set is None twice.
    classes : array
        From :func:`known_classes`.
    streams : Streams
        The seed's.
    fit_options : dict, optional
        From :func:`route_fit_options`.
    """
    n = len(y)
    given = (
        None
        if settings.splits is None
        else given_splits(settings.splits, streams.seed, n, X_test is not None)
    )
    # Positions of X throughout: whatever is kept can be held against the data again.
    train, test = np.arange(n, dtype=np.int64), np.empty(0, dtype=np.int64)
    # Of no class: bought like the others, never tested and never learnt.
    task = Classification(classes)
    strange = ~np.isin(y, classes)
    if given is not None:
        test = given["test"]
        if strange[test].any():
            first = test[strange[test]][0]
            raise ParameterError(
                f"splits={str(settings.splits)!r} tests on image {first}, of class "
                f"{y[first]!s}, which pool= has "
                "taken out of the task.",
                "splits",
            )
        train = np.setdiff1d(train, test)
    elif X_test is None:
        # One image cannot be on both sides.
        if n < 2:
            raise ValueError(
                f"A test set cannot be held out of n_samples = {n}; give X_test and "
                "y_test."
            )
        # Only what has a class can be tested.
        inside = np.flatnonzero(~strange)
        codes = task.strata(y[inside])
        test = inside[
            hold_out(codes, settings.test_size, streams.generator("split"))[1]
        ]
        train = np.setdiff1d(train, test)
    if X_test is None:
        X_test, y_test = _data.select(X, test), y[test]
    pool = harden(
        HardPool(X, y, train, outside=strange), settings.pool, classes, streams
    )
    if given is not None:
        train = np.sort(
            np.concatenate([given["train"], given.get("validation", train[:0])])
        )
        # The file has what that run's pool has left: where the same pool leaves the
        # same, it is that run's.
        if not np.array_equal(pool.train, train):
            pool = harden(
                HardPool(X, y, train, outside=strange), settings.pool, classes, streams
            )
    # From the hardened pool: its wrong labels are what a user would have paid for. What
    # the initial set alone is to be drawn from comes last; another run's is drawn.
    begins = harden(pool, settings.pool, classes, streams, "initial").inside
    validation, initial = draw_labelled(settings, pool, begins, task, given, streams)
    train = np.setdiff1d(pool.train, validation)
    # Only now is it known what strategies can buy.
    rest = replace(pool, train=np.setdiff1d(train, initial))
    if len(rest.train):
        rest = harden(rest, settings.pool, classes, streams, "bought")
        train = np.sort(np.concatenate([initial, rest.train]))
        pool = replace(rest, train=pool.train)
    # A share is of what can be bought, the validation set among it.
    budget = (
        None
        if settings.budget is None
        else _data.check_share(settings.budget, len(pool.train))
    )
    if budget is not None and budget < len(initial) + len(validation):
        raise ParameterError(
            f"budget={settings.budget} is {budget} labels; the initial set has "
            f"{len(initial)} and the validation set "
            f"{len(validation)} already.",
            "budget",
        )
    # None where nothing is wrong: the column bought_wrong is left out then.
    truth = None if pool.truth is pool.y else pool.truth
    outside = pool.outside if pool.outside.any() else None
    # Columns of classes are bought_<class>; two of one name would be one.
    for name, column in (("wrong", truth), ("outside", outside)):
        if column is not None and name in classes.astype(str):
            raise ValueError(
                f"A class is called {name!r}, and so is the column bought_{name}; "
                "rename the class."
            )
    return Problem(
        estimator=settings.estimator,
        X=pool.X,
        y=pool.y,
        task=task,
        train=train,
        initial=initial,
        X_test=X_test,
        y_test=y_test,
        n_instances=_data.check_n_instances(settings.n_instances, len(pool.train)),
        n_rounds=n if settings.n_rounds is None else settings.n_rounds,
        training=settings.training,
        scoring=scorers_of(settings.scoring),
        streams=streams,
        stopping=settings.stopping,
        test=test,
        validation=validation,
        budget=budget,
        truth=truth,
        outside=outside,
        first_params=settings.first_params,
        later_params=settings.later_params,
        test_each_epoch=settings.test_each_epoch,
        # A switch of tests: with ties by position numbers are those of older versions.
        random_ties=getattr(settings, "_random_ties", True),
        **split_by_rows(fit_options or {}, n),
    )


def harden(
    pool: HardPool,
    transforms: Any,
    classes: Array,
    streams: Streams,
    stage: str = "pool",
) -> HardPool:
    """Apply a stage's transforms in order, each with its own stream, and check them."""
    for number, transform in enumerate(as_transforms(transforms)):
        if transform.stage != stage:
            continue
        harder = transform.apply(pool, streams.generator("pool", number))
        name = type(transform).__name__
        # A transform of somebody else may do anything; here it is still known whose it
        # was.
        added = np.setdiff1d(harder.train, pool.train)
        if len(added) or len(np.unique(harder.train)) != len(harder.train):
            what = (
                f"position {added[0]}, which is not in the pool"
                if len(added)
                else "a position more than once"
            )
            raise ValueError(f"{name} gave {what}.")
        unknown = np.setdiff1d(harder.y[harder.inside], classes)
        if len(unknown):
            raise ValueError(
                f"{name} gave the label {unknown[0]!s}, which is no class; there are "
                f"{classes.tolist()}."
            )
        pool = harder
    return pool
