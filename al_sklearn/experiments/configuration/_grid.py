"""The runs of a grid: values put into an experiment's content by the path of a key."""

from __future__ import annotations

import copy
import itertools
import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from al_sklearn._core.types import Options
from al_sklearn.experiments.configuration._models import Experiment, fields_of
from al_sklearn.experiments.configuration._problems import (
    Key,
    Lines,
    Places,
    Problem,
    Problems,
    did_you_mean,
    shown,
)
from al_sklearn.experiments.store import slug

# More are a slip, not an experiment.
MOST_RUNS: Final = 10_000
# What a path may begin with.
_SECTIONS: Final = sorted(fields_of(Experiment).keys() - {"grid"})


class Setting(NamedTuple):
    """A value of an axis: what it is called, and the changes it makes.

    Each path gets a value, and the key that says so.
    """

    label: str
    changes: dict[str, tuple[Any, Key]]


class Point(NamedTuple):
    """One combination: its folder's name, its settings, content and lines."""

    name: str
    settings: Options
    spec: Options
    lines: Places


def expand(spec: Mapping[str, Any], lines: Lines, problems: Problems) -> list[Point]:
    """Make a run of each combination of the grid's values."""
    base = {name: value for name, value in spec.items() if name != "grid"}
    axes: list[list[Setting]] = []
    for axis, values in (spec.get("grid") or {}).items():
        with problems.collecting():
            axes.append(_axis(axis, values))
    # Counted before they are made.
    n_runs = math.prod(map(len, axes))
    if n_runs > MOST_RUNS:
        text = f"asks for {n_runs:,} runs; at most {MOST_RUNS:,} go into one file."
        problems.add(Problem(("grid",), text))
    problems.raise_if_any()
    points = [
        _point(base, settings, lines, problems) for settings in itertools.product(*axes)
    ]
    # Two runs of one name would write into one folder.
    [(name, times)] = Counter(point.name for point in points).most_common(1)
    if times > 1:
        problems.add(
            Problem(
                ("grid",),
                f"has two runs called {name!r}; every value of a key must be another "
                "one.",
            )
        )
    return [
        point._replace(name=slug(point.name) if point.name else "") for point in points
    ]


def _point(
    base: Options,
    settings: tuple[Setting, ...],
    lines: Lines,
    problems: Problems,
) -> Point:
    changed: Options = {}
    where: Places = {}
    # Runs must not share what one of them changes.
    content: Any = copy.deepcopy(base)
    for setting in settings:
        for path, (value, said) in setting.changes.items():
            # A message names the path itself once.
            named_by = said[:-1] if said[-1] == path else said
            with problems.collecting():
                content = put_in(content, path, value, named_by)
            changed[path] = value
            if said in lines:
                where[as_key(path)] = lines[said]
    name = "+".join(setting.label for setting in settings)
    return Point(name, changed, content, where)


def _axis(axis: Any, values: Any) -> list[Setting]:
    """Return an axis of the grid, a setting for each of its values."""
    path = str(axis)
    if isinstance(values, list) and values:
        word = path.rpartition(".")[2]
        said = ("grid", axis)
        return [
            Setting(f"{word}={_short(value)}", {path: (value, said)})
            for value in values
        ]
    named = values if isinstance(values, Mapping) else {}
    if named and all(isinstance(part, Mapping) for part in named.values()):
        return [
            Setting(
                f"{axis}={name}",
                {
                    str(key): (value, ("grid", axis, name, key))
                    for key, value in part.items()
                },
            )
            for name, part in named.items()
        ]
    raise Problem(
        ("grid", axis),
        "must be a list of values for that key, or names for sets of changes (name: "
        f"{{key: value}}); got {shown(values)}.",
    )


def _short(value: Any) -> str:
    """Write a value for the name of a folder."""
    # null, true and false as the file has them.
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, Mapping):
        parts = [
            f"{name}-{_short(part)}" if part is not None else str(name)
            for name, part in value.items()
        ]
        return "_".join(parts)
    return "_".join(map(_short, value)) if isinstance(value, list) else str(value)


def as_key(path: str) -> Key:
    """Return ``strategies.1.coreset`` as messages have it: positions are numbers."""
    return tuple(int(word) if word.isdigit() else word for word in path.split("."))


def put_in(spec: Any, path: str, value: Any, named_by: Key) -> Any:
    """Return the content with a value put in at ``section.name.option``.

    Steps of a list go by number or by name.

    Raises
    ------
    Problem
        At ``named_by`` and the path, when it leads nowhere.
    """
    words = path.split(".")
    key = (*named_by, path)
    if words[0] not in _SECTIONS:
        raise Problem(
            key,
            f"must begin with a section.{did_you_mean(words[0], _SECTIONS)} Allowed: "
            f"{', '.join(_SECTIONS)}.",
        )
    return _put(spec, words, value, key)


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
    # The longest name that is there: an import path has dots of its own.
    n = next((n for n in range(len(words), 0, -1) if ".".join(words[:n]) in here), 1)
    name = ".".join(words[:n])
    return {**here, name: _put(here.get(name), words[n:], value, key)}


def _put_into_list(
    here: list[Any], words: list[str], value: Any, key: Key
) -> list[Any]:
    names = [
        str(next(iter(part), "")) if isinstance(part, Mapping) else str(part)
        for part in here
    ]
    for i, part in enumerate(here):
        # A position is used up by the step; a name is the key of its options.
        if words[0] in (str(i), names[i]):
            rest = words[1:] if words[0] == str(i) else words
            return [*here[:i], _put(part, rest, value, key), *here[i + 1 :]]
    raise Problem(
        key,
        f"leads to {words[0]!r}, which is not in the list; allowed: "
        f"{', '.join(names)}.",
    )
