"""Reading files that strangers wrote: bounded, decoded, and never out of the folder."""

from __future__ import annotations

import codecs
import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from xml.parsers import expat

from al_sklearn.exceptions import LabelFileError
from al_sklearn.rows import is_image, read_header

#: The largest label file that is read: 2 GiB; COCO's largest has half a GiB.
MOST_BYTES = 2**31
#: Deepest nesting of JSON: label files have about ten levels.
MOST_LEVELS = 200

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def refuse(path: Any, where: str, text: str) -> LabelFileError:
    """Return the error that names the file, the place in it, and what is wrong."""
    name = Path(path).name
    return LabelFileError(f"{name}: {where}: {text}" if where else f"{name}: {text}")


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes.

    Raises
    ------
    LabelFileError
        For a file of more than ``MOST_BYTES``.
    """
    n_bytes = path.stat().st_size
    if n_bytes > MOST_BYTES:
        raise refuse(
            path, "", f"it has {n_bytes} bytes, at most {MOST_BYTES} are read."
        )
    return path.read_bytes()


def decode(data: bytes, path: Path, *, fallback: str | None = None) -> str:
    """Return text by its byte-order mark, else UTF-8, else the fallback.

    Raises
    ------
    LabelFileError
        For bytes that are none of it; it names the line.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    # Half of the bytes of Latin letters in UTF-16 are zero, none in UTF-8.
    if encoding == "utf-8" and b"\0" in data[:2]:
        encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if fallback is not None and encoding == "utf-8":
            try:
                return data.decode(fallback)
            except UnicodeDecodeError:
                pass
        line = data.count(b"\n", 0, error.start) + 1
        raise refuse(
            path, f"line {line}", f"it is not {encoding}: {error.reason}."
        ) from None


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises
    ------
    LabelFileError
        For what is no JSON, or is nested too deeply. NaN and Infinity are read, so that
        :func:`number` can say which element has them.
    """
    return parse_json(decode(read_bytes(path), path), path)


def parse_json(text: str, path: Path, line: int | None = None) -> Any:
    """Return what a JSON text holds; ``line`` is where it stands in a file of lines."""
    where = "" if line is None else f"line {line}"
    if _depth(text) > MOST_LEVELS:
        raise refuse(path, where, f"it is nested more than {MOST_LEVELS} deep.")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        at = error.lineno if line is None else line
        raise refuse(path, f"line {at}", f"no JSON: {error.msg}.") from None
    except (RecursionError, ValueError) as error:
        raise refuse(path, where, f"no JSON: {error}.") from None


_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')


def _depth(text: str) -> int:
    """Deepest nesting, as far as it matters: small files are not searched."""
    # A level takes a bracket to open it at least.
    if text.count("[") + text.count("{") <= MOST_LEVELS:
        return 0
    # A run of opening brackets is what overflows a parser; label files have none.
    longest = max((len(m) for m in re.findall(r"[\[{\s]{64,}", text)), default=0)
    if longest < MOST_LEVELS:
        return 0
    depth = deepest = 0
    for match in _BRACKETS.finditer(text):
        sign = match.group()
        if sign in "[{":
            depth += 1
            deepest = max(deepest, depth)
            if deepest > MOST_LEVELS:
                break
        elif sign in "]}":
            depth -= 1
    return deepest


def read_json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the number of each line that is not blank, and what it holds."""
    text = decode(read_bytes(path), path)
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, parse_json(line, path, number)


class Node:
    """An element of an XML file, with the line that it begins on."""

    __slots__ = ("attrib", "children", "line", "tag", "text")

    def __init__(self, tag: str, attrib: dict[str, str], line: int) -> None:
        self.tag, self.attrib, self.line = tag, attrib, line
        self.text = ""
        self.children: list[Node] = []

    def find(self, tag: str) -> Node | None:
        """Return the first child of that name."""
        return next((child for child in self.children if child.tag == tag), None)

    def all(self, tag: str) -> list[Node]:
        """Return all children of that name."""
        return [child for child in self.children if child.tag == tag]

    def text_of(self, tag: str, default: str | None = None) -> str | None:
        """Return the stripped text of the first child of that name."""
        child = self.find(tag)
        return default if child is None else child.text.strip()

    def walk(self, tag: str) -> Iterator[Node]:
        """Yield every element of that name below this one."""
        for child in self.children:
            if child.tag == tag:
                yield child
            yield from child.walk(tag)


# Label files have some six levels; walk() goes down with Python's stack.
_MOST_XML_LEVELS = 100


def read_xml(path: Path) -> Node:
    """Return the root of an XML file.

    Raises
    ------
    LabelFileError
        For what is no XML, and for a document type: entities are never expanded, and
        no other file is opened.
    """
    data = read_bytes(path)
    parser = expat.ParserCreate()
    # Text comes in one piece.
    parser.buffer_text = True
    open_nodes: list[Node] = []
    roots: list[Node] = []

    def start(tag: str, attrib: dict[str, str]) -> None:
        node = Node(tag, attrib, parser.CurrentLineNumber)
        if open_nodes:
            open_nodes[-1].children.append(node)
        else:
            roots.append(node)
        open_nodes.append(node)
        if len(open_nodes) > _MOST_XML_LEVELS:
            raise refuse(
                path,
                f"line {node.line}",
                f"it is nested more than {_MOST_XML_LEVELS} deep.",
            )

    def end(tag: str) -> None:
        open_nodes.pop()

    def text(data: str) -> None:
        if open_nodes:
            open_nodes[-1].text += data

    def no_doctype(*_: Any) -> None:
        raise refuse(
            path,
            f"line {parser.CurrentLineNumber}",
            "a document type (DOCTYPE) is not read: its entities could be of any size.",
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = no_doctype
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        said = expat.ErrorString(error.code)
        raise refuse(path, f"line {error.lineno}", f"no XML: {said}.") from None
    except (ValueError, LookupError) as error:
        if isinstance(error, LabelFileError):
            raise
        raise refuse(path, "", f"no XML: {error}.") from None
    return roots[0]


def number(value: Any, path: Path, where: str, what: str) -> float:
    """Return a finite number; text is no number here.

    Raises
    ------
    LabelFileError
        For anything else.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # An integer may be beyond what a float can hold.
        try:
            if math.isfinite(value):
                return value
        except OverflowError:
            pass
    raise refuse(path, where, f"{what} must be a finite number, got {shown(value)}.")


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def number_in(text: Any, path: Path, where: str, what: str) -> float:
    """Return the finite number that a text is.

    Raises
    ------
    LabelFileError
        For anything else; ``float`` alone takes nan, infinity and 1_000.
    """
    if isinstance(text, str) and _NUMBER.fullmatch(text.strip()):
        value = float(text)
        if math.isfinite(value):
            return value
    raise refuse(path, where, f"{what} must be a finite number, got {shown(text)}.")


def integer(value: Any, path: Path, where: str, what: str) -> int:
    """Return a whole number; 3.0 is one, 3.5 and text are not."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return int(value)
    raise refuse(path, where, f"{what} must be a whole number, got {shown(value)}.")


def integer_in(text: Any, path: Path, where: str, what: str) -> int:
    """Return the whole number that a text is; 5.0 is one."""
    value = number_in(text, path, where, what)
    if value != int(value):
        raise refuse(path, where, f"{what} must be a whole number, got {shown(text)}.")
    return int(value)


def shown(value: Any) -> str:
    """Return a value as errors show it: short."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def list_of(value: Any, path: Path, where: str, what: str) -> list[Any]:
    """Return a list, and nothing else."""
    if not isinstance(value, list):
        raise refuse(path, where, f"{what} must be a list, got {shown(value)}.")
    return value


def dict_of(value: Any, path: Path, where: str, what: str) -> dict[str, Any]:
    """Return a JSON object, and nothing else."""
    if not isinstance(value, dict):
        raise refuse(path, where, f"{what} must be an object, got {shown(value)}.")
    return value


def text_of(value: Any, path: Path, where: str, what: str) -> str:
    """Return a text that is not empty, and nothing else."""
    if not isinstance(value, str) or not value.strip():
        raise refuse(path, where, f"{what} must be a text, got {shown(value)}.")
    return value


def tidy_name(name: str, path: Path, where: str, what: str) -> str:
    """Return an image's name with ``/`` and without ``./``.

    Raises
    ------
    LabelFileError
        For a name that climbs out of the folder, or begins at a disk's root.
    """
    tidy = name.replace("\\", "/")
    is_rooted = tidy.startswith("/") or re.match(r"[A-Za-z]:", tidy) is not None
    parts = [part for part in tidy.split("/") if part not in ("", ".")]
    if is_rooted or ".." in parts or "\0" in tidy:
        raise refuse(path, where, f"{what} {name!r} leaves the folder that is read.")
    if not parts:
        raise refuse(path, where, f"{what} is empty.")
    return str(PurePosixPath(*parts))


def is_inside(path: Path, root: Path) -> bool:
    """Whether a path, links followed, lies in a folder."""
    real = os.path.realpath(path)
    return os.path.commonpath([real, os.path.realpath(root)]) == os.path.realpath(root)


def relative_name(path: Path, root: Path) -> str:
    """Return a path relative to a folder, with ``/``."""
    return Path(os.path.relpath(path, root)).as_posix()


def image_size(path: Path) -> tuple[int, int] | None:
    """Return width and height of an image as it is seen, None where none can be read.

    Its header is read alone; a photo that was taken on its side is measured upright, as
    it is decoded.
    """
    try:
        height, width = read_header(path).size
    except ValueError:
        return None
    return width, height


def find_images(folder: Path, root: Path) -> list[Path]:
    """Return the image files below a folder, sorted.

    Raises
    ------
    LabelFileError
        For a link that leaves the root.
    """
    found = [
        path for path in folder.rglob("*") if is_image(path.name) and path.is_file()
    ]
    for path in found:
        if not is_inside(path, root):
            raise refuse(path, "", "it is a link that leaves the folder that is read.")
    return sorted(found)
