"""Bars for whoever looks, lines for a log."""

from __future__ import annotations

from typing import Any, Final

from tqdm import auto

from al_sklearn._core.streams import Standard
from al_sklearn._core.types import Options

# A log of a day has then 1,440 lines at most.
SECONDS: Final = 60.0
_LINE: Final = "{n_fmt}/{total_fmt} {unit}, {elapsed} gone, {remaining} left"


def in_notebook() -> bool:
    """Whether bars are widgets, which are in nobody's file."""
    return any(base.__module__ == "tqdm.notebook" for base in auto.tqdm.__mro__)


def somebody_looks() -> bool:
    """Whether a bar that is drawn over and over is seen as one."""
    return in_notebook() or Standard("stderr").isatty()


class _Lines:
    """What a bar writes over itself, each on a line of its own."""

    def __init__(self, stream: Standard):
        self._stream = stream

    def write(self, text: str) -> None:
        line = text.strip("\r\n ")
        if line:
            self._stream.write(f"{line}\n")

    def flush(self) -> None:
        self._stream.flush()


class tqdm(auto.tqdm):
    """tqdm's bar; in a file it is a line a minute, without output nothing.

    Parameters
    ----------
    *args, **options
        tqdm's.
    """

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **_where(options))


def _where(options: Options) -> Options:
    """Say where a bar is drawn, and how often."""
    stream = Standard("stderr")
    if in_notebook():
        return options
    if stream.closed:
        return {**options, "file": stream, "disable": True}
    if stream.isatty():
        return {"file": stream, **options}
    lines = {
        "file": _Lines(stream),
        "bar_format": f"{{desc}}: {_LINE}" if options.get("desc") else _LINE,
        # Nothing of what is over within the first minute.
        "delay": SECONDS,
        "mininterval": SECONDS,
        "maxinterval": SECONDS,
        "miniters": 1,
    }
    return {**options, **lines}
