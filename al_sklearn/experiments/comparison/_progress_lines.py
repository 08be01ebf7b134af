"""How far a comparison is, as lines for a log, where a bar would fill pages."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from al_sklearn.experiments.comparison._comparison import StrategyComparison
from al_sklearn.experiments.comparison._growth import seeds_at_looks
from al_sklearn.experiments.comparison._names import name_strategies
from al_sklearn.experiments.store import FIRST, RunStore

# A log of a day has then 1,440 lines at most.
_SECONDS: Final = 60.0


class ProgressLines:
    """Context manager that says once a minute how many rounds are finished.

    The rounds are read from the store.

    Parameters
    ----------
    comparison : StrategyComparison
        About to be run.
    folder : Path
        Its store.
    say : callable
        Is told each line.
    seconds : float, default=60
        Between two lines; a comparison that is over before says none.
    """

    def __init__(
        self,
        comparison: StrategyComparison,
        folder: Path,
        say: Callable[[str], None],
        seconds: float = _SECONDS,
    ):
        names = list(name_strategies(comparison.strategies))
        n_seeds = seeds_at_looks(comparison)[-1]
        self._runs = [
            (name, seed) for name in [FIRST, *names] for seed in range(n_seeds)
        ]
        # Where only a budget or a criterion ends the rounds, nobody knows how many
        # there will be.
        most = (
            None
            if comparison.n_rounds is None
            else n_seeds * (1 + len(names) * comparison.n_rounds)
        )
        self._of = "" if most is None else f" of at most {most:,}"
        self._store = RunStore(folder)
        self._say = say
        self._seconds = seconds
        self._stop = threading.Event()

    def __enter__(self) -> ProgressLines:
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
            self._say(
                f"{self._store.count(self._runs):,}{self._of} rounds after "
                f"{minutes:.0f} min"
            )
