"""The page of the whole catalogue: a summary against the goals, and sections that other
benchmarks add.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import _harness
from _harness import Page, Row

_harness.PACKAGES += ["batchbald_redux", "small-text", "apricot-select", "hdbscan"]

MILLION = "## A million candidates"


@dataclass
class Goal:
    """What was asked for: least ratios to peers by the first word of their name ("" =
    the fastest), most to the bound.

    A limit in seconds on our own time stands in `seconds`. Sizes that the goal was set
    for hold one of `at`.
    """

    peers: dict[str, float] = field(default_factory=dict)
    bound: float | None = None
    seconds: float | None = None
    at: tuple[str, ...] = ("",)

    def verdicts(self, ours: Row, same: list[Row]) -> dict[str, str | None]:
        """By the words for each part of the goal: a verdict, or None where the rows of
        one size do not show it.
        """
        is_at = any(part in ours.size for part in self.at)
        found: dict[str, str | None] = {}
        for name, least in self.peers.items():
            ratios = [
                row.ratio
                for row in same
                if row.kind == "peer" and row.who.startswith(name) and row.ratio
            ]
            words = f"≥ {least:g} × {name or 'fastest peer'}"
            found[words] = (
                _verdict(min(ratios) >= least, f"{min(ratios):.3g} ×", words)
                if is_at and ratios
                else None
            )
        if self.bound is not None:
            bounds = [
                1 / row.ratio for row in same if row.kind == "bound" and row.ratio
            ]
            words = f"≤ {self.bound:g} × bound"
            found[words] = (
                _verdict(max(bounds) <= self.bound, f"{max(bounds):.3g} ×", words)
                if is_at and bounds
                else None
            )
        if self.seconds is not None:
            words, taken = f"≤ {self.seconds:g} s", ours.seconds
            found[words] = (
                _verdict(taken <= self.seconds, f"{taken:.3g} s", words)
                if is_at and taken
                else None
            )
        return found


def _verdict(is_met: bool, measured: str, words: str) -> str:
    return f"{'met' if is_met else '**not met**'}: {measured} ({words})"


@dataclass
class GoalPage(Page):
    """A page whose summary says which goals are met."""

    goals: dict[str, Goal] = field(default_factory=dict)

    def _summary(self) -> list[str]:
        lines = [
            "| work | size | ours, s | CPU s | peak MB | fastest peer | × ours | ours "
            "× bound | goal |",
            "|" + "---|" * 9,
        ]
        unseen = {
            (work, words)
            for work, goal in self.goals.items()
            for words in goal.verdicts(Row(work, "", ""), [])
        }
        for ours in (row for row in self.rows if row.kind == "ours"):
            same = [
                r
                for r in self.rows
                if (r.work, r.size) == (ours.work, ours.size) and r.ratio is not None
            ]
            peers = sorted(
                (r for r in same if r.kind == "peer"), key=lambda r: r.ratio or 0
            )
            fastest = f"{peers[0].who} | {peers[0].ratio:.3g}" if peers else " | "
            bound = ", ".join(
                f"{1 / r.ratio:.3g}" for r in same if r.kind == "bound" and r.ratio
            )
            verdicts = (
                self.goals[ours.work].verdicts(ours, same)
                if ours.work in self.goals
                else {}
            )
            seen = {words: verdict for words, verdict in verdicts.items() if verdict}
            unseen -= {(ours.work, words) for words in seen}
            cells = [
                *self._cells(ours)[:2],
                *self._cells(ours)[3:6],
                fastest,
                bound,
                "; ".join(seen.values()),
            ]
            lines.append("| " + " | ".join(cells) + " |")
        if unseen:
            lines += [
                "",
                "**Goals that no row shows:** "
                f"{'; '.join(f'{work} {words}' for work, words in sorted(unseen))}.",
            ]
        return lines


def write_page(path: Path, text: str) -> None:
    """Write the page; the section on a million candidates that is there stays."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    section = old.partition(MILLION)[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        text + (f"\n{MILLION}{section}" if section else ""), encoding="utf-8"
    )


def write_million(path: Path, text: str) -> None:
    """Put the section on a million candidates at the end of the page, in the place of
    an older one.
    """
    page = (
        path.read_text(encoding="utf-8").partition(MILLION)[0] if path.exists() else ""
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{page.rstrip()}\n\n{MILLION}{text}".lstrip(), encoding="utf-8")


def old_rows(path: Path) -> dict[str, str]:
    """The lines of the table of a million candidates, by the strategy in their first
    cell.
    """
    section = (
        path.read_text(encoding="utf-8").partition(MILLION)[2] if path.exists() else ""
    )
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    return {line.split("|")[1].strip(): line for line in lines}
