"""The commands that list what there is."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from al_sklearn.cli._console import app, console, escape, say_version


@app.command("strategies")
def list_strategies() -> None:
    """List the query strategies, by family: what each chooses, and what it needs."""
    from al_sklearn.strategies import catalogue

    table = Table(box=SIMPLE_HEAD)
    table.add_column("strategy", no_wrap=True)
    table.add_column("what it chooses, and what it needs")
    family = ""
    for info in catalogue():
        # The catalogue is sorted by family.
        if info.family != family:
            family = info.family
            table.add_row(f"[bold]{family}[/]")
        needs = f" [dim]({', '.join(info.needs)})[/]" if info.needs else ""
        table.add_row(f"  {info.name}", escape(info.summary) + needs)
    console.print(table)


@app.command("datasets")
def list_datasets() -> None:
    """List the data sets that can be named: what each is, and its options."""
    from al_sklearn.datasets import dataset_summaries

    table = Table(box=SIMPLE_HEAD)
    table.add_column("data set", no_wrap=True)
    table.add_column("what it is")
    for name, summary in dataset_summaries().items():
        table.add_row(name, escape(summary))
    console.print(table)


@app.command()
def version() -> None:
    """Show the version."""
    say_version()
