"""The strategies of a comparison, each under a name of its own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import numpy as np

from al_sklearn._core.types import Function
from al_sklearn.experiments.statistics import BASELINE
from al_sklearn.experiments.store import FIRST
from al_sklearn.strategies import get_strategy, strategy_name

# What has a state that moves on with every draw.
_GENERATORS: Final = (np.random.Generator, np.random.RandomState)


def name_strategies(strategies: Any) -> dict[str, Function]:
    """Resolve strategies and give each its name.

    Random sampling comes first where it is not among them.

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
    # First, so that tables, legends and reports begin with what has to be beaten.
    if BASELINE not in [name for name, _ in pairs]:
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
    # All statistics hold strategies against it by this name.
    if named[BASELINE] is not random:
        raise ValueError(
            f"{BASELINE!r} is the name of the baseline; call the other strategy "
            "something else."
        )
    return named
