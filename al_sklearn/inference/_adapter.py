"""One adapter for each kind of classifier, found by what the classifier is.

Kinds of other libraries are known by name and looked for among the modules that are
imported already: who has no net must not wait seconds for torch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from al_sklearn._core.optional import loaded
from al_sklearn._core.registry import share_table
from al_sklearn._core.types import Array, Function
from al_sklearn.exceptions import CapabilityError
from al_sklearn.inference._checks import proba_array

Factory = TypeVar("Factory", bound=Callable[[Any], "Adapter"])
Kind = type | str | Callable[[Any], bool]
# Probabilities or residuals and embeddings; weights and biases.
TwoArrays = tuple[np.ndarray, np.ndarray]
# factors(sample, start, stop, d): what rows start … stop - 1 of an embedding are
# multiplied by, (stop - start, d).
Factors = Callable[[int, int, int, int], np.ndarray]

# Of each capability: what errors call it, and what would provide it.
_MISSING = {
    "predict_proba": (
        "predict_proba",
        "use a classifier with predict_proba, or CalibratedClassifierCV around it.",
    ),
    "sample_proba": (
        "posterior samples",
        "use a net with dropout, DeepEnsemble, a Committee, a random forest, bagging "
        "or voting, or give the estimator a sample_proba method.",
    ),
    "predict_loss": (
        "predict_loss",
        "train it with a loss-prediction head, or give it a predict_loss method.",
    ),
    "feature_dropout": (
        "predictions from embeddings with dropout",
        "use a net, a pipeline, or a classifier with predict_proba whose embedding is "
        "X itself.",
    ),
    "last_layer": (
        "last-layer weights",
        "use a net, logistic regression, or give the estimator a last_layer method.",
    ),
    "input_gradient": (
        "input gradients",
        "use a net, or give the estimator an input_gradient method.",
    ),
    "layer": ("layers", "only nets have layers; leave out layer=."),
    "classes": ("classes_", "the strategy needs a classifier."),
}


class Adapter:
    """One kind of classifier: what it can give, and how.

    To teach the library a kind of its own, derive from this class, write the methods
    for what the kind can give, and register it (:func:`register_adapter`). What is not
    written is asked of the estimator's method of the same name; where that is missing
    too, a :class:`~al_sklearn.exceptions.CapabilityError` says what would provide it.

    X comes in pieces, already of a kind that the estimator reads. Results are checked,
    shared within a query and kept by the functions of :mod:`al_sklearn.inference`.

    Parameters
    ----------
    estimator : object
        Fitted, without the learner or search around it.
    """

    def __init__(self, estimator: Any):
        self.estimator = estimator

    def gives(self, capability: str) -> bool:
        """Whether it can be asked for a capability, by its method's name."""
        method = getattr(type(self), capability, None)
        written = method is not getattr(Adapter, capability, None)
        return written or hasattr(self.estimator, capability)

    def check_fitted(self) -> None:
        """Raise ``NotFittedError`` unless the estimator is fitted."""
        if isinstance(self.estimator, BaseEstimator):
            check_is_fitted(self.estimator)

    def takes_arrays_alone(self) -> bool:
        """Whether it is scikit-learn's, or derived: it knows no torch data sets."""
        if self.estimator is None:
            return True
        modules = (kind.__module__.split(".") for kind in type(self.estimator).__mro__)
        # The bases that any estimator derives from say nothing.
        bases = (["base"], ["utils"])
        theirs = [inside for package, *inside in modules if package == "sklearn"]
        return any(inside[:1] not in bases for inside in theirs)

    def learns_features(self) -> bool:
        """Whether its embedding comes from labels, so that a clone's is another."""
        return self.gives("embed")

    def networks(self) -> list[Any]:
        """Torch modules whose modes its ``predict_proba`` may leave changed."""
        return []

    def predict_proba(self, X: Any) -> Any:
        """Class probabilities (n, C)."""
        with self.modes_kept():
            return proba_array(self.own("predict_proba")(X))

    def sample_proba(self, X: Any, n_samples: int | None, seed: int) -> Any:
        """Class probabilities (T, n, C), the same functions for every piece of X."""
        return self.own("sample_proba")(X, n_samples=n_samples, random_state=seed)

    def sample_weights(self, n_samples: int | None) -> Array | None:
        """How much each sample counts, (T,); None where all count the same."""
        return None

    def embed(self, X: Any, layer: str | None = None) -> Any:
        """Features (n, d); X itself, flattened, where the kind has none of its own."""
        if hasattr(self.estimator, "embed"):
            options = {} if layer is None else {"layer": layer}
            return np.asarray(self.estimator.embed(X, **options))
        if layer is not None:
            raise self.cannot("layer", called=f"the layer {layer!r}")
        return flatten(X)

    def proba_and_embed(self, X: Any, layer: str | None) -> tuple[Any, Any]:
        """Both at once, written only where that saves work."""
        raise NotImplementedError

    def gradient_factors(self, X: Any) -> tuple[Any, Any]:
        """Residuals (n, C) and embeddings (n, d), where they are not the usual ones."""
        return self.own("gradient_factors")(X)

    def predict_loss(self, X: Any) -> Any:
        """Predicted losses (n,)."""
        return self.own("predict_loss")(X)

    def feature_dropout(self, X: Any, n_samples: int, factors: Factors) -> Array:
        """Class probabilities (T, n, C) with the embedding multiplied by factors."""
        if self.gives("embed") or not self.gives("predict_proba"):
            raise self.cannot("feature_dropout")
        features = flatten(X)
        n, d = features.shape
        samples = []
        for sample in range(n_samples):
            by = factors(sample, 0, n, d).astype(features.dtype, copy=False)
            dropped: Any = features * by
            if hasattr(X, "columns"):
                # Estimators fitted with column names want them again.
                dropped = type(X)(dropped, X.index, X.columns)
            samples.append(self.predict_proba(dropped))
        return np.stack(samples)

    def last_layer(self, X: Any) -> tuple[Any, Any]:
        """Weights (C, d) and biases (C,); X is a few rows."""
        return self.own("last_layer")()

    def input_gradient(self, X: Any) -> Any:
        """Sizes (n,) of the gradient in the input."""
        return self.own("input_gradient")(X)

    def network_inputs(self, X: Any) -> Iterator[Any]:
        """Batches as the estimator's network is given them, in the order of X."""
        return self.own("network_inputs")(X)

    def modes_kept(self) -> AbstractContextManager[None]:
        """Put the modes of its networks back, which skorch leaves in evaluation."""
        networks = self.networks()
        if not networks:
            return nullcontext()
        # Here, as torch takes seconds to import; who has a network has done so.
        from al_sklearn.inference import modules

        return modules.modes_kept(*networks)

    def own(self, capability: str) -> Function:
        """Return the estimator's method of that name, or raise what says it lacks."""
        method = getattr(self.estimator, capability, None)
        if method is None:
            raise self.cannot(capability)
        return method

    def cannot(
        self,
        capability: str,
        instead: str | None = None,
        called: str | None = None,
    ) -> CapabilityError:
        """Build the error for a capability that is missing; the caller raises it."""
        usual, provider = _MISSING.get(capability, (capability, ""))
        instead = instead or provider
        name = type(self.estimator).__name__
        error = CapabilityError(f"{name} cannot give {called or usual}: {instead}")
        error.capability = capability
        error.estimator = name
        error.instead = instead
        return error


def own_first(method: Function) -> Function:
    """Let an estimator's own method go before what its kind gives.

    For kinds that users derive from: a net with an ``embed`` of its own means it.
    """
    name = method.__name__

    @functools.wraps(method)
    def asked(self: Adapter, *args: Any, **options: Any) -> Any:
        has_own = hasattr(self.estimator, name)
        return (getattr(Adapter, name) if has_own else method)(self, *args, **options)

    return asked


def flatten(X: Any) -> Array:
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


_adapters: dict[Any, tuple[Kind, Callable[[Any], Adapter]]] = {}
share_table("adapters", _adapters, lambda entry: entry[1])


def register_adapter(kind: Kind) -> Callable[[Factory], Factory]:
    """Make a class the adapter of a kind of classifier.

    Parameters
    ----------
    kind : class, str or callable
        A class, whose subclasses are meant too; its name, ``"module.Class"``, where the
        module may not be imported (it is looked for, never imported); or a function of
        a classifier that says whether it is of the kind. The nearest class goes before
        all functions; among the others the one registered last.

    Returns
    -------
    decorator
        Takes a subclass of :class:`Adapter`, or a function that makes an adapter of a
        classifier, and returns it. What is registered again replaces itself.

    Examples
    --------
    >>> import numpy as np
    >>> from al_sklearn.inference import Adapter, predict_proba, register_adapter
    >>> class Table:
    ...     rows = np.array([[0.9, 0.1], [0.4, 0.6]])
    >>> @register_adapter(Table)
    ... class OfTable(Adapter):
    ...     def predict_proba(self, X):
    ...         return self.estimator.rows[X[:, 0]]
    >>> predict_proba(Table(), np.array([[1], [0]]))
    array([[0.4, 0.6],
           [0.9, 0.1]])
    """
    if not (isinstance(kind, (type, str)) or callable(kind)):
        raise TypeError(
            "A kind is a class, 'module.Class' or a function of a classifier, got "
            f"{kind!r}."
        )

    def register(adapter: Factory) -> Factory:
        makes_others = isinstance(adapter, type) and not issubclass(adapter, Adapter)
        if not callable(adapter) or makes_others:
            raise TypeError(
                "An adapter is a subclass of Adapter, or a function that makes one of "
                f"a classifier; got {adapter!r}."
            )
        # A function made again in a notebook's cell is another object of that name.
        is_class = isinstance(kind, (type, str))
        key = kind if is_class else (_place(kind), _place(adapter))
        _adapters.pop(key, None)
        _adapters[key] = kind, adapter
        return adapter

    return register


def _place(function: Any) -> tuple[str, str]:
    return function.__module__, function.__qualname__


def adapter_of(classifier: Any) -> Adapter:
    """Find the adapter of a classifier, within learners, experiments and searches.

    Parameters
    ----------
    classifier : estimator, Pipeline, ActiveLearner, Committee or None

    Returns
    -------
    Adapter
        Its ``estimator`` is the one that predicts.
    """
    entries = _adapters.values()
    # Later entries take the place of earlier ones for the same class.
    by_class = {}
    for kind, make in entries:
        by_class[loaded(kind) if isinstance(kind, str) else kind] = make
    for base in type(classifier).__mro__:
        if base in by_class:
            return by_class[base](classifier)
    for kind, make in reversed(entries):
        if not isinstance(kind, (type, str)) and kind(classifier):
            return make(classifier)
    return Adapter(classifier)


def fitted_adapter(classifier: Any) -> Adapter:
    """Find the adapter of a classifier that must be fitted."""
    adapter = adapter_of(classifier)
    adapter.check_fitted()
    return adapter
