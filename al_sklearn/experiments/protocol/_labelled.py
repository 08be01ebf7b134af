"""What is labelled from the start: the validation set and the initial set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from al_sklearn._core.interrupts import not_swallowed
from al_sklearn._core.random import preserve_global_rng, seeded_clone
from al_sklearn._core.types import Array, Function
from al_sklearn.exceptions import CapabilityError, ParameterError
from al_sklearn.experiments.hard_pools import HardPool
from al_sklearn.experiments.protocol import _data
from al_sklearn.experiments.protocol._splits import INITIAL, initial_set
from al_sklearn.learners import split_answer
from al_sklearn.loop import Streams, check_choice, without_labels
from al_sklearn.rows import take_rows, view_rows
from al_sklearn.strategies import (
    follows_contract,
    get_strategy,
    strategy_name,
    takes_random_state,
)
from al_sklearn.tasks import Task


def draw_labelled(
    settings: Any,
    pool: HardPool,
    begins: Array,
    task: Task,
    given: dict[str, Array] | None,
    streams: Streams,
) -> tuple[Array, Array]:
    """Return the positions for validation and those labelled from the start.

    The latter are among ``begins``.
    """
    # Shares are of what has a class: nobody wants strange images among the first
    # labels.
    inside = pool.inside
    validation = np.empty(0, dtype=np.int64)
    free = inside
    if given is not None:
        validation = given.get("validation", validation)
        initial = given["initial"]
        # A hard pool may have dropped what the other run began with.
        lost = np.setdiff1d(np.concatenate([validation, initial]), inside)
        if len(lost):
            raise ParameterError(
                f"splits={str(settings.splits)!r} begins with image {lost[0]}, which "
                "pool= has taken out.",
                "splits",
            )
        free = np.setdiff1d(inside, initial)
    size = settings.validation_size
    # Another run's set stays; one that had none gets one beside its initial set.
    if size is not None and len(validation) == 0:
        validation = _draw_validation(size, len(inside), free, streams)
    if given is not None:
        return validation, initial
    # Drawn before the initial set, and at random: what is validated on must not be
    # chosen by anybody.
    free = np.setdiff1d(begins, validation)
    # Codes of free images alone: labels outside the task have none.
    codes = np.zeros(len(pool.y), dtype=np.int64)
    codes[free] = task.strata(pool.y[free])
    how = settings.initial
    if isinstance(how, str) and how in INITIAL:
        n_initial: float = settings.n_initial
        # A share per class is of each class, and is counted there.
        if how != "per_class":
            n_initial = _size_of_initial(n_initial, len(inside), len(free))
        return validation, initial_set(
            codes,
            free,
            n_initial,
            how,
            streams.generator("initial"),
            settings.min_per_class,
        )
    n_initial = _size_of_initial(settings.n_initial, len(inside), len(free))
    if n_initial > len(free):
        raise ParameterError(
            f"n_initial={n_initial} is more than the {len(free)} images there are to "
            "learn from.",
            "n_initial",
        )
    return validation, _cold_start(
        how, settings.estimator, pool.X, free, n_initial, streams
    )


def _size_of_initial(n_initial: float, n_pool: int, n_free: int) -> int:
    """Turn a count or a share of the pool into a count."""
    # The whole pool is what validation has left of it; any other share is exact.
    if isinstance(n_initial, float) and n_initial == 1:
        return n_free
    return _data.check_share(n_initial, n_pool)


def _draw_validation(size: float, n_pool: int, free: Array, streams: Streams) -> Array:
    """Draw at random: nobody knows the classes of a pool before they pay for them."""
    n = _data.check_share(size, n_pool)
    # One image at least must be left to learn from.
    if n >= len(free):
        raise ParameterError(
            f"validation_size={size} takes {n} of {len(free)} images and leaves none "
            "to learn from.",
            "validation_size",
        )
    return np.sort(streams.generator("validation").permutation(free)[:n])


def _cold_start(
    how: str | Function,
    estimator: Any,
    X: Any,
    free: Array,
    n_initial: int,
    streams: Streams,
) -> Array:
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
    order = streams.integer("initial", "order")
    with not_swallowed(), preserve_global_rng(order):
        # Distances between raw columns of different units would choose by unit.
        if isinstance(estimator, Pipeline) and len(estimator.steps) > 1:
            steps = seeded_clone(estimator[:-1], streams.integer("initial", "weights"))
            with _said_of(name, "the steps of the pipeline before the last fit"):
                rows = steps.fit_transform(take_rows(X, free))
        else:
            rows = (
                view_rows(X, free)
                if follows_contract(strategy)
                else without_labels(take_rows(X, free))
            )
        try:
            with _said_of(name, "it chooses"):
                answer = strategy(None, rows, n_instances=n_initial, **options)
        except CapabilityError as error:
            raise ParameterError(
                f"initial={name!r} cannot choose an initial set: it must be a "
                "strategy that needs no labels and no model, such as 'typiclust', "
                f"'probcover' or 'kmeans_sampling' ({error})",
                "initial",
            ) from error
    # Both conventions: strategies of modAL return instances beside indices, ours
    # scores.
    chosen, _ = split_answer(answer, len(free))
    check_choice(name, chosen, n_initial)
    return free[chosen]


@contextmanager
def _said_of(name: str, who: str) -> Iterator[None]:
    """Say beside an error, which stays what it is, that there were no labels yet."""
    try:
        yield
    except Exception as error:
        error.add_note(
            f"initial={name!r} cannot choose an initial set: {who} without labels and "
            "without a model."
        )
        raise
