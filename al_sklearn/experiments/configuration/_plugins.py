"""Python of the user's own, run so that it registers what a file then names."""

from __future__ import annotations

import importlib
import runpy
import sys
import traceback

from al_sklearn.exceptions import ExperimentFileError


def look_beside(folder: str | None) -> None:
    """Let modules in the folder of an experiment file be imported by their names.

    It is looked at last: a file there hides no package.
    """
    if folder is not None and folder not in sys.path:
        sys.path.append(folder)
        importlib.invalidate_caches()


def run_plugin(path: str) -> None:
    """Run a Python file, or import a module, that registers things by name.

    Parameters
    ----------
    path : str
        A file that ends with ``.py``; else a module's name.

    Raises
    ------
    ExperimentFileError
        When it fails; the line is named.
    """
    try:
        if path.endswith(".py"):
            runpy.run_path(path)
        else:
            importlib.import_module(path)
    # Whatever somebody's code may raise.
    except Exception as error:
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == path
        ]
        where = f"{path}, line {lines[-1]}" if lines else path
        raise ExperimentFileError(
            f"{where}: {type(error).__name__}: {error}"
        ) from error
