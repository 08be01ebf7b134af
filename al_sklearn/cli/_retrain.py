"""``retrain``: fresh models on the sets that a run bought."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from al_sklearn.cli._console import app, counted, errors_in_one_line, say, shows_bars
from al_sklearn.cli._results import Metric, print_frame
from al_sklearn.cli._run import Quiet, Trust


@app.command()
def retrain(
    folder: Annotated[Path, typer.Argument(help="Folder of a run.")],
    repeats: Annotated[
        int, typer.Option(min=1, help="Trainings of each set, each from new weights.")
    ] = 3,
    only: Annotated[
        str | None, typer.Option(help="Only these strategies, separated by commas.")
    ] = None,
    every_round: Annotated[
        bool,
        typer.Option("--every-round", help="The set of every round, not the last."),
    ] = False,
    metric: Metric = "accuracy",
    quiet: Quiet = False,
    trust: Trust = False,
) -> None:
    """Train fresh models on what a run bought: how much is the luck of one training.

    What was trained before is not trained again. The numbers are in retrained.csv, the
    spread in the report. A run that is not finished is finished first.
    """
    with errors_in_one_line():
        from al_sklearn.experiments.configuration import read_record, run_experiment
        from al_sklearn.experiments.report import ReportFacts
        from al_sklearn.experiments.statistics import training_spread

        record = read_record(folder, trust=trust)
        outcomes = run_experiment(
            record.experiment,
            folder,
            quick=record.quick,
            resume=True,
            report=False,
            verbose=0 if quiet or not shows_bars() else 1,
            say=lambda line: None,
        )
        names = None if only is None else [name.strip() for name in only.split(",")]
        for outcome in outcomes:
            data, comparison = outcome.data, outcome.comparison
            table = comparison.retrain(
                data.X_train,
                data.y_train,
                data.X_test,
                data.y_test,
                n_repeats=repeats,
                rounds="all" if every_round else "last",
                only=names,
            )
            table.to_csv(outcome.folder / "retrained.csv", index=False)
            shown = training_spread(table, metric).drop(columns="estimator")
            title = f"{metric}: {counted(len(table), 'training')} of bought sets"
            print_frame(shown, ": ".join(filter(None, [outcome.run.name, title])))
            facts = ReportFacts.read(outcome.folder)
            if record.report:
                page = facts.report(comparison, outcome.folder / "report.html")
                say(f"Report:  {page.resolve()}")
            say(f"Results: {outcome.folder / 'retrained.csv'}")
