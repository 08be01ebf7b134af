"""How a round's training follows the one before, for learners and experiments.

A word means one thing everywhere:

- ``"from_scratch"``: new weights, on all labels;
- ``"fine_tune"``: from the weights before, on all labels (``warm_start``);
- ``"only_new"``: the estimator's ``fit`` on the new labels alone, as modAL's: without a
  ``warm_start`` of its own it knows nothing else then;
- ``"incremental"``: from the weights before, on the new labels alone (``partial_fit``,
  else ``warm_start``).
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from sklearn.ensemble import BaseEnsemble, HistGradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet, NeuralNetClassifier

from al_sklearn._core.interrupts import end_with_main, not_swallowed
from al_sklearn._core.random import preserve_global_rng, seeds_for, take_turn
from al_sklearn._core.types import Array, Options
from al_sklearn.exceptions import ParameterError
from al_sklearn.inference import classes_of
from al_sklearn.inference.fitting import (
    fit,
    lend_validation,
    split_options,
    takes_validation,
)
from al_sklearn.learners._labelled import Labelled
from al_sklearn.rows import with_labels

__all__ = [
    "NEW_LABELS",
    "TRAINING",
    "Labelled",
    "check_forgets",
    "check_training",
    "fit",
    "goes_on",
    "has_warm_start",
    "is_fitted",
    "learns_in_parts",
    "mode_to_refit",
    "mode_to_teach",
    "name_classes",
    "partial_fit",
    "takes_validation",
    "train",
    "warm_start_parameter",
]

TRAINING: Final = ("from_scratch", "fine_tune", "only_new", "incremental")
#: Those that see a round's new labels alone.
NEW_LABELS: Final = ("only_new", "incremental")


def check_training(estimator: Any, training: str) -> None:
    """Raise a ``ValueError`` unless the estimator can be trained that way."""
    if training == "fine_tune" or (
        training == "incremental" and not learns_in_parts(estimator)
    ):
        warm_start_parameter(estimator)


def train(
    estimator: Any,
    data: Labelled,
    *,
    training: str | None = None,
    classes: Array | None = None,
    validation: tuple[Any, Any] = (None, None),
    bootstrap: Array | None = None,
    seed: int | None = None,
    fit_kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """Train ``estimator``, changed in place, and return it.

    Runs in a worker too, so everything that it needs is passed in.

    Parameters
    ----------
    estimator : object
        Has ``fit``.
    data : Labelled
        All labels, or the new ones alone for what is in ``NEW_LABELS``.
    training : str, optional
        One of ``TRAINING``. None calls ``fit``; the estimator's own ``warm_start``
        decides whether it begins again.
    classes : array, optional
        All that there are, for the first ``partial_fit``; those of ``data`` by default.
    validation : (rows, labels), default=(None, None)
        For estimators that can use them, see :func:`fit`.
    bootstrap : int array, optional
        Rows of ``data`` to learn from instead of all; repeats allowed.
    seed : int, optional
        Seed for this training alone; the global generators and the estimator's
        parameters are put back after it.
    fit_kwargs : mapping, optional
        Further arguments of ``fit`` or ``partial_fit``.

    Raises
    ------
    ValueError
        When the estimator cannot be trained that way, or a net's iterator gives no
        batch.
    """
    end_with_main()
    if bootstrap is not None:
        data = data.take(bootstrap)
    if training is not None:
        check_training(estimator, training)
    in_parts = training == "incremental" and learns_in_parts(estimator)
    parameters: Options = {}
    if training == "from_scratch":
        parameters = dict.fromkeys(_warm_starts(estimator), False)
    elif not in_parts and training in ("fine_tune", "incremental"):
        parameters = {warm_start_parameter(estimator): True}
    if seed is not None:
        parameters |= seeds_for(estimator, seed, only_open=True)
    options = {**data.weights, **(fit_kwargs or {})}
    # Without a seed the estimator draws from the generators as they are, and moves them
    # on, as its own ``fit`` would: in its turn all the same.
    drawing = take_turn() if seed is None else preserve_global_rng(seed)
    with _temporarily(estimator, parameters), drawing:
        if in_parts:
            # A learner is given them with its first labels, a loop knows them.
            classes = options.pop("classes", classes)
            partial_fit(estimator, data.X, data.y, classes, *validation, **options)
        else:
            fit(estimator, data.X, data.y, *validation, **options)
    _check_trained(estimator, len(data))
    return estimator


def _check_trained(estimator: Any, n: int) -> None:
    """Raise a ``ParameterError`` for a net whose iterator gave no batch.

    With ``drop_last`` and fewer rows than a batch it would keep its first weights.
    """
    last = _last_step(estimator)
    history = last.history if isinstance(last, NeuralNet) else None
    if history and history[-1].get("train_batch_count") == 0:
        raise ParameterError(
            f"{type(last).__name__} was trained on no batch: its iterator_train gives "
            f"none of {n} rows at batch_size={last.batch_size} (drop_last leaves out a "
            "batch that is not full).",
            "iterator_train__drop_last",
            "batch_size",
        )


def warm_start_parameter(estimator: Any) -> str:
    """Return the parameter that lets ``fit`` go on from the weights there are.

    Raises
    ------
    ValueError
        When the estimator has none.
    """
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        return f"{name}__{warm_start_parameter(last)}"
    parameters = _parameters(estimator, deep=False)
    if "warm_start" not in parameters:
        raise ValueError(
            f"{type(estimator).__name__} has no warm_start, so its training cannot go "
            "on from the round before; use training='from_scratch'."
        )
    # By kind where n_estimators has another name, by name for other libraries'.
    growing = isinstance(estimator, (BaseEnsemble, HistGradientBoostingClassifier))
    if growing or "n_estimators" in parameters:
        raise ValueError(
            f"The warm_start of {type(estimator).__name__} only adds members: those "
            "there are would never learn the "
            "new labels; use training='from_scratch'."
        )
    return "warm_start"


def mode_to_teach(
    training: str | None, only_new: bool, refit: bool, bootstrap: bool, store: bool
) -> str | None:
    """Join what a learner's ``teach`` is told of training; None means plain ``fit``.

    Raises
    ------
    ValueError
        For an unknown word, or options that contradict each other.
    """
    _check_word(training)
    if only_new and training not in (None, "only_new"):
        raise ValueError(
            f"only_new=True contradicts training={training!r}: give one of them."
        )
    training = "only_new" if only_new else training
    if not refit and (training is not None or bootstrap or not store):
        raise ValueError(
            "refit=False only stores: training, only_new, bootstrap and "
            "store=False contradict it."
        )
    return training


def mode_to_refit(training: str | None) -> str | None:
    """Return a mode for training on everything known.

    Raises
    ------
    ValueError
        For an unknown word, or one that wants new rows.
    """
    _check_word(training)
    if training in NEW_LABELS:
        raise ValueError(
            "refit trains on everything known: there are no new rows for "
            f"training={training!r}."
        )
    return training


def _check_word(training: str | None) -> None:
    if training is not None and training not in TRAINING:
        raise ValueError(
            f"training must be one of {', '.join(TRAINING)} or None, got {training!r}."
        )


def check_forgets(learner: Any, estimator: Any, mode: str | None) -> None:
    """Warn before a fitted estimator is trained on new rows alone, from new weights.

    Parameters
    ----------
    learner : learner
        That knows no row yet.
    estimator : estimator
        About to be trained for the first time by the learner.
    mode : str or None
        One of ``TRAINING``, or None.

    Warns
    -----
    UserWarning
        When what the estimator has learnt would be lost.
    """
    if mode in ("incremental", "fine_tune") or not is_fitted(estimator):
        return
    last = _last_step(estimator)
    if isinstance(last, NeuralNet) and not last.history:
        # Initialised alone, for a cold start: there is nothing to forget.
        return
    if mode != "from_scratch" and has_warm_start(estimator):
        return
    warnings.warn(
        f"This {type(estimator).__name__} is fitted already, and the "
        f"{type(learner).__name__} was not given what it was fitted on: it is trained "
        "again on the rows taught alone, and knows nothing else then. Give the learner "
        "all labelled rows, X_training=, y_training=; or go on from the weights there "
        "are by teach(…, training='incremental').",
        # Whoever called teach.
        stacklevel=3,
    )


def learns_in_parts(estimator: Any) -> bool:
    """Whether an estimator, or the last step of a pipeline, has a ``partial_fit``."""
    return hasattr(_last_step(estimator), "partial_fit")


def _last_step(estimator: Any) -> Any:
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


def name_classes(model: Any, classes: Array, goes_on: bool) -> None:
    """Tell the nets in a model all classes there are, where the user has not.

    It reaches nets however deep they are.

    A net whose module has its outputs from the user needs it always; one that finds out
    how many it needs only where training ``goes_on``: it cannot grow outputs for
    classes met late.
    """
    for part in [model, *model.get_params(deep=True).values()]:
        if (
            isinstance(part, NeuralNetClassifier)
            and part.classes is None
            and (goes_on or _is_plain(part))
        ):
            part.set_params(classes=classes)


def goes_on(model: Any, y: Array) -> bool:
    """Whether ``fit`` can go on from the weights there are, with these labels.

    Networks know all classes, by :func:`name_classes`; for others the classes must be
    those that they have.
    """
    last = model.steps[-1][1] if isinstance(model, Pipeline) else model
    if any(
        isinstance(part, NeuralNet)
        for part in [last, *last.get_params(deep=True).values()]
    ):
        return True
    return np.array_equal(classes_of(model), np.unique(y))


def partial_fit(
    model: Any,
    X: Any,
    y: Array,
    classes: Array | None = None,
    X_val: Any = None,
    y_val: Array | None = None,
    **options: Any,
) -> None:
    """Go on training on new rows alone; see :func:`fit`.

    The steps of a pipeline but the last are fitted the first time only: fitted on each
    batch, they would move the space that the last one's weights live in.
    """
    with not_swallowed():
        _partial_fit(model, X, y, classes, X_val, y_val, **options)


def _partial_fit(
    model: Any,
    X: Any,
    y: Array,
    classes: Array | None = None,
    X_val: Any = None,
    y_val: Array | None = None,
    **options: Any,
) -> None:
    if isinstance(model, Pipeline):
        last = model.steps[-1][1]
        if len(model.steps) > 1:
            before = model[:-1]
            first = not is_fitted(last)
            X = before.fit_transform(X, y) if first else before.transform(X)
            # With memory=, the steps that were fitted are copies.
            model.steps[:-1] = before.steps
            X_val = None if X_val is None else before.transform(X_val)
        own, _ = split_options(model, options)
        _partial_fit(last, X, y, classes, X_val, y_val, **own)
        return
    takes_classes = "classes" in inspect.signature(model.partial_fit).parameters
    if classes is None and not (isinstance(model, NeuralNet) or is_fitted(model)):
        classes = np.unique(y)
    if classes is not None and takes_classes:
        options = {"classes": classes, **options}
    if X_val is None or y_val is None or not isinstance(model, NeuralNet):
        model.partial_fit(*with_labels(model, X, y), **options)
        return
    # What the net has outputs for, or, of unknown classes, what it learns now.
    met = classes if classes is not None else np.unique(y)
    with lend_validation(model, X_val, y_val, met):
        model.partial_fit(*with_labels(model, X, y), **options)


def _is_plain(net: NeuralNetClassifier) -> bool:
    """Whether it is skorch's own, or a subclass that reads data as that does."""
    return type(net).get_dataset is NeuralNet.get_dataset


def has_warm_start(estimator: Any) -> bool:
    """Whether ``fit`` goes on from the weights there are, as the estimator is set.

    Parameters
    ----------
    estimator : object
    """
    try:
        name = warm_start_parameter(estimator)
    except ValueError:
        return False
    return bool(_parameters(estimator)[name])


def _parameters(estimator: Any, deep: bool = True) -> Options:
    return estimator.get_params(deep=deep) if hasattr(estimator, "get_params") else {}


def _warm_starts(estimator: Any) -> list[str]:
    """Names of every ``warm_start``, of the estimator and its parts."""
    names = _parameters(estimator)
    return [name for name in names if name.rpartition("__")[2] == "warm_start"]


@contextmanager
def _temporarily(estimator: Any, parameters: Mapping[str, Any]) -> Iterator[None]:
    if not parameters:
        yield
        return
    known = _parameters(estimator)
    before = {name: known[name] for name in parameters}
    estimator.set_params(**parameters)
    try:
        yield
    finally:
        estimator.set_params(**before)


def is_fitted(estimator: Any) -> bool:
    """Whether an estimator has been fitted, or a net initialised.

    Parameters
    ----------
    estimator : object
    """
    if isinstance(estimator, NeuralNet):
        # It has attributes with an underscore at their end from its construction on.
        return bool(estimator.initialized_)
    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError):
        return False
    return True
