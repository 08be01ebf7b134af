"""One folder a run: plain files, each written whole or not at all.

No round is ever overwritten, and nothing is ever deleted.

::

    run/
      config.json                   configuration, data's fingerprint, code of one's
                                    own, versions, classes of the pool
      starts.jsonl                  each start: when, and data, code and versions then
      splits.npz                    train_0, test_0, initial_0, train_1, …
      first/seed_000/round_000.json a seed's first model, shared by its strategies
      ceiling/seed_000/round_000.json  what all labels give, where it was asked for
      rounds/margin/seed_000/round_001.json
      estimator.pickle              the network before any fit, where models are kept
      rounds/margin/seed_000/failed.json  where a strategy failed, and with which error
      thumbnails.npz                images that were bought, for the report
      metrics.jsonl                 a finished run's metrics, one line a round, so
                                    that it is read at once
      retrained/…                   what models trained again on bought sets reach
      set-aside/000/…               what could not be believed, with a word why
      .lock, .writer.json           held, and by whom, while somebody writes

A round counts once its file is there; its model, where ``checkpoints=True``, is written
before. Files end with a checksum of the rest of them, and say whose they are: the run
(by the checksum of its configuration), the strategy, the seed and the round.

A folder of another format is refused: no release has written one.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np

from al_sklearn._core.files import locked, replacing
from al_sklearn._core.sealed import (
    checksum_of,
    seal_of,
    sealed,
    to_json,
    unsealed,
    with_nan,
)
from al_sklearn._core.types import Array, Options
from al_sklearn.exceptions import StoreError, StoreExistsError, StoreLockedError
from al_sklearn.experiments.statistics import CEILING
from al_sklearn.experiments.store._aside import move_aside
from al_sklearn.experiments.store._checkpoints import SUFFIXES, write_checkpoint
from al_sklearn.experiments.store._epochs import without_epochs
from al_sklearn.experiments.store._failures import FAILED
from al_sklearn.experiments.store._rounds import (
    BELONGS,
    joined_lines,
    joined_text,
    read_owned,
    read_round,
    round_text,
)
from al_sklearn.experiments.store._slug import slug
from al_sklearn.experiments.store._starts import (
    STARTS,
    code_changes,
    data_changes,
    read_starts,
    say_versions,
    start_line,
    without_code,
)
from al_sklearn.loop import Round
from al_sklearn.rows import differences, read_numpy, read_splits

# 4: every file says whose it is and ends with a checksum.
FORMAT: Final = 4
FIRST: Final = "first"
# What a kill leaves half-written has such names; anything else is somebody else's.
_LEFTOVER: Final = re.compile(
    r"\.(round_\w+\.\w+|(config|failed)\.json|(splits|thumbnails)\.npz"
    r"|(metrics|starts)\.jsonl|\.(writer|report|experiment)\.json)\.\d+-\d+\.tmp"
)
# What no strategy bought: folders of their own beside the strategies'.
_OF_NOBODY: Final = (FIRST, CEILING)
_FULL: Final = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)


def first_number(strategy: str) -> int:
    """Return the number of the first round that lies in a strategy's folder."""
    # Round 0 lies with the seed's first model.
    return 0 if strategy in _OF_NOBODY else 1


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
        self._run = ""

    def open(
        self,
        config: Mapping[str, Any],
        splits: Mapping[str, Array],
        resume: bool = True,
        on_change: str = "raise",
    ) -> list[str]:
        """Begin a run in this folder, or go on with the same one.

        Parameters
        ----------
        config : dict
            ``configuration``, ``data`` and ``code``, which must be what the folder
            holds, ``versions``, which should, and whatever else is to be kept.
        splits : dict of arrays
            The index sets of each seed.
        resume : bool, default=True
            False refuses a folder that holds a run.
        on_change : {"raise", "record"}, default="raise"
            Whether contents of data and code that have changed are refused, or warned
            of.

        Returns
        -------
        list of str
            What has changed and is gone on with: to be kept with :meth:`add_start`.

        Raises
        ------
        StoreError
            When the folder holds another run; the message names what differs.
        StoreExistsError
            When it holds a run and ``resume`` is False, or holds something else.
        """
        # Through JSON and back: tuples and numpy's numbers are what they were stored
        # as.
        now: Options = json.loads(to_json(config))
        changed: list[str] = []
        if self.exists():
            if not resume:
                raise StoreExistsError(
                    f"{self.folder} holds a run already; resume it, or name another "
                    "folder."
                )
            changed = self._check_same(dict(self.config()), now, on_change)
        else:
            self._check_empty()
            text = sealed({"format": FORMAT, **now}, indent=1)
            self._write(self.folder / "config.json", text)
        self._sweep()
        self._keep_splits(splits)
        return changed

    def _sweep(self) -> None:
        """Take away what a kill left half-written, and nothing of anybody else."""
        places = [self.folder.glob(".*.tmp")]
        for name in (*_OF_NOBODY, "rounds", "retrained"):
            places.append((self.folder / name).rglob(".*.tmp"))
        for leftover in chain.from_iterable(places):
            if _LEFTOVER.fullmatch(leftover.name):
                leftover.unlink(missing_ok=True)

    def _keep_splits(self, splits: Mapping[str, Array]) -> None:
        target = self.folder / "splits.npz"
        try:
            stored = self.splits() if target.exists() else None
        except StoreError as error:
            # They are drawn anew from the same seeds.
            self.set_aside([target], str(error))
            stored = None
        if stored is None:
            with self._writing(target) as file:
                np.savez(file, **dict[str, Any](splits))
            stored = self.splits()
        if stored.keys() != splits.keys() or any(
            not np.array_equal(stored[key], splits[key]) for key in splits
        ):
            raise StoreError(
                f"{target} holds other index sets than this run would draw."
            )

    def add_start(self, config: Mapping[str, Any], changed: Sequence[str]) -> None:
        """Keep a start that has something to do: when, versions, code and data then.

        Metrics that were joined are moved aside: there are more to come.
        """
        path = self.folder / STARTS
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        lines.append(start_line(config, changed, [self.run, len(lines)]))
        self._write(path, "".join(f"{line}\n" for line in lines))
        joined = self.folder / "metrics.jsonl"
        move_aside(self.folder, [joined], "Rounds were made behind these.")

    def starts(self) -> list[Options]:
        """Read each start of the run: ``at``, ``versions``, ``code``, ``data``.

        ``changed`` says what was another than at the start before, and gone on with.

        Raises
        ------
        StoreError
            When the file is damaged.
        """
        return read_starts(self.folder / STARTS, self.run)

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
            text = path.read_text(encoding="utf-8")
            config = json.loads(text)
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
        try:
            return unsealed(text, nan=False)
        except StoreError as error:
            raise StoreError(
                f"{path} is damaged ({error}); begin the run anew in another folder."
            ) from error

    @property
    def run(self) -> str:
        """What files say whose they are by: the checksum of the run's configuration.

        Two runs of one configuration, on the same data, code and versions, are one; a
        copy of a run is. Empty where there is no run.
        """
        if not self._run and self.exists():
            path = self.folder / "config.json"
            self._run = seal_of(path.read_text(encoding="utf-8"))
        return self._run

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
        path = self.round_path(strategy, seed, record.round)
        if path.exists():
            return
        with self._writing(path) as file:
            # Whole before the round's own file gets its name: a round that counts has
            # its model.
            known = None
            if model is not None:
                kept = write_checkpoint(path.with_suffix(""), model, self.durable)
                known = checksum_of(kept)
            whose = self._whose(strategy, seed, record.round)
            file.write(round_text(record, whose, known).encode())

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
        rounds = []
        number = first_number(strategy)
        while True:
            path = self.round_path(strategy, seed, number)
            try:
                rounds.append(read_round(path, self._whose(strategy, seed, number)))
            except FileNotFoundError:
                return rounds
            except StoreError as error:
                raise StoreError(
                    f"{path} is damaged ({error}); run the same again: it and all that "
                    "came after it are set aside, and that round is made anew."
                ) from error
            number += 1

    def whole(self, strategy: str, seed: int) -> tuple[list[Round], str]:
        """Read the rounds up to the first that is damaged or missing, and say why.

        Returns
        -------
        rounds : list of Round
        why : str
            Empty where nothing lies behind them that does not belong there.
        """
        rounds: list[Round] = []
        first = first_number(strategy)
        for path in self.round_paths(strategy, seed):
            number = _round_number(path)
            if number != first + len(rounds):
                missing = self.round_path(strategy, seed, first + len(rounds))
                return rounds, f"{missing} is missing."
            try:
                rounds.append(self.read_one(path, strategy, seed))
            except StoreError as error:
                return rounds, f"{path} is damaged: {error}."
        return rounds, ""

    def read_one(self, path: Path, strategy: str, seed: int) -> Round:
        """Read one round's file.

        Raises
        ------
        StoreError
            When it is damaged, or not of that strategy and seed.
        """
        return read_round(path, self._whose(strategy, seed, _round_number(path)))

    def round_paths(self, strategy: str, seed: int) -> list[Path]:
        """Name the files of the rounds that are there, by number."""
        # By number: by name round 1000 would stand before round 999.
        return sorted(self._round_files(strategy, seed), key=_round_number)

    def set_rounds_aside(
        self, strategy: str, seed: int, from_number: int, why: str
    ) -> None:
        """Move rounds from a number on out of the way, with their models.

        The joined metrics, which hold them too, and the record of a failure go as well.
        """
        rounds = self._run_folder(strategy, seed)
        files = [
            path
            for path in self._round_files(strategy, seed)
            if _round_number(path) >= from_number
        ]
        models = [path.with_suffix(suffix) for path in files for suffix in SUFFIXES]
        joined = self.folder / "metrics.jsonl"
        self.set_aside([joined, *files, *models, rounds / FAILED], why)

    def set_aside(self, paths: Iterable[Path], why: str) -> None:
        """Move files that cannot be believed to ``set-aside``, and warn of it."""
        place = move_aside(self.folder, paths, why)
        if place is not None:
            warnings.warn(
                f"{why.removesuffix('.')}. What cannot be believed is set aside in "
                f"{place}, and made anew where it is needed.",
                stacklevel=3,
            )

    def finish(self, runs: Mapping[tuple[str, int], Sequence[Round]]) -> None:
        """Join the metrics of a run that is over in one file; see :meth:`metrics`.

        Parameters
        ----------
        runs : dict of (str, int) to list of Round
            All rounds, by strategy and seed; the first ones, which strategies share,
            under ``FIRST``.
        """
        path = self.folder / "metrics.jsonl"
        # A thousand runs are read from a thousand files so, not from a million.
        lines = [
            to_json(
                {
                    "strategy": name,
                    "seed": seed,
                    "metrics": without_epochs(record.metrics),
                }
            )
            for (name, seed), records in runs.items()
            for record in records
        ]
        text = joined_text(lines, self.run)
        if path.exists():
            if path.read_bytes() == text.encode():
                return
            self.set_aside([path], f"{path} does not hold what the rounds do.")
        self._write(path, text)

    def metrics(self, strategy: str, seed: int) -> list[Options]:
        """Read the metrics of the finished rounds alone.

        Where the run is over, they come from one file, which leaves out the epochs.
        """
        if self._joined:
            return self._joined.get((strategy, seed), [])
        return [record.metrics for record in self.read(strategy, seed)]

    @cached_property
    def _joined(self) -> dict[tuple[str, int], list[Options]]:
        found: dict[tuple[str, int], list[Options]] = {}
        path = self.folder / "metrics.jsonl"
        try:
            lines = joined_lines(path.read_text(encoding="utf-8"), self.run)
            # One call for all lines: a thousand runs have hundreds of thousands.
            items = json.loads(f"[{','.join(lines)}]")
        except FileNotFoundError:
            return found
        except ValueError as error:
            raise StoreError(
                f"{path} is damaged ({error}); remove it: the rounds are read instead, "
                "and the same run again makes it anew."
            ) from error
        for line, item in zip(lines, items, strict=True):
            metrics = with_nan(item["metrics"]) if "null" in line else item["metrics"]
            found.setdefault((item["strategy"], item["seed"]), []).append(metrics)
        return found

    def last(self, strategy: str, seed: int) -> Options | None:
        """Read the metrics of the last round that is there.

        None where there is none.
        """
        files = self.round_paths(strategy, seed)
        return self.read_one(files[-1], strategy, seed).metrics if files else None

    def count(self, runs: Iterable[tuple[str, int]]) -> int:
        """Count the finished rounds of several runs."""
        return sum(1 for run in runs for _ in self._round_files(*run))

    def write_thumbnails(self, thumbnails: Mapping[str, Array]) -> None:
        """Keep small images for the report; whole ones that are there stay."""
        path = self.folder / "thumbnails.npz"
        if path.exists():
            try:
                self.read_thumbnails()
            except StoreError as error:
                self.set_aside([path], str(error))
            else:
                return
        with self._writing(path) as file:
            np.savez(file, **{**dict[str, Any](thumbnails), BELONGS: self.run})

    def thumbnails(self) -> dict[str, Array]:
        """Read the small images; empty where there are none.

        Damaged ones are warned of, and none: pictures must not block results.
        """
        try:
            return self.read_thumbnails()
        except StoreError as error:
            warnings.warn(f"{error} Results are read without pictures.", stacklevel=3)
            return {}

    def read_thumbnails(self) -> dict[str, Array]:
        """Read the small images.

        Raises
        ------
        StoreError
            When they are damaged, or another run's.
        """
        path = self.folder / "thumbnails.npz"
        if not path.exists():
            return {}
        try:
            content = read_numpy(path)
            run = str(content.pop(BELONGS))
        except (ValueError, AttributeError, KeyError) as error:
            raise StoreError(f"{path} is damaged ({error}).") from error
        if run != self.run:
            raise StoreError(f"{path} is damaged (it is another run's).")
        return content

    def read_json(self, *parts: str) -> Options | None:
        """Read a file of metrics beside the rounds; None where it is not there.

        A damaged one is set aside, and is not there then.
        """
        path = self.folder.joinpath(*parts)
        try:
            return read_owned(path, [self.run, *parts])
        except FileNotFoundError:
            return None
        except StoreError as error:
            self.set_aside([path], f"{path} is damaged: {error}.")
            return None

    def retrained(self) -> list[Options]:
        """Read all that was trained again; what is damaged is left out, and said."""
        found = []
        for path in sorted((self.folder / "retrained").rglob("*.json")):
            whose = [self.run, *path.relative_to(self.folder).parts]
            try:
                found.append(read_owned(path, whose))
            except FileNotFoundError:
                # Another process has set it aside in the meantime.
                continue
            except StoreError as error:
                # Whoever trains again sets it aside.
                warnings.warn(
                    f"{path} is damaged ({error}) and left out.", stacklevel=2
                )
        return found

    def write_json(self, metrics: Mapping[str, Any], *parts: str) -> None:
        """Write a file of metrics beside the rounds.

        One that is there stays as it is.
        """
        path = self.folder.joinpath(*parts)
        if not path.exists():
            self._write(path, sealed({BELONGS: [self.run, *parts], **metrics}))

    def fail(self, strategy: str, seed: int, failure: Mapping[str, Any]) -> None:
        """Keep where a strategy failed on a seed, and with which error."""
        path = self._run_folder(strategy, seed) / FAILED
        self._write(path, sealed({BELONGS: self._whose(strategy, seed), **failure}))

    def failure(self, strategy: str, seed: int) -> Options | None:
        """Read where a strategy failed on a seed; None where it did not.

        Raises
        ------
        StoreError
            When the file is damaged.
        """
        path = self._run_folder(strategy, seed) / FAILED
        try:
            return read_owned(path, self._whose(strategy, seed))
        except FileNotFoundError:
            return None
        except StoreError as error:
            raise StoreError(
                f"{path} is damaged ({error}); run the same again, which tries anew."
            ) from error

    def forget_failure(self, strategy: str, seed: int) -> None:
        """Move the record of a failure aside: the strategy is tried again."""
        path = self._run_folder(strategy, seed) / FAILED
        move_aside(self.folder, [path], f"{strategy}, seed {seed}, was tried again.")

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

    def _check_same(self, stored: Options, now: Options, on_change: str) -> list[str]:
        """Refuse another run, and return what may differ and does."""
        begun = f"(by {_writer(stored) or 'a version that it does not name'})"
        was, is_now = (without_code(one["configuration"]) for one in (stored, now))
        failed = self._failed(was)
        # One that failed may be left out.
        for name in failed - is_now["strategies"].keys():
            del was["strategies"][name]
        found = differences(was, is_now)
        if found:
            raise StoreError(
                f"{self.folder} holds a run with another configuration: "
                f"{'; '.join(found)}. Name another folder, or go on as it was begun "
                f"{begun}."
            )
        # What was gone on with before is no news.
        try:
            before = (self.starts() or [stored])[-1]
        except StoreError as error:
            self.set_aside([self.folder / STARTS], str(error))
            before = stored
        contents, others = data_changes(before, now)
        code = code_changes(before, now)
        # And one that failed may be mended: it begins anew.
        for name in failed & code.keys():
            self._begin_anew(name, is_now["n_seeds"], code.pop(name))
        changed = [*contents, *dict.fromkeys(chain.from_iterable(code.values()))]
        if others or (changed and on_change == "raise"):
            what = "on other data" if others or contents else "of other code"
            further = (
                ""
                if others
                else "; on_change='record' goes on all the same, and says so in the "
                "report"
            )
            raise StoreError(
                f"{self.folder} holds a run {what}: {'; '.join([*others, *changed])}. "
                f"Name another folder, or go on as it was begun {begun}{further}."
            )
        if changed:
            warnings.warn(
                f"The run in {self.folder} goes on though this has changed: "
                f"{'; '.join(changed)}. Its report says so.",
                stacklevel=5,
            )
        say_versions(self.folder, before, now)
        return changed

    def _failed(self, configuration: Options) -> set[str]:
        """Names of the strategies that failed on a seed."""
        return {
            name
            for name in configuration["strategies"]
            for seed in range(configuration["n_seeds"])
            if (self._run_folder(name, seed) / FAILED).exists()
        }

    def _begin_anew(self, strategy: str, n_seeds: int, changed: list[str]) -> None:
        why = f"{strategy} failed, and is another now: {'; '.join(changed)}."
        for seed in range(n_seeds):
            self.set_rounds_aside(strategy, seed, 0, why)

    def _whose(self, strategy: str, seed: int, *number: int) -> list[Any]:
        return [self.run, strategy, seed, *number]

    def _run_folder(self, strategy: str, seed: int) -> Path:
        parent = (
            self.folder / strategy
            if strategy in _OF_NOBODY
            else self.folder / "rounds" / slug(strategy)
        )
        return parent / f"seed_{seed:03d}"

    def round_path(self, strategy: str, seed: int, number: int) -> Path:
        """Name the file of a round."""
        return self._run_folder(strategy, seed) / f"round_{number:03d}.json"

    def model_file(self, strategy: str, seed: int, number: int) -> Path | None:
        """Where a round's model is kept; None where it is not."""
        path = self.round_path(strategy, seed, number)
        kept = (path.with_suffix(suffix) for suffix in SUFFIXES)
        return next((file for file in kept if file.is_file()), None)

    def _round_files(self, strategy: str, seed: int) -> Iterator[Path]:
        """Yield the finished rounds' files, in any order; none without a folder."""
        return self._run_folder(strategy, seed).glob("round_*.json")

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
