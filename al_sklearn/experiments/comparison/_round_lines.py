"""How far a comparison is, as lines for a log, where a bar would fill pages."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from al_sklearn._core.progress import SECONDS


class RoundLines:
    """Context manager that says once a minute how many rounds are finished.

    Parameters
    ----------
    count : callable
        Counts the finished rounds.
    most : int or None
        How many there will be at most; None where nobody knows.
    say : callable
        Is told each line.
    seconds : float, default=60
        Between two lines; what is over before says none.
    """

    def __init__(
        self,
        count: Callable[[], int],
        most: int | None,
        say: Callable[[str], None],
        seconds: float = SECONDS,
    ):
        self._count = count
        self._of = "" if most is None else f" of at most {most:,}"
        self._say = say
        self._seconds = seconds
        self._stop = threading.Event()

    def __enter__(self) -> RoundLines:
        # A daemon: an error in the main thread must not wait for it.
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        begun = time.monotonic()
        while not self._stop.wait(self._seconds):
            minutes = (time.monotonic() - begun) / 60
            self._say(f"{self._count():,}{self._of} rounds after {minutes:.0f} min")
