"""Ctrl-C that somebody swallows, and workers whose main process has gone."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

# Asking the system which signals there are takes as long as a small fit.
_SIGNALS: Final = sorted(signal.valid_signals())
# Seconds between two looks at whether the main process lives: its workers end within
# two of these, and looking costs microseconds.
_LOOK_AGAIN: Final = 0.5
# What loky and multiprocessing call the workers of their pools. A process that somebody
# has begun by hand may be meant to outlive who began it.
_WORKERS: Final = ("LokyProcess", "PoolWorker")
_watching = False


@contextmanager
def not_swallowed() -> Iterator[None]:
    """Raise behind the block what a signal's handler raised in it and somebody caught.

    skorch's networks and scikit-learn's perceptrons catch ``KeyboardInterrupt`` in the
    middle of a training, and return as if it were done: whoever measures such a model
    takes half of a training for the whole. What raises ``KeyboardInterrupt`` by itself,
    as skorch's early stopping does, is no signal, and stays their own business.

    Notes
    -----
    Whatever signal has a handler in Python is watched: schedulers send SIGTERM or
    SIGUSR1, and people let these raise what Ctrl-C raises. Only the main thread is
    interrupted by signals; in others there is nothing to watch.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    raised: list[BaseException] = []

    def recording(handler: Callable[..., Any]) -> Callable[..., Any]:
        def record(number: int, frame: Any) -> Any:
            try:
                return handler(number, frame)
            except BaseException as error:
                raised.append(error)
                raise

        return record

    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    ours: dict[int, tuple[Any, Any]] = {}
    try:
        for number, handler in handlers.items():
            # The system's own ways (to end, to ignore) are no functions.
            if callable(handler):
                watched = recording(handler)
                ours[number] = watched, handler
                signal.signal(number, watched)
        yield
    finally:
        for signal_number, (watched, handler) in ours.items():
            # Somebody inside may have put another in its place, on purpose.
            if signal.getsignal(signal_number) is watched:
                signal.signal(signal_number, handler)
    if raised:
        raise raised[0]


def end_with_main() -> None:
    """Let this worker process end soon after the process that began it has gone.

    A main process that is killed cannot tell its workers, and a training may take
    hours. In anything but a worker of a pool, and where it is called again, nothing
    happens. What is being written is left as a kill leaves it.
    """
    global _watching
    name = multiprocessing.current_process().name
    if _watching or not any(kind in name for kind in _WORKERS):
        return
    _watching = True
    parent = os.getppid()
    threading.Thread(
        target=_watch, args=(parent,), name="al_sklearn-watch", daemon=True
    ).start()


def is_orphan(parent: int) -> bool:
    """Whether the process of that number is not this one's parent any more."""
    if sys.platform == "win32":
        # A parent's number stays there when it has gone.
        process = multiprocessing.parent_process()
        return process is not None and not process.is_alive()
    return os.getppid() != parent


def _watch(parent: int) -> None:
    while not is_orphan(parent):
        time.sleep(_LOOK_AGAIN)
    # Not sys.exit: the main thread may be in the middle of a training.
    os._exit(1)


def _watch_anew() -> None:
    # A forked worker of a worker has none of its threads.
    global _watching
    _watching = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_watch_anew)
