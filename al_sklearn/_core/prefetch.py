"""The next piece is read while somebody works on the one before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_END = object()


def read_ahead(parts: Iterable[T]) -> Iterator[T]:
    """Yield ``parts`` in their order, each read ahead in a background thread.

    A part is read while the caller works on the one before.

    Never more than two are alive: the caller's and the next. Reading and numpy's
    copying let go of the interpreter, and so does torch's arithmetic, so that two cores
    are busy. An error of ``parts`` is raised where its part would have come; leaving
    the loop early waits for the one read that has begun.
    """
    iterator = iter(parts)
    # One thread: parts of a generator cannot be read two at a time.
    with ThreadPoolExecutor(1, thread_name_prefix="al_sklearn-read") as reader:
        coming = reader.submit(next, iterator, _END)
        while (part := coming.result()) is not _END:
            coming = reader.submit(next, iterator, _END)
            yield part  # type: ignore[misc]
