"""NumPy's own files, read without pickle."""

from __future__ import annotations

import os
import struct
import tokenize
import zipfile
import zlib
from typing import Any, Final

import numpy as np

from al_sklearn._core.plain_pickle import DAMAGED, read_plain_pickle
from al_sklearn._core.types import Array

# What numpy and zipfile raise on bad bytes; OSError where they are sent to a place
# outside the file.
DAMAGED_ARRAY: Final = (
    ValueError,
    EOFError,
    OSError,
    KeyError,
    OverflowError,
    SyntaxError,
    TypeError,
    RuntimeError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
    *DAMAGED,
)

# By the version that a file's first bytes say. Later ones are for names of fields that
# are not Latin, which no array of objects has.
_HEADERS: Final = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_numpy(path: str | os.PathLike[str], mmap_mode: Any = None) -> Any:
    """Read a ``.npy`` or ``.npz`` file without ever unpickling.

    Unpickling could run any command. Arrays of objects, as TorchAL's lists of positions
    are, are parsed where the objects are numbers or text.

    Returns
    -------
    ndarray, memmap, or dict of arrays

    Raises
    ------
    ValueError
        When the file holds other objects, or is damaged; what to do is said.
    """
    try:
        if mmap_mode is not None:
            return np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
        # numpy leaves a file open that it cannot read.
        with open(path, "rb") as file:
            content = np.load(file, allow_pickle=False)
            return (
                content
                if isinstance(content, np.ndarray)
                else {key: content[key] for key in content.files}
            )
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except DAMAGED_ARRAY as error:
        if not _holds_objects(path):
            raise ValueError(
                f"{path} is no whole .npy or .npz file ({error}): make or fetch it "
                "again."
            ) from error
    try:
        return _parsed(path)
    except DAMAGED_ARRAY as error:
        raise ValueError(
            f"{path} holds Python objects, which only pickle can read ({error}), and a "
            "pickle can run any command. If you trust it, convert it once: python -c "
            f"\"import numpy; numpy.save('new.npy', numpy.load('{os.fspath(path)}', "
            "allow_pickle=True).astype('int64'))\" (for index sets; for names "
            "astype('str'))."
        ) from error


def _holds_objects(path: str | os.PathLike[str]) -> bool:
    """Whether an array of the file says in its header that it holds Python objects."""
    try:
        if not zipfile.is_zipfile(path):
            with open(path, "rb") as file:
                return _says_objects(file)
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as file:
                    if _says_objects(file):
                        return True
    except DAMAGED_ARRAY:
        pass
    return False


def _says_objects(file: Any) -> bool:
    read = _HEADERS.get(np.lib.format.read_magic(file))
    return read is not None and read(file)[2].hasobject


def _parsed(path: str | os.PathLike[str]) -> Any:
    """Read arrays of objects without calling anything; plain ones as they are."""
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            return _plain_array(file)
    with zipfile.ZipFile(path) as archive:
        arrays = {}
        for name in archive.namelist():
            with archive.open(name) as file:
                arrays[name.removesuffix(".npy")] = _plain_array(file)
    return arrays


def _plain_array(file: Any) -> Array:
    if not _says_objects(file):
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    # numpy pickles the whole array behind its header.
    objects = read_plain_pickle(file)
    if not isinstance(objects, np.ndarray):
        raise ValueError("it is no array")
    values = np.array(objects.tolist())
    if values.dtype.kind not in "biufUS" or values.shape != objects.shape:
        raise ValueError("its objects are no numbers and no text")
    return values
