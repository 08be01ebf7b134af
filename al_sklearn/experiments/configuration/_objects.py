"""Objects made of what an experiment file says of them.

These are estimators, strategies, criteria and rules.

An object is its name, or its name with its options: ``StandardScaler``,
``LogisticRegression: {C: 0.1}``. One value that is no mapping is the first option:
``Budget: 200``. A list of estimators is a pipeline.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
import warnings
from collections.abc import Callable, Collection, Mapping
from functools import cache, partial
from types import ModuleType
from typing import Any, Final, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, is_regressor

from al_sklearn.experiments.configuration._net_options import check_net_options
from al_sklearn.experiments.configuration._problems import (
    Key,
    Problem,
    shown,
    unknown_key,
)
from al_sklearn.strategies import get_strategy

# Where a name without a dot is looked for, in this order.
_MODULES: Final = (
    "al_sklearn.estimators",
    "al_sklearn.loop.stopping",
    "al_sklearn.loop.labelling_rate",
    "al_sklearn.experiments.hard_pools",
    "al_sklearn.experiments.tracking",
    *(
        f"sklearn.{name}"
        for name in (
            "linear_model",
            "preprocessing",
            "ensemble",
            "svm",
            "neighbors",
            "naive_bayes",
            "tree",
            "discriminant_analysis",
            "neural_network",
            "gaussian_process",
            "decomposition",
            "feature_selection",
            "random_projection",
            "kernel_approximation",
            "calibration",
            "dummy",
            "multiclass",
        )
    ),
    "skorch.dataset",
    "skorch.callbacks",
)


class _Kind(NamedTuple):
    """Where the objects of a key come from, and what they are."""

    module: str
    base: str
    called: str


_CRITERION: Final = _Kind(
    "al_sklearn.loop.stopping", "StoppingCriterion", "a stopping criterion"
)
# What may stand under some keys; anything else there is an estimator, or an option of
# one.
KINDS: Final = {
    "stopping": _CRITERION,
    "criteria": _CRITERION,
    "n_instances": _Kind(
        "al_sklearn.loop.labelling_rate", "LabellingRate", "a labelling rate"
    ),
    "pool": _Kind("al_sklearn.experiments.hard_pools", "PoolTransform", "a hard pool"),
    "callbacks": _Kind("al_sklearn.experiments.tracking", "Callback", "a callback"),
}
# Under these keys a plain word or list stands for an object; elsewhere it is text, or a
# list of values.
_OBJECT_KEYS: Final = frozenset(
    {
        "estimator",
        "stopping",
        "criteria",
        "labelling_rate",
        "train_split",
        "pool",
        "callbacks",
    }
)
# Parts of networks' training, no classifiers.
_HELPERS: Final = frozenset({"ImageDataset", "ImageLoader"})
_LISTS: Final = frozenset({"criteria", "pool", "callbacks"})
_COMPOSERS: Final = frozenset(
    {
        "mix",
        "two_stage",
        "subsample",
        "weighted",
        "stochastic",
        "without_near_duplicates",
    }
)
_RESERVED: Final = frozenset({"random_state", "random_tie_break"})
_PLAIN: Final[dict[str, tuple[type, ...]]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "None": (type(None),),
}


def build_estimator(spec: Any, key: Key) -> Any:
    """Make a classifier, or a pipeline of a list.

    Raises
    ------
    Problem
        At the key that is wrong.
    """
    estimator = _build(spec, key)
    steps = getattr(estimator, "_validate_steps", None)
    if steps is not None:
        try:
            steps()
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
        At the key that is wrong.
    """
    kind = KINDS[str(key[-1])]
    if key[-1] in _LISTS and isinstance(spec, list):
        return [_of_kind(part, kind, (*key, i)) for i, part in enumerate(spec)]
    thing = _of_kind(spec, kind, key)
    return [thing] if key[-1] == "callbacks" else thing


def _of_kind(spec: Any, kind: _Kind, key: Key) -> Any:
    if isinstance(spec, list):
        raise Problem(
            key,
            f"must be {kind.called}, not a list; several criteria go into AnyOf or "
            "AllOf.",
        )
    name, _ = _name_and_options(spec, key, kind.called)
    factory, base = (
        _find(name, key, kind),
        getattr(importlib.import_module(kind.module), kind.base),
    )
    # A function that makes one is known by what it makes.
    thing = (
        None
        if isinstance(factory, type) and not issubclass(factory, base)
        else _build(spec, key, kind)
    )
    if not isinstance(thing, base):
        raise Problem(
            key,
            f"must be {kind.called}, got {shown(spec)}. Allowed: "
            f"{', '.join(_names_of(kind))}.",
        )
    return thing


def build_initial(spec: Any, key: Key, words: Collection[str]) -> Any:
    """Make the strategy that chooses the first images.

    This is for where ``spec`` is none of the words for drawing them.
    """
    if isinstance(spec, str) and (
        close := difflib.get_close_matches(spec, words, n=1, cutoff=0.75)
    ):
        raise Problem(
            key,
            f"must be {', '.join(words)} or a strategy, got {spec!r}. Did you mean "
            f"{close[0]!r}?",
        )
    return build_strategy(spec, key)


def build_option(spec: Any, key: Key) -> Any:
    """Make an option's value: plain values stay, objects are made."""
    return _value(spec, key)


def build_strategies(spec: Any, key: Key) -> list[Any] | dict[str, Any]:
    """Make the strategies of a list, or of a mapping from names of one's own.

    Raises
    ------
    Problem
        At the key that is wrong.
    """
    if isinstance(spec, Mapping) and spec:
        for name in spec:
            if not str(name).strip():
                raise Problem((*key, name), "must be a name.")
        return {
            str(name): build_strategy(part, (*key, name)) for name, part in spec.items()
        }
    if isinstance(spec, list) and spec:
        return [build_strategy(part, (*key, i)) for i, part in enumerate(spec)]
    raise Problem(
        key,
        "must be a list of strategies, or a mapping of names to them; got "
        f"{shown(spec)}.",
    )


def build_strategy(spec: Any, key: Key) -> Callable[..., Any]:
    """Make one strategy: a name, a name with options, or a composition.

    Raises
    ------
    Problem
        At the key that is wrong.
    """
    name, options = _name_and_options(spec, key, "a strategy")
    inner = key if isinstance(spec, str) else (*key, name)
    if name in _COMPOSERS:
        return _compose(name, options, inner)
    strategy = _import(name, key) if "." in name else None
    if strategy is not None and not callable(strategy):
        raise Problem(
            key,
            f"must be a strategy, {name} is {shown(strategy)}, which cannot be called.",
        )
    if strategy is None:
        try:
            strategy = get_strategy(name)
        except ValueError as error:
            close = difflib.get_close_matches(name, _COMPOSERS, n=1, cutoff=0.8)
            hint = (
                f" Did you mean {close[0]!r}?"
                if close and "Did you mean" not in str(error)
                else ""
            )
            raise Problem(
                key,
                f"is wrong: {error}{hint} Compositions: "
                f"{', '.join(sorted(_COMPOSERS))}.",
            ) from error
    if options is None:
        return strategy
    if not isinstance(options, Mapping):
        raise Problem(
            inner, f"must be a mapping of the strategy's options, got {shown(options)}."
        )
    parameters = inspect.signature(strategy).parameters
    allowed = {
        option: parameter
        for option, parameter in parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        and option not in _RESERVED
        and not option.startswith(("X_", "y_"))
    }
    built: dict[str, Any] = {}
    for option, value in options.items():
        where = (*inner, option)
        if option not in allowed:
            raise unknown_key(where, allowed)
        if option == "strategies":
            built[option] = list(build_strategies(value, where))
            continue
        built[option] = _checked(
            _value(value, where), allowed[option].annotation, where
        )
    if "." not in name:
        _rehearse(partial(strategy, **built), built, inner)
    return partial(strategy, **built)


def _rehearse(
    strategy: Callable[..., Any], options: Mapping[str, Any], key: Key
) -> None:
    """Let a strategy meet its options that are words, on a handful of rows.

    Else it would after the first training.

    A forest gives most of what strategies ask for; whatever else goes wrong here says
    nothing of the experiment.
    """
    words = {
        option: value for option, value in options.items() if isinstance(value, str)
    }
    if not words:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            strategy(
                _pupil(), np.random.default_rng(0).random((12, 4)), 2, random_state=0
            )
    except ValueError as error:
        for option, value in words.items():
            if repr(value) in str(error):
                raise Problem((*key, option), f"is wrong: {error}") from error
    except (TypeError, AttributeError, LookupError, ImportError, RuntimeError):
        # It wants a network, or images.
        return


@cache
def _pupil() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    from al_sklearn.learners import ActiveLearner

    X, y = np.random.default_rng(1).random((6, 4)), np.arange(6) % 2
    forest = RandomForestClassifier(n_estimators=3, random_state=0).fit(X, y)
    return ActiveLearner(forest, X_training=X, y_training=y)


def _compose(name: str, options: Any, key: Key) -> Callable[..., Any]:
    compose = getattr(importlib.import_module("al_sklearn.strategies"), name)
    if name == "mix":
        pairs = list(options.items()) if isinstance(options, Mapping) else options
        if not isinstance(pairs, list) or not pairs:
            raise Problem(
                key,
                "must be a list of pairs [share, strategy], as [[0.5, margin], [0.5, "
                "random_sampling]].",
            )
        parts = []
        for i, pair in enumerate(pairs):
            where = (*key, i)
            if (
                not isinstance(pair, list | tuple)
                or len(pair) != 2
                or not isinstance(pair[0], int | float)
            ):
                raise Problem(
                    where, f"must be a pair [share, strategy], got {shown(pair)}."
                )
            parts.append((pair[0], build_strategy(pair[1], (*where, 1))))
        return _call(compose, parts, {}, key)
    parameters = inspect.signature(compose).parameters
    if not isinstance(options, Mapping):
        options = {} if options is None else {next(iter(parameters)): options}
    built = {}
    for option, value in options.items():
        where = (*key, option)
        if option not in parameters:
            raise unknown_key(where, parameters)
        takes_strategy = option in {"strategy", "prefilter", "select"}
        built[option] = (
            build_strategy(value, where) if takes_strategy else _value(value, where)
        )
    return _call(compose, [], built, key)


def _build(spec: Any, key: Key, kind: _Kind | None = None) -> Any:
    if isinstance(spec, list):
        from sklearn.pipeline import make_pipeline

        if not spec:
            raise Problem(key, "is an empty list; a pipeline needs steps.")
        return make_pipeline(*[_build(part, (*key, i)) for i, part in enumerate(spec)])
    name, options = _name_and_options(spec, key, "an object")
    inner = key if isinstance(spec, str) else (*key, name)
    factory = _find(name, key, kind)
    parameters = {
        option: parameter
        for option, parameter in inspect.signature(factory).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }
    if options is not None and not isinstance(options, Mapping):
        if not parameters:
            raise Problem(inner, f"takes no options, got {shown(options)}.")
        options = {next(iter(parameters)): options}
    built = {}
    for option, value in (options or {}).items():
        where = (*inner, option)
        _check_option(factory, str(option), parameters, where)
        if option == "module" and isinstance(value, str):
            value = _network(value, where)
        if option == "optimizer" and isinstance(value, str):
            value = {"import": value if "." in value else f"torch.optim.{value}"}
        built[str(option)] = _value(value, where)
    if hasattr(factory, "initialize_module"):
        check_net_options(built, _inherited(factory)["optimizer"].default, inner)
    thing = _call(factory, [], built, inner)
    _check_parameters(thing, inner)
    return thing


def _value(spec: Any, key: Key) -> Any:
    last = key[-1] if key else ""
    if last in _OBJECT_KEYS and (
        isinstance(spec, list | Mapping) or (isinstance(spec, str) and _is_object(spec))
    ):
        kind = KINDS[last] if last == "criteria" else None
        if last in _LISTS and isinstance(spec, list):
            return [_build(part, (*key, i), kind) for i, part in enumerate(spec)]
        return _build(spec, key)
    if isinstance(spec, list):
        return [_value(part, (*key, i)) for i, part in enumerate(spec)]
    if not isinstance(spec, Mapping):
        return spec
    if len(spec) == 1:
        [(name, options)] = spec.items()
        if name == "import":
            return _import(str(options), key)
        if name == "range":
            if not isinstance(options, list) or len(options) not in (2, 3):
                raise Problem(
                    (*key, name),
                    f"must be [low, high] or [low, high, log], got {shown(options)}.",
                )
            return tuple(options)
        if isinstance(name, str) and _is_object(name):
            return _build(spec, key)
    return {name: _value(part, (*key, name)) for name, part in spec.items()}


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


def _is_object(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z_]\w*(\.\w+)+", name) is not None or (
        name[:1].isupper() and name in _names()
    )


def _find(name: str, key: Key, kind: _Kind | None = None) -> Any:
    if "." in name:
        thing = _import(name, key)
        if not callable(thing):
            raise Problem(key, f"must be a class, {name} is {shown(thing)}.")
        return thing
    module = _names().get(name)
    if module is None:
        known = (
            _names_of(kind)
            if kind is not None
            else [n for n in _names() if n not in _HELPERS]
        )
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        more = "; any other by its import path."
        if kind is None:
            known = sorted(
                n
                for n, where in _names().items()
                if where == _MODULES[0] and n not in _HELPERS
            )
            more = (
                "; scikit-learn's classes by name; any other by its import path, as "
                "sklearn.linear_model.LogisticRegression."
            )
        raise Problem(
            key,
            f"names {name!r}, which does not exist.{hint} Allowed: "
            f"{', '.join(known)}{more}",
        )
    return getattr(importlib.import_module(module), name)


def _names_of(kind: _Kind) -> list[str]:
    """Names of the classes that may stand under a key."""
    module = importlib.import_module(kind.module)
    base = getattr(module, kind.base)
    found = [getattr(module, name) for name in _classes(module)]
    # Those that others are made of are no use by themselves.
    return sorted(
        one.__name__
        for one in found
        if issubclass(one, base) and not _is_base(one, found)
    )


def _is_base(one: type, others: list[type]) -> bool:
    return any(issubclass(other, one) and other is not one for other in others)


@cache
def _names() -> dict[str, str]:
    names: dict[str, str] = {}
    for path in _MODULES:
        module = importlib.import_module(path)
        for name in _classes(module):
            names.setdefault(name, path)
    return names


def _classes(module: ModuleType) -> list[str]:
    public = getattr(module, "__all__", None) or [
        name for name in vars(module) if not name.startswith("_")
    ]
    return [name for name in public if inspect.isclass(getattr(module, name, None))]


def _import(path: str, key: Key) -> Any:
    parts = path.split(".")
    for n in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:n])
        try:
            thing: Any = importlib.import_module(module)
        except ModuleNotFoundError as error:
            # Only where the path itself is wrong, not where something inside is
            # missing.
            if error.name is not None and (
                module == error.name or module.startswith(f"{error.name}.")
            ):
                continue
            raise Problem(
                key, f"asks for {path}, which needs {error.name}; it is not installed."
            ) from error
        for i, part in enumerate(parts[n:]):
            if not hasattr(thing, part):
                close = difflib.get_close_matches(part, dir(thing), n=1)
                hint = f" Did you mean {close[0]!r}?" if close else ""
                raise Problem(
                    key,
                    f"asks for {path}, but {'.'.join(parts[: n + i])} has no "
                    f"{part!r}.{hint}",
                )
            thing = getattr(thing, part)
        return thing
    raise Problem(
        key,
        f"asks for {path}, but there is no module {parts[0]!r}; it must be an import "
        "path.",
    )


def _check_option(
    factory: Any, option: str, parameters: Mapping[str, Any], key: Key
) -> None:
    inherited = _inherited(factory) if hasattr(factory, "initialize_module") else {}
    known = {*parameters, *inherited}
    # skorch's prefixes reach the parts: module__dropout, optimizer__weight_decay,
    # iterator_train__min_batches.
    prefix, double, _ = option.partition("__")
    passes_on = any(
        p.kind is inspect.Parameter.VAR_KEYWORD
        for p in inspect.signature(factory).parameters.values()
    )
    if option not in known and not (double and prefix in known and passes_on):
        raise unknown_key(key, known)


def _inherited(factory: Any) -> dict[str, Any]:
    """Parameters that a subclass of a skorch net passes on as keywords."""
    found: dict[str, Any] = {}
    # What a class itself says of a parameter comes last, and stays.
    for base in reversed(inspect.getmro(factory)):
        if "__init__" in vars(base) and hasattr(base, "initialize_module"):
            named = inspect.signature(base).parameters.values()
            variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
            found |= {
                p.name: p for p in named if p.kind not in variadic and p.name != "self"
            }
    return found


def _network(name: str, key: Key) -> Any:
    from al_sklearn.estimators.networks import NETWORKS, torchvision_names

    if ":" in name:
        return name
    if "." in name:
        return _import(name, key)
    known = [*NETWORKS, *torchvision_names()]
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise Problem(
            key,
            f"must be a network, got {name!r}.{hint} Allowed: {', '.join(known)}, "
            "timm:….",
        )
    return name


def _call(factory: Any, args: list[Any], options: dict[str, Any], key: Key) -> Any:
    parameters = list(inspect.signature(factory).parameters.values())[len(args) :]
    single = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    missing = [
        p.name
        for p in parameters
        if p.kind in single and p.default is p.empty and p.name not in options
    ]
    if missing:
        raise Problem(key, f"needs {' and '.join(missing)}.")
    try:
        return factory(*args, **options)
    except (TypeError, ValueError) as error:
        option = next(
            (
                name
                for name in options
                if re.search(rf"\b{re.escape(name)}\b", str(error))
            ),
            None,
        )
        raise Problem(
            key if option is None else (*key, option), f"is wrong: {error}"
        ) from error


def _check_parameters(thing: Any, key: Key) -> None:
    """Let an estimator check its own parameters before anything runs.

    This is for estimators of scikit-learn's kind.
    """
    if hasattr(type(thing), "_parameter_constraints"):
        check_constraints(thing, key)


def check_constraints(thing: Any, key: Key) -> None:
    """Turn what scikit-learn's validation says into a problem at a key.

    The key is the parameter's.
    """
    try:
        thing._validate_params()
    except ValueError as error:
        found = re.match(r"The '(\w+)' parameter of \w+ (.*)", str(error), re.DOTALL)
        if found is None:
            raise Problem(key, f"is wrong: {error}") from error
        raise Problem(
            (*key, found[1]), _in_plain_words(found[2], getattr(thing, found[1], None))
        ) from error


def _in_plain_words(text: str, value: Any) -> str:
    """Sort the words that are allowed, and name classes by their names.

    The words come in any order.
    """
    text = re.sub(r"an instance of '(?:\w+\.)*(\w+)'", r"a \1", text)
    words = re.search(r"among \{(.*?)\}", text)
    if words is None:
        return text
    allowed = sorted(words[1].split(", "))
    close = difflib.get_close_matches(repr(value), allowed, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    return f"{text.replace(words[1], ', '.join(allowed))}{hint}"


def _checked(value: Any, annotation: Any, key: Key) -> Any:
    """Compare a strategy's option with its annotation, where that is of plain types."""
    kinds = [part.strip() for part in str(annotation).split("|")]
    if all(kind in _PLAIN for kind in kinds):
        types = tuple(kind for name in kinds for kind in _PLAIN[name])
        if not isinstance(value, types) or (
            isinstance(value, bool) and bool not in types
        ):
            raise Problem(key, f"must be {' or '.join(kinds)}, got {shown(value)}.")
    return value
