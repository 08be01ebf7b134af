"""Labelled images out, as class folders that every tool reads."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from al_sklearn._core.checks import check_same_length, unknown_name
from al_sklearn.rows import n_rows, take_rows

_ROWS_AT_ONCE = 256


def _hardlink(source: str, target: str) -> None:
    try:
        os.link(os.path.realpath(source), target)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise OSError(
            f"{source} cannot be linked to {target} ({error.strerror}): a hard link "
            "stays on one disk; use "
            "mode='copy' or 'symlink'."
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
    positions = (
        np.arange(n)
        if indices is None
        else np.asarray(indices, dtype=np.int64).reshape(-1)
    )
    labels = np.asarray(y).reshape(-1)
    # As many labels as X has rows are those of X, whatever is written of it.
    if indices is not None and len(labels) == n != len(positions):
        labels = labels[positions]
    check_same_length(len(positions), len(labels))
    folders = _folder_names(labels, class_names)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside it, on the same disk: a whole folder can then take its name at once.
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name in sorted(set(folders)):
            (temporary / name).mkdir()
        with tqdm(
            total=len(positions),
            desc=f"writing {folder.name}",
            unit="image",
            disable=not progress,
        ) as bar:
            if (
                isinstance(X, (list, tuple))
                and n
                and isinstance(X[0], (str, os.PathLike))
            ):
                _write_files(
                    temporary,
                    [os.fspath(X[i]) for i in positions.tolist()],
                    positions,
                    folders,
                    mode,
                    bar,
                )
            else:
                _write_arrays(temporary, X, positions, folders, bar)
        # What mkdtemp makes is for its owner alone.
        temporary.chmod(0o777 & ~_umask())
        if folder.exists():
            folder.rmdir()
        os.replace(temporary, folder)
    except BaseException:
        # Ctrl-C and a full disk too: no half of an export stays.
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return folder


def _write_files(
    root: Path,
    files: Sequence[str],
    positions: np.ndarray,
    folders: Sequence[str],
    mode: str,
    bar: Any,
) -> None:
    # In small letters: macOS and Windows tell no others apart.
    names = Counter(
        (folder, os.path.basename(file).lower())
        for folder, file in zip(folders, files, strict=True)
    )
    for file, position, folder in zip(files, positions.tolist(), folders, strict=True):
        name = os.path.basename(file)
        if names[folder, name.lower()] > 1:
            name = f"{position}_{name}"
        _MODES[mode](file, os.path.join(root, folder, name))
        bar.update()


def _write_arrays(
    root: Path, X: Any, positions: np.ndarray, folders: Sequence[str], bar: Any
) -> None:
    from PIL import Image

    # Padded: sorted by name they are in the order of X.
    width = len(str(n_rows(X)))
    for start in range(0, len(positions), _ROWS_AT_ONCE):
        rows = np.asarray(take_rows(X, positions[start : start + _ROWS_AT_ONCE]))
        if (
            rows.dtype != np.uint8
            or rows.ndim not in (3, 4)
            or (rows.ndim == 4 and rows.shape[3] not in (1, 3, 4))
        ):
            raise ValueError(
                "Image files are made of uint8 images (n, H, W) or (n, H, W, C) with "
                "1, 3 or 4 channels; got "
                f"{rows.dtype} of shape {rows.shape}."
            )
        for offset, image in enumerate(rows):
            pixels = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
            name = f"{positions[start + offset]:0{width}d}.png"
            Image.fromarray(pixels).save(root / folders[start + offset] / name)
            bar.update()


def _folder_names(labels: np.ndarray, class_names: Sequence[str] | None) -> list[str]:
    """Name of the folder for each label."""
    values = np.unique(labels).tolist()
    if class_names is not None and (
        labels.dtype.kind not in "iu"
        or values[:1] < [0]
        or values[-1:] >= [len(class_names)]
    ):
        raise ValueError(
            f"class_names has {len(class_names)} names; labels must be positions in "
            "it, from 0."
        )
    names = {}
    for value in values:
        text = str(value if class_names is None else class_names[value])
        # A class "T-shirt/top" is one folder, and none may lead out of it.
        names[value] = (
            re.sub(r'[/\\:*?"<>|\x00-\x1f]', "_", text).strip().rstrip(".") or "_"
        )
    for name, count in Counter(name.lower() for name in names.values()).items():
        if count > 1:
            clash = [str(value) for value in values if names[value].lower() == name]
            raise ValueError(
                f"The classes {' and '.join(clash)} would share the folder {name!r}: "
                "rename one."
            )
    return [names[value] for value in labels.tolist()]


def _umask() -> int:
    # Reading it means setting it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
