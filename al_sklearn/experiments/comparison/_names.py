"""The strategies of a comparison, each under a name of its own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import numpy as np

from al_sklearn._core.types import Function
from al_sklearn.experiments.statistics import BASELINE, CEILING
from al_sklearn.experiments.store import FIRST
from al_sklearn.strategies import get_strategy, strategy_name

# What has a state that moves on with every draw.
_GENERATORS: Final = (np.random.Generator, np.random.RandomState)


def name_strategies(strategies: Any) -> dict[str, Function]:
    """Resolve strategies and give each its name.

    Random sampling comes first where it is not among them. Where it is, under a name of
    one's own, it is the baseline and takes its name: it would be trained twice
    otherwise. A strategy of one's own may take that name, and is the baseline then.

    Raises
    ------
    ValueError
        When a name is unknown, comes twice, or would change from one process to the
        next.
    """
    given = (
        strategies.items()
        if isinstance(strategies, Mapping)
        else [(strategy_name(strategy), strategy) for strategy in strategies]
    )
    pairs = [(str(name), get_strategy(strategy)) for name, strategy in given]
    random = get_strategy(BASELINE)
    if BASELINE not in [name for name, _ in pairs]:
        same = [i for i, (_, strategy) in enumerate(pairs) if strategy is random]
        if same:
            # Not trained twice; a second one of them stays, as a comparison of chance
            # with itself.
            pairs.pop(same[0])
        # First, so that tables, legends and reports begin with what has to be beaten.
        pairs.insert(0, (BASELINE, random))
    named: dict[str, Function] = {}
    for name, strategy in pairs:
        # A store has one folder a name.
        if name in named:
            raise ValueError(
                f"Two strategies are called {name!r}; give a dict of names to "
                "strategies."
            )
        # A partial's keywords, or what a composition keeps as attributes.
        bound = (
            strategy.keywords
            if isinstance(strategy, partial)
            else getattr(strategy, "__dict__", {})
        )
        if any(isinstance(value, _GENERATORS) for value in bound.values()):
            raise ValueError(
                f"The strategy {name!r} has a random generator bound to it, whose "
                "state would pass from one run to the "
                "next; leave it out (each round of each run is given a random_state) "
                "or bind an integer."
            )
        # Such a name is another in every process: the run could never be resumed.
        if " at 0x" in name:
            raise ValueError(
                f"The strategy {name} has no name that lasts; give a dict of names to "
                "strategies."
            )
        named[name] = strategy
    if FIRST in named:
        raise ValueError(
            f"{FIRST!r} is the name of the seeds' first models; call the strategy "
            "something else."
        )
    if CEILING in named:
        raise ValueError(
            f"{CEILING!r} is the name of what all labels give; call the strategy "
            "something else."
        )
    # Another of the library's under that name is a slip: tables would say that a
    # strategy is no better than itself.
    other = named[BASELINE]
    if other is not random and hasattr(other, "info"):
        raise ValueError(
            f"{BASELINE!r} is the name of the baseline; call {strategy_name(other)!r} "
            "something else."
        )
    return named
