"""Every start of a run: when, on which versions, with which code and data."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from al_sklearn._core.sealed import sealed, unsealed
from al_sklearn._core.types import Options
from al_sklearn.exceptions import StoreError
from al_sklearn.experiments.store._rounds import BELONGS
from al_sklearn.rows import data_differences, differences

STARTS: Final = "starts.jsonl"
# What of data may be another and the positions in them still mean the same images.
_CONTENT: Final = ("hash", "more")


def read_starts(path: Path, run: str) -> list[Options]:
    """Read the starts that are kept, the first one first.

    Raises
    ------
    StoreError
        When the file is damaged, or another run's.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        starts = [unsealed(line, nan=False) for line in lines]
        # A file that is there has one at least, numbered from 0.
        whose = [start.pop(BELONGS) for start in starts]
        if not starts or whose != [[run, number] for number in range(len(starts))]:
            raise StoreError("it is another run's, or lines are missing")
        return starts
    except FileNotFoundError:
        return []
    except (ValueError, KeyError) as error:
        raise StoreError(
            f"{path} is damaged ({error}): what it says of versions, code and data is "
            "not believed. Move it away, or run the same again, which sets it aside."
        ) from error


def start_line(
    config: Mapping[str, Any], changed: Sequence[str], whose: Sequence[Any]
) -> str:
    """Write one start, as a line."""
    parts = {name: config[name] for name in ("versions", "code", "data")}
    at = time.strftime("%Y-%m-%d %H:%M:%S")
    return sealed({BELONGS: list(whose), "at": at, **parts, "changed": list(changed)})


def data_changes(
    stored: Mapping[str, Any], now: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """Name what differs of the data of two starts.

    Returns
    -------
    contents : list of str
        With them a run may go on where that is asked for.
    others : list of str
        They are no longer the same rows: positions would mean other images.
    """
    contents: list[str] = []
    others: list[str] = []
    for what in data_differences(stored["data"], now["data"]):
        name = what.partition(" was ")[0]
        kind = contents if name.rpartition(".")[2] in _CONTENT else others
        kind.append(what)
    return contents, others


def code_changes(
    stored: Mapping[str, Any], now: Mapping[str, Any]
) -> dict[str, list[str]]:
    """Name the functions and classes of one's own whose code is another.

    Returns
    -------
    dict of str to list of str
        By strategy; under ``""`` what all share.
    """
    # Another Python compiles the same text to other code.
    versions = [one["versions"].get("python", "") for one in (stored, now)]
    if versions[0].rpartition(".")[0] != versions[1].rpartition(".")[0]:
        return {}
    found = {}
    was, is_now = stored["code"], now["code"]
    # A strategy that is left out needs no code.
    for owner in is_now:
        names = _other_code(was.get(owner, {}), is_now[owner])
        if names:
            found[owner] = [f"the code of {name}" for name in names]
    return found


def _other_code(was: Mapping[str, str], is_now: Mapping[str, str]) -> list[str]:
    return [
        name
        for name in dict.fromkeys([*was, *is_now])
        if was.get(name) != is_now.get(name)
    ]


def without_code(configuration: Any) -> Any:
    """Return a configuration without the code of functions that cannot be imported.

    That is compared with the other code.
    """
    if isinstance(configuration, list):
        return [without_code(part) for part in configuration]
    if not isinstance(configuration, dict):
        return configuration
    left_out = {"code"} if {"function", "code"} <= configuration.keys() else set()
    return {
        key: without_code(part)
        for key, part in configuration.items()
        if key not in left_out
    }


def say_versions(folder: Path, stored: Options, now: Options) -> None:
    """Warn of packages of other versions than at the start before."""
    found = differences(stored["versions"], now["versions"])
    if found:
        warnings.warn(
            f"The run in {folder} was begun with other versions: "
            f"{'; '.join(found)}. What is resumed may "
            "differ in the last bits from an unbroken run.",
            stacklevel=6,
        )


def notes_on_starts(starts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say what was another at later starts: it belongs beside the numbers."""
    notes = []
    before = None
    for start in starts:
        if start.get("changed"):
            notes.append(
                f"Gone on {start['at']} though this had changed: "
                f"{'; '.join(start['changed'])}. Rounds before and after are of "
                "different code or data."
            )
        if before is not None:
            found = differences(before["versions"], start["versions"])
            if found:
                notes.append(
                    f"Gone on {start['at']} with other versions: {'; '.join(found)}."
                )
        before = start
    return notes
