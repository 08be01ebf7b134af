"""On whose behalf a model is trained, for what is found once and used again.

A search for hyper-parameters is a part of its strategy's run: another strategy that
lived on it would have labels in it that it never bought.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_strategy: ContextVar[str] = ContextVar("al_sklearn_on_behalf", default="")


@contextmanager
def on_behalf_of(strategy: str) -> Iterator[None]:
    """Say, for what is trained inside, whose run it is a part of.

    Parameters
    ----------
    strategy : str
        The name of a strategy in its comparison, or of what several share.
    """
    token = _strategy.set(strategy)
    try:
        yield
    finally:
        _strategy.reset(token)


def whose() -> str:
    """Return whose run this is a part of; empty outside of any."""
    return _strategy.get()
