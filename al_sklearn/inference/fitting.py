"""Fitting with a validation set beside the labels, for rounds and for clones alike.

What a round trains and what a strategy trains to find something out get the same
validation set in the same way, so that early stopping works in both. Nets are known by
name and looked for among what is imported: who has none need not wait for torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import get_routing_for_object, process_routing

from al_sklearn._core.interrupts import not_swallowed
from al_sklearn._core.optional import is_a
from al_sklearn._core.types import Array, Options
from al_sklearn.rows import take_rows, with_labels

__all__ = [
    "fit",
    "learns_from_validation",
    "lend_validation",
    "split_options",
    "takes_validation",
]

_NET = "skorch.net.NeuralNet"


@not_swallowed()
def fit(
    model: Any,
    X: Any,
    y: Any,
    X_val: Any = None,
    y_val: Any = None,
    **options: Any,
) -> None:
    """Fit a model; one that can use a validation set gets it.

    A net gets it as its validation data (``train_split``), what has a ``fit(X, y,
    X_val=, y_val=)`` as that, a pipeline hands it on to its last step, transformed.
    Others are fitted without. A Ctrl-C that the model swallows is raised behind it.

    Parameters
    ----------
    model : estimator
        Fitted in place.
    X, y : rows and labels
    X_val, y_val : rows and labels, optional
        Nobody learns weights from them.
    **options
        Further arguments of ``fit``.
    """
    if X_val is None or y_val is None or not takes_validation(model):
        model.fit(*with_labels(model, X, y), **options)
    elif isinstance(model, Pipeline):
        own, others = split_options(model, options)
        before = model[:-1] if len(model.steps) > 1 else None
        if before is not None:
            X = before.fit_transform(X, y, **others)
            # With memory=, the steps that were fitted are copies.
            model.steps[:-1] = before.steps
            X_val = before.transform(X_val)
        fit(model.steps[-1][1], X, y, X_val, y_val, **own)
    else:
        with lend_validation(model, X_val, y_val, np.unique(y)) as lent:
            model.fit(*with_labels(model, X, y), **options, **lent)


def split_options(pipeline: Pipeline, options: Options) -> tuple[Options, Options]:
    """Split arguments of a pipeline's ``fit``: those of its last step, and the others.

    By the steps' names, or by what they request where metadata routing is on.
    """
    name = pipeline.steps[-1][0]
    if options and get_config()["enable_metadata_routing"]:
        routed = process_routing(pipeline, "fit", **options)
        before = pipeline[:-1] if len(pipeline.steps) > 1 else None
        taken: set[str] = set()
        if before is not None:
            taken = get_routing_for_object(before).consumes(
                "fit_transform", options.keys()
            )
        own = dict(routed[name]["fit"])
        return own, {key: options[key] for key in options if key in taken}
    prefix = f"{name}__"
    own = {
        key.removeprefix(prefix): value
        for key, value in options.items()
        if key.startswith(prefix)
    }
    return own, {
        key: value for key, value in options.items() if not key.startswith(prefix)
    }


def takes_validation(estimator: Any) -> bool:
    """Whether :func:`fit` has a use for a validation set.

    Parameters
    ----------
    estimator : estimator
        A net, what has a ``fit(X, y, X_val=, y_val=)``, or a pipeline that ends in one.

    Returns
    -------
    bool
    """
    if isinstance(estimator, Pipeline):
        return takes_validation(estimator.steps[-1][1])
    return (
        is_a(estimator, _NET) or "X_val" in inspect.signature(estimator.fit).parameters
    )


def learns_from_validation(estimator: Any) -> bool:
    """Whether it learns from a validation set in the end, and says so.

    As a search does that is fitted again on all that was paid for: how good it is on
    those rows then says nothing.
    """
    last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    return bool(getattr(last, "learns_from_validation", False))


@contextmanager
def lend_validation(
    model: Any, X_val: Any, y_val: Array, classes: Array
) -> Iterator[Options]:
    """Lend a model its validation set for one training.

    Parameters
    ----------
    model : net, or what has a ``fit(X, y, X_val=, y_val=)``
        A net's ``train_split`` is set, and put back afterwards.
    X_val, y_val : rows and labels
    classes : array
        What it has met: nobody can be told to predict another.

    Yields
    ------
    dict
        Arguments for ``fit``.
    """
    known = np.flatnonzero(np.isin(y_val, classes))
    if len(known) == 0:
        yield {}
        return
    if len(known) < len(y_val):
        X_val, y_val = take_rows(X_val, known), y_val[known]
    if not is_a(model, _NET):
        yield {"X_val": X_val, "y_val": y_val}
        return
    from skorch.dataset import Dataset
    from skorch.helper import predefined_split

    before = model.train_split
    pairs, _ = with_labels(model, X_val, y_val)
    model.set_params(
        train_split=predefined_split(Dataset(X_val, y_val) if pairs is X_val else pairs)
    )
    try:
        yield {}
    finally:
        # The images would be copied and stored with every copy of the model.
        model.set_params(train_split=before)
