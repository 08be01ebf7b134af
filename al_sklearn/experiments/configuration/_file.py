"""An experiment as a YAML file.

What it may say, what is wrong with it, and the runs that it asks for.
"""

from __future__ import annotations

import copy
import difflib
import inspect
import itertools
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from al_sklearn.experiments.comparison import StrategyComparison
from al_sklearn.experiments.configuration import _objects
from al_sklearn.experiments.configuration._problems import (
    ExperimentFileError,
    Key,
    Lines,
    Problem,
    Problems,
    Rule,
    overlaid,
    place,
    shown,
    unknown_key,
    written,
)
from al_sklearn.experiments.configuration._quick import shrunk
from al_sklearn.experiments.configuration._yaml import read_yaml
from al_sklearn.experiments.protocol import INITIAL
from al_sklearn.experiments.store import slug
from al_sklearn.loop import TRAINING
from al_sklearn.tasks import scorers_of

__all__ = ["ExperimentFile", "ExperimentFileError", "Run", "read_experiment"]

# What a run itself says of a comparison has sections of its own, or flags of the
# command line.
_NOT_COMPARISON: Final = frozenset(
    {"self", "estimator", "strategies", "store", "resume", "verbose"}
)
COMPARISON_KEYS: Final = tuple(
    name
    for name in inspect.signature(StrategyComparison).parameters
    if name not in _NOT_COMPARISON
)

# More are a slip, not an experiment.
MOST_RUNS: Final = 10_000


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


_TEXT: Final = Rule(lambda value: isinstance(value, str) and bool(value), "text")
_SECTIONS: Final = {
    "title": _TEXT,
    "output": _TEXT,
    "data": Rule(
        lambda value: isinstance(value, Mapping), "a mapping with name, dir, options …"
    ),
    "estimator": Rule(
        lambda value: isinstance(value, str | Mapping | list),
        "a classifier's name, that name with its options, or a list of steps",
    ),
    "strategies": Rule(
        lambda value: isinstance(value, list | Mapping),
        "a list of strategies, or names for them",
    ),
    "comparison": Rule(
        lambda value: isinstance(value, Mapping),
        "a mapping of StrategyComparison's parameters",
    ),
    "grid": Rule(
        lambda value: isinstance(value, Mapping), "a mapping of keys to lists of values"
    ),
}
_DATA: Final = {
    "name": _TEXT,
    "dir": _TEXT,
    "options": Rule(
        lambda value: isinstance(value, Mapping), "a mapping of the data set's options"
    ),
    "download": Rule(lambda value: isinstance(value, bool), "true or false"),
    "on_corrupt": Rule(
        lambda value: value in ("raise", "skip", None), "raise, skip or null"
    ),
    "import": Rule(
        lambda value: (
            isinstance(value, str) and value.endswith(".py") and Path(value).is_file()
        ),
        "a Python file that is there",
    ),
    "flat": Rule(
        lambda value: isinstance(value, bool),
        "true (each image a row of numbers from 0 to 1) or false",
    ),
    "pool_size": Rule(
        lambda value: value is None or _is_count(value),
        "a whole number from 1, or null for all",
    ),
    "test_size": Rule(
        lambda value: value is None or _is_count(value),
        "a whole number from 1, or null for all",
    ),
}

_IN_COUNTS: Final = "a whole number from 1, or a share between 0 and 1"


def _is_size(value: Any) -> bool:
    return _is_count(value) or (isinstance(value, float) and 0 < value < 1)


# What is plain is said in plain words; objects are looked at where they are made.
_COMPARISON: Final = {
    "n_initial": Rule(_is_size, _IN_COUNTS),
    "n_instances": Rule(
        lambda value: _is_size(value) or isinstance(value, str | Mapping),
        f"{_IN_COUNTS}, or a labelling rate",
    ),
    "n_rounds": Rule(
        lambda value: (
            value is None or _is_count(value) or (value == 0 and isinstance(value, int))
        ),
        "a whole number from 0, or null (until the budget is spent, or stopping says "
        "so)",
    ),
    "n_seeds": Rule(_is_count, "a whole number from 1"),
    "n_jobs": Rule(
        lambda value: (
            value is None
            or (isinstance(value, int) and not isinstance(value, bool) and value != 0)
        ),
        "a whole number from 1, -1 for one a core, or null",
    ),
    "threads_per_job": Rule(
        lambda value: value is None or _is_count(value),
        "a whole number from 1, or null",
    ),
    "test_size": Rule(_is_size, _IN_COUNTS),
    "validation_size": Rule(
        lambda value: value is None or _is_size(value), f"{_IN_COUNTS}, or null"
    ),
    "budget": Rule(
        lambda value: value is None or _is_size(value), f"{_IN_COUNTS}, or null"
    ),
    "training": Rule(lambda value: value in TRAINING, ", ".join(TRAINING)),
    "splits": Rule(
        lambda value: value is None or (isinstance(value, str) and bool(value)),
        "a run's folder or file",
    ),
    "first_params": Rule(
        lambda value: value is None or isinstance(value, Mapping),
        "a mapping of parameters",
    ),
    "later_params": Rule(
        lambda value: value is None or isinstance(value, Mapping),
        "a mapping of parameters",
    ),
    "checkpoints": Rule(lambda value: isinstance(value, bool), "true or false"),
    "random_state": Rule(
        lambda value: (
            value is None or ((_is_count(value) or value == 0) and value < 2**32)
        ),
        "a whole number from 0 to 4294967295, or null",
    ),
}


@dataclass(frozen=True)
class Run:
    """One comparison that a file asks for.

    Attributes
    ----------
    name : str
        Of its folder; empty where there is no grid.
    settings : dict
        What differs within the grid, by key.
    spec : dict
        The file's content with the settings put in, without ``grid``.
    lines : dict
        Where the grid says so, by key.
    """

    name: str
    settings: dict[str, Any]
    spec: dict[str, Any]
    lines: dict[Key, int | str] = field(default_factory=dict, repr=False, compare=False)

    def data(self) -> dict[str, Any]:
        """Return the section ``data``, complete."""
        empty: dict[str, Any] = {
            "dir": None,
            "options": {},
            "download": False,
            "on_corrupt": None,
            "import": None,
        }
        return (
            empty
            | {"flat": False, "pool_size": None, "test_size": None}
            | self.spec["data"]
        )

    def estimator(self) -> Any:
        """Make the classifier."""
        return _objects.build_estimator(self.spec["estimator"], ("estimator",))

    def strategies(self) -> Any:
        """Make the strategies."""
        return _objects.build_strategies(self.spec["strategies"], ("strategies",))

    def comparison(self, **more: Any) -> StrategyComparison:
        """Make the comparison, without the store and its like.

        ``more`` may name these.
        """
        section = self.spec.get("comparison") or {}
        options = {
            name: _comparison_value(name, value) for name, value in section.items()
        }
        return StrategyComparison(
            self.estimator(), self.strategies(), **options, **more
        )


class ExperimentFile:
    """What an experiment file asks for.

    Parameters
    ----------
    spec : dict
        The content: ``data``, ``estimator``, ``strategies``, ``comparison``, ``grid``,
        ``title``, ``output``.
    name : str
        What messages call it.
    lines : dict, optional
        The line of each key, or the flag that says it.

    Raises
    ------
    ExperimentFileError
        With everything that is wrong: each line names the key, what was given and what
        is allowed.
    """

    def __init__(self, spec: Any, name: str = "experiment", lines: Lines | None = None):
        self.name = name
        self.spec = spec
        self.lines: Lines = lines or {}
        problems = Problems(name, self.lines)
        _check_sections(spec, problems)
        problems.raise_if_any()
        self.runs: list[Run] = _expand(spec, self.lines, problems)
        problems.raise_if_any()
        for run in self.runs:
            with problems.at(run.lines):
                _check_run(run, problems)
        problems.raise_if_any()

    @property
    def title(self) -> str:
        """The heading of reports."""
        return str(self.spec.get("title") or self.name)

    def blame(self, message: str, run: Run, default: Key = ()) -> str:
        """Say which key of the file an error comes from that running it gave.

        Empty where that cannot be told.

        Parameters
        ----------
        message : str
            What the error says.
        run : Run
            Which run it was.
        default : tuple, optional
            A key that it comes from where no other can be told.
        """
        lines = overlaid(self.lines, run.lines)
        marks = {
            key: mark for key in lines if (mark := _is_about(message, key, run.spec))
        }
        found = [key for key, mark in marks.items() if mark == max(marks.values())]
        key = max(found, key=len, default=default)
        if any(key[: len(other)] != other for other in found):
            # As likely as not it is another one.
            key = default
        if key not in lines or not key:
            return ""
        return f"{place(self.name, lines, key)}: {written(key).strip()}"

    def quick(self) -> ExperimentFile:
        """Return the same experiment in small.

        The first and the last run of the grid, cut down.

        Notes
        -----
        The pool has at most 60 images and the test set 30; at most 20 labels to begin
        with, 10 in a batch (a share of the pool stays one), 1 round, 2 seeds; 1 epoch
        of as many batches as the labels fill, 2 trials of tuning, images of at most 32
        pixels, ensembles of 2, 5 steps of VAAL. Strategies, networks and all other
        options stay.
        """
        small = copy.copy(self)
        kept = self.runs if len(self.runs) < 3 else [self.runs[0], self.runs[-1]]
        small.runs = [
            Run(run.name, run.settings, shrunk(run.spec), run.lines) for run in kept
        ]
        return small


def read_experiment(
    path: str | os.PathLike[str], changes: Mapping[str, Any] | None = None
) -> ExperimentFile:
    """Read and check an experiment file.

    Parameters
    ----------
    path : path
    changes : dict, optional
        Values by key, as ``{"comparison.n_seeds": 3}``, put in before anything is
        checked.

    Returns
    -------
    ExperimentFile

    Raises
    ------
    ExperimentFileError
        With everything that is wrong in it.
    FileNotFoundError
        When there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no experiment file {path}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ExperimentFileError(f"{path} is no text in UTF-8: {error}.") from error
    spec, found = read_yaml(text, str(path))
    lines: dict[Key, int | str] = {**found}
    problems = Problems(str(path), lines)
    if spec is not None and not isinstance(spec, Mapping):
        _check_sections(spec, problems)
        problems.raise_if_any()
    for key, value in (changes or {}).items():
        with problems.collecting():
            spec = _with(spec, key, value, ("--set",))
            lines = overlaid(lines, {_as_key(key): "--set"})
    problems.raise_if_any()
    return ExperimentFile(spec, str(path), lines)


def _is_about(message: str, key: Key, spec: Mapping[str, Any]) -> int:
    """How surely an error is about a key.

    Its name is quoted there, or its value is, or both.
    """
    if key[:1] in ((), ("grid",), ("title",), ("output",)):
        return 0
    word = re.escape(str(key[-1]).rpartition("__")[2])
    # Bare words are named by accident, those with an underscore are not.
    bare = rf"|\b{word}\b" if "_" in word else ""
    named = (
        isinstance(key[-1], str)
        and re.search(rf"'{word}'|\b{word}(?:=| must ){bare}", message) is not None
    )
    value: Any = spec
    for part in key:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            value = None
    given = isinstance(value, str) and f"{value!r}" in message
    return 2 * named + given


def _check_sections(spec: Any, problems: Problems) -> None:
    if not isinstance(spec, Mapping):
        given = "this file is empty" if spec is None else f"got {shown(spec)}"
        problems.add(
            (),
            "an experiment must be a mapping with data, estimator and strategies; "
            f"{given}.",
        )
        return
    _check_keys(spec, _SECTIONS, (), problems)
    for name in ("data", "estimator", "strategies"):
        if name not in spec:
            problems.add((name,), f"is missing: it must be {_SECTIONS[name].allowed}.")


def _check_keys(
    section: Mapping[Any, Any], rules: Mapping[str, Rule], key: Key, problems: Problems
) -> None:
    for name, value in section.items():
        where = (*key, name)
        if name not in rules:
            error = unknown_key(where, rules)
            problems.add(where, error.text)
        elif not rules[name].accepts(value):
            problems.add(where, f"must be {rules[name].allowed}; got {shown(value)}.")


def _check_run(run: Run, problems: Problems) -> None:
    _check_sections(run.spec, problems)
    data, section = run.spec.get("data"), run.spec.get("comparison") or {}
    if isinstance(data, Mapping):
        _check_keys(data, _DATA, ("data",), problems)
        with problems.collecting():
            _check_data(data)
    for name, value in section.items():
        where: Key = ("comparison", name)
        if name not in COMPARISON_KEYS:
            problems.add(where, unknown_key(where, COMPARISON_KEYS).text)
        elif name in _COMPARISON and not _COMPARISON[name].accepts(value):
            problems.add(
                where, f"must be {_COMPARISON[name].allowed}; got {shown(value)}."
            )
    with problems.collecting():
        _objects.build_estimator(run.spec.get("estimator"), ("estimator",))
    with problems.collecting():
        _check_names(run.strategies())
    options: dict[str, Any] = {}
    for name, value in section.items():
        if name in COMPARISON_KEYS and (
            name not in _COMPARISON or _COMPARISON[name].accepts(value)
        ):
            with problems.collecting():
                options[name] = _comparison_value(name, value)
    with problems.collecting():
        # Only its own parameters: the others were looked at where they stand.
        _objects.check_constraints(
            StrategyComparison(_Anything(), ["random_sampling"], **options),
            ("comparison",),
        )
    ends = [
        options.get(name, default)
        for name, default in (("n_rounds", 0), ("budget", None), ("stopping", None))
    ]
    if all(end is None for end in ends):
        problems.add(
            ("comparison", "n_rounds"),
            "must be a whole number where neither budget nor stopping is given.",
        )


class _Anything:
    """Stands for a classifier while the other parameters are looked at."""

    def fit(self) -> None:
        """Be there."""

    def predict(self) -> None:
        """Be there."""


def _check_names(strategies: Any) -> None:
    from al_sklearn.experiments.comparison import name_strategies

    try:
        name_strategies(strategies)
    except ValueError as error:
        raise Problem(("strategies",), f"is wrong: {error}") from error


def _check_data(data: Mapping[str, Any]) -> None:
    from al_sklearn.datasets import dataset_names, find_source, options_of

    if "name" not in data:
        raise Problem(
            ("data", "name"),
            "is missing: it must be the name of a data set; al-sklearn datasets lists "
            "them.",
        )
    name = data["name"]
    if not isinstance(name, str):
        # Said already.
        return
    if name not in dataset_names():
        if "import" in data:
            # Registered by that file, which is not run for a check.
            return
        close = difflib.get_close_matches(str(name), dataset_names(), n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        allowed = ", ".join(dataset_names())
        raise Problem(
            ("data", "name"),
            f"must be a data set, got {name!r}.{hint} Allowed: {allowed}.",
        )
    options = data.get("options")
    for option in options if isinstance(options, Mapping) else ():
        if option not in options_of(find_source(name)):
            raise unknown_key(
                ("data", "options", option), options_of(find_source(name))
            )


def _comparison_value(name: str, value: Any) -> Any:
    key: Key = ("comparison", name)
    if name == "initial":
        return (
            value if value in INITIAL else _objects.build_initial(value, key, INITIAL)
        )
    if name in _objects.KINDS and not (value is None or isinstance(value, int | float)):
        return _objects.build_kind(value, key)
    option = _objects.build_option(value, key)
    if name == "scoring":
        try:
            scorers_of(option)
        except (TypeError, ValueError) as error:
            raise Problem(key, f"must be a scorer, or several: {error}") from error
    return option


class _Setting(NamedTuple):
    """A value of an axis of the grid.

    What it is called, what it changes, and where each change is said.
    """

    label: str
    changes: dict[str, Any]
    said: dict[str, Key]


def _expand(spec: Mapping[str, Any], lines: Lines, problems: Problems) -> list[Run]:
    """Make a run of each combination of the grid's values."""
    base = {name: value for name, value in spec.items() if name != "grid"}
    axes: list[list[_Setting]] = []
    for axis, values in (spec.get("grid") or {}).items():
        with problems.collecting():
            axes.append(_axis(axis, values))
    _check_size(axes, problems)
    problems.raise_if_any()
    runs = []
    for point in itertools.product(*axes):
        settings: dict[str, Any] = {}
        where: dict[Key, int | str] = {}
        content: Any = copy.deepcopy(base)
        for setting in point:
            for path, value in setting.changes.items():
                said = setting.said[path]
                with problems.collecting():
                    content = _with(
                        content, path, value, said[:-1] if said[-1] == path else said
                    )
                settings[path] = value
                if said in lines:
                    where[_as_key(path)] = lines[said]
        runs.append(
            Run("+".join(setting.label for setting in point), settings, content, where)
        )
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        problems.add(
            ("grid",),
            f"has two runs called {double!r}; every value of a key must be another "
            "one.",
        )
    return [replace(run, name=slug(run.name) if run.name else "") for run in runs]


def _check_size(axes: list[list[_Setting]], problems: Problems) -> None:
    n_runs = math.prod(map(len, axes))
    if n_runs > MOST_RUNS:
        problems.add(
            ("grid",),
            f"asks for {n_runs:,} runs; at most {MOST_RUNS:,} go into one file.",
        )


def _axis(axis: Any, values: Any) -> list[_Setting]:
    """Return an axis of the grid, a setting for each of its values."""
    path = str(axis)
    if isinstance(values, list) and values:
        word = path.rpartition(".")[2]
        return [
            _Setting(f"{word}={_short(value)}", {path: value}, {path: ("grid", axis)})
            for value in values
        ]
    if (
        isinstance(values, Mapping)
        and values
        and all(isinstance(part, Mapping) for part in values.values())
    ):
        return [
            _Setting(
                f"{axis}={name}",
                {str(key): value for key, value in part.items()},
                {str(key): ("grid", axis, name, key) for key in part},
            )
            for name, part in values.items()
        ]
    raise Problem(
        ("grid", axis),
        "must be a list of values for that key, or names for sets of changes (name: "
        "{key: value}); got "
        f"{shown(values)}.",
    )


def _as_key(path: str) -> Key:
    """Return ``strategies.1.coreset`` as messages have it: positions are numbers."""
    return tuple(int(word) if word.isdigit() else word for word in path.split("."))


def _short(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, Mapping):
        return "_".join(
            f"{name}-{_short(part)}" if part is not None else str(name)
            for name, part in value.items()
        )
    return "_".join(map(_short, value)) if isinstance(value, list) else str(value)


def _with(spec: Any, path: str, value: Any, named_by: Key) -> Any:
    """Return the content with a value put in at ``section.name.option``.

    Steps of a list go by number or by name.
    """
    words = path.split(".")
    if words[0] not in _SECTIONS or words[0] == "grid":
        allowed = [name for name in _SECTIONS if name != "grid"]
        close = difflib.get_close_matches(words[0], allowed, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise Problem(
            (*named_by, path),
            f"must begin with a section.{hint} Allowed: {', '.join(sorted(allowed))}.",
        )
    return _put(spec, words, value, (*named_by, path))


def _put(here: Any, words: list[str], value: Any, key: Key) -> Any:
    if not words:
        return value
    if isinstance(here, list):
        return _put_into_list(here, words, value, key)
    if isinstance(here, str) and words[0] == here:
        # The bare name of an object gets its first option.
        here = {here: None}
    if here is None:
        here = {}
    if not isinstance(here, Mapping):
        raise Problem(
            key, f"leads to {words[0]!r} of {shown(here)}, which has no keys."
        )
    # An import path has dots of its own.
    n = next((n for n in range(len(words), 0, -1) if ".".join(words[:n]) in here), 1)
    name = ".".join(words[:n])
    return {**here, name: _put(here.get(name), words[n:], value, key)}


def _put_into_list(
    here: list[Any], words: list[str], value: Any, key: Key
) -> list[Any]:
    for i, part in enumerate(here):
        if words[0] in (str(i), part) or (
            isinstance(part, Mapping) and words[0] in part
        ):
            rest = words[1:] if words[0] == str(i) else words
            return [*here[:i], _put(part, rest, value, key), *here[i + 1 :]]
    names = [
        str(next(iter(part)) if isinstance(part, Mapping) else part) for part in here
    ]
    raise Problem(
        key,
        f"leads to {words[0]!r}, which is not in the list; allowed: "
        f"{', '.join(names)}.",
    )
