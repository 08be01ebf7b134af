"""How far a comparison is, as lines for a log, read from its store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from al_sklearn._core.progress import SECONDS
from al_sklearn.experiments.comparison._comparison import StrategyComparison
from al_sklearn.experiments.comparison._growth import seeds_at_looks
from al_sklearn.experiments.comparison._names import name_strategies
from al_sklearn.experiments.comparison._round_lines import RoundLines
from al_sklearn.experiments.statistics import CEILING
from al_sklearn.experiments.store import FIRST, RunStore


class ProgressLines(RoundLines):
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
        seconds: float = SECONDS,
    ):
        names = list(name_strategies(comparison.strategies))
        n_seeds = seeds_at_looks(comparison)[-1]
        alone = [FIRST, CEILING] if comparison.ceiling else [FIRST]
        runs = [(name, seed) for name in [*alone, *names] for seed in range(n_seeds)]
        # Where only a budget or a criterion ends the rounds, nobody knows how many
        # there will be.
        most = None
        if comparison.n_rounds is not None:
            most = n_seeds * (len(alone) + len(names) * comparison.n_rounds)
        store = RunStore(folder)
        super().__init__(lambda: store.count(runs), most, say, seconds)
