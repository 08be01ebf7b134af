"""What a comparison can see: power, the effect that it would have found, its plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy import special
from scipy.optimize import brentq

from al_sklearn._core.types import Array
from al_sklearn.experiments.statistics._curves import BASELINE, read_curves

#: Four times in five: what is usually asked of a study.
POWER: Final = 0.8
# Beyond it the answer is "not like this", and not a number.
_MOST_SEEDS: Final = 10_000
# Standard errors beyond which an effect is as good as infinite.
_FARTHEST: Final = 1e3
# Nodes of a mean over the deviations that seeds may show: five digits and more.
_N_NODES: Final = 128
# Deviations that a pilot leaves open, by equal shares of what is not known.
_N_DEVIATIONS: Final = 50


def paired_power(effect: Any, n_seeds: int, alpha: float = 0.05) -> Any:
    """Chance that a two-sided paired t-test finds an effect.

    Parameters
    ----------
    effect : float or array
        The true mean difference, in standard deviations of the differences between
        seeds.
    n_seeds : int
        Pairs, at least 2.
    alpha : float, default=0.05
        Level of the test; with Holm's adjustment the smallest of ``k`` p-values is
        tested at ``alpha / k``.

    Returns
    -------
    float or array

    Examples
    --------
    >>> from al_sklearn.experiments.statistics import paired_power
    >>> round(float(paired_power(1.0, 10)), 3)
    0.803
    """
    critical = special.stdtrit(n_seeds - 1, 1 - alpha / 2)
    shift = np.abs(np.asarray(effect, dtype=np.float64)) * np.sqrt(n_seeds)
    # By hand: scipy's noncentral t is NaN where few seeds meet a strict level. Given
    # the deviation that the seeds happen to show, the test is one of a normal mean;
    # this is its mean over those deviations.
    shown, weights = _deviations(n_seeds - 1)
    bound = critical * shown
    above = special.ndtr(shift[..., None] - bound)
    below = special.ndtr(-shift[..., None] - bound)
    # The weights sum to 1 but for rounding.
    return np.minimum((above + below) @ weights, 1.0)[()]


def detectable_effect(
    deviation: Any, n_seeds: int, alpha: float = 0.05, power: float = POWER
) -> Any:
    """Smallest mean difference that a paired t-test finds with a given power.

    Parameters
    ----------
    deviation : float or array
        Standard deviation of the differences between seeds, as it was estimated.
    n_seeds : int
        Pairs.
    alpha : float, default=0.05
        Level of the test.
    power : float, default=0.8
        How often it is to be found.

    Returns
    -------
    float or array
        In the unit of ``deviation``; NaN with one seed.
    """
    _check_shares(alpha=alpha, power=power)
    spread = np.asarray(deviation, dtype=np.float64)
    # One seed can tell nothing, whatever its size.
    standard = np.nan if n_seeds < 2 else _standard_effect(n_seeds, alpha, power)
    return (spread * standard)[()]


@dataclass(frozen=True)
class ComparisonPlan:
    """How many seeds a comparison needs.

    Attributes
    ----------
    n_seeds : int
        Seeds that find the effect with the power asked for, for the strategy that
        varies most.
    power : float
        What these seeds reach.
    effect : float
        The difference in AUBC to the baseline that is to be found, in the unit of the
        metric.
    metric : str
        What is compared.
    alpha : float
        Level of each test: that of all, divided by the strategies tested.
    pilot_seeds : int
        Seeds of the pilot.
    table : DataFrame
        One row a strategy: ``deviation`` (of its differences between seeds),
        ``n_seeds`` and ``power`` (with them), ``power_of_pilot`` (what as many seeds as
        the pilot's find).
    """

    n_seeds: int
    power: float
    effect: float
    metric: str
    alpha: float
    pilot_seeds: int
    table: pd.DataFrame = field(repr=False, compare=False)

    def power_at(self, n_seeds: int) -> float:
        """Return the chance to find the effect with so many seeds.

        That of the strategy that varies most.
        """
        if n_seeds < 2:
            return 0.0
        worst = float(self.table["deviation"].max())
        return _expected_power(
            self.effect, worst, self.pilot_seeds, n_seeds, self.alpha
        )


def plan_comparison(
    results: Any,
    effect: float = 0.01,
    power: float = POWER,
    metric: str = "accuracy",
    *,
    n_strategies: int | None = None,
    alpha: float = 0.05,
    baseline: str = BASELINE,
) -> ComparisonPlan:
    """Say how many seeds it takes to find an effect, from a pilot.

    The effect is a difference in AUBC to random sampling, found by the paired t-test
    with Holm's adjustment (its strictest step, so that it is found whatever the others
    show).

    Parameters
    ----------
    results : DataFrame, results of a store, or fitted comparison
        The pilot, with at least two seeds: a tidy table, or what has one. How much the
        differences vary is read off it, not how large they are.
    effect : float, default=0.01
        The smallest difference that matters, in the unit of the metric: 0.01 is one
        point of accuracy.
    power : float, default=0.8
        How often it is to be found. A pilot of few seeds knows its deviation badly:
        this is the mean over those that it leaves open.
    metric : str, default="accuracy"
        The column that is compared.
    n_strategies : int, optional
        Strategies that will be tested against the baseline; those of the pilot by
        default.
    alpha : float, default=0.05
        Level of all tests together.
    baseline : str, default="random_sampling"
        The strategy that the others are held against.

    Returns
    -------
    ComparisonPlan

    Raises
    ------
    ValueError
        When the pilot has one seed or nothing to compare, or more than 10,000 seeds
        would be needed.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from al_sklearn.experiments import plan_comparison
    >>> luck = np.random.default_rng(0)
    >>> pilot = pd.DataFrame(
    ...     [
    ...         (name, seed, n, 0.8 + 0.02 * luck.normal())
    ...         for name in ("random_sampling", "margin")
    ...         for seed in range(5)
    ...         for n in (20, 40)
    ...     ],
    ...     columns=["strategy", "seed", "n_labelled", "accuracy"],
    ... )
    >>> plan = plan_comparison(pilot, effect=0.02)
    >>> plan.n_seeds, round(plan.power, 2)
    (25, 0.8)
    """
    _check_shares(alpha=alpha, power=power)
    if not (np.isfinite(effect) and effect > 0):
        raise ValueError(
            "effect is the smallest difference that matters, above 0, as 0.01; got "
            f"{effect!r}."
        )
    table = results
    if not isinstance(results, pd.DataFrame):
        # The results of a store and a fitted comparison hold theirs.
        table = getattr(results, "table", getattr(results, "results_", results))
    curves = read_curves(table, metric)
    curves.check_baseline(baseline)
    n_pilot = len(curves.seeds)
    names = [name for name in curves.by_strategy if name != baseline]
    if not names or n_pilot < 2:
        raise ValueError(
            "A pilot has two seeds or more and a strategy beside the baseline, to see "
            f"how much differences vary; got {n_pilot} seeds of "
            f"{list(curves.by_strategy)}."
        )
    n_tests = len(names) if n_strategies is None else n_strategies
    if n_tests < 1:
        raise ValueError(f"n_strategies must be at least 1, got {n_strategies!r}.")
    level = alpha / n_tests
    rows: dict[str, tuple[float, int, float, float]] = {}
    for name in names:
        spread = float(curves.differences(name, baseline).std(ddof=1))
        n_seeds = _seeds_for(effect, spread, n_pilot, level, power)
        rows[name] = (
            spread,
            n_seeds,
            _expected_power(effect, spread, n_pilot, n_seeds, level),
            _expected_power(effect, spread, n_pilot, n_pilot, level),
        )
    found = pd.DataFrame.from_dict(
        rows,
        orient="index",
        columns=["deviation", "n_seeds", "power", "power_of_pilot"],
    ).rename_axis("strategy")
    worst = found.iloc[int(found["n_seeds"].to_numpy().argmax())]
    return ComparisonPlan(
        int(worst["n_seeds"]),
        float(worst["power"]),
        float(effect),
        metric,
        level,
        n_pilot,
        found,
    )


def _check_shares(**shares: float) -> None:
    for name, value in shares.items():
        if not 0 < value < 1:
            raise ValueError(f"{name} is a share between 0 and 1; got {value!r}.")


@lru_cache(maxsize=256)
def _deviations(df: int) -> tuple[Array, Array]:
    """Deviations that seeds show where the true one is 1, and how much each weighs."""
    nodes, weights = np.polynomial.legendre.leggauss(_N_NODES)
    # At equal steps of probability, so that what is likely has many nodes.
    shown = np.sqrt(special.chdtri(df, (1 - nodes) / 2) / df)
    return shown, weights / 2


@lru_cache(maxsize=1024)
def _standard_effect(n_seeds: int, alpha: float, power: float) -> float:
    """The effect, in standard deviations, that is found with this power."""
    # Without an effect the power is alpha.
    if power <= alpha:
        return 0.0
    high = 1.0
    while paired_power(high, n_seeds, alpha) < power:
        high *= 2
        # Two seeds at an early look's level: hardly anything would be found.
        if high * np.sqrt(n_seeds) > _FARTHEST:
            return np.inf
    return float(brentq(lambda d: paired_power(d, n_seeds, alpha) - power, 0, high))


def _expected_power(
    effect: float, deviation: float, n_pilot: int, n_seeds: int, alpha: float
) -> float:
    """Power, averaged over the deviations that a pilot leaves open.

    The deviation of few seeds is often too small; planned with it as if it were the
    truth, every other comparison would be too small as well.
    """
    shares = (np.arange(_N_DEVIATIONS) + 0.5) / _N_DEVIATIONS
    df = n_pilot - 1
    # s² · df / σ² follows a chi-squared distribution.
    open_ = deviation * np.sqrt(df / special.chdtri(df, 1 - shares))
    # No spread in the pilot: every effect is seen.
    standard = np.divide(
        effect, open_, out=np.full(open_.shape, np.inf), where=open_ > 0
    )
    return float(np.mean(paired_power(standard, n_seeds, alpha)))


def _seeds_for(
    effect: float, deviation: float, n_pilot: int, alpha: float, power: float
) -> int:
    """Fewest seeds with that power: doubled until enough, then halved in between."""

    def enough(n: int) -> bool:
        return _expected_power(effect, deviation, n_pilot, n, alpha) >= power

    low, high = 1, 2
    while not enough(high):
        low, high = high, 2 * high
        if low >= _MOST_SEEDS:
            raise ValueError(
                f"More than {_MOST_SEEDS:,} seeds would be needed for an effect of "
                f"{effect:g} where differences vary by {deviation:.3g}, as far as "
                f"{n_pilot} seeds can tell: name a larger effect, or run a larger "
                "pilot."
            )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
