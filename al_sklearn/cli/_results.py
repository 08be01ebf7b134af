"""``report``, ``plot`` and ``stats``: what stores have to tell."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from al_sklearn._core.cells import harmless_table
from al_sklearn._core.types import Options
from al_sklearn.cli._console import (
    app,
    close_table,
    console,
    counted,
    errors_in_one_line,
    escape,
    leave_out,
    say,
    show_summary,
)
from al_sklearn.cli._run import Trust

if TYPE_CHECKING:
    import pandas as pd


# typer shows the values as what is allowed.
class Kind(StrEnum):
    """What can be drawn."""

    curves = "curves"
    gain = "gain"
    classes = "classes"
    bought = "bought"
    images = "images"
    epochs = "epochs"
    counts = "counts"
    map = "map"
    pairwise = "pairwise"
    critical_difference = "critical-difference"
    profile = "profile"


# Columns of the tables of several runs, least first, and what of a name is always
# shown.
_LEAST = ("labels", "rounds", "seeds", "aubc", "better", "wins")
_NAME_WIDTH = 14
# Classes, images and pairs of strategies of several runs have nothing in common.
_ONE_RUN = {
    Kind.gain,
    Kind.classes,
    Kind.bought,
    Kind.images,
    Kind.epochs,
    Kind.counts,
    Kind.map,
    Kind.pairwise,
}
# Metrics of one's own are columns too, so no list of them is fixed here.
Metric = Annotated[
    str,
    typer.Option(
        help="What is compared: accuracy, balanced_accuracy, macro_f1, nll, ece …"
    ),
]


@app.command()
def report(
    folder: Annotated[
        Path, typer.Argument(help="Folder of a run, or of a grid of them.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The page; FOLDER/report.html by default."),
    ] = None,
    metric: Metric = "accuracy",
    title: Annotated[str | None, typer.Option(help="Heading of the page.")] = None,
) -> None:
    """Write the HTML report of a run again, also of one that is not finished."""
    with errors_in_one_line():
        from al_sklearn.experiments import load_results
        from al_sklearn.experiments.comparison import find_runs
        from al_sklearn.experiments.report import ReportFacts

        # A grid is a folder of runs, each with a report of its own.
        runs = find_runs([folder])
        if output is not None and len(runs) > 1:
            raise ValueError(
                f"{folder} holds {len(runs)} runs; without --output each gets a "
                "report in its own folder."
            )
        for name, path in runs.items():
            results = _checked(load_results(path), metric, path)
            facts = ReportFacts.read(path)
            heading = title or facts.title or f"Query strategies: {name}"
            facts = replace(facts, title=heading)
            written = facts.report(results, output or path / "report.html", metric)
            say(f"Report: {written.resolve()}")


@app.command()
def plot(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders of runs, or of grids of them.")
    ],
    kind: Annotated[Kind, typer.Option(help="What is drawn.")] = Kind.curves,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The picture: .png, .svg or .pdf.")
    ] = Path("plot.png"),
    metric: Annotated[str, typer.Option(help="A column of the results.")] = "accuracy",
    x: Annotated[
        str, typer.Option(help="Of curves: n_labelled, seconds, or cost.")
    ] = "n_labelled",
    by: Annotated[
        str,
        typer.Option(
            help="Whose the colours of curves are: strategy, or setting (of a grid, "
            "each run a line)."
        ),
    ] = "strategy",
    label_cost: Annotated[
        float, typer.Option(min=0, help="Of --x cost: what a label costs.")
    ] = 1,
    training_cost: Annotated[
        float, typer.Option(min=0, help="Of --x cost: what a training costs.")
    ] = 0,
    strategies: Annotated[
        str | None, typer.Option(help="Only these, separated by commas.")
    ] = None,
    dpi: Annotated[int, typer.Option(min=20, help="Pixels an inch, of .png.")] = 150,
    trust: Trust = False,
) -> None:
    """Draw one picture of one or several runs."""
    with errors_in_one_line():
        from al_sklearn.experiments import load_results, plots
        from al_sklearn.experiments.comparison import find_runs
        from al_sklearn.experiments.report import ReportFacts

        # Said before minutes are spent on reading runs.
        formats = (".png", ".svg", ".pdf")
        if output.suffix not in formats:
            raise ValueError(
                f"--output must end with {', '.join(formats)}; got {output}."
            )
        found = find_runs(folders)
        runs = {
            name: _checked(load_results(path), metric, path)
            for name, path in found.items()
        }
        if kind in _ONE_RUN and len(runs) > 1:
            raise ValueError(
                f"--kind {kind.value} draws one run, got {len(runs)}: "
                f"{', '.join(runs)}."
            )
        kept = _chosen(runs, strategies)
        first, whole = next(iter(kept.values())), next(iter(runs.values()))
        names = ReportFacts.read(next(iter(found.values()))).class_names
        pool = None
        if whole.pool_counts is not None:
            pool = whole.pool_counts.mean().to_numpy()
        all_or_one = first if len(kept) == 1 else kept
        # Functions: only the one that is asked for is drawn.
        draw: dict[Kind, Callable[[], Any]] = {
            Kind.curves: lambda: plots.learning_curves(
                all_or_one,
                metric,
                x=x,
                by=by,
                label_cost=label_cost,
                training_cost=training_cost,
            ),
            Kind.gain: lambda: plots.gain_over_baseline(first, metric),
            Kind.classes: lambda: plots.class_curves(
                first, whole.classes, class_names=names
            ),
            Kind.bought: lambda: plots.bought_histogram(
                first, whole.classes, class_names=names, pool=pool
            ),
            Kind.images: lambda: plots.bought_images(
                _thumbnails(whole, set(first["strategy"])),
                class_names=names or list(whole.classes),
            ),
            Kind.epochs: lambda: plots.epoch_curves(
                _only(whole.epochs, set(first["strategy"]))
            ),
            Kind.counts: lambda: plots.class_counts(
                first, whole.classes, class_names=names
            ),
            Kind.map: lambda: _map(
                next(iter(found.values())), set(first["strategy"]), names, trust
            ),
            Kind.pairwise: lambda: plots.pairwise_matrix(first, metric),
            Kind.critical_difference: lambda: plots.critical_difference(
                _scores(kept, runs, metric)
            ),
            Kind.profile: lambda: plots.performance_profile(
                _scores(kept, runs, metric), metric=metric
            ),
        }
        axes = draw[kind]()
        # Several axes come as an array.
        figure = getattr(axes, "figure", None) or axes.flat[0].figure
        output.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(output, dpi=dpi, bbox_inches="tight")
        say(f"{output}: {kind.value} of {counted(len(runs), 'run')}")


@app.command()
def stats(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders of runs, or of folders of them.")
    ],
    metric: Metric = "accuracy",
    csv: Annotated[
        Path | None,
        typer.Option(help="Write the table of every run and strategy here."),
    ] = None,
    latex: Annotated[
        Path | None,
        typer.Option(
            help="Write the summary of one run here, as a LaTeX table for a paper."
        ),
    ] = None,
    target: Annotated[
        float | None,
        typer.Option(help="Of one run: what reaching this value of the metric costs."),
    ] = None,
    ratios: Annotated[
        str,
        typer.Option(help="Of --target: costs of a training, in labels, by commas."),
    ] = "0,1,10,100",
    all_runs: Annotated[
        bool,
        typer.Option(
            "--all", help="Print every run; by default the first forty lines."
        ),
    ] = False,
) -> None:
    """Say what runs have found: one in full, many in a line a strategy.

    Many runs are also summed up together.
    """
    with errors_in_one_line():
        from al_sklearn.experiments import load_results
        from al_sklearn.experiments.comparison import find_runs, overall, summarize_runs

        runs = find_runs(folders)
        if latex is not None:
            if len(runs) > 1:
                raise ValueError(
                    f"--latex writes the summary of one run, got {len(runs)}: "
                    f"{', '.join(runs)}."
                )
            [path] = runs.values()
            written = _checked(load_results(path), metric, path).to_latex(metric)
            latex.parent.mkdir(parents=True, exist_ok=True)
            latex.write_text(written, encoding="utf-8")
            say(f"{latex}: the summary as a table")
        # A table of one run would have one line a strategy: its summary says more.
        if len(runs) == 1 and csv is None:
            [(name, path)] = runs.items()
            results = _checked(load_results(path), metric, path)
            if target is None:
                show_summary(results.summary(metric), metric, name)
            else:
                _print_costs(results.table, target, metric, ratios)
            return
        if target is not None:
            raise ValueError(f"--target looks at one run, got {len(runs)}.")
        table = summarize_runs(runs, metric)
        if csv is not None:
            csv.parent.mkdir(parents=True, exist_ok=True)
            harmless_table(table).to_csv(csv, index=False)
            say(f"{csv}: {len(table)} lines")
        print_frame(
            table if all_runs else table.head(40),
            f"{metric}: {len(runs)} runs, means over seeds",
        )
        if len(table) > 40 and not all_runs:
            say(
                f"… {len(table) - 40} lines more: --all prints them, --csv FILE keeps "
                "them."
            )
        print_frame(
            overall(table),
            f"Together: strategies over {len(runs)} runs, by mean rank (1 is best)",
        )


def _print_costs(table: pd.DataFrame, target: float, metric: str, ratios: str) -> None:
    from al_sklearn.experiments.statistics import cost_table

    try:
        prices = [float(part) for part in ratios.split(",")]
    except ValueError as error:
        raise ValueError(
            f"--ratios takes numbers by commas, as 0,1,10; got {ratios}."
        ) from error
    costs = cost_table(table, target, metric, ratios=prices)
    costs.columns = [f"a training: {price:g}" for price in prices]
    title = f"Cost of {metric} {target:g}, in labels, by what a training costs"
    print_frame(costs.reset_index(), title)


def _checked(results: Any, metric: str, path: Path) -> Any:
    """Say which metrics there are, or that there is nothing yet.

    The metrics are listed where the one asked for is none of them.
    """
    from al_sklearn._core.checks import unknown_name

    if results.table.empty:
        raise ValueError(f"{path} has no finished round yet.")
    numbers = results.table.select_dtypes("number").columns
    if metric not in numbers:
        raise unknown_name(
            "metric",
            metric,
            [name for name in numbers if name not in ("seed", "round")],
        )
    return results


def _chosen(runs: Options, strategies: str | None) -> dict[str, pd.DataFrame]:
    from al_sklearn._core.checks import unknown_name
    from al_sklearn.experiments.statistics import CEILING

    tables = {run: results.table for run, results in runs.items()}
    if strategies is None:
        return tables
    names = [name.strip() for name in strategies.split(",")]
    known = {name for table in tables.values() for name in table["strategy"]}
    known.discard(CEILING)
    for name in names:
        if name not in known:
            raise unknown_name("strategy of these runs", name, known)
    # What all labels give is beside whoever is chosen.
    kept = [*names, CEILING]
    return {run: table[table["strategy"].isin(kept)] for run, table in tables.items()}


def _thumbnails(results: Any, strategies: set[str]) -> Any:
    kept = {
        # Keys are strategy/seed/round, and a strategy's name may hold slashes.
        key: images
        for key, images in results.thumbnails.items()
        if key.rsplit("/", 2)[0] in strategies
    }
    if not kept:
        raise ValueError(
            "This run keeps no images: its data are no pictures, or it is not finished."
        )
    return kept


def _map(
    folder: Path, strategies: set[str], names: list[str] | None, trust: bool
) -> Any:
    """Draw the pool of a run's first seed: what was known, bought last, never asked."""
    from al_sklearn.experiments import plots
    from al_sklearn.experiments.comparison import bought_positions
    from al_sklearn.experiments.configuration import data_of

    data = data_of(folder, trust=trust)
    batches = bought_positions(folder, strategies)
    # Runs are of labelled data.
    assert data.y_train is not None
    positions = plots.pool_sample(batches, len(data.y_train))
    at = plots.pool_coordinates(plots.pool_features(data.X_train, positions))
    return plots.pool_map(
        at,
        batches,
        positions=positions,
        y=data.y_train[positions],
        class_names=names,
    )


def _only(epochs: pd.DataFrame, strategies: set[str]) -> pd.DataFrame:
    return epochs[epochs["strategy"].isin(strategies)]


def _scores(
    tables: dict[str, pd.DataFrame], runs: Options, metric: str
) -> pd.DataFrame:
    """Areas under the curves: a row a run, or of a single run a row a seed.

    Each with its data set, which is known by the data and not by the run's name.
    """
    import pandas as pd

    from al_sklearn.experiments.statistics import task_scores

    # Ranks need several tasks: of one run its seeds are these.
    if len(tables) == 1:
        [table] = tables.values()
        return task_scores(table, metric, by="seed")
    named = [table.assign(dataset=run) for run, table in tables.items()]
    scores = task_scores(pd.concat(named), metric).rename_axis("run")
    first: dict[str, str] = {}
    datasets = []
    for run in tables:
        data = runs[run].config["data"]
        # Fingerprints: two runs on the same images are of one data set.
        known_by = json.dumps([data.get("X"), data.get("y")], sort_keys=True)
        datasets.append(first.setdefault(known_by, run))
    return scores.set_index(pd.Index(datasets, name="dataset"), append=True)


def print_frame(frame: pd.DataFrame, title: str) -> None:
    """Print a table; columns that matter least are left out where it is narrow."""
    numbers = frame.select_dtypes("number").columns
    widths = {}
    for name in frame.columns:
        width = max(map(len, [str(name), *map(_cell, frame[name])]))
        # Of a number all is shown, of a name what tells it from the others.
        widths[name] = width if name in numbers else min(width, _NAME_WIDTH)
    leave_out(widths, _LEAST, console.width - 2)
    frame = frame[list(widths)]
    table = close_table(escape(title))
    for name, width in widths.items():
        table.add_column(
            str(name),
            justify="right" if name in numbers else "left",
            no_wrap=True,
            min_width=width,
        )
    for row in frame.itertuples(index=False):
        table.add_row(*[escape(_cell(value)) for value in row])
    console.print(table)


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    # There is nothing to compare with.
    if math.isnan(value):
        return "–"
    # Labels, where all seeds have as many.
    if value.is_integer() and abs(value) >= 10:
        return f"{value:.0f}"
    return f"{value:.{4 if abs(value) < 100 else 1}f}"
