"""Files that are there whole or not at all, and locks between processes."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

# Seconds between two looks at a lock that somebody else holds: rows are written under
# it in milliseconds.
_LOOK_AGAIN: Final = 0.01
# What file systems without locks answer: NFS without its daemon, FUSE, some of
# clusters'. It says nothing of another process.
_NO_LOCKS: Final = frozenset(
    {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
)


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
    with _beside(path) as temporary:
        with _filling(temporary, durable) as file:
            yield file
        os.replace(temporary, path)
    if durable and hasattr(os, "O_DIRECTORY"):
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


@contextmanager
def creating(path: Path) -> Iterator[Any]:
    """Write a file that is there whole or not at all, and takes nobody's place.

    Parameters
    ----------
    path : Path

    Raises
    ------
    FileExistsError
        When there is one of that name already, also one that came in the meantime.
    """
    with _beside(path) as temporary:
        with _filling(temporary) as file:
            yield file
        try:
            # Two names for a moment: unlike a move, it never replaces.
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:
            # A file system without links: the name is taken first, then filled.
            path.open("xb").close()
            os.replace(temporary, path)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Lend a name beside a file; nothing stays there, whatever ends the block."""
    temporary = path.with_name(
        f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp"
    )
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _filling(temporary: Path, durable: bool = True) -> Iterator[Any]:
    with temporary.open("wb") as file:
        yield file
        file.flush()
        if durable:
            os.fsync(file.fileno())


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock that other processes wait for, and that dies with this process.

    Other threads of this process wait for it too. It works on every system; where a
    file system has no locks, a file beside it, ``NAME.held``, says by its being there
    that somebody holds it. One that a killed process of this machine left is taken
    over.

    Parameters
    ----------
    path : Path
        The file of the lock; it and its folder are made, and the file stays.
    wait : bool, default=True
        False raises at once where somebody holds it.

    Raises
    ------
    BlockingIOError
        When somebody else holds the lock and ``wait`` is False.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = _acquired(path, wait)
    except Timeout as error:
        raise BlockingIOError(
            errno.EWOULDBLOCK, "Held by another", str(path)
        ) from error
    try:
        yield
    finally:
        lock.release()


def _acquired(path: Path, wait: bool) -> BaseFileLock:
    # Whoever holds it may let go in another thread than the one that took it.
    lock: BaseFileLock = FileLock(path, thread_local=False)
    try:
        lock.acquire(blocking=wait, poll_interval=_LOOK_AGAIN)
    except Timeout:
        raise
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        # Another name: the file of the lock itself is there already.
        lock = SoftFileLock(path.with_name(f"{path.name}.held"), thread_local=False)
        lock.acquire(blocking=wait, poll_interval=_LOOK_AGAIN)
    return lock
