"""One folder a run: plain files, each written whole or not at all.

No round is ever overwritten.

::

    run/
      config.json                   configuration, data's fingerprint, versions,
                                    classes of the pool
      splits.npz                    train_0, test_0, initial_0, train_1, …
      first/seed_000/round_000.json a seed's first model, shared by its strategies
      rounds/margin/seed_000/round_001.json
      thumbnails.npz                images that were bought, for the report
      metrics.jsonl                 a finished run's metrics, one line a round, so
                                    that it is read at once
      retrained/…                   what models trained again on bought sets reach
      .lock, .writer.json           held, and by whom, while somebody writes

A round counts once its file is there; its model, where ``checkpoints=True``, is written
before. A round's file ends with a checksum of the rest of it.

A folder of another format is refused: no release has written one.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from al_sklearn._core.files import locked, replacing
from al_sklearn._core.types import Array, Options
from al_sklearn.exceptions import StoreError, StoreExistsError, StoreLockedError
from al_sklearn.experiments.store._checkpoints import write_checkpoint
from al_sklearn.experiments.store._json import (
    from_json,
    sealed,
    to_json,
    unsealed,
    with_nan,
)
from al_sklearn.experiments.store._slug import slug
from al_sklearn.loop import Round
from al_sklearn.rows import differences, read_splits

# 3: our objects by their public names, and a checksum in each round.
FORMAT: Final = 3
FIRST: Final = "first"
_FULL: Final = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)


class RunStore:
    """The files of one run.

    Parameters
    ----------
    folder : path
        Made when it is not there.
    durable : bool, default=True
        Wait until the disk has each file, so that a power cut takes nothing either. A
        kill never does.
    """

    def __init__(self, folder: str | os.PathLike[str], durable: bool = True):
        self.folder = Path(folder)
        self.durable = durable

    def open(
        self,
        config: Mapping[str, Any],
        splits: Mapping[str, Array],
        resume: bool = True,
    ) -> None:
        """Begin a run in this folder, or go on with the same one.

        Parameters
        ----------
        config : dict
            ``configuration`` and ``data``, which must be what the folder holds,
            ``versions``, which should, and whatever else is to be kept.
        splits : dict of arrays
            The index sets of each seed.
        resume : bool, default=True
            False refuses a folder that holds a run.

        Raises
        ------
        StoreError
            When the folder holds another run; the message names what differs.
        StoreExistsError
            When it holds a run and ``resume`` is False, or holds something else.
        """
        path = self.folder / "config.json"
        if self.exists():
            if not resume:
                raise StoreExistsError(
                    f"{self.folder} holds a run already; resume it, or name another "
                    "folder."
                )
            # Through JSON and back: tuples and numpy's numbers are what they were
            # stored as.
            self._check_same(self.config(), json.loads(to_json(config)))
        else:
            self._check_empty()
            self._write(path, to_json({"format": FORMAT, **config}, indent=1))
        # What a kill left half-written.
        for leftover in self.folder.rglob(".*.tmp"):
            leftover.unlink(missing_ok=True)
        target = self.folder / "splits.npz"
        if not target.exists():
            with self._writing(target) as file:
                np.savez(file, **dict[str, Any](splits))
        stored = self.splits()
        if stored.keys() != splits.keys() or any(
            not np.array_equal(stored[key], splits[key]) for key in splits
        ):
            raise StoreError(
                f"{target} holds other index sets than this run would draw."
            )

    def exists(self) -> bool:
        """Whether the folder holds a run."""
        return (self.folder / "config.json").exists()

    def config(self) -> Options:
        """Read the configuration.

        Raises
        ------
        FileNotFoundError
            When the folder holds no run.
        StoreError
            When it is damaged, or of a format that this version does not read.
        """
        path = self.folder / "config.json"
        if not self.exists():
            raise FileNotFoundError(
                f"{self.folder} holds no run: there is no config.json in it."
            )
        try:
            config = json.loads(path.read_text())
        except ValueError as error:
            raise StoreError(
                f"{path} is damaged ({error}); begin the run anew in another folder."
            ) from error
        found = config.get("format") if isinstance(config, dict) else None
        if found != FORMAT:
            raise StoreError(
                f"{path} has format {found!r}, {_age(found)}; this version reads "
                f"format {FORMAT} alone. "
                + (
                    f"It was written by {writer}: read it with that, or begin the run "
                    "anew in another folder."
                    if (writer := _writer(config))
                    else "It names no version: begin the run anew in another folder."
                )
            )
        missing = [
            part
            for part in ("configuration", "data", "versions")
            if not isinstance(config.get(part), dict)
        ]
        if missing:
            raise StoreError(
                f"{path} is damaged (no {missing[0]!r}); begin the run anew in "
                "another folder."
            )
        return config

    def splits(self) -> dict[str, Array]:
        """Read the index sets.

        Raises
        ------
        StoreError
            When the file is damaged, an image is in training and test set at once, or
            an initial set is not part of its training set.
        """
        try:
            splits = read_splits(self.folder / "splits.npz")
        except ValueError as error:
            raise StoreError(str(error)) from error
        return {
            f"{part}_{seed}": positions
            for seed, sets in splits.items()
            for part, positions in sets.items()
        }

    def write(self, strategy: str, seed: int, record: Round, model: Any = None) -> None:
        """Write one round, and its model where one is given.

        One that is there already stays as it is.
        """
        # No round is made twice: a resumed run that comes to the same round leaves the
        # file.
        path = self._round_file(strategy, seed, record.round)
        if path.exists():
            return
        content = {
            **record.metrics,
            "indices": record.indices.tolist(),
            "scores": record.scores.tolist(),
        }
        with self._writing(path) as file:
            # Whole before the round's own file gets its name: a round that counts has
            # its model.
            if model is not None:
                write_checkpoint(path.with_suffix(""), model, self.durable)
            file.write(sealed(content).encode())

    @contextmanager
    def writer(self) -> Iterator[Callable[[str, int, Round], None]]:
        """Give a :meth:`write` that does not wait for the disk.

        That is done while the next round is trained.

        No round is written before the one before it is there, and all are there behind
        the block. A kill or a power cut takes the round that is being written; what an
        error of the disk was is said at the next round.
        """
        if not self.durable:
            yield self.write
            return
        # One thread, one round at a time: files appear in the order of the rounds.
        with ThreadPoolExecutor(1, "al_sklearn-store") as thread:
            last: Future[None] | None = None

            def write(strategy: str, seed: int, record: Round) -> None:
                nonlocal last
                # An error of the disk is raised where the run can still be ended in
                # order.
                if last is not None:
                    last.result()
                last = thread.submit(self.write, strategy, seed, record)

            try:
                yield write
            finally:
                if last is not None:
                    last.result()

    def read(self, strategy: str, seed: int) -> list[Round]:
        """Read the finished rounds of a run, in order, up to the first that is missing.

        See :meth:`metrics`.
        """
        return [
            Round(
                number,
                np.asarray(metrics.pop("indices"), dtype=np.int64),
                np.asarray(metrics.pop("scores"), dtype=np.float64),
                metrics,
            )
            for number, metrics in self._rounds(strategy, seed)
        ]

    def finish(self, runs: Mapping[tuple[str, int], Sequence[Round]]) -> None:
        """Join the metrics of a run that is over in one file; see :meth:`metrics`.

        Parameters
        ----------
        runs : dict of (str, int) to list of Round
            All rounds, by strategy and seed; the first ones, which strategies share,
            under ``FIRST``.
        """
        path = self.folder / "metrics.jsonl"
        if path.exists():
            return
        # A thousand runs are read from a thousand files so, not from a million.
        lines = [
            to_json({"strategy": name, "seed": seed, "metrics": record.metrics})
            for (name, seed), records in runs.items()
            for record in records
        ]
        self._write(path, "".join(f"{line}\n" for line in lines))

    def metrics(self, strategy: str, seed: int) -> list[Options]:
        """Read the metrics of the finished rounds alone.

        Where the run is over, they come from one file.
        """
        if self._joined:
            return self._joined.get((strategy, seed), [])
        return [record.metrics for record in self.read(strategy, seed)]

    @cached_property
    def _joined(self) -> dict[tuple[str, int], list[Options]]:
        found: dict[tuple[str, int], list[Options]] = {}
        path = self.folder / "metrics.jsonl"
        try:
            lines = path.read_text().splitlines()
            # One call for all lines: a thousand runs have hundreds of thousands.
            items = json.loads(f"[{','.join(lines)}]")
        except FileNotFoundError:
            return found
        except ValueError as error:
            raise StoreError(
                f"{path} is damaged ({error}); remove it: the rounds are read instead."
            ) from error
        for line, item in zip(lines, items, strict=True):
            metrics = with_nan(item["metrics"]) if "null" in line else item["metrics"]
            found.setdefault((item["strategy"], item["seed"]), []).append(metrics)
        return found

    def last(self, strategy: str, seed: int) -> Options | None:
        """Read the metrics of the last round that is there.

        None where there is none.
        """
        files = self._round_files(strategy, seed)
        # By number: by name round 1000 would stand before round 999.
        newest = max(files, key=_round_number, default=None)
        return None if newest is None else unsealed(newest.read_text())

    def count(self, runs: Iterable[tuple[str, int]]) -> int:
        """Count the finished rounds of several runs."""
        return sum(1 for run in runs for _ in self._round_files(*run))

    def write_thumbnails(self, thumbnails: Mapping[str, Array]) -> None:
        """Keep small images for the report."""
        path = self.folder / "thumbnails.npz"
        if not path.exists():
            with self._writing(path) as file:
                np.savez(file, **dict[str, Any](thumbnails))

    def thumbnails(self) -> dict[str, Array]:
        """Read the small images; empty where there are none."""
        path = self.folder / "thumbnails.npz"
        if not path.exists():
            return {}
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}

    def read_json(self, *parts: str) -> Options | None:
        """Read a file of metrics beside the rounds; None where it is not there."""
        path = self.folder.joinpath(*parts)
        return from_json(path.read_text()) if path.exists() else None

    def write_json(self, metrics: Mapping[str, Any], *parts: str) -> None:
        """Write a file of metrics beside the rounds.

        One that is there stays as it is.
        """
        path = self.folder.joinpath(*parts)
        if not path.exists():
            self._write(path, to_json(metrics))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Let only one process at a time write to the run.

        The system frees it at a kill.

        Raises
        ------
        StoreLockedError
            When somebody else holds it; the message says who.
        """
        # A file of its own: what is locked cannot be read on every system.
        holder = self.folder / ".writer.json"
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self.folder / ".lock", wait=False))
            except BlockingIOError as error:
                raise StoreLockedError(
                    f"Another process is writing to the run in {self.folder}"
                    f"{_who(holder)}. Wait until it is done, or end it."
                ) from error
            me = {
                "process": os.getpid(),
                "machine": platform.node(),
                "since": time.strftime("%Y-%m-%d %H:%M:%S"),
            }
            self._write(holder, json.dumps(me))
            stack.callback(holder.unlink, missing_ok=True)
            yield

    def _check_empty(self) -> None:
        """Refuse a folder of something else; what is hidden may be there."""
        if self.folder.exists() and any(
            not path.name.startswith(".") for path in self.folder.iterdir()
        ):
            raise StoreExistsError(
                f"{self.folder} is not empty and holds no run; name another folder."
            )

    def _check_same(self, stored: Options, now: Options) -> None:
        for part, what in (
            ("configuration", "with another configuration"),
            ("data", "on other data"),
        ):
            found = differences(stored[part], now[part])
            if found:
                raise StoreError(
                    f"{self.folder} holds a run {what}: {'; '.join(found)}. Name "
                    "another folder, or go on as it was "
                    "begun (by "
                    f"{_writer(stored) or 'a version that it does not name'})."
                )
        found = differences(stored["versions"], now["versions"])
        if found:
            warnings.warn(
                f"The run in {self.folder} was begun with other versions: "
                f"{'; '.join(found)}. What is resumed may "
                "differ in the last bits from an unbroken run.",
                stacklevel=5,
            )

    def _run_folder(self, strategy: str, seed: int) -> Path:
        parent = (
            self.folder / FIRST
            if strategy == FIRST
            else self.folder / "rounds" / slug(strategy)
        )
        return parent / f"seed_{seed:03d}"

    def _round_file(self, strategy: str, seed: int, number: int) -> Path:
        return self._run_folder(strategy, seed) / f"round_{number:03d}.json"

    def _round_files(self, strategy: str, seed: int) -> Iterator[Path]:
        """Yield the finished rounds' files, in any order; none without a folder."""
        return self._run_folder(strategy, seed).glob("round_*.json")

    def _rounds(self, strategy: str, seed: int) -> Iterator[tuple[int, Options]]:
        """Yield number and content of each finished round.

        It ends before the first that is missing.
        """
        # Round 0 lies with the seed's first model.
        number = 0 if strategy == FIRST else 1
        while True:
            path = self._round_file(strategy, seed, number)
            try:
                yield number, unsealed(path.read_text())
            except FileNotFoundError:
                return
            except ValueError as error:
                raise StoreError(
                    f"{path} is damaged ({error}); remove it and run the same again: "
                    "that round is made anew."
                ) from error
            number += 1

    def _write(self, path: Path, text: str) -> None:
        with self._writing(path) as file:
            file.write(text.encode())

    @contextmanager
    def _writing(self, path: Path) -> Iterator[Any]:
        """Open a file that is there whole or not at all, in a folder that is made.

        Of a full disk it is said what to do.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path, durable=self.durable) as file:
                yield file
        except OSError as error:
            # Anything else is not about room, and says so itself.
            if error.errno not in _FULL:
                raise
            raise OSError(
                error.errno,
                f"{error.strerror}. All finished rounds are kept in {self.folder}: "
                "make room and run the same again, "
                "it goes on from them",
                error.filename,
            ) from error


def _round_number(file: Path) -> int:
    return int(file.stem.removeprefix("round_"))


def _writer(config: Any) -> str:
    """Say which version wrote a configuration; empty where it does not say."""
    versions = config.get("versions") if isinstance(config, dict) else None
    made = versions.get("al-sklearn") if isinstance(versions, dict) else None
    return f"al-sklearn {made}" if made else ""


def _age(found: Any) -> str:
    """Say of a format that is not ours whether it came before or after it."""
    if not isinstance(found, int):
        return "which is none"
    return "an older layout" if found < FORMAT else "a newer layout"


def _who(holder: Path) -> str:
    """Say who holds a run; nothing where it has only just begun or ended."""
    try:
        known = json.loads(holder.read_text())
    except (OSError, ValueError):
        return ""
    return ": process {process} on {machine}, since {since}".format(**known)
