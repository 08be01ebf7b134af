"""Every image opened once before a long run, to find corrupt ones.

Otherwise a corrupt image could end the run after six hours.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from tqdm.auto import tqdm

from al_sklearn._core.files import replacing
from al_sklearn._core.types import Options
from al_sklearn.datasets._base import ImageData, Skipped
from al_sklearn.rows import DAMAGED, are_files, check_mode

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
    starts = range(0, len(files), _BATCH)
    # joblib hands the results over in order, and reads no further than a few batches
    # ahead. A map is lazy: its images are decoded where the list is made, in a thread.
    found = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(
        delayed(list)(map(_problem, files[start : start + _BATCH])) for start in starts
    )
    with tqdm(
        total=len(files), desc="checking images", unit="image", disable=not progress
    ) as bar:
        for start, problems in zip(starts, found, strict=True):
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
    changed: Options = {}
    skipped = list(data.skipped)
    try:
        for X_name, y_name in (
            ("X_train", "y_train"),
            ("X_test", "y_test"),
            ("X_unlabelled", None),
        ):
            X = getattr(data, X_name)
            if not are_files(X):
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
    import pandas as pd

    path = (folder or Path()) / "skipped.csv"
    # A table of images is a file: the list stands beside it, under its name.
    if folder is not None and not folder.is_dir():
        path = folder.with_name(f"{folder.name}.skipped.csv")
    try:
        with replacing(path) as file:
            # Lines end as RFC 4180 has them, on every system.
            pd.DataFrame(skipped).to_csv(file, index=False, lineterminator="\r\n")
    # The list is a help: that it cannot be kept must not cost the data set.
    except OSError as error:
        warnings.warn(
            f"The list of {len(skipped)} skipped images could not be written to "
            f"{path}: {error}."
        )
