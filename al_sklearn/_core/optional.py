"""Libraries that only some data sets need."""

from __future__ import annotations

import importlib
from typing import Any


def require(module: str, purpose: str) -> Any:
    """Import a library that is not always installed.

    Raises
    ------
    ImportError
        When it is missing; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(
            f"{purpose} needs {package}: pip install 'al-sklearn[data]' (or {package} "
            "alone)."
        ) from error
