"""A strategy that failed on a seed: where, and with which error."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, Final

from al_sklearn._core.types import Options

FAILED: Final = "failed.json"


def failure_of(error: BaseException, number: int) -> Options:
    """Return what is kept of an error in a round.

    Parameters
    ----------
    error : exception
    number : int
        The round that it ended.
    """
    notes = getattr(error, "__notes__", [])
    return {
        "round": number,
        "error": type(error).__name__,
        "message": " ".join([str(error), *map(str, notes)]).strip(),
        "at": time.strftime("%Y-%m-%d %H:%M:%S"),
        "traceback": "".join(traceback.format_exception(error)),
    }


def failure_notes(failures: Mapping[tuple[str, int], Mapping[str, Any]]) -> list[str]:
    """Say which strategies failed, where and why, one sentence a strategy."""
    by_strategy: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
    for (name, seed), failure in failures.items():
        by_strategy.setdefault(name, []).append((seed, failure))
    return [_sentence(name, own) for name, own in by_strategy.items()]


def _sentence(name: str, own: Sequence[tuple[int, Mapping[str, Any]]]) -> str:
    where = ", ".join(
        f"seed {seed} (round {failure['round']})" for seed, failure in own
    )
    first = own[0][1]
    # The first line: some errors go on for a page, and failed.json has it all.
    message = str(first["message"]).partition("\n")[0]
    return (
        f"{name} failed in {where}: {first['error']}: {message} Its rounds so far are "
        "kept; mend it and run the same again, or leave it out."
    )
