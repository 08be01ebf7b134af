"""Rows of docs/verification.md: what was held against what, and how far apart it was."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

# One section of the page each, in this order.
SECTIONS = ("measures", "selectors", "metrics", "estimators")


@dataclass(frozen=True)
class Row:
    """One thing of ours, held against one thing of somebody else's."""

    section: str
    name: str
    against: str
    on: str
    found: str


@dataclass(frozen=True)
class Check:
    """A function that gives what was found, by name of what was held."""

    section: str
    against: str
    on: str
    function: Callable[[], dict[str, str]]
    package: str = ""

    def rows(self) -> Iterable[Row]:
        """Run it; a package that is not there, or fails, is said in its row."""
        against = self.against
        if self.package:
            try:
                version = importlib.metadata.version(self.package)
            except importlib.metadata.PackageNotFoundError:
                yield Row(self.section, "–", against, self.on, "not installed")
                return
            against = f"{against.strip()} ({self.package} {version})".strip()
        try:
            found = self.function()
        except Exception as error:  # noqa: BLE001 - a peer's, whatever it is
            words = f"{type(error).__name__}: {error}".splitlines()[0]
            yield Row(self.section, "–", against, self.on, f"it failed: {words}")
            return
        for name, what in found.items():
            yield Row(self.section, name, against, self.on, what)


CHECKS: list[Check] = []


def check(
    section: str, against: str, on: str, package: str = ""
) -> Callable[[Callable[[], dict[str, str]]], Callable[[], dict[str, str]]]:
    """Let a function be run for the page; a decorator."""

    def add(function: Callable[[], dict[str, str]]) -> Callable[[], dict[str, str]]:
        CHECKS.append(Check(section, against, on, function, package))
        return function

    return add


def apart(ours: Any, theirs: Any) -> str:
    """The largest difference of two arrays of numbers."""
    ours, theirs = (np.asarray(a, dtype=np.float64) for a in (ours, theirs))
    largest = float(np.abs(ours - theirs).max())
    return "equal" if largest == 0 else f"{largest:.1e}"


def picks(ours: Any, theirs: Any) -> str:
    """How many picks are the same, in the same order or at all."""
    mine, yours = (np.asarray(a).tolist() for a in (ours, theirs))
    if mine == yours:
        return f"the same {len(mine)} picks"
    if set(mine) == set(yours):
        return f"the same {len(mine)} picks, in another order"
    first = next(i for i, (a, b) in enumerate(zip(mine, yours, strict=False)) if a != b)
    shared = len(set(mine) & set(yours))
    return f"{shared} of {len(mine)} picks the same, the first {first} in order"


def as_good(ours: float, theirs: float, what: str) -> str:
    """Two batches by a number that both were to make small or large."""
    return f"{what} {ours:.4g}, theirs {theirs:.4g}"
