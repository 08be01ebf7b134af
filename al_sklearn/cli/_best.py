"""``best``: the best model of a run, and where it is kept."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from al_sklearn.cli._console import app, errors_in_one_line, say


@app.command()
def best(
    folder: Annotated[Path, typer.Argument(help="Folder of a run.")],
    strategy: Annotated[
        str | None, typer.Option(help="Only this one's models; all by default.")
    ] = None,
    metric: Annotated[
        str,
        typer.Option(
            help="What is compared: accuracy …, or validation_accuracy, which no test "
            "data have chosen."
        ),
    ] = "accuracy",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Copy the model here."),
    ] = None,
) -> None:
    """Say which round's model was best, and where it is kept."""
    with errors_in_one_line():
        from al_sklearn.experiments.comparison import find_best

        found = find_best(folder, strategy, metric)
        say(
            f"{found.strategy}, seed {found.seed}, round {found.round}: {metric} "
            f"{found.value:.4f} with {found.n_labelled:,} labels"
        )
        if found.path is None:
            text = "no model of it is kept; --checkpoints keeps them"
            if output is not None:
                raise FileNotFoundError(f"{folder}: {text}.")
            say(text)
            return
        where = found.path
        if output is not None:
            output.parent.mkdir(parents=True, exist_ok=True)
            # A folder gets it under a name that says whose it is.
            if output.is_dir():
                output = output / f"{found.strategy}_{found.path.name}"
            where = Path(shutil.copyfile(found.path, output))
        say(f"{where}")
        say(f'in Python: al_sklearn.experiments.load_best("{folder}")')
