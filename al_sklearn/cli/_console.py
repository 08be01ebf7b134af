"""What every command shares: where it writes, how it fails, how a summary looks."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Final, cast

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from al_sklearn._core.streams import Standard, readable_streams
from al_sklearn.cli._plugins import command_of, plugins

if TYPE_CHECKING:
    import pandas as pd

_COMMAND: Final = "al_sklearn.command"
# A file has no edge that a table must keep to.
_FILE_WIDTH: Final = 140

# The heavy imports (torch, scikit-learn) wait inside the commands: --help answers at
# once.


class _Commands(TyperGroup):
    """Keeps the command as it was typed, which reports show, and knows plugins'."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run a command; help and usage, which click writes, are safe for any console.

        Without it an ASCII console would end a finished run at a ± of its summary.
        """
        with readable_streams():
            return super().main(*args, **options)

    def make_context(
        self, info_name: str | None, args: list[str], *more: Any, **extra: Any
    ) -> Any:
        # Parsing takes the words away.
        command = shlex.join(["al-sklearn", *args])
        context = super().make_context(info_name, args, *more, **extra)
        context.meta[_COMMAND] = command
        return context

    def list_commands(self, ctx: Any) -> list[str]:
        """Ours, then those of plugins; a plugin cannot replace one of ours."""
        ours = super().list_commands(ctx)
        return ours + [name for name in plugins() if name not in ours]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Find a command; a plugin is only loaded when it is asked for or listed."""
        ours = super().get_command(ctx, cmd_name)
        entry = None if ours is not None else plugins().get(cmd_name)
        if entry is None:
            return ours
        try:
            return command_of(entry)
        # The other commands must still work.
        except Exception as error:  # noqa: BLE001  somebody's code may raise anything
            whose = "" if entry.dist is None else f" of {entry.dist.name}"
            _complain(
                f"[yellow]Warning:[/] the command {cmd_name}{whose} cannot be loaded: "
                f"{type(error).__name__}: {escape(' '.join(str(error).split()))}"
            )
            return None


app = typer.Typer(
    cls=_Commands,
    name="al-sklearn",
    help="Deep active learning for images: compare query strategies, and say honestly "
    "which one saves labels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Square brackets in help are keys and shells, no markup.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    # Called for every command, and before any of them.
    if wanted:
        say_version()
        raise typer.Exit


def say_version() -> None:
    """Print which version this is."""
    import al_sklearn

    say(al_sklearn.__version__)


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    """What stands before a command."""


def _console(stderr: bool = False) -> Console:
    # Looks for the stream each time: a service has none, tests put in another.
    stream = Standard("stderr" if stderr else "stdout")
    width = None if stream.isatty() or "COLUMNS" in os.environ else _FILE_WIDTH
    return Console(file=cast(IO[str], stream), width=width)


console = _console()


def _complain(text: str) -> None:
    """Print a line, with its markup, where errors go."""
    # Made anew: tests and pipes put another stream in the place of stderr.
    _console(stderr=True).print(text, soft_wrap=True, highlight=False)


def typed_command(context: typer.Context) -> str | None:
    """Return the command that is running, as it was typed."""
    return context.meta.get(_COMMAND)


def shows_bars() -> bool:
    """Whether somebody is looking: in a log file a progress bar fills pages."""
    return Standard("stderr").isatty()


@contextlib.contextmanager
def errors_in_one_line(
    resume: Path | None = None, trust: bool = False
) -> Iterator[None]:
    """Show what the library says of wrong input as sentences, not as a traceback.

    The exit code is 2 for wrong input, 1 for what failed at work (another process has
    the run), 130 for Ctrl-C.
    """
    try:
        yield
    # MemoryError: too large a pool for a strategy, or a batch for a network. OSError:
    # missing files, failed downloads, full disks.
    except (
        RuntimeError,
        MemoryError,
        ValueError,
        TypeError,
        OSError,
        ImportError,
    ) as error:
        _complain(f"[bold red]Error:[/] {escape(_said(error))}")
        # A StoreLockedError is a ValueError too: another process has the run.
        failed_at_work = isinstance(error, RuntimeError | MemoryError)
        raise typer.Exit(1 if failed_at_work else 2) from error
    except KeyboardInterrupt:
        kept = ""
        if resume is not None:
            kept = (
                f" What was finished is kept: al-sklearn resume {escape(str(resume))}"
                f"{' --trust' if trust else ''} goes on."
            )
        _complain(f"Interrupted.{kept}")
        raise typer.Exit(130) from None


def _said(error: BaseException) -> str:
    """Return an error's sentence, after the key it comes from if one was noted."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        # Without its number, which helps nobody.
        text = f"{error.strerror}: {error.filename}"
    from al_sklearn.experiments.configuration import Where

    notes = getattr(error, "__notes__", [])
    before = [note for note in notes if isinstance(note, Where)]
    after = [note for note in notes if not isinstance(note, Where)]
    return " ".join([": ".join([*before, text]), *after])


def escape(text: str) -> str:
    """Keep square brackets from being read as markup."""
    return text.replace("[", r"\[")


def counted(n: int, what: str) -> str:
    """Say how many there are: ``1 run``, ``2 runs``."""
    return f"{n} {what if n == 1 else what + 's'}"


def say(text: str) -> None:
    """Print a line as it is."""
    console.print(escape(text), highlight=False, soft_wrap=True)


def leave_out(widths: dict[str, int], least_first: Sequence[str], width: int) -> None:
    """Take columns away until a table fits; those that matter least go first.

    In a narrow terminal names are cut, but numbers cut in two would say something else.
    """
    for least in least_first:
        # Two blanks stand between columns.
        if least in widths and sum(widths.values()) + 2 * len(widths) > width:
            del widths[least]


def close_table(title: str) -> Table:
    """Return a table whose columns stand close, with a line below its head alone."""
    return Table(title=title, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)


def show_summary(
    summary: pd.DataFrame, metric: str = "accuracy", name: str = ""
) -> None:
    """Print the table of a comparison and the sentences that matter."""
    import numpy as np

    from al_sklearn.experiments.report import headline
    from al_sklearn.tasks import get_metric

    known = get_metric(metric)
    shares = known.is_share
    factor, digits = (100, 1) if shares else (1, 3)
    columns = {
        "final": 5,
        "AUBC": 5,
        "vs random": 12 if shares else 14,
        "won": 4,
        "saved": 5,
        "p": 5,
        "query s": 7,
    }
    width = console.width - 2 - min(28, max(len(str(name)) for name in summary.index))
    leave_out(columns, ("query s", "won", "saved", "AUBC", "p"), width)
    table = close_table(
        f"{escape(name)}{': ' if name else ''}"
        f"{known.title}{' in %' if shares else ''}, "
        "best first; differences from random sampling are paired by seed"
    )
    table.add_column("strategy", no_wrap=True, max_width=28)
    for column, least_width in columns.items():
        table.add_column(column, justify="right", no_wrap=True, min_width=least_width)
    for strategy, row in summary.iterrows():
        cells = {
            "final": f"{factor * row['final']:.{digits}f}",
            "AUBC": f"{factor * row['aubc']:.{digits}f}",
        }
        cells["query s"] = f"{row['query_seconds']:.2f}"
        # Random sampling itself, and single seeds, are compared with nothing.
        if not np.isnan(row["p_holm"]):
            half = factor * (row["difference_high"] - row["difference_low"]) / 2
            cells["vs random"] = (
                f"{factor * row['difference']:+.{digits}f} ± {half:.{digits}f}"
            )
            cells["won"] = f"{row['wins']:.0f}/{row['n_seeds']:.0f}"
            saving = row["label_saving"]
            cells["saved"] = f"{100 * saving:.0f} %" if np.isfinite(saving) else "–"
            cells["p"] = f"{row['p_holm']:.3f}"
        table.add_row(
            escape(str(strategy)), *[cells.get(column, "") for column in columns]
        )
    console.print(table)
    say(
        "won: seeds; saved: labels to reach random's final value, – not reached; p: "
        "paired t-test, Holm.\n"
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
    from al_sklearn.experiments.configuration import read_yaml

    return read_yaml(text, flag).value


def key_and_value(text: str, example: str) -> tuple[str, Any]:
    """Read what ``--set`` takes: a key, and its value as YAML.

    Raises
    ------
    ValueError
        When there is no value.
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--set takes key=value, as {example}; got {text!r}.")
    return key.strip(), option_from_text(value, f"--set {key}")
