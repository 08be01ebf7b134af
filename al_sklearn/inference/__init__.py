"""What a strategy may ask of any classifier.

Probabilities, posterior samples, embeddings, gradient factors.

This module is the only place that knows how to get something out of a classifier. A
classifier is a fitted scikit-learn estimator, a skorch net, a ``Pipeline``, an
``ActiveLearner`` or a ``Committee``. An estimator takes part by having a method of the
same name as the function here. X of any kind that :mod:`al_sklearn.pool` knows is read
in chunks. Within one query (:func:`shared`) each result is computed once, however many
measures ask for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from al_sklearn._core.random import RandomState, as_generator, as_seed
from al_sklearn.exceptions import CapabilityError
from al_sklearn.rows import RowView, by_chunks, kept, n_rows, stays_mapped, take_rows

__all__ = [
    "classes_of",
    "columns_of",
    "embed",
    "feature_dropout",
    "gives_loss",
    "gradient_factors",
    "input_gradient",
    "labelled_data",
    "last_layer",
    "predict_loss",
    "predict_proba",
    "proba_and_embed",
    "readable",
    "sample_proba",
    "shared",
]

# Masks of feature dropout are drawn for so many rows at a time, wherever batches and
# chunks begin.
_MASK_ROWS = 256
# MC dropout samples when the caller does not say: where BALD's ranking has settled in
# practice.
_N_SAMPLES = 20

# What is said of a row whatever rows are beside it.
_ROW_WISE = frozenset({"predict_proba", "embed", "input_gradient", "predict_loss"})

_memory: ContextVar[dict[tuple, tuple] | None] = ContextVar(
    "al_sklearn_shared", default=None
)


@contextmanager
def shared() -> Iterator[None]:
    """Compute each capability of one (classifier, X) only once inside ``with``.

    Strategies open it for each query; nested blocks share the outermost one's results.
    The results are read-only.
    """
    if _memory.get() is not None:
        yield
        return
    token = _memory.set({})
    try:
        yield
    finally:
        _memory.reset(token)


def _once(
    name: str, classifier: Any, X: Any, options: tuple, compute: Callable[[], Any]
) -> Any:
    memory = _memory.get()
    if memory is None:
        return compute()
    key = (name, id(classifier), id(X), options)
    if key not in memory:
        whole = (
            memory.get((name, id(classifier), id(X.base), options))
            if isinstance(X, RowView)
            else None
        )
        # Known of all rows, it is known of some; where a row's result depends on its
        # position it is not.
        result = (
            compute() if whole is None or name not in _ROW_WISE else whole[2][X.indices]
        )
        # Views are made read-only: the array itself may belong to the classifier.
        if isinstance(result, tuple):
            result = tuple(map(_read_only, result))
        else:
            result = _read_only(result)
        # The objects are kept with the result: an id is theirs only as long as they
        # live.
        memory[key] = (classifier, X, result)
    return memory[key][2]


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def _unwrap(classifier: Any) -> Any:
    """Find the estimator that predicts inside learners, experiments and searches."""
    while True:
        if hasattr(classifier, "best_estimator_"):
            classifier = classifier.best_estimator_
        elif hasattr(classifier, "query_strategy") and hasattr(classifier, "estimator"):
            classifier = getattr(classifier, "estimator_", classifier.estimator)
        else:
            return classifier


def _is_net(estimator: Any) -> bool:
    skorch_net = sys.modules.get("skorch.net")
    return skorch_net is not None and isinstance(estimator, skorch_net.NeuralNet)


def _members(classifier: Any) -> list[Any] | None:
    """Return the learners of a committee, else None."""
    return list(classifier.learner_list) if hasattr(classifier, "vote_proba") else None


@contextmanager
def _modes_kept(estimator: Any) -> Iterator[None]:
    """Put the training and evaluation modes of a committee's plain nets back.

    skorch leaves them in evaluation mode.
    """
    nets = [net for net in map(_unwrap, _members(estimator) or ()) if _is_net(net)]
    tops = [
        top
        for net in nets
        for top in (net.module_, net.criterion_)
        if hasattr(top, "modules")
    ]
    modes = [(part, part.training) for top in tops for part in top.modules()]
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _gives_proba(estimator: Any) -> bool:
    """Whether it has ``predict_proba``.

    A committee or an ensemble that is asked for its members: all of them.
    """
    members = _members(estimator)
    return hasattr(estimator, "predict_proba") and all(
        hasattr(member, "predict_proba") for member in members or ()
    )


def _check_fitted(estimator: Any) -> None:
    if _is_net(estimator):
        if not getattr(estimator, "initialized_", False):
            raise NotFittedError(
                f"This {type(estimator).__name__} is not fitted yet; call fit or "
                "teach first."
            )
    elif (members := _members(estimator)) is not None:
        for member in members:
            _check_fitted(_unwrap(member))
    elif isinstance(estimator, BaseEstimator):
        check_is_fitted(estimator)


def _cannot(capability: str, estimator: Any, instead: str) -> CapabilityError:
    name = type(estimator).__name__
    return CapabilityError(f"{name} cannot give {capability}: {instead}")


def _check_proba(proba: np.ndarray, n: int, estimator: Any) -> np.ndarray:
    """Return probabilities as floats after checking shape, finiteness and row sums."""
    name = type(estimator).__name__
    proba = np.asarray(proba)
    if proba.ndim < 2 or proba.shape[-2] != n:
        raise ValueError(
            f"{name} gave probabilities of shape {proba.shape} for {n} rows; (…, {n}, "
            "n_classes) is needed."
        )
    if proba.dtype.kind != "f":
        proba = proba.astype(np.float64)
    sums = proba.sum(axis=-1, dtype=np.float64)
    if np.isnan(sums).any():
        raise ValueError(
            f"{name} gave probabilities with NaN, first for row "
            f"{int(np.isnan(sums).nonzero()[-1][0])}."
        )
    tolerance = 1e-2 if proba.dtype.itemsize < 4 else 1e-3
    off = np.abs(sums - 1)
    if off.size and off.max() > tolerance:
        raise ValueError(
            f"The probabilities of {name} do not sum to 1 (one row sums to "
            f"{sums.flat[off.argmax()]:.4g}); a network "
            "needs criterion=CrossEntropyLoss for logits, or a predict_nonlinearity."
        )
    if proba.size and (proba.min() < -tolerance or proba.max() > 1 + tolerance):
        raise ValueError(
            f"The probabilities of {name} lie outside 0 … 1: from {proba.min():.4g} "
            f"to {proba.max():.4g}."
        )
    if proba.size and (proba.min() < 0 or proba.max() > 1):
        # Rounding in somebody's mean: a utility must not turn negative by it.
        proba = np.clip(proba, 0, 1)
    return proba


def readable(classifier: Any, X: Any) -> Any:
    """X as the classifier can read it.

    Items of a torch data set in one array, for what takes arrays alone.

    Parameters
    ----------
    classifier : estimator, Pipeline, ActiveLearner, Committee or None
        Those of scikit-learn, a Pipeline that begins with one, a Committee of them, and
        ``None`` take arrays alone.
    X : any kind of rows, n of them
        Of a data set's pairs (row, label) the row.

    Returns
    -------
    X : the same, or ndarray of shape (n, …)
    """
    torch_data, skorch_helper = (
        sys.modules.get("torch.utils.data"),
        sys.modules.get("skorch.helper"),
    )
    base = X.base if isinstance(X, RowView) else X
    is_slice = skorch_helper is not None and isinstance(
        base, skorch_helper.SliceDataset
    )
    is_items = torch_data is not None and isinstance(base, torch_data.Dataset)
    if (
        not (is_slice or is_items)
        or n_rows(X) == 0
        or not _takes_arrays_alone(_unwrap(classifier))
    ):
        return X
    rows = take_rows(X, np.arange(n_rows(X))) if base is not X else X
    items = (rows[i] for i in range(n_rows(X)))
    return np.stack(
        [
            np.asarray(item[0] if isinstance(item, (tuple, list)) else item)
            for item in items
        ]
    )


def _takes_arrays_alone(estimator: Any) -> bool:
    """Whether an estimator is scikit-learn's, or derived from one.

    Such an estimator knows nothing of torch data sets.
    """
    if estimator is None:
        return True
    if isinstance(estimator, Pipeline):
        return _takes_arrays_alone(_unwrap(estimator[0]))
    if (members := _members(estimator)) is not None:
        return all(_takes_arrays_alone(_unwrap(member)) for member in members)
    # The bases that any estimator derives from say nothing.
    modules = [base.__module__.split(".") for base in type(estimator).__mro__]
    return any(
        part[0] == "sklearn" and part[1:2] not in (["base"], ["utils"])
        for part in modules
    )


def classes_of(classifier: Any) -> np.ndarray:
    """Return the class labels, in the order of the columns of the probabilities."""
    _check_fitted(_unwrap(classifier))
    # The estimator inside first: its columns are those of the probabilities.
    for candidate in (_unwrap(classifier), classifier):
        if getattr(candidate, "classes_", None) is not None:
            return np.asarray(candidate.classes_)
    raise _cannot("classes_", _unwrap(classifier), "the strategy needs a classifier.")


def columns_of(classifier: Any, n_columns: int) -> np.ndarray:
    """Return the class label of each column of the classifier's probabilities.

    Those of :func:`classes_of`, but for a plain skorch net that was fitted without some
    class: it infers its classes from the labels it saw, and still has an output for
    each integer.

    Parameters
    ----------
    classifier : estimator, Pipeline, ActiveLearner or Committee
        Fitted.
    n_columns : int
        Of its probabilities.

    Returns
    -------
    labels : ndarray of shape (n_columns,)

    Raises
    ------
    ValueError
        When the classes do not say which label a column is of.
    """
    classes = classes_of(classifier)
    if len(classes) == n_columns:
        return classes
    if classes.dtype.kind in "iu" and classes.min() >= 0 and classes.max() < n_columns:
        return np.arange(n_columns, dtype=classes.dtype)
    name = type(_unwrap(classifier)).__name__
    raise ValueError(
        f"{name} gives {n_columns} columns of probabilities for the {len(classes)} "
        f"classes {classes}."
    )


def labelled_data(
    classifier: Any, X_labelled: Any = None, y_labelled: Any = None
) -> tuple[Any, Any]:
    """Return the labelled rows and labels.

    What was passed, else what the learner was taught, else (None, None).
    """
    if X_labelled is None:
        X_labelled = getattr(classifier, "X_training", None)
        y_labelled = (
            getattr(classifier, "y_training", None)
            if y_labelled is None
            else y_labelled
        )
    return readable(classifier, X_labelled), y_labelled


def predict_proba(classifier: Any, X: Any) -> np.ndarray:
    """Class probabilities of every row.

    Parameters
    ----------
    classifier : estimator, Pipeline, ActiveLearner or Committee
        Fitted.
    X : any kind of rows, n of them

    Returns
    -------
    proba : ndarray of shape (n, n_classes)
        Rows sum to 1; columns follow ``classes_``.

    Raises
    ------
    NotFittedError
        When the classifier is not fitted.
    TypeError
        When it has no ``predict_proba``.
    ValueError
        When X or the probabilities contain NaN, or the rows do not sum to 1.
    """
    estimator = _unwrap(classifier)
    _check_fitted(estimator)

    def compute() -> np.ndarray:
        n = n_rows(X)
        if _is_net(estimator):
            from al_sklearn.inference import _nets

            proba = kept(
                "predict_proba",
                estimator,
                X,
                (),
                lambda rows: _nets.proba(estimator, rows, n_rows(rows)),
            )
        else:
            with _modes_kept(estimator):
                proba = kept("predict_proba", estimator, X, (), estimator.predict_proba)
        return _check_proba(proba, n, estimator)

    if not _gives_proba(estimator):
        raise _cannot(
            "predict_proba",
            estimator,
            "use a classifier with predict_proba, or CalibratedClassifierCV around it.",
        )
    return _once("predict_proba", estimator, X, (), compute)


def sample_proba(
    classifier: Any,
    X: Any,
    n_samples: int | None = None,
    random_state: RandomState = None,
) -> np.ndarray:
    """Class probabilities of every row under several posterior samples.

    The samples are of the classifier.

    Nets with dropout are sampled by MC dropout (Gal & Ghahramani, ICML 2016): only the
    dropout modules are switched on, one mask per sample is shared by the whole pool, so
    that a sample is one function and batches do not matter. A Committee, a random
    forest, bagging, voting, and any estimator with a ``sample_proba`` method of its own
    give their members.

    Parameters
    ----------
    classifier : estimator with posterior samples
        A net with dropout, Committee, forest, bagging, voting, or anything with
        ``sample_proba``.
    X : any kind of rows, n of them
    n_samples : int, optional
        Number of samples T. For MC dropout 20 by default. For a finite ensemble all
        members by default; a smaller number draws that many of them without
        replacement, and no more can be had than there are.
    random_state : int, Generator or None

    Returns
    -------
    samples : ndarray of shape (T, n, n_classes)

    Raises
    ------
    TypeError
        When the classifier has no source of samples.
    """
    if n_samples is not None and n_samples < 1:
        raise ValueError(f"n_samples must be at least 1, got {n_samples}.")
    estimator = _unwrap(classifier)
    _check_fitted(estimator)

    def compute() -> np.ndarray:
        # One seed for all chunks, and for every X of one query: all then see the same
        # posterior samples.
        seed = as_seed(random_state)
        if (memory := _memory.get()) is not None:
            seed = memory.setdefault(
                ("seed", id(estimator), n_samples), (estimator, None, seed)
            )[2]
        samples = by_chunks(
            lambda rows: _sample(estimator, rows, n_samples, seed), X, axis=1
        )
        return _check_proba(samples, n_rows(X), estimator)

    # The random state is not in the key: measures that share a query share its samples.
    return _once("sample_proba", estimator, X, (n_samples,), compute)


def _sample(estimator: Any, X: Any, n_samples: int | None, seed: int) -> np.ndarray:
    if hasattr(estimator, "sample_proba"):
        return estimator.sample_proba(X, n_samples=n_samples, random_state=seed)
    if _is_net(estimator):
        from al_sklearn.inference import _nets

        if not _nets.active_dropout(estimator.module_):
            raise _cannot(
                "posterior samples",
                estimator,
                "its network has no active dropout module (functional dropout cannot "
                "be switched on); add nn.Dropout, "
                "or use DeepEnsemble or a Committee.",
            )
        return _nets.sample_proba(
            estimator, X, n_rows(X), n_samples or _N_SAMPLES, seed
        )
    if isinstance(estimator, Pipeline):
        return _sample(
            _unwrap(estimator[-1]), estimator[:-1].transform(X), n_samples, seed
        )
    if _members(estimator) is not None:
        if not _gives_proba(estimator):
            raise _cannot(
                "posterior samples", estimator, "all its members need predict_proba."
            )
        with _modes_kept(estimator):
            votes = np.moveaxis(np.asarray(estimator.vote_proba(X)), 1, 0)
        return votes[_pick_members(len(votes), n_samples, seed)]
    if isinstance(estimator, (RandomForestClassifier, ExtraTreesClassifier)):
        # Trees compute in float32: convert once, not once a tree.
        X = (
            X.astype(np.float32)
            if hasattr(X, "tocsr")
            else np.asarray(X, dtype=np.float32)
        )
        trees = [
            estimator.estimators_[i]
            for i in _pick_members(len(estimator.estimators_), n_samples, seed)
        ]
        return np.stack([tree.predict_proba(X) for tree in trees])
    if isinstance(estimator, BaggingClassifier):
        X = X.tocsr() if hasattr(X, "tocsr") else np.asarray(X)
        chosen = _pick_members(len(estimator.estimators_), n_samples, seed)
        return np.stack(
            [
                _aligned(
                    estimator.estimators_[i],
                    X[:, estimator.estimators_features_[i]],
                    len(estimator.classes_),
                )
                for i in chosen
            ]
        )
    if isinstance(estimator, VotingClassifier):
        chosen = _pick_members(len(estimator.estimators_), n_samples, seed)
        return np.stack(
            [
                _aligned(estimator.estimators_[i], X, len(estimator.classes_))
                for i in chosen
            ]
        )
    raise _cannot(
        "posterior samples",
        estimator,
        "use a net with dropout, DeepEnsemble, a Committee, a random forest, bagging "
        "or voting, or give the estimator "
        "a sample_proba method.",
    )


def _pick_members(n_members: int, n_samples: int | None, seed: int) -> np.ndarray:
    if n_samples is None or n_samples >= n_members:
        return np.arange(n_members)
    return np.sort(as_generator(seed).choice(n_members, size=n_samples, replace=False))


def _aligned(member: Any, X: Any, n_classes: int) -> np.ndarray:
    """Probabilities of an ensemble's member, by the ensemble's classes.

    The member's own classes are positions among those of the ensemble.
    """
    if not hasattr(member, "predict_proba"):
        raise _cannot(
            "posterior samples",
            member,
            "all members of the ensemble need predict_proba.",
        )
    proba = np.zeros((n_rows(X), n_classes))
    proba[:, np.asarray(member.classes_, dtype=np.int64)] = member.predict_proba(X)
    return proba


def embed(classifier: Any, X: Any, layer: str | None = None) -> np.ndarray:
    """Features of every row, as the classifier sees it.

    Works without a single label where X itself is the feature.

    Parameters
    ----------
    classifier : estimator, Pipeline, ActiveLearner, Committee or None
        A net gives the input of the last linear layer that runs, or the flattened
        output of ``layer``. A pipeline gives its transform (and then its net's
        embedding); a Committee of embedding members theirs, joined; anything with an
        ``embed`` method what that returns; everything else X, flattened.
    X : any kind of rows, n of them
    layer : str, optional
        Name of a layer, as ``module_.named_modules()`` says it; nets only.

    Returns
    -------
    embeddings : ndarray of shape (n, d)

    Raises
    ------
    TypeError, ValueError
        When there is no linear layer, no layer of that name, or NaN in the embeddings.
    """
    estimator = _unwrap(classifier)
    if estimator is not None:
        _check_fitted(estimator)

    def compute() -> np.ndarray:
        if _embeds(estimator):
            embeddings = kept(
                "embed",
                estimator,
                X,
                (layer,),
                lambda rows: _embed(estimator, rows, layer),
            )
        elif stays_mapped(X):
            embeddings = _embed(estimator, np.asarray(X), layer)
        else:
            embeddings = by_chunks(lambda rows: _embed(estimator, rows, layer), X)
        return _check_embeddings(embeddings, n_rows(X), estimator)

    return _once("embed", estimator, X, (layer,), compute)


def _embed(estimator: Any, X: Any, layer: str | None) -> np.ndarray:
    if hasattr(estimator, "embed"):
        return np.asarray(
            estimator.embed(X) if layer is None else estimator.embed(X, layer=layer)
        )
    if _is_net(estimator):
        from al_sklearn.inference import _nets

        return _nets.proba_and_embed(estimator, X, n_rows(X), layer)[1]
    if isinstance(estimator, Pipeline):
        return _embed(
            _unwrap(estimator[-1]),
            estimator[:-1].transform(X) if len(estimator) > 1 else X,
            layer,
        )
    if layer is not None:
        raise _cannot(
            f"the layer {layer!r}",
            estimator,
            "only nets have layers; leave out layer=.",
        )
    if (members := _members(estimator)) is not None and all(
        _embeds(_unwrap(member)) for member in members
    ):
        return np.concatenate(
            [_embed(_unwrap(member), X, None) for member in members], axis=1
        )
    return _flatten(X)


def _embeds(estimator: Any) -> bool:
    return (
        hasattr(estimator, "embed")
        or _is_net(estimator)
        or isinstance(estimator, Pipeline)
    )


def _flatten(X: Any) -> np.ndarray:
    """X itself as (n, d) floats; integers become float32, floats stay as precise."""
    if hasattr(X, "toarray"):
        X = X.toarray()
    elif hasattr(X, "detach"):
        X = X.detach().cpu().numpy()
    array = np.asarray(X)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"Rows of {type(X).__name__} with dtype {array.dtype} are no features; "
            "give a classifier that embeds them."
        )
    if array.dtype.kind != "f":
        array = array.astype(np.float32)
    return array.reshape(len(array), -1)


def _check_embeddings(embeddings: np.ndarray, n: int, estimator: Any) -> np.ndarray:
    if hasattr(embeddings, "toarray"):
        embeddings = embeddings.toarray()
    if embeddings.ndim != 2 or len(embeddings) != n:
        raise ValueError(
            f"{type(estimator).__name__} gave embeddings of shape {embeddings.shape} "
            f"for {n} rows; ({n}, d) is needed."
        )
    # A sum is NaN or infinite when a value is: no mask as large as the array.
    sums = embeddings.sum(axis=1, dtype=np.float64)
    if not np.isfinite(sums).all():
        raise ValueError(
            "The embeddings contain NaN or infinity, first in row "
            f"{int((~np.isfinite(sums)).argmax())}."
        )
    # A view, so that making it read-only does not reach the caller's X.
    return embeddings[:]


def proba_and_embed(
    classifier: Any, X: Any, layer: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Class probabilities and embeddings of every row.

    A net gives both in one forward pass.

    Parameters
    ----------
    classifier : whatever has ``predict_proba`` and ``embed``
    X : any kind of rows, n of them
    layer : str, optional
        As in :func:`embed`.

    Returns
    -------
    proba : ndarray of shape (n, n_classes)
    embeddings : ndarray of shape (n, d)
    """
    estimator = _unwrap(classifier)
    _check_fitted(estimator)
    if not _is_net(estimator) or hasattr(estimator, "embed"):
        return predict_proba(estimator, X), embed(estimator, X, layer)

    def compute() -> tuple[np.ndarray, np.ndarray]:
        from al_sklearn.inference import _nets

        both = kept(
            "proba_and_embed",
            estimator,
            X,
            (layer,),
            lambda rows: _nets.proba_and_embed(estimator, rows, n_rows(rows), layer),
        )
        return _check_proba(both[0], n_rows(X), estimator), _check_embeddings(
            both[1], n_rows(X), estimator
        )

    proba, embeddings = _once("proba_and_embed", estimator, X, (layer,), compute)
    # Whoever asks for one of the two in the same query has it already.
    return (
        _once("predict_proba", estimator, X, (), lambda: proba),
        _once("embed", estimator, X, (layer,), lambda: embeddings),
    )


def gradient_factors(
    classifier: Any, X: Any, layer: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Residuals and embeddings, whose outer product is a gradient.

    It is the gradient of the last layer for the predicted class.

    Parameters
    ----------
    classifier : whatever has ``predict_proba`` and ``embed``
    X : any kind of rows, n of them
    layer : str, optional
        As in :func:`embed`.

    Returns
    -------
    residuals : ndarray of shape (n, n_classes)
        one-hot(predicted class) - probabilities.
    embeddings : ndarray of shape (n, d)
    """
    estimator = _unwrap(classifier)
    _check_fitted(estimator)

    def compute() -> tuple[np.ndarray, np.ndarray]:
        if hasattr(estimator, "gradient_factors"):
            residuals, embeddings = estimator.gradient_factors(X)
            return np.asarray(residuals), np.asarray(embeddings)
        proba, embeddings = proba_and_embed(estimator, X, layer)
        residuals = -proba
        residuals[np.arange(len(proba)), proba.argmax(axis=1)] += 1
        return residuals, embeddings

    return _once("gradient_factors", estimator, X, (layer,), compute)


def predict_loss(classifier: Any, X: Any) -> np.ndarray:
    """Loss of every row, (n,), as predicted by a loss-prediction head.

    The estimator has been trained with that head.

    Parameters
    ----------
    classifier : anything with ``predict_loss``, or a Pipeline that ends in it
    X : any kind of rows, n of them

    Returns
    -------
    losses : ndarray of shape (n,)

    Raises
    ------
    TypeError
        When the estimator has no ``predict_loss`` method.
    """
    estimator = _unwrap(classifier)
    if not gives_loss(estimator):
        raise _cannot(
            "predict_loss",
            estimator,
            "train it with a loss-prediction head, or give it a predict_loss method.",
        )
    _check_fitted(estimator)
    return _once(
        "predict_loss",
        estimator,
        X,
        (),
        lambda: kept(
            "predict_loss",
            estimator,
            X,
            (),
            lambda rows: np.asarray(_predict_loss(estimator, rows)),
        ),
    )


def gives_loss(classifier: Any) -> bool:
    """Whether :func:`predict_loss` can be asked of a classifier, fitted or not."""
    estimator = _unwrap(classifier)
    return (
        gives_loss(estimator[-1])
        if isinstance(estimator, Pipeline)
        else hasattr(estimator, "predict_loss")
    )


def _predict_loss(estimator: Any, X: Any) -> Any:
    if isinstance(estimator, Pipeline):
        return _predict_loss(
            _unwrap(estimator[-1]),
            estimator[:-1].transform(X) if len(estimator) > 1 else X,
        )
    return estimator.predict_loss(X)


class _FeatureMasks:
    """Masks for dropout on embeddings, different for every row and sample.

    They are the same however rows are batched.
    """

    def __init__(self, p: float, seed: int):
        self.p, self.seed = p, seed
        self._blocks: dict[tuple[int, int], tuple[int, np.ndarray]] = {}

    def factors(self, sample: int, start: int, stop: int, d: int) -> np.ndarray:
        """(stop - start, d) float32: 0 with probability p, else 1 / (1 - p)."""
        out = np.empty((stop - start, d), dtype=np.float32)
        for number in range(start // _MASK_ROWS, (stop - 1) // _MASK_ROWS + 1):
            first = number * _MASK_ROWS
            rows = slice(max(start, first), min(stop, first + _MASK_ROWS))
            out[rows.start - start : rows.stop - start] = self._block(
                sample, number, d
            )[rows.start - first : rows.stop - first]
        return out

    def _block(self, sample: int, number: int, d: int) -> np.ndarray:
        kept = self._blocks.get((sample, d))
        if kept is None or kept[0] != number:
            rng = np.random.default_rng([self.seed, sample, number])
            # Sixteen random bits a value: several times faster than floats, and as good
            # for a share.
            bits = np.frombuffer(
                rng.bytes(2 * _MASK_ROWS * d), dtype=np.uint16
            ).reshape(_MASK_ROWS, d)
            mask = (bits >= round(self.p * 2**16)).astype(np.float32) / np.float32(
                1 - self.p
            )
            kept = self._blocks[sample, d] = number, mask
        return kept[1]


def feature_dropout(
    classifier: Any,
    X: Any,
    n_samples: int = 3,
    p: float = 0.75,
    random_state: RandomState = None,
) -> np.ndarray:
    """Class probabilities of every row with part of its embedding dropped.

    This is done several times.

    Every value of the embedding is set to 0 with probability ``p``, anew for each row
    and sample, and the others are divided by ``1 - p``. A net's part before the last
    linear layer runs once.

    Parameters
    ----------
    classifier : net, Pipeline, or an estimator whose embedding is X itself
    X : any kind of rows, n of them
    n_samples : int, default=3
    p : float, default=0.75
        Probability of dropping, 0 <= p < 1.
    random_state : int, Generator or None

    Returns
    -------
    samples : ndarray of shape (n_samples, n, n_classes)

    Raises
    ------
    TypeError
        When the classifier does not show how it predicts from its embedding.
    ValueError
        For ``p`` outside 0 … 1 or fewer than one sample.
    """
    if not 0 <= p < 1:
        raise ValueError(f"p must be a probability below 1, got {p!r}.")
    if n_samples < 1:
        raise ValueError(f"n_samples must be at least 1, got {n_samples}.")
    estimator = _unwrap(classifier)
    _check_fitted(estimator)

    def compute() -> np.ndarray:
        masks = _FeatureMasks(p, as_seed(random_state))
        start = 0

        def chunk(rows: Any) -> np.ndarray:
            nonlocal start
            begin, start = start, start + n_rows(rows)
            return _drop_features(
                estimator,
                rows,
                n_samples,
                lambda sample, i, j, d: masks.factors(sample, begin + i, begin + j, d),
            )

        return _check_proba(by_chunks(chunk, X, axis=1), n_rows(X), estimator)

    return _once("feature_dropout", estimator, X, (n_samples, p), compute)


def _drop_features(
    estimator: Any,
    X: Any,
    n_samples: int,
    factors: Callable[[int, int, int, int], np.ndarray],
) -> np.ndarray:
    if _is_net(estimator):
        from al_sklearn.inference import _nets

        return _nets.perturbed_proba(estimator, X, n_rows(X), n_samples, factors)
    if isinstance(estimator, Pipeline):
        return _drop_features(
            _unwrap(estimator[-1]),
            estimator[:-1].transform(X) if len(estimator) > 1 else X,
            n_samples,
            factors,
        )
    if (
        hasattr(estimator, "embed")
        or _members(estimator) is not None
        or not hasattr(estimator, "predict_proba")
    ):
        raise _cannot(
            "predictions from embeddings with dropout",
            estimator,
            "use a net, a pipeline, or a classifier with predict_proba whose "
            "embedding is X itself.",
        )
    features = _flatten(X)
    samples = []
    for sample in range(n_samples):
        dropped = features * factors(
            sample, 0, len(features), features.shape[1]
        ).astype(features.dtype, copy=False)
        # A frame stays one: estimators fitted with column names want them again.
        samples.append(
            estimator.predict_proba(
                type(X)(dropped, X.index, X.columns)
                if hasattr(X, "columns")
                else dropped
            )
        )
    return np.stack(samples)


def last_layer(classifier: Any, X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Weights and biases of the linear layer that turns embeddings into logits.

    Parameters
    ----------
    classifier : estimator with a linear last layer
        A net, logistic regression, a Pipeline that ends in one, or anything with
        ``last_layer``.
    X : any kind of rows
        A few are run to find the linear layer of a net that runs last.

    Returns
    -------
    weights : ndarray of shape (n_classes, d)
        The probabilities are the softmax of ``embed(classifier, X) @ weights.T +
        bias``.
    bias : ndarray of shape (n_classes,)

    Raises
    ------
    TypeError
        When the classifier has none.
    """
    estimator = _unwrap(classifier)
    _check_fitted(estimator)
    # A copy: what a file maps may not be written to, which torch warns of.
    return _last_layer(estimator, take_rows(X, np.arange(min(8, n_rows(X)))))


def _last_layer(estimator: Any, X: Any) -> tuple[np.ndarray, np.ndarray]:
    if hasattr(estimator, "last_layer"):
        weights, bias = estimator.last_layer()
        return np.asarray(weights), np.asarray(bias)
    if _is_net(estimator):
        from al_sklearn.inference import _nets

        return _nets.last_layer(estimator, X)
    if isinstance(estimator, Pipeline):
        return _last_layer(
            _unwrap(estimator[-1]),
            estimator[:-1].transform(X) if len(estimator) > 1 else X,
        )
    if isinstance(estimator, LogisticRegression):
        weights, bias = (
            np.array(estimator.coef_),
            np.broadcast_to(estimator.intercept_, len(estimator.coef_)).copy(),
        )
        if len(weights) == 1:  # two classes: the first has the logit 0
            weights, bias = (
                np.concatenate([0 * weights, weights]),
                np.concatenate([0 * bias, bias]),
            )
        return weights, bias
    raise _cannot(
        "last-layer weights",
        estimator,
        "use a net, logistic regression, or give the estimator a last_layer method.",
    )


def input_gradient(classifier: Any, X: Any) -> np.ndarray:
    """Size of the gradient of the predicted class's loss in the network's input.

    It is Σ|∂CE(x, ŷ)/∂x|.

    The input is that of the network itself: images scaled and normalised as it was
    trained. Each row's is its own, whatever shares its batch.

    Parameters
    ----------
    classifier : net, a Pipeline that ends in one, or anything with ``input_gradient``
    X : any kind of rows, n of them

    Returns
    -------
    sizes : ndarray of shape (n,)

    Raises
    ------
    TypeError
        When the classifier has no gradients.
    """
    estimator = _unwrap(classifier)
    _check_fitted(estimator)
    return _once(
        "input_gradient",
        estimator,
        X,
        (),
        lambda: kept(
            "input_gradient",
            estimator,
            X,
            (),
            lambda rows: _input_gradient(estimator, rows),
        ),
    )


def _input_gradient(estimator: Any, X: Any) -> np.ndarray:
    if hasattr(estimator, "input_gradient"):
        return np.asarray(estimator.input_gradient(X))
    if _is_net(estimator):
        from al_sklearn.inference import _nets

        return _nets.input_gradient(estimator, X, n_rows(X))
    if isinstance(estimator, Pipeline):
        return _input_gradient(
            _unwrap(estimator[-1]),
            estimator[:-1].transform(X) if len(estimator) > 1 else X,
        )
    raise _cannot(
        "input gradients",
        estimator,
        "use a net, or give the estimator an input_gradient method.",
    )
