"""``run`` and ``resume``: experiments from files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from al_sklearn.cli._console import (
    app,
    counted,
    errors_in_one_line,
    key_and_value,
    say,
    show_summary,
    shows_bars,
    typed_command,
)

if TYPE_CHECKING:
    from al_sklearn.experiments.configuration import ExperimentFile


# Flags that several commands have.
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with what the folder holds.")
]
Report = Annotated[bool, typer.Option(help="Write pictures and HTML reports.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar.")]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Import and call whatever it names; only for what you would run as a "
        "script.",
    ),
]


@app.command()
def run(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            help="The experiment, as docs/experiment-files.md describes it."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the results; by default the file's output, else runs/NAME."
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="In small, to see that it runs: numbers mean nothing."
        ),
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Only say what is wrong, and which runs there would be."
        ),
    ] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Another value for a key, as comparison.n_seeds=3; "
            "can be given again.",
        ),
    ] = None,
    splits: Annotated[
        str | None,
        typer.Option(help="A run, or index sets in files or folders, to begin with."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Worker processes; -1 for one a core.")
    ] = None,
    resume: Resume = False,
    trust: Trust = False,
    report: Report = True,
    quiet: Quiet = False,
) -> None:
    """Run an experiment file: each comparison of its grid in its own folder.

    A file is run as a script would be: it may name any code. With --check it may not,
    unless --trust is given too.
    """
    folder = output
    with errors_in_one_line():
        from al_sklearn.experiments.configuration import read_experiment

        # Put in before the check, so that a change can set a wrong file right.
        put_in = dict(
            key_and_value(one, "comparison.n_seeds=3") for one in changes or ()
        )
        # The flag goes before the file and --set.
        if jobs is not None:
            put_in["comparison.n_jobs"] = jobs
        if splits is not None:
            # Several by commas, as for compare.
            paths = [path.strip() for path in splits.split(",")]
            put_in["comparison.splits"] = paths if len(paths) > 1 else splits
        # Whoever runs a file asks for what it says; whoever checks it only looks.
        experiment = read_experiment(file, put_in, trust=trust or not check)
        folder = output or Path(experiment.spec.get("output") or f"runs/{file.stem}")
        # Nothing is written, and no data are read.
        if check:
            chosen = experiment.quick() if quick else experiment
            say(f"{file} is right: {counted(len(chosen.runs), 'run')}.")
            for one in chosen.runs:
                say(f"  {one.name or folder}")
            return
    # Outside of the block above: execute has its own, which knows how to go on.
    execute(
        experiment,
        folder,
        quick=quick,
        resume=resume,
        report=report,
        quiet=quiet,
        command=typed_command(context),
    )


@app.command()
def resume(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder of a run that was stopped.")],
    on_change: Annotated[
        str | None,
        typer.Option(
            help="raise or record: whether changed data or code of one's own are "
            "refused, or gone on with and said in the report."
        ),
    ] = None,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a run that was stopped, however it was stopped.

    Finished rounds are not done again. Code of your own that the run names is only run
    with --trust: folders are passed on.
    """
    with errors_in_one_line():
        from al_sklearn.experiments.configuration import read_record

        record = read_record(folder, trust=trust)
    execute(
        record.experiment,
        folder,
        quick=record.quick,
        resume=True,
        report=record.report,
        quiet=quiet,
        command=typed_command(context),
        on_change=on_change,
    )


def execute(
    experiment: ExperimentFile,
    folder: Path,
    *,
    quick: bool,
    resume: bool,
    report: bool,
    quiet: bool,
    command: str | None,
    on_change: str | None = None,
) -> None:
    """Run an experiment, and print what it found."""
    with errors_in_one_line(resume=folder, trust=experiment.needs_trust):
        from al_sklearn.experiments.configuration import run_experiment

        outcomes = run_experiment(
            experiment,
            folder,
            quick=quick,
            resume=resume,
            report=report,
            verbose=0 if quiet else 1,
            lines=not shows_bars(),
            say=say,
            command=command,
            on_change=on_change,
        )
        for outcome in outcomes:
            show_summary(outcome.comparison.summary(), name=outcome.run.name)
        say(f"Results: {folder}")
        if report:
            for outcome in outcomes:
                page = outcome.folder / "report.html"
                say(f"Report:  {page.resolve()}")
    if any(outcome.comparison.failures_ for outcome in outcomes):
        # The table is there; what it says is missing from it is no success.
        raise typer.Exit(1)
