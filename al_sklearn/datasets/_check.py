"""Every image opened once before a long run, to find corrupt ones.

Otherwise a corrupt image could end the run after six hours.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from tqdm.auto import tqdm

from al_sklearn._core.files import replacing
from al_sklearn.datasets._base import ImageData, Skipped
from al_sklearn.rows import DAMAGED, check_mode

# Enough files for a thread to be worth its start, few enough for the bar to move.
_BATCH = 64


def check_images(
    files: Sequence[str | os.PathLike[str]], *, n_jobs: int = -1, progress: bool = True
) -> Iterator[tuple[int, Skipped]]:
    """Read images from disk to the last byte, and yield those that cannot be decoded.

    Parameters
    ----------
    files : sequence of paths
    n_jobs : int, default=-1
        Threads; Pillow decodes outside Python's lock.
    progress : bool, default=True
        Show a progress bar.

    Yields
    ------
    position : int
        In ``files``, increasing.
    skipped : Skipped
        ``(file, problem)``.
    """
    batches = (files[start : start + _BATCH] for start in range(0, len(files), _BATCH))
    # joblib hands the results over in order, and reads no further than a few batches
    # ahead.
    found = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(
        delayed(_problems)(batch) for batch in batches
    )
    with tqdm(
        total=len(files), desc="checking images", unit="image", disable=not progress
    ) as bar:
        for start, problems in zip(range(0, len(files), _BATCH), found, strict=True):
            bar.update(len(problems))
            for offset, problem in enumerate(problems):
                if problem:
                    yield start + offset, Skipped(str(files[start + offset]), problem)


def check_files(
    data: ImageData, folder: Path | None, on_corrupt: str, n_jobs: int
) -> ImageData:
    """Check a data set whose images are files; others come back as they are.

    Parameters
    ----------
    data : ImageData
    folder : Path or None
        Where ``skipped.csv`` goes: the data set's folder, or its table.
    on_corrupt : {"raise", "skip"}
    n_jobs : int

    Raises
    ------
    ValueError
        For the first corrupt image, when ``on_corrupt="raise"``; for a data set of
        which nothing is left.
    """
    changed: dict[str, Any] = {}
    skipped = list(data.skipped)
    try:
        for X_name, y_name in (
            ("X_train", "y_train"),
            ("X_test", "y_test"),
            ("X_unlabelled", None),
        ):
            X = getattr(data, X_name)
            if not _is_file_list(X):
                continue
            keep = np.ones(len(X), dtype=bool)
            for position, problem in check_images(X, n_jobs=n_jobs):
                if on_corrupt == "raise":
                    raise ValueError(
                        f"{problem.file} cannot be read as an image "
                        f"({problem.problem}): fetch or save it again, "
                        "delete it, or leave such images out with on_corrupt='skip'."
                    )
                keep[position] = False
                skipped.append(problem)
            if not keep.all():
                changed[X_name] = [X[i] for i in np.flatnonzero(keep).tolist()]
                if y_name:
                    changed[y_name] = getattr(data, y_name)[keep]
    finally:
        # After Ctrl-C too: what was found by then is worth keeping.
        if skipped:
            _write(skipped, folder)
    if not changed.get("X_train", True):
        raise ValueError(
            f"{data.name}: not one training image can be read; the first is "
            f"{skipped[0]}."
        )
    return dataclasses.replace(data, **changed, skipped=tuple(skipped))


def _is_file_list(X: Any) -> bool:
    return isinstance(X, list) and bool(X) and isinstance(X[0], (str, os.PathLike))


def _problems(files: Sequence[str | os.PathLike[str]]) -> list[str | None]:
    return [_problem(file) for file in files]


def _problem(file: str | os.PathLike[str]) -> str | None:
    """What is wrong with an image file, or None."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            check_mode(image)
            # JPEG is then decoded at an eighth of its size: every byte is read, a third
            # of the time is needed.
            image.draft(None, (1, 1))
            image.load()
    except (*DAMAGED, Image.DecompressionBombError) as error:
        return str(error) or type(error).__name__
    return None


def _write(skipped: list[Skipped], folder: Path | None) -> None:
    place = Path() if folder is None else folder
    path = (
        place / "skipped.csv"
        if place.is_dir()
        else place.with_name(f"{place.name}.skipped.csv")
    )
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(Skipped._fields)
    writer.writerows(skipped)
    try:
        with replacing(path) as file:
            file.write(text.getvalue().encode())
    except OSError as error:
        warnings.warn(
            f"The list of {len(skipped)} skipped images could not be written to "
            f"{path}: {error}."
        )
