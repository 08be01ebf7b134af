"""The command that turns one tool's label files into another's."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer

from al_sklearn.cli._console import app, console, escape


@app.command()
def convert(
    source: Annotated[
        Path, typer.Argument(help="Label file, folder, or a zip of one.")
    ],
    target: Annotated[Path, typer.Argument(help="File or folder to write.")],
    to: Annotated[
        str, typer.Option("--to", help="Format to write: coco, yolo, voc, cvat ...")
    ],
    from_: Annotated[
        str | None,
        typer.Option("--from", help="Format to read; found out by default."),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="detect, segment, pose, classify, panoptic or obb."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images, where it is another.")
    ] = None,
) -> None:
    """Turn label files of one tool into those of another; nothing is overwritten."""
    from al_sklearn import formats

    try:
        with warnings.catch_warnings():
            # What was noticed is said below, all of it.
            warnings.simplefilter("ignore", UserWarning)
            records = formats.read(source, from_, task, images)
        lost = formats.write(records, target, to, task)
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from None
    for text in records.warnings:
        console.print(f"[yellow]{escape(text)}[/]")
    n_objects = sum(len(record.objects) for record in records)
    console.print(
        f"{len(records)} images, {n_objects} objects: {records.format} to {to}, "
        f"in {escape(str(target))}"
    )
    if lost:
        console.print(f"[yellow]not held by {to}: {escape('; '.join(lost))}[/]")
