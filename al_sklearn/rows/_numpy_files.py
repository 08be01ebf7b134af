"""NumPy's own files, read without pickle."""

from __future__ import annotations

import os
import struct
import tokenize
import zipfile
import zlib
from typing import Any, Final

import numpy as np

# What numpy and zipfile raise on bad bytes; OSError where they are sent to a place
# outside the file.
_DAMAGED = (
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
)

# By the version that a file's first bytes say. Later ones are for names of fields that
# are not Latin, which no array of objects has.
_HEADERS: Final = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_numpy(path: str | os.PathLike[str], mmap_mode: Any = None) -> Any:
    """Read a ``.npy`` or ``.npz`` file without ever unpickling.

    Unpickling could run any command.

    Returns
    -------
    ndarray, memmap, or dict of arrays

    Raises
    ------
    ValueError
        When the file needs pickle, or is damaged; what to do is said.
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
    except _DAMAGED as error:
        if _holds_objects(path):
            raise ValueError(
                f"{path} holds Python objects, which only pickle can read, and a "
                "pickle can run any command. If you "
                'trust it, convert it once: python -c "import numpy; '
                "numpy.save('new.npy', "
                f"numpy.load('{os.fspath(path)}', "
                "allow_pickle=True).astype('int64'))\" (for index sets; for names "
                "astype('str'))."
            ) from error
        raise ValueError(
            f"{path} is no whole .npy or .npz file ({error}): make or fetch it again."
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
    except _DAMAGED:
        pass
    return False


def _says_objects(file: Any) -> bool:
    read = _HEADERS.get(np.lib.format.read_magic(file))
    return read is not None and read(file)[2].hasobject
