"""Fits that run beside each other, in threads or processes."""

from __future__ import annotations

import copy
import multiprocessing
import os
import threading
import uuid
from typing import Any

from skorch.callbacks import Checkpoint


def in_worker() -> bool:
    """Whether others may be training the same classifier at this moment.

    In a worker process, or beside threads.
    """
    return multiprocessing.current_process().name != "MainProcess" or (
        threading.current_thread() is not threading.main_thread()
    )


def apart(callback: Any) -> Any:
    """Return a checkpoint with a new folder, and any other callback as it is.

    The new folder lies below the checkpoint's own.
    """
    if not isinstance(callback, Checkpoint):
        return callback
    # A copy: the parameter that the caller set stays, and the next fit does not nest
    # deeper.
    callback = copy.copy(callback)
    callback.dirname = os.path.join(callback.dirname, f"fit-{uuid.uuid4().hex}")
    callback.initialize()
    return callback
