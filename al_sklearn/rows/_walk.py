"""Which files of a folder are images, and what lies there besides.

Each folder is looked into once, however many links lead to it; what programs leave
behind is passed over; whatever else is left out is counted, and said once.
"""

from __future__ import annotations

import os
import unicodedata
import warnings
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Final

# Formats of Pillow that hold pictures; it also has readers for documents and films.
_FORMATS: Final = (
    "AVIF",
    "BMP",
    "DIB",
    "GIF",
    "JPEG",
    "JPEG2000",
    "PCX",
    "PNG",
    "PPM",
    "QOI",
    "TGA",
    "TIFF",
    "WEBP",
)
# Those that Pillow may have been built without, by its own names for that.
_FEATURES: Final = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}
# What systems and programs leave in folders, in small letters; and all that is hidden.
_JUNK: Final = {
    "__macosx",
    "__pycache__",
    "@eadir",
    "@recycle",
    "#recycle",
    "$recycle.bin",
    "desktop.ini",
    "lost+found",
    "system volume information",
    "thumbs.db",
}
# What people keep beside images and nobody takes for one.
_COMPANIONS: Final = (
    ".cfg",
    ".csv",
    ".db",
    ".h5",
    ".html",
    ".ini",
    ".ipynb",
    ".json",
    ".jsonl",
    ".log",
    ".mat",
    ".md",
    ".npy",
    ".npz",
    ".parquet",
    ".pkl",
    ".py",
    ".tsv",
    ".txt",
    ".xls",
    ".xlsx",
    ".xml",
    ".yaml",
    ".yml",
)


@lru_cache(maxsize=1)
def image_suffixes() -> tuple[str, ...]:
    """Return the ends of file names that the installed Pillow reads as images."""
    from PIL import Image, features

    Image.init()
    missing = {name for name, part in _FEATURES.items() if not features.check(part)}
    readable = {name for name in _FORMATS if name in Image.OPEN} - missing
    found = Image.registered_extensions().items()
    return tuple(sorted(suffix for suffix, name in found if name in readable))


def is_image(file: str) -> bool:
    """Whether a file's name says that it is an image.

    Hidden files are none, such as ``._x.jpg``, which macOS leaves behind.
    """
    return file.lower().endswith(image_suffixes()) and not is_junk(file)


def is_junk(name: str) -> bool:
    """Whether a name is of what systems and programs leave behind, or hidden."""
    return name.startswith(".") or name.lower() in _JUNK


def readable_name(name: str) -> str:
    r"""Return a name as text that can be written: what is not UTF-8 as ``\xe9``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


class Walk:
    """A look into folders: their images, and what is left out.

    Attributes
    ----------
    left_out : Counter of str
        Files that are no images, by the end of their names.
    """

    def __init__(self) -> None:
        self.left_out: Counter[str] = Counter()
        self._seen: dict[tuple[int, int], str] = {}

    def enter(self, folder: str | os.PathLike[str]) -> str | None:
        """Remember a folder; return the name under which it was seen before, if it was.

        A link leads to the folder that it names.
        """
        stat = os.stat(folder)
        known = self._seen.setdefault((stat.st_dev, stat.st_ino), os.fspath(folder))
        return None if known == os.fspath(folder) else known

    def look(self, folder: str | os.PathLike[str]) -> tuple[list[str], list[str]]:
        """Return the names of the folders and of the images in a folder, sorted.

        In one order on every file system: splits are positions.
        """
        folders, images = [], []
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_junk(entry.name):
                    continue
                if _is_folder(entry):
                    folders.append(entry.name)
                elif is_image(entry.name):
                    images.append(entry.name)
                elif not entry.name.lower().endswith(_COMPANIONS):
                    suffix = os.path.splitext(entry.name)[1].lower()
                    self.left_out[suffix or "without suffix"] += 1
        return sorted(folders), sorted(images)

    def images_below(self, folder: str) -> list[str]:
        """Return the paths of all images in a folder and in those below it, sorted.

        Folders that were seen before, by whatever way, are passed over.
        """
        paths = []
        waiting = [folder]
        while waiting:
            here = waiting.pop()
            folders, images = self.look(here)
            paths += [os.path.join(here, name) for name in images]
            below = [os.path.join(here, name) for name in folders]
            waiting += [name for name in below if self.enter(name) is None]
        return sorted(paths)

    def say(self, folder: Path) -> None:
        """Warn of what was left out, once."""
        if self.left_out:
            n = self.left_out.total()
            kinds = [f"{n} {kind}" for kind, n in self.left_out.most_common()]
            warnings.warn(
                f"{folder}: {n} {'file is' if n == 1 else 'files are'} left out, which "
                f"the installed Pillow does not read as images ({', '.join(kinds)})."
            )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads to itself: whoever reads it as an image says so.
        return False


def look_alikes(names: list[str]) -> list[tuple[str, str]]:
    """Return pairs of different names that people cannot tell apart.

    One letter with its accent may be written as one sign or as two (NFC and NFD).
    """
    shown: dict[str, str] = {}
    pairs = []
    for name in names:
        first = shown.setdefault(unicodedata.normalize("NFC", name).strip(), name)
        if first != name:
            pairs.append((first, name))
    return pairs
