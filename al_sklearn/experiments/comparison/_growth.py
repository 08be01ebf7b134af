"""How many seeds a comparison has: all at once, or from look to look."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from al_sklearn.experiments import statistics

# Level of what is found, as in every table.
_ALPHA: Final = 0.05
# The seeds of a comparison that says nothing about them.
_DEFAULT: Final = 5


def seeds_at_looks(comparison: Any) -> tuple[int, ...]:
    """Return the seeds at each look; one look at all of them where none are named.

    Parameters
    ----------
    comparison : StrategyComparison
        Its ``looks`` and ``n_seeds``.

    Returns
    -------
    tuple of int

    Raises
    ------
    ValueError
        For looks that are none, or that ``n_seeds`` contradicts.
    """
    if comparison.looks is None:
        return (comparison.n_seeds,)
    looks = statistics.check_looks(comparison.looks)
    # The default is nobody's wish.
    if comparison.n_seeds not in (_DEFAULT, looks[-1]):
        raise ValueError(
            f"looks={comparison.looks!r} ends at {looks[-1]} seeds, n_seeds is "
            f"{comparison.n_seeds}: with looks, leave n_seeds out."
        )
    return looks


def is_decided(table: pd.DataFrame) -> bool:
    """Whether every strategy is told from random sampling at this look.

    Parameters
    ----------
    table : DataFrame
        Tidy; ``attrs["looks"]`` says which looks were named.
    """
    summary = statistics.summarize(table)
    tested = summary["p_holm"].drop(statistics.BASELINE)
    # Without a strategy beside random sampling there is nothing to wait for.
    return bool((tested < _ALPHA).all())
