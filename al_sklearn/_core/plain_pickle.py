"""Pickles of plain values and arrays, read as data: nothing that they name is called.

A pickle is a program: whoever runs it may run any command, and a list of functions that
it may call is only as good as each of them. Here its instructions are followed with
values alone. What an array is made of is a header (a type, a shape, an order) and
bytes; these are parsed, and numpy's own functions are not called for them either.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np

from al_sklearn._core.types import Array

# A damaged pickle is a damaged program: it may do anything wrong that a program can.
DAMAGED: Final = (
    UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
)
# numpy's modules, by the names that numpy 1 and 2 gave them.
_CORES: Final = ("numpy.core", "numpy._core")
# Kinds of elements whose bytes are all there is to them.
_PLAIN_KINDS: Final = "biufcSU"


class _Name(NamedTuple):
    """What a pickle would import: its name alone."""

    module: str
    name: str


class _Box:
    """What a pickle makes first and fills later; ``value`` is what came of it."""

    def __init__(self, kind: str, value: Any = None):
        self.kind = kind
        self.value = value


class _Mark:
    """Where the parts of a list or a mapping begin on the stack."""


def read_plain_pickle(file: BinaryIO) -> Any:
    """Read plain values and arrays from a pickle without calling what it names.

    Parameters
    ----------
    file : binary file

    Returns
    -------
    object
        Made of None, bool, int, float, str, bytes, list, tuple, dict, numpy's numbers
        and arrays of them. What Python 2 called str is read as latin1.

    Raises
    ------
    UnpicklingError
        When it asks for anything else; the name is said.
    Exception
        Any of ``DAMAGED`` for a file that is cut or changed.
    """
    reader = _Reader()
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name == "STOP":
            return _whole(reader.stack.pop())
        reader.follow(opcode.name, argument)
    raise EOFError("it ends too early")


class _Reader:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def follow(self, name: str, argument: Any) -> None:
        """Do what one instruction says."""
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _PUSHED:
            self.stack.append(argument)
        elif name in _STEPS:
            _STEPS[name](self, argument)
        elif name not in ("PROTO", "FRAME"):
            raise UnpicklingError(f"it has the instruction {name}")

    def since_mark(self) -> list[Any]:
        """Take what lies above the last mark."""
        at = max(i for i, item in enumerate(self.stack) if isinstance(item, _Mark))
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def take(self, n: int) -> list[Any]:
        items = self.stack[-n:]
        if len(items) < n:
            raise UnpicklingError("it takes more than there is")
        del self.stack[-n:]
        return items

    def put(self, at: int | None) -> None:
        self._memo[len(self._memo) if at is None else int(at)] = self.stack[-1]

    def get(self, at: int) -> None:
        self.stack.append(self._memo[int(at)])

    def name(self, argument: Any) -> None:
        # "module name", as pickletools says it.
        module, _, name = argument.partition(" ")
        self.stack.append(_Name(module, name))

    def stacked_name(self, argument: Any) -> None:
        module, name = self.take(2)
        self.stack.append(_Name(module, name))

    def reduce(self, argument: Any) -> None:
        what, arguments = self.take(2)
        self.stack.append(_made(what, arguments))

    def build(self, argument: Any) -> None:
        (state,) = self.take(1)
        _fill(self.stack[-1], state)

    def list_(self, items: list[Any]) -> None:
        self._of(list)
        self.stack[-1].extend(items)

    def dict_(self, items: list[Any]) -> None:
        self._of(dict)
        pairs = zip(items[::2], items[1::2], strict=True)
        # Keys cannot be changed once they are in: they are whole.
        self.stack[-1].update((_whole(key), value) for key, value in pairs)

    def _of(self, kind: type) -> None:
        if not isinstance(self.stack[-1], kind):
            raise UnpicklingError(f"it fills what is no {kind.__name__}")


_CONSTANTS: Final[dict[str, Callable[[], Any]]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "MARK": _Mark,
}
_PUSHED: Final = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
        *("FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    }
)
_STEPS: Final[dict[str, Callable[[_Reader, Any], Any]]] = {
    "POP": lambda reader, _: reader.take(1),
    "POP_MARK": lambda reader, _: reader.since_mark(),
    "DUP": lambda reader, _: reader.stack.append(reader.stack[-1]),
    "TUPLE": lambda reader, _: reader.stack.append(tuple(reader.since_mark())),
    "TUPLE1": lambda reader, _: reader.stack.append(tuple(reader.take(1))),
    "TUPLE2": lambda reader, _: reader.stack.append(tuple(reader.take(2))),
    "TUPLE3": lambda reader, _: reader.stack.append(tuple(reader.take(3))),
    "LIST": lambda reader, _: reader.stack.append(reader.since_mark()),
    "DICT": lambda reader, _: _dict(reader),
    "APPEND": lambda reader, _: reader.list_(reader.take(1)),
    "APPENDS": lambda reader, _: reader.list_(reader.since_mark()),
    "SETITEM": lambda reader, _: reader.dict_(reader.take(2)),
    "SETITEMS": lambda reader, _: reader.dict_(reader.since_mark()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Reader.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Reader.get),
    "GLOBAL": _Reader.name,
    "STACK_GLOBAL": _Reader.stacked_name,
    "REDUCE": _Reader.reduce,
    "BUILD": _Reader.build,
}


def _dict(reader: _Reader) -> None:
    items = reader.since_mark()
    reader.stack.append({})
    reader.dict_(items)


def _made(what: Any, arguments: Any) -> Any:
    """Return what a call would give, of the few calls that arrays are written with."""
    if not isinstance(what, _Name):
        raise UnpicklingError("it calls what is no name")
    core = what.module.removesuffix(".multiarray").removesuffix(".numeric")
    match what, arguments:
        # How Python 3 spells bytes for Python 2.
        case _Name("_codecs", "encode"), (str() as text, "latin1"):
            return text.encode("latin1")
        case _Name("__builtin__" | "builtins", "bytes"), ():
            return b""
        case _Name("numpy", "dtype"), (str() | bytes() as code, *_):
            return _Box("dtype", _dtype(code))
        case _Name(_, "_reconstruct"), (_Name("numpy", "ndarray"), *_) if (
            core in _CORES
        ):
            return _Box("array")
        case _Name(_, "scalar"), (_Box(kind="dtype") as box, data) if core in _CORES:
            return _array(box.value, (), data, "C")[()]
        case (
            _Name(_, "_frombuffer"),
            (data, _Box(kind="dtype") as box, tuple() as shape, str() as order),
        ) if core in _CORES:
            return _array(box.value, shape, data, order)
    raise UnpicklingError(
        f"it asks for {what.module}.{what.name}, which is no plain value"
    )


def _fill(box: Any, state: Any) -> None:
    """Give what was made its content."""
    match box, state:
        # Version, byte order; the rest says nothing of plain kinds.
        case _Box(kind="dtype"), (_, str() | bytes() as order, *_):
            if box.value != np.dtype(object):
                box.value = box.value.newbyteorder(_text(order))
        case _Box(kind="array"), (_, tuple() as shape, _Box(kind="dtype"), order, data):
            box.value = _array(state[2].value, shape, data, "F" if order else "C")
        case _:
            raise UnpicklingError("it fills what is no array")


def _dtype(code: str | bytes) -> np.dtype[Any]:
    text = _text(code)
    # One letter and a number: numpy's own parser knows whole languages.
    kind, size = text[:1], text[1:]
    if text in ("O", "O4", "O8"):
        return np.dtype(object)
    if kind not in _PLAIN_KINDS or not size.isdecimal():
        raise UnpicklingError(f"it has elements of the type {text!r}")
    return np.dtype(f"{kind}{int(size)}")


def _array(dtype: np.dtype[Any], shape: Any, data: Any, order: str) -> Array:
    if not all(type(side) is int and side >= 0 for side in shape):
        raise UnpicklingError(f"an array has the shape {shape!r}")
    if order not in ("C", "F"):
        raise UnpicklingError(f"an array has the order {order!r}")
    n = math.prod(shape)
    if dtype == np.dtype(object):
        # Object by object, each of which is a plain value itself.
        if not isinstance(data, list) or len(data) != n:
            raise UnpicklingError("an array of objects has not as many as it says")
        flat = np.empty(n, dtype=object)
        flat[:] = [_whole(item) for item in data]
        return flat.reshape(shape, order="F" if order == "F" else "C")
    raw = data.encode("latin1") if isinstance(data, str) else data
    if not isinstance(raw, bytes | bytearray) or len(raw) != n * dtype.itemsize:
        raise UnpicklingError("an array has not as many bytes as it says")
    values = np.frombuffer(raw, dtype=dtype, count=n)
    return values.reshape(shape, order="F" if order == "F" else "C")


def _text(value: str | bytes) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else value


def _whole(value: Any, known: dict[int, tuple[Any, Any]] | None = None) -> Any:
    """Put arrays in the place of the boxes that they came in."""
    if isinstance(value, _Box):
        if value.value is None:
            raise UnpicklingError("an array has no content")
        return value.value
    if isinstance(value, _Name | _Mark):
        raise UnpicklingError("it ends in what is no value")
    if not isinstance(value, list | tuple | dict):
        return value
    # By identity, each once: a few lines of lists of lists say billions of them. The
    # value is kept beside what came of it, so that no other gets its id.
    known = {} if known is None else known
    if id(value) in known:
        return known[id(value)][1]
    if isinstance(value, tuple):
        made: Any = tuple(_whole(item, known) for item in value)
        known[id(value)] = value, made
        return made
    known[id(value)] = value, value
    places = range(len(value)) if isinstance(value, list) else list(value)
    for place in places:
        value[place] = _whole(value[place], known)
    return value
