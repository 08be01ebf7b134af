"""Sets in a zip: unpacked whole, or not at all."""

from __future__ import annotations

import stat
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from al_sklearn.formats._files import refuse

#: What an archive may unpack to: 16 GiB, in at most a million files.
MOST_UNPACKED = 2**34
MOST_FILES = 1_000_000
# Deflate packs zeros a thousand to one; label files with images are far below it.
_MOST_RATIO = 200
# Small archives may have any ratio.
_FREE_BYTES = 2**24


def check(path: Path) -> zipfile.ZipFile:
    """Open an archive and look at every entry before anything is written.

    Raises
    ------
    LabelFileError
        For a name that climbs out, a link, a file that stands twice or is a folder as
        well, encrypted entries, and more than ``MOST_UNPACKED`` bytes.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise refuse(path, "", f"no zip: {error}.") from None
    with_error = True
    try:
        _check_entries(path, archive)
        with_error = False
    finally:
        if with_error:
            archive.close()
    return archive


def _check_entries(path: Path, archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    if len(entries) > MOST_FILES:
        raise refuse(path, "", f"{len(entries)} files, at most {MOST_FILES} are read.")
    total = sum(entry.file_size for entry in entries)
    packed = max(path.stat().st_size, 1)
    if total > MOST_UNPACKED or (total > _FREE_BYTES and total / packed > _MOST_RATIO):
        raise refuse(
            path, "", f"its {packed} bytes unpack to {total}, which is not read."
        )
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        tidy = name.replace("\\", "/")
        parts = PurePosixPath(tidy).parts
        if tidy.startswith("/") or ".." in parts or ":" in tidy or "\0" in tidy:
            raise refuse(
                path, name, "the name leaves the folder that it is unpacked to."
            )
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise refuse(path, name, "it is a link or a device, not a file.")
        if entry.flag_bits & 1:
            raise refuse(path, name, "it is encrypted.")
        folded = tidy.rstrip("/").casefold()
        if folded in seen and not entry.is_dir():
            raise refuse(path, name, "the name stands twice.")
        seen.add(folded)


def unpack(path: Path, into: Path | None = None) -> Path:
    """Unpack an archive that was checked; returns the folder.

    Parameters
    ----------
    path : Path
    into : Path, optional
        A folder that need not exist; a new temporary one by default.

    Raises
    ------
    LabelFileError
        As :func:`check`, and for an entry that is damaged.
    """
    with check(path) as archive:
        folder = Path(tempfile.mkdtemp()) if into is None else into
        left = MOST_UNPACKED
        for entry in archive.infolist():
            target = folder / entry.filename.replace("\\", "/")
            if entry.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with archive.open(entry) as source, target.open("xb") as file:
                    # What an entry says of its size may be a lie.
                    while piece := source.read(2**20):
                        left -= len(piece)
                        if left < 0:
                            raise refuse(
                                path, entry.filename, "it unpacks to too much."
                            )
                        file.write(piece)
            except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
                raise refuse(path, entry.filename, f"damaged: {error}.") from None
    return folder
