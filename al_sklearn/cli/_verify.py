"""``verify``: whether what a run holds is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from al_sklearn.cli._console import app, counted, errors_in_one_line, say


@app.command()
def verify(
    folder: Annotated[
        Path, typer.Argument(help="Folder of a run, or of a grid of them.")
    ],
) -> None:
    """Read everything that runs hold, and say what of it is whole.

    Nothing is changed. The exit code is 1 where anything is damaged.
    """
    n_damaged = 0
    with errors_in_one_line():
        from al_sklearn.experiments.comparison import find_runs
        from al_sklearn.experiments.store import verify_run

        for name, path in find_runs([folder]).items():
            findings = verify_run(path)
            damaged = [finding for finding in findings if finding.wrong]
            for finding in damaged:
                say(f"{finding.path}: {finding.wrong}")
            whole = "whole" if not damaged else f"{len(damaged)} of them damaged"
            say(f"{name}: {counted(len(findings), 'file')}, {whole}.")
            n_damaged += len(damaged)
        if n_damaged:
            say(
                "To make it again, run or resume it: what cannot be believed is set "
                "aside first."
            )
    if n_damaged:
        raise typer.Exit(1)
