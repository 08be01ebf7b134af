"""Whether an object can have the options that a file gives it, before it is made."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from functools import cache, partial
from typing import Any, Final, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json
from sklearn.utils._param_validation import StrOptions, make_constraint

from al_sklearn._core.types import Options
from al_sklearn.experiments.configuration._models import words_of_type
from al_sklearn.experiments.configuration._problems import (
    Key,
    Problem,
    did_you_mean,
    shown,
    unknown_key,
)
from al_sklearn.strategies import get_measure, get_selector

# Options that name something to which users add: who finds it says what there is.
_FINDERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "measure": partial(get_measure, of=None),
    "selector": get_selector,
}

# scikit-learn's kinds of constraints that have no public names.
_BOOLEAN: Final = make_constraint("boolean")
_INSTANCE: Final = make_constraint(dict)


def check_value(function: Any, option: str, value: Any, key: Key) -> None:
    """Compare an option's plain value with what the function's signature says of it.

    Raises
    ------
    Problem
        At ``key``, with what is allowed.
    """
    if option in _FINDERS and isinstance(value, str):
        try:
            _FINDERS[option](value)
        except ValueError as error:
            raise Problem(key, f"is wrong: {error}") from error
    kind = _hints(function).get(option, Any)
    try:
        # As JSON, where a list may stand for a tuple and true is no number.
        text = to_json(value, inf_nan_mode="constants")
        _adapter(kind).validate_json(text, strict=True)
    except PydanticSerializationError:
        # It holds objects: whoever takes them knows them best.
        return
    except ValidationError:
        allowed = list(words_of_type(kind))
        said = f"must be {' or '.join(allowed)}, got {shown(value)}."
        raise Problem(key, f"{said}{did_you_mean(value, allowed)}") from None


@cache
def _hints(function: Any) -> Options:
    """Return the types of a function's parameters, or of those that a class takes."""
    try:
        # A class may take what the one that it derives from does.
        made = function.__init__ if inspect.isclass(function) else function
        return get_type_hints(made)
    except NameError:
        # Names that its module imports for type checkers alone.
        return {}


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True))


def check_constraints(thing: Any, key: Key) -> list[Problem]:
    """Compare the parameters of scikit-learn's kind with what their class says."""
    problems = []
    values = thing.get_params(deep=False)
    for name, constraints in thing._parameter_constraints.items():
        if name not in values or constraints == "no_validation":
            continue
        kinds = [make_constraint(constraint) for constraint in constraints]
        if any(kind.is_satisfied_by(values[name]) for kind in kinds):
            continue
        shows = [kind for kind in kinds if not kind.hidden]
        words = [word for kind in shows for word in _options_of(kind)]
        allowed = " or ".join(map(_in_words, shows))
        problems.append(
            Problem(
                (*key, name),
                f"must be {allowed}; got {shown(values[name])}."
                f"{did_you_mean(values[name], words)}",
            )
        )
    return problems


def _options_of(constraint: Any) -> list[str]:
    # In any order otherwise: they are kept in a set.
    return sorted(constraint.options) if isinstance(constraint, StrOptions) else []


def _in_words(constraint: Any) -> str:
    """Say what a constraint allows; scikit-learn's words are for Python's users."""
    if words := _options_of(constraint):
        return ", ".join(words)
    if isinstance(constraint, type(_BOOLEAN)):
        return "true or false"
    if isinstance(constraint, type(_INSTANCE)):
        return f"a {constraint.type.__name__}"
    return str(constraint)


def is_net(factory: Any) -> bool:
    """Whether it makes skorch nets, whose options reach their parts by prefixes."""
    return hasattr(factory, "initialize_module")


@cache
def parameters_of(factory: Any) -> dict[str, inspect.Parameter]:
    """Return the parameters that are called by name.

    A subclass of a skorch net passes on what the classes before it take.
    """
    found: dict[str, inspect.Parameter] = {}
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    # What a class itself says of a parameter comes last, and stays.
    bases = reversed(inspect.getmro(factory)) if is_net(factory) else ()
    makers = [base for base in bases if is_net(base) and "__init__" in vars(base)]
    for maker in [*makers, factory]:
        for name, parameter in inspect.signature(maker).parameters.items():
            if parameter.kind not in variadic and name != "self":
                found[name] = parameter
    return found


def check_name(factory: Any, option: str, key: Key) -> None:
    """Compare an option's name with the parameters that there are.

    skorch's prefixes reach the parts: ``module__dropout``, ``optimizer__weight_decay``,
    ``iterator_train__min_batches``.

    Raises
    ------
    Problem
        At ``key``, with the parameters.
    """
    known = parameters_of(factory)
    prefix, reaches_in, _ = option.partition("__")
    is_part = is_net(factory) and reaches_in and prefix in known
    if option not in known and not is_part:
        raise unknown_key(key, known)


def check_parts(
    factory: Any, options: Mapping[str, Any], key: Key, unknown: Collection[str]
) -> list[Problem]:
    """Compare ``optimizer__momentum``, ``module__width`` and their like.

    They are what the optimizer and the network take, as far as these say it.

    Parameters
    ----------
    factory : class
        Of skorch nets.
    options : dict
        Its options, made.
    key : tuple
        Where they stand.
    unknown : collection of str
        Options that could not be made: nothing is said of their parts.
    """
    import torch

    from al_sklearn.estimators.networks import network_options

    defaults = parameters_of(factory)
    problems = []
    for part in ("optimizer", "module"):
        thing = options.get(part, defaults[part].default)
        if part in unknown or thing is inspect.Parameter.empty:
            continue
        names: list[str] | None
        if part == "module":
            names = network_options(thing)
        elif isinstance(thing, type) and issubclass(thing, torch.optim.Optimizer):
            # The parameters and their groups are skorch's to give, and so is the rate.
            names = [n for n in inspect.signature(thing).parameters if n != "params"]
            names = [*(n for n in names if n != "lr"), "param_groups"]
        else:
            text = f"must be a class of torch.optim, as SGD; got {shown(thing)}."
            problems.append(Problem((*key, part), text))
            continue
        for option in options:
            word = option.removeprefix(f"{part}__")
            # What has a prefix of its own is for a part of the part.
            if names is None or word == option or word in names or "__" in word:
                continue
            hint = did_you_mean(option, [f"{part}__{name}" for name in names])
            called = thing if isinstance(thing, str) else thing.__name__
            allowed = ", ".join(sorted(names))
            text = f"is no key here.{hint} {called} has: {allowed}."
            problems.append(Problem((*key, option), text))
    return problems
