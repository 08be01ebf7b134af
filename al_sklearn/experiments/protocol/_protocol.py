"""From a protocol's settings and data to what all strategies of one seed share."""

from __future__ import annotations

import os
from collections.abc import Callable
from numbers import Integral
from pathlib import Path
from typing import Any, Final

import numpy as np
from sklearn.pipeline import Pipeline

from al_sklearn._core.random import preserve_global_rng
from al_sklearn._core.stratified import hold_out
from al_sklearn.experiments.hard_pools import HardPool, as_transforms, outside_classes
from al_sklearn.experiments.protocol import _data
from al_sklearn.experiments.protocol._splits import INITIAL, initial_set
from al_sklearn.learners._query import split_answer
from al_sklearn.loop import (
    Problem,
    Streams,
    check_choice,
    seed_global,
    seeded_clone,
    without_labels,
)
from al_sklearn.rows import read_splits, take_rows, view_rows
from al_sklearn.strategies import (
    follows_contract,
    get_strategy,
    strategy_name,
    takes_random_state,
)

# Options that came after the first stores: a run without them is described as it was
# then.
LATER_OPTIONS: Final = (
    "budget",
    "validation_size",
    "pool",
    "splits",
    "first_params",
    "later_params",
)


def known_classes(y: np.ndarray, pool: Any) -> np.ndarray:
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
    y: np.ndarray,
    classes: np.ndarray,
    X_test: Any,
    y_test: Any,
    streams: Streams,
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
    """
    n = len(y)
    given = (
        None
        if settings.splits is None
        else _given_splits(settings.splits, streams.seed, n, X_test is not None)
    )
    train, test = np.arange(n, dtype=np.int64), np.empty(0, dtype=np.int64)
    strange = ~np.isin(y, classes)
    if given is not None:
        test = given["test"]
        if strange[test].any():
            first = test[strange[test]][0]
            raise ValueError(
                f"splits={str(settings.splits)!r} tests on image {first}, of class "
                f"{y[first]!s}, which pool= has "
                "taken out of the task."
            )
        train = np.setdiff1d(train, test)
    elif X_test is None:
        if n < 2:
            raise ValueError(
                f"A test set cannot be held out of n_samples = {n}; give X_test and "
                "y_test."
            )
        # Only what has a class can be tested.
        inside = np.flatnonzero(~strange)
        codes = np.searchsorted(classes, y[inside])
        test = inside[
            hold_out(codes, settings.test_size, streams.generator("split"))[1]
        ]
        train = np.setdiff1d(train, test)
    if X_test is None:
        X_test, y_test = _data.select(X, test), y[test]
    pool = _harden(
        HardPool(X, y, train, outside=strange), settings.pool, classes, streams
    )
    if given is not None:
        train = np.sort(
            np.concatenate([given["train"], given.get("validation", train[:0])])
        )
        # The file has what that run's pool has left: where the same pool leaves the
        # same, it is that run's.
        if not np.array_equal(pool.train, train):
            pool = _harden(
                HardPool(X, y, train, outside=strange), settings.pool, classes, streams
            )
    validation, initial = _draw_labelled(settings, pool, classes, given, streams)
    train = np.setdiff1d(pool.train, validation)
    budget = (
        None
        if settings.budget is None
        else _data.check_share(settings.budget, len(pool.train))
    )
    if budget is not None and budget < len(initial) + len(validation):
        raise ValueError(
            f"budget={settings.budget} is {budget} labels; the initial set has "
            f"{len(initial)} and the validation set "
            f"{len(validation)} already."
        )
    truth = None if pool.truth is pool.y else pool.truth
    outside = pool.outside if pool.outside.any() else None
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
        classes=classes,
        train=train,
        initial=initial,
        X_test=X_test,
        y_test=y_test,
        n_instances=_data.check_n_instances(settings.n_instances, len(pool.train)),
        n_rounds=n if settings.n_rounds is None else settings.n_rounds,
        training=settings.training,
        scoring=settings.scoring,
        streams=streams,
        stopping=settings.stopping,
        test=test,
        validation=validation,
        budget=budget,
        truth=truth,
        outside=outside,
        first_params=settings.first_params,
        later_params=settings.later_params,
    )


def check_protocol(settings: Any) -> None:
    """Raise a ``ValueError`` for incomplete or contradictory settings."""
    if (
        settings.n_rounds is None
        and settings.budget is None
        and settings.stopping is None
    ):
        raise ValueError(
            "n_rounds=None goes on until the budget is spent or a criterion says "
            "stop; give one of them."
        )
    for name in ("first_params", "later_params"):
        unknown = set(getattr(settings, name) or {}) - set(
            settings.estimator.get_params(deep=True)
        )
        if unknown:
            raise ValueError(
                f"{name} names {sorted(unknown)[0]!r}, which is no parameter of "
                f"{type(settings.estimator).__name__}."
            )


def _draw_labelled(
    settings: Any,
    pool: HardPool,
    classes: np.ndarray,
    given: dict[str, np.ndarray] | None,
    streams: Streams,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions for validation and those labelled from the start."""
    inside = pool.inside
    if given is not None:
        validation, initial = (
            given.get("validation", np.empty(0, dtype=np.int64)),
            given["initial"],
        )
        lost = np.setdiff1d(np.concatenate([validation, initial]), inside)
        if len(lost):
            raise ValueError(
                f"splits={str(settings.splits)!r} begins with image {lost[0]}, which "
                "pool= has taken out."
            )
        if settings.validation_size is None or len(validation):
            return validation, initial
        free = np.setdiff1d(inside, initial)
        return _draw_validation(
            settings.validation_size, len(inside), free, streams
        ), initial
    validation = np.empty(0, dtype=np.int64)
    if settings.validation_size is not None:
        validation = _draw_validation(
            settings.validation_size, len(inside), inside, streams
        )
    free = np.setdiff1d(inside, validation)
    codes = np.zeros(len(pool.y), dtype=np.int64)
    codes[free] = np.searchsorted(classes, pool.y[free])
    how = settings.initial
    if isinstance(how, str) and how in INITIAL:
        n_initial: int | float = settings.n_initial
        if how != "per_class":
            n_initial = _data.check_share(n_initial, len(inside))
        return validation, initial_set(
            codes, free, n_initial, how, streams.generator("initial")
        )
    n_initial = _data.check_share(settings.n_initial, len(inside))
    if n_initial > len(free):
        raise ValueError(
            f"n_initial={n_initial} is more than the {len(free)} images there are to "
            "learn from."
        )
    return validation, _cold_start(
        how, settings.estimator, pool.X, free, n_initial, streams
    )


def _harden(
    pool: HardPool, transforms: Any, classes: np.ndarray, streams: Streams
) -> HardPool:
    """Apply the transforms in order, each with its own stream, and check them."""
    for number, transform in enumerate(as_transforms(transforms)):
        harder = transform.apply(pool, streams.generator("pool", number))
        name = type(transform).__name__
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


def _draw_validation(
    size: float | int, n_pool: int, free: np.ndarray, streams: Streams
) -> np.ndarray:
    """Draw at random: nobody knows the classes of a pool before they pay for them."""
    n = int(size) if isinstance(size, Integral) else max(1, round(size * n_pool))
    if n >= len(free):
        raise ValueError(
            f"validation_size={size} takes {n} of {len(free)} images and leaves none "
            "to learn from."
        )
    return np.sort(streams.generator("validation").permutation(free)[:n])


def _cold_start(
    how: str | Callable[..., Any],
    estimator: Any,
    X: Any,
    free: np.ndarray,
    n_initial: int,
    streams: Streams,
) -> np.ndarray:
    """Let a strategy that needs no labels choose the initial set.

    It sees what a pipeline's transformers make of the images (fitted without labels),
    else the images themselves.
    """
    strategy, name = get_strategy(how), strategy_name(how)
    options = (
        {"random_state": streams.integer("initial")}
        if takes_random_state(strategy)
        else {}
    )
    with preserve_global_rng():
        seed_global(streams.integer("initial", "order"))
        if isinstance(estimator, Pipeline) and len(estimator.steps) > 1:
            steps = seeded_clone(estimator[:-1], streams.integer("initial", "weights"))
            try:
                rows = steps.fit_transform(take_rows(X, free))
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"initial={name!r} cannot choose an initial set: the steps of the "
                    "pipeline before the last must be "
                    f"fitted without labels ({error})"
                ) from error
        else:
            rows = (
                view_rows(X, free)
                if follows_contract(strategy)
                else without_labels(take_rows(X, free))
            )
        try:
            answer = strategy(None, rows, n_instances=n_initial, **options)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"initial={name!r} cannot choose an initial set: it must be a "
                "strategy that needs no labels and no "
                "model, such as 'typiclust', 'probcover' or 'kmeans_sampling' "
                f"({error})"
            ) from error
    chosen, _ = split_answer(answer, len(free))
    check_choice(name, chosen, n_initial)
    return free[chosen]


def _given_splits(
    path: str | os.PathLike[str], seed: int, n: int, has_test: bool
) -> dict[str, np.ndarray]:
    """Read the sets that another run's seed began with."""
    path = Path(path)
    file = path / "splits.npz" if path.is_dir() else path
    splits = read_splits(file)
    if seed not in splits:
        raise ValueError(
            f"{file} has {len(splits)} seeds; this run wants number {seed}, counted "
            "from 0."
        )
    sets = splits[seed]
    largest = max(int(positions.max(initial=-1)) for positions in sets.values())
    if largest >= n:
        raise ValueError(f"{file} speaks of image {largest}; X has {n} images.")
    if has_test == bool(len(sets["test"])):
        wanted = (
            "no X_test: its test sets are part of X"
            if has_test
            else "X_test and y_test: it has no test set"
        )
        raise ValueError(f"The run of {file} had {wanted}.")
    return sets
