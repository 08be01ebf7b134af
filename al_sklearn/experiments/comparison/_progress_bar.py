"""How far a comparison is, as a bar; where nobody looks, as lines."""

from __future__ import annotations

import threading

from al_sklearn._core.progress import somebody_looks, tqdm
from al_sklearn._core.streams import Standard
from al_sklearn.experiments.comparison._round_lines import RoundLines
from al_sklearn.experiments.store import RunStore


class ProgressBar:
    """A bar over the rounds of all workers, read from the store.

    It works whatever backend they run on. In a file, where each look would be a line,
    there is one a minute.
    """

    def __init__(
        self, store: RunStore, runs: list[tuple[str, int]], total: int, disable: bool
    ):
        # From the files: rounds of workers on other machines are counted too.
        self._count = lambda: store.count(runs)
        self._is_drawn = not disable and somebody_looks()
        self._lines = None
        if not (disable or self._is_drawn):
            self._lines = RoundLines(self._count, total, _to_stderr)
        self._total = total
        self._stop = threading.Event()

    def __enter__(self) -> ProgressBar:
        if self._lines is not None:
            self._lines.__enter__()
        if self._is_drawn:
            self._bar = tqdm(
                total=self._total, initial=self._count(), unit="round", smoothing=0.05
            )
            # A daemon: an error in the main thread must not wait for the bar.
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._lines is not None:
            self._lines.__exit__(*error)
        if self._is_drawn:
            self._stop.set()
            self._thread.join()
            if error[0] is None:
                # Where criteria stopped, there was less to do than there could have
                # been.
                self._bar.total = self._bar.n
            self._bar.close()

    def _watch(self) -> None:
        stopped = False
        while not stopped:
            # Fast enough to look alive; counting a thousand files takes milliseconds.
            stopped = self._stop.wait(0.3)
            finished = self._count() - self._bar.n
            # An update by nothing would make tqdm think that the next round took no
            # time.
            if finished:
                self._bar.update(finished)
            else:
                self._bar.refresh()


def _to_stderr(line: str) -> None:
    stream = Standard("stderr")
    stream.write(f"{line}\n")
    stream.flush()
