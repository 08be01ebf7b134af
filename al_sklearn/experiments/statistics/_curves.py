"""Learning curves: read from a tidy table, made comparable, and their area.

They are brought to budgets that can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from al_sklearn._core.types import Array
from al_sklearn.experiments.statistics._ceiling import without_ceiling
from al_sklearn.experiments.statistics._looks import (
    check_looks,
    look_note,
    look_of,
    sequential_levels,
    sequential_p_values,
)
from al_sklearn.tasks import get_metric

# Sums of the same numbers in another order differ by less than this share of them: that
# is no difference.
_ROUNDING: Final = 1e-12
# What every strategy is held against, by the name that it always has.
BASELINE: Final = "random_sampling"


def aubc(n_labelled: Any, metric: Any) -> Any:
    """Area under a metric over the budget, divided by the range of the budget.

    The area is computed by trapezoids.

    Parameters
    ----------
    n_labelled : array of shape (R,)
        Labels used, increasing.
    metric : array of shape (..., R)
        The metric at each budget.

    Returns
    -------
    float or array of shape (...)
        In the unit of the metric; the metric itself where there is only one budget.
    """
    x, y = _checked(n_labelled, metric)
    # No budget range to divide by: the curve is one point, and its area that value.
    if len(x) == 1:
        return y[..., 0]
    area = np.trapezoid(y, x, axis=-1)
    return area / (x[-1] - x[0])


def labels_needed(n_labelled: Any, metric: Any, target: Any) -> Any:
    """Labels needed to reach a target, on the curve made monotone.

    Its points are joined by straight lines.

    Parameters
    ----------
    n_labelled : array of shape (R,)
        Labels used, increasing.
    metric : array of shape (..., R)
        A metric that is better when higher. The curve is replaced by its running
        maximum.
    target : float or array of shape (...)
        The value to be reached; what is closer to it than rounding reaches it.

    Returns
    -------
    float or array of shape (...)
        The first budget at which the curve reaches the target; NaN where it never does.
    """
    x, values = _checked(n_labelled, metric)
    # What was once reached counts as reached: later dips are noise of the training.
    y = np.maximum.accumulate(values, axis=-1)
    goal = np.asarray(target, dtype=np.float64)[..., None]
    reached = y >= goal - _ROUNDING * np.abs(goal)
    # argmax gives 0 where nothing is reached too: those are NaN in the end.
    right = reached.argmax(axis=-1)[..., None]
    left = np.maximum(right - 1, 0)
    y_left = np.take_along_axis(y, left, -1)
    rise = np.take_along_axis(y, right, -1) - y_left
    # Flat pieces have no slope to divide by; a curve that begins at the target has
    # nothing before it, and no rise either.
    share = np.zeros_like(rise)
    np.divide(
        goal - y_left,
        rise,
        out=share,
        where=rise > 0,
    )
    # Never beyond the right end, whatever rounding makes of the share.
    share = np.minimum(share, 1)
    between = x[right] - x[left]
    needed = x[left] + share * between
    needed = np.where(reached.any(axis=-1), needed[..., 0], np.nan)
    # A plain number of one curve, an array of several.
    return needed[()]


class Curve(NamedTuple):
    """One seed's curve of one strategy.

    Parameters
    ----------
    n_labelled, values : float arrays of shape (R,)
        The budgets, increasing, and the metric at each.
    stopped : str
        Why it ended before its time; empty where it did not.
    """

    n_labelled: Array
    values: Array
    stopped: str

    def at(self, n_labelled: Any) -> Array:
        """Return the metric at any budgets, on straight lines between rounds.

        Beyond the ends it stays as it is.
        """
        return np.interp(n_labelled, self.n_labelled, self.values)

    def has(self, n_labelled: float) -> bool:
        """Whether a budget lies between its first and its last."""
        first, last = self.n_labelled[[0, -1]]
        return bool(first <= n_labelled <= last)


@dataclass(frozen=True)
class Curves:
    """The curves of a table, paired by seed.

    Parameters
    ----------
    metric : str
        What was read.
    seeds : list
        Those that every strategy has finished.
    by_strategy : dict of str to list of Curve
        For each strategy, in order of appearance, one curve a seed.
    notes : list of str
        What was left out and what was cut.
    looks : tuple of int
        Seeds at the looks that were named beforehand; empty where none were.
    """

    metric: str
    seeds: list[Any]
    by_strategy: dict[str, list[Curve]]
    notes: list[str]
    looks: tuple[int, ...] = ()

    @property
    def sign(self) -> int:
        """-1 where lower is better."""
        return get_metric(self.metric).sign

    def counted(self, p_values: Any) -> Array:
        """Return p-values as they count among the looks named beforehand.

        As they are where none were; NaN before the first.
        """
        p = np.asarray(p_values, dtype=np.float64)
        if not self.looks:
            return p
        look = look_of(self.looks, len(self.seeds))
        if not look:
            return np.full(p.shape, np.nan)
        return sequential_p_values(p, self.looks, look)

    def level(self, alpha: float) -> float:
        """Return the level of one p-value here, where all looks have ``alpha``.

        NaN before the first look.
        """
        if not self.looks:
            return alpha
        look = look_of(self.looks, len(self.seeds))
        if not look:
            return np.nan
        return float(sequential_levels(self.looks, alpha)[self.looks.index(look)])

    def check_baseline(self, baseline: str) -> None:
        """Raise a ``ValueError`` where the strategy is not in the table."""
        if baseline not in self.by_strategy:
            raise ValueError(
                f"The baseline {baseline!r} is not in the table; it has "
                f"{list(self.by_strategy)}."
            )

    def areas(self, names: Iterable[str] | None = None) -> dict[str, Array]:
        """Return each seed's AUBC over the budgets that these strategies share.

        The budgets are those that they share in that seed.

        Raises
        ------
        ValueError
            When they share none.
        """
        chosen = list(self.by_strategy if names is None else names)
        found: dict[str, list[float]] = {name: [] for name in chosen}
        for i, seed in enumerate(self.seeds):
            curves = {name: self.by_strategy[name][i] for name in chosen}
            grid = shared_budgets(list(curves.values()))
            if len(grid) == 0:
                raise ValueError(
                    f"Seed {seed}: {', '.join(chosen)} have no budget in common."
                )
            for name, curve in curves.items():
                found[name].append(aubc(grid, curve.at(grid)))
        return {name: rounded(areas) for name, areas in found.items()}

    def differences(self, first: str, second: str) -> Array:
        """Return the first's AUBC minus the second's, of each seed.

        Both are taken over the budgets that the two share in that seed.
        """
        areas = self.areas([first, second])
        return differences(areas[first], areas[second])

    def whole(self, name: str) -> tuple[Array, Array]:
        """Return a strategy's budgets (R,) and curves (n_seeds, R).

        They go to the end of the longest.

        A curve that ends earlier keeps its last value: a learner that stopped has the
        model that it stopped with.
        """
        # Before the latest beginning a mean would be of fewer seeds than behind it.
        grid = _budgets_from_latest_beginning(self.by_strategy[name])
        return grid, self.at(name, grid)

    def at(self, name: str, n_labelled: Array) -> Array:
        """Return a strategy's curves at any budgets, shape (n_seeds, R)."""
        curves = self.by_strategy[name]
        return np.stack([curve.at(n_labelled) for curve in curves])

    def last(self, name: str) -> Array:
        """Return the metric after each seed's own last round."""
        curves = self.by_strategy[name]
        return np.array([curve.values[-1] for curve in curves])

    def labels(self, name: str) -> Array:
        """Return the labels that each seed has used in the end."""
        curves = self.by_strategy[name]
        return np.array([curve.n_labelled[-1] for curve in curves])

    def n_stopped(self, name: str) -> int:
        """Count the seeds that a criterion stopped."""
        return sum(bool(curve.stopped) for curve in self.by_strategy[name])


def rounded(values: Any) -> Array:
    """Return values to twelve digits, so that those equal but for rounding match."""
    x = np.asarray(values, dtype=np.float64)
    # Twelve significant digits: a double has almost sixteen, sums of a few hundred
    # rounds lose two or three. Below 1e-290 the scale itself would overflow.
    digits = np.zeros_like(x)
    np.log10(np.abs(x), out=digits, where=x != 0)
    digits = np.maximum(np.floor(digits), -290)
    scale = 10.0 ** (11 - digits)
    return np.round(x * scale) / scale


def differences(first: Any, second: Any) -> Array:
    """Return the first minus the second, 0 where rounding alone could part them."""
    a = np.asarray(first, dtype=np.float64)
    b = np.asarray(second, dtype=np.float64)
    # Wider than the twelve digits: two areas of the same curve, read on other grids,
    # must tie, or a rank test would see luck.
    larger = np.maximum(np.abs(a), np.abs(b))
    difference = a - b
    same = np.abs(difference) <= 1e-10 * larger
    return np.where(same, 0.0, rounded(difference))


def read_curves(results: pd.DataFrame, metric: str = "accuracy") -> Curves:
    """Read the curves of a tidy table.

    Parameters
    ----------
    results : DataFrame
        Columns ``strategy``, ``seed``, ``n_labelled`` and ``metric``; ``round`` and
        ``stopped`` where there.
    metric : str, default="accuracy"
        A column. Rounds in which it is NaN for everybody are left out (as
        ``batch_accuracy`` in round 0); a seed that has it NaN or infinite elsewhere is
        left out. ``attrs["looks"]`` are the looks named beforehand, as
        ``StrategyComparison(looks=(5, 10, 20))`` writes them: between two of them the
        seeds of the one before are read.

    Returns
    -------
    Curves
        Of the seeds that every strategy has finished. A run counts as finished when no
        round is missing and it has as many as the strategy's longest, or was stopped.

    Raises
    ------
    TypeError
        When it is no table.
    ValueError
        When a column is missing, a strategy, seed or budget is, the metric or the
        budgets are no numbers, the metric is NaN throughout, a budget comes twice, or
        no seed is finished by every strategy.
    """
    results = without_ceiling(flat_table(results))
    missing = {"strategy", "seed", "n_labelled", metric} - set(results.columns)
    if missing:
        raise ValueError(
            f"The table lacks {sorted(missing)}; it has {list(results.columns)}."
        )
    if results.empty:
        raise ValueError("The table has no rows: there is nothing to compare yet.")
    for column in ("strategy", "seed", "n_labelled"):
        n_missing = int(results[column].isna().sum())
        if n_missing:
            raise ValueError(
                f"{column} is missing in {n_missing} of {len(results)} rows."
            )
    numbers = {name: _numbers(results[name]) for name in ("n_labelled", metric)}
    results = results.assign(**numbers)
    # Where strategies choose their own batch sizes, only the round says which rows
    # belong together.
    key = "round" if "round" in results.columns else "n_labelled"
    # batch_accuracy has no round 0: NaN for everybody is no gap in anybody's curve.
    known = results[metric].notna()
    defined = known.groupby(results[key]).transform("any")
    if not defined.any():
        raise ValueError(f"{metric} is NaN in every row: there is nothing to compare.")
    used = results[defined]
    used = used.assign(_number=_round_numbers(used, key))
    # The longest of its own seeds: other strategies may have more rounds for the same
    # budget.
    used["_last"] = used.groupby("strategy")["_number"].transform("max")
    read: dict[str, dict[Any, Curve]] = {name: {} for name in results["strategy"]}
    by_run: Any = used.groupby(["strategy", "seed"], sort=False)
    for (name, seed), part in by_run:
        curve = _curve(part, metric, f"{name}, seed {seed}")
        last = part["_number"].max()
        # A round that a worker has not written yet, or whose file was removed.
        gaps = len(part) != last + 1
        early = last < part["_last"].iloc[0]
        whole = curve.stopped or not early
        if whole and not gaps and np.isfinite(curve.values).all():
            read[name][seed] = curve
    every = sorted(set(results["seed"]))
    # Paired comparisons need each seed of every strategy: what is left out is said.
    shared = set(every).intersection(*read.values())
    seeds = [seed for seed in every if seed in shared]
    if not seeds:
        raise ValueError(
            "No seed is finished by every strategy: there is nothing to compare yet."
        )
    looks = check_looks(results.attrs["looks"]) if results.attrs.get("looks") else ()
    notes = [look_note(looks, len(seeds))] if looks else []
    n_left_out = len(every) - len(seeds)
    if n_left_out:
        notes.append(
            f"{n_left_out} of {len(every)} seeds are left out: not every "
            "strategy has finished them"
            f" with a value of {metric} in each round."
        )
    # Seeds beyond a look are looked at when the next is complete, and not before.
    look = look_of(looks, len(seeds))
    if look and look < looks[-1]:
        seeds = seeds[:look]
    paired = {name: [curves[seed] for seed in seeds] for name, curves in read.items()}
    notes += _notes_on_ends(paired)
    return Curves(metric, seeds, paired, notes, looks)


def paired_curves(
    results: pd.DataFrame, metric: str = "accuracy"
) -> tuple[Array, dict[str, Array]]:
    """Turn a tidy table into arrays that are paired by seed.

    Parameters
    ----------
    results : DataFrame
        Columns ``strategy``, ``seed``, ``n_labelled`` and ``metric``.
    metric : str, default="accuracy"
        A column.

    Returns
    -------
    n_labelled : float array of shape (R,)
        The budgets that all curves share, increasing.
    curves : dict of str to array of shape (n_seeds, R)
        For each strategy, in order of appearance, the metric of the seeds that every
        strategy has finished.

    Raises
    ------
    ValueError
        As :func:`read_curves`, and when the curves share no budget.
    """
    curves = read_curves(results, metric)
    by_strategy = curves.by_strategy
    grid = shared_budgets([curve for own in by_strategy.values() for curve in own])
    if len(grid) == 0:
        raise ValueError(f"{', '.join(by_strategy)} have no budget in common.")
    return grid, {name: curves.at(name, grid) for name in by_strategy}


def flat_table(results: Any) -> pd.DataFrame:
    """Return a tidy table with an index of its own.

    Tables joined by ``pd.concat`` have each row's number several times, or the names of
    the tables beside it: those become columns where there are none of that name.

    Raises
    ------
    TypeError
        When it is no table.
    """
    if not isinstance(results, pd.DataFrame):
        raise TypeError(
            "results must be a tidy table, a pandas DataFrame; got "
            f"{type(results).__name__}."
        )
    names = [name for name in results.index.names if name is not None]
    told = [name for name in names if name not in results.columns]
    # Levels without a name number the rows, and those of a column repeat it.
    return results.reset_index(level=told).reset_index(drop=True)


def by_dataset(results: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return each data set's part of a table.

    One part where it has no column ``dataset``.
    """
    table = flat_table(results)
    if "dataset" not in table.columns:
        return [("", table)]
    return [
        (name, table[table["dataset"] == name])
        for name in dict.fromkeys(table["dataset"])
    ]


def _checked(n_labelled: Any, metric: Any) -> tuple[Array, Array]:
    """Return budgets that increase, and a curve or curves with a value at each."""
    x = np.asarray(n_labelled, dtype=np.float64)
    y = np.asarray(metric, dtype=np.float64)
    is_list = x.ndim == 1 and len(x) > 0
    if not is_list or y.shape[-1:] != x.shape:
        raise ValueError(
            f"A curve has a value at each of its budgets, got shapes {x.shape} and "
            f"{y.shape}."
        )
    if np.any(np.diff(x) <= 0):
        raise ValueError(
            f"n_labelled must increase from round to round, got {x.tolist()}."
        )
    return x, y


def _numbers(column: pd.Series) -> pd.Series:
    try:
        return column.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{column.name} must hold numbers. {error}") from error


def _curve(part: pd.DataFrame, metric: str, whose: str) -> Curve:
    # Tables that were joined or shuffled are read all the same.
    part = part.sort_values("n_labelled")
    n_labelled = part["n_labelled"].to_numpy(dtype=np.float64)
    if np.any(np.diff(n_labelled) == 0):
        raise ValueError(
            f"{whose}: a budget comes twice in {n_labelled.astype(int).tolist()}. A "
            "table of several runs or data sets "
            "has to be split first."
        )
    stopped = ""
    if "stopped" in part.columns:
        reason = part["stopped"].iloc[-1]
        # NaN where only other runs of a joined table have the column.
        stopped = reason if isinstance(reason, str) else ""
    return Curve(n_labelled, part[metric].to_numpy(dtype=np.float64), stopped)


def _round_numbers(used: pd.DataFrame, key: str) -> pd.Series:
    """Number each row's round from 0.

    Without a column for it, by its budget among those of its strategy.
    """
    if key == "round":
        return used["round"] - used["round"].min()
    # Dense: equal budgets of several seeds are one round.
    return used.groupby("strategy")["n_labelled"].rank(method="dense").astype(int) - 1


def shared_budgets(curves: list[Curve]) -> Array:
    """All budgets of any curve, from the latest beginning to the earliest end.

    Parameters
    ----------
    curves : list of Curve

    Returns
    -------
    float array of shape (R,)
        Increasing; empty where the curves share none.
    """
    grid = _budgets_from_latest_beginning(curves)
    high = min(curve.n_labelled[-1] for curve in curves)
    return grid[grid <= high]


def _budgets_from_latest_beginning(curves: list[Curve]) -> Array:
    grid = np.unique(np.concatenate([curve.n_labelled for curve in curves]))
    low = max(curve.n_labelled[0] for curve in curves)
    return grid[grid >= low]


def _notes_on_ends(curves: dict[str, list[Curve]]) -> list[str]:
    notes = []
    for name, own in curves.items():
        at = [int(curve.n_labelled[-1]) for curve in own if curve.stopped]
        if at:
            low, high = min(at), max(at)
            labels = f"{low}" if low == high else f"{low} to {high}"
            notes.append(
                f"{name} was stopped in {len(at)} of {len(own)} seeds, at {labels} "
                "labels."
            )
    # Said once for the whole table: a reader has to know what the areas are over.
    ranges = {
        (curve.n_labelled[0], curve.n_labelled[-1])
        for own in curves.values()
        for curve in own
    }
    if len(ranges) > 1:
        notes.append(
            "Curves begin or end at different budgets: AUBC, ranks, differences and "
            "tests are over the budgets that "
            "the compared strategies share; the label saving and the final metric are "
            "of whole curves."
        )
    return notes
