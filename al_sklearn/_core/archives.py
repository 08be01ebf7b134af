"""Archives of others, unpacked by rules of our own.

The filters of Python's own library came late and were mended often: these rules hold on
every version. An archive of images or labels needs files and folders below one place,
and nothing else.
"""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Final, NamedTuple

from al_sklearn._core.progress import tqdm

# A megabyte at a time: what unpacks to more than it may is stopped while it does.
_CHUNK: Final = 1 << 20
# Images hardly shrink, and idx files of digits about tenfold; a bomb a thousandfold.
_MOST_TIMES: Final = 100
# Of small archives, whose headers and zeros are most of them.
_ALWAYS: Final = 64 << 20
# ImageNet has 1.4 million files; a folder of more is no data set but an attack on the
# disk's table of files.
_MOST_FILES: Final = 5_000_000


class _Part(NamedTuple):
    """One entry of an archive."""

    name: str
    kind: str
    """``file``, ``folder``, or what it is instead."""
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar or zip file into ``folder``: each file is there whole or not at all.

    Parameters
    ----------
    archive, folder : Path

    Raises
    ------
    ValueError
        When the archive is damaged; holds a link, a device, a name that leads out of
        the folder, or in a zip file stands twice; or unpacks to a hundred times its
        size. Nothing of it is kept then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # In the folder itself: files can only be moved at once within one disk.
    temporary = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder))
    parts = _zip_parts if zipfile.is_zipfile(archive) else _tar_parts
    left = max(_MOST_TIMES * archive.stat().st_size, _ALWAYS)
    bar = tqdm(
        parts(archive), desc=f"unpacking {archive.name}", unit="file", mininterval=0.5
    )
    try:
        for n, part in enumerate(bar):
            if n >= _MOST_FILES:
                raise ValueError(f"it has more than {_MOST_FILES:,} files")
            target = temporary.joinpath(*_places(part.name))
            if part.kind == "folder":
                target.mkdir(parents=True, exist_ok=True)
                continue
            if part.kind != "file":
                raise ValueError(f"{part.name!r} is {part.kind}")
            target.parent.mkdir(parents=True, exist_ok=True)
            left -= _write(part, target, left)
        # File by file: what else is in those folders stays.
        for parent, _, names in os.walk(temporary):
            there = folder / Path(parent).relative_to(temporary)
            there.mkdir(exist_ok=True)
            for name in names:
                os.replace(Path(parent) / name, there / name)
    except (
        ValueError,
        EOFError,
        RuntimeError,  # a zip file with a password
        NotImplementedError,
        FileExistsError,
        NotADirectoryError,
        IsADirectoryError,
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ValueError(str(error)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _places(name: str) -> tuple[str, ...]:
    """Return the folders and the file of a name, all below where it is unpacked."""
    # As Windows would read it too: there C: and \ lead elsewhere.
    windows = PureWindowsPath(name)
    parts = windows.parts
    if windows.drive or windows.root or PurePosixPath(name).is_absolute():
        raise ValueError(f"{name!r} is an absolute name")
    if ".." in parts or "\0" in name:
        raise ValueError(f"{name!r} leads out of the folder")
    return parts


def _write(part: _Part, target: Path, most: int) -> int:
    """Write a file of at most so many bytes, and return how many there were."""
    n = 0
    # Its own bytes alone: what an archive says of owners and rights stays there. No
    # link was made, so no name leads to a file that was there before.
    with part.open() as source, target.open("wb") as file:
        while chunk := source.read(_CHUNK):
            n += len(chunk)
            # Counted, not read in a header, which may say anything.
            if n > most:
                raise ValueError(
                    f"it unpacks to more than {_MOST_TIMES} times its size"
                )
            file.write(chunk)
    return n


def _tar_parts(archive: Path) -> Iterator[_Part]:
    with tarfile.open(archive) as tar:
        # Member by member: a list of them all would unpack the archive twice.
        for member in tar:
            kind = "a link" if member.issym() or member.islnk() else "a device"
            if member.isdir():
                kind = "folder"
            elif member.isreg() and not member.issparse():
                kind = "file"

            def opened(member: tarfile.TarInfo = member) -> IO[bytes]:
                file = tar.extractfile(member)
                if file is None:
                    raise ValueError(f"{member.name!r} is no file")
                return file

            yield _Part(member.name, kind, opened)


def _zip_parts(archive: Path) -> Iterator[_Part]:
    with zipfile.ZipFile(archive) as packed:
        names: set[str] = set()
        for info in packed.infolist():
            # Which of the two was meant, nobody knows; a tar file is appended to so.
            if info.filename in names and not info.is_dir():
                raise ValueError(f"{info.filename!r} stands twice")
            names.add(info.filename)
            # What Unix says of the file, where it was packed there.
            mode = info.external_attr >> 16
            kind = "folder" if info.is_dir() else "file"
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                kind = "a link" if stat.S_ISLNK(mode) else "a device"

            def opened(info: zipfile.ZipInfo = info) -> IO[bytes]:
                return packed.open(info)

            yield _Part(info.filename, kind, opened)
