"""``check-images``: what a folder or a table of images holds, before any training."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from al_sklearn.cli._console import (
    app,
    console,
    counted,
    errors_in_one_line,
    escape,
    say,
    shows_bars,
)
from al_sklearn.cli._splits import Options

if TYPE_CHECKING:
    from collections import Counter

    from al_sklearn.datasets import ImageData, ImageSurvey

# Of many, the first are enough to see what is wrong.
_MOST_NAMED = 20
_MODES = {"RGB": "colour", "L": "grey", "I;16": "grey of 16 bits"}
# Attributes of a data set, as people call these parts.
_PARTS = {
    "train": ("X_train", "y_train"),
    "validation": ("X_val", "y_val"),
    "test": ("X_test", "y_test"),
    "without label": ("X_unlabelled", None),
}


@app.command("check-images")
def check_images(
    path: Annotated[
        Path,
        typer.Argument(help="A folder of images, or a table (.csv, .parquet) of them."),
    ],
    option: Options = None,
    jobs: Annotated[int, typer.Option(help="Threads; -1 for one a core.")] = -1,
) -> None:
    """Read every image, and say what there is: classes, sizes, modes, odd files.

    The exit code is 2 where an image cannot be read.
    """
    with errors_in_one_line():
        from al_sklearn.datasets import load_dataset, options_from_text, survey_images
        from al_sklearn.rows import file_names

        kind = path.suffix.lower().removeprefix(".")
        name = kind if kind in ("csv", "parquet") and not path.is_dir() else "folder"
        # What the library warns of is what was asked for.
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always")
            data = load_dataset(name, path, **options_from_text(name, option or []))
            parts = {
                part: (file_names(getattr(data, X)), y and getattr(data, y))
                for part, (X, y) in _PARTS.items()
                if getattr(data, X) is not None
            }
            files = [file for names, _ in parts.values() for file in names]
            survey = survey_images(files, n_jobs=jobs, progress=shows_bars())
        _show_parts(data, parts)
        _show_survey(survey)
        for note in dict.fromkeys(str(note.message) for note in notes):
            say(f"Note: {note}")
        _name_files(survey)
        if survey.damaged:
            raise typer.Exit(2)


def _show_parts(data: ImageData, parts: dict[str, tuple[list[str], Any]]) -> None:
    """Print how many images of each class each part has."""
    import numpy as np

    layout = ", ".join(f"{len(names):,} {part}" for part, (names, _) in parts.items())
    n_classes = len(data.class_names)
    of_classes = f", {n_classes:,} classes" if n_classes else ""
    say(f"{data.name}: {layout}{of_classes}")
    labelled = {part: y for part, (_, y) in parts.items() if y is not None}
    if not labelled:
        return
    table = Table("class", box=SIMPLE_HEAD)
    for part in labelled:
        table.add_column(part, justify="right")
    for position, name in enumerate(data.class_names):
        cells = []
        for y in labelled.values():
            # Labels are positions among the names, or names.
            label = position if y.dtype.kind in "iu" else name
            cells.append(f"{int(np.count_nonzero(y == label)):,}")
        table.add_row(escape(name), *cells)
    console.print(table)


def _show_survey(survey: ImageSurvey) -> None:
    named = [f"{n:,} {_MODES[mode]}" for mode, n in survey.modes.most_common()]
    say(f"modes: {', '.join(named) or 'none can be read'}")
    if survey.sizes:
        say(f"sizes (height x width): {_sizes(survey.sizes)}")
        formats = [f"{n:,} {name}" for name, n in survey.formats.most_common()]
        say(f"formats: {', '.join(formats)}")


def _sizes(sizes: Counter[tuple[int, int]]) -> str:
    (height, width), n = sizes.most_common(1)[0]
    if len(sizes) == 1:
        return f"all {height}x{width}"
    areas = sorted(sizes, key=lambda size: size[0] * size[1])
    ends = " to ".join(f"{height}x{width}" for height, width in (areas[0], areas[-1]))
    return (
        f"{len(sizes):,} sizes, {ends}, most often {height}x{width} ({n:,}); give "
        "image_size"
    )


def _name_files(survey: ImageSurvey) -> None:
    for what, found in (
        ("cannot be read", survey.damaged),
        ("can be read but not like the others", survey.odd),
    ):
        if found:
            say(f"{counted(len(found), 'image')} {what}:")
        for _, (file, problem) in found[:_MOST_NAMED]:
            say(f"  {_written(file)}: {problem}")
        if len(found) > _MOST_NAMED:
            say(f"  and {len(found) - _MOST_NAMED:,} more")
    if not (survey.damaged or survey.odd):
        say(f"All {counted(survey.n, 'image')} can be read, and are of one kind.")


def _written(file: str) -> str:
    # A terminal takes no names that are not UTF-8.
    return file.encode(errors="backslashreplace").decode()
