"""Files that cannot be believed are moved aside: nothing of a run is ever deleted."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

ASIDE: Final = "set-aside"


def move_aside(folder: Path, paths: Iterable[Path], why: str) -> Path | None:
    """Move files of a run to a folder of their own, with a word why.

    Parameters
    ----------
    folder : Path
        The run's.
    paths : iterable of Path
        Files below it; those that are not there are left out.
    why : str

    Returns
    -------
    Path or None
        The new folder, in which they lie as they lay in the run; None where there was
        none of them.
    """
    there = [path for path in paths if path.exists()]
    if not there:
        return None
    target = _new_folder(folder / ASIDE)
    # Before the first file is moved: a kill in between leaves no riddle.
    names = [path.relative_to(folder).as_posix() for path in there]
    text = "\n".join([why, "", *names, ""])
    (target / "why.txt").write_text(text, encoding="utf-8")
    for path, name in zip(there, names, strict=True):
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, place)
    return target


def _new_folder(parent: Path) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    number = sum(1 for _ in parent.iterdir())
    while True:
        folder = parent / f"{number:03d}"
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder
