"""Commands of other packages: the entry points of the group ``al_sklearn.commands``."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import typer
from typer.main import get_command

GROUP: Final = "al_sklearn.commands"


# Looking through all installed packages takes time, and they stay the same.
@cache
def plugins() -> dict[str, EntryPoint]:
    """Return the commands that other packages bring, by name; none is loaded yet."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def command_of(entry: EntryPoint) -> Any:
    """Load a command: a typer app, or a function with typer's annotations.

    Raises
    ------
    Exception
        Whatever loading it raises.
    TypeError
        When it is neither.
    """
    # Imports the package, and whatever it imports.
    thing = entry.load()
    if not isinstance(thing, typer.Typer):
        if not callable(thing):
            raise TypeError(
                f"{entry.value} must be a typer app or a function, got {thing!r}"
            )
        # Plain, as our own commands: square brackets are no markup.
        app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
        app.command()(thing)
        thing = app
    command = get_command(thing)
    # What was installed says how it is called, not the function's name.
    command.name = entry.name
    return command
