"""Files that are there whole or not at all, and locks between processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows has no flock.
    fcntl = None  # type: ignore[assignment]


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Any]:
    """Write to a temporary file that takes the place of ``path`` once it is whole.

    The temporary file lies beside ``path``.

    Parameters
    ----------
    path : Path
    durable : bool, default=True
        Wait until the disk has the bytes and the folder's entry: a file that is there
        then survives a power cut.
    """
    temporary = path.with_name(
        f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp"
    )
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        # Ctrl-C and a full disk too: nothing half-written stays, and the error goes on.
        temporary.unlink(missing_ok=True)
        raise
    if durable and hasattr(os, "O_DIRECTORY"):
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that other processes wait for, and that dies with this process.

    Other threads of this process wait for it too.

    Without ``flock`` (Windows) nothing is held.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
