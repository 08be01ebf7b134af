"""Standard output and error as they are: missing, closed, or short of signs.

Output that is redirected on Windows is no UTF-8, services have no output at all. What
is written for people never stops a run.
"""

from __future__ import annotations

import codecs
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

# How an encoding that lacks a sign is helped out; codecs' own put "?" for a minus.
PLAIN_SIGNS: Final = "al_sklearn_plain_signs"
_PLAIN: Final = {
    "−": "-",
    "–": "-",
    "—": "-",
    "…": "...",
    "±": "+/-",
    "×": "x",
    "·": ".",
    "√": "sqrt",
    "→": "->",
    "≤": "<=",
    "≥": ">=",
    "’": "'",
    "‘": "'",
    "“": '"',
    "”": '"',
    "\N{NO-BREAK SPACE}": " ",
    "\N{THIN SPACE}": " ",
}


def _plain_signs(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(map(_plain, signs)), error.end


def _plain(sign: str) -> str:
    """Return ASCII for a sign, which every encoding of a console has."""
    known = _PLAIN.get(sign)
    if known is not None:
        return known
    # Letters lose their accents; of others nothing is left.
    parts = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
    return parts or "?"


codecs.register_error(PLAIN_SIGNS, _plain_signs)


def is_open(stream: Any) -> bool:
    """Whether something can be written to a stream; there may be none at all."""
    return stream is not None and not getattr(stream, "closed", False)


class Standard:
    """Standard output or error, whatever it is when something is written to it.

    Parameters
    ----------
    name : {"stdout", "stderr"}
    """

    def __init__(self, name: str):
        self._name = name

    @property
    def _stream(self) -> Any:
        # Looked up each time: tests, notebooks and pipes put another in its place.
        return getattr(sys, self._name)

    @property
    def closed(self) -> bool:
        """Whether there is nothing to write to."""
        return not is_open(self._stream)

    @property
    def encoding(self) -> str:
        """What the signs are written in."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write text; signs that the stream does not have are written by others."""
        if not self.closed:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                raw = text.encode(self.encoding, PLAIN_SIGNS)
                self._stream.write(raw.decode(self.encoding))
        return len(text)

    def flush(self) -> None:
        """Pass on what was written."""
        if not self.closed:
            self._stream.flush()

    def isatty(self) -> bool:
        """Whether somebody is looking."""
        return not self.closed and bool(self._stream.isatty())

    def fileno(self) -> int:
        """Return the number that the system has for it."""
        return int(self._stream.fileno())


def say_line(text: str) -> None:
    """Print a line; where there is no output, or it lacks a sign, it is no error."""
    stream = Standard("stdout")
    stream.write(f"{text}\n")
    stream.flush()


@contextmanager
def readable_streams() -> Iterator[None]:
    """Let other libraries, too, write any sign to streams that may not be there.

    Within the block ``sys.stdout`` and ``sys.stderr`` can be written to.
    """
    with ExitStack() as stack:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if not is_open(stream):
                nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
                setattr(sys, name, nowhere)
                stack.callback(setattr, sys, name, stream)
            # What stands in for a stream, as in notebooks, takes every sign.
            elif hasattr(stream, "reconfigure"):
                stack.callback(_set_errors, stream, stream.errors)
                stream.reconfigure(errors=PLAIN_SIGNS)
        yield


def _set_errors(stream: Any, errors: str) -> None:
    if is_open(stream):
        stream.reconfigure(errors=errors)
