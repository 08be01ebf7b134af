"""Objects made of what an experiment file says of them.

These are estimators, strategies, criteria and rules.

An object is its name, or its name with its options: ``StandardScaler``,
``LogisticRegression: {C: 0.1}``. One value that is no mapping is the first option:
``Budget: 200``. A list of estimators is a pipeline. Whatever is wrong is raised as one
:class:`Problem`, with the key of each option.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Final

from sklearn.base import BaseEstimator, is_regressor

from al_sklearn import strategies
from al_sklearn._core.types import Options
from al_sklearn.experiments.configuration._models import Net, check
from al_sklearn.experiments.configuration._names import (
    Kind,
    find,
    find_import,
    is_object,
)
from al_sklearn.experiments.configuration._options import (
    check_constraints,
    check_name,
    check_parts,
    check_value,
    is_net,
    parameters_of,
)
from al_sklearn.experiments.configuration._problems import (
    Key,
    Problem,
    did_you_mean,
    each,
    raise_all,
    shown,
    unknown_key,
)
from al_sklearn.experiments.configuration._trust import check_option
from al_sklearn.experiments.protocol import INITIAL

# What is made of a strategy's text.
Strategy = Callable[..., Any]

_CRITERION: Final = Kind(
    "al_sklearn.loop.stopping", "StoppingCriterion", "a stopping criterion"
)
# What may stand under some keys; anything else there is an estimator, or an option of
# one.
KINDS: Final = {
    "stopping": _CRITERION,
    "criteria": _CRITERION,
    "n_instances": Kind(
        "al_sklearn.loop.labelling_rate", "LabellingRate", "a labelling rate"
    ),
    "pool": Kind("al_sklearn.experiments.hard_pools", "PoolTransform", "a hard pool"),
    "callbacks": Kind("al_sklearn.experiments.tracking", "Callback", "a callback"),
}
# Under these keys a plain word or list stands for an object; elsewhere it is text, or a
# list of values.
_OBJECT_KEYS: Final = frozenset(
    {*KINDS, "estimator", "labelling_rate", "train_split"} - {"n_instances"}
)
_LISTS: Final = frozenset({"criteria", "pool", "callbacks"})
_COMPOSERS: Final = (
    "by_committee",
    "mix",
    "stochastic",
    "subsample",
    "two_stage",
    "weighted",
    "without_near_duplicates",
)
# Of a strategy's options those that hold strategies.
_INNER: Final = frozenset({"strategy", "prefilter", "select"})
# The loop gives these.
_RESERVED: Final = frozenset({"random_state", "random_tie_break"})


def build_estimator(spec: Any, key: Key) -> Any:
    """Make a classifier, or a pipeline of a list.

    Raises
    ------
    Problem
        At the keys that are wrong.
    """
    estimator = _build(spec, key)
    # A pipeline looks at its steps when it is fitted, which is late.
    check_steps = getattr(estimator, "_validate_steps", None)
    if check_steps is not None:
        try:
            check_steps()
        except TypeError as error:
            raise Problem(
                key, "must be a list of transformers that ends with a classifier."
            ) from error
    is_one = hasattr(estimator, "fit") and hasattr(estimator, "predict")
    if not is_one or (isinstance(estimator, BaseEstimator) and is_regressor(estimator)):
        raise Problem(
            key,
            "must be a classifier, or a list of steps that ends with one; got "
            f"{shown(spec)}.",
        )
    return estimator


def build_kind(spec: Any, key: Key) -> Any:
    """Make the object of a key of ``comparison``.

    It is the criterion, the labelling rate, the hard pools or the callbacks.

    Raises
    ------
    Problem
        At the keys that are wrong.
    """
    kind = KINDS[str(key[-1])]
    # One stands for a list of one.
    if key[-1] in _LISTS and isinstance(spec, list):
        return _each(partial(_of_kind, kind=kind), spec, key)
    thing = _of_kind(spec, key, kind)
    return [thing] if key[-1] == "callbacks" else thing


def _each(make: Callable[[Any, Key], Any], parts: Any, key: Key) -> list[Any]:
    """Make every part of a list, or of a mapping, at a key of its own."""
    named = parts.items() if isinstance(parts, Mapping) else enumerate(parts)
    return each(partial(make, part, (*key, name)) for name, part in named)


def _of_kind(spec: Any, key: Key, kind: Kind) -> Any:
    if isinstance(spec, list):
        raise Problem(
            key,
            f"must be {kind.called}, not a list; several criteria go into AnyOf or "
            "AllOf.",
        )
    name, _ = _name_and_options(spec, key, kind.called)
    factory = find(name, key, kind)
    # A function that makes one is known by what it makes.
    is_other = isinstance(factory, type) and not issubclass(factory, kind.type)
    thing = None if is_other else _build(spec, key, kind)
    if not isinstance(thing, kind.type):
        raise Problem(
            key,
            f"must be {kind.called}, got {shown(spec)}. Allowed: "
            f"{', '.join(kind.names())}.",
        )
    return thing


def build_initial(spec: Any, key: Key) -> Any:
    """Return the word for how the first images are drawn, or make the strategy."""
    if isinstance(spec, str) and spec in INITIAL:
        return spec
    hint = did_you_mean(spec, INITIAL, cutoff=0.75) if isinstance(spec, str) else ""
    if hint:
        raise Problem(
            key, f"must be {', '.join(INITIAL)} or a strategy, got {spec!r}.{hint}"
        )
    return build_strategy(spec, key)


def build_strategies(spec: Any, key: Key) -> list[Any] | Options:
    """Make the strategies of a list, or of a mapping from names of one's own.

    Raises
    ------
    Problem
        At the keys that are wrong.
    """
    if not isinstance(spec, list | Mapping) or not spec:
        raise Problem(
            key,
            "must be a list of strategies, or a mapping of names to them; got "
            f"{shown(spec)}.",
        )
    names = spec if isinstance(spec, Mapping) else range(len(spec))
    nameless = [name for name in names if not str(name).strip()]
    raise_all([Problem((*key, name), "must be a name.") for name in nameless])
    built = _each(build_strategy, spec, key)
    if isinstance(spec, list):
        return built
    return dict(zip(map(str, names), built, strict=True))


def build_strategy(spec: Any, key: Key) -> Strategy:
    """Make one strategy: a name, a name with options, or a composition.

    Raises
    ------
    Problem
        At the keys that are wrong.
    """
    name, options = _name_and_options(spec, key, "a strategy")
    inner = key if isinstance(spec, str) else (*key, name)
    if name == "mix":
        return _mix(options, inner)
    strategy = _find_strategy(name, key)
    parameters = inspect.signature(strategy).parameters
    is_composer = name in _COMPOSERS
    if is_composer:
        options = _as_mapping(options, parameters, inner)
    if options is None:
        return strategy
    if not isinstance(options, Mapping):
        raise Problem(
            inner, f"must be a mapping of the strategy's options, got {shown(options)}."
        )
    allowed = [
        option
        for option, parameter in parameters.items()
        if is_composer
        or (
            parameter.kind is parameter.KEYWORD_ONLY
            and option not in _RESERVED
            # Data come from the loop.
            and not option.startswith(("X_", "y_"))
        )
    ]
    # core_gcn's select is a word, two_stage's a strategy.
    holds = _INNER if is_composer else frozenset()

    def built(value: Any, where: Key) -> Any:
        option = str(where[-1])
        if option not in allowed:
            raise unknown_key(where, allowed)
        if option in holds:
            return build_strategy(value, where)
        if option == "strategies":
            return list(build_strategies(value, where))
        value = build_option(value, where)
        check_value(strategy, option, value, where)
        return value

    values = _each(built, options, inner)
    keywords = dict(zip(options, values, strict=True))
    if is_composer:
        raise_all(_missing(parameters, keywords, inner))
        return _call(strategy, keywords, inner)
    return partial(strategy, **keywords)


def _find_strategy(name: str, key: Key) -> Strategy:
    if name in _COMPOSERS:
        return getattr(strategies, name)
    if "." in name:
        strategy = find_import(name, key)
        if callable(strategy):
            return strategy
        raise Problem(
            key,
            f"must be a strategy, {name} is {shown(strategy)}, which cannot be called.",
        )
    try:
        return strategies.get_strategy(name)
    except ValueError:
        infos = strategies.catalogue()
        known = [one for info in infos for one in (info.name, *info.aliases)]
        hint = strategies.suggest_strategy(name, [*known, *_COMPOSERS])
        raise Problem(
            key,
            f"is wrong: Unknown strategy {name!r}.{hint} Available: "
            f"{', '.join(sorted(known))}. Compositions: {', '.join(_COMPOSERS)}.",
        ) from None


def _mix(options: Any, key: Key) -> Strategy:
    # {0.5: margin, …} says the same as [[0.5, margin], …].
    pairs = list(options.items()) if isinstance(options, Mapping) else options
    if not isinstance(pairs, list) or not pairs:
        raise Problem(
            key,
            "must be a list of pairs [share, strategy], as [[0.5, margin], [0.5, "
            "random_sampling]].",
        )

    def part(pair: Any, where: Key) -> tuple[float, Strategy]:
        match pair:
            case [int() | float() as share, strategy]:
                return share, build_strategy(strategy, (*where, 1))
        raise Problem(where, f"must be a pair [share, strategy], got {shown(pair)}.")

    return _call(partial(strategies.mix, *_each(part, pairs, key)), {}, key)


def _build(spec: Any, key: Key, kind: Kind | None = None) -> Any:
    if isinstance(spec, list):
        from sklearn.pipeline import make_pipeline

        if not spec:
            raise Problem(key, "is an empty list; a pipeline needs steps.")
        return make_pipeline(*_each(_build, spec, key))
    name, options = _name_and_options(spec, key, "an object")
    inner = key if isinstance(spec, str) else (*key, name)
    factory = find(name, key, kind)
    parameters = parameters_of(factory)
    options = _as_mapping(options, parameters, inner)
    # Values that have a model are checked by it, the others where they are made.
    problems = check(Net, options, inner) if is_net(factory) else []
    wrong = {problem.key[-1] for problem in problems}
    built = {}
    for option, value in options.items():
        where = (*inner, option)
        if option in wrong:
            continue
        try:
            check_name(factory, option, where)
            built[option] = _option_of(factory, option, value, where)
        except Problem as problem:
            problems.append(problem)
    problems += _missing(parameters, options, inner)
    if is_net(factory):
        # What is wrong already says nothing of what its own options may be.
        problems += check_parts(factory, built, inner, {*options} - {*built})
    raise_all(problems)
    thing = _call(factory, built, inner)
    if hasattr(factory, "_parameter_constraints"):
        raise_all(check_constraints(thing, inner))
    return thing


def _as_mapping(options: Any, parameters: Mapping[str, Any], key: Key) -> Options:
    """Return options by name; one value that is no mapping is the first option."""
    if options is None:
        return {}
    if isinstance(options, Mapping):
        return {str(option): value for option, value in options.items()}
    if not parameters:
        raise Problem(key, f"takes no options, got {shown(options)}.")
    return {next(iter(parameters)): options}


def _option_of(factory: Any, option: str, value: Any, key: Key) -> Any:
    if is_net(factory):
        if option == "module" and isinstance(value, str) and ":" not in value:
            # The class or function itself; a name is looked up at fit.
            return find_import(value, key) if "." in value else value
        if option == "optimizer" and isinstance(value, str):
            return find_import(value if "." in value else f"torch.optim.{value}", key)
        return build_option(value, key)
    value = build_option(value, key)
    # Constraints say more than annotations, of those parameters that have some.
    if option not in getattr(factory, "_parameter_constraints", ()):
        check_value(factory, option, value, key)
    return value


def build_option(spec: Any, key: Key) -> Any:
    """Make an option's value: plain values stay, objects are made."""
    check_option(key, spec)
    last = key[-1] if key else ""
    is_made = isinstance(spec, list | Mapping) or is_object(spec)
    if last in _OBJECT_KEYS and is_made:
        make: Any = _build
        if last == "criteria":
            make = partial(_of_kind, kind=_CRITERION)
        in_list = last in _LISTS and isinstance(spec, list)
        return _each(make, spec, key) if in_list else make(spec, key)
    if isinstance(spec, list):
        return _each(build_option, spec, key)
    if not isinstance(spec, Mapping):
        return spec
    if len(spec) == 1:
        [(name, options)] = spec.items()
        # A class or function itself, not an object made of it.
        if name == "import":
            return find_import(str(options), key)
        if name == "range":
            if not isinstance(options, list) or len(options) not in (2, 3):
                raise Problem(
                    (*key, name),
                    f"must be [low, high] or [low, high, log], got {shown(options)}.",
                )
            # Of a tuning space: a list would mean choices.
            return tuple(options)
        if is_object(name):
            return _build(spec, key)
    return dict(zip(spec, _each(build_option, spec, key), strict=True))


def _name_and_options(spec: Any, key: Key, what: str) -> tuple[str, Any]:
    if isinstance(spec, str):
        return spec, None
    if isinstance(spec, Mapping) and len(spec) == 1:
        [(name, options)] = spec.items()
        return str(name), options
    raise Problem(
        key,
        f"must be the name of {what}, or that name with its options (name: {{option: "
        f"value}}); got {shown(spec)}.",
    )


def _missing(
    parameters: Mapping[str, inspect.Parameter], given: Collection[str], key: Key
) -> list[Problem]:
    missing = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and name not in given
    ]
    return [Problem(key, f"needs {' and '.join(missing)}.")] if missing else []


def _call(factory: Any, options: Mapping[str, Any], key: Key) -> Any:
    """Make it, with what its own constructor still says of its options."""
    try:
        return factory(**options)
    except (TypeError, ValueError) as error:
        # Of one option there is no doubt which is meant.
        where = (*key, *options) if len(options) == 1 else key
        raise Problem(where, f"is wrong: {error}") from error
