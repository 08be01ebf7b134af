"""Labelled images out, as class folders that every tool reads."""

from __future__ import annotations

import functools
import os
import re
import shutil
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from al_sklearn._core.checks import check_same_length, unknown_name
from al_sklearn._core.progress import tqdm
from al_sklearn._core.types import Array
from al_sklearn.rows import are_files, file_names, n_rows, take_rows

# Enough for one read to be worth it, few enough for memory: 154 MB of 448x448 colour.
_ROWS_AT_ONCE = 256


def _hardlink(source: str, target: str) -> None:
    try:
        os.link(os.path.realpath(source), target)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise OSError(
            f"{source} cannot be linked to {target} ({error.strerror}): a hard link "
            "stays on one disk; use mode='copy' or 'symlink'."
        ) from error


def _symlink(source: str, target: str) -> None:
    if not os.path.exists(source):
        raise FileNotFoundError(f"There is no file {source}.")
    os.symlink(os.path.abspath(source), target)


_MODES: dict[str, Callable[[str, str], Any]] = {
    "copy": shutil.copyfile,
    "hardlink": _hardlink,
    "symlink": _symlink,
}


def export_image_folder(
    folder: str | os.PathLike[str],
    X: Any,
    y: Any,
    *,
    indices: Any = None,
    class_names: Sequence[str] | None = None,
    mode: str = "copy",
    progress: bool = True,
) -> Path:
    """Write labelled images as one folder a class.

    ``load_dataset("folder", folder)`` reads such folders.

    Parameters
    ----------
    folder : path
        Made; it must not hold anything. It is there whole or not at all.
    X : list of files, or uint8 array (n, H, W) or (n, H, W, C)
        Files keep their names (with their position before it where two of a class would
        clash); arrays become PNG files named by their position.
    y : array-like of shape (n,), or (len(indices),)
        Labels of X, or of the images at ``indices``.
    indices : int array, optional
        Positions to write: ``pool.labelled``. All by default.
    class_names : sequence of str, optional
        Names of the folders for labels that are positions in it. ``/`` becomes ``_``.
    mode : {"copy", "hardlink", "symlink"}, default="copy"
        How files get there; links need no room.
    progress : bool, default=True

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        When lengths differ, two classes would share a folder, or X is neither files nor
        uint8.
    FileExistsError
        When the folder holds something.
    """
    if mode not in _MODES:
        raise unknown_name("mode", mode, _MODES)
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is not empty; name another folder.")
    n = n_rows(X)
    chosen = np.arange(n) if indices is None else indices
    positions = np.asarray(chosen, dtype=np.int64).reshape(-1)
    labels = np.asarray(y).reshape(-1)
    # As many labels as X has rows are those of X, whatever is written of it.
    if indices is not None and len(labels) == n != len(positions):
        labels = labels[positions]
    check_same_length(len(positions), len(labels))
    folders = _folder_names(labels, class_names)
    # Beside it, on the same disk: a whole folder can then take its name at once. Not by
    # tempfile, whose folders are for their owner alone.
    temporary = folder.parent / f".{folder.name}-{uuid.uuid4().hex}"
    temporary.mkdir(parents=True)
    try:
        for name in set(folders):
            (temporary / name).mkdir()
        with tqdm(
            total=len(positions),
            desc=f"writing {folder.name}",
            unit="image",
            disable=not progress,
        ) as bar:
            write = _write_arrays
            if are_files(X):
                write = functools.partial(_write_files, mode=mode)
            for _ in write(temporary, X, positions, folders):
                bar.update()
        # Windows lets no folder take the name of another, not even of an empty one.
        if folder.exists():
            folder.rmdir()
        os.replace(temporary, folder)
    except BaseException:
        # Ctrl-C and a full disk too: no half of an export stays.
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return folder


def _write_files(
    root: Path, X: Any, positions: Array, folders: Sequence[str], mode: str
) -> Iterator[None]:
    files = file_names(take_rows(X, positions))
    places = [
        os.path.join(folder, os.path.basename(file))
        for folder, file in zip(folders, files, strict=True)
    ]
    # In small letters: macOS and Windows tell no others apart.
    counts = Counter(map(str.lower, places))
    for file, place, position in zip(files, places, positions.tolist(), strict=True):
        folder, name = os.path.split(place)
        if counts[place.lower()] > 1:
            name = f"{position}_{name}"
        _MODES[mode](file, os.path.join(root, folder, name))
        yield


def _write_arrays(
    root: Path, X: Any, positions: Array, folders: Sequence[str]
) -> Iterator[None]:
    from PIL import Image

    # Padded: sorted by name they are in the order of X.
    width = len(str(n_rows(X)))
    for start in range(0, len(positions), _ROWS_AT_ONCE):
        rows = np.asarray(take_rows(X, positions[start : start + _ROWS_AT_ONCE]))
        drawable = rows.ndim == 3 or (rows.ndim == 4 and rows.shape[3] in (1, 3, 4))
        if rows.dtype != np.uint8 or not drawable:
            raise ValueError(
                "Image files are made of uint8 images (n, H, W) or (n, H, W, C) with "
                f"1, 3 or 4 channels; got {rows.dtype} of shape {rows.shape}."
            )
        # Pillow knows no images of one channel: those are grey, of two axes.
        if rows.shape[3:] == (1,):
            rows = rows[..., 0]
        for i, image in enumerate(rows, start):
            name = f"{positions[i]:0{width}d}.png"
            Image.fromarray(image).save(root / folders[i] / name)
            yield


def _folder_names(labels: Array, class_names: Sequence[str] | None) -> list[str]:
    """Name of the folder for each label."""
    values, codes = np.unique(labels, return_inverse=True)
    texts = values.tolist()
    if class_names is not None:
        # Compared as lists: of no labels there is neither a first nor a last.
        outside = texts[:1] < [0] or texts[-1:] >= [len(class_names)]
        if labels.dtype.kind not in "iu" or outside:
            raise ValueError(
                f"class_names has {len(class_names)} names; labels must be positions "
                "in it, from 0."
            )
        texts = [class_names[value] for value in texts]
    # A class "T-shirt/top" is one folder, and none may lead out of it. Windows takes
    # none of these signs, and no point at the end.
    plain = [re.sub(r'[/\\:*?"<>|\x00-\x1f]', "_", str(text)) for text in texts]
    names = [text.strip().rstrip(".") or "_" for text in plain]
    # In small letters: macOS and Windows tell no others apart.
    classes = defaultdict(list)
    for name, text in zip(names, texts, strict=True):
        classes[name.lower()].append(str(text))
    for name, clash in classes.items():
        if len(clash) > 1:
            raise ValueError(
                f"The classes {' and '.join(clash)} would share the folder {name!r}: "
                "rename one."
            )
    return [names[code] for code in codes.tolist()]
