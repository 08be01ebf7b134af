"""A measure and a selector joined: most of the named strategies are such a pair.

What the two take, by the names of their parameters, says what the classifier is asked
for; what they may be told besides becomes options of the strategy.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, Protocol, cast, get_type_hints

import numpy as np
from sklearn.decomposition import PCA

from al_sklearn import inference
from al_sklearn._core.checks import check_count
from al_sklearn._core.random import RandomState, as_generator, as_seed
from al_sklearn._core.types import Array, Function, Options
from al_sklearn.strategies import measures
from al_sklearn.strategies._registry import Chosen, StrategyInfo, query_strategy
from al_sklearn.strategies.selectors import top_k

# What a strategy may be told of how the classifier is asked: type and documentation.
_INPUTS: dict[str, tuple[Any, str]] = {
    "n_samples": (
        int | None,
        "n_samples : int, optional\n"
        "    Average so many posterior samples instead of asking for the probabilities "
        "once.",
    ),
    "layer": (
        str | None,
        "layer : str, optional\n"
        "    Layer of a net to embed by; the input of its last linear layer by "
        "default.",
    ),
    "X_labelled": (
        Any,
        "X_labelled : rows, optional\n"
        "    What is labelled already; ``classifier.X_training`` by default.",
    ),
}
_POSTERIOR_SAMPLES = (
    "n_samples : int, optional\n"
    "    Posterior samples; 20 dropout masks, or all members of an ensemble, by "
    "default."
)
_NEEDS = {
    "proba": "proba",
    "samples": "samples",
    "features": "embeddings",
    "residuals": "gradients",
}


class Pair(Protocol):
    """A strategy made of a measure and a selector."""

    __name__: str
    info: StrategyInfo

    def __call__(
        self,
        classifier: Any,
        X: Any,
        n_instances: int = 1,
        *,
        random_tie_break: bool = ...,
        random_state: RandomState = None,
        **options: Any,
    ) -> Chosen: ...


def _given(function: Function) -> list[str]:
    """What a measure or selector is given: its first parameters, up to how many."""
    names: list[str] = []
    for name, parameter in inspect.signature(function).parameters.items():
        # A measure's own options may be positional too: they have defaults.
        if name == "n_instances" or parameter.default is not parameter.empty:
            break
        names.append(name)
    return names


def told(function: Function, options: Options) -> Options:
    """Return those of the options that a measure or selector takes."""
    takes = inspect.signature(function).parameters
    return {name: value for name, value in options.items() if name in takes}


def embed_labelled(
    classifier: Any, X_labelled: Any = None, layer: str | None = None
) -> Array | None:
    """Return the embeddings of what is labelled, or None where nothing is."""
    # Each as it is: no rows are joined, and what is labelled is embedded once for all
    # parts of a composition.
    embeddings = [
        inference.embed(classifier, rows, layer)
        for rows in inference.labelled_parts(classifier, X_labelled)
    ]
    if not embeddings:
        return None
    return embeddings[0] if len(embeddings) == 1 else np.concatenate(embeddings)


def in_components(
    features: Array,
    labelled: Array | None,
    n_components: int | None,
    rng: np.random.Generator,
) -> tuple[Array, Array | None]:
    """Bring embeddings to the principal components of the candidates'.

    Parameters
    ----------
    features : array of shape (n, d)
    labelled : array of shape (l, d) or None
        In the same components.
    n_components : int or None
        As many as there can be where it is more than that; None changes nothing.
    rng : Generator

    Returns
    -------
    features, labelled : arrays of shape (n, n_components) and (l, n_components)
    """
    if n_components is None:
        return features, labelled
    check_count("n_components", n_components)
    most = min(n_components, *features.shape)
    pca = PCA(most, random_state=as_seed(rng)).fit(features)
    known = None if labelled is None else pca.transform(labelled)
    return pca.transform(features), known


def predicted(
    classifier: Any, X: Any, n_samples: int | None, rng: np.random.Generator
) -> Array:
    """Return the probabilities, or the mean of ``n_samples`` posterior samples."""
    if n_samples is None:
        return inference.predict_proba(classifier, X)
    samples = inference.sample_proba(classifier, X, n_samples, rng)
    weights = inference.sample_weights(classifier, n_samples)
    if weights is None:
        return samples.mean(axis=0)
    return np.average(samples, axis=0, weights=weights)


def utilities_of(
    measure: str | Function,
    classifier: Any,
    X: Any,
    rng: np.random.Generator,
    *,
    of: str | None = None,
    n_samples: int | None = None,
    embeds: bool = False,
    layer: str | None = None,
) -> Array:
    """Return what a measure says of every candidate, (n,).

    Parameters
    ----------
    measure : str or callable
        Of class probabilities or of posterior samples; ``"input_gradient"`` of nets.
    classifier, X
        As in a strategy.
    rng : Generator
        Draws the posterior samples.
    of : {"proba", "samples", "gradients"}, optional
        What it takes; found from the measure by default.
    n_samples : int, optional
        How many posterior samples; of probabilities, their mean.
    embeds : bool, default=False
        Whether the embeddings will be asked for too: a net gives both at once.
    layer : str, optional
        Which embeddings.
    """
    function = measures.get_measure(measure, of=None)
    kind = of or measures.kind_of(function)
    if kind == "gradients":
        # No measure is called: as a whole, gradients are as large as X.
        return inference.input_gradient(classifier, X)
    if kind == "samples":
        given = inference.sample_proba(classifier, X, n_samples, rng)
        weights = inference.sample_weights(classifier, n_samples)
        return function(given, **told(function, {"weights": weights}))
    if embeds:
        given = inference.proba_and_embed(classifier, X, layer)[0]
    else:
        given = predicted(classifier, X, n_samples, rng)
    return function(given)


def choose(
    measure: Function | None,
    select: Callable[..., Chosen],
    classifier: Any,
    X: Any,
    n_instances: int,
    options: Options,
    *,
    n_samples: int | None = None,
    layer: str | None = None,
    X_labelled: Any = None,
) -> Chosen:
    """Ask the classifier for what measure and selector take, and select."""
    # One stream: samples first, then what measure and selector draw.
    rng = options["random_state"]
    given = {"n_instances": n_instances, **options}
    wanted = {*_given(select), *(() if measure is None else _given(measure))}
    # The factors of the last layer's gradient come together, too.
    if "residuals" in wanted:
        factors = inference.gradient_factors(classifier, X, layer)
        given["residuals"], given["features"] = factors
    # A net gives both in one forward pass.
    elif {"proba", "features"} <= wanted:
        both = inference.proba_and_embed(classifier, X, layer)
        given["proba"], given["features"] = both
    elif "proba" in wanted:
        given["proba"] = predicted(classifier, X, n_samples, rng)
    elif "features" in wanted:
        given["features"] = inference.embed(classifier, X, layer)
    if "samples" in wanted:
        given["samples"] = inference.sample_proba(classifier, X, n_samples, rng)
        given["weights"] = inference.sample_weights(classifier, n_samples)
    if measure is not None:
        utilities = measure(**told(measure, given))
        # Where they are an option they weigh: what is negative counts as nothing.
        weigh = "utilities" not in _given(select)
        given["utilities"] = np.maximum(utilities, 0) if weigh else utilities
    takes = inspect.signature(select).parameters
    if "labelled_proba" in takes:
        # As for the candidates: both at once.
        pairs = [
            inference.proba_and_embed(classifier, rows, layer)
            for rows in inference.labelled_parts(classifier, X_labelled)
        ]
        if pairs:
            proba, embeddings = zip(*pairs, strict=True)
            given["labelled_proba"] = np.concatenate(proba)
            given["labelled"] = np.concatenate(embeddings)
    elif "labelled" in takes:
        labelled = embed_labelled(classifier, X_labelled, layer)
        if labelled is not None:
            given["labelled"] = labelled
    return select(**told(select, given))


def pair(
    summary: str,
    about: str = "",
    *,
    measure: Function | None = None,
    select: Callable[..., Chosen] = top_k,
    name: str | None = None,
    family: str,
    reference: str,
    cost: str = "O(n C)",
    options: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
    random_tie_break: bool = False,
) -> Pair:
    """Declare a strategy: what a measure says of the candidates, then a selection.

    Parameters
    ----------
    summary, about : str
        First line of its docstring, and what comes after.
    measure : callable, optional
        Its first parameters, ``proba``, ``samples`` or ``features``, say what the
        classifier is asked for. None where the selector needs no utilities.
    select : callable, default=top_k
        Its first parameters say what it is given: ``utilities`` and what a measure may
        be given.
    name : str, optional
        That of the measure, or of the selector where there is none, by default.
    family, reference, cost, aliases
        As in :func:`query_strategy`.
    options : tuple of str
        Parameters of the two that become options of the strategy, documented as there.
    random_tie_break : bool, default=False
        The strategy's default.
    """
    parts = [select] if measure is None else [measure, select]
    wanted = {kind for part in parts for kind in _given(part)} - {"utilities"}
    inputs = []
    if "samples" in wanted or ("proba" in wanted and "features" not in wanted):
        inputs.append("n_samples")
    if "features" in wanted:
        inputs.append("layer")
    takes_labelled = "labelled" in inspect.signature(select).parameters
    if takes_labelled:
        inputs.append("X_labelled")

    def strategy(
        classifier: Any, X: Any, n_instances: int = 1, **chosen: Any
    ) -> Chosen:
        # What the classifier is asked with; the rest is told to measure and selector.
        known = {key: chosen.pop(key) for key in inputs if key in chosen}
        chosen.setdefault("random_tie_break", random_tie_break)
        chosen["random_state"] = as_generator(chosen.get("random_state"))
        return choose(measure, select, classifier, X, n_instances, chosen, **known)

    strategy.__name__ = strategy.__qualname__ = name or parts[0].__name__
    strategy.__doc__ = _written(
        summary, about, measure, select, wanted, inputs, options
    )
    signature = _signature(parts, inputs, options, random_tie_break)
    strategy.__signature__ = signature  # type: ignore[attr-defined]
    # Experiment files are compared with the types.
    strategy.__annotations__ = {
        name: parameter.annotation for name, parameter in signature.parameters.items()
    }
    # Whoever gives gradient factors gives the embeddings among them.
    kinds = wanted - {"features"} if "residuals" in wanted else wanted
    needs = [need for kind, need in _NEEDS.items() if kind in kinds]
    registered = query_strategy(
        family=family,
        needs=(*needs, *(("labelled",) if takes_labelled else ())),
        reference=reference,
        cost=cost,
        aliases=aliases,
    )(strategy)
    return cast(Pair, registered)


def _signature(
    parts: list[Function],
    inputs: list[str],
    options: tuple[str, ...],
    random_tie_break: bool,
) -> inspect.Signature:
    """Write the signature that the contract and the options make."""

    def option(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
        return inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
        )

    # As where the option comes from, so that the two never say two things.
    own = []
    for name in options:
        part = next(of for of in parts if name in inspect.signature(of).parameters)
        default = inspect.signature(part).parameters[name].default
        own.append(option(name, get_type_hints(part)[name], default))
    plain = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature(
        [
            inspect.Parameter("classifier", plain, annotation=Any),
            inspect.Parameter("X", plain, annotation=Any),
            inspect.Parameter("n_instances", plain, default=1, annotation=int),
            *own,
            *(option(name, _INPUTS[name][0]) for name in inputs),
            option("random_tie_break", bool, random_tie_break),
            option("random_state", RandomState),
        ],
        return_annotation=Chosen,
    )


def _written(
    summary: str,
    about: str,
    measure: Function | None,
    select: Callable[..., Chosen],
    wanted: set[str],
    inputs: list[str],
    options: tuple[str, ...],
) -> str:
    """Write the docstring: an option is documented as where it comes from."""
    # Written once: a parameter is documented where it is meant.
    entries = []
    for name in options:
        docs = (inspect.getdoc(part) or "" for part in (measure, select) if part)
        found = (re.search(rf"^{name} : .*(\n    .*)*", doc, re.M) for doc in docs)
        entries += [entry.group() for entry in found if entry][:1]
    for name in inputs:
        of_samples = name == "n_samples" and "samples" in wanted
        entries.append(_POSTERIOR_SAMPLES if of_samples else _INPUTS[name][1])
    links = [
        f"al_sklearn.strategies.{room}.{part.__name__} : the {what}."
        for room, what, part in (
            ("measures", "scores", measure),
            ("selectors", "selector", select),
        )
        if part not in (None, top_k)
    ]
    sections = [summary, inspect.cleandoc(about)] if about else [summary]
    sections.append("\n".join(["Parameters\n----------", *entries]))
    sections.append("\n".join(["See Also\n--------", *links]))
    return "\n\n".join(sections)
