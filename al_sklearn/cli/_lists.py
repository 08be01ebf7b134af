"""The commands that list what there is."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from importlib import resources
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table

from al_sklearn._core.streams import Standard, say_line
from al_sklearn.cli._console import app, console, escape, say_version


class _Strategy(NamedTuple):
    """A row of the catalogue, as strategies.json has it."""

    name: str
    family: str
    needs: str
    summary: str


@app.command("strategies")
def list_strategies() -> None:
    """List the query strategies, by family: what each chooses, and what it needs.

    In a pipe or a file each is one line of name, family, needs and summary, with tabs
    between them.
    """
    found = list(_strategies())
    if not Standard("stdout").isatty():
        _lines(found)
        return
    table = Table(box=SIMPLE_HEAD)
    table.add_column("strategy", no_wrap=True)
    table.add_column("what it chooses, and what it needs")
    family = ""
    for one in found:
        # The catalogue is sorted by family.
        if one.family != family:
            family = one.family
            table.add_row(f"[bold]{family}[/]")
        needs = f" [dim]({one.needs})[/]" if one.needs else ""
        table.add_row(f"  {one.name}", escape(one.summary) + needs)
    console.print(table)


@app.command("datasets")
def list_datasets() -> None:
    """List the data sets that can be named: what each is, and its options.

    In a pipe or a file each is one line of name and description, with a tab between.
    """
    from al_sklearn.datasets import dataset_summaries

    summaries = dataset_summaries()
    if not Standard("stdout").isatty():
        _lines(summaries.items())
        return
    table = Table(box=SIMPLE_HEAD)
    table.add_column("data set", no_wrap=True)
    table.add_column("what it is")
    for name, summary in summaries.items():
        table.add_row(name, escape(summary))
    console.print(table)


@app.command()
def version() -> None:
    """Show the version."""
    say_version()


def _strategies() -> Iterator[_Strategy]:
    """Yield the catalogue; from a file, as importing it takes torch and seconds.

    Where it is loaded, what users have registered is in it too.
    """
    if "al_sklearn.strategies" in sys.modules:
        from al_sklearn.strategies import catalogue

        for info in catalogue():
            yield _Strategy(info.name, info.family, ", ".join(info.needs), info.summary)
        return
    # Made by docs/build.py; a test holds it against the catalogue.
    file = resources.files("al_sklearn.cli").joinpath("strategies.json")
    for row in json.loads(file.read_text(encoding="utf-8")):
        yield _Strategy(*row)


def _lines(rows: Iterable[Iterable[str]]) -> None:
    for row in rows:
        # Not by the console, which makes blanks of tabs.
        say_line("\t".join(row))
