"""Libraries that only a part of the library needs, looked for when it is used."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def is_a(value: Any, kind: str) -> bool:
    """Whether a value is of a class of a library that may not be installed.

    Frameworks are found in ``sys.modules``, never imported: who has such a value has
    imported its library, and nobody else must wait seconds for it.

    Parameters
    ----------
    value : object
    kind : str
        ``"module.Class"``.

    Examples
    --------
    >>> import numpy as np
    >>> is_a(np.ones(2), "numpy.ndarray"), is_a(np.ones(2), "nowhere.Tensor")
    (True, False)
    """
    return isinstance(value, loaded(kind) or ())


def loaded(kind: str) -> type | None:
    """Return the class of that name, ``"module.Class"``, if its module is imported."""
    module, _, name = kind.rpartition(".")
    return getattr(sys.modules.get(module), name, None)


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
