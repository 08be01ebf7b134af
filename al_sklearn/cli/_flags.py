"""Flags made from the models of the experiment file, where all of them is said once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

from al_sklearn._core.types import Options
from al_sklearn.cli._console import option_from_text
from al_sklearn.experiments.configuration import (
    Key,
    Section,
    fields_of,
    flag_of,
    kinds_of,
)

F = TypeVar("F", bound=Callable[..., Any])


def flags(defaults: dict[str, str], **models: type[Section]) -> Callable[[F], F]:
    """Give a command the flags of models, beside its own; a decorator.

    The command gets what was given as a keyword ``section__key`` each, and None for the
    rest, so that defaults stay where they are written.

    Parameters
    ----------
    defaults : dict
        Defaults of the command's own, by section and key, to be shown.
    **models
        By section.
    """

    def decorate(command: F) -> F:
        # Evaluated here: typer looks for names in the command's module alone.
        own = inspect.signature(command, eval_str=True).parameters.values()
        # A dot would say it better, but parameters are Python's names.
        made = [
            _parameter(f"{section}__{key}", field, defaults)
            for section, model in models.items()
            for key, field in fields_of(model).items()
            if flag_of(field)
        ]
        kept = [one for one in own if one.kind is not one.VAR_KEYWORD]
        # The context comes first, what runs the command last.
        signature = inspect.Signature([kept[0], *made, *kept[1:]])
        command.__signature__ = signature  # type: ignore[attr-defined]
        command.__annotations__ = {
            name: one.annotation for name, one in signature.parameters.items()
        }
        return command

    return decorate


def _parameter(name: str, field: Any, defaults: dict[str, str]) -> inspect.Parameter:
    kinds, default = kinds_of(field), defaults.get(name, field.default)
    is_switch = kinds == {bool}
    help_text = str(field.description)
    if not is_switch and isinstance(default, int | float | str):
        help_text += f" [default: {default}]"
    # typer would show None: the model knows the default, None says "not given".
    option = typer.Option(
        flag_of(field),
        help=help_text,
        metavar=None if is_switch else _metavar(kinds),
        show_default=False,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=False if is_switch else None,
        annotation=Annotated[bool if is_switch else str | None, option],
    )


def _metavar(kinds: set[Any]) -> str:
    """Say what a value looks like; what has more than one look is YAML."""
    named = [kind for kind in (float, int, str) if kind in kinds]
    return f"<{named[0].__name__}>" if named else "<yaml>"


def values_of(model: type[Section], section: str, given: Options) -> Options:
    """Return what the flags of a section say, by key; what was not given is left out.

    Values are YAML, as in a file, except where the key is text whatever it looks like.
    """
    values = {}
    for key, field in fields_of(model).items():
        said = given.get(f"{section}__{key}")
        # A switch that was not given; no flag says false.
        if said is None or said is False:
            continue
        kinds = kinds_of(field)
        # A folder called 2020 stays text.
        value = said
        # So do several of them.
        is_text = str in kinds and kinds <= {str, list}
        if said is not True and not is_text:
            value = option_from_text(said, str(flag_of(field)))
        # 1e3 is a thousand, of whatever is counted; with a point it is a share.
        if isinstance(value, float) and value.is_integer() and "." not in said:
            value = int(value)
        # A shell has no lists; nothing that takes one has a comma in its name.
        if isinstance(value, str) and "," in value and list in kinds:
            # Words and numbers alike: 5,10,20 are three numbers.
            words = [word.strip() for word in value.split(",")]
            value = words
            if not is_text:
                value = [option_from_text(word, str(flag_of(field))) for word in words]
        values[key] = value
    return values


def places_of(model: type[Section], *section: str | int) -> dict[Key, int | str]:
    """Return the flag of each key, for messages."""
    return {
        (*section, key): flag
        for key, field in fields_of(model).items()
        if (flag := flag_of(field))
    }
