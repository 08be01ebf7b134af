"""Do the intervals cover, and do the tests keep their error? By simulation.

``python benchmarks/verify_statistics.py --out docs/verification.md`` writes the section
"Intervals and tests" of the page; a few minutes on one core.

Learning curves are drawn whose truth is known: 10 budgets, a seed's luck that all its
strategies share (standard deviation 2 points), a strategy's own (1.2 points) and each
round's (1 point). The noise is normal; skewed (exponential: now and then a training
fails); or normal with the accuracies rounded to a test set of 50 images, so that there
are ties.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from al_sklearn.experiments import statistics as s

HEADING: Final = "## Intervals and tests"
SEEDS: Final = (3, 5, 10, 30)
SHAPES: Final = ("normal", "skewed", "ties")
# Simulated comparisons of each part: as many as its time allows. The order is that of
# the random streams.
REPEATS: Final = {
    "means": 1200,
    "savings": 120,
    "gaps": 60,
    "wins": 1200,
    "tests": 1200,
    "ranks": 300,
    "looks": 6000,
    "power": 1200,
}
BUDGETS: Final = np.arange(20, 220, 20)


def curve(speed: float) -> Any:
    """A true learning curve; the larger, the slower it rises."""
    return 0.55 + 0.3 * (1 - np.exp(-(BUDGETS - 20) / speed))


RANDOM: Final = curve(80)
BETTER: Final = curve(60)
ORACLE: Final = curve(35)


class Row(NamedTuple):
    """One number: a share of simulations, beside what it should be."""

    what: str
    shape: str
    n: int
    found: float
    repeats: int
    target: str

    @property
    def error(self) -> float:
        """Monte Carlo standard error of the share."""
        return float(np.sqrt(self.found * (1 - self.found) / self.repeats))


def draw(
    generator: np.random.Generator, means: Any, shape: str, repeats: int, n: int
) -> Any:
    """Curves of shape (repeats, strategies, seeds, budgets) around true means."""
    means = np.asarray(means)[None, :, None, :]
    k = means.shape[1]
    noise: Callable[..., Any] = generator.standard_normal
    if shape == "skewed":
        # Centred, of variance 1, with the long tail towards failures.
        def noise(size: tuple[int, ...]) -> Any:
            return 1 - generator.standard_exponential(size)

    curves = (
        means
        + 0.02 * noise((repeats, 1, n, 1))
        + 0.012 * noise((repeats, k, n, 1))
        + 0.010 * noise((repeats, k, n, len(BUDGETS)))
    )
    return np.round(curves * 50) / 50 if shape == "ties" else curves


def differences(first: Any, second: Any) -> Any:
    """Differences of areas, exactly 0 where they are equal but for rounding."""
    gap = s.aubc(BUDGETS, first) - s.aubc(BUDGETS, second)
    return np.where(np.abs(gap) < 1e-10, 0.0, gap)


def t_interval(values: Any) -> tuple[Any, Any]:
    """The library's t interval of many rows at once."""
    n = values.shape[-1]
    half = stats.t.ppf(0.975, n - 1) * values.std(axis=-1, ddof=1) / np.sqrt(n)
    mean = values.mean(axis=-1)
    # The same numbers as the library's own, one by one.
    for i in range(min(5, len(values))):
        own = s.mean_interval(values[i])
        assert np.allclose(own, (mean[i], mean[i] - half[i], mean[i] + half[i]))
    return mean - half, mean + half


def t_p_values(values: Any) -> Any:
    """The library's paired t-test of many rows at once, (..., n) to (...)."""
    n = values.shape[-1]
    spread = values.std(axis=-1, ddof=1)
    none = ~values.any(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(values.mean(axis=-1)) / (spread / np.sqrt(n))
    p = np.where(none, 1.0, 2 * stats.t.sf(np.where(none, 0, t), n - 1))
    flat = values.reshape(-1, n)
    for i in range(min(5, len(flat))):
        assert np.isclose(s.paired_p_values(flat[i])[1], p.ravel()[i], atol=1e-12)
    return p


def wilcoxon_p_values(values: Any) -> Any:
    """The library's signed-rank test of many rows, each rank sum tested once."""
    flat = values.reshape(-1, values.shape[-1])
    size = np.abs(flat)
    order = np.sort(np.round(size, 10), axis=-1)
    # Ties and zeros have p-values of their own.
    plain = (order[:, 0] > 0) & (np.diff(order, axis=-1) > 0).all(axis=-1)
    sums = (stats.rankdata(size, axis=-1) * (flat > 0)).sum(axis=-1)
    known: dict[float, float] = {}
    found = np.empty(len(flat))
    for i, row in enumerate(flat):
        if not plain[i]:
            found[i] = s.paired_p_values(row)[0]
        elif sums[i] not in known:
            known[sums[i]] = found[i] = s.paired_p_values(row)[0]
        else:
            found[i] = known[sums[i]]
    return found.reshape(values.shape[:-1])


def covers(low: Any, high: Any, truth: float) -> float:
    """Share of intervals that hold the truth; NaN bounds hold nothing."""
    # What differs by rounding is the same.
    return float(np.mean((low <= truth + 1e-12) & (truth - 1e-12 <= high)))


def means(generator: np.random.Generator, repeats: int) -> Iterator[Row]:
    """The t intervals: finals, areas, differences, bands of the curves."""
    for shape in SHAPES:
        for n in SEEDS:
            drawn = draw(generator, [RANDOM, BETTER, RANDOM], shape, repeats, n)
            random, better, same = np.moveaxis(drawn, 1, 0)
            gain = float(s.aubc(BUDGETS, BETTER) - s.aubc(BUDGETS, RANDOM))
            for what, values, truth in (
                ("final metric, t", better[..., -1], BETTER[-1]),
                ("AUBC, t", s.aubc(BUDGETS, better), float(s.aubc(BUDGETS, BETTER))),
                ("difference of AUBC, t", differences(better, random), gain),
                (
                    "difference of AUBC of equal curves, t",
                    differences(same, random),
                    0.0,
                ),
                ("band of a curve at one budget, t", better[..., 4], BETTER[4]),
            ):
                found = covers(*t_interval(values), truth)
                yield Row(what, shape, n, found, repeats, ".95")


def true_saving(level: float = 1.0) -> float:
    """Labels saved on the true curves, on straight lines between budgets."""
    return float(s.label_saving(BUDGETS, BETTER[None], RANDOM[None], level).estimate)


class Bias(NamedTuple):
    """What the saving says on average where nothing is saved."""

    shape: str
    n: int
    mean: float
    error: float
    median: float
    not_reached: float


def savings(
    generator: np.random.Generator, repeats: int
) -> tuple[list[Row], list[Bias]]:
    """The saving's interval, and its bias where both curves are the same."""
    rows, biases = [], []
    for shape in SHAPES:
        for n in SEEDS:
            drawn = draw(generator, [RANDOM, BETTER, RANDOM], shape, repeats, n)
            found: dict[str, list[s.Interval]] = {}
            for random, better, same in drawn:
                for what, ours, level in (
                    ("labels saved at 100 %", better, 1.0),
                    ("labels saved at 95 %", better, 0.95),
                    ("labels saved at 100 %, equal curves", same, 1.0),
                ):
                    found.setdefault(what, []).append(
                        s.label_saving(BUDGETS, ours, random, level)
                    )
            truths = (true_saving(), true_saving(0.95), 0.0)
            for (what, intervals), truth in zip(found.items(), truths, strict=True):
                _, low, high = np.array(intervals).T
                # None is printed below five seeds.
                if n >= 5:
                    share = covers(low, high, truth)
                    rows.append(Row(what, shape, n, share, repeats, ".95"))
                else:
                    assert np.isnan(low).all()
            nothing = np.array(found["labels saved at 100 %, equal curves"])[:, 0]
            reached = nothing[np.isfinite(nothing)]
            biases.append(
                Bias(
                    shape,
                    n,
                    float(reached.mean()),
                    float(reached.std() / np.sqrt(len(reached))),
                    float(np.median(nothing)),
                    float(np.mean(~np.isfinite(nothing))),
                )
            )
    return rows, biases


def gaps(generator: np.random.Generator, repeats: int) -> Iterator[Row]:
    """The share of the way to an oracle."""
    area = [float(s.aubc(BUDGETS, one)) for one in (RANDOM, BETTER, ORACLE)]
    truth = (area[1] - area[0]) / (area[2] - area[0])
    names = ("random_sampling", "better", "oracle_batch")
    for shape in SHAPES:
        for n in SEEDS[1:]:
            drawn = draw(generator, [RANDOM, BETTER, ORACLE], shape, repeats, n)
            low, high = np.empty(repeats), np.empty(repeats)
            for i, curves in enumerate(s.aubc(BUDGETS, drawn)):
                # One budget is its own area: as small a table as there can be.
                table = pd.DataFrame(
                    {
                        "strategy": np.repeat(names, n),
                        "seed": np.tile(np.arange(n), 3),
                        "n_labelled": 20,
                        "accuracy": curves.ravel(),
                    }
                )
                row = s.gap_closed(table).loc["better"]
                low[i], high[i] = row["low"], row["high"]
            yield Row("gap closed", shape, n, covers(low, high, truth), repeats, ".95")


def wins(generator: np.random.Generator, repeats: int) -> Iterator[Row]:
    """Wilson's interval of the share of seeds won."""
    for shape in SHAPES:
        many = draw(generator, [RANDOM, BETTER], shape, 1, 100_000)[0]
        gain = differences(many[1], many[0])
        truth = float(np.mean(gain > 0) + np.mean(gain == 0) / 2)
        for n in SEEDS:
            drawn = draw(generator, [RANDOM, BETTER], shape, repeats, n)
            gains = differences(drawn[:, 1], drawn[:, 0])
            won = (gains > 0).sum(axis=1) + (gains == 0).sum(axis=1) / 2
            # As many different intervals as there are half wins.
            bounds = {one: s.win_rate(one, n)[1:] for one in np.unique(won)}
            low, high = np.array([bounds[one] for one in won]).T
            found = covers(low, high, truth)
            yield Row("share of seeds won, Wilson", shape, n, found, repeats, "~.95")


def tests(generator: np.random.Generator, repeats: int) -> Iterator[Row]:
    """Error of the tests where all six strategies are the same."""
    for shape in SHAPES:
        for n in SEEDS:
            drawn = draw(generator, [RANDOM] * 6, shape, repeats, n)
            random, others = drawn[:, :1], drawn[:, 1:]
            gap = differences(others, random)
            p = t_p_values(gap)
            yield _errors("paired t-test", shape, n, p[:, 0])
            holm = np.array([s.holm(row).min() for row in p])
            yield _errors("t-test, Holm over 5 strategies", shape, n, holm)
            first, second = np.triu_indices(6, 1)
            areas = drawn[:, first], drawn[:, second]
            pairs = t_p_values(differences(*areas))
            holm = np.array([s.holm(row).min() for row in pairs])
            yield _errors("t-test, Holm over 15 pairs", shape, n, holm)
            at = drawn[:, first][..., [0, 1, 2, 4]], drawn[:, second][..., [0, 1, 2, 4]]
            # Rounded: accuracies of 50 images are equal or not.
            points = np.moveaxis(np.round(at[0] - at[1], 12), -1, 2)
            each = t_p_values(points).reshape(repeats, -1)
            holm = np.array([s.holm(row).min() for row in each])
            yield _errors("penalty tests, Holm over 60", shape, n, holm)
            # Each takes scipy milliseconds: some of them are enough.
            p = wilcoxon_p_values(gap[: max(1, repeats // 10)])
            yield _errors("Wilcoxon's signed-rank test", shape, n, p[:, 0])
            holm = np.array([s.holm(row).min() for row in p])
            yield _errors("Wilcoxon, Holm over 5 strategies", shape, n, holm)


def _errors(what: str, shape: str, n: int, p: Any) -> Row:
    return Row(what, shape, n, float(np.mean(p < 0.05)), len(p), "≤ .05")


def ranks(generator: np.random.Generator, repeats: int) -> Iterator[Row]:
    """Friedman's test and Nemenyi's difference over data sets, five equal strategies.

    ``n`` counts data sets here.
    """
    for shape in SHAPES:
        for n in SEEDS:
            drawn = draw(generator, [RANDOM] * 5, shape, repeats, n)
            areas = np.round(s.aubc(BUDGETS, drawn), 12)
            found = [s.friedman_nemenyi(pd.DataFrame(one.T)) for one in areas]
            p = np.array([one["p_value"] for one in found])
            yield _errors("Friedman over data sets", shape, n, p)
            apart = np.array(
                [np.ptp(one["ranks"]) > one["critical_difference"] for one in found]
            )
            share = float(apart.mean())
            yield Row("Nemenyi, any pair", shape, n, share, repeats, "≤ .05")


def looks(generator: np.random.Generator, repeats: int) -> Iterator[Row]:
    """Error of all looks together, with 1 and with 5 strategies; and without levels."""
    for named in ((5, 10, 20), (3, 5, 10, 30)):
        for shape in SHAPES:
            drawn = draw(generator, [RANDOM] * 6, shape, repeats, named[-1])
            gap = differences(drawn[:, 1:], drawn[:, :1])
            found = {k: np.zeros(repeats, dtype=bool) for k in (1, 5)}
            naive = np.zeros(repeats, dtype=bool)
            for n in named:
                p = t_p_values(gap[..., :n])
                counted = s.sequential_p_values(p, named, n)
                found[1] |= counted[:, 0] < 0.05
                found[5] |= np.array([s.holm(row).min() for row in counted]) < 0.05
                naive |= p[:, 0] < 0.05
            at = ", ".join(map(str, named))
            for k, any_look in found.items():
                what = f"looks at {at}: {k} strateg{'y' if k == 1 else 'ies, Holm'}"
                share = float(any_look.mean())
                yield Row(what, shape, named[-1], share, repeats, "≤ .05")
            what = f"looks at {at}, each at .05 (what nobody should do)"
            yield Row(what, shape, named[-1], float(naive.mean()), repeats, "")


def power(generator: np.random.Generator, repeats: int) -> Iterator[Row]:
    """How often an effect is found, where the library says four times in five."""
    means = [RANDOM, RANDOM + 0.01]
    many = draw(generator, means, "normal", 1, 200_000)[0]
    spread = float(differences(many[1], many[0]).std())
    for shape in SHAPES:
        for n in SEEDS:
            effect = s.detectable_effect(spread, n, 0.01)
            drawn = draw(generator, [RANDOM, RANDOM + effect], shape, repeats, n)
            found = t_p_values(differences(drawn[:, 1], drawn[:, 0])) < 0.01
            what = "power at the effect that could have been seen (level .01)"
            yield Row(what, shape, n, float(found.mean()), repeats, ".80")
    for n_pilot in (3, 5, 10):
        pilots = draw(generator, means, "normal", max(1, repeats // 20), n_pilot)
        reached = []
        for one in pilots:
            plan = s.plan_comparison(_table(one), 0.01)
            reached.append(s.paired_power(0.01 / spread, plan.n_seeds, plan.alpha))
        # A mean of chances, not a share of successes: its error is at most that.
        found = float(np.mean(reached))
        what = "power of comparisons planned from a pilot of n seeds, mean"
        yield Row(what, "normal", n_pilot, found, len(reached), ".80")


def _table(curves: Any) -> pd.DataFrame:
    """A tidy table of two strategies' curves (2, n, R)."""
    k, n, r = curves.shape
    names = np.array(["random_sampling", "other"])
    return pd.DataFrame(
        {
            "strategy": np.repeat(names, n * r),
            "seed": np.tile(np.repeat(np.arange(n), r), k),
            "n_labelled": np.tile(BUDGETS, k * n),
            "accuracy": curves.ravel(),
        }
    )


def wide(rows: list[Row], head: str) -> list[str]:
    """A table: a line for each quantity and shape, a column for each number of seeds."""
    ns = sorted({row.n for row in rows})
    lines = [
        f"| {head} | noise | should be | " + " | ".join(f"n = {n}" for n in ns) + " |",
        "|---|---|---|" + "--:|" * len(ns),
    ]
    kinds = dict.fromkeys((row.what, row.shape, row.target) for row in rows)
    for what, shape, target in kinds:
        cells = []
        for n in ns:
            own = [r for r in rows if (r.what, r.shape, r.n) == (what, shape, n)]
            cells.append(f"{own[0].found:.3f} ± {own[0].error:.3f}" if own else "–")
        lines.append(f"| {what} | {shape} | {target} | {' | '.join(cells)} |")
    return lines


def bias_table(biases: list[Bias]) -> list[str]:
    """What the saving says where there is none."""
    lines = [
        "| noise | seeds | mean where reached | median | not reached |",
        "|---|--:|--:|--:|--:|",
    ]
    for one in biases:
        mean = f"{100 * one.mean:+.1f} % ± {100 * one.error:.1f}"
        median = "not reached" if np.isinf(one.median) else f"{100 * one.median:+.1f} %"
        lines.append(
            f"| {one.shape} | {one.n} | {mean} | {median} | "
            f"{100 * one.not_reached:.0f} % |"
        )
    return [line.replace("-0.0", "0.0").replace("+0.0", "0.0") for line in lines]


def section(share: float, seed: int) -> str:
    """Simulate everything, and write it down."""

    def drawn(part: str) -> tuple[np.random.Generator, int]:
        # A stream each: that one part draws more shifts no other.
        number = list(REPEATS).index(part)
        repeats = max(1, round(share * REPEATS[part]))
        return np.random.default_rng([seed, number]), repeats

    covered = [*means(*drawn("means"))]
    saved, biases = savings(*drawn("savings"))
    covered += [*saved, *gaps(*drawn("gaps")), *wins(*drawn("wins"))]
    wrong = [*tests(*drawn("tests")), *ranks(*drawn("ranks"))]
    sequential = [*looks(*drawn("looks"))]
    seen = [*power(*drawn("power"))]
    today = datetime.datetime.now(tz=datetime.UTC).date()
    lines = [
        HEADING,
        "",
        f"Made {today} by `python benchmarks/verify_statistics.py --out "
        f"docs/verification.md`, random seed {seed}; ± is one Monte Carlo standard "
        f"error (of {round(share * REPEATS['gaps'])} simulated comparisons for the gap "
        f"to {round(share * REPEATS['looks']):,} for looks). Learning curves with a known "
        "truth: 10 budgets, a seed's luck that all its strategies share (2 points), a "
        "strategy's own (1.2 points), each round's (1 point); noise normal, skewed "
        "(exponential, towards failures), or with accuracies rounded to 50 test images "
        "(ties). `tests/experiments/test_coverage.py` (slow) holds it.",
        "",
        "**Intervals**: the share that holds the truth. Below five seeds no bootstrap "
        "interval is printed.",
        "",
        *wide(covered, "95 % interval"),
        "",
        "**Tests**: how often something is found at 5 % where there is nothing (six "
        "strategies alike; of ranks five, and n counts data sets).",
        "",
        *wide(wrong, "error of"),
        "",
        "Penalty tests at single checkpoints find too much where three or five seeds "
        "meet so few test images: all seeds then often differ by the very same step, "
        "and a t-test without spread says p = 0. Tests on areas do not, nor do ten "
        "seeds. A dash: not simulated (scipy permutes tied ranks, for long).",
        "",
        "**Looks** named beforehand: the error of all looks together.",
        "",
        *wide(sequential, "error of"),
        "",
        "**Power**.",
        "",
        *wide(seen, "chance"),
        "",
        "**Bias of the saving** at 100 % of random sampling's end, where both curves "
        "are the same and nothing is saved.",
        "",
        *bias_table(biases),
        "",
    ]
    return "\n".join(lines)


def put(page: Path, text: str) -> None:
    """Put the section into a page, in the place of an older one or at its end."""
    old = page.read_text(encoding="utf-8") if page.exists() else "# Verification\n"
    before, found, rest = old.partition(f"{HEADING}\n")
    # What follows it begins with a heading of the same rank.
    _, other, after = rest.partition("\n## ") if found else ("", "", "")
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(
        f"{before.rstrip()}\n\n{text}" + (f"\n## {after}" if other else ""),
        encoding="utf-8",
    )


def main() -> None:
    """Run all simulations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="A page; printed otherwise.")
    parser.add_argument(
        "--share", type=float, default=1.0, help="Of the comparisons simulated."
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    text = section(arguments.share, arguments.seed)
    if arguments.out is None:
        print(text)
    else:
        put(arguments.out, text)


if __name__ == "__main__":
    main()
