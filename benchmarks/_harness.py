"""Timing side by side in one process, and a Markdown page of it."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import shlex
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch

_MOST_CALLS = 50
PACKAGES = [
    "al-sklearn",
    "numpy",
    "scikit-learn",
    "torch",
    "scikit-activeml",
    "modAL-python",
    "baal",
    "bmdal-reg",
]


@dataclass
class Measurement:
    """What one function took, and what it returned."""

    seconds: float
    cpu_seconds: float
    peak_mb: float | None
    result: Any
    repeats: int


def measure(
    function: Callable[[], Any], *, repeats: int, enough_seconds: float = 10.0
) -> Measurement:
    """Median wall and CPU seconds of some calls, and the largest growth of memory.

    Fewer calls where they take long. What takes less than a second is called once more,
    first, to watch its memory, which takes time as well; what takes milliseconds, until
    a second is spent, at most fifty times. Neither with one repeat.
    """
    with _PeakMemory() as memory:
        wall, cpu, result = _timed(function)
    times = [] if wall < 1 and repeats > 1 else [(wall, cpu)]
    spent = wall
    most = _MOST_CALLS if repeats > 1 else 1
    while spent < enough_seconds and (
        len(times) < repeats or (spent < 1 and len(times) < most)
    ):
        del result
        wall, cpu, result = _timed(function)
        times.append((wall, cpu))
        spent += wall
    walls, cpus = zip(*times, strict=True)
    return Measurement(median(walls), median(cpus), memory.peak_mb, result, len(times))


def _timed(function: Callable[[], Any]) -> tuple[float, float, Any]:
    cpu, wall = time.process_time(), time.perf_counter()
    result = function()
    return time.perf_counter() - wall, time.process_time() - cpu, result


class _PeakMemory:
    """Largest resident size above that at the start, sampled every few milliseconds;
    None where there is no /proc.
    """

    def __enter__(self) -> _PeakMemory:
        self.peak_mb: float | None = None
        self._stop = threading.Event()
        self._start = _resident_mb()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        if self._start is not None:
            self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.peak_mb = max(
                self.peak_mb or 0.0, (_resident_mb() or 0.0) - (self._start or 0.0)
            )

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._start is not None:
            self._thread.join()


def _resident_mb() -> float | None:
    status = Path("/proc/self/statm")
    if not status.exists():
        return None
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass
class Row:
    """One line of the table."""

    work: str
    size: str
    who: str
    kind: str = "peer"  # "ours", "peer", "reference" (the textbook loop) or "bound"
    seconds: float | None = None
    cpu_seconds: float | None = None
    peak_mb: float | None = None
    ratio: float | None = None  # seconds / seconds of al_sklearn at the same size
    note: str = ""

    def fill(self, taken: Measurement, ours: Measurement) -> Row:
        """Put in what was measured."""
        self.seconds, self.cpu_seconds, self.peak_mb = (
            taken.seconds,
            taken.cpu_seconds,
            taken.peak_mb,
        )
        self.ratio = taken.seconds / ours.seconds
        return self


@dataclass
class Page:
    """The rows, printed as they come and written as Markdown at the end."""

    title: str
    rows: list[Row] = field(default_factory=list)
    header = ("work", "size", "who", "seconds", "CPU s", "peak MB", "× ours", "note")

    def add(self, row: Row) -> None:
        """Keep and print a row."""
        self.rows.append(row)
        print("  ".join(text for text in self._cells(row) if text), flush=True)

    def _cells(self, row: Row) -> list[str]:
        def number(value: float | None, digits: int = 3) -> str:
            return "" if value is None else f"{value:.{digits}g}"

        peak = "" if row.peak_mb is None else f"{row.peak_mb:.0f}"
        seconds = [number(row.seconds), number(row.cpu_seconds)]
        return [
            row.work,
            row.size,
            row.who,
            *seconds,
            peak,
            number(row.ratio),
            row.note,
        ]

    def markdown(self, remarks: str) -> str:
        """The page: when, on what and how it was made, and the table."""
        versions = ", ".join(
            f"{name} {v}" for name in PACKAGES if (v := _version(name)) is not None
        )
        lines = [
            f"# {self.title}",
            "",
            f"Made {datetime.date.today()} by `python "
            f"{shlex.join([_script(), *sys.argv[1:]])}` with "
            f"{torch.get_num_threads()} threads on {platform.machine()} "
            f"{platform.system()}, "
            f"Python {platform.python_version()}; {versions}.",
            "",
            remarks.strip(),
            "",
            *self._summary(),
            "",
            "| " + " | ".join(self.header) + " |",
            "|" + "---|" * len(self.header),
        ]
        lines += ["| " + " | ".join(self._cells(row)) + " |" for row in self.rows]
        return "\n".join(lines) + "\n"

    def _summary(self) -> list[str]:
        """One line a size: ours against the fastest peer and against the bound."""
        lines = [
            "| work | size | ours, s | fastest peer | × ours | ours × bound |",
            "|---|---|---|---|---|---|",
        ]
        for ours in (row for row in self.rows if row.kind == "ours"):
            same = [
                r
                for r in self.rows
                if (r.work, r.size) == (ours.work, ours.size) and r.ratio is not None
            ]
            peers = sorted(
                (r for r in same if r.kind == "peer"), key=lambda r: r.ratio or 0
            )
            best = f"{peers[0].who} | {peers[0].ratio:.3g}" if peers else " | "
            bound = [
                f"{1 / r.ratio:.3g}" for r in same if r.kind == "bound" and r.ratio
            ]
            lines.append(
                f"| {ours.work} | {ours.size} | {ours.seconds:.3g} | {best} | "
                f"{''.join(bound)} |"
            )
        return lines


def _script() -> str:
    return f"benchmarks/{Path(sys.argv[0]).name}"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
