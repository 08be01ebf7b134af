"""The command ``al-sklearn``."""

from __future__ import annotations

import contextlib
import runpy
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

# The heavy imports (torch, scikit-learn) wait inside the commands: --help answers at once.

app = typer.Typer(
    name="al-sklearn",
    help="Deep active learning for images: compare query strategies, and say honestly which one saves labels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()

DEFAULT_STRATEGIES = "random,margin,entropy,bald,coreset,badge"


@contextlib.contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Show what the library says of wrong input as one sentence, not as a traceback."""
    try:
        yield
    # OSError: missing files, failed downloads, full disks.
    except (ValueError, TypeError, OSError, ImportError) as error:
        Console(stderr=True).print(f"[bold red]Error:[/] {_escape(str(error))}", soft_wrap=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        Console(stderr=True).print("Interrupted. What was finished is kept; the same command with --resume goes on.")
        raise typer.Exit(130) from None


def _escape(text: str) -> str:
    return text.replace("[", r"\[")


@app.command()
def compare(
    dataset: Annotated[str, typer.Option(help="Name of a data set; al-sklearn datasets lists them.")] = "digits",
    data_dir: Annotated[Path | None, typer.Option(help="Folder of its files; the file itself for csv, hdf5 …")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="Option of the data set, as bands=rgb; can be given again.")
    ] = None,
    on_corrupt: Annotated[
        str | None, typer.Option(help="Look at every image first: raise, or skip and list those that are corrupt.")
    ] = None,
    plugin: Annotated[
        Path | None, typer.Option("--import", help="Python file that registers a data set of your own.")
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch missing files into --data-dir.")] = False,
    strategies: Annotated[str, typer.Option(help="Names, separated by commas.")] = DEFAULT_STRATEGIES,
    seeds: Annotated[int, typer.Option(min=1, help="Repetitions, paired across strategies.")] = 5,
    initial: Annotated[int, typer.Option(min=1, help="Labels to begin with.")] = 20,
    batch: Annotated[int, typer.Option(min=1, help="Labels bought in a round.")] = 20,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of buying.")] = 8,
    pool_size: Annotated[int | None, typer.Option(min=1, help="Use so many training images, drawn once.")] = None,
    model: Annotated[str, typer.Option(help="Network: small_cnn, resnet20 or any of torchvision's.")] = "small_cnn",
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of each training.")] = 30,
    learning_rate: Annotated[float, typer.Option(help="Learning rate of Adam.")] = 1e-3,
    image_size: Annotated[int | None, typer.Option(min=1, help="Resize image files to this side, in pixels.")] = None,
    training: Annotated[str, typer.Option(help="from_scratch, fine_tune or only_new.")] = "from_scratch",
    jobs: Annotated[int, typer.Option(help="Worker processes; -1 for one a core.")] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of each worker; the cores shared by default.")
    ] = None,
    random_state: Annotated[int, typer.Option(min=0, help="What all seeds grow from.")] = 0,
    output: Annotated[Path, typer.Option(help="Folder of the run: results, table, picture, report.")] = Path(
        "runs/compare"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --output.")] = False,
    report: Annotated[bool, typer.Option(help="Write the picture and the HTML report.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Compare query strategies on a data set and write a report."""
    with _errors_in_one_line():
        names = _strategy_names(strategies)
        from al_sklearn.datasets import load_dataset, options_from_text
        from al_sklearn.estimators import ImageClassifier
        from al_sklearn.experiments import StrategyComparison
        from al_sklearn.pool import take_rows

        if plugin is not None:
            runpy.run_path(str(plugin))
        options = options_from_text(dataset, option or [])
        data = load_dataset(dataset, data_dir, download=download, on_corrupt=on_corrupt, **options)
        X, y = data.X_train, data.y_train
        if pool_size is not None:
            chosen = _subset(y, pool_size, random_state)
            X, y = take_rows(X, chosen), y[chosen]
        if image_size is None and isinstance(X, list):
            raise ValueError(
                "Image files of a folder differ in size: give the side they are resized to, as --image-size 64."
            )
        console.print(
            f"{data!r}; {len(names)} strategies, {seeds} seeds, {initial} + {rounds} × {batch} labels, {model}",
            highlight=False,
            soft_wrap=True,
        )
        comparison = StrategyComparison(
            ImageClassifier(model, max_epochs=epochs, lr=learning_rate, image_size=image_size),
            names,
            n_initial=initial,
            n_instances=batch,
            n_rounds=rounds,
            n_seeds=seeds,
            n_jobs=jobs,
            threads_per_job=threads,
            training=training,
            random_state=random_state,
            store=output,
            resume=resume,
            verbose=0 if quiet else 1,
        )
        with warnings.catch_warnings():
            # Said beside the table instead.
            warnings.filterwarnings("ignore", message=".*seed", category=UserWarning)
            comparison.fit(X, y, data.X_test, data.y_test)
        _show(comparison.summary())
        comparison.summary().to_csv(output / "summary.csv")
        comparison.results_.to_csv(output / "results.csv", index=False)
        if report:
            _write_report(comparison, data, output)


def _strategy_names(text: str) -> list[str]:
    from al_sklearn.strategies import get_strategy

    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ValueError("--strategies is empty: give names separated by commas; al-sklearn strategies lists them.")
    for name in names:
        get_strategy(name)
    return names


def _subset(y: np.ndarray, size: int, random_state: int) -> np.ndarray:
    """Positions of ``size`` images with the classes' shares kept, in the order of the data set."""
    import numpy as np
    from sklearn.model_selection import train_test_split

    if size > len(y):
        raise ValueError(f"--pool-size {size} is more than the {len(y)} training images.")
    if size == len(y):
        return np.arange(len(y))
    n_classes = len(np.unique(y))
    stratify = y if size >= n_classes and len(y) - size >= n_classes else None
    chosen, _ = train_test_split(np.arange(len(y)), train_size=size, stratify=stratify, random_state=random_state)
    return np.sort(chosen)


def _show(summary: pd.DataFrame) -> None:
    import numpy as np

    from al_sklearn.experiments.report import headline

    # Without rules between columns it fits a terminal of 80.
    table = Table(
        title="Accuracy in %, best first; differences from random sampling are paired by seed", box=SIMPLE_HEAD
    )
    table.add_column("strategy", no_wrap=True)
    for column in ("final", "AUBC", "vs random", "won", "saved", "p", "query s"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, row in summary.iterrows():
        cells = [str(name), f"{100 * row['final']:.1f}", f"{100 * row['aubc']:.1f}"]
        if np.isnan(row["p_holm"]):
            cells += [""] * 4
        else:
            half = 50 * (row["difference_high"] - row["difference_low"])
            saving = f"{100 * row['label_saving']:.0f} %" if np.isfinite(row["label_saving"]) else "–"
            cells += [f"{100 * row['difference']:+.1f} ± {half:.1f}", f"{row['wins']:.0f}/{row['n_seeds']:.0f}"]
            cells += [saving, f"{row['p_holm']:.3f}"]
        table.add_row(*cells, f"{row['query_seconds']:.2f}")
    console.print(table)
    console.print(
        "won: seeds; saved: labels to reach random's final accuracy, – not reached; p: paired t-test, Holm.\n"
    )
    for sentence in headline(summary):
        console.print(sentence, highlight=False, soft_wrap=True)
    for note in summary.attrs.get("notes", []):
        console.print(f"[yellow]Note:[/] {_escape(note)}", soft_wrap=True)


def _write_report(comparison: Any, data: Any, output: Path) -> None:
    try:
        axes = comparison.plot()
    except ImportError as error:
        raise ImportError(
            f"{error} The results are kept in {output}; --no-report leaves out picture and report."
        ) from error
    axes.figure.savefig(output / "learning_curves.png", dpi=150, bbox_inches="tight")
    # The labels of folders are names already.
    numbered = data.y_train.dtype.kind in "iu"
    names = [data.class_names[label] for label in comparison.classes_] if numbered else None
    path = comparison.report(output / "report.html", class_names=names, title=f"Query strategies on {data.name}")
    console.print(f"Results: {output}\nReport:  {path.resolve()}", soft_wrap=True, highlight=False)


@app.command("strategies")
def list_strategies() -> None:
    """List the query strategies, by family: what each chooses, and what it needs."""
    from al_sklearn.strategies import catalogue

    table = Table(box=SIMPLE_HEAD)
    table.add_column("strategy", no_wrap=True)
    table.add_column("what it chooses, and what it needs")
    family = ""
    for info in catalogue():
        if info.family != family:
            family = info.family
            table.add_row(f"[bold]{family}[/]")
        needs = f" [dim]({', '.join(info.needs)})[/]" if info.needs else ""
        table.add_row(f"  {info.name}", _escape(info.summary) + needs)
    console.print(table)


@app.command("datasets")
def list_datasets() -> None:
    """List the data sets that can be named: what each is, and its options."""
    from al_sklearn.datasets import dataset_summaries

    table = Table(box=SIMPLE_HEAD)
    table.add_column("data set", no_wrap=True)
    table.add_column("what it is")
    for name, summary in dataset_summaries().items():
        table.add_row(name, _escape(summary))
    console.print(table)


@app.command()
def version() -> None:
    """Show the version."""
    import al_sklearn

    console.print(al_sklearn.__version__, highlight=False)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
