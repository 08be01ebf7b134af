"""Numbers and names as the report writes them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pandas as pd

from al_sklearn.experiments.statistics import BASELINE
from al_sklearn.tasks import get_metric

# Level of a verdict. Holm's adjustment is done where the p-values are made.
ALPHA: Final = 0.05
# A point: what strategies honestly differ by at middle and high budgets, so that who
# could not have seen it cannot say that there is nothing.
_HONEST_EFFECT: Final = 0.01


def plain_name(name: Any) -> str:
    return "random sampling" if name == BASELINE else str(name)


def verdicts(summary: pd.DataFrame, metric: str) -> pd.Series:
    """Say of each strategy whether it is better or worse than random sampling.

    One rule for sentences and table: what is significant after Holm's adjustment. With
    twenty strategies one would be so by luck.
    """
    gain = get_metric(metric).sign * summary["difference"]
    sure = summary["p_holm"] < ALPHA
    found = pd.Series("unclear", index=summary.index)
    found[sure & (gain > 0)] = "better"
    found[sure & (gain < 0)] = "worse"
    found[BASELINE] = "baseline"
    return found


def could_tell(detectable: float, metric: str) -> bool:
    """Whether an honest effect would have been found.

    Never of a metric that is no share: nobody has said which difference matters.
    """
    return get_metric(metric).is_share and detectable <= _HONEST_EFFECT


def seen_text(detectable: float, metric: str) -> str:
    """Write the difference that a comparison would have found."""
    known = get_metric(metric)
    if math.isnan(detectable):
        return "–"
    if not known.is_share:
        return f"{detectable:.2g}" if math.isfinite(detectable) else "none"
    # A share differs by 1 at most: not even that would have been found.
    if detectable >= 1:
        return "none"
    # A tenth too large rather than too small.
    return f"{math.ceil(detectable * 1000) / 10:.1f}"


def gain_text(row: Mapping[str, Any], metric: str) -> str:
    known = get_metric(metric)
    value = known.sign * row["difference"]
    ends = (known.sign * row["difference_low"], known.sign * row["difference_high"])
    # Of a loss the lower end is the larger gain.
    low, high = sorted(ends)
    # A dash before a minus sign could not be read.
    between = "–" if low >= 0 else " to "
    if not known.is_share:
        return f"{value:.3f} ({low:.3f}{between}{high:.3f})"
    return (
        f"{value * 100:.1f} points of {known.word} "
        f"({low * 100:.1f}{between}{high * 100:.1f})".replace("(-", "(−")
    )


def count_text(value: int) -> str:
    return f"{value:,}"


def range_text(values: pd.Series) -> str:
    low, high = int(values.min()), int(values.max())
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def value_text(value: float, metric: str) -> str:
    scale, digits, unit = _written(metric)
    return "–" if math.isnan(value) else f"{value * scale:.{digits}f}{unit}"


def interval_text(value: float, low: float, high: float, metric: str) -> str:
    if math.isnan(low):
        return value_text(value, metric)
    scale, digits, unit = _written(metric)
    # t intervals lie around their mean.
    half = (high - low) / 2
    return f"{value * scale:.{digits}f} ± {half * scale:.{digits}f}{unit}"


def signed_text(value: float, low: float, high: float, metric: str) -> str:
    scale, digits, _ = _written(metric)
    text = f"{value * scale:+.{digits}f}"
    if not math.isnan(low):
        text += f" ({low * scale:+.{digits}f} … {high * scale:+.{digits}f})"
    # A hyphen is shorter than a plus and tears the column.
    return text.replace("-", "−")


def saving_text(value: float, low: float, high: float) -> str:
    text = percent(value)
    if math.isinf(value) or math.isnan(low):
        return text
    return f"{text} ({percent_range(low, high)})"


def percent(value: float) -> str:
    # minus infinity: the target lies beyond the budget.
    if not math.isfinite(value):
        return "not reached"
    return f"{value * 100:.0f} %".replace("-", "−")


def percent_range(low: float, high: float) -> str:
    if math.isinf(high):
        return "not reached"
    # A dash before a minus sign or a word could not be read.
    if low < 0:
        return f"{percent(low)} … {percent(high)}"
    return f"{low * 100:.0f}–{high * 100:.0f} %"


def p_text(value: float) -> str:
    if math.isnan(value):
        return "–"
    # More digits would claim more than so few seeds can tell.
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def seconds_text(value: float) -> str:
    if math.isnan(value):
        return "–"
    # From here on two digits of milliseconds would be written as 1e+02.
    if value < 0.0995:
        return f"{value * 1000:.2g} ms"
    return f"{value:.2g} s" if value < 9.95 else f"{value:.0f} s"


def listed(rows: Iterable[Mapping[str, Any]]) -> str:
    *before, last = (str(row["strategy"]) for row in rows)
    return f"{', '.join(before)} and {last}" if before else last


def _written(metric: str) -> tuple[int, int, str]:
    """Return how a metric is written: factor, digits and unit."""
    return (100, 1, " %") if get_metric(metric).is_share else (1, 3, "")
