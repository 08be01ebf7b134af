"""Libraries that only a part of the library needs, looked for when it is used."""

from __future__ import annotations

import importlib
from typing import Any


def require(module: str, purpose: str, install: str | None = None) -> Any:
    """Import a library that is not always installed.

    Parameters
    ----------
    module : str
        As in ``import``.
    purpose : str
        What needs it; the error begins with that.
    install : str, optional
        What pip is to install, and what else may be done; the data sets' extra by
        default.

    Raises
    ------
    ImportError
        When it is missing; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        if install is None:
            install = f"'al-sklearn[data]' (or {package} alone)"
        raise ImportError(
            f"{purpose} needs {package}: pip install {install}."
        ) from error
