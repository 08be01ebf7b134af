"""``splits make`` and ``splits check``: index sets that others can use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from al_sklearn.cli._console import app, console, errors_in_one_line, escape, say

splits = typer.Typer(
    help="Index sets: make them, or check a file of them.", no_args_is_help=True
)
app.add_typer(splits, name="splits")
DataDir = Annotated[Path | None, typer.Option(help="Folder of its files.")]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option", help="Option of the data set, as bands=rgb; can be given again."
    ),
]


@splits.command("make")
def make(
    output: Annotated[
        Path,
        typer.Argument(
            help="splits.npz, .json, .csv or .txt; a name without suffix for TorchAL's."
        ),
    ],
    dataset: Annotated[str, typer.Option(help="Name of a data set.")] = "digits",
    data_dir: DataDir = None,
    option: Options = None,
    initial: Annotated[
        str,
        typer.Option(help="Labels to begin with: a number, or a share (1.0 is all)."),
    ] = "20",
    validation: Annotated[
        str,
        typer.Option(
            "--validation-size",
            "--validation",
            help="Validation images: a number, or a share below 1.",
        ),
    ] = "0",
    test: Annotated[
        str,
        typer.Option(help="Held out for testing: a number, or a share below 1."),
    ] = "0",
    seeds: Annotated[
        int,
        typer.Option(
            min=1, help="Initial sets; several give several files, seed by seed."
        ),
    ] = 1,
    random_initial: Annotated[
        bool,
        typer.Option(
            "--random", help="Initial sets that do not follow the classes' shares."
        ),
    ] = False,
    random_state: Annotated[
        int, typer.Option(min=0, help="What all of them grow from.")
    ] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Write over files that are there.")
    ] = False,
) -> None:
    """Draw labelled, unlabelled, validation and test sets of training images.

    Validation and test sets are the same for all seeds; initial sets are not.
    """
    with errors_in_one_line():
        import numpy as np

        from al_sklearn._core.stratified import hold_out
        from al_sklearn.datasets import (
            load_dataset,
            options_from_text,
            write_index_sets,
        )
        from al_sklearn.experiments.protocol import initial_set

        data = load_dataset(
            dataset, data_dir, **options_from_text(dataset, option or [])
        )
        data.check_labelled("Drawing sets of them")
        # Labels of any kind as class numbers.
        assert data.y_train is not None
        codes = np.unique(data.y_train, return_inverse=True)[1]
        # One for each held-out set and seed: more seeds change none of the others.
        streams = [
            np.random.default_rng(part)
            for part in np.random.SeedSequence(random_state).spawn(2 + seeds)
        ]
        train = np.arange(len(codes), dtype=np.int64)
        held: dict[str, Any] = {}
        wanted = {"validation": validation, "test": test}
        for name, stream in zip(wanted, streams, strict=False):
            size = _count(wanted[name], len(codes), name, least=0)
            if size:
                rest, chosen = hold_out(codes[train], size, stream)
                held[name], train = train[chosen], train[rest]
        paths = [output]
        if seeds > 1:
            paths = [
                output.with_name(f"{output.stem}_{seed}{output.suffix}")
                for seed in range(seeds)
            ]
        # All are looked at before the first is written.
        there = [path for path in paths if path.exists()]
        if there and not force:
            raise FileExistsError(
                f"{there[0]} is there already; name another file, or give --force."
            )
        how = "random" if random_initial else "stratified"
        for path, stream in zip(paths, streams[2:], strict=True):
            # All there is: what is held out is gone.
            whole = _is_share(initial) and float(initial) == 1
            n_first = len(train) if whole else _count(initial, len(codes), "initial")
            chosen = initial_set(codes, train, n_first, how, stream)
            rest = np.setdiff1d(train, chosen)
            sets = {"labelled": chosen, "unlabelled": rest, **held}
            write_index_sets(path, sets, len(codes))
            sizes = [f"{len(positions)} {name}" for name, positions in sets.items()]
            say(f"{path}: {', '.join(sizes)}")


@splits.command("check")
def check(
    file: Annotated[
        Path,
        typer.Argument(
            help="A file of index sets, TorchAL's folder, or a run's splits.npz."
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Compare with this data set's training images, and show its classes."
        ),
    ] = None,
    data_dir: DataDir = None,
    option: Options = None,
) -> None:
    """Say whether index sets are sets, share nothing, and fit a data set.

    The exit code is 2 where they do not.
    """
    with errors_in_one_line():
        import numpy as np

        from al_sklearn.datasets import (
            check_index_sets,
            load_dataset,
            options_from_text,
            read_index_sets,
            read_splits,
        )
        from al_sklearn.rows import is_splits_file

        y = None
        if dataset is not None:
            data = load_dataset(
                dataset, data_dir, **options_from_text(dataset, option or [])
            )
            data.check_labelled("Comparing sets with its classes")
            y = data.y_train
        n = None if y is None else len(y)
        groups: dict[str, dict[str, Any]]
        # A run's file has the sets of all seeds.
        if is_splits_file(file):
            groups = {f"seed {seed}": sets for seed, sets in read_splits(file).items()}
            for name, sets in groups.items():
                check_index_sets(
                    sets, n, nested={"initial": "train"}, where=f"{file}, {name}"
                )
        else:
            groups = {"": read_index_sets(file, n)}
        table = Table("set", box=SIMPLE_HEAD)
        table.add_column("images", justify="right")
        table.add_column("first positions")
        for column in () if y is None else ("classes", "smallest class"):
            table.add_column(column, justify="right")
        for name, sets in groups.items():
            for part, positions in sets.items():
                cells = [
                    f"{name} {part}".strip(),
                    f"{len(positions):,}",
                    " ".join(map(str, positions[:5].tolist())),
                ]
                if y is not None:
                    counts = np.unique(y[positions], return_counts=True)[1]
                    # An empty set has no class at all.
                    cells += [str(len(counts)), str(min(counts, default="–"))]
                table.add_row(*map(escape, cells))
        console.print(table)
        against = ""
        if n is not None:
            against = f", and fit the {n:,} training images of {dataset}"
        say(f"{file} is right: all sets are sets and share nothing{against}.")


def _is_share(text: str) -> bool:
    """Whether a number is written as a share: 1 is one image, 1.0 all of them."""
    return "." in text


def _count(text: str, n: int, flag: str, least: int = 1) -> int:
    """Read a number of images, or a share of them; the text says which it is."""
    try:
        size = float(text)
    except ValueError:
        size = -1
    # A share of very few is still one image.
    if _is_share(text) and 0 < size <= 1:
        return max(1, round(size * n))
    if (_is_share(text) and size != 0) or size % 1 or size < least:
        raise ValueError(
            f"--{flag} must be a whole number from {least}, or a share with a point, "
            f"as 0.1; got {text}."
        )
    return int(size)


@splits.command("export")
def export(
    folder: Annotated[Path, typer.Argument(help="Folder of a run.")],
    output: Annotated[
        Path,
        typer.Argument(
            help="A .npz, .json, .csv or .txt; a name without suffix for TorchAL's "
            "lSet, uSet, valSet and activeSet."
        ),
    ],
    strategy: Annotated[str, typer.Option(help="Whose round.")] = "random_sampling",
    seed: Annotated[int, typer.Option(min=0, help="Of which repetition.")] = 0,
    round_number: Annotated[
        int, typer.Option("--round", help="0 is the initial set; the last by default.")
    ] = -1,
    force: Annotated[
        bool, typer.Option("--force", help="Write over a file that is there.")
    ] = False,
) -> None:
    """Write what a round of a run had labelled, for --splits or for other systems."""
    with errors_in_one_line():
        from al_sklearn.datasets import write_index_sets
        from al_sklearn.experiments.comparison import round_sets

        if output.exists() and not force:
            raise FileExistsError(
                f"{output} is there already; name another file, or give --force."
            )
        sets = round_sets(folder, strategy, seed=seed, round_number=round_number)
        write_index_sets(output, sets)
        sizes = [f"{len(positions)} {name}" for name, positions in sets.items()]
        say(f"{output}: {', '.join(sizes)}")
