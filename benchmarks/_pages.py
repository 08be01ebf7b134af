"""The page of the whole catalogue: a summary against the goals, and sections that other benchmarks add."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import _harness
from _harness import Page, Row

_harness.PACKAGES += ["batchbald_redux", "small-text", "apricot-select", "hdbscan"]

MILLION = "## A million candidates"


@dataclass
class Goal:
    """What was asked for: least ratios to peers by the first word of their name ("" = the fastest), most to the bound.

    A limit in seconds on our own time stands in `seconds`. Sizes that the goal was set for begin with one of `at`.
    """

    peers: dict[str, float] = field(default_factory=dict)
    bound: float | None = None
    seconds: float | None = None
    at: tuple[str, ...] = ("",)

    def verdicts(self, ours: Row, same: list[Row]) -> list[str]:
        """One verdict for each part of the goal that the rows of one size can show."""
        found: list[str] = []
        if not ours.size.startswith(self.at):
            return found
        for name, least in self.peers.items():
            ratios = [row.ratio for row in same if row.kind == "peer" and row.who.startswith(name) and row.ratio]
            if ratios:
                found.append(
                    f"{_word(min(ratios) >= least)}: {min(ratios):.3g} × {name or 'fastest peer'} (≥ {least:g})"
                )
        bounds = [1 / row.ratio for row in same if row.kind == "bound" and row.ratio]
        if self.bound is not None and bounds:
            found.append(f"{_word(max(bounds) <= self.bound)}: {max(bounds):.3g} × bound (≤ {self.bound:g})")
        if self.seconds is not None and ours.seconds is not None:
            found.append(f"{_word(ours.seconds <= self.seconds)}: {ours.seconds:.3g} s (≤ {self.seconds:g})")
        return found


def _word(is_met: bool) -> str:
    return "met" if is_met else "**not met**"


@dataclass
class GoalPage(Page):
    """A page whose summary says which goals are met."""

    goals: dict[str, Goal] = field(default_factory=dict)

    def _summary(self) -> list[str]:
        lines = [
            "| work | size | ours, s | CPU s | peak MB | fastest peer | × ours | ours × bound | goal |",
            "|" + "---|" * 9,
        ]
        for ours in (row for row in self.rows if row.kind == "ours"):
            same = [r for r in self.rows if (r.work, r.size) == (ours.work, ours.size) and r.ratio is not None]
            peers = sorted((r for r in same if r.kind == "peer"), key=lambda r: r.ratio or 0)
            fastest = f"{peers[0].who} | {peers[0].ratio:.3g}" if peers else " | "
            bound = ", ".join(f"{1 / r.ratio:.3g}" for r in same if r.kind == "bound" and r.ratio)
            goal = "; ".join(self.goals[ours.work].verdicts(ours, same)) if ours.work in self.goals else ""
            cells = [*self._cells(ours)[:2], *self._cells(ours)[3:6], fastest, bound, goal]
            lines.append("| " + " | ".join(cells) + " |")
        return lines


def write_page(path: Path, text: str) -> None:
    """Write the page; the section on a million candidates that is there stays."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    section = old.partition(MILLION)[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + (f"\n{MILLION}{section}" if section else ""), encoding="utf-8")


def write_million(path: Path, text: str) -> None:
    """Put the section on a million candidates at the end of the page, in the place of an older one."""
    page = path.read_text(encoding="utf-8").partition(MILLION)[0] if path.exists() else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{page.rstrip()}\n\n{MILLION}{text}".lstrip(), encoding="utf-8")


def old_rows(path: Path) -> dict[str, str]:
    """The lines of the table of a million candidates, by the strategy in their first cell."""
    section = path.read_text(encoding="utf-8").partition(MILLION)[2] if path.exists() else ""
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    return {line.split("|")[1].strip(): line for line in lines}
