"""YAML with the line of every key, read safely and without YAML 1.1's surprises."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import yaml

from al_sklearn._core.types import Options
from al_sklearn.experiments.configuration._problems import ExperimentFileError, Key

# A few lines of aliases of aliases say billions of values.
_MOST_VALUES: Final = 100_000


class Document(NamedTuple):
    """What a file says, and where: ``lines[("data", "name")]`` counts from 1."""

    value: Any
    lines: dict[Key, int]


class _Loader(yaml.SafeLoader):
    """Knows null, true and false, whole numbers and numbers.

    PyYAML's own rules are those of YAML 1.1: ``no`` is False there, ``1e-3`` is text,
    ``1:30`` is 90 and a date is no text.
    """

    yaml_implicit_resolvers: Options = {}  # noqa: RUF012  PyYAML's attribute


for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|)$", [*"~n", ""]),
    ("bool", r"^(?:true|True|false|False)$", [*"tTfF"]),
    ("int", r"^[-+]?(?:0|[1-9][0-9_]*)$", [*"-+0123456789"]),
    (
        "float",
        r"^(?:[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
        r"|[0-9]+[eE][-+]?[0-9]+)|[-+]?\.inf|\.nan)$",
        [*"-+.0123456789"],
    ),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first
    )


def read_yaml(text: str, name: str) -> Document:
    """Read a YAML document of plain values.

    Parameters
    ----------
    text : str
    name : str
        What messages call it: the file's path.

    Raises
    ------
    ExperimentFileError
        When it is no YAML, a key comes twice, it asks for objects of Python, or says
        more than a person can mean.
    """
    lines: dict[Key, int] = {}
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        value = None if node is None else _construct(loader, node, (), lines, ())
    except yaml.MarkedYAMLError as error:
        line = (
            ""
            if error.problem_mark is None
            else f", line {error.problem_mark.line + 1}"
        )
        raise ExperimentFileError(f"{name}{line}: {_said(error)}.") from None
    except yaml.YAMLError as error:
        raise ExperimentFileError(
            f"{name} is no YAML: {' '.join(str(error).split())}."
        ) from None
    # PyYAML composes by recursion.
    except RecursionError:
        raise ExperimentFileError(f"{name} is nested too deeply.") from None
    return Document(value, lines)


def _said(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or ""
    if "'\\t'" in problem:
        return "a tab; YAML is indented with spaces"
    if "another document" in problem:
        return "a second document; an experiment is one file"
    if "<block" in problem or "<document" in problem:
        return (
            "indented otherwise than the lines before, or a list and keys side by side"
        )
    return ", ".join(part for part in (error.context, problem) if part)


def _refused(node: Any, text: str) -> yaml.MarkedYAMLError:
    """Say it as PyYAML says what it finds itself, with its line."""
    return yaml.MarkedYAMLError(problem=text, problem_mark=node.start_mark)


def _construct(
    loader: Any, node: Any, key: Key, lines: dict[Key, int], above: tuple[Any, ...]
) -> Any:
    line = node.start_mark.line + 1
    # A key's own line goes before its value's, which may be further down.
    lines.setdefault(key, line)
    if len(lines) > _MOST_VALUES:
        raise _refused(node, f"more than {_MOST_VALUES:,} values")
    if node in above:
        raise _refused(node, "an alias that holds itself")
    if isinstance(node, yaml.SequenceNode):
        return [
            _construct(loader, part, (*key, i), lines, (*above, node))
            for i, part in enumerate(node.value)
        ]
    if not isinstance(node, yaml.MappingNode):
        # Tags of Python would make objects of it; tags of one's own mean nothing here.
        if not node.tag.startswith("tag:yaml.org,2002:"):
            raise _refused(node, f"the tag {node.tag} is not read")
        return loader.construct_object(node)
    mapping: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise _refused(key_node, "a key must be one word")
        name = loader.construct_object(key_node)
        if name in mapping:
            raise _refused(key_node, f"the key {name!r} comes twice")
        lines[(*key, name)] = key_node.start_mark.line + 1
        mapping[name] = _construct(
            loader, value_node, (*key, name), lines, (*above, node)
        )
    return mapping
