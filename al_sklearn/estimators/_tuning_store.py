"""What searches have found, in a file: for refits, clones, workers and the next run."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
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

    def journal(self, key: str, about: Mapping[str, Any]) -> TrialJournal:
        """Return the trials of a search that has not ended.

        Parameters
        ----------
        key : str
        about : dict
            What its trials depend on beside estimator and space, in plain JSON: of
            anything else they are no trials.
        """
        parts = json.dumps([self.search, about], sort_keys=True).encode()
        digest = hashlib.blake2b(parts, digest_size=8).hexdigest()
        path = self.path.with_name(f"{self.path.name}.trials")
        return TrialJournal(path, f"{key} {digest}")

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


class _Alone:
    """A lock that is always there: the store's own is held.

    Optuna's would be left behind by a kill.
    """

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


class TrialJournal:
    """The finished trials of one search, in Optuna's own file of changes.

    A search that was killed goes on from them; Optuna's tools read the file.

    Parameters
    ----------
    path : path
        The file; several searches may lie in it.
    name : str
        Of the search: what else than its trials it depends on.
    """

    def __init__(self, path: Path, name: str):
        self.path = path
        self.name = name

    def trials(self) -> list[Any]:
        """Return the finished trials in the order in which they were drawn."""
        if not self.path.exists():
            return []
        # Of one that was made again, because a kill had taken the trials drawn with it,
        # the last counts.
        by_number = {
            trial.user_attrs["number"]: trial for trial in self._study().trials
        }
        return [by_number[number] for number in sorted(by_number)]

    def add(self, trials: Sequence[Any]) -> None:
        """Keep finished trials; call it inside the store's lock."""
        study = self._study()
        for trial in trials:
            kept = copy.deepcopy(trial)
            kept.set_user_attr("number", trial.number)
            study.add_trial(kept)

    def _study(self) -> Any:
        import optuna
        from optuna.storages import JournalStorage, journal

        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._mend()
        alone: Any = _Alone()
        backend = journal.JournalFileBackend(str(self.path), lock_obj=alone)
        return optuna.create_study(
            storage=JournalStorage(backend),
            study_name=self.name,
            direction="maximize",
            load_if_exists=True,
        )

    def _mend(self) -> None:
        """Take off a last line that a kill has left half written."""
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(self.path, whole)
