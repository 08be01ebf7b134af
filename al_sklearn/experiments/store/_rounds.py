"""A round as a file: what it says, and whose it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from al_sklearn._core.sealed import checksum, sealed, unsealed
from al_sklearn._core.types import Array
from al_sklearn.exceptions import StoreError
from al_sklearn.loop import Round

# Whose a file is: the run, and what of it. A whole file in another's place is damage.
BELONGS: Final = "belongs_to"
# Of the model beside a round, where one is kept.
MODEL: Final = "model_checksum"


def round_text(record: Round, whose: Sequence[Any], model: str | None = None) -> str:
    """Write a round with whose it is, and the checksum of its model if it has one."""
    content = {
        BELONGS: list(whose),
        **record.metrics,
        "indices": record.indices.tolist(),
        "scores": record.scores.tolist(),
    }
    if model is not None:
        content[MODEL] = model
    return sealed(content)


def read_round(path: Path, whose: Sequence[Any]) -> Round:
    """Read a round.

    Raises
    ------
    FileNotFoundError
        When it is not there.
    StoreError
        When it is damaged or somebody else's. A sentence about the file, without it.
    """
    content = read_owned(path, whose)
    content.pop(MODEL, None)
    missing = {"indices", "scores", "round", "n_labelled"} - content.keys()
    if missing:
        raise StoreError(f"it has no {min(missing)!r}")
    indices = _numbers(content.pop("indices"), "indices", "iu")
    scores = _numbers(content.pop("scores"), "scores", "iuf")
    number = whose[-1]
    if content["round"] != number:
        raise StoreError(f"it says that it is round {content['round']!r}")
    return Round(number, indices.astype(np.int64), scores.astype(np.float64), content)


def read_owned(path: Path, whose: Sequence[Any]) -> dict[str, Any]:
    """Read a sealed file, which must be the one that was written in that place."""
    try:
        content = unsealed(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise StoreError("its checksum does not fit") from error
    found = content.pop(BELONGS, None)
    if found != list(whose):
        raise StoreError(
            f"it is {_named(found)}, where {_named(list(whose))} should be"
        )
    return content


def joined_text(lines: Sequence[str], run: str) -> str:
    """Join lines to a file that ends with a seal of them all."""
    body = "".join(f"{line}\n" for line in lines)
    seal = sealed({BELONGS: [run], "lines": len(lines), "content": checksum(body)})
    return f"{body}{seal}\n"


def joined_lines(text: str, run: str) -> list[str]:
    """Read the lines of :func:`joined_text`.

    Raises
    ------
    StoreError
        When they are cut, changed, or another run's.
    """
    body, newline, end = text.removesuffix("\n").rpartition("\n")
    known = unsealed(end)
    body += newline
    if known.get("content") != checksum(body):
        raise StoreError("its checksum does not fit")
    if known.get(BELONGS) != [run]:
        raise StoreError("it is another run's")
    return body.splitlines()


def _numbers(values: Any, name: str, kinds: str) -> Array:
    found = np.asarray(values)
    # numpy makes floats of an empty list.
    if found.ndim != 1 or not (found.dtype.kind in kinds or found.size == 0):
        raise StoreError(f"its {name} are no list of numbers")
    return found


def _named(whose: Any) -> str:
    """Name whose a file is, as far as people know it."""
    if not isinstance(whose, list) or len(whose) < 2:
        return "a file that does not say whose it is"
    run, *parts = whose
    return f"{'/'.join(map(str, parts))} of run {run}"
