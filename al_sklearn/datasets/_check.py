"""Every image opened once before a long run, to find corrupt and odd ones.

Otherwise a corrupt image could end the run after six hours, and an odd one be learnt as
something else than people see.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from joblib import Parallel, delayed

from al_sklearn._core.cells import harmless_table
from al_sklearn._core.files import replacing
from al_sklearn._core.progress import tqdm
from al_sklearn._core.types import Options
from al_sklearn.datasets._base import ImageData, Skipped
from al_sklearn.rows import (
    COLOUR,
    DEEP,
    GREY,
    Header,
    are_files,
    common_mode,
    file_names,
    inspect_image,
    readable_name,
)

# Enough files for a thread to be worth its start, few enough for the bar to move.
_BATCH = 64
_WORDS: Final = {COLOUR: "in colour", GREY: "grey", DEEP: "grey of 16 bits"}


class ImageSurvey(NamedTuple):
    """What was found in image files.

    Attributes
    ----------
    n : int
        Files looked at.
    damaged : list of (int, Skipped)
        Those that cannot be read, by position.
    odd : list of (int, Skipped)
        Those that can, but differ from the others in a way that shows in what is
        learnt: grey among colour, several frames; and how they are read.
    modes, formats : Counter of str
        ``"RGB"``, ``"L"``, ``"I;16"``; Pillow's names of the formats.
    sizes : Counter of (height, width)
        Upright.
    """

    n: int
    damaged: list[tuple[int, Skipped]]
    odd: list[tuple[int, Skipped]]
    modes: Counter[str]
    formats: Counter[str]
    sizes: Counter[tuple[int, int]]


def check_images(
    files: Sequence[str | os.PathLike[str]],
    *,
    n_jobs: int = -1,
    progress: bool = True,
    odd: bool = False,
) -> Iterator[tuple[int, Skipped]]:
    """Read images from disk to the last byte, and yield those that cannot be decoded.

    Parameters
    ----------
    files : sequence of paths
    n_jobs : int, default=-1
        Threads; Pillow decodes outside Python's lock.
    progress : bool, default=True
        Show a progress bar.
    odd : bool, default=False
        Yield those too that can be decoded but are not like the others: grey beside
        colour, 16 bits beside 8, several pages or frames. What is odd is known at the
        end, so that nothing is yielded before.

    Yields
    ------
    position : int
        In ``files``, increasing.
    skipped : Skipped
        ``(file, problem)``.
    """
    if odd:
        survey = survey_images(files, n_jobs=n_jobs, progress=progress)
        yield from sorted([*survey.damaged, *survey.odd])
        return
    for position, found in enumerate(_look(files, n_jobs, progress)):
        if isinstance(found, str):
            yield position, Skipped(str(files[position]), found)


def survey_images(
    files: Sequence[str | os.PathLike[str]], *, n_jobs: int = -1, progress: bool = True
) -> ImageSurvey:
    """Read images from disk to the last byte, and say what they are.

    Parameters
    ----------
    files, n_jobs, progress
        As in :func:`check_images`.

    Returns
    -------
    ImageSurvey
    """
    return _survey(files, list(_look(files, n_jobs, progress)))


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

    Warns
    -----
    UserWarning
        Where images can be read but are not like the others.

    Raises
    ------
    ValueError
        For the first corrupt image, when ``on_corrupt="raise"``; for a data set of
        which nothing is left.
    """
    changed: Options = {}
    skipped = list(data.skipped)
    seen: list[tuple[str, Header | str]] = []
    try:
        for X_name, y_name in (
            ("X_train", "y_train"),
            ("X_val", "y_val"),
            ("X_test", "y_test"),
            ("X_unlabelled", None),
        ):
            X = getattr(data, X_name)
            if not are_files(X):
                continue
            names = file_names(X)
            keep = np.ones(len(names), dtype=bool)
            for position, found in enumerate(_look(names, n_jobs, True)):
                seen.append((names[position], found))
                if not isinstance(found, str):
                    continue
                problem = Skipped(names[position], found)
                if on_corrupt == "raise":
                    raise ValueError(
                        f"{problem.file} cannot be read as an image "
                        f"({problem.problem}): fetch or save it again, "
                        "delete it, or leave such images out with on_corrupt='skip'."
                    )
                keep[position] = False
                skipped.append(problem)
            if not keep.all():
                changed[X_name] = [names[i] for i in np.flatnonzero(keep).tolist()]
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
    if seen:
        _say_odd(data.name, _survey([name for name, _ in seen], [it for _, it in seen]))
    return dataclasses.replace(data, **changed, skipped=tuple(skipped))


def _look(
    files: Sequence[str | os.PathLike[str]], n_jobs: int, progress: bool
) -> Iterator[Header | str]:
    """Yield for each file what it is, or what is wrong with it."""
    starts = range(0, len(files), _BATCH)
    # joblib hands the results over in order, and reads no further than a few batches
    # ahead. A map is lazy: its images are decoded where the list is made, in a thread.
    found = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(
        delayed(list)(map(_header_or_problem, files[start : start + _BATCH]))
        for start in starts
    )
    with tqdm(
        total=len(files), desc="checking images", unit="image", disable=not progress
    ) as bar:
        for batch in found:
            bar.update(len(batch))
            yield from batch


def _survey(files: Sequence[Any], found: Sequence[Header | str]) -> ImageSurvey:
    headers = [one for one in found if isinstance(one, Header)]
    modes = Counter(header.mode for header in headers)
    damaged, odd = [], []
    for position, one in enumerate(found):
        name = str(files[position])
        if isinstance(one, str):
            damaged.append((position, Skipped(name, one)))
        elif problem := _oddness(one, modes):
            odd.append((position, Skipped(name, problem)))
    return ImageSurvey(
        len(files),
        damaged,
        odd,
        modes,
        Counter(header.format for header in headers),
        Counter(header.size for header in headers),
    )


def _oddness(header: Header, modes: Counter[str]) -> str:
    """Say what is odd about an image among others of these modes; nothing if not."""
    said = []
    usual = max(modes, key=lambda mode: modes[mode])
    if header.mode != usual:
        together = common_mode(modes)
        said.append(
            f"{_WORDS[header.mode]} among images that are {_WORDS[usual]}: all are "
            f"read {_as(together)}"
        )
    if header.frames > 1:
        said.append("of several pages or frames: the first is taken")
    return "; ".join(said)


def _as(mode: str | None) -> str:
    return "in colour" if mode == COLOUR else f"as {_WORDS[mode or GREY]}"


def _say_odd(name: str, survey: ImageSurvey) -> None:
    if survey.odd:
        first = survey.odd[0][1]
        n = len(survey.odd)
        verb = "image is" if n == 1 else "images are"
        warnings.warn(
            f"{name}: {n} of {survey.n} {verb} not like the others; the first: "
            f"{first.file}, {first.problem}."
        )


def _header_or_problem(file: str | os.PathLike[str]) -> Header | str:
    """What an image file is, or what is wrong with it."""
    try:
        return inspect_image(file)
    except ValueError as error:
        # What Pillow says, without the name of the file, which stands beside it.
        cause = error.__cause__ or error
        return str(cause) or type(cause).__name__


def _write(skipped: list[Skipped], folder: Path | None) -> None:
    import pandas as pd

    path = (folder or Path()) / "skipped.csv"
    # A table of images is a file: the list stands beside it, under its name.
    if folder is not None and not folder.is_dir():
        path = folder.with_name(f"{folder.name}.skipped.csv")
    try:
        with replacing(path) as file:
            # What is not UTF-8 in a name is written as \xe9. Lines end as RFC 4180 has
            # them, on every system.
            rows = [Skipped(*map(readable_name, one)) for one in skipped]
            table = harmless_table(pd.DataFrame(rows))
            table.to_csv(file, index=False, lineterminator="\r\n")
    # The list is a help: that it cannot be kept must not cost the data set.
    except OSError as error:
        warnings.warn(
            f"The list of {len(skipped)} skipped images could not be written to "
            f"{path}: {error}."
        )
