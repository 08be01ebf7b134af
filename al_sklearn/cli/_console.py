"""What every command shares: where it writes, how it fails, how a summary looks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import pandas as pd

# The heavy imports (torch, scikit-learn) wait inside the commands: --help answers at once.

app = typer.Typer(
    name="al-sklearn",
    help="Deep active learning for images: compare query strategies, and say honestly which one saves labels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Square brackets in help are keys and shells, no markup.
    rich_markup_mode=None,
)
console = Console()


@contextlib.contextmanager
def errors_in_one_line(resume: Path | None = None) -> Iterator[None]:
    """Show what the library says of wrong input as sentences, not as a traceback.

    The exit code is 2 for wrong input, 1 for what failed at work (another process has the run), 130 for Ctrl-C.
    """
    stderr = Console(stderr=True)
    try:
        yield
    # OSError: missing files, failed downloads, full disks.
    except (ValueError, TypeError, OSError, ImportError) as error:
        stderr.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True, highlight=False)
        raise typer.Exit(2) from error
    except RuntimeError as error:
        stderr.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True, highlight=False)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        kept = "" if resume is None else f" What was finished is kept: al-sklearn resume {escape(str(resume))} goes on."
        stderr.print(f"Interrupted.{kept}", soft_wrap=True, highlight=False)
        raise typer.Exit(130) from None


def escape(text: str) -> str:
    """Keep square brackets from being read as markup."""
    return text.replace("[", r"\[")


def say(text: str) -> None:
    """Print a line as it is."""
    console.print(escape(text), highlight=False, soft_wrap=True)


def show_summary(summary: pd.DataFrame, metric: str = "accuracy", name: str = "") -> None:
    """Print the table of a comparison and the sentences that matter."""
    import numpy as np

    from al_sklearn.experiments.plots._style import metric_name
    from al_sklearn.experiments.report import headline

    shares = metric != "nll"
    factor = 100 if shares else 1
    # Without rules between columns it fits a terminal of 80.
    table = Table(
        title=f"{escape(name)}{': ' if name else ''}{metric_name(metric).capitalize()}{' in %' if shares else ''}, "
        "best first; differences from random sampling are paired by seed",
        box=SIMPLE_HEAD,
    )
    table.add_column("strategy", no_wrap=True, max_width=28)
    columns = {"final": 5, "AUBC": 5, "vs random": 12, "won": 4, "saved": 5, "p": 5, "query s": 7}
    for column, width in columns.items():
        table.add_column(column, justify="right", no_wrap=True, min_width=width)
    for strategy, row in summary.iterrows():
        cells = [escape(str(strategy)), f"{factor * row['final']:.1f}", f"{factor * row['aubc']:.1f}"]
        if np.isnan(row["p_holm"]):
            cells += [""] * 4
        else:
            half = factor * (row["difference_high"] - row["difference_low"]) / 2
            saving = f"{100 * row['label_saving']:.0f} %" if np.isfinite(row["label_saving"]) else "–"
            cells += [f"{factor * row['difference']:+.1f} ± {half:.1f}", f"{row['wins']:.0f}/{row['n_seeds']:.0f}"]
            cells += [saving, f"{row['p_holm']:.3f}"]
        table.add_row(*cells, f"{row['query_seconds']:.2f}")
    console.print(table)
    console.print(
        "won: seeds; saved: labels to reach random's final accuracy, – not reached; p: paired t-test, Holm.\n"
    )
    for sentence in headline(summary, metric):
        say(sentence)
    for note in summary.attrs.get("notes", []):
        console.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)


def option_from_text(text: str, flag: str) -> Any:
    """Read a flag's value as YAML: a number, a word, ``Budget: 200``.

    Raises
    ------
    ExperimentFileError
        When it is no YAML.
    """
    from al_sklearn.experiments._yaml import read_yaml

    return read_yaml(text, flag).value
