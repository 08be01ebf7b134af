"""How far a comparison is, as a bar."""

from __future__ import annotations

import threading

from tqdm.auto import tqdm

from al_sklearn.experiments.store import RunStore


class ProgressBar:
    """A bar over the rounds of all workers, read from the store.

    It works whatever backend they run on.
    """

    def __init__(
        self, store: RunStore, runs: list[tuple[str, int]], total: int, disable: bool
    ):
        # From the files: rounds of workers on other machines are counted too.
        self._count = lambda: store.count(runs)
        self._disable = disable
        self._total = total
        self._stop = threading.Event()

    def __enter__(self) -> ProgressBar:
        if not self._disable:
            self._bar = tqdm(
                total=self._total, initial=self._count(), unit="round", smoothing=0.05
            )
            # A daemon: an error in the main thread must not wait for the bar.
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        if not self._disable:
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
