"""What searches have found, in a file: for refits, clones, workers and the next run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sklearn.base import clone

from al_sklearn._core.files import locked, replacing
from al_sklearn._core.random import random_states
from al_sklearn._core.sealed import sealed, unsealed
from al_sklearn._core.types import Options
from al_sklearn.rows import describe


class TuningStore:
    """A JSON file of finished searches, each under a key.

    Parameters
    ----------
    path : path
        The file; made, with its folder, when the first search is done.
    search : dict
        What the searches are about, in plain JSON: a file about something else is
        refused.
    """

    def __init__(self, path: str | os.PathLike[str], search: Mapping[str, Any]):
        self.path = Path(path)
        self.search = json.loads(json.dumps(search))

    def lock(self) -> AbstractContextManager[None]:
        """Let one process search while the others wait for what it finds.

        The system frees the lock at a kill.
        """
        return locked(self.path.with_name(f".{self.path.name}.lock"))

    def read(self) -> Options:
        """Return the finished searches by key.

        Raises
        ------
        ValueError
            When the file is about another estimator or space, or damaged.
        """
        if not self.path.exists():
            return {}
        try:
            content = unsealed(self.path.read_text(encoding="utf-8"), nan=False)
        except ValueError as error:
            raise ValueError(
                f"{self.path} is damaged ({error}): move it away, and the search is "
                "made again."
            ) from error
        for part, stored in content["search"].items():
            if stored != self.search.get(part):
                raise ValueError(
                    f"{self.path} holds searches for another {part}; name another file."
                )
        return content["found"]

    def write(self, key: str, found: Mapping[str, Any]) -> None:
        """Add a finished search; call it inside :meth:`lock`."""
        content = {"search": self.search, "found": {**self.read(), key: dict(found)}}
        with replacing(self.path) as file:
            file.write(sealed(content, indent=1).encode())


def describe_estimator(estimator: Any) -> Options:
    """Return class and parameters as plain JSON, without the seeds.

    The same for each clone of an experiment.
    """
    unseeded = dict.fromkeys(random_states(estimator))
    return describe(clone(estimator).set_params(**unseeded))
