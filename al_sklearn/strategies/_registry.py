"""The strategies by name: what each is, needs and costs, and their contract."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, Protocol, cast, get_type_hints

import numpy as np

from al_sklearn import inference
from al_sklearn._core.checks import check_n_instances, unknown_name
from al_sklearn._core.random import preserve_global_rng
from al_sklearn._core.registry import same_function, share_table
from al_sklearn._core.types import Array, Function
from al_sklearn.exceptions import CapabilityError, ParameterError
from al_sklearn.rows import n_rows
from al_sklearn.strategies._elsewhere import same_strategy, suggest_strategy

P = ParamSpec("P")
Chosen = tuple[np.ndarray, np.ndarray]

FAMILIES = (
    "uncertainty",
    "bayesian",
    "geometric",
    "outlier",
    "hybrid",
    "learned",
    "adaptive",
)
NEEDS = (
    "proba",
    "samples",
    "embeddings",
    "gradients",
    "labelled",
    "loss",
    "last_layer",
    "input_gradient",
    "feature_dropout",
    "true_labels",
)


class Strategy(Protocol):
    """What every query strategy is.

    ``(classifier, X, n_instances) -> (indices, scores)``.
    """

    def __call__(
        self, classifier: Any, X: Any, n_instances: int = 1, **options: Any
    ) -> Chosen: ...


@dataclass(frozen=True)
class StrategyInfo:
    """One row of the catalogue.

    Attributes
    ----------
    name : str
        The name under which experiments and the command line find it.
    family : str
        One of ``FAMILIES``.
    needs : tuple of str
        What it asks of the classifier, from ``NEEDS``; empty for none.
    summary : str
        The first line of its docstring.
    reference : str
        Where it was published.
    cost : str
        In n candidates, C classes, d features, b instances asked for, T samples, l
        labelled.
    aliases : tuple of str
        Other names that find it.
    function : callable
        The strategy.
    """

    name: str
    family: str
    needs: tuple[str, ...]
    summary: str
    reference: str
    cost: str
    aliases: tuple[str, ...]
    function: Strategy


_registry: dict[str, StrategyInfo] = {}
share_table("strategies", _registry, lambda info: info.function)

# Options that have had another name, for the sentence of the error.
_RENAMED = {
    "weight_by": "measure",
    "uncertainty": "measure",
    "n_epochs": "max_epochs",
    "X_validation": "X_val",
    "y_validation": "y_val",
    "layers": "layer",
}


def run_strategy(
    function: Function,
    name: str,
    classifier: Any,
    X: Any,
    n_instances: int,
    options: Any,
) -> Any:
    """Call ``function`` under the contract.

    Arguments checked, results shared, global generators put back.
    """
    n = n_rows(X)
    n_instances = check_n_instances(n_instances, n)
    X = inference.readable(classifier, X)
    # Only what is in memory is looked at here: reading a file twice would double the
    # cost of a query.
    values = X.to_numpy() if hasattr(X, "iloc") else X
    if (
        isinstance(values, np.ndarray)
        and not isinstance(values, np.memmap)
        and values.dtype.kind == "f"
    ):
        with np.errstate(over="ignore", invalid="ignore"):
            # A sum is NaN when a value is; it may also overflow, so a suspicion is
            # looked into.
            suspicious = np.isnan(values.sum())
        # What the classifier takes is its own to say.
        refused = suspicious and not inference.takes_nan(classifier)
        if refused and np.isnan(values).any():
            raise ValueError(f"X contains NaN, first in row {_first_nan_row(values)}.")
    with inference.shared(), preserve_global_rng():
        try:
            indices, scores = function(classifier, X, n_instances, **options)
        except (CapabilityError, ParameterError) as error:
            # The innermost strategy asked: one that calls it keeps its name off.
            error.strategy = error.strategy or name
            raise
    indices, scores = np.asarray(indices, dtype=np.int64), np.asarray(scores)
    if indices.shape != (n_instances,) or scores.shape != (n_instances,):
        raise RuntimeError(
            f"{name} chose {indices.shape} indices and {scores.shape} scores for "
            f"n_instances={n_instances}."
        )
    return indices, scores.astype(np.float64, copy=False)


def _first_nan_row(X: Array) -> int:
    return int(np.isnan(X.reshape(len(X), -1)).any(axis=1).argmax())


# The part of every strategy's documentation that the contract fixes; written once,
# added to each.
_PARAMETERS = """classifier : estimator, Pipeline, ActiveLearner or Committee
    Fitted.
X : any kind of rows, n of them
    The candidates.
n_instances : int, default=1
    How many to choose, 1 … n.
random_tie_break : bool, default={random_tie_break}
    Break ties at random instead of by position. Where nothing ties it changes nothing.
random_state : int, Generator or None
    The same value gives the same answer.
"""
_RETURNS = """Returns
-------
indices : int64 array of shape (n_instances,)
    Positions in X, unique, most useful or first chosen first.
scores : float64 array of shape (n_instances,)
    Higher = more useful.

Raises
------
ValueError
    For n_instances outside 1 … n, an empty pool, NaN in X or in what the classifier
    gives.
NotFittedError
    When the classifier is not fitted.
CapabilityError
    When the classifier cannot give what the strategy needs; a TypeError.

References
----------
"""


def _complete(doc: str, reference: str, signature: inspect.Signature) -> str:
    """Join a strategy's own docstring with what the contract says of all of them."""
    head, parameters, own = doc.partition("Parameters\n----------\n")
    own, see_also, links = own.partition("See Also\n--------\n")
    ties = signature.parameters.get("random_tie_break")
    default = False if ties is None else ties.default
    parts = [
        head.rstrip(),
        "",
        "Parameters\n----------",
        _PARAMETERS.format(random_tie_break=default).rstrip(),
        own.rstrip() if parameters else "",
        "",
    ]
    return "\n".join(
        [*parts, _RETURNS + reference, *(["", see_also + links] if see_also else [])]
    )


def query_strategy(
    *,
    family: str,
    needs: tuple[str, ...] = (),
    reference: str,
    cost: str,
    aliases: tuple[str, ...] = (),
) -> Callable[[Callable[P, Chosen]], Callable[P, Chosen]]:
    """Register a function as a query strategy under its own name.

    The function is made to keep the contract.

    The function is called with checked arguments, inside
    :func:`al_sklearn.inference.shared`, and with the global random generators put back
    afterwards. It must return ``n_instances`` unique positions, most useful first, and
    their scores. The same function again, as a notebook's cell that is run twice gives
    it, replaces itself.

    Parameters
    ----------
    family : str
        One of ``FAMILIES``.
    needs : tuple of str
        What it asks of the classifier, from ``NEEDS``.
    reference : str
        Where it was published; ``"-"`` for folklore.
    cost : str
        Time in n, C, d, b, T, l.
    aliases : tuple of str
        Other names that find it.

    Raises
    ------
    ValueError
        When another strategy has the name, it is none, or ``family`` or ``needs`` is
        unknown.
    """
    if family not in FAMILIES:
        raise unknown_name("family", family, FAMILIES)
    for need in needs:
        if need not in NEEDS:
            raise unknown_name("need", need, NEEDS)

    def register(function: Callable[P, Chosen]) -> Callable[P, Chosen]:
        name = function.__name__
        if not name.isidentifier():
            raise ValueError(f"A strategy needs a name of its own, got {name!r}.")
        signature = inspect.signature(function)
        # A strategy of one's own may take any option.
        takes_any = any(
            parameter.kind is parameter.VAR_KEYWORD
            for parameter in signature.parameters.values()
        )

        @functools.wraps(function)
        def strategy(
            classifier: Any, X: Any, n_instances: int = 1, **options: Any
        ) -> Chosen:
            for option in options:
                if not takes_any and option not in signature.parameters:
                    raise _no_such_option(name, option, signature)
            return run_strategy(function, name, classifier, X, n_instances, options)

        doc = inspect.getdoc(function) or ""
        strategy.__doc__ = _complete(doc, reference, signature)
        info = StrategyInfo(
            name,
            family,
            needs,
            doc.split("\n")[0],
            reference,
            cost,
            aliases,
            cast(Strategy, strategy),
        )
        _enter(info, function)
        strategy.info = info  # type: ignore[attr-defined]
        return cast(Callable[P, Chosen], strategy)

    return register


def variant(
    strategy: Callable[..., Chosen],
    name: str,
    summary: str,
    *,
    needs: tuple[str, ...] | None = None,
    reference: str | None = None,
    cost: str | None = None,
    aliases: tuple[str, ...] = (),
    **defaults: Any,
) -> Callable[..., Chosen]:
    """Register a strategy once more, under another name and with other defaults.

    Parameters
    ----------
    strategy : strategy
        A registered one.
    name, summary : str
        Of the variant; everything else is documented as in ``strategy``.
    needs, reference, cost : optional
        Where they differ.
    aliases : tuple of str
        Its other names.
    **defaults
        Options and their values.
    """
    info: StrategyInfo = strategy.info  # type: ignore[attr-defined]
    function = inspect.unwrap(strategy)
    signature = inspect.signature(function)

    def run(classifier: Any, X: Any, n_instances: int = 1, **options: Any) -> Chosen:
        return function(classifier, X, n_instances, **(defaults | options))

    told = ", ".join(f"``{option}={value!r}``" for option, value in defaults.items())
    doc = inspect.getdoc(function) or ""
    # Documented once, by the strategy; only the defaults differ.
    own = doc[doc.find("Parameters\n---") :]
    for option, value in defaults.items():
        line = rf"^({option} : .*?)(, optional|, default=.*)?$"
        own = re.sub(line, rf"\1, default={value!r}", own, count=1, flags=re.M)
    run.__name__ = run.__qualname__ = name
    run.__annotations__ = get_type_hints(function)
    run.__doc__ = f"{summary}\n\n:func:`{info.name}` with {told}.\n\n{own}"
    run.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[
            parameter.replace(default=defaults.get(option, parameter.default))
            for option, parameter in signature.parameters.items()
        ]
    )
    return query_strategy(
        family=info.family,
        needs=info.needs if needs is None else needs,
        reference=reference or info.reference,
        cost=cost or info.cost,
        aliases=aliases,
    )(run)


def _enter(info: StrategyInfo, function: Function) -> None:
    """Enter a strategy under its name and aliases, if no other one has them."""
    for taken in (info.name, *info.aliases):
        other = _find(taken)
        if other is not None and not same_function(
            inspect.unwrap(other.function), function
        ):
            raise ValueError(f"The strategy name {taken!r} is taken.")
    _registry[info.name] = info


def _find(name: str) -> StrategyInfo | None:
    """Find a strategy by its name or one of its aliases."""
    if name in _registry:
        return _registry[name]
    found = (info for info in _registry.values() if name in info.aliases)
    return next(found, None)


def _no_such_option(name: str, option: str, signature: inspect.Signature) -> TypeError:
    """Say which options a strategy takes; of an old name, the new one."""
    options = [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    new = _RENAMED.get(option)
    hint = f"; it is called {new!r}" if new in options else ""
    allowed = ", ".join(sorted(options))
    return TypeError(f"{name} takes no {option!r}{hint}. Options: {allowed}.")


def catalogue() -> list[StrategyInfo]:
    """List every registered strategy, by family and then by name.

    Examples
    --------
    >>> [info.name for info in catalogue() if info.needs == ("gradients",)]
    ['badge']
    """
    return sorted(
        _registry.values(), key=lambda info: (FAMILIES.index(info.family), info.name)
    )


def get_strategy(strategy: str | Strategy) -> Strategy:
    """Find a strategy by its name or alias; a callable is returned as it is.

    Names that other libraries have for the same, and other spellings of ours, find it
    too: ``"CoreSet"``, ``"entropy_sampling"``.

    Raises
    ------
    ValueError
        When no strategy has that name; those that exist are listed.
    TypeError
        When it is neither a name nor callable.
    """
    if callable(strategy):
        return strategy
    if not isinstance(strategy, str):
        raise TypeError(
            f"A query strategy is a name or a callable, got {type(strategy).__name__}."
        )
    info = _find(strategy)
    if info is None:
        aliases = [alias for known in _registry.values() for alias in known.aliases]
        names = [*_registry, *aliases]
        same = same_strategy(strategy, names)
        if same is None:
            raise ValueError(
                f"Unknown strategy {strategy!r}.{suggest_strategy(strategy, names)} "
                f"Available: {', '.join(sorted(names))}."
            )
        info = _find(same)
        assert info is not None
    return info.function


def strategy_name(strategy: str | Strategy) -> str:
    """Give a strategy a short readable name.

    ``margin``, ``coreset(metric='cosine')``, ``two_stage(margin, badge)``.
    """
    if isinstance(strategy, str):
        return strategy_name(get_strategy(strategy))
    if isinstance(strategy, functools.partial):
        arguments = [*map(_written, strategy.args)]
        arguments += [
            f"{key}={_written(value)}"
            for key, value in sorted(strategy.keywords.items())
        ]
        return f"{strategy_name(strategy.func)}({', '.join(arguments)})"
    return str(getattr(strategy, "__name__", None) or repr(strategy))


def _written(value: Any) -> str:
    """An option as it would be written.

    A function by its name, since its repr changes with the process.
    """
    return strategy_name(value) if callable(value) else repr(value)


def follows_contract(strategy: str | Strategy) -> bool:
    """Whether a strategy is one of ours, which read any kind of X lazily.

    Others are given real rows.
    """
    while isinstance(strategy, functools.partial):
        strategy = cast(Strategy, strategy.func)
    return (
        isinstance(strategy, str)
        or hasattr(strategy, "info")
        or hasattr(strategy, "reads_lazily")
    )


def takes_random_state(strategy: Function) -> bool:
    """Whether it has a ``random_state`` of its own that nobody has bound yet.

    ``functools.partial`` would bind it, for example.
    """
    try:
        parameter = inspect.signature(strategy).parameters.get("random_state")
    except (TypeError, ValueError):
        # A function written in C says nothing about its parameters.
        return False
    return parameter is not None and parameter.default in (
        None,
        inspect.Parameter.empty,
    )
